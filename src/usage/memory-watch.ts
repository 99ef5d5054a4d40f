/**
 * What the primary's data have grown by, while some tenant is near a limit: its totals a few times a second, handed to all
 * accounts; at once where a command waits for them, because its tenant may be over a limit (src/session/memory-gate.ts).
 *
 *   suspect -> waits -> INFO -> its tenant's account decides -> goes on, or is refused
 *
 * An answer that does not come counts as none: then what was written is what there is.
 */
import { totalsEveryMs, totalsGapMs, totalsWaitMs } from '../base/limits.ts'
import type { Covered, MemoryAccount, ServerTotals } from '../quota/memory-account.ts'

export interface WatchHands {
  now(): number
  after(ms: number, run: () => void): void
  /** The primary's totals; undefined: it does not say. */
  totals(): Promise<ServerTotals | undefined>
  hasPrimary(): boolean
}

/** All accounts are looked through so often for those that are near. */
const lookEveryMs = 500

export class MemoryWatch {
  private readonly hands: WatchHands
  private readonly accounts: () => Iterable<MemoryAccount>
  private waiting: (() => void)[] = []
  private isAsking = false
  private isPlanned = false
  private askedAtMs = Number.NEGATIVE_INFINITY
  private lookedAtMs = Number.NEGATIVE_INFINITY
  private isAnyNear = false
  /** Answers, and those that never came. */
  answers = 0
  failures = 0
  /** There was no primary to ask: nobody waits for it here, what writes waits for it elsewhere. */
  isBlind = false

  constructor(accounts: () => Iterable<MemoryAccount>, hands: WatchHands) {
    this.accounts = accounts
    this.hands = hands
  }

  /** Calls back when the primary has told its totals anew, or has not for too long. */
  confirm(then: () => void): void {
    this.waiting.push(then)
    this.askSoon()
  }

  /** Every 50 ms or so. */
  tick(nowMs: number): void {
    if (nowMs - this.lookedAtMs >= lookEveryMs) {
      this.lookedAtMs = nowMs
      this.isAnyNear = false
      for (const account of this.accounts()) this.isAnyNear ||= account.isNear
    }
    if (this.isAnyNear && nowMs - this.askedAtMs >= totalsEveryMs) void this.ask()
  }

  private askSoon(): void {
    if (this.isAsking || this.isPlanned) return
    const waitMs = totalsGapMs - (this.hands.now() - this.askedAtMs)
    if (waitMs <= 0) {
      void this.ask()
      return
    }
    this.isPlanned = true
    this.hands.after(Math.ceil(waitMs), () => {
      this.isPlanned = false
      void this.ask()
    })
  }

  /** The primary's totals now, in all accounts when it resolves. */
  async ask(): Promise<void> {
    if (this.isAsking) return
    this.askedAtMs = this.hands.now()
    const waiting = this.waiting.splice(0)
    this.isBlind = !this.hands.hasPrimary()
    if (this.isBlind) {
      for (const then of waiting) then()
      return
    }
    this.isAsking = true
    const covered = new Map<MemoryAccount, Covered>()
    for (const account of this.accounts()) covered.set(account, account.asked())
    const late = new Promise<undefined>((resolve) => this.hands.after(totalsWaitMs, () => resolve(undefined)))
    const totals = await Promise.race([this.hands.totals().catch(() => undefined), late])
    this.isAsking = false
    if (totals === undefined) this.failures++
    else this.answers++
    this.tell(totals, covered)
    for (const then of waiting) then()
    if (this.waiting.length > 0) this.askSoon()
  }

  private tell(totals: ServerTotals | undefined, covered: ReadonlyMap<MemoryAccount, Covered>): void {
    let [bytes, keys] = [0, 0]
    for (const account of covered.keys()) {
      bytes += account.bytes.written
      keys += account.keys.written
    }
    for (const [account, of] of covered) {
      account.told(totals, of, account.bytes.written / Math.max(1, bytes), account.keys.written / Math.max(1, keys))
    }
  }
}
