/**
 * How far apart the marks are that strong reads wait for. Pure: the clock is handed in, ms.
 *
 * Each mark costs the primary as much as several reads, so the fewer the better; but what waits for one may take hardly longer
 * than a read at the primary. So it is the wait that is held, not the gap: its mean over all readers is to be a 28th of a round
 * trip, and the gap is what brings that about.
 *
 *   readers that know nothing of each other      wait half a gap: the gap settles at about a 14th of a round trip
 *   clients that ask again when they are answered   come in flocks, a round trip apart. A mark is held back a moment for the
 *                                                rest of the flock, and for as long as more of it come one behind the other; now
 *                                                and then a gap is twice as long, so that two flocks wait for one mark, once: from
 *                                                then on they are one. Few marks, and nobody waits
 */

/** Of a round trip: what the wait may be in the mean, the least gap, and the widest, which is the longest that anybody waits. */
const waitsPerRoundTrip = 28
const leastPerRoundTrip = 16
const widestPerRoundTrip = 3
/** A mark is held back this part of a round trip, for those who come with its first reader. */
const gathersPerRoundTrip = 90
/**
 * Then further, while somebody came within the last millisecond: two hundred clients are answered, and ask again, over several of them.
 * No longer than this part of a round trip from the first, and not at all where a millisecond is much of one.
 */
const quietMs = 1
const quietFromMs = 45
const flockPerRoundTrip = 14
/** The gap moves by so much at a time, and goes back faster than that when readers wait too long. */
const wider = 1.15
const narrowerMin = 0.7
/** It is moved after so many readers. */
const readersPerStep = 32
/** Every so many gaps one is twice as long: of readers that know nothing of each other it is worth 1 in 20 of their wait. */
const marksPerMeeting = 20

export class IndexGap {
  /** Of the mark to come, ms. */
  gapMs: number
  /** How long the first reader of a mark waits for others, ms; 0: not at all. */
  gatherMs = 0
  private readonly minMs: number
  /** What most gaps are. */
  private usualMs: number
  private marks = 0
  private budgetMs = 0
  private leastMs: number
  private widestMs: number
  private flockMs = 0
  /** Of the mark to come: who waits for it, and the sum of the moments at which they came, since `fromMs`. */
  private readers = 0
  private fromMs = 0
  private cameMs = 0
  private lastMs = 0
  /** Of the marks since the last step. */
  private stepReaders = 0
  private stepWaitMs = 0

  constructor(minMs: number) {
    this.minMs = minMs
    this.gapMs = minMs
    this.usualMs = minMs
    this.leastMs = minMs
    this.widestMs = minMs
  }

  /** Infinity or NaN: not known. */
  setRoundTrip(rttMs: number): void {
    const ms = Number.isFinite(rttMs) ? rttMs : 0
    this.budgetMs = ms / waitsPerRoundTrip
    this.gatherMs = Math.floor(ms / gathersPerRoundTrip)
    this.flockMs = ms < quietFromMs ? 0 : ms / flockPerRoundTrip
    this.leastMs = Math.max(this.minMs, ms / leastPerRoundTrip)
    this.widestMs = Math.max(this.minMs, ms / widestPerRoundTrip)
    this.usualMs = Math.min(Math.max(this.usualMs, this.leastMs), this.widestMs)
    this.gapMs = this.usualMs
  }

  /** A reader waits for the next mark from now on. */
  asked(nowMs: number): void {
    if (this.readers === 0) this.fromMs = nowMs
    this.readers++
    this.cameMs += nowMs - this.fromMs
    this.lastMs = nowMs
  }

  /** A mark is due: how long it is held back yet for readers that are still coming, ms; 0: it is not. */
  holdMs(nowMs: number): number {
    if (this.readers === 0) return 0
    return Math.max(0, Math.min(this.lastMs + quietMs, this.fromMs + this.flockMs) - nowMs)
  }

  /** How long it may be held back for them at the most, ms. */
  mostHoldMs(nowMs: number): number {
    return this.readers === 0 ? this.flockMs : this.fromMs + this.flockMs - nowMs
  }

  /** A mark was sent, for whatever reason. */
  sent(nowMs: number): void {
    const { readers } = this
    if (readers === 0) return
    this.stepReaders += readers
    this.stepWaitMs += readers * (nowMs - this.fromMs) - this.cameMs
    this.readers = 0
    this.cameMs = 0
    if (this.stepReaders >= readersPerStep) this.step()
    this.marks++
    const isMeeting = this.marks % marksPerMeeting === 0
    this.gapMs = isMeeting ? Math.min(2 * this.usualMs, this.widestMs) : this.usualMs
  }

  private step(): void {
    const meanMs = this.stepWaitMs / this.stepReaders
    this.stepReaders = 0
    this.stepWaitMs = 0
    const change = meanMs > this.budgetMs ? Math.max(narrowerMin, this.budgetMs / meanMs) : wider
    this.usualMs = Math.min(Math.max(this.usualMs * change, this.leastMs), this.widestMs)
  }
}
