/**
 * What grows, and what a command costs then: each dimension has lines of points. The first three are cells of the whole path;
 * of the others every point is a Regis of its own, and all of them are measured in turn. ~ starts child processes.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { RedisTool } from '../src/demo/redis-finder.ts'
import { benchTenants, logins } from './bench-tenants.ts'
import { type Cell, parseCell } from './cells.ts'
import { type Line, openGenerator, prefill } from './load.ts'
import { measureRounds, type Runner } from './measure.ts'
import { type CellOptions, measureCell } from './measure-cell.ts'
import { type Measured, type Summary, summarize } from './report.ts'
import { type Pinning, scratchFolder, startDirect, startRegis, startReplica, type Target } from './targets.ts'
import type { World } from './world.ts'

export interface GrowthPoint extends Omit<Summary, 'cell' | 'target'> {
  readonly x: number
}

export interface GrowthLine {
  readonly name: string
  readonly points: readonly GrowthPoint[]
}

export interface Dimension {
  readonly key: string
  readonly lines: readonly GrowthLine[]
}

export interface GrowthOptions extends CellOptions {
  readonly redis: RedisTool
  readonly pinning: Pinning
  readonly root: string
  readonly progress: (line: string) => void
}

const numbers = (from: number, to: number, factor: number): number[] => {
  const all: number[] = []
  for (let n = from; n <= to; n *= factor) all.push(n)
  return all
}

export const settings = {
  clients: numbers(1, 10_000, 10),
  depth: numbers(1, 256, 2),
  size: [3, 32, 128, 512, ...numbers(4096, 64 * 2 ** 20, 4)],
  tenants: numbers(1, 100_000, 10),
  nodes: [1, 3, 10, 30],
  rules: [0, 10, 100, 1000],
} as const
export type DimensionKey = keyof typeof settings

/** Four clients that wait for 64 MiB each would be what `limits.output` is there to end: from here on there is one. */
const sizeOfOneClient = 4 * 2 ** 20

/** The cell of each point of the dimensions that are cells. */
const cellsOf = {
  clients: (x: number) => [['', `get:128:${x}:1`]],
  depth: (x: number) => [['', `get:128:50:${x}`]],
  size: (x: number) =>
    ['get', 'set'].map((op) => [`${op.toUpperCase()} `, `${op}:${x}:${x >= sizeOfOneClient ? 1 : 4}:1`]),
} as const satisfies Record<string, (x: number) => (readonly [string, string] | string[])[]>

const pointOf = (x: number, measured: Measured): GrowthPoint => {
  const { cell: _, target: __, ...figures } = summarize(measured)
  return { x, ...figures }
}

/** Some hundred thousand commands, so that what is measured first is compiled as well as what comes last. */
async function warmUp(line: Line, pinning: Pinning): Promise<void> {
  const load = await openGenerator(pinning.load, line, parseCell('mix:128:50:16'))
  await load.run(1)
  await load.close()
}

/** Clients, depth, size: cells of the world that is there. */
export async function growByCells(key: keyof typeof cellsOf, world: World, options: GrowthOptions): Promise<Dimension> {
  const lines = new Map<string, GrowthPoint[]>()
  for (const line of world.linesOf(parseCell('mix:128:50:16')).lines) await warmUp(line, options.pinning)
  for (const x of settings[key]) {
    options.progress(`${key}: ${x} ...`)
    for (const [prefix = '', name = ''] of cellsOf[key](x)) {
      const [measured] = await measureCell(world, parseCell(name), { ...options, isGenerated: true })
      for (const one of measured) {
        const into = `${prefix}${one.target}`
        lines.set(into, [...(lines.get(into) ?? []), pointOf(x, one)])
      }
    }
  }
  return { key, lines: [...lines].map(([name, points]) => ({ name, points })) }
}

/** A Regis of one point, who asks it, and how. */
interface Spot {
  readonly line: string
  readonly x: number
  readonly target: Target
  readonly logins: Line['logins']
}

async function measureSpots(key: string, spots: readonly Spot[], cell: Cell, keys: number, options: GrowthOptions) {
  const runners: Runner[] = []
  try {
    for (const spot of spots) {
      const line = { name: `${key} ${spot.x}`, target: spot.target, logins: spot.logins }
      await warmUp(line, options.pinning)
      await prefill(spot.target, cell.bytes, spot.logins, { keys })
      runners.push({ line, load: await openGenerator(options.pinning.load, line, cell, keys) })
    }
    const samples = await measureRounds(runners, options)
    const names = [...new Set(spots.map((spot) => spot.line))]
    const lines = names.map((name) => ({
      name,
      points: spots.flatMap((spot, i) =>
        spot.line === name ? [pointOf(spot.x, { cell: cell.name, target: name, samples: samples[i]! })] : [],
      ),
    }))
    return { key, lines }
  } finally {
    for (const { load } of runners) await load.close()
  }
}

/** Starts what `build` starts, measures, and ends it again. */
async function withStarted<T>(run: (keep: (target: Target) => Target) => Promise<T>): Promise<T> {
  const started: Target[] = []
  try {
    return await run((target) => {
      started.push(target)
      return target
    })
  } finally {
    for (const target of started.reverse()) await target.stop()
  }
}

/** 100 clients, of 100 tenants where there are so many; all the others are configured and not used. */
export function growTenants(options: GrowthOptions): Promise<Dimension> {
  const { redis, pinning, root: folder } = options
  const used = 100
  const login = (i: number) => ({ user: `user-${String(i).padStart(6, '0')}`, password: 'bench' })
  return withStarted(async (keep) => {
    const direct = keep(await startDirect(redis, pinning))
    const files = scratchFolder()
    const spots: Spot[] = []
    for (const count of settings.tenants) {
      options.progress(`tenants: ${count} ...`)
      const file = path.join(files, `${count}.jsonl`)
      const line = (_: unknown, i: number) =>
        JSON.stringify({
          id: `tenant-${i}`,
          users: { [login(i).user]: { password: login(i).password } },
          quota: { scope: 'proxy', ops: '900000000/s', bandwidth: '3GiB/s' },
        })
      writeFileSync(file, `${Array.from({ length: count }, line).join('\n')}\n`)
      const target = await startRegis({
        name: `regis with ${count} tenants`,
        folder,
        args: [],
        redisPort: direct.port,
        pinning,
        yaml: ['limits: { auth_failures: 0 }', `tenants_file: ${file}`],
        login: login(0),
        readyMsMax: 180_000,
      })
      const step = Math.max(1, Math.floor(count / used))
      const as = Array.from({ length: Math.min(used, count) }, (_, i) => login(i * step))
      spots.push({ line: 'regis', x: count, target: keep(target), logins: as })
    }
    return measureSpots('tenants', spots, parseCell('get+tenants:128:100:16'), 20, options)
  })
}

/** Replicas in regions of three; the proxy stands in the first of these, so that a read has as many to choose from. */
export function growNodes(options: GrowthOptions): Promise<Dimension> {
  const { redis, pinning, root: folder } = options
  return withStarted(async (keep) => {
    const primary = keep(await startDirect(redis, pinning))
    const replicas: Target[] = []
    const spots: Spot[] = []
    for (const count of settings.nodes) {
      options.progress(`nodes: ${count} ...`)
      while (replicas.length < count - 1) replicas.push(keep(await startReplica(redis, pinning, primary.port)))
      const url = (target: Target) => `"redis://127.0.0.1:${target.port}"`
      const regions = [`  home: { nodes: [${url(primary)}] }`]
      for (let i = 0; i < replicas.length; i += 3) {
        const [nodes, number] = [replicas.slice(i, i + 3).map(url), i / 3]
        const near = number === 0 ? '' : `, r0: ${60 + number}ms`
        regions.push(`  r${number}: { nodes: [${nodes.join(', ')}], distance: { home: ${40 + number}ms${near} } }`)
      }
      const topology = { region: count === 1 ? 'home' : 'r0', yaml: ['primary: home', 'regions:', ...regions] }
      const yaml = benchTenants({ hasQuotas: true })
      const name = `regis with ${count} nodes`
      const known = { name, folder, args: [], redisPort: primary.port, pinning, login: logins.main }
      spots.push({
        line: 'regis',
        x: count,
        target: keep(await startRegis({ ...known, topology, yaml })),
        logins: [logins.main],
      })
    }
    return measureSpots('nodes', spots, parseCell('get:128:50:16'), 1000, options)
  })
}

/** Rules that match no key, so all of them are looked at; once with a literal beginning, once without. */
export function growRules(options: GrowthOptions): Promise<Dimension> {
  const { redis, pinning, root: folder } = options
  return withStarted(async (keep) => {
    const primary = keep(await startDirect(redis, pinning))
    const replica = keep(await startReplica(redis, pinning, primary.port))
    const spots: Spot[] = []
    for (const [line, pattern] of [
      ['area-N:*', (i: number) => `area-${i}:*`],
      ['*:area-N', (i: number) => `*:area-${i}`],
    ] as const) {
      for (const count of settings.rules) {
        options.progress(`rules: ${count} like ${line} ...`)
        const rules = Array.from({ length: count }, (_, i) => `    - { keys: "${pattern(i)}", consistency: eventual }`)
        const target = await startRegis({
          name: `regis with ${count} rules`,
          folder,
          args: [],
          redisPort: primary.port,
          replicaPort: replica.port,
          pinning,
          yaml: [
            ...benchTenants({ hasQuotas: true }),
            'routing:',
            ...(count === 0 ? ['  consistency: session'] : ['  rules:', ...rules]),
          ],
          login: logins.main,
        })
        spots.push({ line, x: count, target: keep(target), logins: [logins.main] })
      }
    }
    return measureSpots('rules', spots, parseCell('get:128:50:16'), 1000, options)
  })
}
