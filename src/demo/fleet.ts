/**
 * The demo's world: three regions of real redis-servers with distance between them, one Regis in each, and a light load.
 * ~ touches files, sockets and child processes, most of them through its parts: topology.ts (servers, relays),
 * proxy-process.ts, load.ts. It prints nothing: the verb in cli/ does.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { stringify } from 'yaml'
import type { Control } from './controls.ts'
import { guardFolder } from './guard.ts'
import { Load } from './load.ts'
import { type ProxyOptions, ProxyProcess } from './proxy-process.ts'
import { findRedisServer, type RedisTool } from './redis-finder.ts'
import { freePort } from './redis-server.ts'
import { type Reading, type RegionState, readMetrics } from './status.ts'
import { regionPair, Topology } from './topology.ts'

export const demoRegions = ['eu-west', 'us-east', 'ap-south'] as const
export const demoPrimary = 'eu-west'

/** Round trips in ms where nothing else is asked for. */
export const demoRttMs: Readonly<Record<string, number>> = {
  [regionPair('eu-west', 'us-east')]: 80,
  [regionPair('eu-west', 'ap-south')]: 180,
  [regionPair('us-east', 'ap-south')]: 230,
}

export interface FleetOptions {
  /** First of three ports for clients, and of three for admin; where one is taken, another free one is used. */
  readonly basePort: number
  readonly baseAdminPort: number
  /** Over demoRttMs, by regionPair. */
  readonly rttMs: Readonly<Record<string, number>>
  /** More delay on a region's replication link. */
  readonly lagMs: Readonly<Record<string, number>>
  /** Commands a second in all; 0: none. */
  readonly opsPerSecond: number
  /** One line about what is being done. */
  readonly say: (line: string) => void
}

interface Member {
  readonly region: string
  readonly proxy: ProxyProcess
  readonly load: Load
  before: Reading | undefined
  now: Reading | undefined
}

export class Fleet {
  readonly #options: FleetOptions
  #tool: RedisTool | undefined
  #topology: Topology | undefined
  #members: Member[] = []
  #proxies: ProxyProcess[] = []
  #folder: string | undefined
  #isStopped = false

  constructor(options: FleetOptions) {
    this.#options = options
  }

  /** Everything up, in sync and ready. When it rejects, stop() still has to be called. */
  async start(): Promise<void> {
    const { say } = this.#options
    this.#tool = await findRedisServer({ say })
    say(`${this.#tool.engine} ${this.#tool.version} (${this.#tool.source})`)
    this.#goOn()
    this.#topology = await Topology.start({
      tool: this.#tool,
      regions: demoRegions,
      primary: demoPrimary,
      rttMs: { ...demoRttMs, ...this.#options.rttMs },
    })
    this.#goOn()
    for (const [region, lagMs] of Object.entries(this.#options.lagMs)) this.#topology.setLag(region, lagMs)
    const nodes = demoRegions.map((region) => `${region} ${this.#topology?.node(region).port}`)
    say(`three redis-servers, replicas in sync: ${nodes.join(', ')}`)
    this.#folder = mkdtempSync(path.join(tmpdir(), 'regis-demo-'))
    guardFolder(this.#folder)
    const ports = await pickPorts(this.#options.basePort, demoRegions.length)
    const adminPorts = await pickPorts(this.#options.baseAdminPort, demoRegions.length, ports)
    const starting = demoRegions.map(async (region, i) => {
      const file = path.join(this.#folder ?? '', `proxy-${region}.yaml`)
      writeFileSync(file, this.#configText(region))
      const proxy = await startProxy({ file, region, port: ports[i] ?? 0, adminPort: adminPorts[i] ?? 0 })
      this.#proxies.push(proxy)
      if (this.#isStopped) await proxy.stop()
      return { region, proxy, load: new Load(proxy.port), before: undefined, now: undefined }
    })
    // All have ended one way or the other before one's failure is told, so that stop() meets every one of them.
    await Promise.allSettled(starting)
    this.#members = await Promise.all(starting)
    this.#goOn()
    say(`three proxies ready: ${this.#members.map(({ region, proxy }) => `${region} ${proxy.port}`).join(', ')}`)
    this.#setLoad(this.#options.opsPerSecond)
  }

  get tool(): RedisTool {
    return present(this.#tool)
  }

  get topology(): Topology {
    return present(this.#topology)
  }

  get proxies(): readonly ProxyProcess[] {
    return this.#members.map(({ proxy }) => proxy)
  }

  /** Does what a control says (not `help` nor `quit`); resolves with a line that says what was done. */
  async control(control: Control): Promise<string> {
    const topology = this.topology
    switch (control.verb) {
      case 'latency':
        topology.setLatency(control.one, control.other, control.rttMs)
        return `round trip ${control.one} to ${control.other} is ${control.rttMs} ms`
      case 'lag':
        topology.setLag(control.region, control.lagMs)
        return `replication to ${control.region} is ${control.lagMs} ms later than distance alone`
      case 'partition':
        topology.partition(control.region, control.on)
        return `${control.region} is ${control.on ? 'cut off' : 'joined again'}`
      case 'kill':
        await topology.node(control.region).kill('SIGKILL')
        return `redis-server of ${control.region} killed; restart ${control.region} brings it back, empty`
      case 'restart':
        await topology.restart(control.region)
        return `redis-server of ${control.region} started again`
      case 'load':
        this.#setLoad(control.opsPerSecond)
        return `load: ${control.opsPerSecond} commands a second in all`
      default:
        return ''
    }
  }

  /** A fresh look at every proxy. Never rejects: a proxy that does not answer is a state too. */
  async look(): Promise<RegionState[]> {
    return Promise.all(
      this.#members.map(async (member) => {
        const answer = await member.proxy.fetch('/metrics').catch(() => undefined)
        member.before = member.now
        member.now = answer?.status === 200 ? readMetrics(answer.body, member.region, performance.now()) : undefined
        return {
          region: member.region,
          isPrimary: member.region === this.topology.primaryRegion,
          before: member.before,
          now: member.now,
          latencies: member.load.latencies(),
          errors: member.load.takeErrors(),
          notes: this.#notes(member.region, member.proxy),
        }
      }),
    )
  }

  /** Load, proxies (SIGTERM, at most three seconds, then SIGKILL), servers, files; in this order. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const { load } of this.#members) load.stop()
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()))
    await this.#topology?.stop()
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  /** After an await: does starting still make sense? */
  #goOn(): void {
    if (this.#isStopped) throw new Error('stopped while starting')
  }

  #setLoad(opsPerSecond: number): void {
    for (const { load } of this.#members) load.start(opsPerSecond / this.#members.length)
  }

  #notes(region: string, proxy: ProxyProcess): string[] {
    const notes: string[] = []
    if (!proxy.isRunning) notes.push('proxy has ended')
    if (!this.topology.node(region).isRunning) notes.push('redis-server killed')
    if (this.topology.isPartitioned(region)) notes.push('cut off')
    const lagMs = this.topology.lagMs(region)
    if (lagMs > 0) notes.push(`lag +${lagMs} ms`)
    return notes
  }

  #configText(region: string): string {
    const config = {
      region,
      primary: demoPrimary,
      regions: Object.fromEntries(demoRegions.map((to) => [to, { nodes: [this.topology.url(region, to)] }])),
      tenants: {
        shop: { consistency: 'session', users: { 'shop-app': { password: 'demo' } } },
        analytics: { consistency: 'bounded', max_staleness: '500ms', users: { 'analytics-app': { password: 'demo' } } },
      },
      shutdown: { drain: '2s' },
    }
    return `# The demo's ${region}. Nodes of other regions are reached through relays that play the distance.\n${stringify(config)}`
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the fleet has not started')
  return value
}

/** Between the choice of a port and the listening somebody else may have taken it: then on others, a few times. */
async function startProxy(options: ProxyOptions): Promise<ProxyProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ProxyProcess.start(attempt === 1 ? options : { ...options, ...(await freePair()) })
    } catch (error) {
      if (attempt === startAttempts || !String(error).includes('EADDRINUSE')) throw error
    }
  }
}

const startAttempts = 5

async function freePair(): Promise<{ port: number; adminPort: number }> {
  return { port: await freePort(), adminPort: await freePort() }
}

/** `count` ports from `base` upwards; where one is taken, another free one in its place. */
export async function pickPorts(base: number, count: number, notThese: readonly number[] = []): Promise<number[]> {
  const ports: number[] = []
  for (let port = base; port < base + count; port++) {
    ports.push(!notThese.includes(port) && (await isFree(port)) ? port : await freePort())
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
