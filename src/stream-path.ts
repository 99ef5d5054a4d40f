/**
 * The part of the corridor for requests that are not kept whole. As soon as it is known that a request is larger than
 * `streamFromBytes`, and its name and keys have come, all is known that is asked before a command goes on its way; from then on
 * its bytes go upstream as they come.
 *
 *   head -> known? allowed? quotas, memory? -> a connection of the client's own -> piece, piece, piece -> reply
 *             `-> refused: one error, and the rest of the request is thrown away, so that the client stays in step
 *
 * Never on a connection that others use: a client that stops in the middle would hold them up. On its own
 *
 *   the client stops, or leaves          it is destroyed; a server runs only what it has whole
 *   the connection is lost               `not executed` before the last byte was written, UNCERTAIN behind it
 *   the server does not read             the client is not read either (Session.pace)
 *
 * What is not for streaming (`begin` and `placesOf` say what) is collected, within the bounds of unfinished requests.
 */
import { errorText } from './base/errors.ts'
import { fenceKeysMax, streamFromBytes, streamsMax, transactionBytesMax } from './base/limits.ts'
import type { CommandTable } from './commands/lookup.ts'
import { FINDER, KEYS, MISSING, ROUTE } from './commands/spec.ts'
import type { LeasedPath, PathHands } from './leased-path.ts'
import type { RegionTracker } from './regions/tracker.ts'
import { incomplete, RequestFramer } from './resp/request-framer.ts'
import { pieceBroken, pieceOver } from './resp/request-pieces.ts'
import { RequestStream } from './session/request-stream.ts'
import {
  modeMulti,
  modePinned,
  modeRenew,
  modeShown,
  modeTracking,
  type Session,
  type SessionAccount,
} from './session/session.ts'
import { type KeyPlaces, PieceCheck, PieceRewriter } from './tenant/rewrite-pieces.ts'
import type { Leases } from './upstream/leases.ts'

/** What this part uses of the corridor besides; steps (numbers) are those of request-path.ts. */
export interface StreamHands extends PathHands {
  /** A command was taken. */
  countTaken(session: Session, id: number): void
  /** Asks the gates of its tenant, once; undefined: it goes on. */
  admit(session: Session, account: SessionAccount, id: number, pos: number): number | undefined
  /** So many bytes of it have come that nobody was asked for. */
  owe(account: SessionAccount, bytes: number): void
  /** A value of so many bytes is written to the key in argument `index`: who reads it will have a large reply. */
  learnLarge(session: Session, index: number, size: number): void
  refuseDenied(session: Session, account: SessionAccount, id: number, pos: number): number
  /** The client has broken the protocol: with this line its connection ends; undefined: it has been told. */
  breakOff(session: Session, pieces: PieceRewriter, line: string | undefined): void
}

export interface StreamParts {
  readonly table: CommandTable
  readonly leased: LeasedPath
  readonly leases: Pick<Leases, 'mayTake'>
  readonly tracker: Pick<RegionTracker, 'primary'>
}

const done = 0
/** What may be unusual about a connection whose requests are streamed. */
const streamedModes = modePinned | modeTracking | modeShown | modeRenew

export class StreamPath {
  private readonly hands: StreamHands
  private readonly parts: StreamParts
  private readonly table: CommandTable
  /** Reads what was made, before it leaves. */
  private readonly second = new RequestFramer()
  /** Requests under way. */
  open = 0

  constructor(hands: StreamHands, parts: StreamParts) {
    this.hands = hands
    this.parts = parts
    this.table = parts.table
    this.second.maxRequestBytes = Number.MAX_SAFE_INTEGER
  }

  /**
   * The request at `pos` is large and has not come whole: the corridor's framer has just said so. Returns how its handling
   * ended, `done` with all bytes up to `end` taken; undefined: it is collected.
   */
  begin(session: Session, pos: number, end: number): number | undefined {
    const { hands, table } = this
    const { frame } = hands
    const account = session.account!
    const id = account.tenant === undefined ? -1 : this.idOf(frame, hands.bytes)
    if (id < 0 || table.missing[id] === MISSING.lacks) return undefined
    // As far as is known; where one argument is large and the last, it is all.
    frame.end = pos + frame.need
    if ((session.mode & modeMulti) !== 0) {
      if (frame.need <= transactionBytesMax || session.inFlight > 0) return undefined
      return this.refused(session, id, pos, end, hands.refuseEarly(session, pos, id, 'TRANSACTION_LIMIT'))
    }
    if ((session.mode & ~streamedModes) !== 0) return undefined
    if (session.inFlight > 0) return hands.waitForOrder(session)
    const arity = table.arity[id]!
    if (arity >= 0 ? frame.count !== arity : frame.count < -arity)
      return this.refused(session, id, pos, end, hands.refuseEarly(session, pos, id, 'WRONG_ARITY'))
    const route = account.route[id]!
    if (route === ROUTE.denied)
      return this.refused(session, id, pos, end, hands.refuseDenied(session, account, id, pos))
    const places = route === ROUTE.write ? this.placesOf(id, frame.count) : undefined
    if (places === undefined || frame.seen <= places.first || !this.mayStart(session, account)) return undefined
    if ((session.mode & modeRenew) !== 0) session.rehold()
    if (account.tenant!.gate !== 0) {
      const step = hands.admit(session, account, id, pos)
      if (step !== undefined) return this.refused(session, id, pos, end, step)
    }
    const lease = this.parts.leased.leaseFor(session, account, pos, true, false)
    if (typeof lease === 'number') return this.refused(session, id, pos, end, lease)
    if (!lease.lane.canFlush) return hands.waitForRoom(session, lease.lane)
    this.noteKeys(id, places)
    const pieces = this.piecesOf(session, pos, places, this.prefixOf(session, account, id))
    const stream = new RequestStream(pieces, lease.lane, frame.need)
    if (places.first === places.last) hands.learnLarge(session, places.first, frame.need)
    this.open++
    session.stream = stream
    session.isCachingNext = false
    session.lane = lease.lane
    session.inFlight++
    hands.countTaken(session, id)
    hands.enqueue(session, account, lease.lane, id, true)
    this.pass(session, stream, hands.bytes, pos + pieces.taken, end)
    return done
  }

  /** Goes on with the request that this client is in the middle of. Returns one past the last byte taken. */
  feed(session: Session, buf: Buffer, pos: number, end: number): number {
    const stream = session.stream!
    const { pieces } = stream
    // Somebody else has ended its connection: the rest is thrown away.
    if (stream.lane?.isOpen === false) stream.discard()
    const { lane } = stream
    if (lane !== undefined) {
      if (lane.canFlush) return this.pass(session, stream, buf, pos, end)
      this.hands.waitForRoom(session, lane)
      return pos
    }
    const outcome = pieces.skip(buf, pos, end)
    if (outcome === pieceBroken) {
      this.close(session)
      this.hands.breakOff(session, pieces, errorText(pieces.error, pieces.errorDetail))
      return end
    }
    if (outcome === pieceOver) this.close(session)
    return pieces.pos
  }

  /** All that this client waited for was answered, and it is in the middle of a request: nothing of that will run. */
  answered(session: Session): void {
    const stream = session.stream!
    const { lane } = stream
    if (lane === undefined) return
    stream.discard()
    // What was sent of it stands in the server's buffer: no other command may follow there.
    if (session.lease?.lane === lane)
      this.parts.leased.giveUp(session, session.lease, 'answered in the middle of a request')
  }

  /** The client is gone. */
  left(session: Session): void {
    if (session.stream !== undefined) this.close(session)
  }

  private close(session: Session): void {
    session.stream = undefined
    this.open--
  }

  /** Refused with one error, before anything of it was sent; or not taken yet. */
  private refused(session: Session, id: number, pos: number, end: number, step: number): number {
    if (step !== done) return step
    const { hands } = this
    hands.countTaken(session, id)
    const pieces = this.piecesOf(session, pos, { first: 0, last: -1, step: 1 }, nobody)
    this.open++
    session.stream = new RequestStream(pieces, undefined, 0)
    session.stream.discard()
    this.feed(session, hands.bytes, pos + pieces.taken, end)
    return done
  }

  /** The next piece goes upstream. */
  private pass(session: Session, stream: RequestStream, buf: Buffer, pos: number, end: number): number {
    const { hands } = this
    const { pieces } = stream
    const lane = stream.lane!
    const outcome = pieces.take(buf, pos, end)
    if (outcome === pieceBroken) {
      this.close(session)
      // It is the answer to the command that is under way, which will never be whole.
      lane.cutError = errorText(pieces.error, pieces.errorDetail)
      this.parts.leased.giveUp(session, session.lease!, 'its client has broken the protocol')
      hands.breakOff(session, pieces, undefined)
      return end
    }
    const isLast = outcome === pieceOver
    if (!this.mayLeave(session, stream, isLast) || !hands.isOwnLane(session, lane)) {
      this.close(session)
      hands.isolationFailure(session, lane)
      return end
    }
    const isTaken = lane.writePiece(pieces.out.subarray(0, pieces.outEnd), isLast)
    pieces.begin()
    if (pieces.taken > stream.charged) {
      hands.owe(session.account!, pieces.taken - stream.charged)
      stream.charged = pieces.taken
    }
    if (isLast) this.close(session)
    else if (!isTaken && !session.isClosed) hands.waitForRoom(session, lane)
    return pieces.pos
  }

  // ---- what is known of it ----

  private idOf(frame: RequestFramer, bytes: Uint8Array): number {
    const { table } = this
    if (frame.seen < 1) return -1
    const id = table.lookup(bytes, frame.off[0]!, frame.len[0]!)
    if (id < 0 || table.isContainer[id] === 0 || frame.count < 2) return id
    return frame.seen < 2 ? -1 : table.lookupSub(id, bytes, frame.off[1]!, frame.len[1]!)
  }

  /** Where its keys stand, as far as that follows from its row alone; undefined: its arguments say it, or it has none. */
  private placesOf(id: number, count: number): KeyPlaces | undefined {
    const { table } = this
    if (table.keyMode[id] === KEYS.range) {
      const last = table.keyLast[id]!
      return {
        first: table.keyFirst[id]!,
        last: last < 0 ? count + last : Math.min(last, count - 1),
        step: table.keyStep[id]!,
      }
    }
    const isChannel = table.keyMode[id] === KEYS.finder && table.finder[id] === FINDER.channel
    return isChannel ? { first: 1, last: 1, step: 1 } : undefined
  }

  private prefixOf(session: Session, account: SessionAccount, id: number): Buffer {
    return this.table.keyMode[id] === KEYS.finder ? account.tenant!.prefix : session.prefix
  }

  /** Where connections of their own, or memory for this, are used up, requests are collected. */
  private mayStart(session: Session, account: SessionAccount): boolean {
    if (session.lease !== undefined) return this.open < streamsMax
    const { primary } = this.parts.tracker
    if (primary === undefined) return true // it waits for one
    const { id: tenant, database } = account.tenant!
    const key = { tenant, nodeIndex: primary.index, resp: session.resp, database, runsScripts: false }
    return this.open < streamsMax && this.parts.leases.mayTake(key)
  }

  /** For the promises to readers: where not all keys have come, it counts as a write of any. */
  private noteKeys(id: number, { first, last, step }: KeyPlaces): void {
    const { keys, frame } = this.hands
    keys.count = 0
    keys.patterns = 0
    keys.isChannel = this.table.keyMode[id] === KEYS.finder
    if (last >= frame.seen || last - first >= fenceKeysMax * step) return
    for (let i = first; i <= last; i += step) keys.arg[keys.count++] = i
  }

  private piecesOf(session: Session, pos: number, places: KeyPlaces, prefix: Buffer): PieceRewriter {
    const { frame, bytes } = this.hands
    const line = bytes.subarray(pos, frame.head[0]!)
    return new PieceRewriter(line, frame.count, places, prefix, session.requestBytesMax)
  }

  /** A reading of its own of what was made: which command it is, and whether its keys have the prefix. */
  private mayLeave(session: Session, stream: RequestStream, isLast: boolean): boolean {
    const { out, outEnd } = stream.pieces
    let from = 0
    if (stream.check === undefined) {
      const { second } = this
      if (second.frame(out, 0, outEnd) !== incomplete) return false
      const id = this.idOf(second, out)
      const places = id < 0 || this.table.route[id] !== ROUTE.write ? undefined : this.placesOf(id, second.count)
      if (places === undefined) return false
      from = second.head[0]!
      const prefix = this.prefixOf(session, session.account!, id)
      stream.check = new PieceCheck(from, second.count, places, prefix)
    }
    return stream.check.passes(out, from, outEnd) && stream.check.isOver === isLast
  }
}

const nobody = Buffer.alloc(0)

/** Is a request of which so many bytes are needed one for here? */
export function isStreamed(need: number): boolean {
  return need > streamFromBytes
}
