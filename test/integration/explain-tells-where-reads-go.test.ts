/**
 * EXPLAIN and the reads themselves, asked one after the other on the same connection: what it says is where the next
 * identical read is counted, by the servers' own commandstats, while replicas lag, are cut off, and keys are written.
 */
import type { Topology } from '../../src/demo/topology.ts'
import { randomFrom } from '../kit/exchange.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { configFor, regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { regis } from '../unit/cli/kit.ts'

const random = randomFrom(Number(process.env['SEED'] ?? 5))
const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
const regions = ['eu-west', 'us-east', 'ap-south'] as const

interface Told {
  readonly answered_by: string
  readonly region: string | null
  readonly role: string | null
  readonly waits_ms: number
  readonly error: string | null
  readonly level: string
  readonly [name: string]: unknown
}

function told(reply: unknown): Told {
  expect(reply).toBeInstanceOf(Array)
  const flat = reply as unknown[]
  return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]])) as never
}

const explain = async (client: RawClient, ...args: string[]): Promise<Told> =>
  told(await client.call('PROXY', 'EXPLAIN', ...args))

/** Calls of a command at each server so far. */
async function calls(topology: Topology, command: string): Promise<number[]> {
  return Promise.all(
    regions.map(async (region) => {
      const text = String(await topology.node(region).call('INFO', 'commandstats'))
      return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text)?.[1] ?? 0)
    }),
  )
}

/** The regions that have run the command since. */
async function regionsSince(topology: Topology, command: string, before: readonly number[]): Promise<string[]> {
  const after = await calls(topology, command)
  return regions.filter((_, i) => after[i]! > before[i]!)
}

async function start(more: object): Promise<{ topology: Topology; proxy: StartedProxy }> {
  const topology = await startReplicaSet({ regions, rttMs: {} })
  const proxy = await startProxy({
    ...configFor(topology, 'us-east'),
    regions: regionsFor(topology, 'us-east'),
    upstream: { timeout: '2s' },
    ...more,
  })
  return { topology, proxy }
}

const untilNear = (client: RawClient, ...args: string[]): Promise<unknown> =>
  waitFor(async () => {
    const it = await explain(client, ...args)
    return it.region === 'us-east' && it.waits_ms === 0
  })

describe('PROXY EXPLAIN', () => {
  let topology: Topology
  let proxy: StartedProxy

  beforeAll(async () => {
    ;({ topology, proxy } = await start({
      routing: {
        rules: [
          { tenant: 'shop', keys: 'cart:*', consistency: 'strong', pin: true },
          { tenant: 'shop', keys: 'soft:*', consistency: 'eventual' },
          { tenant: 'analytics', keys: 'secret-*', consistency: 'strong' },
        ],
      },
      tenants: {
        shop: { users: { 'shop-app': { password: 'demo' }, 'shop-read': { password: 'demo', access: 'read-only' } } },
        analytics: {
          consistency: 'bounded',
          max_staleness: '300ms',
          users: { 'analytics-app': { password: 'demo' } },
        },
        strict: {
          consistency: 'bounded',
          max_staleness: '300ms',
          when_stale: 'error',
          users: { 'strict-app': { password: 'demo' } },
        },
      },
      operators: { ops: { password: 'demo' } },
    }))
  }, 60_000)

  test('the explained choice is where the next identical read goes, whatever lag, cuts and writes do', async () => {
    const clients = {
      shop: await proxy.client('shop-app'),
      analytics: await proxy.client('analytics-app'),
      strict: await proxy.client('strict-app'),
    }
    for (const client of Object.values(clients)) await untilNear(client, 'GET', 'plain')
    const differences: string[] = []
    const seen = new Map<string, number>()
    let isCut = false
    // Two states for each round, so that what is in force when EXPLAIN answers is still so when the read comes.
    for (let round = 0; round < 24; round++) {
      if (round % 4 === 0) {
        topology.setLag('us-east', pick([0, 0, 0, 700]))
        isCut = !isCut && random() < 0.4
        topology.replication('us-east').partition(isCut)
        topology.setLag('ap-south', pick([0, 500]))
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
      for (const [name, client] of Object.entries(clients)) {
        await client.call(
          'PROXY',
          'CONSISTENCY',
          pick(['default', 'default', 'eventual', 'session', 'bounded', 'strong']),
        )
        const key = pick(['plain', 'cart:1', 'soft:1', 'k'])
        if (random() < 0.3) await client.call('SET', key, String(round))
        else if (random() < 0.5) {
          // What was read at the primary binds this connection, and no other one.
          await client.pipeline([
            ['PROXY', 'CONSISTENCY', 'strong'],
            ['GET', key],
            ['PROXY', 'CONSISTENCY', 'session'],
          ])
        }
        const before = await calls(topology, 'get')
        const [first, reply, last] = await client.pipeline([
          ['PROXY', 'EXPLAIN', 'GET', key],
          ['GET', key],
          ['PROXY', 'EXPLAIN', 'GET', key],
        ])
        const one = told(first)
        const ran = await regionsSince(topology, 'get', before)
        const said = one.answered_by === 'node' ? one.region! : 'nobody'
        const did = reply instanceof ErrorReply ? 'nobody' : ran.join()
        if (one.waits_ms === 0) seen.set(said, (seen.get(said) ?? 0) + 1)
        if (said === did && (reply instanceof ErrorReply ? `-${one.error}` === `-${reply.message}` : true)) continue
        // Told to wait for a watermark: it came or it did not. Else the world itself has moved between the two.
        const isEither = one.waits_ms > 0 && (said === did || String(one['why']).endsWith(`goes to ${did}`))
        const moved = isEither || told(last).region !== one.region
        if (!moved) differences.push(`${name} GET ${key} (${one.level}): said ${said}, went to ${did}`)
      }
    }
    topology.replication('us-east').partition(false)
    topology.setLag('us-east', 0)
    topology.setLag('ap-south', 0)
    expect(differences).toEqual([])
    // It had something to tell: near reads, far ones, and refusals or other regions.
    expect(seen.get('us-east') ?? 0).toBeGreaterThan(3)
    expect(seen.get('eu-west') ?? 0).toBeGreaterThan(3)
  }, 60_000)

  test('it takes place in order: behind a write in one pipeline it speaks of that write', async () => {
    const client = await proxy.client('shop-app')
    await untilNear(client, 'GET', 'plain')
    topology.setLag('us-east', 800)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const [, after] = await client.pipeline([
      ['SET', 'plain', '1'],
      ['PROXY', 'EXPLAIN', 'GET', 'plain'],
    ])
    const it = told(after)
    expect(it.region).not.toBe('us-east')
    expect(it['reason']).toBe('session')
    expect(it['why']).toContain('the watermark behind a write of this tenant')
    const near = (it['candidates'] as unknown[]).map(told).find((one) => one['local'] === 'yes')!
    expect(near['obstacle']).toBe('session')
    expect(near['chosen']).toBe('no')
    const levels = (it['other_levels'] as unknown[]).map(told)
    expect(levels.map((one) => [one['asked'], one.region])).toContainEqual(['eventual', 'us-east'])
    expect(levels.map((one) => [one['asked'], one.region])).toContainEqual(['strong', 'eu-west'])
    topology.setLag('us-east', 0)
    await untilNear(client, 'GET', 'plain')
  })

  test('asking changes nothing: no command reaches a server, and the connection stands where it stood', async () => {
    const client = await proxy.client('shop-app')
    await untilNear(client, 'GET', 'plain')
    const before = await calls(topology, 'get')
    const sets = await calls(topology, 'set')
    for (let i = 0; i < 20; i++) {
      await explain(client, 'GET', 'plain')
      await explain(client, 'SET', 'plain', 'never')
    }
    expect(await regionsSince(topology, 'get', before)).toEqual([])
    expect(await regionsSince(topology, 'set', sets)).toEqual([])
    await client.call('GET', 'plain')
    expect(await regionsSince(topology, 'get', before)).toEqual(['us-east'])
  })

  test('rule, level and where the level comes from', async () => {
    const client = await proxy.client('shop-app')
    const level = async (...args: string[]) => {
      const it = await explain(client, ...args)
      return [it.level, it['level_from'], it['rule']]
    }
    expect(await level('GET', 'plain')).toEqual(['session', 'routing', null])
    expect(await level('GET', 'cart:7')).toEqual(['strong', 'rule', 'cart:*'])
    expect(await level('MGET', 'soft:1', 'cart:7')).toEqual(['strong', 'rule', 'cart:*'])
    await client.call('READONLY')
    expect(await level('GET', 'plain')).toEqual(['eventual', 'connection', null])
    expect(await level('GET', 'cart:7')).toEqual(['strong', 'rule', 'cart:*'])
    const other = await proxy.client('analytics-app')
    const it = await explain(other, 'GET', 'plain')
    expect([it.level, it['level_from'], it['max_staleness_ms']]).toEqual(['bounded', 'tenant', 300])
  })

  test('what is refused is told with its error, and writes with the primary', async () => {
    const client = await proxy.client('shop-read')
    const refusal = async (...args: string[]) => {
      const it = await explain(client, ...args)
      expect([it.answered_by, it['kind']]).toEqual(['nobody', 'refused'])
      const reply = await client.call(...args)
      expect(reply).toBeInstanceOf(ErrorReply)
      expect(it.error).toBe((reply as ErrorReply).message)
    }
    await refusal('SET', 'a', 'b')
    await refusal('SHUTDOWN')
    await refusal('GET')
    await refusal('ZUNION', 'x', 'a')
    const app = await proxy.client('shop-app')
    const write = await explain(app, 'SET', 'a', 'b')
    expect([write['kind'], write.region, write.role]).toEqual(['write', 'eu-west', 'primary'])
    expect((await explain(app, 'DBSIZE')).answered_by).toBe('proxy')
    expect((await explain(app, 'BLPOP', 'a', '1'))['kind']).toBe('own connection')
    expect(await app.call('MULTI')).toBe('OK')
    expect(await app.call('PROXY', 'EXPLAIN', 'GET', 'a')).toBeInstanceOf(ErrorReply)
    await app.call('DISCARD')
    const ops = await proxy.client('ops')
    expect(await ops.call('PROXY', 'EXPLAIN', 'GET', 'a')).toMatchObject({ message: expect.stringMatching(/^NOPERM /) })
  })

  test('a tenant is shown no address, no rewritten key, no watermark and no rule of others', async () => {
    const client = await proxy.client('shop-app')
    await client.call('HELLO', '3')
    const raw = await client.callRaw('PROXY', 'EXPLAIN', 'GET', 'secret-1')
    expect(raw.startsWith('%')).toBe(true)
    for (const region of regions) expect(raw).not.toContain(String(topology.node(region).port))
    for (const word of ['127.0.0.1', 'shop:secret', 'watermark\r', 'secret-*', 'analytics'])
      expect(raw).not.toContain(word)
    expect(raw).toContain('secret-1')
  })

  test('the admin API and the verb tell operators all of it', async () => {
    const command = encodeURIComponent('GET "cart:1"')
    const { status, body } = await proxy.proxy.fetch(`/api/v1/explain?user=shop-app&command=${command}`)
    expect(status).toBe(200)
    const it = JSON.parse(body)
    expect(it).toMatchObject({
      command: 'get',
      tenant: 'shop',
      level: 'strong',
      level_from: 'rule',
      rule: { keys: 'cart:*', index: 0, pin: true },
      keys: [{ key: 'cart:1', upstream: 'shop:cart:1' }],
      region: 'eu-west',
    })
    expect(it.candidates).toHaveLength(3)
    expect(it.candidates[0].node).toMatch(/:\d+$/)
    const url = ['--url', `http://127.0.0.1:${proxy.adminPort}`]
    const shown = await regis(['explain', ...url, '--user', 'shop-app', 'GET "cart:1"'])
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    expect(shown.stdout).toContain('keys     cart:1 -> shop:cart:1\n')
    expect(shown.stdout).toContain('rule     routing.rules[0] keys cart:*, pinned\n')
    expect(shown.stdout).toMatch(/^\* +eu-west +127\.0\.0\.1:\d+ +primary/m)
    expect(shown.stdout).toMatch(/^eventual +\(pinned: strong\) +eu-west \(primary\)/m)
    const stranger = await regis(['explain', ...url, '--user', 'nobody', 'GET a'])
    expect([stranger.code, stranger.stderr.includes('no such user')]).toEqual([1, true])
    expect((await proxy.proxy.fetch('/api/v1/explain?user=nobody&command=PING')).status).toBe(404)
    expect((await proxy.proxy.fetch('/api/v1/explain?user=shop-app')).status).toBe(400)
  })

  test('status and top show nodes, tenants and latencies of a running proxy', async () => {
    const client = await proxy.client('shop-app')
    await client.call('GET', 'plain')
    const url = ['--url', `http://127.0.0.1:${proxy.adminPort}`]
    const status = await regis(['status', ...url])
    expect(status).toMatchObject({ code: 0, stderr: '' })
    for (const region of regions)
      expect(status.stdout).toMatch(new RegExp(`^${region}.* 127\\.0\\.0\\.1:\\d+ +(primary|replica)`, 'm'))
    expect(status.stdout).toMatch(/^shop +[1-9]/m)
    expect(status.stdout).toMatch(/reads p50 <=[\d.]+ m?s/)
    const top = regis(['top', ...url, '--interval', '300ms', '--count', '1', '--json'])
    await new Promise((resolve) => setTimeout(resolve, 100))
    for (let i = 0; i < 30; i++) await client.call('GET', 'plain')
    const figures = JSON.parse((await top).stdout)
    const shop = figures.tenants.find((one: { tenant: string }) => one.tenant === 'shop')
    // Of the interval, not of the whole time; the reads may have come a little after it on a busy machine.
    expect(shop.readsPerSecond * figures.seconds).toBeLessThanOrEqual(30.001)
    expect(figures.seconds).toBeLessThan(5)
  })
})
