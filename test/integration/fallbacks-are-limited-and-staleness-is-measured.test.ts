/**
 * What lag sends to the primary, and what replicas serve meanwhile: the cap on fallbacks and its fair shares, counted by the
 * primary itself, and the histogram of staleness, compared with ages that the test knows.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topology } from '../../src/demo/topology.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenant = (name: string, more: object = {}) => ({ users: { [`${name}-app`]: { password: 'demo' } }, ...more })
const refusal = 'TRYAGAIN reads from the primary are limited, command not executed'
const limit = 40

const isRefused = (reply: unknown): boolean => reply instanceof ErrorReply && reply.message === refusal

async function calls(topology: Topology, region: string, command = 'get'): Promise<number> {
  const text = String(await topology.node(region).call('INFO', 'commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text)?.[1] ?? 0)
}

describe('while the replica lags', () => {
  let topology: Topology
  let proxy: StartedProxy
  let hog: RawClient

  beforeAll(async () => {
    topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
    const bounded = { consistency: 'bounded', max_staleness: '200ms' }
    proxy = await startProxy({
      region: 'us-east',
      primary: 'eu-west',
      regions: regionsFor(topology, 'us-east'),
      routing: {
        fallback_limit: `${limit}/s`,
        rules: [
          { tenant: 'hog', keys: 'soft:*', consistency: 'eventual' },
          { tenant: 'hog', keys: 'softest:*', consistency: 'eventual', max_staleness: '1h' },
        ],
      },
      tenants: {
        hog: tenant('hog', bounded),
        small: tenant('small', bounded),
        calm: tenant('calm', { consistency: 'eventual' }),
        session: tenant('session'),
      },
    })
    hog = await proxy.client('hog-app')
    await waitFor(async () => {
      const before = await calls(topology, 'us-east')
      await hog.call('GET', 'a')
      return (await calls(topology, 'us-east')) > before
    })
    topology.setLag('us-east', 3_000)
    await waitFor(async () => {
      const before = await calls(topology, 'eu-west')
      await hog.call('GET', 'a')
      return (await calls(topology, 'eu-west')) > before
    })
  }, 60_000)

  test('no more reads reach the primary than the limit, whole pipelines included, and one tenant cannot eat them all', async () => {
    const small = await proxy.client('small-app')
    const before = await calls(topology, 'eu-west')
    const startedAt = performance.now()
    let refused = 0
    let served = 0
    let isOver = false
    const flooding = (async () => {
      while (!isOver) {
        // Reads that a rule sends to the replica, first: what follows must not slip by with them.
        const first = served % 2 === 0 ? 'softest:1' : 'soft:1'
        const keys = [first, ...Array.from({ length: 100 }, (_, i) => `k${i}`)]
        for (const reply of await hog.pipeline(keys.map((key) => ['GET', key]))) isRefused(reply) ? refused++ : served++
      }
    })()
    const modest: unknown[] = []
    await sleep(300)
    while (performance.now() - startedAt < 2_000) {
      modest.push(await small.call('GET', 'a'))
      await sleep(120)
    }
    isOver = true
    await flooding
    const seconds = (performance.now() - startedAt) / 1_000
    const reached = (await calls(topology, 'eu-west')) - before
    // A window's worth on top: the first and the last may be cut anywhere.
    expect(reached).toBeLessThanOrEqual(limit * seconds + limit / 5)
    expect(reached).toBeGreaterThan(limit * seconds * 0.5)
    expect(refused).toBeGreaterThan(500)
    expect(served).toBeGreaterThan(0)
    // Its first wish may find a window without a share of its own.
    expect(modest.filter(isRefused).length).toBeLessThan(modest.length / 2)
    const page = await metric(proxy)
    expect(page.sum('regis_reads_refused_total', { reason: 'limited' })).toBeGreaterThanOrEqual(refused)
    expect(page.sum('regis_commands_total', { tenant: 'hog', outcome: 'throttled' })).toBeGreaterThanOrEqual(refused)
  }, 30_000)

  test('writes, strong reads and reads behind own writes in flight are not limited', async () => {
    const flood = Array.from({ length: 60 }, (_, i) => ['GET', `k${i}`])
    expect((await hog.pipeline(flood)).filter(isRefused).length).toBeGreaterThan(0)
    expect((await hog.pipeline(Array.from({ length: 200 }, () => ['SET', 'w', '1']))).filter(isRefused)).toEqual([])
    const behind = await hog.pipeline([['SET', 'w', '2'], ...Array.from({ length: 100 }, () => ['GET', 'w'])])
    expect(behind.filter((reply) => reply === '2')).toHaveLength(100)
    // Reads, of which some are refused, then a write, then reads: those come in order, and are served.
    const mixed = await hog.pipeline([...flood, ['SET', 'w', '3'], ...Array.from({ length: 100 }, () => ['GET', 'w'])])
    expect(mixed.slice(0, 60).filter(isRefused).length).toBeGreaterThan(0)
    expect(mixed.slice(61).filter((reply) => reply === '3')).toHaveLength(100)
    await hog.call('PROXY', 'CONSISTENCY', 'strong')
    expect((await hog.pipeline(flood)).filter(isRefused)).toEqual([])
    await hog.call('PROXY', 'CONSISTENCY', 'default')
  })

  test('EXPLAIN tells of the limit, and takes nothing of it', async () => {
    const client = await proxy.client('small-app')
    const flood = Array.from({ length: 60 }, (_, i) => ['GET', `k${i}`])
    await waitFor(async () => {
      const replies = await client.pipeline([...flood, ['PROXY', 'EXPLAIN', 'GET', 'a']])
      const told = replies.at(-1) as unknown[]
      return told[told.indexOf('error') + 1] === refusal
    })
    // A window anew, of four reads: however often one asks, the read itself finds them there.
    await sleep(250)
    const asked = Array.from({ length: 12 }, () => ['PROXY', 'EXPLAIN', 'GET', 'a'])
    const replies = await client.pipeline([...asked, ['GET', 'a']])
    expect(replies.at(-1)).toBeNull()
  })

  test('the histogram of staleness is an upper bound of what was really served, and not far above it', async () => {
    topology.setLag('us-east', 300)
    const client = await proxy.client('calm-app')
    // Writes straight at the primary; when each was acknowledged is known here.
    const acked: number[] = []
    let isOver = false
    const writing = (async () => {
      for (let seq = 0; !isOver; seq++) {
        await topology.primary.call('SET', 'calm:clock', seq)
        acked[seq] = performance.now()
        await sleep(4)
      }
    })()
    // The longer delay of before drains first.
    await waitFor(async () => {
      const seq = await client.call('GET', 'clock')
      return seq !== null && performance.now() - (acked[Number(seq)] ?? 0) < 1_000
    })
    const sums = async () => {
      const page = await metric(proxy)
      const of = (part: string) => page.sum(`regis_read_staleness_by_tenant_seconds_${part}`, { tenant: 'calm' })
      return { sum: of('sum') * 1_000, count: of('count') }
    }
    const before = await sums()
    let agesMs = 0
    const reads = 200
    for (let i = 0; i < reads; i++) {
      const sentAt = performance.now()
      const next = acked[Number(await client.call('GET', 'clock')) + 1]
      // The value that was not yet there had been acknowledged this long before the read was sent.
      if (next !== undefined) agesMs += Math.max(0, sentAt - next)
      await sleep(3)
    }
    isOver = true
    await writing
    const after = await sums()
    expect(after.count - before.count).toBe(reads)
    expect(agesMs / reads).toBeGreaterThan(200)
    expect(after.sum - before.sum).toBeGreaterThanOrEqual(agesMs)
    // The heartbeat of watermarks is 100 ms; the machine may be slow, the bound may not be made up.
    expect((after.sum - before.sum) / reads).toBeLessThan(agesMs / reads + 1_000)
  }, 30_000)
})
