/** The command line of `npm run bench`. */
import path from 'node:path'
import { parseArgs } from 'node:util'
import { bars, parseFloor, withFloors } from './bars.ts'
import { cellOptions, cellSets, expandCells, operations, parseCell } from './cells.ts'
import { resultNames } from './performance-page.ts'
import { targetNames } from './world.ts'

const lines = (rows: Readonly<Record<string, string>>): string =>
  Object.entries(rows)
    .map(([name, text]) => `    ${name.padEnd(10)} ${text}`)
    .join('\n')

export const usage = `usage: npm run bench -- [options]
  --set NAME        quick (1 min), acceptance (the default, 16 min), wide (8 min), growth (10 min, and what goes with it: bench/README.md)
  --cells LIST      these cells instead: op[+option]:bytes:clients:pipeline, with get/set and {1,16,64}
  operations:
${lines(operations)}
  options:
${lines(cellOptions)}
  --targets LIST    of ${targetNames.join()} (direct always runs: it is the redis of the others)
  --rounds N        rounds per cell (default 5; with --compare 12, growth 3)
  --seconds S       length of one measurement (default 1; growth 0.5)
  --plain           no quotas, and nobody scrapes the metrics; else both are on
  --compare REV     this checkout beside that commit: built in .cache/bench, rounds in pairs (default cells: 4 min)
  --checkout N=DIR  one more Regis, of another checkout (repeatable)
  --peer N=H:P[:PID]    one more proxy that runs already, in front of a redis of its own (repeatable)
  --regis-args 'ARGS'   more arguments for "regis run"
  --floor CELL=RATIO    another floor (repeatable); CELL/p50=RATIO for latency, CELL/throughput=RATIO
  --strict          exit code 1 when a floor is missed
  --check-commands N    commands of the correctness check per client, 20 clients (default 1600, 0: none)
  --seed N          seed of that check
  --unpinned        leave the cores to the scheduler
  --json FILE       results (default .cache/bench/results/TIME.json)
  --only LIST       of growth: clients,depth,size,tenants,nodes,rules
  --keep            put the results into docs/performance/ and docs/performance.md
  --renew           only that, from what lies in docs/performance/
examples:
  npm run bench
  npm run bench -- --cells get:128:50:16 --rounds 9
  npm run bench -- --compare HEAD~1 --cells 'get/set:128:50:{1,16}'`

export function readOptions(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      set: { type: 'string', default: 'acceptance' },
      cells: { type: 'string' },
      targets: { type: 'string', default: targetNames.join() },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      plain: { type: 'boolean', default: false },
      compare: { type: 'string' },
      checkout: { type: 'string', multiple: true, default: [] },
      peer: { type: 'string', multiple: true, default: [] },
      'regis-args': { type: 'string', default: '' },
      floor: { type: 'string', multiple: true, default: [] },
      strict: { type: 'boolean', default: false },
      'check-commands': { type: 'string', default: '1600' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      unpinned: { type: 'boolean', default: false },
      json: { type: 'string' },
      renew: { type: 'boolean', default: false },
      only: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const number = (name: string, text: string, min: number): number => {
    const value = Number(text)
    if (!(value >= min)) throw new Error(`--${name}: a number from ${min} is wanted, not ${text}`)
    return value
  }
  const isComparison = values.compare !== undefined
  const targets = isComparison ? ['regis'] : values.targets.split(',').filter((name) => name !== '')
  const isTarget = (name: string) => targetNames.some((known) => known === name)
  const unknown = targets.find((name) => !isTarget(name))
  if (unknown !== undefined) throw new Error(`--targets: ${unknown} is not one of ${targetNames.join()} (see --peer)`)
  const sets: Readonly<Record<string, string>> = cellSets
  const isGrowth = values.set === 'growth'
  const isWhole = values.cells === undefined && !isComparison && values.only === undefined
  if (values.keep && !(isWhole && resultNames.some((name) => name === values.set))) {
    throw new Error(`--keep: only with a whole set: ${resultNames.join()}`)
  }
  const pattern = values.cells ?? (isComparison ? cellSets.compare : isGrowth ? '' : sets[values.set])
  if (pattern === undefined) throw new Error(`--set: ${values.set} is not one of ${Object.keys(sets).join()},growth`)
  const checkouts = values.checkout.map((text) => {
    const [name = '', folder] = text.split('=')
    if (folder === undefined || !/^[\w.-]+$/.test(name))
      throw new Error(`--checkout: name=folder is wanted, not ${text}`)
    return { name, folder: path.resolve(folder) }
  })
  return {
    ...values,
    isGrowth,
    targets,
    checkouts,
    cells: pattern === '' ? [] : expandCells(pattern).map(parseCell),
    bars: withFloors(bars, values.floor.map(parseFloor)),
    rounds: number('rounds', values.rounds ?? (isComparison ? '12' : isGrowth ? '3' : '5'), 1),
    seconds: number('seconds', values.seconds ?? (isGrowth ? '0.5' : '1'), 0.05),
    checkCommands: number('check-commands', values['check-commands'], 0),
    seed: number('seed', values.seed, 0),
    regisArgs: values['regis-args'].split(' ').filter((arg) => arg !== ''),
  }
}

export type Options = ReturnType<typeof readOptions>
