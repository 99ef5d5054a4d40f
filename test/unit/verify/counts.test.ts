/** What `regis verify` reads from a page of metrics, and how it sums up. */

import { CounterChecks, Timeline } from '../../../src/verify/counter-checks.ts'
import { distribution, minus, plus, readsBySource } from '../../../src/verify/counts.ts'
import { Prober } from '../../../src/verify/prober.ts'
import { pageOf, reportOf } from '../../../src/verify/report.ts'

test('reads are told apart by where they were answered, as the proxy of that region sees it', () => {
  const page = [
    '# TYPE regis_reads_total counter',
    'regis_reads_total{tenant="shop",region="us",source="local"} 7',
    'regis_reads_total{tenant="shop",region="eu",source="primary"} 3',
    'regis_reads_total{tenant="shop",region="ap",source="remote"} 2',
    'regis_reads_total{tenant="other",region="us",source="local"} 100',
  ].join('\n')
  expect(readsBySource(page, 'shop', 'us')).toEqual({ local: 7, remote: 2, primary: 3 })
  // The primary next door is local.
  expect(readsBySource(page, 'shop', 'eu')).toEqual({ local: 3, remote: 9, primary: 0 })
  expect(
    minus(plus({ local: 1, remote: 2, primary: 3 }, { local: 1, remote: 1, primary: 1 }), {
      local: 2,
      remote: 0,
      primary: 4,
    }),
  ).toEqual({ local: 0, remote: 3, primary: 0 })
})

test('a distribution is by rank', () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i)
  expect(distribution(values)).toEqual({ count: 200, p50: 100, p99: 198, max: 200 })
  expect(distribution([])).toEqual({ count: 0, p50: 0, p99: 0, max: 0 })
})

test('a report is good only when every promise was looked at and none was broken', () => {
  const probe = (
    new Prober({ targets: [], durationMs: 1_000, readsPerSecond: 1 }) as unknown as {
      probe: Parameters<typeof reportOf>[0]
    }
  ).probe
  expect(reportOf(probe, []).problems).toContain('read your writes: nothing was checked')
  expect(reportOf(probe, []).ok).toBe(false)
  for (const name of Object.keys(probe.violations.checked)) probe.violations.checked[name as 'strong reads'] = 1
  expect(reportOf(probe, ['eu']).ok).toBe(true)
  expect(pageOf(reportOf(probe, ['eu']))).toContain('every promise held')
  probe.lostKeys = 1
  expect(reportOf(probe, ['eu']).problems).toEqual(['1 keys have lost an acknowledged write'])
  probe.lostKeys = 0
  const line = new Timeline('k')
  new CounterChecks(probe.violations).readYourWrites(line, 0, 1)
  expect(reportOf(probe, ['eu']).ok).toBe(false)
  expect(pageOf(reportOf(probe, ['eu']))).toContain('VIOLATION read your writes: k is 0, 1 was acknowledged before')
})
