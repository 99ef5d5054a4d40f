import { Cells, Kind, Outcome, outcomeNames, type TenantCells } from '../../../src/metrics/cells.ts'
import { bytesInOffset, TenantFold, type TenantLabel, tenantCounters } from '../../../src/metrics/fold.ts'

const ok = Kind.read * outcomeNames.length + Outcome.ok

function setUp() {
  const cells = new Cells({ commandNames: [] })
  const fold = new TenantFold()
  const read = (id: string, count: number): TenantCells => {
    const tenant = cells.tenant(id)
    tenant.reads += count
    return tenant
  }
  const scrape = (label: TenantLabel) =>
    Object.fromEntries(fold.update(cells.tenants, label).map((s) => [s.tenant, s.counters[ok]]))
  return { cells, fold, read, scrape }
}

describe('TenantFold', () => {
  test('all names every tenant, none names nobody', () => {
    const { read, scrape, fold } = setUp()
    read('shop', 3)
    read('dev', 4)
    expect(scrape('all')).toEqual({ shop: 3, dev: 4 })
    expect(fold.foldedCount).toBe(0)
    expect(setUp().scrape('none')).toEqual({})
    const other = setUp()
    other.read('shop', 3)
    other.read('dev', 4)
    expect(other.scrape('none')).toEqual({ other: 7 })
    expect(other.fold.foldedCount).toBe(2)
  })

  test('top:N names the N largest', () => {
    const { read, scrape } = setUp()
    read('a', 1)
    read('b', 9)
    read('c', 5)
    expect(scrape({ top: 2 })).toEqual({ b: 9, c: 5, other: 1 })
  })

  test('other never falls when a tenant grows out of it, and counts only what was counted while folded', () => {
    const { read, scrape } = setUp()
    read('a', 10)
    read('b', 5)
    expect(scrape({ top: 1 })).toEqual({ a: 10, other: 5 })
    read('b', 20)
    expect(scrape({ top: 1 })).toEqual({ b: 25, other: 5 })
    read('a', 7)
    expect(scrape({ top: 1 })).toEqual({ b: 25, other: 12 })
  })

  test('random growth, arrivals and departures: no counter of other ever falls', () => {
    const { cells, fold, read } = setUp()
    let seed = 7
    const random = (below: number) => {
      seed ^= seed << 13 // xorshift32: the low bits of a plain LCG repeat
      seed ^= seed >>> 17
      seed ^= seed << 5
      return (seed >>> 0) % below
    }
    let before = new Float64Array(tenantCounters)
    for (let round = 0; round < 300; round++) {
      const tenant = read(`t${random(8)}`, random(50))
      tenant.bytesIn += random(1000)
      if (tenant.reads > 0 && random(3) === 0) tenant.fail(Kind.read, Outcome.error)
      if (random(10) === 0) cells.retireTenant(`t${random(8)}`)
      const other = fold.update(cells.tenants, { top: 3 }).find((s) => s.tenant === 'other')
      if (other === undefined) continue
      for (let i = 0; i < tenantCounters; i++) expect(other.counters[i]).toBeGreaterThanOrEqual(before[i]!)
      before = Float64Array.from(other.counters)
    }
    expect(before[bytesInOffset]).toBeGreaterThan(0)
  })

  test('what a folded tenant counted before it left the configuration is not lost', () => {
    const { cells, read, scrape } = setUp()
    read('a', 1)
    expect(scrape('none')).toEqual({ other: 1 })
    read('a', 4)
    cells.retireTenant('a')
    expect(scrape('none')).toEqual({ other: 5 })
    read('a', 2)
    expect(scrape('none')).toEqual({ other: 7 })
  })

  test('a command that fails late moves to its outcome, and ok does not fall below what was shown', () => {
    const { cells, read, scrape } = setUp()
    read('a', 10)
    expect(scrape('all')).toEqual({ a: 10 })
    cells.tenant('a').fail(Kind.read, Outcome.timeout, 3)
    expect(scrape('all')).toEqual({ a: 10 })
    read('a', 5)
    expect(scrape('all')).toEqual({ a: 12 })
  })

  test('a tenant that is called other is folded, not mixed up', () => {
    const { read, scrape } = setUp()
    read('other', 2)
    read('a', 3)
    expect(scrape('all')).toEqual({ a: 3, other: 2 })
  })

  describe('with tenants that were never used', () => {
    const configured = (count: number) => ({
      count,
      ids: function* () {
        for (let i = 0; i < count; i++) yield `t${i}`
      },
    })

    test('labels that are left show zeros, and nothing is kept for the rest', () => {
      const { cells, fold, read } = setUp()
      read('t5', 3)
      const series = fold.update(cells.tenants, { top: 3 }, configured(100_000))
      expect(series.map((s) => [s.tenant, s.counters[ok]])).toEqual([
        ['t5', 3],
        ['t0', 0],
        ['t1', 0],
        ['other', 0],
      ])
      expect([fold.foldedCount, cells.tenants.size]).toEqual([99_997, 1])
      expect(fold.update(cells.tenants, 'none', configured(10)).map((s) => s.tenant)).toEqual(['other'])
      expect(fold.update(cells.tenants, 'all', configured(3)).map((s) => s.tenant)).toEqual([
        't5',
        't0',
        't1',
        't2',
        'other',
      ])
    })

    test('a tenant whose first command comes after many scrapes is counted whole', () => {
      const { cells, fold, read } = setUp()
      const scrape = () =>
        Object.fromEntries(fold.update(cells.tenants, { top: 1 }, configured(9)).map((s) => [s.tenant, s.counters[ok]]))
      read('t8', 50)
      for (let i = 0; i < 10; i++) expect(scrape()).toEqual({ t8: 50, other: 0 })
      read('t3', 7)
      expect(scrape()).toEqual({ t8: 50, other: 7 })
    })
  })

  test('what rests between scrapes is not lost when it goes on: other has all that was counted while folded', () => {
    const { cells, fold, read } = setUp()
    let [seed, other] = [11, 0]
    const random = (below: number) => {
      seed ^= seed << 13
      seed ^= seed >>> 17
      seed ^= seed << 5
      return (seed >>> 0) % below
    }
    /** By tenant: what it had counted at the scrape before. */
    const before = new Map<string, number>()
    for (let scrape = 0; scrape < 400; scrape++) {
      for (let i = random(3); i > 0; i--) read(`t${random(40)}`, random(5))
      const shown = new Map(fold.update(cells.tenants, { top: 4 }).map((s) => [s.tenant, s.counters[ok]]))
      for (const [id, { reads }] of cells.tenants) {
        if (shown.has(id)) expect(shown.get(id)).toBe(reads)
        else other += reads - (before.get(id) ?? 0)
        before.set(id, reads)
      }
      expect(shown.get('other') ?? 0).toBe(other)
    }
    expect(fold.foldedCount).toBe(36)
  })

  test('what fails after its client has gone is still counted by the scrapes that follow', () => {
    const { cells, fold, read } = setUp()
    const tenant = read('a', 5)
    const failures = () => fold.update(cells.tenants, 'none').map((s) => s.counters[Outcome.uncertain])
    failures()
    failures()
    tenant.fail(Kind.read, Outcome.uncertain, 2)
    expect(failures()).toEqual([2])
  })

  test('between tenants it lets others have a turn, and comes to the same', () => {
    const { cells, fold, read } = setUp()
    for (let i = 0; i < 5_000; i++) read(`t${i}`, i)
    let turns = 0
    const steps = fold.steps(cells.tenants, { top: 2 })
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) turns++
    expect(turns).toBeGreaterThanOrEqual(20)
    expect(step.value.map((s) => [s.tenant, s.counters[ok]])).toEqual([
      ['t4998', 4998],
      ['t4999', 4999],
      ['other', (4997 * 4998) / 2],
    ])
  })
})
