/**
 * BullMQ, unmodified: a job queue that builds its keys inside Lua from a prefix in ARGV, blocks on BZPOPMIN, reads streams
 * and pipelines scripts in transactions. Run straight to Redis and through Regis under `scripts: any`: the same comes out.
 */
import { FlowProducer, type Job, Queue, QueueEvents, Worker } from 'bullmq'
import { startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

interface Side {
  readonly port: number
  readonly username?: string
  readonly password?: string
}

/** What must be closed when a case is over, the newest first. */
const open: { close(): Promise<void> }[] = []
const kept = <T extends { close(): Promise<void> }>(it: T): T => {
  open.push(it)
  return it
}

afterEach(async () => {
  for (const it of open.splice(0).reverse()) await it.close()
})

let straight: Side
let through: Side
let keys: () => Promise<string[]>

beforeAll(async () => {
  const redis = await startRedis()
  const plain = await startRedis()
  const proxy = await startProxy({
    region: 'here',
    primary: 'here',
    regions: { here: { nodes: [redis.url] } },
    tenants: { jobs: { scripts: 'any', users: { 'jobs-app': { password: 'demo' } } } },
  })
  straight = { port: plain.port }
  through = { port: proxy.port, username: 'jobs-app', password: 'demo' }
  keys = async () => (await redis.call('KEYS', '*')) as string[]
})

const optionsOf = (side: Side) => ({
  connection: { host: '127.0.0.1', maxRetriesPerRequest: null, ...side },
})

/** Runs one case on both sides and compares what it came to. */
async function both(run: (side: Side) => Promise<unknown>): Promise<unknown> {
  const theirs = await run(straight)
  const mine = await run(through)
  expect(mine).toEqual(theirs)
  return mine
}

test('a thousand jobs are added in bulk and each is done once', async () => {
  await both(async (side) => {
    const queue = kept(new Queue('bulk', optionsOf(side)))
    const seen: number[] = []
    await queue.addBulk(Array.from({ length: 1000 }, (_, i) => ({ name: 'n', data: { i } })))
    expect(await queue.count()).toBe(1000)
    kept(
      new Worker(
        'bulk',
        async (job: Job) => {
          seen.push(job.data.i)
          return job.data.i * 2
        },
        { ...optionsOf(side), concurrency: 20 },
      ),
    )
    await waitFor(async () => (await queue.getCompletedCount()) === 1000, 40_000)
    const jobs = await queue.getCompleted(0, 4)
    return [
      seen.length,
      new Set(seen).size,
      jobs.every((job) => job.returnvalue === job.data.i * 2),
      await queue.getJobCounts(),
    ]
  })
})

test('delayed, prioritized, failing and retried jobs', async () => {
  await both(async (side) => {
    const queue = kept(new Queue('mixed', optionsOf(side)))
    const order: string[] = []
    await queue.add('low', {}, { priority: 10 })
    await queue.add('high', {}, { priority: 1 })
    await queue.add('late', {}, { delay: 300 })
    await queue.add('fails', {}, { attempts: 2, backoff: { type: 'fixed', delay: 50 }, priority: 20 })
    const before = await queue.getJobCounts('prioritized', 'delayed', 'wait')
    const worker = kept(
      new Worker(
        'mixed',
        async (job: Job) => {
          order.push(`${job.name} ${job.attemptsMade}`)
          if (job.name === 'fails') throw new Error('on purpose')
          await job.updateProgress(50)
          await job.log('a line')
        },
        optionsOf(side),
      ),
    )
    worker.on('error', () => {})
    await waitFor(async () => (await queue.getFailedCount()) === 1 && (await queue.getCompletedCount()) === 3, 20_000)
    const [failed] = await queue.getFailed()
    return [before, [...order].sort(), failed?.failedReason, failed?.attemptsMade, await queue.getJobCounts()]
  })
})

test('a job scheduler repeats, and is removed', async () => {
  await both(async (side) => {
    const queue = kept(new Queue('again', optionsOf(side)))
    let runs = 0
    await queue.upsertJobScheduler('every', { every: 150 }, { name: 'tick', data: { a: 1 } })
    kept(
      new Worker(
        'again',
        async () => {
          runs++
        },
        optionsOf(side),
      ),
    )
    await waitFor(() => runs >= 3, 20_000)
    const schedulers = await queue.getJobSchedulers()
    const removed = await queue.removeJobScheduler('every')
    return [schedulers.map((it) => [it.key, it.every]), removed, await queue.getJobSchedulers()]
  })
})

test('a flow: the parent waits for its children and reads what they gave', async () => {
  await both(async (side) => {
    const flow = kept(new FlowProducer(optionsOf(side)))
    const events = kept(new QueueEvents('parents', optionsOf(side)))
    await events.waitUntilReady()
    let children: unknown[] = []
    kept(new Worker('children', async (job: Job) => job.data.n * 10, optionsOf(side)))
    kept(
      new Worker(
        'parents',
        async (job: Job) => {
          children = Object.values(await job.getChildrenValues())
          return 'done'
        },
        optionsOf(side),
      ),
    )
    const tree = await flow.add({
      name: 'p',
      queueName: 'parents',
      children: [1, 2, 3].map((n) => ({ name: 'c', data: { n }, queueName: 'children' })),
    })
    const result = await tree.job.waitUntilFinished(events, 20_000)
    return [result, [...children].sort()]
  })
})

test('a rate limited worker, a paused queue, and one that is emptied', async () => {
  await both(async (side) => {
    const queue = kept(new Queue('limited', optionsOf(side)))
    let done = 0
    await queue.addBulk(Array.from({ length: 6 }, (_, i) => ({ name: 'n', data: { i } })))
    const worker = kept(
      new Worker(
        'limited',
        async () => {
          done++
        },
        { ...optionsOf(side), limiter: { max: 2, duration: 200 } },
      ),
    )
    await waitFor(() => done === 6, 20_000)
    await worker.pause()
    await queue.pause()
    const isPaused = await queue.isPaused()
    await queue.addBulk(Array.from({ length: 3 }, () => ({ name: 'rest', data: {} })))
    const waiting = await queue.getJobCounts('wait')
    await queue.resume()
    await queue.drain()
    await queue.obliterate({ force: true })
    return [isPaused, waiting, await queue.getJobCounts()]
  })
})

test('all it wrote lies under the prefix of the tenant', async () => {
  const names = await keys()
  expect(names.length).toBeGreaterThan(0)
  expect(names.filter((name) => !name.startsWith('jobs:bull:'))).toEqual([])
})
