/**
 * Writes that a node has refused because it is a replica now. Such a refusal proves that nothing was executed, so they are
 * sent once more, to the new primary, without the client's noticing anything but the time.
 *
 *   -READONLY --> the client's replies from here on are kept, its parsing stops
 *             --> all are in, each write among them was refused --> the same requests, in the same order, to the new primary
 *             --> another outcome, or no primary within the wait budget --> the replies as they came
 *
 * The order of a client holds: what it sent behind the refused write is sent again with it, reads too (they must see it),
 * and only when no write of all that was executed or is of unknown fate. Only once. A transaction, a script and what has a
 * connection of its own are never sent again, nor is what the journal no longer holds.
 */
import {
  arenaHalfBytes,
  laneCommandsMax,
  secondTriesBytesMax,
  secondTriesMax,
  secondTryBytesMax,
  waitBudgetMs,
} from '../base/limits.ts'
import { kindCollect, kindLocal, type Lane, type Place, type ReplySink, type Transform } from '../upstream/lane.ts'
import { Session, stallBusy, stallNone } from './session.ts'
import { SinkFor } from './sink-for.ts'

export interface SecondTryOptions {
  /** The lane that writes of this client go to now; undefined: there is none. */
  primaryLane(session: Session): Lane | undefined
  /** Whether these requests name only the client's own keys. */
  isOwn(session: Session, requests: Buffer, commands: number): boolean
  now(): number
  after(ms: number, run: () => void): void
  /** It waits for nothing else any more. */
  forget(session: Session): void
  resumeSoon(session: Session): void
  /** Writes of it were put on this lane: their fences stand for the lane that they were on before. */
  sentAgain(session: Session, lane: Lane): void
  wantsFlush(lane: Lane): void
  counted(result: 'resent' | 'passed', writes: number): void
}

export class SecondTries {
  private readonly options: SecondTryOptions
  private readonly waiting = new Set<Refused>()
  private readonly open = new Map<Session, Refused>()
  /** Replies that are kept, all clients' together. */
  private keptBytes = 0

  constructor(options: SecondTryOptions) {
    this.options = options
  }

  /** A write of this sink, the next to be answered on the lane, was refused with -READONLY. */
  begin(lane: Lane, sink: ReplySink): void {
    if (!(sink instanceof Session)) return
    const isTaken = sink.stall === stallBusy || sink.lease !== undefined || sink.lane !== lane || sink.isClosed
    // Answers of ours, transactions on a lease: if not all that it has in flight is here, its order cannot be kept.
    if (isTaken || lane.journal === undefined || this.open.size >= secondTriesMax) return
    if (lane.countOf(sink) !== sink.inFlight) return
    const refused = new Refused(sink, lane, this)
    this.open.set(sink, refused)
    refused.places = lane.handOver(sink, refused)
    sink.stall = stallBusy
    this.options.forget(sink)
  }

  /** A primary was confirmed, a connection to one is ready or has room. */
  retry(): void {
    for (const refused of this.waiting) this.attempt(refused)
  }

  /** The client is gone: its replies come to nobody. */
  left(session: Session): void {
    const refused = this.open.get(session)
    if (refused !== undefined) this.end(refused)
  }

  /** `bytes` more are kept. False: there is no room for them. */
  keep(bytes: number): boolean {
    this.keptBytes += bytes
    return this.keptBytes <= secondTriesBytesMax
  }

  get counts(): { readonly open: number; readonly keptBytes: number } {
    return { open: this.open.size, keptBytes: this.keptBytes }
  }

  /** Every reply is in. */
  decide(refused: Refused): void {
    const { options } = this
    const requests = refused.isRefusedWhole ? refused.requests() : undefined
    const isOwn = requests !== undefined && options.isOwn(refused.session, Buffer.concat(requests), requests.length)
    if (!isOwn) return this.pass(refused)
    refused.again = requests
    this.waiting.add(refused)
    this.attempt(refused)
    if (this.waiting.has(refused))
      options.after(waitBudgetMs, () => {
        if (this.waiting.has(refused)) this.pass(refused)
      })
  }

  private attempt(refused: Refused): void {
    const { session, again, places } = refused
    const { options } = this
    if (session.isClosed) return this.end(refused)
    const lane = options.primaryLane(session)
    const bytes = again!.reduce((sum, request) => sum + request.length, 0)
    if (lane === undefined || bytes > arenaHalfBytes || !lane.hasRoomFor(bytes)) return
    if (lane.inFlight + again!.length > laneCommandsMax - 2) return
    const now = options.now()
    // Not the client itself: another refusal is its answer, and begins no third try.
    const sink = new SinkFor(session)
    let next = 0
    for (const { kind, isWrite, fences, extra } of places) {
      if (kind === kindLocal) {
        lane.appendLocal(sink, extra as Buffer, now)
        continue
      }
      lane.pos += again![next++]!.copy(lane.bytes, lane.pos)
      if (kind === kindCollect) lane.appendTransformed(sink, extra as Transform, isWrite, now, fences)
      else lane.append(sink, kind, isWrite, now)
    }
    session.lane = lane
    options.sentAgain(session, lane)
    lane.needsTrail ||= session.account?.tenant?.hasSessionReads === true
    options.wantsFlush(lane)
    options.counted('resent', refused.writes)
    this.end(refused)
  }

  /** The replies as they came. */
  pass(refused: Refused): void {
    this.options.counted('passed', refused.refusedWrites)
    refused.deliver()
    this.end(refused)
  }

  private end(refused: Refused): void {
    const { session } = refused
    this.waiting.delete(refused)
    if (!this.open.delete(session)) return
    this.keptBytes -= refused.drop()
    if (session.isClosed) return
    session.stall = stallNone
    this.options.resumeSoon(session)
  }
}

interface Kept {
  /** undefined: nothing is to be written. */
  readonly bytes: Buffer | undefined
  readonly completed: number
  readonly hasWrite: boolean
  /** What follows it is the rest of a reply. */
  readonly isMidReply: boolean
}

/** Takes a client's replies in its place, from the first refusal on. */
class Refused extends SinkFor<Session> {
  places: readonly Place[] = []
  again: readonly Buffer[] | undefined
  refusedWrites = 0
  private readonly lane: Lane
  private readonly tries: SecondTries
  private kept: Kept[] = []
  private keptBytes = 0
  private answered = 0
  /** Too much to keep, or a loss: what comes goes to the client at once. */
  private isPassing = false

  constructor(session: Session, lane: Lane, tries: SecondTries) {
    super(session)
    this.lane = lane
    this.tries = tries
  }

  get writes(): number {
    return this.places.reduce((sum, place) => sum + (place.isWrite ? 1 : 0), 0)
  }

  get isRefusedWhole(): boolean {
    return this.refusedWrites === this.writes
  }

  /** What it had asked for, as it was sent; undefined: not all of that is left, or it may not be sent again. */
  requests(): Buffer[] | undefined {
    const numbers = this.places.flatMap(({ kind, number }) => (kind === kindLocal ? [] : [number]))
    const found = this.lane.requestsSent(numbers)
    return found?.some(isOfTransaction) === true ? undefined : found
  }

  override onReply(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean {
    if (this.isPassing) return this.session.onReply(view, completed, hasWrite, lane)
    this.kept.push({ bytes: Buffer.from(view), completed, hasWrite, isMidReply: lane.isHeadPartial })
    this.keptBytes += view.length
    this.note(completed, this.tries.keep(view.length))
    return false
  }

  override onSwallowed(completed: number, hasWrite: boolean, lane: Lane): void {
    if (this.isPassing) return this.session.onSwallowed(completed, hasWrite, lane)
    this.kept.push({ bytes: undefined, completed, hasWrite, isMidReply: false })
    this.note(completed, true)
  }

  private note(completed: number, hasRoom: boolean): void {
    this.answered += completed
    if (this.answered >= this.places.length) this.tries.decide(this)
    else if (!hasRoom || this.keptBytes > secondTryBytesMax) this.tries.pass(this)
  }

  /** Nothing of it is needed any more. Returns how many bytes were kept. */
  drop(): number {
    this.isPassing = true
    this.kept = []
    this.again = undefined
    const bytes = this.keptBytes
    this.keptBytes = 0
    return bytes
  }

  deliver(): void {
    const { lane, session } = this
    this.isPassing = true
    // These replies are older than what the lane is at now.
    const isPartial = lane.isHeadPartial
    lane.replyTrail = lane.lastTrailSeq
    for (const { bytes, completed, hasWrite, isMidReply } of this.kept.splice(0)) {
      if (session.isClosed) break
      lane.isHeadPartial = isMidReply
      if (bytes === undefined) session.onSwallowed(completed, hasWrite, lane)
      else session.onReply(bytes, completed, hasWrite, lane)
    }
    lane.isHeadPartial = isPartial
  }

  override onErrorReply(code: string, isWrite: boolean, text?: Buffer): void {
    if (isWrite && code === 'READONLY') this.refusedWrites++
    else this.session.onErrorReply(code, isWrite, text)
  }
}

const multi = Buffer.from('*1\r\n$5\r\nMULTI\r\n')
const exec = Buffer.from('*1\r\n$4\r\nEXEC\r\n')

function isOfTransaction(request: Buffer): boolean {
  return request.equals(multi) || request.equals(exec)
}
