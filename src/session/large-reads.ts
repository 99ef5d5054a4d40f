/**
 * Reads whose replies are large leave the shared lanes. A lane tells of a reply above `largeReplyBytes`; from then on its
 * tenant's reads are named to the lanes by a hash, so that the next large reply says which read it was, and that read goes by
 * the bulk lane for as long as its replies stay large (tenant/large-keys.ts). Tenants without such replies pay nothing.
 *
 *   GET big -> shared lane: 1 MiB       the tenant has large replies
 *   GET big -> shared lane: 1 MiB       this read has
 *   GET big -> bulk lane
 */
import { ownReplyBytes } from '../base/limits.ts'
import type { RequestFramer } from '../resp/request-framer.ts'
import type { TenantState } from '../tenant/account.ts'
import { addName, beginRead, endRead, LargeKeys, largeForMs } from '../tenant/large-keys.ts'

/** Tenants of which this is kept, 12 KiB each. */
const tenantsMax = 1024
/** Of a read with more keys only the first say which it is. */
const keysHashedMax = 8

export class LargeReads {
  private readonly tenants = new Set<TenantState>()
  private readonly now: () => number
  /** Of the read that was asked about last. */
  hash = 0

  constructor(now: () => number) {
    this.now = now
  }

  /** A reply to this tenant was large; `hash`: the read that it answers, 0: not known. */
  seen(tenant: TenantState, hash: number, size: number): void {
    const nowMs = this.now()
    if (tenant.large === undefined) {
      if (this.tenants.size >= tenantsMax) this.forget(this.tenants.values().next().value!)
      tenant.large = new LargeKeys()
      this.tenants.add(tenant)
    }
    tenant.large.seenAtMs = Math.max(tenant.large.seenAtMs, nowMs)
    if (hash !== 0) tenant.large.learn(hash, nowMs, size > ownReplyBytes)
  }

  /** A large value was written to this key: the read with this id will have a large reply. */
  wrote(tenant: TenantState, readId: number, bytes: Uint8Array, off: number, len: number, size: number): void {
    beginRead(readId, 1)
    addName(bytes, off, len)
    this.seen(tenant, endRead(), size)
  }

  /** Was the reply to the read that was asked about last, and that is large, larger than a shared connection should carry? */
  isHuge(large: LargeKeys): boolean {
    return large.isHuge(this.hash)
  }

  /** Was the reply to this read large the last time? */
  isLarge(
    tenant: TenantState,
    large: LargeKeys,
    id: number,
    frame: RequestFramer,
    keys: { readonly count: number; readonly arg: Int32Array },
    bytes: Uint8Array,
    nowMs: number,
  ): boolean {
    this.hash = 0
    if (nowMs - large.seenAtMs > largeForMs) {
      this.forget(tenant)
      return false
    }
    beginRead(id, keys.count)
    const count = Math.min(keys.count, keysHashedMax)
    for (let i = 0; i < count; i++) {
      const a = keys.arg[i]!
      addName(bytes, frame.off[a]!, frame.len[a]!)
    }
    this.hash = endRead()
    return large.has(this.hash, nowMs)
  }

  private forget(tenant: TenantState): void {
    tenant.large = undefined
    this.tenants.delete(tenant)
  }
}
