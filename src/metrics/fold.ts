/**
 * Which tenants get a label of their own, and what the rest adds up to.
 *
 * Under `top:N` a tenant may move in and out of the N largest. Were `other` the plain sum of those outside, it would fall
 * when one of them leaves, and Prometheus would read a counter that fell as a restart. So `other` gathers what each
 * tenant counted *while it was outside*: it only grows. A tenant that comes in shows its own whole count.
 */
import { kindNames, Outcome, outcomeNames, quotaNames, regionsMax, sourceNames, type TenantCells } from './cells.ts'
import { durationBoundsMs, stalenessBoundsMs } from './counters.ts'

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
export const durableWaitOffset = durableOffset + 2
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
  into.set(cells.durableWait.counts, durableWaitOffset)
  into[tenantCounters - 1] = cells.durableWait.sum
}

export interface TenantSeries {
  readonly tenant: string
  readonly counters: Float64Array
  readonly connections: number
}

interface Known {
  readonly cells: TenantCells
  readonly counters: Float64Array
  readonly before: Float64Array
  isFolded: boolean
}

export class TenantFold {
  foldedCount = 0
  readonly #known = new Map<string, Known>()
  readonly #other = new Float64Array(tenantCounters)
  #otherWasUsed = false

  /** Call once per scrape. */
  update(tenants: ReadonlyMap<string, TenantCells>, label: TenantLabel): TenantSeries[] {
    for (const [id, known] of this.#known) {
      if (tenants.get(id) === known.cells) continue
      this.#advance(known) // what it counted between the last scrape and its end
      this.#known.delete(id)
    }
    for (const [id, cells] of tenants) {
      if (this.#known.has(id)) continue
      const fresh = () => new Float64Array(tenantCounters)
      this.#known.set(id, { cells, counters: fresh(), before: fresh(), isFolded: false })
    }
    const named = this.#named(label)
    const series: TenantSeries[] = []
    let folded = 0
    let otherConnections = 0
    for (const [id, known] of this.#known) {
      known.isFolded = !named.has(id)
      this.#advance(known)
      if (known.isFolded) {
        folded++
        otherConnections += known.cells.connections
      } else {
        series.push({ tenant: id, counters: known.counters, connections: known.cells.connections })
      }
    }
    this.foldedCount = folded
    this.#otherWasUsed ||= folded > 0
    if (this.#otherWasUsed) {
      series.push({ tenant: otherTenant, counters: this.#other, connections: otherConnections })
    }
    return series
  }

  #advance(known: Known): void {
    countersOf(known.cells, known.counters)
    if (known.isFolded) {
      for (let i = 0; i < tenantCounters; i++) this.#other[i]! += known.counters[i]! - known.before[i]!
    }
    known.before.set(known.counters)
  }

  #named(label: TenantLabel): ReadonlySet<string> {
    // A tenant that is called `other` would share the fold's series: it is always folded.
    const ids = [...this.#known.keys()].filter((id) => id !== otherTenant)
    if (label === 'all') return new Set(ids)
    if (label === 'none') return new Set()
    if (ids.length <= label.top) return new Set(ids)
    const size = (id: string) => this.#known.get(id)?.cells.commands() ?? 0
    ids.sort((a, b) => size(b) - size(a) || (a < b ? -1 : 1))
    return new Set(ids.slice(0, label.top))
  }
}
