/**
 * The whole path: Regis, twemproxy and Redis itself in one run. Correctness under load first, then each cell round robin
 * over the targets with rotated order; medians of the rounds. See README.md for how to read the table. ~ prints.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { judge, verdictHead, verdictRows } from './bars.ts'
import { logins } from './bench-tenants.ts'
import { checkOut, pairHead, pairRows, pairs } from './compare.ts'
import { checkCorrectness } from './correctness.ts'
import { type GrowthResult, growth } from './growth.bench.ts'
import { type Facts, machineFacts, root } from './machine.ts'
import { measureCell } from './measure-cell.ts'
import { type Options, readOptions, usage } from './options.ts'
import { type CellsResult, keepResult, renewPage, type resultNames } from './performance-page.ts'
import { type LeftOut, type Measured, summarize, table } from './report.ts'
import { textTable } from './text-table.ts'
import { type Checkout, choosePinning, World } from './world.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const progress = (line: string): void => void process.stderr.write(`${line}\n`)

async function check(world: World, options: Options): Promise<void> {
  if (options.checkCommands === 0) return
  for (const target of world.targets) {
    if (target.name === 'least') continue // it knows too few commands
    const { commands, replyBytes } = await checkCorrectness({
      ...target,
      ...(target.login === undefined ? {} : { login: logins.check }),
      clients: 20,
      commands: options.checkCommands,
      seed: options.seed,
    }).catch((error: unknown) => {
      throw new Error(`${target.name} gives wrong replies under load (--seed ${options.seed}): ${error}`)
    })
    say(`checked   ${target.name}: ${commands} commands, ${Math.round(replyBytes / 1e6)} MB of replies, byte-exact`)
  }
}

function write(file: string, result: object): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`)
  say(`\nwritten to ${path.relative(process.cwd(), file)}`)
}

/** Warm-up and rounds of everybody, and a second for each to be prefilled and connected. */
function minutes(world: World, options: Options): string {
  const lines = options.cells.reduce((sum, cell) => sum + world.linesOf(cell).lines.length, 0)
  return ((lines * (1.2 + options.seconds * (options.rounds + 1))) / 60).toFixed(1)
}

async function run(options: Options, before: Checkout | undefined): Promise<void> {
  const pinning = choosePinning(options.unpinned)
  const own: Checkout[] = options.targets.includes('regis') ? [{ name: 'regis', folder: root }] : []
  const checkouts = [...(before === undefined ? [] : [before]), ...own, ...options.checkouts]
  const facts = machineFacts()
  const world = await World.start({
    ...options,
    checkouts,
    peers: options.peer,
    hasQuotas: !options.plain,
    pinning,
    cacheRoot: path.join(root, '.cache'),
  })
  try {
    const loadedWith = options.plain
      ? 'no quotas, no scrapes'
      : 'quotas of every kind that never bind; a scrape a second'
    for (const [name, value] of Object.entries(facts)) say(`${name.padEnd(10)}${value}`)
    say(`targets   ${world.targets.map((target) => `${target.name} (${target.version})`).join(', ')}`)
    say(`pinned    ${pinning.proxy === undefined ? 'no' : 'proxies on core 0; redis and the load on core 1'}`)
    say(`regis     ${loadedWith}`)
    say(`takes     about ${minutes(world, options)} minutes, on a quiet machine`)
    await check(world, options)

    const measured: Measured[] = []
    const leftOut: LeftOut[] = []
    for (const [i, cell] of options.cells.entries()) {
      progress(`measuring ${cell.name} (${i + 1} of ${options.cells.length}) ...`)
      const [more, without] = await measureCell(world, cell, { ...options, isScraped: !options.plain })
      measured.push(...more)
      leftOut.push(...without)
    }
    const summaries = measured.map(summarize)
    say(`\n${table(summaries, leftOut)}\n`)
    const verdicts = judge(
      summaries,
      options.bars,
      checkouts.map(({ name }) => name),
    )
    if (verdicts.length > 0) say(textTable(verdictHead, verdictRows(verdicts), 3))
    const compared = before === undefined ? [] : pairs(measured, before.name, 'regis')
    if (compared.length > 0) say(`medians of ${options.rounds} pairs\n\n${textTable(pairHead, pairRows(compared))}`)

    const versions = Object.fromEntries(world.targets.map((target) => [target.name, target.version]))
    const { rounds, seconds, regisArgs, plain } = options
    const settings = {
      rounds,
      seconds,
      plain,
      pinned: pinning.proxy !== undefined,
      regisArgs,
      compare: options.compare,
    }
    const result = { machine: facts, versions, settings, summaries, leftOut, verdicts, pairs: compared }
    write(options.json ?? resultFile(facts), { ...result, measured })
    if (options.set === 'acceptance' || options.set === 'wide') keep(options, options.set, result)
    const fell = verdicts.filter((verdict) => verdict.mustHolds === 'FAIL')
    if (fell.length > 0) say(`${fell.length} of ${verdicts.length} figures do not reach what must hold`)
    if (options.strict && fell.length > 0) process.exitCode = 1
  } finally {
    await world.stop()
  }
}

/** --keep is there with a whole set only. */
function keep(options: Options, name: (typeof resultNames)[number], result: CellsResult | GrowthResult): void {
  if (!options.keep) return
  keepResult(path.join(root, 'docs'), name, result)
  say('docs/performance.md and docs/performance/ are renewed')
}

const resultFile = (facts: Facts): string =>
  path.join(root, '.cache/bench/results', `${facts['date']?.replace(/[:.]/g, '-')}.json`)

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (options.help) return say(usage)
  if (options.renew) return renewPage(path.join(root, 'docs'))
  if (options.isGrowth) {
    const result = await growth(options, say)
    write(options.json ?? resultFile(result.machine), result)
    return keep(options, 'growth', result)
  }
  const before = options.compare === undefined ? undefined : checkOut(options.compare, progress)
  try {
    await run(options, before)
  } finally {
    before?.remove()
  }
}

// Children and folders of a process that ends are ended by the guard.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

main().catch((error: unknown) => {
  progress(`bench: ${error instanceof Error ? error.message : error}`)
  if (process.env['DEBUG'] !== undefined && error instanceof Error) progress(`${error.stack}`)
  process.exitCode = 1
})
