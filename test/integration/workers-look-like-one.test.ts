/**
 * Several worker processes look like one proxy: to operators (metrics, admin port, PROXY verbs, the command line) and to
 * tenants (CLIENT, PUBSUB, INFO), whichever worker their connection is at.
 */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { clientAtEach, workerPids } from '../kit/workers.ts'

const count = 2
let proxy: StartedProxy

beforeAll(async () => {
  const redis = await startRedis()
  proxy = await startProxy(
    {
      region: 'eu',
      primary: 'eu',
      regions: { eu: { nodes: [redis.url] } },
      tenants: {
        shop: { users: { app: { password: 'demo' }, report: { password: 'demo' } } },
        blog: { users: { writer: { password: 'demo' } } },
        still: { users: { sleeper: { password: 'demo' } } },
      },
      operators: { ops: { password: 'demo' } },
    },
    { args: ['--workers', String(count)] },
  )
}, 60_000)

const closeAll = (...clients: readonly RawClient[]): void => {
  for (const client of clients) client.close()
}
const json = async (at: string, method = 'GET'): Promise<unknown> => {
  const response = await fetch(`http://127.0.0.1:${proxy.adminPort}${at}`, { method })
  return response.json()
}
const idsIn = (list: unknown): number[] => [...String(list).matchAll(/^id=(\d+) /gm)].map(([, id]) => Number(id))
const infoOf = async (client: RawClient, field: string): Promise<number> =>
  Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(String(await client.call('INFO')))?.[1])

describe('tenants', () => {
  test('list and kill their clients at all workers, under ids that nobody has twice, and nobody else', async () => {
    const [a, b] = (await clientAtEach(proxy, count, 'app')) as [RawClient, RawClient]
    const [c, d] = (await clientAtEach(proxy, count, 'report')) as [RawClient, RawClient]
    const other = await proxy.client('writer')
    const ids = await Promise.all([a, b, c, d].map(async (client) => (await client.call('CLIENT', 'ID')) as number))
    expect(new Set(ids).size).toBe(4)
    for (const client of [a, b, c, d]) {
      expect(idsIn(await client.call('CLIENT', 'LIST'))).toEqual([...ids].sort((x, y) => x - y))
      expect(idsIn(await client.call('CLIENT', 'LIST', 'ID', ids[3]!, ids[0]!, 999_999))).toEqual([ids[3], ids[0]])
      expect(await infoOf(client, 'connected_clients')).toBe(4)
    }
    const otherId = (await other.call('CLIENT', 'ID')) as number
    expect(idsIn(await other.call('CLIENT', 'LIST'))).not.toContain(ids[0])
    expect(await a.call('CLIENT', 'KILL', 'ID', otherId)).toBe(0)
    expect(await a.call('CLIENT', 'KILL', 'ID', ids[1]!)).toBe(1)
    await b.untilClosed()
    expect(await a.call('CLIENT', 'KILL', 'USER', 'report')).toBe(2)
    await Promise.all([c.untilClosed(), d.untilClosed()])
    await waitFor(async () => idsIn(await a.call('CLIENT', 'LIST')).length === 1)
    expect(await other.call('PING')).toBe('PONG')
    // In EXEC nothing may take time: of this worker's.
    await a.call('MULTI')
    await a.call('CLIENT', 'LIST')
    expect(idsIn(((await a.call('EXEC')) as unknown[])[0])).toEqual([ids[0]])
    closeAll(a, other)
  })

  test('see blocked clients of the other worker, and end their waiting', async () => {
    const [a, b] = (await clientAtEach(proxy, count, 'app')) as [RawClient, RawClient]
    const id = (await b.call('CLIENT', 'ID')) as number
    const popped = b.call('BLPOP', 'nothing', 20)
    await waitFor(async () => (await infoOf(a, 'blocked_clients')) === 1)
    expect(await a.call('CLIENT', 'UNBLOCK', id, 'ERROR')).toBe(1)
    expect(await popped).toMatchObject({ message: expect.stringMatching(/^UNBLOCKED/) })
    closeAll(a, b)
  })

  test('see subscribers at both workers, each channel once, and none of other tenants', async () => {
    const [a, b] = (await clientAtEach(proxy, count, 'app')) as [RawClient, RawClient]
    const [c, d] = (await clientAtEach(proxy, count, 'report')) as [RawClient, RawClient]
    const other = await proxy.client('writer')
    await a.call('SUBSCRIBE', 'news')
    await b.call('SUBSCRIBE', 'news')
    await other.call('SUBSCRIBE', 'news')
    for (const client of [c, d]) {
      expect(await client.call('PUBSUB', 'NUMSUB', 'news', 'none')).toEqual(['news', 2, 'none', 0])
      expect(await client.call('PUBSUB', 'CHANNELS')).toEqual(['news'])
      expect(await client.call('PUBSUB', 'CHANNELS', 'x*')).toEqual([])
    }
    await a.call('PSUBSCRIBE', 'n*')
    await b.call('PSUBSCRIBE', 'n*')
    expect(await c.call('PUBSUB', 'NUMPAT')).toBe(1)
    closeAll(a, b, c, d, other)
  })
})

describe('operators', () => {
  test('see clients, tenants and figures of all workers, and kill at each, by whatever connection they ask', async () => {
    const apps = (await clientAtEach(proxy, count, 'app')) as [RawClient, RawClient]
    const ids = await Promise.all(apps.map(async (client) => (await client.call('CLIENT', 'ID')) as number))
    const ops = await clientAtEach(proxy, count, 'ops')
    // Those of tests before this one have gone.
    await waitFor(async () => ((await json('/api/v1/clients')) as unknown[]).length === 4)
    for (const operator of ops) {
      const clients = String(await operator.call('PROXY', 'SHOW', 'CLIENTS'))
      for (const id of ids) expect(clients).toContain(`id,${id},tenant,shop`)
      expect(String(await operator.call('PROXY', 'SHOW', 'TENANTS'))).toMatch(/tenant,shop,.*?clients,2,/)
    }
    const clients = (await json('/api/v1/clients')) as { id: number }[]
    expect(clients.map(({ id }) => id)).toEqual(expect.arrayContaining(ids))
    expect(await json('/api/v1/status')).toMatchObject({
      clients: 4,
      region: 'eu',
      draining: false,
      workers: [
        { index: 0, ready: true },
        { index: 1, ready: true },
      ],
    })
    expect(await json('/api/v1/regions')).toMatchObject([{ region: 'eu', nodes: [{ up: true, role: 'primary' }] }])
    expect(await json('/api/v1/explain?user=app&command=GET%20k')).toMatchObject({ command: 'get' })
    for (const [i, operator] of ops.entries()) expect(await operator.call('PROXY', 'KILL', ids[1 - i]!)).toBe('OK')
    await Promise.all(apps.map((client) => client.untilClosed()))
    expect(await ops[0]!.call('PROXY', 'KILL', 999_999)).toBeInstanceOf(ErrorReply)
    closeAll(...ops)
  })

  test('ask by the command line as ever', async () => {
    const regis = async (...args: string[]): Promise<string> => {
      const all = [path.join(projectRoot, 'bin/regis'), ...args, '--url', `http://127.0.0.1:${proxy.adminPort}`]
      return (await promisify(execFile)(process.execPath, all)).stdout
    }
    const apps = await clientAtEach(proxy, count, 'app')
    for (const client of apps) await client.call('GET', 'k')
    const { status, tenants, regions } = JSON.parse(await regis('status', '--json')) as Record<string, unknown>
    expect(status).toMatchObject({ region: 'eu', workers: [{}, {}] })
    expect(tenants).toEqual(expect.arrayContaining([expect.objectContaining({ tenant: 'shop', clients: 2 })]))
    expect(regions).toMatchObject([{ region: 'eu', nodes: [{ up: true }] }])
    expect(await regis('explain', '--user', 'app', 'GET k')).toContain('eu')
    closeAll(...apps)
  })

  test('pause a tenant at all workers, at one that is started meanwhile too, and have it go on', async () => {
    const [a, b] = (await clientAtEach(proxy, count, 'sleeper')) as [RawClient, RawClient]
    const [ops, spare] = (await clientAtEach(proxy, count, 'ops')) as [RawClient, RawClient]
    spare.close()
    expect(await ops.call('PROXY', 'PAUSE', 'still', 60_000)).toEqual([
      'answered',
      0,
      'blocked',
      0,
      'waited_ms',
      expect.any(Number),
    ])
    expect(await ops.call('PROXY', 'PAUSE', 'nobody')).toBeInstanceOf(ErrorReply)
    const answers = [a.call('INCR', 'n'), b.call('INCR', 'n')]
    const waiting = async (): Promise<number> => (await metric(proxy)).sum('regis_paused_clients')
    await waitFor(async () => (await waiting()) === 2)
    expect((await metric(proxy)).sum('regis_paused_tenants')).toBe(1)

    const before = workerPids(proxy)[1]!
    process.kill(before, 'SIGKILL')
    await answers[1]!.catch(() => {})
    const again = await newAt(1, 'sleeper', before)
    const late = again.call('INCR', 'n')
    await waitFor(async () => (await waiting()) === 2)
    expect(await ops.call('PROXY', 'RESUME', 'still')).toBe(2)
    expect((await Promise.all([answers[0], late])).sort()).toEqual([1, 2])
    expect(await ops.call('PROXY', 'RESUME', 'still')).toBeInstanceOf(ErrorReply)
    expect(await json('/-/pause?tenant=still&ms=5000', 'POST')).toMatchObject({ paused: 'still' })
    expect(await json('/-/resume?tenant=still', 'POST')).toEqual({ resumed: 0 })
    closeAll(a, again, ops)
  }, 30_000)

  test('find in one page what all workers have counted, and no counter goes back when one dies', async () => {
    const [a, b] = (await clientAtEach(proxy, count, 'writer')) as [RawClient, RawClient]
    const labels = { tenant: 'blog', kind: 'write', outcome: 'ok' }
    const writes = async (): Promise<number> => (await metric(proxy)).sum('regis_commands_total', labels)
    const before = await writes()
    for (let i = 0; i < 30; i++) await a.call('SET', 'k', i)
    for (let i = 0; i < 12; i++) await b.call('SET', 'k', i)
    expect((await writes()) - before).toBe(42)
    const page = await metric(proxy)
    expect(page.sum('regis_client_connections', { tenant: 'blog' })).toBe(2)
    expect(page.sum('regis_workers', { state: 'answered' })).toBe(count)
    expect(page.sum('regis_build_info')).toBe(1)
    expect(page.sum('regis_event_loop_utilization_ratio', { worker: '1' })).toBeGreaterThan(0)
    const durations = page.sum('regis_command_duration_seconds_count', { kind: 'write' })

    const pid = workerPids(proxy)[1]!
    process.kill(pid, 'SIGKILL')
    await b.untilClosed()
    let least = Number.POSITIVE_INFINITY
    const seen: number[] = []
    await waitFor(async () => {
      const now = await metric(proxy)
      seen.push(now.sum('regis_workers', { state: 'answered' }))
      least = Math.min(least, now.sum('regis_commands_total', labels) - before)
      expect(now.sum('regis_command_duration_seconds_count', { kind: 'write' })).toBeGreaterThanOrEqual(durations)
      return workerPids(proxy)[1] !== pid && seen.at(-1) === count
    }, 20_000)
    expect(least).toBe(42)
    expect(seen).toContain(1)
    const again = await newAt(1, 'writer', pid)
    for (let i = 0; i < 3; i++) await again.call('SET', 'k', i)
    expect((await writes()) - before).toBe(45)
    closeAll(a, again)
  }, 30_000)
})

/** A client at this worker, once another process than that has taken its place. */
async function newAt(worker: number, user: string, pid: number): Promise<RawClient> {
  await waitFor(() => workerPids(proxy)[worker] !== pid, 20_000)
  const clients = await clientAtEach(proxy, count, user)
  for (const [i, client] of clients.entries()) if (i !== worker) client.close()
  return clients[worker]!
}
