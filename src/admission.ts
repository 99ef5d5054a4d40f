/**
 * May this command go on now? Asked for each command of a tenant that has a gate (tenant/account.ts says which there are);
 * of all others one field is read.
 *
 *   framed, looked up -> admitted before? -> paused | shed | memory | quota -> on its way | waits | refused
 *
 * A command may be handled more than once: it waits for a node, for room, or is taken back with the reads before it. It is
 * admitted once: what counts is how far in the client's bytes admission has come, not how often it was asked. What each gate
 * does is in a file of its own: quotas in session/quota-gate.ts.
 */
import type { CommandTable } from './commands/lookup.ts'
import { QuotaGate, type QuotaGateHands } from './session/quota-gate.ts'
import type { Session, SessionAccount } from './session/session.ts'
import { gateQuota } from './tenant/account.ts'

/** What admission uses of the corridor. */
export interface AdmissionHands extends QuotaGateHands {}

export interface AdmissionParts {
  readonly table: CommandTable
  now(): number
  after(ms: number, run: () => void): void
}

export class Admission {
  readonly quotas: QuotaGate

  constructor(hands: AdmissionHands, parts: AdmissionParts) {
    this.quotas = new QuotaGate(hands, parts)
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
    if (endsAt <= session.admittedTo) return undefined
    const { gate } = account.tenant!
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
  }
}
