/**
 * What a session read must find at the node that answers it: the writes that its tenant did through this proxy, by key.
 *
 *   write put on a shared lane  --lay-->  (tenant, hash of the key) -> (lane, newest mark it had carried)
 *   any later mark of that lane is shown by a node  -->  that node has the write
 *
 * A position is known when the write is sent, so its fence stands before any reply to it can come, error or not. It does
 * not depend on whether the write was answered: the mark that covers it travels behind it on the same connection. When
 * that connection dies, the next one on this lane begins with a CLIENT KILL of the old one (upstream/connection.ts), so a
 * later mark of the lane covers the write still, done or not; until then the tenant's floor is Infinity (session/unsettled.ts).
 *
 * Not every write gets a mark behind it that is heard (the node was away, the lane's PUBLISH was refused, the primary is
 * another one). So what a lane carried is *settled* now and then: once everything put on it up to some moment was answered or
 * has failed, the first mark not yet sent, on any connection, covers it too.
 *
 * The table has a fixed size. An entry that every readable node has is free to be used again; a node that could not be asked
 * then owes a newer mark (`Node.owedSeq`). Where a bucket is full of others, the write goes to what its tenant needs for every
 * key. So one tenant's writes never hold up another's reads by that.
 *
 * While the primary is the nearest node, or the only one, nothing is kept (`skip`); when that ends, all that was put on
 * lanes until then must be settled first (`base`).
 *
 * What other workers of this proxy wrote is in the same table, in slots of theirs (sibling-fences.ts, which knows the marks).
 */
import { fenceEntries } from '../base/limits.ts'
import type { TenantState } from '../tenant/account.ts'
import { hashOf, KeyHash } from '../tenant/key-hash.ts'
import type { LanePositions } from '../tenant/positions.ts'
import type { Lane } from '../upstream/lane.ts'
import type { Node } from './node.ts'
import type { SiblingFences } from './sibling-fences.ts'

const ways = 8
/** Entry of a write whose position is a mark, not a lane's. Below it: another worker's, by its number. */
const noSlot = -1
/** Lanes whose positions one read can depend on; more are taken for all of them. */
const needMax = 64
/** Moments of a lane that are remembered as settled: at one every 50 ms or more, about the last second. */
const settledMax = 16

export interface FencesOptions {
  readonly nodes: readonly Node[]
  /** Of the pool, by index; grows. */
  readonly lanes: readonly Lane[]
  readonly primary: () => Node | undefined
  /** The first mark that was not yet sent. */
  readonly nextSeq: () => number
  readonly entries?: number
}

/** What one read needs: filled, asked about nodes, and used again. */
export class FenceNeed {
  floor = 0
  floorSentAtMs = Number.NEGATIVE_INFINITY
  /** Something was written: a node of which nothing is known will not do. */
  hasWritten = false
  /** It holds for every key of the tenant, not only for those of this read. */
  isWhole = true
  count = 0
  readonly slots = new Int32Array(needMax)
  readonly trails = new Float64Array(needMax)
  readonly marks = new Float64Array(needMax)
  readonly sentAtMs = new Float64Array(needMax)

  clear(): void {
    this.floor = 0
    this.floorSentAtMs = Number.NEGATIVE_INFINITY
    this.hasWritten = false
    this.isWhole = true
    this.count = 0
  }

  raiseFloor(mark: number, sentAtMs: number): void {
    if (mark > this.floor) {
      this.floor = mark
      this.floorSentAtMs = sentAtMs
    }
  }

  add(slot: number, trail: number, mark: number, sentAtMs: number): void {
    let i = 0
    while (i < this.count && this.slots[i] !== slot) i++
    if (i === needMax) return this.raiseFloor(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
    if (i === this.count) this.count++
    else if (trail < this.trails[i]!) return
    this.slots[i] = slot
    this.trails[i] = trail
    this.marks[i] = mark
    this.sentAtMs[i] = sentAtMs
  }

  isMetBy(node: Node): boolean {
    if (node.shownSeq < this.floor) return false
    if (!this.hasWritten) return true
    if (node.shownSeq === 0 || node.shownSeq < node.owedSeq) return false
    for (let i = 0; i < this.count; i++) if (!node.covers(this.marks[i]!, this.slots[i]!, this.trails[i]!)) return false
    return true
  }

  /** When the last of the marks that this node lacks was or will be sent, ms, as far as that can be told. */
  lackedSentAtMs(node: Node): number {
    let atMs = node.shownSeq < this.floor ? this.floorSentAtMs : Number.NEGATIVE_INFINITY
    if (this.hasWritten && (node.shownSeq === 0 || node.shownSeq < node.owedSeq)) return Number.POSITIVE_INFINITY
    for (let i = 0; i < this.count; i++) {
      if (node.covers(this.marks[i]!, this.slots[i]!, this.trails[i]!)) continue
      if (this.sentAtMs[i]! > atMs) atMs = this.sentAtMs[i]!
    }
    return atMs
  }
}

/** The moments of one lane: `marks[i]` covers every write on it up to `trails[i]`; the newest last. */
class Settled {
  readonly trails: number[] = []
  readonly marks: number[] = []
  /** The last write (lane.lastWrite) of the newest moment, pending or not. */
  lastWrite = 0
  /** The newest moment is not over yet: it will be when the lane has given the answer to that write. */
  isPending = false
  trail = 0
}

export class Fences {
  /** Writes were not kept of late; see `base`. */
  isSkipping = false
  /** What the other workers of this proxy write; undefined: there are none. */
  siblings: SiblingFences | undefined
  private readonly options: FencesOptions
  private readonly settled: Settled[] = []
  /** Everything from before `resume` is covered by this mark; Infinity: some of it is not answered yet. */
  private base = 0
  private readonly baseWrites = new Map<Lane, number>()

  private readonly size: number
  private readonly buckets: number
  // Made when the first fence is laid: most deployments of one node never need them.
  private owners = new Int32Array(0)
  private tags = new Int32Array(0)
  private slots = new Int32Array(0)
  /** Of a lane: the newest mark it had carried. With noSlot: the first mark that covers the write. */
  private positions = new Float64Array(0)
  private sentAts = new Float64Array(0)
  private tenants = 0
  private readonly hash = new KeyHash()

  constructor(options: FencesOptions) {
    this.options = options
    this.size = options.entries ?? fenceEntries
    this.buckets = this.size / ways
  }

  // ---- writes ----

  /** A write was put on a lane while the primary is the nearest node: nobody's read needs to know of it now. */
  skip(): void {
    this.isSkipping = true
  }

  /** It is the nearest no longer. What was written meanwhile has no fences: all of it together counts as one. */
  resume(): void {
    this.isSkipping = false
    this.base = 0
    this.baseWrites.clear()
    for (const lane of this.options.lanes) {
      const settled = this.settled[lane.index]
      const isOver = settled !== undefined && !settled.isPending && settled.lastWrite === lane.lastWrite
      if (isOver) this.base = Math.max(this.base, settled.marks.at(-1) ?? 0)
      else if (lane.lastWrite !== 0) this.baseWrites.set(lane, lane.lastWrite)
    }
    if (this.baseWrites.size > 0) this.base = Number.POSITIVE_INFINITY
    this.settleBase()
  }

  /** The tenant's reads are told apart by key from now on. What it wrote before holds for all of them. */
  beginSessionReads(tenant: TenantState): void {
    tenant.hasSessionReads = true
    tenant.wide.raiseAll(tenant.newest)
    if (tenant.newestMark > tenant.floor) {
      tenant.floor = tenant.newestMark
      tenant.floorSentAtMs = tenant.newestMarkSentAtMs
    }
  }

  /** A write with these keys was put on a shared lane just now, after all marks that the lane has carried. */
  noteWrite(tenant: TenantState, lane: Lane, sentAtMs: number): void {
    tenant.newest.raise(lane.index, lane.lastTrailSeq, sentAtMs)
  }

  /** One of its keys, by its hash. Nothing for tenants without session reads. */
  layKey(tenant: TenantState, key: KeyHash, lane: Lane, sentAtMs: number): void {
    this.put(tenant, key.spread, key.b, lane.index, lane.lastTrailSeq, sentAtMs)
  }

  layHashed(tenant: TenantState, spread: number, tag: number, lane: Lane, sentAtMs: number): void {
    this.put(tenant, spread, tag, lane.index, lane.lastTrailSeq, sentAtMs)
  }

  /** Not all of its keys are known, or they are too many. */
  layWide(tenant: TenantState, lane: Lane, sentAtMs: number): void {
    tenant.wide.raise(lane.index, lane.lastTrailSeq, sentAtMs)
  }

  /** A write on a connection that carries no marks was answered: the first mark not yet sent covers it. */
  noteAnswered(tenant: TenantState, sentAtMs: number): void {
    tenant.newestMark = this.options.nextSeq()
    tenant.newestMarkSentAtMs = sentAtMs
  }

  layAnswered(tenant: TenantState, spread: number, tag: number, sentAtMs: number): void {
    this.put(tenant, spread, tag, noSlot, this.options.nextSeq(), sentAtMs)
  }

  /** The same for a write whose keys are not known. */
  raiseFloor(tenant: TenantState, sentAtMs: number): void {
    this.noteAnswered(tenant, sentAtMs)
    const mark = this.options.nextSeq()
    if (mark <= tenant.floor) return
    tenant.floor = mark
    tenant.floorSentAtMs = sentAtMs
  }

  /** A sibling's write, at this position of its own. When its mark comes cannot be told. */
  laySiblingKey(tenant: TenantState, spread: number, tag: number, slot: number, position: number): void {
    tenant.newest.raise(slot, position, Number.POSITIVE_INFINITY)
    if (tenant.hasSessionReads) this.put(tenant, spread, tag, slot, position, Number.POSITIVE_INFINITY)
  }

  laySiblingWide(tenant: TenantState, slot: number, position: number): void {
    tenant.newest.raise(slot, position, Number.POSITIVE_INFINITY)
    tenant.wide.raise(slot, position, Number.POSITIVE_INFINITY)
  }

  /** The hash of a key under one of the tenant's prefixes; valid until the next call. */
  hashKey(tenant: TenantState, database: number, prefix: Buffer, bytes: Uint8Array, off: number, len: number): KeyHash {
    let from = tenant.prefixHashes[database]
    if (from === undefined || prefix !== tenant.prefixes[database]) {
      // A request between two databases has what is common to them in front of its names.
      from = hashOf(prefix)
      if (prefix === tenant.prefixes[database]) tenant.prefixHashes[database] = from
    }
    return this.hash.follow(from, bytes, off, len)
  }

  private put(
    tenant: TenantState,
    spread: number,
    tag: number,
    slot: number,
    position: number,
    sentAtMs: number,
  ): void {
    if (this.owners.length === 0) this.allocate()
    if (tenant.fenceNumber === 0) tenant.fenceNumber = ++this.tenants
    const { owners, tags, slots, positions } = this
    const owner = tenant.fenceNumber
    const first = (spread % this.buckets) * ways
    let at = -1
    for (let i = first; i < first + ways; i++) {
      if (owners[i] === owner && tags[i] === tag && slots[i] === slot) {
        if (position > positions[i]!) positions[i] = position
        this.sentAts[i] = sentAtMs
        return
      }
      if (at < 0 && owners[i] === 0) at = i
    }
    for (let i = first; at < 0 && i < first + ways; i++) if (this.mayForget(i)) at = i
    for (let i = first; at < 0 && i < first + ways; i++) {
      if (owners[i] !== owner) continue
      this.widen(tenant, slots[i]!, positions[i]!, this.sentAts[i]!)
      at = i
    }
    if (at < 0) return this.widen(tenant, slot, position, sentAtMs)
    owners[at] = owner
    tags[at] = tag
    slots[at] = slot
    positions[at] = position
    this.sentAts[at] = sentAtMs
  }

  /** No room for it: it holds for all of the tenant's keys. */
  private widen(tenant: TenantState, slot: number, position: number, sentAtMs: number): void {
    if (slot !== noSlot) tenant.wide.raise(slot, position, sentAtMs)
    else if (position > tenant.floor) {
      tenant.floor = position
      tenant.floorSentAtMs = sentAtMs
    }
  }

  /** Every node that may be read has this write. Then it is forgotten, and those that were not asked owe a newer mark. */
  private mayForget(i: number): boolean {
    const { nodes } = this.options
    const primary = this.options.primary()
    // Not done yet, it could be overtaken by a mark that is sent now.
    let isDone =
      this.slots[i] === noSlot || this.settledMark(this.slots[i]!, this.positions[i]!) < Number.POSITIVE_INFINITY
    for (const node of nodes) {
      if (node === primary || !node.isReadable) continue
      if (!this.hasEntry(node, i)) return false
      isDone = true
    }
    for (const node of nodes) {
      if (node === primary || node.isReadable || this.hasEntry(node, i)) continue
      if (!isDone) return false
      node.owedSeq = this.options.nextSeq()
    }
    return true
  }

  private hasEntry(node: Node, i: number): boolean {
    if (node.shownSeq === 0) return false
    const slot = this.slots[i]!
    const position = this.positions[i]!
    return slot === noSlot ? node.shownSeq >= position : node.covers(this.settledMark(slot, position), slot, position)
  }

  private allocate(): void {
    this.owners = new Int32Array(this.size)
    this.tags = new Int32Array(this.size)
    this.slots = new Int32Array(this.size)
    this.positions = new Float64Array(this.size)
    this.sentAts = new Float64Array(this.size)
  }

  // ---- reads ----

  /** What every read of this tenant needs. With `addKey` for each of its keys, or `addAll`, it is complete. */
  begin(need: FenceNeed, tenant: TenantState): void {
    need.clear()
    need.raiseFloor(tenant.floor, tenant.floorSentAtMs)
    need.raiseFloor(this.base, Number.POSITIVE_INFINITY)
    if (this.siblings !== undefined) need.raiseFloor(this.siblings.floor, Number.POSITIVE_INFINITY)
    need.hasWritten = tenant.newest.count > 0 || tenant.newestMark > 0 || need.floor > 0
  }

  /** Everything that the tenant wrote: for reads whose keys are not all known, and the cheap way when a node has all of it. */
  addAll(need: FenceNeed, tenant: TenantState): void {
    need.raiseFloor(tenant.newestMark, tenant.newestMarkSentAtMs)
    this.addPositions(need, tenant.newest)
  }

  addWide(need: FenceNeed, tenant: TenantState): void {
    need.isWhole = false
    this.addPositions(need, tenant.wide)
  }

  private addPositions(need: FenceNeed, list: LanePositions): void {
    for (let i = 0; i < list.count; i++) {
      const [slot, trail] = [list.slots[i]!, list.trails[i]!]
      need.add(slot, trail, this.settledMark(slot, trail), list.sentAtMs[i]!)
    }
  }

  addKey(need: FenceNeed, tenant: TenantState, key: KeyHash): void {
    const { owners, tags, slots, positions } = this
    if (owners.length === 0) return
    const owner = tenant.fenceNumber
    const tag = key.b
    const first = (key.spread % this.buckets) * ways
    for (let i = first; i < first + ways; i++) {
      if (owners[i] !== owner || tags[i] !== tag) continue
      const [slot, position, sentAtMs] = [slots[i]!, positions[i]!, this.sentAts[i]!]
      if (slot === noSlot) need.raiseFloor(position, sentAtMs)
      else need.add(slot, position, this.settledMark(slot, position), sentAtMs)
    }
  }

  // ---- what is over ----

  /** The first mark, on whatever connection, that covers a position of this lane; Infinity: not known yet. */
  settledMark(slot: number, trail: number): number {
    if (slot < noSlot) return this.siblings!.settledMark(slot, trail)
    const settled = this.settled[slot]
    if (settled === undefined) return Number.POSITIVE_INFINITY
    const { trails, marks } = settled
    // The oldest moment that has it: later ones ask for later marks.
    for (let i = 0; i < trails.length; i++) if (trails[i]! >= trail) return marks[i]!
    return Number.POSITIVE_INFINITY
  }

  /** Called every few tens of ms: which lanes have had everything answered that had been put on them before? */
  settle(): void {
    if (this.base === Number.POSITIVE_INFINITY) this.settleBase()
    const nextSeq = this.options.nextSeq()
    for (const lane of this.options.lanes) {
      let settled = this.settled[lane.index]
      if (settled === undefined) {
        if (lane.lastWrite === 0) continue
        settled = new Settled()
        this.settled[lane.index] = settled
      }
      if (settled.isPending && ((lane.answered - settled.lastWrite) | 0) >= 0) {
        settled.isPending = false
        settled.trails.push(settled.trail)
        settled.marks.push(nextSeq)
        if (settled.trails.length > settledMax) {
          settled.trails.shift()
          settled.marks.shift()
        }
      }
      if (settled.isPending || settled.lastWrite === lane.lastWrite) continue
      // Writes from now on must have a greater position than those until now. A mark of this lane that is sent from now on
      // is at least `nextSeq`, so whatever it is, it is greater than this.
      const boundary = nextSeq - 0.5
      if (boundary <= lane.lastTrailSeq) continue
      settled.isPending = true
      settled.trail = lane.lastTrailSeq
      settled.lastWrite = lane.lastWrite
      lane.lastTrailSeq = boundary
    }
  }

  private settleBase(): void {
    const { baseWrites } = this
    if (baseWrites.size === 0) return
    for (const [lane, write] of baseWrites) if (((lane.answered - write) | 0) >= 0) baseWrites.delete(lane)
    if (baseWrites.size === 0) this.base = this.options.nextSeq()
  }
}
