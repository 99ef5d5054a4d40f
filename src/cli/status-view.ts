/**
 * What `regis status` and `regis top` show: from the admin API's answers and two looks at the metrics page to figures, and
 * from figures to a screen. Pure: the verbs ask and write.
 */
import { parseMetrics, type Sample } from '../demo/status.ts'
import { milliseconds, table } from './table.ts'

/** Answers of /api/v1/status and /regions, as far as they are used. */
export interface StatusAnswer {
  readonly version: string
  readonly region: string
  readonly uptime_seconds: number
  readonly clients: number
  readonly primary: string | null
  readonly split: boolean
  readonly epoch: number
  readonly draining: boolean
  /** Where Sentinels name the primary; `trouble` is '' while they do. */
  readonly discovery?: { readonly trouble: string }
}
export interface RegionAnswer {
  readonly region: string
  readonly local: boolean
  readonly nodes: readonly {
    readonly node: string
    readonly role: string
    readonly up: boolean
    readonly readable: boolean
    readonly rtt_ms: number | null
    readonly staleness_ms: number | null
    readonly connections: number
  }[]
}

/** One look at a proxy. `page` is its /metrics. */
export interface Look {
  readonly atMs: number
  readonly status: StatusAnswer
  readonly regions: readonly RegionAnswer[]
  readonly page: string
}

export interface Latency {
  /** Upper bounds of the buckets that hold them, ms; undefined: nothing was counted. */
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

export interface TenantFigures {
  readonly tenant: string
  readonly clients: number
  readonly readsPerSecond: number
  readonly writesPerSecond: number
  readonly errorsPerSecond: number
  /** Share of its reads that nodes of the proxy's region served, 0..1. */
  readonly localShare: number | undefined
}

export interface Figures {
  readonly status: StatusAnswer
  readonly regions: readonly RegionAnswer[]
  /** Over this time: since the start, or between two looks. */
  readonly seconds: number
  readonly commandsPerSecond: number
  readonly reads: Latency
  readonly writes: Latency
  readonly fallbacksPerSecond: Readonly<Record<string, number>>
  readonly tenants: readonly TenantFigures[]
}

/** Between two looks, or since the proxy's start when there is no earlier one, or it was another process. */
export function figuresOf(now: Look, earlier?: Look): Figures {
  const isSame = earlier !== undefined && now.status.uptime_seconds >= earlier.status.uptime_seconds
  const before = isSame ? parseMetrics(earlier.page) : []
  const samples = parseMetrics(now.page)
  const seconds = isSame ? (now.atMs - earlier.atMs) / 1000 : Math.max(1, now.status.uptime_seconds)
  const value = (of: readonly Sample[], name: string, labels: Readonly<Record<string, string>>) => {
    let sum = 0
    for (const sample of of) {
      if (sample.name !== `regis_${name}`) continue
      if (Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted)) sum += sample.value
    }
    return sum
  }
  const more = (name: string, labels: Readonly<Record<string, string>> = {}) =>
    Math.max(0, value(samples, name, labels) - value(before, name, labels))
  const fallbacksPerSecond: Record<string, number> = {}
  for (const reason of labelsOf(samples, 'read_fallbacks_total', 'reason'))
    fallbacksPerSecond[reason] = more('read_fallbacks_total', { reason }) / seconds
  return {
    status: now.status,
    regions: now.regions,
    seconds,
    commandsPerSecond: more('commands_total') / seconds,
    reads: latency(samples, before, 'read'),
    writes: latency(samples, before, 'write'),
    fallbacksPerSecond,
    tenants: labelsOf(samples, 'commands_total', 'tenant').map((tenant) => {
      const reads = more('reads_total', { tenant })
      return {
        tenant,
        clients: value(samples, 'client_connections', { tenant }),
        readsPerSecond: more('commands_total', { tenant, kind: 'read' }) / seconds,
        writesPerSecond: more('commands_total', { tenant, kind: 'write' }) / seconds,
        errorsPerSecond:
          (more('commands_total', { tenant }) - more('commands_total', { tenant, outcome: 'ok' })) / seconds,
        localShare: reads === 0 ? undefined : more('reads_total', { tenant, region: now.status.region }) / reads,
      }
    }),
  }
}

function labelsOf(samples: readonly Sample[], name: string, label: string): string[] {
  const found = new Set<string>()
  for (const sample of samples) if (sample.name === `regis_${name}`) found.add(sample.labels[label] ?? '')
  return [...found]
}

/** From the cumulative buckets of command_duration_seconds, all sources together. */
function latency(samples: readonly Sample[], before: readonly Sample[], kind: string): Latency {
  const buckets = new Map<number, number>()
  for (const [of, sign] of [
    [samples, 1],
    [before, -1],
  ] as const) {
    for (const { name, labels, value } of of) {
      if (name !== 'regis_command_duration_seconds_bucket' || labels['kind'] !== kind) continue
      const bound = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']) * 1000
      buckets.set(bound, (buckets.get(bound) ?? 0) + sign * value)
    }
  }
  const bounds = [...buckets.keys()].sort((a, b) => a - b)
  const total = buckets.get(Number.POSITIVE_INFINITY) ?? 0
  const quantile = (share: number) =>
    total <= 0 ? undefined : bounds.find((bound) => buckets.get(bound)! >= total * share)
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99) }
}

const rate = (perSecond: number): string =>
  perSecond === 0 || perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toFixed(1)

/** Tenants with the most commands first, at most `tenantsMax`. */
export function renderFigures(it: Figures, tenantsMax = 20): string {
  const { status } = it
  const trouble = status.discovery?.trouble ?? ''
  const none = trouble === '' ? 'none' : `none (${trouble})`
  const primary = status.split ? 'more than one says it is' : (status.primary ?? none)
  const head = `regis ${status.version} in ${status.region}, up ${duration(status.uptime_seconds)}, ${status.clients} clients${status.draining ? ', draining' : ''}
primary: ${primary}, epoch ${status.epoch}
`
  const nodes = it.regions.flatMap(({ region, local, nodes }) =>
    nodes.map((node) => [
      local ? `${region} *` : region,
      node.node,
      node.role,
      node.up ? (node.readable ? 'up' : 'not readable') : 'down',
      milliseconds(node.rtt_ms),
      milliseconds(node.staleness_ms),
      String(node.connections),
    ]),
  )
  const fallbacks = Object.entries(it.fallbacksPerSecond)
    .filter(([, perSecond]) => perSecond > 0)
    .map(([reason, perSecond]) => `${reason} ${rate(perSecond)}/s`)
  const load = `commands ${rate(it.commandsPerSecond)}/s  reads p50 ${upTo(it.reads.p50Ms)} p99 ${upTo(it.reads.p99Ms)}  writes p50 ${upTo(it.writes.p50Ms)} p99 ${upTo(it.writes.p99Ms)}
fallbacks: ${fallbacks.length === 0 ? 'none' : fallbacks.join(', ')}
`
  const busiest = [...it.tenants].sort(
    (a, b) => b.readsPerSecond + b.writesPerSecond - (a.readsPerSecond + a.writesPerSecond),
  )
  const rows = busiest
    .slice(0, tenantsMax)
    .map((one) => [
      one.tenant,
      String(one.clients),
      rate(one.readsPerSecond),
      one.localShare === undefined ? '-' : `${Math.round(100 * one.localShare)}%`,
      rate(one.writesPerSecond),
      rate(one.errorsPerSecond),
    ])
  const left = busiest.length > tenantsMax ? `and ${busiest.length - tenantsMax} more tenants\n` : ''
  return `${head}
${table(['REGION', 'NODE', 'ROLE', 'STATE', 'RTT', 'AGE AT MOST', 'CONNECTIONS'], nodes)}
${load}
${table(['TENANT', 'CLIENTS', 'READS/S', 'LOCAL', 'WRITES/S', 'NOT OK/S'], rows)}${left}`
}

/** A bucket's bound: the truth lies at or below it. */
function upTo(ms: number | undefined): string {
  return ms === undefined ? '-' : Number.isFinite(ms) ? `<=${milliseconds(ms)}` : '>5 s'
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} days`
}
