/** Commands that wait, of ioredis and node-redis, straight to Redis and through Regis: the same values, in the same order. */
import type { Redis } from 'ioredis'
import { type Case, expectTheSame, type NodeRedis, type Side, untilBlocked } from './clients.ts'
import { settle, settleAll } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

/** A call that blocks, and what another client does when it does: the reply of each. */
async function met<Client>(
  blocked: () => Promise<unknown>,
  other: Client,
  act: (client: Client) => Promise<unknown>,
): Promise<unknown[]> {
  const waiting = settle(blocked())
  await untilBlocked(stage, 1)
  return [await act(other), await waiting]
}

const ioredisCases: Readonly<Record<string, (client: Redis, side: Side) => Promise<unknown>>> = {
  'there is something already': async (client) => [
    await client.rpush('l', 1, 2, 3),
    await client.blpop('none', 'l', 1),
    await client.brpop('l', 1),
    await client.brpoplpush('l', 'm', 1),
    await client.blmove('m', 'l', 'LEFT', 'RIGHT', 1),
    await client.blmpop(1, 2, 'none', 'l', 'LEFT'),
    await client.zadd('z', 1, 'a', 2, 'b', 3, 'c'),
    await client.bzpopmin('none', 'z', 1),
    await client.bzpopmax('z', 1),
    await client.bzmpop(1, 1, 'z', 'MIN'),
    await client.xadd('s', '1-1', 'f', 'v'),
    await client.xread('BLOCK', 100, 'STREAMS', 's', '0'),
    await client.xgroup('CREATE', 's', 'g', '0'),
    await client.xreadgroup('GROUP', 'g', 'c', 'BLOCK', 100, 'STREAMS', 's', '>'),
  ],
  'nothing comes': async (client) => [
    await client.blpop('none', 0.02),
    await client.brpoplpush('none', 'm', 0.02),
    await client.blmove('none', 'm', 'LEFT', 'LEFT', 0.02),
    await client.blmpop(0.02, 1, 'none', 'LEFT'),
    await client.bzpopmin('none', 0.02),
    await client.bzmpop(0.02, 1, 'none', 'MAX'),
    await client.xread('BLOCK', 20, 'STREAMS', 'none', '$'),
    await client.ping(),
  ],
  'something comes': async (client, side) => {
    const other = await side.ioredis()
    await client.xgroup('CREATE', 's', 'g', '$', 'MKSTREAM')
    return [
      await met(
        () => client.blpop('a', 'l', 0),
        other,
        (o) => o.rpush('l', 'x', 'y'),
      ),
      await met(
        () => client.brpop('a', 'b', 0),
        other,
        (o) => o.lpush('b', 'x'),
      ),
      await met(
        () => client.brpoplpush('a', 'm', 0),
        other,
        (o) => o.rpush('a', 'x'),
      ),
      await met(
        () => client.blmove('a', 'm', 'LEFT', 'LEFT', 0),
        other,
        (o) => o.rpush('a', 'y'),
      ),
      await met(
        () => client.blmpop(0, 2, 'a', 'b', 'LEFT', 'COUNT', 5),
        other,
        (o) => o.rpush('b', 'x', 'y'),
      ),
      await met(
        () => client.bzpopmin('a', 'z', 0),
        other,
        (o) => o.zadd('z', 1.5, 'm'),
      ),
      await met(
        () => client.bzpopmax('z', 0),
        other,
        (o) => o.zadd('z', 2, 'n'),
      ),
      await met(
        () => client.bzmpop(0, 1, 'z', 'MIN'),
        other,
        (o) => o.zadd('z', 2, 'n'),
      ),
      await met(
        () => client.xread('BLOCK', 0, 'STREAMS', 's', 't', '$', '$'),
        other,
        (o) => o.xadd('t', '1-1', 'f', 'v'),
      ),
      await met(
        () => client.xreadgroup('GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>'),
        other,
        (o) => o.xadd('s', '5-1', 'f', 'v'),
      ),
      await client.lrange('m', 0, '-1'),
      await client.lrange('l', 0, '-1'),
    ]
  },
  'it comes by a transaction, by RENAME, by LMOVE, by SORT STORE, and as another type': async (client, side) => {
    const other = await side.ioredis()
    return [
      await met(
        () => client.blpop('l', 0),
        other,
        (o) => o.multi().rpush('l', 1).del('l').rpush('l', 2).exec(),
      ),
      await met(
        () => client.blpop('l', 0),
        other,
        async (o) => [await o.rpush('m', 'x', 'y'), await o.rename('m', 'l')],
      ),
      await client.blpop('l', 1),
      await met(
        () => client.blpop('l', 0),
        other,
        async (o) => [await o.rpush('m', 'x'), await o.lmove('m', 'l', 'LEFT', 'LEFT')],
      ),
      await met(
        () => client.blpop('l', 0),
        other,
        async (o) => [await o.sadd('n', 2, 1), await o.sort('n', 'STORE', 'l')],
      ),
      await client.del('l'),
      await met(
        () => client.blpop('l', 0),
        other,
        async (o) => [await o.set('l', 'text'), await o.del('l'), await o.rpush('l', 'list')],
      ),
    ]
  },
  'what is behind it waits for it': async (client, side) => {
    const other = await side.ioredis()
    const behind = Promise.all([client.blpop('l', 0), client.get('k'), client.set('k', 2), client.get('k')])
    await untilBlocked(stage, 1)
    return [await other.set('k', 1), await other.rpush('l', 'x'), await behind]
  },
  'in a pipeline': async (client) => [
    await client
      .pipeline()
      .rpush('l', 1)
      .blpop('l', 1)
      .blpop('l', 0.02)
      .set('k', 'v')
      .bzpopmin('z', 0.02)
      .get('k')
      .exec(),
  ],
  errors: async (client) => {
    await client.set('k', 'v')
    return settleAll([
      client.blpop('k', 1),
      client.call('BLPOP', 'l', 'x'),
      client.call('BLPOP', 'l', '-1'),
      client.call('BLPOP', 'l'),
      client.call('BLPOP', 'l', '1e400'),
      client.call('BLMPOP', '1', '0', 'l', 'LEFT'),
      client.call('BLMPOP', '1', '1', 'l', 'UP'),
      client.call('BLMOVE', 'a', 'b', 'UP', 'LEFT', '1'),
      client.call('XREAD', 'BLOCK', '-1', 'STREAMS', 's', '0'),
      client.call('XREAD', 'BLOCK', 'x', 'STREAMS', 's', '0'),
      client.call('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '1', 'STREAMS', 's', '>'),
      client.call('WAIT', '0', 'x'),
      client.call('WAIT', '0', '-1'),
    ])
  },
  WAIT: async (client) => [await client.set('k', 'v'), await client.wait(0, 10), await client.wait(1, 20)],
}

describe.each([
  ['as it comes (RESP3)', {}],
  ['protocol 2', { protocol: 2 }],
  ['replies as RESP3 has them', { replyMapping: 'resp3' }],
  ['a key prefix of its own', { keyPrefix: 'app:' }],
] as const)('ioredis, %s', (_, options) => {
  test.each(Object.entries(ioredisCases))('%s', async (_name, run) => {
    await expectTheSame(stage, async (side) =>
      run(await side.ioredis(options), { ...side, ioredis: () => side.ioredis(options) }),
    )
  })
})

const nodeRedisCases: Readonly<Record<string, (client: NodeRedis, side: Side) => Promise<unknown>>> = {
  'there is something already, and nothing comes': async (client) => [
    await client.rPush('l', ['1', '2', '3']),
    await client.blPop(['none', 'l'], 1),
    await client.brPop('l', 1),
    await client.blMove('l', 'm', 'LEFT', 'RIGHT', 1),
    await client.blmPop(1, ['none', 'm'], 'LEFT'),
    await client.zAdd('z', { score: 1, value: 'a' }),
    await client.bzPopMin(['none', 'z'], 1),
    await client.blPop('none', 0.02),
    await client.bzPopMax('none', 0.02),
    await client.bzmPop(0.02, 'none', 'MIN'),
    await client.xRead({ key: 'none', id: '$' }, { BLOCK: 20 }),
  ],
  'something comes': async (client, side) => {
    const other = await side.nodeRedis()
    return [
      await met(
        () => client.blPop(['a', 'l'], 0),
        other,
        (o) => o.rPush('l', ['x', 'y']),
      ),
      await met(
        () => client.bzPopMin('z', 0),
        other,
        (o) => o.zAdd('z', { score: 1.5, value: 'm' }),
      ),
      await met(
        () => client.xRead({ key: 's', id: '$' }, { BLOCK: 0 }),
        other,
        (o) => o.xAdd('s', '1-1', { f: 'v' }),
      ),
    ]
  },
}

describe.each([
  ['RESP 2', { RESP: 2 }],
  ['RESP 3', { RESP: 3 }],
] as const)('node-redis, %s', (_, options) => {
  test.each(Object.entries(nodeRedisCases))('%s', async (_name, run) => {
    await expectTheSame(stage, async (side) => run(await side.nodeRedis(options), side))
  })
})

/** Workers that wait at one list, one after the other: who waits longest is served first. */
const queue: Case = async (side) => {
  const workers = await Promise.all(Array.from({ length: 10 }, () => side.ioredis()))
  const served: unknown[] = []
  const waiting: Promise<unknown>[] = []
  for (const [i, worker] of workers.entries()) {
    waiting.push(worker.blpop('queue', 0).then((reply) => served.push([i, reply])))
    await untilBlocked(stage, i + 1)
  }
  const boss = await side.ioredis()
  for (let i = 0; i < workers.length; i++) await boss.rpush('queue', `job ${i}`)
  await Promise.all(waiting)
  return [served.sort(), await boss.llen('queue')]
}

test('who waits longest is served first', () => expectTheSame(stage, queue))

test('a client that leaves while it waits takes nothing with it', () =>
  expectTheSame(stage, async (side) => {
    const [leaving, boss] = [await side.ioredis(), await side.ioredis()]
    const waiting = settle(leaving.blpop('queue', 0))
    await untilBlocked(stage, 1)
    leaving.disconnect()
    await untilBlocked(stage, 0)
    return [await waiting, await boss.rpush('queue', 'x'), await boss.lrange('queue', 0, '-1')]
  }))
