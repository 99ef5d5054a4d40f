/**
 * Which tenants get a label of their own, and what the rest adds up to.
 *
 * Under `top:N` a tenant may move in and out of the N largest. Were `other` the plain sum of those outside, it would fall
 * when one of them leaves, and Prometheus would read a counter that fell as a restart. So `other` gathers what each
 * tenant counted *while it was outside*: it only grows. A tenant that comes in shows its own whole count.
 *
 * Only tenants that were used have cells, and only those that did something since the last scrape are added up; of the
 * others, as many as have a label left are shown with zeros.
 */
import { kindNames, Outcome, outcomeNames, quotaNames, regionsMax, sourceNames, type TenantCells } from './cells.ts'
import { durationBoundsMs, stalenessBoundsMs } from './counters.ts'
import { Largest } from './largest.ts'

export type TenantLabel = 'all' | 'none' | { readonly top: number }

export const otherTenant = 'other'

/** Layout of the vector: commands by kind and outcome, reads by region and source, bytes in, bytes out, staleness served (buckets, sum). */
export const servedOffset = kindNames.length * outcomeNames.length
export const bytesInOffset = servedOffset + regionsMax * sourceNames.length
export const bytesOutOffset = bytesInOffset + 1
export const stalenessOffset = bytesOutOffset + 1
export const stalenessSumOffset = stalenessOffset + stalenessBoundsMs.length + 1
/** By quota: commands that waited, how long they did, ms, and what was refused. */
export const quotaDelayedOffset = stalenessSumOffset + 1
export const quotaDelayedMsOffset = quotaDelayedOffset + quotaNames.length
export const quotaRefusedOffset = quotaDelayedMsOffset + quotaNames.length
/** Writes confirmed and not; then the buckets of how long they were held, and the sum, ms. */
export const durableOffset = quotaRefusedOffset + quotaNames.length
/** Times that clients waited for their tenant's turn. */
export const turnsOffset = durableOffset + 2
export const durableWaitOffset = turnsOffset + 1
export const tenantCounters = durableWaitOffset + durationBoundsMs.length + 2

/** What a tenant has counted, as one vector of counters that never fall. */
function countersOf(cells: TenantCells, into: Float64Array): void {
  const taken = [cells.reads, cells.writes, cells.admin, cells.pubsub]
  for (let kind = 0; kind < kindNames.length; kind++) {
    const row = kind * outcomeNames.length
    let failed = 0
    for (let outcome = Outcome.error; outcome < outcomeNames.length; outcome++) {
      const count = cells.failed[row + outcome]!
      into[row + outcome] = count
      failed += count
    }
    // A command is counted as ok from the moment it is taken until it is known to have failed; never back, though.
    into[row] = Math.max(into[row]!, taken[kind]! - failed)
  }
  into.set(cells.served, servedOffset)
  into[bytesInOffset] = cells.bytesIn
  into[bytesOutOffset] = cells.bytesOut
  into.set(cells.staleness.counts, stalenessOffset)
  into[stalenessSumOffset] = cells.staleness.sum
  if (cells.quotas !== undefined) {
    into.set(cells.quotas.delayed, quotaDelayedOffset)
    into.set(cells.quotas.delayedMs, quotaDelayedMsOffset)
    into.set(cells.quotas.refused, quotaRefusedOffset)
  }
  into[durableOffset] = cells.durableConfirmed
  into[durableOffset + 1] = cells.durableDenied
  into[turnsOffset] = cells.turnsWaited
  into.set(cells.durableWait.counts, durableWaitOffset)
  into[tenantCounters - 1] = cells.durableWait.sum
}

export interface TenantSeries {
  readonly tenant: string
  readonly counters: Float64Array
  readonly connections: number
}

/** What workers tell each other before a page of all of them, so that the same tenants have a label on each (workers/page.ts). */
export interface TenantCandidates {
  /** As many may have a label; null: all. */
  readonly top: number | null
  /** Used ones with the commands they have had, and the first of all that are configured. */
  readonly used: readonly (readonly [string, number])[]
  readonly first: readonly string[]
}

const candidatesPerLabel = 4

export function candidatesOf(
  tenants: ReadonlyMap<string, TenantCells>,
  label: TenantLabel,
  configured: ConfiguredTenants | undefined,
): TenantCandidates {
  if (label === 'all') return { top: null, used: [], first: [] }
  const top = label === 'none' ? 0 : label.top
  // More than have a label: who is second at each of four workers may be first of all.
  const largest = new Largest(top * candidatesPerLabel)
  for (const [id, cells] of tenants) if (id !== otherTenant) largest.add(id, cells.commands())
  const first: string[] = []
  for (const id of configured?.ids() ?? []) {
    if (first.length >= top) break
    if (id !== otherTenant) first.push(id)
  }
  return { top, used: [...largest.names()].map((id) => [id, tenants.get(id)!.commands()]), first }
}

/** Who has a label of its own on all pages; undefined: everybody. */
export function namesOfAll(
  workers: readonly TenantCandidates[],
  others: Iterable<readonly [string, number]>,
): ReadonlySet<string> | undefined {
  const top = workers.find((one) => one.top !== null)?.top ?? null
  if (top === null || workers.length === 0) return undefined
  const commands = new Map<string, number>()
  for (const [id, count] of [...workers.flatMap(({ used }) => used), ...others])
    commands.set(id, (commands.get(id) ?? 0) + count)
  const largest = new Largest(top)
  for (const [id, count] of commands) largest.add(id, count)
  const names = largest.names()
  for (const id of workers[0]!.first) if (names.size < top) names.add(id)
  return names
}

/** All tenants there are, used or not. */
export interface ConfiguredTenants {
  readonly count: number
  ids(): Iterable<string>
}

interface Known {
  readonly cells: TenantCells
  readonly counters: Float64Array
  isFolded: boolean
  /** What moved with everything that it did, at the last look; and how many looks have found it the same and without clients. */
  moved: number
  quietLooks: number
}

/** Under `all`, tenants that were never used and have a series of zeros each. */
const idleShownMax = 1_000
/** What is still in flight when the last client has gone is counted by then: later looks skip a tenant that rests. */
const quietLooksMax = 3
/** Tenants between two rests: a tenth of a millisecond, some where all are new. */
const stepTenants = 50
const zeros = new Float64Array(tenantCounters)

export class TenantFold {
  foldedCount = 0
  readonly #known = new Map<string, Known>()
  readonly #other = new Float64Array(tenantCounters)
  readonly #scratch = new Float64Array(tenantCounters)
  #otherWasUsed = false

  /** All at once. */
  update(
    tenants: ReadonlyMap<string, TenantCells>,
    label: TenantLabel,
    configured?: ConfiguredTenants,
  ): TenantSeries[] {
    const steps = this.steps(tenants, label, configured)
    for (;;) {
      const { done, value } = steps.next()
      if (done === true) return value
    }
  }

  /** Once per scrape, one at a time. `names`: who has a label of its own, instead of what `label` says. It yields where others may have a turn: a counter that moves meanwhile shows its newer value. */
  *steps(
    tenants: ReadonlyMap<string, TenantCells>,
    label: TenantLabel,
    configured?: ConfiguredTenants,
    names?: ReadonlySet<string>,
  ): Generator<undefined, TenantSeries[]> {
    let looked = 0
    for (const [id, known] of this.#known) {
      if (++looked % stepTenants === 0) yield
      if (tenants.get(id) === known.cells) continue
      this.#advance(known) // what it counted between the last scrape and its end
      this.#known.delete(id)
    }
    for (const [id, cells] of tenants) {
      if (++looked % stepTenants === 0) yield
      if (this.#known.has(id)) continue
      const counters = new Float64Array(tenantCounters)
      this.#known.set(id, { cells, counters, isFolded: false, moved: Number.NaN, quietLooks: 0 })
    }
    const named = names ?? (yield* this.#named(label))
    const series: TenantSeries[] = []
    let otherConnections = 0
    for (const [id, known] of this.#known) {
      if (++looked % stepTenants === 0) yield
      const isFolded = !named.has(id)
      // What it did while it had a label stays its own, and the other way round.
      if (known.isFolded !== isFolded) known.quietLooks = 0
      known.isFolded = isFolded
      this.#advance(known)
      if (isFolded) otherConnections += known.cells.connections
      else series.push({ tenant: id, counters: known.counters, connections: known.cells.connections })
    }
    const idle = names === undefined ? this.#idle(label, series.length, configured) : this.#unknownOf(names)
    for (const id of idle) series.push({ tenant: id, counters: zeros, connections: 0 })
    this.foldedCount = Math.max(this.#known.size, configured?.count ?? 0) - series.length
    this.#otherWasUsed ||= this.foldedCount > 0
    if (this.#otherWasUsed) {
      series.push({ tenant: otherTenant, counters: this.#other, connections: otherConnections })
    }
    return series
  }

  #advance(known: Known): void {
    const { cells, counters } = known
    const moved = cells.commands() + cells.bytesIn + cells.bytesOut
    if (moved !== known.moved || cells.connections > 0) known.quietLooks = 0
    else if (known.quietLooks < quietLooksMax) known.quietLooks++
    else return
    known.moved = moved
    this.#scratch.set(counters)
    countersOf(cells, this.#scratch)
    if (known.isFolded) {
      for (let i = 0; i < tenantCounters; i++) this.#other[i]! += this.#scratch[i]! - counters[i]!
    }
    counters.set(this.#scratch)
  }

  *#named(label: TenantLabel): Generator<undefined, { has(id: string): boolean }> {
    if (label === 'none') return new Set()
    if (label === 'all') return { has: (id) => id !== otherTenant }
    const largest = new Largest(label.top)
    let looked = 0
    for (const [id, known] of this.#known) {
      if (++looked % stepTenants === 0) yield
      // A tenant that is called `other` would share the fold's series: it is always folded.
      if (id !== otherTenant) largest.add(id, known.cells.commands())
    }
    return largest.names()
  }

  *#unknownOf(names: ReadonlySet<string>): Iterable<string> {
    for (const id of names) if (!this.#known.has(id)) yield id
  }

  /** Counters of reads and writes are there from the start, so that a rate over the first is right. */
  *#idle(label: TenantLabel, taken: number, configured: ConfiguredTenants | undefined): Iterable<string> {
    let left = label === 'none' ? 0 : label === 'all' ? idleShownMax : label.top - taken
    if (configured === undefined || left <= 0) return
    for (const id of configured.ids()) {
      if (this.#known.has(id) || id === otherTenant) continue
      yield id
      if (--left === 0) return
    }
  }
}
