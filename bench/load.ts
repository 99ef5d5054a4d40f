/**
 * The load of a cell on a target, held open over its rounds: redis-benchmark for plain GET and SET, else the generator. Both
 * are child processes on the load's core, ended by their own pids. ~ starts child processes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { guardChild } from '../src/demo/guard.ts'
import type { Cell } from './cells.ts'
import { encodeCommand, RawClient } from './raw-client.ts'
import { runRedisBenchmark } from './redis-benchmark.ts'
import type { Login, Target } from './targets.ts'
import { keyCount, keyName, script, type WorkloadOptions } from './workload.ts'

export interface LoadResult {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** undefined: this redis-benchmark does not say. */
  readonly p999Ms: number | undefined
}

export interface LoadTool {
  readonly command: string
  readonly env: Readonly<Record<string, string>>
  /** Cores of the load, or undefined for no pinning. */
  readonly cores: string | undefined
}

/** On the generator's command line, as JSON. */
export interface GeneratorOptions extends WorkloadOptions {
  readonly host: string
  readonly port: number
  readonly clients: number
  readonly logins: readonly Login[]
  readonly isResp3: boolean
  /** TLS, with this CA. */
  readonly caFile?: string
}

export interface Load {
  /** Everything for about so long; CPU is counted from before the call to behind it. */
  run(seconds: number): Promise<LoadResult>
  close(): Promise<void>
}

/** Whom a cell's clients talk to: the target, as whom, and where when not at its port. */
export interface Line {
  readonly name: string
  readonly target: Target
  readonly logins: readonly Login[]
  readonly tls?: { readonly port: number; readonly caFile: string }
}

/** redis-benchmark opens its clients anew each time: with more than this, connecting would be what is measured. */
const benchmarkClientsMax = 1000
/** For the same reason each of them sends so many, if that takes no longer than so many rounds: about as many as each of 50 sends in one. */
const requestsPerClientMin = 400
const longestRun = 8
const firstRequestsMax = 20_000
/** Keys of large values: so many that they are 64 MiB together, one at least. */
const valuesBytesMax = 64 * 1024 * 1024

export const keysOf = (bytes: number): number => Math.max(1, Math.min(keyCount, Math.floor(valuesBytesMax / bytes)))

export async function openLoad(tool: LoadTool, line: Line, cell: Cell): Promise<Load> {
  const isPlain = (cell.op === 'get' || cell.op === 'set') && cell.options.every((option) => option === 'split')
  return isPlain && cell.clients <= benchmarkClientsMax
    ? benchmarkLoad(tool, line, cell)
    : openGenerator(tool.cores, line, cell)
}

function benchmarkLoad(tool: LoadTool, line: Line, cell: Cell): Load {
  const [login] = line.logins
  const { host, port, name } = line.target
  const target = { host, port, name, ...(login === undefined ? {} : { login }) }
  const least = Math.max(2000, cell.clients * requestsPerClientMin)
  // The first run finds the speed.
  let perSecond = 0
  return {
    run: async (seconds) => {
      const few = Math.min(50 * cell.clients * cell.pipeline, firstRequestsMax)
      // On a slow machine a run stays near its time, whatever the number of clients.
      const wanted = Math.max(perSecond * seconds, Math.min(least, perSecond * seconds * longestRun), 200)
      const result = await runRedisBenchmark(tool, target, cell, perSecond === 0 ? few : Math.round(wanted))
      perSecond = result.perSecond
      return result
    },
    close: async () => {},
  }
}

export async function openGenerator(
  cores: string | undefined,
  line: Line,
  cell: Cell,
  keys = keysOf(cell.bytes),
): Promise<Load> {
  const options: GeneratorOptions = {
    host: line.target.host,
    port: line.tls?.port ?? line.target.port,
    op: cell.op,
    bytes: cell.bytes,
    pipeline: cell.pipeline,
    keys,
    clients: cell.clients,
    logins: line.logins,
    isResp3: cell.options.includes('resp3'),
    ...(line.tls === undefined ? {} : { caFile: line.tls.caFile }),
  }
  const file = fileURLToPath(new URL('./generator.js', import.meta.url))
  const command = [process.execPath, file, JSON.stringify(options)]
  const [program, ...args] = cores === undefined ? command : ['taskset', '-c', cores, ...command]
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  guardChild(child)
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next()
    const said = done === true ? { error: 'the generator has ended' } : (JSON.parse(value) as Record<string, unknown>)
    if (said['error'] === undefined) return said
    await endChild(child)
    throw new Error(`${cell.name} on ${line.name}: ${said['error']}`)
  }
  await answer()
  return {
    run: async (seconds) => {
      child.stdin.write(`measure ${Math.round(seconds * 1000)}\n`)
      return (await answer()) as unknown as LoadResult
    },
    close: () => endChild(child),
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Writes every key that the load may ask for with a value of this size, for each login; brings the script where it is run. */
export async function prefill(
  target: Target,
  bytes: number,
  logins: readonly (Login | undefined)[] = [target.login],
  { hasScript = false, keys = keysOf(bytes) } = {},
): Promise<void> {
  const value = Buffer.alloc(bytes, 'x')
  for (const login of logins.length === 0 ? [undefined] : logins) {
    const client = await RawClient.open(`prefill of ${target.name}`, target.port, target.host)
    const ask = async (args: readonly (string | Buffer)[], reply: string | Buffer, isWaited = true) => {
      client.promise(Buffer.from(reply))
      client.write(encodeCommand(args))
      if (isWaited) await client.untilMissing(0)
    }
    try {
      if (login !== undefined) await ask(['AUTH', login.user, login.password], '+OK\r\n')
      for (let i = 0; i < keys; i++) await ask(['SET', keyName(i), value], '+OK\r\n', i % 50 === 49 || i === keys - 1)
      if (hasScript) await ask(['SCRIPT', 'LOAD', script.text], script.reply)
    } finally {
      client.close()
    }
  }
}
