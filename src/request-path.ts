/**
 * One command of one client, down and back. The page to read first.
 *
 *   bytes -> frame -> look up -> refuse | answer here | (find keys -> choose a node -> prefix -> lane)
 *
 * Everything here is synchronous and keeps its state in fields that live for one call of `consume`: a chunk of one
 * client's bytes. No object is made per command. What a client has in flight is always on one lane, so replies come
 * back in order by themselves:
 *
 *   nothing in flight          the command chooses its node
 *   on the primary             everything follows to the primary (which is also read-your-writes inside a pipeline)
 *   on a replica, a write      reads of this same chunk are taken back (nothing was flushed yet) and go to the primary
 *   on a replica, a write      reads of an earlier chunk: the client's parsing stops until they are answered
 */
import { Admission, type AdmissionHands } from './admission.ts'
import { type ErrorCode, errors, errorText } from './base/errors.ts'
import {
  arenaHalfBytes,
  clientCommandsMax,
  clientLocalBytesMax,
  fenceKeysMax,
  guardBytesMax,
  markWaitMs,
  sharedFrameBytesMax,
  waitBudgetMs,
} from './base/limits.ts'
import type { Log } from './base/log.ts'
import type { Builtin, BuiltinHost } from './builtin/builtin.ts'
import { findKeys, type KeyList } from './commands/keys.ts'
import type { CommandTable } from './commands/lookup.ts'
import { FINDER, KEYS, MISSING, REPLY, ROUTE } from './commands/spec.ts'
import { LeasedPath, type PathHands } from './leased-path.ts'
import {
  type Cells,
  FallbackReason,
  Kind,
  Outcome,
  Quota,
  ReadRefusal,
  Source,
  servedIndex,
  WaitOutcome,
} from './metrics/cells.ts'
import type { MemoryAccount } from './quota/memory-account.ts'
import { Fences } from './regions/fences.ts'
import type { Guards } from './regions/guards.ts'
import type { Node } from './regions/node.ts'
import type { SiblingPages } from './regions/sibling-format.ts'
import { SiblingWrites } from './regions/sibling-writes.ts'
import type { RegionTracker } from './regions/tracker.ts'
import { encodeReply, failure, type Reply } from './resp/encode.ts'
import { splitInline } from './resp/inline.ts'
import { foreign, framed, incomplete, inline, nothing, RequestFramer } from './resp/request-framer.ts'
import {
  type Choice,
  chooseRead,
  isNodeFresh,
  LEVEL,
  type LevelCode,
  newReadNeed,
  REASON,
  type ReadNeed,
} from './routing/choose.ts'
import type { FallbackLimit } from './routing/fallback-limit.ts'
import { levelOfKey } from './routing/levels.ts'
import type { RunningScripts } from './scripts/running.ts'
import type { Scripts } from './scripts/scripts.ts'
import { HeldReplies } from './session/held-replies.ts'
import { LargeReads } from './session/large-reads.ts'
import { MemoryGate } from './session/memory-gate.ts'
import type { Monitors } from './session/monitor.ts'
import type { Overload } from './session/overload.ts'
import type { Pauses } from './session/pauses.ts'
import type { QuotaGate } from './session/quota-gate.ts'
import { SecondTries } from './session/second-try.ts'
import {
  modeMonitor,
  modeMulti,
  modePinned,
  modeRenew,
  modeShown,
  modeSubscriber,
  modeTracking,
  replyOn,
  replySkipNext,
  type Session,
  type SessionAccount,
  type SessionHost,
  stallBusy,
  stallNode,
  stallNone,
  stallOrder,
  stallRoom,
} from './session/session.ts'
import { SharedBounds } from './session/shared-bounds.ts'
import { StrongChecks } from './session/strong-checks.ts'
import { Share, Turns } from './session/turns.ts'
import { UnsettledWrites } from './session/unsettled.ts'
import { WaitingRoom } from './session/waiting.ts'
import { WriteFences } from './session/write-fences.ts'
import { isStreamed, type StreamHands, StreamPath } from './stream-path.ts'
import { gateQuota, type TenantState } from './tenant/account.ts'
import { invalidateChannel } from './tenant/channels.ts'
import { acrossDatabases } from './tenant/databases.ts'
import { FilteredReplies } from './tenant/filtered-replies.ts'
import { stripReply } from './tenant/reply-names.ts'
import { hasPrefix, keyHeaderBytesMax, rewriteLarge, Splicer } from './tenant/rewrite.ts'
import { SecondLook } from './tenant/second-look.ts'
import { TrackingPath } from './tracking-path.ts'
import type { Durability } from './upstream/durability.ts'
import { kindPass, kindSwallow, type Lane, type Transform } from './upstream/lane.ts'
import type { LaneUse } from './upstream/lane-use.ts'
import type { Leases } from './upstream/leases.ts'
import type { Pool } from './upstream/pool.ts'

/** What a reload may set anew. */
export interface PathLimits {
  /** How long a script may run. */
  readonly scriptMs: number
  /** `routing.fallback_limit`; undefined: none. */
  readonly fallbackLimit?: FallbackLimit | undefined
  readonly maxRequestBytes: number
  /** Unread output of all clients together. */
  readonly maxOutputBytes: number
}

export interface Parts extends PathLimits {
  readonly table: CommandTable
  readonly builtins: readonly (Builtin | undefined)[]
  readonly host: BuiltinHost
  readonly pool: Pool
  readonly leases: Leases
  readonly tracker: RegionTracker
  readonly scripts: Scripts
  readonly running: RunningScripts
  readonly cells: Cells
  readonly log: Log
  readonly region: string
  /** How long a node may take to answer, and a client waits for a connection of its own, ms. */
  readonly timeoutMs: number
  /** Every command of a run is checked for its prefix at the socket, not only the first: for tests. */
  readonly isParanoid: boolean
  now(): number
  after(ms: number, run: () => void): void
  /** What only a primary accepts was refused on this lane; the error's first word. */
  primaryRefused(lane: Lane, code: string): void
  sessionClosed(session: Session, reason: string): void
  /** A connection of this tenant by its id. */
  findSession(tenant: string, id: number): Session | undefined
  readonly monitors?: Monitors
  /** For tenants whose writes must be on replicas before they are acknowledged. */
  readonly durability?: Durability
  /** Tenants whose commands wait. */
  readonly pauses: Pauses
  readonly overload: Overload
  /** In front of reads on replicas; undefined: none. */
  readonly guards?: Guards
  /** What all workers of this proxy share; undefined: it is the only one. */
  readonly siblingWrites?: SiblingWritesParts | undefined
  /** Where a tenant has a quota of memory or keys: knows what it has (usage/memory-usage.ts). */
  readonly memoryUsage?:
    | { readonly isBlind: boolean; confirm(account: MemoryAccount, then: () => void): void }
    | undefined
}

export interface SiblingWritesParts {
  readonly pages: SiblingPages
  readonly incarnation: number
  /** See SiblingLogOptions. */
  failed(error: unknown): void
}

/** A strong read goes by a mark and a replica where that takes at most this much of a round trip to the primary, and so many ms more. */
const indexShareMax = 1.1
const indexToleranceMs = 2
/** A replica whose newest mark is this much later than its marks usually are is not waited for, ms. */
const indexQuietMs = 250
/** A mark that a strong read waits for may be this late at least, ms; else as late as one more round trip. */
const indexSlackMs = 20

/** A command of which nobody has taken note: see `rehearse`. */
export interface Rehearsal {
  readonly frame: RequestFramer
  readonly keys: KeyList
  readonly isRead: boolean
  readonly isWrite: boolean
  /** Level that the connection asks for, -1: none; undefined: as it does now. */
  readonly level?: number
  /** As if the waits that such a read may have were over. */
  readonly isWaitOver: boolean
}

/** Where it would go. */
export interface Rehearsed {
  /** Index of the node; -1: none takes it now. */
  readonly node: number
  /** A watermark that it lacks is due, and it waits for that first. */
  readonly isWaitingForMark: boolean
  /** The primary would have taken it, were there room under `routing.fallback_limit`. */
  readonly isOverLimit: boolean
  /** A strong read: how long a mark and the nearest replica would take, ms; Infinity: the primary is sooner. */
  readonly indexMs: number
  readonly need: ReadNeed
  /** A REASON: why the nearest node was not taken, and which that was. */
  readonly reason: number
  readonly passedOver: number
  readonly whenStale: SessionAccount['whenStale']
}

/** How the handling of one command ended. */
const done = 0
/** The command was not taken; `session.stall` says what it waits for. */
const stalled = 1
/** Reads of this chunk must be taken back: parse again from `rollbackAt`. */
const again = 2

/** Routes of a connection that has not logged in: only the proxy's own login commands. */
export const loginCommands = ['auth', 'hello', 'quit', 'reset'] as const

/** What a RESP2 connection with subscriptions may send. */
const subscriberCommands = [
  ...['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe'],
  ...['ping', 'quit', 'reset'],
] as const

const outBytes = 64 * 1024
/** What is larger is looked at one by one, and copying it is what it costs. */
const alikeBytesMax = 4096
/** So many commands of a chunk are looked at beforehand. */
const lookAheadMax = 64
/** Up to this many keys of a large request are written as pieces of their own. */
const keysApartMax = 16

export class RequestPath implements SessionHost {
  readonly slab: Buffer
  readonly readAt: number
  maxRequestBytes: number
  readonly nodes: readonly Node[]
  readonly marks: RegionTracker['marks']
  private readonly parts: Parts
  private readonly table: CommandTable
  private readonly tracker: RegionTracker
  private readonly calls: Float64Array
  private frame = new RequestFramer()
  private readonly check = new RequestFramer()
  private readonly ahead = new RequestFramer()
  private keys: KeyList = { count: 0, arg: new Int32Array(1024) }
  private readonly splicer = new Splicer()
  private need: ReadNeed = newReadNeed()
  private choice: Choice = { reason: REASON.none, passedOver: -1 }
  private readonly loginRoute: Uint8Array
  private readonly getId: number
  private readonly subscriberCommands: Uint8Array
  private readonly regionOf: Int32Array

  private readonly lastName = new Uint8Array(64)
  private lastNameLen = -1
  private lastId = -1

  // State of one call of `consume`.
  private buf: Buffer
  private nowMs = 0
  private runLane: Lane | undefined
  private runAt = 0
  private runRouteMax: number = ROUTE.denied
  private runCommands = 0
  private rollbackAt = -1
  private rollbackReplyMode: number = replyOn
  private rollbackDatabase = 0
  private countFrom = 0
  private isPrimaryForced = false
  private whenStale: SessionAccount['whenStale'] = 'primary'
  /** As many as this client may have in flight now. */
  private inFlightMax = clientCommandsMax
  private commandsBefore = 0
  private callReads = 0
  private callWrites = 0
  private callSource: number = Source.primary
  private callFallback = -1
  private isStrongRead = false
  /** The reads of this run count on what the replica has proven: they stand behind a guard. */
  private isGuardedRun = false
  /** The command that is being handled is a strong read at the primary: its reply waits for a proof. */
  private needsProof = false
  /** Where the client's mark for strong reads holds no longer, of this chunk; and where the chunk ends. */
  private indexedUntil = 0
  private chunkEnd = 0
  /** One past the last byte of the read that is being handled. */
  private readEnd = 0
  private isInline = false
  /** The frame itself, not its reply, is what makes it ride the bulk lane. */
  private isFrameLarge = false
  /** Where, in the client's bytes, the line ends that is being handled as an array. */
  private inlineEnd = 0
  private isWaitingForIndex = false
  private rehearsedIndexMs = Number.POSITIVE_INFINITY
  private wantsEnd = false
  private isWaitingForMark = false
  private isOverLimit = false
  private isRehearsing = false
  /** A read that is not strong, and no write, was what took this chunk's reads from a replica to the primary. */
  private isForcedByRead = false
  /** A rule of its keys made the read strong. */
  private isRuledStrong = false
  /** Of the command that is being handled: its id, and whether it was refused. For MONITOR, as is what was shown of this chunk. */
  private handledId = -1
  private isRefused = false
  private shownTo = 0
  private readonly secret = [0, 0]
  private out = Buffer.allocUnsafeSlow(outBytes)
  private outPos = 0

  readonly waiting: WaitingRoom
  readonly turns: Turns
  private readonly largeReads: LargeReads
  readonly unsettled: UnsettledWrites
  /** Writes that a replica has refused, on their way to the new primary. */
  readonly secondTries: SecondTries
  readonly fences: Fences
  readonly writeFences: WriteFences
  readonly siblingWrites: SiblingWrites | undefined
  readonly strong: StrongChecks
  private readonly bounds: SharedBounds
  private readonly secondLook: SecondLook
  private readonly filteredReplies = new FilteredReplies()
  readonly leased: LeasedPath
  readonly tracking: TrackingPath
  readonly admission: Admission
  readonly streams: StreamPath
  private readonly quotas: QuotaGate

  private fallbackLimit: FallbackLimit | undefined

  constructor(parts: Parts) {
    this.parts = parts
    this.fallbackLimit = parts.fallbackLimit
    this.table = parts.table
    this.tracker = parts.tracker
    this.calls = parts.cells.commands.calls
    this.slab = parts.pool.slab.bytes
    this.readAt = parts.pool.slab.readAt
    this.buf = this.slab
    this.nodes = parts.tracker.nodes
    this.marks = parts.tracker.marks
    this.maxRequestBytes = parts.maxRequestBytes
    this.check.maxRequestBytes = parts.maxRequestBytes * 2
    this.getId = parts.table.byName('get')!.id
    this.loginRoute = new Uint8Array(parts.table.specs.length)
    for (const name of loginCommands) this.loginRoute[parts.table.byName(name)!.id] = ROUTE.proxy
    this.subscriberCommands = new Uint8Array(parts.table.specs.length)
    for (const name of subscriberCommands) this.subscriberCommands[parts.table.byName(name)!.id] = 1
    this.waiting = new WaitingRoom(parts.now, () => this.newestShown())
    this.largeReads = new LargeReads(parts.now)
    this.turns = new Turns({
      nodes: this.nodes,
      now: parts.now,
      soon: (run) => this.waiting.soon(run),
      resumeSoon: (session) => this.waiting.resumeSoon(session),
    })
    this.bounds = new SharedBounds(parts.maxOutputBytes)
    this.bounds.watch(parts.overload)
    this.secondLook = new SecondLook(parts.table, parts.maxRequestBytes)
    this.unsettled = new UnsettledWrites({
      nodes: this.nodes,
      primary: () => parts.tracker.primary,
      hasLost: (node) => parts.pool.hasUnsettled(node),
      isConnected: (node) => parts.pool.counts(node).ready > 0,
      nextSeq: () => this.marks.nextSeq,
      added: (tenant) => this.siblingWrites?.tellNow(tenant),
    })
    this.secondTries = new SecondTries({
      primaryLane: (session) => {
        const lane = this.primaryLane(session)
        if (lane !== undefined) this.turns.use(session, lane)
        return lane
      },
      isOwn: (session, requests, commands) => this.isOwnRequests(session, requests, commands),
      now: parts.now,
      after: (ms, run) => parts.after(ms, run),
      forget: (session) => this.waiting.forget(session),
      resumeSoon: (session) => this.waiting.resumeSoon(session),
      sentAgain: (session, lane) => this.writeFences.writeAgain(session, lane, this.nowMs),
      wantsFlush: (lane) => parts.pool.wantsFlush(lane),
      counted: (result, writes) => parts.cells.readonlyResent.add([result], writes),
    })
    this.fences = new Fences({
      nodes: this.nodes,
      lanes: parts.pool.lanes,
      primary: () => parts.tracker.primary,
      nextSeq: () => this.marks.nextSeq,
    })
    this.writeFences = new WriteFences({
      tracker: parts.tracker,
      fences: this.fences,
      keys: this.keys,
      frame: this.frame,
      now: parts.now,
      siblings: () => this.siblingWrites,
    })
    this.siblingWrites = parts.siblingWrites === undefined ? undefined : this.buildSiblingWrites(parts.siblingWrites)
    this.strong = new StrongChecks({
      channel: parts.tracker.channel,
      after: parts.after,
      wantsFlush: (lane) => parts.pool.wantsFlush(lane),
      refused: (lane, code) => parts.primaryRefused(lane, code),
    })
    const hands = this.hands()
    this.admission = new Admission(hands, { ...parts, memory: this.memoryGate(hands) })
    this.quotas = this.admission.quotas
    this.leased = new LeasedPath(hands, {
      ...parts,
      isTracked: (session, lease) => this.tracking.isTracked(session, lease),
      trackingLost: (session) => this.tracking.trackingLost(session),
    })
    this.tracking = new TrackingPath(
      hands,
      this.leased,
      {
        leases: parts.leases,
        tracker: parts.tracker,
        find: (tenant, id) => parts.findSession(tenant, id),
        hearsInvalidations: (session) => session.subscriber?.c.has(invalidateChannel) === true,
        // Between replies, never inside of one.
        deliver: (session, bytes) => {
          session.push(bytes)
          session.flushPushes()
        },
        foreignPrefix: (lease) => {
          parts.cells.tripwires.foreignPrefix++
          lease.lane.destroy('a name without the prefix of its tenant')
        },
        after: (ms, run) => parts.after(ms, run),
      },
      parts.table.byName('client|tracking')!.id,
    )
    this.streams = new StreamPath(hands, { ...parts, leased: this.leased })
    parts.cells.regionIndex(parts.region)
    this.regionOf = Int32Array.from(this.nodes, (node) => parts.cells.regionIndex(node.address.region))
  }

  now(): number {
    return this.parts.now()
  }

  private buildSiblingWrites(parts: SiblingWritesParts): SiblingWrites {
    const { tracker, pool, now } = this.parts
    const options = {
      ...parts,
      lanes: pool.lanes,
      nextSeq: () => this.marks.nextSeq,
      history: () => tracker.primary?.runId ?? '',
      hasUnsettled: () =>
        !this.unsettled.isEmpty || (tracker.primary !== undefined && pool.hasUnsettled(tracker.primary.index)),
      wants: () => this.nodes.length > 1 && !tracker.isPrimaryNearest,
      now,
    }
    return new SiblingWrites(options, this.fences)
  }

  private memoryGate(hands: PathHands): MemoryGate | undefined {
    const { memoryUsage, scripts } = this.parts
    if (memoryUsage === undefined) return undefined
    return new MemoryGate(this.table, {
      frame: hands.frame,
      get bytes() {
        return hands.bytes
      },
      scriptBody: ({ account, database }, sha) =>
        scripts.of(account?.tenant?.id ?? '', database)?.registry.get(sha)?.body,
      isBlind: () => memoryUsage.isBlind,
      confirm: (account, then) => memoryUsage.confirm(account, then),
    })
  }

  /** What leased-path.ts uses of this corridor. */
  private hands(): PathHands & AdmissionHands & StreamHands {
    const self = this
    return {
      frame: this.frame,
      keys: this.keys,
      splicer: this.splicer,
      secondLook: this.secondLook,
      get bytes() {
        return self.buf
      },
      get nowMs() {
        return self.nowMs
      },
      isPrimaryLane: (lane) => this.isPrimaryLane(lane),
      endRun: (session, pos) => this.endRun(session, pos),
      refuse: (session, pos, code, ...args) => this.refuse(session, pos, code, ...args),
      refuseEarly: (session, pos, id, code) => this.refuseEarly(session, pos, id, code),
      local: (session, pos, bytes, next) => this.local(session, pos, bytes, next),
      noPrimary: (session, account, pos) => this.noLane(session, account, false, pos),
      wait: (session, stall) => this.wait(session, stall),
      refuseWith: (session, pos, line) => {
        this.isRefused = true
        return this.local(session, pos, line, this.frame.end)
      },
      dropTransaction: (session) => this.leased.dropTransaction(session),
      resumeSoon: (session) => this.waiting.resumeSoon(session),
      endsAt: (session, end) => this.endsAt(session, end),
      mayGrow: (bytes) => this.bounds.mayGrow(bytes),
      refuseCommand: (session, pos, id, code) => {
        const step = this.refuseEarly(session, pos, id, code)
        session.transaction?.drop()
        return step
      },
      waitForOrder: (session) => this.wait(session, stallOrder),
      waitForRoom: (session, lane) => {
        this.waiting.addForRoom(session, lane)
        return this.wait(session, stallRoom)
      },
      mostOf: (session, lane) => {
        this.inFlightMax = this.turns.most(session, lane, this.nowMs)
        return this.inFlightMax
      },
      waitForTurn: (session, lane) => {
        this.turns.wait(session, lane)
        return stalled
      },
      waitForNode: (session) => {
        this.waiting.addForNode(session)
        return this.wait(session, stallNode)
      },
      transformOf: (id, session, account, prefix) => this.transformOf(id, session, account, prefix),
      countSent: (isWrite) => {
        if (isWrite) this.callWrites++
        else this.callReads++
      },
      enqueue: (session, account, lane, id, isWrite) => {
        this.needsProof = false // of whatever command was handled last
        this.enqueue(session, account, lane, id, isWrite)
      },
      noteQueued: (account, transaction) => this.writeFences.queued(account.tenant!, transaction, this.buf),
      fenceExec: (session, account, lane, transaction) =>
        this.writeFences.exec(session, account.tenant!, lane, transaction, this.nowMs),
      isolationFailure: (session, lane) => this.isolationFailure(session, lane),
      isOwnLane,
      resumeLater: (session, ms) => {
        const resume = (): void => {
          this.waiting.forget(session)
          this.waiting.resumeSoon(session)
        }
        if (ms === 0) resume()
        else this.parts.after(ms, resume)
      },
      wantsFlush: (lane) => this.parts.pool.wantsFlush(lane),
      countTaken: (session, id) => {
        this.calls[id]!++
        session.commands++
        this.handledId = id
      },
      admit: (session, account, id, pos) => {
        const startsAt = session.bytesIn - this.chunkEnd + pos
        // More of it may have come since it was let through, and its end is then known to be farther.
        const endsAt = session.streamAt === startsAt ? session.admittedTo : this.endsAt(session, this.frame.end)
        const step = this.admission.admit(session, account, id, ROUTE.write, endsAt, pos, false)
        if (step === undefined) session.streamAt = startsAt
        return step
      },
      owe: (account, bytes) => {
        this.admission.quotas.owe(account, bytes)
        if (account.tenant!.memory !== undefined) account.tenant!.memory.wrote(bytes, 0)
      },
      learnLarge: (session, index, size) => {
        const { frame } = this
        const tenant = session.account!.tenant!
        this.largeReads.wrote(tenant, this.getId, this.buf, frame.off[index]!, frame.len[index]!, size)
      },
      refuseDenied: (session, account, id, pos) => this.refuseDenied(session, account, id, pos),
      breakOff: (session, pieces, line) => {
        this.noteProtocolError(session, pieces.error)
        if (line !== undefined) this.local(session, 0, Buffer.from(`-${line}\r\n`, 'latin1'), this.chunkEnd)
        this.wantsEnd = true
      },
    }
  }

  private noteProtocolError(session: Session, error: ErrorCode): void {
    this.parts.cells.protocolErrors.add([error.toLowerCase()])
    if (session.requestBytesMax < this.maxRequestBytes && isTooLarge(error))
      session.account?.tenant?.cells.quotaRefused(Quota.request)
  }

  /** Limits of another configuration: they hold from the next command on. */
  setLimits(limits: PathLimits): void {
    this.fallbackLimit = limits.fallbackLimit
    this.maxRequestBytes = limits.maxRequestBytes
    this.check.maxRequestBytes = limits.maxRequestBytes * 2
    this.secondLook.setLimit(limits.maxRequestBytes)
    this.bounds.setMaxOutput(limits.maxOutputBytes)
    this.leased.scriptMs = limits.scriptMs
  }

  /** The quota that this client waits for is another now, or there is none any more. */
  retryQuota(session: Session): void {
    this.admission.left(session)
    this.waiting.resumeSoon(session)
  }

  /** The command table or the users' rights are others than they were. */
  rightsChanged(): void {
    this.filteredReplies.clear()
  }

  // ---- the corridor ----

  /** Takes as many whole requests of [pos, end) as it can. Returns one past the last byte taken. */
  consume(session: Session, buf: Buffer, start: number, end: number): number {
    try {
      return this.take(session, buf, start, end)
    } catch (error) {
      // A bug of ours is the loss of who met it: what it was putting together goes nowhere, and its connection ends.
      this.parts.cells.tripwires.uncaught++
      this.parts.log.error({ error: String(error) }, 'a request could not be handled')
      const lane = this.runLane ?? session.lane
      this.runLane = undefined
      this.admission.settle(session)
      if (this.siblingWrites !== undefined) this.siblingWrites.isFresh = false
      lane?.destroy('a request could not be handled')
      session.destroy('internal error')
      return end
    }
  }

  private take(session: Session, buf: Buffer, start: number, end: number): number {
    if (this.turns.isOver(session)) {
      session.need = 0
      return start
    }
    this.begin(session, buf, start, end)
    const frame = this.frame
    let pos = session.stream === undefined ? start : this.streams.feed(session, buf, start, end)
    if (session.isMixing && session.lane === undefined) this.lookAhead(session, pos, end)
    while (pos < end && !session.isStopped && !this.wantsEnd) {
      frame.isUnauthenticated = session.account === undefined
      frame.maxRequestBytes = session.requestBytesMax
      const outcome = frame.frame(buf, pos, end)
      if (outcome === framed) {
        const step = this.handle(session, pos)
        if (step === done) {
          if (session.mode !== 0) this.show(session, pos)
          pos = frame.end
          if (this.runLane !== undefined && pos < end) pos = this.takeAlike(session, this.runLane, pos, end)
        } else if (step === again) pos = this.takeBack(session)
        else break
      } else if (outcome === incomplete) {
        const step = isStreamed(frame.need) ? this.beginStream(session, pos, end) : undefined
        if (step === done) pos = end
        session.need = step === undefined ? frame.need : 0
        break
      } else if (outcome === nothing) {
        this.skip(pos)
        pos = frame.end
      } else if (outcome === inline) {
        const step = this.handleInline(session, pos, end)
        if (step === done) pos = frame.end
        else if (step === again) pos = this.takeBack(session)
        else break
      } else if (outcome === foreign) {
        this.parts.cells.protocolErrors.add(['foreign'])
        this.finish(session, pos)
        session.destroy('another protocol')
        return end
      } else {
        this.noteProtocolError(session, frame.error)
        this.local(session, pos, errorLine(frame.error, frame.errorDetail), end)
        this.wantsEnd = true
        pos = end
      }
    }
    if (session.stall !== stallNone) session.need = 0
    this.finish(session, pos)
    return pos
  }

  /** The request at `pos` is too large to be kept. */
  private beginStream(session: Session, pos: number, end: number): number | undefined {
    if (session.account === undefined) return undefined
    const step = this.streams.begin(session, pos, end)
    if (step !== done) return step
    this.rollbackAt = -1
    if ((session.mode & modeShown) !== 0 && !this.isRefused) this.showHead(session, end)
    this.isRefused = false
    return step
  }

  /** What has come of it so far. */
  private showHead(session: Session, end: number): void {
    const { frame } = this
    const { off } = frame
    const count = frame.seen + (frame.isOpen ? 1 : 0)
    const len = frame.len.slice(0, count)
    if (frame.isOpen) len[frame.seen] = Math.max(0, end - off[frame.seen]!)
    this.parts.monitors?.show(session, { buf: this.buf, count, off, len }, Number.POSITIVE_INFINITY, 0)
  }

  /** One framed command at `pos`. */
  private handle(session: Session, pos: number): number {
    // Answers of our own wait behind what is in flight too: all of them count.
    if (session.inFlight >= this.inFlightMax) return this.waitForTurn(session)
    const { frame, table } = this
    const buf = this.buf
    let id = this.lookup(frame.off[0]!, frame.len[0]!)
    if (id < 0) return this.refuseUnknown(session, pos)
    if (table.isContainer[id] !== 0 && frame.count > 1) {
      const sub = table.lookupSub(id, buf, frame.off[1]!, frame.len[1]!)
      if (sub < 0) return this.refuseUnknownSub(session, pos, id)
      id = sub
    }
    const arity = table.arity[id]!
    if (arity >= 0 ? frame.count !== arity : frame.count < -arity) {
      return this.refuseEarly(session, pos, id, 'WRONG_ARITY')
    }
    this.handledId = id
    const account = session.account
    const route = account === undefined ? this.loginRoute[id]! : account.route[id]!
    if (pos >= this.countFrom) {
      this.calls[id]!++
      session.commands++
    }
    const tenant = account?.tenant
    if (tenant !== undefined && tenant.gate !== 0 && route !== ROUTE.denied) {
      const isPlain = route >= ROUTE.read && route <= ROUTE.primary
      const { end } = frame
      // Most commands of a chunk are paid for by the first of them.
      if (!isPlain || tenant.gate !== gateQuota || !this.quotas.isAdvanced(id, end - pos, end)) {
        const step = this.admit(session, account!, id, route, pos, isPlain)
        if (step !== undefined) return step
      }
    }
    if (session.mode !== 0) {
      if ((session.mode & modeRenew) !== 0) {
        if (session.inFlight > 0) return this.wait(session, stallOrder)
        session.rehold()
      }
      if (this.isOutOfContext(session, id, route)) return this.refuseEarly(session, pos, id, 'SUBSCRIBER_CONTEXT')
      if (account !== undefined && (session.mode & modeMulti) !== 0) {
        const step = this.leased.queue(session, account, id, route, pos)
        if (step !== undefined) return step
      }
    }
    if ((session.mode & modeMonitor) !== 0 && (route >= ROUTE.read || (route === ROUTE.proxy && this.isOfKeys(id))))
      return this.refuse(session, pos, 'MONITOR_KEYSPACE')
    if (route >= ROUTE.read) return this.forward(session, account!, id, route, pos)
    if (route === ROUTE.proxy) return this.answer(session, id, pos)
    return this.refuseDenied(session, account, id, pos)
  }

  /**
   * Pipelines are of a few commands again and again. As long as each is small, has one key, and goes on the run that is open, what was
   * found out about the run holds for all of them, and those that are the same command are counted when the last of them is known.
   * Whatever is not so, `handle` is asked about. Returns one past the last one taken.
   */
  private takeAlike(session: Session, lane: Lane, start: number, end: number): number {
    const { frame, table, keys, splicer, buf, lastName } = this
    const { account } = session
    if (account === undefined || session.lane !== lane || session.mode !== 0 || start < this.countFrom) return start
    if (this.needsProof || session.unusualReplies !== 0 || (this.isGuardedRun && !lane.isGuarded)) return start
    if (!lane.endsWith(session)) return start
    const tenant = account.tenant!
    const isGated = tenant.gate !== 0
    if (isGated && (tenant.gate !== gateQuota || !this.quotas.hasAdvance)) return start
    const { prefix } = session
    const growth = prefix.length + keyHeaderBytesMax
    const most = Math.min(this.inFlightMax - session.inFlight, lane.commandsFree)
    let id = -1
    let arity = 0
    let isWrite = false
    let isFenced = false
    let large: TenantState['large']
    let pos = start
    let taken = 0
    let count = 0
    while (pos < end && taken < most && frame.frame(buf, pos, end) === framed) {
      const next = frame.end
      const name = frame.off[0]!
      const nameLen = frame.len[0]!
      let i = 0
      const isSame = id >= 0 && nameLen === this.lastNameLen
      if (isSame) while (i < nameLen && buf[name + i] === lastName[i]) i++
      if (!isSame || i < nameLen) {
        const other = this.lookup(name, nameLen)
        if (other < 0 || !this.mayFollow(account, other)) break
        if (other !== id) {
          this.endAlike(session, lane, id, count, isWrite)
          count = 0
          id = other
          arity = table.arity[id]!
          isWrite = account.route[id] === ROUTE.write
          isFenced = isWrite && !this.writesLeaveNoTrace()
          large = account.route[id] === ROUTE.read ? tenant.large : undefined
        }
      }
      if (arity >= 0 ? frame.count !== arity : frame.count < -arity) break
      if (next - pos > alikeBytesMax || lane.pos + (next - splicer.from) + growth > lane.limit) break
      keys.arg[0] = table.keyFirst[id]!
      keys.count = 1
      keys.patterns = 0
      if (large !== undefined && this.largeReads.isLarge(tenant, large, id, frame, keys, buf, this.nowMs)) break
      if (isGated && !this.quotas.isAdvanced(id, next - pos, next)) break
      if (large !== undefined && this.largeReads.hash !== 0) lane.name(count, this.largeReads.hash)
      lane.pos = splicer.splice(buf, buf === lane.bytes, frame, keys, prefix, lane.bytes, lane.pos)
      pos = next
      taken++
      count++
      if (isFenced) {
        // The fences of the next one count this one among what is on its way.
        this.writeFences.write(session, tenant, lane, buf, this.nowMs)
        this.endAlike(session, lane, id, count, isWrite)
        count = 0
      }
    }
    this.endAlike(session, lane, id, count, isWrite)
    return pos
  }

  /** May a command of this kind stand on the run that is open without more being asked? One key, and a reply that passes. */
  private mayFollow(account: SessionAccount, id: number): boolean {
    const { table } = this
    const route = account.route[id]!
    if (route < ROUTE.read || route > ROUTE.primary || route > this.runRouteMax) return false
    if (table.keyMode[id] !== KEYS.range || table.keyFirst[id] !== table.keyLast[id]) return false
    return table.replyMode[id] === REPLY.pass && table.isContainer[id] === 0
  }

  /** So many commands of this kind stand on the lane and were not counted yet. */
  private endAlike(session: Session, lane: Lane, id: number, count: number, isWrite: boolean): void {
    if (count === 0) return
    this.handledId = id
    this.calls[id]! += count
    session.commands += count
    session.inFlight += count
    this.runCommands += count
    if (isWrite) {
      this.callWrites += count
      if (this.tracker.isPrimaryNearest) this.fences.skip()
    } else this.callReads += count
    lane.appendAlike(count, isWrite)
  }

  /** No session read, here or at another worker, may be in need of knowing of each by its key. */
  private writesLeaveNoTrace(): boolean {
    return this.tracker.isPrimaryNearest && this.siblingWrites?.log.isLogging !== true
  }

  private admit(
    session: Session,
    account: SessionAccount,
    id: number,
    route: number,
    pos: number,
    isPlain: boolean,
  ): number | undefined {
    const end = this.isInline ? this.inlineEnd : this.frame.end
    const mayAdvance = isPlain && end < this.chunkEnd && !this.isInline
    const step = this.admission.admit(session, account, id, route, this.endsAt(session, end), pos, mayAdvance)
    // It will be handled once more.
    if (step === stalled && pos >= this.countFrom) {
      this.calls[id]!--
      session.commands--
    }
    // Its answer stands: reads before it are not taken back any more, or it would count as admitted with what came after it.
    if (step === done) this.rollbackAt = -1
    return step
  }

  /** Which of all the bytes that this client has sent is the one at `end` of the chunk that is being taken. */
  private endsAt(session: Session, end: number): number {
    return session.bytesIn - this.chunkEnd + end
  }

  /** What nobody answers: the primary lacks it, there is no login, or it is denied. In Redis's order. */
  private refuseDenied(session: Session, account: SessionAccount | undefined, id: number, pos: number): number {
    const { table } = this
    if (table.missing[id] === MISSING.lacks) {
      const container = table.containerOf(id)
      return container < 0 ? this.refuseUnknown(session, pos) : this.refuseUnknownSub(session, pos, container)
    }
    if (account === undefined) return this.refuseEarly(session, pos, id, 'NOAUTH')
    this.parts.cells.commands.denied[id]!++
    const denied = account.tenant?.cells
    if (denied !== undefined) {
      denied.admin++
      denied.fail(Kind.admin, Outcome.denied)
    }
    this.spoil(session)
    return this.refuse(session, pos, 'NOPERM', table.specs[id]!.name)
  }

  /** Refused whatever it holds: between MULTI and EXEC it spoils the transaction, and EXEC itself ends it. */
  private refuseEarly(session: Session, pos: number, id: number, code: ErrorCode): number {
    const { name } = this.table.specs[id]!
    if (id === this.leased.ids.exec) return this.leased.refuseExec(session, pos, code, name)
    this.spoil(session)
    return this.refuse(session, pos, code, name)
  }

  /** A command was refused between MULTI and EXEC: EXEC will be too. */
  private spoil(session: Session): void {
    if (session.transaction !== undefined) session.transaction.isSpoiled = true
  }

  /** A RESP2 client could not tell a reply from a message: with subscriptions it may ask for little (server.c, processCommand). */
  private isOutOfContext(session: Session, id: number, route: number): boolean {
    return (
      (session.mode & modeSubscriber) !== 0 &&
      session.resp === 2 &&
      route !== ROUTE.denied &&
      this.subscriberCommands[id] === 0
    )
  }

  /** A flag of Redis's own says that it reads or writes keys, though the proxy answers it. */
  private isOfKeys(id: number): boolean {
    const { flags } = this.table.specs[id]!
    return flags.includes('readonly') || flags.includes('write')
  }

  /** A command was taken, and somebody of its tenant may be in MONITOR. What was refused, or is administration, is not shown. */
  private show(session: Session, pos: number): void {
    const isTold = !this.isRefused && pos >= this.shownTo
    this.isRefused = false
    if (pos !== Number.POSITIVE_INFINITY && pos >= this.shownTo) this.shownTo = this.frame.end
    if ((session.mode & modeShown) === 0 || !isTold || this.handledId < 0) return
    const { frame } = this
    const spec = this.table.specs[this.handledId]!
    if (spec.flags.includes('admin') || spec.flags.includes('skip_monitor')) return
    this.secret[0] = Number.POSITIVE_INFINITY
    this.secret[1] = Number.POSITIVE_INFINITY
    if (spec.name === 'auth') this.secret[0] = 1
    else if (spec.name === 'hello') {
      for (let i = 2; i < frame.count; i += 2) {
        const at = frame.off[i]!
        if (this.buf.toString('latin1', at, at + Math.min(frame.len[i]!, 8)).toLowerCase() !== 'auth') continue
        this.secret[0] = i + 1
        this.secret[1] = i + 3
        break
      }
    }
    const { count, off, len } = frame
    this.parts.monitors?.show(session, { buf: this.buf, count, off, len }, this.secret[0]!, this.secret[1]!)
  }

  /** Id of a command by its name. Clients repeat themselves: the last name is compared before the table is asked. */
  private lookup(off: number, len: number): number {
    const { buf, lastName } = this
    if (len === this.lastNameLen) {
      let i = 0
      while (i < len && buf[off + i] === lastName[i]) i++
      if (i === len) return this.lastId
    }
    const id = this.table.lookup(buf, off, len)
    if (id >= 0) {
      for (let i = 0; i < len; i++) lastName[i] = buf[off + i]!
      this.lastNameLen = len
      this.lastId = id
    }
    return id
  }

  /** A command for a node: find its keys, find its lane, put the prefix on, enqueue. */
  private forward(session: Session, account: SessionAccount, id: number, route: number, pos: number): number {
    const { frame, table, keys } = this
    const mode = table.keyMode[id]!
    if (mode === KEYS.none) keys.count = 0
    else if (mode === KEYS.range && table.keyFirst[id] === table.keyLast[id]) {
      keys.arg[0] = table.keyFirst[id]!
      keys.count = 1
      keys.patterns = 0
    } else {
      const error = findKeys(table, id, frame, keys)
      if (error !== undefined) {
        if (keys.crosses === true) return this.forwardAcross(session, account, id, route, pos)
        return this.refuse(session, pos, error, table.specs[id]!.name)
      }
      if (keys.blocks === true) route = ROUTE.blocking
    }
    const prefix = mode === KEYS.finder && keys.isChannel === true ? account.tenant!.prefix : session.prefix
    const growth = keys.count * (prefix.length + keyHeaderBytesMax)
    const size = frame.end - pos
    const { large } = account.tenant!
    // Thousands of empty keys under a long prefix can outgrow an arena by themselves.
    const isLarge = size > sharedFrameBytesMax || size + growth + guardBytesMax > arenaHalfBytes
    const isBulk =
      isLarge ||
      (large !== undefined &&
        route === ROUTE.read &&
        this.largeReads.isLarge(account.tenant!, large, id, frame, keys, this.buf, this.nowMs))
    if (isBulk && !isLarge && this.largeReads.isHuge(large!)) {
      const step = this.forwardHuge(session, account, id, pos)
      if (step !== undefined) return step
    }
    let lane = session.lane
    this.needsProof = false
    // The common case: one more command for the lane that this chunk is already on.
    if (lane === undefined || lane !== this.runLane || isBulk || route > this.runRouteMax) {
      if (route > ROUTE.primary || session.lease !== undefined || (session.mode & modeTracking) !== 0)
        return this.forwardLeased(session, account, id, route, pos)
      const isRead = route === ROUTE.read && !this.isPrimaryForced
      this.readEnd = frame.end
      if (lane === undefined) {
        this.isFrameLarge = isLarge
        lane = this.chooseLane(session, account, isRead, route === ROUTE.write, isBulk)
        if (lane !== undefined && this.isForcedByRead && route === ROUTE.read) {
          this.fillNeed(session, account)
          this.limit(session, account)
        }
        if (this.isOverLimit) return this.refuseOverLimit(session, account, pos)
        if (lane === undefined) return this.noLane(session, account, isRead, pos)
        if (lane.database !== account.tenant!.database) return this.isolationFailure(session, lane)
        session.stallUntilMs = 0 // a node takes it; should none when its turn has come, it waits for one anew
        this.inFlightMax = this.turns.most(session, lane, this.nowMs)
        if (this.inFlightMax === 0) {
          this.turns.wait(session, lane)
          return stalled
        }
        session.fallback = this.callFallback
        this.isGuardedRun = false
        session.sentIncarnation = this.nodes[lane.nodeIndex]!.incarnation
        if (!this.isPrimaryLane(lane)) {
          const mayGuard = this.hasGuardRoom(lane) // which may flush it
          this.rollbackAt = pos
          this.rollbackReplyMode = session.replyMode
          this.rollbackDatabase = session.database
          lane.save()
          if (mayGuard) this.parts.guards!.before(lane)
        }
      } else if (this.isOnWrongLane(session, account, lane, route, isBulk, isLarge))
        return this.wait(session, stallOrder)
      else if (!this.isPrimaryLane(lane) && (!isRead || !this.mayStay(session, account, lane))) {
        // Without a primary the reads stay where they are, and what needs it waits alone.
        if (this.rollbackAt < 0 || !this.hasPrimary(session)) return this.wait(session, stallOrder)
        this.isForcedByRead = isRead && this.need.level !== LEVEL.strong
        return again
      } else if (route === ROUTE.write && this.parts.pool.hasUnsettled(lane.nodeIndex)) {
        // Not even behind a read: a write that was lost on another connection may still run after it.
        return this.wait(session, stallOrder)
      } else if (!this.isPrimaryLane(lane)) {
        // With a run open nothing may be put on the lane nor flushed here: it would stand in the middle of a request.
        if (this.rollbackAt < 0 && this.runLane === undefined) this.guard(lane)
        else this.isGuardedRun = this.needsGuard()
      } else if (session.isLimited) {
        if (route === ROUTE.read) {
          this.fillNeed(session, account)
          if (!this.limit(session, account)) return this.refuseOverLimit(session, account, pos)
        } else session.isLimited = false // what follows is there for the order's sake
      }
      if (session.held !== undefined && session.proving !== undefined && route === ROUTE.write)
        return this.wait(session, stallOrder)
      if (route !== ROUTE.write && mayBeStrong(session, account) && this.isPrimaryLane(lane)) {
        this.fillNeed(session, account)
        this.needsProof = this.need.level === LEVEL.strong && session.replyMode === replyOn
        // Of what waits for replicas and what waits for a proof, one at a time.
        const isMixed = session.held !== undefined && session.inFlight > 0 && session.proving === undefined
        if (this.needsProof && isMixed) return this.wait(session, stallOrder)
      }
    }
    if (isLarge) return this.forwardLarge(session, account, lane, id, route, pos, prefix)
    const from = this.runLane === undefined ? pos : this.splicer.from
    const isUnguarded = this.isGuardedRun && !lane.isGuarded
    if (isUnguarded || lane.pos + (frame.end - from) + growth > lane.limit || !lane.hasRoomFor(0)) {
      this.endRun(session, pos)
      this.rollbackAt = -1
      if (!lane.hasRoomFor(size + growth + guardBytesMax)) {
        this.waiting.addForRoom(session, lane)
        return this.wait(session, stallRoom)
      }
    }
    if (this.runLane === undefined) {
      if (this.isGuardedRun) this.parts.guards?.before(lane)
      this.runLane = lane
      this.runAt = lane.pos
      this.splicer.from = pos
      // On the primary anything may follow; on a replica only reads, and only where neither a rule nor a write speaks of single keys.
      // Strong reads are looked at one by one: each has its mark, or its proof.
      // On a bulk lane each is looked at as well: small writes do not follow there.
      this.runRouteMax =
        mayBeStrong(session, account) || lane.isBulk
          ? ROUTE.proxy
          : this.isPrimaryLane(lane)
            ? session.isLimited
              ? ROUTE.proxy
              : this.parts.pool.hasUnsettled(lane.nodeIndex)
                ? ROUTE.read
                : ROUTE.primary
            : account.rules === undefined && this.need.fences.isWhole
              ? ROUTE.read
              : ROUTE.proxy
    }
    session.lane = lane
    session.inFlight++
    if (large !== undefined && route === ROUTE.read && this.largeReads.hash !== 0) lane.name(0, this.largeReads.hash)
    if (keys.count > 0) {
      lane.pos = this.splicer.splice(this.buf, this.buf === lane.bytes, frame, keys, prefix, lane.bytes, lane.pos)
    }
    this.enqueue(session, account, lane, id, route === ROUTE.write)
    return done
  }

  /**
   * MOVE, COPY ... DB: it becomes a request whose names begin with their databases' numbers, under what is common to all
   * databases of the tenant. A run of its own.
   */
  private forwardAcross(session: Session, account: SessionAccount, id: number, route: number, pos: number): number {
    const { frame, buf } = this
    const tenant = account.tenant!
    const isMove = this.table.finder[id] === FINDER.move
    const request = acrossDatabases(frame, isMove, session.database, tenant.prefixes, tenant.keyPrefix.length)
    if (typeof request === 'string') return this.refuse(session, pos, request)
    if (session.lane !== undefined && !this.isPrimaryLane(session.lane)) return this.wait(session, stallOrder)
    this.endRun(session, pos)
    const next = frame.end
    this.buf = request
    session.prefix = tenant.keyPrefix
    frame.frame(request, 0, request.length)
    const step = this.forward(session, account, id, route, 0)
    this.rollbackAt = -1
    if (step === done) this.endRun(session, request.length)
    session.select(session.database)
    this.buf = buf
    frame.end = next
    return step
  }

  /** What needs a connection of the client's own, or comes from a client that has one. */
  private forwardLeased(session: Session, account: SessionAccount, id: number, route: number, pos: number): number {
    if (route === ROUTE.transaction) return this.leased.transact(session, account, id, pos)
    if (route === ROUTE.tracking) return this.tracking.handle(session, account, id, pos)
    if (route <= ROUTE.primary && (session.mode & (modePinned | modeTracking)) === 0) {
      // What it took the connection for is not answered yet.
      if (session.inFlight > 0) return this.wait(session, stallOrder)
      this.leased.idle(session)
      return this.forward(session, account, id, route, pos)
    }
    return this.leased.forward(session, account, id, route, pos)
  }

  private enqueue(session: Session, account: SessionAccount, lane: Lane, id: number, isWrite: boolean): void {
    if (isWrite) {
      this.callWrites++
      if (this.table.replyMode[id] !== REPLY.receivers)
        this.writeFences.write(session, account.tenant!, lane, this.buf, this.nowMs)
    } else this.callReads++
    this.runCommands++
    if (this.needsProof || session.unusualReplies !== 0) return this.enqueueUnusual(session, account, lane, id, isWrite)
    const mode = this.table.replyMode[id]!
    if (mode === REPLY.pass) lane.append(session, kindPass, isWrite, this.nowMs)
    else {
      const isMessage = mode === REPLY.receivers
      // Nobody's reads need to see a message.
      lane.appendTransformed(
        session,
        this.transformOf(id, session, account, session.prefix)!,
        isWrite,
        this.nowMs,
        isWrite && !isMessage,
      )
      if (isMessage) {
        this.callWrites--
        account.tenant!.cells.pubsub++
      }
    }
  }

  /** Replies that nobody wants, or that are held until the client's writes are on replicas (session/held-replies.ts). */
  private enqueueUnusual(session: Session, account: SessionAccount, lane: Lane, id: number, isWrite: boolean): void {
    const { table, nowMs } = this
    if (this.needsProof) this.strong.hold(session, lane)
    if (session.replyMode === replyOn) session.proving?.add(this.needsProof)
    const { sink, held } = session
    if (session.replyMode !== replyOn) {
      lane.append(sink, kindSwallow, isWrite, nowMs)
      if (session.replyMode === replySkipNext) session.replyMode = replyOn
      return
    }
    const isMessage = table.replyMode[id] === REPLY.receivers
    const transform = this.transformOf(id, session, account, session.prefix)
    if (isMessage) {
      this.callWrites--
      account.tenant!.cells.pubsub++
      lane.appendTransformed(sink, transform!, isWrite, nowMs, false)
    } else if (isWrite && held !== undefined) {
      const isNullNothing = table.specs[id]!.flags.includes('blocking')
      lane.appendTransformed(sink, held.keep(transform, isNullNothing), true, nowMs)
    } else if (transform === undefined) lane.append(sink, kindPass, isWrite, nowMs)
    else lane.appendTransformed(sink, transform, isWrite, nowMs)
  }

  /** Part of what a session may ask for (SessionHost). */
  answeredOnLease(session: Session): void {
    this.writeFences.answeredOnLease(session)
  }

  /**
   * What a command's reply becomes before its client may see it; undefined: nothing has to be done to it. `prefix`: the
   * one it is sent with; when the reply comes, the client may have another database or be somebody else.
   */
  private transformOf(id: number, session: Session, account: SessionAccount, prefix: Buffer): Transform | undefined {
    const { table } = this
    const mode = table.replyMode[id]!
    if (mode === REPLY.pass) return undefined
    if (mode === REPLY.receivers) return this.receiversOf(id, account)
    const denied = (spec: { id: number }): boolean => account.route[spec.id] === ROUTE.denied
    const strip = (reply: Buffer): Buffer | undefined => stripReply(mode, reply, prefix, table, denied)
    // Replies of COMMAND hold no names of the tenant's: what differs is what the user may run.
    if (mode !== REPLY.commandAll && mode !== REPLY.commandInfo && mode !== REPLY.commandDocs) return strip
    const kind = mode * 4 + session.resp
    return (reply) => this.filteredReplies.get(account.route, kind, reply, strip)
  }

  /** PUBLISH: the number in the reply becomes that of the tenant's own receivers here. */
  private receiversOf(id: number, account: SessionAccount): Transform {
    const { frame, table } = this
    const channel = Buffer.from(this.buf.subarray(frame.off[1]!, frame.off[1]! + frame.len[1]!))
    const isShard = table.specs[id]!.name === 'spublish'
    const { subscriptions } = this.parts.host
    return (reply) =>
      reply[0] === 58 ? Buffer.from(`:${subscriptions.receivers(account.tenant!, channel, isShard)}\r\n`) : reply
  }

  /** A request that no arena should hold: it goes to the bulk lane in a buffer of its own. */
  private forwardLarge(
    session: Session,
    account: SessionAccount,
    lane: Lane,
    id: number,
    route: number,
    pos: number,
    prefix: Buffer,
  ): number {
    this.endRun(session, pos)
    if (session.isClosed) return stalled
    if (!lane.canFlush) {
      this.waiting.addForRoom(session, lane)
      return this.wait(session, stallRoom)
    }
    const parts = this.keys.count > keysApartMax ? this.spliceLarge(pos, prefix) : this.partLarge(pos, prefix)
    if (parts === undefined || !isOwnLane(session, lane)) return this.isolationFailure(session, lane)
    session.lane = lane
    session.inFlight++
    this.enqueue(session, account, lane, id, route === ROUTE.write)
    this.runCommands = 0 // it is in no run
    lane.writeLarge(parts)
    this.rollbackAt = -1
    return done
  }

  /**
   * What is large waits until nothing of its client is on a shared lane, and what is small until nothing is on the bulk lane;
   * small reads may follow large ones there, or a client that asks for both in turn would wait for each.
   */
  private isOnWrongLane(
    session: Session,
    account: SessionAccount,
    lane: Lane,
    route: number,
    isBulk: boolean,
    isLarge: boolean,
  ): boolean {
    if (lane.isBulk) return !isBulk && route !== ROUTE.read
    if (!isBulk || isLarge) return isBulk
    return this.parts.pool.lane(lane.nodeIndex, session.resp, true, session.id, account.tenant!.database).isReady
  }

  /** A reply was large: the next to the same read goes by the bulk lane. */
  largeReply(use: LaneUse, hash: number, size: number): void {
    if (use instanceof Share) this.largeReads.seen(use.tenant, hash, size)
  }

  /** The same, of a client's own connection. */
  largeReplyOnLease(session: Session, hash: number, size: number): void {
    const tenant = session.account?.tenant
    if (tenant !== undefined && hash !== 0) this.largeReads.seen(tenant, hash, size)
  }

  /**
   * A read whose reply may be larger than should ever gather here: at the node that is chosen for it as for any other, over a
   * connection of the client's own. undefined: it goes by the bulk lane.
   */
  private forwardHuge(session: Session, account: SessionAccount, id: number, pos: number): number | undefined {
    // Strong reads have their proofs on shared lanes.
    if (
      (session.mode & (modePinned | modeTracking)) !== 0 ||
      mayBeStrong(session, account) ||
      account.rules !== undefined
    )
      return undefined
    if (session.inFlight > 0) return this.wait(session, stallOrder)
    const { hash } = this.largeReads
    this.readEnd = this.frame.end
    this.isFrameLarge = false
    const lane = this.chooseLane(session, account, true, false, true)
    if (this.isOverLimit) return this.refuseOverLimit(session, account, pos)
    if (lane === undefined) return this.noLane(session, account, true, pos)
    const lease = this.leased.leaseTo(session, account, lane.nodeIndex)
    if (typeof lease !== 'object') return lease
    session.fallback = this.callFallback
    session.sentIncarnation = this.nodes[lane.nodeIndex]!.incarnation
    session.isCachingNext = false
    if (!this.isPrimaryLane(lease.lane)) this.guard(lease.lane)
    this.isGuardedRun = false
    this.needsProof = false
    if (this.leased.sendRead(session, account, id, lease, hash, pos)) return done
    return this.isolationFailure(session, lease.lane)
  }

  /** Few keys: the values between them are not copied again. undefined: a key has no prefix. */
  private partLarge(pos: number, prefix: Buffer): Buffer[] | undefined {
    // The socket keeps the bytes until they are written, so they must not be the shared buffer's nor the client's.
    const copy = Buffer.allocUnsafeSlow(this.frame.end - pos)
    this.buf.copy(copy, 0, pos, this.frame.end)
    this.check.frame(copy, 0, copy.length)
    const parts = rewriteLarge(copy, 0, this.check, this.keys, prefix)
    for (let i = 0; i < this.keys.count; i++) {
      const part = parts[2 * i + 1]!
      if (!part.subarray(part.length - prefix.length).equals(prefix)) return undefined
    }
    return parts
  }

  /** Many keys: one buffer, since a write for each key would hold up everybody for seconds. */
  private spliceLarge(pos: number, prefix: Buffer): Buffer[] | undefined {
    const { frame, keys, splicer, check } = this
    const out = Buffer.allocUnsafeSlow(frame.end - pos + keys.count * (prefix.length + keyHeaderBytesMax))
    splicer.from = pos
    let end = splicer.splice(this.buf, false, frame, keys, prefix, out, 0)
    end = splicer.copy(this.buf, false, frame.end, out, end)
    if (check.frame(out, 0, end) !== framed || check.end !== end) return undefined
    for (let i = 0; i < keys.count; i++) if (!hasPrefix(out, check, keys.arg[i]!, prefix)) return undefined
    return [out.subarray(0, end)]
  }

  // ---- where to ----

  /** Of the need that was filled last: does it count on something that the node has proven? */
  private needsGuard(): boolean {
    const { need } = this
    const isProven =
      need.level !== LEVEL.eventual || need.maxStalenessMs !== Number.POSITIVE_INFINITY || need.after !== 0
    return isProven && this.parts.guards !== undefined
  }

  /** The read for which the need was filled is about to be put on this lane to a replica, as the first of a run. */
  private guard(lane: Lane): void {
    if (this.hasGuardRoom(lane)) this.parts.guards!.before(lane)
  }

  /** The same read: is a guard wanted, and is there room for it? */
  private hasGuardRoom(lane: Lane): boolean {
    this.isGuardedRun = this.needsGuard()
    return this.isGuardedRun && lane.hasRoomFor(guardBytesMax)
  }

  /** The confirmed primary, on a connection on which it said so itself. */
  private isPrimaryLane(lane: Lane): boolean {
    return lane.isPrimary && this.tracker.primary?.index === lane.nodeIndex
  }

  /** Is there a primary that takes this client's small commands now? */
  private hasPrimary(session: Session): boolean {
    return this.primaryLane(session) !== undefined
  }

  /** The lane on which this client's small writes go now. */
  private primaryLane(session: Session): Lane | undefined {
    const { tracker, pool } = this.parts
    const { primary } = tracker
    if (primary === undefined || pool.hasUnsettled(primary.index)) return undefined
    const lane = pool.lane(primary.index, session.resp, false, session.id, databaseOf(session))
    return lane.isReady && lane.isPrimary ? lane : undefined
  }

  /** Before they are sent again: all of them, as they were kept, hold the tenant's own keys and no others. */
  private isOwnRequests(session: Session, requests: Buffer, commands: number): boolean {
    const channels = session.account?.tenant?.prefix ?? session.prefix
    const { secondLook } = this
    const isOwn = secondLook.isPrefixed(requests, 0, requests.length, commands, session.prefix, channels)
    return isOwn && secondLook.end === requests.length
  }

  private chooseLane(
    session: Session,
    account: SessionAccount,
    isRead: boolean,
    isWrite: boolean,
    isBulk: boolean,
  ): Lane | undefined {
    const { tracker, pool } = this.parts
    this.callFallback = -1
    this.callSource = Source.primary
    this.isStrongRead = false
    session.isLimited = false
    if (isRead) {
      const nearest = this.plainPrimaryLane(session, account, isBulk)
      if (nearest !== undefined) return nearest
      this.fillNeed(session, account)
      const need = this.need
      this.isStrongRead = need.level === LEVEL.strong
      if (!this.isStrongRead) {
        // Perhaps the first to run after the machine slept: no proof of before counts then.
        if (need.level !== LEVEL.eventual) tracker.look()
        if (need.maxStalenessMs !== Number.POSITIVE_INFINITY)
          this.marks.wantWithin(Math.max(5, need.maxStalenessMs / 4))
        const order = tracker.readOrderOf(session.turn)
        const index = chooseRead(need, order, tracker.primary, this.nowMs, this.choice)
        if (index < 0) return undefined
        let lane = this.laneTo(session, index, isBulk)
        if (!lane.isReady || (index === tracker.primary?.index && !lane.isPrimary)) {
          const other = this.firstUsable(session, isBulk)
          if (other === undefined) return undefined
          lane = other
        }
        const reason = this.choice.reason
        const isPrimary = this.isPrimaryLane(lane)
        // A mark that is about to come is waited for, whatever `when_stale` says.
        if (isPrimary && reason === REASON.session && this.isMarkDue(session)) return undefined
        const node = this.nodes[lane.nodeIndex]!
        if (!node.isLocal && !this.mayLeaveRegion(session, account, isPrimary && reason !== REASON.none))
          return undefined
        if (isPrimary && reason !== REASON.none && !this.limit(session, account)) return undefined
        const hasWaited = session.staleUntilMs !== 0
        if (hasWaited || session.markWaitUntilMs !== 0) this.waitEnded(session, account, isPrimary)
        this.callSource = isPrimary ? Source.primary : node.isLocal ? Source.local : Source.remote
        if (reason !== REASON.none && reason !== REASON.level) {
          const from = this.regionOf[this.choice.passedOver]!
          const counted = hasWaited && isPrimary ? FallbackReason.timeout : reason // numbered alike
          this.callFallback = (from << 16) | (this.regionOf[lane.nodeIndex]! << 8) | counted
        }
        return lane
      }
      const lane = this.chooseByIndex(session, account, isBulk)
      if (lane !== undefined || this.isWaitingForIndex) return lane
    }
    const primary = tracker.primary
    if (primary === undefined) return undefined
    if (isWrite && pool.hasUnsettled(primary.index)) return undefined
    const lane = this.laneTo(session, primary.index, isBulk)
    return lane.isReady && lane.isPrimary ? lane : undefined
  }

  /**
   * The nearest node is the primary, of this very region: whatever a read below `strong` was promised, it goes there, and nobody asks
   * what others have shown. undefined: it must be looked at in full. What a first session read begins (`beginSessionReads`) waits for
   * the first one that a replica could serve.
   */
  private plainPrimaryLane(session: Session, account: SessionAccount, isBulk: boolean): Lane | undefined {
    const { primary } = this.tracker
    if (primary === undefined || this.tracker.readOrderOf(session.turn)[0] !== primary || !primary.isLocal)
      return undefined
    const level = session.level >= 0 ? session.level : account.level
    if (level === LEVEL.strong || level === LEVEL.bounded || account.ceilingMs !== Number.POSITIVE_INFINITY)
      return undefined
    if (account.rules !== undefined || session.staleUntilMs !== 0 || session.markWaitUntilMs !== 0) return undefined
    const lane = this.laneTo(session, primary.index, isBulk)
    if (!lane.isReady || !lane.isPrimary || this.isRehearsing) return undefined
    this.need.level = level as LevelCode // for whoever counts by it
    return lane
  }

  /** The lane to this node. A read whose reply may be large takes the shared one while there is no other. */
  private laneTo(session: Session, node: number, isBulk: boolean): Lane {
    const { pool, tracker } = this.parts
    const lane = pool.lane(node, session.resp, isBulk, session.id, databaseOf(session))
    if (!isBulk || this.isFrameLarge || (lane.isReady && (lane.isPrimary || node !== tracker.primary?.index)))
      return lane
    return pool.lane(node, session.resp, false, session.id, databaseOf(session))
  }

  /**
   * A strong read with nothing of its client in flight. Where the nearest replica is expected to show a mark of now about as soon
   * as the primary could answer, the read waits for that mark, with all others that came before it is sent. undefined: it waits
   * (`isWaitingForIndex`), or it is the primary's.
   */
  private chooseByIndex(session: Session, account: SessionAccount, isBulk: boolean): Lane | undefined {
    const { tracker } = this.parts
    const { need, marks } = this
    if (this.isRehearsing) return this.rehearseIndex(session, account)
    // What came after that mark was sent needs a newer one.
    if (this.isInline || this.readEnd > this.indexedUntil) session.readIndex = 0
    if (session.readIndex === 0) {
      const expectedMs = this.isInline ? Number.POSITIVE_INFINITY : this.indexMs(session)
      if (expectedMs === Number.POSITIVE_INFINITY) return undefined
      session.readIndex = marks.nextSeq
      session.readIndexMs = this.nowMs + expectedMs
      session.readIndexUntilMs = session.readIndexMs + Math.max(indexSlackMs, tracker.primary!.rttMs)
      this.indexedUntil = this.chunkEnd
      marks.wantNow()
      this.isWaitingForIndex = true
      return undefined
    }
    tracker.look()
    need.readIndex = session.readIndex
    const index = chooseRead(need, tracker.readOrderOf(session.turn), tracker.primary, this.nowMs, this.choice)
    if (index >= 0 && index !== tracker.primary?.index && !this.isNearerDue(session, index)) {
      const lane = this.laneTo(session, index, isBulk)
      if (lane.isReady) {
        this.callSource = this.nodes[index]!.isLocal ? Source.local : Source.remote
        return lane
      }
    }
    this.isWaitingForIndex = this.nowMs < session.readIndexUntilMs && tracker.primary !== undefined
    if (!this.isWaitingForIndex) {
      session.readIndex = 0
      session.stallUntilMs = 0
    }
    return undefined
  }

  /**
   * A farther node has shown the mark first: its road can be the shorter one to be shown on, and is the longer one to be read on. The
   * nearest is waited for, for as long as that is no later than an answer from there would be.
   */
  private isNearerDue(session: Session, index: number): boolean {
    const nearest = this.tracker.readOrderOf(session.turn)[0]!
    const nearerMs = this.nodes[index]!.rttMs - nearest.rttMs
    if (index === nearest.index || !nearest.isReadable || !(nearerMs > indexToleranceMs)) return false
    return this.nowMs < session.readIndexMs + nearerMs
  }

  /** As if the mark had been shown. */
  private rehearseIndex(session: Session, account: SessionAccount): Lane | undefined {
    this.rehearsedIndexMs = this.indexMs(session)
    if (this.rehearsedIndexMs === Number.POSITIVE_INFINITY) return undefined
    const nearest = this.tracker.readOrderOf(session.turn)[0]!
    const lane = this.parts.pool.lane(nearest.index, session.resp, false, session.id, account.tenant!.database)
    return lane.isReady ? lane : undefined
  }

  /**
   * How long a strong read would take by a mark and the nearest replica, ms; Infinity: longer than the primary takes, or not known.
   * About as long will do: it spares the primary.
   */
  private indexMs(session: Session): number {
    const { primary } = this.tracker
    const nearest = this.tracker.readOrderOf(session.turn)[0]
    if (primary === undefined || nearest === undefined || nearest === primary || !this.marks.isOpen)
      return Number.POSITIVE_INFINITY
    if (!nearest.isReadable) return Number.POSITIVE_INFINITY
    // Marks come at least every 100 ms while there are commands: one that has shown none for longer lags or is stopped.
    if (this.nowMs - nearest.shownSentAtMs > nearest.markDelayMs + indexQuietMs) return Number.POSITIVE_INFINITY
    const roadMs = nearest.markDelayMs + nearest.rttMs
    if (!(roadMs <= primary.rttMs * indexShareMax + indexToleranceMs)) return Number.POSITIVE_INFINITY
    // What waits longest is not sent to the primary for that: it would be the most expensive of all for it, a read alone.
    return roadMs + this.marks.indexWaitMs(this.nowMs)
  }

  private newestShown(): number {
    let newest = 0
    for (const node of this.nodes) if (node !== this.tracker.primary && node.shownSeq > newest) newest = node.shownSeq
    return newest
  }

  /**
   * Is the mark that a read lacks about to be shown by the nearest node? It goes with the write, or was sent about one round trip to
   * the primary before the reply that made it necessary, and takes as long as marks to that node have taken. Starts a short wait.
   */
  private isMarkDue(session: Session): boolean {
    if (session.markWaitUntilMs !== 0) {
      this.isWaitingForMark = this.nowMs < session.markWaitUntilMs
      return this.isWaitingForMark
    }
    const node = this.nodes[this.choice.passedOver]!
    const { need } = this
    let sentAtMs = need.fences.lackedSentAtMs(node)
    const isSame = node.index === session.lastNode && node.incarnation === session.lastIncarnation
    if (!isSame && !node.covers(session.seen, session.seenSlot, session.seenTrail))
      sentAtMs = Math.max(sentAtMs, session.seenAtMs - this.tracker.primary!.rttMs)
    if (node.shownSeq < need.after || !(sentAtMs + node.markDelayMs - this.nowMs <= markWaitMs)) return false
    session.markWaitUntilMs = this.nowMs + markWaitMs
    this.isWaitingForMark = true
    if (!this.isRehearsing) this.parts.after(markWaitMs, this.waiting.expire)
    return true
  }

  /** May a read go to a node of another region? With `error` never, with `wait` to the primary after its wait is over. */
  private mayLeaveRegion(session: Session, account: SessionAccount, isFallback: boolean): boolean {
    if (this.whenStale !== 'wait') return this.whenStale === 'primary'
    return !isFallback || account.maxWaitMs === 0 || (session.staleUntilMs !== 0 && session.staleUntilMs <= this.nowMs)
  }

  /**
   * One more read of this client, of what `need` says, goes to the primary because replicas could not serve it or one before
   * it: if it may; else `isOverLimit`. Strong reads may, and those that ask for no proof at all.
   */
  private limit(session: Session, account: SessionAccount): boolean {
    const limit = this.fallbackLimit
    if (limit === undefined) return true
    session.isLimited = true
    const { level, maxStalenessMs } = this.need
    const isUnbound = level === LEVEL.eventual && maxStalenessMs === Number.POSITIVE_INFINITY
    if (level === LEVEL.strong || isUnbound) return true
    const use = account.tenant!.fallbackUse
    const may = this.isRehearsing ? limit.has(use, this.nowMs) : limit.take(use, this.nowMs)
    this.isOverLimit = !may
    return may
  }

  private refuseOverLimit(session: Session, account: SessionAccount, pos: number): number {
    this.isOverLimit = false
    session.markWaitUntilMs = 0
    session.staleUntilMs = 0
    session.stallUntilMs = 0
    account.tenant!.cells.fail(Kind.read, Outcome.throttled)
    this.parts.cells.readsRefused[ReadRefusal.limited]!++
    return this.refuse(session, pos, 'FALLBACK_LIMIT')
  }

  /** A read that waited for a replica goes somewhere now. */
  private waitEnded(session: Session, account: SessionAccount, isPrimary: boolean): void {
    const startedAtMs =
      session.staleUntilMs !== 0 ? session.staleUntilMs - account.maxWaitMs : session.markWaitUntilMs - markWaitMs
    session.markWaitUntilMs = 0
    session.staleUntilMs = 0
    if (this.isRehearsing) return
    const { cells } = this.parts
    cells.sessionWaits[isPrimary ? WaitOutcome.rerouted : WaitOutcome.caughtUp]!++
    cells.sessionWait.observe(this.nowMs - startedAtMs, 1)
  }

  /** The nearest node that is fresh enough and whose lane is up: when the first choice's connection is away. */
  private firstUsable(session: Session, isBulk: boolean): Lane | undefined {
    const { tracker } = this.parts
    let passedOver = this.choice.passedOver
    for (const node of tracker.readOrderOf(session.turn)) {
      const lane = this.laneTo(session, node.index, isBulk)
      const isUsable = lane.isReady && (node !== tracker.primary || lane.isPrimary)
      if (isUsable && isNodeFresh(this.need, node, tracker.primary, this.nowMs)) {
        if (passedOver >= 0 && this.choice.reason === REASON.none) this.choice.reason = REASON.down
        this.choice.passedOver = passedOver
        return lane
      }
      if (passedOver < 0) passedOver = node.index
    }
    return undefined
  }

  /** May one more read follow on the replica that this client's reads are on? */
  private mayStay(session: Session, account: SessionAccount, lane: Lane): boolean {
    this.fillNeed(session, account)
    const { tracker } = this.parts
    // The first of this chunk may be the first to run after the machine slept.
    if (this.runLane === undefined && this.need.level !== LEVEL.eventual) tracker.look()
    return isNodeFresh(this.need, this.nodes[lane.nodeIndex]!, tracker.primary, this.nowMs)
  }

  /** What this read was promised: connection, else rule of its key, else user, tenant, routing. */
  private fillNeed(session: Session, account: SessionAccount): void {
    const need = this.need
    let level = session.level >= 0 ? session.level : account.level
    let boundedMs = account.boundedMs
    let ceilingMs = account.ceilingMs
    const { rules } = account
    this.whenStale = account.whenStale
    if (rules !== undefined) {
      const { keys, frame } = this
      const own = session.level >= 0 ? (session.level as LevelCode) : undefined
      let strictest = -1
      for (let i = 0; i < keys.count; i++) {
        const a = keys.arg[i]!
        const rule = rules.match(this.buf, frame.off[a]!, frame.len[a]!)
        strictest = Math.max(strictest, levelOfKey(own, rule, account.level as LevelCode))
        if (rule?.maxStalenessMs !== undefined) {
          // Several keys with bounds: the tightest holds.
          boundedMs = i === 0 ? rule.maxStalenessMs : Math.min(boundedMs, rule.maxStalenessMs)
          ceilingMs = i === 0 ? rule.maxStalenessMs : Math.min(ceilingMs, rule.maxStalenessMs)
        } else if (i > 0) {
          boundedMs = Math.min(boundedMs, account.boundedMs)
          ceilingMs = Math.min(ceilingMs, account.ceilingMs)
        }
        if (rule?.whenStale !== undefined) this.whenStale = rule.whenStale
      }
      this.isRuledStrong = strictest === LEVEL.strong && level !== LEVEL.strong
      if (strictest >= 0) level = strictest
    } else this.isRuledStrong = false
    need.level = level as LevelCode
    need.maxStalenessMs = level === LEVEL.bounded ? boundedMs : ceilingMs
    need.after = session.after
    const isIndexed = session.readIndex !== 0 && !this.isInline && this.readEnd <= this.indexedUntil
    need.readIndex = isIndexed ? session.readIndex : Number.POSITIVE_INFINITY
    if (level === LEVEL.session) this.fillFences(session, account.tenant!)
    else need.fences.isWhole = true
    need.lastNode = session.lastNode
    need.lastIncarnation = session.lastIncarnation
    need.seen = session.seen
    need.seenSlot = session.seenSlot
    need.seenTrail = session.seenTrail
  }

  /** The writes of its tenant that this session read must see. */
  private fillFences(session: Session, tenant: TenantState): void {
    const { fences, tracker, keys, frame } = this
    const need = this.need.fences
    if (!tenant.hasSessionReads && !this.isRehearsing) fences.beginSessionReads(tenant)
    const nearest = tracker.readOrderOf(session.turn)[0]
    if (this.siblingWrites !== undefined) {
      if (tracker.isPrimaryNearest) {
        need.clear()
        return need.raiseFloor(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
      }
      this.siblingWrites.lookFor(tenant)
    }
    fences.begin(need, tenant)
    if (fences.isSkipping) {
      if (tracker.isPrimaryNearest) return need.raiseFloor(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
      fences.resume()
      fences.begin(need, tenant)
    }
    if (!need.hasWritten || nearest === undefined) return
    fences.addAll(need, tenant)
    if (keys.count === 0 || keys.count > fenceKeysMax || (keys.patterns ?? 0) > 0 || need.isMetBy(nearest)) return
    if (!tenant.hasSessionReads) return // its writes were not kept by key until now
    fences.begin(need, tenant)
    fences.addWide(need, tenant)
    for (let i = 0; i < keys.count; i++) {
      const a = keys.arg[i]!
      const key = fences.hashKey(tenant, session.database, session.prefix, this.buf, frame.off[a]!, frame.len[a]!)
      fences.addKey(need, tenant, key)
    }
  }

  /** No node can take the command. It waits for a bounded time, then it is answered: not executed. */
  private noLane(session: Session, account: SessionAccount, isRead: boolean, pos: number): number {
    const { tracker } = this.parts
    const need = this.need
    if (this.isWaitingForIndex) {
      this.isWaitingForIndex = false
      session.stallUntilMs = session.readIndexUntilMs
      this.waiting.addForNode(session)
      return this.wait(session, stallNode)
    }
    if (this.isWaitingForMark) {
      this.isWaitingForMark = false
      session.stallUntilMs = session.markWaitUntilMs
      this.waiting.addForNode(session)
      return this.wait(session, stallNode)
    }
    if (session.markWaitUntilMs !== 0) {
      session.markWaitUntilMs = 0
      session.stallUntilMs = 0
    }
    const isStale =
      isRead && need.level !== LEVEL.strong && tracker.primary !== undefined && this.whenStale !== 'primary'
    const budgetMs = isStale ? (this.whenStale === 'wait' ? account.maxWaitMs : 0) : waitBudgetMs
    if (session.stallUntilMs === 0 && this.nowMs >= session.noWaitUntilMs && budgetMs > 0) {
      session.stallUntilMs = this.nowMs + budgetMs
      if (tracker.primary === undefined) this.parts.cells.writesHeld++
      // Kept apart from the wait for a mark that is due, which is shorter and may come before or after it.
      if (isStale && session.staleUntilMs === 0) session.staleUntilMs = session.stallUntilMs
    }
    if (session.stallUntilMs > this.nowMs) {
      this.waiting.addForNode(session)
      return this.wait(session, stallNode)
    }
    session.stallUntilMs = 0
    if (isRead && need.level !== LEVEL.strong) this.readRefused(session, account, isStale)
    session.staleUntilMs = 0
    session.noWaitUntilMs = this.nowMs + 100 // what is pipelined behind it has waited as long
    const isBounded = isRead && need.level !== LEVEL.strong && need.maxStalenessMs !== Number.POSITIVE_INFINITY
    if (!isRead || need.level === LEVEL.strong)
      this.parts.cells.writesRejected.add([tracker.isSplit ? 'split' : 'no_primary'])
    account.tenant?.cells.fail(isRead ? Kind.read : Kind.write, Outcome.timeout)
    if (isBounded) return this.refuse(session, pos, 'NO_NODE_WITHIN', need.maxStalenessMs)
    if (isRead && need.level !== LEVEL.strong) return this.refuse(session, pos, 'NO_NODE')
    return this.refuse(session, pos, tracker.isSplit ? 'SPLIT' : 'NO_PRIMARY')
  }

  private readRefused(session: Session, account: SessionAccount, isStale: boolean): void {
    const { cells } = this.parts
    cells.readsRefused[isStale ? ReadRefusal.stale : ReadRefusal.noNode]!++
    if (session.staleUntilMs === 0) return
    cells.sessionWaits[WaitOutcome.timeout]!++
    cells.sessionWait.observe(account.maxWaitMs, 1)
  }

  /**
   * The node that may tell this client about its whole keyspace now, -1: none. Without a key no rule speaks, and nobody
   * waits for a mark: where no replica is fresh enough, the primary is asked.
   */
  nodeForKeyspace(session: Session): number {
    const { tracker } = this.parts
    this.fillWholeNeed(session)
    if (this.need.level === LEVEL.strong) return tracker.primary?.index ?? -1
    return chooseRead(this.need, tracker.readOrderOf(session.turn), tracker.primary, this.parts.now(), this.choice)
  }

  /** May this node, and no other, tell it to this client now? */
  mayTellKeyspace(session: Session, node: number): boolean {
    this.fillWholeNeed(session)
    return isNodeFresh(this.need, this.nodes[node]!, this.tracker.primary, this.parts.now())
  }

  private fillWholeNeed(session: Session): void {
    this.keys.count = 0
    this.fillNeed(session, session.account!)
    if (this.need.level !== LEVEL.eventual) this.tracker.look()
    if (this.need.maxStalenessMs !== Number.POSITIVE_INFINITY)
      this.marks.wantWithin(Math.max(5, this.need.maxStalenessMs / 4))
  }

  /**
   * Where a command would go if it came now on this connection, with nothing in flight: the very steps that commands take.
   * What they note, about the client and for this call, is put back. (A copy of the session, or one that inherits from it,
   * would be an object of another shape, and make these steps slower for all.)
   */
  rehearse(session: Session, account: SessionAccount, what: Rehearsal): Rehearsed {
    const before = { path: { ...this }, session: { ...session } }
    if (what.level !== undefined) session.level = what.level
    // Long past, so over; and not 0, which is: none was begun.
    session.markWaitUntilMs = what.isWaitOver ? Number.MIN_VALUE : 0
    session.staleUntilMs = what.isWaitOver ? Number.MIN_VALUE : 0
    this.buf = what.frame.buf as Buffer
    this.nowMs = this.parts.now()
    this.frame = what.frame
    this.keys = what.keys
    this.need = newReadNeed()
    this.choice = { reason: REASON.none, passedOver: -1 }
    this.isWaitingForMark = false
    this.isOverLimit = false
    this.rehearsedIndexMs = Number.POSITIVE_INFINITY
    this.isRehearsing = true
    try {
      const lane = this.chooseLane(session, account, what.isRead, what.isWrite, false)
      return {
        node: lane?.nodeIndex ?? -1,
        isWaitingForMark: this.isWaitingForMark,
        isOverLimit: this.isOverLimit,
        indexMs: this.rehearsedIndexMs,
        need: this.need,
        ...this.choice,
        whenStale: this.whenStale,
      }
    } finally {
      Object.assign(session, before.session)
      Object.assign(this, before.path)
    }
  }

  /** The data connection that this client's reads of that node would take is up. */
  isConnected(session: Session, node: number): boolean {
    const lane = this.parts.pool.lane(node, session.resp, false, session.id, databaseOf(session))
    return lane.isReady && (node !== this.tracker.primary?.index || lane.isPrimary)
  }

  // ---- runs: what one chunk of one client puts on one lane ----

  private begin(session: Session, buf: Buffer, start: number, end: number): void {
    this.buf = buf
    this.chunkEnd = end
    this.indexedUntil = start + session.readIndexBytes
    this.nowMs = this.parts.now()
    session.lastActiveMs = this.nowMs
    this.marks.noteActivity(this.nowMs)
    this.runLane = undefined
    this.runCommands = 0
    this.rollbackAt = -1
    this.countFrom = start
    this.isPrimaryForced = false
    this.isForcedByRead = false
    this.isStrongRead = false
    this.isGuardedRun = false // of the client before
    this.inFlightMax =
      session.lane === undefined ? clientCommandsMax : this.turns.most(session, session.lane, this.nowMs)
    this.commandsBefore = session.commands
    this.callReads = 0
    this.callWrites = 0
    this.wantsEnd = false
    this.isRefused = false
    this.shownTo = start
    if (this.siblingWrites !== undefined) this.siblingWrites.isFresh = false
    if (session.lane !== undefined && !this.isPrimaryLane(session.lane)) {
      this.callSource = this.nodes[session.lane.nodeIndex]!.isLocal ? Source.local : Source.remote
      this.callFallback = -1
    } else if (session.lane !== undefined) {
      this.callSource = Source.primary
      this.callFallback = session.fallback // reads behind reads that lag sent here are here for the same reason
    }
  }

  /** Reads of this chunk give way to a write: forget them, and parse them again for the primary. */
  private takeBack(session: Session): number {
    const lane = session.lane!
    if (lane.rollback()) this.parts.guards!.takenBack(lane)
    session.isMixing = true
    session.lane = undefined
    session.inFlight = 0
    this.inFlightMax = clientCommandsMax
    session.localBytes = 0
    session.replyMode = this.rollbackReplyMode // CLIENT REPLY SKIP may have been used up by one of them
    if (session.database !== this.rollbackDatabase) session.select(this.rollbackDatabase)
    this.runLane = undefined
    this.runCommands = 0
    this.callReads = 0
    this.callWrites = 0
    this.isPrimaryForced = true
    const pos = this.rollbackAt
    this.rollbackAt = -1
    this.countFrom = this.frame.end // counted already, up to and with the write that asked for this
    return pos
  }

  /**
   * In the chunk before, reads gave way to a write. If a write follows the reads of this one too they go to the primary at once, where
   * they would end up in any case: nothing is put on a replica's lane to be taken back, and none waits for a mark in vain.
   */
  private lookAhead(session: Session, start: number, end: number): void {
    const { ahead, table, buf } = this
    const { account } = session
    session.isMixing = false
    if (account?.tenant === undefined || session.mode !== 0 || mayBeStrong(session, account)) return
    // Where it is asked whether a read may go to the primary at all, each is asked; what is large would not have given way.
    if (this.fallbackLimit !== undefined || account.whenStale !== 'primary' || account.rules !== undefined) return
    if (account.tenant.large !== undefined || session.markWaitUntilMs !== 0 || session.staleUntilMs !== 0) return
    if (this.tracker.isPrimaryNearest || !this.hasPrimary(session)) return
    ahead.maxRequestBytes = session.requestBytesMax
    let pos = start
    for (let i = 0; i < lookAheadMax && pos < end && ahead.frame(buf, pos, end) === framed; i++) {
      const id = table.lookup(buf, ahead.off[0]!, ahead.len[0]!)
      if (id < 0) return
      const route = account.route[id]!
      const arity = table.arity[id]!
      if (arity >= 0 ? ahead.count !== arity : ahead.count < -arity) return
      if (route === ROUTE.write) {
        session.isMixing = true
        this.isPrimaryForced = i > 0
        return
      }
      if (route !== ROUTE.read || table.keyMode[id] !== KEYS.range) return // others may block
      pos = ahead.end
    }
  }

  /** Copies what is left of the run up to `pos` and asks for a flush. */
  private endRun(session: Session, pos: number): void {
    const lane = this.runLane
    if (lane === undefined) return
    if (this.splicer.from < pos)
      lane.pos = this.splicer.copy(this.buf, this.buf === lane.bytes, pos, lane.bytes, lane.pos)
    this.runLane = undefined
    if (!this.isRunPrefixed(session, lane)) {
      this.isolationFailure(session, lane)
      return
    }
    this.runCommands = 0
    this.parts.pool.wantsFlush(lane)
  }

  /** Bytes up to `pos` go with the run; those of the command at `pos` do not. */
  private skip(pos: number): void {
    const lane = this.runLane
    if (lane === undefined) return
    if (this.splicer.from < pos)
      lane.pos = this.splicer.copy(this.buf, this.buf === lane.bytes, pos, lane.bytes, lane.pos)
    this.splicer.from = this.frame.end
  }

  /** Upper bound of the age of what a replica is serving to this chunk, by the level that its reads asked for last. */
  private observeStaleness(session: Session): void {
    if (session.lane === undefined) return
    const stalenessMs = this.nowMs - this.nodes[session.lane.nodeIndex]!.shownSentAtMs
    this.parts.cells.readStaleness[this.need.level]!.observe(stalenessMs, this.callReads)
    session.account!.tenant!.cells.staleness.observe(stalenessMs, this.callReads)
  }

  /** The positions of what this chunk put on the primary are worth a mark behind it, where reads could be served nearer. */
  private askForTrail(session: Session): void {
    const { lane } = session
    const { primary } = this.tracker
    if (lane === undefined || lane.needsTrail || lane.isLeased || primary === undefined) return
    if (this.tracker.readOrderOf(session.turn)[0] === primary) return
    if (lane.nodeIndex !== primary.index || session.account?.tenant?.hasSessionReads !== true) return
    lane.needsTrail = true
    this.parts.pool.wantsFlush(lane)
  }

  /** Reads that went to the primary although a replica is nearer, because of what this client has in flight there. */
  private orderFallback(session: Session): number {
    const { primary } = this.tracker
    const nearest = this.tracker.readOrderOf(session.turn)[0]
    if (primary === undefined || nearest === undefined || nearest === primary) return -1
    if (session.lane === undefined || session.lane.nodeIndex !== primary.index) return -1
    const level = this.isRuledStrong ? FallbackReason.rule : FallbackReason.level
    const reason = this.isStrongRead ? level : FallbackReason.order
    return (this.regionOf[nearest.index]! << 16) | (this.regionOf[primary.index]! << 8) | reason
  }

  private finish(session: Session, pos: number): void {
    if (this.quotas.hasAdvance) this.admission.settle(session)
    if (session.readIndex !== 0) {
      session.readIndexBytes = Math.max(0, this.indexedUntil - pos)
      if (session.readIndexBytes === 0) session.readIndex = 0
    }
    const lane = this.runLane
    this.endRun(session, pos)
    if (this.callReads + this.callWrites > 0) this.askForTrail(session)
    if (this.siblingWrites !== undefined) this.siblingWrites.isFresh = false // for who asks in between
    if (lane?.waitsForEarlyFlush) lane.flush()
    const tenant = session.account?.tenant
    const cells = tenant?.cells
    if (cells !== undefined) {
      this.turns.took(tenant!, session.commands - this.commandsBefore, this.nowMs)
      cells.writes += this.callWrites
      if (this.callReads > 0) {
        cells.reads += this.callReads
        const node = session.lane
        if (node !== undefined)
          cells.served[servedIndex(this.regionOf[node.nodeIndex]!, this.callSource as 0)]! += this.callReads
        if (this.callSource !== Source.primary) this.observeStaleness(session)
        const f = this.callFallback >= 0 ? this.callFallback : this.orderFallback(session)
        if (f >= 0) this.parts.cells.fallback(f >> 16, (f >> 8) & 255, (f & 255) as 0, this.callReads)
      }
    }
    if (this.outPos > 0) this.flushOut(session)
    if ((this.wantsEnd || session.isEnding) && !session.isClosed) session.endWhenAnswered()
  }

  /** The run is on a lane of its tenant's, and its first request (all of them under test) names the tenant's own keys, as it stands in the arena. */
  private isRunPrefixed(session: Session, lane: Lane): boolean {
    if (this.runCommands === 0) return true
    if (!isOwnLane(session, lane)) return false
    const { isParanoid } = this.parts
    const { secondLook } = this
    const commands = isParanoid ? this.runCommands : 1
    const channels = session.account?.tenant?.prefix ?? session.prefix
    if (!secondLook.isPrefixed(lane.bytes, this.runAt, lane.pos, commands, session.prefix, channels)) return false
    return !isParanoid || secondLook.end === lane.pos
  }

  /** Our own bug: nothing of it may leave. The lane dies before its arena is written, and so does the client. */
  private isolationFailure(session: Session, lane: Lane | undefined): number {
    this.parts.cells.tripwires.foreignPrefix++
    this.parts.log.fatal(
      { tenant: session.account?.tenant?.id },
      'a frame without its prefix was stopped at the socket',
    )
    lane?.destroy('isolation check failed')
    session.destroy('isolation check failed')
    return stalled
  }

  // ---- answers of the proxy itself ----

  private answer(session: Session, id: number, pos: number): number {
    const builtin = this.parts.builtins[id]
    if (builtin === undefined) return this.refuse(session, pos, 'NOPERM', this.table.specs[id]!.name)
    if (session.inFlight > 0 && (builtin.isStateful === true || session.localBytes > clientLocalBytesMax))
      return this.wait(session, stallOrder)
    const { frame } = this
    const args: Buffer[] = []
    for (let i = 0; i < frame.count; i++) {
      args.push(Buffer.from(this.buf.subarray(frame.off[i]!, frame.off[i]! + frame.len[i]!)))
    }
    const tenant = session.account?.tenant
    if (tenant !== undefined) {
      if (this.table.specs[id]!.categories.includes('pubsub')) tenant.cells.pubsub++
      else tenant.cells.admin++
    }
    session.lastCommand = this.table.specs[id]!.name
    const before = session.replyMode
    if (builtin.isSelecting === true) this.endRun(session, pos)
    const result = this.runBuiltin(builtin, args, session, id)
    if (result instanceof Promise) {
      session.stall = stallBusy
      result.then(
        (reply) => this.answered(session, reply),
        (error: unknown) => {
          this.parts.log.error({ error: String(error) }, 'an answer of the proxy failed')
          this.answered(session, failure('ERR internal error'))
        },
      )
      this.skip(pos)
      return done
    }
    // This was the silent one, unless CLIENT REPLY has set another mode; its errors are as silent as others.
    const isModeSet = session.lastCommand === 'client|reply' && (before !== session.replyMode || result === undefined)
    const isSkipped = before === replySkipNext && !isModeSet
    if (isSkipped) session.replyMode = replyOn
    if (result?.kind === 'messages') {
      // Confirmations of subscriptions are messages: CLIENT REPLY does not silence them (pubsub.c, CLIENT_PUSHING).
      if (this.outPos > 0) this.flushOut(session)
      session.writeOwn(result.bytes)
    } else if (!isSkipped && result !== undefined && session.replyMode === replyOn) {
      return this.local(session, pos, encodeReply(result, session.resp), frame.end)
    }
    this.skip(pos)
    return done
  }

  /** A bug in an answer is the asker's loss, not everybody's. */
  private runBuiltin(builtin: Builtin, args: Buffer[], session: Session, id: number): ReturnType<Builtin['run']> {
    try {
      return builtin.run(args, session, this.parts.host, id)
    } catch (error) {
      this.parts.log.error({ error: String(error) }, 'an answer of the proxy failed')
      return failure('ERR internal error')
    }
  }

  /** An answer that took time; nothing else of this client is in flight. */
  private answered(session: Session, reply: Reply | undefined): void {
    if (session.isClosed) return
    if (reply !== undefined && session.replyMode === replyOn) session.writeOwn(encodeReply(reply, session.resp))
    else if (session.replyMode === replySkipNext) session.replyMode = replyOn
    session.stall = stallNone
    if (session.isEnding) session.endWhenAnswered()
    else session.resume()
  }

  /** A reply of ours takes its place behind everything that is in flight. */
  private local(session: Session, pos: number, bytes: Buffer, next: number): number {
    if (this.runLane !== undefined) {
      this.skip(pos)
      this.splicer.from = next
    }
    if (session.replyMode !== replyOn) {
      if (session.replyMode === replySkipNext) session.replyMode = replyOn
      return done
    }
    if (session.inFlight > 0) {
      if (session.proving !== undefined) {
        session.proving.add(false)
        session.lane!.appendLocal(session.proving, Buffer.from(bytes), this.nowMs)
      } else if (session.held === undefined) session.lane!.appendLocal(session, Buffer.from(bytes), this.nowMs)
      else session.held.local(Buffer.from(bytes), this.nowMs)
      session.localBytes += bytes.length
      session.inFlight++
      return done
    }
    if (this.outPos + bytes.length > this.out.length) this.flushOut(session)
    if (bytes.length > this.out.length) session.writeOwn(bytes)
    else {
      bytes.copy(this.out, this.outPos)
      this.outPos += bytes.length
    }
    return done
  }

  private flushOut(session: Session): void {
    const isHeld = session.writeOwn(this.out.subarray(0, this.outPos))
    this.outPos = 0
    if (isHeld) this.out = Buffer.allocUnsafeSlow(outBytes)
  }

  private refuse(session: Session, pos: number, code: ErrorCode, ...args: (string | number)[]): number {
    this.isRefused = true
    const closes = (errors[code] as { closes?: true }).closes === true
    if (closes) this.wantsEnd = true
    return this.local(session, pos, errorLine(code, ...args), this.frame.end)
  }

  private refuseUnknown(session: Session, pos: number): number {
    this.spoil(session)
    const { frame } = this
    this.isRefused = true
    // As far as a NUL: Redis prints C strings (server.c, commandCheckExistence).
    const text = (i: number, most: number): string =>
      this.buf.toString('latin1', frame.off[i]!, frame.off[i]! + Math.min(frame.len[i]!, most)).split('\0', 1)[0]!
    let args = ''
    for (let i = 1; i < frame.count && args.length < 128; i++) args += `'${text(i, 128 - args.length)}' `
    this.parts.cells.commands.calls[this.parts.cells.commands.other]!++
    const line = errorText('UNKNOWN_COMMAND', text(0, 128), args)
    return this.local(session, pos, Buffer.from(`-${line}\r\n`, 'latin1'), frame.end)
  }

  private refuseUnknownSub(session: Session, pos: number, container: number): number {
    if (this.table.missing[container] === MISSING.lacks) return this.refuseUnknown(session, pos)
    this.spoil(session)
    const { frame } = this
    this.isRefused = true
    const sub = this.buf.toString('latin1', frame.off[1]!, frame.off[1]! + Math.min(frame.len[1]!, 128))
    const line = errorText('UNKNOWN_SUBCOMMAND', sub, this.table.specs[container]!.name.toUpperCase())
    return this.local(session, pos, Buffer.from(`-${line}\r\n`, 'latin1'), frame.end)
  }

  private handleInline(session: Session, pos: number, end: number): number {
    const { frame } = this
    const next = frame.end
    const args = splitInline(this.buf.subarray(frame.off[0]!, frame.off[0]! + frame.len[0]!))
    if (args === undefined) {
      this.parts.cells.protocolErrors.add(['unbalanced_quotes'])
      this.local(session, pos, errorLine('UNBALANCED_QUOTES'), end)
      this.wantsEnd = true
      frame.end = end
      return done
    }
    if (args.length === 0) {
      if (session.replyMode === replySkipNext) session.replyMode = replyOn // to Redis an empty line was a request
      this.skip(pos)
      return done
    }
    // The line becomes an array of bulk strings, and goes the way of all commands, as a run of its own.
    this.admission.settle(session) // its offsets are others
    const head = `*${args.length}\r\n`
    const request = Buffer.concat([
      Buffer.from(head),
      ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n')]),
    ])
    if (session.lane !== undefined && !this.isPrimaryLane(session.lane)) return this.wait(session, stallOrder)
    this.endRun(session, pos)
    const { buf } = this
    this.buf = request
    frame.isUnauthenticated = false // the bounds before AUTH are of arrays; a line has its own
    frame.frame(request, 0, request.length)
    const countFrom = this.countFrom
    this.countFrom = 0
    this.isInline = true
    this.inlineEnd = next
    const step = this.handle(session, 0)
    this.isInline = false
    if (step === done && session.mode !== 0) this.show(session, Number.POSITIVE_INFINITY)
    this.rollbackAt = -1
    if (step === done) this.endRun(session, request.length)
    this.countFrom = countFrom
    this.buf = buf
    frame.end = next
    return step
  }

  // ---- waiting and going on ----

  /** It has as much in flight as it may, by its own bound or by its tenant's. */
  private waitForTurn(session: Session): number {
    if (session.inFlight >= clientCommandsMax || session.lane === undefined) return this.wait(session, stallOrder)
    this.turns.wait(session, session.lane)
    return stalled
  }

  private wait(session: Session, reason: number): number {
    session.stall = reason
    return stalled
  }

  resumeSoon(session: Session): void {
    this.waiting.resumeSoon(session)
  }

  reserve(bytes: number, all: number): boolean {
    return this.bounds.reserve(bytes, all)
  }

  release(bytes: number): void {
    this.bounds.release(bytes)
  }

  outputQueued(session: Session, bytes: number): void {
    this.bounds.outputQueued(session, bytes)
  }

  versionChanged(session: Session): void {
    this.leased.versionChanged(session)
  }

  /** The client is gone, or starts anew (RESET, another tenant's login): nothing of what it had begun may stay. */
  leave(session: Session): void {
    this.quotas.dropped(session, this.parts.now())
    this.leased.leave(session)
    this.tracking.leave(session)
  }

  /** All keys of a tenant were deleted: for clients that cache them. */
  flushed(tenant: string): void {
    this.tracking.flushed(tenant)
  }

  /** CLIENT UNBLOCK: true when it was blocked and is no longer. */
  unblock(session: Session, withError: boolean): Promise<boolean> {
    return this.leased.unblockOnNode(session, withError)
  }

  leaseIdle(session: Session): void {
    if (session.stream !== undefined) this.streams.answered(session)
    if (session.leasedKeys.length > 0) session.leasedKeys = []
    session.hasLeasedWide = false
    this.leased.idle(session)
  }

  upstreamAnswered(session: Session): void {
    this.leased.answered(session)
  }

  heldRepliesOf(session: Session): HeldReplies | undefined {
    const tenant = session.account?.tenant
    const { durability } = this.parts
    if (tenant?.durability === undefined || durability === undefined) return undefined
    return new HeldReplies(session, tenant, durability.line(tenant.durability.replicas))
  }

  closed(session: Session, reason: string): void {
    session.held?.leave()
    this.streams.left(session)
    this.admission.left(session)
    this.secondTries.left(session)
    this.leave(session)
    this.bounds.forget(session)
    this.waiting.forget(session)
    this.parts.sessionClosed(session, reason)
  }

  errorNamed(): void {
    this.parts.cells.errorNames++
  }

  uncertain(session: Session, lane: Lane): void {
    this.parts.cells.uncertain++
    const tenant = session.account?.tenant
    if (tenant === undefined) return
    tenant.cells.fail(Kind.write, Outcome.uncertain)
    this.unsettled.add(tenant, lane)
  }
}

/** Perhaps only for its tenant. */
function isTooLarge(error: ErrorCode): boolean {
  return error === 'BULK_LENGTH' || error === 'TOO_BIG_REQUEST'
}

/** May a read of this client be strong, by its connection, its user or a rule of its key? */
function mayBeStrong(session: Session, account: SessionAccount): boolean {
  return account.hasStrongReads || session.level === LEVEL.strong
}

/** The servers' database that holds this client's keys. */
function databaseOf(session: Session): number {
  return session.account?.tenant?.database ?? 0
}

/** Connections of another database than its tenant's are never its. */
function isOwnLane(session: Session, lane: Lane): boolean {
  return lane.database === databaseOf(session)
}

function errorLine(code: ErrorCode, ...args: (string | number)[]): Buffer {
  return Buffer.from(`-${errorText(code, ...args)}\r\n`, 'latin1')
}
