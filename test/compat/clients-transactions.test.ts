/** Transactions of ioredis and node-redis, straight to Redis and through Regis: the same values, the same errors. */
import type { Redis } from 'ioredis'
import { type Case, expectTheSame, type NodeRedis, onOneSide, type Side } from './clients.ts'
import { settle, settleAll, wordsOf } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

/** What EXEC gave in ioredis: pairs of error and value; an error of the whole has those of its commands beside it. */
async function executed(promise: Promise<[Error | null, unknown][] | null>): Promise<unknown> {
  try {
    return (await promise)?.map(([error, value]) => [wordsOf(error), value]) ?? null
  } catch (error) {
    return [wordsOf(error), wordsOf((error as { previousErrors?: unknown }).previousErrors)]
  }
}

/** The same in node-redis: replies with errors among them. */
async function executedTyped(promise: Promise<unknown>): Promise<unknown> {
  try {
    return wordsOf(await promise)
  } catch (error) {
    return [wordsOf(error), wordsOf((error as { replies?: unknown }).replies)]
  }
}

const ioredisCases: Readonly<Record<string, (client: Redis, side: Side) => Promise<unknown>>> = {
  'a chain, with an error in its middle': async (client) => [
    await executed(client.multi().set('k', 'v').incr('k').get('k').hset('h', 'f', 1).hgetall('h').exec()),
    await client.get('k'),
  ],
  'replies that hold names, and replies of every shape': async (client) => [
    await executed(
      client
        .multi()
        .rpush('l', 1, 2, 3)
        .lmpop(2, 'none', 'l', 'LEFT')
        .xadd('s', '1-1', 'f', 'v')
        .xread('STREAMS', 's', 'none', '0', '0')
        .xgroup('CREATE', 's', 'g', '0')
        .xreadgroup('GROUP', 'g', 'c', 'STREAMS', 's', '>')
        .xreadgroup('GROUP', 'none', 'c', 'STREAMS', 's', '>')
        .zadd('z', 1.5, 'm')
        .zrange('z', 0, '-1', 'WITHSCORES')
        .zmpop(1, 'z', 'MIN')
        .zscore('z', 'm')
        .blpop('l', 'none', 0)
        .blpop('none', 0)
        .bzpopmin('none', 0)
        .sort('l')
        .get('none')
        .mget('none', 'l')
        .exec(),
    ),
  ],
  'command by command, without the pipeline': async (client) => [
    await client.multi({ pipeline: false }),
    await client.set('k', 'v'),
    await client.get('k'),
    await settle(client.lpush('k', 'x')),
    await executed(client.exec()),
    await client.multi({ pipeline: false }),
    await client.set('k', 'other'),
    await client.discard(),
    await client.get('k'),
  ],
  'a command that cannot be queued aborts it': async (client) => [
    await executed(client.multi().set('k', 'v').call('NOPE', 'a').get('k').exec()),
    await executed(client.multi().set('k', 'v').call('GET').exec()),
    await executed(client.multi().call('OBJECT', 'NOPE').exec()),
    await client.exists('k'),
    await executed(client.multi().set('k', 'v').exec()),
  ],
  'an empty one, one of the connection’s own commands': async (client) => [
    await executed(client.multi().exec()),
    await executed(client.multi().ping().echo('x').select(0).client('GETNAME').time().exec()).then((replies) =>
      (replies as [unknown, unknown][]).slice(0, 4),
    ),
  ],
  'out of order': async (client) =>
    settleAll([
      client.call('EXEC'),
      client.call('DISCARD'),
      client.call('UNWATCH'),
      client.call('MULTI'),
      client.call('MULTI'),
      client.call('WATCH', 'k'),
      client.call('GET', 'k'),
      client.call('UNWATCH'),
      client.call('EXEC'),
      client.call('MULTI', 'x'),
      client.call('EXEC', 'x'),
      client.call('MULTI'),
      client.call('EXEC', 'x'),
      client.call('EXEC'),
      client.call('GET', 'k'),
    ]),
  'WATCH: nobody came between': async (client) => [
    await client.watch('k', 'other'),
    await client.get('k'),
    await executed(client.multi().set('k', 1).exec()),
    await client.get('k'),
  ],
  'WATCH: somebody did, by a change, a new key, a deletion, an end of life': async (client, side) => {
    const other = await side.ioredis()
    const seen: unknown[] = []
    await client.set('gone', 1)
    for (const change of [
      () => other.set('k', 'other'),
      () => other.set('new', 'other'),
      () => other.del('gone'),
      () => other.rename('k', 'gone'),
      () => other.pexpire('new', 0),
      () => client.set('k', 'own'),
    ]) {
      await client.watch('k', 'new', 'gone')
      await change()
      seen.push(await executed(client.multi().set('k', 'mine').exec()), await client.get('k'))
    }
    return seen
  },
  'WATCH: another key, UNWATCH, DISCARD and EXEC forget': async (client, side) => {
    const other = await side.ioredis()
    const seen: unknown[] = []
    const attempt = async () => {
      await other.incr('k')
      seen.push(await executed(client.multi().set('mine', 1).exec()))
    }
    await client.watch('unrelated')
    await attempt()
    await client.watch('k')
    await client.unwatch()
    await attempt()
    await client.watch('k')
    await client.multi({ pipeline: false })
    await client.discard()
    await attempt()
    await client.watch('k')
    await attempt()
    await attempt()
    return seen
  },
  'a thousand commands and a megabyte': async (client) => {
    const chain = client.multi()
    for (let i = 0; i < 1000; i++) chain.set(`k${i}`, i).get(`k${i % 7}`)
    chain
      .set('big', Buffer.alloc(1024 * 1024, 'x'))
      .getBuffer('big')
      .strlen('big')
    const replies = (await chain.exec())!.map(([error, value]) => [wordsOf(error), value])
    const [, big] = replies.at(-2)!
    return [replies.slice(0, -2), Buffer.isBuffer(big) && big.length, replies.at(-1)]
  },
  'in one pipeline with commands before and behind': async (client) => [
    await executed(
      client
        .pipeline([
          ['set', 'k', '1'],
          ['multi'],
          ['incr', 'k'],
          ['get', 'k'],
          ['exec'],
          ['incr', 'k'],
          ['multi'],
          ['incr', 'k'],
          ['discard'],
          ['get', 'k'],
        ])
        .exec(),
    ),
  ],
}

const ioredisVariants = {
  'as it comes (RESP3)': {},
  'protocol 2': { protocol: 2 },
  'replies as RESP3 has them': { replyMapping: 'resp3' },
  'a key prefix of its own': { keyPrefix: 'app:' },
} as const

describe.each(Object.entries(ioredisVariants))('ioredis, %s', (_, options) => {
  test.each(Object.entries(ioredisCases))('%s', async (_name, run) => {
    await expectTheSame(stage, async (side) => run(await side.ioredis(options), side))
  })
})

const nodeRedisCases: Readonly<Record<string, (client: NodeRedis, side: Side) => Promise<unknown>>> = {
  'a chain, with an error in its middle': async (client) => [
    await executedTyped(client.multi().set('k', 'v').incr('k').get('k').hSet('h', 'f', 1).hGetAll('h').exec()),
    await client.get('k'),
  ],
  'replies that hold names, and replies of every shape': async (client) => [
    await executedTyped(
      client
        .multi()
        .rPush('l', ['1', '2', '3'])
        .lmPop(['none', 'l'], 'LEFT')
        .xAdd('s', '1-1', { f: 'v' })
        .xRead([
          { key: 's', id: '0' },
          { key: 'none', id: '0' },
        ])
        .xGroupCreate('s', 'g', '0')
        .xReadGroup('g', 'c', { key: 's', id: '>' })
        .zAdd('z', { score: 1.5, value: 'm' })
        .zRangeWithScores('z', 0, -1)
        .zmPop('z', 'MIN')
        .zScore('z', 'm')
        .blPop(['l', 'none'], 0)
        .bzPopMin('none', 0)
        .get('none')
        .mGet(['none', 'l'])
        .exec(),
    ),
  ],
  'a command that cannot be queued aborts it': async (client) => [
    await executedTyped(client.multi().set('k', 'v').addCommand(['NOPE', 'a']).get('k').exec()),
    await executedTyped(client.multi().set('k', 'v').addCommand(['GET']).exec()),
    await client.exists('k'),
    await executedTyped(client.multi().set('k', 'v').exec()),
  ],
  'WATCH: nobody came between, then somebody': async (client, side) => {
    const other = await side.nodeRedis()
    const seen: unknown[] = []
    await client.watch('k')
    seen.push(await executedTyped(client.multi().set('k', '1').exec()))
    await client.watch(['k', 'l'])
    await other.rPush('l', 'x')
    seen.push(await executedTyped(client.multi().set('k', '2').exec()), await client.get('k'))
    await client.watch('k')
    await other.set('k', 'x')
    await client.unwatch()
    seen.push(await executedTyped(client.multi().set('k', '3').exec()), await client.get('k'))
    return seen
  },
  'an empty one, one as a pipeline': async (client) => [
    await executedTyped(client.multi().exec()),
    await executedTyped(client.multi().set('k', '1').incr('k').execAsPipeline()),
  ],
  'two at once, and calls between': async (client) =>
    Promise.all([
      executedTyped(client.multi().incr('n').incr('n').exec()),
      client.incr('n'),
      executedTyped(client.multi().incr('n').get('n').exec()),
      client.get('n'),
    ]),
}

describe.each([
  ['as it comes', {}],
  ['RESP 2', { RESP: 2 }],
  ['RESP 3', { RESP: 3 }],
] as const)('node-redis, %s', (_, options) => {
  test.each(Object.entries(nodeRedisCases))('%s', async (_name, run) => {
    await expectTheSame(stage, async (side) => run(await side.nodeRedis(options), side))
  })
})

/** Increments by WATCH, GET, MULTI, SET, EXEC until it succeeds: lost updates would show in the sum. */
const contention: Case = async (side) => {
  const clients = await Promise.all(Array.from({ length: 8 }, () => side.ioredis()))
  let lost = 0
  await Promise.all(
    clients.map(async (client) => {
      for (let done = 0; done < 25; ) {
        await client.watch('n')
        const value = Number(await client.get('n'))
        if (
          (await client
            .multi()
            .set('n', value + 1)
            .exec()) === null
        )
          lost++
        else done++
      }
    }),
  )
  return [await clients[0]!.get('n'), lost > 0]
}

test('eight clients that increment by WATCH lose no update, and some of them had to try again', async () => {
  expect(await onOneSide(stage, true, contention)).toEqual(['200', true])
})

test('a client that leaves in the middle of its transaction leaves nothing behind', async () => {
  await expectTheSame(stage, async (side) => {
    const [leaving, other] = [await side.ioredis(), await side.ioredis()]
    await leaving.watch('k')
    await leaving.multi({ pipeline: false })
    await leaving.set('k', 'half')
    leaving.disconnect()
    const next = await side.ioredis()
    return [await other.exists('k'), await executed(next.multi().set('k', 'whole').get('k').exec())]
  })
})

test('an EXEC before the login says both, as Redis does', async () => {
  const client = await stage.proxy.client()
  const words = 'EXECABORT Transaction discarded because of: NOAUTH Authentication required.'
  expect(await client.callRaw('EXEC')).toBe(`-${words}\r\n`)
  expect(await client.callRaw('MULTI')).toBe('-NOAUTH Authentication required.\r\n')
})
