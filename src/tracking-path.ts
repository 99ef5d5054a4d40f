/**
 * Client-side caching through a proxy. The server tracks what a client reads on that client's leased connection to the
 * primary, on which all its commands travel while tracking is on; here the command is translated, and the server's messages
 * find their client.
 *
 *   RESP3 client                       lease (RESP3) --push--> the client itself
 *   client with REDIRECT to another    lease --the server--> receiver (RESP3 lease of the other) --> the other client
 *
 * A lost connection has forgotten what it tracked: the client is told that everything may have changed, and tracking is
 * switched on again on the next connection before anything is read there.
 */
import { trackingRequestBytesMax } from './base/limits.ts'
import type { LeasedPath, PathHands } from './leased-path.ts'
import { Quota } from './metrics/cells.ts'
import type { RegionTracker } from './regions/tracker.ts'
import { encodeRequest } from './resp/encode.ts'
import { modeTracking, Session, type SessionAccount } from './session/session.ts'
import {
  invalidation,
  isOfAllNames,
  parseTracking,
  prefixesAfter,
  readPush,
  redirectionBroken,
  stripTrackingError,
  type Tracking,
  trackingCommand,
} from './session/tracking.ts'
import type { Lease, LeaseHolder, Leases } from './upstream/leases.ts'

export interface TrackingParts {
  readonly leases: Leases
  readonly tracker: RegionTracker
  /** The connection with this id, of this tenant. */
  find(tenant: string, id: number): Session | undefined
  /** RESP2: is it subscribed to the channel of invalidations? */
  hearsInvalidations(session: Session): boolean
  deliver(session: Session, bytes: Buffer): void
  /** A name without the tenant's prefix came by. */
  foreignPrefix(lease: Lease): void
  after(ms: number, run: () => void): void
}

const done = 0
const retryMs = 100
const offFrame = encodeRequest(['CLIENT', 'TRACKING', 'OFF'])
const okLine = Buffer.from('+OK\r\n')

/** Hears what is redirected to one client: a RESP3 connection without commands, whose id the server is told. */
class Receiver implements LeaseHolder {
  readonly id: number
  readonly target: Session
  lease: Lease | undefined
  readonly followers = new Set<Session>()

  constructor(target: Session) {
    this.id = target.id
    this.target = target
  }
}

export class TrackingPath {
  private readonly hands: PathHands
  private readonly leased: LeasedPath
  private readonly parts: TrackingParts
  private readonly trackingId: number
  private readonly sessions = new Set<Session>()
  /** Who has asked to be redirected there and has no answer yet. */
  private readonly asking = new Map<Session, Receiver>()
  private readonly receivers = new Map<Session, Receiver>()

  constructor(hands: PathHands, leased: LeasedPath, parts: TrackingParts, trackingId: number) {
    this.hands = hands
    this.leased = leased
    this.parts = parts
    this.trackingId = trackingId
  }

  get count(): number {
    return this.sessions.size
  }

  // ---- commands ----

  /** CLIENT TRACKING and CLIENT CACHING. */
  handle(session: Session, account: SessionAccount, id: number, pos: number): number {
    const { hands } = this
    if (session.inFlight > 0) return hands.waitForOrder(session)
    if (id !== this.trackingId) return this.caching(session, account, id, pos)
    const tenant = account.tenant!
    const want = parseTracking(this.args(), (redirect) => this.parts.find(tenant.id, redirect))
    if (typeof want === 'string') return hands.refuse(session, pos, want)
    if (!want.isOn) {
      this.switchOff(session)
      return hands.local(session, pos, okLine, hands.frame.end)
    }
    const lease = this.leased.leaseFor(session, account, pos, false, false)
    if (typeof lease === 'number') return lease
    let redirectId = 0
    if (want.redirect !== undefined) {
      redirectId = this.receiverId(want.redirect, session)
      const receiver = this.receivers.get(want.redirect)!
      this.asking.set(session, receiver)
      if (receiver.lease === undefined) {
        // The tenant's clients hold all that it may have: nobody knows for how long.
        this.unask(session)
        if (this.parts.tracker.primary === undefined) return hands.noPrimary(session, account, pos)
        account.tenant!.cells.quotaRefused(Quota.leases)
        return hands.refuse(session, pos, 'MAX_LEASES')
      }
      if (redirectId === 0) return hands.waitForNode(session)
    }
    const before = session.tracking
    const request = encodeRequest(trackingCommand(want, tenant, redirectId))
    if (request.length > trackingRequestBytesMax) {
      this.unask(session)
      return hands.refuse(session, pos, 'TRACKING_LIMIT')
    }
    if (!lease.lane.hasRoomFor(request.length + offFrame.length)) return hands.waitForRoom(session, lease.lane)
    // Redis takes all names on top of single prefixes, or again; the tenant's prefix would overlap with what is there.
    const isWidened = before?.isBcast === true && isOfAllNames(want)
    if (isWidened) lease.lane.sendInternal(offFrame, () => {})
    request.copy(lease.lane.bytes, lease.lane.pos)
    lease.lane.pos += request.length
    const accept = (reply: Buffer): Buffer => {
      if (reply[0] !== 43) {
        this.unask(session)
        return stripTrackingError(reply, tenant)
      }
      this.asking.delete(session)
      // Further prefixes come on top of those that were given before, as in Redis.
      this.follow(session, lease, { ...want, prefixes: prefixesAfter(before, want) })
      // Between OFF and ON a change may have gone unheard.
      if (isWidened) this.parts.after(0, () => this.tell(session, undefined))
      return reply
    }
    lease.lane.appendTransformed(session, session.takeSilence() ? silent(accept) : accept, false, hands.nowMs)
    session.lane = lease.lane
    session.inFlight++
    hands.countSent(false)
    hands.wantsFlush(lease.lane)
    return done
  }

  private args(): Buffer[] {
    const { frame, bytes } = this.hands
    return Array.from({ length: frame.count }, (_, i) =>
      Buffer.from(bytes.subarray(frame.off[i]!, frame.off[i]! + frame.len[i]!)),
    )
  }

  private caching(session: Session, account: SessionAccount, id: number, pos: number): number {
    const { tracking } = session
    if (tracking === undefined) return this.hands.refuse(session, pos, 'CACHING_MODE')
    const word = this.args()[2]!.toString('latin1').toLowerCase()
    const step = this.leased.forward(session, account, id, 0, pos)
    if (step === done) session.isCachingNext = word === 'yes' ? tracking.isOptin : word === 'no' && tracking.isOptout
    return step
  }

  private follow(session: Session, lease: Lease, tracking: Tracking): void {
    // Asked for again with the same target, the server has just been told of the receiver that is there.
    if (session.tracking?.redirect !== tracking.redirect) this.unfollow(session)
    session.tracking = tracking
    session.mode |= modeTracking
    lease.isTracked = true
    this.sessions.add(session)
    if (tracking.redirect !== undefined) this.receivers.get(tracking.redirect)?.followers.add(session)
  }

  private unfollow(session: Session): void {
    const { redirect } = session.tracking ?? {}
    const receiver = redirect === undefined ? undefined : this.receivers.get(redirect)
    if (receiver === undefined) return
    receiver.followers.delete(session)
    if (receiver.followers.size === 0) this.dropReceiver(receiver)
  }

  /** CLIENT TRACKING ... REDIRECT was asked for and came to nothing. */
  private unask(session: Session): void {
    const receiver = this.asking.get(session)
    if (receiver === undefined) return
    this.asking.delete(session)
    if (session.tracking?.redirect === receiver.target) return
    receiver.followers.delete(session)
    if (receiver.followers.size === 0 && this.receivers.get(receiver.target) === receiver) this.dropReceiver(receiver)
  }

  private switchOff(session: Session): void {
    if (session.tracking === undefined) return
    this.unfollow(session)
    session.tracking = undefined
    session.isCachingNext = false
    session.mode &= ~modeTracking
    this.sessions.delete(session)
    // What it watches it goes on watching; else the connection, which still remembers keys, is not used again.
    session.lease?.lane.sendInternal(offFrame, () => {})
    this.leased.idle(session)
  }

  /** The client is gone, or starts anew. */
  leave(session: Session): void {
    const receiver = this.receivers.get(session)
    if (receiver !== undefined && session.isClosed) this.dropReceiver(receiver)
    this.unask(session)
    this.unfollow(session)
    session.tracking = undefined
    session.isCachingNext = false
    session.mode &= ~modeTracking
    this.sessions.delete(session)
  }

  // ---- connections ----

  /** See LeasedParts.isTracked. */
  isTracked(session: Session, lease: Lease): boolean {
    const { tracking } = session
    if (tracking === undefined || lease.isTracked) return true
    let redirectId = 0
    if (tracking.redirect !== undefined) {
      if (tracking.redirect.isClosed) {
        // The server would say so at the next invalidation; the target is gone for good.
        if (session.resp === 3) this.parts.deliver(session, redirectionBroken(tracking.redirect.id))
        lease.isTracked = true
        return true
      }
      redirectId = this.receiverId(tracking.redirect, session)
      if (redirectId === 0) return false
    }
    lease.isTracked = true
    const request = encodeRequest(trackingCommand(tracking, session.account!.tenant!, redirectId))
    lease.lane.sendInternal(request, (reply) => {
      if (reply?.[0] === 43) this.tell(session, undefined)
      else if (session.lease === lease && reply !== undefined)
        this.leased.giveUp(session, lease, 'tracking was refused')
    })
    return true
  }

  /** What a client has cached may have changed unseen: it is told so, and tracked anew at once. */
  trackingLost(session: Session): void {
    this.tell(session, undefined)
    this.parts.after(retryMs, () => this.retrack(session))
  }

  private retrack(session: Session): void {
    const { account } = session
    if (session.isClosed || session.tracking === undefined || session.lease !== undefined) return
    const { primary } = this.parts.tracker
    const tenant = account?.tenant
    if (tenant === undefined) return
    const lease =
      primary === undefined
        ? undefined
        : this.parts.leases.take(
            {
              tenant: tenant.id,
              nodeIndex: primary.index,
              resp: session.resp,
              database: tenant.database,
              runsScripts: false,
            },
            session,
          )
    if (lease === undefined) return this.parts.after(retryMs, () => this.retrack(session))
    session.lease = lease
    if (lease.lane.isReady) this.isTracked(session, lease)
  }

  /** The server's id of the connection that hears for this client; 0: it is not there yet, and `follower` is told when it is. */
  private receiverId(target: Session, follower: Session): number {
    let receiver = this.receivers.get(target)
    if (receiver?.lease !== undefined && receiver.lease.key.tenant !== target.account?.tenant?.id) {
      this.dropReceiver(receiver) // of who the target was before
      receiver = undefined
    }
    if (receiver === undefined) {
      receiver = new Receiver(target)
      this.receivers.set(target, receiver)
    }
    receiver.followers.add(follower)
    if (receiver.lease === undefined) this.openReceiver(receiver)
    const { lease } = receiver
    return lease?.lane.isReady === true ? lease.connection.id : 0
  }

  private openReceiver(receiver: Receiver): void {
    const { primary } = this.parts.tracker
    const tenant = receiver.target.account?.tenant
    const lease =
      primary === undefined || tenant === undefined
        ? undefined
        : this.parts.leases.take(
            { tenant: tenant.id, nodeIndex: primary.index, resp: 3, database: tenant.database, runsScripts: false },
            receiver,
          )
    if (lease === undefined) return
    lease.isTracked = true // it hears of keys: nobody else's commands may follow on it
    receiver.lease = lease
  }

  private dropReceiver(receiver: Receiver): void {
    this.receivers.delete(receiver.target)
    const { lease } = receiver
    receiver.lease = undefined
    if (lease !== undefined) this.parts.leases.drop(lease, 'nobody is redirected to it')
  }

  // ---- events of leases ----

  ready(lease: Lease, holder: LeaseHolder): void {
    if (holder instanceof Session) return this.leased.leaseReady(holder, lease)
    for (const follower of (holder as Receiver).followers) {
      if (follower.lease?.lane.isReady === true && follower.inFlight === 0) this.isTracked(follower, follower.lease)
      this.hands.resumeLater(follower, 0)
    }
  }

  lost(lease: Lease, holder: LeaseHolder): void {
    if (holder instanceof Session) return this.leased.leaseLost(holder, lease)
    const receiver = holder as Receiver
    if (receiver.lease !== lease) return
    receiver.lease = undefined
    // What was redirected to it went nowhere meanwhile: those who redirect start anew.
    for (const follower of [...receiver.followers]) {
      if (follower.lease !== undefined && follower.tracking !== undefined)
        this.leased.giveUp(follower, follower.lease, 'its redirection was lost')
      else this.hands.resumeLater(follower, retryMs)
    }
  }

  push(lease: Lease, holder: LeaseHolder, push: Buffer): void {
    const session = holder instanceof Session ? holder : (holder as Receiver).target
    const tenant = session.account?.tenant
    if (tenant === undefined || tenant.id !== lease.key.tenant) return
    const said = readPush(push, tenant)
    if (said === 'foreign') return this.parts.foreignPrefix(lease)
    if (said === undefined) return
    if (said.kind === 'broken') {
      const { redirect } = session.tracking ?? {}
      if (redirect !== undefined && session.resp === 3) this.parts.deliver(session, redirectionBroken(redirect.id))
    } else this.hear(session, said.names)
  }

  private tell(session: Session, names: readonly Buffer[] | undefined): void {
    this.hear(session.tracking?.redirect ?? session, names)
  }

  private hear(target: Session, names: readonly Buffer[] | undefined): void {
    if (target.isClosed || (target.resp === 2 && !this.parts.hearsInvalidations(target))) return
    this.parts.deliver(target, invalidation(names, target.resp))
  }

  /** All keys of a tenant were deleted by the proxy: one message that says so, as FLUSHDB of a server sends. */
  flushed(tenant: string): void {
    for (const session of this.sessions) if (session.account?.tenant?.id === tenant) this.tell(session, undefined)
  }
}

/** CLIENT REPLY is off: the reply is looked at, and nothing of it is given. */
function silent(accept: (reply: Buffer) => Buffer): (reply: Buffer) => Buffer {
  return (reply) => accept(reply).subarray(0, 0)
}
