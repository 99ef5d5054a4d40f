/**
 * What a tenant's keys take, from looking at some of them: an estimate and how far it can be off. Pure; fed by the sweep
 * (usage/sweep.ts), which sees every name once and asks the server for the sizes of those that are taken here.
 *
 * Two strata. Keys that are known to be large are always measured (`certain`). Of all others each is taken with a probability
 * `rate`, which begins at 1 and falls when what was seen says that fewer will do: sizes of one kind need few, a heavy tail needs
 * all. Each rate is a phase of its own, decided from the phases before it, so that none is biased by what it has found.
 *
 *   bytes = certain + sum over phases (keys seen / keys measured * sum of sizes)
 *
 * The bound is the empirical Bernstein bound (Maurer, Pontil 2009, theorem 4; Audibert, Munos, Szepesvari 2009): with the variance V
 * and the range R of what was measured, n of N,
 *   N * (sqrt(2 V (1 - n/N) L / n) + 3 R (1 - n/N) L / n),   L = ln(3 / 0.05)
 * It is wider than 1.96 standard errors, because with heavy tails those promise too much: a sample without the few that
 * matter has a small variance.
 */

/** Sizes that are measured before anything is left out. */
const pilotKeys = 4_096
/** What a rate is chosen for: a bound of so much of the bytes. */
const targetRatio = 0.04
/** Above this share nothing is left out: it would save less than it risks. */
const rateWorth = 0.5
/** At least so much is measured, whatever the figures say: a tail is noticed when it grows. */
const rateMin = 0.02
/** The largest size of all is thought to be so many times the largest that was seen when a rate is chosen. */
const tailFactor = 3
const logTerm = Math.log(3 / 0.05)
/** Two-sided 95 % of a normal distribution. */
const z95 = 1.96

export interface MemoryEstimate {
  readonly keys: number
  readonly bytes: number
  /** `bytes` is that far off at most, at 95 %. 0: every key was measured, and none by part of its elements. */
  readonly errorBytes: number
  readonly measured: number
}

interface Phase {
  readonly rate: number
  seen: number
  measured: number
  sum: number
  squares: number
  /** Variance of the measurements themselves: of large values the server looks at some elements only. */
  inner: number
}

export class MemorySample {
  /** Keys seen, and those that were gone when they were asked for. */
  private seen = 0
  private gone = 0
  private certainBytes = 0
  private certainInner = 0
  private certainKeys = 0
  private largest = 0
  private phases: Phase[] = [newPhase(1)]
  private phase = this.phases[0]!

  /** Probability with which a key is measured now. */
  get rate(): number {
    return this.phase.rate
  }

  get keys(): number {
    return this.seen - this.gone
  }

  get measured(): number {
    return this.phases.reduce((sum, phase) => sum + phase.measured, this.certainKeys)
  }

  /** A key was seen. Is its size wanted? `random`: uniform in [0, 1). */
  take(random: number): boolean {
    this.seen++
    this.phase.seen++
    return random < this.phase.rate
  }

  /** A key was seen whose size is wanted whatever the rate. */
  takeCertain(): void {
    this.seen++
  }

  /** `phaseNumber`: that of `take`, should the rate have changed between question and answer. */
  note(bytes: number, innerVariance: number, phaseNumber: number): void {
    const phase = this.phases[phaseNumber]!
    phase.measured++
    phase.sum += bytes
    phase.squares += bytes * bytes
    phase.inner += innerVariance
    if (bytes > this.largest) this.largest = bytes
  }

  noteCertain(bytes: number, innerVariance: number): void {
    this.certainKeys++
    this.certainBytes += bytes
    this.certainInner += innerVariance
  }

  /** A key that was taken was gone when its size was asked for: it counts no more. */
  noteGone(phaseNumber: number | undefined): void {
    this.gone++
    if (phaseNumber !== undefined) this.phases[phaseNumber]!.seen--
  }

  get phaseNumber(): number {
    return this.phases.length - 1
  }

  /**
   * Chooses the rate for what comes. `keysExpected`: how many keys the tenant is thought to have in all. Between pages; a new
   * phase begins only where the rate changes by much.
   */
  adapt(keysExpected: number): void {
    let [n, sum, squares] = [0, 0, 0]
    for (const phase of this.phases) {
      n += phase.measured
      sum += phase.sum
      squares += phase.squares
    }
    if (n < pilotKeys) return
    const left = Math.max(1, keysExpected - this.seen)
    const rate = Math.min(1, Math.max(rateMin, sampleSize(n, sum, squares, this.largest, this.certainBytes) / left))
    const chosen = rate > rateWorth ? 1 : rate
    const before = this.phase.rate
    // Each phase must be large enough for a variance of its own.
    if (this.phase.measured < pilotKeys / 4 || (chosen < before * 1.5 && chosen > before / 1.5)) return
    this.phase = newPhase(chosen)
    this.phases.push(this.phase)
  }

  /**
   * As found among `names` names drawn from a keyspace of `keysThere`, of whoever's they are: none of this tenant's was left out,
   * and none is certain. The spread is that of drawing: how many of the names were its, and how large those are.
   */
  scaled(names: number, keysThere: number): MemoryEstimate & { errorKeys: number } {
    const { seen, sum, squares, inner } = this.phases[0]!
    const n = Math.max(1, names)
    const unseen = Math.max(0, 1 - n / Math.max(n, keysThere))
    // One more key than was found, of the mean size: none among few does not prove that there is none.
    const mean = seen === 0 ? 0 : sum / seen
    const [count, all] = [seen + 1, squares + mean * mean]
    const spread = (of: number, squared: number): number => Math.max(0, squared / n - (of / n) ** 2) / n
    const error = (variance: number): number => z95 * keysThere * Math.sqrt(variance * unseen)
    return {
      keys: Math.round((keysThere * seen) / n),
      bytes: (keysThere * sum) / n,
      errorBytes: Math.hypot(error(spread(sum, all)), (z95 * keysThere * Math.sqrt(inner)) / n),
      errorKeys: error(spread(count, count)),
      measured: this.measured,
    }
  }

  result(): MemoryEstimate {
    let bytes = this.certainBytes
    let [squared, inner] = [0, this.certainInner]
    for (const phase of this.phases) {
      const { seen, measured } = phase
      if (seen === 0 || measured === 0) continue
      const weight = seen / measured
      bytes += weight * phase.sum
      squared += bernstein(phase, this.largest) ** 2
      inner += weight * weight * phase.inner
    }
    return {
      keys: this.keys,
      bytes: Math.round(bytes),
      errorBytes: Math.ceil(Math.sqrt(squared + z95 * z95 * inner)),
      measured: this.measured,
    }
  }
}

function newPhase(rate: number): Phase {
  return { rate, seen: 0, measured: 0, sum: 0, squares: 0, inner: 0 }
}

function bernstein({ seen, measured, sum, squares }: Phase, largest: number): number {
  const unseen = Math.max(0, 1 - measured / seen)
  if (unseen === 0) return 0
  const mean = sum / measured
  const variance = measured < 2 ? largest * largest : Math.max(0, (squares - sum * mean) / (measured - 1))
  return seen * (Math.sqrt((2 * variance * unseen * logTerm) / measured) + (3 * largest * unseen * logTerm) / measured)
}

/** How many sizes the bound needs for `targetRatio`, by what n of them were: each term gets half. */
function sampleSize(n: number, sum: number, squares: number, largest: number, certainBytes: number): number {
  const mean = sum / n
  if (mean === 0) return 0
  const variance = Math.max(0, (squares - sum * mean) / (n - 1))
  // What is certain makes the whole larger, and what is sampled a smaller part of it; no more than by half is counted on.
  const ratio = (targetRatio / 2) * Math.min(2, 1 + certainBytes / (sum + 1))
  const bySpread = (2 * variance * logTerm) / (ratio * mean) ** 2
  const byRange = (3 * tailFactor * largest * logTerm) / (ratio * mean)
  return Math.max(bySpread, byRange)
}
