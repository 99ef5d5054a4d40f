/** Numbers into lines: medians and spread of the rounds, ratios to twemproxy and to direct. Pure. Verdicts: bars.ts. */
import { fixed, textTable } from './text-table.ts'

/** One round of one cell on one target. */
export interface Sample {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number | undefined
  /** Of the target, microseconds per command (= seconds per million); undefined: its pid is not known. */
  readonly cpuUs: number | undefined
  /** Resident memory of the target after the round. */
  readonly rssBytes: number | undefined
}

export interface Measured {
  readonly cell: string
  readonly target: string
  readonly samples: readonly Sample[]
}

/** Who is not measured in a cell, and why. */
export interface LeftOut {
  readonly cell: string
  readonly target: string
  readonly why: string
}

export interface Spread {
  readonly median: number
  /** (upper quartile - lower quartile) / median */
  readonly iqr: number
}

/** Linear interpolation between the two neighbours, as most tools do (type 7). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * share
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  if (low === undefined || high === undefined) return Number.NaN
  return low + (high - low) * (at - Math.floor(at))
}

export function spread(values: readonly number[]): Spread {
  const median = quantile(values, 0.5)
  return { median, iqr: (quantile(values, 0.75) - quantile(values, 0.25)) / median }
}

export interface Summary {
  readonly cell: string
  readonly target: string
  readonly cpuUs: Spread | undefined
  readonly perSecond: Spread
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number | undefined
  /** After the last round. */
  readonly rssBytes: number | undefined
}

export function summarize(one: Measured): Summary {
  const { samples } = one
  /** Of a figure that every round has; else undefined. */
  const known = (pick: (sample: Sample) => number | undefined): number[] | undefined => {
    const values = samples.map(pick).filter((value) => value !== undefined)
    return values.length === samples.length && values.length > 0 ? values : undefined
  }
  const median = (pick: (sample: Sample) => number | undefined) => quantile(known(pick) ?? [], 0.5)
  const [cpu, p999] = [known((sample) => sample.cpuUs), known((sample) => sample.p999Ms)]
  return {
    cell: one.cell,
    target: one.target,
    cpuUs: cpu && spread(cpu),
    perSecond: spread(samples.map((sample) => sample.perSecond)),
    p50Ms: median((sample) => sample.p50Ms),
    p99Ms: median((sample) => sample.p99Ms),
    p999Ms: p999 && quantile(p999, 0.5),
    rssBytes: samples.at(-1)?.rssBytes,
  }
}

export const find = (all: readonly Summary[], cell: string, target: string): Summary | undefined =>
  all.find((one) => one.cell === cell && one.target === target)

export const ratioOf = (own: number | undefined, base: number | undefined): number | undefined =>
  own === undefined || base === undefined || base === 0 ? undefined : own / base

const percent = (share: number | undefined): string => (share === undefined ? '' : `±${Math.round(share * 100)}%`)
const mib = (bytes: number | undefined): string => (bytes === undefined ? '-' : (bytes / 2 ** 20).toFixed(0))

export const tableHead = [
  ...['cell', 'target', 'CPU us', 'IQR', '/twem', '/redis', 'kreq/s', 'IQR', '/twem', '/direct'],
  ...['p50 ms', 'p99 ms', 'p99.9', 'RSS MiB'],
] as const

/** One block per cell: a line per target, then who was left out and why. */
export function tableRows(all: readonly Summary[], leftOut: readonly LeftOut[] = []): string[][] {
  const rows: string[][] = []
  for (const cell of new Set(all.map((one) => one.cell))) {
    if (rows.length > 0) rows.push([])
    const [tw, direct] = [find(all, cell, 'twemproxy'), find(all, cell, 'direct')]
    const block = all
      .filter((one) => one.cell === cell)
      .map((one) => {
        const against = (own: number | undefined, base: number | undefined) =>
          one.target === 'direct' ? '' : fixed(ratioOf(own, base), 2)
        return [
          ...['', one.target, fixed(one.cpuUs?.median, 2), percent(one.cpuUs?.iqr)],
          against(one.cpuUs?.median, tw?.cpuUs?.median),
          against(one.cpuUs?.median, direct?.cpuUs?.median),
          ...[fixed(one.perSecond.median / 1000, 1), percent(one.perSecond.iqr)],
          against(one.perSecond.median, tw?.perSecond.median),
          against(one.perSecond.median, direct?.perSecond.median),
          ...[fixed(one.p50Ms, 3), fixed(one.p99Ms, 3), fixed(one.p999Ms, 3), mib(one.rssBytes)],
        ]
      })
    block.push(...leftOut.filter((one) => one.cell === cell).map((one) => ['', one.target, `left out: ${one.why}`]))
    if (block[0] !== undefined) block[0][0] = cell
    rows.push(...block)
  }
  return rows
}

export function table(all: readonly Summary[], leftOut: readonly LeftOut[] = []): string {
  // A reason is a sentence, not a number: it stands behind the columns, which it would widen.
  const rows = tableRows(all, leftOut)
  const isReason = (row: readonly string[]) => row[2]?.startsWith('left out') === true
  const reasons = new Map<number, string>()
  for (const [i, row] of rows.entries()) if (isReason(row)) reasons.set(i, row.pop() ?? '')
  const lines = textTable(tableHead, rows).split('\n')
  return lines.map((line, i) => (reasons.has(i - 2) ? `${line}  ${reasons.get(i - 2)}` : line)).join('\n')
}
