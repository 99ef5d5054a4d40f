/**
 * The load: redis-benchmark, as its own process on the load's core. What it sets up by itself: one CONFIG GET before the
 * run (refused by proxies, which only makes it warn), and AUTH on every connection when it is given a user.
 */
import { execFile } from 'node:child_process'
import type { Cell } from './cells.ts'
import { encodeCommand, RawClient } from './raw-client.ts'
import type { Target } from './targets.ts'

export interface LoadResult {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface LoadTool {
  readonly command: string
  readonly env: Readonly<Record<string, string>>
  /** Cores of the load, or undefined for no pinning. */
  readonly cores: string | undefined
}

/** Keys in play: enough to be no single hot line of memory, few enough to stay in the cache. */
export const keyCount = 1000

export async function runLoad(tool: LoadTool, target: Target, cell: Cell, requests: number): Promise<LoadResult> {
  const args = ['-h', target.host, '-p', String(target.port)]
  if (target.login !== undefined) args.push('--user', target.login.user, '-a', target.login.password)
  args.push('-t', cell.op, '-d', String(cell.bytes), '-c', String(cell.clients), '-P', String(cell.pipeline))
  args.push('-n', String(requests), '-r', String(keyCount), '--csv')
  const [command, all] =
    tool.cores === undefined ? [tool.command, args] : ['taskset', ['-c', tool.cores, tool.command, ...args]]
  const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve, reject) => {
    execFile(command, all, { env: { ...process.env, ...tool.env }, timeout: 60_000 }, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`redis-benchmark on ${target.name}: ${error.message}\n${stdout}${stderr}`))
      else resolve({ stdout, stderr })
    })
  })
  // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
  const line = stdout.split('\n').find((one) => one.toUpperCase().startsWith(`"${cell.op.toUpperCase()}"`))
  const fields = line?.split(',').map((field) => Number(field.replaceAll('"', '')))
  if (fields === undefined || !((fields[1] ?? 0) > 0)) {
    throw new Error(`redis-benchmark on ${target.name} gave no result:\n${stdout}${stderr}`)
  }
  return { requests, perSecond: fields[1] ?? 0, p50Ms: fields[4] ?? 0, p99Ms: fields[6] ?? 0 }
}

/** Writes every key that redis-benchmark may ask for with a value of the cell's size. */
export async function prefill(target: Target, bytes: number): Promise<void> {
  const client = await RawClient.open(`prefill of ${target.name}`, target.port, target.host)
  try {
    const ok = Buffer.from('+OK\r\n')
    if (target.login !== undefined) {
      client.promise(ok)
      client.write(encodeCommand(['AUTH', target.login.user, target.login.password]))
    }
    const value = Buffer.alloc(bytes, 'x')
    for (let i = 0; i < keyCount; i++) {
      client.promise(ok)
      client.write(encodeCommand(['SET', `key:${String(i).padStart(12, '0')}`, value]))
      if (i % 50 === 49) await client.untilMissing(0)
    }
    await client.untilMissing(0)
  } finally {
    client.close()
  }
}
