/**
 * What the request path knows of a login: the tenant, its prefix, what the user may run, which promise its reads have.
 * Built once from the configuration; per command only plain fields are read.
 */
import type { TenantCells } from '../metrics/cells.ts'
import { keyPrefixes } from './databases.ts'

/** Where a tenant's keys are: a database of the servers (0: shared), or how many databases it has behind its prefix. */
export interface KeySpace {
  readonly database?: number
  readonly databases?: number
  readonly durability?: DurabilityPromise
}

/** A write is acknowledged when so many replicas have it, or told not to be durable after so long. */
export interface DurabilityPromise {
  readonly replicas: number
  readonly timeoutMs: number
}

/** Kept for routing/fallback-limit.ts, which says what it means. */
export interface TenantFallbackUse {
  isListed: boolean
  asked: number
  wish: number
  silent: number
  left: number
}

/** State that all connections of one tenant share. */
export class TenantState {
  readonly id: string
  /** Of its channels and whatever else Redis knows by name besides keys. */
  readonly prefix: Buffer
  /** As Redis's error texts begin a name. */
  readonly quotedPrefix: Buffer
  /** Of its keys, by the database that a client has selected; a session holds the one that counts (`session.prefix`). */
  readonly prefixes: readonly Buffer[]
  /** What all of these begin with: the prefix; nothing where a database of the servers is the tenant's own. */
  readonly keyPrefix: Buffer
  /** The logical database of the servers that holds its keys, on lanes of its own; 0: the one that prefixes share. */
  readonly database: number
  readonly cells: TenantCells
  /** What it has of `routing.fallback_limit`. */
  readonly fallbackUse: TenantFallbackUse = { isListed: false, asked: 0, wish: 0, silent: 0, left: 0 }
  /** Undefined: a write is acknowledged when the primary has it. */
  readonly durability: DurabilityPromise | undefined
  /**
   * What a replica must have shown before it may serve this tenant's session reads: the position of every write that
   * was answered. Two lanes are remembered exactly (RESP2 and RESP3 clients of one tenant, say): any mark that the lane
   * carried behind the write will do. `fence` stands for all others, by the first mark not yet sent at their answer.
   * Infinity: a write of unknown fate, so no replica will do.
   */
  fence = 0
  /** When the newest of these writes was answered, ms. */
  fenceAtMs = Number.NEGATIVE_INFINITY
  /** A session read was seen: the tenant's writes are worth a mark of their own. */
  wantsTrails = false
  fenceA = 0
  slotA = -1
  trailA = 0
  /** Clients of it that wait in a blocking command. */
  blocked = 0
  fenceB = 0
  slotB = -1
  trailB = 0

  constructor(id: string, prefix: string, cells: TenantCells, space: KeySpace = {}) {
    this.id = id
    this.prefix = Buffer.from(prefix)
    this.quotedPrefix = Buffer.from(`'${prefix}`)
    this.database = space.database ?? 0
    this.keyPrefix = Buffer.from(this.database === 0 ? prefix : '')
    this.prefixes = this.database === 0 ? keyPrefixes(prefix, space.databases ?? 1) : [this.keyPrefix]
    this.cells = cells
    this.durability = space.durability
  }

  /** A write on lane `slot` was answered; `trail` is the last mark that lane had carried when it was sent. */
  noteWrite(next: number, slot: number, trail: number, nowMs: number): void {
    this.fenceAtMs = nowMs
    if (this.slotA === slot) {
      this.fenceA = next
      this.trailA = trail
    } else if (this.slotB === slot) {
      this.fenceB = next
      this.trailB = trail
    } else {
      // The older of the two gives up its lane; its writes stay covered by their time.
      if (this.fence < this.fenceB) this.fence = this.fenceB
      this.fenceB = this.fenceA
      this.slotB = this.slotA
      this.trailB = this.trailA
      this.fenceA = next
      this.slotA = slot
      this.trailA = trail
    }
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
  /** Who says so. */
  readonly levelFrom: 'user' | 'tenant' | 'routing'
  /** Bound for `bounded` reads, and the ceiling for the other levels (Infinity: none), ms. */
  readonly boundedMs: number
  readonly ceilingMs: number
  readonly whenStale: 'primary' | 'wait' | 'error'
  readonly maxWaitMs: number
  readonly rules: Rules | undefined
}
