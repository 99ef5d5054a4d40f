/** The keyspace as a whole, and the server as its clients see it, with ioredis and node-redis: straight and through Regis. */
import { startRedis } from '../kit/servers.ts'
import { type Case, expectTheSame, onBothSides, onOneSide } from './clients.ts'
import { settleAll } from './library.ts'
import { password, type Stage, startStage, user } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
/** Others' keys lie between the tenant's on the server: a walk must not show, count or touch them. */
const foreigners = async () => {
  const pairs = Array.from({ length: 100 }, (_, i) => [`analytics:foreign:${i}`, 'x'])
  await stage.redis.call('MSET', ...pairs.flat())
}

const variants = [
  ['as it comes (RESP3)', {}],
  ['protocol 2', { protocol: 2 }],
] as const

describe.each(variants)('ioredis, %s', (_, options) => {
  test('KEYS, SCAN in every form, DBSIZE, RANDOMKEY', () =>
    expectTheSame(stage, async (side) => {
      const client = await side.ioredis(options)
      const seen: unknown[] = [await client.dbsize(), await client.keys('*'), await client.randomkey()]
      for (let i = 0; i < 250; i++) await client.set(`k:${i}`, i)
      await client.mset('[a]', 1, 'a*b', 2, 'shop:x', 3)
      await client.hset('h', 'f', 'v')
      await client.rpush('l', 1)
      // On the straight side nobody else is there: the tenant must not notice the difference.
      if (side.isThrough) await foreigners()
      const scanned = async (stream: AsyncIterable<string[]>) => {
        const names: string[] = []
        for await (const page of stream) names.push(...page)
        return [...new Set(names)].sort()
      }
      seen.push(
        await client.dbsize(),
        (await client.keys('*')).sort(),
        (await client.keys('k:1?')).sort(),
        await client.keys('\\[a\\]'),
        await client.keys('a\\*b'),
        await client.keys('none*'),
        (await client.keys('[ak]*')).sort(),
        await scanned(client.scanStream()),
        await scanned(client.scanStream({ match: 'k:2*', count: 7 })),
        await scanned(client.scanStream({ type: 'hash' })),
        await scanned(client.scanStream({ match: '*:*', type: 'string', count: 1000 })),
        (await client.randomkey())!.length > 0,
      )
      return seen
    }))

  test('the errors of SCAN and KEYS', () =>
    expectTheSame(stage, async (side) => {
      const client = await side.ioredis(options)
      return settleAll([
        client.call('SCAN'),
        client.call('SCAN', 'x'),
        client.call('SCAN', '0', 'COUNT', 'x'),
        client.call('SCAN', '0', 'COUNT', '0'),
        client.call('SCAN', '0', 'NOPE', '1'),
        client.call('SCAN', '0', 'MATCH'),
        client.call('SCAN', '0', 'TYPE', 'nope'),
        client.call('KEYS'),
        client.call('DBSIZE', 'x'),
        client.call('RANDOMKEY', 'x'),
        client.call('FLUSHDB', 'NOPE'),
        client.call('FLUSHALL', 'SYNC', 'x'),
      ])
    }))

  test('FLUSHDB and FLUSHALL empty the tenant, and nobody else', () =>
    expectTheSame(stage, async (side) => {
      const client = await side.ioredis(options)
      const fill = async () => {
        for (let i = 0; i < 100; i++) await client.set(`k:${i}`, i)
      }
      const seen: unknown[] = []
      for (const argv of [['FLUSHDB'], ['FLUSHALL'], ['FLUSHDB', 'ASYNC'], ['FLUSHALL', 'SYNC']]) {
        await fill()
        if (side.isThrough) await foreigners()
        seen.push(await client.call(argv[0]!, ...argv.slice(1)), await client.dbsize(), await client.exists('k:1'))
        if (side.isThrough) expect(await stage.redis.call('EXISTS', 'analytics:foreign:99')).toBe(1)
      }
      return seen
    }))

  test('CLIENT LIST shows the tenant’s connections, and CLIENT KILL ends one', () =>
    expectTheSame(stage, async (side) => {
      const [client, other] = [
        await side.ioredis({ ...options, connectionName: 'one' }),
        await side.ioredis({ ...options, connectionName: 'two', retryStrategy: () => null }),
      ]
      const names = async () =>
        [...String(await client.client('LIST')).matchAll(/ name=(one|two) /g)].map(([, name]) => name!).sort()
      const before = await names()
      const ended = new Promise((resolve) => other.once('end', () => resolve('ended')))
      const killed = await client.call('CLIENT', 'KILL', 'ID', String(await other.client('ID')))
      return [before, killed, await ended, await names(), await client.ping()]
    }))
})

test('node-redis: its scan iterator, KEYS, DBSIZE, FLUSHDB', () =>
  expectTheSame(stage, async (side) => {
    const client = await side.nodeRedis()
    for (let i = 0; i < 300; i++) await client.set(`k:${i}`, 'v')
    if (side.isThrough) await foreigners()
    const names: string[] = []
    for await (const page of client.scanIterator({ MATCH: 'k:*', COUNT: 50 })) names.push(...page)
    const seen = [[...new Set(names)].sort(), (await client.keys('k:1*')).sort(), await client.dbSize()]
    return [...seen, await client.flushDb(), await client.dbSize(), await client.randomKey()]
  }))

test('MONITOR of ioredis shows the tenant’s own commands, as the client sent them', async () => {
  const watch: Case = async (side) => {
    const client = await side.ioredis()
    const monitor = await client.monitor()
    const seen: string[][] = []
    const done = new Promise<void>((resolve) => {
      monitor.on('monitor', (_time: string, argv: string[]) => {
        seen.push(argv)
        if (argv[0]?.toLowerCase() === 'echo') resolve()
      })
    })
    if (side.isThrough) await (await stage.proxy.client('analytics-app')).call('SET', 'theirs', 'x')
    await client.set('k', 'v"\\\r\n')
    await client.lrange('none', 0, '-1')
    await settleAll([client.call('LPUSH', 'k', 'x'), client.call('ECHO', 'end')])
    await done
    monitor.disconnect()
    return [...seen] // what it hears later is no part of the case
  }
  // Straight, a monitor hears what the proxy asks the server as well, and ioredis stumbles over a line that comes together
  // with the OK: there the server is one that no proxy stands in front of.
  const alone = await startRedis()
  await alone.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '&*', '+@all')
  expect(await onOneSide(stage, true, watch)).toEqual(await onOneSide({ ...stage, redis: alone }, false, watch))
})

test('INFO has the fields that clients wait for, in Redis’s words', async () => {
  const fields = (text: unknown) =>
    new Map([...String(text).matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!] as const))
  const { straight, through } = await onBothSides(stage, async (side) => {
    const client = await side.ioredis()
    await client.mset('a', 1, 'b', 2)
    await client.expire('a', 100)
    return [String(await client.info()), String(await client.info('keyspace'))]
  })
  const [[all, keyspace], [own, ownKeyspace]] = [straight as string[], through as string[]]
  for (const name of ['redis_version', 'redis_mode', 'loading', 'role', 'maxmemory_policy']) {
    expect([name, fields(own).get(name)]).toEqual([name, fields(all).get(name)])
  }
  const keys = /^db0:keys=2,expires=\d,/m // how many of them expire is not known without asking for each
  expect(keyspace).toMatch(keys)
  expect(ownKeyspace).toMatch(keys)
})

test('blocked_clients counts the tenant’s own', async () => {
  const seen = await onOneSide(stage, true, async (side) => {
    const [client, blocked] = [await side.ioredis(), await side.ioredis()]
    const waiting = blocked.blpop('l', 0)
    for (;;) {
      if (/^blocked_clients:1\r?$/m.test(await client.info('clients'))) break
    }
    const unblocked = await client.call('CLIENT', 'UNBLOCK', String(await side.ioredis().then((c) => c.client('ID'))))
    return [unblocked, await client.rpush('l', 'x'), await waiting]
  })
  expect(seen).toEqual([0, 1, ['l', 'x']])
})
