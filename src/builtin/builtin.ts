/**
 * The shape of a command that the proxy answers itself. Families have a file each; src/builtin/table.ts lists them.
 */
import type { ErrorCode } from '../base/errors.ts'
import type { QuotaUse } from '../quota/uses.ts'
import type { Reply } from '../resp/encode.ts'
import type { TenantScripts } from '../scripts/scripts.ts'
import type { Session, SessionAccount } from '../session/session.ts'
import type { Subscriptions } from '../session/subscriptions.ts'
import type { TenantState } from '../tenant/account.ts'
import type { ClientQuestions } from './across.ts'
import type { Keyspace } from './keyspace.ts'
import type { OperatorHost } from './operator.ts'
import type { Slowlog } from './slowlog.ts'

/** What such commands may ask of the proxy. */
export interface BuiltinHost {
  now(): number
  /** Wall clock, ms since 1970: for INFO only. */
  wallMs(): number
  /** Epoch seconds at start, for INFO. */
  readonly startedAtMs: number
  readonly region: string
  readonly version: string
  /** 40 hex digits drawn at start: the proxy's, not a node's. */
  readonly runId: string
  readonly maxClients: number
  readonly maxRequestBytes: number
  readonly idleTimeoutSeconds: number
  /** The user `default` exists and needs no password. */
  readonly isDefaultOpen: boolean
  /** Version of the primary as clients may see it. */
  serverVersion(): string
  /** Connections of this tenant, or of all when undefined. */
  connections(tenantId: string | undefined): number
  tenantCommands(tenantId: string | undefined): number
  /** Logins of this tenant since the start. */
  tenantLogins(tenantId: string | undefined): number
  /** Error replies to this tenant. */
  tenantErrors(session: Session): number
  /** Of this tenant's connections. */
  blockedClients(tenantId: string | undefined): number
  /** No upstream speaks RESP3. */
  readonly lacksResp3: boolean
  /** The account for a login; undefined: refused. Takes the same time for every failure. */
  authenticate(
    session: Session,
    user: string,
    password: Buffer,
  ): SessionAccount | undefined | Promise<SessionAccount | undefined>
  /** Binds the session to the account. Else why not (the connections of its tenant or its user are used up): it ends with that answer. */
  login(session: Session, account: SessionAccount): ErrorCode | undefined
  /** Back to a fresh connection: the default account if the configuration has one. */
  logout(session: Session): void
  /** COMMAND and its subcommands, ACL CAT: of what this user may run. */
  command(id: number, args: readonly Buffer[], session: Session): Reply
  readonly subscriptions: Subscriptions
  /** HELLO has given the session another version of RESP: its own connection to a node, if it holds one, follows. */
  versionChanged(session: Session): void
  /** Every open connection to this process. */
  sessions(): Iterable<Session>
  /** Other worker processes of this proxy; undefined: it has none. */
  readonly others?: OtherClients | undefined
  /** Does this tenant (of operators: do operators) have a user of that name? */
  isUserOf(user: string, session: Session): boolean
  /** For CLIENT LIST: subscriptions, commands queued in MULTI (-1: none is open), waiting in a blocking command. */
  stateOf(session: Session): SessionFacts
  /** Ends the wait of a blocked client; false: it does not wait. */
  unblock(session: Session, withError: boolean): Promise<boolean>
  /** Shows the tenant's commands on this connection from now on; false: it has too many such connections. */
  monitor(session: Session, tenant: TenantState): boolean
  readonly keyspace: Keyspace
  readonly slowlog: Slowlog
  /** Settings of the primary that a tenant may read, by name; those known when it does not answer in time. */
  settings(): Promise<ReadonlyMap<string, string>>
  readonly operator: OperatorHost
  /** Where this command would go now, and why, as its tenant may see it. */
  explain(session: Session, args: readonly Buffer[]): Reply
  /** What its tenant, and its user, may use and use now. */
  quotasOf(session: Session): Quotas
  levelOf(session: Session): { level: string; maxStalenessMs: number }
  /** A write of the proxy's own for this tenant: its answer, or -NOTDURABLE where the tenant wants it on replicas in time. */
  durably(tenant: TenantState, write: () => Promise<Reply>): Promise<Reply>
  /** A token of all that this connection has written and read; undefined: a write of its tenant's is of unknown fate. */
  tokenOf(session: Session): string | undefined
  /** Its reads see what the token covers from now on. False: no token of this tenant's. */
  readAfter(session: Session, token: string): boolean
  /** The scripts and libraries of the session's tenant; undefined: it may have none. */
  scriptsOf(session: Session): TenantScripts | undefined
  /** Ends the script that this tenant is running: OK, or the server's error. undefined: it runs none. */
  killScript(session: Session): Promise<string | undefined>
  /** A question of the proxy's own to the primary; undefined: it cannot be asked. */
  askPrimary(request: readonly string[]): Promise<Buffer | undefined>
}

/** Of a tenant, and of one of its users. */
export interface Quotas {
  readonly tenant: readonly QuotaUse[]
  readonly user: readonly QuotaUse[]
}

/** What this process asks the other workers about a tenant's clients there (across.ts). Who does not answer in time has none. */
export interface OtherClients {
  ask<K extends keyof ClientQuestions>(
    what: K,
    payload: ClientQuestions[K]['payload'],
  ): Promise<readonly ClientQuestions[K]['answer'][]>
}

export interface SessionFacts {
  readonly sub: number
  readonly psub: number
  readonly ssub: number
  readonly multi: number
  readonly blocked: boolean
}

export interface Builtin {
  /** Changes the connection, or tells what commands in flight will change: waits until everything before it is answered. */
  readonly isStateful?: true
  /** Changes the prefix of what follows: what stands before it is sent off first. */
  readonly isSelecting?: true
  /** Arguments include the command's own name(s). undefined: no reply at all. */
  run(
    args: readonly Buffer[],
    session: Session,
    host: BuiltinHost,
    id: number,
  ): Reply | undefined | Promise<Reply | undefined>
  /** Inside of EXEC, where no answer may take time; undefined: `run`. */
  runNow?(args: readonly Buffer[], session: Session, host: BuiltinHost, id: number): Reply | undefined
}
