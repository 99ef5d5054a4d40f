/** `regis run`: the proxy as a process. Signals, exit codes, the last line of defence. ~ a window: the process. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError } from 'commander'
import { workersMax } from '../base/limits.ts'
import { createLog, type Log } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import { ConfigError, type LoadOptions, loadConfig } from '../config/load.ts'
import type { Prepared } from '../config/reload.ts'
import { prepareApart } from '../config/reload-thread.ts'
import { FileWatch } from '../config/watch.ts'
import { RegisProxy } from '../proxy.ts'
import { Supervisor } from '../workers/supervisor.ts'
import { type CliContext, configOption, exitCodes, writeDiagnostics } from './context.ts'

interface RunOptions {
  readonly config: string
  readonly region?: string
  readonly listen?: string
  readonly admin?: string
  readonly workers?: number
  readonly watch?: true
}

/** What runs: one process that serves, or one that looks after several. */
type Running = Pick<RegisProxy, 'start' | 'isServing' | 'reload' | 'drain' | 'stop' | 'noteUncaught'>

export function register(program: Command, context: CliContext): void {
  program
    .command('run')
    .description(
      'Run the proxy of one region. SIGHUP takes the file as it is then. SIGTERM drains (a second one ends at once).',
    )
    .addOption(configOption())
    .option('--region <name>', 'the region that this proxy stands in (default: the file, then $REGION)')
    .option('--listen <host:port>', 'replaces the listeners of the file by this one')
    .option('--admin <host:port>', 'replaces the admin address of the file')
    .option(
      '--workers <n>',
      'processes that serve, or `auto` for one a core (default: 1, and no other process)',
      workers,
    )
    .option('--watch', 'reload whenever the file, or one that it names, has changed')
    .addHelpText(
      'after',
      `
Examples:
  regis run -c proxy.yaml
  regis run -c proxy.yaml --region us-east
  regis run -c /etc/regis/proxy.yaml --watch
  regis run -c /etc/regis/proxy.yaml --workers 4
  REGION=ap-south regis run -c proxy.yaml --listen 127.0.0.1:6390 --admin 127.0.0.1:9390`,
    )
    .action(async (options: RunOptions) => {
      context.exit(await run(options, context))
    })
}

async function run(options: RunOptions, context: CliContext): Promise<number> {
  const loadOptions: LoadOptions = {
    env: context.env,
    ...(options.region === undefined ? {} : { region: options.region }),
    ...(options.listen === undefined ? {} : { listen: options.listen }),
    ...(options.admin === undefined ? {} : { admin: options.admin }),
  }
  const loaded = loadConfig(options.config, loadOptions)
  if (loaded.config === undefined) {
    writeDiagnostics([...loaded.errors, ...loaded.warnings], context)
    return exitCodes.config
  }
  const { config } = loaded
  const log = createLog({
    level: config.logging.level,
    format: config.logging.format,
    fields: { region: config.region },
  })
  for (const diagnostic of loaded.warnings)
    log.warn({ at: `${diagnostic.file}:${diagnostic.line ?? 0}` }, diagnostic.message)
  warnOfOldNode(log)
  let proxy: Running | undefined
  // From here on a SIGHUP ends nobody.
  process.on('SIGHUP', () => {
    if (proxy?.isServing === true) void proxy.reload('SIGHUP')
    else log.warn({ signal: 'SIGHUP' }, 'no reload: the proxy is starting or ending')
  })
  const watch = options.watch ? new FileWatch(() => void proxy?.reload('--watch')) : undefined
  await watch?.wereRead(loaded.files, new Map())
  const die = (what: string) => (error: unknown) => {
    proxy?.noteUncaught()
    log.fatal({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, what)
    process.exit(70)
  }
  process.on('uncaughtException', die('uncaught exception'))
  process.on('unhandledRejection', die('unhandled rejection'))
  try {
    const parts = {
      config,
      log,
      version: ownVersion(),
      prepare: (running: Config) => prepare(options.config, loadOptions, running, watch),
    }
    const count = options.workers ?? 1
    proxy = count === 1 ? new RegisProxy(parts) : new Supervisor({ ...parts, count, ...hangOf(context.env) })
    await proxy.start()
  } catch (error) {
    log.fatal({ error: error instanceof Error ? error.message : String(error) }, 'the proxy cannot start')
    await proxy?.stop()
    return error instanceof ConfigError ? exitCodes.config : exitCodes.runtime
  }
  await untilToldToEnd(proxy, log)
  watch?.stop()
  return exitCodes.ok
}

/** `--workers` */
function workers(text: string): number {
  if (text === 'auto') return Math.min(workersMax, availableParallelism())
  const count = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > workersMax) throw new InvalidArgumentError(`1 to ${workersMax}, or auto.`)
  return count
}

/** Tests of workers that hang do not wait for as long as operators do. */
function hangOf(env: CliContext['env']): { hangMs?: number } {
  const text = env['REGIS_WORKER_HANG_MS'] ?? ''
  return text === '' ? {} : { hangMs: Number(text) }
}

async function prepare(
  file: string,
  options: LoadOptions,
  running: Config,
  watch: FileWatch | undefined,
): Promise<Prepared> {
  const before = (await watch?.states()) ?? new Map()
  const prepared = await prepareApart(file, options, running)
  await watch?.wereRead(prepared.files, before)
  return prepared
}

/** SIGTERM and SIGINT drain; the second signal ends at once. */
function untilToldToEnd(proxy: Running, log: Log): Promise<void> {
  return new Promise((resolve) => {
    let isEnding = false
    const end = (signal: NodeJS.Signals): void => {
      if (isEnding) {
        log.warn({ signal }, 'second signal, ending at once')
        proxy.stop().then(resolve, resolve)
        return
      }
      isEnding = true
      log.info({ signal }, 'shutting down')
      proxy
        .drain()
        .then(() => proxy.stop())
        .then(resolve, resolve)
    }
    process.on('SIGTERM', end)
    process.on('SIGINT', end)
  })
}

/** Lines of Node that get no security fixes any more (nodejs/Release, schedule.json). */
const endOfLife: Readonly<Record<number, string>> = {
  20: '2026-04-30',
  21: '2024-06-01',
  23: '2025-06-01',
  25: '2026-06-01',
}

function warnOfOldNode(log: Log): void {
  const since = endOfLife[Number(process.versions.node.split('.')[0])]
  if (since !== undefined)
    log.warn({ node: process.version, end_of_life: since }, 'this line of Node gets no security fixes; run 24 or 26')
}

/** From package.json, two folders up from both src/cli and dist/cli. */
export function ownVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version?: unknown }).version ?? '0.0.0')
}
