/**
 * The shape of a command that the proxy answers itself. Families have a file each; src/builtin/table.ts lists them.
 */
import type { Reply } from '../resp/encode.ts'
import type { Session, SessionAccount } from '../session/session.ts'
import type { Subscriptions } from '../session/subscriptions.ts'

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
  /** No upstream speaks RESP3. */
  readonly lacksResp3: boolean
  /** The account for a login; undefined: refused. Takes the same time for every failure. */
  authenticate(
    session: Session,
    user: string,
    password: Buffer,
  ): SessionAccount | undefined | Promise<SessionAccount | undefined>
  /** Binds the session to the account; counts and limits. */
  login(session: Session, account: SessionAccount): void
  /** Back to a fresh connection: the default account if the configuration has one. */
  logout(session: Session): void
  /** COMMAND and its subcommands. */
  command(id: number, args: readonly Buffer[], session: Session): Reply
  readonly subscriptions: Subscriptions
  levelOf(session: Session): { level: string; maxStalenessMs: number }
}

export interface Builtin {
  /** Changes the connection: waits until everything before it is answered. */
  readonly isStateful?: true
  /** Arguments include the command's own name(s). undefined: no reply at all. */
  run(
    args: readonly Buffer[],
    session: Session,
    host: BuiltinHost,
    id: number,
  ): Reply | undefined | Promise<Reply | undefined>
}
