/**
 * When the proxy has too much of something, and what it then does. Figures in, decisions out: no time and no process of its own.
 *
 *   memory   calm --85 %--> closed (nobody new) --92 %--> shedding (heaviest tenants refused) --95 %--> closing (heaviest clients)
 *                 <--80 %--                     <--88 %--                                     <--92 %--
 *   loop     saturated for a second: the tenant with most work is held back by one more eighth of the time; relaxed: one less
 */
import type { MemoryFigures } from '../base/memory.ts'

export const overloadStates = ['calm', 'closed', 'shedding', 'closing'] as const
export const OVERLOAD = { calm: 0, closed: 1, shedding: 2, closing: 3 } as const

/** Where each state begins and, going down, ends. Some room between them, so that nobody is let in and shut out in turns. */
export const overloadUp = [0, 0.85, 0.92, 0.95] as const
export const overloadDown = [0, 0.8, 0.88, 0.92] as const
/** So much is an emergency: no more is taken on before the next look. */
export const overloadBrim = 0.97

/** The state that this use of memory (a share) calls for, from the one that holds. */
export function stateFor(use: number, from: number): number {
  let state = from
  while (state < OVERLOAD.closing && use >= overloadUp[state + 1]!) state++
  while (state > OVERLOAD.calm && use < overloadDown[state]!) state--
  return state
}

/** RSS is believed up to this much of what is known to be in use: what is above it is freed memory that the allocator keeps. */
const rssPerUse = 1.25
const rssSlackBytes = 24 * 1024 * 1024

/** Two limits, and the one that is nearer counts: V8's for its heap, and that of the process, which holds buffers too. */
export interface MemoryUse {
  readonly heap: number
  readonly process: number
}

/** `apart`: what the process had at its start that is neither heap nor buffers (code, libraries), bytes. */
export function memoryUse(it: MemoryFigures, apart: number, limitBytes: number): MemoryUse {
  const inUse = apart + it.heapUsed + it.buffers
  const believed = Math.max(inUse, Math.min(it.rss, inUse * rssPerUse + rssSlackBytes))
  return { heap: it.heapUsed / it.heapLimit, process: believed / limitBytes }
}

export interface Holder<T> {
  readonly who: T
  readonly bytes: number
}

/** Who holds most, the heaviest first, until what they hold makes up `excess`. Nobody who holds less than `least`. */
export function heaviest<T>(holders: Iterable<Holder<T>>, excess: number, least: number): Holder<T>[] {
  const sorted = [...holders].filter(({ bytes }) => bytes >= least).sort((a, b) => b.bytes - a.bytes)
  const chosen: Holder<T>[] = []
  let sum = 0
  for (const holder of sorted) {
    if (sum >= excess) break
    chosen.push(holder)
    sum += holder.bytes
  }
  return chosen
}

// ---- the event loop ----

/** Of the last second: the loop was busy for so much of it, and a timer came so late on the average, ms. */
export interface LoopFigures {
  readonly utilization: number
  readonly lagMs: number
}

const saturatedShare = 0.95
const saturatedLagMs = 50
const relaxedShare = 0.85
const relaxedLagMs = 20

export function isSaturated({ utilization, lagMs }: LoopFigures): boolean {
  return utilization >= saturatedShare && lagMs >= saturatedLagMs
}

export function isRelaxed({ utilization, lagMs }: LoopFigures): boolean {
  return utilization < relaxedShare || lagMs < relaxedLagMs
}

/** What this process did for one tenant, about in us: a pipelined command costs some 3 us, a KiB 1 us. */
export function workOf(commands: number, bytes: number): number {
  return commands * 3 + bytes / 1024
}

export const heldSteps = 8
/** In so long a window, so many eighths of it a tenant is held back: no command waits longer than the window. */
export const heldWindowMs = 64

/** Until when its commands wait if they come now; 0: they go on. */
export function heldUntilMs(nowMs: number, level: number): number {
  const into = nowMs % heldWindowMs
  const heldMs = (level * heldWindowMs) / heldSteps
  return into < heldMs ? nowMs - into + heldMs : 0
}

export interface Work<T> {
  readonly who: T
  readonly work: number
}

/** How much each tenant is held back, 1 to 7 eighths: slowed, never cut off. */
export class LoopLevels<T> {
  private readonly levels = new Map<T, number>()

  get size(): number {
    return this.levels.size
  }

  of(who: T): number {
    return this.levels.get(who) ?? 0
  }

  /**
   * A second of saturation: whoever made the loop work most is held back more. Alone it disturbs nobody; and where several do
   * about the same, there is no heaviest.
   */
  raise(works: Iterable<Work<T>>): T | undefined {
    let total = 0
    let active = 0
    let most: Work<T> | undefined
    for (const one of works) {
      if (one.work <= 0) continue
      active++
      total += one.work
      if (most === undefined || one.work > most.work) most = one
    }
    if (most === undefined || active < 2 || most.work < (2 * total) / (active + 1)) return undefined
    this.levels.set(most.who, Math.min(heldSteps - 1, this.of(most.who) + 1))
    return most.who
  }

  /** A second without: everybody is held back less. Those who are free again. */
  lower(): T[] {
    const free: T[] = []
    for (const [who, level] of this.levels) {
      if (level > 1) this.levels.set(who, level - 1)
      else {
        this.levels.delete(who)
        free.push(who)
      }
    }
    return free
  }
}
