/**
 * What Regis is held to: ratios inside one run, with what must hold and what is aimed at. A table, and its reading; pure.
 * CPU and p50 are held to be at most, throughput to be at least.
 */
import { parseCell } from './cells.ts'
import type { Summary } from './report.ts'

export type Figure = 'cpu' | 'p50' | 'throughput'
/** Beside whom: `eventual` is the same Regis, asked by a user of that level. */
export type Base = 'twemproxy' | 'direct' | 'eventual'

export interface Bar {
  readonly cell: string
  readonly figure: Figure
  readonly base: Base
  /** A change that falls through it is not merged without a decision record. */
  readonly must?: number
  readonly goal?: number
}

type Limits = { readonly must?: number; readonly goal?: number }
const of =
  (figure: Figure, base: Base) =>
  (cell: string, limits: Limits): Bar => ({ cell, figure, base, ...limits })
const cpu = of('cpu', 'twemproxy')
const cpuOfRedis = of('cpu', 'direct')
const p50 = of('p50', 'twemproxy')
const throughput = of('throughput', 'twemproxy')
const throughputOfDirect = of('throughput', 'direct')
const cpuOfEventual = of('cpu', 'eventual')

export const bars: readonly Bar[] = [
  cpu('get:128:50:1', { must: 1.15, goal: 1.0 }),
  cpu('set:128:50:1', { must: 1.15, goal: 1.0 }),
  cpu('get:128:50:16', { must: 0.28, goal: 0.2 }),
  cpu('set:128:50:16', { must: 0.35, goal: 0.25 }),
  cpu('get:128:50:64', { must: 0.13, goal: 0.09 }),
  cpu('set:128:50:64', { goal: 0.12 }),
  cpuOfRedis('get:128:50:64', { goal: 1.0 }),
  cpuOfRedis('set:128:50:64', { goal: 1.0 }),
  cpu('get:4096:50:16', { must: 0.45, goal: 0.33 }),
  cpu('set:4096:50:16', { must: 0.8, goal: 0.6 }),
  cpu('get:128:500:1', { must: 1.05, goal: 0.85 }),
  cpu('set:128:500:1', { must: 1.05, goal: 0.85 }),
  cpu('mix+split:128:50:16', { must: 0.35, goal: 0.22 }),
  throughput('get:128:50:1', { must: 0.95, goal: 1.0 }),
  throughput('set:128:50:1', { must: 0.95, goal: 1.0 }),
  throughput('get:128:50:16', { must: 2.8, goal: 3.2 }),
  throughput('set:128:50:16', { must: 2.8, goal: 3.2 }),
  throughputOfDirect('get:128:50:16', { must: 0.8, goal: 0.87 }),
  throughputOfDirect('set:128:50:16', { must: 0.8, goal: 0.87 }),
  throughput('get:128:50:64', { must: 5, goal: 5.8 }),
  throughput('set:128:50:64', { must: 5, goal: 5.8 }),
  p50('get:128:1:1', { must: 1.15, goal: 1.05 }),
  cpuOfEventual('get+split:128:50:16', { must: 1.15 }),
  cpuOfEventual('mix+split:128:50:16', { must: 1.15 }),
  cpuOfEventual('mix10+split:128:50:16', { must: 1.15 }),
  cpuOfEventual('mix10+split:128:50:1', { must: 1.15 }),
]

/** `get:128:50:16=0.28`, `get:128:1:1/p50=1.15`, `get:128:50:16/throughput=2.8`: what must hold beside twemproxy. */
export function parseFloor(text: string): Bar {
  const match = /^([^/=]+)(?:\/(cpu|p50|throughput))?=(\d*\.?\d+)$/.exec(text)
  if (match === null) throw new Error(`not a floor: ${text} (get:128:50:16=0.28, get:128:1:1/p50=1.15)`)
  const [, cell = '', figure = 'cpu', must] = match
  return { cell: parseCell(cell).name, figure: figure as Figure, base: 'twemproxy', must: Number(must) }
}

/** An own floor takes the place of what must hold for its cell and figure; the goal stays. */
export function withFloors(base: readonly Bar[], own: readonly Bar[]): Bar[] {
  const isSame = (a: Bar, b: Bar) => a.cell === b.cell && a.figure === b.figure && a.base === b.base
  const replaced = base.map((bar) => ({ ...bar, ...own.find((one) => isSame(one, bar)) }))
  return [...replaced, ...own.filter((one) => !base.some((bar) => isSame(one, bar)))]
}

export type Grade = 'PASS' | 'FAIL'
export interface Verdict extends Bar {
  readonly target: string
  readonly ratio: number
  readonly mustHolds?: Grade
  readonly goalHolds?: Grade
}

const figureOf = (one: Summary | undefined, figure: Figure): number | undefined =>
  figure === 'cpu' ? one?.cpuUs?.median : figure === 'p50' ? one?.p50Ms : one?.perSecond.median

export const eventualName = (target: string): string => `${target}-eventual`

/** Bars of the cells that were measured, for each target that is a Regis. What has no base here is not judged. */
export function judge(all: readonly Summary[], held: readonly Bar[], targets: readonly string[]): Verdict[] {
  const find = (cell: string, target: string) => all.find((one) => one.cell === cell && one.target === target)
  return targets.flatMap((target) =>
    held.flatMap((bar): Verdict[] => {
      const baseName = bar.base === 'eventual' ? eventualName(target) : bar.base
      const own = figureOf(find(bar.cell, target), bar.figure)
      const base = figureOf(find(bar.cell, baseName), bar.figure)
      if (own === undefined || base === undefined || !(base > 0)) return []
      const ratio = own / base
      const grade = (limit: number): Grade =>
        (bar.figure === 'throughput' ? ratio >= limit : ratio <= limit) ? 'PASS' : 'FAIL'
      return [
        {
          ...bar,
          target,
          ratio,
          ...(bar.must === undefined ? {} : { mustHolds: grade(bar.must) }),
          ...(bar.goal === undefined ? {} : { goalHolds: grade(bar.goal) }),
        },
      ]
    }),
  )
}

export const barText = (bar: Bar): string =>
  `${bar.figure === 'throughput' ? 'throughput' : bar.figure === 'cpu' ? 'CPU' : 'p50'} of ${bar.base === 'direct' ? 'redis' : bar.base}`

/** Rows of what was judged: target, cell, figure, ratio, must hold, verdict, goal, verdict. */
export function verdictRows(verdicts: readonly Verdict[]): string[][] {
  const limit = (bar: Bar, value: number | undefined) =>
    value === undefined ? '' : `${bar.figure === 'throughput' ? '>=' : '<='} ${value.toFixed(2)}`
  return verdicts.map((one) => [
    one.target,
    one.cell,
    barText(one),
    one.ratio.toFixed(3),
    limit(one, one.must),
    one.mustHolds ?? '',
    limit(one, one.goal),
    one.goalHolds ?? '',
  ])
}

export const verdictHead = ['target', 'cell', 'figure', 'ratio', 'must hold', '', 'goal', ''] as const
