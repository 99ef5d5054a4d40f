/** PROXY SHOW, KILL and DRAIN, and the same over HTTP: operators see it all but secrets, keys and values; tenants nothing of it. */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { ErrorReply } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

describe('operators', () => {
  let server: RedisServer
  let proxy: StartedProxy

  beforeAll(async () => {
    server = await startRedis({ args: ['--slowlog-log-slower-than', '0'] })
    proxy = await startProxy({
      region: 'eu-west',
      primary: 'eu-west',
      regions: { 'eu-west': { nodes: [server.url] } },
      routing: { rules: [{ tenant: 'shop', keys: 'cart:*', consistency: 'strong' }] },
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
      operators: { ops: { password: 'demo' } },
    })
  }, 60_000)

  test('see regions, tenants, clients, rules, configuration and figures, in both forms of the protocol', async () => {
    const app = await proxy.client('shop-app')
    await app.call('SET', 'a-key', 'a-value')
    await app.call('GET', 'a-key')
    const ops = await proxy.client('ops')
    const flat = String((await ops.call('PROXY', 'SHOW', 'REGIONS')) as unknown)
    expect(flat).toContain(`node,127.0.0.1:${server.port},role,primary,up,yes`)
    await ops.call('HELLO', '3')
    for (const [what, word] of [
      ['regions', 'eu-west'],
      ['tenants', 'shop'],
      ['clients', 'shop-app'],
      ['rules', 'cart:*'],
      ['config', 'slow_command'],
      ['stats', 'marks_sent'],
      ['status', 'epoch'],
    ]) {
      const raw = await ops.callRaw('PROXY', 'SHOW', what!)
      expect(raw).toMatch(/^[*%]/)
      expect(raw).toContain(word)
      for (const secret of ['demo', 'a-key', 'a-value']) expect([what, raw.includes(secret)]).toEqual([what, false])
    }
    expect(await ops.call('PROXY', 'SHOW', 'KEYS')).toMatchObject({
      message: expect.stringMatching(/^ERR PROXY SHOW takes one of regions, tenants/),
    })
    expect(String(await ops.call('PROXY', 'HELP'))).toContain('DRAIN')
  })

  test('tenants may not, and are not told that there is such a thing', async () => {
    const app = await proxy.client('shop-app')
    for (const args of [['SHOW', 'REGIONS'], ['KILL', '1'], ['DRAIN']]) {
      expect(await app.call('PROXY', ...args)).toMatchObject({ message: expect.stringMatching(/^NOPERM /) })
    }
    const help = String(await app.call('PROXY', 'HELP'))
    expect(help).toContain('EXPLAIN')
    for (const word of ['SHOW', 'KILL', 'DRAIN']) expect(help).not.toContain(word)
    expect(await app.call('PING')).toBe('PONG')
  })

  test('every verb that HELP names is there, and no other', async () => {
    const named = async (user: string) => {
      const client = await proxy.client(user)
      const lines = (await client.call('PROXY', 'HELP')) as unknown[]
      return lines
        .slice(1)
        .map(String)
        .filter((line) => !line.startsWith(' '))
        .map((line) => line.split(' ')[0]!)
    }
    for (const [user, others] of [
      ['shop-app', ['SHOW', 'KILL', 'DRAIN']],
      ['ops', ['EXPLAIN', 'CONSISTENCY']],
    ] as const) {
      const client = await proxy.client(user)
      const verbs = await named(user)
      for (const verb of verbs) {
        // With too few arguments, so that nothing is done: only one that is not there is unknown or denied.
        if (verb === 'DRAIN') continue
        const reply = await client.call('PROXY', verb)
        if (reply instanceof ErrorReply) expect(reply.message).toMatch(/^ERR wrong number of arguments/)
      }
      for (const other of others) expect(verbs).not.toContain(other)
    }
  })

  test('close a connection by its id', async () => {
    const app = await proxy.client('shop-app')
    const id = Number(await app.call('CLIENT', 'ID'))
    const ops = await proxy.client('ops')
    expect(await ops.call('PROXY', 'KILL', id)).toBe('OK')
    await app.untilClosed()
    expect(await ops.call('PROXY', 'KILL', id)).toMatchObject({ message: 'ERR No such client' })
    expect(await ops.call('PROXY', 'KILL', 'x')).toBeInstanceOf(ErrorReply)
  })

  test('the admin API has figures, and slow commands without what is in them', async () => {
    const app = await proxy.client('shop-app')
    await app.call('SET', 'secret-key', 'secret-value')
    const slow = await waitFor(async () => {
      const { status, body } = await proxy.proxy.fetch('/api/v1/slowlog')
      expect(status).toBe(200)
      expect(body).not.toContain('secret')
      return (JSON.parse(body) as { command: string; tenant: string | null; micros: number }[]).find(
        (entry) => entry.command === 'set' && entry.tenant === 'shop',
      )
    })
    expect(slow?.micros).toBeGreaterThanOrEqual(0)
    const stats = JSON.parse((await proxy.proxy.fetch('/api/v1/stats')).body)
    expect(stats.tenants[0]).toMatchObject({ tenant: 'shop' })
    expect(stats.tenants[0].writes).toBeGreaterThan(0)
    expect(stats.duration_ms.write.primary.count).toBeGreaterThan(0)
  })

  test('drain: who asks is answered, and every client is closed after its last reply', async () => {
    const app = await proxy.client('shop-app')
    const ops = await proxy.client('ops')
    const last = app.call('GET', 'a-key')
    expect(await ops.call('PROXY', 'DRAIN')).toBe('OK')
    expect(await last).toBe('a-value')
    await app.untilClosed()
    await ops.untilClosed()
  })
})
