/**
 * What becomes of an open connection when the configuration has changed under it: accounts are renewed in place
 * (accounts.ts), so its rights are the new ones already; here is what its past has left. Nothing of it is in the middle of a
 * command: this is a turn of its own.
 *
 *   login gone, or of another tenant   -> what is in flight is answered, then it is closed
 *   listens or is shown what it may not any more -> the same, as Redis does with a channel that was taken from a user
 *   waits in a command that it may not run any more -> -UNBLOCKED
 *   its tenant's durability is another -> before its next command, with nothing in flight, replies are held anew or no longer
 *   waits for a quota that is another now -> tries again at once
 *   not logged in, and `default` needs no password now -> it is that user
 */
import type { CommandTable } from '../commands/lookup.ts'
import { ROUTE } from '../commands/spec.ts'
import type { Renewed } from './accounts.ts'
import { modeMonitor, modeRenew, type Session, type SessionAccount, stallBusy } from './session.ts'

export interface RenewalHost {
  /** Who this user is now; undefined: nobody. */
  accountOf(user: string): SessionAccount | undefined
  /** Who a connection without a login is. */
  defaultAccount(): SessionAccount | undefined
  login(session: Session, account: SessionAccount): void
  /** Ends its blocking command with an error. */
  unblock(session: Session): void
  /** It waits for a quota that is another now: it tries again at once. */
  retryQuota(session: Session): void
}

const listeningVerbs = { c: 'subscribe', p: 'psubscribe', s: 'ssubscribe' } as const

export class Renewal {
  private readonly host: RenewalHost
  private readonly listening: Readonly<Record<'c' | 'p' | 's', number>>
  private readonly monitorId: number

  constructor(table: CommandTable, host: RenewalHost) {
    this.host = host
    const id = (name: string): number => table.byName(name)!.id
    this.listening = { c: id(listeningVerbs.c), p: id(listeningVerbs.p), s: id(listeningVerbs.s) }
    this.monitorId = id('monitor')
  }

  /** Gives the number of connections that it closes. */
  renew(sessions: Iterable<Session>, { reheld, relimited }: Renewed): number {
    const fallback = this.host.defaultAccount()
    let expelled = 0
    for (const session of [...sessions]) {
      const { account } = session
      if (account === undefined) {
        // One whose password is being checked is about to become somebody.
        if (fallback !== undefined && session.stall !== stallBusy) this.host.login(session, fallback)
        continue
      }
      if (this.host.accountOf(account.user) !== account || this.hears(session, account)) {
        expelled++
        session.expel()
        continue
      }
      if (session.isBlocked && account.route[session.blockedId] === ROUTE.denied) this.host.unblock(session)
      session.limitsChanged()
      const { tenant } = account
      if (tenant === undefined) continue
      if (relimited.has(tenant) && session.quotaWait !== undefined) this.host.retryQuota(session)
      if (reheld.has(tenant)) session.mode |= modeRenew
    }
    return expelled
  }

  /** It goes on hearing what it may not ask for any more. */
  private hears({ subscriber, mode }: Session, { route }: SessionAccount): boolean {
    if ((mode & modeMonitor) !== 0 && route[this.monitorId] === ROUTE.denied) return true
    if (subscriber === undefined) return false
    const isDenied = (kind: 'c' | 'p' | 's'): boolean =>
      subscriber[kind].size > 0 && route[this.listening[kind]] === ROUTE.denied
    return isDenied('c') || isDenied('p') || isDenied('s')
  }
}
