/**
 * The part of the corridor for commands that a shared connection cannot carry: transactions, WATCH, what blocks, scripts.
 * request-path.ts turns here when a command's route says so, or when the client holds a leased connection.
 *
 *   MULTI        answered here; commands are queued here, rewritten and checked (session/transaction.ts)
 *   EXEC         one piece, MULTI ... EXEC, on the shared lane of the primary; on a lease where it watches, runs scripts, is large
 *   WATCH        takes a lease; until EXEC, DISCARD or UNWATCH all the client's commands travel on it
 *   BLPOP ...    a lease until it is answered; the client's leaving resets it in the same turn
 *
 * A piece on a shared lane is as atomic as one on a connection of its own: its bytes lie in one arena half without a gap, so
 * the server reads MULTI, the commands and EXEC from one connection with nothing of anybody else between them.
 */
import type { ErrorCode } from './base/errors.ts'
import { errorText } from './base/errors.ts'
import {
  laneCommandsMax,
  sharedFrameBytesMax,
  sharedTransactionCommandsMax,
  transactionBytesMax,
  transactionCommandsMax,
} from './base/limits.ts'
import type { Builtin, BuiltinHost } from './builtin/builtin.ts'
import { findKeys, type KeyList } from './commands/keys.ts'
import type { CommandTable } from './commands/lookup.ts'
import { BLOCK_OPTION, FINDER, IN_MULTI, KEYS, ROUTE } from './commands/spec.ts'
import { Quota } from './metrics/cells.ts'
import { unitsOfScript } from './quota/cost.ts'
import type { RegionTracker } from './regions/tracker.ts'
import { encodeReply, encodeRequest, failure, nil } from './resp/encode.ts'
import type { RequestFramer } from './resp/request-framer.ts'
import type { Script } from './scripts/registry.ts'
import type { RunningScripts } from './scripts/running.ts'
import { isNoScript } from './scripts/script-reply.ts'
import type { Prepared, Scripts } from './scripts/scripts.ts'
import { modeMulti, modePinned, modeTracking, type Session, type SessionAccount } from './session/session.ts'
import { type Queued, Transaction } from './session/transaction.ts'
import { acrossDatabases, databaseOf } from './tenant/databases.ts'
import { composeExec } from './tenant/exec-reply.ts'
import { keyHeaderBytesMax, type Splicer } from './tenant/rewrite.ts'
import type { SecondLook } from './tenant/second-look.ts'
import { kindPass, kindSwallow, type Lane, type Transform } from './upstream/lane.ts'
import type { Lease, Leases } from './upstream/leases.ts'
import type { Pool } from './upstream/pool.ts'

/** What this part uses of the corridor; all of it is RequestPath's. Steps (numbers) are those of request-path.ts. */
export interface PathHands {
  readonly frame: RequestFramer
  readonly keys: KeyList
  readonly splicer: Splicer
  readonly secondLook: SecondLook
  readonly bytes: Buffer
  readonly nowMs: number
  isPrimaryLane(lane: Lane): boolean
  endRun(session: Session, pos: number): void
  refuse(session: Session, pos: number, code: ErrorCode, ...args: (string | number)[]): number
  /** Refused whatever it holds: between MULTI and EXEC it spoils the transaction, and EXEC itself ends it. */
  refuseEarly(session: Session, pos: number, id: number, code: ErrorCode): number
  local(session: Session, pos: number, bytes: Buffer, next: number): number
  noPrimary(session: Session, account: SessionAccount, pos: number): number
  /** The client has the proxy keep so much more; false: there is no memory for it. */
  mayGrow(bytes: number): boolean
  waitForOrder(session: Session): number
  waitForRoom(session: Session, lane: Lane): number
  waitForNode(session: Session): number
  transformOf(id: number, session: Session, account: SessionAccount, prefix: Buffer): Transform | undefined
  isOwnLane(session: Session, lane: Lane): boolean
  /** How many commands this client may have in flight on that shared lane now, those it has included. */
  mostOf(session: Session, lane: Lane): number
  waitForTurn(session: Session, lane: Lane): number
  /** A command was appended: counted as a read or a write. */
  countSent(isWrite: boolean): void
  enqueue(session: Session, account: SessionAccount, lane: Lane, id: number, isWrite: boolean): void
  /** A command that writes the keys found just now was queued. */
  noteQueued(account: SessionAccount, transaction: Transaction): void
  /** An EXEC that may write is put on this lane now. */
  fenceExec(session: Session, account: SessionAccount, lane: Lane, transaction: Transaction): void
  isolationFailure(session: Session, lane: Lane | undefined): number
  resumeLater(session: Session, ms: number): void
  wantsFlush(lane: Lane): void
}

export interface LeasedParts {
  readonly table: CommandTable
  readonly builtins: readonly (Builtin | undefined)[]
  readonly host: BuiltinHost
  readonly pool: Pool
  readonly leases: Leases
  readonly tracker: RegionTracker
  /**
   * Whether the server tracks for this client on this connection, where it should; asks for it where it does not yet.
   * False: it cannot be asked now, and the client's commands wait.
   */
  isTracked(session: Session, lease: Lease): boolean
  /** The connection that tracked for this client is gone. */
  trackingLost(session: Session): void
  readonly scripts: Scripts
  readonly running: RunningScripts
  /** How long a script may run. */
  readonly scriptMs: number
  /** How long a client waits for a connection of its own. */
  readonly timeoutMs: number
  now(): number
}

const done = 0
/** Bits of a client that keeps its lease while nothing is in flight. */
const keepsLease = modePinned | modeTracking
/** '-' */
const errorByte = 0x2d
const queuedLine = Buffer.from('+QUEUED\r\n')
const nothing = Buffer.alloc(0)
const okLine = Buffer.from('+OK\r\n')
const multiFrame = encodeRequest(['MULTI'])
const execFrame = encodeRequest(['EXEC'])
const unwatchFrame = encodeRequest(['UNWATCH'])
/** A lease that could not be opened is asked for again after this. */
const retryMs = 50
/** A blocking command's reply may be this much late before its connection is given up. */
const blockGraceMs = 1_000
/** For so long a node that was busy is taken to be so still: clients that wait for a connection to it are told. */
const busyMs = 500

export class LeasedPath {
  private readonly hands: PathHands
  private readonly parts: LeasedParts
  private readonly table: CommandTable
  /** How long a script may run. */
  scriptMs: number
  /** By node: when it last refused a new connection with -BUSY. */
  private readonly busyAtMs = new Map<number, number>()
  readonly ids: Readonly<
    Record<'multi' | 'exec' | 'discard' | 'watch' | 'unwatch' | 'wait' | 'waitaof' | 'select' | 'load', number>
  >

  constructor(hands: PathHands, parts: LeasedParts) {
    this.hands = hands
    this.parts = parts
    this.scriptMs = parts.scriptMs
    const { table } = parts
    this.table = table
    const id = (name: string): number => table.byName(name)!.id
    this.ids = {
      multi: id('multi'),
      exec: id('exec'),
      discard: id('discard'),
      watch: id('watch'),
      unwatch: id('unwatch'),
      wait: id('wait'),
      waitaof: id('waitaof'),
      select: id('select'),
      load: id('function|load'),
    }
  }

  // ---- transactions ----

  /** A command of a client that is between MULTI and EXEC; undefined: it is not queued, and goes its usual way. */
  queue(session: Session, account: SessionAccount, id: number, route: number, pos: number): number | undefined {
    const { table, hands } = this
    const how = table.inMulti[id]!
    if (route === ROUTE.denied || how === IN_MULTI.now) return undefined // refused, or it ends the transaction
    const transaction = session.transaction!
    if (how === IN_MULTI.denied) return this.spoil(session, pos, 'NOT_IN_MULTI')
    const { frame } = hands
    const size = frame.end - pos
    const isFull = transaction.queued.length >= transactionCommandsMax
    if (isFull || transaction.bytes + size > transactionBytesMax) return this.spoil(session, pos, 'TRANSACTION_LIMIT')
    if (transaction.isSpoiled) return hands.local(session, pos, queuedLine, frame.end) // nothing of it will run
    if (!hands.mayGrow(size)) {
      transaction.drop()
      return this.spoil(session, pos, 'OVERLOADED')
    }
    if (id === this.ids.select) this.queueSelect(account, transaction)
    if (route === ROUTE.proxy) transaction.add(this.localEntry(session, id), false)
    else {
      const entry = this.nodeEntry(session, account, id, route, pos)
      if (entry === undefined) return hands.isolationFailure(session, undefined)
      transaction.add(entry, this.table.specs[id]!.isWrite)
      if (route === ROUTE.script && entry.frame !== undefined) {
        transaction.hasScript = true
        transaction.writesWide = true // its code may name others than it declares
      }
    }
    return hands.local(session, pos, queuedLine, frame.end)
  }

  /** It is done where EXEC's reply is put together; what is queued behind it is of that database already. */
  private queueSelect(account: SessionAccount, transaction: Transaction): void {
    const database = databaseOf(this.hands.frame, 1, account.tenant?.prefixes.length ?? 1)
    if (typeof database === 'string') return // its error comes in its place
    transaction.database = database
    transaction.selects = true
  }

  private spoil(session: Session, pos: number, code: ErrorCode): number {
    session.transaction!.isSpoiled = true
    return this.hands.refuse(session, pos, code)
  }

  /** An answer of ours, given when EXEC's reply has come. */
  private localEntry(session: Session, id: number): Queued {
    const { builtins, host } = this.parts
    const args = this.copyArgs()
    const local = (): Buffer => {
      try {
        const builtin = builtins[id]!
        const reply = (builtin.runNow ?? builtin.run)(args, session, host, id)
        if (!(reply instanceof Promise) && reply !== undefined) return encodeReply(reply, session.resp)
      } catch {
        // A bug in an answer is the asker's loss, not everybody's (request-path.ts, runBuiltin).
      }
      return encodeReply(failure('ERR internal error'), session.resp)
    }
    return { id, local }
  }

  private copyArgs(): Buffer[] {
    const { frame, bytes } = this.hands
    const args: Buffer[] = []
    for (let i = 0; i < frame.count; i++)
      args.push(Buffer.from(bytes.subarray(frame.off[i]!, frame.off[i]! + frame.len[i]!)))
    return args
  }

  /** Rewritten now, under the prefix of now. undefined: the second look found a key without it. */
  private nodeEntry(
    session: Session,
    account: SessionAccount,
    id: number,
    route: number,
    pos: number,
  ): Queued | undefined {
    const { hands, table } = this
    const { frame, keys } = hands
    const { database } = session.transaction!
    const tenant = account.tenant!
    let prefix = tenant.prefixes[database]!
    keys.count = 0
    let out: Buffer | undefined
    if (table.keyMode[id] !== KEYS.none) {
      let error = findKeys(table, id, frame, keys)
      if (error !== undefined && keys.crosses === true) {
        const isMove = table.finder[id] === FINDER.move
        const request = acrossDatabases(frame, isMove, database, tenant.prefixes, tenant.keyPrefix.length)
        if (typeof request === 'string') error = request
        else {
          error = undefined
          session.transaction!.writesWide = true
          out = this.rewriteAcross(request, id, tenant.keyPrefix)
        }
      }
      // Redis queues such a command, and it fails in its place of EXEC's reply without having done anything.
      if (error !== undefined) {
        const line = Buffer.from(`-${errorText(error, table.specs[id]!.name)}\r\n`, 'latin1')
        return { id, local: () => line }
      }
    }
    if (route === ROUTE.script) return this.scriptEntry(account, id, database)
    if (table.specs[id]!.isWrite && out === undefined) hands.noteQueued(account, session.transaction!)
    if (table.keyMode[id] === KEYS.finder && keys.isChannel === true) prefix = tenant.prefix
    const looked = out === undefined ? prefix : tenant.keyPrefix
    out ??= this.rewrite(hands.bytes, pos, prefix)
    if (!hands.secondLook.isPrefixed(out, 0, out.length, 1, looked, tenant.prefix)) return undefined
    const transform = hands.transformOf(id, session, account, prefix)
    return transform === undefined ? { id, frame: out } : { id, frame: out, transform }
  }

  /** A request of ours between two databases, with what is common to them in front of its names. */
  private rewriteAcross(request: Buffer, id: number, common: Buffer): Buffer {
    const { frame, keys } = this.hands
    const { end } = frame
    frame.frame(request, 0, request.length)
    findKeys(this.table, id, frame, keys)
    const out = this.rewrite(request, 0, common)
    frame.end = end // the client's own request is what is being taken
    return out
  }

  /** undefined: the second look found a key without the prefix. */
  private scriptEntry(account: SessionAccount, id: number, database: number): Queued | undefined {
    const { hands } = this
    const { prefix, prefixes } = account.tenant!
    const { reply, frame, transform, script } = this.prepareScript(account, id, database)
    if (reply !== undefined) return { id, local: () => reply }
    if (!hands.secondLook.isPrefixed(frame!, 0, frame!.length, 1, prefixes[database]!, prefix)) return undefined
    return { id, frame: frame!, transform: transform!, ...(script === undefined ? {} : { script }) }
  }

  /** The framed script command as it goes upstream; its keys were found. */
  private prepareScript(account: SessionAccount, id: number, database: number): Prepared {
    const { keys } = this.hands
    const places = Array.from(keys.arg.subarray(0, keys.count))
    const { name } = this.table.specs[id]!
    return this.parts.scripts.prepare(account.tenant!.id, name, this.copyArgs(), places, database)
  }

  /** The framed request at `pos` of `bytes` in a buffer of its own, with the prefix on the keys that were found. */
  private rewrite(bytes: Buffer, pos: number, prefix: Buffer): Buffer {
    const { frame, keys, splicer } = this.hands
    const from = splicer.from
    const out = Buffer.allocUnsafe(frame.end - pos + keys.count * (prefix.length + keyHeaderBytesMax))
    splicer.from = pos
    let end = splicer.splice(bytes, false, frame, keys, prefix, out, 0)
    end = splicer.copy(bytes, false, frame.end, out, end)
    splicer.from = from
    return out.subarray(0, end)
  }

  /** MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
  transact(session: Session, account: SessionAccount, id: number, pos: number): number {
    const { hands, ids } = this
    const isOpen = (session.mode & modeMulti) !== 0
    const { end } = hands.frame
    if (id === ids.multi) {
      if (isOpen) return hands.refuse(session, pos, 'NESTED_MULTI')
      // Reads on a replica may yet be taken back and parsed again; what is queued here could not be.
      if (session.lane !== undefined && !hands.isPrimaryLane(session.lane)) return hands.waitForOrder(session)
      session.transaction = new Transaction(session.database, account.route)
      session.mode |= modeMulti
      return hands.local(session, pos, okLine, end)
    }
    if (id === ids.exec) return this.exec(session, account, pos)
    if (id === ids.discard) {
      if (!isOpen) return hands.refuse(session, pos, 'DISCARD_WITHOUT_MULTI')
      this.endTransaction(session)
      this.unwatch(session)
      return hands.local(session, pos, okLine, end)
    }
    if (id === ids.watch && isOpen) return hands.refuse(session, pos, 'WATCH_INSIDE_MULTI')
    if (id === ids.unwatch) {
      this.unwatch(session)
      return hands.local(session, pos, okLine, end)
    }
    const step = this.forward(session, account, id, ROUTE.transaction, pos)
    if (step === done && session.lease !== undefined) session.mode |= modePinned
    return step
  }

  /** An EXEC that is refused itself ends its transaction, and says so in Redis's words (multi.c, execCommandAbort). */
  refuseExec(session: Session, pos: number, code: ErrorCode, ...args: string[]): number {
    this.endTransaction(session)
    this.unwatch(session)
    return this.abort(session, pos, 'EXECABORT_BECAUSE', errorText(code, ...args).replace(/^ERR /, ''))
  }

  /** Not `refuse`: MONITOR shows such an EXEC, so that it is clear that the transaction is over (multi.c, execCommandAbort). */
  private abort(session: Session, pos: number, code: ErrorCode, ...args: string[]): number {
    return this.hands.local(
      session,
      pos,
      Buffer.from(`-${errorText(code, ...args)}\r\n`, 'latin1'),
      this.hands.frame.end,
    )
  }

  /** Nothing of it will run: its EXEC was refused. */
  dropTransaction(session: Session): void {
    this.endTransaction(session)
    this.unwatch(session)
  }

  private endTransaction(session: Session): void {
    session.mode &= ~modeMulti
    session.transaction = undefined
  }

  /** What was watched is so no longer; the connection goes back as soon as nothing of this client is in flight on it. */
  private unwatch(session: Session): void {
    session.hasLostWatch = false
    if ((session.mode & modePinned) === 0) return
    session.lease?.lane.sendInternal(unwatchFrame, () => {})
    this.unpin(session)
  }

  private unpin(session: Session): void {
    session.mode &= ~modePinned
    if (session.inFlight === 0) this.idle(session)
  }

  private exec(session: Session, account: SessionAccount, pos: number): number {
    const { hands } = this
    const { transaction } = session
    const { end } = hands.frame
    if (transaction === undefined) return hands.refuse(session, pos, 'EXEC_WITHOUT_MULTI')
    if (transaction.isSpoiled) {
      this.endTransaction(session)
      this.unwatch(session)
      return this.abort(session, pos, 'EXECABORT')
    }
    if (transaction.route !== account.route) {
      // As Redis does (multi.c, execCommand), but all or nothing.
      const lost = transaction.queued.find((entry) => account.route[entry.id] === ROUTE.denied)
      if (lost !== undefined) return this.refuseExec(session, pos, 'NOPERM', this.table.specs[lost.id]!.name)
    }
    const isWatching = (session.mode & modePinned) !== 0
    if (session.hasLostWatch) {
      // The connection that watched is gone: whether a key has changed cannot be known, so it counts as changed.
      this.endTransaction(session)
      this.unwatch(session)
      return hands.local(session, pos, encodeReply(session.resp === 3 ? nil : { kind: 'nullArray' }, session.resp), end)
    }
    if (transaction.sent === 0 && !isWatching) {
      if (transaction.selects) hands.endRun(session, pos)
      this.endTransaction(session)
      const answers = transaction.queued.map((entry) => entry.local!())
      return hands.local(session, pos, Buffer.concat([Buffer.from(`*${answers.length}\r\n`), ...answers]), end)
    }
    const needsLease =
      isWatching ||
      (session.mode & modeTracking) !== 0 ||
      transaction.hasScript ||
      transaction.sent > sharedTransactionCommandsMax ||
      transaction.bytes > sharedFrameBytesMax
    const step = needsLease
      ? this.execOnLease(session, account, transaction, pos)
      : this.execShared(session, account, transaction, pos)
    // Refused (no primary, no connection to be had): the transaction is over with its EXEC all the same, as in Redis
    // (server.c, rejectCommand), or whatever the client sends next would be queued.
    if (step === done && session.transaction === transaction) {
      this.endTransaction(session)
      this.unwatch(session)
    }
    return step
  }

  private execShared(session: Session, account: SessionAccount, transaction: Transaction, pos: number): number {
    const { hands, parts } = this
    const { primary } = parts.tracker
    if (session.lane !== undefined && !hands.isPrimaryLane(session.lane)) return hands.waitForOrder(session)
    if (session.lane?.isLeased === true) return hands.waitForOrder(session)
    if (session.held !== undefined && session.proving !== undefined) return hands.waitForOrder(session)
    if (primary === undefined || parts.pool.hasUnsettled(primary.index)) return hands.noPrimary(session, account, pos)
    const lane =
      session.lane ?? parts.pool.lane(primary.index, session.resp, false, session.id, account.tenant!.database)
    if (!hands.isOwnLane(session, lane)) return hands.isolationFailure(session, lane)
    if (lane.isBulk) return hands.waitForOrder(session)
    if (!lane.isReady || !hands.isPrimaryLane(lane)) return hands.noPrimary(session, account, pos)
    hands.endRun(session, pos)
    if (hands.mostOf(session, lane) <= session.inFlight) return hands.waitForTurn(session, lane)
    const size = transaction.bytes + multiFrame.length + execFrame.length
    // No lower bound than the one at which the lane tells those who wait (lane.ts, transactionRoom), or they wait for ever.
    const isFull = lane.inFlight + transaction.sent + 2 > laneCommandsMax - 2
    if (isFull || !lane.hasRoomFor(size)) return hands.waitForRoom(session, lane)
    session.stallUntilMs = 0
    put(lane, multiFrame)
    for (const entry of transaction.queued) if (entry.frame !== undefined) put(lane, entry.frame)
    put(lane, execFrame)
    this.appendUnit(session, lane, transaction)
    hands.mostOf(session, lane) // it counts as one with its client, and as many with its tenant
    parts.pool.wantsFlush(lane)
    return done
  }

  private execOnLease(session: Session, account: SessionAccount, transaction: Transaction, pos: number): number {
    const { hands } = this
    const isWrite = transaction.hasWrite || transaction.hasScript
    const lease = this.leaseFor(session, account, pos, isWrite, transaction.hasScript)
    if (typeof lease === 'number') return lease
    if (session.hasLostWatch) {
      // The lease that watched was given up just now; this one knows nothing of it.
      if (session.inFlight === 0) this.idle(session)
      return this.exec(session, account, pos)
    }
    const { lane } = lease
    if (transaction.hasScript && !lease.isTenantUser) {
      this.endTransaction(session)
      this.unwatch(session)
      return this.abort(session, pos, 'EXECABORT')
    }
    if (!lane.canFlush) return hands.waitForRoom(session, lane)
    lane.reserveCommands(2 * transaction.sent + 2)
    const frames = transaction.queued.flatMap((entry) => (entry.frame === undefined ? [] : [entry.frame]))
    const loads: Buffer[] = []
    for (const { script } of transaction.queued) {
      const load = this.loadRequest(lease, script)
      if (load === undefined) continue
      this.appendLoad(lease, script!)
      loads.push(load)
    }
    if (transaction.hasScript) this.noteScript(account, lease)
    this.appendUnit(session, lane, transaction)
    lane.writeLarge([Buffer.concat([...loads, multiFrame, ...frames, execFrame])])
    if ((session.mode & modePinned) !== 0) session.mode &= ~modePinned // EXEC has ended the watch
    return done
  }

  /** The ring's entries for MULTI, the commands and EXEC: replies to all but the last are swallowed. */
  private appendUnit(session: Session, lane: Lane, transaction: Transaction): void {
    const { hands } = this
    const { nowMs } = hands
    // Scripts may write what no flag of theirs says.
    const isWrite = transaction.hasWrite || transaction.hasScript
    if (isWrite) hands.fenceExec(session, session.account!, lane, transaction)
    const { sink, held, proving } = session
    const isHeld = held !== undefined && isWrite
    for (let i = 0; i <= transaction.sent; i++) lane.append(sink, kindSwallow, false, nowMs)
    const isSilent = session.takeSilence()
    if (!isSilent || transaction.selects) proving?.add(false)
    if (isSilent && !transaction.selects) lane.append(sink, kindSwallow, isWrite, nowMs)
    else if (transaction.needsTransform) {
      const parts = transaction.queued
      const account = session.account!
      const { nodeIndex } = lane
      const compose: Transform = (reply) => {
        if (transaction.hasScript && !isBusy(reply)) this.scriptAnswered(account, nodeIndex, nowMs)
        return composeExec(reply, parts)
      }
      // Silent or not, what is put together decides whether SELECT counts.
      const transform: Transform = isSilent ? (reply) => (compose(reply) === undefined ? undefined : nothing) : compose
      if (isHeld && !isSilent) lane.appendTransformed(sink, held.keep(transform, true), true, nowMs)
      else lane.appendTransformed(sink, transform, isWrite, nowMs)
    } else if (isHeld) lane.appendTransformed(sink, held.keep(undefined, true), true, nowMs)
    else lane.append(sink, kindPass, isWrite, nowMs)
    session.lane = lane
    session.inFlight += transaction.sent + 2
    hands.countSent(isWrite)
    this.endTransaction(session)
    if (transaction.selects) hands.waitForOrder(session)
  }

  // ---- commands on a lease ----

  /** One command on this client's own connection. `route` is that of the command, or blocking where an option makes it so. */
  forward(session: Session, account: SessionAccount, id: number, route: number, pos: number): number {
    const { hands, table, ids } = this
    if (route === ROUTE.script) return this.forwardScript(session, account, id, pos)
    const lease = this.leaseFor(session, account, pos, table.specs[id]!.isWrite, false)
    if (typeof lease === 'number') return lease
    const { lane } = lease
    session.isCachingNext = false
    const { frame, keys } = hands
    const isChannel = table.keyMode[id] === KEYS.finder && keys.isChannel === true
    const prefix = isChannel ? account.tenant!.prefix : session.prefix
    const out = this.rewrite(hands.bytes, pos, prefix)
    if (keys.count > 0 && !hands.secondLook.isPrefixed(out, 0, out.length, 1, prefix, account.tenant!.prefix))
      return hands.isolationFailure(session, lane)
    const isLarge = !lane.hasRoomFor(out.length)
    if (isLarge && !lane.canFlush) return hands.waitForRoom(session, lane)
    // WAIT and WAITAOF speak of what their own connection did last; a word echoed before it moves that up to now.
    if (id === ids.wait || id === ids.waitaof) lane.sendInternal(encodeRequest(['ECHO', 'regis']), () => {})
    if (!isLarge) put(lane, out)
    session.lane = lane
    session.inFlight++
    hands.enqueue(session, account, lane, id, table.specs[id]!.isWrite)
    if (isLarge) lane.writeLarge([out])
    else this.parts.pool.wantsFlush(lane)
    if (route === ROUTE.blocking) this.noteBlocked(session, account, id, lease, this.blockMs(id, frame))
    return done
  }

  private forwardScript(session: Session, account: SessionAccount, id: number, pos: number): number {
    const { hands } = this
    const tenant = account.tenant!
    const prepared = this.prepareScript(account, id, session.database)
    if (prepared.reply !== undefined) return hands.local(session, pos, prepared.reply, hands.frame.end)
    const lease = this.leaseFor(session, account, pos, true, true)
    if (typeof lease === 'number') return lease
    if (!lease.isTenantUser) {
      if (session.inFlight === 0 && (session.mode & keepsLease) === 0) this.release(session)
      return hands.refuse(session, pos, 'NO_SCRIPTS')
    }
    const isLoading = id === this.ids.load
    if (isLoading && session.inFlight > 0) return hands.waitForOrder(session)
    const { lane } = lease
    const frame = prepared.frame!
    if (!hands.secondLook.isPrefixed(frame, 0, frame.length, 1, tenant.prefixes[session.database]!, tenant.prefix))
      return hands.isolationFailure(session, lane)
    const load = this.loadRequest(lease, prepared.script)
    const isLarge = !lane.hasRoomFor(frame.length + (load?.length ?? 0))
    if (isLarge && !lane.canFlush) return hands.waitForRoom(session, lane)
    if (load !== undefined) this.appendLoad(lease, prepared.script!)
    this.noteScript(account, lease)
    session.lane = lane
    session.inFlight++
    lease.isLoading = isLoading
    const mayWrite = this.mayWrite(id)
    if (mayWrite) session.hasLeasedWide = true
    hands.countSent(mayWrite)
    if (session.takeSilence()) lane.append(session.sink, kindSwallow, mayWrite, hands.nowMs)
    else {
      const transform = this.answering(session, account, lease, prepared, mayWrite)
      lane.appendTransformed(session.sink, keptOf(session, transform, mayWrite), mayWrite, hands.nowMs)
    }
    this.write(lane, load === undefined ? [frame] : [load, frame], isLarge)
    return done
  }

  private write(lane: Lane, pieces: readonly Buffer[], isLarge: boolean): void {
    if (isLarge) return lane.writeLarge(pieces)
    for (const piece of pieces) put(lane, piece)
    this.parts.pool.wantsFlush(lane)
  }

  /** Whose loss leaves it open what has been written. */
  private mayWrite(id: number): boolean {
    const { name, flags, isWrite } = this.table.specs[id]!
    return (
      isWrite || (!flags.includes('readonly') && (name.startsWith('e') || name.startsWith('f')) && !name.includes('|'))
    )
  }

  /** What the node must be sent before a command that runs this script by its sha; undefined: it has it, or will have. */
  private loadRequest(lease: Lease, script: Script | undefined): Buffer | undefined {
    if (script === undefined || lease.scriptsSent.has(script.sha)) return undefined
    return this.parts.scripts.loadFor(script, lease.key.nodeIndex, lease.connection.runId)
  }

  /** Takes the place of such a request in the ring. */
  private appendLoad(lease: Lease, script: Script): void {
    const { scripts } = this.parts
    const { nodeIndex } = lease.key
    const { runId } = lease.connection
    lease.scriptsSent.add(script.sha)
    lease.lane.appendOwn((reply) => scripts.noteLoaded(script, nodeIndex, runId, reply))
  }

  /** The tenant's code is about to run there: silence is no fault, within the script's budget. */
  private noteScript(account: SessionAccount, lease: Lease): void {
    const { running, timeoutMs } = this.parts
    lease.slackMs = this.scriptMs + timeoutMs
    lease.script ??= running.start(lease.key.nodeIndex, account.tenant!.id, lease.lane, this.hands.nowMs)
  }

  private answering(
    session: Session,
    account: SessionAccount,
    lease: Lease,
    prepared: Prepared,
    mayWrite: boolean,
  ): Transform {
    const sentAtMs = this.hands.nowMs
    return (reply) => {
      if (lease.isLoading && reply[0] === errorByte) lease.isSpoilt = true
      if (!isBusy(reply)) this.scriptAnswered(account, lease.key.nodeIndex, sentAtMs)
      const mine = prepared.transform!(reply)
      return isNoScript(reply) && this.bringAgain(session, lease, prepared, mayWrite) ? nothing : mine
    }
  }

  /**
   * The node has lost a script that we have: it is given it, and the command goes again. It was not executed, and that is
   * known; but only with nothing of the client's behind it, which would be overtaken.
   */
  private bringAgain(session: Session, lease: Lease, prepared: Prepared, mayWrite: boolean): boolean {
    const { lane } = lease
    const { script, frame, transform } = prepared
    if (script === undefined || session.inFlight !== 1 || session.lease !== lease) return false
    lease.scriptsSent.delete(script.sha)
    const load = this.loadRequest(lease, script)
    if (load === undefined) return false
    const isLarge = !lane.hasRoomFor(load.length + frame!.length)
    if (isLarge && !lane.canFlush) return false
    this.appendLoad(lease, script)
    session.inFlight++
    lane.appendTransformed(session.sink, keptOf(session, transform!, mayWrite), mayWrite, this.parts.now())
    this.write(lane, [load, frame!], isLarge)
    return true
  }

  /** Its time is charged to its tenant, and to its user. Others' scripts that ran before it are not. */
  private scriptAnswered(account: SessionAccount, nodeIndex: number, sentAtMs: number): void {
    const { running, now, tracker } = this.parts
    const nowMs = now()
    const units = unitsOfScript(running.ranMs(nodeIndex, sentAtMs, nowMs), tracker.nodes[nodeIndex]!.rttMs)
    running.noteAnswered(nodeIndex, nowMs)
    if (units === 0) return
    const nowUs = Math.floor(nowMs * 1000)
    account.tenant!.quota?.owe(units, nowUs)
    account.use?.quota.owe(units, nowUs)
  }

  /** Everything on it is answered; or it is gone, and a script may go on without it. */
  private scriptsOver(lease: Lease, isLost = !lease.lane.isReady): void {
    if (lease.script === undefined) return
    if (isLost) this.parts.running.lost(lease.script)
    else this.parts.running.end(lease.script)
    lease.script = undefined
    lease.slackMs = 0
    lease.scriptsSent.clear()
  }

  private noteBlocked(session: Session, account: SessionAccount, id: number, lease: Lease, timeoutMs: number): void {
    session.blockedId = id
    if (!session.isBlocked) {
      session.isBlocked = true
      account.tenant!.blocked++
    }
    lease.patientUntilMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : this.hands.nowMs + timeoutMs + blockGraceMs
  }

  /** How long it may block, ms; 0: for ever. What is no number is the server's to refuse. */
  private blockMs(id: number, frame: RequestFramer): number {
    const at = this.table.blockAt[id]!
    const { bytes } = this.hands
    let index = at < 0 ? frame.count - 1 : at
    if (at === BLOCK_OPTION) {
      index = 1
      while (index < frame.count - 1 && !isBlockWord(bytes, frame, index)) index++
      index++
    }
    if (index >= frame.count) return 0
    const value = Number(
      bytes.toString('latin1', frame.off[index]!, frame.off[index]! + Math.min(frame.len[index]!, 32)),
    )
    return Number.isFinite(value) && value > 0 ? value * this.table.blockUnitMs[id]! : 0
  }

  /** The client's lease to the primary, ready to be used; a number: the step that stands for waiting or a refusal. */
  leaseFor(
    session: Session,
    account: SessionAccount,
    pos: number,
    isWrite: boolean,
    runsScripts: boolean,
  ): Lease | number {
    const { hands, parts } = this
    const { primary } = parts.tracker
    let { lease } = session
    if (session.inFlight > 0 && (lease === undefined || lease.isLoading || session.lane !== lease.lane))
      return hands.waitForOrder(session)
    if (lease?.lane.isReady && session.inFlight === 0) {
      // Taken while its node was the primary: what it watched there says nothing here.
      if (!hands.isPrimaryLane(lease.lane)) {
        this.giveUp(session, lease, 'not the primary any more')
        lease = undefined
      }
    }
    if (lease?.lane.isReady && (session.mode & keepsLease) === 0 && lease.key.runsScripts !== runsScripts) {
      // The other kind of connection, which it has held for the command before.
      if (session.inFlight > 0) return hands.waitForOrder(session)
      this.idle(session)
      lease = session.lease
    }
    if (lease === undefined) {
      if (primary === undefined || (isWrite && parts.pool.hasUnsettled(primary.index)))
        return hands.noPrimary(session, account, pos)
      const { id, database } = account.tenant!
      if (session.stallUntilMs !== 0 && hands.nowMs - (this.busyAtMs.get(primary.index) ?? 0) < busyMs) {
        session.stallUntilMs = 0
        return hands.refuse(session, pos, 'BUSY')
      }
      const key = { tenant: id, nodeIndex: primary.index, resp: session.resp, database, runsScripts }
      lease = parts.leases.take(key, session)
      if (lease === undefined) {
        session.stallUntilMs = 0
        account.tenant!.cells.quotaRefused(Quota.leases)
        return hands.refuse(session, pos, 'MAX_LEASES')
      }
      session.lease = lease
    }
    if (!hands.isOwnLane(session, lease.lane)) return hands.isolationFailure(session, lease.lane)
    const isSpoken = lease.lane.isReady && lease.key.resp === session.resp && !lease.isChangingVersion
    if (isSpoken && this.parts.isTracked(session, lease)) {
      const step = runsScripts ? this.asTenant(session, lease) : undefined
      if (step !== undefined) return step
      if (!runsScripts) this.asOwn(lease)
      session.stallUntilMs = 0
      return lease
    }
    if (session.stallUntilMs === 0) session.stallUntilMs = hands.nowMs + parts.timeoutMs
    if (hands.nowMs < session.stallUntilMs) return hands.waitForNode(session)
    session.stallUntilMs = 0
    session.lease = undefined
    parts.leases.drop(lease, 'not connected in time')
    return hands.refuse(session, pos, 'NO_PRIMARY')
  }

  /**
   * A connection of the client's own to the node that was chosen for its read, whatever that is; nothing of it is in flight. A
   * number: it waits; undefined: there is none to be had.
   */
  leaseTo(session: Session, account: SessionAccount, nodeIndex: number): Lease | number | undefined {
    const { hands, parts } = this
    const { lease: had } = session
    if (had !== undefined && (had.key.nodeIndex !== nodeIndex || had.key.runsScripts || had.key.resp !== session.resp))
      this.release(session)
    if (session.lease === undefined) {
      const { id, database } = account.tenant!
      const key = { tenant: id, nodeIndex, resp: session.resp, database, runsScripts: false }
      session.lease = parts.leases.take(key, session)
    }
    const { lease } = session
    if (lease === undefined) return undefined
    if (!hands.isOwnLane(session, lease.lane)) return hands.isolationFailure(session, lease.lane)
    if (lease.lane.isReady && !lease.isChangingVersion) {
      this.asOwn(lease)
      session.stallUntilMs = 0
      return lease
    }
    if (session.stallUntilMs === 0) session.stallUntilMs = hands.nowMs + parts.timeoutMs
    if (hands.nowMs < session.stallUntilMs) return hands.waitForNode(session)
    session.stallUntilMs = 0
    session.lease = undefined
    parts.leases.drop(lease, 'not connected in time')
    return undefined
  }

  /** The read that was framed, with its keys found, goes over such a connection. False: what is put there is not the tenant's own. */
  sendRead(session: Session, account: SessionAccount, id: number, lease: Lease, hash: number, pos: number): boolean {
    const { hands } = this
    const { lane } = lease
    const out = this.rewrite(hands.bytes, pos, session.prefix)
    const { prefix } = account.tenant!
    if (!hands.secondLook.isPrefixed(out, 0, out.length, 1, session.prefix, prefix)) return false
    const isLarge = !lane.hasRoomFor(out.length)
    if (!isLarge) put(lane, out)
    session.lane = lane
    session.inFlight++
    lane.name(0, hash)
    // The server copies all of it before its first byte comes.
    lease.slackMs = this.parts.timeoutMs
    hands.enqueue(session, account, lane, id, false)
    if (isLarge) lane.writeLarge([out])
    else this.parts.pool.wantsFlush(lane)
    return true
  }

  /** A script of a client that watches or tracks keys: its connection becomes the tenant's own for that while. */
  private asTenant(session: Session, lease: Lease): number | undefined {
    if (lease.key.runsScripts || lease.isTenantUser) return undefined
    if (session.inFlight > 0) return this.hands.waitForOrder(session)
    if (lease.hasAskedForTenant && !lease.isChangingUser) {
      lease.hasAskedForTenant = false // refused: the script will be
      return undefined
    }
    if (!lease.isChangingUser) {
      lease.hasAskedForTenant = true
      this.parts.leases.becomeTenant(lease, () => {
        if (lease.isTenantUser) lease.hasAskedForTenant = false
        this.hands.resumeLater(session, 0)
      })
    }
    if (session.stallUntilMs === 0) session.stallUntilMs = this.hands.nowMs + this.parts.timeoutMs
    return this.hands.waitForNode(session)
  }

  private asOwn(lease: Lease): void {
    if (lease.isTenantUser && !lease.key.runsScripts && lease.lane.isReady) this.parts.leases.becomeOwn(lease)
  }

  // ---- leases come and go ----

  leaseReady(session: Session, lease: Lease): void {
    this.versionChanged(session)
    this.parts.isTracked(session, lease)
    this.hands.resumeLater(session, 0)
  }

  /** HELLO of a client that watches or tracks keys: its connection goes on with what it knows, in the client's version. */
  versionChanged(session: Session): void {
    const { lease } = session
    if (lease === undefined || !lease.lane.isReady || lease.key.resp === session.resp || lease.isChangingVersion) return
    this.parts.leases.changeVersion(lease, session.resp, (isRefused) => {
      if (session.lease !== lease) return
      if (isRefused) this.giveUp(session, lease, 'HELLO was refused')
      else this.versionChanged(session) // it may have said HELLO again
      this.hands.resumeLater(session, 0)
    })
  }

  /** A node has refused a new connection with -BUSY: a script holds it up. */
  noteBusy(nodeIndex: number): void {
    this.busyAtMs.set(nodeIndex, this.parts.now())
  }

  /** The lease of this client is gone; what was in flight on it has been answered. */
  leaseLost(session: Session, lease: Lease): void {
    if (session.lease !== lease) return
    this.giveUp(session, lease, '')
    // Those who waited for it ask again, a little later: a server that refuses connections is not hammered.
    if (session.stallUntilMs !== 0) this.hands.resumeLater(session, retryMs)
  }

  /** A lease that can serve its client no longer. What it watched counts as changed, what it tracked is tracked anew. */
  giveUp(session: Session, lease: Lease, reason: string): void {
    session.lease = undefined
    this.scriptsOver(lease, true)
    if ((session.mode & modePinned) !== 0) this.loseWatch(session)
    this.unblock(session)
    this.parts.leases.drop(lease, reason)
    if ((session.mode & modeTracking) !== 0) this.parts.trackingLost(session)
  }

  private loseWatch(session: Session): void {
    session.mode &= ~modePinned
    session.hasLostWatch = true
  }

  /** All that is in flight of this client was answered, and some of it is held: nothing waits or runs on its node. */
  answered(session: Session): void {
    this.unblock(session)
    if (session.lease !== undefined) this.scriptsOver(session.lease)
  }

  private unblock(session: Session): void {
    if (!session.isBlocked) return
    session.isBlocked = false
    const tenant = session.account?.tenant
    if (tenant !== undefined) tenant.blocked--
  }

  /** Nothing of this client is in flight any more: a lease that is not pinned goes back. */
  idle(session: Session): void {
    this.unblock(session)
    if (session.lease !== undefined) {
      this.scriptsOver(session.lease)
      session.lease.isLoading = false
      session.lease.slackMs = 0
      if (session.lease.isSpoilt) this.giveUp(session, session.lease, 'a library was refused')
      else this.asOwn(session.lease)
    }
    if ((session.mode & keepsLease) === 0) this.release(session)
  }

  private release(session: Session): void {
    const { lease } = session
    if (lease === undefined) return
    session.lease = undefined
    this.parts.leases.release(lease)
  }

  /** The client is gone, or starts anew (RESET, another login): nothing of it may stay anywhere. */
  leave(session: Session): void {
    this.endTransaction(session)
    session.hasLostWatch = false
    const { lease } = session
    this.unblock(session)
    if (lease === undefined) {
      session.mode &= ~modePinned
      return
    }
    if (session.inFlight > 0 || !lease.lane.isReady || lease.isTracked || lease.isChangingUser) {
      session.mode &= ~modePinned
      session.lease = undefined
      this.scriptsOver(lease, true)
      this.parts.leases.drop(lease, 'its client left')
    } else if ((session.mode & modePinned) !== 0) this.unwatch(session)
    else this.release(session)
  }

  /** CLIENT UNBLOCK: true when the server has taken the blocked command of this client back. */
  unblockOnNode(session: Session, withError: boolean): Promise<boolean> {
    const { lease } = session
    if (!session.isBlocked || lease === undefined || lease.connection.id === 0) return Promise.resolve(false)
    const request = ['CLIENT', 'UNBLOCK', String(lease.connection.id), withError ? 'ERROR' : 'TIMEOUT']
    return new Promise((resolve) => {
      this.parts.pool.askShared(lease.key.nodeIndex, request, (reply) =>
        resolve(reply?.toString('latin1') === ':1\r\n'),
      )
    })
  }
}

/** What may write is acknowledged when replicas have it, where the tenant wants that. */
function keptOf(session: Session, transform: Transform, mayWrite: boolean): Transform {
  return mayWrite && session.held !== undefined ? session.held.keep(transform, false) : transform
}

function put(lane: Lane, bytes: Buffer): void {
  bytes.copy(lane.bytes, lane.pos)
  lane.pos += bytes.length
}

function isBlockWord(bytes: Buffer, frame: RequestFramer, index: number): boolean {
  return (
    frame.len[index] === 5 &&
    bytes.toString('latin1', frame.off[index]!, frame.off[index]! + 5).toLowerCase() === 'block'
  )
}

const busy = Buffer.from('-BUSY ')

function isBusy(reply: Buffer): boolean {
  return reply.subarray(0, busy.length).equals(busy)
}
