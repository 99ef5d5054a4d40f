/**
 * One limit over time: so many units a second, and so many at once. Pure: the monotonic clock is handed in, in whole
 * microseconds. Everything is an integer below 2^53 kept in a double, so nothing is lost to rounding, however long it runs.
 *
 *   level, in millionths of a unit:   debt < 0 ........ burst (full)
 *                                      <- take, debit    refill ->
 *
 * A unit a second is one millionth a microsecond, so a whole rate times a time is exact; the part of a rate below one unit
 * carries its remainder along. The level is always brought up to now before it is asked: who took first and counted the time
 * afterwards would count time during which the bucket was full.
 *
 * What holds, for any trace (test/property/bucket.test.ts): in every window the units taken are at most rate * window + burst
 * (+ what one larger cost is above burst), and who always asks gets at least rate * window - 1.
 */
import { ratePerSecondMax } from '../base/limits.ts'

const micro = 1_000_000
/** A debt is kept up to this; more than that at once is no request that fits through a proxy. */
const debtMax = -ratePerSecondMax * micro

export class TokenBucket {
  /** Millionths of a unit. */
  private level = 0
  private full = 0
  /** The rate: whole units a second, and millionths of a unit a second besides. */
  private whole = 0
  private fraction = 0
  /** What the fraction has given besides whole millionths, in millionths of a millionth. */
  private carry = 0
  private atUs: number

  /** Full. `perSecond` may be a fraction, of which millionths count; `burst` is whole. */
  constructor(perSecond: number, burst: number, nowUs: number) {
    this.atUs = nowUs
    this.setRate(perSecond, burst, nowUs)
  }

  /** Units a second. */
  get rate(): number {
    return this.whole + this.fraction / micro
  }

  get burst(): number {
    return this.full / micro
  }

  /** Units that may be taken at once; below 0: a debt. */
  available(nowUs: number): number {
    this.refill(nowUs)
    return this.level / micro
  }

  /** Whole units that can be taken one by one at the time of the last `refill`. */
  get units(): number {
    return Math.floor(this.level / micro)
  }

  /** Brings the level up to now. A clock that stands, or goes back, gives nothing. */
  refill(nowUs: number): void {
    const passed = nowUs - this.atUs
    if (passed <= 0) return
    this.atUs = nowUs
    const room = this.full - this.level
    // Compared by division first: a product of a long time would not be exact.
    if (this.whole > 0 ? passed >= room / this.whole : passed > (room / this.fraction) * micro + 1) {
      this.level = this.full
      this.carry = 0
      return
    }
    let gain = this.whole * passed
    if (this.fraction > 0) {
      const rest = passed % micro
      const parts = this.fraction * rest + this.carry
      gain += this.fraction * ((passed - rest) / micro) + Math.floor(parts / micro)
      this.carry = parts % micro
    }
    this.level = Math.min(this.full, this.level + gain)
    if (this.level === this.full) this.carry = 0
  }

  /**
   * How long until `cost` units may be taken, microseconds; 0: now. A cost above burst may be taken when the bucket is full,
   * and leaves a debt.
   */
  waitUs(cost: number, nowUs: number): number {
    if (nowUs > this.atUs) this.refill(nowUs)
    const asked = cost * micro
    const lacking = Math.min(asked, this.full) - this.level
    if (lacking <= 0) return 0
    if (this.fraction === 0) return Math.ceil(lacking / this.whole)
    return Math.max(1, Math.ceil((lacking * micro - this.carry) / (this.whole * micro + this.fraction)))
  }

  /** 0: taken. Else nothing was, and how long until it can be, microseconds. */
  take(cost: number, nowUs: number): number {
    const waitUs = this.waitUs(cost, nowUs)
    if (waitUs === 0) this.debit(cost)
    return waitUs
  }

  /** Takes what is owed whether it is there or not: after `waitUs` said 0, and for what was found to have cost more. */
  debit(cost: number): void {
    const level = this.level - Math.round(cost * micro)
    this.level = Math.max(level, debtMax)
  }

  /** What was taken on account and not needed. */
  credit(cost: number): void {
    this.level = Math.min(this.full, this.level + Math.round(cost * micro))
  }

  /** Another limit, which acts at once: a larger burst is there to be taken, a smaller one is all that is left. */
  setRate(perSecond: number, burst: number, nowUs: number): void {
    this.refill(nowUs)
    const before = this.full
    this.setNumbers(perSecond, burst)
    this.level = Math.min(this.full, this.level + Math.max(0, this.full - before))
  }

  /**
   * Another part of one limit that is divided (by fleet scope). What is left of the burst changes with it, so that a part
   * which goes up and down for ever gives nothing away.
   */
  rescale(perSecond: number, burst: number, nowUs: number): void {
    this.refill(nowUs)
    const before = this.full
    this.setNumbers(perSecond, burst)
    if (this.level > 0) this.level = Math.min(this.full, Math.floor((this.level / before) * this.full))
  }

  /** Never nothing: a bucket without a rate would hold its clients up for ever. */
  private setNumbers(perSecond: number, burst: number): void {
    const rate = Math.min(Math.max(perSecond, 1 / micro), ratePerSecondMax)
    this.whole = Math.floor(rate)
    this.fraction = Math.floor((rate - this.whole) * micro)
    if (this.whole === 0 && this.fraction === 0) this.fraction = 1
    this.full = Math.min(Math.max(Math.floor(burst), 1), ratePerSecondMax) * micro
    this.carry = 0
  }
}
