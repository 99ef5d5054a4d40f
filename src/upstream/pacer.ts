/**
 * Turns at one node for walks over its keyspace: one step at a time, tenants in turn, and after each step the node has
 * rest in proportion to what the step cost it, so that a walk never takes more than its share of a server. Pure but for
 * the clock and the timer it is handed.
 *
 *   take(tenant) -> turn -> release(cost) -> rest -> the next tenant's turn
 */
import { stepMsMax, stepMsMin, walkBurstMs, walkRestPerCost } from '../base/limits.ts'

export interface PacerOptions {
  now(): number
  after(ms: number, run: () => void): void
  /** Round trip to the node, ms; Infinity while unknown. */
  rttMs(): number
}

/** Buckets of a step before anything was measured: half a microsecond each is what a server with cold memory takes. */
const firstUsPerItem = 0.5
const usPerItemMin = 0.2

export class Pacer {
  private readonly options: PacerOptions
  private readonly queues = new Map<string, (() => void)[]>()
  private isTaken = false
  private isResting = false
  private freeAtMs = 0
  private usPerItem = firstUsPerItem
  private wayMs = Number.POSITIVE_INFINITY

  constructor(options: PacerOptions) {
    this.options = options
  }

  /** Resolves when it is this tenant's turn. Whoever got it calls `release`, whatever happened. */
  take(tenant: string): Promise<void> {
    return new Promise((resolve) => {
      const queue = this.queues.get(tenant)
      if (queue === undefined) this.queues.set(tenant, [resolve])
      else queue.push(resolve)
      this.next()
    })
  }

  /** A step over `items` has been answered `elapsedMs` after it was sent. Returns what it cost the node, ms, as we see it. */
  release(items: number, elapsedMs: number): number {
    // The shortest way there that was ever seen: what is longer now is a server that has others to serve, and it counts.
    this.wayMs = Math.min(this.wayMs * 1.001, this.options.rttMs())
    const servedMs = Math.max(0, elapsedMs - (Number.isFinite(this.wayMs) ? this.wayMs : elapsedMs))
    // But never more than 3 us an item, which no server needs.
    const us = Math.min(3, Math.max(usPerItemMin, (servedMs * 1000) / Math.max(1, items)))
    if (items >= 50) this.usPerItem += (us - this.usPerItem) / 8
    const costMs = (items * us) / 1000
    this.freeAtMs = Math.max(this.options.now(), this.freeAtMs) + costMs * walkRestPerCost
    this.isTaken = false
    this.next()
    return costMs
  }

  /** How many items a step may look at: short on a node that is near, where the next follows at once. */
  get itemsPerStep(): number {
    const rttMs = this.options.rttMs()
    const ms = Math.min(stepMsMax, Math.max(stepMsMin, Number.isFinite(rttMs) ? rttMs / 20 : 0))
    return Math.min(5_000, Math.max(100, Math.round((ms * 1000) / this.usPerItem)))
  }

  private next(): void {
    if (this.isTaken || this.isResting || this.queues.size === 0) return
    const restMs = this.freeAtMs - walkBurstMs - this.options.now()
    if (restMs > 0) {
      this.isResting = true
      this.options.after(Math.ceil(restMs), () => {
        this.isResting = false
        this.next()
      })
      return
    }
    const [tenant, queue] = this.queues.entries().next().value!
    const turn = queue.shift()!
    // To the end of the line: one step each, however many walks a tenant has.
    this.queues.delete(tenant)
    if (queue.length > 0) this.queues.set(tenant, queue)
    this.isTaken = true
    turn()
  }
}
