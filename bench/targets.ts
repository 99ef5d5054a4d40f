/**
 * What is compared: Redis itself, Debian's twemproxy, Regis (this checkout, others beside it), and any proxy that runs
 * already (`--peer`). Proxies are pinned to one core, Redis and the load share another. ~ starts child processes; every
 * one is ended by its own pid, also when the bench is killed (guard.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { guardChild, guardFolder } from '../src/demo/guard.ts'
import { findTool, type RedisTool } from '../src/demo/redis-finder.ts'
import { freePort, RedisServer } from '../src/demo/redis-server.ts'
import { pin } from './cpu.ts'
import { encodeCommand, RawClient } from './raw-client.ts'
import type { SelfSigned } from './self-signed.ts'

export interface Login {
  readonly user: string
  readonly password: string
}

export interface Target {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly login?: Login
  /** Whose CPU counts; undefined: not known, so only throughput and latency are shown. */
  readonly pid?: number
  /** Of a Regis: where its metrics are. */
  readonly adminPort?: number
  readonly tls?: TlsPort
  readonly version: string
  stop(): Promise<void>
}

export interface TlsPort extends SelfSigned {
  readonly port: number
}

/** Cores in `taskset` list format; undefined: not pinned. */
export interface Pinning {
  readonly proxy: string | undefined
  readonly load: string | undefined
}

export async function startDirect(
  tool: RedisTool,
  pinning: Pinning,
  serverArgs: readonly string[] = [],
  tls?: TlsPort,
): Promise<Target> {
  const tlsArgs =
    tls === undefined
      ? []
      : [
          ...['--tls-port', String(tls.port), '--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile],
          ...['--tls-ca-cert-file', tls.certFile, '--tls-auth-clients', 'no'],
        ]
  const server = await RedisServer.start({ tool, args: [...serverArgs, ...tlsArgs] })
  if (pinning.load !== undefined) pin(server.pid, pinning.load)
  return directTarget('direct', server, tool, tls)
}

/** In sync with the primary when it is there. */
export async function startReplica(tool: RedisTool, pinning: Pinning, primaryPort: number): Promise<Target> {
  const server = await RedisServer.start({ tool, args: ['--replicaof', '127.0.0.1', String(primaryPort)] })
  if (pinning.load !== undefined) pin(server.pid, pinning.load)
  await server.untilInSync()
  return directTarget('replica', server, tool)
}

const directTarget = (name: string, server: RedisServer, tool: RedisTool, tls?: TlsPort): Target => ({
  name,
  host: '127.0.0.1',
  port: server.port,
  pid: server.pid,
  ...(tls === undefined ? {} : { tls }),
  version: `${tool.engine} ${tool.version}`,
  stop: () => server.stop(),
})

/**
 * twemproxy as Debian ships it (no options), or `quiet` with -v 4. At its default verbosity it looks up the peer's
 * address for a log line per request, also where that line is compiled out: one getpeername and about half its CPU in
 * pipelines (twitter/twemproxy src/nc_request.c req_log). The floors are ratios to what Debian ships.
 */
export async function startTwemproxy(
  name: 'twemproxy' | 'twemproxy-quiet',
  redisPort: number,
  pinning: Pinning,
  cacheRoot: string,
): Promise<Target> {
  const tool = await findTool('nutcracker', { cacheRoot, say: (line) => process.stderr.write(`${line}\n`) })
  const [port, statsPort] = [await freePort(), await freePort()]
  const folder = scratchFolder()
  const config = path.join(folder, 'nutcracker.yml')
  writeFileSync(
    config,
    [
      'bench:',
      `  listen: 127.0.0.1:${port}`,
      '  hash: fnv1a_64',
      '  distribution: ketama',
      '  redis: true',
      '  server_connections: 1',
      '  servers:',
      `   - 127.0.0.1:${redisPort}:1`,
      '',
    ].join('\n'),
  )
  const args = ['-c', config, '-o', path.join(folder, 'log'), '-s', String(statsPort), '-a', '127.0.0.1']
  if (name === 'twemproxy-quiet') args.push('-v', '4')
  const child = start(tool.command, args, tool.env, folder, pinning.proxy)
  return proxyTarget({ name, port, version: tool.version, child, folder })
}

/** What this machine asks of any proxy in Node: see least-proxy.ts. */
export async function startLeast(redisPort: number, pinning: Pinning): Promise<Target> {
  const port = await freePort()
  const folder = scratchFolder()
  const args = [fileURLToPath(new URL('./least-proxy.js', import.meta.url)), String(port), String(redisPort)]
  const child = start(process.execPath, args, {}, folder, pinning.proxy)
  return proxyTarget({ name: 'least', port, version: `node ${process.versions.node}`, child, folder })
}

export interface RegisOptions {
  readonly name: string
  /** A checkout: its bin/regis is run. */
  readonly folder: string
  readonly args: readonly string[]
  readonly redisPort: number
  /** The tenant may run scripts: then it has a Redis user of its own. */
  readonly scripts?: 'declared' | 'any'
  /** A replica in the region that the proxy stands in; the primary is then 40 ms away, as far as the proxy knows. */
  readonly replicaPort?: number
  /** Region of the proxy, and lines of `primary` and `regions`, instead of one node `here` and perhaps one `there`. */
  readonly topology?: { readonly region: string; readonly yaml: readonly string[] }
  /** Lines instead of those about upstream and tenants; then there is no login but `login`. */
  readonly yaml?: readonly string[]
  readonly login?: Login
  readonly tls?: TlsPort
  /** Until it has answered; a long list of tenants takes a while. */
  readonly readyMsMax?: number
  readonly pinning: Pinning
}

export async function startRegis(options: RegisOptions): Promise<Target> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const folder = scratchFolder()
  const config = path.join(folder, 'proxy.yaml')
  const login = options.yaml === undefined ? { user: 'bench-app', password: 'bench' } : options.login
  const topology = options.topology ?? nearTopology(options.redisPort, options.replicaPort)
  writeFileSync(
    config,
    [
      `region: ${topology.region}`,
      `listeners: [{ address: 127.0.0.1:${port} }${options.tls === undefined ? '' : tlsListener(options.tls)}]`,
      `admin: { address: 127.0.0.1:${adminPort} }`,
      ...topology.yaml,
      ...(options.yaml ?? [
        `upstream: { acl: ${options.scripts === undefined ? 'off' : 'provision'} }`,
        'tenants:',
        `  bench: { users: { ${login?.user}: { password: ${login?.password} } }${options.scripts === undefined ? '' : `, scripts: ${options.scripts}`} }`,
        '  another: { users: { another-app: { password: another } } }',
      ]),
      'logging: { level: warn, format: json }',
      '',
    ].join('\n'),
  )
  const regis = path.join(options.folder, 'bin', 'regis')
  if (!existsSync(regis)) throw new Error(`${options.folder} is no checkout of Regis: there is no bin/regis`)
  const args = [regis, 'run', '-c', config, ...options.args]
  const child = start(process.execPath, args, {}, folder, options.pinning.proxy)
  const manifest: unknown = JSON.parse(readFileSync(path.join(options.folder, 'package.json'), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? `${manifest.version}` : '?'
  return proxyTarget({
    name: options.name,
    port,
    adminPort,
    ...(login === undefined ? {} : { login }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    version,
    child,
    folder,
    ...(options.readyMsMax === undefined ? {} : { readyMsMax: options.readyMsMax }),
  })
}

const nearTopology = (redisPort: number, replicaPort: number | undefined) => ({
  region: replicaPort === undefined ? 'here' : 'there',
  yaml: [
    'primary: here',
    'regions:',
    `  here: { nodes: ["redis://127.0.0.1:${redisPort}"] }`,
    ...(replicaPort === undefined
      ? []
      : [`  there: { nodes: ["redis://127.0.0.1:${replicaPort}"], distance: { here: 40ms } }`]),
  ],
})

const tlsListener = (tls: TlsPort): string =>
  `, { address: 127.0.0.1:${tls.port}, tls: { cert: ${tls.certFile}, key: ${tls.keyFile} } }`

/** `name=host:port[:pid]` */
export async function usePeer(text: string, pinning: Pinning): Promise<Target> {
  const match = /^([\w.-]+)=([^:]+):(\d+)(?::(\d+))?$/.exec(text)
  if (match === null) throw new Error(`not a peer: ${text} (name=host:port or name=host:port:pid)`)
  const [, name = '', host = '', port = '', pid] = match
  if (pid !== undefined && pinning.proxy !== undefined) pin(Number(pid), pinning.proxy)
  const target = {
    name,
    host,
    port: Number(port),
    version: '?',
    ...(pid === undefined ? {} : { pid: Number(pid) }),
    stop: async () => {},
  }
  await untilAnswers(target, () => true, 2000)
  return target
}

export function scratchFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-bench-'))
  guardFolder(folder)
  return folder
}

function start(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd: string,
  cores: string | undefined,
): ChildProcess {
  // taskset replaces itself by the program (exec), so the child's pid is the proxy's.
  const [program, all] = cores === undefined ? [command, args] : ['taskset', ['-c', cores, command, ...args]]
  const child = spawn(program, [...all], {
    env: { ...process.env, ...env },
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.on('error', () => {})
  guardChild(child)
  return child
}

interface ProxyOptions extends Omit<Target, 'host' | 'pid' | 'stop'> {
  readonly child: ChildProcess
  readonly folder: string
  readonly readyMsMax?: number
}

async function proxyTarget(options: ProxyOptions): Promise<Target> {
  const { child, folder, readyMsMax = 60_000, ...known } = options
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      output = (output + bytes.toString()).slice(-8192)
    })
  }
  const target: Target = {
    ...known,
    host: '127.0.0.1',
    ...(child.pid === undefined ? {} : { pid: child.pid }),
    stop: async () => {
      if (isRunning(child)) {
        const exited = once(child, 'exit')
        child.kill('SIGTERM')
        const soon = await Promise.race([exited.then(() => true), sleep(3000).then(() => false)])
        if (!soon) child.kill('SIGKILL')
        await exited
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    await untilAnswers(target, () => isRunning(child), readyMsMax)
    return target
  } catch (error) {
    await target.stop()
    throw new Error(`${known.name} did not start: ${error instanceof Error ? error.message : error}\n${output.trim()}`)
  }
}

const isRunning = (child: ChildProcess): boolean =>
  child.pid !== undefined && child.exitCode === null && child.signalCode === null

/** Resolves when a SET through the target is answered: then its upstream is there too. */
async function untilAnswers(target: Target, isAlive: () => boolean, msMax: number): Promise<void> {
  const endsAt = performance.now() + msMax
  let last: unknown
  while (performance.now() < endsAt) {
    if (!isAlive()) throw new Error('it has ended')
    try {
      if (await isListening(target.port, target.host)) {
        const client = await RawClient.open(target.name, target.port, target.host)
        try {
          for (const args of target.login === undefined ? [] : [['AUTH', target.login.user, target.login.password]]) {
            client.promise(Buffer.from('+OK\r\n'))
            client.write(encodeCommand(args))
          }
          client.promise(Buffer.from('+OK\r\n'))
          client.write(encodeCommand(['SET', 'ready', '1']))
          await client.untilMissing(0, 1000)
          return
        } finally {
          client.close()
        }
      }
    } catch (error) {
      last = error
    }
    await sleep(50)
  }
  throw new Error(`no answer in ${msMax} ms${last === undefined ? '' : ` (${last})`}`)
}

function isListening(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
