/**
 * All that runs in one bench: Redis, the proxies in front of it, where a cell wants it a replica, and which of them take part
 * in a cell, as whom. ~ starts child processes through targets.ts.
 */
import { cpus } from 'node:os'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { freePort } from '../src/demo/redis-server.ts'
import { eventualName } from './bars.ts'
import { benchTenants, logins } from './bench-tenants.ts'
import type { Cell } from './cells.ts'
import { hasTaskset, pin } from './cpu.ts'
import type { Line, LoadTool } from './load.ts'
import type { LeftOut } from './report.ts'
import { selfSigned } from './self-signed.ts'
import {
  type Pinning,
  scratchFolder,
  startDirect,
  startLeast,
  startRegis,
  startReplica,
  startTwemproxy,
  type Target,
  type TlsPort,
  usePeer,
} from './targets.ts'

export const targetNames = ['direct', 'twemproxy', 'twemproxy-quiet', 'least', 'regis'] as const

export interface Checkout {
  readonly name: string
  readonly folder: string
}

export interface WorldOptions {
  readonly cells: readonly Cell[]
  readonly targets: readonly string[]
  /** Each one a Regis: this checkout, others. */
  readonly checkouts: readonly Checkout[]
  readonly peers: readonly string[]
  readonly hasQuotas: boolean
  /** As many clients at once as a cell has, where that is more than the servers' own default. */
  readonly clientsMax?: number
  readonly regisArgs: readonly string[]
  readonly pinning: Pinning
  readonly cacheRoot: string
}

/** A Regis with one node, and where a cell wants it another one with a replica next to it. */
interface Regis {
  readonly main: Target
  readonly split: Target | undefined
}

/** Proxies on core 0, everything else on core 1; undefined where that cannot be. We ourselves move to the load's core. */
export function choosePinning(isUnpinned: boolean): Pinning {
  const canPin = !isUnpinned && cpus().length > 1 && hasTaskset()
  // We check, prefill and scrape from the load's core, so as not to disturb the proxies.
  if (canPin) pin(process.pid, '1')
  return canPin ? { proxy: '0', load: '1' } : { proxy: undefined, load: undefined }
}

export async function findLoadTool(pinning: Pinning, cacheRoot: string) {
  const redis = await findRedisServer({ cacheRoot, say: (line) => process.stderr.write(`${line}\n`) })
  if (redis.redisBenchmark === undefined) throw new Error('redis-benchmark was not found beside redis-server')
  return { redis, load: { command: redis.redisBenchmark, env: redis.env, cores: pinning.load } satisfies LoadTool }
}

export class World {
  readonly tool: LoadTool
  private readonly started: Target[] = []
  private readonly options: WorldOptions
  private direct: Target | undefined
  private replica: Target | undefined
  private readonly others: Target[] = []
  private readonly peers: Target[] = []
  private readonly regis: Regis[] = []

  private constructor(tool: LoadTool, options: WorldOptions) {
    this.tool = tool
    this.options = options
  }

  static async start(options: WorldOptions): Promise<World> {
    const { redis, load } = await findLoadTool(options.pinning, options.cacheRoot)
    const world = new World(load, options)
    try {
      await world.startAll(redis)
      return world
    } catch (error) {
      await world.stop()
      throw error
    }
  }

  /** Those that are checked before they are measured. */
  get targets(): readonly Target[] {
    return this.started.filter((target) => target !== this.replica)
  }

  async stop(): Promise<void> {
    for (const target of this.started.splice(0).reverse()) await target.stop()
  }

  /** Who takes part in this cell, and who cannot. */
  linesOf(cell: Cell): { readonly lines: readonly Line[]; readonly leftOut: readonly LeftOut[] } {
    const has = (option: Cell['options'][number]) => cell.options.includes(option)
    const lines: Line[] = []
    const leftOut: LeftOut[] = []
    const add = (name: string, target: Target, as: Line['logins']) => {
      const why = this.whyNot(cell, target)
      if (why !== undefined) return leftOut.push({ cell: cell.name, target: name, why })
      const tls = has('tls') && target.tls ? { tls: { port: target.tls.port, caFile: target.tls.certFile } } : {}
      return lines.push({ name, target, logins: as, ...tls })
    }
    if (this.direct !== undefined && this.options.targets.includes('direct')) add('direct', this.direct, [])
    for (const other of [...this.others, ...this.peers]) add(other.name, other, [])
    for (const { main, split } of this.regis) {
      if (has('split') && split !== undefined) {
        add(main.name, split, [logins.main])
        add(eventualName(main.name), split, [logins.eventual])
      } else {
        add(main.name, main, cell.op === 'evalsha' ? [logins.scripts] : has('tenants') ? logins.many : [logins.main])
      }
    }
    return { lines, leftOut }
  }

  private whyNot(cell: Cell, target: Target): string | undefined {
    if (cell.options.includes('tls') && target.tls === undefined) {
      return target.adminPort === undefined && target !== this.direct ? 'no TLS for clients' : 'openssl was not found'
    }
    if (target.name === 'least' && !['get', 'set', 'mix', 'mix10'].includes(cell.op)) return 'knows GET and SET alone'
    if (!this.others.includes(target)) return undefined
    if (cell.op === 'multi') return 'twemproxy knows no transactions'
    if (cell.op === 'pubsub') return 'twemproxy knows no messages'
    if (cell.options.includes('resp3')) return 'no HELLO'
    return undefined
  }

  private async startAll(redis: Parameters<typeof startDirect>[0]): Promise<void> {
    const { options } = this
    const { pinning, cells, targets, cacheRoot } = options
    const wants = (option: Cell['options'][number]) => cells.some((cell) => cell.options.includes(option))
    const keep = (target: Target): Target => {
      this.started.push(target)
      return target
    }
    const { clientsMax } = options
    const maxClients = clientsMax === undefined ? [] : ['--maxclients', String(clientsMax)]
    const certificate = wants('tls') ? selfSigned(scratchFolder()) : undefined
    const tlsPort = async (): Promise<TlsPort | undefined> =>
      certificate === undefined ? undefined : { ...certificate, port: await freePort() }
    this.direct = keep(await startDirect(redis, pinning, maxClients, await tlsPort()))
    const primary = this.direct.port
    for (const name of ['twemproxy', 'twemproxy-quiet'] as const) {
      if (targets.includes(name)) this.others.push(keep(await startTwemproxy(name, primary, pinning, cacheRoot)))
    }
    if (targets.includes('least')) this.others.push(keep(await startLeast(primary, pinning)))
    if (wants('split')) this.replica = keep(await startReplica(redis, pinning, primary))
    for (const checkout of options.checkouts) {
      const tls = await tlsPort()
      const regis = {
        ...checkout,
        args: options.regisArgs,
        redisPort: primary,
        pinning,
        login: logins.main,
        yaml: benchTenants(options),
      }
      const main = keep(await startRegis({ ...regis, ...(tls === undefined ? {} : { tls }) }))
      const replicaPort = this.replica?.port
      const split =
        replicaPort === undefined
          ? undefined
          : keep(await startRegis({ ...regis, name: `${checkout.name} beside a replica`, replicaPort }))
      this.regis.push({ main, split })
    }
    for (const peer of options.peers) this.peers.push(keep(await usePeer(peer, pinning)))
  }
}
