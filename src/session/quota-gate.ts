/**
 * Quotas of throughput at the door: what a command costs, whether its tenant and its user have that now, and what becomes of
 * it when they have not. Takes from both or from neither; a command that is refused has taken nothing.
 *
 *   cost -> the user's, the tenant's bucket has it, and nobody waits before -> taken, it goes on
 *                        `-> delay: in line, 50 ms at most for all that the client had sent by then -> its turn | refused
 *                        `-> error: refused, with the time after which the bucket will have it
 *
 * Between MULTI and EXEC costs are summed up, and EXEC is asked for all of them.
 */
import { errorText } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { IN_MULTI, ROUTE } from '../commands/spec.ts'
import { Kind, Outcome } from '../metrics/cells.ts'
import { Costs } from '../quota/cost.ts'
import type { TenantQuota } from '../quota/tenant-quota.ts'
import type { RequestFramer } from '../resp/request-framer.ts'
import type { TenantState } from '../tenant/account.ts'
import { beginDelay, QuotaLines, type QuotaWait } from './quota-lines.ts'
import { replyOn, type Session, type SessionAccount, stallQuota } from './session.ts'

/** What this gate uses of the corridor; steps (numbers) are those of request-path.ts. */
export interface QuotaGateHands {
  readonly frame: RequestFramer
  readonly nowMs: number
  /** The command was not taken, and the client's parsing stops for that reason. */
  wait(session: Session, stall: number): number
  /** This line, an error with its CRLF, is the answer to the command at `pos`. */
  refuseWith(session: Session, pos: number, line: Buffer): number
  /** Its EXEC was refused. */
  dropTransaction(session: Session): void
  resumeSoon(session: Session): void
}

export interface QuotaGateParts {
  readonly table: CommandTable
  now(): number
  after(ms: number, run: () => void): void
}

export class QuotaGate {
  readonly lines: QuotaLines
  readonly costs: Costs
  private readonly hands: QuotaGateHands
  private readonly table: CommandTable
  private readonly execId: number
  private readonly discardId: number
  private nowMs = -1
  private nowUs = 0
  /** Whose turn it is, for the chunk that began at `turnMs`, and what is left of it. */
  private turnOf: Session | undefined
  private turnQuota: TenantQuota | undefined
  private turnMs = 0
  private turnUnits = 0
  private turnBytes = 0
  /** Refusals come in thousands with one number. */
  private refusalMs = -1
  private refusal = Buffer.alloc(0)

  constructor(hands: QuotaGateHands, parts: QuotaGateParts) {
    this.hands = hands
    this.table = parts.table
    this.costs = new Costs(parts.table)
    this.execId = parts.table.byName('exec')!.id
    this.discardId = parts.table.byName('discard')!.id
    this.lines = new QuotaLines({
      now: parts.now,
      after: parts.after,
      resumeSoon: (session) => hands.resumeSoon(session),
    })
  }

  /** undefined: it goes on, and has been charged. */
  admit(
    session: Session,
    account: SessionAccount,
    id: number,
    route: number,
    endsAt: number,
    pos: number,
  ): number | undefined {
    const { hands } = this
    if (hands.nowMs !== this.nowMs) {
      this.nowMs = hands.nowMs
      this.nowUs = Math.floor(hands.nowMs * 1000)
    }
    const { nowUs } = this
    const tenant = account.tenant!
    const quota = tenant.quota ?? tenant.openQuota(nowUs)
    const own = account.use?.quota
    let bytes = hands.frame.end - pos
    let units = this.costs.unitsOf(id, hands.frame, bytes)
    const { transaction } = session
    if (transaction !== undefined) {
      if (id === this.execId) {
        if (!transaction.isSpoiled) {
          units = Math.max(units, transaction.units)
          bytes += transaction.requestBytes
        }
      } else if (id === this.discardId) {
        // Its commands were handled all the same.
        own?.owe(transaction.units, nowUs)
        quota?.owe(transaction.units, nowUs)
      } else if (this.table.inMulti[id] !== IN_MULTI.now) {
        transaction.units += units
        transaction.requestBytes += bytes
        return undefined
      }
    }
    if (units === 0) return undefined
    const wait = session.quotaWait
    if (wait?.turn === true) this.beginTurn(session, wait, tenant)
    if (own !== undefined) {
      own.look(nowUs)
      const waitUs = own.waitUs(units, bytes, nowUs)
      if (waitUs > 0 || (own.waiting > 0 && !this.hasTurn(session, own, units)))
        return this.hold(session, account, own, id, route, units, bytes, waitUs, endsAt, pos)
    }
    if (quota !== undefined) {
      quota.look(nowUs)
      const waitUs = quota.waitUs(units, bytes, nowUs)
      if (waitUs > 0 || (quota.waiting > 0 && !this.hasTurn(session, quota, units)))
        return this.hold(session, account, quota, id, route, units, bytes, waitUs, endsAt, pos)
      quota.take(units, bytes, route === ROUTE.proxy)
    }
    own?.take(units, bytes, route === ROUTE.proxy)
    if (this.turnOf === session) this.spendTurn(units, bytes)
    return undefined
  }

  /** Of a command that was let through so many bytes more have come than were known of. */
  owe(account: SessionAccount, bytes: number): void {
    const nowUs = Math.floor(this.hands.nowMs * 1000)
    account.tenant!.quota?.oweBytes(bytes, nowUs)
    account.use?.quota.oweBytes(bytes, nowUs)
  }

  /** Its tenant is paused: that time is not counted as waiting for a quota, nor is its place kept. */
  putOff(session: Session): void {
    this.left(session)
    session.quotaDelayTo = 0
  }

  left(session: Session): void {
    this.lines.leave(session)
    if (this.turnOf === session) this.turnOf = undefined
  }

  /** It has waited long enough: what it was given holds for this call of `consume`. */
  private beginTurn(session: Session, wait: QuotaWait, tenant: TenantState): void {
    this.noteDelay(wait, tenant)
    this.lines.leave(session)
    this.turnOf = session
    this.turnQuota = wait.line.quota
    this.turnMs = this.nowMs
    this.turnUnits = wait.turnUnits
    this.turnBytes = wait.turnBytes
  }

  /** Others wait for this quota; may this one take something before them? */
  private hasTurn(session: Session, quota: TenantQuota, units: number): boolean {
    return (
      this.turnOf === session &&
      this.turnQuota === quota &&
      this.turnMs === this.nowMs &&
      this.turnUnits >= units &&
      this.turnBytes > 0
    )
  }

  private spendTurn(units: number, bytes: number): void {
    this.turnUnits -= units
    this.turnBytes -= this.turnQuota!.withReply(bytes)
  }

  private noteDelay(wait: QuotaWait, tenant: TenantState): void {
    const ms = Math.max(0, this.nowMs - wait.sinceMs)
    wait.line.quota.noteDelayed(ms)
    tenant.cells.quotaDelayed(wait.heldBy, ms)
  }

  private hold(
    session: Session,
    account: SessionAccount,
    quota: TenantQuota,
    id: number,
    route: number,
    units: number,
    bytes: number,
    waitUs: number,
    endsAt: number,
    pos: number,
  ): number {
    const { nowMs, nowUs } = this
    if (endsAt > session.quotaDelayTo) beginDelay(session, nowMs)
    if (quota.limits.whenExceeded === 'delay' && nowMs < session.quotaDelayUntilMs) {
      this.lines.hold(session, quota, units, bytes, quota.heldBy(units, bytes, nowUs), waitUs / 1000)
      return this.hands.wait(session, stallQuota)
    }
    return this.refuse(session, account, quota, id, route, units, bytes, waitUs, pos)
  }

  private refuse(
    session: Session,
    account: SessionAccount,
    quota: TenantQuota,
    id: number,
    route: number,
    units: number,
    bytes: number,
    waitUs: number,
    pos: number,
  ): number {
    const tenant = account.tenant!
    const wait = session.quotaWait
    if (wait !== undefined) {
      this.noteDelay(wait, tenant)
      this.lines.leave(session)
    }
    quota.noteRefused(units, bytes)
    tenant.cells.quotaRefused(quota.heldBy(units, bytes, this.nowUs))
    this.countRefused(tenant, id, route)
    const { transaction } = session
    if (id === this.execId) this.hands.dropTransaction(session)
    else if (transaction !== undefined) transaction.isSpoiled = true
    const line = this.refusalFor(Math.max(1, Math.ceil(waitUs / 1000)))
    if (session.replyMode === replyOn) {
      tenant.quota?.notCharged(line.length)
      account.use?.quota.notCharged(line.length)
    }
    return this.hands.refuseWith(session, pos, line)
  }

  private refusalFor(ms: number): Buffer {
    if (ms !== this.refusalMs) {
      this.refusalMs = ms
      this.refusal = Buffer.from(`-${errorText('THROTTLED', ms)}\r\n`)
    }
    return this.refusal
  }

  /** As taken, and as what did not end well. */
  private countRefused(tenant: TenantState, id: number, route: number): void {
    const { cells } = tenant
    const { isWrite, categories } = this.table.specs[id]!
    let kind: Kind = Kind.read
    if (categories.includes('pubsub')) {
      kind = Kind.pubsub
      cells.pubsub++
    } else if (route === ROUTE.proxy) {
      kind = Kind.admin
      cells.admin++
    } else if (isWrite) {
      kind = Kind.write
      cells.writes++
    } else cells.reads++
    cells.fail(kind, Outcome.throttled)
  }
}
