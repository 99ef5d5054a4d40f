/**
 * Buckets against a ledger in BigInt that forgets nothing: every take, at its microsecond. In every window what was taken is
 * at most rate * window + burst, exactly; who always asks gets at least rate * window - 1; and bugs planted in the bucket
 * are found by it.
 */
import { TokenBucket } from '../../src/quota/bucket.ts'
import { randomFrom } from '../kit/exchange.ts'

const runs = Number(process.env['RUNS'] ?? 500)
const seed = Number(process.env['SEED'] ?? 1)
/** A whole number below n. */
const below = (from: number): ((n: number) => number) => {
  const random = randomFrom(from)
  return (n) => Math.floor(random() * n)
}

const micro = 1_000_000n

interface Taken {
  readonly atUs: bigint
  readonly cost: bigint
}

interface Trace {
  readonly taken: Taken[]
  readonly rateMicro: bigint
  readonly burst: bigint
  /** The largest cost that was taken. */
  largest: bigint
}

/** The worst window: how much more was taken in it than rate * window + burst, in millionths of a unit. At most 0 is right. */
function excess({ taken, rateMicro, burst, largest }: Trace): bigint {
  const most = (largest > burst ? largest : burst) * micro
  // Sum taken up to i, less what the rate gave up to i: the excess of window [i, j] is f(j) - f(i before) - most.
  let sum = 0n
  let lowest: bigint | undefined
  let worst = -most
  for (const { atUs, cost } of taken) {
    const given = rateMicro * atUs // millionths of millionths
    const before = sum * micro * micro - given
    if (lowest === undefined || before < lowest) lowest = before
    sum += cost
    const over = (sum * micro * micro - given - lowest - most * micro) / micro
    if (over > worst) worst = over
  }
  return worst
}

type Make = (rate: number, burst: number, nowUs: number) => Pick<TokenBucket, 'take' | 'refill'>
const real: Make = (rate, burst, nowUs) => new TokenBucket(rate, burst, nowUs)

const rates = [1, 3, 7.5, 50, 999, 1_000, 33_333.333333, 250_000, 4_000_000_000, 1 / 3600, 10 / 60]

/** A client that asks at odd times for odd costs, with pauses short and long. */
function play(make: Make, random: (n: number) => number, steps: number): Trace {
  const rate = rates[random(rates.length)]!
  const burst = [1, 2, 10, 1_000, 100_000][random(5)]!
  const startUs = random(1_000_000_000)
  const bucket = make(rate, burst, startUs)
  const trace: Trace = {
    taken: [],
    rateMicro: BigInt(Math.floor(rate)) * micro + BigInt(Math.floor((rate - Math.floor(rate)) * 1e6)),
    burst: BigInt(burst),
    largest: 0n,
  }
  let nowUs = startUs
  for (let i = 0; i < steps; i++) {
    const kind = random(10)
    if (kind < 6)
      nowUs += random(Math.max(2, Math.ceil(2e6 / rate)) > 1e9 ? 1_000_000_000 : Math.max(2, Math.ceil(2e6 / rate)))
    else if (kind === 6) nowUs += random(60_000_000)
    else if (kind === 7) nowUs += Math.floor(((burst / rate) * 1e6 * random(1_000)) / 900)
    const cost = random(8) === 0 ? 1 + random(burst * 3) : 1 + random(3)
    if (bucket.take(cost, nowUs) !== 0) continue
    trace.taken.push({ atUs: BigInt(nowUs), cost: BigInt(cost) })
    if (BigInt(cost) > trace.largest) trace.largest = BigInt(cost)
  }
  return trace
}

/** Ends with the first that is too much. */
function worstOf(make: Make, runs: number, from: number): bigint {
  const random = below(from)
  let worst: bigint | undefined
  for (let i = 0; i < runs; i++) {
    const over = excess(play(make, random, 200))
    if (worst === undefined || over > worst) worst = over
    if (worst > 0n) break
  }
  return worst!
}

/** Always asks again when it was told to. What it was short of, in millionths of a unit, over windows of whatever length. */
function shortfall(make: Make, rate: number, burst: number, seconds: number): number {
  const bucket = make(rate, burst, 0)
  let nowUs = 0
  let taken = 0
  let worst = Number.NEGATIVE_INFINITY
  let lowest = 0
  while (nowUs < seconds * 1e6) {
    const waitUs = bucket.take(1, nowUs)
    if (waitUs === 0) {
      taken++
      // The client has asked all the time: since when it was best off, it must have had rate * time - 1.
      lowest = Math.max(lowest, taken * 1e6 - rate * nowUs)
      continue
    }
    const owed = lowest - (taken * 1e6 - rate * nowUs)
    worst = Math.max(worst, owed)
    nowUs += waitUs
  }
  return worst
}

describe('a token bucket', () => {
  test('never gives more than rate * window + burst, in any window of any trace', () => {
    expect(worstOf(real, runs, seed)).toBeLessThanOrEqual(0n)
  })

  test('gives who always asks at least rate * window - 1', () => {
    for (const [rate, burst] of [
      [1, 1],
      [7, 3],
      [1_000, 10],
      [33_333, 5],
      [999_983, 3], // a microsecond brings almost one: with less room it would be lost
    ] as const)
      expect(shortfall(real, rate, burst, 0.1)).toBeLessThanOrEqual(1e6)
  })

  test('says how long it takes, to the microsecond', () => {
    const random = below(seed)
    for (let i = 0; i < 500; i++) {
      const rate = 1 + random(2_000_000)
      const burst = 1 + random(1_000)
      const bucket = new TokenBucket(rate, burst, 0)
      bucket.take(burst, 0)
      const cost = 1 + random(2 * burst)
      const waitUs = bucket.waitUs(cost, 0)
      expect(waitUs).toBeGreaterThan(0)
      expect(bucket.waitUs(cost, waitUs - 1)).toBe(1)
      expect(bucket.take(cost, waitUs)).toBe(0)
    }
  })

  describe('planted bugs are found:', () => {
    /** Counts the time after the take: what passed while the bucket was full is given once more. */
    class TakesFirst extends TokenBucket {
      private lastUs: number
      private had: number
      private readonly perSecond: number
      private readonly most: number
      constructor(perSecond: number, most: number, nowUs: number) {
        super(perSecond, most, nowUs)
        this.perSecond = perSecond
        this.most = most
        this.lastUs = nowUs
        this.had = most
      }
      override take(cost: number, nowUs: number): number {
        const gained = ((nowUs - this.lastUs) / 1e6) * this.perSecond
        this.lastUs = nowUs
        const may = this.had >= Math.min(cost, this.most)
        if (may) this.had -= cost
        this.had = Math.min(this.had + gained, this.most)
        return may ? 0 : 1
      }
    }
    /** Full means twice full. */
    class DoubleBurst extends TokenBucket {
      constructor(rate: number, burst: number, nowUs: number) {
        super(rate, burst * 2, nowUs)
      }
    }
    /** Rounds the time up to the next millisecond. */
    class CoarseClock extends TokenBucket {
      override take(cost: number, nowUs: number): number {
        return super.take(cost, Math.ceil(nowUs / 1000) * 1000)
      }
    }
    /** Forgets what it lent for a cost above burst. */
    class NoDebts extends TokenBucket {
      override debit(cost: number): void {
        super.debit(Math.min(cost, this.burst))
      }
    }
    test.each([
      ['takes before it counts the time', (r: number, b: number, t: number) => new TakesFirst(r, b, t)],
      ['a burst of twice its size', (r: number, b: number, t: number) => new DoubleBurst(r, b, t)],
      ['a clock that is rounded up', (r: number, b: number, t: number) => new CoarseClock(r, b, t)],
      ['a debt that is forgotten', (r: number, b: number, t: number) => new NoDebts(r, b, t)],
    ])('%s', (_, make) => {
      expect(worstOf(make, runs, seed)).toBeGreaterThan(0n)
    })

    test('a remainder that is thrown away', () => {
      /** Counts whole units only. */
      class Truncating extends TokenBucket {
        override take(cost: number, nowUs: number): number {
          const step = Math.floor(1e6 / this.rate) || 1
          return super.take(cost, Math.floor(nowUs / (step * 3)) * step * 3) === 0 ? 0 : step
        }
      }
      expect(shortfall((r, b, t) => new Truncating(r, b, t), 999, 1, 0.5)).toBeGreaterThan(1e6)
    })
  })
})
