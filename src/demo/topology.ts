/**
 * Regions on one machine: a redis-server each, real replication from the primary through a delay relay, and a relay for
 * every way from one region to another, which proxies use for nodes that are not in their own. Latency, lag and
 * partitions change while it runs. Used by the demo's fleet and by the integration tests. It starts no proxies.
 *
 *   proxy in A --- direct ---> node A          proxy in A --- relay A>B (half the RTT each way) ---> node B
 *   replica B  --- relay of B's replication (half the RTT + lag each way) ---> primary
 */

import { findRedisServer, type RedisTool } from './redis-finder.ts'
import { RedisServer } from './redis-server.ts'
import { Relay } from './relay.ts'

export interface TopologyOptions {
  readonly regions: readonly string[]
  /** Which of them holds the primary; default: the first. */
  readonly primary?: string
  /** Round trips in ms, by `regionPair`; 0 where nothing is said. */
  readonly rttMs?: Readonly<Record<string, number>>
  /** More of redis.conf, for all servers. */
  readonly args?: readonly string[]
  readonly tool?: RedisTool
}

/** The name of the way between two regions, the same for both directions: their names in order, joined by a colon. */
export function regionPair(one: string, other: string): string {
  return one < other ? `${one}:${other}` : `${other}:${one}`
}

export class Topology {
  readonly regions: readonly string[]
  readonly primaryRegion: string
  readonly tool: RedisTool
  readonly #nodes = new Map<string, RedisServer>()
  readonly #links = new Map<string, Relay>()
  readonly #replication = new Map<string, Relay>()
  readonly #rttMs = new Map<string, number>()
  readonly #lagMs = new Map<string, number>()
  readonly #isCut = new Map<string, boolean>()

  private constructor(options: TopologyOptions, tool: RedisTool) {
    this.regions = options.regions
    this.primaryRegion = options.primary ?? options.regions[0] ?? ''
    if (!this.regions.includes(this.primaryRegion)) throw new Error(`no such region: ${this.primaryRegion}`)
    this.tool = tool
    for (const [pair, ms] of Object.entries(options.rttMs ?? {})) {
      const [one = '', other = ''] = pair.split(':')
      this.#rttMs.set(regionPair(one, other), ms)
    }
  }

  /** Resolves when every replica's link is up and its first synchronisation done. Stops what it started when it fails. */
  static async start(options: TopologyOptions): Promise<Topology> {
    const topology = new Topology(options, options.tool ?? (await findRedisServer()))
    try {
      await topology.#start(options.args ?? [])
      return topology
    } catch (error) {
      await topology.stop()
      throw error
    }
  }

  get primary(): RedisServer {
    return this.node(this.primaryRegion)
  }

  node(region: string): RedisServer {
    return known(this.#nodes.get(region), region)
  }

  /** The relay between a replica and the primary: delay it for lag, partition it for a lost link. */
  replication(region: string): Relay {
    return known(this.#replication.get(region), region)
  }

  /** The relay that proxies of region `from` use to reach the node of region `to`. */
  link(from: string, to: string): Relay {
    return known(this.#links.get(`${from}>${to}`), `${from} to ${to}`)
  }

  /** Where a proxy of region `from` finds the node of region `to`: itself at home, a relay elsewhere. */
  url(from: string, to: string): string {
    return from === to ? this.node(to).url : `redis://127.0.0.1:${this.link(from, to).port}`
  }

  rttMs(one: string, other: string): number {
    return one === other ? 0 : (this.#rttMs.get(regionPair(one, other)) ?? 0)
  }

  lagMs(region: string): number {
    return this.#lagMs.get(region) ?? 0
  }

  isPartitioned(region: string): boolean {
    return this.#isCut.get(region) ?? false
  }

  /** Round trip between two regions from now on, for proxies and replication alike. */
  setLatency(one: string, other: string, rttMs: number): void {
    known(this.#nodes.get(one), one)
    known(this.#nodes.get(other), other)
    this.#rttMs.set(regionPair(one, other), rttMs)
    this.#apply()
  }

  /** More delay, one way, on what this region's replica hears from the primary; its proxies' links stay as they are. */
  setLag(region: string, lagMs: number): void {
    this.replication(region)
    this.#lagMs.set(region, lagMs)
    this.#apply()
  }

  /** Cuts a region off from all others, or joins it again: silence, no FIN, as when a route is lost. */
  partition(region: string, on: boolean): void {
    known(this.#nodes.get(region), region)
    this.#isCut.set(region, on)
    const isCut = (one: string, other: string) => this.isPartitioned(one) || this.isPartitioned(other)
    for (const [way, relay] of this.#links) {
      const [from = '', to = ''] = way.split('>')
      relay.partition(isCut(from, to))
    }
    for (const [replica, relay] of this.#replication) relay.partition(isCut(replica, this.primaryRegion))
  }

  /** Starts a region's server again after its end: empty, and following the primary if it did before. */
  async restart(region: string): Promise<void> {
    await this.node(region).restart()
    if (region !== this.primaryRegion) await this.#follow(region)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#links.values(), ...this.#replication.values()].map((relay) => relay.stop()))
    await Promise.all([...this.#nodes.values()].map((node) => node.stop()))
  }

  async #start(args: readonly string[]): Promise<void> {
    const started = await Promise.allSettled(
      this.regions.map(async (region) => {
        // A replica that waits 10 s between pings would need as long to notice that its primary is back.
        const server = await RedisServer.start({ tool: this.tool, args: ['--repl-ping-replica-period', '1', ...args] })
        this.#nodes.set(region, server)
      }),
    )
    for (const result of started) if (result.status === 'rejected') throw result.reason
    for (const from of this.regions) {
      for (const to of this.regions) {
        if (from !== to) this.#links.set(`${from}>${to}`, await Relay.start({ port: this.node(to).port }))
      }
      if (from === this.primaryRegion) continue
      this.#replication.set(from, await Relay.start({ port: this.primary.port }))
      await this.#follow(from)
    }
    // The first synchronisation goes undelayed; from here on distance counts.
    await Promise.all([...this.#replication.keys()].map((region) => this.node(region).untilInSync()))
    this.#apply()
  }

  async #follow(region: string): Promise<void> {
    const node = this.node(region)
    // So that the primary's ROLE and INFO name the replica, not the relay's connection.
    await node.call('CONFIG', 'SET', 'replica-announce-ip', '127.0.0.1')
    await node.call('CONFIG', 'SET', 'replica-announce-port', node.port)
    await node.replicaOf('127.0.0.1', this.replication(region).port)
  }

  #apply(): void {
    for (const [way, relay] of this.#links) {
      const [from = '', to = ''] = way.split('>')
      relay.setDelay(this.rttMs(from, to) / 2)
    }
    for (const [region, relay] of this.#replication) {
      relay.setDelay(this.rttMs(region, this.primaryRegion) / 2 + this.lagMs(region))
    }
  }
}

function known<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`no such region: ${name}`)
  return value
}
