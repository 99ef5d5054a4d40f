/** rate-limiter-flexible 11 on ioredis and on node-redis: the same points, the same rejections as on Redis. */
import {
  BurstyRateLimiter,
  RateLimiterQueue,
  RateLimiterRedis,
  type RateLimiterRes,
  RateLimiterUnion,
} from 'rate-limiter-flexible'
import { expectTheSame, type Side } from './clients.ts'
import { settle } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage({ scripts: 'declared' })
})

type Options = Partial<ConstructorParameters<typeof RateLimiterRedis>[0]>

const libraries: Readonly<Record<string, (side: Side) => Promise<Options>>> = {
  ioredis: async (side) => ({ storeClient: await side.ioredis() }),
  'ioredis, protocol 2': async (side) => ({ storeClient: await side.ioredis({ protocol: 2 }) }),
  'node-redis': async (side) => ({ storeClient: await side.nodeRedis(), useRedisPackage: true }),
}

/** What a limiter said: points, and whether there is a time to wait; the milliseconds themselves are the clock's. */
async function said(promise: Promise<RateLimiterRes | null | boolean>): Promise<unknown> {
  const told = (result: RateLimiterRes | null | boolean) =>
    result === null || typeof result === 'boolean'
      ? result
      : [result.consumedPoints, result.remainingPoints, result.isFirstInDuration, Math.sign(result.msBeforeNext)]
  return promise.then(told, (rejection: unknown) =>
    rejection instanceof Error ? settle(Promise.reject(rejection)) : ['rejected', told(rejection as RateLimiterRes)],
  )
}

describe.each(Object.entries(libraries))('%s', (_, store) => {
  const limiter = async (side: Side, options: Options = {}) =>
    new RateLimiterRedis({ points: 3, duration: 100, keyPrefix: 'limit', ...(await store(side)), ...options } as never)

  test('points are consumed, and the fourth is rejected', () =>
    expectTheSame(stage, async (side) => {
      const one = await limiter(side)
      const seen: unknown[] = []
      for (let i = 0; i < 5; i++) seen.push(await said(one.consume('user')))
      seen.push(await said(one.consume('other', 2)), await said(one.consume('other', 2)), await said(one.get('user')))
      const client = await side.ioredis()
      return [
        ...seen,
        (await client.mget('limit:user', 'limit:other')).map(Number),
        (await client.ttl('limit:user')) > 0,
      ]
    }))

  test('penalty, reward, block, set, get, delete', () =>
    expectTheSame(stage, async (side) => {
      const one = await limiter(side)
      return [
        await said(one.get('user')),
        await said(one.penalty('user', 2)),
        await said(one.reward('user', 1)),
        await said(one.set('user', 3, 50)),
        await said(one.consume('user')),
        await said(one.delete('user')),
        await said(one.delete('user')),
        await said(one.block('user', 50)),
        await said(one.consume('user')),
        await said(one.set('forever', 1, 0)),
        await said(one.get('forever')),
      ]
    }))

  test('a user is blocked when the points are gone, in memory too', () =>
    expectTheSame(stage, async (side) => {
      const one = await limiter(side, { blockDuration: 500, inMemoryBlockOnConsumed: 5, inMemoryBlockDuration: 500 })
      const seen: unknown[] = []
      for (let i = 0; i < 7; i++) seen.push(await said(one.consume('user')))
      return [...seen, (await (await side.ioredis()).pttl('limit:user')) > 100_000]
    }))

  test('one thousand at once: exactly the points there are', () =>
    expectTheSame(stage, async (side) => {
      const limiters = await Promise.all([limiter(side, { points: 400 }), limiter(side, { points: 400 })])
      const results = await Promise.all(
        Array.from({ length: 1000 }, (_unused, i) =>
          limiters[i % 2]!.consume('all').then(
            () => 'ok',
            (rejection: unknown) => (rejection instanceof Error ? String(rejection) : 'rejected'),
          ),
        ),
      )
      return [
        results.filter((result) => result === 'ok').length,
        results.filter((result) => result === 'rejected').length,
      ]
    }))

  test('unions, bursts, and queues', () =>
    expectTheSame(stage, async (side) => {
      const union = new RateLimiterUnion(await limiter(side), await limiter(side, { points: 1, keyPrefix: 'strict' }))
      const unionSaid = async () =>
        union.consume('user').then(
          (results) => Object.keys(results).sort(),
          (rejected: object) => ['rejected', ...Object.keys(rejected).sort()],
        )
      const bursty = new BurstyRateLimiter(
        await limiter(side, { points: 1, keyPrefix: 'steady' }),
        await limiter(side, { points: 2, keyPrefix: 'burst' }),
      )
      const seen = [await unionSaid(), await unionSaid()]
      for (let i = 0; i < 4; i++)
        seen.push(
          await bursty.consume('user').then(
            () => ['ok'],
            () => ['rejected'],
          ),
        )
      const queue = new RateLimiterQueue(await limiter(side, { points: 10, duration: 1, keyPrefix: 'queue' }))
      const left = await Promise.all(Array.from({ length: 10 }, () => queue.removeTokens(1)))
      return [...seen, left]
    }))
})
