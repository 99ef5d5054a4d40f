/**
 * What becomes of a write on its way to a node: fences of its keys, so that no session read of its tenant is served by a replica
 * that may lack it (regions/fences.ts), and a word to the other workers of this proxy. Not here: which replica has what.
 */
import { fenceKeysMax } from '../base/limits.ts'
import type { KeyList } from '../commands/keys.ts'
import type { Fences } from '../regions/fences.ts'
import type { SiblingLog } from '../regions/sibling-log.ts'
import type { SiblingWrites } from '../regions/sibling-writes.ts'
import type { RegionTracker } from '../regions/tracker.ts'
import type { Marks } from '../regions/watermark.ts'
import type { RequestFramer } from '../resp/request-framer.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Lane } from '../upstream/lane.ts'
import type { Session } from './session.ts'
import type { Transaction } from './transaction.ts'

export interface WriteFencesParts {
  readonly tracker: RegionTracker
  readonly fences: Fences
  /** Of the command that is being handled: its keys, and where they are. */
  readonly keys: KeyList
  readonly frame: RequestFramer
  now(): number
  /** How other workers are told; undefined: there are none. */
  siblings(): SiblingWrites | undefined
}

export class WriteFences {
  private readonly parts: WriteFencesParts
  private readonly tracker: RegionTracker
  private readonly marks: Marks
  private readonly fences: Fences
  private readonly keys: KeyList
  private readonly frame: RequestFramer

  constructor(parts: WriteFencesParts) {
    this.parts = parts
    this.tracker = parts.tracker
    this.marks = parts.tracker.marks
    this.fences = parts.fences
    this.keys = parts.keys
    this.frame = parts.frame
  }

  private get siblings(): SiblingWrites | undefined {
    return this.parts.siblings()
  }

  /**
   * A write whose keys were found is put on this lane: the tenant's session reads of these keys must see it from its reply on.
   * Nothing while the primary is the nearest node, which serves those reads.
   */
  write(session: Session, tenant: TenantState, lane: Lane, buf: Buffer, nowMs: number): void {
    const { tracker, fences, keys, frame, siblings } = this
    const isWide = keys.count === 0 || keys.count > fenceKeysMax
    if (lane.isLeased) {
      // Which node is the nearest counts when it is answered; `resume` knows nothing of these connections.
      if (isWide || tracker.isPrimaryNearest) session.hasLeasedWide = true
      else this.keepLeasedKeys(session, tenant, buf)
      return
    }
    if (siblings !== undefined) this.tellKeys(siblings.log, session, tenant, isWide, buf)
    if (tracker.isPrimaryNearest) return fences.skip()
    const sentAtMs = this.note(tenant, lane, nowMs)
    if (!tenant.hasSessionReads) return
    if (isWide) return fences.layWide(tenant, lane, sentAtMs)
    for (let i = 0; i < keys.count; i++) {
      const a = keys.arg[i]!
      const { off, len } = frame
      const key = fences.hashKey(tenant, session.database, session.prefix, buf, off[a]!, len[a]!)
      fences.layKey(tenant, key, lane, sentAtMs)
    }
  }

  /** The same for the other workers of this proxy. Their session reads may be served elsewhere than this one's. */
  private tellKeys(log: SiblingLog, session: Session, tenant: TenantState, isWide: boolean, buf: Buffer): void {
    if (!log.isLogging) return
    if (isWide || !tenant.hasSessionReads) return log.tenant(tenant)
    const { keys, frame, fences } = this
    for (let i = 0; i < keys.count; i++) {
      const a = keys.arg[i]!
      const key = fences.hashKey(tenant, session.database, session.prefix, buf, frame.off[a]!, frame.len[a]!)
      log.key(tenant, key.spread, key.b)
    }
  }

  private tellHashed(log: SiblingLog, tenant: TenantState, isWide: boolean, hashes: readonly number[]): void {
    if (!log.isLogging) return
    if (isWide || !tenant.hasSessionReads) return log.tenant(tenant)
    for (let i = 0; i < hashes.length; i += 2) log.key(tenant, hashes[i]!, hashes[i + 1]!)
  }

  /** Writes whose keys are not looked for again are put on this lane. */
  writeAgain(session: Session, lane: Lane, nowMs: number): void {
    const { tracker, fences, siblings } = this
    const tenant = session.account?.tenant
    if (tenant === undefined) return
    if (siblings?.log.isLogging === true) siblings.log.tenant(tenant)
    if (tracker.isPrimaryNearest) return fences.skip()
    const sentAtMs = this.note(tenant, lane, nowMs)
    if (tenant.hasSessionReads) fences.layWide(tenant, lane, sentAtMs)
  }

  /** Returns when the mark behind it is sent: with what is put on this lane now, or when the lane may carry the next. */
  private note(tenant: TenantState, lane: Lane, nowMs: number): number {
    const { fences } = this
    if (fences.isSkipping) fences.resume()
    const sentAtMs = Math.max(nowMs, lane.lastTrailAtMs + this.marks.gapMsNow)
    fences.noteWrite(tenant, lane, sentAtMs)
    return sentAtMs
  }

  /** A write is queued in a transaction. */
  queued(tenant: TenantState, transaction: Transaction, buf: Buffer): void {
    const { keys, frame, fences } = this
    const { writtenKeys, database } = transaction
    if (keys.count === 0 || writtenKeys.length + 2 * keys.count > 2 * fenceKeysMax) transaction.writesWide = true
    if (transaction.writesWide) return
    for (let i = 0; i < keys.count; i++) {
      const a = keys.arg[i]!
      const prefix = tenant.prefixes[database]!
      const key = fences.hashKey(tenant, database, prefix, buf, frame.off[a]!, frame.len[a]!)
      writtenKeys.push(key.spread, key.b)
    }
  }

  /** An EXEC with writes is put on this lane: their keys were hashed when they were queued. */
  exec(session: Session, tenant: TenantState, lane: Lane, transaction: Transaction, nowMs: number): void {
    const { tracker, fences, siblings } = this
    const { writtenKeys } = transaction
    const isWide = transaction.writesWide || writtenKeys.length === 0
    if (lane.isLeased) {
      if (isWide || tracker.isPrimaryNearest) session.hasLeasedWide = true
      else session.leasedKeys = [...session.leasedKeys, ...writtenKeys]
      return
    }
    if (siblings !== undefined) this.tellHashed(siblings.log, tenant, isWide, writtenKeys)
    if (tracker.isPrimaryNearest) return fences.skip()
    const sentAtMs = this.note(tenant, lane, nowMs)
    if (!tenant.hasSessionReads) return
    if (isWide) return fences.layWide(tenant, lane, sentAtMs)
    for (let i = 0; i < writtenKeys.length; i += 2)
      fences.layHashed(tenant, writtenKeys[i]!, writtenKeys[i + 1]!, lane, sentAtMs)
  }

  /** Their position is known when they are answered. */
  private keepLeasedKeys(session: Session, tenant: TenantState, buf: Buffer): void {
    const { keys, frame, fences } = this
    if (session.leasedKeys.length > 2 * fenceKeysMax) session.hasLeasedWide = true
    if (session.hasLeasedWide) return
    const found: number[] = []
    for (let i = 0; i < keys.count; i++) {
      const a = keys.arg[i]!
      const key = fences.hashKey(tenant, session.database, session.prefix, buf, frame.off[a]!, frame.len[a]!)
      found.push(key.spread, key.b)
    }
    session.leasedKeys = [...session.leasedKeys, ...found]
  }

  /** A write of the proxy's own for this tenant was answered, of keys that are not named: FLUSHDB. */
  wideWrite(tenant: TenantState): void {
    this.siblings?.tellNow(tenant)
    this.fences.raiseFloor(tenant, this.parts.now() + this.marks.gapMsNow)
    this.marks.wantWithin(this.marks.gapMsNow)
  }

  /**
   * One of this client's writes on its lease was answered. Which one is not known here: the keys of all in flight are covered from
   * now on at the earliest, and once more with each of the answers to come.
   */
  answeredOnLease(session: Session): void {
    const tenant = session.account?.tenant
    if (tenant === undefined) return
    const { fences, marks, tracker, siblings } = this
    if (tracker.isPrimaryNearest) fences.skip()
    else if (fences.isSkipping) fences.resume()
    const sentAtMs = this.parts.now() + marks.gapMsNow
    const { leasedKeys } = session
    const isWide = session.hasLeasedWide || leasedKeys.length === 0
    if (siblings !== undefined) {
      this.tellHashed(siblings.log, tenant, isWide, leasedKeys)
      siblings.log.publish() // before its reply goes out
    }
    if (isWide) fences.raiseFloor(tenant, sentAtMs)
    else {
      fences.noteAnswered(tenant, sentAtMs)
      if (tenant.hasSessionReads)
        for (let i = 0; i < leasedKeys.length; i += 2)
          fences.layAnswered(tenant, leasedKeys[i]!, leasedKeys[i + 1]!, sentAtMs)
    }
    if (tenant.hasSessionReads) marks.wantWithin(marks.gapMsNow)
  }
}
