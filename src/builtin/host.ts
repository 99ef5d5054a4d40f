/**
 * What built-in commands ask of the proxy, answered by the parts that know it: BuiltinHost put together, no more. What operators
 * can do to the proxy is handed in whole.
 */
import { errorText } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { type Cells, Outcome } from '../metrics/cells.ts'
import type { RegionTracker } from '../regions/tracker.ts'
import { failure, type Reply } from '../resp/encode.ts'
import { LEVEL } from '../routing/choose.ts'
import type { Scripts } from '../scripts/scripts.ts'
import type { Accounts } from '../session/accounts.ts'
import type { Authentication } from '../session/authentication.ts'
import type { Clients } from '../session/clients.ts'
import type { Monitors } from '../session/monitor.ts'
import type { QuotaUses } from '../session/quota-uses.ts'
import type { Session } from '../session/session.ts'
import type { Subscriptions } from '../session/subscriptions.ts'
import type { Tokens } from '../session/tokens.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Durability } from '../upstream/durability.ts'
import type { Pool } from '../upstream/pool.ts'
import type { BuiltinHost, OtherClients } from './builtin.ts'
import { commandVerb } from './command-verbs.ts'
import type { Keyspace } from './keyspace.ts'
import type { OperatorHost } from './operator.ts'
import { levelName } from './proxy-verb.ts'
import type { SharedSettings } from './settings.ts'
import type { Slowlog } from './slowlog.ts'

export interface HostParts {
  readonly region: string
  readonly version: string
  readonly runId: string
  readonly startedAtMs: number
  readonly table: CommandTable
  readonly cells: Cells
  readonly accounts: Pick<Accounts, 'usedTenant' | 'isUserOf'>
  readonly authentication: Pick<Authentication, 'authenticate' | 'defaultUser'>
  readonly clients: Pick<Clients, 'sessions' | 'ofTenant' | 'loginsOfTenant' | 'login' | 'logout'>
  readonly subscriptions: Subscriptions
  readonly monitors: Pick<Monitors, 'add'>
  readonly quotaUses: Pick<QuotaUses, 'ofAccount'>
  readonly tracker: Pick<RegionTracker, 'primary' | 'nodes' | 'marks' | 'historyId'>
  readonly pool: Pick<Pool, 'lacksResp3' | 'askShared'>
  readonly durability: Pick<Durability, 'history' | 'line'>
  readonly scripts: Pick<Scripts, 'of'>
  readonly tokens: Pick<Tokens, 'make' | 'read'>
  readonly keyspace: Keyspace
  readonly slowlog: Slowlog
  readonly settings: Pick<SharedSettings, 'get'>
  readonly operator: OperatorHost
  /** Other worker processes of this proxy; undefined: it has none. */
  readonly others: OtherClients | undefined
  now(): number
  wallMs(): number
  /** As configured now. */
  limits(): { readonly maxClients: number; readonly maxRequestBytes: number; readonly idleTimeoutMs: number }
  versionChanged(session: Session): void
  unblock(session: Session, withError: boolean): Promise<boolean>
  killScript(tenant: string | undefined): Promise<string | undefined>
  explain(session: Session, args: readonly Buffer[]): Reply
}

export function builtinHostOf(parts: HostParts): BuiltinHost {
  const { accounts, authentication, cells, clients, pool, quotaUses, scripts, tokens, tracker } = parts
  return {
    now: () => parts.now(),
    wallMs: () => parts.wallMs(),
    startedAtMs: parts.startedAtMs,
    region: parts.region,
    version: parts.version,
    runId: parts.runId,
    get maxClients() {
      return parts.limits().maxClients
    },
    get maxRequestBytes() {
      return parts.limits().maxRequestBytes
    },
    get idleTimeoutSeconds() {
      return Math.floor(parts.limits().idleTimeoutMs / 1000)
    },
    get isDefaultOpen() {
      return authentication.defaultUser !== undefined
    },
    get lacksResp3() {
      return pool.lacksResp3
    },
    serverVersion: () =>
      tracker.primary?.version || tracker.nodes.find((node) => node.version !== '')?.version || '7.0.0',
    connections: (tenant) => (tenant === undefined ? clients.sessions.size : clients.ofTenant(tenant)),
    tenantCommands: (tenant) => (tenant === undefined ? 0 : cells.tenant(tenant).commands()),
    authenticate: (session, user, password) => authentication.authenticate(session, user, password),
    login: (session, account) => clients.login(session, account),
    logout: (session) => clients.logout(session),
    subscriptions: parts.subscriptions,
    tenantLogins: (tenant) => (tenant === undefined ? 0 : clients.loginsOfTenant(tenant)),
    tenantErrors: (session) => session.account?.tenant?.cells.failures(Outcome.error) ?? 0,
    blockedClients: (tenant) => (tenant === undefined ? 0 : (accounts.usedTenant(tenant)?.blocked ?? 0)),
    command: (id, args, session) => commandVerb(parts.table, id, args, session.account!.route),
    sessions: () => clients.sessions.values(),
    others: parts.others,
    versionChanged: (session) => parts.versionChanged(session),
    isUserOf: (user, session) => accounts.isUserOf(user, session.account?.tenant?.id),
    stateOf: (session) => ({
      sub: session.subscriber?.c.size ?? 0,
      psub: session.subscriber?.p.size ?? 0,
      ssub: session.subscriber?.s.size ?? 0,
      multi: session.transaction?.queued.length ?? -1,
      blocked: session.isBlocked,
    }),
    unblock: (session, withError) => parts.unblock(session, withError),
    monitor: (session, tenant) => parts.monitors.add(session, tenant),
    keyspace: parts.keyspace,
    slowlog: parts.slowlog,
    settings: () => parts.settings.get(),
    durably: (tenant, write) => durably(parts, tenant, write),
    scriptsOf: (session) => scripts.of(session.account?.tenant?.id ?? '', session.database),
    killScript: (session) => parts.killScript(session.account?.tenant?.id),
    askPrimary: (request) =>
      new Promise((resolve) => {
        const { primary } = tracker
        if (primary === undefined) resolve(undefined)
        else pool.askShared(primary.index, request, resolve)
      }),
    operator: parts.operator,
    explain: (session, args) => parts.explain(session, args),
    tokenOf: (session) => {
      const { tenant } = session.account ?? {}
      if (tenant === undefined || tenant.floor === Number.POSITIVE_INFINITY) return undefined
      return tokens.make(tenant.id, Math.max(tracker.marks.nextSeq, session.after), tracker.historyId)
    },
    readAfter: (session, token) => {
      const { marks, historyId } = tracker
      const facts = tokens.read(session.account?.tenant?.id ?? '', token, historyId)
      if (facts === undefined) return false
      if (!facts.isOfHistory) cells.lostWritesPossible++
      // What it covers was acknowledged before now, so a mark that is sent from now on covers it as well.
      const mark = facts.isOfHistory ? (facts.mark ?? marks.nextSeq) : marks.nextSeq
      if (mark > session.after) session.after = mark
      marks.wantWithin(marks.gapMsNow)
      return true
    },
    quotasOf: (session) => quotaUses.ofAccount(session.account),
    levelOf: (session) => {
      const level = session.level >= 0 ? session.level : (session.account?.level ?? LEVEL.eventual)
      const account = session.account
      const maxStalenessMs =
        account === undefined
          ? Number.POSITIVE_INFINITY
          : level === LEVEL.bounded
            ? account.boundedMs
            : account.ceilingMs
      return { level: levelName(level), maxStalenessMs }
    },
  }
}

/** See BuiltinHost.durably. */
async function durably(
  { tracker, durability: confirmer, now }: Pick<HostParts, 'tracker' | 'durability' | 'now'>,
  tenant: TenantState,
  write: () => Promise<Reply>,
): Promise<Reply> {
  const { durability } = tenant
  if (durability === undefined) return write()
  const node = tracker.primary?.index ?? -1
  const { history } = confirmer
  const reply = await write()
  if (reply.kind === 'error') return reply
  const { replicas, timeoutMs } = durability
  const answeredAtMs = now()
  const count = await confirmer.line(replicas).confirm(timeoutMs, node, history)
  tenant.cells.durableWait.observe(now() - answeredAtMs, 1)
  if (count === undefined) tenant.cells.durableConfirmed++
  else tenant.cells.durableDenied++
  return count === undefined ? reply : failure(errorText('NOTDURABLE', count, replicas, timeoutMs))
}
