/**
 * How much a tenant may use, and has used: commands in units (cost.ts) and bytes over time, and the counts that have a limit
 * of their own. A user with quotas has one too, besides its tenant's. Plain numbers and two buckets; no time of its own.
 *
 *   admission: look(now) once a chunk -> waitUs(units, bytes) -> 0: take | wait | refused()
 *   meanwhile: replies add to Traffic, which they do anyway; `look` charges what has come since the last look
 *
 * The limits are the configuration's (`limits`); under `scope: fleet` the part of them that is this proxy's is said by
 * `setShare`, until then all of it.
 */
import { Quota } from '../metrics/cells.ts'
import { TokenBucket } from './bucket.ts'
import { unitBytes } from './cost.ts'

/** `tenants.*.quota` and `users.*.quota`, as rates a second; what is absent has no limit. */
export interface QuotaLimits {
  /** Units a second, and at once. */
  readonly opsPerS?: number
  readonly burst?: number
  /** Bytes a second, both directions together. */
  readonly bytesPerS?: number
  readonly connections?: number
  /** Connections to the primary of clients' own. */
  readonly leases?: number
  readonly maxRequestBytes?: number
  /** Commands of all its clients on their way. */
  readonly inFlight?: number
  readonly memoryBytes?: number
  readonly keys?: number
  readonly scope: 'fleet' | 'proxy'
  readonly whenExceeded: 'delay' | 'error'
}

/** What rises with each run of replies, whoever looks at it: bytes sent to clients. */
export interface Traffic {
  bytesOut: number
}

/** A burst that is not given is this part of a second: in 10 seconds it adds 2.5 % to the rate. */
export const burstSeconds = 0.25
/** But at least so many units: what a small page asks at once. */
export const burstUnitsMin = 10
/** Of bytes: what one read from a client may bring. */
export const burstBytesMin = 64 * 1024
/** A unit pays for a reply that comes within one to two of these; one that comes later is charged as it comes, us. */
export const periodUs = 250_000
/** Use is told by windows of this length, us. */
const windowUs = 1_000_000
/** The expected size of a reply moves this part of the way to the last ones' mean. */
const learnPart = 4

export function burstOf(opsPerS: number, burst: number | undefined): number {
  return burst ?? Math.max(burstUnitsMin, Math.floor(opsPerS * burstSeconds))
}

export function burstBytesOf(bytesPerS: number): number {
  return Math.max(burstBytesMin, Math.floor(bytesPerS * burstSeconds))
}

/** Of another limit this proxy has the same part until it hears otherwise, so that a raised one acts at once. */
function samePart(share: number | undefined, before: number | undefined, now: number | undefined): number | undefined {
  if (share === undefined || before === undefined || now === undefined) return undefined
  return Math.min(now, (share * now) / before)
}

export class TenantQuota {
  limits: QuotaLimits
  /** Undefined: no such limit. */
  ops: TokenBucket | undefined
  bytes: TokenBucket | undefined
  /** Set by `setShare`: the part of the limits that is this proxy's; undefined: all. */
  opsShare: number | undefined
  bytesShare: number | undefined
  /** Its limits are of several worker processes together, whatever their scope. */
  isDivided = false

  /** Commands that went on, and their units with what was charged afterwards; bytes that were charged. */
  accepted = 0
  acceptedUnits = 0
  acceptedBytes = 0
  /** Commands that were refused, and what they would have cost. */
  refused = 0
  refusedUnits = 0
  refusedBytes = 0
  /** Commands that waited, and how long all of them together, ms. */
  delayed = 0
  delayedMs = 0
  /** Clients that wait now. Whoever comes while some do waits behind them. */
  waiting = 0

  private readonly traffic: Traffic
  private lastOut: number
  /** When `look` was last called. */
  private lookedUs = -1
  /**
   * Bytes of replies that the units taken have paid for, of this period and of the one before; and bytes that were taken on
   * account for replies to come.
   */
  private periodUs: number
  private paidBytes = 0
  private paidBefore = 0
  private onAccount = 0
  private onAccountBefore = 0
  /** Of a reply, learned: what went out and how many commands went on in the periods before. */
  private expectedBytes = 0
  private periodOut = 0
  private periodTaken = 0
  /** For `usage`: the last whole window's rates, and what had been used when the present one began. */
  private windowUs: number
  private windowUnits = 0
  private windowBytes = 0
  private unitsPerS = 0
  private bytesPerS = 0

  constructor(limits: QuotaLimits, traffic: Traffic, nowUs: number) {
    this.limits = limits
    this.traffic = traffic
    this.lastOut = traffic.bytesOut
    this.periodUs = nowUs
    this.windowUs = nowUs
    this.setLimits(limits, nowUs)
  }

  /** Has anything that is counted per command. */
  get isMetered(): boolean {
    return this.ops !== undefined || this.bytes !== undefined
  }

  /** Others than they were, at once; what was used stays used. */
  setLimits(limits: QuotaLimits, nowUs: number): void {
    const before = this.limits
    this.limits = limits
    const { opsPerS, bytesPerS } = limits
    const isShared = limits.scope === 'fleet' || this.isDivided
    this.opsShare = isShared ? samePart(this.opsShare, before.opsPerS, opsPerS) : undefined
    this.bytesShare = isShared ? samePart(this.bytesShare, before.bytesPerS, bytesPerS) : undefined
    if (opsPerS === undefined) this.ops = undefined
    else {
      const rate = this.opsShare ?? opsPerS
      const burst = this.burstAt(rate)
      if (this.ops === undefined) this.ops = new TokenBucket(rate, burst, nowUs)
      else this.ops.setRate(rate, burst, nowUs)
    }
    if (bytesPerS === undefined) this.bytes = undefined
    else {
      const rate = this.bytesShare ?? bytesPerS
      if (this.bytes === undefined) this.bytes = new TokenBucket(rate, burstBytesOf(rate), nowUs)
      else this.bytes.setRate(rate, burstBytesOf(rate), nowUs)
    }
  }

  /** The part of a fleet-wide limit that is this proxy's, units and bytes a second. undefined: the whole limit. */
  setShare(opsPerS: number | undefined, bytesPerS: number | undefined, nowUs: number): void {
    const { limits } = this
    this.opsShare = opsPerS
    this.bytesShare = bytesPerS
    if (this.ops !== undefined && limits.opsPerS !== undefined) {
      const rate = Math.min(opsPerS ?? limits.opsPerS, limits.opsPerS)
      this.ops.rescale(rate, this.burstAt(rate), nowUs)
    }
    if (this.bytes !== undefined && limits.bytesPerS !== undefined) {
      const rate = Math.min(bytesPerS ?? limits.bytesPerS, limits.bytesPerS)
      this.bytes.rescale(rate, burstBytesOf(rate), nowUs)
    }
  }

  /** A burst that was given is divided as the rate is. */
  private burstAt(rate: number): number {
    const { opsPerS, burst } = this.limits
    if (burst === undefined || opsPerS === undefined || rate >= opsPerS) return burstOf(rate, burst)
    return Math.max(1, Math.floor((burst * rate) / opsPerS))
  }

  /** Charges what has gone out since the last look. Once a chunk of a client's bytes, and whenever somebody asks for numbers. */
  look(nowUs: number): void {
    if (nowUs === this.lookedUs) return
    this.lookedUs = nowUs
    if (nowUs - this.windowUs >= windowUs) this.endWindow(nowUs)
    const out = this.traffic.bytesOut - this.lastOut
    // Below 0: errors that are not charged were made and have not gone out yet. What they are short of is not paid for by anything.
    if (out > 0) this.charge(out, nowUs)
    if (nowUs - this.periodUs >= periodUs) this.endPeriod(nowUs)
  }

  private charge(out: number, nowUs: number): void {
    this.lastOut += out
    this.periodOut += out
    const { ops, bytes } = this
    if (ops !== undefined) {
      // The older first: it ends sooner.
      this.paidBefore -= out
      if (this.paidBefore < 0) {
        this.paidBytes += this.paidBefore
        this.paidBefore = 0
      }
      if (this.paidBytes < 0) {
        this.owe(-this.paidBytes / unitBytes, nowUs)
        this.paidBytes = 0
      }
    }
    if (bytes === undefined) return
    this.acceptedBytes += out
    this.onAccountBefore -= out
    if (this.onAccountBefore < 0) {
      this.onAccount += this.onAccountBefore
      this.onAccountBefore = 0
    }
    if (this.onAccount >= 0) return
    bytes.refill(nowUs)
    bytes.debit(-this.onAccount)
    this.onAccount = 0
  }

  /** What was paid for and has not come within two periods is forgotten; what was taken on account is given back. */
  private endPeriod(nowUs: number): void {
    const isLong = nowUs - this.periodUs >= 2 * periodUs
    // Errors that never went out: their client left.
    if (isLong) this.lastOut = Math.min(this.lastOut, this.traffic.bytesOut)
    this.periodUs = nowUs
    this.paidBefore = isLong ? 0 : this.paidBytes
    this.paidBytes = 0
    if (this.bytes !== undefined) {
      this.bytes.refill(nowUs)
      this.bytes.credit(this.onAccountBefore + (isLong ? this.onAccount : 0))
      this.onAccountBefore = isLong ? 0 : this.onAccount
      this.onAccount = 0
    }
    if (this.periodTaken > 0) {
      const mean = Math.max(0, Math.round(this.periodOut / this.periodTaken))
      this.expectedBytes += Math.trunc((mean - this.expectedBytes) / learnPart)
      this.periodOut = 0
      this.periodTaken = 0
    }
  }

  private endWindow(nowUs: number): void {
    const seconds = (nowUs - this.windowUs) / 1e6
    this.unitsPerS = (this.acceptedUnits - this.windowUnits) / seconds
    this.bytesPerS = (this.acceptedBytes - this.windowBytes) / seconds
    this.windowUs = nowUs
    this.windowUnits = this.acceptedUnits
    this.windowBytes = this.acceptedBytes
  }

  /** What is used now, units and bytes a second: of the last whole second with traffic, or of the time since then. */
  usage(nowUs: number): { readonly unitsPerS: number; readonly bytesPerS: number } {
    this.look(nowUs)
    return { unitsPerS: this.unitsPerS, bytesPerS: this.bytesPerS }
  }

  /** How long until a command of so many units and bytes may go on, us; 0: now. Nothing is taken. */
  waitUs(units: number, bytes: number, nowUs: number): number {
    const forOps = this.ops === undefined ? 0 : this.ops.waitUs(units, nowUs)
    if (this.bytes === undefined) return forOps
    return Math.max(forOps, this.bytes.waitUs(bytes, nowUs))
  }

  /** Which limit it would wait for longest, a number of Quota. */
  heldBy(units: number, bytes: number, nowUs: number): number {
    const forOps = this.ops === undefined ? 0 : this.ops.waitUs(units, nowUs)
    const forBytes = this.bytes === undefined ? 0 : this.bytes.waitUs(bytes, nowUs)
    return forBytes > forOps ? Quota.bandwidth : Quota.ops
  }

  /** After `waitUs` said 0. `isAnsweredHere`: by the proxy, with little. */
  take(units: number, bytes: number, isAnsweredHere: boolean): void {
    this.accepted++
    this.acceptedUnits += units
    if (this.ops !== undefined) {
      this.ops.debit(units)
      this.paidBytes += units * unitBytes
    }
    if (this.bytes === undefined) return
    this.acceptedBytes += bytes
    if (isAnsweredHere) return this.bytes.debit(bytes)
    this.bytes.debit(bytes + this.expectedBytes)
    this.onAccount += this.expectedBytes
    this.periodTaken++
  }

  /** As many commands of one unit as may be taken now, one after the other. Buckets are as full as they were at the last question. */
  get unitsThere(): number {
    return this.ops === undefined ? Number.POSITIVE_INFINITY : this.ops.units
  }

  /** The same of bytes: while a command's own are there it may go on. */
  get bytesThere(): number {
    return this.bytes === undefined ? Number.POSITIVE_INFINITY : this.bytes.units
  }

  /** So many commands for nodes at once, of one unit each, of so many bytes together: the same as `take` for one after the other. */
  takeOnes(commands: number, bytes: number): void {
    this.accepted += commands
    this.acceptedUnits += commands
    if (this.ops !== undefined) {
      this.ops.debit(commands)
      this.paidBytes += commands * unitBytes
    }
    if (this.bytes === undefined) return
    this.acceptedBytes += bytes
    const replies = commands * this.expectedBytes
    this.bytes.debit(bytes + replies)
    this.onAccount += replies
    this.periodTaken += commands
  }

  /** It has turned out to cost so many units, and bytes, more. */
  owe(units: number, nowUs: number, bytes = 0): void {
    if (this.ops !== undefined && units > 0) {
      this.ops.refill(nowUs)
      this.ops.debit(units)
      this.acceptedUnits += units
    }
    if (this.bytes !== undefined && bytes > 0) {
      this.bytes.refill(nowUs)
      this.bytes.debit(bytes)
      this.acceptedBytes += bytes
    }
  }

  /** Bytes of a request whose size was not known when it was let through. */
  oweBytes(bytes: number, nowUs: number): void {
    this.owe(bytes / unitBytes, nowUs)
    if (this.bytes === undefined) return
    this.bytes.refill(nowUs)
    this.bytes.debit(bytes)
    this.acceptedBytes += bytes
  }

  noteRefused(units: number, bytes: number): void {
    this.refused++
    this.refusedUnits += units
    this.refusedBytes += bytes
  }

  noteDelayed(ms: number): void {
    this.delayed++
    this.delayedMs += ms
  }

  /** Bytes that `traffic` will count of the error that says that a command was refused: nobody's use. */
  notCharged(bytes: number): void {
    this.lastOut += bytes
  }

  /** Bytes of a command with those of the reply that it is expected to bring. */
  withReply(bytes: number): number {
    return bytes + this.expectedBytes
  }
}
