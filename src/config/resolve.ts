/** The validated file -> Config: defaults that come from other keys, contents of files, logins of nodes, distances. Pure. */
import type {
  Config,
  DiscoveryConfig,
  ListenerConfig,
  NodeConfig,
  QuotaConfig,
  RegionConfig,
  TenantConfig,
  UserConfig,
} from './config.ts'
import type { Written } from './schema.ts'
import { type Address, formatAddress, type NodeUrl, type Rate } from './values.ts'

export interface Resolution {
  readonly region: string
  /** Replaces the listeners: the first one's TLS and PROXY settings at this address. */
  readonly listen?: Address | undefined
  readonly admin?: Address | undefined
  /** Those of `tenants_file`. */
  readonly moreTenants: readonly TenantConfig[]
  /** Contents of a file that was read before. */
  contents(path: string): string
}

/** Only when nothing was wrong. */
export function resolve(written: Written, resolution: Resolution): Config {
  const { routing, limits, logging } = written
  const pem = (path: string | undefined) => (path === undefined ? undefined : resolution.contents(path))
  const ca = pem(written.upstream.ca)
  return given({
    region: resolution.region,
    listeners: listeners(written, resolution),
    admin: given({ ...(resolution.admin ?? written.admin.address), token: written.admin.token }),
    upstream: given({
      username: written.upstream.username,
      password: written.upstream.password,
      timeoutMs: written.upstream.timeout,
      connections: written.upstream.connections,
      acl: written.upstream.acl,
      ca,
      strict: written.upstream.strict,
    }),
    primaryRegion: written.primary,
    discovery: written.discovery === undefined ? undefined : discovery(written.discovery, ca),
    regions: Object.entries(written.regions).map(([name, region]): RegionConfig => {
      const nodes = region.nodes.map((node) =>
        'url' in node
          ? nodeConfig(node.url, written, pem(node.ca) ?? ca, node.servername)
          : nodeConfig(node, written, ca, undefined),
      )
      return given({ name, distanceMs: distance(written, resolution.region, name), nodes })
    }),
    routing: {
      consistency: routing.consistency,
      maxStalenessMs: routing.max_staleness ?? maxStalenessDefaultMs,
      maxStalenessIsCeiling: routing.max_staleness !== undefined,
      whenStale: routing.when_stale,
      maxWaitMs: routing.max_wait,
      ...(routing.fallback_limit === undefined ? {} : { fallbackLimit: routing.fallback_limit }),
      rules: routing.rules.map((rule) =>
        given({
          tenant: rule.tenant,
          keys: rule.keys,
          consistency: rule.consistency,
          maxStalenessMs: rule.max_staleness,
          whenStale: rule.when_stale,
          pin: rule.pin,
        }),
      ),
    },
    tenants: [
      ...Object.entries(written.tenants).map(([id, tenant]) => tenantConfig(id, tenant)),
      ...resolution.moreTenants,
    ],
    operators: Object.entries(written.operators).map(([name, operator]) => userConfig(name, operator)),
    logging: { level: logging.level, format: logging.format, slowCommandMs: logging.slow_command },
    metrics: { tenantLabel: written.metrics.tenant_label },
    sweep: { when: written.sweep.when, everyMs: written.sweep.every },
    limits: given({
      maxClients: limits.max_clients,
      leasesPerTenant: limits.leases_per_tenant,
      maxRequestBytes: limits.max_request,
      outputBytes: limits.output,
      memoryBytes: limits.memory,
      idleTimeoutMs: limits.idle_timeout,
      authFailures: limits.auth_failures,
      scriptMs: limits.script_time,
    }),
    shutdown: { drainMs: written.shutdown.drain },
  })
}

/** There may be a hundred thousand of them: what is alike is shared, and nothing of the text they came from is kept. */
export function tenantConfig(id: string, tenant: Written['tenants'][string]): TenantConfig {
  return given({
    id,
    prefix: tenant.prefix ?? flat(`${id}:`),
    database: tenant.isolation === 'prefix' ? 0 : tenant.isolation.database,
    databases: tenant.databases,
    users: Object.entries(tenant.users).map(([name, user]) => userConfig(name, user, tenant.quota)),
    consistency: tenant.consistency,
    maxStalenessMs: tenant.max_staleness,
    whenStale: tenant.when_stale,
    deny: tenant.deny.length === 0 ? none : tenant.deny.map((word) => word.toLowerCase()),
    scripts: tenant.scripts,
    durability:
      tenant.durability === undefined
        ? undefined
        : { replicas: tenant.durability.replicas, timeoutMs: tenant.durability.timeout },
    quota: tenant.quota === undefined ? undefined : quotaConfig(tenant.quota),
  })
}

const none: readonly string[] = []

/** What `+` makes of two strings holds on to both, and takes more than the copy. */
function flat(text: string): string {
  return Buffer.from(text).toString()
}

function discovery(it: NonNullable<Written['discovery']>, ca: string | undefined): DiscoveryConfig {
  const { username, password, tls } = it
  const sentinels = it.sentinels.map(({ host, port }) =>
    given({ host, port, tls, ca: tls ? ca : undefined, username, password, name: formatAddress(host, port) }),
  )
  return { sentinels, master: it.master }
}

export const maxStalenessDefaultMs = 500

function listeners(written: Written, resolution: Resolution): ListenerConfig[] {
  const all = written.listeners.map((listener): ListenerConfig => {
    const { tls } = listener
    return given({
      ...listener.address,
      proxyProtocol: listener.proxy_protocol,
      tls:
        tls === undefined
          ? undefined
          : given({
              cert: resolution.contents(tls.cert),
              key: resolution.contents(tls.key),
              clientCa: tls.client_ca === undefined ? undefined : resolution.contents(tls.client_ca),
            }),
    })
  })
  return resolution.listen === undefined ? all : [{ ...all[0]!, ...resolution.listen }]
}

/** A login in the URL replaces upstream's whole: its password never goes with another user. */
function nodeConfig(
  url: NodeUrl,
  written: Written,
  ca: string | undefined,
  servername: string | undefined,
): NodeConfig {
  const own = url.username !== undefined
  return given({
    host: url.host,
    port: url.port,
    tls: url.tls,
    ca,
    servername,
    username: own ? url.username : written.upstream.username,
    password: own ? url.password : written.upstream.password,
    name: formatAddress(url.host, url.port),
  })
}

/** This region's own word, else the other's about this one. */
function distance(written: Written, here: string, there: string): number | undefined {
  return written.regions[here]?.distance?.[there] ?? written.regions[there]?.distance?.[here]
}

type WrittenUser = Written['tenants'][string]['users'][string]
function userConfig(name: string, user: Partial<WrittenUser>, ofTenant?: WrittenQuota): UserConfig {
  const { scope = 'proxy', when_exceeded = 'delay' } = ofTenant ?? {}
  return given({
    name,
    passwords: user.password ?? none,
    passwordHashes: user.password_hash ?? none,
    nopass: user.nopass ?? false,
    readOnly: user.access === 'read-only',
    consistency: user.consistency,
    maxStalenessMs: user.max_staleness,
    quota: user.quota === undefined ? undefined : quotaConfig({ ...user.quota, scope, when_exceeded }),
  })
}

type WrittenQuota = NonNullable<Written['tenants'][string]['quota']>
function quotaConfig(quota: WrittenQuota): QuotaConfig {
  return given({
    opsPerS: perSecond(quota.ops),
    burst: quota.burst,
    bytesPerS: perSecond(quota.bandwidth),
    connections: quota.connections,
    leases: quota.leases,
    maxRequestBytes: quota.max_request,
    inFlight: quota.in_flight,
    memoryBytes: quota.memory,
    keys: quota.keys,
    scope: quota.scope,
    whenExceeded: quota.when_exceeded,
  })
}

const perSecond = (rate: Rate | undefined): number | undefined =>
  rate === undefined ? undefined : (rate.count * 1000) / rate.perMs

type Given<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}
/** Without the members that are undefined: an optional member is there or it is not. */
function given<T extends object>(it: T): Given<T> {
  const there: Record<string, unknown> = {}
  for (const name in it) if (it[name] !== undefined) there[name] = it[name]
  return there as Given<T>
}
