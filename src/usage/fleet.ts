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
 * There may be many thousands of limits. What goes over all of them is a job of small steps, and jobs are done one after the other,
 * a slice in a turn of the event loop: each limit is measured, and told its part, at about the same place of every round.
 *
 * No socket and no timer here: `tick` comes with the time, reads and writes are handed in.
 */
import { fleetProxiesMax, fleetRecordLinesMax } from '../base/limits.ts'
import { Largest } from '../metrics/largest.ts'
import { FleetDemand } from '../quota/fleet-demand.ts'
import {
  BYTES,
  encodeRecord,
  type FleetRecord,
  type Kind,
  kinds,
  type Line,
  OPS,
  parseRecord,
} from '../quota/fleet-record.ts'
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
/** Limits between two looks at the clock. */
const stepLimits = 32
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

/** How jobs are cut into slices. */
export interface FleetPace {
  /** This slice has lasted long enough. */
  readonly isOver: boolean
  /** Others have a turn, then the next slice begins. */
  rest(): Promise<void>
}

/** Each job in one go. */
const wholeJobs: FleetPace = { isOver: false, rest: () => Promise.resolve() }

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
  private readonly jobs: Generator<undefined, void>[] = []
  private isWorking = false
  /** The round that was begun last has been measured, and all that it knew has been asked for or told. */
  private isRoundOver = true
  private readonly pace: () => FleetPace
  private isRefusalTold = false

  /** `id`: of this start of this proxy, not of its place. */
  constructor(id: string, host: FleetHost, pace: () => FleetPace = () => wholeJobs) {
    this.id = id
    this.pace = pace
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
    this.run(this.forget(isThere))
  }

  private *forget(isThere: (name: string) => boolean): Generator<undefined, void> {
    let looked = 0
    for (const name of this.limits.keys()) {
      if (++looked % stepLimits === 0) yield
      if (!isThere(name)) this.limits.delete(name)
    }
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
    const isIdle = this.jobs.length === 0
    if (isIdle && this.isRecordDue && (this.answered === this.reads || nowMs - this.readAtMs > readPatienceMs))
      this.run(this.publish())
    if (nowMs < this.roundAtMs || !this.isRoundOver) return
    const isStarting = this.view.ownSeq === 0 && this.seq < startTriesMax
    this.roundAtMs = nowMs + (isStarting ? startRoundMs : roundMs)
    this.isRoundOver = false
    this.run(this.round(nowMs, isStarting))
  }

  private *round(nowMs: number, isStarting: boolean): Generator<undefined, void> {
    yield* this.measure(nowMs)
    this.isRoundOver = true
    const sinceMs = nowMs - this.writtenAtMs
    // The last record says that the next will come in a minute.
    const isInUse = !this.isResting || !this.wasResting
    this.wasResting = this.isResting
    if (isStarting) {
      // The record first: nothing can be said before it has been seen.
      if (sinceMs >= roundMs) yield* this.publish()
    } else this.isRecordDue = isInUse || sinceMs >= restingWriteMs
    if (isStarting || isInUse || nowMs - this.readAtMs >= restingReadMs) this.read()
    else if (this.isRecordDue) yield* this.publish()
  }

  private run(job: Generator<undefined, void>): void {
    this.jobs.push(job)
    if (!this.isWorking) void this.work()
  }

  /** Jobs in the order in which they came. Throws nothing that it would not throw in one go. */
  private async work(): Promise<void> {
    this.isWorking = true
    const pace = this.pace()
    try {
      for (let job = this.jobs[0]; job !== undefined; job = this.jobs[0]) {
        while (job.next().done !== true) if (pace.isOver) await pace.rest()
        this.jobs.shift()
      }
    } finally {
      this.isWorking = false
    }
  }

  /** Says goodbye: the others need not wait for the silence. */
  leave(done: () => void): void {
    if (this.seq === 0) return done()
    this.host.write(['HDEL', recordsKey, this.id], done)
  }

  private get isResting(): boolean {
    return this.nowMs - this.usedAtMs > restAfterMs
  }

  private *measure(nowMs: number): Generator<undefined, void> {
    const ms = nowMs - this.measuredAtMs
    this.measuredAtMs = nowMs
    let looked = 0
    for (const shared of this.limits.values()) {
      if (++looked % stepLimits === 0) yield
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
      this.run(this.answer(fields, asOfMs))
    })
  }

  private *answer(fields: readonly string[] | undefined, asOfMs: number): Generator<undefined, void> {
    if (fields !== undefined) {
      const records: (FleetRecord | undefined)[] = []
      for (let i = 1; i < fields.length && records.length < fleetProxiesMax; i += 2) {
        records.push(parseRecord(fields[i]!))
        yield
      }
      if (this.view.take(fields, records, asOfMs)) yield* this.settle()
    }
    if (this.isRecordDue) yield* this.publish()
  }

  /** A new view: which of our records have been seen, and what everybody's part is. */
  private *settle(): Generator<undefined, void> {
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
    const isAllAnew = view.living.length !== this.othersBefore
    this.othersBefore = view.living.length
    let looked = 0
    for (const [name, shared] of this.limits) {
      if (++looked % stepLimits === 0) yield
      const isNamed = named.has(name)
      if (isNamed || shared.wasNamed || shared.isWanted) this.give(shared)
      shared.wasNamed = isNamed
    }
    // The parts of the idle depend on how many share.
    if (!isAllAnew && !isCut) return
    for (const shared of this.limits.values()) {
      if (++looked % stepLimits === 0) yield
      this.give(shared)
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

  private *publish(): Generator<undefined, void> {
    this.isRecordDue = false
    const seq = ++this.seq
    const isResting = this.isResting
    // Those who want the largest part of their limits first: beyond the bound, of which one more tells, it is equal parts.
    const thirsty = new Largest(fleetRecordLinesMax + 1)
    let looked = 0
    for (const [name, shared] of this.limits) {
      if (++looked % stepLimits === 0) yield
      if (shared.isWanted) thirsty.add(name, shared.thirst)
    }
    const lines: [string, Line][] = []
    for (const name of thirsty.namesBySize()) {
      const shared = this.limits.get(name)
      if (shared === undefined) continue
      const [ops, bytes] = shared.demand
      lines.push([name, [ops.want, shared.share[OPS]!, bytes.want, shared.share[BYTES]!]])
    }
    const text = encodeRecord(seq, isResting ? restingWriteMs : roundMs, lines)
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
