/**
 * The request path with clients and servers replaced by memory: two nodes, a primary and a nearer replica, tenants and
 * users as asked. What stands in the lanes can be read, replies are put in by hand. No sockets, no time of its own.
 */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { silentLog } from '../../src/base/log.ts'
import type { BuiltinHost } from '../../src/builtin/builtin.ts'
import { buildBuiltins } from '../../src/builtin/table.ts'
import { learn, type ServerCommand } from '../../src/commands/live.ts'
import { buildCommandTable, type CommandTable } from '../../src/commands/lookup.ts'
import { Cells } from '../../src/metrics/cells.ts'
import { Histogram } from '../../src/metrics/counters.ts'
import { Guards } from '../../src/regions/guards.ts'
import type { Node } from '../../src/regions/node.ts'
import { RegionTracker } from '../../src/regions/tracker.ts'
import { RequestPath } from '../../src/request-path.ts'
import type { LevelName } from '../../src/routing/choose.ts'
import { RunningScripts } from '../../src/scripts/running.ts'
import { Scripts } from '../../src/scripts/scripts.ts'
import { type AccountOptions, Accounts, type TenantOptions } from '../../src/session/accounts.ts'
import type { Feed } from '../../src/session/feed.ts'
import { Overload } from '../../src/session/overload.ts'
import { Pauses } from '../../src/session/pauses.ts'
import { Renewal } from '../../src/session/renewal.ts'
import { Session } from '../../src/session/session.ts'
import { Subscriptions } from '../../src/session/subscriptions.ts'
import type { TenantState } from '../../src/tenant/account.ts'
import { Directory } from '../../src/tenant/directory.ts'
import type { Durability } from '../../src/upstream/durability.ts'
import type { Lane, LanePort } from '../../src/upstream/lane.ts'
import type { Leases } from '../../src/upstream/leases.ts'
import { Pool } from '../../src/upstream/pool.ts'
import { command } from '../kit/resp.ts'

/** This world has no connections to lease: what needs one is tested on real servers. */
const noLeases = { take: () => undefined, release() {}, drop() {} } as unknown as Leases

export class MemorySocket extends EventEmitter {
  writableLength = 0
  text = ''
  isEnded = false
  isDestroyed = false
  readableEnded = false
  /** What is called when a piece has been written. */
  readonly callbacks: (() => void)[] = []
  /** The pieces as they were written. */
  readonly pieces: Uint8Array[] = []
  cork(): void {}
  uncork(): void {}
  write(view: Uint8Array, done?: () => void): boolean {
    this.pieces.push(view)
    this.text += Buffer.from(view).toString('latin1')
    if (done !== undefined) this.callbacks.push(done)
    return true
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    this.isEnded = true
  }
  destroy(): void {
    this.isDestroyed = true
  }
  setTimeout(): void {}
}

/** The socket side of one lane: what was sent, and why it was given up. */
export class MemoryPort implements LanePort {
  sent = ''
  destroyed: string | undefined
  private readonly lane: Lane
  constructor(lane: Lane) {
    this.lane = lane
  }
  write(view: Uint8Array): boolean {
    this.sent += Buffer.from(view).toString('latin1')
    return true
  }
  pendingBytes(): number {
    return 0
  }
  destroy(reason: string): void {
    this.destroyed ??= reason
    if (this.lane.isOpen) this.lane.close()
  }
}

export interface WorldOptions {
  /** Connections of clients' own; undefined: there are none. */
  readonly leases?: Leases
  readonly consistency?: LevelName
  readonly tenants?: readonly TenantOptions[]
  /** Every command is looked at at the socket, or only the first of a run. */
  readonly isParanoid?: boolean
  /** Unread output of all clients. */
  readonly maxOutputBytes?: number
  /** What the process may have. */
  readonly memoryBytes?: number
  readonly durability?: Durability
  /** Reads on the replica stand behind guards. */
  readonly isGuarded?: boolean
  /** A third node: a replica between the two. */
  readonly hasFarther?: boolean
}

export interface MemoryClient {
  readonly session: Session
  readonly socket: MemorySocket
  /** These commands in one chunk. */
  send(...commands: readonly (readonly string[])[]): void
  /** These bytes, a chunk of at most 64 KiB after the other. */
  raw(bytes: Buffer): void
}

export interface World {
  readonly cells: Cells
  readonly path: RequestPath
  readonly pauses: Pauses
  readonly overload: Overload
  /** What the process is said to have, and how busy its loop to be. */
  readonly memory: { heapUsed: number; heapLimit: number; buffers: number; rss: number }
  readonly loop: { utilization: number }
  tenant(id: string): TenantState
  readonly accounts: Accounts
  readonly table: CommandTable
  /** Other tenants from now on, for open connections too; gives how many of these were closed. */
  reload(tenants: readonly TenantOptions[]): number
  readonly pool: Pool
  readonly tracker: RegionTracker
  readonly primary: Node
  readonly replica: Node
  readonly clock: { ms: number }
  /** By lane index. */
  readonly ports: readonly MemoryPort[]
  client(user: string): MemoryClient
  /** The primary's commands are these. For all worlds of a test file: they share the table. */
  learn(commands: readonly ServerCommand[]): void
  /** Calls of a command so far, by its name. */
  calls(name: string): number
  /** What was sent to a node by all its lanes of database 0, after a flush. */
  sentTo(node: Node): string
  readonly subscriptions: Subscriptions
  /** What was put off to a later turn. */
  readonly later: (() => void)[]
  /** What was to run after a while. */
  readonly timers: (() => void)[]
  /** Topics that the servers are asked for. */
  readonly topics: Set<string>
  /** A reply of the node on its shared lane for RESP2. */
  reply(node: Node, text: string): void
  /** The same, on any lane. */
  replyOn(lane: Lane, text: string): void
  /** The shared lane for RESP2 of a node. */
  lane(node: Node): Lane
}

const table = buildCommandTable()

const oneTenant: readonly TenantOptions[] = [
  { id: 'shop', prefix: 'shop:', deny: [], users: [{ name: 'shop', readOnly: false }] },
]

export function buildWorld(options: WorldOptions = {}): World {
  const cells = new Cells({ commandNames: table.specs.map((spec) => spec.name) })
  const clock = { ms: 1_000 }
  const addresses = ['primary', 'replica', ...(options.hasFarther === true ? ['farther'] : [])].map((name) => ({
    name,
    region: name,
    host: 'x',
    port: 1,
    tls: false,
  }))
  const tracker = new RegionTracker({
    addresses,
    region: 'replica',
    timeoutMs: 1_000,
    log: silentLog,
    openLink: () => ({ start() {}, stop() {}, probeNow() {}, sendMark: () => true }) as never,
  })
  const [primary, replica] = [tracker.nodes[0]!, tracker.nodes[1]!]
  Object.assign(primary, { role: 'primary', isUp: true, isReadable: true })
  Object.assign(replica, { role: 'replica', isUp: true, isReadable: true, shownSeq: 1e9, shownSentAtMs: 1e12 })
  tracker.primary = primary
  const farther = tracker.nodes.slice(2)
  for (const node of farther)
    Object.assign(node, { role: 'replica', isUp: true, isReadable: true, shownSentAtMs: 1e12 })
  tracker.readOrder = [replica, ...farther, primary]
  const pool = new Pool(
    {
      addresses,
      connections: 1,
      idStep: 1,
      timeoutMs: 1_000,
      clientName: 'x',
      log: silentLog,
      now: () => clock.ms,
      durations: () => ({ read: new Histogram(), write: new Histogram(), upstream: new Histogram() }),
    },
    {
      laneReady() {},
      laneLost() {},
      hasRoom: (lane) => path.waiting.laneHasRoom(lane),
      errorReply() {},
      refusedWrite: (lane, sink) => path.secondTries.begin(lane, sink),
      largeReply: (_, use, hash, size) => path.largeReply(use, hash, size),
      desync() {},
      foreignPrefix() {},
      beforeFlush: (lane) => path.strong.beforeFlush(lane),
      afterRead() {},
    },
  )
  const ports = pool.lanes.map((lane) => {
    const port = new MemoryPort(lane)
    lane.open(port)
    lane.isReady = true
    lane.isPrimary = lane.nodeIndex === primary.index
    return port
  })
  const configOf = (tenants: readonly TenantOptions[]): AccountOptions => ({
    routing: {
      consistency: options.consistency ?? 'eventual',
      maxStalenessMs: 500,
      maxStalenessIsCeiling: false,
      whenStale: 'primary',
      maxWaitMs: 20,
      rules: [],
    },
    tenants,
    operators: [],
  })
  const accounts = new Accounts(configOf(options.tenants ?? oneTenant), table, cells)
  const renewal = new Renewal(table, {
    accountOf: (user) => accounts.get(user),
    defaultAccount: () => undefined,
    login() {},
    unblock() {},
    retryQuota: (session) => path.retryQuota(session),
  })
  // Whatever is wanted is heard at once.
  const topics = new Set<string>()
  const feed = {
    want: (topic: string) => topics.add(topic),
    release: (topic: string) => topics.delete(topic),
    isHeard: () => true,
  } as unknown as Feed
  const subscriptions = new Subscriptions({
    feeds: { near: feed, primary: feed },
    cells: cells.pubsub,
    waitMs: 1_000,
    after() {},
    soon: (run) => later.push(run),
  })
  const later: (() => void)[] = []
  const timers: (() => void)[] = []
  const sessions = new Set<Session>()
  const memory = { heapUsed: 1e6, heapLimit: 1e9, buffers: 1e6, rss: 2e6 }
  const loop = { utilization: 0 }
  const pauses = new Pauses({
    now: () => clock.ms,
    after: (_ms, run) => void timers.push(run),
    sessions: () => sessions,
    lanes: () => pool.lanes,
    isWalking: () => false,
    resumeSoon: (session) => path.resumeSoon(session),
  })
  const overload = new Overload(options.memoryBytes ?? 1e11, {
    now: () => clock.ms,
    tickMs: 50,
    after: (_ms, run) => void timers.push(run),
    soon: (run) => void later.push(run),
    read: () => memory,
    collect: undefined,
    utilization: () => loop.utilization,
    sessions: () => sessions,
    lingering: () => [],
    work: () => cells.tenants,
    tenant: (name) => accounts.tenant(name),
    resumeSoon: (session) => path.resumeSoon(session),
    log: silentLog,
  })
  const path = new RequestPath({
    table,
    builtins: buildBuiltins(table),
    host: { now: () => clock.ms, subscriptions } as unknown as BuiltinHost,
    pool,
    leases: options.leases ?? noLeases,
    scripts: new Scripts(() => undefined, table, 'secret'),
    running: new RunningScripts(),
    scriptMs: 5_000,
    timeoutMs: 2_000,
    tracker,
    cells,
    log: silentLog,
    region: 'replica',
    maxRequestBytes: 64 * 1024 * 1024,
    maxOutputBytes: options.maxOutputBytes ?? 128 * 1024 * 1024,
    isParanoid: options.isParanoid ?? true,
    now: () => clock.ms,
    after: (_ms, run) => void timers.push(run),
    sessionClosed: (session) => void sessions.delete(session),
    pauses,
    overload,
    primaryRefused() {},
    findSession: () => undefined,
    ...(options.isGuarded === true
      ? { guards: new Guards({ nodes: tracker.nodes, wentBack: (node) => tracker.noteWentBack(node) }) }
      : {}),
    ...(options.durability === undefined ? {} : { durability: options.durability }),
  })
  let id = 1
  const replyOn = (lane: Lane, text: string): void => {
    if (lane.needsCheck) path.strong.beforeFlush(lane)
    lane.flush()
    lane.onChunk(Buffer.from(text, 'latin1'))
    path.turns.serve()
    path.waiting.resumeAll()
  }
  return {
    cells,
    subscriptions,
    topics,
    later,
    timers,
    path,
    pauses,
    overload,
    memory,
    loop,
    tenant: (id) => accounts.tenant(id)!,
    accounts,
    table,
    reload: (tenants) => {
      const config = configOf(tenants)
      const renewed = accounts.replace(config, new Directory(config), clock.ms * 1_000)
      path.rightsChanged()
      return renewal.renew(
        [...sessions].filter((session) => !session.isClosed),
        renewed,
      )
    },
    pool,
    tracker,
    primary,
    replica,
    clock,
    ports,
    client: (user) => {
      const socket = new MemorySocket()
      const session = new Session(id++, socket as unknown as Socket, path, clock.ms)
      session.enter(accounts.get(user))
      sessions.add(session)
      const raw = (bytes: Buffer): void => {
        const room = path.slab.length - path.readAt
        for (let at = 0; at < bytes.length; at += Math.min(room, 65_536)) {
          const piece = bytes.subarray(at, at + Math.min(room, 65_536))
          path.slab.set(piece, path.readAt)
          session.onRead(piece.length)
        }
      }
      const send = (...commands: readonly (readonly string[])[]): void =>
        raw(Buffer.concat(commands.map((args) => command(...args))))
      return { session, socket, send, raw }
    },
    learn: (commands) => {
      learn(table, commands)
      accounts.learn()
      path.rightsChanged()
    },
    calls: (name) => cells.commands.calls[table.byName(name)!.id]!,
    sentTo: (node) => {
      const lanes = pool.lanes.filter((lane) => lane.nodeIndex === node.index && lane.database === 0)
      for (const lane of lanes) lane.flush()
      return lanes.map((lane) => ports[lane.index]!.sent).join('')
    },
    reply: (node, text) => replyOn(pool.lane(node.index, 2, false, 1, 0), text),
    replyOn,
    lane: (node) => pool.lane(node.index, 2, false, 1, 0),
  }
}
