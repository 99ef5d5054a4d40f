/**
 * All lanes of this proxy: per node one or more shared lanes for RESP2 and for RESP3 clients, and a bulk lane for each,
 * opened when first used. A tenant with a database of its own on the servers has lanes of its own, of the same kinds, each
 * opened at first use: a connection serves one database for all its life. Hands out a lane by (node, RESP version, size); whoever asks decides what may travel on it.
 */
import { randomBytes } from 'node:crypto'
import { arenaHalfBytes, cutRunMs } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { encodeRequest } from '../resp/encode.ts'
import { isMasterReply, LostConnections, type UpstreamAddress, UpstreamConnection } from './connection.ts'
import { Journal } from './journal.ts'
import { Lane, type LaneEvents, type LaneTimes, type ReplySink } from './lane.ts'
import type { LaneUse } from './lane-use.ts'
import { Slab } from './slab.ts'

export interface PoolOptions {
  readonly addresses: readonly UpstreamAddress[]
  /** Shared connections per node and RESP version. */
  readonly connections: number
  /** From one client's id to the next one's. */
  readonly idStep: number
  readonly timeoutMs: number
  readonly clientName: string
  readonly log: Log
  now(): number
  /** Where the times of a node go, by its role. */
  durations(nodeIndex: number, isPrimary: boolean): LaneTimes
}

export interface PoolEvents {
  /** A lane can be used again, or may be used for the first time. */
  laneReady(lane: Lane): void
  laneLost(lane: Lane, reason: string, lostWrite: boolean): void
  hasRoom(lane: Lane): void
  errorReply(lane: Lane, code: string): void
  /** See LaneEvents: a write was refused by a replica. */
  refusedWrite?(lane: Lane, sink: ReplySink): void
  /** See LaneEvents. */
  largeReply?(lane: Lane, use: LaneUse, hash: number, size: number): void
  desync(lane: Lane, why: string): void
  foreignPrefix(lane: Lane): void
  /** See LaneEvents. */
  beforeSend?: (() => void) | undefined
  /** A lane with `needsTrail` or `needsCheck` is about to be flushed. */
  beforeFlush(lane: Lane): void
  /** The end of one read of a node's replies: the stack holds no lane any more. */
  afterRead(): void
}

const roleRequestBytesMax = 64

/** Lanes of one node in one database: [RESP2 shared ..., RESP2 bulk, RESP3 shared ..., RESP3 bulk]. */
export class Pool {
  readonly slab: Slab
  readonly lanes: Lane[] = []
  private readonly options: PoolOptions
  private readonly events: PoolEvents
  private readonly laneEvents: LaneEvents
  private readonly connections: UpstreamConnection[] = []
  private readonly lost: LostConnections[]
  private readonly perVersion: number
  private readonly perNode: number
  private readonly dirty: Lane[] = []
  /** Lanes of databases that are one tenant's own, laid out like those of database 0, which are the first of `lanes`. */
  private readonly ofDatabase = new Map<number, (Lane | undefined)[]>()
  private isStopped = false
  private isFlushPlanned = false
  /** Lanes whose client may wait for the rest of a run; the timer is under way while there are any. */
  private readonly cut = new Set<Lane>()
  /** To be asked for their role when they have room: a busy lane may be full of others' requests. */
  private readonly unasked = new Map<Lane, () => void>()

  constructor(options: PoolOptions, events: PoolEvents) {
    this.options = options
    this.events = events
    this.perVersion = options.connections + 1
    this.perNode = this.perVersion * 2
    const count = options.addresses.length * this.perNode
    this.slab = new Slab(count)
    this.lost = options.addresses.map(() => new LostConnections())
    this.laneEvents = {
      wantsFlush: (lane) => this.wantsFlush(lane),
      beforeSend: events.beforeSend,
      hasRoom: (lane) => {
        this.askAgain(lane)
        events.hasRoom(lane)
      },
      errorReply: (lane, code) => events.errorReply(lane, code),
      largeReply: (lane, use, hash, size) => events.largeReply?.(lane, use, hash, size),
      runCut: (lane) => {
        if (this.cut.size === 0) setTimeout(this.giveCutRuns, cutRunMs)
        this.cut.add(lane)
      },
      refusedWrite: (lane, sink) => events.refusedWrite?.(lane, sink),
      desync: (lane, why) => {
        events.desync(lane, why)
        lane.destroy(why)
      },
      foreignPrefix: (lane) => events.foreignPrefix(lane),
    }
    options.addresses.forEach((_, node) => {
      for (let i = 0; i < this.perNode; i++) this.add(node, i, this.slab, this.slab.takeArena(), 0)
    })
  }

  /** Lane `i` of a node, in one of the servers' databases. */
  private add(node: number, i: number, arena: { readonly bytes: Buffer }, arenaAt: number, database: number): Lane {
    const { options, events } = this
    const resp = i < this.perVersion ? 2 : 3
    const isBulk = i % this.perVersion === options.connections
    const lane = new Lane(
      this.lanes.length,
      node,
      resp,
      isBulk,
      arena,
      arenaAt,
      options.durations(node, false),
      this.laneEvents,
      options.now,
    )
    lane.database = database
    if (!isBulk) lane.journal = new Journal()
    this.lanes.push(lane)
    this.connections.push(
      new UpstreamConnection(lane, {
        address: options.addresses[node]!,
        clientName: options.clientName,
        timeoutMs: options.timeoutMs,
        lost: this.lost[node]!,
        log: options.log,
        onReady: () => {
          lane.durations = options.durations(node, lane.isPrimary)
          events.laneReady(lane)
        },
        onLost: (_, reason, lostWrite) => {
          this.unasked.delete(lane)
          events.laneLost(lane, reason, lostWrite)
        },
        afterRead: () => events.afterRead(),
      }),
    )
    return lane
  }

  /** Opens the shared lanes of every node; bulk lanes wait for their first use. */
  start(): void {
    this.connections.forEach((connection) => {
      if (!connection.lane.isBulk) connection.start()
    })
  }

  stop(): void {
    this.isStopped = true
    for (const connection of this.connections) connection.stop()
  }

  /** The lane for this client on that node, in that database. It may not be ready; asking for it opens it. */
  lane(node: number, resp: 2 | 3, isBulk: boolean, sessionId: number, database: number): Lane {
    const shared = this.perVersion - 1
    const at =
      node * this.perNode +
      (resp === 3 ? this.perVersion : 0) +
      (isBulk ? shared : shared === 1 ? 0 : Math.floor(sessionId / this.options.idStep) % shared)
    if (database !== 0) return this.laneOfDatabase(database, at)
    const lane = this.lanes[at]!
    if (!lane.isReady && isBulk) this.connections[at]!.start()
    return lane
  }

  /** Made at first use; its arena is its own, for the slab is sized for database 0. Pages never written cost nothing. */
  private laneOfDatabase(database: number, at: number): Lane {
    let lanes = this.ofDatabase.get(database)
    if (lanes === undefined) {
      lanes = []
      this.ofDatabase.set(database, lanes)
    }
    let lane = lanes[at]
    if (lane === undefined) {
      const arena = { bytes: Buffer.allocUnsafeSlow(2 * arenaHalfBytes) }
      lane = this.add(Math.floor(at / this.perNode), at % this.perNode, arena, 0, database)
      lanes[at] = lane
    }
    if (!lane.isReady && !this.isStopped) this.connections[lane.index]!.start()
    return lane
  }

  /** Asks a connection for its role again; `then` runs when it says master. */
  askRole(lane: Lane, then: () => void): void {
    if (!lane.hasRoomFor(roleRequestBytesMax)) {
      this.unasked.set(lane, then)
      return
    }
    lane.sendInternal(encodeRequest(['ROLE']), (reply) => {
      if (reply === undefined || !isMasterReply(reply)) return
      lane.isPrimary = true
      lane.durations = this.options.durations(lane.nodeIndex, true)
      then()
    })
  }

  private askAgain(lane: Lane): void {
    const then = this.unasked.get(lane)
    if (then === undefined) return
    this.unasked.delete(lane)
    if (lane.isReady && !lane.isPrimary) this.askRole(lane, then)
  }

  /** No node speaks RESP3 to us. Unknown until one was asked. */
  get lacksResp3(): boolean {
    const asked = this.connections.filter((connection) => connection.lane.resp === 3 && connection.connects > 0)
    return asked.length > 0 && asked.every((connection) => connection.isUnsupported)
  }

  /** Writes of unknown fate may still run on this node: no write may go there before they are killed. */
  hasUnsettled(node: number): boolean {
    return this.lost[node]!.ids.size > 0
  }

  /** Connections of a node that are in use, and those that were opened after the first. */
  counts(node: number): { ready: number; reconnects: number; inFlight: number; waitingBytes: number } {
    let ready = 0
    let reconnects = 0
    let inFlight = 0
    let waitingBytes = 0
    for (const lane of this.lanes) {
      if (lane.nodeIndex !== node) continue
      if (lane.isReady) ready++
      reconnects += Math.max(0, this.connections[lane.index]!.connects - 1)
      inFlight += lane.inFlight
      waitingBytes += lane.waitingBytes
    }
    return { ready, reconnects, inFlight, waitingBytes }
  }

  /** Destroys lanes whose oldest request has waited in silence for too long. */
  checkTimeouts(nowMs: number, timeoutMs: number): void {
    for (const lane of this.lanes) {
      if (lane.isOpen && lane.silentMs(nowMs) > timeoutMs) lane.destroy('no reply within the timeout')
    }
  }

  /** Every connection proves that its replies are where they belong. */
  checkNonces(): void {
    for (const lane of this.lanes) if (lane.isReady) lane.sendNonce(randomBytes(16).toString('hex'))
  }

  /** Ends a leased connection's other end for good, by its id: a command of unknown fate cannot run after this. */
  killOnNode(node: number, id: number, then: (outcome: 'killed' | 'refused' | 'unasked') => void): void {
    this.askShared(node, ['CLIENT', 'KILL', 'ID', String(id)], (reply) =>
      then(reply === undefined ? 'unasked' : reply[0] === 45 ? 'refused' : 'killed'),
    )
  }

  /** A question of the proxy's own on any shared RESP2 connection to a node; undefined when there is none or it was lost. */
  askShared(node: number, request: readonly string[], then: (reply: Buffer | undefined) => void): void {
    const bytes = encodeRequest(request)
    for (let i = node * this.perNode; i < node * this.perNode + this.perVersion; i++) {
      const lane = this.lanes[i]!
      if (!lane.isReady || lane.isBulk || !lane.hasRoomFor(bytes.length)) continue
      lane.sendInternal(bytes, then)
      return
    }
    then(undefined)
  }

  /** Lost connections with writes of unknown fate, for leased connections to the same node to share. */
  lostOf(node: number): LostConnections {
    return this.lost[node]!
  }

  /** Destroys every lane of a node: its role changed, or it was taken out. */
  destroyNode(node: number, reason: string): void {
    for (const lane of this.lanes) if (lane.nodeIndex === node) lane.destroy(reason)
  }

  wantsFlush(lane: Lane): void {
    if (lane.isDirty) return
    lane.isDirty = true
    this.dirty.push(lane)
    if (!this.isFlushPlanned) {
      this.isFlushPlanned = true
      setImmediate(this.flushAll)
    }
  }

  private readonly giveCutRuns = (): void => {
    const lanes = [...this.cut]
    this.cut.clear()
    for (const lane of lanes) lane.giveCutRun()
    this.events.afterRead()
  }

  /** Once a turn, after all sockets of the poll were read: one write per lane. */
  private readonly flushAll = (): void => {
    this.isFlushPlanned = false
    const lanes = this.dirty
    for (let i = 0; i < lanes.length; i++) {
      const lane = lanes[i]!
      if (lane.needsTrail || lane.needsCheck) this.events.beforeFlush(lane)
      lane.isDirty = false
      lane.flush()
    }
    lanes.length = 0
  }
}
