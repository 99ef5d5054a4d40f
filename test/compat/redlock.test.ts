/** redlock 4 as it comes from the registry, on ioredis 6: locks are taken, kept, extended and given back as on Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import Redlock from 'redlock'
import { expectTheSame, type Side } from './clients.ts'
import { settle } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage({ scripts: 'declared' })
})

const impatient = { retryCount: 0 }
/** Sure to last longer than the test. */
const longMs = 60_000

const newLock = async (side: Side, options = impatient) => new Redlock([await side.ioredis()], options)

test('a lock is held by one, and free again after unlock', () =>
  expectTheSame(stage, async (side) => {
    const [first, second] = [await newLock(side), await newLock(side)]
    const lock = await first.lock('resource', longMs)
    const client = await side.ioredis()
    const seen = [
      await settle(second.lock('resource', longMs)),
      await client.get('resource').then((v) => v === lock.value),
    ]
    const ttl = await client.pttl('resource')
    seen.push(ttl > 0 && ttl <= longMs, await client.keys('*'))
    await lock.unlock()
    const again = await second.lock('resource', longMs)
    return [...seen, again.resource, await settle(lock.unlock()), await client.exists('resource')]
  }))

test('several resources at once, all or none', () =>
  expectTheSame(stage, async (side) => {
    const [first, second] = [await newLock(side), await newLock(side)]
    const lock = await first.lock(['a', 'b'], longMs)
    const client = await side.ioredis()
    const seen = [lock.resource, await settle(second.lock(['b', 'c'], longMs)), await client.exists('c')]
    await lock.unlock()
    return [...seen, (await second.lock(['b', 'c'], longMs)).resource, await client.exists('a', 'b', 'c')]
  }))

test('a lock can be extended, one that has run out cannot', () =>
  expectTheSame(stage, async (side) => {
    const redlock = await newLock(side)
    const client = await side.ioredis()
    const lock = await (await redlock.lock('resource', 10_000)).extend(longMs)
    const seen: unknown[] = [(await client.pttl('resource')) > 10_000]
    await client.set('resource', 'somebody else')
    seen.push(await settle(lock.extend(longMs)), await settle(lock.unlock()), await client.get('resource'))
    const short = await redlock.lock('short', 20)
    await sleep(40)
    return [...seen, await settle(short.extend(longMs)), await client.exists('short')]
  }))

test('ten that wait for one lock have it one after the other', () =>
  expectTheSame(stage, async (side) => {
    let [holders, most, turns] = [0, 0, 0]
    const patient = { retryCount: 1000, retryDelay: 5, retryJitter: 5 }
    const workers = await Promise.all(Array.from({ length: 10 }, () => newLock(side, patient)))
    await Promise.all(
      workers.map(async (worker) => {
        for (let i = 0; i < 5; i++) {
          const lock = await worker.lock('resource', longMs)
          most = Math.max(most, ++holders)
          turns++
          await sleep(1)
          holders--
          await lock.unlock()
        }
      }),
    )
    return [most, turns]
  }))
