/**
 * Real Sentinels over real servers: one primary, replicas that follow it directly (a Sentinel sets right whatever follows
 * through a relay), and an odd number of Sentinels from the same binary. Ended with the tests of the importing file.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { guardChild, guardFolder } from '../../src/demo/guard.ts'
import { findRedisServer } from '../../src/demo/redis-finder.ts'
import { freePort, type RedisServer } from '../../src/demo/redis-server.ts'
import { type Reply, Wire } from '../../src/demo/wire.ts'
import { atEnd, startRedis } from './servers.ts'
import { waitFor } from './wait-for.ts'

export const masterName = 'main'

export interface SentinelSetOptions {
  readonly regions: readonly string[]
  readonly sentinels?: number
  readonly downAfterMs?: number
  /** More of redis.conf, for all servers. */
  readonly args?: readonly string[]
  /** More of sentinel.conf. */
  readonly sentinelLines?: readonly string[]
}

/** One Sentinel; its configuration file is its own to rewrite. */
export class Sentinel {
  readonly port: number
  readonly #folder: string
  readonly #child: ChildProcess
  #control: Wire | undefined

  private constructor(port: number, folder: string, child: ChildProcess) {
    this.port = port
    this.#folder = folder
    this.#child = child
  }

  static async start(lines: readonly string[]): Promise<Sentinel> {
    const tool = await findRedisServer()
    const port = await freePort()
    const folder = mkdtempSync(path.join(tmpdir(), 'regis-sentinel-'))
    guardFolder(folder)
    const file = path.join(folder, 'sentinel.conf')
    writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, ...lines, ''].join('\n'))
    const child = spawn(tool.command, [file, '--sentinel', '--logfile', path.join(folder, 'sentinel.log')], {
      env: { ...process.env, ...tool.env },
      stdio: 'ignore',
      cwd: folder,
      detached: true,
    })
    child.on('error', () => {})
    guardChild(child)
    const sentinel = new Sentinel(port, folder, child)
    atEnd(() => sentinel.stop())
    await waitFor(async () => (await sentinel.call('PING').catch(() => '')) === 'PONG')
    return sentinel
  }

  get name(): string {
    return `127.0.0.1:${this.port}`
  }

  async call(...args: readonly (string | number)[]): Promise<Reply> {
    if (this.#control === undefined || !this.#control.isOpen) this.#control = await Wire.open(this.port)
    return this.#control.call(...args)
  }

  /** Name and value of what SENTINEL MASTER says. */
  async master(field: string): Promise<string | undefined> {
    const said = (await this.call('SENTINEL', 'MASTER', masterName)) as string[]
    const at = said.indexOf(field)
    return at < 0 ? undefined : said[at + 1]
  }

  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    this.#control?.close()
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.kill('SIGKILL')
      await exited
    }
    await rm(this.#folder, { recursive: true, force: true })
  }
}

export class SentinelSet {
  readonly servers: ReadonlyMap<string, RedisServer>
  readonly sentinels: readonly Sentinel[]
  readonly primaryRegion: string

  constructor(servers: ReadonlyMap<string, RedisServer>, sentinels: readonly Sentinel[], primaryRegion: string) {
    this.servers = servers
    this.sentinels = sentinels
    this.primaryRegion = primaryRegion
  }

  node(region: string): RedisServer {
    return this.servers.get(region)!
  }

  get primary(): RedisServer {
    return this.node(this.primaryRegion)
  }

  /** The region whose node this Sentinel names now. */
  async named(sentinel: Sentinel = this.sentinels[0]!): Promise<string | undefined> {
    const address = (await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName)) as string[]
    return [...this.servers].find(([, server]) => server.port === Number(address[1]))?.[0]
  }

  /** For a proxy of `region`: its nodes, at stated distances, and the Sentinels. */
  config(region: string): Record<string, unknown> {
    const others = [...this.servers.keys()].filter((to) => to !== region)
    const distance = Object.fromEntries(others.map((to) => [to, '40ms']))
    return {
      region,
      discovery: { sentinels: this.sentinels.map(({ name }) => name), master: masterName },
      regions: Object.fromEntries(
        [...this.servers].map(([to, server]) => [
          to,
          { nodes: [server.url], ...(to === region && others.length > 0 ? { distance } : {}) },
        ]),
      ),
    }
  }

  /**
   * Every Sentinel names the same node, knows all replicas and all other Sentinels, and has nothing against any of them:
   * only then is a failover certain to succeed.
   */
  async untilKnown(timeoutMs = 20_000): Promise<void> {
    for (const sentinel of this.sentinels) {
      await waitFor(async () => {
        const [others, flags] = [await sentinel.master('num-other-sentinels'), await sentinel.master('flags')]
        if (others !== String(this.sentinels.length - 1) || flags !== 'master') return false
        if ((await this.named(sentinel)) !== (await this.named())) return false
        // A replica that has not been asked yet is no candidate.
        const replicas = (await sentinel.call('SENTINEL', 'REPLICAS', masterName)) as string[][]
        const are = (one: string[], field: string): string | undefined => one[one.indexOf(field) + 1]
        const known = replicas.filter((one) => are(one, 'flags') === 'slave' && are(one, 'master-link-status') === 'ok')
        return known.length === this.servers.size - 1
      }, timeoutMs)
    }
  }

  /**
   * Sentinels look every 10 s at nodes that seem well, and wait 8 s before they demote one that says primary and is not
   * the one they name. In a hurry they take 1 s and 2 s. How they fail over does not depend on it, if this is off by then.
   * Servers before 7.0 have no such command, and are not in a hurry.
   */
  async hurry(isOn: boolean): Promise<void> {
    const periods = isOn
      ? ['info-period', 1_000, 'publish-period', 500]
      : ['info-period', 10_000, 'publish-period', 2_000]
    for (const sentinel of this.sentinels) await sentinel.call('SENTINEL', 'DEBUG', ...periods).catch(() => {})
  }
}

/** The first region holds the primary. Resolves when a failover can be ordered. */
export async function startSentinels(options: SentinelSetOptions): Promise<SentinelSet> {
  const { regions, sentinels: count = 3, downAfterMs = 1_000 } = options
  const args = ['--repl-ping-replica-period', '1', ...(options.args ?? [])]
  const servers = new Map(
    await Promise.all(regions.map(async (region) => [region, await startRedis({ args })] as const)),
  )
  const [first, ...rest] = regions
  const primary = servers.get(first!)!
  for (const region of rest) await servers.get(region)!.replicaOf('127.0.0.1', primary.port)
  await Promise.all(rest.map((region) => servers.get(region)!.untilInSync()))
  const lines = [
    `sentinel monitor ${masterName} 127.0.0.1 ${primary.port} ${Math.floor(count / 2) + 1}`,
    `sentinel down-after-milliseconds ${masterName} ${downAfterMs}`,
    `sentinel failover-timeout ${masterName} 6000`,
    `sentinel parallel-syncs ${masterName} ${regions.length}`,
    ...(options.sentinelLines ?? []),
  ]
  const sentinels = await Promise.all(Array.from({ length: count }, () => Sentinel.start(lines)))
  const set = new SentinelSet(servers, sentinels, first!)
  await set.untilKnown()
  return set
}
