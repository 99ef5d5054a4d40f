/**
 * Asks the primary whether its replicas have what was written: for tenants whose writes are acknowledged only then.
 *
 *   a write is answered: position = next          a question is sent (next++)                    answered: n replicas
 *   -----------------------|-----------------------------|-----------------------------------------------|------->
 *                          p = q                 PUBLISH | WAIT n ms | INFO replication         confirmed = q
 *
 * WAIT speaks of what its own connection did last: on one that did nothing it answers at once, with all replicas, and so it
 * does behind a command that was refused (Redis 7.0.15, networking.c and replication.c: client->woff). So a small message is
 * published first, on that connection, *after* the tenant's write was answered: its place in the replication stream lies behind
 * the write, and a replica that has it has the write. One question serves everybody who waited when it was sent.
 *
 * A confirmation is of one history. The server's replication id is read behind each WAIT and must be the one that was known
 * when the write was sent and when it was answered; an id never comes back, so nothing else lay between. After a failover
 * what was held is not confirmed by the new primary, ever.
 *
 * Those who wait for one replica do not wait for those who need two: a line of questions for each count.
 */
import { leaseFrontBytes, waitLanesMax, waitMsMax, waitMsMin } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Histogram } from '../metrics/counters.ts'
import { encodeRequest } from '../resp/encode.ts'
import { LostConnections, type UpstreamAddress, UpstreamConnection } from './connection.ts'
import { Lane, type LaneEvents, type LaneSize } from './lane.ts'

/** What is known of the primary: the server, and the history of its data. */
export interface PrimaryFacts {
  readonly nodeIndex: number
  readonly replId: string
  readonly rttMs: number
}

export interface DurabilityOptions {
  readonly addresses: readonly UpstreamAddress[]
  /** How many replicas are asked for, by any tenant: each number once. */
  readonly counts: Iterable<number>
  readonly timeoutMs: number
  readonly clientName: string
  /** Nobody listens to it: the messages are there for their place in the stream. */
  readonly channel: string
  readonly log: Log
  /** For what would be said at every question. */
  readonly limitedLog: Pick<Log, 'warn'>
  primary(): PrimaryFacts | undefined
  now(): number
  /** At the end of this turn: everything that was answered in it is asked for at once. */
  soon(run: () => void): void
  openConnection?(lane: Lane, node: number, events: WaitEvents): WaitConnection
  desync(node: number, why: string): void
}

export interface WaitEvents {
  ready(): void
  lost(): void
}

export interface WaitConnection {
  start(): void
  stop(): void
}

/** Somebody for whom something is held. */
export interface Waiter {
  /** When the first of what it waits for is too late; Infinity: nothing of it needs a confirmation. */
  dueAtMs(): number
  /** The line knows more, or time has passed, or the history is another one. True: it waits for nothing more. */
  settle(line: DurableLine, nowMs: number): boolean
}

/** No position: it can not be confirmed any more. */
export const neverConfirmed = Number.POSITIVE_INFINITY
/** PUBLISH, WAIT and INFO, and to spare. */
const questionBytesMax = 1024
/** How late an answer of WAIT may be: servers look at their blocked clients ten times a second. */
const waitGraceMs = 150

const waitLaneSize: LaneSize = {
  halfBytes: questionBytesMax * 2,
  frontBytes: leaseFrontBytes,
  readBytes: 16 * 1024,
  commandsMax: 64,
  ring: 16,
}

/** The questions for one number of replicas. */
export class DurableLine {
  readonly replicas: number
  /** The question that will be sent next: it speaks for all that is answered before. */
  next = 1
  /** The newest question to which enough replicas said yes: all positions up to it are confirmed. */
  confirmed = 0
  /** The newest question that was answered otherwise, and by how many. */
  private deniedUpTo = 0
  private deniedCount = 0
  private readonly waiters = new Set<Waiter>()
  private readonly durability: Durability
  private lanes: WaitLane[] = []
  private isPlanned = false
  /** Something is held that no question on its way speaks for. */
  private isUnasked = false

  constructor(durability: Durability, replicas: number) {
    this.durability = durability
    this.replicas = replicas
  }

  get history(): number {
    return this.durability.history
  }

  now(): number {
    return this.durability.options.now()
  }

  get waiting(): number {
    return this.waiters.size
  }

  /**
   * A write of `waiter` was answered just now by `nodeIndex`, sent in `history`: the position that must be confirmed for it.
   * Above all that will be: it was written in another history than the present one, or elsewhere.
   */
  position(waiter: Waiter, nodeIndex: number, history: number): number {
    if (!this.durability.isOfHistory(nodeIndex, history)) return neverConfirmed
    this.waiters.add(waiter)
    this.isUnasked = true
    this.plan()
    return this.next
  }

  leave(waiter: Waiter): void {
    this.waiters.delete(waiter)
  }

  /** For a write of the proxy's own, answered just now: how many replicas have it, or undefined when those are enough. */
  confirm(timeoutMs: number, nodeIndex: number, history: number): Promise<number | undefined> {
    return new Promise((resolve) => {
      const dueAtMs = this.now() + timeoutMs
      const answeredIn = this.history
      const waiter: Waiter = {
        dueAtMs: () => dueAtMs,
        settle: (line, nowMs) => {
          if (position <= line.confirmed) resolve(undefined)
          else if (answeredIn !== line.history) resolve(0)
          else if (line.isOverdue(position, dueAtMs, nowMs)) resolve(line.countOf(position))
          else return false
          return true
        },
      }
      const position = this.position(waiter, nodeIndex, history)
      if (position === neverConfirmed) resolve(0)
    })
  }

  /** A question that speaks for it has come back, with fewer than are needed. */
  private isAnswered(position: number): boolean {
    return position <= this.deniedUpTo
  }

  /** How many replicas are known to have what is at this position. */
  countOf(position: number): number {
    return position <= this.deniedUpTo ? this.deniedCount : 0
  }

  /** Its time is over, and a question that is on its way for it is not worth waiting for. */
  isOverdue(position: number, dueAtMs: number, nowMs: number): boolean {
    if (nowMs < dueAtMs) return false
    return this.isAnswered(position) || nowMs >= dueAtMs + waitGraceMs + 2 * this.durability.rttMs
  }

  private plan(): void {
    if (this.isPlanned) return
    this.isPlanned = true
    this.durability.options.soon(() => {
      this.isPlanned = false
      this.ask()
    })
  }

  /** Sends a question where one is due and a connection is free. */
  ask(): void {
    if (this.waiters.size === 0) return
    const isAsking = this.lanes.some((lane) => lane.isAsking)
    // What is on its way speaks for everybody, as far as it goes; in vain, it is asked again when it comes back.
    if (!this.isUnasked && isAsking) return
    const lane = this.lanes.find((one) => one.isFree)
    const primary = this.durability.options.primary()
    if (lane === undefined || primary === undefined || !this.durability.isCurrent(primary)) return
    const nowMs = this.now()
    let dueAtMs = Number.POSITIVE_INFINITY
    for (const waiter of this.waiters) dueAtMs = Math.min(dueAtMs, waiter.dueAtMs())
    const leftMs = Math.ceil(dueAtMs - nowMs)
    const question = this.next++
    this.isUnasked = false
    const { history } = this.durability
    lane.ask(question, this.replicas, Math.min(waitMsMax, Math.max(waitMsMin, leftMs)), (answer) => {
      this.take(question, history, primary.replId, answer)
    })
  }

  private take(question: number, history: number, replId: string, answer: WaitAnswer | undefined): void {
    const isProof = history === this.history && answer !== undefined && answer.replId === replId
    if (isProof) {
      if (answer.replicas >= this.replicas) this.confirmed = Math.max(this.confirmed, question)
      else if (question >= this.deniedUpTo) {
        this.deniedUpTo = question
        this.deniedCount = answer.replicas
      }
    }
    this.settle()
    // What proves nothing comes at once: it is asked again a little later, by `check`.
    if (isProof) this.ask()
  }

  /** Tells those who wait what is known now. */
  settle(): void {
    const nowMs = this.now()
    for (const waiter of this.waiters) if (waiter.settle(this, nowMs)) this.waiters.delete(waiter)
  }

  /** To this node from now on; undefined: to none. */
  connect(open: (() => WaitLane) | undefined): void {
    for (const lane of this.lanes) lane.stop()
    this.lanes = []
    if (open !== undefined) for (let i = 0; i < waitLanesMax; i++) this.lanes.push(open())
  }

  check(nowMs: number, timeoutMs: number): void {
    for (const lane of this.lanes) lane.check(nowMs, timeoutMs + waitMsMax + waitGraceMs)
    if (this.waiters.size === 0) return
    this.settle()
    this.ask()
  }
}

export class Durability {
  readonly options: DurabilityOptions
  /** Raised with each new history of the data: another primary, or another replication id of the same. */
  history = 0
  rttMs = 0
  private nodeIndex = -1
  private replId = ''
  private readonly lines = new Map<number, DurableLine>()
  private isStopped = false

  constructor(options: DurabilityOptions) {
    this.options = options
    for (const count of options.counts) if (!this.lines.has(count)) this.lines.set(count, new DurableLine(this, count))
  }

  /** A number that is not among `counts` has a line from now on (a reload brought it). */
  line(replicas: number): DurableLine {
    const known = this.lines.get(replicas)
    if (known !== undefined) return known
    const line = new DurableLine(this, replicas)
    this.lines.set(replicas, line)
    if (this.nodeIndex >= 0 && !this.isStopped) line.connect(() => this.open(this.nodeIndex, line))
    this.changed() // the first of all: until now nobody looked who the primary is
    return line
  }

  isOfHistory(nodeIndex: number, history: number): boolean {
    return history === this.history && nodeIndex === this.nodeIndex
  }

  isCurrent(primary: PrimaryFacts): boolean {
    return primary.nodeIndex === this.nodeIndex && primary.replId === this.replId
  }

  /** The primary may be another one, or none. To be called in the very turn in which that is known. */
  changed(): void {
    const primary = this.options.primary()
    // Without one its last word stands: the same server may come back with the same data.
    if (primary === undefined || this.isStopped || this.lines.size === 0) return
    this.rttMs = Number.isFinite(primary.rttMs) ? primary.rttMs : 0
    if (this.isCurrent(primary)) return
    const isOther = primary.nodeIndex !== this.nodeIndex
    this.history++
    this.nodeIndex = primary.nodeIndex
    this.replId = primary.replId
    for (const line of this.lines.values()) {
      if (isOther) line.connect(() => this.open(primary.nodeIndex, line))
      line.settle()
    }
  }

  private open(node: number, line: DurableLine): WaitLane {
    return new WaitLane(this.options, node, () => line.ask())
  }

  /** A few times a second. */
  check(nowMs: number): void {
    const primary = this.options.primary()
    if (primary !== undefined && Number.isFinite(primary.rttMs)) this.rttMs = primary.rttMs
    for (const line of this.lines.values()) line.check(nowMs, this.options.timeoutMs)
  }

  get waiting(): number {
    let sum = 0
    for (const line of this.lines.values()) sum += line.waiting
    return sum
  }

  stop(): void {
    this.isStopped = true
    for (const line of this.lines.values()) line.connect(undefined)
  }
}

export interface WaitAnswer {
  /** Replicas that have everything up to the question. */
  readonly replicas: number
  /** Of the server, read after the WAIT; '' when it is no primary. */
  readonly replId: string
}

/** One connection to the primary, with one question on it at a time. */
class WaitLane {
  isAsking = false
  private readonly lane: Lane
  private readonly connection: WaitConnection
  private readonly options: DurabilityOptions

  constructor(options: DurabilityOptions, node: number, ready: () => void) {
    this.options = options
    const unseen = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
    const events: LaneEvents = {
      wantsFlush() {}, // by hand, so that one question is one write
      hasRoom() {},
      errorReply() {},
      desync: (lane, why) => {
        options.desync(node, why)
        lane.destroy(why)
      },
      foreignPrefix() {},
    }
    const arena = { bytes: Buffer.allocUnsafeSlow(2 * waitLaneSize.halfBytes) }
    this.lane = new Lane(-1, node, 2, false, arena, 0, unseen, events, options.now, waitLaneSize)
    const open = options.openConnection ?? ((lane, to, on) => openConnection(options, lane, to, on))
    this.connection = open(this.lane, node, { ready, lost: () => options.soon(ready) })
    this.connection.start()
  }

  get isFree(): boolean {
    return this.lane.isReady && !this.isAsking
  }

  ask(question: number, replicas: number, ms: number, then: (answer: WaitAnswer | undefined) => void): void {
    const { lane } = this
    this.isAsking = true
    let isPublished = false
    let count = -1
    lane.sendInternal(encodeRequest(['PUBLISH', this.options.channel, String(question)]), (reply) => {
      isPublished = reply?.[0] === colon
      if (reply?.[0] === minus)
        this.options.limitedLog.warn({ reply: firstWord(reply) }, 'durability: PUBLISH is refused')
    })
    lane.sendInternal(encodeRequest(['WAIT', String(replicas), String(ms)]), (reply) => {
      if (reply?.[0] === colon) count = Number(reply.toString('latin1', 1, 20).split('\r\n', 1)[0])
      if (reply?.[0] === minus) this.options.limitedLog.warn({ reply: firstWord(reply) }, 'durability: WAIT is refused')
    })
    lane.sendInternal(encodeRequest(['INFO', 'replication']), (reply) => {
      this.isAsking = false
      if (reply === undefined) return then(undefined)
      const text = reply.toString('latin1')
      const isPrimary = /\r\nrole:master\r\n/.test(text)
      const replId = /\r\nmaster_replid:([0-9a-f]+)\r\n/.exec(text)?.[1]
      // Behind a mark that was refused WAIT speaks of nothing.
      const isProof = isPublished && count >= 0 && isPrimary && replId !== undefined
      then(isProof ? { replicas: count, replId } : { replicas: 0, replId: '' })
    })
    lane.flush()
  }

  check(nowMs: number, timeoutMs: number): void {
    if (this.lane.isOpen && this.lane.silentMs(nowMs) > timeoutMs) this.lane.destroy('no reply within the timeout')
  }

  stop(): void {
    this.connection.stop()
  }
}

const colon = 0x3a
const minus = 0x2d

const firstWord = (reply: Buffer): string => reply.toString('latin1', 1, 33).split(/[ \r]/, 1)[0]!

function openConnection(options: DurabilityOptions, lane: Lane, node: number, events: WaitEvents): WaitConnection {
  return new UpstreamConnection(lane, {
    address: options.addresses[node]!,
    clientName: options.clientName,
    timeoutMs: options.timeoutMs,
    // Nothing of a client's is ever on it, and it leaves others' lost writes to their own connections.
    lost: new LostConnections(),
    log: options.log,
    onReady: () => events.ready(),
    onLost: () => events.lost(),
    afterRead() {},
  })
}
