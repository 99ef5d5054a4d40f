/**
 * Whose turn it is, where several tenants want the same: room on a shared lane, and time of this process.
 *
 *   a client's chunk -> most(): may its tenant have more on its way on this lane? -> so many commands
 *                               none: it waits here, behind the other clients of its tenant
 *   replies were read -> serve(): the lane's waiting tenants in turn, each with the client that came first
 *
 *   a chunk is over -> took(): commands that this tenant has taken in this turn of the event loop
 *   above its part, while others are active -> its next chunks wait for the next turn
 *
 * How much is quota/fair-window.ts. A tenant alone is asked once per chunk, and given what it wants.
 */
import { clientCommandsMax } from '../base/limits.ts'
import { Quota } from '../metrics/cells.ts'
import { costOf, FairWindow, type Sharer, sharedForMs } from '../quota/fair-window.ts'
import type { Node } from '../regions/node.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Lane } from '../upstream/lane.ts'
import { LaneUse } from '../upstream/lane-use.ts'
import { type Session, stallNone, stallTurn } from './session.ts'

export interface TurnsOptions {
  readonly nodes: readonly Node[]
  now(): number
  /** At the end of this turn of the event loop. */
  soon(run: () => void): void
  resumeSoon(session: Session): void
}

/** Commands of all tenants that are taken in one turn while several are active, about a millisecond; of one at least so many. */
const turnCommandsMax = 2048
const turnCommandsLeast = 128
/** After so many answers a tenant's cost is looked at anew. */
const costEvery = 32

/** One tenant on one lane. */
export class Share extends LaneUse implements Sharer {
  declare readonly lane: Lane
  readonly tenant: TenantState
  readonly window: FairWindow<Share>
  cost = 1
  deficit = 0
  isWaiting = false
  seenIn = -1
  /** Its clients that wait, the first first. */
  readonly clients: Session[] = []
  private answeredBefore = 0
  private bytesBefore = 0

  constructor(lane: Lane, tenant: TenantState, window: FairWindow<Share>) {
    super(lane)
    this.tenant = tenant
    this.window = window
  }

  get isUnknown(): boolean {
    return this.answered === 0
  }

  lookAtCost(): void {
    const commands = this.answered - this.answeredBefore
    if (commands < costEvery && (commands === 0 || this.answeredBefore > 0)) return
    this.cost += (costOf(commands, this.replyBytes - this.bytesBefore) - this.cost) / 2
    this.answeredBefore = this.answered
    this.bytesBefore = this.replyBytes
  }
}

export class Turns {
  private readonly options: TurnsOptions
  private readonly windows: (FairWindow<Share> | undefined)[] = []
  /** Lanes for which somebody waits. */
  private readonly waiting = new Set<Lane>()
  /** The client that is being served, and how many its tenant may have in flight then. */
  private served: Session | undefined
  private servedOn: Lane | undefined
  private servedUpTo = 0

  private turn = 1
  private isEndPlanned = false
  private deferred: Session[] = []
  private last: TenantState | undefined
  private sharedUntilMs = Number.NEGATIVE_INFINITY
  /** Tenants that took more than a little in this turn, and in the one before. */
  private heavy = 0
  private heavyBefore = 0

  constructor(options: TurnsOptions) {
    this.options = options
  }

  // ---- room on a lane ----

  /** From here on what this client puts on this lane counts as its tenant's. */
  use(session: Session, lane: Lane): Share {
    const { use } = session
    const tenant = session.account!.tenant!
    if (use !== undefined && use.lane === lane && use.tenant === tenant) return use
    const found = (tenant.laneUses as Share[]).find((one) => one.lane === lane) ?? this.addUse(tenant, lane)
    session.use = found
    return found
  }

  private addUse(tenant: TenantState, lane: Lane): Share {
    let window = this.windows[lane.index]
    if (window === undefined) {
      window = new FairWindow<Share>()
      this.windows[lane.index] = window
    }
    const share = new Share(lane, tenant, window)
    if (tenant.laneUses.length === 0) tenant.laneUses = [share]
    else tenant.laneUses.push(share)
    return share
  }

  /** How many commands this client may have in flight on this lane as things stand, those it has included. */
  most(session: Session, lane: Lane, nowMs: number): number {
    if (lane.isLeased) return clientCommandsMax
    const share = this.use(session, lane)
    const { window, tenant } = share
    const isShared = window.note(share, nowMs)
    if (session === this.served && lane === this.servedOn)
      return Math.min(clientCommandsMax, session.inFlight + Math.max(0, this.servedUpTo - share.inFlight))
    let more = Number.POSITIVE_INFINITY
    if (isShared) {
      share.lookAtCost()
      window.look(lane, this.options.nodes[lane.nodeIndex]!.rttMs, nowMs)
      more = window.most(share, lane)
    }
    if (share.isWaiting) more = 0
    if (tenant.limits !== undefined) more = Math.min(more, boundOf(share))
    return more <= 0 ? session.inFlight : Math.min(clientCommandsMax, session.inFlight + more)
  }

  /** This client's next command must wait for room on this lane. */
  wait(session: Session, lane: Lane): void {
    const share = this.use(session, lane)
    session.stall = stallTurn
    share.clients.push(session)
    share.window.wait(share)
    this.waiting.add(lane)
    if (session === this.served) return
    const { cells } = share.tenant
    if (boundOf(share) <= 0) cells.quotaDelayed(Quota.inflight, 0)
    else cells.turnsWaited++
  }

  /** Replies were read, and no lane is on the stack. */
  readonly serve = (): void => {
    if (this.waiting.size === 0) return
    const nowMs = this.options.now()
    for (const lane of this.waiting) {
      const window = this.windows[lane.index]!
      window.look(lane, this.options.nodes[lane.nodeIndex]!.rttMs, nowMs)
      window.serve(lane, boundOf, this.give)
      if (!window.hasWaiting) this.waiting.delete(lane)
    }
  }

  /**
   * Lets the first client of a tenant that waits for this lane send up to `most` commands. Who has nothing for it after all (an
   * answer of the proxy's own, another node) gives way to the next: with nothing in flight no reply would come to ask them.
   */
  private readonly give = (share: Share, most: number): number => {
    const before = share.inFlight
    share.lookAtCost()
    for (let left = share.clients.length; left > 0; left--) {
      const session = share.clients.shift()
      if (session === undefined) break
      if (session.isClosed || session.stall !== stallTurn) continue
      this.served = session
      this.servedOn = share.lane
      this.servedUpTo = before + most
      session.stall = stallNone
      session.resume()
      this.served = undefined
      this.servedOn = undefined
      if (share.inFlight !== before) return share.inFlight - before
    }
    return share.clients.length === 0 ? -1 : 0
  }

  /** The connection is gone, or is another one: whoever waited for room on it looks for a place anew. */
  laneLost(lane: Lane): void {
    // What a tenant had on its way here counts no more, and other lanes may have been waiting for that.
    if (this.waiting.size > 0) this.options.soon(this.serve)
    if (!this.waiting.delete(lane)) return
    for (const share of this.windows[lane.index]!.clear()) this.release(share)
  }

  private release(share: Share): void {
    for (const session of share.clients.splice(0)) {
      if (!session.isClosed && session.stall === stallTurn) this.options.resumeSoon(session)
    }
  }

  /** What waits now, for whoever looks. */
  get counts(): { readonly lanes: number; readonly deferred: number } {
    return { lanes: this.waiting.size, deferred: this.deferred.length }
  }

  // ---- time of this process ----

  /** This client's tenant has had its part of this turn while others are active: true, and it waits for the next. */
  isOver(session: Session): boolean {
    const tenant = session.account?.tenant
    if (tenant === undefined || tenant.turn !== this.turn || tenant.turnCommands < this.part) return false
    if (this.sharedUntilMs <= this.options.now()) return false
    if (session !== this.served) tenant.cells.turnsWaited++
    session.stall = stallTurn
    this.deferred.push(session)
    this.planEnd()
    return true
  }

  /** So many commands of this tenant were taken just now. */
  took(tenant: TenantState, commands: number, nowMs: number): void {
    if (tenant !== this.last) {
      if (this.last !== undefined) this.sharedUntilMs = nowMs + sharedForMs
      this.last = tenant
    }
    if (nowMs >= this.sharedUntilMs) return
    if (tenant.turn !== this.turn) {
      tenant.turn = this.turn
      tenant.turnCommands = 0
      this.planEnd()
    }
    const before = tenant.turnCommands
    tenant.turnCommands = before + commands
    if (before < turnCommandsLeast && tenant.turnCommands >= turnCommandsLeast) this.heavy++
  }

  private get part(): number {
    return Math.max(turnCommandsLeast, turnCommandsMax / Math.max(2, this.heavyBefore))
  }

  private planEnd(): void {
    if (this.isEndPlanned) return
    this.isEndPlanned = true
    this.options.soon(this.endTurn)
  }

  /** Who is resumed here takes of the next turn; in between all others' sockets are read. */
  private readonly endTurn = (): void => {
    this.isEndPlanned = false
    this.turn++
    this.heavyBefore = this.heavy
    this.heavy = 0
    if (this.deferred.length === 0) return
    for (const session of this.deferred.splice(0)) {
      if (session.isClosed || session.stall !== stallTurn) continue
      session.stall = stallNone
      session.resume()
    }
  }
}

/** What the tenant's own limit leaves it. */
function boundOf(share: Share): number {
  const { inFlightMost } = share.tenant
  return inFlightMost === Number.POSITIVE_INFINITY ? inFlightMost : inFlightMost - share.tenant.inFlight
}
