/**
 * The cells as figures for people: PROXY SHOW STATS, /api/v1/stats. Since the start of this process; rates and graphs are
 * Prometheus's business. Pure.
 */
import { rowsShownMax } from '../base/limits.ts'
import { Rows } from '../base/slices.ts'
import {
  type Cells,
  fallbackIndex,
  fallbackReasonNames,
  Kind,
  kindNames,
  Outcome,
  outcomeNames,
  readRefusalNames,
  Source,
  sourceNames,
  type TenantCells,
  waitOutcomeNames,
} from './cells.ts'
import type { Histogram } from './counters.ts'
import { Largest } from './largest.ts'

/** To be written in slices. */
export function statsOf(cells: Cells): object {
  const row = ([tenant, of]: [string, TenantCells]): object => ({
    tenant,
    clients: of.connections,
    reads: of.reads,
    writes: of.writes,
    reads_local: of.readsFrom(Source.local),
    reads_remote: of.readsFrom(Source.remote),
    reads_primary: of.readsFrom(Source.primary),
    ...Object.fromEntries(outcomeNames.slice(Outcome.error).map((name, i) => [name, of.failures((i + 1) as Outcome)])),
    staleness_ms: quantiles(of.staleness),
  })
  const tenants = Rows.of(shown(cells), row)
  const fallbacks: object[] = []
  for (const [from, from_region] of cells.regions.entries()) {
    for (const [to, to_region] of cells.regions.entries()) {
      for (const [r, reason] of fallbackReasonNames.entries()) {
        const reads = cells.fallbacks[fallbackIndex(from, to, r)]!
        if (reads > 0) fallbacks.push({ from_region, to_region, reason, reads })
      }
    }
  }
  const duration = (kind: Kind): object =>
    Object.fromEntries(
      sourceNames.flatMap((source, i) => {
        const cell = cells.commandDuration[kind * sourceNames.length + i]!
        return cell.count === 0 ? [] : [[source, quantiles(cell)]]
      }),
    )
  return {
    tenants,
    fallbacks,
    reads_refused: named(readRefusalNames, cells.readsRefused),
    session_waits: named(waitOutcomeNames, cells.sessionWaits),
    duration_ms: {
      [kindNames[Kind.read]]: duration(Kind.read),
      [kindNames[Kind.write]]: duration(Kind.write),
    },
    marks_sent: cells.marksSent,
    uncertain: cells.uncertain,
    tripwires: { ...cells.tripwires },
  }
}

/** Those that were used; of more than a page holds, the busiest. */
function shown({ tenants }: Cells): [string, TenantCells][] {
  if (tenants.size <= rowsShownMax) return [...tenants]
  const busiest = new Largest(rowsShownMax)
  for (const [id, of] of tenants) busiest.add(id, of.commands())
  return [...busiest.names()].map((id) => [id, tenants.get(id)!])
}

function named(names: readonly string[], values: Float64Array): object {
  return Object.fromEntries(names.map((name, i) => [name, values[i]!]))
}

/** Upper bounds of the buckets that hold them; null: nothing was counted, or it lies above the last bound. */
function quantiles(of: Histogram): object {
  const bound = (share: number): number | null => {
    const ms = of.quantileMs(share)
    return ms === undefined || !Number.isFinite(ms) ? null : ms
  }
  return { count: of.count, p50: bound(0.5), p99: bound(0.99) }
}
