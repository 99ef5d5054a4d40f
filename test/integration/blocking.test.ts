/** Blocking commands on real servers: what is popped, who goes first, what leaving and losing do, and how many may wait. */
import type { RedisServer } from '../../src/demo/redis-server.ts'
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

test('three hundred waiting clients are served in the order in which they came, each once', async () => {
  const waiters = []
  for (let i = 0; i < 300; i++) {
    const client = await proxy.client('shop-app')
    client.send(command('BLPOP', 'many', '0'))
    waiters.push(client)
    if (i % 50 === 49) await waitFor(async () => (await blocked(redis)) === i + 1)
  }
  await waitFor(async () => (await blocked(redis)) === 300)
  // Others' ordinary commands go on meanwhile.
  const app = await proxy.client('shop-app')
  expect(await app.call('PING')).toBe('PONG')
  for (let i = 0; i < 300; i += 100)
    await app.call('RPUSH', 'many', ...Array.from({ length: 100 }, (_, k) => String(i + k)))
  const got = await Promise.all(waiters.map((client) => client.read()))
  expect(new Set(got.map((reply) => (reply as string[])[1])).size).toBe(300)
  for (const client of waiters) client.close()
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
