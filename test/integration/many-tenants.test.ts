/** Thousands of tenants, most of them in a file of their own: each is itself, and what is shown of them has an end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { atEnd, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

const count = 2_000
let proxy: StartedProxy
let file: string

const line = (i: number, password = `secret-${i}`): string =>
  JSON.stringify({ id: `t${i}`, users: { [`u${i}`]: { password } }, scripts: 'any' })

beforeAll(async () => {
  const server = await startRedis()
  const lines = Array.from({ length: count }, (_, i) => line(i))
  // By an absolute path: the folder of the configuration is not known before it is there.
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-many-'))
  atEnd(() => rmSync(folder, { recursive: true }))
  file = path.join(folder, 'tenants.jsonl')
  writeFileSync(file, `${lines.join('\n')}\n`)
  proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [server.url] } },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
    tenants_file: file,
    operators: { ops: { password: 'demo' } },
  })
}, 60_000)

test('each has its own keys, scripts and password, from the first to the last line', async () => {
  for (const i of [0, 1, 1_000, count - 1]) {
    const client = await proxy.client(`u${i}`, `secret-${i}`)
    expect(await client.call('SET', 'name', `value-${i}`)).toBe('OK')
    expect(await client.call('EVAL', "return redis.call('get', 'name')", '0')).toBe(`value-${i}`)
    client.close()
  }
  for (const i of [0, 1, 1_000, count - 1]) {
    const client = await proxy.client(`u${i}`, `secret-${i}`)
    expect(await client.call('GET', 'name')).toBe(`value-${i}`)
    expect(await client.call('DBSIZE')).toBe(1)
    expect(await client.call('AUTH', `u${(i + 1) % count}`, `secret-${i}`)).toBeInstanceOf(ErrorReply)
    client.close()
  }
  const shop = await proxy.client('shop-app')
  expect(await shop.call('GET', 'name')).toBeNull()
})

test('operators see the busiest first, a thousand at most; asking about a tenant wakes nobody', async () => {
  const ops = await proxy.client('ops')
  const tenants = JSON.parse((await proxy.proxy.fetch('/api/v1/tenants')).body) as { tenant: string; reads: number }[]
  expect(tenants).toHaveLength(1_000)
  expect(new Set(tenants.map((it) => it.tenant)).size).toBe(1_000)
  expect(
    tenants
      .slice(0, 4)
      .map((it) => it.tenant)
      .sort(),
  ).toEqual(['t0', 't1', 't1000', `t${count - 1}`])
  const config = JSON.parse((await proxy.proxy.fetch('/api/v1/config')).body) as {
    tenants: object
    tenants_left_out: number
  }
  expect([Object.keys(config.tenants).length, config.tenants_left_out]).toEqual([1_000, count + 1 - 1_000])
  const stats = JSON.parse((await proxy.proxy.fetch('/api/v1/stats')).body) as { tenants: { tenant: string }[] }
  // Four have come, and shop.
  expect(stats.tenants).toHaveLength(5)
  expect(((await ops.call('PROXY', 'SHOW', 'TENANTS')) as unknown[]).length).toBe(1_000)
})

test('metrics name those that were used, fill up to top:N with zeros, and fold all others', async () => {
  const page = await metric(proxy)
  for (const i of [0, 1, 1_000, count - 1])
    expect(page.sum('regis_commands_total', { tenant: `t${i}`, kind: 'write', outcome: 'ok' })).toBeGreaterThan(0)
  expect(page.sum('regis_tenants_folded')).toBe(count + 1 - 50)
  const { body } = await proxy.proxy.fetch('/metrics')
  const named = new Set([...body.matchAll(/^regis_client_connections\{tenant="([^"]+)"/gm)].map((it) => it[1]))
  expect(named.size).toBe(51)
})

test('a thousand clients that come at once are all logged in, each as itself, and lists and the page have all of them', async () => {
  const clients = await Promise.all(
    Array.from({ length: 1_000 }, async (_, i) => {
      const client = await RawClient.open(proxy.port)
      // In one piece: what stands behind a login that has to wait is the new tenant's.
      client.send(
        Buffer.concat([command('AUTH', `u${i}`, `secret-${i}`), command('SET', 'mine', i), command('GET', 'mine')]),
      )
      return [client, [await client.read(), await client.read(), await client.read()]] as const
    }),
  )
  expect(clients.map(([, replies]) => replies)).toEqual(clients.map((_, i) => ['OK', 'OK', String(i)]))
  const ops = await proxy.client('ops')
  expect(((await ops.call('PROXY', 'SHOW', 'CLIENTS')) as unknown[]).length).toBe(1_000)
  await ops.call('HELLO', 3)
  const shown = (await ops.call('PROXY', 'SHOW', 'STATS')) as Map<string, unknown>
  expect((shown.get('tenants') as unknown[]).length).toBe(1_000)
  const page = (await proxy.proxy.fetch('/metrics', 20_000)).body
  const open = [...page.matchAll(/^regis_client_connections\{.*\} (\d+)$/gm)].map(([, value]) => Number(value))
  expect(open.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(1_000)
  for (const [client] of clients) client.close()
}, 60_000)

test('a reload that changes, removes and adds hundreds beyond the first thousand is taken whole, and the hash tells', async () => {
  const hash = async (): Promise<string> =>
    (JSON.parse((await proxy.proxy.fetch('/api/v1/status', 20_000)).body) as { config: { hash: string } }).config.hash
  const before = await hash()
  const stays = await proxy.client('u1999', 'secret-1999')
  await stays.call('SET', 'kept', 'yes')
  const lines = Array.from({ length: count + 300 }, (_, i) =>
    i >= 1_200 && i < 1_500 ? line(i, `new-${i}`) : line(i),
  ).filter((_, i) => i < 1_500 || i >= 1_800)
  writeFileSync(file, `${lines.join('\n')}\n`)
  const ops = await proxy.client('ops')
  const changes = (await ops.call('PROXY', 'RELOAD')) as string[]
  expect(changes).toHaveLength(900)
  expect(changes.filter((it) => it.endsWith('removed'))).toHaveLength(300)
  expect(changes.filter((it) => it.endsWith('added'))).toHaveLength(300)
  expect(await hash()).not.toBe(before)
  const guest = await proxy.client()
  const login = (i: number, password: string) => guest.call('AUTH', `u${i}`, password)
  for (const i of [0, 1_199, 1_800, 1_999, 2_000, 2_299]) expect(await login(i, `secret-${i}`)).toBe('OK')
  for (const i of [1_200, 1_333, 1_499]) {
    expect(await login(i, `new-${i}`)).toBe('OK')
    expect(await login(i, `secret-${i}`)).toBeInstanceOf(ErrorReply)
  }
  for (const i of [1_500, 1_799]) expect(await login(i, `secret-${i}`)).toBeInstanceOf(ErrorReply)
  expect(await stays.call('GET', 'kept')).toBe('yes')
  // The same file once more changes nothing.
  const now = await hash()
  expect(await ops.call('PROXY', 'RELOAD')).toEqual([])
  expect(await hash()).toBe(now)
}, 60_000)
