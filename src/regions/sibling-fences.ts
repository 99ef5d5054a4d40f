/**
 * What this worker knows of its siblings' writes (sibling-log.ts): for session reads, which must find whatever the tenant wrote
 * through any of them.
 *
 *   entry n of sibling k  --look-->  (tenant, key) -> (slot of k, position n)      in the table of all fences (fences.ts)
 *   k says settled to n   --look-->  the first mark of ours not yet sent covers it
 *   until then            no replica will do
 *
 * A write that was acknowledged was in its worker's ring before it left, so a look after a read's bytes have come sees it. What
 * is settled had run at the primary by then, so any mark of ours that is sent later is behind it there; if we write to the same run of the
 * same primary, which both heads say.
 *
 * What cannot be told apart holds for everybody (`floor`): a ring that went round before it was read, a head that cannot be
 * read, a sibling that does not log yet, or one that has begun anew. A sibling that is gone runs nothing any more that it has acknowledged.
 */
import type { TenantState } from '../tenant/account.ts'
import {
  entryCheck,
  entryWords,
  flagLogs,
  flagWants,
  goneWords,
  Head,
  headWords,
  kindEverybody,
  kindTenant,
  type SiblingPages,
  takeGone,
  takeHead,
} from './sibling-format.ts'
import { fenceNameOf, historyHash } from './sibling-log.ts'

/** Slots of siblings in the table of fences: below noSlot, which is -1. */
export const siblingSlot = (worker: number): number => -2 - worker
const workerOf = (slot: number): number => -2 - slot

/** Entries that are read at once: 48 KiB. */
const pieceEntries = 2048
/** A head that is half written is read again, so many times. */
const triesMax = 8
/** Moments remembered of a sibling; when there are more, the older ones are thinned out. */
const momentsMax = 64

export interface SiblingTable {
  /** An entry of a tenant that is known here. `spread`, `tag`: of its key. */
  layKey(tenant: TenantState, spread: number, tag: number, slot: number, position: number): void
  layTenant(tenant: TenantState, slot: number, position: number): void
}

export interface SiblingFencesOptions {
  readonly pages: SiblingPages
  readonly table: SiblingTable
  readonly nextSeq: () => number
  /** The run_id of the confirmed primary; '' while there is none. */
  readonly history: () => string
}

/** One sibling, as it was when last looked at. Positions go on through its incarnations. */
class Sibling {
  incarnation = 0
  flags = 0
  /** Position of its entry 0 in this incarnation. */
  base = 0
  /** Entries of this incarnation that have been taken note of. */
  read = 0
  /** Up to this one a mark is known; -1: not even for nothing at all. */
  settled = -1
  isGone = false
  isReadable = true
  /** Up to this position everything is everybody's. */
  everybody = 0
  /** `marks[i]` covers all up to `positions[i]`; the newest last. */
  readonly positions: number[] = []
  readonly marks: number[] = []

  cover(position: number, mark: number): void {
    const { positions, marks } = this
    const last = marks.length - 1
    if (last >= 0 && marks[last] === mark) {
      positions[last] = position
      return
    }
    positions.push(position)
    marks.push(mark)
    if (positions.length <= momentsMax) return
    // What a moment that is left out stood for is covered by the next.
    for (let i = 0; i < momentsMax / 2; i += 2) {
      positions.splice(i / 2, 1)
      marks.splice(i / 2, 1)
    }
  }

  markOf(position: number): number {
    const { positions, marks } = this
    let low = 0
    let high = positions.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (positions[middle]! >= position) high = middle
      else low = middle + 1
    }
    return low === positions.length ? Number.POSITIVE_INFINITY : marks[low]!
  }
}

export class SiblingFences {
  /** The mark that a node must have shown for any session read; Infinity: none will do. */
  floor: number
  /** A sibling that lives wants this worker's entries. */
  isWanted = false
  /** Looks at which entries were lost or a head could not be read. */
  blurs = 0
  private readonly options: SiblingFencesOptions
  private readonly siblings: Sibling[]
  private readonly heads: Uint32Array
  private readonly piece = new Uint32Array(pieceEntries * entryWords)
  private readonly seen = new Head()
  private readonly tenants = new Map<number, TenantState[]>()
  /** What was acknowledged before this process began is covered by its first mark. */
  private readonly firstMark: number
  private historyOf = ''
  private history = { a: 0, b: 0 }

  constructor(options: SiblingFencesOptions) {
    this.options = options
    const { workers } = options.pages
    this.siblings = Array.from({ length: workers }, () => new Sibling())
    this.heads = new Uint32Array(workers * (headWords + goneWords))
    this.firstMark = options.nextSeq()
    this.floor = Number.POSITIVE_INFINITY
  }

  /** A tenant is met here for the first time: all that siblings wrote until now may be its. After a look. */
  meet(tenant: TenantState): void {
    if (tenant.isKnownToSiblings) return
    tenant.isKnownToSiblings = true
    const name = keyOf(fenceNameOf(tenant).a >>> 0, fenceNameOf(tenant).b >>> 0)
    this.tenants.set(name, [...(this.tenants.get(name) ?? []), tenant])
    this.siblings.forEach(({ base, read }, k) => {
      if (base + read > 0) this.options.table.layTenant(tenant, siblingSlot(k), base + read)
    })
  }

  /** The first mark of ours that covers this position; Infinity: not known yet. */
  settledMark(slot: number, position: number): number {
    return this.siblings[workerOf(slot)]!.markOf(position)
  }

  /**
   * Everything that siblings had written of their rings by now. After the bytes of the read that asks have come, once for all
   * reads that have. `isWanting`: else only what the siblings want is looked at.
   */
  look(isWanting = true): void {
    const { pages } = this.options
    this.isWanted = false
    for (let tries = 0; ; tries++) {
      try {
        pages.readHeads(this.heads)
      } catch {
        this.blurs++
        this.floor = Number.POSITIVE_INFINITY
        return
      }
      const isWhole = this.takeHeads(isWanting, tries === triesMax)
      if (isWhole || tries === triesMax) break
    }
    this.floor = this.firstMark
    for (let k = 0; k < pages.workers; k++) if (k !== pages.self) this.raiseFloor(this.siblings[k]!)
  }

  private takeHeads(isWanting: boolean, isLast: boolean): boolean {
    const { pages } = this.options
    const { heads, seen } = this
    for (let k = 0; k < pages.workers; k++) {
      if (k === pages.self) continue
      const sibling = this.siblings[k]!
      sibling.isReadable = takeHead(heads, k * headWords, seen)
      if (!sibling.isReadable) {
        if (!isLast) return false
        this.blurs++
        this.isWanted = true // perhaps
        continue
      }
      if (seen.incarnation === 0) continue
      const gone = takeGone(heads, pages.workers * headWords + k * goneWords)
      if (isWanting) this.take(k, sibling, gone)
      if (gone < seen.incarnation && (seen.flags & flagWants) !== 0) this.isWanted = true
    }
    return true
  }

  /** `seen` is its head. */
  private take(k: number, sibling: Sibling, gone: number): void {
    const { seen } = this
    const { nextSeq } = this.options
    if (seen.incarnation !== sibling.incarnation) {
      // Its predecessor is gone: what that has acknowledged, read here or not, has run.
      if (sibling.incarnation !== 0) this.end(sibling, sibling.base + sibling.read + 1)
      sibling.incarnation = seen.incarnation
      sibling.base += sibling.read + 1
      sibling.read = 0
      sibling.settled = -1
      sibling.isGone = false
    }
    sibling.flags = seen.flags
    const isMore = seen.written > sibling.read
    if (isMore) this.read(k, sibling, seen.written)
    if (gone >= sibling.incarnation && (isMore || !sibling.isGone)) {
      sibling.isGone = true
      this.end(sibling, sibling.base + sibling.read)
    }
    if (seen.settled > sibling.settled && this.isOfHistory(seen)) {
      sibling.settled = seen.settled
      sibling.cover(sibling.base + seen.settled, nextSeq())
    }
  }

  /** It runs no more. Also what was never read of it holds for everybody. */
  private end(sibling: Sibling, position: number): void {
    sibling.everybody = position
    sibling.settled = Number.POSITIVE_INFINITY
    sibling.cover(position, this.options.nextSeq())
  }

  private isOfHistory({ historyA, historyB }: Head): boolean {
    const history = this.options.history()
    if (history !== this.historyOf) {
      this.historyOf = history
      this.history = historyHash(history)
    }
    return history !== '' && historyA === this.history.a && historyB === this.history.b
  }

  private skipTo(sibling: Sibling, written: number): void {
    sibling.read = written
    sibling.everybody = sibling.base + written
  }

  private read(k: number, sibling: Sibling, written: number): void {
    const { pages } = this.options
    const { piece } = this
    if (written - sibling.read > pages.ring) {
      this.blurs++
      return this.skipTo(sibling, written)
    }
    while (sibling.read < written) {
      const from = sibling.read & (pages.ring - 1)
      const entries = Math.min(written - sibling.read, pieceEntries, pages.ring - from)
      try {
        pages.readRing(k, piece, from, entries)
      } catch {
        this.blurs++
        return this.skipTo(sibling, written)
      }
      for (let i = 0; i < entries; i++) {
        const at = i * entryWords
        const number = sibling.read + 1
        if (piece[at + entryWords - 1] !== entryCheck(piece, at, number, sibling.incarnation)) {
          this.blurs++
          return this.skipTo(sibling, written)
        }
        sibling.read = number
        this.lay(sibling, siblingSlot(k), at)
      }
    }
  }

  private lay(sibling: Sibling, slot: number, at: number): void {
    const { piece } = this
    const position = sibling.base + sibling.read
    const kind = piece[at + 4]!
    if (kind === kindEverybody) {
      sibling.everybody = position
      return
    }
    const tenants = this.tenants.get(keyOf(piece[at]!, piece[at + 1]!))
    if (tenants === undefined) return // it will need all of it when it comes: `meet`
    const { table } = this.options
    for (const tenant of tenants) {
      if (kind === kindTenant) table.layTenant(tenant, slot, position)
      else table.layKey(tenant, piece[at + 2]!, piece[at + 3]! | 0, slot, position)
    }
  }

  private raiseFloor(sibling: Sibling): void {
    if (!sibling.isReadable) this.floor = Number.POSITIVE_INFINITY
    if (sibling.incarnation === 0) return
    if (!sibling.isGone && (sibling.flags & flagLogs) === 0) this.floor = Number.POSITIVE_INFINITY
    if (sibling.everybody > 0) this.floor = Math.max(this.floor, sibling.markOf(sibling.everybody))
  }
}

/** 53 bits of a tenant's name. Tenants that share them are all told of each other's writes. */
function keyOf(a: number, b: number): number {
  return a * 0x20_0000 + (b >>> 11)
}
