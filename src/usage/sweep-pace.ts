/**
 * How fast a sweep may go: a share of one core of the server. What its commands cost is taken from what the server says of
 * itself: the time of its main thread (`INFO cpu`), and in it the part of SCAN and MEMORY USAGE (`INFO commandstats`), which
 * count the work without the parsing and writing around it, so both grow alike. Pure.
 *
 *   step -> spent(keys, sizes) -> restMs() -> step ...          every second: read(a page)
 */
import { sweepBurstMs, sweepShare, sweepSharePrimary } from '../base/limits.ts'

/** One reading of the server's own figures. */
export interface CostPage {
  /** CPU of its main thread, ms. */
  readonly cpuMs: number
  /** Calls and microseconds of SCAN and MEMORY USAGE, anybody's. */
  readonly calls: number
  readonly usec: number
  /** Microseconds of all commands. */
  readonly allUsec: number
}

export function readCostPage(cpu: string, commandstats: string): CostPage | undefined {
  let [calls, usec, allUsec, lines] = [0, 0, 0, 0]
  for (const [, name = '', of = '', took = ''] of commandstats.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
    lines++
    allUsec += Number(took)
    // Before Redis 7 subcommands have no line of their own.
    if (name !== 'scan' && name !== 'memory|usage' && name !== 'memory') continue
    calls += Number(of)
    usec += Number(took)
  }
  const seconds = (thread: string): number => {
    const found = new RegExp(`^used_cpu_(?:sys|user)${thread}:([\\d.]+)`, 'gm')
    return [...cpu.matchAll(found)].reduce((sum, [, value]) => sum + Number(value), 0)
  }
  const cpuMs = 1000 * (seconds('_main_thread') || seconds(''))
  return lines === 0 || cpuMs === 0 ? undefined : { cpuMs, calls, usec, allUsec }
}

/** Before anything was measured: a name of SCAN, and one MEMORY USAGE, with all around it. */
const scanUsFirst = 1.2
const sizeUsFirst = 3
/** A server may be this many times faster or slower than that. */
const scaleMax = 8

export class SweepPace {
  readonly isPrimary: boolean
  private readonly share: number
  private scale = 1
  private freeAtMs = Number.NEGATIVE_INFINITY
  private last: CostPage | undefined
  private lastAtMs = 0
  private calls = 0
  private expectedMs = 0
  /** CPU of the server that was taken so far, ms, as far as known. */
  spentMs = 0

  constructor(isPrimary: boolean) {
    this.isPrimary = isPrimary
    this.share = isPrimary ? sweepSharePrimary : sweepShare
  }

  /** A step looked at so many names and sizes in so many commands. */
  spent(names: number, sizes: number, commands: number, nowMs: number): void {
    const ms = (names * scanUsFirst + sizes * sizeUsFirst) / 1000
    this.expectedMs += ms
    this.calls += commands
    const costMs = ms * this.scale
    this.spentMs += costMs
    this.freeAtMs = Math.max(nowMs - sweepBurstMs, this.freeAtMs) + costMs / this.share
  }

  /** How long to wait before the next step. */
  restMs(nowMs: number): number {
    return Math.max(0, this.freeAtMs - nowMs)
  }

  /** How many names a step may look at, with the sizes of all of them. */
  namesPerStep(stepMs: number): number {
    const usPerName = (scanUsFirst + sizeUsFirst) * this.scale
    return Math.min(1_000, Math.max(10, Math.floor((stepMs * 1000) / usPerName)))
  }

  wantsReading(nowMs: number): boolean {
    return nowMs - this.lastAtMs >= 1_000
  }

  read(page: CostPage | undefined, nowMs: number): void {
    const { last } = this
    this.lastAtMs = nowMs
    this.last = page
    const [calls, expectedMs] = [this.calls, this.expectedMs]
    this.calls = 0
    this.expectedMs = 0
    if (page === undefined || last === undefined || calls === 0 || expectedMs < 1) return
    const [allCalls, usec, allUsec] = [page.calls - last.calls, page.usec - last.usec, page.allUsec - last.allUsec]
    // A restart, CONFIG RESETSTAT, or another server: the next reading will do.
    if (allCalls < calls * 0.9 || usec <= 0 || allUsec < usec || page.cpuMs <= last.cpuMs) return
    const cpuMs = (page.cpuMs - last.cpuMs) * (usec / allUsec) * Math.min(1, calls / allCalls)
    const scale = Math.min(scaleMax, Math.max(1 / scaleMax, cpuMs / expectedMs))
    this.scale += (scale - this.scale) / 2
  }
}
