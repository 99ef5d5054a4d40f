/**
 * Replies of one client whose tenant wants its writes on replicas before they are acknowledged (`durability`). Stands between
 * the lanes and the session, for such clients only:
 *
 *   lane -> onReply -> nothing held, and no write: straight on to the session
 *                   \-> held: [write, position 7][read][write, position 8] --the line confirms 7--> session.give
 *                                                                         \--its time is over--> -NOTDURABLE in its place
 *
 * What is held counts as in flight: commands behind it follow to the primary, the connection's end waits for it, and the bound
 * on commands in flight bounds it. Its positions and fences are laid when the node answers: the write *is* there. Errors are
 * no acknowledgement, and wait only for what is in front of them.
 */
import { errorText } from '../base/errors.ts'
import { clientOutputHardBytes, heldBytesSoft, heldReplyBytes } from '../base/limits.ts'
import type { DurabilityPromise, TenantState } from '../tenant/account.ts'
import { type DurableLine, neverConfirmed, type Waiter } from '../upstream/durability.ts'
import type { Lane, Transform } from '../upstream/lane.ts'
import { type Session, stallNone, stallOrder } from './session.ts'
import { SinkFor } from './sink-for.ts'

/** `position` of what needs no confirmation. */
const notAWrite = 0
/** '-' */
const errorByte = 0x2d
const underscore = 0x5f
const dollar = 0x24
const star = 0x2a

interface Held {
  readonly bytes: Buffer
  readonly completed: number
  readonly position: number
  /** Of the data, when it was answered. */
  readonly history: number
  /** When it was answered, and until when it may be confirmed; ms. */
  readonly atMs: number
  readonly dueAtMs: number
  /** What follows it is the rest of a reply. */
  readonly isMidReply: boolean
}

export class HeldReplies extends SinkFor<Session> implements Waiter {
  /** Bytes that are held, with what each costs besides. */
  bytes = 0
  private readonly line: DurableLine
  private readonly tenant: TenantState
  /** As it was when this began: a change makes another one. */
  private readonly promise: DurabilityPromise
  private held: Held[] = []
  private first = 0
  /** Commands whose replies are held. */
  private answered = 0
  /** History in which the command whose reply comes next was sent; set by its transform. */
  private sentIn = -1
  /** A null in its place says that it has done nothing. */
  private isNullNothing = false
  private kept: Transform | undefined
  private keptIn = -1

  constructor(session: Session, tenant: TenantState, line: DurableLine) {
    super(session)
    this.tenant = tenant
    this.line = line
    this.promise = tenant.durability!
  }

  get count(): number {
    return this.held.length - this.first
  }

  // ---- the way down ----

  /**
   * For a write that is being sent now: its whole reply comes here, and what it says is known to be of this history.
   * `isNullNothing`: it is EXEC, or a command that blocks.
   */
  keep(transform: Transform | undefined, isNullNothing: boolean): Transform {
    const { history } = this.line
    const isPlain = transform === undefined && !isNullNothing
    if (isPlain && this.kept !== undefined && this.keptIn === history) return this.kept
    const kept: Transform = (reply) => {
      this.sentIn = history
      this.isNullNothing = isNullNothing
      return transform === undefined ? reply : transform(reply)
    }
    if (isPlain) {
      this.kept = kept
      this.keptIn = history
    }
    return kept
  }

  /** A reply of the proxy's own: behind what is on its way, or behind what is held. */
  local(bytes: Buffer, nowMs: number): void {
    const { session } = this
    if (session.inFlight > this.answered) session.lane!.appendLocal(this, bytes, nowMs)
    else this.hold(bytes, 1, notAWrite, false)
  }

  // ---- the way back: see SinkFor ----

  override onReply(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean {
    const { session } = this
    const { sentIn, isNullNothing } = this
    this.sentIn = -1
    this.isNullNothing = false
    const isWrite = hasWrite && completed === 1 && isAcknowledgement(view) && !(isNullNothing && isNull(view))
    if (!isWrite && this.count === 0) return session.onReply(view, completed, hasWrite, lane)
    session.noteAnswer(view, hasWrite, lane)
    const position = isWrite ? this.line.position(this, lane.nodeIndex, sentIn) : notAWrite
    // Whole replies of writes are collected in a buffer of their own; all others are views.
    this.hold(isWrite ? (view as Buffer) : Buffer.from(view), completed, position, lane.isHeadPartial)
    if (session.inFlight === this.answered) session.host.upstreamAnswered(session)
    if (position === neverConfirmed) this.settle(this.line, this.line.now())
    return false
  }

  // ---- held ----

  private hold(bytes: Buffer, completed: number, position: number, isMidReply: boolean): void {
    const { session } = this
    const atMs = this.line.now()
    const isWrite = position !== notAWrite
    const dueAtMs = isWrite ? atMs + this.promise.timeoutMs : Number.POSITIVE_INFINITY
    this.held.push({ bytes, completed, position, history: this.line.history, atMs, dueAtMs, isMidReply })
    this.answered += completed
    this.bytes += bytes.length + heldReplyBytes
    session.host.outputQueued(session, bytes.length + heldReplyBytes)
    if (this.bytes > clientOutputHardBytes + bytes.length) return session.destroy('output limit')
    if (this.bytes > heldBytesSoft && session.stall === stallNone) session.stall = stallOrder
  }

  /** Of the first write that is held. */
  dueAtMs(): number {
    for (let i = this.first; i < this.held.length; i++) {
      const { dueAtMs } = this.held[i]!
      if (dueAtMs !== Number.POSITIVE_INFINITY) return dueAtMs
    }
    return Number.POSITIVE_INFINITY
  }

  /** Gives what can be given, in order. */
  settle(line: DurableLine, nowMs: number): boolean {
    const { session } = this
    if (session.isClosed) return true
    const pieces: Buffer[] = []
    let completed = 0
    let isMidReply = false
    while (this.first < this.held.length) {
      const one = this.held[this.first]!
      const bytes = this.verdict(one, line, nowMs)
      if (bytes === undefined) break
      this.first++
      this.bytes -= one.bytes.length + heldReplyBytes
      pieces.push(bytes)
      completed += one.completed
      isMidReply = one.isMidReply
    }
    if (this.first === this.held.length) {
      this.held = []
      this.first = 0
    } else if (this.first > 1024) {
      this.held = this.held.slice(this.first)
      this.first = 0
    }
    const isOver = this.dueAtMs() === Number.POSITIVE_INFINITY
    this.answered -= completed
    if (pieces.length > 0) session.give(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), completed, isMidReply)
    return isOver
  }

  /** What the client gets in its place; undefined: that is not known yet. */
  private verdict(one: Held, line: DurableLine, nowMs: number): Buffer | undefined {
    if (one.position === notAWrite) return one.bytes
    const { cells } = this.tenant
    if (one.position <= line.confirmed) {
      cells.durableConfirmed++
      cells.durableWait.observe(nowMs - one.atMs, 1)
      return one.bytes
    }
    const isLost = one.position === neverConfirmed || one.history !== line.history
    if (!isLost && !line.isOverdue(one.position, one.dueAtMs, nowMs)) return undefined
    cells.durableDenied++
    cells.durableWait.observe(nowMs - one.atMs, 1)
    const count = isLost ? 0 : line.countOf(one.position)
    const { replicas, timeoutMs } = this.promise
    return Buffer.from(`-${errorText('NOTDURABLE', count, replicas, timeoutMs)}\r\n`)
  }

  /** The client is gone, or somebody else. */
  leave(): void {
    this.line.leave(this)
    this.held = []
    this.first = 0
    this.bytes = 0
    this.answered = 0
  }
}

/** An error is none; nor is the place of a reply that comes later (leased-path.ts, bringAgain). */
function isAcknowledgement(view: Uint8Array): boolean {
  return view.length > 0 && view[0] !== errorByte
}

/** `_`, `$-1`, `*-1` */
function isNull(view: Uint8Array): boolean {
  return view[0] === underscore || ((view[0] === dollar || view[0] === star) && view[1] === errorByte)
}
