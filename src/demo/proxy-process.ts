/**
 * One Regis as a child process: `bin/regis run` with a configuration file, ready when its admin port says so. Used by the
 * demo's fleet and by the integration tests. ~ touches child processes, files and HTTP.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardChild } from './guard.ts'
import { projectRoot } from './redis-finder.ts'

export interface ProxyOptions {
  /** Path of the configuration file. */
  readonly file: string
  readonly port: number
  readonly adminPort: number
  readonly region?: string
  /** More arguments for `regis run`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly readyMsMax?: number
  /** The checkout whose `bin/regis` is run; default: this one. */
  readonly root?: string
}

const logLinesMax = 2000

export class ProxyProcess {
  readonly port: number
  readonly adminPort: number
  readonly region: string | undefined
  readonly #child: ChildProcess
  readonly #log: string[] = []

  private constructor(options: ProxyOptions) {
    this.port = options.port
    this.adminPort = options.adminPort
    this.region = options.region
    const args = [
      ...[path.join(options.root ?? projectRoot, 'bin/regis'), 'run', '-c', options.file],
      ...(options.region === undefined ? [] : ['--region', options.region]),
      ...['--listen', `127.0.0.1:${options.port}`, '--admin', `127.0.0.1:${options.adminPort}`],
      ...(options.args ?? []),
    ]
    // A group of its own: Ctrl-C at the terminal reaches us, and we end it in order.
    this.#child = spawn(process.execPath, args, {
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    this.#child.on('error', (error) => this.#log.push(String(error)))
    guardChild(this.#child)
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      let rest = ''
      stream?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        this.#log.push(...lines)
        if (this.#log.length > logLinesMax) this.#log.splice(0, this.#log.length - logLinesMax)
      })
    }
  }

  /** Resolves when GET /readyz answers 200; rejects with the child's last lines when it does not in time, or ends. */
  static async start(options: ProxyOptions): Promise<ProxyProcess> {
    const proxy = new ProxyProcess(options)
    const readyMsMax = options.readyMsMax ?? 60_000
    const endsAt = performance.now() + readyMsMax
    let last = 'no answer'
    while (proxy.isRunning && performance.now() < endsAt) {
      try {
        const answer = await proxy.fetch('/readyz')
        if (answer.status === 200) return proxy
        last = `${answer.status} ${answer.body.trim()}`
      } catch (error) {
        last = String(error)
      }
      await sleep(25)
    }
    const why = proxy.isRunning ? `is not ready after ${readyMsMax} ms (/readyz: ${last})` : 'ended'
    await proxy.stop()
    throw new Error(`regis run --region ${options.region ?? '-'} ${why}. Its last lines:\n${proxy.log(20)}`)
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  get isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get exitCode(): number | null {
    return this.#child.exitCode
  }

  /** Its last lines, stdout and stderr together. */
  log(lines = logLinesMax): string {
    return this.#log.slice(-lines).join('\n')
  }

  /** One GET on the admin port. */
  fetch(pathname: string, timeoutMs = 2000): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port: this.adminPort, path: pathname, agent: false }, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        response.on('error', reject)
      })
      request.setTimeout(timeoutMs, () => request.destroy(new Error(`GET ${pathname}: no answer in ${timeoutMs} ms`)))
      request.on('error', reject)
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves with the exit code, or the name of the signal that ended it. */
  async exited(): Promise<number | string> {
    if (this.isRunning) await once(this.#child, 'exit')
    return this.#child.exitCode ?? this.#child.signalCode ?? -1
  }

  /** SIGTERM, and SIGKILL when it has not drained in `graceMs`. May be called twice. */
  async stop(graceMs = 3000): Promise<void> {
    if (!this.isRunning) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    this.#child.kill('SIGCONT')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs)
    await exited
    clearTimeout(timer)
  }
}
