/**
 * Clients whose next command waits for a quota: one line for each quota that somebody waits for, first come first served.
 * A client that waits is not read (its stall); it keeps its place until it was given a turn, left, or its time is over.
 *
 *   hold -> line (in order) -> serve: as much as there is, shared among the first -> its turn -> the rest again at the end
 *                           `-> its 50 ms are over: its turn to be refused
 *
 * One timer for all lines, of 1 ms, and only while somebody waits. Lines lie in a wheel of 64 places by when there is something
 * for them: nobody waits for longer than 50 ms. A turn lasts for one call of RequestPath.consume, so nobody comes between.
 */
import { quotaDelayMs } from '../base/limits.ts'
import type { TenantQuota } from '../quota/tenant-quota.ts'
import type { Session } from './session.ts'

/** Of the wheel, ms; a power of two above `quotaDelayMs`. */
const wheelMs = 64

export interface QuotaWait {
  readonly line: QuotaLine
  /** What its next command costs. */
  readonly units: number
  readonly bytes: number
  readonly sinceMs: number
  readonly untilMs: number
  /** Which quota it is, for the metrics (Quota). */
  readonly heldBy: number
  /** Set when its turn has come: what of the quota it may take now. */
  turn: boolean
  turnUnits: number
  turnBytes: number
}

export class QuotaLine {
  readonly quota: TenantQuota
  readonly waiting = new Set<Session>()
  /** When it is looked at next, and when the first of those in it must be answered, ms. */
  dueMs = 0
  expiresMs = Number.POSITIVE_INFINITY

  constructor(quota: TenantQuota) {
    this.quota = quota
  }
}

export interface QuotaLinesParts {
  now(): number
  after(ms: number, run: () => void): void
  resumeSoon(session: Session): void
}

export class QuotaLines {
  private readonly parts: QuotaLinesParts
  private readonly lines = new Map<TenantQuota, QuotaLine>()
  private readonly wheel: QuotaLine[][] = Array.from({ length: wheelMs }, () => [])
  private readonly due: QuotaLine[] = []
  private turnedToMs = 0
  private isTicking = false
  private count = 0

  constructor(parts: QuotaLinesParts) {
    this.parts = parts
  }

  /** Clients that wait. */
  get waiting(): number {
    return this.count
  }

  /** The next command of this client waits: at the end of the line, or where it already stands. `inMs`: for so long at least. */
  hold(session: Session, quota: TenantQuota, units: number, bytes: number, heldBy: number, inMs: number): void {
    const nowMs = this.parts.now()
    const before = session.quotaWait
    if (before !== undefined) {
      if (before.line.quota === quota && !before.turn) return
      this.leave(session)
    }
    let line = this.lines.get(quota)
    if (line === undefined) {
      line = new QuotaLine(quota)
      this.lines.set(quota, line)
    }
    session.quotaWait = {
      line,
      units,
      bytes,
      sinceMs: before?.sinceMs ?? nowMs,
      untilMs: session.quotaDelayUntilMs,
      heldBy,
      turn: false,
      turnUnits: 0,
      turnBytes: 0,
    }
    line.waiting.add(session)
    quota.waiting++
    this.count++
    line.expiresMs = Math.min(line.expiresMs, session.quotaDelayUntilMs)
    // Behind others there is nothing for it before them.
    const dueMs = line.waiting.size === 1 ? Math.min(nowMs + inMs, line.expiresMs) : line.expiresMs
    if (line.waiting.size === 1 || dueMs < line.dueMs) this.plan(line, dueMs, nowMs)
  }

  /** It goes on, is refused, or is gone. */
  leave(session: Session): void {
    const wait = session.quotaWait
    if (wait === undefined) return
    session.quotaWait = undefined
    const { line } = wait
    if (!line.waiting.delete(session)) return
    line.quota.waiting--
    this.count--
    if (line.waiting.size === 0) this.lines.delete(line.quota)
  }

  /** A limit was raised, or taken away: those who wait for it are looked at now. */
  changed(quota: TenantQuota): void {
    const line = this.lines.get(quota)
    if (line !== undefined) this.plan(line, 0, this.parts.now())
  }

  private plan(line: QuotaLine, dueMs: number, nowMs: number): void {
    if (!this.isTicking) {
      this.turnedToMs = Math.floor(nowMs)
      this.isTicking = true
      this.parts.after(1, this.tick)
    }
    const place = Math.min(Math.max(Math.ceil(dueMs), this.turnedToMs + 1), this.turnedToMs + wheelMs - 1)
    line.dueMs = place
    this.wheel[place & (wheelMs - 1)]!.push(line)
  }

  private readonly tick = (): void => {
    const nowMs = this.parts.now()
    const toMs = Math.floor(nowMs)
    const fromMs = Math.max(this.turnedToMs + 1, toMs - wheelMs + 1)
    this.turnedToMs = Math.max(toMs, this.turnedToMs)
    // All are taken off first: what is planned anew below may come to stand in a place that a late tick has yet to pass.
    const { due } = this
    for (let ms = fromMs; ms <= toMs; ms++) {
      const place = this.wheel[ms & (wheelMs - 1)]!
      for (const line of place) due.push(line)
      place.length = 0
    }
    // What was planned anew meanwhile stands elsewhere, and here no more than its ghost.
    for (const line of due) if (line.dueMs <= toMs && line.waiting.size > 0) this.serve(line, nowMs)
    due.length = 0
    this.isTicking = this.count > 0
    if (this.isTicking) this.parts.after(1, this.tick)
    else for (const place of this.wheel) place.length = 0
  }

  /** Gives turns to the first in line, as far as there is something for them, and to those whose time is over. */
  private serve(line: QuotaLine, nowMs: number): void {
    line.dueMs = Number.POSITIVE_INFINITY
    const { quota, waiting } = line
    const nowUs = Math.floor(nowMs * 1000)
    // Whoever had a turn at the last tick has used it by now, or never will.
    for (const session of waiting) {
      if (session.quotaWait?.turn !== true) break
      this.leave(session)
    }
    if (waiting.size === 0) return
    quota.look(nowUs)
    let units = quota.ops?.available(nowUs) ?? Number.POSITIVE_INFINITY
    let bytes = quota.bytes?.available(nowUs) ?? Number.POSITIVE_INFINITY
    const shareUnits = Math.floor(units / waiting.size)
    const shareBytes = Math.floor(bytes / waiting.size)
    const burst = quota.ops?.burst ?? Number.POSITIVE_INFINITY
    const burstBytes = quota.bytes?.burst ?? Number.POSITIVE_INFINITY
    let first: QuotaWait | undefined
    for (const session of waiting) {
      const wait = session.quotaWait!
      const needsBytes = quota.withReply(wait.bytes)
      if (units < Math.min(wait.units, burst) || bytes < Math.min(wait.bytes, burstBytes)) {
        first = wait
        break
      }
      wait.turn = true
      wait.turnUnits = Math.max(wait.units, shareUnits)
      wait.turnBytes = Math.max(needsBytes, shareBytes)
      if (quota.ops !== undefined) units -= wait.turnUnits
      if (quota.bytes !== undefined) bytes -= wait.turnBytes
      this.parts.resumeSoon(session)
    }
    if (line.expiresMs <= nowMs) this.expire(line, nowMs)
    const forFirstMs = first === undefined ? 1 : Math.max(1, quota.waitUs(first.units, first.bytes, nowUs) / 1000)
    this.plan(line, Math.min(nowMs + forFirstMs, line.expiresMs), nowMs)
  }

  /** Those whose time is over stay in line until they are asked, and are refused then. */
  private expire(line: QuotaLine, nowMs: number): void {
    line.expiresMs = Number.POSITIVE_INFINITY
    for (const session of line.waiting) {
      const wait = session.quotaWait!
      if (wait.turn) continue
      if (wait.untilMs <= nowMs) this.parts.resumeSoon(session)
      else if (wait.untilMs < line.expiresMs) line.expiresMs = wait.untilMs
    }
  }
}

/** From now on: by when everything that a client has sent so far is answered one way or the other. */
export function beginDelay(session: Session, nowMs: number): void {
  session.quotaDelayTo = session.bytesIn
  session.quotaDelayUntilMs = nowMs + quotaDelayMs
}
