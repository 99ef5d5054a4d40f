/**
 * The clients of this process: who is connected, as whom, and how many of each tenant and user there are. Whether a password
 * is right is authentication.ts's business; what a command of theirs does is the request path's.
 *
 *   accepted -> named by a certificate, or `default` -> login, room for one more? -> counted
 *   AUTH, HELLO, RESET, reload                       -> login again, or logout
 *   closed   -> counted off -> lingering, until its socket has closed too
 */
import type net from 'node:net'
import { type ErrorCode, errorText } from '../base/errors.ts'
import { type Cells, Quota } from '../metrics/cells.ts'
import type { FleetUsage } from '../usage/fleet.ts'
import { shareQuotas } from '../usage/fleet-limits.ts'
import type { WorkerLimits } from '../usage/worker-limits.ts'
import type { Monitors } from './monitor.ts'
import type { Session, SessionAccount } from './session.ts'
import type { Subscriptions } from './subscriptions.ts'

export interface ClientsParts {
  readonly cells: Cells
  readonly subscriptions: Pick<Subscriptions, 'drop'>
  readonly monitors: Pick<Monitors, 'remove' | 'joined'>
  /** Limits that are shared with other proxies. */
  readonly fleet: FleetUsage
  /** Limits that are shared with other worker processes of this proxy; undefined: there are none. */
  readonly workerLimits: WorkerLimits | undefined
  /** Ids of clients: the first one, and how far each is from the one before it. */
  readonly firstId: number
  readonly idStep: number
  accountOf(user: string): SessionAccount | undefined
  /** Who a connection without a login is; undefined: nobody. */
  defaultUser(): string | undefined
  /** It starts anew: nothing of what it had begun may stay. */
  leave(session: Session): void
  newSession(id: number, socket: net.Socket): Session
  now(): number
  nowUs(): number
}

export class Clients {
  /** Called when the last client has gone. */
  onEmpty: (() => void) | undefined
  private readonly parts: ClientsParts
  private readonly open = new Map<number, Session>()
  private readonly closing = new Set<net.Socket>()
  private readonly perTenant = new Map<string, number>()
  private readonly loginsPerTenant = new Map<string, number>()
  private readonly perUser = new Map<string, number>()
  private nextIdToGive: number

  constructor(parts: ClientsParts) {
    this.parts = parts
    this.nextIdToGive = parts.firstId
  }

  /** By id. */
  get sessions(): ReadonlyMap<number, Session> {
    return this.open
  }

  /** Ended by us, with last bytes perhaps still on their way or a peer that has not closed its side. */
  get lingering(): ReadonlySet<net.Socket> {
    return this.closing
  }

  /** Those that have ended and not closed yet hold a socket too. */
  get sockets(): number {
    return this.open.size + this.closing.size
  }

  /** Above all ids of clients that were given. */
  get nextId(): number {
    return this.nextIdToGive
  }

  /** Connections of a tenant that are logged in. */
  ofTenant(id: string): number {
    return this.perTenant.get(id) ?? 0
  }

  /** Of a user of a tenant; undefined: none. */
  ofUser(user: string): number | undefined {
    return this.perUser.get(user)
  }

  /** Since the start. */
  loginsOfTenant(id: string): number {
    return this.loginsPerTenant.get(id) ?? 0
  }

  accept(socket: net.Socket, remote: string, certificateUser: string | undefined, listener: string): Session {
    const { parts } = this
    const session = parts.newSession(this.nextIdToGive, socket)
    this.nextIdToGive += parts.idStep
    session.remote = remote
    this.open.set(session.id, session)
    const named = certificateUser === undefined ? undefined : parts.accountOf(certificateUser)
    const account = named ?? this.defaultAccount()
    const refusal = account === undefined ? undefined : this.login(session, account)
    parts.cells.connectionsOpened.add([listener, refusal === undefined ? 'ok' : 'limit'])
    if (refusal !== undefined) {
      session.writeOwn(Buffer.from(`-${errorText(refusal)}\r\n`))
      session.endWhenAnswered()
    }
    return session
  }

  /** Who a connection without a login is. */
  defaultAccount(): SessionAccount | undefined {
    const user = this.parts.defaultUser()
    return user === undefined ? undefined : this.parts.accountOf(user)
  }

  /** See BuiltinHost.login. */
  login(session: Session, account: SessionAccount): ErrorCode | undefined {
    if (session.isClosed) return undefined // it left while its password was checked
    if (!this.hasRoomFor(session, account)) {
      account.tenant!.cells.quotaRefused(Quota.connections)
      return 'MAX_TENANT_CLIENTS'
    }
    const { leave, subscriptions, monitors } = this.parts
    this.count(session.account, -1)
    // Another tenant's transaction and watched keys end here, as with RESET.
    if (session.account !== undefined && session.account.tenant !== account.tenant) leave(session)
    // What it has read binds its next reads, also behind RESET and as somebody else: it may come back.
    if (session.account === undefined || session.account.tenant !== account.tenant) subscriptions.drop(session)
    if (session.account?.tenant !== account.tenant) monitors.remove(session)
    this.shareQuotas(account)
    session.enter(account)
    session.level = -1
    monitors.joined(session)
    this.count(account, 1)
    return undefined
  }

  /** See BuiltinHost.logout. */
  logout(session: Session): void {
    const { leave, subscriptions, monitors, now } = this.parts
    leave(session)
    subscriptions.drop(session)
    monitors.remove(session)
    this.count(session.account, -1)
    // Who never had a login does not get more time for one.
    if (session.account !== undefined) session.unauthSinceMs = now()
    session.enter(undefined)
    monitors.joined(session)
    const account = this.defaultAccount()
    if (account !== undefined) this.login(session, account)
  }

  closed(session: Session, reason: string): void {
    if (!this.open.delete(session.id)) return
    this.parts.subscriptions.drop(session)
    this.parts.monitors.remove(session)
    this.count(session.account, -1)
    this.parts.cells.disconnects.add([reason])
    if (!session.socket.destroyed) {
      this.closing.add(session.socket)
      session.socket.once('close', () => this.closing.delete(session.socket))
    }
    if (this.open.size === 0) this.onEmpty?.()
  }

  /** After a reload: clients that are here have limits that they had not when they came. */
  shareQuotasOfAll(): void {
    for (const { account } of this.open.values()) if (account !== undefined) this.shareQuotas(account)
  }

  private shareQuotas(account: SessionAccount): void {
    const { fleet, workerLimits, nowUs } = this.parts
    shareQuotas(fleet, account, nowUs)
    workerLimits?.join(account)
  }

  /** May one more connection be this user's? One that is its already, or its tenant's, takes no more room than it has. */
  private hasRoomFor(session: Session, account: SessionAccount): boolean {
    const { tenant } = account
    if (tenant === undefined) return true
    const before = session.account
    const most = tenant.limits?.connections ?? Number.POSITIVE_INFINITY
    const elsewhere = (name: string): number => this.parts.workerLimits?.connectionsElsewhere(name) ?? 0
    if (before?.tenant !== tenant && tenant.cells.connections + elsewhere(tenant.id) >= most) return false
    const mostOfUser = account.limits?.connections ?? Number.POSITIVE_INFINITY
    if (before?.user === account.user) return true
    return (this.perUser.get(account.user) ?? 0) + elsewhere(`${tenant.id}/${account.user}`) < mostOfUser
  }

  private count(account: SessionAccount | undefined, by: number): void {
    const id = account?.tenant?.id
    if (id === undefined) return
    const { cells, workerLimits } = this.parts
    const ofUser = (this.perUser.get(account!.user) ?? 0) + by
    if (ofUser > 0) this.perUser.set(account!.user, ofUser)
    else this.perUser.delete(account!.user)
    this.perTenant.set(id, (this.perTenant.get(id) ?? 0) + by)
    if (by > 0) this.loginsPerTenant.set(id, (this.loginsPerTenant.get(id) ?? 0) + by)
    cells.tenant(id).connections += by
    workerLimits?.noteConnections(id)
    workerLimits?.noteConnections(`${id}/${account!.user}`)
  }
}
