/**
 * One client connection: its socket, who it is, what it has in flight, what of its bytes is not parsed yet.
 * What a command means is decided in request-path.ts; here bytes come in, replies go out, and both are bounded.
 *
 *   socket -> slab (or pending) -> RequestPath.consume -> lane
 *   socket <- onReply (views of the lane's buffer), local replies
 *
 * ~ a window: writes to its socket.
 */
import type { Socket } from 'node:net'
import { errorText } from '../base/errors.ts'
import {
  clientFrontBytes,
  clientOutputHardBytes,
  clientOutputSoftBytes,
  clientOutputSoftMs,
  lingerMs,
  unauthOutputBytesMax,
} from '../base/limits.ts'
import { Kind, Outcome } from '../metrics/cells.ts'
import type { Traffic } from '../quota/tenant-quota.ts'
import type { Node } from '../regions/node.ts'
import type { TenantRules } from '../routing/rules.ts'
import { type Account, openUse } from '../tenant/account.ts'
import type { Lane, ReplySink } from '../upstream/lane.ts'
import type { Lease } from '../upstream/leases.ts'
import { formatAddress } from './address.ts'
import type { HeldReplies } from './held-replies.ts'
import type { ProvenReplies } from './proven-replies.ts'
import type { QuotaWait } from './quota-lines.ts'
import type { RequestStream } from './request-stream.ts'
import type { Subscriber } from './subscriptions.ts'
import type { Tracking } from './tracking.ts'
import type { Transaction } from './transaction.ts'
import type { Share } from './turns.ts'

/** Of a client without a tenant. None of its commands names a key; did one, by a mistake of ours, it would be nobody's key. */
const nobodysPrefix = Buffer.from('regis:nobody:')

/** Why a client's bytes are not being parsed. */
export const stallNone = 0
/** A command must wait until nothing of this client is in flight. */
export const stallOrder = 1
/** A lane is full. */
export const stallRoom = 2
/** No node can take the command now; it waits until `stallUntilMs`. */
export const stallNode = 3
/** The proxy itself is working on an answer (a password is being checked). */
export const stallBusy = 4
/** The client does not read its replies. */
export const stallOutput = 5
/** Its tenant's, or its user's, quota is used up for the moment (session/quota-lines.ts). */
export const stallQuota = 6
/** An operator has paused the tenant (session/pauses.ts). */
export const stallPaused = 7
/** The event loop is saturated, mostly by its tenant (session/overload.ts). */
export const stallShed = 8
/** Its tenant has had its part, of a lane or of this turn (turns.ts). */
export const stallTurn = 10

export const replyOn = 0
export const replyOff = 1
/** CLIENT REPLY SKIP was just given: the next command is silent. */
export const replySkipNext = 2
const replyModes = 3
/** In `unusualReplies`: they go through `held`. */
const repliesHeld = 4
/** The same: they go through `proving`. */
const repliesProven = 8

/** Bits of `mode`: what makes a connection unlike others. Commands of a connection without any take the short way. */
/** Between MULTI and EXEC: commands are queued. */
export const modeMulti = 1
/** A leased upstream connection holds state of this client (WATCH, CLIENT TRACKING): its commands travel there. */
export const modePinned = 2
/** Has subscriptions. On RESP2 it may send nothing but what concerns them. */
export const modeSubscriber = 4
/** Its leased connection tracks the keys that it reads (CLIENT TRACKING). */
export const modeTracking = 16
/** Is shown the commands of its tenant (MONITOR). */
export const modeMonitor = 8
/** Whether its replies are held is decided anew before its next command: `durability` of its tenant has changed. */
export const modeRenew = 32
/** Somebody of its tenant is in MONITOR: its commands are shown. */
export const modeShown = 64

const nothingWaits: Buffer[] = []
const noKeys: number[] = []

/** What Node keeps for one piece of waiting output: the Buffer, its store, the entry of the queue. */
const queuedWriteBytes = 256

/** What a command between MULTI and EXEC, and a subscription, cost besides their bytes. */
const queuedCommandBytes = 256
const subscriptionBytes = 300

/** What a session needs of the proxy. */
export interface SessionHost {
  /** Parses [pos, end) of `buf`; returns one past the bytes consumed. */
  consume(session: Session, buf: Buffer, pos: number, end: number): number
  /** The session stalled and its reason is over: parse on as soon as the stack is empty. */
  resumeSoon(session: Session): void
  /** The first mark that was not yet sent: the position of whatever is answered now. */
  readonly marks: { readonly nextSeq: number }
  readonly nodes: readonly Node[]
  now(): number
  closed(session: Session, reason: string): void
  /** Nothing of a client that holds a lease is in flight any more. */
  leaseIdle(session: Session): void
  /** All of this client's commands were answered; some of the replies are held. */
  upstreamAnswered(session: Session): void
  /** What holds its replies until its writes are on replicas; undefined: nothing does. */
  heldRepliesOf(session: Session): HeldReplies | undefined
  /** An error text that we let pass as it was quotes the tenant's prefix: a name, or a value that looks like one. */
  errorNamed(): void
  /** A write on a connection of its own, which carries no marks, was answered. */
  answeredOnLease(session: Session): void
  /** A write of this tenant is of unknown fate on that lane. */
  uncertain(session: Session, lane: Lane): void
  readonly slab: Buffer
  readonly readAt: number
  readonly maxRequestBytes: number
  /** Memory of unfinished requests, all clients together; `all`: this one's with them. False: no more, nothing was taken. */
  reserve(bytes: number, all: number): boolean
  release(bytes: number): void
  /** This client's socket was given more while it still held some: all clients' unread output together is bounded. */
  outputQueued(session: Session, bytes: number): void
}

export type SessionAccount = Account<TenantRules>

export class Session implements ReplySink {
  readonly id: number
  readonly socket: Socket
  readonly host: SessionHost
  readonly openedAtMs: number
  /** Which of several nodes that are equally near it reads from: scattered, since programs open connections in pairs. */
  readonly turn: number
  remote = ''
  isClosed = false
  /** Who it is; set by `enter` alone. */
  account: SessionAccount | undefined
  /** The database that it has selected, and what its keys begin with upstream: the one place that says so. */
  database = 0
  prefix: Buffer = nobodysPrefix
  resp: 2 | 3 = 2
  name = ''
  libName = ''
  libVer = ''
  /** One test for all that may be unusual about what becomes of replies: `replyMode`, and whether they are held. */
  unusualReplies = 0
  /** Between the lanes and this session, for tenants with `durability`; its commands are sent in that sink's name. */
  held: HeldReplies | undefined
  /** What is unusual about it: bits `mode...`, 0 for nearly all. */
  mode = 0
  /** Its subscriptions; undefined: none. */
  subscriber: Subscriber | undefined
  /** Level code set on this connection, or -1. */
  level = -1
  /** Since when it has been without a login; looked at while it is. */
  unauthSinceMs: number
  /** Of all bytes it has sent, so many are of commands that were admitted: none is charged twice (src/admission.ts). */
  admittedTo = 0
  /** Its place among those that wait for a quota; undefined: it does not. */
  quotaWait: QuotaWait | undefined
  /** All that it had sent up to this byte waits for a quota until then at most, ms; what came later has a time of its own. */
  quotaDelayTo = 0
  quotaDelayUntilMs = 0
  /** It is in the middle of a request that is not kept (src/stream-path.ts). */
  stream: RequestStream | undefined
  /** Which of its bytes began the last such request that its tenant's gates have let through. */
  streamAt = -1
  /** Commands taken, for CLIENT INFO and idle times. */
  commands = 0
  lastCommand = ''
  lastActiveMs: number

  /** Where this client's commands are; undefined while nothing is in flight. */
  lane: Lane | undefined
  inFlight = 0
  /** In whose account its commands are on their way, on the shared lane that it used last. */
  use: Share | undefined
  /** Its last chunk had reads with a write behind them: see `lookAhead` in request-path.ts. */
  isMixing = false
  /** Of our own replies among them. */
  localBytes = 0
  /** An upstream connection of its own, while it needs one: see leased-path.ts. It may not be ready yet. */
  lease: Lease | undefined
  /** CLIENT TRACKING is on. */
  tracking: Tracking | undefined
  /** CLIENT CACHING was given for the next command. */
  isCachingNext = false
  /** A command of it waits on the server for something to happen. */
  isBlocked = false
  /** Which command that is. */
  blockedId = -1
  /** The connection on which it watched keys is lost: its next EXEC fails as if one had changed. */
  hasLostWatch = false
  /** Between MULTI and EXEC. */
  transaction: Transaction | undefined
  /** The reads on that lane are fallbacks that `routing.fallback_limit` counts. */
  isLimited = false
  /** Why reads are on that lane and not on a nearer one: regions and reason as request-path packs them; -1: no fallback. */
  fallback = -1
  /** Monotonic reads: who answered last, and the position of what was seen. */
  lastNode = -1
  lastIncarnation = 0
  /** In which incarnation of its node the lane was taken that its commands are on. */
  sentIncarnation = 0
  seen = 0
  seenSlot = -1
  seenTrail = 0
  seenAtMs = Number.NEGATIVE_INFINITY
  /** Writes in flight on its lease: the hashes of their keys, two numbers each; whether there are others, of unknown keys. */
  leasedKeys: number[] = noKeys
  hasLeasedWide = false
  /** A strong read waits for this mark, which was not sent when it came; 0: none does. For so many bytes from there on it holds, */
  readIndex = 0
  readIndexBytes = 0
  /** then the nearest replica should have shown it, and until then any may. */
  readIndexMs = 0
  readIndexUntilMs = 0
  /** Its reads must see what this mark covers (PROXY AFTER); 0: nothing. */
  after = 0
  /** A read waits until then for a mark that is due, rather than travel to the primary; 0: none does. */
  markWaitUntilMs = 0
  /** Until when the read at the head gives a replica its time (`when_stale: wait`); 0: it does not. */
  staleUntilMs = 0

  stall = stallNone
  stallUntilMs = 0
  /** Until then a command that finds no node fails at once: its predecessor has waited already. */
  noWaitUntilMs = 0
  /** No command after this one is parsed. */
  isEnding = false
  /** The client has sent FIN. */
  isHalfClosed = false
  /** What it sends from now on is thrown away. */
  private isDeaf = false
  /** Fewest bytes, from the start of what is pending, that can make a command. */
  need = 0
  /** When the pending half frame began; 0: none. */
  halfFrameSinceMs = 0
  bytesIn = 0
  bytesOut = 0
  /** Of one request and of one argument. */
  requestBytesMax: number
  /** Its user's, who has quotas of its own; undefined for most. */
  userTraffic: Traffic | undefined

  private pending: Buffer | undefined
  private pendingSize = 0
  private isPaused = false
  private outputSinceMs = 0
  /** A connection of its own that is not read, because this client does not read; and since when it has read nothing. */
  private heldLane: Lane | undefined
  private heldBackSinceMs = 0
  private proven: ProvenReplies | undefined
  /** Of the reply under way, and of the largest one since the socket last held nothing. */
  private partialBytes = 0
  private largestReplyBytes = 0
  /** Pieces that the socket holds behind the first. */
  private queuedWrites = 0
  private isDraining = false
  /** The proxy is going, and waits for this client's EXEC, or for the end of its request. */
  private isDrainingMulti = false
  /** What was written last is the beginning of a reply. */
  private isMidReply = false
  /** Messages that wait for the end of that reply, or of the read that brought them; the shared empty list when none do. */
  private pushes: Buffer[] = nothingWaits
  private pushBytes = 0

  constructor(id: number, socket: Socket, host: SessionHost, nowMs: number) {
    this.id = id
    this.socket = socket
    this.host = host
    this.openedAtMs = nowMs
    this.turn = Math.imul(id, 0x9e3779b1) >>> 8
    this.unauthSinceMs = nowMs
    this.lastActiveMs = nowMs
    this.requestBytesMax = host.maxRequestBytes
  }

  /** A login, or none. The same tenant's keeps the database, as AUTH does in Redis; another one's begins at 0. */
  enter(account: SessionAccount | undefined): void {
    const isSame = account !== undefined && account.tenant === this.account?.tenant
    this.account = account
    if (!isSame) this.after = 0
    this.select(isSame ? this.database : 0)
    this.limitsChanged()
    if (!isSame) this.rehold()
  }

  /** Whether its writes are held until replicas have them. Nothing of it is in flight. */
  rehold(): void {
    this.mode &= ~modeRenew
    this.held?.leave()
    this.held = this.host.heldRepliesOf(this)
    this.unusualReplies = this.replyMode | (this.held === undefined ? 0 : repliesHeld)
  }

  /** What its tenant or its user may use is other than it was. */
  limitsChanged(): void {
    const { account, host } = this
    const limits = account?.tenant?.limits
    this.requestBytesMax = Math.min(host.maxRequestBytes, limits?.maxRequestBytes ?? host.maxRequestBytes)
    this.userTraffic = account?.limits === undefined ? undefined : openUse(account, host.now())?.traffic
  }

  get replyMode(): number {
    return this.unusualReplies & replyModes
  }

  set replyMode(mode: number) {
    this.unusualReplies = (this.unusualReplies & ~replyModes) | mode
  }

  /** Between the lanes and `held` or this session while strong reads are in flight at the primary. */
  get proving(): ProvenReplies | undefined {
    return this.proven
  }

  set proving(proven: ProvenReplies | undefined) {
    this.proven = proven
    this.unusualReplies = (this.unusualReplies & ~repliesProven) | (proven === undefined ? 0 : repliesProven)
  }

  /** Our end of its connection: a system call, made when somebody wants to know. */
  get local(): string {
    return formatAddress(this.socket.localAddress, this.socket.localPort)
  }

  /** In whose name its commands are sent. */
  get sink(): ReplySink {
    return this.proven ?? this.held ?? this
  }

  /** SELECT of a database that the tenant has. What is in flight keeps the prefix it was sent with. */
  select(database: number): void {
    this.database = database
    this.prefix = this.account?.tenant?.prefixes[database] ?? nobodysPrefix
  }

  /** Unread output with what each waiting piece costs besides its bytes: thousands of tiny replies are not tiny. */
  get outputBytes(): number {
    return this.socket.writableLength + this.queuedWrites * queuedWriteBytes + (this.held?.bytes ?? 0)
  }

  /** All that this client has the proxy keep, bytes: requests, replies, messages, transactions, names of subscriptions. */
  get heldBytes(): number {
    const { transaction, subscriber, lane } = this
    let bytes = (this.pending?.length ?? 0) + this.outputBytes + this.pushBytes + (this.stream?.bytes ?? 0)
    if (lane !== undefined) bytes += lane.collectedFor(this.sink)
    if (transaction !== undefined) bytes += transaction.bytes + transaction.queued.length * queuedCommandBytes
    if (subscriber !== undefined)
      bytes += (subscriber.c.size + subscriber.p.size + subscriber.s.size) * subscriptionBytes
    return bytes
  }

  get pendingBytes(): number {
    return this.pendingSize
  }

  /** True while no further command may be parsed. */
  get isStopped(): boolean {
    return this.stall !== stallNone || this.isEnding || this.isClosed
  }

  // ---- bytes in ----

  /** `nread` bytes were read into the slab at `readAt`. */
  onRead(nread: number): void {
    const readAt = this.host.readAt
    if (this.account !== undefined && this.account.tenant !== undefined) this.account.tenant.cells.bytesIn += nread
    if (this.isEnding || this.isClosed || this.isDeaf) return
    this.bytesIn += nread // not what is thrown away: what was admitted is known by its place among these bytes
    if (this.pending === undefined) {
      if (this.stall === stallNone) this.parse(this.host.slab, readAt, readAt + nread)
      else this.keep(this.host.slab, readAt, readAt + nread)
      return
    }
    const size = this.pendingSize
    if (this.stall === stallNone && size + nread >= this.need && size <= clientFrontBytes) {
      this.pending.copy(this.host.slab, readAt - size, 0, size)
      this.dropPending()
      this.parse(this.host.slab, readAt - size, readAt + nread)
      return
    }
    this.keep(this.host.slab, readAt, readAt + nread)
    if (this.stall === stallNone && this.pendingSize >= this.need) this.parsePending()
  }

  /** Goes on after a stall, with what has gathered meanwhile. */
  resume(): void {
    if (this.isClosed || this.isEnding || this.stall !== stallNone) return
    this.parsePending()
    if (this.stream !== undefined || this.isPaused) this.pace()
    this.afterProgress()
  }

  private parse(buf: Buffer, pos: number, end: number): void {
    const consumed = this.host.consume(this, buf, pos, end)
    if (this.isClosed) return
    if (consumed < end && !this.isEnding) this.keep(buf, consumed, end)
    if (consumed > pos || this.halfFrameSinceMs === 0) this.halfFrameSinceMs = consumed < end ? this.host.now() : 0
    if (this.stream !== undefined) this.pace()
    if (this.isHalfClosed) this.afterProgress()
  }

  /** In the middle of a request that is not kept: the client is read as fast as its server reads, and must not fall silent. */
  private pace(): void {
    if (this.isClosed) return
    if (this.stream !== undefined) this.halfFrameSinceMs = this.stall === stallNone ? this.host.now() : 0
    this.applyPause()
  }

  private parsePending(): void {
    const buf = this.pending
    if (buf === undefined) return
    const size = this.pendingSize
    const consumed = this.host.consume(this, buf, 0, size)
    if (this.isClosed) return
    if (consumed === size || this.isEnding) {
      this.dropPending()
      this.halfFrameSinceMs = 0
    } else if (consumed > 0 && this.stall !== stallNone && buf.length <= 4 * clientFrontBytes) {
      // It will go on with these very bytes, perhaps a command at a time.
      this.halfFrameSinceMs = this.host.now()
      buf.copyWithin(0, consumed, size)
      this.pendingSize = size - consumed
    } else if (consumed > 0) {
      this.halfFrameSinceMs = this.host.now()
      const need = this.need
      this.dropPending()
      this.need = need
      this.keep(buf, consumed, size)
    }
    this.applyPause()
  }

  /** Copies bytes behind what is pending; grows by doubling what was received, never by what a header announced. */
  private keep(buf: Buffer, pos: number, end: number): void {
    const size = end - pos
    if (this.pending === undefined) {
      if (!this.host.reserve(size, size)) return this.overload()
      this.pending = Buffer.allocUnsafe(size)
      this.pendingSize = 0
    } else if (this.pendingSize + size > this.pending.length) {
      const wanted = Math.min(2 * this.pending.length, Math.max(this.need, 4096))
      const capacity = Math.max(this.pendingSize + size, wanted)
      if (!this.host.reserve(capacity - this.pending.length, capacity)) return this.overload()
      const grown = Buffer.allocUnsafeSlow(capacity)
      this.pending.copy(grown, 0, 0, this.pendingSize)
      this.pending = grown
    }
    buf.copy(this.pending, this.pendingSize, pos, end)
    this.pendingSize += size
    this.applyPause()
  }

  private dropPending(): void {
    if (this.pending !== undefined) this.host.release(this.pending.length)
    this.pending = undefined
    this.pendingSize = 0
    this.need = 0
  }

  /** Unfinished requests have used up the memory they may have: this one cannot be taken. */
  private overload(): void {
    if (this.inFlight === 0) this.writeOwn(Buffer.from(`-${errorText('OVERLOADED')}\r\n`))
    this.endWhenAnswered()
  }

  /** A stalled client is read on until a chunk's worth is waiting, then left alone. */
  private applyPause(): void {
    const wantsPause = this.stall !== stallNone && (this.pendingSize >= clientFrontBytes || this.stream !== undefined)
    if (wantsPause === this.isPaused || this.isClosed) return
    this.isPaused = wantsPause
    if (wantsPause) this.socket.pause()
    else this.socket.resume()
  }

  // ---- replies out ----

  onReply(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean {
    this.noteAnswer(view, hasWrite, lane)
    this.inFlight -= completed
    const socket = this.socket
    this.noteOut(view.length)
    if (completed > 0) this.partialBytes = 0
    else {
      this.partialBytes += view.length
      if (this.partialBytes > this.largestReplyBytes) this.largestReplyBytes = this.partialBytes
    }
    const isHeld = this.send(view)
    this.isMidReply = lane.isHeadPartial
    if (this.pushes !== nothingWaits) this.flushPushes()
    if (this.inFlight === 0) this.onIdle()
    if (socket.writableLength > 0) {
      // Of less than that the socket would never say that it has drained.
      if (lane.isLeased && this.inFlight > 0 && socket.writableNeedDrain) this.holdBack(lane)
      this.onSlowReader()
    }
    return isHeld
  }

  /** The connection that these replies come on is this client's alone: it is read as fast as the client reads. */
  private holdBack(lane: Lane): void {
    if (this.heldLane !== undefined) return
    this.heldLane = lane
    this.heldBackSinceMs = this.host.now()
    lane.pauseReading()
    this.socket.once('drain', () => {
      if (this.heldLane === lane) this.letGo(true)
    })
  }

  private letGo(isRead: boolean): void {
    const { heldLane } = this
    this.heldLane = undefined
    this.heldBackSinceMs = 0
    heldLane?.resumeReading(isRead)
  }

  /** Replies that were held (`noteAnswer` was called for each), with `completed` ends in them. */
  give(bytes: Buffer, completed: number, isMidReply: boolean): void {
    if (this.isClosed) return
    this.inFlight -= completed
    this.noteOut(bytes.length)
    this.send(bytes)
    this.isMidReply = isMidReply
    if (this.pushes !== nothingWaits) this.flushPushes()
    if (this.inFlight === 0) this.onIdle()
    if (this.socket.writableLength > 0) this.onSlowReader()
  }

  private noteOut(bytes: number): void {
    this.bytesOut += bytes
    const tenant = this.account?.tenant
    if (tenant !== undefined) tenant.cells.bytesOut += bytes
    if (this.userTraffic !== undefined) this.userTraffic.bytesOut += bytes
  }

  /** Whether the reply that is due now is not wanted; uses up CLIENT REPLY SKIP. */
  takeSilence(): boolean {
    if (this.replyMode === replyOn) return false
    if (this.replyMode === replySkipNext) this.replyMode = replyOn
    return true
  }

  // ---- messages ----

  /** A message for this client, in bytes that others may share. True: the first that waits, so `flushPushes` is due. */
  push(bytes: Buffer): boolean {
    if (this.isClosed) return false
    const isFirst = this.pushes === nothingWaits
    if (isFirst) this.pushes = []
    this.pushes.push(bytes)
    this.pushBytes += bytes.length + queuedWriteBytes
    // Behind a reply that does not end they are unread output like any other.
    if (this.pushBytes > clientOutputHardBytes + bytes.length) this.destroy('output limit')
    return isFirst
  }

  /** Writes the messages that wait, unless a reply is half delivered. */
  flushPushes(): void {
    const { pushes, socket } = this
    if (pushes === nothingWaits || this.isMidReply || this.isClosed) return
    this.dropPushes()
    if (socket.writableLength === 0) this.largestReplyBytes = this.partialBytes
    let written = 0
    // One write to the kernel, however many there are; none is copied.
    if (pushes.length > 1) socket.cork()
    for (const bytes of pushes) {
      written += bytes.length
      if (bytes.length > this.largestReplyBytes) this.largestReplyBytes = bytes.length
      if (socket.writableLength === 0) socket.write(bytes)
      else {
        this.queuedWrites++
        socket.write(bytes, this.onQueuedWritten)
      }
    }
    if (pushes.length > 1) socket.uncork()
    this.noteOut(written)
    if (socket.writableLength > 0) {
      this.host.outputQueued(this, written)
      if (!this.isClosed) this.onSlowReader()
    }
  }

  /** What has not been written is for nobody any more: the client is another tenant's now. */
  dropPushes(): void {
    this.pushes = nothingWaits
    this.pushBytes = 0
  }

  private readonly onQueuedWritten = (): void => {
    this.queuedWrites--
  }

  /**
   * Gives bytes to the socket; true: it still holds the very view. Behind others that wait it is given a copy: views of
   * a few bytes would each hold a whole read buffer.
   */
  private send(view: Uint8Array): boolean {
    const { socket } = this
    // Whole replies come in one piece where they had to be collected.
    if (view.length > this.largestReplyBytes) this.largestReplyBytes = view.length
    if (socket.writableLength > 0) {
      this.queuedWrites++
      socket.write(Buffer.from(view), this.onQueuedWritten)
      this.host.outputQueued(this, view.length)
      return false
    }
    this.largestReplyBytes = Math.max(this.partialBytes, view.length)
    socket.write(view)
    return socket.writableLength > 0
  }

  onSwallowed(completed: number, hasWrite: boolean, lane: Lane): void {
    this.noteAnswer(undefined, hasWrite, lane)
    this.inFlight -= completed
    if (this.inFlight === 0) this.onIdle()
  }

  onErrorReply(code: string, isWrite: boolean, text?: Buffer): void {
    // The server has become a replica: such a client it closes (blocked.c, disconnectOrRedirectAllBlockedClients).
    if (code === 'UNBLOCKED' && text?.includes('force unblock') === true) this.endWhenAnswered()
    const tenant = this.account?.tenant
    if (tenant === undefined) return
    tenant.cells.fail(isWrite ? Kind.write : Kind.read, Outcome.error)
    if (text?.includes(tenant.quotedPrefix) === true) this.host.errorNamed()
  }

  onUncertain(lane: Lane): void {
    this.host.uncertain(this, lane)
  }

  onTruncated(): void {
    this.destroy('upstream lost in the middle of a reply')
  }

  onLateWrite(lane: Lane): void {
    // On a shared lane its fences stand since it was sent.
    if (lane.isLeased) this.host.answeredOnLease(this)
  }

  /**
   * Anything read now is covered by the first mark not yet sent, and binds this connection. What a write's +OK tells is that
   * it was done, which its keys' fences say already (request-path.ts): nothing was read.
   */
  noteAnswer(view: Uint8Array | undefined, hasWrite: boolean, lane: Lane): void {
    if (hasWrite) {
      if (lane.isLeased) this.host.answeredOnLease(this)
      if (view !== undefined && isOk(view)) return
    }
    const next = this.host.marks.nextSeq
    // Reads below `session` go to nodes that may lack what was seen before: such a one must prove itself again.
    const node = this.host.nodes[lane.nodeIndex]!
    const isSame = node.index === this.lastNode && node.incarnation === this.lastIncarnation
    const hasAll = isSame || lane.isPrimary || node.covers(this.seen, this.seenSlot, this.seenTrail)
    this.seen = next
    // Only the primary's own lanes carry marks.
    this.seenSlot = lane.isPrimary ? lane.index : -1
    this.seenTrail = lane.replyTrail
    this.seenAtMs = lane.lastReceivedAtMs
    // What was read before the node began anew says nothing of what it holds now.
    this.lastNode = hasAll && node.incarnation === this.sentIncarnation ? node.index : -1
    this.lastIncarnation = node.incarnation
  }

  /** The proxy has read something for it at this node, which has been in that incarnation all the time. */
  noteRead(node: Node, incarnation: number): void {
    const next = this.host.marks.nextSeq
    const isSame = node.index === this.lastNode && incarnation === this.lastIncarnation
    const hasAll = isSame || node.role === 'primary' || node.covers(this.seen, this.seenSlot, this.seenTrail)
    this.seen = next
    this.seenSlot = -1
    this.seenAtMs = this.host.now()
    this.lastNode = hasAll && node.incarnation === incarnation ? node.index : -1
    this.lastIncarnation = incarnation
  }

  private onIdle(): void {
    if (this.heldLane !== undefined) this.letGo(false) // it is somebody else's next
    this.lane = undefined
    this.localBytes = 0
    if (this.lease !== undefined) this.host.leaseIdle(this)
    if (this.stall === stallOrder && !this.isEnding) this.host.resumeSoon(this)
    else if (this.isEnding || this.isHalfClosed || this.isDrainingMulti) this.afterProgress()
  }

  /** Bytes of the proxy's own, with nothing in flight before them. */
  writeOwn(bytes: Buffer): boolean {
    if (this.isClosed) return false
    if (this.pushes !== nothingWaits) this.flushPushes() // they came before
    this.noteOut(bytes.length)
    const isHeld = this.send(bytes)
    if (this.socket.writableLength > 0) this.onSlowReader()
    return isHeld
  }

  /** The socket holds bytes that the client does not read. */
  private onSlowReader(): void {
    const waiting = this.outputBytes
    const nowMs = this.host.now()
    if (this.account === undefined && waiting > unauthOutputBytesMax)
      return this.destroy('unauthenticated client does not read')
    // One reply may be of any size, or large values could never be read over a slow link; several may not.
    if (waiting > clientOutputHardBytes + this.largestReplyBytes) return this.destroy('output limit')
    if (waiting <= clientOutputSoftBytes) {
      this.outputSinceMs = 0
      return
    }
    if (this.outputSinceMs === 0) this.outputSinceMs = nowMs
    else if (nowMs - this.outputSinceMs > clientOutputSoftMs) return this.destroy('output limit')
    if (this.stall === stallNone) this.stall = stallOutput
    if (!this.isDraining) {
      this.isDraining = true
      this.socket.once('drain', () => {
        this.isDraining = false
        this.outputSinceMs = 0
        if (this.stall === stallOutput) this.host.resumeSoon(this)
      })
    }
  }

  /** Over the soft limit for too long? Looked at by the proxy's ticker, since a client that never reads triggers nothing. */
  isOutputOverdue(nowMs: number): boolean {
    if (this.heldBackSinceMs !== 0 && nowMs - this.heldBackSinceMs > clientOutputSoftMs) return true
    if (this.outputBytes <= clientOutputSoftBytes) this.outputSinceMs = 0 // it reads, if slowly
    return this.outputSinceMs !== 0 && nowMs - this.outputSinceMs > clientOutputSoftMs
  }

  // ---- end ----

  /** The client has sent FIN: everything it asked for is still answered. */
  onHalfClosed(): void {
    this.isHalfClosed = true
    // Nobody is there for the element that might come: it must not be taken (as Redis does, which closes such a client).
    if (this.isBlocked) return this.destroy('left while blocked')
    this.afterProgress()
  }

  /** No further commands; the socket ends when everything in flight is answered. */
  endWhenAnswered(): void {
    if (this.stream?.lane !== undefined) return this.destroy('ended in the middle of a request')
    this.isEnding = true
    this.dropPending()
    this.afterProgress()
  }

  /** Its login is no more: what is in flight is answered, then the connection ends. None of its commands is taken any more. */
  expel(): void {
    if (this.isClosed) return
    this.dropPending()
    if (this.isBlocked) {
      if (this.inFlight === 1) this.writeOwn(Buffer.from(`-${errorText('UNBLOCKED')}\r\n`))
      return this.finish('login removed')
    }
    if (this.stall !== stallBusy) return this.endWhenAnswered()
    // The proxy itself is about to answer it.
    this.isHalfClosed = true
    this.isDeaf = true
  }

  /** The proxy is going: what was received whole is answered, then the connection ends. */
  drain(): void {
    if (this.isClosed) return
    if (this.isBlocked) {
      // With more in flight than what blocks, whose reply this would be taken for is not known.
      if (this.inFlight === 1) this.writeOwn(Buffer.from(`-${errorText('UNBLOCKED')}\r\n`))
      return this.finish('end')
    }
    // What was begun may be ended, a transaction or a request, within the time that is left.
    if (this.stream?.lane !== undefined || ((this.mode & modeMulti) !== 0 && this.stall === stallNone)) {
      this.isDrainingMulti = true
      return
    }
    if (this.stall === stallNone) return this.endWhenAnswered()
    // As if the client had no more to say, though it may go on talking.
    this.isHalfClosed = true
    this.isDeaf = true
  }

  private afterProgress(): void {
    if (this.isClosed) return
    if (this.isHalfClosed && this.stream?.lane !== undefined && this.stall === stallNone && this.pendingSize === 0)
      return this.destroy('left in the middle of a request')
    if (this.inFlight > 0) return
    if (this.isDrainingMulti && (this.mode & modeMulti) === 0 && this.stream?.lane === undefined) this.isEnding = true
    if (this.isEnding || (this.isHalfClosed && this.stall === stallNone)) this.finish('end')
  }

  private finish(reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.dropPending()
    const { socket } = this
    if (socket.readableEnded && socket.writableLength === 0 && !isTls(socket)) {
      // It has said all that it will, and the kernel has all that it is told: nothing is left to wait for.
      socket.destroy()
    } else {
      // Read on and throw away: an end with unread input would be a reset, which takes replies with it.
      if (this.isPaused) socket.resume()
      socket.end()
      lingerBriefly(socket)
    }
    this.host.closed(this, reason)
  }

  /** At once, without a word. */
  destroy(reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.dropPending()
    this.socket.destroy()
    this.host.closed(this, reason)
  }
}

function isTls(socket: Socket): boolean {
  return (socket as { readonly encrypted?: boolean }).encrypted === true
}

/** A reply that tells nothing but that something was done; no read is answered so. */
function isOk(view: Uint8Array): boolean {
  return view.length === 5 && view[0] === 0x2b && view[1] === 0x4f && view[2] === 0x4b
}

/**
 * A peer that never closes its side would hold the socket for ever, and so would one that goes on talking or reads a
 * byte now and then: silence is not enough to tell, and nobody counts this connection any more.
 */
export function lingerBriefly(socket: Socket, ms = lingerMs): void {
  const destroy = (): void => {
    socket.destroy()
  }
  socket.setTimeout(ms, destroy)
  let limit = setTimeout(destroy, clientOutputSoftMs).unref()
  socket.once('finish', () => {
    clearTimeout(limit)
    limit = setTimeout(destroy, ms).unref()
  })
  socket.once('close', () => clearTimeout(limit))
}
