/**
 * What is limited and how much of it is used, side by side: one list for PROXY WHOAMI, PROXY SHOW TENANTS, the admin API and
 * the metrics. Pure. Holds nothing of other tenants, and no address.
 */
import { Quota, type QuotaCells, type QuotaName, quotaNames } from '../metrics/cells.ts'
import type { QuotaLimits } from './tenant-quota.ts'

export interface QuotaUse {
  readonly quota: QuotaName
  /** Units or bytes a second, connections, bytes: as configured, under `scope: fleet` for all proxies together. */
  readonly limit: number
  /** This proxy's part of it, where it is divided. */
  readonly share?: number
  /** Now, at this proxy; absent: not measured. */
  readonly used?: number
  /** Commands that waited, and what was refused, since the start. */
  readonly delayed: number
  readonly refused: number
}

/** What is measured; what is absent is not told. */
export interface Used {
  readonly unitsPerS?: number | undefined
  readonly bytesPerS?: number | undefined
  readonly connections?: number | undefined
  readonly leases?: number | undefined
  readonly inFlight?: number | undefined
  readonly memoryBytes?: number | undefined
  readonly keys?: number | undefined
}

/** The parts of the limits that are this proxy's. */
export interface Shares {
  readonly opsShare: number | undefined
  readonly bytesShare: number | undefined
}

export function usesOf(
  limits: QuotaLimits | undefined,
  used: Used,
  shares: Shares | undefined,
  counts: QuotaCells | undefined,
): QuotaUse[] {
  if (limits === undefined) return []
  const rows: (readonly [number, number | undefined, number | undefined, number | undefined])[] = [
    [Quota.ops, limits.opsPerS, used.unitsPerS, shares?.opsShare],
    [Quota.bandwidth, limits.bytesPerS, used.bytesPerS, shares?.bytesShare],
    [Quota.connections, limits.connections, used.connections, undefined],
    [Quota.leases, limits.leases, used.leases, undefined],
    [Quota.request, limits.maxRequestBytes, undefined, undefined],
    [Quota.inflight, limits.inFlight, used.inFlight, undefined],
    [Quota.memory, limits.memoryBytes, used.memoryBytes, undefined],
    [Quota.keys, limits.keys, used.keys, undefined],
  ]
  return rows.flatMap(([place, limit, now, share]) =>
    limit === undefined
      ? []
      : [
          {
            quota: quotaNames[place]!,
            limit,
            ...(share === undefined ? {} : { share: Math.round(share * 1000) / 1000 }),
            ...(now === undefined ? {} : { used: Math.round(now) }),
            delayed: counts?.delayed[place] ?? 0,
            refused: counts?.refused[place] ?? 0,
          },
        ],
  )
}
