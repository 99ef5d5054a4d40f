/**
 * What quotas cost: CPU of the proxy per command of a tenant with quotas that never bind, relative to one without any, in
 * turns in one process, pair by pair. The median of the pairs' ratios with its confidence interval (bootstrap of the pairs).
 * Usage: npm run bench:quota. ~ prints.
 */
import { parseArgs } from 'node:util'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { type Cell, expandCells, parseCell } from './cells.ts'
import { cpuNs, hasTaskset } from './cpu.ts'
import { medianInterval } from './interval.ts'
import { type LoadTool, prefill } from './load.ts'
import { runRedisBenchmark } from './redis-benchmark.ts'
import { quantile } from './report.ts'
import { startDirect, startRegis, type Target } from './targets.ts'

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '24' },
    requests: { type: 'string', default: '400000' },
    cells: { type: 'string', default: 'get/set:128:50:16' },
    unpinned: { type: 'boolean', default: false },
  },
})
const [pairs, requests] = [Number(values.pairs), Number(values.requests)]

/** Twice the same tenant shows what the measure itself makes of no difference; with each of the limits, and with all. */
const variants: Readonly<Record<string, string>> = {
  same: '',
  ops: 'quota: { scope: proxy, ops: 900000000/s }',
  bandwidth: 'quota: { scope: proxy, bandwidth: 3GiB/s }',
  all: 'quota: { scope: proxy, ops: 900000000/s, bandwidth: 3GiB/s, connections: 10000, leases: 1000, max_request: 64MiB }',
}

async function cpuPerCommandUs(tool: LoadTool, target: Target, cell: Cell): Promise<number> {
  const before = cpuNs(target.pid!)
  await runRedisBenchmark(tool, target, cell, requests)
  return (cpuNs(target.pid!) - before) / requests / 1000
}

async function main(): Promise<void> {
  const tool = await findRedisServer({ say: (line) => process.stderr.write(`${line}\n`) })
  if (tool.redisBenchmark === undefined) throw new Error('redis-benchmark was not found: install redis-tools')
  const isPinned = !values.unpinned && hasTaskset()
  const pinning = isPinned ? { proxy: '0', load: '1' } : { proxy: undefined, load: undefined }
  const direct = await startDirect(tool, pinning)
  const users = (id: string): string => `users: { ${id}-app: { password: bench } }`
  const regis = await startRegis({
    name: 'regis',
    folder: process.cwd(),
    args: [],
    redisPort: direct.port,
    pinning,
    yaml: [
      'tenants:',
      '  open: { users: { default: { nopass: true } } }',
      `  plain: { ${users('plain')} }`,
      ...Object.entries(variants).map(([id, quota]) => `  ${id}: { ${users(id)}${quota === '' ? '' : `, ${quota}`} }`),
    ],
  })
  const as = (id: string): Target => ({ ...regis, name: id, login: { user: `${id}-app`, password: 'bench' } })
  const load: LoadTool = { command: tool.redisBenchmark, env: tool.env, cores: pinning.load }
  try {
    const cells = expandCells(values.cells).map(parseCell)
    process.stdout.write(`${pairs} pairs of ${requests} commands, CPU of the proxy per command, us\n\n`)
    process.stdout.write(
      `${'cell'.padEnd(16)}${'quotas'.padEnd(12)}${'without'.padStart(9)}${'with'.padStart(9)}${'ratio'.padStart(8)}   95 %\n`,
    )
    for (const cell of cells) {
      for (const id of Object.keys(variants)) {
        const [plain, metered] = [as('plain'), as(id)]
        await prefill(plain, cell.bytes)
        await prefill(metered, cell.bytes)
        for (const target of [plain, metered]) await cpuPerCommandUs(load, target, cell) // warm
        const [without, withQuotas, ratios]: [number[], number[], number[]] = [[], [], []]
        for (let pair = 0; pair < pairs; pair++) {
          const order = pair % 2 === 0 ? [plain, metered] : [metered, plain]
          const used = new Map<Target, number>()
          for (const target of order) used.set(target, await cpuPerCommandUs(load, target, cell))
          without.push(used.get(plain)!)
          withQuotas.push(used.get(metered)!)
          ratios.push(used.get(metered)! / used.get(plain)!)
        }
        const [low, high] = medianInterval(ratios)
        const numbers = [quantile(without, 0.5), quantile(withQuotas, 0.5)].map((us) => us.toFixed(3).padStart(9))
        process.stdout.write(
          `${cell.name.padEnd(16)}${id.padEnd(12)}${numbers.join('')}${quantile(ratios, 0.5).toFixed(3).padStart(8)}   ${low.toFixed(3)} to ${high.toFixed(3)}\n`,
        )
      }
    }
  } finally {
    await regis.stop()
    await direct.stop()
  }
}

await main()
