/**
 * What operators do to this process's clients and tenants: PROXY KILL, PAUSE and RESUME, and the pauses that a worker takes over
 * from the others before it serves. How a pause comes about is session/pauses.ts; of several processes all are asked by questions.ts.
 */
import type { Log } from '../base/log.ts'
import type { Resumed } from '../builtin/operator.ts'
import type { Accounts } from '../session/accounts.ts'
import type { Clients } from '../session/clients.ts'
import type { PauseStart, Pauses } from '../session/pauses.ts'
import type { Round } from './questions.ts'

export interface ActsParts {
  readonly clients: Pick<Clients, 'sessions'>
  readonly accounts: Pick<Accounts, 'tenant'>
  readonly pauses: Pick<Pauses, 'begin' | 'end'>
  readonly log: Log
}

export class Acts {
  private readonly parts: ActsParts
  /** While the others are asked for their pauses: tenants whose pause has ended meanwhile. */
  private resumedEarly: Set<string> | undefined

  constructor(parts: ActsParts) {
    this.parts = parts
  }

  /** PROXY KILL. */
  kill(id: number): boolean {
    const session = this.parts.clients.sessions.get(id)
    session?.destroy('killed')
    return session !== undefined
  }

  /** PROXY PAUSE. undefined: there is no such tenant. */
  pause(id: string, ms: number): Promise<PauseStart> | undefined {
    const { accounts, pauses, log } = this.parts
    const tenant = accounts.tenant(id)
    if (tenant === undefined) return undefined
    return pauses.begin(tenant, ms).then((start) => {
      if (start.kind === 'rest') log.info({ tenant: id, ms }, 'a tenant is paused')
      else log.warn({ tenant: id, ms, why: start.kind }, 'a tenant could not be paused')
      return start
    })
  }

  resume(id: string): Resumed {
    this.resumedEarly?.add(id)
    const tenant = this.parts.accounts.tenant(id)
    if (tenant === undefined) return undefined
    const waited = this.parts.pauses.end(tenant)
    if (waited !== undefined) this.parts.log.info({ tenant: id, waited }, 'a paused tenant goes on')
    return waited ?? 'not paused'
  }

  /** What is paused at the others is paused here before the first client: this process took the place of one that has died. */
  async takeOverPauses(others: Round): Promise<void> {
    const pauses = new Map<string, number>()
    this.resumedEarly = new Set()
    const { answers } = await others.ask('paused', undefined)
    for (const list of answers)
      for (const [tenant, leftMs] of list) pauses.set(tenant, Math.max(leftMs, pauses.get(tenant) ?? 0))
    // Nothing is in flight: it is at rest at once.
    for (const [tenant, leftMs] of pauses) if (!this.resumedEarly.has(tenant)) await this.pause(tenant, leftMs)
    this.resumedEarly = undefined
  }
}
