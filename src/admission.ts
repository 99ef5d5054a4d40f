/**
 * May this command go on now? Asked for each command of a tenant that has a gate (tenant/account.ts says which there are);
 * of all others one field is read.
 *
 *   framed, looked up -> admitted before? -> paused | shed | memory | quota -> on its way | waits | refused
 *
 * A command may be handled more than once: it waits for a node, for room, or is taken back with the reads before it. It is
 * admitted once: what counts is how far in the client's bytes admission has come, not how often it was asked.
 */
import type { Session, SessionAccount } from './session/session.ts'

/** What admission uses of the corridor. */
export interface AdmissionHands {
  readonly nowMs: number
}

export class Admission {
  protected readonly hands: AdmissionHands

  constructor(hands: AdmissionHands) {
    this.hands = hands
  }

  /**
   * The command with this id, which ends at byte `endsAt` of all that the client has sent. undefined: it goes on; else how its
   * handling ended, as request-path.ts says it.
   */
  admit(session: Session, _account: SessionAccount, _id: number, _route: number, endsAt: number): number | undefined {
    if (endsAt <= session.admittedTo) return undefined
    session.admittedTo = endsAt
    return undefined
  }
}
