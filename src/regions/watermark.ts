/**
 * Watermarks: numbered messages that this proxy sends through the primary and sees come out at the replicas. Held here:
 * the numbers, when each was sent, and how often one is sent. Not here: the connections (mark-sender.ts, subscriber.ts)
 * and what a shown mark proves about a node (tracker.ts).
 *
 *     reply arrives ... position = nextSeq          mark n sent (sentAt taken, nextSeq = n + 1, bytes written)
 *     ------------------------|-----------------------------------|---------------------------------> our clock
 *                             p = n                                \--> primary --stream--> replica shows n
 *
 * Redis runs a primary's commands one after the other and a replica applies them in that order. So a replica that shows
 * mark n has every write whose reply had arrived, at anybody, before n was sent. Two bounds follow, and one synchronous
 * block (`fire`) keeps both on the safe side:
 * - Staleness is an upper bound: now minus the moment *before* the mark's bytes were written. A mark that waits in a
 *   socket, or is run late by the primary, only covers more than is claimed for it.
 * - A position is the first mark not yet sent. `nextSeq` is raised in the block that sends: whatever is answered after
 *   it, in the same turn or later, gets the next number and so is covered only by a mark that is sent after it. Nothing
 *   that arrives between taking the time and writing the bytes can be missed, because nothing runs in between.
 *
 * Numbers are never used twice in a process, through all epochs: a position taken in an old epoch is at most the first
 * number of the new one, so the first mark that a node shows of the new epoch covers it without any bookkeeping.
 */
import type { Clock } from '../base/clock.ts'
import { IndexGap } from './index-gap.ts'
import type { Timer, Timers } from './timers.ts'

/** Marks are at least this far apart: 200 a second cost a primary 1.6 % of a core (docs/decisions/0002). */
export const markGapMsMin = 5
/** A primary that is far away does not need more than this many marks in flight: the proof is never newer than its road. */
const marksPerRoundTrip = 10
/** Heartbeat while clients are active, and at rest (nothing for `restAfterMs`). */
const heartbeatMs = 100
const restingHeartbeatMs = 2_000
const restAfterMs = 5_000
/** Send times kept: at the smallest gap the last 80 s. A node that lags more than that has a staleness of Infinity. */
const ringSize = 16_384

export interface Mark {
  readonly epoch: number
  readonly lane: number
  readonly seq: number
  /** The data lane that carried it, behind a tenant's commands (trails.ts); controlSlot when none did. */
  readonly slot: number
}

/** `slot` of marks that have a connection of their own. */
export const controlSlot = -1

/** The text of a mark. `lane` names the connection that carried it: marks of two connections can overtake each other. */
export function encodeMark(mark: Mark): string {
  return mark.slot === controlSlot
    ? `${mark.epoch}:${mark.lane}:${mark.seq}`
    : `${mark.epoch}:d${mark.slot}:${mark.seq}`
}

/** Undefined for anything that we cannot have sent. */
export function parseMark(text: string): Mark | undefined {
  const parts = /^(\d{1,15}):(d?)(\d{1,15}):(\d{1,15})$/.exec(text)
  if (parts === null) return undefined
  const isTrail = parts[2] === 'd'
  const carrier = Number(parts[3])
  return {
    epoch: Number(parts[1]),
    lane: isTrail ? 0 : carrier,
    seq: Number(parts[4]),
    slot: isTrail ? carrier : controlSlot,
  }
}

export interface MarksOptions {
  readonly clock: Clock
  readonly timers: Timers
  /** Writes the mark to the primary now; false when it could not be written (the number is then skipped, harmlessly). */
  readonly send: (seq: number) => boolean
}

export class Marks {
  /** The first mark that was not yet sent: the position of anything that is answered now. */
  nextSeq = 1
  lastSentAtMs = Number.NEGATIVE_INFINITY
  /** Marks that the primary answered with an error. */
  refused = 0

  private readonly clock: Clock
  private readonly timers: Timers
  private readonly send: (seq: number) => boolean
  private readonly ring = new Float64Array(ringSize).fill(Number.NEGATIVE_INFINITY)
  private gapMs = markGapMsMin
  /** Marks that strong reads wait for. */
  private readonly index = new IndexGap(markGapMsMin)
  private lastActivityMs = Number.NEGATIVE_INFINITY
  private isResting = true
  /**
   * The pending mark is due within this many ms, counted from any moment since it was armed; so a wish that is not
   * shorter is already met, and `wantWithin` is one compare. -1 while closed: every wish is met by the first mark sent
   * after opening. Infinity only inside `fire`.
   */
  private armedDelayMs = -1
  private dueAtMs = Number.POSITIVE_INFINITY
  /** When it is due whoever else waits: it is held back for readers that are still coming until then at the most. */
  private wishedAtMs = Number.POSITIVE_INFINITY
  private timer: Timer | undefined

  constructor(options: MarksOptions) {
    this.clock = options.clock
    this.timers = options.timers
    this.send = options.send
  }

  /** Somebody needs a mark that is sent at most this much later. Meant to be called per command. */
  wantWithin(delayMs: number): void {
    if (delayMs >= this.armedDelayMs) return
    this.arm(delayMs, this.clock.now())
  }

  /** Readers wait for the next mark: it is sent as soon as their gap allows, one for all who ask until then. */
  wantNow(): void {
    if (!this.isOpen) return
    const now = this.clock.now()
    const { gapMs, gatherMs } = this.index
    this.index.asked(now)
    this.schedule(Math.max(now + gatherMs, this.lastSentAtMs + gapMs), now)
  }

  /** How long a reader who asks now would wait for its mark, at the most, ms. */
  indexWaitMs(nowMs: number): number {
    const { gapMs, gatherMs } = this.index
    return Math.max(gatherMs, this.lastSentAtMs + gapMs - nowMs, this.index.mostHoldMs(nowMs))
  }

  /** A client command came. Ends a rest: what is known of the replicas may then be 2 s old, so a mark goes out at once. */
  noteActivity(nowMs: number): void {
    this.lastActivityMs = nowMs
    if (!this.isResting) return
    this.isResting = false
    this.wantWithin(0)
  }

  /** When `seq` was sent, -Infinity when that was never or too many marks ago. */
  sentAtMs(seq: number): number {
    if (seq >= this.nextSeq || seq < this.nextSeq - ringSize || seq < 1) return Number.NEGATIVE_INFINITY
    return this.ring[seq % ringSize]!
  }

  /**
   * Takes a number for a mark that the caller writes in this very block, at the end of what it has put on a data lane.
   * The heartbeat goes on as if nothing had been sent.
   */
  take(): number {
    const seq = this.nextSeq
    this.ring[seq % ringSize] = this.clock.now()
    this.nextSeq = seq + 1
    return seq
  }

  /** Marks closer than this prove nothing sooner. */
  get gapMsNow(): number {
    return this.gapMs
  }

  /** There is a road to the confirmed primary: the first mark goes out at once. */
  open(): void {
    if (this.isOpen) return
    this.armedDelayMs = Number.POSITIVE_INFINITY
    this.arm(0, this.clock.now())
  }

  close(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.dueAtMs = Number.POSITIVE_INFINITY
    this.wishedAtMs = Number.POSITIVE_INFINITY
    this.armedDelayMs = -1
  }

  get isOpen(): boolean {
    return this.armedDelayMs !== -1
  }

  /** The round trip of the primary sets how close marks may follow each other. */
  setRoundTrip(rttMs: number): void {
    const isKnown = Number.isFinite(rttMs)
    this.gapMs = isKnown ? Math.max(markGapMsMin, rttMs / marksPerRoundTrip) : markGapMsMin
    this.index.setRoundTrip(rttMs)
  }

  private arm(delayMs: number, now: number): void {
    this.armedDelayMs = Math.min(this.armedDelayMs, delayMs)
    const dueAtMs = Math.max(now + delayMs, this.lastSentAtMs + this.gapMs)
    this.wishedAtMs = Math.min(this.wishedAtMs, dueAtMs)
    this.schedule(dueAtMs, now)
  }

  private schedule(dueAtMs: number, now: number): void {
    if (dueAtMs >= this.dueAtMs) return
    this.timer?.cancel()
    this.dueAtMs = dueAtMs
    if (dueAtMs > now) {
      this.timer = this.timers.after(Math.ceil(dueAtMs - now), () => this.fire())
      return
    }
    // Due now: after the I/O of this turn, so that one mark covers all the replies that it brought.
    let isCancelled = false
    this.timer = {
      cancel: () => {
        isCancelled = true
      },
    }
    this.timers.soon(() => {
      if (!isCancelled) this.fire()
    })
  }

  private fire(): void {
    this.timer = undefined
    this.dueAtMs = Number.POSITIVE_INFINITY
    const now = this.clock.now()
    const heldUntilMs = Math.min(now + this.index.holdMs(now), this.wishedAtMs)
    if (heldUntilMs > now && this.isOpen) return this.schedule(heldUntilMs, now)
    this.wishedAtMs = Number.POSITIVE_INFINITY
    this.armedDelayMs = Number.POSITIVE_INFINITY
    const seq = this.take()
    this.lastSentAtMs = now
    this.index.sent(now)
    this.send(seq)
    if (!this.isOpen) return
    this.isResting = now - this.lastActivityMs >= restAfterMs
    this.arm(this.isResting ? restingHeartbeatMs : heartbeatMs, now)
  }
}
