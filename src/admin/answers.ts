/** What this process answers to its supervisor and to the other workers (`--workers`): one answer for each row of Questions. */
import { jsonPieces, Slices } from '../base/slices.ts'
import { answersAbout, type TenantTotals } from '../builtin/across.ts'
import type { BuiltinHost } from '../builtin/builtin.ts'
import { type Cells, Outcome } from '../metrics/cells.ts'
import type { Metrics } from '../metrics/registry.ts'
import type { Accounts } from '../session/accounts.ts'
import type { Pauses } from '../session/pauses.ts'
import type { QuotaUses } from '../session/quota-uses.ts'
import type { MemoryUsage } from '../usage/memory-usage.ts'
import type { Acts } from './acts.ts'
import type { Explained, Health } from './http.ts'
import type { AnswerTo, Payload, Questions } from './questions.ts'
import type { Views } from './views.ts'

export type OwnAnswers = {
  readonly [K in keyof Questions]: (payload: Payload<K>) => AnswerTo<K> | Promise<AnswerTo<K>>
}

export interface AnswersParts {
  readonly builtins: BuiltinHost
  readonly cells: Pick<Cells, 'tenants'>
  readonly accounts: Pick<Accounts, 'get' | 'usedTenant'>
  readonly quotaUses: Pick<QuotaUses, 'ofAccount'>
  readonly views: Pick<Views, 'show'>
  readonly acts: Pick<Acts, 'kill' | 'pause' | 'resume'>
  readonly pauses: Pick<Pauses, 'list'>
  readonly metrics: Pick<Metrics, 'candidates' | 'render'>
  readonly memoryUsage: Pick<MemoryUsage, 'mark' | 'takeFigures' | 'wantLooks'>
  health(): Health
  slowlog(): Promise<object>
  explain(user: string, command: string, level: string | undefined): Explained | Promise<Explained>
}

export function answersOf(parts: AnswersParts): OwnAnswers {
  const { accounts, acts, builtins, memoryUsage, metrics, pauses, quotaUses, views } = parts
  const about = {
    builtins,
    totals: (tenant: string | undefined) => totalsOf(parts, tenant),
    quotas: (tenant: string | undefined, user: string) => {
      // Of one that was never here nothing is made.
      const isUsed = tenant !== undefined && accounts.usedTenant(tenant) !== undefined
      return quotaUses.ofAccount(isUsed ? accounts.get(user) : undefined)
    },
    tenant: (id: string) => accounts.usedTenant(id),
  }
  return {
    clientLines: (asked) => answersAbout.clientLines(asked, about),
    clientKill: (asked) => answersAbout.clientKill(asked, about),
    clientUnblock: (asked) => answersAbout.clientUnblock(asked, about),
    totals: (asked) => answersAbout.totals(asked, about),
    quotas: (asked) => answersAbout.quotas(asked, about),
    channels: (asked) => answersAbout.channels(asked, about),
    subscribers: (asked) => answersAbout.subscribers(asked, about),
    health: () => parts.health(),
    // What is written row by row is whole where it goes to another process.
    view: async (what) => JSON.parse(Buffer.concat(await jsonPieces(await views.show(what), new Slices())).toString()),
    slowlog: () => parts.slowlog(),
    explain: ({ user, command, level }) => parts.explain(user, command, level),
    candidates: () => metrics.candidates(),
    metrics: (names) => metrics.render(names),
    kill: (id) => acts.kill(id),
    pause: ({ tenant, ms }) => acts.pause(tenant, ms),
    resume: (tenant) => acts.resume(tenant),
    sweepMark: async (from) => {
      await memoryUsage.mark(from)
      return undefined
    },
    sweepFound: ({ from, figures }) => memoryUsage.takeFigures(from, figures) as undefined,
    sweepWanted: (tenants) => memoryUsage.wantLooks(tenants) as undefined,
    paused: () => pauses.list().map(({ tenant, leftMs }) => [tenant.id, leftMs] as const),
  }
}

function totalsOf(
  { builtins, cells: all }: Pick<AnswersParts, 'builtins' | 'cells'>,
  tenant: string | undefined,
): TenantTotals {
  const cells = tenant === undefined ? undefined : all.tenants.get(tenant)
  return {
    connections: builtins.connections(tenant),
    blocked: builtins.blockedClients(tenant),
    logins: builtins.tenantLogins(tenant),
    commands: tenant === undefined || cells === undefined ? 0 : cells.commands(),
    errors: cells?.failures(Outcome.error) ?? 0,
    bytesIn: cells?.bytesIn ?? 0,
    bytesOut: cells?.bytesOut ?? 0,
  }
}
