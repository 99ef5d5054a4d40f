/**
 * What one tenant has of memory and keys, between two looks at its keys: a meter for each (meter.ts), the keys of which much was
 * written, and whether something was deleted. For tenants with such a quota.
 */
import { largeKeysKept, recentKeyEveryBytes } from '../base/limits.ts'
import { lookAtKeys, Meter, type MeterMark } from './meter.ts'

/** What the allocator and the tables of Redis take for an argument at most besides its bytes: entry, object, header, rounding. */
export const argumentOverheadBytes = 64
/** A command whose result has nothing to do with the size of its request (SETRANGE, COPY ...) is taken to write so much. */
export const derivedBytes = 64 * 1024

/** What a server says of its data: bytes as MEMORY USAGE counts them, and keys. */
export interface ServerTotals {
  /** run_id. */
  readonly server: string
  readonly bytes: number
  readonly keys: number
}

/** Of what is fresh, what an answer of the primary will cover. */
export interface Covered {
  readonly bytes: number
  readonly keys: number
}

export interface Mark {
  readonly bytes: MeterMark
  readonly keys: MeterMark
  readonly deletes: number
}

export interface Found {
  readonly bytes: number
  readonly keys: number
  readonly errorBytes: number
  readonly errorKeys: number
}

const nothingCovered: Covered = { bytes: 0, keys: 0 }

export class MemoryAccount {
  readonly bytes: Meter
  readonly keys: Meter
  /** Monotonic ms; NaN: never yet. */
  measuredAtMs = Number.NaN
  /** Commands that delete, since it was measured. */
  deletes = 0
  /** Keys of which much was written of late, with the prefix, as latin1: they are looked at by name. */
  readonly recentKeys: string[] = []
  private recentAt = 0
  private untilRecent = recentKeyEveryBytes
  /** Commands wait for a look at its keys. */
  private waiting: (() => void)[] = []

  constructor(limitBytes: number, limitKeys: number) {
    this.bytes = new Meter(limitBytes)
    this.keys = new Meter(limitKeys)
  }

  /** Its tenant is used for the first time: as it was measured before. */
  begin(bytes: number, errorBytes: number, keys: number, atMs: number): void {
    this.bytes.begin(bytes, errorBytes)
    this.keys.begin(keys, 0)
    this.measuredAtMs = atMs
  }

  get isFull(): boolean {
    return this.bytes.isFull || this.keys.isFull
  }

  /** The greater of both: who looks at the keys has asked for the totals too. */
  get suspicion(): number {
    return Math.max(this.bytes.suspicion, this.keys.suspicion)
  }

  get isNear(): boolean {
    return this.bytes.isNear || this.keys.isNear
  }

  get isWaiting(): boolean {
    return this.waiting.length > 0
  }

  get wantsLook(): boolean {
    return this.isWaiting || this.bytes.wantsLook || this.keys.wantsLook
  }

  /** A command goes on that may add so much. */
  wrote(bytes: number, keys: number): void {
    this.bytes.wrote(bytes)
    this.keys.wrote(keys)
  }

  /** Is the key of this command, which may write so much, to be remembered? */
  wantsKey(bytes: number): boolean {
    this.untilRecent -= bytes
    return this.untilRecent <= 0
  }

  remember(key: string): void {
    this.untilRecent = recentKeyEveryBytes
    if (this.recentKeys.includes(key)) return
    this.recentKeys[this.recentAt++ % largeKeysKept] = key
  }

  /** Calls back when its keys were looked at, or `giveUp` says that nobody can. */
  whenLookedAt(then: () => void): void {
    this.waiting.push(then)
  }

  giveUp(): void {
    if (this.suspicion === lookAtKeys) {
      this.bytes.presume()
      this.keys.presume()
    }
    this.release()
  }

  asked(): Covered {
    if (this.bytes.fresh === 0 && this.keys.fresh === 0) return nothingCovered
    return { bytes: this.bytes.asked(), keys: this.keys.asked() }
  }

  told(totals: ServerTotals | undefined, covered: Covered, shareBytes: number, shareKeys: number): void {
    this.bytes.told(totals?.bytes, totals?.server ?? '', covered.bytes, shareBytes)
    this.keys.told(totals?.keys, totals?.server ?? '', covered.keys, shareKeys)
  }

  mark(): Mark {
    return { bytes: this.bytes.mark(), keys: this.keys.mark(), deletes: this.deletes }
  }

  measured(found: Found, mark: Mark, nowMs: number, isWhole: boolean): void {
    const isStale = this.deletes > 0 || this.bytes.hasFallen || this.keys.hasFallen
    this.bytes.measured(found.bytes, found.errorBytes, mark.bytes, isWhole, isStale)
    this.keys.measured(found.keys, found.errorKeys, mark.keys, isWhole, isStale)
    this.measuredAtMs = nowMs
    this.deletes -= mark.deletes
    this.release()
  }

  /** A limit was changed. */
  limit(bytes: number, keys: number): void {
    this.bytes.limit = bytes
    this.keys.limit = keys
    this.bytes.decide()
    this.keys.decide()
  }

  private release(): void {
    for (const then of this.waiting.splice(0)) then()
  }
}
