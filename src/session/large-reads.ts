/**
 * Reads whose replies are large leave the shared lanes. A lane tells of a reply above `largeReplyBytes`; from then on its
 * tenant's reads are named to the lanes by a hash for a while, so that the next large reply says which read it was, and that read
 * goes by the bulk lane for as long as its replies stay large (tenant/large-keys.ts). Tenants without such replies pay nothing,
 * and those with some little: reads of commands and key lengths that had none are not hashed.
 *
 *   GET big -> shared lane: 1 MiB       the tenant has large replies
 *   GET big -> shared lane: 1 MiB       this read has
 *   GET big -> bulk lane
 */
import { largeReplyBytes, ownReplyBytes } from '../base/limits.ts'
import type { RequestFramer } from '../resp/request-framer.ts'
import type { TenantState } from '../tenant/account.ts'
import { addName, beginRead, endRead, kindOf, LargeKeys, largeForMs } from '../tenant/large-keys.ts'

/** Tenants of which this is kept, 12 KiB each. */
const tenantsMax = 1024
/**
 * For so long all reads of a tenant are named after a large reply of which it is not known what it answers, by its size: one of 64 KiB
 * once a second holds nobody up, one of 4 MiB once a minute does.
 */
const namingMs = (size: number): number => Math.min(largeForMs, (1_000 * size) / largeReplyBytes)
/** Of a read with more keys only the first say which it is. */
const keysHashedMax = 8

export class LargeReads {
  private readonly tenants = new Set<TenantState>()
  private readonly now: () => number
  /** Of the read that was asked about last; 0: it need not be named. */
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
    else tenant.large.namesUntilMs = Math.max(tenant.large.namesUntilMs, nowMs + namingMs(size))
  }

  /** A large value was written to this key: the read with this id will have a large reply. */
  wrote(tenant: TenantState, readId: number, bytes: Uint8Array, off: number, len: number, size: number): void {
    beginRead(readId, 1, kindOf(readId, len))
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
    const count = Math.min(keys.count, keysHashedMax)
    let size = 0
    for (let i = 0; i < count; i++) size += frame.len[keys.arg[i]!]!
    const kind = kindOf(id, size)
    if (nowMs >= large.namesUntilMs && !large.mayHave(kind)) return false
    beginRead(id, keys.count, kind)
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
