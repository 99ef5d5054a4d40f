/**
 * What integration and compat tests start: real redis-servers, replicated regions behind delay relays, Regis itself as a
 * child process, raw clients. Importing this file ends everything it started after the tests of the importing file,
 * failed ones too; what a killed jest leaves is ended by the guard in src/demo/.
 *
 * Regis runs from dist/, which `bin/regis` builds anew whenever src/ has changed.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { stringify } from 'yaml'
import { guardFolder } from '../../src/demo/guard.ts'
import { ProxyProcess } from '../../src/demo/proxy-process.ts'
import { freePort, RedisServer, type RedisServerOptions } from '../../src/demo/redis-server.ts'
import { Relay, type RelayOptions, type RelayTarget } from '../../src/demo/relay.ts'
import { Topology, type TopologyOptions } from '../../src/demo/topology.ts'
import { RawClient } from './raw-client.ts'

const endings: (() => Promise<unknown> | unknown)[] = []

/** Runs after the tests of this file, the newest first, whatever happened before. */
export function atEnd(ending: () => Promise<unknown> | unknown): void {
  endings.push(ending)
}

afterAll(async () => {
  const failures: unknown[] = []
  for (const ending of endings.splice(0).reverse()) {
    try {
      await ending()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'ending what the tests started')
})

export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options)
  atEnd(() => server.stop())
  return server
}

/** A relay on a free port in front of a target. */
export async function startRelay(target: RelayTarget, options: RelayOptions = {}): Promise<Relay> {
  const relay = await Relay.start(target, options)
  atEnd(() => relay.stop())
  return relay
}

/** One server a region, the first (or `primary`) is the primary, in sync when this resolves. Delays: `rttMs`, default none. */
export async function startReplicaSet(options: TopologyOptions): Promise<Topology> {
  const topology = await Topology.start(options)
  atEnd(() => topology.stop())
  return topology
}

export interface StartProxyOptions {
  readonly region?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly readyMsMax?: number
  /** The checkout that is run: a copy with a planted bug (test/kit/planted.ts); default: this one. */
  readonly root?: string
}

/** A running Regis and the file it was started with; `write` replaces the file's content, for reloads. */
export interface StartedProxy {
  readonly proxy: ProxyProcess
  readonly port: number
  readonly adminPort: number
  readonly file: string
  write(config: string | object): void
  /** A raw client on its port; with a user it has logged in. */
  client(user?: string, password?: string): Promise<RawClient>
}

/** TEST_WORKERS=2 runs every Regis that is started here with so many workers, where a test does not say itself. */
const testWorkers = process.env['TEST_WORKERS'] ?? ''
const workersOfAll = testWorkers === '' ? [] : ['--workers', testWorkers]

/** `bin/regis run` with this configuration (YAML text or the object it stands for) on free ports, ready when it resolves. */
export async function startProxy(config: string | object, options: StartProxyOptions = {}): Promise<StartedProxy> {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-test-'))
  guardFolder(folder)
  atEnd(() => rm(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'proxy.yaml')
  const write = (content: string | object) =>
    writeFileSync(file, typeof content === 'string' ? content : stringify(content))
  write(config)
  for (let attempt = 1; ; attempt++) {
    const [port, adminPort] = [await freePort(), await freePort()]
    try {
      const given = options.args ?? []
      const args = given.includes('--workers') ? given : [...given, ...workersOfAll]
      const proxy = await ProxyProcess.start({ ...options, args, file, port, adminPort })
      atEnd(() => proxy.stop())
      const client = async (user?: string, password = 'demo') => {
        const raw = await rawClient(port)
        if (user !== undefined) expect(await raw.call('AUTH', user, password)).toBe('OK')
        return raw
      }
      return { proxy, port, adminPort, file, write, client }
    } catch (error) {
      // Between freePort and listen somebody else may have taken the port.
      if (attempt < 5 && String(error).includes('EADDRINUSE')) continue
      throw error
    }
  }
}

export async function rawClient(port: number): Promise<RawClient> {
  const client = await RawClient.open(port)
  atEnd(() => client.close())
  return client
}

/**
 * The regions of these servers as a proxy of `region` is configured with them. All are on this machine: without a distance
 * the nearest is whichever answered fastest of late. Each is at its round trip, 40 ms where the topology has none.
 */
export function regionsFor(
  topology: Topology,
  region: string,
): Record<string, { nodes: string[]; distance?: Record<string, string> }> {
  const others = topology.regions.filter((to) => to !== region)
  const distance = Object.fromEntries(others.map((to) => [to, `${topology.rttMs(region, to) || 40}ms`]))
  return Object.fromEntries(
    topology.regions.map((to) => [
      to,
      { nodes: [topology.url(region, to)], ...(to === region && others.length > 0 ? { distance } : {}) },
    ]),
  )
}

/** A configuration for a proxy of `region` in front of these servers: shop (session) and analytics (bounded), password demo. */
export function configFor(topology: Topology, region: string): Record<string, unknown> {
  return {
    region,
    primary: topology.primaryRegion,
    regions: regionsFor(topology, region),
    tenants: {
      shop: { users: { 'shop-app': { password: 'demo' } } },
      analytics: { consistency: 'bounded', max_staleness: '500ms', users: { 'analytics-app': { password: 'demo' } } },
    },
  }
}
