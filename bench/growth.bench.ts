/**
 * What a command costs when something grows: `npm run bench -- --set growth`. Ten minutes; `--only clients,rules` some of it.
 * ~ prints.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseCell } from './cells.ts'
import {
  type Dimension,
  type GrowthOptions,
  growByCells,
  growNodes,
  growRules,
  growTenants,
  settings,
} from './growth.ts'
import { growthTable } from './growth-table.ts'
import { type Facts, machineFacts, root } from './machine.ts'
import type { Options } from './options.ts'
import { textTable } from './text-table.ts'
import { choosePinning, findLoadTool, World } from './world.ts'

export interface GrowthResult {
  readonly machine: Facts
  readonly settings: { readonly rounds: number; readonly seconds: number; readonly pinned: boolean }
  readonly dimensions: readonly Dimension[]
}

const byCells = ['clients', 'depth', 'size'] as const
const keys = [...byCells, 'tenants', 'nodes', 'rules'] as const

/** Of this process and its children: a file for each connection. */
function openFilesMax(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024)
}

export async function growth(options: Options, say: (line: string) => void): Promise<GrowthResult> {
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  const wanted = options.only === undefined ? [...keys] : options.only.split(',')
  const unknown = wanted.find((key) => !keys.some((known) => known === key))
  if (unknown !== undefined) throw new Error(`--only: ${unknown} is not one of ${keys.join()}`)
  const pinning = choosePinning(options.unpinned)
  const cacheRoot = path.join(root, '.cache')
  const machine = machineFacts()
  for (const [name, value] of Object.entries(machine)) say(`${name.padEnd(10)}${value}`)
  const { redis } = await findLoadTool(pinning, cacheRoot)
  // Curves need many points; a scrape would be a large part of so short a round.
  const { rounds, seconds } = options
  const how: GrowthOptions = { rounds, seconds, isScraped: false, redis, pinning, root, progress }
  const dimensions: Dimension[] = []
  const add = (dimension: Dimension) => {
    dimensions.push(dimension)
    for (const { title, head, rows } of growthTable(dimension)) say(`\n${title}\n${textTable(head, rows, 1)}`)
  }

  const some = byCells.filter((key) => wanted.includes(key))
  if (some.length > 0) {
    const most = Math.max(...settings.clients)
    if (openFilesMax() < most + 1000)
      throw new Error(`ulimit -n is ${openFilesMax()}: ${most} clients need ${most + 1000}`)
    const world = await World.start({
      cells: [parseCell(`get:128:${most}:1`)],
      targets: ['direct', 'twemproxy', 'regis'],
      checkouts: [{ name: 'regis', folder: root }],
      peers: [],
      hasQuotas: true,
      clientsMax: most + 500,
      regisArgs: options.regisArgs,
      pinning,
      cacheRoot,
    })
    try {
      for (const key of some) add(await growByCells(key, world, how))
    } finally {
      await world.stop()
    }
  }
  if (wanted.includes('tenants')) add(await growTenants(how))
  if (wanted.includes('nodes')) add(await growNodes(how))
  if (wanted.includes('rules')) add(await growRules(how))
  return { machine, settings: { rounds, seconds, pinned: pinning.proxy !== undefined }, dimensions }
}
