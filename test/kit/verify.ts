/** Runs `bin/regis verify` of this checkout. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import type { StartedProxy } from './servers.ts'

/** Resolves with its exit code and what it printed. The password is `demo`. */
export function runVerify(
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, REGIS_PASSWORD: 'demo' }
    const child = spawn(process.execPath, [path.join(projectRoot, 'bin/regis'), 'verify', ...args], { env })
    const texts = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] += text
      })
    child.on('error', reject).on('close', (code) => resolve({ code, ...texts }))
  })
}

/** `--target` and `--admin` of these proxies. */
export const through = (proxies: readonly StartedProxy[]): string[] =>
  proxies.flatMap(({ port, adminPort }) => ['--target', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`])
