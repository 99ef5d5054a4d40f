/**
 * Never an OOM kill, and no tenant that the others notice: looks at the process's memory and its event loop, and has those who
 * use most of it pay. What is too much is quota/overload.ts.
 *
 *   tick, or much memory taken at once -> look: above a step?
 *       -> garbage is no load: it is collected, and looked at again 20 ms later
 *       -> still above: up. closed: nobody new | shedding: heaviest tenants' commands refused | closing: heaviest clients closed
 *   once a second, where the loop is saturated -> the tenant with most work is held back by one more eighth
 *
 * What clients hold is counted where it lies (Session.heldBytes); who holds nothing worth naming is never refused nor closed.
 * When no client holds what is in use, nobody is: it would cost them, and help nobody.
 */

import type { Log } from '../base/log.ts'
import type { MemoryFigures } from '../base/memory.ts'
import type { TenantCells } from '../metrics/cells.ts'
import {
  type Holder,
  heaviest,
  heldUntilMs,
  isRelaxed,
  isSaturated,
  LoopLevels,
  memoryUse,
  OVERLOAD,
  overloadBrim,
  overloadDown,
  overloadStates,
  stateFor,
  type Work,
  workOf,
} from '../quota/overload.ts'
import { gateShed, type TenantState } from '../tenant/account.ts'
import type { Session } from './session.ts'

export interface OverloadHands {
  now(): number
  /** How often `tick` is called. */
  readonly tickMs: number
  after(ms: number, run: () => void): void
  soon(run: () => void): void
  read(): MemoryFigures
  /** Collects all garbage; undefined: cannot be asked for. */
  readonly collect: (() => void) | undefined
  /** Share of the time since it was last asked in which the event loop was busy. */
  utilization(): number
  sessions(): Iterable<Session>
  /** Clients that have ended and do not read the rest: bytes that their sockets hold, and how to be rid of them. */
  lingering(): Iterable<{ readonly writableLength: number; destroy(): void }>
  /** What was counted for each tenant that has ever sent something. */
  work(): Iterable<readonly [string, TenantCells]>
  tenant(id: string): TenantState | undefined
  resumeSoon(session: Session): void
  readonly log: Log
}

/** Buffers are given back a moment after they were collected. */
const settleMs = 20
/** Collecting may take a tenth of the time while it is called for. */
const collectShare = 10
/** While nothing becomes worse: a twentieth of it, and once a second at most. */
const calmShare = 20
const calmCollectMs = 1_000
const shedShare = 10
const loopLookMs = 1_000
/** Less is not worth a refusal, nor a client's connection. */
const tenantLeastBytes = 256 * 1024
const clientLeastBytes = 16 * 1024

export class Overload {
  state: number = OVERLOAD.calm
  /** Of the nearer limit, as it was last looked at. */
  use = 0
  /** Requests for memory are refused until the next look: it would be the last. */
  isBrimful = false
  readonly limitBytes: number
  /** Clients closed and commands refused since the start. */
  closedClients = 0
  shedCommands = 0
  /** Commands that waited for the event loop's sake. */
  heldCommands = 0

  private readonly hands: OverloadHands
  private readonly apart: number
  /** The limit that `use` is of. */
  private nearerBytes = 0
  private collectedAtMs = Number.NEGATIVE_INFINITY
  private collectCostMs = 0
  private shedAtMs = Number.NEGATIVE_INFINITY
  private isLookPlanned = false
  private readonly shedding = new Set<TenantState>()
  private readonly levels = new LoopLevels<TenantState>()
  private readonly held = new Set<Session>()
  private heldWakeMs = 0
  private loopSinceMs = 0
  private loopTicks = 0
  /** What each tenant had done at the last look; empty while the loop is not saturated. */
  private readonly workBefore = new Map<string, number>()

  constructor(limitBytes: number, hands: OverloadHands) {
    this.hands = hands
    this.limitBytes = limitBytes
    const { rss, heapUsed, buffers } = hands.read()
    this.apart = Math.max(0, rss - heapUsed - buffers)
    this.loopSinceMs = hands.now()
  }

  get mayAccept(): boolean {
    return this.state < OVERLOAD.closed
  }

  get heldTenants(): number {
    return this.levels.size
  }

  get stateName(): string {
    return overloadStates[this.state]!
  }

  /** What clients may take of memory before it is short: for the bounds on single kinds of it. */
  get roomBytes(): number {
    return Math.max(this.limitBytes - this.hands.read().rss, this.limitBytes / 8)
  }

  tick(nowMs: number): void {
    this.look(nowMs)
    this.loopTicks++
    if (nowMs - this.loopSinceMs >= loopLookMs) this.lookAtLoop(nowMs)
  }

  /** Much memory was taken since the last look, perhaps within one turn: whoever asks stands in the middle of something. */
  grew(): void {
    const { process, heap } = memoryUse(this.hands.read(), this.apart, this.limitBytes)
    if (Math.max(process, heap) >= overloadBrim) this.isBrimful = true
    if (this.isLookPlanned) return
    this.isLookPlanned = true
    this.hands.soon(() => {
      this.isLookPlanned = false
      this.look(this.hands.now())
    })
  }

  noteRefused(): void {
    this.shedCommands++
  }

  // ---- memory ----

  private look(nowMs: number): void {
    const figures = this.hands.read()
    const { heap, process } = memoryUse(figures, this.apart, this.limitBytes)
    const use = Math.max(heap, process)
    this.use = use
    this.nearerBytes = heap > process ? figures.heapLimit : this.limitBytes
    if (use < overloadBrim) this.isBrimful = false
    const wanted = stateFor(use, this.state)
    const isWorse = wanted > this.state || wanted === OVERLOAD.closing
    if (isWorse && !this.isConfirmed(nowMs, use)) return
    // Garbage alone must not keep it in its state, when nobody makes enough for V8 to collect it.
    if (wanted > OVERLOAD.calm && nowMs - this.collectedAtMs > Math.max(calmCollectMs, calmShare * this.collectCostMs))
      this.collect(nowMs)
    if (wanted !== this.state) this.enter(wanted, heap, process)
    if (this.state >= OVERLOAD.shedding && nowMs >= this.shedAtMs) {
      this.shed(use)
      // All clients are looked at: a tenth of the time at most.
      const afterMs = this.hands.now()
      this.shedAtMs = afterMs + shedShare * (afterMs - nowMs)
    }
    if (this.state === OVERLOAD.closing && use >= overloadDown[OVERLOAD.closing]) this.close(use)
  }

  /** Was garbage collected just now? If not it is, where it may be, and a look is taken when buffers have been given back. */
  private isConfirmed(nowMs: number, use: number): boolean {
    if (this.hands.collect === undefined) return true
    const agoMs = nowMs - this.collectedAtMs
    if (agoMs < settleMs) return false
    if (agoMs < 5 * settleMs) return true
    if (agoMs < collectShare * this.collectCostMs && use < overloadBrim) return false
    this.collect(nowMs)
    return false
  }

  private collect(nowMs: number): void {
    const { collect } = this.hands
    if (collect === undefined) return
    collect()
    this.collectedAtMs = this.hands.now()
    this.collectCostMs = this.collectedAtMs - nowMs
    this.hands.after(settleMs, () => this.look(this.hands.now()))
  }

  private enter(state: number, heap: number, process: number): void {
    const before = this.stateName
    const isUp = state > this.state
    this.state = state
    this.shedAtMs = Number.NEGATIVE_INFINITY
    const facts = { before, state: this.stateName, heap: percent(heap), memory: percent(process) }
    if (isUp) this.hands.log.warn(facts, 'the proxy runs out of memory')
    else this.hands.log.info(facts, 'the proxy has memory again')
    if (state >= OVERLOAD.shedding) return
    for (const tenant of this.shedding) {
      this.shedding.delete(tenant)
      this.ungate(tenant)
    }
  }

  /** The heaviest tenants are those whose clients together hold what is too much. */
  private shed(use: number): void {
    const held = new Map<TenantState, number>()
    for (const session of this.hands.sessions()) {
      const tenant = session.account?.tenant
      if (tenant !== undefined) held.set(tenant, (held.get(tenant) ?? 0) + session.heldBytes)
    }
    const holders = [...held].map(([who, bytes]): Holder<TenantState> => ({ who, bytes }))
    const excess = (use - overloadDown[OVERLOAD.closed]) * this.nearerBytes
    const chosen = new Set(heaviest(holders, excess, tenantLeastBytes).map(({ who }) => who))
    for (const tenant of this.shedding) {
      if (chosen.has(tenant)) continue
      this.shedding.delete(tenant)
      this.ungate(tenant)
    }
    for (const tenant of chosen) {
      if (this.shedding.has(tenant)) continue
      this.shedding.add(tenant)
      tenant.gate |= gateShed
      this.hands.log.warn(
        { tenant: tenant.id, held_bytes: held.get(tenant) },
        'commands of a tenant are refused: its clients hold most of the memory',
      )
    }
  }

  /** Those who have said goodbye and do not read go first. */
  private close(use: number): void {
    let excess = (use - overloadDown[OVERLOAD.shedding]) * this.nearerBytes
    const byTenant = new Map<string, number>()
    for (const socket of [...this.hands.lingering()]) {
      if (socket.writableLength < clientLeastBytes) continue
      excess -= socket.writableLength
      socket.destroy()
    }
    if (excess <= 0) return
    const holders = function* (sessions: Iterable<Session>): Iterable<Holder<Session>> {
      for (const session of sessions) yield { who: session, bytes: session.heldBytes }
    }
    for (const { who } of heaviest(holders(this.hands.sessions()), excess, clientLeastBytes)) {
      const id = who.account?.tenant?.id ?? 'none'
      byTenant.set(id, (byTenant.get(id) ?? 0) + 1)
      this.closedClients++
      who.destroy('overload')
    }
    // What they held is garbage now: more are closed only after it was collected.
    this.collectedAtMs = Number.NEGATIVE_INFINITY
    if (byTenant.size > 0)
      this.hands.log.warn({ closed: Object.fromEntries(byTenant) }, 'clients that hold most of the memory were closed')
  }

  private ungate(tenant: TenantState): void {
    if (!this.shedding.has(tenant) && this.levels.of(tenant) === 0) tenant.gate &= ~gateShed
  }

  // ---- the event loop ----

  private lookAtLoop(nowMs: number): void {
    const lagMs = Math.max(0, (nowMs - this.loopSinceMs) / this.loopTicks - this.hands.tickMs)
    const figures = { utilization: this.hands.utilization(), lagMs }
    this.loopSinceMs = nowMs
    this.loopTicks = 0
    if (isSaturated(figures)) this.holdBack()
    else {
      this.workBefore.clear()
      if (this.levels.size > 0 && isRelaxed(figures))
        for (const tenant of this.levels.lower()) {
          this.ungate(tenant)
          this.hands.log.info({ tenant: tenant.id }, 'a tenant is no longer held back')
        }
    }
  }

  /** In the first second of saturation it is only noted who has done what. */
  private holdBack(): void {
    const isFirst = this.workBefore.size === 0
    const works: Work<TenantState>[] = []
    for (const [id, cells] of this.hands.work()) {
      const work = workOf(cells.commands(), cells.bytesIn + cells.bytesOut)
      const who = isFirst ? undefined : this.hands.tenant(id)
      if (who !== undefined) works.push({ who, work: work - (this.workBefore.get(id) ?? 0) })
      this.workBefore.set(id, work)
    }
    const before = new Map(works.map(({ who }) => [who, this.levels.of(who)]))
    const tenant = this.levels.raise(works)
    if (tenant === undefined || this.levels.of(tenant) === before.get(tenant)) return
    tenant.gate |= gateShed
    const eighths = this.levels.of(tenant)
    this.hands.log.warn({ tenant: tenant.id, eighths }, 'the event loop is saturated: its heaviest tenant is held back')
  }

  // ---- what admission asks ----

  /** Of a tenant with `gateShed`: is this command, which would take memory, refused? */
  isShed(tenant: TenantState): boolean {
    if (!this.shedding.has(tenant)) return false
    this.shedCommands++
    return true
  }

  /** The same: does it wait for a while? */
  isHeld(session: Session, tenant: TenantState, nowMs: number): boolean {
    const level = this.levels.of(tenant)
    const untilMs = level === 0 ? 0 : heldUntilMs(nowMs, level)
    if (untilMs === 0) return false
    this.heldCommands++
    this.held.add(session)
    if (this.heldWakeMs <= nowMs) {
      this.heldWakeMs = untilMs
      this.hands.after(untilMs - nowMs, this.wake)
    }
    return true
  }

  /** Whoever came too early is held again. */
  private readonly wake = (): void => {
    this.heldWakeMs = 0
    for (const session of this.held) this.hands.resumeSoon(session)
    this.held.clear()
  }

  forget(session: Session): void {
    this.held.delete(session)
  }
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
