/**
 * Tenants that an operator has paused (PROXY PAUSE): their commands wait, nothing is refused and nothing lost.
 *
 *   running --PAUSE--> coming to rest --all in flight is answered--> at rest --RESUME, or the time is over--> running
 *                              \--not within half of the time--> running: PAUSE failed, and says so
 *
 * A client whose command waits is stalled (session.ts, stallPaused): its socket is read for one more chunk at most, so what a
 * pause costs is bounded, and TCP holds the rest with the client. At rest means: nothing of the tenant that this proxy has taken
 * is under way, of clients that have left neither. What blocks on a server (BLPOP) waits for a write that cannot come through
 * this proxy; it is counted, not waited for.
 */
import { gatePaused, type TenantState } from '../tenant/account.ts'
import { type Session, stallBusy, stallPaused } from './session.ts'

/** How often it is looked whether a tenant has come to rest. */
const restLookMs = 10

export interface PauseHands {
  now(): number
  after(ms: number, run: () => void): void
  sessions(): Iterable<Session>
  /** Connections that tenants share: how many requests each has answered, and has in flight. */
  lanes(): readonly { readonly answered: number; readonly inFlight: number }[]
  /** A walk over its keyspace is under way, perhaps for a client that has left. */
  isWalking(tenant: TenantState): boolean
  resumeSoon(session: Session): void
}

/** How a pause began. */
export type PauseStart =
  | { readonly kind: 'rest'; readonly answered: number; readonly blocked: number; readonly waitedMs: number }
  /** Commands of it were still in flight: it is not paused. */
  | { readonly kind: 'restless'; readonly inFlight: number; readonly waitedMs: number }
  /** Another PAUSE or a RESUME has come meanwhile. */
  | { readonly kind: 'overtaken' }
  /** One of several worker processes does not answer: nobody can say what its clients do. */
  | { readonly kind: 'silent' }

interface Pause {
  untilMs: number
  /** Clients whose next command waits. */
  readonly waiting: Set<Session>
}

export class Pauses {
  private readonly hands: PauseHands
  private readonly paused = new Map<TenantState, Pause>()
  /** The proxy is going: what waits is refused. */
  private isRefusing = false

  constructor(hands: PauseHands) {
    this.hands = hands
  }

  get tenants(): number {
    return this.paused.size
  }

  get waitingClients(): number {
    let count = 0
    for (const { waiting } of this.paused.values()) count += waiting.size
    return count
  }

  list(): { readonly tenant: TenantState; readonly leftMs: number }[] {
    return [...this.paused.keys()].map((tenant) => ({ tenant, leftMs: this.leftMs(tenant) }))
  }

  /** How much longer it is paused, ms; 0: it is not. */
  leftMs(tenant: TenantState): number {
    const pause = this.paused.get(tenant)
    return pause === undefined ? 0 : Math.max(1, Math.ceil(pause.untilMs - this.hands.now()))
  }

  /** Its next commands wait, `ms` at most. Resolves when it has come to rest, or has not. One that is paused gets the new time. */
  begin(tenant: TenantState, ms: number): Promise<PauseStart> {
    const { hands } = this
    const startedAtMs = hands.now()
    const pause: Pause = { untilMs: startedAtMs + ms, waiting: this.paused.get(tenant)?.waiting ?? new Set() }
    this.paused.set(tenant, pause)
    tenant.gate |= gatePaused
    const answered = this.inFlight(tenant).commands
    // Of clients that have left too: what stands on these connections now.
    const behind = hands.lanes().map((lane) => ({ lane, at: (lane.answered + lane.inFlight) | 0 }))
    return new Promise((resolve) => {
      const look = (): void => {
        const waitedMs = hands.now() - startedAtMs
        if (this.paused.get(tenant) !== pause) return resolve({ kind: 'overtaken' })
        const { commands, blocked } = this.inFlight(tenant)
        while (behind.length > 0 && isPast(behind[behind.length - 1]!)) behind.pop()
        // A write of unknown fate may still run.
        const isSettled = tenant.floor !== Number.POSITIVE_INFINITY && !hands.isWalking(tenant)
        if (commands === 0 && behind.length === 0 && isSettled)
          return resolve({ kind: 'rest', answered, blocked, waitedMs })
        if (waitedMs * 2 < ms) return hands.after(restLookMs, look)
        this.end(tenant)
        resolve({ kind: 'restless', inFlight: commands, waitedMs })
      }
      look()
    })
  }

  /** Its commands go on. How many clients waited; undefined: it was not paused. */
  end(tenant: TenantState): number | undefined {
    const pause = this.paused.get(tenant)
    if (pause === undefined) return undefined
    this.paused.delete(tenant)
    tenant.gate &= ~gatePaused
    for (const session of pause.waiting) this.hands.resumeSoon(session)
    return pause.waiting.size
  }

  /** A command of this client waits. False: it is to be refused, for the proxy is going. */
  hold(session: Session, tenant: TenantState): boolean {
    if (this.isRefusing) return false
    this.paused.get(tenant)!.waiting.add(session)
    return true
  }

  /** From now on what waits is refused: not executed. */
  refuse(): void {
    this.isRefusing = true
    for (const { waiting } of this.paused.values()) {
      for (const session of waiting) this.hands.resumeSoon(session)
      waiting.clear()
    }
  }

  forget(session: Session): void {
    if (session.stall !== stallPaused) return
    for (const { waiting } of this.paused.values()) waiting.delete(session)
  }

  /** Pauses whose time is over end by themselves, whatever became of who ordered them. Those that ended. */
  expire(): TenantState[] {
    if (this.paused.size === 0) return []
    const nowMs = this.hands.now()
    const over = [...this.paused].filter(([, { untilMs }]) => untilMs <= nowMs).map(([tenant]) => tenant)
    for (const tenant of over) this.end(tenant)
    return over
  }

  /** Commands that were taken and are not answered. `blocked`: clients of which nothing else is under way than what blocks. */
  private inFlight(tenant: TenantState): { commands: number; blocked: number } {
    let commands = 0
    let blocked = 0
    for (const session of this.hands.sessions()) {
      if (session.account?.tenant !== tenant) continue
      if (session.isBlocked && session.inFlight === 1) blocked++
      else commands += session.inFlight + (session.stall === stallBusy ? 1 : 0)
    }
    return { commands, blocked }
  }
}

/** All that stood on the lane when the pause began is answered. Counts wrap at 32 bits. */
function isPast({ lane, at }: { lane: { readonly answered: number }; at: number }): boolean {
  return ((lane.answered - at) | 0) >= 0
}
