/**
 * Where reads go when a replica lags, is cut off or stops, and that what each level promises holds meanwhile. Three
 * promises are checked read by read against what was acknowledged when: bounded, read your writes, monotonic reads.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topology } from '../../src/demo/topology.ts'
import { randomFrom } from '../kit/exchange.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const random = randomFrom(Number(process.env['SEED'] ?? 3))

async function start(
  more: object,
  regions = ['eu-west', 'us-east'],
): Promise<{ topology: Topology; proxy: StartedProxy }> {
  const topology = await startReplicaSet({ regions })
  const proxy = await startProxy(
    {
      region: 'us-east',
      primary: 'eu-west',
      upstream: { timeout: '1s' },
      regions: regionsFor(topology, 'us-east'),
      ...more,
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  return { topology, proxy }
}

const tenant = (more: object = {}) => ({ users: { 'shop-app': { password: 'demo' } }, ...more })

const reads = async (proxy: StartedProxy, source: string) => (await metric(proxy)).sum('regis_reads_total', { source })
const fallbacks = async (proxy: StartedProxy, reason: string) =>
  (await metric(proxy)).sum('regis_read_fallbacks_total', { reason })

/** Reads are served by the replica next door (again). */
async function untilLocal(proxy: StartedProxy, client: RawClient): Promise<void> {
  await waitFor(async () => {
    const before = await reads(proxy, 'local')
    await client.call('GET', 'probe')
    return (await reads(proxy, 'local')) > before
  })
}

describe('routing', () => {
  test('a cut replication link sends reads to the primary with its reason, and they come home when it heals', async () => {
    const { topology, proxy } = await start({
      tenants: { shop: tenant({ consistency: 'bounded', max_staleness: '300ms' }) },
    })
    const client = await proxy.client('shop-app')
    await untilLocal(proxy, client)
    topology.replication('us-east').partition(true)
    await topology.primary.call('SET', 'shop:a', 'new')
    await sleep(400)
    const before = { lag: await fallbacks(proxy, 'lag'), primary: await reads(proxy, 'primary') }
    for (let i = 0; i < 20; i++) expect(await client.call('GET', 'a')).toBe('new')
    expect((await fallbacks(proxy, 'lag')) - before.lag).toBe(20)
    expect((await reads(proxy, 'primary')) - before.primary).toBe(20)
    topology.replication('us-east').partition(false)
    await untilLocal(proxy, client)
    expect(await client.call('GET', 'a')).toBe('new')
  })

  test('a delay above max_staleness is a fallback, below it is not', async () => {
    const { topology, proxy } = await start({
      tenants: { shop: tenant({ consistency: 'bounded', max_staleness: '200ms' }) },
    })
    const client = await proxy.client('shop-app')
    await untilLocal(proxy, client)
    topology.setLag('us-east', 400)
    await waitFor(async () => {
      const before = await fallbacks(proxy, 'lag')
      await client.call('GET', 'a')
      return (await fallbacks(proxy, 'lag')) > before
    })
    const local = await reads(proxy, 'local')
    for (let i = 0; i < 20; i++) await client.call('GET', 'a')
    expect(await reads(proxy, 'local')).toBe(local)
    topology.setLag('us-east', 20)
    await untilLocal(proxy, client)
  })

  test('bounded: no read is older than the bound, whatever the lag does', async () => {
    const boundMs = 250
    const { topology, proxy } = await start({
      tenants: { shop: tenant({ consistency: 'bounded', max_staleness: `${boundMs}ms` }) },
    })
    const client = await proxy.client('shop-app')
    // Writes that bypass the proxy: the promise covers them too.
    const acked: number[] = []
    let isOver = false
    const writing = (async () => {
      for (let seq = 0; !isOver; seq++) {
        await topology.primary.call('SET', 'shop:clock', seq)
        acked[seq] = performance.now()
        await sleep(3)
      }
    })()
    await waitFor(async () => (await client.call('GET', 'clock')) !== null)
    const violations: string[] = []
    let newestOldMs = 0
    for (let step = 0; step < 12; step++) {
      topology.setLag('us-east', [0, 60, 150, 240, 300, 600][Math.floor(random() * 6)]!)
      const until = performance.now() + 250
      while (performance.now() < until) {
        const arrivedAfter = performance.now()
        const seq = Number(await client.call('GET', 'clock'))
        const next = acked[seq + 1]
        // The write after the one that was read was acknowledged this long before the read was even sent.
        if (next === undefined) continue
        newestOldMs = Math.max(newestOldMs, arrivedAfter - next)
        if (arrivedAfter - next > boundMs) violations.push(`${arrivedAfter - next} ms old`)
      }
    }
    isOver = true
    await writing
    expect(violations).toEqual([])
    // It did serve from the lagging replica, and it did refuse it.
    expect(newestOldMs).toBeGreaterThan(20)
    expect(await reads(proxy, 'local')).toBeGreaterThan(50)
    expect(await fallbacks(proxy, 'lag')).toBeGreaterThan(50)
  })

  test('session: own writes are read by every connection, and no connection goes back, under 0 to 2 s of lag', async () => {
    const { topology, proxy } = await start(
      { tenants: { shop: tenant(), other: { users: { 'other-app': { password: 'demo' } } } } },
      ['eu-west', 'us-east', 'ap-south'],
    )
    const keys = ['k0', 'k1', 'k2', 'k3']
    const acked = new Map<string, number>()
    const problems: string[] = []
    let count = 0
    let isOver = false
    const wanted = Number(process.env['READS'] ?? 10_000)
    const lagging = (async () => {
      // A relay never reorders: after 2 s of delay a small one takes 2 s to be felt. So the near replica begins near.
      const quietUntil = performance.now() + 1_500
      while (!isOver) {
        const isQuiet = performance.now() < quietUntil
        topology.setLag('us-east', isQuiet || random() < 0.5 ? random() * 30 : random() * 2_000)
        topology.setLag('ap-south', random() * 2_000)
        await sleep(80 + random() * 200)
      }
    })()
    const writers = keys.map(async (key) => {
      const client = await proxy.client('shop-app')
      while (!isOver) {
        // In bursts: a fence is the tenant's, so between them its reads can come home.
        if (performance.now() % 800 < 400) acked.set(key, Number(await client.call('INCR', key)))
        await sleep(5)
      }
    })
    const readers = Array.from({ length: 12 }, async (_, id) => {
      const client = await proxy.client('shop-app')
      if (id % 2 === 1) await client.call('HELLO', '3')
      const seen = new Map<string, number>()
      while (count < wanted) {
        const asked = Array.from(
          { length: 1 + Math.floor(random() * 4) },
          () => keys[Math.floor(random() * keys.length)]!,
        )
        const floors = asked.map((key) => acked.get(key) ?? 0)
        const replies =
          random() < 0.3 ? await client.call('MGET', ...asked) : await client.pipeline(asked.map((key) => ['GET', key]))
        if (!Array.isArray(replies)) {
          problems.push(`reader ${id}: ${JSON.stringify(replies)}`)
          break
        }
        for (const [i, key] of asked.entries()) {
          count++
          const value = Number(replies[i] ?? 0)
          if (value < floors[i]!) problems.push(`reader ${id}: ${key} is ${value}, ${floors[i]} was acknowledged`)
          if (value < (seen.get(key) ?? 0)) problems.push(`reader ${id}: ${key} is ${value}, ${seen.get(key)} was seen`)
          seen.set(key, Math.max(value, seen.get(key) ?? 0))
        }
        await sleep(random() < 0.05 ? 50 : 8)
      }
    })
    await Promise.all(readers)
    isOver = true
    await Promise.all([...writers, lagging])
    expect(problems.slice(0, 10)).toEqual([])
    expect(count).toBeGreaterThanOrEqual(wanted)
    // Replicas had their share of it: else nothing was shown.
    expect((await reads(proxy, 'local')) + (await reads(proxy, 'remote'))).toBeGreaterThan(50)
    expect(await fallbacks(proxy, 'session')).toBeGreaterThan(50)
  })

  test('monotonic reads: a connection does not go back to an older replica', async () => {
    const { topology, proxy } = await start({ tenants: { shop: tenant() } })
    const client = await proxy.client('shop-app')
    await untilLocal(proxy, client)
    // The other tenantless way: writes at the primary, which are no own writes, so that only what was seen binds.
    const problems: string[] = []
    for (let round = 0; round < 6; round++) {
      topology.setLag('us-east', round % 2 === 0 ? 300 : 0)
      let last = 0
      for (let i = 0; i < 60; i++) {
        await topology.primary.call('INCR', 'shop:up')
        // A write of its own now and then takes the connection to the primary and back.
        if (i % 15 === 0) await client.call('SET', 'mine', i)
        const value = Number(await client.call('GET', 'up'))
        if (value < last) problems.push(`${value} after ${last}`)
        last = value
      }
    }
    expect(problems).toEqual([])
  })

  test('when_stale: error answers in the region or not at all; wait gives the replica its time', async () => {
    const { topology, proxy } = await start({
      routing: { max_staleness: '200ms', max_wait: '1500ms' },
      tenants: {
        shop: tenant({ consistency: 'bounded', when_stale: 'error' }),
        patient: {
          consistency: 'session',
          max_staleness: '10s',
          when_stale: 'wait',
          users: { 'patient-app': { password: 'demo' } },
        },
      },
    })
    const client = await proxy.client('shop-app')
    const patient = await proxy.client('patient-app')
    await untilLocal(proxy, client)
    topology.setLag('us-east', 500)
    const reply = await waitFor(async () => {
      const one = await client.call('GET', 'a')
      return one instanceof ErrorReply ? one : undefined
    })
    expect(reply?.message).toBe('TRYAGAIN no node within max staleness 200 ms, command not executed')
    expect(await client.call('SET', 'a', 'b')).toBe('OK') // a write goes where writes go
    const primary = await reads(proxy, 'primary')
    const startedAt = performance.now()
    await patient.call('SET', 'mine', '1')
    expect(await patient.call('GET', 'mine')).toBe('1')
    expect(performance.now() - startedAt).toBeGreaterThan(400) // it has come by replication
    expect(await reads(proxy, 'primary')).toBe(primary)
    topology.setLag('us-east', 0)
    await waitFor(async () => !((await client.call('GET', 'a')) instanceof ErrorReply))
    topology.replication('us-east').partition(true)
    await patient.call('SET', 'mine', '2')
    expect(await patient.call('GET', 'mine')).toBe('2') // after its time: the primary's
  })

  test('a rule with pin cannot be weakened by the connection, one without can', async () => {
    const { topology, proxy } = await start({
      routing: {
        rules: [
          { tenant: 'shop', keys: 'cart:*', consistency: 'strong', pin: true },
          { keys: 'soft:*', consistency: 'strong' },
          { keys: 'catalog:*', consistency: 'eventual' },
        ],
      },
      tenants: { shop: tenant() },
    })
    const client = await proxy.client('shop-app')
    await untilLocal(proxy, client)
    topology.setLag('us-east', 5_000)
    await sleep(100)
    for (const key of ['cart:1', 'soft:1', 'catalog:1', 'plain'])
      await topology.primary.call('SET', `shop:${key}`, 'new')
    expect(await client.call('GET', 'catalog:1')).toBeNull()
    // Reads of one pipeline that want different nodes come in order all the same.
    const replies = await client.pipeline(['catalog:1', 'cart:1', 'catalog:1', 'soft:1'].map((key) => ['GET', key]))
    expect(replies[1]).toBe('new')
    expect(replies[3]).toBe('new')
    expect(await client.call('PROXY', 'CONSISTENCY', 'eventual')).toBe('OK')
    expect(await client.call('GET', 'cart:1')).toBe('new')
    expect(await client.call('GET', 'soft:1')).toBeNull()
    expect(await client.call('MGET', 'catalog:1', 'cart:1')).toEqual(['new', 'new']) // the strictest decides
    expect(await client.call('READWRITE')).toBe('OK')
    expect(await client.call('GET', 'soft:1')).toBe('new')
    expect(await client.call('READONLY')).toBe('OK')
    expect(await client.call('GET', 'plain')).toBeNull()
  })

  test('a stopped replica: reads are answered by others in time, and it takes part again when it goes on', async () => {
    const { topology, proxy } = await start({ tenants: { shop: tenant({ consistency: 'eventual' }) } })
    const client = await proxy.client('shop-app')
    await untilLocal(proxy, client)
    await topology.node('us-east').kill('SIGSTOP')
    const endsAt = performance.now() + 2_500
    let answered = 0
    while (performance.now() < endsAt) {
      const reply = await client.call('GET', 'a')
      // Not executed, or nothing: never silence.
      if (reply instanceof ErrorReply) expect(reply.message).toMatch(/^TRYAGAIN /)
      else expect(reply).toBeNull()
      answered++
    }
    expect(answered).toBeGreaterThan(5)
    expect(await client.call('GET', 'a')).toBeNull()
    await topology.node('us-east').kill('SIGCONT')
    await untilLocal(proxy, client)
  })
})
