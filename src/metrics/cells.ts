/**
 * What the request path counts: plain number fields and Float64Array cells, about a nanosecond each. Nothing here knows
 * a metric's name (catalogue.ts) or Prometheus (registry.ts), which reads these cells when somebody scrapes.
 *
 *   request path --++--> Cells <--reads at scrape-- registry.ts --text--> GET /metrics
 *
 * Counting rules, so that a scrape in the middle of things is never wrong:
 *  - `reads`, `writes`, `admin`, `pubsub` and `CommandCells.calls` count commands as they are taken; what did not end
 *    well is counted once more in `failed` / `errors` when it is known. `ok` is the difference, and the registry never
 *    lets it go back.
 *  - Regions get a small index by name (`regionIndex`) that lives as long as the process, so a reload that drops a
 *    region leaves its counters in place.
 *  - Doubles are exact to 9e15; nothing wraps.
 */
import { Histogram, KeyedCounter, stalenessBoundsMs } from './counters.ts'

// The request path needs one door to what it counts with.
export { Histogram, KeyedCounter }

/** Ids, not names: they index arrays. */
export const Kind = { read: 0, write: 1, admin: 2, pubsub: 3 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]
export const kindNames = ['read', 'write', 'admin', 'pubsub'] as const

/** How a command ended. `uncertain`: sent, reply lost, may have run. */
export const Outcome = { ok: 0, error: 1, denied: 2, throttled: 3, timeout: 4, uncertain: 5 } as const
export type Outcome = (typeof Outcome)[keyof typeof Outcome]
export const outcomeNames = ['ok', 'error', 'denied', 'throttled', 'timeout', 'uncertain'] as const

/** Who answered: a replica of this region, a replica of another, the primary, or this proxy itself. */
export const Source = { local: 0, remote: 1, primary: 2, proxy: 3 } as const
export type Source = (typeof Source)[keyof typeof Source]
export const sourceNames = ['local', 'remote', 'primary', 'proxy'] as const

/** Numbered as routing's REASON (a test holds that), so that its answer is counted as it comes; then what only sending can find. */
export const FallbackReason = {
  none: 0,
  lag: 1,
  session: 2,
  down: 3,
  unknown: 4,
  level: 5,
  timeout: 6,
  rule: 7,
  /** The client has commands in flight at the primary, and its replies must come in order. */
  order: 8,
} as const
export type FallbackReason = (typeof FallbackReason)[keyof typeof FallbackReason]
export const fallbackReasonNames = [
  'none',
  'lag',
  'session',
  'down',
  'unknown',
  'level',
  'timeout',
  'rule',
  'order',
] as const

/** Why a read was answered with an error of ours. */
export const ReadRefusal = { limited: 0, stale: 1, noNode: 2 } as const
export const readRefusalNames = ['limited', 'stale', 'no_node'] as const

/** How the wait of a read for a replica ended. */
export const WaitOutcome = { caughtUp: 0, rerouted: 1, timeout: 2 } as const
export const waitOutcomeNames = ['caught_up', 'rerouted', 'timeout'] as const

export const Level = { eventual: 0, bounded: 1, session: 2, strong: 3 } as const
export type Level = (typeof Level)[keyof typeof Level]
export const levelNames = ['eventual', 'bounded', 'session', 'strong'] as const

export const Role = { primary: 0, replica: 1 } as const
export type Role = (typeof Role)[keyof typeof Role]
export const roleNames = ['primary', 'replica'] as const

/** Regions with an index of their own; later names share the last one, called `other`. */
export const regionsMax = 32

/** What a quota can be of; its number is a place in QuotaCells. */
export const Quota = {
  ops: 0,
  bandwidth: 1,
  connections: 2,
  leases: 3,
  request: 4,
  inflight: 5,
  memory: 6,
  keys: 7,
} as const
export const quotaNames = [
  'ops',
  'bandwidth',
  'connections',
  'leases',
  'request',
  'inflight',
  'memory',
  'keys',
] as const
export type QuotaName = (typeof quotaNames)[number]

/** What one tenant's quotas have done, those of its users too: by Quota. */
export class QuotaCells {
  /** Commands that waited and for how long, ms; commands and connections that were refused. */
  readonly delayed = new Float64Array(quotaNames.length)
  readonly delayedMs = new Float64Array(quotaNames.length)
  readonly refused = new Float64Array(quotaNames.length)
}

/** Of one tenant. The request path holds this object and adds to its fields. */
export class TenantCells {
  /** Commands taken, by kind. */
  reads = 0
  writes = 0
  admin = 0
  pubsub = 0
  bytesIn = 0
  bytesOut = 0
  /** Open now. */
  connections = 0
  /** Writes of a tenant with `durability`: on enough replicas, or not known to be. How long each was held, ms. */
  durableConfirmed = 0
  durableDenied = 0
  readonly durableWait = new Histogram()
  /** Made when a quota first does something. */
  quotas: QuotaCells | undefined
  /** Times that a client of it waited for its tenant's turn (session/turns.ts). */
  turnsWaited = 0
  /** kind * outcomes + outcome; the `ok` column stays 0. */
  readonly failed = new Float64Array(kindNames.length * outcomeNames.length)
  /** Reads sent to nodes: `servedIndex(region, source)`. */
  readonly served = new Float64Array(regionsMax * sourceNames.length)
  /** Upper bound of the age of what replicas served, as it was proven when the read was sent to them. */
  readonly staleness = new Histogram(stalenessBoundsMs)

  quotaDelayed(quota: number, ms: number): void {
    this.quotas ??= new QuotaCells()
    this.quotas.delayed[quota]!++
    this.quotas.delayedMs[quota]! += ms
  }

  quotaRefused(quota: number): void {
    this.quotas ??= new QuotaCells()
    this.quotas.refused[quota]!++
  }

  /** `count` commands of this kind did not end well. */
  fail(kind: Kind, outcome: Outcome, count = 1): void {
    this.failed[kind * outcomeNames.length + outcome]! += count
  }

  failures(outcome: Outcome): number {
    let sum = 0
    for (let kind = 0; kind < kindNames.length; kind++) sum += this.failed[kind * outcomeNames.length + outcome]!
    return sum
  }

  readsFrom(source: Source): number {
    let sum = 0
    for (let region = 0; region < regionsMax; region++) sum += this.served[servedIndex(region, source)]!
    return sum
  }

  commands(): number {
    return this.reads + this.writes + this.admin + this.pubsub
  }
}

/** The place in `TenantCells.served`; computed once per target, not per command. */
export function servedIndex(region: number, source: Source): number {
  return region * sourceNames.length + source
}

/** By command id of the command table; the last place, `other`, is for what the table does not know. */
export class CommandCells {
  readonly names: readonly string[]
  readonly other: number
  readonly calls: Float64Array
  readonly errors: Float64Array
  readonly denied: Float64Array

  constructor(names: readonly string[]) {
    this.names = [...names, 'other']
    this.other = names.length
    this.calls = new Float64Array(this.names.length)
    this.errors = new Float64Array(this.names.length)
    this.denied = new Float64Array(this.names.length)
  }
}

/** Of one node; kept by whoever connects to it. What can be looked up at scrape is not here (registry.ts, NodeSample). */
export class NodeCells {
  readonly region: string
  readonly node: string
  /** By reason: closed, error, timeout, role, protocol. */
  readonly reconnects = new KeyedCounter(1)

  constructor(region: string, node: string) {
    this.region = region
    this.node = node
  }
}

export const subscriptionKindNames = ['channel', 'pattern', 'shard'] as const
export type SubscriptionKindName = (typeof subscriptionKindNames)[number]

/** Of subscriptions, all tenants together. */
export class PubSubCells {
  /** Pairs of client and name, now. */
  readonly subscriptions: Record<SubscriptionKindName, number> = { channel: 0, pattern: 0, shard: 0 }
  /** Messages to clients: one that has ten receivers counts ten. */
  delivered = 0
  /** Messages that some patterns were not tried on, because matching had taken too long. */
  dropped = 0
  /** Times at which messages may have been lost, by reason. */
  readonly gaps = new KeyedCounter(1)

  add(kind: SubscriptionKindName, by: number): void {
    this.subscriptions[kind] += by
  }
}

/** Anything but 0 here is a bug of ours, or of a server: alerts stand on it. */
export class Tripwires {
  /** Replies that did not fit what was asked: the connection was destroyed. */
  desync = 0
  /** A frame without its tenant's prefix was stopped. */
  foreignPrefix = 0
  /** A reply was about to go to a slot of another connection. */
  slotMismatch = 0
  /** A write of unknown fate was sent again. */
  writeResentAfterUnknown = 0
  /** Exceptions that no one caught. */
  uncaught = 0
}

export interface CellsOptions {
  /** Names by command id, lower case. */
  readonly commandNames: readonly string[]
}

export class Cells {
  readonly commands: CommandCells
  readonly tripwires = new Tripwires()
  readonly pubsub = new PubSubCells()
  readonly tenants = new Map<string, TenantCells>()
  readonly nodes = new Map<string, NodeCells>()
  /** Names by region index. */
  readonly regions: string[] = []

  /** Time from a command's arrival to its reply: kind * sources + source. */
  readonly commandDuration = Array.from({ length: kindNames.length * sourceNames.length }, () => new Histogram())
  /** Time from the write to a node to its reply: region * roles + role; made when first used. */
  readonly upstreamDuration: (Histogram | undefined)[] = []
  /** Upper bound of the age of what replicas served, by level. */
  readonly readStaleness = levelNames.map(() => new Histogram(stalenessBoundsMs))
  /** Reads that were answered with an error, by ReadRefusal. */
  readonly readsRefused = new Float64Array(readRefusalNames.length)
  /** Reads that waited for a replica, by WaitOutcome, and for how long. */
  readonly sessionWaits = new Float64Array(waitOutcomeNames.length)
  readonly sessionWait = new Histogram()
  /** `fallbackIndex(from, to, reason)`. */
  readonly fallbacks = new Float64Array(regionsMax * regionsMax * fallbackReasonNames.length)

  /** Replies lost after the command was sent. */
  uncertain = 0
  /** Error replies that passed with the tenant's prefix in quotes. */
  errorNames = 0
  /** Watermarks written through the primary. */
  marksSent = 0
  /** Tokens of another history than the present one. */
  lostWritesPossible = 0

  /** Rare events with labels: a Map look-up each, so never per command. */
  readonly connectionsOpened = new KeyedCounter(2)
  readonly disconnects = new KeyedCounter(1)
  readonly authFailures = new KeyedCounter(1)
  readonly protocolErrors = new KeyedCounter(1)
  readonly writesRejected = new KeyedCounter(1)
  readonly walks = new KeyedCounter(2)
  readonly primaryChanges = new KeyedCounter(2)
  /** Clients that had to wait for a primary. */
  writesHeld = 0
  /** Writes refused with -READONLY, by what became of them. */
  readonly readonlyResent = new KeyedCounter(1).declare('resent').declare('passed')
  readonly configReloads = new KeyedCounter(1)
  configLastReloadOk = true
  /** Unix time; 0 until the first configuration was taken. */
  configLastReloadSeconds = 0

  readonly #regionIds = new Map<string, number>()

  constructor(options: CellsOptions) {
    this.commands = new CommandCells(options.commandNames)
  }

  /** A small number for a region's name; the same for the life of the process. */
  regionIndex(name: string): number {
    const known = this.#regionIds.get(name)
    if (known !== undefined) return known
    const id = Math.min(this.regions.length, regionsMax - 1)
    if (this.regions.length < regionsMax) this.regions.push(id === regionsMax - 1 ? 'other' : name)
    this.#regionIds.set(name, id)
    return id
  }

  tenant(id: string): TenantCells {
    let cells = this.tenants.get(id)
    if (cells === undefined) {
      cells = new TenantCells()
      this.tenants.set(id, cells)
    }
    return cells
  }

  /** A tenant has left the configuration: its series end. Whoever still holds the cells counts into the void. */
  retireTenant(id: string): void {
    this.tenants.delete(id)
  }

  node(region: string, node: string): NodeCells {
    const key = `${region} ${node}`
    let cells = this.nodes.get(key)
    if (cells === undefined) {
      cells = new NodeCells(region, node)
      this.nodes.set(key, cells)
    }
    return cells
  }

  /** A node has left the configuration; its series end. */
  retireNode(region: string, node: string): void {
    this.nodes.delete(`${region} ${node}`)
  }

  commandDurationOf(kind: Kind, source: Source): Histogram {
    return this.commandDuration[kind * sourceNames.length + source]!
  }

  /** Look it up once per lane and keep it. */
  upstreamDurationOf(region: number, role: Role): Histogram {
    const i = region * roleNames.length + role
    let histogram = this.upstreamDuration[i]
    if (histogram === undefined) {
      histogram = new Histogram()
      this.upstreamDuration[i] = histogram
    }
    return histogram
  }

  /** `count` reads that wanted region `from` went to region `to`; both are region indexes, `reason` a FallbackReason. */
  fallback(from: number, to: number, reason: number, count = 1): void {
    this.fallbacks[fallbackIndex(from, to, reason)]! += count
  }
}

export function fallbackIndex(from: number, to: number, reason: number): number {
  return (from * regionsMax + to) * fallbackReasonNames.length + reason
}
