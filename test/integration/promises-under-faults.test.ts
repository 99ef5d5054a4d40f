/**
 * What each level promises, read by read, on real servers: under lag of 0 to 5 s with jitter, killed, stopped and re-attached
 * replicas, cut links and a full primary. SEED= gives another order of events; `npm run soak` looks for hours.
 */
import { randomFrom } from '../kit/exchange.ts'
import { metric } from '../kit/metrics.ts'
import { PromiseLoad, ServerFaults } from '../kit/promise-load.ts'
import { regionsFor, startProxy, startReplicaSet } from '../kit/servers.ts'

const seed = Number(process.env['SEED'] ?? 1)
/** SCALE=0.1 for a first look, more in a soak. FAULTS=a,b: only these. */
const times = Number(process.env['SCALE'] ?? 1)
const only = process.env['FAULTS']?.split(',')
/** The default of `max_staleness`: written down it would be a ceiling for session reads too. */
const boundMs = 500

test(
  'a hundred thousand session reads and as many bounded ones, two thousand strong keys: no promise is broken',
  async () => {
    const random = randomFrom(seed)
    const topology = await startReplicaSet({
      regions: ['eu-west', 'us-east', 'ap-south'],
      rttMs: { 'eu-west:us-east': 4, 'ap-south:eu-west': 8 },
    })
    const homes = ['us-east', 'ap-south']
    const proxies = await Promise.all(
      homes.map((region) =>
        startProxy({
          region,
          primary: 'eu-west',
          upstream: { timeout: '1s' },
          regions: regionsFor(topology, region),
          tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
        }),
      ),
    )
    const load = new PromiseLoad({
      proxies,
      random,
      boundMs,
      sessionReads: 100_000 * times,
      boundedReads: 100_000 * times,
      strongKeys: 2_000 * times,
      timeoutMs: 150_000 * Math.max(1, times),
    })
    const faults = new ServerFaults(topology, homes, random)
    faults.start(only)
    const startedAt = performance.now()
    try {
      await load.run()
    } finally {
      await faults.stop()
    }
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    process.stdout.write(`seed ${seed}, ${seconds} s, ${faults.struck.length} faults: ${JSON.stringify(load.counts)}\n`)
    expect(load.checks.violations.examples).toEqual([])
    expect(load.verdicts).toEqual({ linearizable: load.counts.strongKeys, broken: 0, unknown: 0 })
    expect(load.counts.session).toBeGreaterThanOrEqual(100_000 * times)
    expect(load.counts.bounded).toBeGreaterThanOrEqual(100_000 * times)
    expect(load.counts.strongKeys).toBeGreaterThanOrEqual(2_000 * times)
    // It was worth looking: replicas served, some of it old, and lag sent reads away.
    expect(load.counts.oldReads).toBeGreaterThan(100 * times)
    for (const proxy of proxies) {
      const page = await metric(proxy)
      expect(page.sum('regis_reads_total', { source: 'local' })).toBeGreaterThan(5_000 * times)
      expect(page.sum('regis_read_fallbacks_total', { reason: 'lag' })).toBeGreaterThan(0)
      expect(page.sum('regis_desync_total')).toBe(0)
    }
  },
  200_000 * times,
)
