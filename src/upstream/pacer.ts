/**
 * Turns at one node for walks over its keyspace: one step at a time, tenants in turn, and after each step the node has
 * rest in proportion to what the step cost it (step-cost.ts), so that a walk never takes more than its share of a server.
 * Pure but for the clock, the timer and the question that it is handed.
 *
 *   take(tenant) -> turn -> release(step) -> rest -> the next tenant's turn
 */
import {
  stepMsIdle,
  stepMsMax,
  stepMsMin,
  walkBurstMs,
  walkCostEveryMs,
  walkRestPerCost,
  walkRestPerCostIdle,
} from '../base/limits.ts'
import { type CommandStats, StepCost } from './step-cost.ts'

export interface PacerOptions {
  now(): number
  after(ms: number, run: () => void): void
  /** Round trip to the node, ms; Infinity while unknown. */
  rttMs(): number
  /** What the node says of its commands; undefined when it does not. */
  stats(): Promise<CommandStats | undefined>
}

export class Pacer {
  private readonly options: PacerOptions
  private readonly queues = new Map<string, (() => void)[]>()
  private readonly cost = new StepCost()
  private isTaken = false
  private isResting = false
  private isAsking = false
  private askedAtMs = Number.NEGATIVE_INFINITY
  private freeAtMs = 0

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

  /** A step over `items` is over. Returns what it cost the node, ms, by what such steps have cost of late. */
  release(items: number, isScan: boolean): number {
    if (isScan) this.cost.note(items)
    const now = this.options.now()
    const costMs = (items * this.cost.usPerItem) / 1000
    const rest = this.cost.isIdle ? walkRestPerCostIdle : walkRestPerCost
    this.freeAtMs = Math.max(now, this.freeAtMs) + costMs * rest
    this.isTaken = false
    if (isScan && now - this.askedAtMs >= walkCostEveryMs) this.learn(now)
    this.next()
    return costMs
  }

  /** How many items a step may look at: short on a node that is near, where the next follows at once. */
  get itemsPerStep(): number {
    const rttMs = this.options.rttMs()
    const least = this.cost.isIdle ? stepMsIdle : stepMsMin
    const ms = Math.min(stepMsMax, Math.max(least, Number.isFinite(rttMs) ? rttMs / 20 : 0))
    return Math.min(5_000, Math.max(25, Math.round((ms * 1000) / this.cost.usPerItem)))
  }

  private learn(nowMs: number): void {
    if (this.isAsking) return
    this.isAsking = true
    this.askedAtMs = nowMs
    void this.options
      .stats()
      .catch(() => undefined)
      .then((stats) => {
        this.isAsking = false
        if (stats !== undefined) this.cost.read(stats, this.options.now())
      })
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
