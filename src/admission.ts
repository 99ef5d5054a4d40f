/**
 * May this command go on now? Asked for each command of a tenant that has a gate (tenant/account.ts says which there are);
 * of all others one field is read.
 *
 *   framed, looked up -> admitted before? -> paused | shed | memory | quota -> on its way | waits | refused
 *
 * A command may be handled more than once: it waits for a node, for room, or is taken back with the reads before it. It is
 * admitted once: what counts is how far in the client's bytes admission has come, not how often it was asked. So what was
 * refused must not be handled again: reads before it are not taken back any more (request-path.ts, `handle`). What each gate
 * does is in a file of its own: quotas over time in session/quota-gate.ts, memory and keys in session/memory-gate.ts, pauses and
 * overload in session/hold-gate.ts.
 */
import type { ErrorCode } from './base/errors.ts'
import { HoldGate, type HoldGateHands, type HoldGateParts } from './session/hold-gate.ts'
import { type MemoryGate, memoryGoesOn, memoryRefused } from './session/memory-gate.ts'
import { QuotaGate, type QuotaGateHands, type QuotaGateParts } from './session/quota-gate.ts'
import type { Session, SessionAccount } from './session/session.ts'
import { gateMemory, gatePaused, gateQuota, gateShed } from './tenant/account.ts'

/** What admission uses of the corridor. */
export interface AdmissionHands extends QuotaGateHands, HoldGateHands {
  /** The answer to a command before its turn: between MULTI and EXEC it spoils the transaction, and EXEC itself ends it. */
  refuseEarly(session: Session, pos: number, id: number, code: ErrorCode): number
  /** The client's parsing stops until `resumeLater`. */
  waitForNode(session: Session): number
  resumeLater(session: Session, ms: number): void
  /** The place among all the bytes that this client has sent of one in the chunk that is being taken. */
  endsAt(session: Session, end: number): number
}

export interface AdmissionParts extends QuotaGateParts, HoldGateParts {
  /** undefined: nobody measures memory. */
  readonly memory?: MemoryGate | undefined
}

export class Admission {
  readonly quotas: QuotaGate
  private readonly holds: HoldGate
  private readonly hands: AdmissionHands
  private readonly memory: MemoryGate | undefined

  constructor(hands: AdmissionHands, parts: AdmissionParts) {
    this.hands = hands
    this.memory = parts.memory
    this.quotas = new QuotaGate(hands, parts)
    this.holds = new HoldGate(hands, parts)
  }

  /**
   * The command with this id at `pos`, which ends at byte `endsAt` of all that the client has sent. undefined: it goes on; else
   * how its handling ended, as request-path.ts says it. `mayAdvance`: it is for a node, and more of this chunk follows it.
   */
  admit(
    session: Session,
    account: SessionAccount,
    id: number,
    route: number,
    endsAt: number,
    pos: number,
    mayAdvance: boolean,
  ): number | undefined {
    if (this.quotas.hasAdvance) this.settle(session)
    const tenant = account.tenant!
    const { gate } = tenant
    // Admitted before or not: what waited for something else when the pause began is not under way yet.
    if ((gate & gatePaused) !== 0) {
      const step = this.holds.paused(session, tenant, id, route, pos)
      if (step !== undefined) {
        this.quotas.putOff(session)
        return step
      }
    }
    if (endsAt <= session.admittedTo) return undefined
    if ((gate & gateShed) !== 0) {
      const step = this.holds.shed(session, tenant, id, route, pos)
      if (step !== undefined) return step
    }
    const memory = (gate & gateMemory) === 0 ? undefined : tenant.memory
    if (memory !== undefined) {
      const verdict = this.memory!.check(session, memory, id)
      if (verdict === memoryRefused) return this.hands.refuseEarly(session, pos, id, this.memory!.refusal)
      if (verdict !== memoryGoesOn) {
        this.memory!.confirm(session, memory, () => this.hands.resumeLater(session, 0))
        return this.hands.waitForNode(session)
      }
    }
    if ((gate & gateQuota) !== 0) {
      const step = this.quotas.admit(session, account, id, route, endsAt, pos, mayAdvance && gate === gateQuota)
      if (step !== undefined) return step
    }
    session.admittedTo = endsAt
    if (memory !== undefined) this.memory!.note(session, memory, id)
    return undefined
  }

  /** The commands of this chunk that an advance has paid for are charged. At its end, and before anybody looks. */
  settle(session: Session): void {
    const end = this.quotas.settle()
    if (end >= 0) session.admittedTo = this.hands.endsAt(session, end)
  }

  /** The client is gone: nothing of it may stay in any line. */
  left(session: Session): void {
    this.quotas.left(session)
    this.holds.left(session)
  }
}
