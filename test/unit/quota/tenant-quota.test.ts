import { burstOf, type QuotaLimits, TenantQuota } from '../../../src/quota/tenant-quota.ts'
import { usesOf } from '../../../src/quota/uses.ts'

const base = { scope: 'fleet', whenExceeded: 'error' } as const
const second = 1_000_000

function quotaOf(limits: Partial<QuotaLimits>): { quota: TenantQuota; traffic: { bytesOut: number } } {
  const traffic = { bytesOut: 0 }
  return { quota: new TenantQuota({ ...base, ...limits }, traffic, 0), traffic }
}

/** How many commands of one unit, and so many bytes, go on at once. */
function takeAll(quota: TenantQuota, nowUs: number, bytes = 0): number {
  let taken = 0
  while (taken < 100_000 && quota.waitUs(1, bytes, nowUs) === 0) {
    quota.take(1, bytes, false)
    taken++
  }
  return taken
}

test('a burst that is not given is a quarter of a second, and at least ten', () => {
  expect([burstOf(20_000, undefined), burstOf(3, undefined), burstOf(20_000, 7)]).toEqual([5_000, 10, 7])
})

describe('limits change at once:', () => {
  test('raised, what the larger burst has more is there', () => {
    const { quota } = quotaOf({ opsPerS: 10, burst: 10 })
    expect(takeAll(quota, 0)).toBe(10)
    quota.setLimits({ ...base, opsPerS: 1_000, burst: 100 }, 0)
    expect(takeAll(quota, 0)).toBe(90)
    expect(takeAll(quota, 50_000)).toBe(50)
  })

  test('lowered, no more than the smaller burst is left', () => {
    const { quota } = quotaOf({ opsPerS: 1_000, burst: 1_000 })
    quota.setLimits({ ...base, opsPerS: 10, burst: 5 }, 0)
    expect(takeAll(quota, 0)).toBe(5)
    expect(takeAll(quota, second)).toBe(5)
  })

  test('taken away and given back, it begins full', () => {
    const { quota } = quotaOf({ opsPerS: 10, burst: 5 })
    takeAll(quota, 0)
    quota.setLimits(base, 0)
    expect([quota.isMetered, takeAll(quota, 0)]).toEqual([false, 100_000])
    quota.setLimits({ ...base, opsPerS: 10, burst: 5 }, 0)
    expect(takeAll(quota, 0)).toBe(5)
  })
})

describe('a part of a fleet-wide limit', () => {
  test('is its rate and its part of the burst, and undefined is all of it', () => {
    const { quota } = quotaOf({ opsPerS: 1_000, burst: 100 })
    quota.setShare(300, undefined, 0)
    expect(takeAll(quota, 0)).toBe(30)
    expect(takeAll(quota, 100_000)).toBe(30)
    quota.setShare(undefined, undefined, 100_000)
    expect(takeAll(quota, 200_000)).toBe(100)
  })

  test('that goes up and down gives nothing away', () => {
    const { quota } = quotaOf({ opsPerS: 1_000, burst: 1_000 })
    takeAll(quota, 0)
    let taken = 0
    // Ten seconds of one share or the other, changed a hundred times a second.
    for (let i = 1; i <= 1_000; i++) {
      quota.setShare(i % 2 === 0 ? 900 : 100, undefined, i * 10_000)
      taken += takeAll(quota, i * 10_000)
    }
    expect(taken).toBeGreaterThan(4_800)
    expect(taken).toBeLessThanOrEqual(5_010)
  })

  test('is never above the limit, nor nothing', () => {
    const { quota } = quotaOf({ opsPerS: 1_000, burst: 100 })
    quota.setShare(5_000, undefined, 0)
    expect(quota.ops!.rate).toBe(1_000)
    quota.setShare(0, undefined, 0)
    expect(quota.ops!.rate).toBeGreaterThan(0)
    expect(quota.ops!.burst).toBe(1)
  })
})

describe('what is owed afterwards', () => {
  test('small replies are paid for by their commands, and nothing is saved up for a large one later', () => {
    const { quota, traffic } = quotaOf({ opsPerS: 1_000, burst: 1_000 })
    for (let i = 0; i < 100; i++) quota.take(1, 0, false)
    traffic.bytesOut += 100 * 4096
    quota.look(1_000)
    expect(quota.acceptedUnits).toBe(100)
    for (let i = 0; i < 100; i++) quota.take(1, 0, false)
    quota.look(2 * second) // two seconds later what they paid for is forgotten
    traffic.bytesOut += 50 * 4096
    quota.look(2 * second + 1)
    expect(quota.acceptedUnits).toBe(250)
  })

  test('an error that says that a command was refused is not', () => {
    const { quota, traffic } = quotaOf({ opsPerS: 10, burst: 10, bytesPerS: 1_000_000 })
    for (let i = 0; i < 1_000; i++) quota.notCharged(70)
    quota.look(1)
    traffic.bytesOut += 70_000
    quota.look(2)
    expect([quota.acceptedUnits, quota.acceptedBytes]).toEqual([0, 0])
    expect(takeAll(quota, 3)).toBe(10)
  })

  test('nor is it when it goes out a period later, as behind a slow reply', () => {
    const { quota, traffic } = quotaOf({ opsPerS: 10, burst: 10 })
    for (let ms = 0; ms < 1_000; ms += 100) {
      quota.notCharged(7_000)
      quota.look(ms * 1_000)
    }
    traffic.bytesOut += 70_000
    quota.look(second)
    expect(quota.acceptedUnits).toBe(0)
  })

  test('replies are expected to be as large as they were, so a pipeline of large ones does not pass whole', () => {
    const { quota, traffic } = quotaOf({ bytesPerS: 1_000_000 })
    let nowUs = 0
    // One after the other, 10 kB each, as fast as they may.
    for (let i = 0; i < 200; i++) {
      nowUs += 10_100
      quota.look(nowUs)
      quota.take(1, 30, false)
      traffic.bytesOut += 10_000
    }
    nowUs += 2 * second
    quota.look(nowUs)
    const passed = takeAll(quota, nowUs, 30)
    // A burst of a quarter of a second is 25 of them; without that all would pass.
    expect(passed).toBeGreaterThan(20)
    expect(passed).toBeLessThan(30)
    // As they come they are charged once, not twice.
    traffic.bytesOut += passed * 10_000
    quota.look(nowUs + 1)
    expect(takeAll(quota, nowUs + 1, 30)).toBeLessThan(2)
    expect(takeAll(quota, nowUs + 100_000, 30)).toBeGreaterThan(8)
  })

  test('what was taken on account for a reply that never came is given back', () => {
    const { quota, traffic } = quotaOf({ bytesPerS: 100_000 })
    for (let i = 1; i <= 40; i++) {
      quota.look(i * 300_000)
      quota.take(1, 10, false)
      traffic.bytesOut += 20_000
    }
    let nowUs = 20 * second
    quota.look(nowUs)
    // So slow that time alone brings nothing.
    quota.setLimits({ ...base, bytesPerS: 1_000 }, nowUs)
    const first = takeAll(quota, nowUs, 10)
    expect(first).toBeGreaterThan(2)
    expect(first).toBeLessThan(10)
    for (let i = 0; i < 3; i++) {
      nowUs += 300_000
      quota.look(nowUs)
    }
    expect(takeAll(quota, nowUs, 10)).toBeGreaterThanOrEqual(first - 1)
  })
})

test('use is told of the last second with traffic, beside the limit', () => {
  const { quota } = quotaOf({ opsPerS: 1_000, bytesPerS: 5_000 })
  for (let ms = 0; ms <= 1_000; ms += 10) {
    quota.look(ms * 1_000)
    quota.take(1, 20, true)
  }
  const usage = quota.usage(second + 10_000)
  expect(usage).toEqual({ unitsPerS: 100, bytesPerS: 2_000 })
  quota.setShare(250, undefined, second + 20_000)
  expect(usesOf(quota.limits, usage, quota, undefined)).toEqual([
    { quota: 'ops', limit: 1_000, share: 250, used: 100, delayed: 0, refused: 0 },
    { quota: 'bandwidth', limit: 5_000, used: 2_000, delayed: 0, refused: 0 },
  ])
})
