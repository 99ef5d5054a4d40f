/**
 * AUTH, from a name and a password to an account: whose turn it is, who has failed too often, and who is right by the passwords
 * that hold now. What becomes of the connection then is clients.ts's business; how passwords are compared is tenant/identity.ts's.
 */
import type { Log } from '../base/log.ts'
import type { Cells } from '../metrics/cells.ts'
import { FailureLimiter, type Identity, passwordBytesMax, type Verdict } from '../tenant/identity.ts'
import { LoginTurns } from './login-turns.ts'
import type { Session, SessionAccount } from './session.ts'

/** A client that fails AUTH too often gets its answers this much later. */
const limitedAnswerMs = 1_000

/** Failures that a pair of address and user may have; `count` 0 = any number. */
export interface FailureRate {
  readonly count: number
  readonly perMs: number
}

export interface AuthenticationParts {
  readonly identity: Identity
  readonly failures: FailureRate
  readonly cells: Pick<Cells, 'authFailures'>
  /** Anybody can have it say something. */
  readonly limitedLog: Log
  accountOf(user: string): SessionAccount | undefined
  now(): number
  after(ms: number, run: () => void): void
  /** In a later turn. */
  soon(run: () => void): void
}

export class Authentication {
  private readonly parts: AuthenticationParts
  private identity: Identity
  private readonly failures: FailureLimiter
  private readonly turns: LoginTurns

  constructor(parts: AuthenticationParts) {
    this.parts = parts
    this.identity = parts.identity
    this.failures = new FailureLimiter(parts.failures)
    this.turns = new LoginTurns((run) => parts.soon(run))
  }

  /** After a reload. */
  renew(identity: Identity, failures: FailureRate): void {
    this.identity = identity
    this.failures.setRate(failures)
  }

  /** Who needs no password; undefined: nobody. */
  get defaultUser(): string | undefined {
    return this.identity.withoutAuth()?.user
  }

  /** See BuiltinHost.authenticate. */
  authenticate(
    session: Session,
    user: string,
    password: Buffer,
  ): SessionAccount | undefined | Promise<SessionAccount | undefined> {
    if (this.turns.take()) return this.judge(session, user, password)
    // Longer ones are refused: their first bytes are enough for that.
    const copy = Buffer.from(password.subarray(0, passwordBytesMax + 1))
    return this.turns.wait().then(() => this.judge(session, user, copy))
  }

  private judge(
    session: Session,
    user: string,
    password: Buffer,
  ): SessionAccount | undefined | Promise<SessionAccount | undefined> {
    if (session.isClosed) return undefined
    const { parts, identity } = this
    const ip = session.remote.slice(0, session.remote.lastIndexOf(':'))
    const isLimited = this.failures.isLimited(ip, user, parts.now())
    const finish = (it: Verdict): SessionAccount | undefined => {
      const account = it.ok ? parts.accountOf(it.user) : undefined
      if (account !== undefined) return account
      this.failures.noteFailure(ip, user, parts.now())
      parts.cells.authFailures.add([it.ok ? 'credentials' : it.reason])
      parts.limitedLog.warn({ user: user.slice(0, 64) }, 'authentication failed')
      return undefined
    }
    if (!isLimited) {
      const verdict = identity.verify(user, password)
      if (!(verdict instanceof Promise)) return finish(verdict)
      const copy = Buffer.from(password)
      // A reload may have come in between: the new configuration judges, not the old one.
      const settle = (it: Verdict, by: Identity): SessionAccount | undefined | Promise<SessionAccount | undefined> => {
        if (by === this.identity) return finish(it)
        const now = this.identity
        const again = now.verify(user, copy)
        return again instanceof Promise ? again.then((second) => settle(second, now)) : finish(again)
      }
      return verdict.then((it) => settle(it, identity))
    }
    // Too many failures: right or wrong, the answer is the refusal, it is slow, and it costs us no hashing.
    parts.cells.authFailures.add(['limited'])
    return new Promise((resolve) => parts.after(limitedAnswerMs, () => resolve(undefined)))
  }
}
