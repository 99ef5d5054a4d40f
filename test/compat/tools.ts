/** Runs redis-cli and redis-benchmark as a user does: arguments, standard input, and what comes back. */
import { spawn } from 'node:child_process'
import { findRedisServer } from '../../src/demo/redis-finder.ts'

export interface Run {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** Sees what has been printed so far, and may answer with more input: for a session at a terminal. */
  readonly onOutput?: (soFar: string, type: (text: string) => void) => void
  /** Whether what has been printed is all that was waited for: a program that never ends by itself is ended then. */
  readonly isOver?: (soFar: string) => boolean
}

/** Paths of the two tools that belong to the server under test. They are part of the contract, so they may not be missing. */
export async function tools(): Promise<{ redisCli: string; redisBenchmark: string }> {
  const { redisCli, redisBenchmark, source } = await findRedisServer()
  if (redisCli === undefined || redisBenchmark === undefined) {
    throw new Error(`redis-server was found (${source}), redis-cli and redis-benchmark were not: install redis-tools`)
  }
  return { redisCli, redisBenchmark }
}

/** Resolves when the program has ended; `code` is the signal's name when it had to be killed. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      // Nobody's own settings and history; colours and hints as in a plain terminal.
      env: { ...process.env, TERM: 'xterm', HOME: '/nonexistent', REDISCLI_HISTFILE: '/dev/null', ...options.env },
      timeout: options.timeoutMs ?? 20_000,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      stdout += text
      options.onOutput?.(stdout, (more) => child.stdin.write(more))
      if (options.isOver?.(stdout) === true) child.kill('SIGKILL')
    })
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.stdin.on('error', () => {}) // it may end before it has read everything
    child.on('close', (code, signal) => resolve({ code: code ?? signal ?? 'unknown', stdout, stderr }))
    if (options.onOutput === undefined) child.stdin.end(options.input ?? '')
  })
}
