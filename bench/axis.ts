/** A logarithmic axis: how far it reaches, where its ticks are, where a value lies. Pure. */

export interface Axis {
  readonly low: number
  readonly high: number
  /** Zero, which has no logarithm, stands at `low`, apart from the smallest other value. */
  readonly hasZero: boolean
  readonly ticks: readonly number[]
}

const steps = [1, 2, 5]

/** The largest 1, 2 or 5 times a power of ten that is at most `value`. */
export function roundDown(value: number): number {
  const decade = 10 ** Math.floor(Math.log10(value) + 1e-9)
  return (steps.findLast((step) => step * decade <= value * (1 + 1e-9)) ?? 1) * decade
}

/** The smallest 1, 2 or 5 times a power of ten that is at least `value`. */
export function roundUp(value: number): number {
  const down = roundDown(value)
  if (down >= value * (1 - 1e-9)) return down
  const decade = 10 ** Math.floor(Math.log10(down) + 1e-9)
  return (steps.find((step) => step * decade > down * (1 + 1e-9)) ?? 10) * decade
}

/** 1, 2 and 5 of each decade; of more than two decades 1 only, of more than eight every other one of these. */
function ticksBetween(low: number, high: number): number[] {
  const decades = Math.log10(high / low)
  const wanted = decades > 2 ? [1] : steps
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    if (decades > 8 && power % 2 !== 0) continue
    ticks.push(...wanted.map((step) => step * 10 ** power))
  }
  return ticks
    .filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9))
    .map((n) => Number(n.toPrecision(6)))
}

/** For values from a measurement: rounded outwards, and so wide that what hardly differs looks alike. */
export function valueAxis(values: readonly number[], factorMin = 10): Axis {
  const positive = values.filter((value) => value > 0)
  if (positive.length === 0) throw new Error('an axis without a positive value')
  let low = Math.min(...positive)
  let high = Math.max(...positive)
  const missing = Math.sqrt(factorMin / (high / low))
  if (missing > 1) [low, high] = [low / missing, high * missing]
  ;[low, high] = [roundDown(low), roundUp(high)]
  return { low, high, hasZero: false, ticks: ticksBetween(low, high) }
}

/** For what was set: from the smallest to the largest, not rounded; a tick for each, where there are few. */
export function settingAxis(values: readonly number[], ticksMax = 7): Axis {
  const distinct = [...new Set(values)].sort((a, b) => a - b)
  const hasZero = distinct[0] === 0
  const positive = distinct.filter((value) => value > 0)
  const [first, last] = [positive[0] ?? 1, positive.at(-1) ?? 1]
  const low = hasZero ? first / 4 : first
  const high = last > low ? last : low * 10
  const every = Math.ceil(distinct.length / ticksMax)
  return { low, high, hasZero, ticks: distinct.filter((_, i) => i % every === 0) }
}

/** 0 at the low end, 1 at the high end. */
export function place(axis: Axis, value: number): number {
  if (value === 0 && axis.hasZero) return 0
  return Math.log(value / axis.low) / Math.log(axis.high / axis.low)
}
