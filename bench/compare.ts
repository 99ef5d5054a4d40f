/**
 * Another revision beside this checkout: a git worktree of it in .cache, built, and taken away again; and what its rounds say
 * in pairs with ours. ~ runs git, npm and node; the worktree goes also after Ctrl-C.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { medianInterval } from './interval.ts'
import { git, root } from './machine.ts'
import { type Measured, quantile } from './report.ts'
import { fixed } from './text-table.ts'
import type { Checkout } from './world.ts'

const run = (command: string, args: readonly string[], cwd: string): void =>
  void execFileSync(command, args, { cwd, stdio: ['ignore', 2, 2] })

/** Checks out and builds `rev`, named `before`. */
export function checkOut(rev: string, say: (line: string) => void): Checkout & { remove(): void } {
  let commit: string
  try {
    commit = git('rev-parse', '--verify', '--short', `${rev}^{commit}`)
  } catch {
    throw new Error(`--compare: ${rev} is no commit of this repository`)
  }
  const folder = path.join(root, '.cache', 'bench', `compare-${commit}`)
  const remove = () => {
    rmSync(folder, { recursive: true, force: true })
    git('worktree', 'prune')
  }
  // What a run that was killed has left behind.
  remove()
  const onSignal = (signal: NodeJS.Signals) => {
    remove()
    process.exit(signal === 'SIGINT' ? 130 : 143)
  }
  process.prependOnceListener('SIGINT', onSignal).prependOnceListener('SIGTERM', onSignal)
  try {
    say(`checking out ${commit} beside this checkout ...`)
    mkdirSync(path.dirname(folder), { recursive: true })
    git('worktree', 'add', '--detach', folder, commit)
    const lockOf = (at: string) => readFileSync(path.join(at, 'package-lock.json'), 'utf8')
    if (lockOf(folder) === lockOf(root) && existsSync(path.join(root, 'node_modules'))) {
      symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
    } else {
      run('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], folder)
    }
    run(process.execPath, [path.join('bin', 'bootstrap.mjs')], folder)
  } catch (error) {
    remove()
    throw new Error(`--compare: ${commit} cannot be built: ${error instanceof Error ? error.message : error}`)
  }
  return { name: 'before', folder, remove }
}

export interface Pair {
  readonly cell: string
  readonly figure: string
  /** Of the rounds: after divided by before. */
  readonly ratio: number
  /** 95 %. */
  readonly interval: readonly [number, number]
}

/** CPU, throughput and p50 of two targets by rounds; both need all of them. */
export function pairs(measured: readonly Measured[], before: string, after: string): Pair[] {
  const figures = { CPU: 'cpuUs', throughput: 'perSecond', p50: 'p50Ms' } as const
  return measured.flatMap((one) => {
    const other = measured.find((b) => b.cell === one.cell && b.target === before)
    if (one.target !== after || other === undefined) return []
    return Object.entries(figures).flatMap(([figure, field]): Pair[] => {
      const ratios = one.samples.map((sample, i) => (sample[field] ?? NaN) / (other.samples[i]?.[field] ?? NaN))
      if (ratios.length === 0 || ratios.some((ratio) => !Number.isFinite(ratio))) return []
      return [{ cell: one.cell, figure, ratio: quantile(ratios, 0.5), interval: medianInterval(ratios) }]
    })
  })
}

export const pairHead = ['cell', 'figure', 'after/before', '95 %', ''] as const

/** What differs is what the interval leaves no doubt of. */
export function pairRows(all: readonly Pair[]): string[][] {
  return all.map(({ cell, figure, ratio, interval: [low, high] }) => {
    const isMoreBetter = figure === 'throughput'
    const word = low > 1 ? (isMoreBetter ? 'better' : 'worse') : high < 1 ? (isMoreBetter ? 'worse' : 'better') : ''
    return [cell, figure, fixed(ratio, 3), `${fixed(low, 3)} to ${fixed(high, 3)}`, word]
  })
}
