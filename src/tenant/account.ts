/**
 * What the request path knows of a login: the tenant, its prefix, what the user may run, which promise its reads have.
 * Built once from the configuration; per command only plain fields are read.
 */
import type { TenantCells } from '../metrics/cells.ts'
import type { MemoryAccount } from '../quota/memory-account.ts'
import { type QuotaLimits, TenantQuota, type Traffic } from '../quota/tenant-quota.ts'
import { keyPrefixes } from './databases.ts'
import type { KeyHash } from './key-hash.ts'
import type { LargeKeys } from './large-keys.ts'
import { LanePositions } from './positions.ts'

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

/**
 * Why a tenant's commands are looked at before they go on (src/admission.ts), as bits of `TenantState.gate`: it has quotas
 * that count commands or bytes; its memory is used up; the proxy is overloaded and it is among the heaviest; an operator has
 * paused it. (How much it may have in flight is no gate: session/turns.ts.)
 */
export const gateQuota = 1
export const gateMemory = 2
export const gateShed = 4
export const gatePaused = 8

/** What it has on its way on one of the lanes; kept by session/turns.ts. */
export interface TenantLaneUse {
  /** Commands without an answer. */
  readonly inFlight: number
}

const noUses: TenantLaneUse[] = []
const noLimits: QuotaLimits = { scope: 'proxy', whenExceeded: 'error' }

/** State that all connections of one tenant share. */
export class TenantState {
  readonly id: string
  /** Of its channels and whatever else Redis knows by name besides keys. */
  readonly prefix: Buffer
  /** As Redis's error texts begin a name. */
  readonly quotedPrefix: Buffer
  /** Of its keys, by the database that a client has selected; a session holds the one that counts (`session.prefix`). */
  prefixes: readonly Buffer[]
  /** What all of these begin with: the prefix; nothing where a database of the servers is the tenant's own. */
  readonly keyPrefix: Buffer
  /** The logical database of the servers that holds its keys, on lanes of its own; 0: the one that prefixes share. */
  readonly database: number
  readonly cells: TenantCells
  /** Bits `gate...`; 0 for most: the one thing that is read of all this for each command. */
  gate = 0
  /** What it may use; undefined: as much as it likes. Set by `setLimits`. */
  limits: QuotaLimits | undefined
  /** Of `quota.in_flight` and `quota.leases`: what of them is this process's; Infinity: no such limit. */
  inFlightMost = Number.POSITIVE_INFINITY
  leasesMost = Number.POSITIVE_INFINITY
  /** What it has used, once somebody has asked (`openQuota`): an idle tenant needs none. */
  quota: TenantQuota | undefined
  /** On which shared lanes it has been, and what it has in flight there. */
  laneUses: TenantLaneUse[] = noUses
  /** Which of its reads have large replies; undefined: none of late. */
  large: LargeKeys | undefined
  /** Of this turn of the event loop (session/turns.ts): which one, and the commands that it has taken. */
  turn = 0
  turnCommands = 0
  /** Where it has a quota of memory or keys (bit `gateMemory`). */
  memory: MemoryAccount | undefined = undefined
  /** What it has of `routing.fallback_limit`. */
  readonly fallbackUse: TenantFallbackUse = { isListed: false, asked: 0, wish: 0, silent: 0, left: 0 }
  /** Undefined: a write is acknowledged when the primary has it. */
  durability: DurabilityPromise | undefined
  /**
   * Writes that session reads must see (regions/fences.ts keeps them by key). `floor`: a mark that a replica must have shown
   * before it may serve any of them; Infinity: a write of unknown fate, so no replica will do.
   */
  floor = 0
  /** When the mark that meets it was or will be sent, ms. */
  floorSentAtMs = Number.NEGATIVE_INFINITY
  /** Its newest writes on shared lanes, and that of all others as a mark: for reads whose keys are not all known. */
  readonly newest = new LanePositions()
  newestMark = 0
  newestMarkSentAtMs = Number.NEGATIVE_INFINITY
  /** Of writes on shared lanes whose keys are not known or could not be kept: they hold for every read. */
  readonly wide = new LanePositions()
  /** It may have session reads: its writes are kept by key, and are worth a mark of their own. */
  hasSessionReads = false
  /** Its number among the tenants, from 1; 0: none yet. */
  fenceNumber = 0
  /** How other workers of this proxy name it (regions/sibling-log.ts); made when first needed. */
  fenceName: KeyHash | undefined
  /** What they have written is told apart for it from here on. */
  isKnownToSiblings = false
  /** By database: the hash of the keys' prefix; filled when first needed. */
  readonly prefixHashes: KeyHash[] = []
  /** Clients of it that wait in a blocking command. */
  blocked = 0

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

  /** Configured otherwise, with the same keys: more databases, another durability. True: the latter. */
  renew(space: KeySpace): boolean {
    const count = space.databases ?? 1
    if (count > this.prefixes.length) this.prefixes = keyPrefixes(this.prefix.toString(), count)
    const { durability } = this
    const isSame =
      durability?.replicas === space.durability?.replicas && durability?.timeoutMs === space.durability?.timeoutMs
    if (!isSame) this.durability = space.durability
    return !isSame
  }

  /** Others than they were, at once: for commands to come, and those that wait. `isMetered`: some of its users are, if it is not. */
  setLimits(limits: QuotaLimits | undefined, isMetered: boolean, nowUs: number): void {
    this.limits = limits
    this.setParts(1, 1)
    this.quota?.setLimits(limits ?? noLimits, nowUs) // also for those who wait for one that is gone
    if (limits === undefined) this.quota = undefined
    if (isMetered || isMeteredBy(limits)) this.gate |= gateQuota
    else this.gate &= ~gateQuota
  }

  /** This process's parts of the limits of what is counted at a moment: never less than one. */
  setParts(inFlight: number, leases: number): void {
    this.inFlightMost = partOfCount(this.limits?.inFlight, inFlight)
    this.leasesMost = partOfCount(this.limits?.leases, leases)
  }

  /** Commands on their way on shared lanes, those of clients that are gone among them. */
  get inFlight(): number {
    let sum = 0
    for (const use of this.laneUses) sum += use.inFlight
    return sum
  }

  openQuota(nowUs: number): TenantQuota | undefined {
    if (this.quota === undefined && this.limits !== undefined)
      this.quota = new TenantQuota(this.limits, this.cells, nowUs)
    return this.quota
  }
}

function partOfCount(limit: number | undefined, part: number): number {
  return limit === undefined ? Number.POSITIVE_INFINITY : Math.max(Math.min(1, limit), Math.floor(limit * part))
}

/** Some limit of these is looked at for each command. */
export function isMeteredBy(limits: QuotaLimits | undefined): boolean {
  return limits?.opsPerS !== undefined || limits?.bytesPerS !== undefined
}

/** What this user has used, from its first login on; undefined: it has no limits of its own that are counted per command. */
export function openUse(account: Account, nowMs: number): UserUse | undefined {
  if (account.use === undefined && account.limits !== undefined && isMeteredBy(account.limits))
    account.use = new UserUse(account.limits, Math.floor(nowMs * 1000))
  return account.use
}

/** What one user of a tenant may use, and has used, besides its tenant. */
export class UserUse {
  readonly traffic: Traffic = { bytesOut: 0 }
  readonly quota: TenantQuota
  constructor(limits: QuotaLimits, nowUs: number) {
    this.quota = new TenantQuota(limits, this.traffic, nowUs)
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
  /** Some of its reads are `strong`, by its level or by a rule of a key. */
  readonly hasStrongReads: boolean
  /** Bound for `bounded` reads, and the ceiling for the other levels (Infinity: none), ms. */
  readonly boundedMs: number
  readonly ceilingMs: number
  readonly whenStale: 'primary' | 'wait' | 'error'
  readonly maxWaitMs: number
  readonly rules: Rules | undefined
  /** What this user may use; undefined for most. `use`: what it has used, once it has logged in. */
  limits: QuotaLimits | undefined
  use: UserUse | undefined
}
