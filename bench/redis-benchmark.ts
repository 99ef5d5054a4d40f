/**
 * redis-benchmark, as its own process on the load's core. What it sets up by itself: one CONFIG GET before the run (refused
 * by proxies, which only makes it warn), and AUTH on every connection when it is given a user. ~ starts child processes.
 */
import { execFile } from 'node:child_process'
import { guardChild } from '../src/demo/guard.ts'
import type { Cell } from './cells.ts'
import type { LoadResult, LoadTool } from './load.ts'
import type { Target } from './targets.ts'
import { keyCount } from './workload.ts'

export async function runRedisBenchmark(
  tool: LoadTool,
  target: Pick<Target, 'name' | 'host' | 'port' | 'login'>,
  cell: Cell,
  requests: number,
): Promise<LoadResult> {
  const args = ['-h', target.host, '-p', String(target.port)]
  if (target.login !== undefined) args.push('--user', target.login.user, '-a', target.login.password)
  args.push('-t', cell.op, '-d', String(cell.bytes), '-c', String(cell.clients), '-P', String(cell.pipeline))
  args.push('-n', String(requests), '-r', String(keyCount))
  const [command, all] =
    tool.cores === undefined ? [tool.command, args] : ['taskset', ['-c', tool.cores, tool.command, ...args]]
  const options = { env: { ...process.env, LC_ALL: 'C', ...tool.env }, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 }
  const text = await new Promise<string>((resolve, reject) => {
    const child = execFile(command, all, options, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`redis-benchmark on ${target.name}: ${error.message}\n${stdout}${stderr}`))
      else resolve(stdout)
    })
    guardChild(child)
  })
  const result = parseSummary(text)
  if (result === undefined) throw new Error(`redis-benchmark on ${target.name} gave no result:\n${text.slice(-2000)}`)
  return { requests, ...result }
}

/**
 * Of what it prints for people (--csv leaves p99.9 out):
 *
 *   99.902% <= 1.023 milliseconds (cumulative count 99903)
 *   throughput summary: 142857.14 requests per second
 *   latency summary (msec):
 *           avg       min       p50       p95       p99       max
 *         0.300     0.100     0.287     0.479     0.591     1.023
 */
export function parseSummary(text: string): Omit<LoadResult, 'requests'> | undefined {
  const perSecond = Number(/throughput summary: ([\d.]+) requests per second/.exec(text)?.[1])
  const numbers = /latency summary \(msec\):\s+avg\s.*\s+([\d. ]+)/.exec(text)?.[1]?.trim().split(/\s+/).map(Number)
  const [, , p50Ms, , p99Ms] = numbers ?? []
  if (!(perSecond > 0) || p50Ms === undefined || p99Ms === undefined) return undefined
  const p999Ms = [...text.matchAll(/^([\d.]+)% <= ([\d.]+) milliseconds/gm)].find(([, at]) => Number(at) >= 99.9)?.[2]
  return { perSecond, p50Ms, p99Ms, p999Ms: p999Ms === undefined ? undefined : Number(p999Ms) }
}
