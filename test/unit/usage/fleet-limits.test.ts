import { BYTES, OPS } from '../../../src/quota/fleet-record.ts'
import { type QuotaLimits, TenantQuota } from '../../../src/quota/tenant-quota.ts'
import { FleetUsage } from '../../../src/usage/fleet.ts'
import { FleetQuota, isFleetWide, limitIsThere } from '../../../src/usage/fleet-limits.ts'

const limits: QuotaLimits = { opsPerS: 1_000, bytesPerS: 1e6, scope: 'fleet', whenExceeded: 'error' }
const newQuota = (of = limits): TenantQuota => new TenantQuota(of, { bytesOut: 0, answered: 0 } as never, 0)

test('a limit is of the whole fleet when it says so and counts commands or bytes', () => {
  expect(isFleetWide(limits)).toBe(true)
  expect(isFleetWide({ ...limits, scope: 'proxy' })).toBe(false)
  expect(isFleetWide({ connections: 5, scope: 'fleet', whenExceeded: 'delay' })).toBe(false)
  expect(isFleetWide(undefined)).toBe(false)
})

test('what a quota counts is told, what was refused too', () => {
  const quota = newQuota()
  const shared = new FleetQuota(
    'shop',
    () => quota,
    () => 0,
  )
  quota.take(3, 300, false)
  quota.noteRefused(2, 200)
  quota.noteDelayed(10)
  expect([shared.asked(OPS), shared.commands(), shared.refused(), shared.delayedMs()]).toEqual([5, 2, 1, 10])
  expect([shared.limit(OPS), shared.limit(BYTES)]).toEqual([1_000, 1e6])
})

test('a share is the rate of the bucket, and its burst is divided with it', () => {
  const quota = newQuota({ ...limits, burst: 500 })
  const shared = new FleetQuota(
    'shop',
    () => quota,
    () => 0,
  )
  shared.setShare(100, 0)
  expect([quota.ops!.rate, quota.ops!.burst, quota.bytes!.rate]).toEqual([100, 50, 1e6])
})

test('of another limit it is the same part, at once', () => {
  const quota = newQuota()
  new FleetQuota(
    'shop',
    () => quota,
    () => 0,
  ).setShare(250, 1e5)
  quota.setLimits({ ...limits, opsPerS: 4_000 }, 0)
  expect([quota.ops!.rate, quota.bytes!.rate]).toEqual([1_000, 1e5])
  quota.setLimits({ ...limits, opsPerS: 100 }, 0)
  expect(quota.ops!.rate).toBe(25)
  quota.setLimits({ ...limits, scope: 'proxy' }, 0)
  expect(quota.ops!.rate).toBe(1_000)
})

test('a quota that a reload has put in the place of another has not been told its share', () => {
  let quota: TenantQuota | undefined = newQuota()
  const shared = new FleetQuota(
    'shop',
    () => quota,
    () => 0,
  )
  expect(shared.isNew).toBe(true)
  shared.setShare(100, 100)
  expect(shared.isNew).toBe(false)
  quota = newQuota()
  expect(shared.isNew).toBe(true)
  quota = undefined
  expect([shared.limit(OPS), shared.asked(OPS)]).toEqual([0, 0])
  quota = newQuota({ ...limits, scope: 'proxy' })
  expect(shared.limit(OPS)).toBe(0)
})

test('who leaves the configuration is forgotten, and who comes back under the same name is told its own share', () => {
  const fleet = new FleetUsage('p', { read: () => {}, write: () => {}, refused: () => {} })
  const nowUs = (): number => 0
  const shared = (name: string, quota: TenantQuota): TenantQuota => {
    fleet.add(new FleetQuota(name, () => quota, nowUs))
    return quota
  }
  for (const name of ['shop', 'shop/report', 'shop/app', 'old', 'old/app']) shared(name, newQuota())
  const users = new Set(['shop/app'])
  fleet.keep(
    limitIsThere(
      (user, tenant) => users.has(`${tenant}/${user}`),
      (id) => id === 'shop',
    ),
  )
  expect(['shop', 'shop/report', 'shop/app', 'old', 'old/app'].filter((name) => fleet.has(name))).toEqual([
    'shop',
    'shop/app',
  ])
  // As `shareQuotas` does it for a login: without that the newcomer would have the whole limit for ever.
  const again = shared('shop/report', newQuota())
  expect(again.ops!.rate).toBe(100)
})
