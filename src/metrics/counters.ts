/**
 * The two kinds of cell that are more than a number: a histogram with fixed buckets, and a counter with labels for rare
 * events. Neither allocates after its first use of a bucket or label set; neither knows its metric's name.
 */

/** Upper bounds in ms: 0.25 ms to 5 s, 13 buckets. Below is a loopback, above is a timeout. */
export const durationBoundsMs = [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 5000] as const

/** For the age of what was read: from what a near replica lags by to what a cut link leaves, 14 buckets. */
export const stalenessBoundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000] as const

/** Shared: a tenant has several histograms, and all have one of two lists. */
const boundsOf = new Map<readonly number[], Float64Array>()

function sharedBounds(boundsMs: readonly number[]): Float64Array {
  const bounds = boundsOf.get(boundsMs) ?? Float64Array.from(boundsMs)
  boundsOf.set(boundsMs, bounds)
  return bounds
}

export class Histogram {
  /** ms, ascending. */
  readonly bounds: Float64Array
  /** One more than bounds: the last counts what lies above. Not cumulative. */
  readonly counts: Float64Array
  /** ms */
  sum = 0

  constructor(boundsMs: readonly number[] = durationBoundsMs) {
    this.bounds = sharedBounds(boundsMs)
    this.counts = new Float64Array(boundsMs.length + 1)
  }

  /**
   * `count` observations of the same value: one call per run of replies. A bound belongs to its bucket (`le`). Infinity,
   * which is unknown, counts above the last bound and adds nothing to the sum.
   */
  observe(ms: number, count: number): void {
    const { bounds } = this
    let i = 0
    // Linear: most values fall into the first buckets, and 13 compares cost less than a mispredicted search.
    while (i < bounds.length && ms > bounds[i]!) i++
    this.counts[i]! += count
    if (ms !== Number.POSITIVE_INFINITY) this.sum += ms * count
  }

  get count(): number {
    let sum = 0
    for (const count of this.counts) sum += count
    return sum
  }

  /** Upper bound of the bucket that holds this share (0..1) of the observations; for `top` and `status`, not for metrics. undefined: nothing observed. */
  quantileMs(share: number): number | undefined {
    const total = this.count
    if (total === 0) return undefined
    let seen = 0
    for (let i = 0; i < this.bounds.length; i++) {
      seen += this.counts[i]!
      if (seen >= total * share) return this.bounds[i]!
    }
    return Number.POSITIVE_INFINITY
  }
}

/** Label sets of one counter; above it new ones are counted as `other`, so a peer's words cannot grow the page. */
export const keyedSeriesMax = 256

export class KeyedCounter {
  readonly labelCount: number
  readonly #series = new Map<string, { readonly labels: readonly string[]; value: number }>()

  constructor(labelCount: number) {
    this.labelCount = labelCount
  }

  /** Label values in the catalogue's order. They come from fixed sets, never from a client's bytes. */
  add(labels: readonly string[], count = 1): void {
    this.#cell(labels).value += count
  }

  /** Makes the series visible at 0, so that a rate over its first event is right. */
  declare(...labels: string[]): this {
    this.#cell(labels)
    return this
  }

  *entries(): IterableIterator<{ readonly labels: readonly string[]; readonly value: number }> {
    yield* this.#series.values()
  }

  get total(): number {
    let sum = 0
    for (const { value } of this.#series.values()) sum += value
    return sum
  }

  #cell(labels: readonly string[]): { value: number } {
    const key = labels.join('\u0000')
    let cell = this.#series.get(key)
    if (cell === undefined) {
      if (this.#series.size >= keyedSeriesMax && labels[0] !== 'other') {
        return this.#cell(Array.from({ length: this.labelCount }, () => 'other'))
      }
      cell = { labels: [...labels], value: 0 }
      this.#series.set(key, cell)
    }
    return cell
  }
}
