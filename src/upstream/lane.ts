/**
 * One shared connection to one node: what was sent and not yet answered, in order, and the bytes on their way out.
 *
 *   append -> arena (half a | half b) --flush, once a turn--> socket
 *   ring:  head -> [sink, count, kind] [sink, count, kind] ... <- tail     one entry a run, not one a command
 *   flags: one byte a command (write or not), so that after a loss each command gets the answer that is true for it
 *
 * One request = one place in the ring = one reply. A place is never removed: when its client is gone the reply is
 * swallowed. Any doubt (a reply nobody asked for, a bad frame, silence) destroys the connection and fails all places;
 * nothing is re-synchronised and nothing is sent again.
 */
import { assert } from '../base/assert.ts'
import { errorText } from '../base/errors.ts'
import {
  arenaHalfBytes,
  clientFrontBytes,
  clientReadBytes,
  collectedReplyBytesMax,
  cutRunBytesMax,
  earlyFlushBytes,
  errorTextBytesMax,
  journalBytes,
  laneCommandsMax,
  largeReplyBytes,
  pushBytesMax,
  sharedTransactionCommandsMax,
} from '../base/limits.ts'
import type { Histogram } from '../metrics/counters.ts'
import { encodeRequest } from '../resp/encode.ts'
import { ReplyFramer, replyBroken, replyMore } from '../resp/reply-framer.ts'
import type { Journal } from './journal.ts'
import { LaneUse } from './lane-use.ts'

/** What an entry of the ring does with its replies. */
export const kindPass = 0
/** Read and thrown away: the client asked for no replies. */
export const kindSwallow = 1
/** A reply of the proxy itself that had to wait for its turn. */
export const kindLocal = 2
/** Collected whole, then handed to the entry's function: replies with names in them, and the proxy's own requests. */
export const kindCollect = 3

/** Who gets replies: a client's session. Methods are called in the order of the requests. */
export interface ReplySink {
  isClosed: boolean
  /** In whose account its commands are on their way; undefined: nobody's. */
  readonly use?: LaneUse | undefined
  /**
   * Bytes for the client. `completed` requests are answered by the end of `view` (0: part of a reply). The view is of
   * the lane's read buffer: true means the socket still holds it, so the buffer must not be used again.
   */
  onReply(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean
  /** `completed` requests were answered and nothing is to be written. */
  onSwallowed(completed: number, hasWrite: boolean, lane: Lane): void
  /** An error reply of the node passed by; `code` is its first word, `text` its beginning where nobody else looks at it. */
  onErrorReply(code: string, isWrite: boolean, text?: Buffer): void
  /** A write of this client was sent on `lane` and its reply is lost. */
  onUncertain(lane: Lane): void
  /** A reply was cut in the middle: nothing can follow on this connection. */
  onTruncated(): void
  /** The client is gone, but a write of it was answered just now: the rest of its tenant must be able to see it. */
  onLateWrite(lane: Lane): void
}

/** The socket side. `write` returns true when the kernel took all; else the view stays the socket's until `done`. */
export interface LanePort {
  write(view: Uint8Array, done: () => void): boolean
  /** Bytes that the socket still holds. */
  pendingBytes(): number
  /** Nothing is read until it is told to go on. Of leased connections. */
  setPaused?(isPaused: boolean): void
  destroy(reason: string): void
}

export type CollectHandler = (reply: Buffer | undefined) => void

/** What a whole reply becomes for the client; undefined: the isolation check failed and nothing may be delivered. */
export type Transform = (reply: Buffer) => Buffer | undefined

/** One command, or one reply of the proxy's own, that was waiting in the ring. */
export interface Place {
  readonly kind: number
  readonly isWrite: boolean
  /** Answered, the tenant's reads must see it. */
  readonly fences: boolean
  /** Which command of this connection it is; wraps at 32 bits. */
  readonly number: number
  readonly extra: Buffer | CollectHandler | Transform | undefined
}

export interface LaneEvents {
  /** Bytes were appended: a flush is wanted at the end of the turn. */
  wantsFlush(lane: Lane): void
  /** Bytes are about to leave: what others must know of them first is told now. */
  beforeSend?: (() => void) | undefined
  /** There is room again for those who were turned away. */
  hasRoom(lane: Lane): void
  /** An error reply with this first word came back for a client's command. */
  errorReply(lane: Lane, code: string): void
  /** The write that is to be answered now was refused by a replica. Its sink may hand its places over before it hears. */
  refusedWrite?(lane: Lane, sink: ReplySink): void
  /** A client's reply is above `largeReplyBytes`; `hash`: the read that it answers, as it was named, 0: it was not. */
  largeReply?(lane: Lane, use: LaneUse, hash: number, size: number): void
  /**
   * The end of a read has cut a run of replies, and whole ones of it wait for the rest, which is next: should it not come,
   * `giveCutRun` is due within `cutRunMs`. Undefined: nothing waits.
   */
  runCut?(lane: Lane): void
  /** The connection must go: a reply that nobody asked for, a bad frame, a nonce that does not match. */
  desync(lane: Lane, why: string): void
  /** A reply name without the tenant's prefix. */
  foreignPrefix(lane: Lane): void
}

/** Where a lane's times go. Replaced when the node's role changes. */
export interface LaneTimes {
  /** From a command's arrival to its reply, by kind. */
  readonly read: Histogram
  readonly write: Histogram
  /** The same, by the node's region and role. */
  readonly upstream: Histogram
}

/** How much memory a lane has. Bytes, and commands in flight (a power of two). */
export interface LaneSize {
  readonly halfBytes: number
  readonly frontBytes: number
  readonly readBytes: number
  readonly commandsMax: number
  /** Entries of the ring to begin with; a power of two. */
  readonly ring: number
}

/** A lane that many clients share. */
export const sharedLaneSize: LaneSize = {
  halfBytes: arenaHalfBytes,
  frontBytes: clientFrontBytes,
  readBytes: clientReadBytes,
  commandsMax: laneCommandsMax,
  ring: 1024,
}

const flagWrite = 1
const pushByte = 0x3e
/** Whoever was turned away is told when a lane that had less room than a whole transaction needs has some again. */
const transactionRoom = 2 * sharedTransactionCommandsMax
/** The one desync that means: replies have moved. */
export const nonceMoved = 'a nonce that did not come back in its place'
/** ECHO with 32 hex digits, and to spare. */
const nonceRequestBytesMax = 128

export class Lane {
  readonly index: number
  readonly nodeIndex: number
  /** A lease follows its client's HELLO. */
  resp: 2 | 3
  readonly isBulk: boolean
  /** It belongs to one client at a time (upstream/leases.ts): no other's commands, and no marks. */
  isLeased = false
  /**
   * Whole pushes of the server go here, between replies. Undefined: nothing on this connection may cause one, so that a push
   * is a desync.
   */
  onPush: ((push: Buffer) => void) | undefined
  /** What was sent, for a while; undefined: nothing of this lane is ever sent again. */
  journal: Journal | undefined
  private isJournalOn = false
  /** The servers' logical database in which its commands run: its connection has selected it. 0 is all prefixes'. */
  database = 0
  /** Of a leased one that was lost: what was in flight can no longer run. */
  isLossSettled = false
  /** A request has been begun on it and not ended (`writePiece`): the server is silent because it waits for us. */
  isMidRequest = false
  /** What the client of that request is told if the connection goes; empty: that there is no primary. */
  cutError = ''
  /** In the list of those that the pool will flush at the end of this turn. */
  isDirty = false
  /** Connected, logged in, role known. */
  isReady = false
  /** ROLE said master on this very connection, and nothing has contradicted it since. */
  isPrimary = false
  /** Requests sent or waiting to be sent, without a reply. */
  inFlight = 0
  /** A mark should follow what was appended: the position of somebody's write or read depends on it. See regions/trails.ts. */
  needsTrail = false
  /** Strong reads were appended: something that only a primary accepts should follow. See session/strong-checks.ts. */
  needsCheck = false
  /** What is put on it now goes out behind a guard (regions/guards.ts). */
  isGuarded = false
  /**
   * The newest mark that this lane has carried, or any number above it and below all marks not yet sent (regions/fences.ts);
   * and when that mark was appended.
   */
  lastTrailSeq = 0
  lastTrailAtMs = Number.NEGATIVE_INFINITY
  /** For sinks, during onReply and onSwallowed: lastTrailSeq as it was when the newest of the answered commands was appended. */
  replyTrail = 0
  /** How many requests had been put on it with the newest write among them; 0: no write yet. */
  lastWrite = 0
  /** Bytes received at, monotonic ms; and how many. */
  lastReceivedAtMs = 0
  receivedBytes = 0

  readonly bytes: Buffer
  /** Where the next byte goes, and the end of the current half. */
  pos: number
  limit: number
  private readonly halves: readonly [number, number]
  /** Where the current half begins, and in it what was not sent yet: behind what the journal may want to see again. */
  private base: number
  private start: number
  /** The other half (or a large request) is still with the socket. */
  private isWriting = false
  private pendingAtCheck = 0
  private progressAtMs = 0

  private port: LanePort | undefined
  private readonly framer = new ReplyFramer()
  /** Read buffer: front room for an unfinished header, then what libuv reads into. */
  private input: Buffer
  private inputView: Buffer
  private leftover = 0
  private isInputHeld = false
  /** At the beginning of `leftover`: whole replies of the head entry that its client was not given yet; how many. */
  private cutBytes = 0
  private cutReplies = 0
  /** The entry whose run was cut last, of which there was something to pass on; -1: none. It waits once. */
  private cutHead = -1
  private collected: Buffer[] = []
  private collectedBytes = 0
  /** A part of the head's reply went out already. For sinks during onReply: what they were given ends inside of a reply. */
  isHeadPartial = false
  /** How much of that part came with this. */
  headBytes = 0
  /** How much of it has come in all. */
  private headSize = 0
  /** Names of reads, by the place of their flag, and whose they are; undefined until one is named. */
  private named: Uint32Array | undefined
  private namedNumbers: Int32Array | undefined

  private readonly size: LaneSize
  private mask: number
  private head = 0
  private tail = 0
  private sinks: (ReplySink | undefined)[]
  private extras: (Buffer | CollectHandler | Transform | undefined)[]
  private uses: LaneUse[]
  private readonly nobody = new LaneUse(undefined)
  private counts: Int32Array
  private totals: Int32Array
  private kinds: Uint8Array
  private writes: Uint8Array
  private times: Float64Array
  private trails: Float64Array
  /** Which command of this connection is the first that the entry has in the newest flush; wraps at 32 bits. */
  private batches: Int32Array
  private flags: Uint8Array
  private flagMask: number
  private flagHead = 0
  private flagTail = 0
  /** flagTail at the last flush: what lies behind it was never sent. */
  private flagSent = 0

  private readonly events: LaneEvents
  durations: LaneTimes
  private readonly now: () => number

  constructor(
    index: number,
    nodeIndex: number,
    resp: 2 | 3,
    isBulk: boolean,
    arena: { readonly bytes: Buffer },
    arenaAt: number,
    durations: LaneTimes,
    events: LaneEvents,
    now: () => number,
    size: LaneSize = sharedLaneSize,
  ) {
    const { ring } = size
    this.size = size
    this.mask = ring - 1
    this.sinks = new Array(ring).fill(undefined)
    this.extras = new Array(ring).fill(undefined)
    this.uses = new Array(ring).fill(this.nobody)
    this.counts = new Int32Array(ring)
    this.totals = new Int32Array(ring)
    this.kinds = new Uint8Array(ring)
    this.writes = new Uint8Array(ring)
    this.times = new Float64Array(ring)
    this.trails = new Float64Array(ring)
    this.batches = new Int32Array(ring)
    this.flags = new Uint8Array(size.commandsMax)
    this.flagMask = size.commandsMax - 1
    this.input = Buffer.allocUnsafeSlow(size.frontBytes + size.readBytes)
    this.inputView = this.input.subarray(size.frontBytes)
    this.index = index
    this.nodeIndex = nodeIndex
    this.resp = resp
    this.isBulk = isBulk
    this.bytes = arena.bytes
    this.halves = [arenaAt, arenaAt + size.halfBytes]
    this.base = arenaAt
    this.start = arenaAt
    this.pos = arenaAt
    this.limit = arenaAt + size.halfBytes
    this.durations = durations
    this.events = events
    this.now = now
  }

  // ---- requests ----

  /** Whether `bytes` more and one more command fit now; flushes if that helps. False: wait for `hasRoom`. */
  hasRoomFor(bytes: number): boolean {
    if (this.inFlight >= this.flagMask - 1) return false
    return this.makeRoom(bytes)
  }

  private makeRoom(bytes: number): boolean {
    if (this.pos + bytes <= this.limit) return true
    this.flush()
    if (this.pos === this.start) {
      this.start = this.base
      this.pos = this.base
    }
    return this.pos + bytes <= this.limit
  }

  /** True when a flush now would send everything: nothing of ours is still with the socket. */
  get canFlush(): boolean {
    return !this.isWriting
  }

  /** How many requests are answered or have failed so far; wraps at 32 bits as `lastWrite` does, their difference counts. */
  get answered(): number {
    return this.flagHead
  }

  /** Bytes of a reply to this sink that is collected whole, and is not complete. */
  collectedFor(sink: ReplySink): number {
    return this.collectedBytes > 0 && this.sinks[this.head & this.mask] === sink ? this.collectedBytes : 0
  }

  get waitingBytes(): number {
    return this.pos - this.start
  }

  /** A command of `sink` was put into the arena. */
  append(sink: ReplySink, kind: number, isWrite: boolean, nowMs: number): void {
    const number = this.flagTail
    this.flags[number & this.flagMask] = isWrite ? flagWrite : 0
    this.flagTail = (number + 1) | 0
    if (isWrite) this.lastWrite = this.flagTail
    this.inFlight++
    const last = (this.tail - 1) & this.mask
    if (this.tail !== this.head && this.sinks[last] === sink && this.kinds[last] === kind && kind <= kindSwallow) {
      this.counts[last]!++
      this.totals[last]!++
      this.uses[last]!.inFlight++
      this.trails[last] = this.lastTrailSeq
      if (number === this.flagSent) this.batches[last] = number
      if (isWrite) this.writes[last] = 1
      return
    }
    this.push(sink, kind, isWrite, nowMs, undefined)
  }

  /** The newest place is of commands of this client whose replies pass: more of them may follow by `appendAlike`. */
  endsWith(sink: ReplySink): boolean {
    const last = (this.tail - 1) & this.mask
    return this.tail !== this.head && this.sinks[last] === sink && this.kinds[last] === kindPass
  }

  /** How many commands more may be on their way, as `hasRoomFor` counts. */
  get commandsFree(): number {
    return this.flagMask - 1 - this.inFlight
  }

  /** So many commands more of the client that was put on it last (`endsWith`) were put into the arena: as `append` of each. */
  appendAlike(count: number, isWrite: boolean): void {
    const { flags, flagMask } = this
    const flag = isWrite ? flagWrite : 0
    for (let i = 0; i < count; i++) flags[(this.flagTail + i) & flagMask] = flag
    const last = (this.tail - 1) & this.mask
    if (this.flagTail === this.flagSent) this.batches[last] = this.flagTail
    this.flagTail = (this.flagTail + count) | 0
    this.inFlight += count
    this.counts[last]! += count
    this.totals[last]! += count
    this.uses[last]!.inFlight += count
    this.trails[last] = this.lastTrailSeq
    if (!isWrite) return
    this.lastWrite = this.flagTail
    this.writes[last] = 1
  }

  /**
   * A command whose reply is collected and transformed before the client gets it. `isWrite`: lost, it may have run.
   * `fences`: answered, the tenant's reads must see it.
   */
  appendTransformed(
    sink: ReplySink,
    transform: Transform,
    isWrite: boolean,
    nowMs: number,
    fences: boolean = isWrite,
  ): void {
    this.flags[this.flagTail & this.flagMask] = isWrite ? flagWrite : 0
    this.flagTail = (this.flagTail + 1) | 0
    if (isWrite) this.lastWrite = this.flagTail
    this.inFlight++
    this.push(sink, kindCollect, fences, nowMs, transform)
  }

  /** Room for `commands` more in flight, beyond the usual bound: for a transaction, which is sent as one. */
  reserveCommands(commands: number): void {
    const wanted = this.inFlight + commands + 2
    if (wanted <= this.flags.length) return
    let length = this.flags.length
    while (length < wanted) length *= 2
    const flags = new Uint8Array(length)
    for (let i = this.flagHead; i !== this.flagTail; i = (i + 1) | 0)
      flags[i & (length - 1)] = this.flags[i & this.flagMask]!
    this.flags = flags
    this.flagMask = length - 1
  }

  /** A reply of the proxy itself, to be given when everything before it is answered. */
  appendLocal(sink: ReplySink, reply: Buffer, nowMs: number): void {
    assert(this.head !== this.tail, 'a local reply waits behind something')
    this.push(sink, kindLocal, false, nowMs, reply)
  }

  /** A request of the proxy's own; the handler gets the whole reply, or undefined when the connection was lost. */
  sendInternal(request: Uint8Array, handler: CollectHandler, isWrite = false): void {
    const isLarge = request.length > this.size.halfBytes
    if (!isLarge) {
      assert(this.makeRoom(request.length), 'an internal request fits into the arena')
      this.bytes.set(request, this.pos)
      this.pos += request.length
    }
    this.appendOwn(handler, isWrite)
    if (isLarge) this.writeLarge([request])
    else this.events.wantsFlush(this)
  }

  /** The place of a request of the proxy's own whose bytes the caller writes, with those of a client's behind them. */
  appendOwn(handler: CollectHandler, isWrite = false): void {
    this.flags[this.flagTail & this.flagMask] = isWrite ? flagWrite : 0
    this.flagTail = (this.flagTail + 1) | 0
    if (isWrite) this.lastWrite = this.flagTail
    this.inFlight++
    this.push(undefined, kindCollect, isWrite, this.now(), handler)
  }

  private isNonceOut = false

  /**
   * Asks the server to repeat a random word. If a reply has ever taken another's place, the word does not come back here,
   * and the connection dies before it can go on confusing clients. Also a sign of life for a connection that is idle.
   */
  sendNonce(nonce: string): void {
    if (this.isNonceOut || !this.isReady || !this.hasRoomFor(nonceRequestBytesMax)) return
    this.isNonceOut = true
    this.sendInternal(encodeRequest(['ECHO', nonce]), (reply) => {
      this.isNonceOut = false
      if (reply === undefined || reply.toString('latin1') === `$${nonce.length}\r\n${nonce}\r\n`) return
      // Refused (BUSY while a script runs, NOPERM): a word that has moved comes back as somebody else's, not as an error.
      if (reply[0] === 45) return
      this.events.desync(this, nonceMoved)
    })
  }

  private push(
    sink: ReplySink | undefined,
    kind: number,
    isWrite: boolean,
    nowMs: number,
    extra: Buffer | CollectHandler | Transform | undefined,
  ): void {
    if (((this.tail - this.head) | 0) > this.mask) this.growRing()
    const at = this.tail & this.mask
    this.sinks[at] = sink
    this.kinds[at] = kind
    this.counts[at] = 1
    this.totals[at] = 1
    this.writes[at] = isWrite ? 1 : 0
    this.times[at] = nowMs
    this.trails[at] = this.lastTrailSeq
    this.batches[at] = (this.flagTail - 1) | 0
    this.extras[at] = extra
    const use = sink?.use
    const counted = use !== undefined && use.lane === this ? use : this.nobody
    this.uses[at] = counted
    if (kind !== kindLocal) counted.inFlight++
    this.tail = (this.tail + 1) | 0
  }

  /** A point to come back to while nothing of what follows was flushed: [arena, ring, flags, in flight]. */
  savePos = 0
  private saveTail = 0
  private saveFlagTail = 0
  private saveInFlight = 0
  private saveGuarded = false

  save(): void {
    this.saveGuarded = this.isGuarded
    this.savePos = this.pos
    this.saveTail = this.tail
    this.saveFlagTail = this.flagTail
    this.saveInFlight = this.inFlight
  }

  /**
   * Forgets everything appended since `save`. Only legal while no flush came between and the tail entry then was another client's.
   * Returns whether the guard was appended since then too.
   */
  rollback(): boolean {
    assert(((this.flagSent - this.saveFlagTail) | 0) <= 0, 'what was sent cannot be taken back')
    for (let i = this.saveTail; i !== this.tail; i = (i + 1) | 0) {
      const at = i & this.mask
      this.sinks[at] = undefined
      this.extras[at] = undefined
      if (this.kinds[at] !== kindLocal) this.uses[at]!.inFlight -= this.counts[at]!
      this.uses[at] = this.nobody
    }
    if (this.namedNumbers !== undefined)
      for (let i = this.saveFlagTail; i !== this.flagTail; i = (i + 1) | 0)
        this.namedNumbers[i & this.flagMask] = (i - 1) | 0
    // What lies there was written over.
    if (this.isJournalOn) this.journal?.note(this.savePos, this.pos, this.flagSent)
    this.pos = this.savePos
    this.tail = this.saveTail
    this.flagTail = this.saveFlagTail
    this.inFlight = this.saveInFlight
    const isGuardGone = this.isGuarded && !this.saveGuarded
    this.isGuarded = this.saveGuarded
    return isGuardGone
  }

  get waitsForEarlyFlush(): boolean {
    return this.pos - this.start >= earlyFlushBytes
  }

  /** Writes the current half unless the other is still with the socket. */
  flush(): void {
    if (this.isWriting || this.pos === this.start || this.port === undefined || this.isMidRequest) return
    this.events.beforeSend?.()
    const view = this.bytes.subarray(this.start, this.pos)
    this.isGuarded = false
    if (this.journal !== undefined) this.keepSent(this.journal)
    this.flagSent = this.flagTail
    if (this.port.write(view, this.onWritten)) {
      // The kernel has it all. For the journal it stays where it is for a while.
      this.start = this.isJournalOn && this.pos - this.base < journalBytes ? this.pos : this.base
      this.pos = this.start
      return
    }
    this.isWriting = true
    this.progressAtMs = this.now()
    this.goTo(this.base === this.halves[0] ? this.halves[1] : this.halves[0])
  }

  private goTo(half: number): void {
    this.base = half
    this.start = half
    this.pos = half
    this.limit = half + this.size.halfBytes
  }

  /** As long as the connection lives: what it turns out to have refused may have been sent after it was last a primary. */
  private keepSent(journal: Journal): void {
    if (this.isPrimary) this.isJournalOn = true
    if (this.isJournalOn) journal.note(this.start, this.pos, this.flagSent)
  }

  /** The requests with these numbers, rising, as they were sent; undefined when one of them is no longer there. */
  requestsSent(numbers: readonly number[]): Buffer[] | undefined {
    return this.journal?.requests(numbers, this.flagSent, this.bytes, this.start, this.pos)
  }

  /** How many replies this sink waits for here, those of the proxy itself among them. */
  countOf(sink: ReplySink): number {
    let count = 0
    for (let i = this.head; i !== this.tail; i = (i + 1) | 0)
      if (this.sinks[i & this.mask] === sink) count += this.counts[i & this.mask]!
    return count
  }

  /** All places of one sink become another's. Returns them, oldest first, one for each reply. */
  handOver(from: ReplySink, to: ReplySink): Place[] {
    const places: Place[] = []
    let number = this.flagHead
    for (let i = this.head; i !== this.tail; i = (i + 1) | 0) {
      const at = i & this.mask
      const isMine = this.sinks[at] === from
      if (isMine) this.sinks[at] = to
      const kind = this.kinds[at]!
      const extra = this.extras[at]
      if (kind === kindLocal) {
        if (isMine) places.push({ kind, isWrite: false, fences: false, number, extra })
        continue
      }
      for (let k = 0; k < this.counts[at]!; k++, number = (number + 1) | 0) {
        if (!isMine) continue
        const isWrite = (this.flags[number & this.flagMask]! & flagWrite) !== 0
        places.push({ kind, isWrite, fences: this.writes[at] !== 0, number, extra })
      }
    }
    return places
  }

  /** Writes a request too large for the arena, behind what the arena holds. The parts belong to the socket from here on. */
  writeLarge(parts: readonly Uint8Array[]): void {
    assert(this.canFlush, 'a large request goes out only when the arena can go before it')
    this.flush()
    this.events.beforeSend?.()
    this.journal?.clear()
    this.flagSent = this.flagTail
    for (const part of parts) this.port?.write(part, this.onWritten)
    if ((this.port?.pendingBytes() ?? 0) > 0) {
      this.isWriting = true
      this.progressAtMs = this.now()
    }
  }

  /**
   * Writes a piece of the request that was appended last, which comes in pieces; until the last of them the server cannot
   * run it, so that lost it was not executed. True: the kernel has the piece. Else it is the socket's until `hasRoom`.
   */
  writePiece(piece: Uint8Array, isLast: boolean): boolean {
    assert(this.canFlush, 'a piece goes out behind the one before')
    this.flush()
    this.flagSent = isLast ? this.flagTail : (this.flagTail - 1) | 0
    this.isMidRequest = !isLast
    // Its time begins when the server has all of it.
    if (isLast) this.times[(this.tail - 1) & this.mask] = this.now()
    if (this.port === undefined || this.port.write(piece, this.onWritten)) return true
    this.isWriting = true
    this.progressAtMs = this.now()
    return false
  }

  private readonly onWritten = (): void => {
    if (!this.isWriting || this.port === undefined || this.port.pendingBytes() > 0) return
    this.isWriting = false
    this.flush()
    this.events.hasRoom(this)
  }

  // ---- replies ----

  /** Its one client does not read: no more replies are taken until it does. Of a leased lane only. */
  private isPaused = false

  pauseReading(): void {
    if (this.isPaused || this.port === undefined) return
    this.isPaused = true
    this.port.setPaused?.(true)
  }

  /** `isRead`: the client's socket holds nothing of what it was given. */
  resumeReading(isRead: boolean): void {
    if (!this.isPaused) return
    this.isPaused = false
    if (isRead) this.isInputHeld = false
    this.lastReceivedAtMs = this.now()
    this.port?.setPaused?.(false)
  }

  /** The buffer that the next read fills; a fresh one when a client's socket still holds the last. */
  readonly nextInput = (): Buffer => {
    if (this.isInputHeld) {
      const fresh = Buffer.allocUnsafeSlow(this.size.frontBytes + this.size.readBytes)
      if (this.leftover > 0)
        this.input.copy(
          fresh,
          this.size.frontBytes - this.leftover,
          this.size.frontBytes - this.leftover,
          this.size.frontBytes,
        )
      this.input = fresh
      this.inputView = fresh.subarray(this.size.frontBytes)
      this.isInputHeld = false
    }
    return this.inputView
  }

  /** `nread` bytes stand in the buffer that `nextInput` gave. */
  onRead(nread: number): void {
    this.lastReceivedAtMs = this.now()
    this.take(this.input, this.size.frontBytes - this.leftover, this.size.frontBytes + nread)
  }

  /** Bytes in a buffer of their own (TLS): copied behind the leftover in pieces. */
  onChunk(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && this.port !== undefined; at += this.size.readBytes) {
      const piece = chunk.subarray(at, at + this.size.readBytes)
      this.nextInput().set(piece)
      this.onRead(piece.length)
    }
  }

  private take(buf: Buffer, start: number, end: number): void {
    const nowMs = this.lastReceivedAtMs
    this.receivedBytes += end - start - this.leftover
    this.leftover = 0
    const before = this.inFlight
    let from = start
    let pos = start + this.cutBytes
    let done = this.cutReplies
    const mayHold = this.events.runCut !== undefined && !this.isLeased
    this.cutBytes = 0
    this.cutReplies = 0
    while (pos < end) {
      if (this.onPush !== undefined && (this.isInPush || (!this.framer.started && buf[pos] === pushByte))) {
        if (done > 0) this.partial(this.head & this.mask, buf, from, pos, done)
        done = 0
        pos = this.takePush(buf, pos, end)
        if (pos < 0) return
        from = pos
        if (this.isInPush) break
        continue
      }
      if (this.head === this.tail) return this.events.desync(this, 'a reply that nobody asked for')
      const at = this.head & this.mask
      const isWhole = !this.framer.started
      const next = this.framer.next(buf, pos, end)
      if (next === replyMore) {
        if (mayHold && isWhole && this.mayWait(at, end - from)) {
          // It will be framed from its beginning once more.
          this.framer.reset()
          return this.hold(buf, from, pos, end, done, before)
        }
        this.headBytes = this.framer.consumed - pos
        this.headSize += this.headBytes
        pos = this.framer.consumed
        break
      }
      const type = this.framer.type
      if (next === replyBroken || type === 62) {
        // What was whole before it is still theirs, and no longer counts as waiting.
        if (done > 0) this.partial(at, buf, from, pos, done)
        return this.events.desync(
          this,
          next === replyBroken ? 'a reply that is no RESP' : 'a push on a connection without subscriptions',
        )
      }
      if (type === 45) {
        if (isWhole && this.isRefusedWrite(buf, pos, at)) {
          // What came before is its client's; from here on it may be kept back.
          if (done > 0) this.partial(at, buf, from, pos, done)
          from = pos
          done = 0
          this.events.refusedWrite!(this, this.sinks[at]!)
        }
        this.noteError(buf, pos, next, at, isWhole)
      }
      if (!isWhole || next - pos > largeReplyBytes) this.noteSize(at, next - pos)
      pos = next
      done++
      this.flagHead = (this.flagHead + 1) | 0
      this.inFlight--
      if (--this.counts[at]! === 0) {
        if (!this.finish(at, buf, from, pos, done, nowMs)) return
        from = pos
        done = 0
      }
    }
    if (pos > from) {
      const at = this.head & this.mask
      // Those that are missing went out together with the newest that was answered.
      const isNext = done > 0 && ((this.flagHead - this.batches[at]!) | 0) > 0
      if (mayHold && isNext && pos === end && this.mayWait(at, end - from))
        return this.hold(buf, from, pos, end, done, before)
      this.partial(at, buf, from, pos, done)
    }
    if (pos < end) this.keep(buf, pos, end)
    this.tellRoom(before)
  }

  private tellRoom(before: number): void {
    if (before > this.flagMask - transactionRoom && this.port !== undefined) this.events.hasRoom(this)
  }

  // Every write to a client costs as much as some twenty commands do here, and half a run helps few: the rest is in the
  // socket, or the server is working on it. So it is waited for: once, and not for long.

  private mayWait(at: number, bytes: number): boolean {
    return (
      bytes <= cutRunBytesMax && this.head !== this.cutHead && this.kinds[at] === kindPass && !this.sinks[at]!.isClosed
    )
  }

  /** [from, end) is what has come of the head's run, whole as far as `pos`. */
  private hold(buf: Buffer, from: number, pos: number, end: number, done: number, before: number): void {
    this.keep(buf, from, end)
    this.cutBytes = pos - from
    this.cutReplies = done
    this.cutHead = this.head
    if (done > 0) this.events.runCut!(this)
    this.tellRoom(before)
  }

  /** The replies that wait for the rest of their run have waited long enough. */
  giveCutRun(): void {
    const { cutBytes, cutReplies } = this
    if (cutReplies === 0) return
    const start = this.size.frontBytes - this.leftover
    this.cutBytes = 0
    this.cutReplies = 0
    this.leftover -= cutBytes
    this.partial(this.head & this.mask, this.input, start, start + cutBytes, cutReplies)
  }

  private isInPush = false
  private pushPieces: Buffer[] = []
  private pushBytes = 0

  /** A push, or the next part of one. Returns one past what was taken; -1 when the connection was given up. */
  private takePush(buf: Buffer, pos: number, end: number): number {
    const next = this.framer.next(buf, pos, end)
    const upTo = next === replyMore ? this.framer.consumed : next
    if (next === replyBroken) {
      this.events.desync(this, 'a push that is no RESP')
      return -1
    }
    if (upTo > pos) {
      this.pushPieces.push(Buffer.from(buf.subarray(pos, upTo)))
      this.pushBytes += upTo - pos
    }
    this.isInPush = next === replyMore && this.framer.started
    if (this.pushBytes > pushBytesMax) {
      this.events.desync(this, 'a push that does not end')
      return -1
    }
    if (next === replyMore) {
      // What is left is the beginning of a header: it is put in front of what comes next.
      if (upTo < end) this.keep(buf, upTo, end)
      return this.port === undefined ? -1 : end
    }
    const push = this.pushPieces.length === 1 ? this.pushPieces[0]! : Buffer.concat(this.pushPieces)
    this.dropPush()
    this.onPush!(push)
    return this.port === undefined ? -1 : next
  }

  private dropPush(): void {
    this.isInPush = false
    this.pushPieces = []
    this.pushBytes = 0
  }

  /** The last reply of the head entry ends at `pos`. False when the connection was given up. */
  private finish(at: number, buf: Buffer, from: number, pos: number, done: number, nowMs: number): boolean {
    const kind = this.kinds[at]!
    const sink = this.sinks[at]
    const hasWrite = this.writes[at] !== 0
    const extra = this.extras[at]
    this.replyTrail = this.trails[at]!
    const ms = nowMs - this.times[at]!
    const total = this.totals[at]!
    this.noteAnswered(at, pos - from, done)
    this.sinks[at] = undefined
    this.extras[at] = undefined
    this.uses[at] = this.nobody
    this.head = (this.head + 1) | 0
    this.isHeadPartial = false
    if (sink !== undefined && kind !== kindLocal) {
      ;(hasWrite ? this.durations.write : this.durations.read).observe(ms, total)
      this.durations.upstream.observe(ms, total)
    }
    if (sink?.isClosed === true && kind !== kindLocal) {
      if (hasWrite) sink.onLateWrite(this)
      if (kind === kindCollect) this.dropCollected()
    } else if (kind === kindPass) {
      if (sink!.onReply(buf.subarray(from, pos), done, hasWrite, this)) this.isInputHeld = true
    } else if (kind === kindSwallow) {
      sink!.onSwallowed(done, hasWrite, this)
    } else {
      const reply = this.collect(buf, from, pos)
      this.dropCollected()
      if (sink === undefined) (extra as CollectHandler)(reply)
      else {
        const mine = transformed(extra as Transform, reply)
        if (mine === 'failed') {
          sink.onReply(Buffer.from('-ERR internal error\r\n'), done, hasWrite, this)
          this.events.desync(this, 'a reply that could not be read')
          return false
        }
        if (mine === undefined) {
          this.events.foreignPrefix(this)
          sink.onReply(Buffer.from(`-${errorText('ISOLATION')}\r\n`), done, hasWrite, this)
          this.events.desync(this, 'a name without the prefix of its tenant')
          return false
        }
        sink.onReply(mine, done, hasWrite, this)
      }
      if (this.port === undefined) return false // the handler gave the connection up
    }
    this.giveLocals()
    return true
  }

  /** What will be appended behind so many others is the read with this name: its reply may turn out to be large. */
  name(behind: number, hash: number): void {
    if (this.named === undefined || this.named.length !== this.flags.length) {
      this.named = new Uint32Array(this.flags.length)
      this.namedNumbers = new Int32Array(this.flags.length)
    }
    const number = (this.flagTail + behind) | 0
    const at = number & this.flagMask
    this.named[at] = hash
    this.namedNumbers![at] = number
  }

  /** A reply that came in pieces is whole with so many bytes more. One above the bound always does. */
  private noteSize(at: number, bytes: number): void {
    const size = this.headSize + bytes
    this.headSize = 0
    if (size <= largeReplyBytes || this.sinks[at] === undefined || this.events.largeReply === undefined) return
    const flag = this.flagHead & this.flagMask
    const isNamed = this.named !== undefined && this.namedNumbers![flag] === this.flagHead
    this.events.largeReply(this, this.uses[at]!, isNamed ? this.named![flag]! : 0, size)
  }

  private noteAnswered(at: number, bytes: number, done: number): void {
    const use = this.uses[at]!
    use.inFlight -= done
    use.answered += done
    use.replyBytes += bytes
  }

  /** Replies of the proxy itself whose turn has come. */
  private giveLocals(): void {
    while (this.head !== this.tail) {
      const at = this.head & this.mask
      if (this.kinds[at] !== kindLocal) return
      const sink = this.sinks[at]!
      const reply = this.extras[at] as Buffer
      this.replyTrail = this.trails[at]!
      this.sinks[at] = undefined
      this.extras[at] = undefined
      this.uses[at] = this.nobody
      this.head = (this.head + 1) | 0
      if (!sink.isClosed) sink.onReply(reply, 1, false, this)
    }
  }

  /** A run or a reply that is not over: pass on what came. */
  private partial(at: number, buf: Buffer, from: number, pos: number, done: number): void {
    const kind = this.kinds[at]!
    const sink = this.sinks[at]
    this.replyTrail = this.trails[at]!
    this.isHeadPartial = this.framer.started
    this.noteAnswered(at, pos - from, done)
    if (sink?.isClosed === true) {
      if (done > 0 && this.writes[at] !== 0) sink.onLateWrite(this)
      this.dropCollected()
    } else if (kind === kindPass) {
      if (sink!.onReply(buf.subarray(from, pos), done, this.writes[at] !== 0, this)) this.isInputHeld = true
    } else if (kind === kindSwallow) {
      if (done > 0) sink!.onSwallowed(done, this.writes[at] !== 0, this)
    } else {
      this.collectedBytes += pos - from
      if (this.collectedBytes <= collectedReplyBytesMax) {
        this.collected.push(Buffer.from(buf.subarray(from, pos)))
        return
      }
      if (sink === undefined) return this.events.desync(this, 'an answer to the proxy itself that does not end')
      // Whoever asked for so much pays for it alone: everybody else's replies come on this connection too.
      this.dropCollected()
      sink.onTruncated()
    }
  }

  private dropCollected(): void {
    this.collected = []
    this.collectedBytes = 0
  }

  private collect(buf: Buffer, from: number, pos: number): Buffer {
    const last = buf.subarray(from, pos)
    return this.collected.length === 0 ? Buffer.from(last) : Buffer.concat([...this.collected, last])
  }

  private dropInput(): void {
    this.leftover = 0
    this.cutBytes = 0
    this.cutReplies = 0
    this.cutHead = -1
  }

  private keep(buf: Buffer, pos: number, end: number): void {
    const size = end - pos
    if (size > this.size.frontBytes) return this.events.desync(this, 'a reply header without an end')
    if (this.isInputHeld) {
      const fresh = Buffer.allocUnsafeSlow(this.size.frontBytes + this.size.readBytes)
      buf.copy(fresh, this.size.frontBytes - size, pos, end)
      this.input = fresh
      this.inputView = fresh.subarray(this.size.frontBytes)
      this.isInputHeld = false
    } else buf.copyWithin(this.size.frontBytes - size, pos, end)
    this.leftover = size
  }

  private isRefusedWrite(buf: Buffer, pos: number, at: number): boolean {
    const isWrite = (this.flags[this.flagHead & this.flagMask]! & flagWrite) !== 0
    if (!isWrite || this.sinks[at] === undefined || this.isLeased || this.journal === undefined) return false
    return this.events.refusedWrite !== undefined && buf.toString('latin1', pos, pos + 10) === '-READONLY '
  }

  private noteError(buf: Buffer, pos: number, next: number, at: number, isWhole: boolean): void {
    let end = pos + 1
    while (end < next && end - pos < 32 && buf[end]! > 32) end++
    // The first word of an error that came in pieces is gone; those that matter here are short.
    const code = isWhole ? buf.toString('latin1', pos + 1, end) : ''
    const sink = this.sinks[at]
    if (sink !== undefined) {
      const isUnread = isWhole && ((!this.isLeased && this.kinds[at] === kindPass) || code === 'UNBLOCKED')
      const text = isUnread ? buf.subarray(pos, Math.min(next, pos + errorTextBytesMax)) : undefined
      sink.onErrorReply(code, (this.flags[this.flagHead & this.flagMask]! & flagWrite) !== 0, text)
      this.events.errorReply(this, code)
    }
  }

  // ---- life ----

  open(port: LanePort): void {
    assert(this.port === undefined && this.head === this.tail, 'a lane is opened once at a time')
    this.port = port
    this.journal?.clear()
    this.isJournalOn = false
    this.framer.reset()
    this.headSize = 0
    this.dropPush()
    this.dropInput()
    this.isHeadPartial = false
    this.isWriting = false
    this.needsTrail = false
    this.needsCheck = false
    this.isGuarded = false
    this.isMidRequest = false
    this.isPaused = false
    this.cutError = ''
    this.goTo(this.halves[0])
    this.flagHead = this.flagTail
    this.flagSent = this.flagTail
    this.lastReceivedAtMs = this.now()
  }

  get isOpen(): boolean {
    return this.port !== undefined
  }

  /** Milliseconds without a sign of life while something waits for one; 0 when nothing waits. */
  silentMs(nowMs: number): number {
    if (this.head === this.tail) return 0
    const pending = this.port?.pendingBytes() ?? 0
    if (pending !== this.pendingAtCheck) {
      this.pendingAtCheck = pending
      this.progressAtMs = nowMs
    }
    if (this.isPaused) return 0
    if (this.isMidRequest) return pending === 0 ? 0 : nowMs - this.progressAtMs
    return (
      nowMs - Math.max(this.times[this.head & this.mask]!, this.lastReceivedAtMs, pending > 0 ? this.progressAtMs : 0)
    )
  }

  /** Gives the connection up; the port reports back through `close`. */
  destroy(reason: string): void {
    this.port?.destroy(reason)
  }

  /**
   * The connection is gone: every request waiting gets its answer now. A write that was sent is uncertain and a read is
   * not executed; what was never sent was not executed either. Returns whether a sent write is among them.
   */
  close(): boolean {
    this.port = undefined
    this.isReady = false
    this.isPrimary = false
    let lostWrite = false
    this.giveCutRun()
    const cut = this.isHeadPartial
    // Entries are taken off before anybody is told, so that nobody who resumes sees a half-failed lane.
    const failed: { sink: ReplySink | undefined; kind: number; extra: unknown; fates: number[]; hasWrite: boolean }[] =
      []
    while (this.head !== this.tail) {
      const at = this.head & this.mask
      const fates: number[] = []
      const kind = this.kinds[at]!
      if (kind !== kindLocal) {
        this.uses[at]!.inFlight -= this.counts[at]!
        for (let i = 0; i < this.counts[at]!; i++) {
          const isWrite = (this.flags[this.flagHead & this.flagMask]! & flagWrite) !== 0
          const isSent = ((this.flagSent - this.flagHead) | 0) > 0
          fates.push(isWrite ? (isSent ? 2 : 1) : 0)
          if (isWrite && isSent) lostWrite = true
          this.flagHead = (this.flagHead + 1) | 0
          this.inFlight--
        }
      }
      failed.push({ sink: this.sinks[at], kind, extra: this.extras[at], fates, hasWrite: this.writes[at] !== 0 })
      this.sinks[at] = undefined
      this.extras[at] = undefined
      this.uses[at] = this.nobody
      this.head = (this.head + 1) | 0
    }
    this.framer.reset()
    this.dropInput()
    this.dropCollected()
    this.isHeadPartial = false
    this.isWriting = false
    this.goTo(this.halves[0])
    failed.forEach((entry, i) => {
      this.fail(entry, cut && i === 0)
    })
    return lostWrite
  }

  private fail(
    entry: { sink: ReplySink | undefined; kind: number; extra: unknown; fates: number[]; hasWrite: boolean },
    isCut: boolean,
  ): void {
    const { sink, kind } = entry
    const unsent = this.cutError === '' ? errorText('NO_PRIMARY') : this.cutError
    if (sink === undefined) return (entry.extra as CollectHandler)(undefined)
    if (entry.fates.includes(2)) sink.onUncertain(this) // a tenant's fence, also when the client is gone
    if (sink.isClosed) return
    if (kind === kindLocal) {
      sink.onReply(entry.extra as Buffer, 1, false, this)
      return
    }
    if (isCut && kind === kindPass) return sink.onTruncated()
    if (kind === kindSwallow) return sink.onSwallowed(entry.fates.length, entry.hasWrite, this)
    const lines = entry.fates.map(
      (fate) => `-${fate === 2 ? errorText('UNCERTAIN') : fate === 1 ? unsent : errorText('NO_NODE')}\r\n`,
    )
    sink.onReply(Buffer.from(lines.join('')), entry.fates.length, entry.hasWrite, this)
  }

  private growRing(): void {
    const old = this.mask + 1
    const size = old * 2
    const sinks: (ReplySink | undefined)[] = new Array(size).fill(undefined)
    const extras: (Buffer | CollectHandler | Transform | undefined)[] = new Array(size).fill(undefined)
    const uses: LaneUse[] = new Array(size).fill(this.nobody)
    const counts = new Int32Array(size)
    const totals = new Int32Array(size)
    const kinds = new Uint8Array(size)
    const writes = new Uint8Array(size)
    const times = new Float64Array(size)
    const trails = new Float64Array(size)
    const batches = new Int32Array(size)
    for (let i = this.head; i !== this.tail; i = (i + 1) | 0) {
      const from = i & this.mask
      const to = i & (size - 1)
      sinks[to] = this.sinks[from]
      extras[to] = this.extras[from]
      uses[to] = this.uses[from]!
      counts[to] = this.counts[from]!
      totals[to] = this.totals[from]!
      kinds[to] = this.kinds[from]!
      writes[to] = this.writes[from]!
      times[to] = this.times[from]!
      trails[to] = this.trails[from]!
      batches[to] = this.batches[from]!
    }
    this.sinks = sinks
    this.extras = extras
    this.uses = uses
    this.counts = counts
    this.totals = totals
    this.kinds = kinds
    this.writes = writes
    this.times = times
    this.trails = trails
    this.batches = batches
    this.mask = size - 1
  }
}

/** 'failed': the bytes are no reply of that command, or we have a bug; either way only this connection may suffer. */
function transformed(transform: Transform, reply: Buffer): Buffer | undefined | 'failed' {
  try {
    return transform(reply)
  } catch {
    return 'failed'
  }
}
