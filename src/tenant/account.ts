/**
 * What the request path knows of a login: the tenant, its prefix, what the user may run, which promise its reads have.
 * Built once from the configuration; per command only plain fields are read.
 */
import type { TenantCells } from '../metrics/cells.ts'

/** State that all connections of one tenant share. */
export class TenantState {
  readonly id: string
  readonly prefix: Buffer
  readonly cells: TenantCells
  /** The mark that a replica must have shown before it may serve this tenant's session reads. Infinity: none can. */
  fence = 0

  constructor(id: string, prefix: string, cells: TenantCells) {
    this.id = id
    this.prefix = Buffer.from(prefix)
    this.cells = cells
  }
}

export interface ReadPromise {
  /** Level code of routing/choose.ts; -1 where the next scope decides. */
  readonly level: number
  /** ms; Infinity: no bound. */
  readonly maxStalenessMs: number
}

/** One user of one tenant, or an operator (`tenant` undefined). Shared by all its connections. */
export interface Account<Rules = unknown> {
  readonly user: string
  readonly tenant: TenantState | undefined
  readonly isReadOnly: boolean
  /** By command id: who answers, with everything this user may not run set to denied. */
  readonly route: Uint8Array
  /** The level of a read that no rule and no connection setting speaks for; codes of routing/choose.ts. */
  readonly level: number
  /** Bound for `bounded` reads, and the ceiling for the other levels (Infinity: none), ms. */
  readonly boundedMs: number
  readonly ceilingMs: number
  readonly whenStale: 'primary' | 'wait' | 'error'
  readonly maxWaitMs: number
  readonly rules: Rules | undefined
}
