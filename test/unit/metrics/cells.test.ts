import {
  Cells,
  FallbackReason,
  fallbackIndex,
  fallbackReasonNames,
  Kind,
  kindNames,
  Outcome,
  outcomeNames,
  Role,
  regionsMax,
  Source,
  servedIndex,
  sourceNames,
} from '../../../src/metrics/cells.ts'
import { reasonNames } from '../../../src/routing/choose.ts'

describe('Cells', () => {
  test('ids and names agree', () => {
    expect(kindNames.map((name) => Kind[name])).toEqual([0, 1, 2, 3])
    expect(outcomeNames.map((name) => Outcome[name])).toEqual([0, 1, 2, 3, 4, 5])
    expect(sourceNames.map((name) => Source[name])).toEqual([0, 1, 2, 3])
    expect(fallbackReasonNames.map((name) => FallbackReason[name])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect(fallbackReasonNames.slice(0, reasonNames.length)).toEqual(reasonNames)
  })

  test('a region keeps its index, and too many regions share one', () => {
    const cells = new Cells({ commandNames: [] })
    expect([cells.regionIndex('a'), cells.regionIndex('b'), cells.regionIndex('a')]).toEqual([0, 1, 0])
    for (let i = 0; i < 2 * regionsMax; i++) expect(cells.regionIndex(`r${i}`)).toBeLessThan(regionsMax)
    expect(cells.regions).toHaveLength(regionsMax)
    expect(cells.regions.at(-1)).toBe('other')
    expect(cells.regionIndex('b')).toBe(1)
  })

  test('no two (from, to, reason) and no two (region, source) share a cell', () => {
    const cells = new Cells({ commandNames: [] })
    const places = new Set<number>()
    for (let from = 0; from < regionsMax; from++) {
      for (let to = 0; to < regionsMax; to++) {
        for (const reason of Object.values(FallbackReason)) places.add(fallbackIndex(from, to, reason))
      }
    }
    expect(places.size).toBe(cells.fallbacks.length)
    expect(Math.max(...places)).toBe(cells.fallbacks.length - 1)
    const served = new Set<number>()
    for (let region = 0; region < regionsMax; region++) {
      for (const source of Object.values(Source)) served.add(servedIndex(region, source))
    }
    expect(served.size).toBe(cells.tenant('a').served.length)
  })

  test('a tenant has one set of cells until it is retired', () => {
    const cells = new Cells({ commandNames: [] })
    const first = cells.tenant('a')
    expect(cells.tenant('a')).toBe(first)
    cells.retireTenant('a')
    expect(cells.tenant('a')).not.toBe(first)
  })

  test('sums of a tenant', () => {
    const tenant = new Cells({ commandNames: [] }).tenant('a')
    tenant.reads = 5
    tenant.writes = 4
    tenant.admin = 3
    tenant.pubsub = 2
    tenant.fail(Kind.read, Outcome.denied)
    tenant.fail(Kind.write, Outcome.denied, 2)
    tenant.served[servedIndex(0, Source.local)]! += 4
    tenant.served[servedIndex(1, Source.local)]! += 1
    expect(tenant.commands()).toBe(14)
    expect(tenant.failures(Outcome.denied)).toBe(3)
    expect(tenant.failures(Outcome.error)).toBe(0)
    expect(tenant.readsFrom(Source.local)).toBe(5)
    expect(tenant.readsFrom(Source.primary)).toBe(0)
  })

  test('histograms by region and role are distinct and stay', () => {
    const cells = new Cells({ commandNames: [] })
    const primary = cells.upstreamDurationOf(0, Role.primary)
    expect(cells.upstreamDurationOf(0, Role.replica)).not.toBe(primary)
    expect(cells.upstreamDurationOf(1, Role.primary)).not.toBe(primary)
    expect(cells.upstreamDurationOf(0, Role.primary)).toBe(primary)
    expect(new Set(cells.commandDuration).size).toBe(kindNames.length * sourceNames.length)
  })

  test('the place for unknown commands is the last', () => {
    const { commands } = new Cells({ commandNames: ['get', 'set'] })
    expect(commands.names[commands.other]).toBe('other')
    expect(commands.calls).toHaveLength(3)
  })
})
