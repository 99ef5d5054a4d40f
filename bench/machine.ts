/** Where and of what a result is: machine, versions, commit. ~ asks git and the kernel. */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

/** .cache/bench/bench/ -> the checkout. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

export const git = (...args: readonly string[]): string =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

export type Facts = Readonly<Record<string, string>>

export function machineFacts(): Facts {
  const commit = () => {
    try {
      return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') === '' ? '' : ' with changes')
    } catch {
      return 'unknown'
    }
  }
  return {
    date: new Date().toISOString(),
    commit: commit(),
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? '?'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release().replace(/-.*/, ''),
    node: process.version,
    // Before we began: above 0.2 somebody else is at work, and figures of throughput and latency mean little.
    load: (loadavg()[0] ?? 0).toFixed(2),
  }
}
