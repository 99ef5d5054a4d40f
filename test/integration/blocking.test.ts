/** Blocking commands on real servers: what is popped, who goes first, what leaving and losing do, and how many may wait. */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

let redis: RedisServer
let straight: RedisServer
let proxy: StartedProxy

const config = (port: number) => ({
  region: 'eu',
  primary: 'eu',
  regions: { eu: { nodes: [`redis://127.0.0.1:${port}`] } },
  tenants: {
    shop: { users: { 'shop-app': { password: 'demo' }, 'shop-reader': { password: 'demo', access: 'read-only' } } },
    rival: { users: { 'rival-app': { password: 'demo' } } },
  },
})

beforeAll(async () => {
  redis = await startRedis()
  straight = await startRedis()
  proxy = await startProxy(config(redis.port))
})

const blocked = async (server: RedisServer): Promise<number> =>
  Number(/blocked_clients:(\d+)/.exec(String(await server.call('INFO', 'clients')))?.[1])

/** The command that waits, and the one that ends its wait. */
const pairs: readonly (readonly [string, string])[] = [
  ['blpop l 0', 'rpush l 1 2'],
  ['blpop none l 0', 'rpush l 1 2'],
  ['brpop l 0', 'rpush l 1 2'],
  ['blmove l m left right 0', 'rpush l 1'],
  ['brpoplpush l m 0', 'rpush l 1'],
  ['blmpop 0 2 none l left count 2', 'rpush l 1 2 3'],
  ['bzpopmin z 0', 'zadd z 1 one 2.5 two'],
  ['bzpopmax none z 0', 'zadd z 1 one 2.5 two'],
  ['bzmpop 0 1 z min', 'zadd z 1 one'],
  ['xread block 0 streams s $', 'xadd s 5-1 f v'],
  ['xread count 1 block 0 streams none s $ $', 'xadd s 6-1 f v'],
]

describe.each([2, 3])('RESP%i', (version) => {
  test.each(pairs)('%s waits for %s, and gets the same reply as straight on Redis', async (waits, wakes) => {
    const run = async (server: RedisServer, port: number, login: boolean): Promise<string[]> => {
      await server.call('FLUSHALL')
      const open = async () => {
        const client = await rawClient(port)
        if (login) await client.call('AUTH', 'shop-app', 'demo')
        if (version === 3) await client.call('HELLO', '3')
        return client
      }
      const [waiter, waker] = [await open(), await open()]
      const before = await blocked(server)
      waiter.send(Buffer.concat([command(...waits.split(' ')), command('ECHO', 'behind')]))
      await waitFor(async () => (await blocked(server)) === before + 1)
      const woken = await waker.callRaw(...wakes.split(' '))
      return [woken, await waiter.readRaw(), await waiter.readRaw()]
    }
    expect(await run(redis, proxy.port, true)).toEqual(await run(straight, straight.port, false))
  })
})

test('a wait that ends by its time is answered with null, and what was sent behind it comes after it', async () => {
  const client = await proxy.client('shop-app')
  client.send(
    Buffer.concat([command('BLPOP', 'never', '0.2'), command('SET', 'a', '1'), command('GET', 'a'), command('PING')]),
  )
  expect([await client.readRaw(), await client.read(), await client.read(), await client.read()]).toEqual([
    '*-1\r\n',
    'OK',
    '1',
    'PONG',
  ])
})

test('a wait longer than the upstream timeout is no lost connection', async () => {
  const client = await proxy.client('shop-app')
  expect(await client.call('BLPOP', 'never', '3')).toBeNull()
})

test.each(['BLPOP l abc', 'BLPOP l -1', 'BLMPOP 0 0 l left', 'XREAD BLOCK x STREAMS s $', 'BLMOVE a b up right 0'])(
  '%s is refused as Redis does',
  async (text) => {
    const client = await proxy.client('shop-app')
    const direct = await rawClient(straight.port)
    expect(await client.callRaw(...text.split(' '))).toBe(await direct.callRaw(...text.split(' ')))
  },
)

test.each(['reset', 'end'] as const)(
  'an element pushed after its waiting client has left (%s) is not popped for nobody',
  async (how) => {
    const leaver = await proxy.client('shop-app')
    leaver.send(command('BLPOP', 'queue', '0'))
    const before = await blocked(redis)
    await waitFor(async () => (await blocked(redis)) >= before)
    await waitFor(async () => (await blocked(redis)) > 0)
    leaver[how]()
    await waitFor(async () => (await blocked(redis)) === 0)
    const other = await proxy.client('shop-app')
    expect(await other.call('RPUSH', 'queue', 'kept')).toBe(1)
    expect(await other.call('LPOP', 'queue')).toBe('kept')
  },
)

test('a read-only user cannot pop by waiting, and one tenant is not woken by another', async () => {
  const reader = await proxy.client('shop-reader')
  expect(String(((await reader.call('BLPOP', 'l', '0')) as ErrorReply).message)).toContain('NOPERM')
  const waiter = await proxy.client('shop-app')
  waiter.send(command('BLPOP', 'shared', '0'))
  await waitFor(async () => (await blocked(redis)) === 1)
  const rival = await proxy.client('rival-app')
  expect(await rival.call('RPUSH', 'shared', 'theirs')).toBe(1)
  expect(await rival.call('LPOP', 'shared')).toBe('theirs')
  expect(waiter.unread).toBe('')
  const app = await proxy.client('shop-app')
  await app.call('RPUSH', 'shared', 'ours')
  expect(await waiter.read()).toEqual(['shared', 'ours'])
})

test('a thousand waiting clients of one tenant are served in the order in which they came, each once, and cost a leased connection each', async () => {
  const count = 1_000
  const before = Number(/connected_clients:(\d+)/.exec(String(await redis.call('INFO', 'clients')))![1])
  const waiters: RawClient[] = []
  for (let i = 0; i < count; i += 50) {
    const fresh = await Promise.all(Array.from({ length: 50 }, () => proxy.client('shop-app')))
    for (const client of fresh) client.send(command('BLPOP', 'many', '0'))
    waiters.push(...fresh)
    await waitFor(async () => (await blocked(redis)) === waiters.length)
  }
  // One connection each and no more; others' ordinary commands go on meanwhile, over those that were there.
  const app = await proxy.client('shop-app')
  const rival = await proxy.client('rival-app')
  expect(await app.call('SET', 'k', 'v')).toBe('OK')
  expect(await rival.call('GET', 'k')).toBeNull()
  const connected = Number(/connected_clients:(\d+)/.exec(String(await redis.call('INFO', 'clients')))![1])
  expect(connected - before).toBeLessThanOrEqual(count)
  for (let i = 0; i < count; i += 100)
    await app.call('RPUSH', 'many', ...Array.from({ length: 100 }, (_, k) => String(i + k)))
  const got = await Promise.all(waiters.map(async (client) => Number(((await client.read()) as string[])[1])))
  expect([...got].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i))
  // Those of one batch of fifty came together; a later batch is served later.
  for (let i = 50; i < count; i++) expect(Math.floor(got[i]! / 50)).toBe(Math.floor(i / 50))
  for (const client of waiters) client.close()
})

test('a tenant whose clients hold all its leases is refused more, at once and not for ever; others are not', async () => {
  const own = await startRedis()
  const through = await startProxy({ ...config(own.port), limits: { leases_per_tenant: 3 } })
  const waiters = await Promise.all(Array.from({ length: 3 }, () => through.client('shop-app')))
  for (const [i, client] of waiters.entries()) {
    client.send(command('BLPOP', 'l', '0'))
    await waitFor(async () => (await blocked(own)) === i + 1)
  }
  const fourth = await through.client('shop-app')
  const refused = '-ERR max number of blocking clients reached for this tenant\r\n'
  expect(await fourth.callRaw('BLPOP', 'l', '0')).toBe(refused)
  expect(await fourth.callRaw('WATCH', 'k')).toBe(refused)
  // What needs no connection of its own goes on, a short transaction too.
  expect(await fourth.call('MULTI')).toBe('OK')
  expect(await fourth.call('SET', 'k', 'v')).toBe('QUEUED')
  expect(await fourth.call('EXEC')).toEqual(['OK'])
  const rival = await through.client('rival-app')
  rival.send(command('BLPOP', 'l', '0'))
  await waitFor(async () => (await blocked(own)) === 4)
  await fourth.call('RPUSH', 'l', 'x')
  expect(await waiters[0]!.read()).toEqual(['l', 'x'])
  fourth.send(command('BLPOP', 'l', '0'))
  await waitFor(async () => (await blocked(own)) === 4)
})

test('WAIT answers how many replicas have the writes of this client', async () => {
  const primary = await startRedis()
  const replica = await startRedis()
  await replica.replicaOf('127.0.0.1', primary.port)
  await replica.untilInSync()
  const through = await startProxy(config(primary.port))
  const client = await through.client('shop-app')
  await client.call('SET', 'a', '1')
  expect(await client.call('WAIT', '1', '5000')).toBe(1)
  expect(await client.call('WAIT', '2', '100')).toBe(1)
  await replica.kill('SIGSTOP')
  await client.call('SET', 'a', '2')
  expect(await client.call('WAIT', '1', '200')).toBe(0)
  await replica.kill('SIGCONT')
})

test('a server that dies ends the wait with an error; the client can wait anew when it is back', async () => {
  const own = await startRedis()
  const through = await startProxy(config(own.port))
  const client = await through.client('shop-app')
  client.send(command('BLPOP', 'l', '0'))
  await waitFor(async () => (await blocked(own)) === 1)
  await own.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  expect(String(((await client.read()) as ErrorReply).message)).toContain('UNCERTAIN')
  client.send(command('BLPOP', 'l', '0'))
  await waitFor(async () => (await blocked(own)) === 1)
  const app = await through.client('shop-app')
  await app.call('RPUSH', 'l', 'x')
  expect(await client.read()).toEqual(['l', 'x'])
})

test('a proxy that goes tells its blocked clients so, and pops nothing for them', async () => {
  const own = await startRedis()
  const through = await startProxy(config(own.port))
  const client = await through.client('shop-app')
  client.send(command('BLPOP', 'l', '0'))
  await waitFor(async () => (await blocked(own)) === 1)
  const isOver = through.proxy.stop()
  expect(String(((await client.read()) as ErrorReply).message)).toContain('UNBLOCKED force unblock')
  await client.untilClosed()
  await isOver
  await own.call('RPUSH', 'shop:l', 'kept')
  expect(await own.call('LLEN', 'shop:l')).toBe(1)
})
