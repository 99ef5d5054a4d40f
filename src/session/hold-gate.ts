/**
 * What is held back or refused for the sake of all, at the door: commands of tenants that an operator has paused
 * (session/pauses.ts), and of those that use most of what runs out (session/overload.ts). What waits has taken nothing yet.
 */
import type { ErrorCode } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { ROUTE } from '../commands/spec.ts'
import { Kind, Outcome } from '../metrics/cells.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Overload } from './overload.ts'
import type { Pauses } from './pauses.ts'
import { type Session, stallPaused, stallShed } from './session.ts'

/** What this gate uses of the corridor; steps (numbers) are those of request-path.ts. */
export interface HoldGateHands {
  readonly nowMs: number
  /** The command was not taken, and the client's parsing stops for that reason. */
  wait(session: Session, stall: number): number
  /** Answered with this error, whatever it holds; a transaction is spoilt and let go of, EXEC ends it. */
  refuseCommand(session: Session, pos: number, id: number, code: ErrorCode): number
}

export interface HoldGateParts {
  readonly table: CommandTable
  readonly pauses: Pauses
  readonly overload: Overload
}

/** While memory is short: what lets go of it is not refused, and what the proxy itself answers at length is. */
const givesBack = new Set(['discard', 'unwatch'])
const takesMemory = new Set([
  ...['subscribe', 'psubscribe', 'ssubscribe', 'monitor', 'info', 'client|list', 'slowlog|get'],
  ...['command', 'command|docs', 'command|info', 'command|list', 'script|load', 'function|load', 'echo'],
])

export class HoldGate {
  private readonly hands: HoldGateHands
  private readonly parts: HoldGateParts
  /** By command id: it reads or writes keys, though the proxy answers it. */
  private readonly walksKeys: Uint8Array
  /** Answered by the proxy, it has it keep more; sent to a node, it has it keep less. */
  private readonly takesMemory: Uint8Array
  private readonly givesBack: Uint8Array

  constructor(hands: HoldGateHands, parts: HoldGateParts) {
    this.hands = hands
    this.parts = parts
    const { specs } = parts.table
    const column = (is: (spec: (typeof specs)[number]) => boolean): Uint8Array =>
      Uint8Array.from(specs, (spec) => (is(spec) ? 1 : 0))
    this.walksKeys = column(({ flags }) => flags.includes('readonly') || flags.includes('write'))
    this.givesBack = column(({ name }) => givesBack.has(name))
    this.takesMemory = column(({ name, id }) => takesMemory.has(name) || this.walksKeys[id] !== 0)
  }

  /** Its tenant is paused. undefined: this concerns no keys, and goes on. */
  paused(session: Session, tenant: TenantState, id: number, route: number, pos: number): number | undefined {
    if (route <= ROUTE.proxy && this.walksKeys[id] === 0) return undefined
    if (this.parts.pauses.hold(session, tenant)) return this.hands.wait(session, stallPaused)
    return this.hands.refuseCommand(session, pos, id, 'PAUSED')
  }

  /** Its tenant is among the heaviest. undefined: it goes on all the same. */
  shed(session: Session, tenant: TenantState, id: number, route: number, pos: number): number | undefined {
    const { overload, table } = this.parts
    const isLarger = route > ROUTE.proxy ? this.givesBack[id] === 0 : this.takesMemory[id] !== 0
    if (isLarger && overload.isShed(tenant)) {
      tenant.cells.fail(table.specs[id]!.isWrite ? Kind.write : Kind.read, Outcome.throttled)
      return this.hands.refuseCommand(session, pos, id, 'OVERLOADED')
    }
    return overload.isHeld(session, tenant, this.hands.nowMs) ? this.hands.wait(session, stallShed) : undefined
  }

  left(session: Session): void {
    this.parts.pauses.forget(session)
    this.parts.overload.forget(session)
  }
}
