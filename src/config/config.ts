/**
 * The resolved configuration: what the rest of the program is built from. Every default is filled in, durations are
 * milliseconds, sizes bytes, files read. How it is written in YAML is in schema.ts; how it is shown in print.ts.
 */
import type { QuotaLimits } from '../quota/tenant-quota.ts'
export type Level = 'eventual' | 'bounded' | 'session' | 'strong'
export type WhenStale = 'primary' | 'wait' | 'error'

export interface Config {
  /** Where this proxy runs: one of `regions`. */
  readonly region: string
  readonly listeners: readonly ListenerConfig[]
  readonly admin: { readonly host: string; readonly port: number; readonly token?: string }
  readonly upstream: {
    readonly username?: string
    readonly password?: string
    /** A reply that takes longer costs the connection. */
    readonly timeoutMs: number
    readonly connections: number
    /** One Redis user a tenant, made by the proxy; without them scripts stay denied. */
    readonly acl: 'provision' | 'off'
    /** PEM contents; already merged into every node's `ca`. */
    readonly ca?: string
    /** True: a node that cannot be reached or refuses the login at start ends the proxy. False: it starts and keeps trying. */
    readonly strict: boolean
  }
  /** Where it is expected; for people only. */
  readonly primaryRegion?: string
  readonly discovery?: DiscoveryConfig
  readonly regions: readonly RegionConfig[]
  readonly routing: {
    readonly consistency: Level
    readonly maxStalenessMs: number
    /** `max_staleness` was written down, so it is a ceiling for the levels other than bounded too. */
    readonly maxStalenessIsCeiling: boolean
    readonly whenStale: WhenStale
    readonly maxWaitMs: number
    /** Reads that lag sends to the primary; absent: no cap. */
    readonly fallbackLimit?: { readonly count: number; readonly perMs: number }
    readonly rules: readonly RuleConfig[]
  }
  readonly tenants: readonly TenantConfig[]
  readonly operators: readonly UserConfig[]
  readonly logging: {
    readonly level: 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
    readonly format: 'auto' | 'json' | 'pretty'
    readonly slowCommandMs: number
  }
  readonly metrics: { readonly tenantLabel: TenantLabel }
  /** Measuring of memory and keys per tenant. */
  readonly sweep: { readonly when: 'auto' | 'always' | 'off'; readonly everyMs: number }
  readonly limits: {
    readonly maxClients: number
    readonly leasesPerTenant: number
    readonly maxRequestBytes: number
    readonly outputBytes: number
    /** Of the process; undefined: by what the container or the machine has. */
    readonly memoryBytes?: number
    /** 0 = off. */
    readonly idleTimeoutMs: number
    /** `count` 0 = off. */
    readonly authFailures: { readonly count: number; readonly perMs: number }
    /** A script that runs longer is killed. */
    readonly scriptMs: number
  }
  readonly shutdown: { readonly drainMs: number }
}

export interface ListenerConfig {
  /** An IPv6 address is bare here: `::1`. */
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  readonly proxyProtocol: boolean
  /** PEM contents, not paths. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string }
}

export interface RegionConfig {
  readonly name: string
  /** Round trip from this proxy's region, where a distance map says so; else it is measured. */
  readonly distanceMs?: number
  readonly nodes: readonly NodeConfig[]
}

export interface NodeConfig {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** PEM contents. */
  readonly ca?: string
  readonly servername?: string
  /** The login for this node: its own where the URL has one, else `upstream`'s. */
  readonly username?: string
  readonly password?: string
  /** `host:port`, for logs and metrics; never with credentials. */
  readonly name: string
}

/** Sentinels that name the primary. */
export interface DiscoveryConfig {
  readonly sentinels: readonly NodeConfig[]
  readonly master: string
}

export interface RuleConfig {
  readonly tenant?: string
  /** A glob in the tenant's own key names. */
  readonly keys: string
  readonly consistency?: Level
  readonly maxStalenessMs?: number
  readonly whenStale?: WhenStale
  readonly pin: boolean
}

export interface TenantConfig {
  readonly id: string
  readonly prefix: string
  /** `isolation`: the servers' logical database that is this tenant's alone; 0: its keys are told by their prefix. */
  readonly database: number
  /** Databases that SELECT offers, by sub-prefixes; 1 where `database` is not 0. */
  readonly databases: number
  readonly users: readonly UserConfig[]
  readonly consistency?: Level
  readonly maxStalenessMs?: number
  readonly whenStale?: WhenStale
  /** Commands (`keys`, `config|get`) and categories (`@dangerous`), lower case. */
  readonly deny: readonly string[]
  /** Lua: none, keys in KEYS only, keys built in Lua too. */
  readonly scripts: 'off' | 'declared' | 'any'
  /** A write is acknowledged when so many replicas have it; undefined: when the primary has it. */
  readonly durability?: { readonly replicas: number; readonly timeoutMs: number }
  readonly quota?: QuotaConfig
}

/** Rates are a second's; what is absent has no limit. */
export type QuotaConfig = QuotaLimits

export interface UserConfig {
  readonly name: string
  readonly passwords: readonly string[]
  readonly passwordHashes: readonly string[]
  readonly nopass: boolean
  readonly readOnly: boolean
  readonly consistency?: Level
  readonly maxStalenessMs?: number
  readonly quota?: QuotaConfig
}

/** Which tenants get a label of their own in the metrics; the rest fold into `other`. */
export type TenantLabel = 'all' | 'none' | { readonly top: number }
