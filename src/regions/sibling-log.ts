/**
 * What this worker tells its siblings of the writes that it puts on shared lanes: a ring of entries, and how far they are over.
 *
 *   write is put on a lane --append--> batch      lane is flushed --publish--> ring, then head      then the socket
 *
 * So whoever sees a reply to a write, and asks any worker afterwards, asks one that can see the entry. Nothing waits for
 * anybody: a sibling that stands still holds up nobody here.
 *
 * *Settled* up to an entry: every write up to it was answered or has failed for good. A moment is taken between two commands
 * (never while one is being put on a lane: its entry is there before it), and is over when each lane has given the answer to its
 * newest write of then, and no write of unknown fate is left.
 *
 * While no sibling serves session reads from replicas nothing is logged (`isLogging`). When one begins to want it, an entry for
 * everybody stands for all that was not.
 */
import type { TenantState } from '../tenant/account.ts'
import { hashOf, type KeyHash } from '../tenant/key-hash.ts'
import type { Lane } from '../upstream/lane.ts'
import {
  entryCheck,
  entryWords,
  flagLogs,
  flagWants,
  Head,
  headWords,
  kindEverybody,
  kindKey,
  kindTenant,
  putHead,
  type SiblingPages,
} from './sibling-format.ts'

/** Entries that are kept before they are written: what one turn of the event loop rarely exceeds. 24 KiB. */
const batchEntries = 1024
/** Moments that are not over yet, at most, and how close they follow each other: a round trip of 640 ms and more. */
const momentsMax = 128
const momentGapMs = 5
/** After nobody has wanted entries for this long, none are written. */
const keepLoggingMs = 10_000

export interface SiblingLogOptions {
  readonly pages: SiblingPages
  /** Of the pool, by index; grows. */
  readonly lanes: readonly Lane[]
  /** The run_id of the confirmed primary; '' while there is none. */
  readonly history: () => string
  /** There are writes of unknown fate that may still run. */
  readonly hasUnsettled: () => boolean
  /** May session reads of this worker be served by a node that is not the primary? */
  readonly wants: () => boolean
  readonly now: () => number
  /** What is written here does not reach the others any more: this process must end before it answers another write. */
  readonly failed: (error: unknown) => void
}

interface Moment {
  readonly written: number
  /** Lanes that had a write without an answer, and its number. */
  readonly open: [Lane, number][]
}

export class SiblingLog {
  /** Every write must be appended. */
  isLogging = true
  readonly head = new Head()
  private readonly options: SiblingLogOptions
  private readonly batchMax: number
  private readonly batch: Uint32Array
  private batched = 0
  private readonly headBytes = new Uint32Array(headWords)
  private readonly moments: Moment[] = []
  private lastMomentMs = Number.NEGATIVE_INFINITY
  private wantedAtMs: number
  private historyOf = ''
  private tenantBefore: TenantState | undefined

  /** `incarnation`: greater than that of any process before that was this worker. */
  constructor(options: SiblingLogOptions, incarnation: number) {
    this.options = options
    this.batchMax = Math.min(batchEntries, options.pages.ring)
    this.batch = new Uint32Array(this.batchMax * entryWords)
    this.head.incarnation = incarnation
    this.wantedAtMs = options.now()
    this.writeHead()
  }

  /** Entries so far, those that are not written yet among them. */
  get count(): number {
    return this.head.written + this.batched
  }

  // ---- writes ----

  key(tenant: TenantState, spread: number, tag: number): void {
    this.append(tenant, spread, tag, kindKey)
  }

  /** A write of this tenant whose keys are not told. */
  tenant(tenant: TenantState): void {
    // One entry stands for a row of them, as long as it is not written.
    if (this.tenantBefore === tenant) return
    this.append(tenant, 0, 0, kindTenant)
    this.tenantBefore = tenant
  }

  private append(tenant: TenantState | undefined, spread: number, tag: number, kind: number): void {
    if (this.batched === this.batchMax) this.publish()
    const { batch } = this
    const at = this.batched * entryWords
    const name = tenant === undefined ? undefined : fenceNameOf(tenant)
    batch[at] = name?.a ?? 0
    batch[at + 1] = name?.b ?? 0
    batch[at + 2] = spread
    batch[at + 3] = tag
    batch[at + 4] = kind
    this.batched++
    batch[at + 5] = entryCheck(batch, at, this.head.written + this.batched, this.head.incarnation)
    this.tenantBefore = undefined
  }

  /** What was appended becomes visible to the siblings. Before the bytes of the writes leave; cheap when there is nothing. */
  publish(): void {
    if (this.batched === 0) return
    const { pages } = this.options
    const { head, batched } = this
    const from = head.written & (pages.ring - 1)
    const first = Math.min(batched, pages.ring - from)
    try {
      pages.writeRing(this.batch, 0, from, first)
      if (first < batched) pages.writeRing(this.batch, first * entryWords, 0, batched - first)
    } catch (error) {
      return this.options.failed(error)
    }
    head.written += batched
    this.batched = 0
    this.tenantBefore = undefined
    this.writeHead()
  }

  // ---- what is over ----

  /** Between two commands, often: after replies were read, and every few tens of ms. */
  settle(): void {
    const { head, moments, options } = this
    const now = options.now()
    let settled = head.settled
    while (moments.length > 0 && this.isOver(moments[0]!)) settled = moments.shift()!.written
    const newest = moments.at(-1)?.written ?? settled
    if (this.count > newest && moments.length < momentsMax && now - this.lastMomentMs >= momentGapMs) {
      // All of these have been put on their lanes; some may not have left yet, which their lanes know.
      this.publish()
      this.lastMomentMs = now
      const moment: Moment = { written: head.written, open: [] }
      for (const lane of options.lanes)
        if (lane.lastWrite !== 0 && ((lane.answered - lane.lastWrite) | 0) < 0) moment.open.push([lane, lane.lastWrite])
      if (moments.length === 0 && this.isOver(moment)) settled = moment.written
      else moments.push(moment)
    }
    if (settled === head.settled) return
    head.settled = settled
    this.writeHead()
  }

  private isOver({ open }: Moment): boolean {
    for (const [lane, write] of open) if (((lane.answered - write) | 0) < 0) return false
    return !this.options.hasUnsettled()
  }

  // ---- what siblings want of each other ----

  /** Every few tens of ms: `isWanted`, a sibling that lives wants entries. */
  look(isWanted: boolean): void {
    const now = this.options.now()
    const { head } = this
    if (isWanted) this.wantedAtMs = now
    let isChanged = this.noteHistory()
    if (isWanted && !this.isLogging) {
      this.isLogging = true
      head.flags |= flagLogs
      this.append(undefined, 0, 0, kindEverybody)
      this.publish()
    } else if (this.isLogging && now - this.wantedAtMs > keepLoggingMs) {
      this.isLogging = false
      isChanged = true
    }
    if (this.wantsNow() || isChanged) this.writeHead()
  }

  /** Tells the siblings whether this worker wants entries of theirs, if that has changed. */
  tellWants(): void {
    if (this.wantsNow()) this.writeHead()
  }

  private wantsNow(): boolean {
    return ((this.head.flags & flagWants) !== 0) !== this.options.wants()
  }

  private noteHistory(): boolean {
    const history = this.options.history()
    if (history === this.historyOf) return false
    this.historyOf = history
    const { a, b } = historyHash(history)
    this.head.historyA = a
    this.head.historyB = b
    return true
  }

  private writeHead(): void {
    const { head, options } = this
    this.noteHistory()
    head.flags = (this.isLogging ? flagLogs : 0) | (options.wants() ? flagWants : 0)
    putHead(head, this.headBytes)
    try {
      options.pages.writeHead(this.headBytes)
    } catch (error) {
      options.failed(error)
    }
  }
}

export function historyHash(runId: string): { a: number; b: number } {
  if (runId === '') return { a: 0, b: 0 }
  const { a, b } = hashOf(Buffer.from(runId))
  return { a: a >>> 0, b: (b | 1) >>> 0 }
}

/** How siblings name a tenant: a hash, the same in all of them. */
export function fenceNameOf(tenant: TenantState): KeyHash {
  if (tenant.fenceName === undefined) tenant.fenceName = hashOf(Buffer.from(tenant.id))
  return tenant.fenceName
}
