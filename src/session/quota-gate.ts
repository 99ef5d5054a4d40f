/**
 * Quotas of throughput at the door: what a command costs, whether its tenant and its user have that now, and what becomes of
 * it when they have not. Takes from both or from neither; a command that is refused has taken nothing.
 *
 *   cost -> the user's, the tenant's bucket has it, and nobody waits before -> taken, it goes on
 *                        `-> delay: in line, 50 ms at most for all that the client had sent by then -> its turn | refused
 *                        `-> error: refused, with the time after which the bucket will have it
 *
 * Between MULTI and EXEC costs are summed up, and EXEC is asked for all of them. What was queued and will not run (DISCARD, RESET,
 * a client that leaves) has kept the proxy as busy, and is owed.
 *
 * An *advance* spares the commands of one chunk most of this: after the first of them went the exact way, the gate knows how many units
 * and bytes are there and that nobody waits, and nothing of that changes before the chunk is over. The commands behind it that cost one
 * unit take from these two numbers; whatever else comes, and the end of the chunk, first takes from the buckets what they took, so that
 * whoever looks finds the very numbers that command by command would have left (test/property/quota-advance.test.ts).
 */
import { errorText } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { IN_MULTI, ROUTE } from '../commands/spec.ts'
import { Kind, Outcome } from '../metrics/cells.ts'
import { Costs, unitBytes } from '../quota/cost.ts'
import type { TenantQuota } from '../quota/tenant-quota.ts'
import type { RequestFramer } from '../resp/request-framer.ts'
import type { TenantState } from '../tenant/account.ts'
import { beginDelay, QuotaLines, type QuotaWait } from './quota-lines.ts'
import { replyOn, type Session, type SessionAccount, stallQuota } from './session.ts'
import type { Transaction } from './transaction.ts'

/** An advance is of no more units and bytes than this: small integers are the cheapest. */
const advanceMax = 2 ** 30

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
  /** The advance of this chunk: whose it is, what is left of it, and where the last command that took from it ends. */
  private advanceOf: TenantQuota | undefined
  private unitsLeft = 0
  private bytesLeft = 0
  private spentTo = 0
  private unitsGiven = 0
  private bytesGiven = 0
  private replyBytes = 0
  private readonly isOne: Uint8Array
  /** Refusals come in thousands with one number. */
  private refusalMs = -1
  private refusal = Buffer.alloc(0)

  constructor(hands: QuotaGateHands, parts: QuotaGateParts) {
    this.hands = hands
    this.table = parts.table
    this.costs = new Costs(parts.table)
    this.isOne = this.costs.isOne
    this.execId = parts.table.byName('exec')!.id
    this.discardId = parts.table.byName('discard')!.id
    this.lines = new QuotaLines({
      now: parts.now,
      after: parts.after,
      resumeSoon: (session) => hands.resumeSoon(session),
    })
  }

  /**
   * Has the advance paid for this command of a node, with so many bytes up to `end` of the chunk? Where it has not, nothing has changed
   * and `admit` is asked. It has not either for what comes once more: that was paid for when it came first.
   */
  isAdvanced(id: number, bytes: number, end: number): boolean {
    if (
      this.unitsLeft <= 0 ||
      this.isOne[id] === 0 ||
      bytes > unitBytes ||
      bytes > this.bytesLeft ||
      end <= this.spentTo
    )
      return false
    this.unitsLeft--
    this.bytesLeft -= bytes + this.replyBytes
    this.spentTo = end
    return true
  }

  get hasAdvance(): boolean {
    return this.advanceOf !== undefined
  }

  /** Takes from the buckets what was taken from the advance, and ends it. Returns where the last of these commands ends, -1: none was. */
  settle(): number {
    const quota = this.advanceOf
    this.advanceOf = undefined
    const units = this.unitsGiven - this.unitsLeft
    this.unitsLeft = 0
    if (quota === undefined || units === 0) return -1
    quota.takeOnes(units, this.bytesGiven - this.bytesLeft - units * this.replyBytes)
    return this.spentTo
  }

  /** The command that ends at `end` has been charged for: what follows it in this chunk may take an advance. */
  private giveAdvance(quota: TenantQuota, end: number): void {
    const units = quota.unitsThere
    const bytes = quota.bytesThere
    const replyBytes = quota.withReply(0)
    if (units <= 0 || bytes <= 0 || replyBytes > advanceMax) return
    this.advanceOf = quota
    this.unitsGiven = Math.min(units, advanceMax)
    this.unitsLeft = this.unitsGiven
    this.bytesGiven = Math.min(bytes, advanceMax)
    this.bytesLeft = this.bytesGiven
    this.replyBytes = quota.bytes === undefined ? 0 : replyBytes
    this.spentTo = end
  }

  /** undefined: it goes on, and has been charged. */
  admit(
    session: Session,
    account: SessionAccount,
    id: number,
    route: number,
    endsAt: number,
    pos: number,
    mayAdvance: boolean,
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
        if (transaction.isSpoiled) this.oweQueued(transaction, quota, own, nowUs)
        else {
          units = Math.max(units, transaction.units)
          bytes += transaction.requestBytes
        }
      } else if (id === this.discardId) this.oweQueued(transaction, quota, own, nowUs)
      else if (this.table.inMulti[id] !== IN_MULTI.now) {
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
    if (transaction !== undefined && id === this.execId) transaction.forgetCost()
    if (this.turnOf === session) this.spendTurn(units, bytes)
    else if (mayAdvance && quota !== undefined && own === undefined && transaction === undefined && quota.waiting === 0)
      this.giveAdvance(quota, hands.frame.end)
    return undefined
  }

  /** Of a command that was let through so many bytes more have come than were known of. */
  owe(account: SessionAccount, bytes: number): void {
    const nowUs = Math.floor(this.hands.nowMs * 1000)
    account.tenant!.quota?.oweBytes(bytes, nowUs)
    account.use?.quota.oweBytes(bytes, nowUs)
  }

  /** Its commands were handled, and none of them will run. */
  private oweQueued(
    transaction: Transaction,
    quota: TenantQuota | undefined,
    own: TenantQuota | undefined,
    nowUs: number,
  ): void {
    const { units, requestBytes } = transaction
    transaction.forgetCost()
    own?.owe(units, nowUs, requestBytes)
    quota?.owe(units, nowUs, requestBytes)
  }

  /** The client leaves, or starts anew, between MULTI and EXEC. Perhaps outside of any chunk. */
  dropped(session: Session, nowMs: number): void {
    const { transaction, account } = session
    if (transaction === undefined || transaction.units === 0 || account?.tenant === undefined) return
    this.oweQueued(transaction, account.tenant.quota, account.use?.quota, Math.floor(nowMs * 1000))
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
