import { metricRows } from '../../../src/metrics/catalogue.ts'
import { Cells, Kind, Outcome, Source, servedIndex } from '../../../src/metrics/cells.ts'
import { namesOfAll, type TenantLabel } from '../../../src/metrics/fold.ts'
import { Metrics } from '../../../src/metrics/registry.ts'
import { PageOfAll, ruleOf } from '../../../src/workers/aggregate.ts'
import { lint, parseText } from '../metrics/text-format.ts'

class Worker {
  readonly cells = new Cells({ commandNames: ['get', 'set'] })
  readonly metrics: Metrics
  label: TenantLabel = 'all'
  constructor(defaults = false) {
    this.metrics = new Metrics({
      cells: this.cells,
      build: { version: '0.1.0', region: 'eu-west' },
      tenantLabel: () => this.label,
      samples: { nodes: () => [], regions: () => [], primary: () => ({ epoch: 3, isConfirmed: true }) },
      defaults,
    })
  }
  reads(tenant: string, count: number): void {
    const of = this.cells.tenant(tenant)
    of.reads += count
    of.served[servedIndex(this.cells.regionIndex('eu-west'), Source.local)]! += count
    this.cells.commandDurationOf(Kind.read, Source.local).observe(1, count)
  }
}

const of = (page: string, name: string): number | undefined => {
  const line = page.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.slice(name.length + 1))
}
const readsOf = (page: string, tenant: string): number | undefined =>
  of(page, `regis_commands_total{tenant="${tenant}",kind="read",outcome="ok"}`)

const gauges = (rows: Record<string, string>): string =>
  Object.entries(rows)
    .map(([key, value]) => {
      const name = key.split('{')[0]!
      return `# HELP ${name} x\n# TYPE ${name} gauge\n${key} ${value}\n`
    })
    .join('\n')

describe('one page of all workers', () => {
  test('every gauge of the catalogue has a rule, and nothing else has', () => {
    for (const [name, row] of metricRows) {
      if (row.type === 'gauge') expect([name, row.workers]).toEqual([name, ruleOf(`regis_${name}`, 'gauge')])
      else expect([name, 'workers' in row, ruleOf(`regis_${name}`, row.type)]).toEqual([name, false, 'sum'])
    }
  })

  test('counters and histograms are what both have counted, and the page is one that Prometheus takes', async () => {
    const [a, b] = [new Worker(true), new Worker(true)]
    a.reads('shop', 5)
    b.reads('shop', 7)
    b.reads('blog', 2)
    b.cells.tenant('shop').fail(Kind.read, Outcome.error, 3)
    const page = new PageOfAll().merge([
      { worker: 0, life: 'a', text: await a.metrics.render() },
      { worker: 1, life: 'b', text: await b.metrics.render() },
    ])
    expect(lint(parseText(page))).toEqual([])
    expect(readsOf(page, 'shop')).toBe(9)
    expect(readsOf(page, 'blog')).toBe(2)
    expect(of(page, 'regis_command_duration_seconds_count{kind="read",source="local"}')).toBe(14)
    expect(of(page, 'regis_command_duration_seconds_bucket{kind="read",source="local",le="0.0005"}')).toBe(0)
    expect(of(page, 'regis_command_duration_seconds_bucket{kind="read",source="local",le="+Inf"}')).toBe(14)
    expect(parseText(page).size).toBeGreaterThan(50)
    expect(page).toMatch(/^process_cpu_seconds_total /m)
  })

  test('gauges go by their rules', () => {
    const page = new PageOfAll().merge([
      {
        worker: 0,
        life: 'a',
        text: gauges({
          'regis_inflight_commands{region="eu"}': '3',
          regis_overload_state: '0',
          regis_primary_confirmed: '1',
          'regis_upstream_rtt_seconds{region="eu",node="n"}': '0.1',
          regis_event_loop_utilization_ratio: '0.25',
        }),
      },
      {
        worker: 1,
        life: 'b',
        text: gauges({
          'regis_inflight_commands{region="eu"}': '4',
          regis_overload_state: '2',
          regis_primary_confirmed: '0',
          'regis_upstream_rtt_seconds{region="eu",node="n"}': '0.3',
          regis_event_loop_utilization_ratio: '0.5',
        }),
      },
    ])
    expect(of(page, 'regis_inflight_commands{region="eu"}')).toBe(7)
    expect(of(page, 'regis_overload_state')).toBe(2)
    expect(of(page, 'regis_primary_confirmed')).toBe(0)
    expect(of(page, 'regis_upstream_rtt_seconds{region="eu",node="n"}')).toBeCloseTo(0.2)
    expect(of(page, 'regis_event_loop_utilization_ratio{worker="0"}')).toBe(0.25)
    expect(of(page, 'regis_event_loop_utilization_ratio{worker="1"}')).toBe(0.5)
  })

  test('use of a divided limit is weighted by the parts, of a common one added up, of memory the same for all', () => {
    const usage = (quota: string): string => `regis_quota_usage_ratio{tenant="shop",quota="${quota}"}`
    const page = (ops: string, share: string, rest: string) =>
      [
        '# HELP regis_quota_usage_ratio x\n# TYPE regis_quota_usage_ratio gauge',
        `${usage('ops')} ${ops}\n${usage('connections')} ${rest}\n${usage('memory')} ${rest}\n`,
        '# HELP regis_quota_share_ratio x\n# TYPE regis_quota_share_ratio gauge',
        `regis_quota_share_ratio{tenant="shop",quota="ops"} ${share}\n`,
      ].join('\n')
    const text = new PageOfAll().merge([
      { worker: 0, life: 'a', text: page('1', '0.8', '0.25') },
      { worker: 1, life: 'b', text: page('0.5', '0.2', '0.5') },
    ])
    expect(of(text, usage('ops'))).toBeCloseTo(0.9)
    expect(of(text, usage('connections'))).toBe(0.75)
    expect(of(text, usage('memory'))).toBe(0.5)
    expect(of(text, 'regis_quota_share_ratio{tenant="shop",quota="ops"}')).toBeCloseTo(1)
  })

  test('a counter does not go back when a worker is silent, dies, and is there again', async () => {
    const all = new PageOfAll()
    const [a, b, c] = [new Worker(), new Worker(), new Worker()]
    a.reads('shop', 5)
    b.reads('shop', 7)
    const text = (worker: Worker): Promise<string> => worker.metrics.render()
    const first = { worker: 0, life: 'a' }
    const second = { worker: 1, life: 'b' }
    all.merge([
      { ...first, text: await text(a) },
      { ...second, text: await text(b) },
    ])
    a.reads('shop', 1)
    const silent = all.merge([
      { ...first, text: await text(a) },
      { ...second, text: undefined },
    ])
    expect(readsOf(silent, 'shop')).toBe(13)
    all.ended('b')
    expect(readsOf(all.merge([{ ...first, text: await text(a) }]), 'shop')).toBe(13)
    c.reads('shop', 2)
    const again = all.merge([
      { ...first, text: await text(a) },
      { worker: 1, life: 'c', text: await text(c) },
    ])
    expect(readsOf(again, 'shop')).toBe(15)
    all.ended('c')
    all.ended('b') // told twice: counted once
    expect(readsOf(all.merge([{ ...first, text: await text(a) }]), 'shop')).toBe(15)
  })

  test('the gauges of who is silent or dead are not shown', async () => {
    const all = new PageOfAll()
    const connections = 'regis_client_connections{tenant="shop"}'
    const [a, b] = [new Worker(), new Worker()]
    a.cells.tenant('shop').connections = 2
    b.cells.tenant('shop').connections = 3
    const pages = [
      { worker: 0, life: 'a', text: await a.metrics.render() },
      { worker: 1, life: 'b', text: await b.metrics.render() },
    ]
    expect(of(all.merge(pages), connections)).toBe(5)
    expect(of(all.merge([pages[0]!, { ...pages[1]!, text: undefined }]), connections)).toBe(2)
    all.ended('b')
    expect(of(all.merge([pages[0]!]), connections)).toBe(2)
  })

  test('under top:N the same tenants have a label on all pages: those who are busiest over all workers', async () => {
    const all = new PageOfAll()
    const [a, b] = [new Worker(), new Worker()]
    a.label = { top: 2 }
    b.label = { top: 2 }
    // By itself a would show x and y, b would show z and y.
    a.reads('x', 10)
    a.reads('y', 6)
    a.reads('z', 5)
    b.reads('z', 9)
    b.reads('y', 8)
    b.reads('w', 1)
    const names = namesOfAll([a.metrics.candidates(), b.metrics.candidates()], all.commandsOfTheDead())
    expect([...names!].sort()).toEqual(['y', 'z'])
    const page = all.merge(
      [
        { worker: 0, life: 'a', text: await a.metrics.render(names) },
        { worker: 1, life: 'b', text: await b.metrics.render(names) },
      ],
      names,
    )
    expect([readsOf(page, 'x'), readsOf(page, 'y'), readsOf(page, 'z'), readsOf(page, 'other')]).toEqual([
      undefined,
      14,
      14,
      11,
    ])
    all.ended('a')
    expect([...all.commandsOfTheDead()].sort()).toEqual([
      ['y', 6],
      ['z', 5],
    ])
    const later = new Set(['w', 'z'])
    const without = all.merge([{ worker: 1, life: 'b', text: await b.metrics.render(later) }], later)
    expect([readsOf(without, 'z'), readsOf(without, 'y'), readsOf(without, 'other')]).toEqual([14, undefined, 11])
  })
})
