/**
 * May this command go on now? Asked for each command of a tenant that has a gate (tenant/account.ts says which there are);
 * of all others one field is read.
 *
 *   framed, looked up -> admitted before? -> paused | shed | memory | quota -> on its way | waits | refused
 *
 * A command may be handled more than once: it waits for a node, for room, or is taken back with the reads before it. It is
 * admitted once: what counts is how far in the client's bytes admission has come, not how often it was asked. What each gate
 * does is in a file of its own: quotas in session/quota-gate.ts, pauses and overload in session/hold-gate.ts.
 */
import { HoldGate, type HoldGateHands, type HoldGateParts } from './session/hold-gate.ts'
import { QuotaGate, type QuotaGateHands, type QuotaGateParts } from './session/quota-gate.ts'
import type { Session, SessionAccount } from './session/session.ts'
import { gatePaused, gateQuota, gateShed } from './tenant/account.ts'

/** What admission uses of the corridor. */
export interface AdmissionHands extends QuotaGateHands, HoldGateHands {}

export interface AdmissionParts extends QuotaGateParts, HoldGateParts {}

export class Admission {
  readonly quotas: QuotaGate
  private readonly holds: HoldGate

  constructor(hands: AdmissionHands, parts: AdmissionParts) {
    this.quotas = new QuotaGate(hands, parts)
    this.holds = new HoldGate(hands, parts)
  }

  /**
   * The command with this id at `pos`, which ends at byte `endsAt` of all that the client has sent. undefined: it goes on; else
   * how its handling ended, as request-path.ts says it.
   */
  admit(
    session: Session,
    account: SessionAccount,
    id: number,
    route: number,
    endsAt: number,
    pos: number,
  ): number | undefined {
    const tenant = account.tenant!
    const { gate } = tenant
    // Admitted before or not: what waited for something else when the pause began is not under way yet.
    if ((gate & gatePaused) !== 0) {
      const step = this.holds.paused(session, tenant, id, route, pos)
      if (step !== undefined) return step
    }
    if (endsAt <= session.admittedTo) return undefined
    if ((gate & gateShed) !== 0) {
      const step = this.holds.shed(session, tenant, id, route, pos)
      if (step !== undefined) return step
    }
    if ((gate & gateQuota) !== 0) {
      const step = this.quotas.admit(session, account, id, route, endsAt, pos)
      if (step !== undefined) return step
    }
    session.admittedTo = endsAt
    return undefined
  }

  /** The client is gone: nothing of it may stay in any line. */
  left(session: Session): void {
    this.quotas.left(session)
    this.holds.left(session)
  }
}
