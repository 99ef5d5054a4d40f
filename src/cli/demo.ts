/**
 * `regis demo`, which `npm start` runs: starts the fleet of src/demo/, says how to try it, shows a line a second for each
 * region, and obeys what is typed. ~ terminal and signals. Ends everything it started, whatever ends it.
 */
import path from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type Control,
  ControlError,
  controlHelp,
  parseControl,
  parseDurationMs,
  parseLag,
  parseLatency,
} from '../demo/controls.ts'
import { demoPrimary, demoRegions, Fleet } from '../demo/fleet.ts'
import { projectRoot } from '../demo/redis-finder.ts'
import { statusLine } from '../demo/status.ts'
import { regionPair } from '../demo/topology.ts'
import type { CliContext } from './context.ts'

interface DemoOptions {
  readonly basePort: number
  readonly adminPort: number
  readonly latency: Readonly<Record<string, number>>
  readonly lag: Readonly<Record<string, number>>
  /** commander: `--load OPS` gives the number, `--no-load` false. */
  readonly load: number | false
  readonly duration?: number
}

const examples = `
Examples:
  $ regis demo
  $ regis demo --latency eu-west:ap-south=900ms --load 300
  $ regis demo --lag ap-south=2s --duration 30s

While it runs, type:
${controlHelp.replace(/^/gm, '  ')}`

export function register(program: Command, context: CliContext): void {
  program
    .command('demo')
    .description('three regions of real redis-servers with distance between them, a Regis in each, and a light load')
    .addOption(new Option('--base-port <port>', 'first of three ports for clients').default(6380).argParser(port))
    .addOption(new Option('--admin-port <port>', 'first of three admin ports').default(9380).argParser(port))
    .addOption(
      new Option('--latency <pair=rtt>', 'round trip between two regions, such as eu-west:us-east=80ms; repeatable')
        .default({}, 'eu-west:us-east=80ms eu-west:ap-south=180ms us-east:ap-south=230ms')
        .argParser(latency),
    )
    .addOption(
      new Option('--lag <region=delay>', 'more delay on the replication to a region, such as ap-south=2s; repeatable')
        .default({}, 'none')
        .argParser(lag),
    )
    .addOption(new Option('--load <ops>', 'commands a second in all').default(60).argParser(opsPerSecond))
    .addOption(new Option('--no-load', 'no load'))
    .addOption(new Option('--duration <time>', 'end by itself after this time, such as 30s').argParser(duration))
    .addHelpText('after', examples)
    .action(async (options: DemoOptions) => {
      context.exit(await runDemo(options, context))
    })
}

/** Resolves with the exit code when everything it started has ended. */
async function runDemo(options: DemoOptions, context: CliContext): Promise<number> {
  const ending = endingSignal()
  // `regis demo | head`: nobody is looking any more. The error of a write comes a turn later, so this stays for good.
  let isHeard = true
  context.stdout.on('error', () => {
    isHeard = false
    ending.end()
  })
  const print = (text: string) => isHeard && context.stdout.write(`${text}\n`)
  const fleet = new Fleet({
    basePort: options.basePort,
    baseAdminPort: options.adminPort,
    rttMs: options.latency,
    lagMs: options.lag,
    opsPerSecond: options.load === false ? 0 : options.load,
    say: (line) => print(`  ${line}`),
  })
  let code = 0
  try {
    print('Starting three regions ...')
    const started = fleet.start().then(() => true)
    // Ended while starting: what fails then fails because it was ended.
    if (!(await Promise.race([started, ending.promise.then(() => false)]))) {
      started.catch(() => {})
    } else {
      print(welcome(fleet, context))
      await show(fleet, options, context, ending)
    }
  } catch (error) {
    context.stderr.write(`regis demo: ${error instanceof Error ? error.message : String(error)}\n`)
    code = 1
  }
  print('\nStopping ...')
  await fleet.stop()
  ending.forget()
  print('Everything is stopped.')
  return code
}

interface Ending {
  readonly promise: Promise<void>
  end(): void
  /** Takes the signal handlers away again. */
  forget(): void
}

/**
 * The first SIGINT, SIGTERM or SIGHUP. npm passes a Ctrl-C on to us that the terminal has already sent, so a second
 * one means something only when it comes later than that: then we go at once, and the guard ends the children.
 */
function endingSignal(): Ending {
  let firstAtMs: number | undefined
  let end = () => {}
  const promise = new Promise<void>((resolve) => {
    end = resolve
  })
  const onSignal = () => {
    firstAtMs ??= performance.now()
    if (performance.now() - firstAtMs > 1000) process.exit(130)
    end()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    promise,
    end: () => end(),
    forget: () => {
      for (const signal of signals) process.removeListener(signal, onSignal)
    },
  }
}

function welcome(fleet: Fleet, context: CliContext): string {
  const redisCli = cliCommand(fleet.tool.redisCli)
  const [first, , last] = fleet.proxies
  const lines = ['', 'Connect to any region (users shop-app and analytics-app, password demo):']
  if (redisCli === undefined) lines.push('  (redis-cli was not found next to redis-server; any Redis client will do)')
  for (const proxy of fleet.proxies) {
    lines.push(
      `  ${redisCli ?? 'redis-cli'} -p ${proxy.port} --user shop-app --pass demo    # ${proxy.region}, admin http://127.0.0.1:${proxy.adminPort}/`,
    )
  }
  lines.push(
    '',
    'Things to try:',
    `  set a 1 on port ${first?.port}, then get a on port ${last?.port}: written in eu-west, read in ap-south`,
    '  the same get as analytics-app: nil, it is another tenant',
    `  proxy explain get a on port ${last?.port} as analytics-app: read in ap-south. Type lag ap-south=2s here and ask again: the replica is too old, and why`,
    `  the same for people: bin/regis explain --url http://127.0.0.1:${last?.adminPort} --user analytics-app 'GET a'`,
    '  proxy consistency strong, then get a: never older than any write acknowledged before',
    `  type here: latency eu-west:ap-south=900ms, partition ap-south on, kill primary${isTerminal(context) ? '' : ' (on stdin)'}; help for all`,
    'Ctrl-C ends everything.',
    '',
  )
  return lines.join('\n')
}

/** redis-cli as it can be pasted into a shell in the project's folder. */
function cliCommand(redisCli: string | undefined): string | undefined {
  if (redisCli === undefined) return undefined
  const fromProject = path.relative(projectRoot, redisCli)
  if (!fromProject.startsWith('..')) return fromProject
  return (process.env['PATH'] ?? '').split(path.delimiter).includes(path.dirname(redisCli))
    ? path.basename(redisCli)
    : redisCli
}

/** The lines of status, and the person's lines, until the end. */
async function show(fleet: Fleet, options: DemoOptions, context: CliContext, ending: Ending): Promise<void> {
  const redraws = isTerminal(context)
  const input = createInterface({
    input: process.stdin,
    ...(redraws ? { output: process.stdout, terminal: true, prompt: 'demo> ' } : {}),
  })
  // In raw mode the terminal sends no signal: readline tells us. Ctrl-D at a terminal means the same.
  input.on('SIGINT', () => ending.end())
  if (redraws) input.on('close', () => ending.end())
  const board = new Board(context, redraws ? input : undefined)
  input.on('line', (line) => {
    obey(line, fleet, ending).then(
      (answer) => board.say(answer),
      (error: unknown) => board.say(error instanceof Error ? error.message : String(error)),
    )
  })
  const startedAtMs = performance.now()
  const width = Math.max(...demoRegions.map((region) => region.length))
  let isLooking = false
  const timer = setInterval(() => {
    if (isLooking) return
    isLooking = true
    fleet.look().then(
      (states) => {
        isLooking = false
        const clock = `${String(Math.round((performance.now() - startedAtMs) / 1000)).padStart(4)} s`
        board.draw(states.map((state, i) => `${i === 0 ? clock : '      '}  ${statusLine(state, width)}`))
      },
      () => {
        isLooking = false
      },
    )
  }, 1000)
  const alarm = options.duration === undefined ? undefined : setTimeout(() => ending.end(), options.duration)
  await ending.promise
  clearInterval(timer)
  clearTimeout(alarm)
  input.close()
  process.stdin.unref?.()
}

/** Does what a line says; resolves with what to answer. */
async function obey(line: string, fleet: Fleet, ending: Ending): Promise<string> {
  let control: Control | undefined
  try {
    control = parseControl(line, demoRegions, demoPrimary)
  } catch (error) {
    if (error instanceof ControlError) return error.message
    throw error
  }
  if (control === undefined) return ''
  if (control.verb === 'help') return controlHelp
  if (control.verb === 'quit') {
    ending.end()
    return ''
  }
  return fleet.control(control)
}

/** Where the lines go: on a terminal the newest replace the last ones above the prompt; else they follow each other. */
class Board {
  readonly #context: CliContext
  readonly #input: Interface | undefined
  #drawn = 0

  constructor(context: CliContext, input: Interface | undefined) {
    this.#context = context
    this.#input = input
    input?.prompt()
  }

  draw(lines: readonly string[]): void {
    if (this.#input === undefined) {
      this.#context.stdout.write(`${lines.join('\n')}\n`)
      return
    }
    // To the first of the last lines, everything below away, the new ones, the prompt with what has been typed so far.
    const columns = process.stdout.columns || 200
    const cut = lines.map((line) => line.slice(0, columns - 1))
    this.#context.stdout.write(`\r${this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''}\x1b[J${cut.join('\n')}\n`)
    this.#drawn = lines.length
    this.#input.prompt(true)
  }

  /** An answer to the person; it stays on the screen above the lines that follow. */
  say(text: string): void {
    if (text !== '') this.#context.stdout.write(`${this.#input === undefined ? '' : '\r\x1b[J'}${text}\n`)
    this.#drawn = 0
    this.#input?.prompt(true)
  }
}

function isTerminal(context: CliContext): boolean {
  return context.stdout === process.stdout && process.stdout.isTTY === true && process.stdin.isTTY === true
}

function port(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 65_533) throw new InvalidArgumentError('a port from 1 to 65533.')
  return value
}

function opsPerSecond(text: string): number {
  const value = Number(text)
  if (text === '' || !(value >= 0 && value <= 100_000)) throw new InvalidArgumentError('a number from 0 to 100000.')
  return value
}

function duration(text: string): number {
  return orInvalid(() => parseDurationMs(text))
}

function latency(text: string, before: Readonly<Record<string, number>>): Record<string, number> {
  return orInvalid(() => {
    const { one, other, rttMs } = parseLatency(text)
    for (const region of [one, other]) mustBeRegion(region)
    return { ...before, [regionPair(one, other)]: rttMs }
  })
}

function lag(text: string, before: Readonly<Record<string, number>>): Record<string, number> {
  return orInvalid(() => {
    const { region, lagMs } = parseLag(text)
    mustBeRegion(region)
    if (region === demoPrimary) throw new ControlError(`${region} holds the primary: only replicas lag`)
    return { ...before, [region]: lagMs }
  })
}

function mustBeRegion(name: string): void {
  if (demoRegions.some((region) => region === name)) return
  throw new ControlError(`${name} is not a region: ${demoRegions.join(', ')}`)
}

function orInvalid<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof ControlError) throw new InvalidArgumentError(error.message)
    throw error
  }
}
