import { metricPrefix, metricRows } from '../../../src/metrics/catalogue.ts'
import { Cells, FallbackReason, Kind, Outcome, Quota, Role, Source, servedIndex } from '../../../src/metrics/cells.ts'
import type { TenantLabel } from '../../../src/metrics/fold.ts'
import { Metrics, type NodeSample } from '../../../src/metrics/registry.ts'
import { lint, parseText } from './text-format.ts'

const nodes: NodeSample[] = [
  {
    region: 'eu-west',
    node: 'eu-1:6379',
    up: true,
    role: 'primary',
    rttMs: 0.5,
    connections: { ready: 2, connecting: 0 },
  },
  {
    region: 'us-east',
    node: 'us-1:6379',
    up: true,
    role: 'replica',
    rttMs: 81,
    lagMs: 90,
    lagAgeMs: 40,
    stalenessMs: 130,
    lagBytes: 17,
  },
  { region: 'ap-south', node: 'ap-1:6379', up: false, role: 'unknown' },
]

function setUp(defaults = false) {
  const cells = new Cells({ commandNames: ['get', 'set'] })
  const state: { label: TenantLabel } = { label: 'all' }
  const metrics = new Metrics({
    cells,
    build: { version: '0.1.0', region: 'eu-west' },
    tenantLabel: () => state.label,
    samples: {
      nodes: () => nodes,
      regions: () => [{ region: 'eu-west', inflight: 3, queueDepth: 1 }],
      primary: () => ({
        epoch: 3,
        isConfirmed: true,
        sentinels: { known: 3, heard: 2, needed: 2, switches: 1 },
      }),
      usage: () => ({
        of: (tenant) => (tenant === 'shop' ? { bytes: 1_000, errorBytes: 50, keys: 10 } : undefined),
        all: () => ({ bytes: 1_500, errorBytes: 60, keys: 12 }),
        sweep: {
          ...{ ageMs: 2_000, progress: 0.5, durationMs: 4_000, costMs: 300 },
          ...{ seen: 20, measured: 15, stray: 8, ok: 3, failed: 1, checks: 2 },
        },
      }),
      quotas: (tenant) => (tenant === 'shop' ? [{ quota: 'ops', limit: 1_000, share: 500, used: 250 }] : []),
      fleet: () => ({
        proxies: 3,
        isSeen: true,
        viewAgeMs: 600,
        records: { ok: 20, refused: 1, failed: 0 },
      }),
    },
    defaults,
  })
  const page = async () => parseText(await metrics.render())
  const values = async (name: string) => {
    const samples = (await page()).get(metricPrefix + name)?.samples ?? []
    return Object.fromEntries(samples.map((s) => [Object.values(s.labels).join(' '), s.value]))
  }
  return { cells, metrics, state, page, values }
}

/** Something in every cell, so that every row of the catalogue has a series. */
function fill(cells: Cells): void {
  const [eu, us] = [cells.regionIndex('eu-west'), cells.regionIndex('us-east')]
  const shop = cells.tenant('shop')
  Object.assign(shop, { reads: 10, writes: 5, admin: 2, pubsub: 1, bytesIn: 100, bytesOut: 200, connections: 4 })
  shop.fail(Kind.write, Outcome.uncertain)
  shop.served[servedIndex(us, Source.remote)]! += 6
  shop.served[servedIndex(eu, Source.primary)]! += 4
  shop.staleness.observe(130, 6)
  cells.commands.calls[0]! += 10
  cells.commands.errors[0]! += 1
  cells.commands.denied[cells.commands.other]! += 2
  cells.fallback(us, eu, FallbackReason.lag, 4)
  cells.commandDurationOf(Kind.read, Source.remote).observe(81, 6)
  cells.upstreamDurationOf(us, Role.replica).observe(80.5, 6)
  for (const counter of [cells.disconnects, cells.authFailures, cells.protocolErrors, cells.writesRejected]) {
    counter.add(['a'])
  }
  cells.configReloads.add(['ok'])
  cells.connectionsOpened.add(['0.0.0.0:6380', 'ok'], 4)
  cells.walks.add(['keys', 'ok'])
  shop.quotaDelayed(Quota.ops, 30)
  shop.quotaDelayed(Quota.ops, 20)
  shop.quotaRefused(Quota.bandwidth)
  shop.durableConfirmed = 3
  shop.durableDenied = 1
  shop.turnsWaited = 1
  shop.durableWait.observe(7, 4)
  cells.primaryChanges.add(['eu-west', 'us-east'])
  cells.pubsub.gaps.add(['lost'])
  cells.node('us-east', 'us-1:6379').reconnects.add(['timeout'], 2)
}

describe('Metrics', () => {
  test('every row of the catalogue has a series with exactly its labels, and nothing else is there', async () => {
    const { cells, page } = setUp()
    fill(cells)
    const families = await page()
    expect([...families.keys()].sort()).toEqual(metricRows.map(([name]) => metricPrefix + name).sort())
    for (const [name, row] of metricRows) {
      const family = families.get(metricPrefix + name)!
      // Of several workers the supervisor has it (workers/page.ts).
      expect([name, family.samples.length > 0]).toEqual([name, name !== 'workers'])
      expect([name, family.type, family.help]).toEqual([name, row.type, row.help])
      for (const { labels } of family.samples) {
        const { le: _, ...own } = labels
        expect([name, Object.keys(own)]).toEqual([name, [...row.labels]])
      }
    }
  })

  test("the page, Node's own metrics included, passes the rules of promtool", async () => {
    const { cells, page } = setUp(true)
    fill(cells)
    const families = await page()
    expect(families.has('process_resident_memory_bytes')).toBe(true)
    expect(families.has('nodejs_eventloop_lag_p99_seconds')).toBe(true)
    expect(lint(families)).toEqual([])
  })

  test('the lint of this test finds what promtool finds', () => {
    const page = [
      '# HELP a_ms x',
      '# TYPE a_ms gauge',
      'a_ms 1',
      '# HELP b x',
      '# TYPE b counter',
      'b 1',
      '# HELP h x',
      '# TYPE h histogram',
      'h_bucket{le="1"} 3',
      'h_bucket{le="2"} 2',
      'h_sum 1',
      'h_count 2',
      '',
    ].join('\n')
    expect(lint(parseText(page))).toEqual([
      'a_ms: not a base unit',
      'b: counter without _total',
      'h: buckets fall',
      'h: no +Inf bucket',
    ])
    expect(() => parseText('# HELP a x\n# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n')).toThrow('twice')
  })

  test('commands by outcome: the failed ones are not counted as ok as well', async () => {
    const { cells, values } = setUp()
    fill(cells)
    expect(await values('commands_total')).toEqual({
      'shop read ok': 10,
      'shop read error': 0,
      'shop write ok': 4,
      'shop write error': 0,
      'shop write uncertain': 1,
      'shop admin ok': 2,
      'shop pubsub ok': 1,
    })
    expect(await values('command_calls_total')).toEqual({ 'get ok': 9, 'get error': 1 })
  })

  test('quotas: the limit, the use of the part of it that is ours, and what was held up or refused', async () => {
    const { cells, values, state } = setUp()
    fill(cells)
    expect(await values('quota_limit')).toEqual({ 'shop ops': 1_000 })
    expect(await values('quota_usage_ratio')).toEqual({ 'shop ops': 0.5 })
    expect(await values('quota_throttled_total')).toEqual({ 'shop ops': 2 })
    expect(await values('quota_throttle_seconds_total')).toEqual({ 'shop ops': 0.05 })
    expect(await values('quota_rejected_total')).toEqual({ 'shop bandwidth': 1 })
    // What is counted folds as other counters do, limits do not.
    state.label = 'none'
    cells.tenant('shop').quotaRefused(Quota.bandwidth)
    expect(await values('quota_rejected_total')).toEqual({ 'other bandwidth': 1 })
    expect(await values('quota_limit')).toEqual({})
  })

  test('reads and fallbacks carry the names of their regions', async () => {
    const { cells, values } = setUp()
    fill(cells)
    expect(await values('reads_total')).toEqual({ 'shop us-east remote': 6, 'shop eu-west primary': 4 })
    expect(await values('read_fallbacks_total')).toEqual({ 'us-east eu-west lag': 4 })
  })

  test('histograms are cumulative and in seconds', async () => {
    const { cells, page } = setUp()
    cells.commandDurationOf(Kind.write, Source.primary).observe(0.25, 2)
    cells.commandDurationOf(Kind.write, Source.primary).observe(9000, 1)
    const samples = (await page()).get('regis_command_duration_seconds')!.samples
    expect(samples.map((s) => [s.labels['le'] ?? s.name.slice(-5), s.value])).toEqual([
      ['0.00025', 2],
      ...['0.0005', '0.001', '0.0025', '0.005', '0.01', '0.025', '0.05', '0.1', '0.25', '0.5', '1', '5'].map((le) => [
        le,
        2,
      ]),
      ['+Inf', 3],
      ['s_sum', 9.0005],
      ['count', 3],
    ])
  })

  test('what is unknown of a node is left out, not shown as 0', async () => {
    const { values } = setUp()
    expect(await values('upstream_up')).toEqual({
      'eu-west eu-1:6379': 1,
      'us-east us-1:6379': 1,
      'ap-south ap-1:6379': 0,
    })
    expect(await values('replica_staleness_seconds')).toEqual({ 'us-east us-1:6379': 0.13 })
    expect(await values('upstream_rtt_seconds')).not.toHaveProperty('ap-south ap-1:6379')
  })

  test('a changed tenant_label is in force at the next scrape', async () => {
    const { cells, state, values } = setUp()
    cells.tenant('a').bytesIn = 1
    cells.tenant('b').bytesIn = 2
    expect(await values('client_received_bytes_total')).toEqual({ a: 1, b: 2 })
    state.label = 'none'
    cells.tenant('b').bytesIn = 5
    expect(await values('client_received_bytes_total')).toEqual({ other: 3 })
    expect(await values('tenants_folded')).toEqual({ '': 2 })
  })

  test('an odd label value cannot break the page', async () => {
    const { cells, page } = setUp()
    cells.authFailures.add(['a"\\\nb'])
    expect((await page()).get('regis_auth_failures_total')?.samples[0]?.labels['reason']).toBe('a\\"\\\\\\nb')
  })
})
