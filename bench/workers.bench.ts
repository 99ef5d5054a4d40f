/**
 * What a command costs in several workers, relative to one process: CPU from the kernel, of all processes of a Regis (the
 * supervisor's too), in turns, each on the same cores. Total throughput of N cores is computed from it and not measured: on
 * a small machine the load and the servers need the other cores.
 *
 *   npx tsc -p tsconfig.bench.json && node .cache/bench/bench/workers.bench.js [--workers 2] [--rounds 7] [--seconds 1]
 */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { parseCell } from './cells.ts'
import { cpuNs } from './cpu.ts'
import { type Load, openLoad, prefill } from './load.ts'
import { type Pinning, startDirect, startRegis, type Target } from './targets.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
    cells: { type: 'string', default: 'get:128:50:1,get:128:50:16,set:128:50:16' },
  },
})
const [count, rounds, seconds] = [Number(values.workers), Number(values.rounds), Number(values.seconds)]
const cells = values.cells.split(',').map(parseCell)
const pinning: Pinning = { proxy: '0', load: '1' }
const say = (line: string): void => void process.stdout.write(`${line}\n`)

interface Kind {
  readonly target: Target
  /** CPU microseconds a command, by cell. */
  readonly us: Map<string, number[]>
}

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

async function main(): Promise<void> {
  const started: Target[] = []
  try {
    const tool = await findRedisServer({ cacheRoot: path.join(root, '.cache'), say })
    if (tool.redisBenchmark === undefined) throw new Error('redis-benchmark was not found beside redis-server')
    const load = { command: tool.redisBenchmark, env: tool.env, cores: pinning.load }
    const direct = await startDirect(tool, pinning)
    started.push(direct)
    const kinds: Kind[] = []
    for (const workers of [1, count]) {
      const args = ['--workers', String(workers)]
      const name = `workers-${workers}`
      const target = await startRegis({ name, folder: root, args, redisPort: direct.port, pinning })
      started.push(target)
      kinds.push({ target, us: new Map() })
    }
    for (const cell of cells) {
      const loads = new Map<string, Load>()
      for (const { target } of kinds) {
        await prefill(target, cell.bytes)
        const one = await openLoad(load, { name: target.name, target, logins: [target.login!] }, cell)
        loads.set(target.name, one)
        // Two warm-ups: the first finds the speed, the second is as long as a round.
        await one.run(seconds)
        await one.run(seconds)
      }
      for (let round = 0; round < rounds; round++) {
        const turn = round % 2 === 0 ? kinds : [...kinds].reverse()
        for (const { target, us } of turn) {
          const before = cpuNs(target.pid!)
          const done = await loads.get(target.name)!.run(seconds)
          const list = us.get(cell.name) ?? []
          list.push((cpuNs(target.pid!) - before) / 1000 / done.requests)
          us.set(cell.name, list)
        }
      }
      for (const one of loads.values()) await one.close()
      const [one, many] = kinds.map(({ us }) => us.get(cell.name)!)
      const ratios = one!.map((value, i) => many![i]! / value)
      const ratio = median(ratios)
      const spread = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`
      say(
        `${cell.name.padEnd(16)} one ${median(one!).toFixed(2)} us, ${count} workers ${median(many!).toFixed(2)} us a command: ` +
          `${ratio.toFixed(2)} (${spread}); computed: ${count} cores carry ${(count / ratio).toFixed(2)} times what one does`,
      )
    }
  } finally {
    for (const target of started.reverse()) await target.stop()
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
