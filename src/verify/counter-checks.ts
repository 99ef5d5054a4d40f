/**
 * Checks reads of keys that have one writer each, who writes 1, 2, 3 ...: then every promise is a comparison of numbers.
 * Pure; all times are of one monotonic clock, that of the process which writes and reads.
 *
 *   sent(7) ------ acked(7, t) ---------------- read sent (floor = 7) ------ value v came
 *                                                                             v < 7: own write not read
 *
 * Every check is on the safe side: a write counts from the moment when its reply was here, a read from the moment when it
 * was sent. So what is reported did happen, and what happened by less than a network's delay may not be reported.
 */
import { Violations } from './violations.ts'

/** The writes of one key. Numbers and times rise; the writer has one write under way at a time, or pipelines them. */
export class Timeline {
  readonly key: string
  /** Highest number that was ever sent. */
  sent = 0
  /** Highest number that was acknowledged. */
  acked = 0
  private readonly ackedSeq: number[] = []
  private readonly ackedAtMs: number[] = []
  private readonly refused = new Set<number>()

  constructor(key: string) {
    this.key = key
  }

  /** The next number to write. */
  next(): number {
    return ++this.sent
  }

  ack(seq: number, atMs: number): void {
    if (seq <= this.acked) throw new Error(`${this.key}: ${seq} was acknowledged after ${this.acked}`)
    this.acked = seq
    this.ackedSeq.push(seq)
    this.ackedAtMs.push(atMs)
  }

  /** The proxy said that it was not executed: it must never be seen. A lost reply is neither this nor an `ack`. */
  refuse(seq: number): void {
    this.refused.add(seq)
  }

  isPossible(value: number): boolean {
    return Number.isInteger(value) && value >= 0 && value <= this.sent && !this.refused.has(value)
  }

  /** The highest number whose acknowledgement was here at `atMs` or before. */
  ackedBefore(atMs: number): number {
    const found = upperBound(this.ackedAtMs, atMs)
    return found === 0 ? 0 : this.ackedSeq[found - 1]!
  }

  /** How old what was read had been when the read was sent: since when a newer value was acknowledged. 0: it was the newest. */
  stalenessMs(value: number, sentAtMs: number): number {
    const newer = upperBound(this.ackedSeq, value)
    return newer === this.ackedSeq.length ? 0 : Math.max(0, sentAtMs - this.ackedAtMs[newer]!)
  }
}

/** How many of the rising numbers are at most `limit`. */
function upperBound(numbers: readonly number[], limit: number): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! <= limit) low = middle + 1
    else high = middle
  }
  return low
}

/** What one connection has seen, by key. */
export type Seen = Map<string, number>

export class CounterChecks {
  readonly violations: Violations
  reads = 0

  constructor(violations = new Violations()) {
    this.violations = violations
  }

  /** Of every read, whatever its level: the value was written by us, and not one that was told to be not executed. */
  known(line: Timeline, value: number): void {
    this.violations.checked['known values']++
    this.reads++
    if (!line.isPossible(value))
      this.violations.add('known values', () => `${line.key} is ${value}, ${line.sent} is the highest that was sent`)
  }

  /** `floor`: `line.acked` of writes through the same proxy, taken when the read was sent. */
  readYourWrites(line: Timeline, value: number, floor: number): void {
    this.violations.checked['read your writes']++
    if (value < floor)
      this.violations.add('read your writes', () => `${line.key} is ${value}, ${floor} was acknowledged before`)
  }

  /** `seen` is the connection's own; call it for every read of that connection, in the order of the replies. */
  monotonicReads(line: Timeline, value: number, seen: Seen): void {
    this.violations.checked['monotonic reads']++
    const last = seen.get(line.key) ?? 0
    if (value < last) this.violations.add('monotonic reads', () => `${line.key} is ${value}, ${last} was seen before`)
    else seen.set(line.key, value)
  }

  /** Both read at one moment on one node, by one MGET; the writer wrote n to `first`, then n to `second`. */
  monotonicWrites(first: Timeline, a: number, second: Timeline, b: number): void {
    this.violations.checked['monotonic writes']++
    if (a < b)
      this.violations.add('monotonic writes', () => `${second.key} is ${b}, but ${first.key}, written first, is ${a}`)
  }

  /** `floor`: `line.acked`, of writes through any proxy, taken when the read was sent. */
  strong(line: Timeline, value: number, floor: number): void {
    this.violations.checked['strong reads']++
    if (value < floor)
      this.violations.add('strong reads', () => `${line.key} is ${value}, ${floor} was acknowledged before`)
  }

  bounded(line: Timeline, value: number, sentAtMs: number, boundMs: number): void {
    this.violations.checked['bounded staleness']++
    const floor = line.ackedBefore(sentAtMs - boundMs)
    if (value < floor) {
      this.violations.add('bounded staleness', () => {
        const ageMs = Math.round(line.stalenessMs(value, sentAtMs))
        return `${line.key} is ${value}, ${ageMs} ms old, the bound is ${boundMs} ms`
      })
    }
  }
}
