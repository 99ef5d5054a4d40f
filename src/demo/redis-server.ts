/**
 * A real redis-server of our own, for the demo and the tests: a free loopback port, a temporary folder, nothing on disk
 * that outlives it. ~ touches child processes, sockets and files. Which binary: redis-finder.ts. That it ends when we
 * are killed: guard.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardChild, guardFolder } from './guard.ts'
import { findRedisServer, type RedisTool } from './redis-finder.ts'
import { type Reply, Wire } from './wire.ts'

export interface RedisServerOptions {
  /** Default: a free one. */
  readonly port?: number
  /** More of redis.conf, as command-line arguments; they win over the defaults below. */
  readonly args?: readonly string[]
  /** Default: what findRedisServer finds. */
  readonly tool?: RedisTool
}

const readyMsMax = 10_000
const stopMsMax = 2_000

export class RedisServer {
  readonly port: number
  /** Working directory and redis.log; removed by stop(). */
  readonly folder: string
  readonly #tool: RedisTool
  readonly #args: readonly string[]
  #child: ChildProcess
  #control: Wire | undefined

  private constructor(port: number, folder: string, tool: RedisTool, args: readonly string[]) {
    this.port = port
    this.folder = folder
    this.#tool = tool
    this.#args = args
    this.#child = this.#spawn()
  }

  /** Resolves when the server answers PING; rejects with the end of its log when it does not. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const tool = options.tool ?? (await findRedisServer())
    for (let attempt = 1; ; attempt++) {
      const folder = mkdtempSync(path.join(tmpdir(), 'regis-redis-'))
      guardFolder(folder)
      const server = new RedisServer(options.port ?? (await freePort()), folder, tool, options.args ?? [])
      try {
        await server.#untilReady()
        return server
      } catch (error) {
        const log = server.log()
        await server.stop()
        // Between freePort and bind somebody else may have taken the port.
        if (options.port === undefined && attempt < 5 && log.includes('Address already in use')) continue
        throw error
      }
    }
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** One command on a control connection of our own (RESP2), opened again after a loss. */
  async call(...args: readonly (string | number)[]): Promise<Reply> {
    if (this.#control === undefined || !this.#control.isOpen) this.#control = await Wire.open(this.port)
    return this.#control.call(...args)
  }

  /** One field of INFO, undefined when the server has none of that name. */
  async info(field: string): Promise<string | undefined> {
    const text = String(await this.call('INFO'))
    return new RegExp(`^${field}:(.*)\r?$`, 'm').exec(text)?.[1]?.trim()
  }

  async replicaOf(host: string, port: number): Promise<void> {
    await this.call('REPLICAOF', host, port)
  }

  /** Makes it a primary. */
  async promote(): Promise<void> {
    await this.call('REPLICAOF', 'NO', 'ONE')
  }

  /** Resolves when this replica's link is up and its first synchronisation is done. */
  async untilInSync(timeoutMs = 20_000): Promise<void> {
    const endsAt = performance.now() + timeoutMs
    for (;;) {
      const role = await this.call('ROLE')
      if (Array.isArray(role) && role[0] === 'slave' && role[3] === 'connected') return
      if (performance.now() > endsAt) {
        throw new Error(
          `redis-server on port ${this.port} is not in sync after ${timeoutMs} ms: ${JSON.stringify(role)}`,
        )
      }
      await sleep(20)
    }
  }

  /** A signal to the process: SIGKILL is a crash, SIGSTOP and SIGCONT a partition that answers nothing. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const ends = signal === 'SIGKILL' || signal === 'SIGTERM'
    const exited = ends && this.isRunning ? once(this.#child, 'exit') : undefined
    this.#child.kill(signal)
    await exited
  }

  /**
   * Starts it again on the same port after it has ended: empty, as servers without persistence are, and with a new run_id.
   * `args` hold for this start only: as a replica from its first moment on, for one.
   */
  async restart(args: readonly string[] = []): Promise<void> {
    if (this.isRunning) await this.kill('SIGKILL')
    this.#control?.close()
    this.#child = this.#spawn(args)
    await this.#untilReady()
  }

  /** Ends it, at the latest after two seconds, and removes its folder. May be called twice. */
  async stop(): Promise<void> {
    this.#control?.close()
    if (this.isRunning) {
      const exited = once(this.#child, 'exit')
      this.#child.kill('SIGTERM')
      this.#child.kill('SIGCONT')
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax)
      await exited
      clearTimeout(timer)
    }
    await rm(this.folder, { recursive: true, force: true })
  }

  /** What it has logged so far. */
  log(): string {
    const file = path.join(this.folder, 'redis.log')
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  #spawn(more: readonly string[] = []): ChildProcess {
    const args = [
      ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--logfile', 'redis.log'],
      ...['--save', '', '--appendonly', 'no', '--databases', '1', '--repl-diskless-sync-delay', '0'],
      ...this.#args,
      ...more,
    ]
    // A group of its own: Ctrl-C at the terminal reaches us, and we end it in order.
    const child = spawn(this.#tool.command, args, {
      env: { ...process.env, ...this.#tool.env },
      stdio: 'ignore',
      cwd: this.folder,
      detached: true,
    })
    child.on('error', () => {})
    guardChild(child)
    return child
  }

  async #untilReady(): Promise<void> {
    const endsAt = performance.now() + readyMsMax
    const exited = new Promise((resolve) => this.#child.once('exit', resolve).once('error', resolve))
    let last: unknown
    while (this.isRunning && performance.now() < endsAt) {
      try {
        const wire = await Wire.open(this.port)
        try {
          // Whoever holds the port may be somebody else, who answers never or as another process.
          const answer = await Promise.race([wire.call('INFO', 'server'), exited, sleep(1000)])
          if (typeof answer === 'string' && answer.includes(`process_id:${this.pid}\r\n`)) return
        } finally {
          wire.close()
        }
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('NOAUTH')) return
        last = error
      }
      await Promise.race([sleep(10), exited])
    }
    const tail = this.log().trim().split('\n').slice(-5).join('\n')
    throw new Error(`redis-server on port ${this.port} did not become ready (${String(last)}):\n${tail}`)
  }
}

/**
 * A port that was free a moment ago on loopback. Whoever binds it must be ready to ask again. Below the range from which
 * systems take ports for outgoing connections (32768 on Linux), and for each test worker in a part of its own, so that a
 * port which is free on purpose for a while (a server that is away) is not given to somebody else meanwhile.
 */
export async function freePort(): Promise<number> {
  const part = Number(process.env['JEST_WORKER_ID'] ?? 0) % portParts
  for (let attempt = 0; attempt < 100; attempt++) {
    nextPort = (nextPort + 1) % portsPerPart
    const port = portFirst + part * portsPerPart + nextPort
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
  throw new Error('no free port on loopback')
}

const portFirst = 12_000
const portParts = 5
const portsPerPart = 4_000
/** One after the other from a random place: two that are asked for in a row are never the same one. */
let nextPort = Math.floor(Math.random() * portsPerPart)
