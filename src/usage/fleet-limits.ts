/** Which of a tenant's and its users' quotas are limits of the whole fleet, and how fleet.ts sees them. */
import { type Kind, OPS } from '../quota/fleet-record.ts'
import type { QuotaLimits, TenantQuota } from '../quota/tenant-quota.ts'
import { type Account, openUse } from '../tenant/account.ts'
import type { FleetLimit, FleetUsage } from './fleet.ts'

/** Something of this is shared with other proxies. */
export function isFleetWide(limits: QuotaLimits | undefined): boolean {
  return limits?.scope === 'fleet' && (limits.opsPerS !== undefined || limits.bytesPerS !== undefined)
}

/** A reload may put another quota in the place of the one that was there: asked for anew each time. */
export class FleetQuota implements FleetLimit {
  readonly name: string
  private readonly quota: () => TenantQuota | undefined
  private readonly nowUs: () => number
  private readonly scope: QuotaLimits['scope']
  private told: TenantQuota | undefined

  /** `scope`: limits of another one are not divided by whom this is for. */
  constructor(
    name: string,
    quota: () => TenantQuota | undefined,
    nowUs: () => number,
    scope: QuotaLimits['scope'] = 'fleet',
  ) {
    this.scope = scope
    this.name = name
    this.quota = quota
    this.nowUs = nowUs
  }

  get isNew(): boolean {
    return this.quota() !== this.told
  }

  limit(kind: Kind): number {
    const limits = this.quota()?.limits
    if (limits?.scope !== this.scope) return 0
    return (kind === OPS ? limits.opsPerS : limits.bytesPerS) ?? 0
  }

  asked(kind: Kind): number {
    const quota = this.quota()
    if (quota === undefined) return 0
    return kind === OPS ? quota.acceptedUnits + quota.refusedUnits : quota.acceptedBytes + quota.refusedBytes
  }

  commands(): number {
    const quota = this.quota()
    return quota === undefined ? 0 : quota.accepted + quota.refused
  }

  refused(): number {
    return this.quota()?.refused ?? 0
  }

  delayedMs(): number {
    return this.quota()?.delayedMs ?? 0
  }

  /** Fractions of the limits of this scope; a quota of another one is divided by others. */
  divide(ops: number, bytes: number): void {
    const quota = this.quota()
    this.told = quota
    if (quota === undefined || quota.limits.scope !== this.scope) return
    quota.isDivided = true
    const { opsPerS, bytesPerS } = quota.limits
    quota.setShare(
      opsPerS === undefined ? undefined : opsPerS * ops,
      bytesPerS === undefined ? undefined : bytesPerS * bytes,
      this.nowUs(),
    )
  }

  setShare(opsPerSecond: number, bytesPerSecond: number): void {
    this.told = this.quota()
    this.told?.setShare(given(opsPerSecond), given(bytesPerSecond), this.nowUs())
  }
}

const given = (share: number): number | undefined => (share === 0 ? undefined : share)

/** The quotas of who logs in are shared from now on, if they are of the whole fleet. Each is opened before its first command. */
export function shareQuotas(fleet: FleetUsage, account: Account, nowUs: () => number): void {
  const { tenant, limits } = account
  if (tenant === undefined) return
  if (isFleetWide(tenant.limits) && !fleet.has(tenant.id)) {
    tenant.openQuota(nowUs())
    fleet.add(new FleetQuota(tenant.id, () => tenant.quota, nowUs))
  }
  if (!isFleetWide(limits)) return
  const name = `${tenant.id}/${account.user}`
  if (fleet.has(name)) return
  openUse(account, nowUs() / 1000)
  fleet.add(new FleetQuota(name, () => account.use?.quota, nowUs))
}

/** After a reload: is the tenant, or the user of one (`tenant/user`), still in the configuration? */
export function limitIsThere(
  isUserOf: (user: string, tenant: string) => boolean,
  isTenant: (id: string) => boolean,
): (name: string) => boolean {
  return (name) => {
    const [tenant = '', user] = name.split('/')
    return user === undefined ? isTenant(tenant) : isUserOf(user, tenant)
  }
}
