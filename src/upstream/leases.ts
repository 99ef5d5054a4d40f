/**
 * Connections that belong to one client of one tenant for a while: for what leaves state on a connection (WATCH), what
 * holds it up (BLPOP), and what runs a tenant's own code (scripts). Warm ones wait to be taken again by the same tenant.
 *
 *   take -> warm one? yes -> held -> release -> warm (a nonce is asked before the next client's first command)
 *             | no                     `-> drop -> reset at once, and killed on the node by its id
 *             v
 *           connecting -> onReady(holder) / onLost(holder)
 *
 * A lease that is lost takes nobody's writes with it but its holder's: others' are not held up by it.
 */
import { randomBytes } from 'node:crypto'
import {
  leaseArenaHalfBytes,
  leaseCommandsMax,
  leaseFrontBytes,
  leaseIdleMs,
  leaseReadBytes,
  leasesMax,
  leasesWarmMax,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { encodeRequest } from '../resp/encode.ts'
import type { ScriptRun } from '../scripts/running.ts'
import { type UpstreamAddress, UpstreamConnection } from './connection.ts'
import { Lane, type LaneEvents, type LaneSize, type LaneTimes } from './lane.ts'
import type { Pool } from './pool.ts'

const leaseSize: LaneSize = {
  halfBytes: leaseArenaHalfBytes,
  frontBytes: leaseFrontBytes,
  readBytes: leaseReadBytes,
  commandsMax: leaseCommandsMax,
  ring: 16,
}

/** Who holds a lease: a client's session. */
export interface LeaseHolder {
  readonly id: number
}

export interface LeaseKey {
  readonly tenant: string
  readonly nodeIndex: number
  readonly resp: 2 | 3
  /** The servers' database that is the tenant's own; 0: the shared one. */
  readonly database: number
  /**
   * For scripts: logged in as the tenant's own Redis user. Others stay the proxy's own: their names are rewritten as on shared
   * connections, and Redis's rules for users would refuse what it serves there (COPY, SORT ... GET).
   */
  readonly runsScripts: boolean
}

export class Lease {
  /** Of what it is now: its version of RESP is the holder's. */
  key: LeaseKey
  readonly lane: Lane
  readonly connection: UpstreamConnection
  /** Undefined while it is warm. */
  holder: LeaseHolder | undefined
  /** The client whose commands it carried last; another one's come behind a nonce. */
  lastHolderId = 0
  idleSinceMs = 0
  /** Logged in as the tenant's own Redis user. */
  isTenantUser = false
  /** It is becoming the tenant's own user, for a client that cannot take another one (it watches or tracks keys). */
  isChangingUser = false
  hasAskedForTenant = false
  /** HELLO with another version is under way. */
  isChangingVersion = false
  /** Silence is no fault until then: a blocking command waits. */
  patientUntilMs = 0
  isLost = false
  /** Its client has a script in flight on it. */
  script: ScriptRun | undefined
  /** Scripts that were sent behind each other and not confirmed yet, by their client's sha. */
  readonly scriptsSent = new Set<string>()
  /** So much longer than usual may it be silent, ms: a script may run that long. */
  slackMs = 0
  /** CLIENT TRACKING was switched on here for its holder: it does not go back to the warm ones. */
  isTracked = false
  /**
   * A library is being loaded: its code runs, and Redis 7.0 does not clean the text of an error that it raises, so bytes of the
   * tenant's making may follow. Nothing else is sent before it is answered.
   */
  isLoading = false
  /** It was refused: this connection is not used again. */
  isSpoilt = false

  constructor(key: LeaseKey, lane: Lane, connection: (lease: Lease) => UpstreamConnection) {
    this.key = key
    this.lane = lane
    this.connection = connection(this)
  }
}

export interface LeaseOptions {
  readonly addresses: readonly UpstreamAddress[]
  readonly pool: Pool
  readonly timeoutMs: number
  readonly clientName: string
  /** So many may this tenant's clients hold. */
  mostFor(tenant: string): number
  /** And so many all tenants' together. */
  readonly most?: number
  readonly log: Log
  now(): number
  durations(nodeIndex: number, isPrimary: boolean): LaneTimes
  /**
   * Commands that turn a new connection into one of the tenant's own Redis user, that user's creation among them where it
   * may be missing on this run of the server. Undefined: it stays the proxy's own (no ACL there).
   */
  login(tenant: string, nodeIndex: number, runId: string): readonly (readonly string[])[] | undefined
  /** The server refused one of them. */
  loginRefused(tenant: string, nodeIndex: number, command: string, code: string): void
}

export interface LeaseEvents extends Omit<LaneEvents, 'largeReply'> {
  /** A reply to the holder was large; `hash`: the read that it answers, 0: it was not named. */
  largeReply(holder: LeaseHolder, hash: number, size: number): void
  /** The holder's connection can be used. */
  ready(lease: Lease, holder: LeaseHolder): void
  /** It is gone; what was in flight on it has been answered. */
  lost(lease: Lease, holder: LeaseHolder | undefined, reason: string): void
  /** The server has told the holder something that it had not asked for. */
  push(lease: Lease, holder: LeaseHolder, push: Buffer): void
  /** What was in flight on a lost one can no longer run (`lane.isLossSettled`). */
  settled(): void
  /** The end of a read from the node: nothing of the lane is on the stack. */
  afterRead(): void
}

/** The first byte of +OK. */
const plus = 0x2b
const minus = 0x2d

const perKey = (key: LeaseKey): string =>
  `${key.nodeIndex} ${key.resp} ${key.database} ${key.runsScripts} ${key.tenant}`

export class Leases {
  private readonly options: LeaseOptions
  private readonly events: LeaseEvents
  private readonly all = new Set<Lease>()
  private readonly warm = new Map<string, Lease[]>()
  private readonly held = new Map<string, number>()

  constructor(options: LeaseOptions, events: LeaseEvents) {
    this.options = options
    this.events = events
  }

  get count(): number {
    return this.all.size
  }

  /** Leases that clients of this tenant hold. */
  heldBy(tenant: string): number {
    return this.held.get(tenant) ?? 0
  }

  /** Whether `take` would give one. */
  mayTake(key: LeaseKey): boolean {
    if (this.warm.has(perKey(key))) return true
    const hasRoom = this.all.size < (this.options.most ?? leasesMax) || this.warm.size > 0
    return hasRoom && this.heldBy(key.tenant) < this.options.mostFor(key.tenant)
  }

  /** One for this holder: perhaps not ready yet (`lease.lane.isReady`, then `ready` is called). Undefined: too many. */
  take(key: LeaseKey, holder: LeaseHolder): Lease | undefined {
    const name = perKey(key)
    const waiting = this.warm.get(name)
    // The one that this client had last, where it is still there: no nonce is needed.
    const at = waiting === undefined ? -1 : waiting.findLastIndex((lease) => lease.lastHolderId === holder.id)
    const warm = at >= 0 ? waiting!.splice(at, 1)[0] : waiting?.pop()
    if (warm !== undefined) {
      if (waiting!.length === 0) this.warm.delete(name)
      this.give(warm, holder)
      return warm
    }
    if (this.heldBy(key.tenant) >= this.options.mostFor(key.tenant)) return undefined
    if (this.all.size >= (this.options.most ?? leasesMax) && !this.closeOneWarm()) return undefined
    const lease = this.open(key)
    this.give(lease, holder)
    lease.connection.start()
    return lease
  }

  private give(lease: Lease, holder: LeaseHolder): void {
    const { tenant } = lease.key
    this.held.set(tenant, this.heldBy(tenant) + 1)
    lease.holder = holder
    lease.patientUntilMs = 0
    if (lease.lane.isReady && lease.lastHolderId !== holder.id) lease.lane.sendNonce(randomBytes(16).toString('hex'))
    lease.lastHolderId = holder.id
  }

  /**
   * Makes a connection of the proxy's own user the tenant's, with all that it holds; `then` is called when that is decided
   * (`lease.isTenantUser`). Nothing of the client's may be sent on it before.
   */
  becomeTenant(lease: Lease, then: () => void, isSecondTry = false): void {
    const { key, lane, connection } = lease
    const { options } = this
    const login = options.login(key.tenant, key.nodeIndex, connection.runId)
    if (login === undefined) return then()
    lease.isChangingUser = true
    let isRefused = false
    let isUnknown = false
    login.forEach((args, i) => {
      lane.sendInternal(encodeRequest(args), (reply) => {
        if (reply?.[0] !== plus && !isRefused) {
          isRefused = true
          const code = /^-(\S+)/.exec(reply?.toString('latin1', 0, 40) ?? '')?.[1] ?? ''
          isUnknown = args[0] === 'AUTH' && code === 'WRONGPASS'
          if (reply !== undefined) options.loginRefused(key.tenant, key.nodeIndex, args[0]!, code)
        }
        if (i < login.length - 1) return
        lease.isChangingUser = false
        lease.isTenantUser = !isRefused
        // The connection that was to set the user up has died before it did, or is slower than this one: then this one does.
        if (isUnknown && !isSecondTry && lane.isReady) return this.becomeTenant(lease, then, true)
        then()
      })
    })
  }

  /** Back to the proxy's own user. Refused, it keeps the tenant's, which may do less. */
  becomeOwn(lease: Lease): void {
    const { username, password } = this.options.addresses[lease.key.nodeIndex]!
    lease.isTenantUser = false
    lease.lane.sendInternal(encodeRequest(['AUTH', username ?? 'default', password ?? '']), () => {})
  }

  /**
   * Everything that it holds stays. Nothing of the client's may be in flight on it, nor be sent before `then`, so that a client
   * which changes its mind again and again has one HELLO under way.
   */
  changeVersion(lease: Lease, resp: 2 | 3, then: (isRefused: boolean) => void): void {
    const { lane } = lease
    lease.isChangingVersion = true
    if (resp === 3) this.listen(lease)
    lane.sendInternal(encodeRequest(['HELLO', String(resp)]), (reply) => {
      lease.isChangingVersion = false
      if (reply === undefined) return
      if (reply[0] === minus) return then(true)
      lease.key = { ...lease.key, resp }
      lane.resp = resp
      if (resp === 2) lane.onPush = undefined
      then(false)
    })
  }

  private takeBack(lease: Lease): void {
    if (lease.holder === undefined) return
    lease.holder = undefined
    const left = this.heldBy(lease.key.tenant) - 1
    if (left > 0) this.held.set(lease.key.tenant, left)
    else this.held.delete(lease.key.tenant)
  }

  /** Nothing of the holder is in flight and nothing of it is left on the connection: it waits for the next one. */
  release(lease: Lease): void {
    if (lease.holder === undefined) return
    this.takeBack(lease)
    if (lease.isLost) return
    const name = perKey(lease.key)
    const waiting = this.warm.get(name)
    if (!lease.lane.isReady || lease.isTracked || lease.isChangingVersion || (waiting?.length ?? 0) >= leasesWarmMax) {
      this.close(lease, 'not needed')
      return
    }
    lease.idleSinceMs = this.options.now()
    if (waiting === undefined) this.warm.set(name, [lease])
    else waiting.push(lease)
  }

  /** The holder has gone with something in flight: the other end must learn it in this very turn. */
  drop(lease: Lease, reason: string): void {
    this.takeBack(lease)
    this.close(lease, reason)
  }

  /**
   * A write that was in flight may still run. The reset usually ends it; to be sure, the node is told by name, and only
   * then is the loss settled.
   */
  private settleLoss(lease: Lease): void {
    const { connection, lane, key } = lease
    const { pool, log } = this.options
    const over = (): void => {
      lane.isLossSettled = true
      this.events.settled()
    }
    if (connection.id === 0) return over()
    pool.killOnNode(key.nodeIndex, connection.id, (outcome) => {
      // Nobody to ask: the next connection to that node does it before it is used for anything.
      if (outcome === 'unasked') pool.lostOf(key.nodeIndex).ids.set(connection.id, connection.runId)
      else if (outcome === 'refused')
        log.warn({ node: key.nodeIndex }, 'CLIENT KILL is refused: lost writes may run late')
      over()
    })
  }

  private close(lease: Lease, reason: string): void {
    if (lease.connection.isStarted && !lease.isLost) lease.connection.end(reason)
    this.forget(lease)
  }

  private closeOneWarm(): boolean {
    for (const waiting of this.warm.values()) {
      const lease = waiting[0]
      if (lease === undefined) continue
      this.close(lease, 'room for another')
      return true
    }
    return false
  }

  private forget(lease: Lease): void {
    lease.isLost = true
    this.all.delete(lease)
    const name = perKey(lease.key)
    const waiting = this.warm.get(name)
    const at = waiting?.indexOf(lease) ?? -1
    if (at >= 0) {
      waiting!.splice(at, 1)
      if (waiting!.length === 0) this.warm.delete(name)
    }
  }

  private open(key: LeaseKey): Lease {
    const { options, events } = this
    const holder: { lease?: Lease } = {}
    const lane = new Lane(
      -1,
      key.nodeIndex,
      key.resp,
      false,
      { bytes: Buffer.allocUnsafeSlow(2 * leaseArenaHalfBytes) },
      0,
      options.durations(key.nodeIndex, true),
      {
        ...events,
        largeReply: (_, __, hash, size) => {
          const { holder: client } = holder.lease!
          if (client !== undefined) events.largeReply(client, hash, size)
        },
        desync: (it, why) => this.onDesync(it, why, holder),
      },
      options.now,
      leaseSize,
    )
    lane.isLeased = true
    lane.database = key.database
    const lease = new Lease(key, lane, (it) => this.connect(it))
    holder.lease = lease
    if (key.resp === 3) this.listen(lease)
    this.all.add(lease)
    return lease
  }

  private listen(lease: Lease): void {
    lease.lane.onPush = (push) => {
      if (lease.holder !== undefined) this.events.push(lease, lease.holder, push)
    }
  }

  private onDesync(lane: Lane, why: string, holder: { lease?: Lease }): void {
    // Bytes that a tenant's own library has put behind its error reach nobody and say nothing about us.
    if (holder.lease?.isLoading !== true && holder.lease?.isSpoilt !== true) this.events.desync(lane, why)
    lane.destroy(why)
  }

  private connect(lease: Lease): UpstreamConnection {
    const { options, events } = this
    const { key, lane } = lease
    let isTenantUser = false
    return new UpstreamConnection(lane, {
      address: options.addresses[key.nodeIndex]!,
      clientName: options.clientName,
      timeoutMs: options.timeoutMs,
      lost: options.pool.lostOf(key.nodeIndex),
      log: options.log,
      leased: {
        extra: (runId) => {
          if (!key.runsScripts) return []
          const login = options.login(key.tenant, key.nodeIndex, runId)
          isTenantUser = login !== undefined
          return login ?? []
        },
        refused: (command, code) => options.loginRefused(key.tenant, key.nodeIndex, command, code),
      },
      onReady: () => {
        lease.isTenantUser = isTenantUser
        if (lease.holder !== undefined) events.ready(lease, lease.holder)
        else this.close(lease, 'not needed')
      },
      onLost: (_, reason, lostWrite) => {
        const { holder } = lease
        this.takeBack(lease)
        this.forget(lease)
        events.lost(lease, holder, reason)
        if (lostWrite) this.settleLoss(lease)
      },
      afterRead: () => events.afterRead(),
    })
  }

  // ---- time ----

  /** Called a few times a second: those that are silent for too long, and those that nobody has taken for long. */
  check(nowMs: number, timeoutMs: number): void {
    for (const lease of [...this.all]) {
      const { lane } = lease
      if (lease.holder === undefined) {
        if (lane.isReady && nowMs - lease.idleSinceMs > leaseIdleMs) this.close(lease, 'idle')
      } else if (
        lane.isOpen &&
        nowMs > lease.patientUntilMs &&
        lane.silentMs(nowMs) > timeoutMs + lease.slackMs + this.grace(lease)
      )
        lane.destroy('no reply within the timeout')
    }
  }

  /** A blocking command's own time has only just passed: its reply may be on its way. */
  private grace(lease: Lease): number {
    return lease.patientUntilMs > 0 ? lease.lane.silentMs(lease.patientUntilMs) : 0
  }

  /** A node is no longer what its leases were taken for. */
  destroyNode(nodeIndex: number, reason: string, ofPrimary = false): void {
    for (const lease of [...this.all])
      if (lease.key.nodeIndex === nodeIndex && (!ofPrimary || lease.lane.isPrimary)) lease.lane.destroy(reason)
  }

  /** All of a tenant's: its users or its rights have changed. Warm ones close now, held ones when they are given back. */
  stop(): void {
    for (const lease of [...this.all]) this.close(lease, 'stopped')
  }

  [Symbol.iterator](): Iterator<Lease> {
    return this.all.values()
  }
}
