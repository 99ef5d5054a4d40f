/**
 * The whole path: Regis, twemproxy and Redis itself in one run. Correctness under load first, then each cell round robin
 * over the targets with rotated order; medians of the rounds. See README.md for how to read the table. ~ prints.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { type Cell, defaultCells, defaultFloors, expandCells, parseCell, parseFloor, withFloors } from './cells.ts'
import { checkCorrectness } from './correctness.ts'
import { cpuNs, hasTaskset, pin } from './cpu.ts'
import { type LoadTool, prefill, runLoad } from './load.ts'
import { judge, type Measured, type Sample, summarize, table, verdictLine } from './report.ts'
import { type Pinning, startDirect, startRegis, startTwemproxy, type Target, usePeer } from './targets.ts'

const targetNames = ['direct', 'twemproxy', 'twemproxy-quiet', 'regis']
/** .cache/bench/bench/ -> the checkout. */
const root = fileURLToPath(new URL('../../../', import.meta.url))

const usage = `usage: npm run bench -- [options]
  --targets LIST    of ${targetNames.join()} (direct always runs: it is the redis of the others)
  --cells LIST      op:bytes:clients:pipeline, with get/set and {1,16,64} (default ${defaultCells})
  --rounds N        rounds per cell (default 5)
  --seconds S       length of one measurement (default 0.5)
  --peer N=H:P[:PID]    one more proxy that runs already, in front of a redis of its own (repeatable)
  --checkout N=DIR      one more Regis, of another checkout (repeatable): how two commits are compared
  --regis-args 'ARGS'   more arguments for "regis run"
  --floor CELL=RATIO    another floor (repeatable); CELL/p50=RATIO for latency
  --strict          exit code 1 when a floor is missed
  --check-commands N    commands of the correctness check per client, 20 clients (default 1600, 0: none)
  --seed N          seed of that check
  --unpinned        leave the cores to the scheduler
  --json FILE       results (default .cache/bench/results/TIME.json)
examples:
  npm run bench
  npm run bench -- --cells get:128:50:16 --rounds 9
  npm run bench -- --checkout before=../regis-before --targets regis --cells 'get/set:128:50:{1,16}'`

function readOptions() {
  const { values } = parseArgs({
    options: {
      targets: { type: 'string', default: targetNames.join() },
      cells: { type: 'string', default: defaultCells },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '0.5' },
      peer: { type: 'string', multiple: true, default: [] },
      checkout: { type: 'string', multiple: true, default: [] },
      'regis-args': { type: 'string', default: '' },
      floor: { type: 'string', multiple: true, default: [] },
      strict: { type: 'boolean', default: false },
      'check-commands': { type: 'string', default: '1600' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      unpinned: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const number = (name: string, text: string, min: number): number => {
    const value = Number(text)
    if (!(value >= min)) throw new Error(`--${name}: a number from ${min} is wanted, not ${text}`)
    return value
  }
  const targets = values.targets.split(',').filter((name) => name !== '')
  const unknown = targets.find((name) => !targetNames.includes(name))
  if (unknown !== undefined) throw new Error(`--targets: ${unknown} is not one of ${targetNames.join()} (see --peer)`)
  const checkouts = values.checkout.map((text) => {
    const [name = '', folder] = text.split('=')
    if (folder === undefined || !/^[\w.-]+$/.test(name))
      throw new Error(`--checkout: name=folder is wanted, not ${text}`)
    return { name, folder: path.resolve(folder) }
  })
  return {
    ...values,
    targets,
    checkouts,
    cells: expandCells(values.cells).map(parseCell),
    floors: withFloors(defaultFloors, values.floor.map(parseFloor)),
    rounds: number('rounds', values.rounds, 1),
    seconds: number('seconds', values.seconds, 0.05),
    checkCommands: number('check-commands', values['check-commands'], 0),
    seed: number('seed', values.seed, 0),
    regisArgs: values['regis-args'].split(' ').filter((arg) => arg !== ''),
  }
}

type Options = ReturnType<typeof readOptions>

function machine(): Record<string, string> {
  const [cpu] = cpus()
  const commit = () => {
    try {
      const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
      return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') === '' ? '' : ' with changes')
    } catch {
      return 'unknown'
    }
  }
  return {
    date: new Date().toISOString(),
    commit: commit(),
    cpu: `${cpus().length} x ${cpu?.model ?? '?'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
    // Before we began: above 0.2 somebody else is at work, and figures of throughput and latency mean little.
    load: (loadavg()[0] ?? 0).toFixed(2),
  }
}

async function startTargets(options: Options, pinning: Pinning, started: Target[]): Promise<LoadTool> {
  const cacheRoot = path.join(root, '.cache')
  const tool = await findRedisServer({ cacheRoot, say: (line) => process.stderr.write(`${line}\n`) })
  if (tool.redisBenchmark === undefined) throw new Error('redis-benchmark was not found beside redis-server')
  const direct = await startDirect(tool, pinning)
  started.push(direct)
  for (const name of ['twemproxy', 'twemproxy-quiet'] as const) {
    if (options.targets.includes(name)) started.push(await startTwemproxy(name, direct.port, pinning, cacheRoot))
  }
  const checkouts = options.targets.includes('regis') ? [{ name: 'regis', folder: root }] : []
  for (const checkout of [...checkouts, ...options.checkouts]) {
    started.push(await startRegis({ ...checkout, args: options.regisArgs, redisPort: direct.port, pinning }))
  }
  for (const peer of options.peer) started.push(await usePeer(peer, pinning))
  return { command: tool.redisBenchmark, env: tool.env, cores: pinning.load }
}

async function measureOnce(tool: LoadTool, target: Target, cell: Cell, requests: number): Promise<Sample> {
  const before = target.pid === undefined ? undefined : cpuNs(target.pid)
  const load = await runLoad(tool, target, cell, requests)
  const cpuUs =
    target.pid === undefined || before === undefined ? undefined : (cpuNs(target.pid) - before) / 1000 / load.requests
  return { perSecond: load.perSecond, p50Ms: load.p50Ms, p99Ms: load.p99Ms, cpuUs }
}

async function measureCell(
  tool: LoadTool,
  targets: readonly Target[],
  cell: Cell,
  options: Options,
): Promise<Measured[]> {
  const requests = new Map<string, number>()
  for (const target of targets) {
    await prefill(target, cell.bytes)
    // Two warm-ups: the first finds the speed, the second is as long as a round, so that code is compiled and buffers grown.
    const few = 50 * cell.clients * cell.pipeline
    const first = await runLoad(tool, target, cell, Math.max(2000, Math.min(few, 100_000)))
    const count = Math.max(2000, Math.round(first.perSecond * options.seconds))
    const second = await runLoad(tool, target, cell, count)
    requests.set(target.name, Math.max(2000, Math.round(second.perSecond * options.seconds)))
  }
  const measured = targets.map((target) => ({ cell: cell.name, target: target.name, samples: [] as Sample[] }))
  for (let round = 0; round < options.rounds; round++) {
    for (let i = 0; i < targets.length; i++) {
      const at = (i + round) % targets.length
      const [target, into] = [targets[at], measured[at]]
      if (target === undefined || into === undefined) continue
      into.samples.push(await measureOnce(tool, target, cell, requests.get(target.name) ?? 2000))
    }
  }
  return measured
}

async function main(): Promise<void> {
  const options = readOptions()
  if (options.help) return void process.stdout.write(`${usage}\n`)
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  const canPin = !options.unpinned && cpus().length > 1 && hasTaskset()
  const pinning: Pinning = canPin ? { proxy: '0', load: '1' } : { proxy: undefined, load: undefined }
  // We check and prefill from the load's core, so as not to disturb the proxies.
  if (pinning.load !== undefined) pin(process.pid, pinning.load)
  const started: Target[] = []
  try {
    const tool = await startTargets(options, pinning, started)
    const facts = machine()
    for (const [name, value] of Object.entries(facts)) say(`${name.padEnd(10)}${value}`)
    say(`targets   ${started.map((target) => `${target.name} (${target.version})`).join(', ')}`)
    say(`pinned    ${canPin ? 'proxies on core 0; redis and redis-benchmark on core 1' : 'no'}`)

    if (options.checkCommands > 0) {
      for (const target of started) {
        const { commands, replyBytes } = await checkCorrectness({
          ...target,
          clients: 20,
          commands: options.checkCommands,
          seed: options.seed,
        }).catch((error: unknown) => {
          throw new Error(`${target.name} gives wrong replies under load (--seed ${options.seed}): ${error}`)
        })
        say(`checked   ${target.name}: ${commands} commands, ${Math.round(replyBytes / 1e6)} MB of replies, byte-exact`)
      }
    }

    const shown = started.filter((target) => target.name !== 'direct' || options.targets.includes('direct'))
    const measured: Measured[] = []
    for (const cell of options.cells) {
      process.stderr.write(`measuring ${cell.name} ...\n`)
      measured.push(...(await measureCell(tool, shown, cell, options)))
    }
    const summaries = measured.map(summarize)
    say(`\n${table(summaries)}\n`)
    const own = [...(options.targets.includes('regis') ? ['regis'] : []), ...options.checkouts.map(({ name }) => name)]
    const verdicts = judge(summaries, options.floors, own)
    for (const verdict of verdicts) say(verdictLine(verdict))

    const file = options.json ?? path.join(root, '.cache/bench/results', `${facts['date']?.replace(/[:.]/g, '-')}.json`)
    mkdirSync(path.dirname(file), { recursive: true })
    const versions = Object.fromEntries(started.map((target) => [target.name, target.version]))
    const settings = { rounds: options.rounds, seconds: options.seconds, pinned: canPin, regisArgs: options.regisArgs }
    writeFileSync(
      file,
      `${JSON.stringify({ machine: facts, versions, settings, measured, summaries, verdicts }, null, 1)}\n`,
    )
    say(`\nwritten to ${path.relative(process.cwd(), file)}`)
    if (options.strict && verdicts.some((verdict) => !verdict.passes)) process.exitCode = 1
  } finally {
    for (const target of started.reverse()) await target.stop()
  }
}

// The tests import nothing from here: it runs when it is run.
main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`)
  if (process.env['DEBUG'] !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
})

process.once('SIGINT', () => process.exit(130))
