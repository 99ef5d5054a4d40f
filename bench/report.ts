/** Numbers into lines: medians and spread of the rounds, ratios to twemproxy and to direct, PASS or FAIL of the floors. Pure. */
import type { Floor } from './cells.ts'

/** One round of one cell on one target. */
export interface Sample {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of the target, microseconds per command (= seconds per million); undefined: its pid is not known. */
  readonly cpuUs: number | undefined
}

export interface Measured {
  readonly cell: string
  readonly target: string
  readonly samples: readonly Sample[]
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
}

export function summarize(one: Measured): Summary {
  const { samples } = one
  const cpu = samples.flatMap((s) => (s.cpuUs === undefined ? [] : [s.cpuUs]))
  return {
    cell: one.cell,
    target: one.target,
    cpuUs: cpu.length === samples.length && cpu.length > 0 ? spread(cpu) : undefined,
    perSecond: spread(samples.map((s) => s.perSecond)),
    p50Ms: quantile(
      samples.map((s) => s.p50Ms),
      0.5,
    ),
    p99Ms: quantile(
      samples.map((s) => s.p99Ms),
      0.5,
    ),
  }
}

const find = (all: readonly Summary[], cell: string, target: string) =>
  all.find((one) => one.cell === cell && one.target === target)

const ratioOf = (own: number | undefined, base: number | undefined): number | undefined =>
  own === undefined || base === undefined || base === 0 ? undefined : own / base

const fixed = (value: number | undefined, digits: number): string => (value === undefined ? '-' : value.toFixed(digits))
const percent = (share: number | undefined): string => (share === undefined ? '' : `±${Math.round(share * 100)}%`)

/** One block per cell: a line per target. */
export function table(all: readonly Summary[]): string {
  const head = [
    'cell',
    'target',
    'CPU us',
    'IQR',
    '/twem',
    '/redis',
    'kreq/s',
    'IQR',
    '/twem',
    '/direct',
    'p50 ms',
    'p99 ms',
  ]
  const rows: string[][] = []
  let cell = ''
  for (const one of all) {
    const tw = find(all, one.cell, 'twemproxy')
    const direct = find(all, one.cell, 'direct')
    const isProxy = one.target !== 'direct'
    if (cell !== '' && cell !== one.cell) rows.push([])
    rows.push([
      one.cell === cell ? '' : one.cell,
      one.target,
      fixed(one.cpuUs?.median, 2),
      percent(one.cpuUs?.iqr),
      isProxy ? fixed(ratioOf(one.cpuUs?.median, tw?.cpuUs?.median), 2) : '',
      isProxy ? fixed(ratioOf(one.cpuUs?.median, direct?.cpuUs?.median), 2) : '',
      fixed(one.perSecond.median / 1000, 1),
      percent(one.perSecond.iqr),
      isProxy ? fixed(ratioOf(one.perSecond.median, tw?.perSecond.median), 2) : '',
      isProxy ? fixed(ratioOf(one.perSecond.median, direct?.perSecond.median), 2) : '',
      fixed(one.p50Ms, 3),
      fixed(one.p99Ms, 3),
    ])
    cell = one.cell
  }
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)))
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => (i < 2 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

export interface Verdict extends Floor {
  readonly target: string
  readonly ratio: number
  readonly passes: boolean
}

/** Floors of the cells that were measured, for each target that is a Regis. */
export function judge(all: readonly Summary[], floors: readonly Floor[], targets: readonly string[]): Verdict[] {
  const pick = (one: Summary | undefined, what: Floor['what']) => (what === 'cpu' ? one?.cpuUs?.median : one?.p50Ms)
  return targets.flatMap((target) =>
    floors.flatMap((floor) => {
      const base = pick(find(all, floor.cell, 'twemproxy'), floor.what)
      const ratio = ratioOf(pick(find(all, floor.cell, target), floor.what), base)
      return ratio === undefined ? [] : [{ ...floor, target, ratio, passes: ratio <= floor.max }]
    }),
  )
}

export function verdictLine(verdict: Verdict): string {
  const { target, cell, what, ratio, max, passes } = verdict
  return `${passes ? 'PASS' : 'FAIL'}  ${target}  ${cell.padEnd(15)} ${what} ${ratio.toFixed(3)} of twemproxy, floor ${max}`
}
