/**
 * What is true of the nodes now: roles, the one primary and its epoch, who may be read, who is nearest, and which mark
 * each node has shown. Facts go in from the links (probe answers, marks, losses) and from the request path (`note...`);
 * plain fields come out. No socket here; what to do with the facts is routing/'s.
 *
 *   link: answered / lost / listening / deaf / mark --\
 *   request path: noteReadOnly / Loading / Lost -------+--> fields of Node --> settle(): primary, epoch, readable, order
 *
 * Three things are void together with what they were proven in:
 * - an *incarnation* of a node: when we were not connected to it, or it loaded, synced, changed its run id, history or
 *   upstream link, or showed an older mark after a newer one. It must show a mark sent after that.
 * - an *epoch*: one primary with one run id and one history. It ends when the primary is lost, doubted, or no longer the
 *   only one (with Sentinels: no longer the one that they name, see authority.ts); a new one starts everybody's incarnation anew. Between two epochs what the replicas have shown stays true
 *   (it is about the past), except for the lost primary's own: a demoted node shows our marks to itself without having
 *   received them from the new primary.
 * - everything, when the wall clock and the monotonic clock drift apart: the machine slept, and our ms are too few.
 */
import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { type ServerCommand, serverCommands } from '../commands/live.ts'
import type { Authority } from './authority.ts'
import type { LinkEvents, NodeLink, OpenLink, ProbeRound } from './link.ts'
import { Node, type NodeAddress } from './node.ts'
import { openNodeLink } from './node-link.ts'
import { inTurns, orderByDistance, rankedBy, smooth } from './order.ts'
import { systemTimers, systemWallClock, type Timer, type Timers } from './timers.ts'
import { controlSlot, encodeMark, Marks, parseMark } from './watermark.ts'

/** Wall and monotonic clock may differ by this much between two looks. */
const clockDriftMsMax = 250
/** More lanes than any pool has; a bound for what a mark may name. */
const trailSlotsMax = 4096
/** How often the clocks are compared when nobody else does. */
const lookMs = 100

export interface TrackerOptions {
  readonly addresses: readonly NodeAddress[]
  /** Where this proxy stands. */
  readonly region: string
  /** Round trip in ms by region, in place of what is measured. */
  readonly distances?: Readonly<Record<string, number>> | undefined
  /** For nodes whose address carries none of its own. */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** How long a node may take to accept a connection or to answer. */
  readonly timeoutMs: number
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  readonly clock?: Clock
  /** Wall clock, ms: only compared with itself and the monotonic one, to notice that the machine slept. */
  readonly wallClock?: () => number
  readonly timers?: Timers
  readonly random?: () => number
  readonly openLink?: OpenLink
  /** Names the primary, where Sentinels do that; a node must say so itself besides. */
  readonly authority?: Authority | undefined
  /** 128 random bits in hex, drawn anew by default: a restarted proxy must never believe its predecessor's marks. */
  readonly instance?: string
}

export class RegionTracker {
  readonly nodes: readonly Node[]
  /** The one confirmed primary: up, loaded, and the only node that says so. */
  primary: Node | undefined
  isSplit = false
  epoch = 0
  /** All nodes, nearest first; replaced as a whole. */
  readOrder: readonly Node[]
  /** The same in turns, where several replicas are equally near; see readOrderOf. */
  private readOrders: readonly (readonly Node[])[] = []
  /** By node: its round trip was known when the nodes were last put in order. */
  private readonly isRanked: boolean[]
  readonly marks: Marks
  readonly instance: string
  /** Where marks are published: every node shows them in the order of its replication stream, among all other messages. */
  readonly channel: string

  private readonly options: TrackerOptions
  private readonly log: TrackerOptions['log']
  private readonly clock: Clock
  private readonly timers: Timers
  private readonly wallClock: () => number
  private readonly links: readonly NodeLink[]
  private readonly ranksMs: number[]
  private readonly changeListeners: (() => void)[] = []
  private readonly commandListeners: ((commands: readonly ServerCommand[], node: Node) => void)[] = []
  private readonly shownListeners: ((node: Node) => void)[] = []
  private readonly deposedListeners: ((node: Node) => void)[] = []
  private readonly authority: Authority | undefined
  /** Raised by each connection for marks; a mark of another lane is an echo. */
  private lane = 0
  /** The last confirmed primary and its history, kept after its loss. */
  private history = { nodeIndex: -1, runId: '', replId: '' }
  /** The refusal of marks is logged once an epoch. */
  private refusedEpoch = -1
  private lookedAtMs = Number.NaN
  private lookedAtWallMs = Number.NaN
  private looking: Timer | undefined
  private isStopped = false
  private readonly heardOf: boolean[]
  private onAllHeardOf: (() => void) | undefined

  constructor(options: TrackerOptions) {
    this.options = options
    this.log = options.log
    this.clock = options.clock ?? systemClock
    this.timers = options.timers ?? systemTimers
    this.wallClock = options.wallClock ?? systemWallClock
    this.instance = options.instance ?? randomBytes(16).toString('hex')
    this.channel = `regis:wm:${this.instance}`
    this.nodes = options.addresses.map((address, i) => new Node(i, address, address.region === options.region))
    this.ranksMs = this.nodes.map(() => Number.POSITIVE_INFINITY)
    this.heardOf = this.nodes.map(() => false)
    this.isRanked = this.nodes.map(() => false)
    this.readOrder = this.order(undefined)
    this.authority = options.authority
    this.authority?.onChange(() => this.onNamed())
    this.authority?.onDeposed((index) => {
      for (const listener of this.deposedListeners) listener(this.nodes[index]!)
    })
    this.marks = new Marks({ clock: this.clock, timers: this.timers, send: (seq) => this.sendMark(seq) })
    const openLink: OpenLink =
      options.openLink ??
      ((address, channel, events) =>
        openNodeLink(address, channel, events, {
          timeoutMs: options.timeoutMs,
          clock: this.clock,
          timers: this.timers,
          random: options.random ?? Math.random,
        }))
    this.links = this.nodes.map((node) =>
      openLink(withCredentials(node.address, options), this.channel, this.eventsOf(node)),
    )
  }

  /** Called when a role, the primary, up, readable or the order changed. Not for marks: see `onShown`. */
  onChange(listener: () => void): void {
    this.changeListeners.push(listener)
  }

  /** Called when the primary's commands are known: once for each primary, again when it is another or has restarted. */
  onCommands(listener: (commands: readonly ServerCommand[], node: Node) => void): void {
    this.commandListeners.push(listener)
  }

  /** Called when a node has shown a newer mark. */
  onShown(listener: (node: Node) => void): void {
    this.shownListeners.push(listener)
  }

  /**
   * Called when another node is the primary now than this one, whatever it says itself: nothing may reach it any more that
   * was meant for a primary. The epoch has ended before.
   */
  onDeposed(listener: (node: Node) => void): void {
    this.deposedListeners.push(listener)
  }

  /** The replication id of the confirmed primary, or of the last one; '' before the first. */
  get historyId(): string {
    return this.history.replId
  }

  /** Replication lag in ms as an upper bound: the age of the newest mark shown; 0 for the primary, Infinity = unknown. */
  lagMs(node: Node, now: number): number {
    return node === this.primary ? 0 : Math.max(0, now - node.shownSentAtMs)
  }

  /** A -READONLY came from it: it is no primary (any more). The epoch ends before the next command is routed. */
  noteReadOnly(node: Node): void {
    if (node.role === 'primary') {
      node.role = 'unknown'
      node.doubtedAtMs = this.clock.now()
      this.log.warn({ node: node.address.name }, 'node answered READONLY, looking for the primary')
      this.settle()
    }
    for (const link of this.links) link.probeNow()
    this.authority?.askNow()
  }

  /** -LOADING or -MASTERDOWN came from it. */
  noteLoading(node: Node): void {
    if (!node.isRefusing) {
      const now = this.clock.now()
      node.isRefusing = true
      node.owesMark = true
      node.doubtedAtMs = now
      node.startIncarnation(now)
      this.settle()
    }
    this.links[node.index]?.probeNow()
  }

  /** An answer to a guard: it follows another node than it did, or holds an older state. What it had proven is void. */
  noteWentBack(node: Node): void {
    this.log.warn({ node: node.address.name }, 'node is not the replica that it was, what it had proven is void')
    node.startIncarnation(this.clock.now())
    this.marks.wantWithin(0)
    this.links[node.index]?.probeNow()
  }

  /** A data connection to it died. Its control connection knows within a round trip whether the node did. */
  noteLost(node: Node): void {
    this.links[node.index]?.probeNow()
  }

  /**
   * Resolves when every node has answered or failed once and the primary has told its commands, at the latest after the
   * timeout. Never rejects.
   */
  start(): Promise<void> {
    this.look()
    const everyNode = new Promise<void>((resolve) => {
      const limit = this.timers.after(this.options.timeoutMs, resolve)
      this.onAllHeardOf = () => {
        limit.cancel()
        resolve()
      }
    })
    for (const link of this.links) link.start()
    this.authority?.start()
    this.lookLater()
    return everyNode
  }

  stop(): Promise<void> {
    this.isStopped = true
    this.looking?.cancel()
    this.marks.close()
    this.authority?.stop()
    for (const link of this.links) link.stop()
    this.onAllHeardOf?.()
    return Promise.resolve()
  }

  /**
   * Compare the clocks. Runs by itself every 100 ms and at every mark; a reader that may be the first to run after the
   * machine slept (its socket became readable before any timer) calls it before it trusts a proof.
   */
  look(): void {
    const now = this.clock.now()
    const wall = this.wallClock()
    const driftMs = wall - this.lookedAtWallMs - (now - this.lookedAtMs)
    this.lookedAtMs = now
    this.lookedAtWallMs = wall
    if (!(Math.abs(driftMs) > clockDriftMsMax)) return
    this.log.warn({ drift_ms: Math.round(driftMs) }, 'clocks drifted apart, every proof of freshness is void')
    for (const node of this.nodes) node.startIncarnation(now)
    this.marks.wantWithin(0)
  }

  private lookLater(): void {
    if (this.isStopped) return
    this.looking = this.timers.after(lookMs, () => {
      this.look()
      this.lookLater()
    })
  }

  private sendMark(seq: number): boolean {
    const primary = this.primary
    if (primary === undefined) return false
    return this.links[primary.index]!.sendMark(
      encodeMark({ epoch: this.epoch, lane: this.lane, slot: controlSlot, seq }),
    )
  }

  private eventsOf(node: Node): LinkEvents {
    return {
      answered: (round) => this.onAnswered(node, round),
      lost: (reason) => this.onLost(node, reason),
      listening: () => {
        node.isListening = true
        node.startIncarnation(this.clock.now())
        this.marks.wantWithin(0)
      },
      deaf: (reason) => {
        if (node.isListening) this.log.warn({ node: node.address.name, reason }, 'subscription to watermarks lost')
        node.isListening = false
        node.startIncarnation(this.clock.now())
      },
      mark: (text) => this.onMark(node, text),
      commands: (reply) => this.takeCommands(node, reply),
      marksReady: () => {
        if (node !== this.primary) return
        this.lane++
        this.marks.open()
      },
      marksLost: (reason) => {
        if (node !== this.primary) return
        this.marks.close()
        this.log.warn({ node: node.address.name, reason }, 'connection for watermarks lost')
      },
      markRefused: (reason) => {
        this.marks.refused++
        if (this.refusedEpoch === this.epoch) return
        this.refusedEpoch = this.epoch
        this.log.error(
          { node: node.address.name, reason },
          'primary refuses watermarks, no replica can be proven fresh',
        )
      },
    }
  }

  private onAnswered(node: Node, round: ProbeRound): void {
    if (round.sentAtMs < node.doubtedAtMs) return
    const now = this.clock.now()
    const wasUp = node.isUp
    node.isUp = true
    node.downReason = ''
    node.rttMs = smooth(node.rttMs, round.rttMs)
    this.ranksMs[node.index] = rankedBy(this.ranksMs[node.index]!, node.rttMs)
    if (node === this.primary) this.marks.setRoundTrip(node.rttMs)
    if (round.state !== 'busy') this.takeFacts(node, round, now)
    node.answeredSinceMs = round.sentAtMs
    if (!wasUp) {
      const { role, version } = node
      this.log.info({ node: node.address.name, role, version, rtt_ms: Math.round(node.rttMs * 10) / 10 }, 'node up')
    }
    this.settle()
    this.hearOf(node)
  }

  private takeFacts(node: Node, round: ProbeRound, now: number): void {
    const { replication, server } = round
    let isVoid = false
    const set = <K extends 'runId' | 'replId' | 'follows' | 'role' | 'isLoading' | 'isSyncing' | 'isRefusing'>(
      key: K,
      value: Node[K],
    ): void => {
      if (node[key] === value) return
      node[key] = value
      isVoid = true
    }
    if (server !== undefined) {
      set('runId', server.runId)
      node.version = server.version
    }
    set('isLoading', round.state === 'loading')
    set('isRefusing', round.state === 'masterdown')
    if (replication !== undefined) {
      // A promotion, perhaps by Sentinels that have not told us yet.
      if (replication.role !== node.role && replication.role === 'primary') this.authority?.askNow()
      set('role', replication.role)
      set('replId', replication.replId)
      set('follows', replication.follows)
      set('isSyncing', replication.isSyncing)
      node.replId2 = replication.replId2
      node.offset = replication.offset
      if (replication.isLinkUp) node.linkDownSinceMs = Number.NaN
      else if (Number.isNaN(node.linkDownSinceMs)) {
        node.linkDownSinceMs = now
        isVoid = true
      }
    }
    if (node.role === 'primary') node.owesMark = false
    else if (node.isLoading || node.isSyncing) node.owesMark = true
    if (isVoid) node.startIncarnation(now)
  }

  private onLost(node: Node, reason: string): void {
    if (node.isUp || node.downReason !== reason) this.log.warn({ node: node.address.name, reason }, 'node down')
    node.isUp = false
    node.downReason = reason
    node.role = 'unknown'
    node.rttMs = Number.POSITIVE_INFINITY
    node.startIncarnation(this.clock.now())
    this.settle()
    this.hearOf(node)
  }

  private onMark(node: Node, text: string): void {
    this.look()
    const mark = parseMark(text)
    if (mark === undefined || mark.epoch !== this.epoch) return
    const isTrail = mark.slot !== controlSlot
    if (!isTrail && mark.lane !== this.lane) return
    const sentAtMs = this.marks.sentAtMs(mark.seq)
    if (!isTrail && mark.seq < node.shownControlSeq) {
      this.log.warn({ node: node.address.name }, 'node went back in time, what it had proven is void')
      node.startIncarnation(this.clock.now())
      return
    }
    if (sentAtMs <= node.incarnationSinceMs) return
    node.markDelayMs = smooth(node.markDelayMs, this.clock.now() - sentAtMs)
    // Marks of two connections may overtake each other; what each proves by its time of sending, the newest proves too.
    if (isTrail) this.showTrail(node, mark.slot, mark.seq)
    else node.shownControlSeq = mark.seq
    if (mark.seq > node.shownSeq) {
      node.shownSeq = mark.seq
      node.shownSentAtMs = sentAtMs
    }
    if (node.owesMark && !node.isLoading && !node.isSyncing && !node.isRefusing) {
      node.owesMark = false
      this.settle()
    }
    for (const listener of this.shownListeners) listener(node)
  }

  private showTrail(node: Node, slot: number, seq: number): void {
    if (slot >= node.shownTrails.length) {
      if (slot >= trailSlotsMax) return
      const grown = new Float64Array(slot + 8)
      grown.set(node.shownTrails)
      node.shownTrails = grown
    }
    if (seq > node.shownTrails[slot]!) node.shownTrails[slot] = seq
  }

  /**
   * A mark for the end of what a data lane to the primary is about to send: its number, and the request that publishes
   * it. To be put on the lane in the same block. Undefined while there is no confirmed primary.
   */
  takeTrail(slot: number): { seq: number; request: readonly string[] } | undefined {
    if (this.primary === undefined || !this.marks.isOpen) return undefined
    const seq = this.marks.take()
    return { seq, request: ['PUBLISH', this.channel, encodeMark({ epoch: this.epoch, lane: 0, slot, seq })] }
  }

  /** From facts to conclusions. Runs after every change; tells the listeners when a conclusion is another one. */
  private settle(): void {
    let isChanged = this.settlePrimary()
    for (const node of this.nodes) {
      const isReadable = this.isFitToRead(node)
      if (isReadable !== node.isReadable) isChanged = true
      node.isReadable = isReadable
    }
    const order = this.order(this.readOrder)
    if (order.some((node, i) => node !== this.readOrder[i])) {
      this.readOrder = order
      isChanged = true
    }
    if (isChanged || this.readOrders.length === 0) {
      this.readOrders = inTurns(this.readOrder, this.primary)
    }
    if (isChanged) for (const listener of this.changeListeners) listener()
  }

  private settlePrimary(): boolean {
    const claimants = this.nodes.filter((node) => node.isUp && node.role === 'primary')
    const wasSplit = this.isSplit
    this.isSplit = claimants.length > 1 && this.authority === undefined
    if (this.isSplit && !wasSplit) {
      this.log.error({ nodes: claimants.map((node) => node.address.name) }, 'more than one primary, writes are refused')
    }
    const sole =
      this.authority === undefined ? (claimants.length === 1 ? claimants[0] : undefined) : this.namedOf(claimants)
    const found = sole !== undefined && !sole.isLoading && !sole.isRefusing ? sole : undefined
    const old = this.primary
    const isSame = found === old && (found === undefined || this.isOfHistory(found))
    if (isSame) return wasSplit !== this.isSplit
    if (old !== undefined) this.endEpoch(old)
    if (found !== undefined) this.startEpoch(found)
    return true
  }

  /** The claimant that is named, and has said so since. */
  private namedOf(claimants: readonly Node[]): Node | undefined {
    const { namedIndex, namedSinceMs } = this.authority!
    return claimants.find((node) => node.index === namedIndex && node.answeredSinceMs >= namedSinceMs)
  }

  private onNamed(): void {
    this.links[this.authority!.namedIndex]?.probeNow()
    this.settle()
    this.answerStart()
  }

  private isOfHistory(node: Node): boolean {
    const { nodeIndex, runId, replId } = this.history
    return node.index === nodeIndex && node.runId === runId && node.replId === replId
  }

  private endEpoch(old: Node): void {
    this.epoch++
    this.primary = undefined
    this.marks.close()
    this.links[old.index]!.closeMarks()
    old.startIncarnation(this.clock.now())
    const reason = this.authority?.trouble || undefined
    this.log.warn({ node: old.address.name, epoch: this.epoch, reason }, 'primary lost')
  }

  private startEpoch(found: Node): void {
    const now = this.clock.now()
    this.epoch++
    this.primary = found
    this.history = { nodeIndex: found.index, runId: found.runId, replId: found.replId }
    for (const node of this.nodes) node.startIncarnation(now)
    this.marks.setRoundTrip(found.rttMs)
    this.links[found.index]!.openMarks()
    found.isListening = false
    this.askCommands(found)
    this.log.info({ node: found.address.name, epoch: this.epoch }, 'primary confirmed')
  }

  private askCommands(node: Node): void {
    if (node.commandsRunId === node.runId && node.runId !== '') this.tellCommands(node)
    else this.links[node.index]!.askCommands()
  }

  private takeCommands(node: Node, reply: unknown): void {
    node.commandsRunId = node.runId
    node.commands = undefined
    try {
      if (reply === undefined)
        this.log.warn({ node: node.address.name }, 'node does not tell its commands: COMMAND is refused')
      else node.commands = serverCommands(reply)
    } catch (error) {
      this.log.warn({ node: node.address.name, error: String(error) }, 'node tells its commands in another form')
    }
    if (node === this.primary) this.tellCommands(node)
    this.answerStart()
  }

  private tellCommands(node: Node): void {
    if (node.commands !== undefined) for (const listener of this.commandListeners) listener(node.commands, node)
  }

  /**
   * Fit for a read that asks for some past state. A replica whose link is down while the primary answers may be cut off
   * for days, so it is not; while the primary itself is away every link is down, and its replicas are the best there is.
   */
  private isFitToRead(node: Node): boolean {
    if (!node.isUp || node.isLoading || node.isRefusing) return false
    const primary = this.primary
    if (node.role === 'primary') return node === primary || (primary === undefined && this.isOfHistory(node))
    if (node.role !== 'replica' || node.isSyncing || node.owesMark) return false
    if (primary === undefined) {
      const { replId } = this.history
      return replId === '' || node.replId === replId || node.replId2 === replId
    }
    // The primary's answer must be younger than the loss of the link: both are lost in one moment, but not seen in one.
    if (!Number.isNaN(node.linkDownSinceMs)) return primary.answeredSinceMs < node.linkDownSinceMs
    return node.replId === primary.replId
  }

  private order(before: readonly Node[] | undefined): readonly Node[] {
    let isNew = before === undefined
    for (const [i, rankMs] of this.ranksMs.entries()) {
      if (!Number.isFinite(rankMs) || this.isRanked[i] === true) continue
      this.isRanked[i] = true
      isNew = true // it has no place yet that it could keep
    }
    return orderByDistance(this.nodes, this.ranksMs, this.options.distances ?? {}, isNew ? undefined : before)
  }

  /** All nodes, nearest first, for a client with this turn: of equals each client has its own first one. */
  readOrderOf(turn: number): readonly Node[] {
    return this.readOrders.length > 1 ? this.readOrders[turn % this.readOrders.length]! : this.readOrder
  }

  /** Nobody has a replica nearer: equals take turns among themselves, never with the primary. */
  get isPrimaryNearest(): boolean {
    return this.readOrder[0] === this.primary
  }

  private hearOf(node: Node): void {
    this.heardOf[node.index] = true
    this.answerStart()
  }

  private answerStart(): void {
    const { primary } = this
    const isTold = primary === undefined || primary.commandsRunId === primary.runId
    if (this.authority?.hasHeard === false) return
    // Named, and says so: it is asked once more (see namedOf).
    if (primary === undefined && this.nodes[this.authority?.namedIndex ?? -1]?.role === 'primary') return
    if (isTold && this.heardOf.every(Boolean)) this.onAllHeardOf?.()
  }
}

function withCredentials(address: NodeAddress, { username, password }: TrackerOptions): NodeAddress {
  if (address.username !== undefined || address.password !== undefined) return address
  return {
    ...address,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}
