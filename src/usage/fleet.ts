/**
 * `scope: fleet`: the limits that this proxy shares with others, and the rounds in which it learns its parts of them.
 *
 *   round (500 ms):  count what was asked for --> HGETALL at the nearest replica --> shares --> HSET at the primary
 *
 * So a command is never held up for it, and costs no hop: one read and one write per proxy and round, whatever is asked for.
 * Without use there are no rounds: a last record, then a sign of life each minute, and a look every two seconds.
 *
 * While what this proxy writes does not come back to it, the others may have taken it for dead; it cannot know. Then it keeps
 * the shares that it has: never more, never nothing. Nor does it let go of any, for the same silence can be everybody's.
 *
 * No socket and no timer here: `tick` comes with the time, reads and writes are handed in.
 */
import { fleetProxiesMax } from '../base/limits.ts'
import { FleetDemand } from '../quota/fleet-demand.ts'
import { BYTES, encodeRecord, type Kind, kinds, type Line, OPS } from '../quota/fleet-record.ts'
import { FleetView } from '../quota/fleet-view.ts'
import { type Claim, idleClaim, shareOf, startPart } from '../quota/shares.ts'

/** All records: one field a proxy. Tenants cannot reach it: no prefix may begin with, or be the beginning of, `regis:`. */
export const recordsKey = 'regis:use:proxies'

const roundMs = 500
const restingReadMs = 2_000
const restingWriteMs = 60_000
/** At the start, until the own record has been seen. */
const startRoundMs = 100
/** Nothing for so long: at rest. */
const restAfterMs = 5_000
/** A record does not wait longer for the view before it. */
const readPatienceMs = 250
/** A view that is complete as of so long after a record of our own and does not show it: what we write does not arrive. */
const unseenMsMax = 3 * roundMs
/** Rounds at the start that do without pause, and tries of a proxy at rest to be seen at all. */
const startTriesMax = 20
/** Parts that are worked out in one go: a millisecond. */
const givenPerTick = 1_000
/** The key lives so long after the last record of anybody's. */
const keyTtlMs = 600_000

/** A limit, or two, of a tenant or of one of its users. */
export interface FleetLimit {
  /** `tenant` or `tenant/user`. */
  readonly name: string
  /** What counts has been replaced: it has not been told its share. */
  readonly isNew: boolean
  /** Of the whole fleet, per second; 0: none. */
  limit(kind: Kind): number
  /** Units or bytes that were asked for since the start. */
  asked(kind: Kind): number
  /** Commands since the start, and those that were refused, for whichever limit; for how long some were delayed. */
  commands(): number
  refused(): number
  delayedMs(): number
  /** Parts of the limits, per second; 0 where there is none. */
  setShare(opsPerSecond: number, bytesPerSecond: number): void
}

export interface FleetHost {
  /**
   * Asks the nearest node that is fit for it for all records. `asOfMs`: the moment as of which the answer is complete, on the
   * clock of `tick`. Without fields: no answer. Called back once.
   */
  read(done: (fields: readonly string[] | undefined, asOfMs: number) => void): void
  /** HSET and the like at the primary. */
  write(request: readonly string[], done: (result: WriteResult) => void): void
  /** Once, when Redis refuses records. */
  refused(): void
}

export type WriteResult = 'ok' | 'refused' | 'failed'

/** What is kept of one. */
class Shared {
  readonly limit: FleetLimit
  readonly demand = [new FleetDemand(), new FleetDemand()] as const
  readonly asked = [0, 0]
  commands: number
  refused: number
  delayedMs: number
  readonly share = [0, 0]
  /** The limits that the shares are parts of: a reload may change them. */
  readonly whole = [0, 0]
  /** Others had it in their records at the last view. */
  wasNamed = false

  constructor(limit: FleetLimit) {
    this.limit = limit
    this.commands = limit.commands()
    this.refused = limit.refused()
    this.delayedMs = limit.delayedMs()
    for (const kind of kinds) this.asked[kind] = limit.asked(kind)
  }

  /** Its share is of another limit, or was told to nobody. */
  get isOutdated(): boolean {
    const { limit, whole } = this
    return limit.isNew || limit.limit(OPS) !== whole[OPS] || limit.limit(BYTES) !== whole[BYTES]
  }

  get isWanted(): boolean {
    return this.demand[OPS].want > 0 || this.demand[BYTES].want > 0
  }

  /** The part of its limits that it wants, of the one of which that is more. */
  get thirst(): number {
    const of = (kind: Kind): number => (this.whole[kind] === 0 ? 0 : this.demand[kind].want / this.whole[kind]!)
    return Math.max(of(OPS), of(BYTES))
  }
}

export class FleetUsage {
  /** By result of the write: records of this proxy. */
  readonly records: Record<WriteResult, number> = { ok: 0, refused: 0, failed: 0 }
  readonly view: FleetView
  /** Some limits are shared, whether anybody has used them yet or not. */
  isOn = false
  private readonly id: string
  private readonly host: FleetHost
  private readonly limits = new Map<string, Shared>()
  private seq = 0
  private nowMs = 0
  private roundAtMs = Number.NEGATIVE_INFINITY
  private measuredAtMs = Number.NaN
  private usedAtMs = Number.NEGATIVE_INFINITY
  private wasResting = true
  private writtenAtMs = Number.NEGATIVE_INFINITY
  private expireAtMs = Number.NEGATIVE_INFINITY
  private readAtMs = Number.NEGATIVE_INFINITY
  /** Number of the newest read that was asked for, and of the newest that was answered. */
  private reads = 0
  private answered = 0
  /** A record is due, and waits for the view that was asked for. */
  private isRecordDue = false
  /** When the first record after the newest one that was seen went out; Infinity: all have been seen. */
  private unseenSinceMs = Number.POSITIVE_INFINITY
  private readonly sentAtMs = new Map<number, number>()
  private othersBefore = -1
  /** Those whose part is to be worked out anew, in pieces. */
  private stale: MapIterator<Shared> | undefined
  private isRefusalTold = false

  /** `id`: of this start of this proxy, not of its place. */
  constructor(id: string, host: FleetHost) {
    this.id = id
    this.host = host
    this.view = new FleetView(id)
  }

  /** From now on this proxy has its part of it, and not all. */
  add(limit: FleetLimit): void {
    this.isOn = true
    const shared = new Shared(limit)
    this.limits.set(limit.name, shared)
    this.give(shared)
  }

  has(name: string): boolean {
    return this.limits.has(name)
  }

  /** After a reload. Whoever comes back under a name that has left counts anew, and is another to be told its share. */
  keep(isThere: (name: string) => boolean): void {
    for (const name of this.limits.keys()) if (!isThere(name)) this.limits.delete(name)
  }

  /** Proxies that share the limits, this one too. */
  get proxies(): number {
    return this.view.living.length + 1
  }

  /** What it writes has come back to it of late. False before that, and while it keeps what it has. */
  get isSeen(): boolean {
    return this.view.ownSeq > 0 && !(this.view.asOfMs - this.unseenSinceMs > unseenMsMax)
  }

  /** Meant to be called every 50 ms or so. */
  tick(nowMs: number): void {
    this.nowMs = nowMs
    if (!this.isOn) return
    this.giveSome()
    if (this.isRecordDue && (this.answered === this.reads || nowMs - this.readAtMs > readPatienceMs)) this.publish()
    if (nowMs < this.roundAtMs) return
    const isStarting = this.view.ownSeq === 0 && this.seq < startTriesMax
    this.roundAtMs = nowMs + (isStarting ? startRoundMs : roundMs)
    this.measure(nowMs)
    const sinceMs = nowMs - this.writtenAtMs
    // The last record says that the next will come in a minute.
    const isInUse = !this.isResting || !this.wasResting
    this.wasResting = this.isResting
    if (isStarting) {
      // The record first: nothing can be said before it has been seen.
      if (sinceMs >= roundMs) this.publish()
    } else this.isRecordDue = isInUse || sinceMs >= restingWriteMs
    if (isStarting || isInUse || nowMs - this.readAtMs >= restingReadMs) this.read()
    else if (this.isRecordDue) this.publish()
  }

  /** Says goodbye: the others need not wait for the silence. */
  leave(done: () => void): void {
    if (this.seq === 0) return done()
    this.host.write(['HDEL', recordsKey, this.id], done)
  }

  private get isResting(): boolean {
    return this.nowMs - this.usedAtMs > restAfterMs
  }

  private measure(nowMs: number): void {
    const ms = nowMs - this.measuredAtMs
    this.measuredAtMs = nowMs
    for (const shared of this.limits.values()) {
      const { limit } = shared
      const commands = limit.commands() - shared.commands
      const refused = limit.refused() - shared.refused
      const delayedMs = limit.delayedMs() - shared.delayedMs
      // Most are neither used nor changed, and there may be many.
      if (commands === 0 && delayedMs === 0 && !shared.isWanted && !shared.isOutdated) continue
      const pressure = Math.max(commands > 0 ? refused / commands : 0, delayedMs / ms)
      for (const kind of kinds) {
        const whole = limit.limit(kind)
        const more = limit.asked(kind) - shared.asked[kind]!
        const demand = shared.demand[kind]
        if (more === 0 && demand.want === 0) continue
        if (more > 0) this.usedAtMs = nowMs
        // Not of one that has begun to count anew.
        if (ms > 0 && more >= 0 && commands >= 0) demand.note(more, pressure, shared.share[kind]!, whole, ms)
        shared.asked[kind]! += more
      }
      shared.commands += commands
      shared.refused += refused
      shared.delayedMs += delayedMs
      if (shared.isOutdated) this.give(shared)
    }
  }

  private read(): void {
    // One that is not answered in time does not hold up the next.
    const read = ++this.reads
    this.readAtMs = this.nowMs
    this.host.read((fields, asOfMs) => {
      this.answered = Math.max(this.answered, read)
      if (fields !== undefined && this.view.take(fields, asOfMs)) this.settle()
      if (this.isRecordDue) this.publish()
    })
  }

  /** A new view: which of our records have been seen, and what everybody's part is. */
  private settle(): void {
    const { view } = this
    this.unseenSinceMs = Number.POSITIVE_INFINITY
    for (const [seq, atMs] of this.sentAtMs) {
      if (seq <= view.ownSeq) this.sentAtMs.delete(seq)
      else this.unseenSinceMs = Math.min(this.unseenSinceMs, atMs)
    }
    if (!this.isSeen) return
    const named = new Set<string>()
    let isCut = false
    for (const { record } of view.living) {
      for (const name of record.lines.keys()) named.add(name)
      if (record.isCut) isCut = true
    }
    for (const [name, shared] of this.limits) {
      const isNamed = named.has(name)
      if (isNamed || shared.wasNamed || shared.isWanted) this.give(shared)
      shared.wasNamed = isNamed
    }
    const isAllAnew = view.living.length !== this.othersBefore
    this.othersBefore = view.living.length
    if (isAllAnew || (isCut && this.stale === undefined)) this.stale = this.limits.values()
    this.giveSome()
  }

  /** The parts of the idle depend on how many share: many at once would hold up everybody's commands. */
  private giveSome(): void {
    if (this.stale === undefined) return
    for (let i = 0; i < givenPerTick; i++) {
      const { value, done } = this.stale.next()
      if (done === true) {
        this.stale = undefined
        return
      }
      this.give(value)
    }
  }

  private give(shared: Shared): void {
    for (const kind of kinds) {
      const whole = shared.limit.limit(kind)
      const before = shared.whole[kind]!
      if (whole === 0) shared.share[kind] = 0
      else if (this.isSeen)
        shared.share[kind] = shareOf(whole, shared.demand[kind].want, this.claims(shared, kind, whole))
      else shared.share[kind] = before > 0 ? (shared.share[kind]! * whole) / before : whole * startPart
      shared.whole[kind] = whole
    }
    shared.limit.setShare(shared.share[OPS]!, shared.share[BYTES]!)
  }

  private claims(shared: Shared, kind: Kind, whole: number): Claim[] {
    const { living } = this.view
    return living.map(({ record }) => {
      const line = record.lines.get(shared.limit.name)
      if (line !== undefined) return { want: line[2 * kind]!, held: line[2 * kind + 1]! }
      const equal = whole / (living.length + 1)
      return record.isCut ? { want: equal, held: equal } : idleClaim
    })
  }

  private publish(): void {
    this.isRecordDue = false
    const seq = ++this.seq
    const isResting = this.isResting
    const lines: { readonly thirst: number; readonly line: [string, Line] }[] = []
    for (const [name, shared] of this.limits) {
      if (!shared.isWanted) continue
      const [ops, bytes] = shared.demand
      lines.push({
        thirst: shared.thirst,
        line: [name, [ops.want, shared.share[OPS]!, bytes.want, shared.share[BYTES]!]],
      })
    }
    // Those who want the largest part of their limits first: beyond the bound it is equal parts.
    lines.sort((a, b) => b.thirst - a.thirst)
    const text = encodeRecord(
      seq,
      isResting ? restingWriteMs : roundMs,
      lines.map(({ line }) => line),
    )
    this.writtenAtMs = this.nowMs
    this.sentAtMs.set(seq, this.nowMs)
    if (this.sentAtMs.size > 64) this.sentAtMs.delete(this.sentAtMs.keys().next().value!)
    this.host.write(['HSET', recordsKey, this.id, text], (result) => this.onWritten(result))
    if (this.nowMs >= this.expireAtMs) {
      this.expireAtMs = this.nowMs + restingWriteMs
      this.host.write(['PEXPIRE', recordsKey, String(keyTtlMs)], () => {})
      const dead = this.view.deletable().slice(0, fleetProxiesMax)
      if (dead.length > 0) this.host.write(['HDEL', recordsKey, ...dead], () => {})
    }
  }

  private onWritten(result: WriteResult): void {
    this.records[result]++
    if (result === 'ok') this.isRefusalTold = false
    if (result !== 'refused' || this.isRefusalTold) return
    this.isRefusalTold = true
    this.host.refused()
  }
}
