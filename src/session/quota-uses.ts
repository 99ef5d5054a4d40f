/**
 * What a tenant and its users may use and use now, measured for whoever asks: clients (PROXY WHOAMI), operators and a scrape.
 * How it is put side by side is quota/uses.ts; nothing is refused here.
 */
import { type QuotaUse, type Used, usesOf } from '../quota/uses.ts'
import type { TenantState } from '../tenant/account.ts'
import type { SessionAccount } from './session.ts'

export interface QuotaUsesHands {
  /** Connections of a user of a tenant; undefined: none. */
  connectionsOf(user: string): number | undefined
  leasesOf(tenant: string): number
  /** What its keys take; absent: not measured. */
  memoryOf(tenant: string): Pick<Used, 'memoryBytes' | 'keys'>
  nowUs(): number
}

export class QuotaUses {
  private readonly hands: QuotaUsesHands

  constructor(hands: QuotaUsesHands) {
    this.hands = hands
  }

  /** Of a user and its tenant; undefined and operators: nothing. */
  ofAccount(account: SessionAccount | undefined): { readonly tenant: QuotaUse[]; readonly user: QuotaUse[] } {
    if (account?.tenant === undefined) return { tenant: [], user: [] }
    const { limits, use, user } = account
    const usage = use?.quota.usage(this.hands.nowUs())
    const used: Used = { ...usage, connections: this.hands.connectionsOf(user) }
    return { tenant: this.ofTenant(account.tenant), user: usesOf(limits, used, use?.quota, undefined) }
  }

  ofTenant(tenant: TenantState): QuotaUse[] {
    const { id, limits, quota, cells } = tenant
    if (limits === undefined) return []
    const { hands } = this
    const usage = quota?.usage(hands.nowUs()) ?? { unitsPerS: 0, bytesPerS: 0 }
    const { inFlight } = tenant
    const used: Used = {
      ...usage,
      connections: cells.connections,
      leases: hands.leasesOf(id),
      inFlight,
      ...hands.memoryOf(id),
    }
    return usesOf(limits, used, quota, cells.quotas)
  }
}
