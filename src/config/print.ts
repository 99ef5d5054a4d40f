/**
 * Config -> the words of proxy.yaml, every default written out. For `check --print` and the admin side every secret is
 * `***`; for telling two configurations apart (changes.ts) it is a digest of itself. Pure.
 */
import { createHash } from 'node:crypto'
import { Entries, type Slices } from '../base/slices.ts'
import type { Config, DiscoveryConfig, NodeConfig, QuotaConfig, TenantConfig, UserConfig } from './config.ts'
import { formatAddress, formatDuration, formatRate, formatSize } from './values.ts'

const mask = '***'

/** What stands in the place of what is not to be read. */
export interface Veil {
  secret(text: string): string
  /** Contents of a PEM file. */
  pem(contents: string): string
}

/** Certificates are public, but long. */
const hidden: Veil = { secret: () => mask, pem: (contents) => `(${Buffer.byteLength(contents)} bytes of PEM)` }

/** `tenantsMax`: of more tenants only so many are shown, and `tenants_left_out` says how many are not. */
export function redactedConfig(config: Config, tenantsMax = Number.POSITIVE_INFINITY): Record<string, unknown> {
  return configWords(config, hidden, tenantsMax)
}

/** The same, to be written in slices. */
export function redactedRows(config: Config, tenantsMax: number): Record<string, unknown> {
  function* tenants(): Iterable<[string, unknown]> {
    for (const tenant of config.tenants.slice(0, tenantsMax)) yield [tenant.id, tenantWords(tenant, hidden)]
  }
  return configWords(config, hidden, tenantsMax, new Entries(tenants()))
}

/**
 * Of all that is shown of a configuration, every tenant too: proxies with the same file have the same one. Says nothing of
 * secrets. Made in slices: a hundred thousand tenants are a second.
 */
export async function configHash(config: Config, slices: Slices): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(configWords({ ...config, tenants: [] }, hidden)))
  for (const tenant of config.tenants) {
    hash.update(JSON.stringify([tenant.id, tenantWords(tenant, hidden)]))
    if (slices.isOver) await slices.rest()
  }
  return hash.digest('hex').slice(0, 16)
}

/** `tenants`: their words, when they are made already. */
export function configWords(
  config: Config,
  veil: Veil,
  tenantsMax = Number.POSITIVE_INFINITY,
  tenants?: Entries,
): Record<string, unknown> {
  const { routing, limits } = config
  const { pem } = veil
  return {
    region: config.region,
    listeners: config.listeners.map((listener) => ({
      address: formatAddress(listener.host, listener.port),
      ...when(listener.tls, (tls) => ({
        tls: {
          cert: pem(tls.cert),
          key: veil.secret(tls.key),
          ...when(tls.clientCa, (ca) => ({ client_ca: pem(ca) })),
        },
      })),
      proxy_protocol: listener.proxyProtocol,
    })),
    admin: {
      address: formatAddress(config.admin.host, config.admin.port),
      ...when(config.admin.token, (token) => ({ token: veil.secret(token) })),
    },
    upstream: {
      ...when(config.upstream.username, (username) => ({ username })),
      ...when(config.upstream.password, (password) => ({ password: veil.secret(password) })),
      timeout: formatDuration(config.upstream.timeoutMs),
      connections: config.upstream.connections,
      acl: config.upstream.acl,
      ...when(config.upstream.ca, (ca) => ({ ca: pem(ca) })),
      strict: config.upstream.strict,
    },
    ...when(config.primaryRegion, (primary) => ({ primary })),
    ...when(config.discovery, (discovery) => discoveryWords(discovery, veil)),
    regions: Object.fromEntries(
      config.regions.map((region) => [
        region.name,
        {
          nodes: region.nodes.map((node) => nodeWords(node, config, veil)),
          ...when(region.distanceMs, (ms) => ({ distance: { [config.region]: formatDuration(ms) } })),
        },
      ]),
    ),
    routing: {
      consistency: routing.consistency,
      ...(routing.maxStalenessIsCeiling ? { max_staleness: formatDuration(routing.maxStalenessMs) } : {}),
      when_stale: routing.whenStale,
      max_wait: formatDuration(routing.maxWaitMs),
      ...when(routing.fallbackLimit, (limit) => ({ fallback_limit: formatRate(limit) })),
      rules: routing.rules.map((rule) => ({
        ...when(rule.tenant, (tenant) => ({ tenant })),
        keys: rule.keys,
        ...levelWords(rule),
        pin: rule.pin,
      })),
    },
    tenants:
      tenants ??
      Object.fromEntries(config.tenants.slice(0, tenantsMax).map((tenant) => [tenant.id, tenantWords(tenant, veil)])),
    ...(config.tenants.length > tenantsMax ? { tenants_left_out: config.tenants.length - tenantsMax } : {}),
    operators: Object.fromEntries(config.operators.map((user) => [user.name, secretWords(user, veil)])),
    logging: {
      level: config.logging.level,
      format: config.logging.format,
      slow_command: formatDuration(config.logging.slowCommandMs),
    },
    metrics: {
      tenant_label:
        typeof config.metrics.tenantLabel === 'string'
          ? config.metrics.tenantLabel
          : `top:${config.metrics.tenantLabel.top}`,
    },
    sweep: { when: config.sweep.when, every: formatDuration(config.sweep.everyMs) },
    limits: {
      max_clients: limits.maxClients,
      leases_per_tenant: limits.leasesPerTenant,
      max_request: formatSize(limits.maxRequestBytes),
      output: formatSize(limits.outputBytes),
      ...(limits.memoryBytes === undefined ? {} : { memory: formatSize(limits.memoryBytes) }),
      idle_timeout: formatDuration(limits.idleTimeoutMs),
      auth_failures: formatRate(limits.authFailures),
      script_time: formatDuration(limits.scriptMs),
    },
    shutdown: { drain: formatDuration(config.shutdown.drainMs) },
  }
}

export function tenantWords(tenant: TenantConfig, veil: Veil): Record<string, unknown> {
  return {
    prefix: tenant.prefix,
    isolation: tenant.database === 0 ? 'prefix' : { database: tenant.database },
    databases: tenant.databases,
    users: Object.fromEntries(tenant.users.map((user) => [user.name, userWords(user, veil)])),
    ...levelWords(tenant),
    scripts: tenant.scripts,
    ...when(tenant.durability, ({ replicas, timeoutMs }) => ({
      durability: { replicas, timeout: formatDuration(timeoutMs) },
    })),
    ...when(tenant.quota, (quota) => ({ quota: quotaWords(quota, true) })),
    deny: tenant.deny,
  }
}

/** The URL with its login only where that is not upstream's. */
function nodeWords(node: NodeConfig, config: Config, { secret, pem }: Veil): unknown {
  const hasOwnLogin = node.username !== config.upstream.username || node.password !== config.upstream.password
  const login =
    hasOwnLogin && node.username !== undefined
      ? `${encodeURIComponent(node.username)}${node.password === undefined ? '' : `:${secret(node.password)}`}@`
      : ''
  const url = `${node.tls ? 'rediss' : 'redis'}://${login}${node.name}`
  const ownCa = node.ca === config.upstream.ca ? undefined : node.ca
  if (ownCa === undefined && node.servername === undefined) return url
  return { url, ...when(ownCa, (ca) => ({ ca: pem(ca) })), ...when(node.servername, (servername) => ({ servername })) }
}

function userWords(user: UserConfig, veil: Veil): Record<string, unknown> {
  return {
    ...secretWords(user, veil),
    ...(user.nopass ? { nopass: true } : {}),
    access: user.readOnly ? 'read-only' : 'read-write',
    ...levelWords(user),
    ...when(user.quota, (quota) => ({ quota: quotaWords(quota, false) })),
  }
}

/** A user's has the scope of its tenant's, and does what that does when it is exceeded. */
function quotaWords(quota: QuotaConfig, isTenant: boolean): Record<string, unknown> {
  return {
    ...when(quota.opsPerS, (rate) => ({ ops: ratePerWords(rate, String) })),
    ...when(quota.burst, (burst) => ({ burst })),
    ...when(quota.bytesPerS, (rate) => ({ bandwidth: ratePerWords(rate, formatSize) })),
    ...when(quota.connections, (connections) => ({ connections })),
    ...when(quota.leases, (leases) => ({ leases })),
    ...when(quota.maxRequestBytes, (bytes) => ({ max_request: formatSize(bytes) })),
    ...when(quota.inFlight, (in_flight) => ({ in_flight })),
    ...when(quota.memoryBytes, (bytes) => ({ memory: formatSize(bytes) })),
    ...when(quota.keys, (keys) => ({ keys })),
    ...(isTenant ? { scope: quota.scope, when_exceeded: quota.whenExceeded } : {}),
  }
}

/** By the shortest time in which it is whole. */
function ratePerWords(perSecond: number, words: (count: number) => string): string {
  for (const [unit, seconds] of [
    ['s', 1],
    ['m', 60],
  ] as const) {
    const count = Math.round(perSecond * seconds * 1e6) / 1e6
    if (Number.isInteger(count)) return `${words(count)}/${unit}`
  }
  return `${words(Math.round(perSecond * 3600))}/h`
}

function secretWords(user: UserConfig, { secret }: Veil): Record<string, unknown> {
  const masks = (secrets: readonly string[]) => (secrets.length === 1 ? secret(secrets[0]!) : secrets.map(secret))
  return {
    ...(user.passwords.length > 0 ? { password: masks(user.passwords) } : {}),
    ...(user.passwordHashes.length > 0 ? { password_hash: masks(user.passwordHashes) } : {}),
  }
}

function levelWords(it: {
  consistency?: string
  maxStalenessMs?: number
  whenStale?: string
}): Record<string, unknown> {
  return {
    ...when(it.consistency, (consistency) => ({ consistency })),
    ...when(it.maxStalenessMs, (ms) => ({ max_staleness: formatDuration(ms) })),
    ...when(it.whenStale, (when_stale) => ({ when_stale })),
  }
}

function when<T>(value: T | undefined, words: (value: T) => Record<string, unknown>): Record<string, unknown> {
  return value === undefined ? {} : words(value)
}

function discoveryWords({ sentinels, master }: DiscoveryConfig, veil: Veil): Record<string, unknown> {
  const { username, password, tls } = sentinels[0]!
  return {
    discovery: {
      sentinels: sentinels.map(({ name }) => name),
      master,
      ...when(username, (it) => ({ username: it })),
      ...when(password, (it) => ({ password: veil.secret(it) })),
      tls,
    },
  }
}
