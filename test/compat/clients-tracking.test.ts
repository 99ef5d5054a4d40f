/** Client-side caching: node-redis's own cache, and what ioredis says to the server for one; straight and through Regis. */
import { BasicClientSideCache } from '@redis/client'
import { expectTheSame, onOneSide } from './clients.ts'
import { settleAll } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

/** A node-redis client with a cache, and a promise of the next invalidation: the name, or null for all. */
function newCache() {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 100 })
  const invalidated = (count = 1) =>
    new Promise<string[]>((resolve, reject) => {
      const seen: string[] = []
      const timer = setTimeout(() => reject(new Error(`invalidated: ${JSON.stringify(seen)}`)), 5000)
      const hear = (key: unknown) => {
        seen.push(key === null ? 'all' : String(key))
        if (seen.length < count) return
        clearTimeout(timer)
        cache.off('invalidate', hear)
        resolve(seen.sort())
      }
      cache.on('invalidate', hear)
    })
  const counts = () => {
    const { hitCount, missCount } = cache.stats()
    return [hitCount, missCount]
  }
  return { cache, invalidated, counts }
}

test('node-redis: what is cached is read once, and again after somebody changed it', () =>
  expectTheSame(stage, async (side) => {
    const { cache, invalidated, counts } = newCache()
    const client = await side.nodeRedis({ RESP: 3, clientSideCache: cache })
    const other = await side.nodeRedis()
    await other.set('k', '1')
    const seen: unknown[] = [await client.get('k'), await client.get('k'), await client.get('none'), counts()]
    for (const change of [
      () => other.set('k', '2'),
      () => other.incr('k'),
      () => other.del('k'),
      () => other.set('none', 'now'),
      // Not RENAME: it sends two invalidations, and which of them a read comes behind is chance, straight on Redis too.
      () => other.multi().set('k', 'in a transaction').exec(),
    ]) {
      const said = invalidated()
      await change()
      seen.push(await said, await client.get('k'), await client.get('none'), await client.get('k'), counts())
    }
    return seen
  }))

test('node-redis: many names at once, collections, and its own writes', () =>
  expectTheSame(stage, async (side) => {
    const { cache, invalidated, counts } = newCache()
    const client = await side.nodeRedis({ RESP: 3, clientSideCache: cache })
    const other = await side.nodeRedis()
    await other.mSet({ a: '1', b: '2', c: '3' })
    await other.hSet('h', { f: '1' })
    const read = async () => [
      await client.mGet(['a', 'b', 'c']),
      await client.hGetAll('h'),
      await client.get('a'),
      await client.zRange('z', 0, -1),
    ]
    const seen: unknown[] = [await read(), await read(), counts()]
    const said = invalidated(3)
    await other.mSet({ a: '10', c: '30' })
    await other.hSet('h', 'f', '2')
    seen.push(await said, await read(), counts())
    const own = invalidated()
    await client.zAdd('z', { score: 1, value: 'm' })
    seen.push(await own, await read(), counts())
    return seen
  }))

test('node-redis: another tenant’s change of the same name is not heard', async () => {
  const seen = await onOneSide(stage, true, async (side) => {
    const { cache, invalidated, counts } = newCache()
    const client = await side.nodeRedis({ RESP: 3, clientSideCache: cache })
    const other = await stage.proxy.client('analytics-app')
    await client.get('k')
    const said = invalidated()
    await other.call('SET', 'k', 'theirs')
    await (await side.nodeRedis()).set('k', 'ours')
    return [await said, await client.get('k'), counts()]
  })
  expect(seen).toEqual([['k'], 'ours', [0, 2]])
})

test.each([
  ['as it comes (RESP3)', {}],
  ['protocol 2', { protocol: 2 }],
] as const)('ioredis, %s: CLIENT TRACKING in every mode says what Redis says', async (_, options) => {
  await expectTheSame(stage, async (side) => {
    const client = await side.ioredis(options)
    const seen: unknown[] = []
    for (const line of [
      ['ON', 'BCAST'],
      ['OFF'],
      ['ON', 'BCAST', 'PREFIX', 'a:', 'PREFIX', 'b:'],
      ['ON', 'BCAST', 'PREFIX', 'a:b'],
      ['ON', 'BCAST', 'PREFIX', 'b:'],
      ['ON', 'BCAST'],
      ['ON', 'BCAST', 'NOLOOP'],
      ['ON', 'BCAST', 'OPTIN'],
      ['ON', 'BCAST', 'PREFIX', 'c:'],
      ['ON', 'BCAST', 'PREFIX', ''],
      ['ON', 'OPTIN'],
      ['OFF'],
      ['ON', 'OPTIN', 'OPTOUT'],
      ['ON', 'PREFIX', 'a'],
      ['ON', 'BCAST', 'OPTIN'],
      ['ON', 'BCAST', 'PREFIX', 'a', 'PREFIX', 'ab'],
      ['ON', 'REDIRECT', '987654321'],
      ['ON', 'OPTOUT', 'NOLOOP'],
      ['NOPE'],
      ['ON', 'NOPE'],
      ['OFF'],
    ]) {
      seen.push(await settleAll([client.call('CLIENT', 'TRACKING', ...line), client.call('CLIENT', 'TRACKINGINFO')]))
      seen.push(await settleAll([client.call('CLIENT', 'CACHING', 'YES'), client.call('CLIENT', 'GETREDIR')]))
    }
    return seen
  })
})
