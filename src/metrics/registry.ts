/**
 * The Prometheus page. One reader per row of the catalogue turns cells and samples into values when somebody scrapes;
 * nothing here runs per command. prom-client gives Node's own metrics; its counters are not used (`inc` and `observe` cost 0.3 to
 * 0.5 microseconds each), nor its text, which it makes of the whole page in one turn.
 */
import { performance } from 'node:perf_hooks'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { Slices } from '../base/slices.ts'
import { catalogue, type MetricName, metricPrefix } from './catalogue.ts'
import {
  type Cells,
  fallbackIndex,
  fallbackReasonNames,
  kindNames,
  levelNames,
  Outcome,
  outcomeNames,
  type QuotaName,
  quotaNames,
  readRefusalNames,
  roleNames,
  Source,
  servedIndex,
  sourceNames,
  subscriptionKindNames,
  waitOutcomeNames,
} from './cells.ts'
import { Histogram, type KeyedCounter, stalenessBoundsMs } from './counters.ts'
import {
  bytesInOffset,
  bytesOutOffset,
  type ConfiguredTenants,
  candidatesOf,
  durableOffset,
  durableWaitOffset,
  otherTenant,
  quotaDelayedMsOffset,
  quotaDelayedOffset,
  quotaRefusedOffset,
  servedOffset,
  stalenessOffset,
  stalenessSumOffset,
  type TenantCandidates,
  TenantFold,
  type TenantLabel,
  type TenantSeries,
  tenantCounters,
  turnsOffset,
} from './fold.ts'
import { familyLines, type Labels, type Value } from './text.ts'

/** A node as it is at this moment; what is unknown is left out, and so is its series. */
export interface NodeSample {
  readonly region: string
  readonly node: string
  readonly up: boolean
  readonly role: 'primary' | 'replica' | 'unknown'
  readonly rttMs?: number | undefined
  /** How long the newest watermark took, and how long ago it was read back. */
  readonly lagMs?: number | undefined
  readonly lagAgeMs?: number | undefined
  readonly stalenessMs?: number | undefined
  readonly lagBytes?: number | undefined
  readonly connections?: Readonly<Record<string, number>>
}

/** Lanes to one region, all nodes together. */
export interface RegionSample {
  readonly region: string
  readonly inflight: number
  readonly queueDepth: number
}

/** What is looked up at scrape instead of being counted. */
export interface MetricSamples {
  nodes(): Iterable<NodeSample>
  regions(): Iterable<RegionSample>
  /** Clients whose writes wait for replicas. */
  durableWaiting?(): number
  overload?(): {
    readonly state: number
    readonly use: number
    readonly limitBytes: number
    readonly shedCommands: number
    readonly heldCommands: number
    readonly heldTenants: number
  }
  /** What operators have paused. */
  pauses?(): { readonly tenants: number; readonly waitingClients: number }
  primary(): PrimarySample
  /** What this tenant may use and uses now; nothing where it has no quotas. */
  quotas?(tenant: string): Iterable<QuotaSample>
  /** Undefined: no limit is shared with other proxies. */
  fleet?(): FleetSample | undefined
  /** Memory and keys; undefined: nobody measures them. */
  usage?(): UsageSample | undefined
}

export interface QuotaSample {
  readonly quota: QuotaName
  readonly limit: number
  /** Of the limit, what this proxy may use of it. */
  readonly share?: number
  readonly used?: number
}

/** Limits that proxies share (usage/fleet.ts). */
export interface FleetSample {
  readonly proxies: number
  readonly isSeen: boolean
  readonly viewAgeMs: number
  readonly records: Readonly<Record<string, number>>
}

/** What tenants have, and how the sweep that measures it does. What is unknown is left out. */
export interface UsageSample {
  of(tenant: string): TenantUsageSample | undefined
  /** All tenants together. */
  all(): TenantUsageSample
  readonly sweep: {
    readonly ageMs: number | undefined
    readonly progress: number
    readonly durationMs: number
    readonly costMs: number
    readonly seen: number
    readonly measured: number
    readonly stray: number
    readonly ok: number
    readonly failed: number
    readonly checks: number
  }
}

export interface TenantUsageSample {
  readonly bytes: number
  readonly keys: number
  readonly errorBytes: number
}

/** Whom writes go to, and the Sentinels where there are some. */
export interface PrimarySample {
  readonly epoch: number
  readonly isConfirmed: boolean
  readonly sentinels?: {
    readonly known: number
    readonly heard: number
    readonly needed: number
    readonly switches: number
  }
}

export interface MetricsOptions {
  readonly cells: Cells
  readonly build: { readonly version: string; readonly region: string }
  /** Asked at every scrape, so that a reload takes effect. */
  readonly tenantLabel: () => TenantLabel
  /** Used or not; asked at every scrape. */
  readonly tenants?: () => ConfiguredTenants
  /** Sockets and files that are open; undefined: the system does not say. */
  readonly openFiles?: () => number | undefined
  readonly samples: MetricSamples
  /** Node's own metrics (process_*, nodejs_*); off in tests, since they hold timers and observers. */
  readonly defaults?: boolean
}

type Reader = () => Iterable<Value>

export class Metrics {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE
  /** Of Node's own metrics. */
  readonly #registry = new Registry()
  readonly #readers: Readonly<Record<MetricName, Reader>>
  readonly #options: MetricsOptions
  readonly #fold = new TenantFold()
  /** By command id: what was shown as ok, which must not fall. */
  readonly #okBefore = new Map<number, number>()
  #tenants: readonly TenantSeries[] = []
  readonly #quotaSamples = new Map<string, readonly QuotaSample[]>()
  #last: Promise<unknown> = Promise.resolve()
  #nodes: readonly NodeSample[] = []
  #regions: readonly RegionSample[] = []
  #utilization = performance.eventLoopUtilization()

  constructor(options: MetricsOptions) {
    this.#options = options
    this.#readers = this.#readersOf()
    if (options.defaults !== false) collectDefaults(this.#registry, options.openFiles)
  }

  /** `names`: who has a label, as was agreed with other workers. */
  async render(names?: ReadonlySet<string>): Promise<string> {
    return Buffer.concat(await this.pieces(names)).toString()
  }

  /**
   * The whole page, made in slices: nodes and regions are as of one moment, and so is each family's line of one tenant; of two
   * families, or tenants, the later one may count some milliseconds more.
   */
  async pieces(names?: ReadonlySet<string>): Promise<Buffer[]> {
    // One at a time: whoever asks meanwhile has a page of its own, afterwards.
    const page = this.#last.then(() => this.#page(names))
    this.#last = page.catch(() => undefined)
    return page
  }

  /** Who would have a label here. */
  candidates(): TenantCandidates {
    const { cells, tenantLabel, tenants } = this.#options
    return candidatesOf(cells.tenants, tenantLabel(), tenants?.())
  }

  async #page(names: ReadonlySet<string> | undefined): Promise<Buffer[]> {
    const { cells, samples, tenantLabel, tenants } = this.#options
    const slices = new Slices()
    this.#quotaSamples.clear() // one that failed half way may have left some
    const steps = this.#fold.steps(cells.tenants, tenantLabel(), tenants?.(), names)
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) if (slices.isOver) await slices.rest()
    this.#tenants = step.value
    this.#nodes = [...samples.nodes()]
    this.#regions = [...samples.regions()]
    const pieces: Buffer[] = []
    let text = ''
    for (const name of Object.keys(catalogue) as MetricName[]) {
      for (const line of familyLines(metricPrefix + name, catalogue[name], this.#readers[name]())) {
        text += `${line}\n`
        if (!slices.isOver) continue
        pieces.push(Buffer.from(text))
        text = ''
        await slices.rest()
      }
      text += '\n'
    }
    pieces.push(Buffer.from(text), Buffer.from(await this.#registry.metrics()))
    this.#tenants = []
    this.#quotaSamples.clear()
    return pieces
  }

  #readersOf(): Readonly<Record<MetricName, Reader>> {
    const { cells, build, samples } = this.#options
    const { tripwires } = cells
    const node = (pick: (sample: NodeSample) => number | undefined) => () => this.#nodeValues(pick)
    return {
      build_info: () => [{ labels: { version: build.version, node: process.version, region: build.region }, value: 1 }],
      config_last_reload_successful: () => plain(cells.configLastReloadOk ? 1 : 0),
      config_last_reload_success_timestamp_seconds: () => plain(cells.configLastReloadSeconds),
      config_reloads_total: () => keyed('config_reloads_total', cells.configReloads),
      // The supervisor's (workers/aggregate.ts).
      workers: () => [],
      event_loop_utilization_ratio: () => plain(this.#utilizationNow()),

      client_connections: () => this.#connections(),
      client_connections_total: () => keyed('client_connections_total', cells.connectionsOpened),
      overload_state: () => plain(samples.overload?.().state ?? 0),
      overload_memory_ratio: () => plain(samples.overload?.().use ?? 0),
      overload_memory_limit_bytes: () => plain(samples.overload?.().limitBytes ?? 0),
      overload_commands_total: () => {
        const it = samples.overload?.()
        return [
          { labels: { how: 'refused' }, value: it?.shedCommands ?? 0 },
          { labels: { how: 'held' }, value: it?.heldCommands ?? 0 },
        ]
      },
      overload_held_tenants: () => plain(samples.overload?.().heldTenants ?? 0),
      paused_tenants: () => plain(samples.pauses?.().tenants ?? 0),
      paused_clients: () => plain(samples.pauses?.().waitingClients ?? 0),
      client_disconnects_total: () => keyed('client_disconnects_total', cells.disconnects),
      client_received_bytes_total: () => this.#tenantCounter(bytesInOffset),
      client_sent_bytes_total: () => this.#tenantCounter(bytesOutOffset),
      auth_failures_total: () => keyed('auth_failures_total', cells.authFailures),
      protocol_errors_total: () => keyed('protocol_errors_total', cells.protocolErrors),

      commands_total: () => this.#commandsTotal(),
      command_calls_total: () => this.#commandCalls(),
      denied_commands_total: () =>
        cells.commands.names.flatMap((command, id) => nonZero({ command }, cells.commands.denied[id]!)),
      command_duration_seconds: () => this.#commandDuration(),
      uncertain_total: () => plain(cells.uncertain),
      error_names_total: () => plain(cells.errorNames),
      writes_rejected_total: () => keyed('writes_rejected_total', cells.writesRejected),

      reads_total: () => this.#readsTotal(),
      read_fallbacks_total: () => this.#fallbacks(),
      read_staleness_seconds: () =>
        cells.readStaleness.flatMap((h, i) => histogram('read_staleness_seconds', { level: levelNames[i]! }, h)),

      read_staleness_by_tenant_seconds: () => this.#stalenessByTenant(),
      reads_refused_total: () =>
        readRefusalNames.map((reason, i) => ({ labels: { reason }, value: cells.readsRefused[i]! })),
      session_waits_total: () =>
        waitOutcomeNames.map((outcome, i) => ({ labels: { outcome }, value: cells.sessionWaits[i]! })),
      session_wait_seconds: () => histogram('session_wait_seconds', {}, cells.sessionWait),

      upstream_up: node((n) => (n.up ? 1 : 0)),
      upstream_role_info: () =>
        this.#nodes.map((n) => ({ labels: { region: n.region, node: n.node, role: n.role }, value: 1 })),
      upstream_rtt_seconds: node((n) => seconds(n.rttMs)),
      upstream_connections: () =>
        this.#nodes.flatMap((n) =>
          Object.entries(n.connections ?? {}).map(([state, value]) => ({
            labels: { region: n.region, node: n.node, state },
            value,
          })),
        ),
      upstream_reconnects_total: () => this.#reconnects(),
      upstream_duration_seconds: () =>
        cells.upstreamDuration.flatMap((h, i) => {
          const region = cells.regions[Math.floor(i / roleNames.length)]
          if (h === undefined || region === undefined) return []
          return histogram('upstream_duration_seconds', { region, role: roleNames[i % roleNames.length]! }, h)
        }),
      inflight_commands: () => this.#regions.map((r) => ({ labels: { region: r.region }, value: r.inflight })),
      upstream_queue_depth: () => this.#regions.map((r) => ({ labels: { region: r.region }, value: r.queueDepth })),
      replication_lag_seconds: node((n) => seconds(n.lagMs)),
      replication_lag_age_seconds: node((n) => seconds(n.lagAgeMs)),
      replica_staleness_seconds: node((n) => seconds(n.stalenessMs)),
      replication_lag_bytes: node((n) => n.lagBytes),
      walks_total: () => keyed('walks_total', cells.walks),
      primary_changes_total: () => keyed('primary_changes_total', cells.primaryChanges),
      epoch: () => plain(samples.primary().epoch),
      primary_confirmed: () => plain(samples.primary().isConfirmed ? 1 : 0),
      sentinels: () => sentinelsByState(samples.primary()),
      sentinel_switches_total: () => plain(samples.primary().sentinels?.switches ?? 0),
      writes_held_total: () => plain(cells.writesHeld),
      readonly_resent_total: () => keyed('readonly_resent_total', cells.readonlyResent),
      session_lost_writes_possible_total: () => plain(cells.lostWritesPossible),
      marks_sent_total: () => plain(cells.marksSent),

      durable_writes_total: () => this.#durableWrites(),
      durable_wait_seconds: () => this.#durableWait(),
      durable_held_clients: () => plain(samples.durableWaiting?.() ?? 0),

      turns_waited_total: () => this.#turns(),
      quota_limit: () => this.#quotas((quota) => quota.limit),
      quota_usage_ratio: () =>
        this.#quotas(({ used, share, limit }) => (used === undefined ? undefined : used / (share ?? limit))),
      quota_share_ratio: () => this.#quotas(({ limit, share }) => (share === undefined ? undefined : share / limit)),
      quota_throttled_total: () => this.#byQuota(quotaDelayedOffset, 1),
      quota_throttle_seconds_total: () => this.#byQuota(quotaDelayedMsOffset, 1000),
      quota_rejected_total: () => this.#byQuota(quotaRefusedOffset, 1),

      pubsub_subscriptions: () =>
        subscriptionKindNames.map((kind) => ({ labels: { kind }, value: cells.pubsub.subscriptions[kind] })),
      pubsub_messages_total: () => plain(cells.pubsub.delivered),
      pubsub_gaps_total: () => keyed('pubsub_gaps_total', cells.pubsub.gaps),
      pubsub_unmatched_total: () => plain(cells.pubsub.dropped),

      tenant_memory_bytes: () => this.#usage(({ bytes }) => bytes),
      tenant_memory_error_bytes: () => this.#usage(({ errorBytes }) => errorBytes),
      tenant_keys: () => this.#usage(({ keys }) => keys),
      sweep_age_seconds: () => this.#sweep(({ ageMs }) => seconds(ageMs)),
      sweep_progress_ratio: () => this.#sweep(({ progress }) => progress),
      sweep_duration_seconds: () => this.#sweep(({ durationMs }) => seconds(durationMs)),
      sweep_cpu_seconds: () => this.#sweep(({ costMs }) => seconds(costMs)),
      sweep_keys: () => this.#sweepBy('kind', ({ seen, measured, stray }) => ({ seen, measured, stray })),
      sweeps_total: () => this.#sweepBy('result', ({ ok, failed, checks }) => ({ ok, failed, check: checks })),

      desync_total: () => plain(tripwires.desync),
      foreign_prefix_total: () => plain(tripwires.foreignPrefix),
      slot_mismatch_total: () => plain(tripwires.slotMismatch),
      write_resent_after_unknown_total: () => plain(tripwires.writeResentAfterUnknown),
      uncaught_total: () => plain(tripwires.uncaught),
      fleet_proxies: () => ofFleet(samples.fleet?.(), (fleet) => fleet.proxies),
      fleet_seen: () => ofFleet(samples.fleet?.(), (fleet) => (fleet.isSeen ? 1 : 0)),
      fleet_view_age_seconds: () => ofFleet(samples.fleet?.(), (fleet) => seconds(fleet.viewAgeMs)),
      fleet_records_total: () =>
        Object.entries(samples.fleet?.()?.records ?? {}).map(([result, value]) => ({ labels: { result }, value })),
      tenants_folded: () => plain(this.#fold.foldedCount),
    }
  }

  /** Of those with a label of their own, and of all others together; nothing before the first sweep. */
  *#usage(pick: (usage: TenantUsageSample) => number | undefined): Iterable<Value> {
    const usage = this.#options.samples.usage?.()
    if (usage === undefined || usage.sweep.ageMs === undefined) return
    let rest = pick(usage.all())
    for (const { tenant } of this.#tenants) {
      const one = tenant === otherTenant ? undefined : usage.of(tenant)
      const value = one === undefined ? undefined : pick(one)
      if (value === undefined || !Number.isFinite(value)) continue
      if (rest !== undefined) rest -= value
      yield { labels: { tenant }, value }
    }
    if (rest !== undefined && this.#tenants.some(({ tenant }) => tenant === otherTenant))
      yield { labels: { tenant: otherTenant }, value: Math.max(0, rest) }
  }

  #sweep(pick: (sweep: UsageSample['sweep']) => number | undefined): Iterable<Value> {
    const usage = this.#options.samples.usage?.()
    const value = usage === undefined ? undefined : pick(usage.sweep)
    return value === undefined ? [] : plain(value)
  }

  #sweepBy(label: string, pick: (sweep: UsageSample['sweep']) => Record<string, number>): Iterable<Value> {
    const usage = this.#options.samples.usage?.()
    if (usage === undefined) return []
    return Object.entries(pick(usage.sweep)).map(([name, value]) => ({ labels: { [label]: name }, value }))
  }

  #utilizationNow(): number {
    const now = performance.eventLoopUtilization()
    const ratio = performance.eventLoopUtilization(now, this.#utilization).utilization
    this.#utilization = now
    return Number.isFinite(ratio) ? ratio : 0
  }

  *#nodeValues(pick: (sample: NodeSample) => number | undefined): Iterable<Value> {
    for (const sample of this.#nodes) {
      const value = pick(sample)
      if (value !== undefined && Number.isFinite(value)) {
        yield { labels: { region: sample.region, node: sample.node }, value }
      }
    }
  }

  /** Only of tenants that had to wait. */
  *#turns(): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) {
      const value = counters[turnsOffset]!
      if (value !== 0) yield { labels: { tenant }, value }
    }
  }

  *#connections(): Iterable<Value> {
    for (const { tenant, connections } of this.#tenants) yield { labels: { tenant }, value: connections }
  }

  *#tenantCounter(offset: number): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) yield { labels: { tenant }, value: counters[offset]! }
  }

  /** Only of tenants that have asked for it. */
  *#durableWrites(): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) {
      const [confirmed, denied] = [counters[durableOffset]!, counters[durableOffset + 1]!]
      if (confirmed + denied === 0) continue
      yield { labels: { tenant, outcome: 'confirmed' }, value: confirmed }
      yield { labels: { tenant, outcome: 'not_durable' }, value: denied }
    }
  }

  *#durableWait(): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) {
      const cell = new Histogram()
      cell.counts.set(counters.subarray(durableWaitOffset, tenantCounters - 1))
      cell.sum = counters[tenantCounters - 1]!
      if (cell.count > 0) yield* histogram('durable_wait_seconds', { tenant }, cell)
    }
  }

  /** Only what has happened: most tenants have no quotas. */
  *#byQuota(offset: number, per: number): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) {
      for (const [i, quota] of quotaNames.entries()) {
        const value = counters[offset + i]! / per
        if (value !== 0) yield { labels: { tenant, quota }, value }
      }
    }
  }

  /** Of tenants with a label of their own: limits do not add up to anything. */
  *#quotas(pick: (sample: QuotaSample) => number | undefined): Iterable<Value> {
    for (const { tenant } of this.#tenants) {
      for (const sample of this.#quotasOf(tenant)) {
        const value = pick(sample)
        if (value !== undefined) yield { labels: { tenant, quota: sample.quota }, value }
      }
    }
  }

  /** Once a page: three families show them. */
  #quotasOf(tenant: string): readonly QuotaSample[] {
    let of = this.#quotaSamples.get(tenant)
    if (of === undefined) {
      of = [...(this.#options.samples.quotas?.(tenant) ?? [])]
      this.#quotaSamples.set(tenant, of)
    }
    return of
  }

  *#commandsTotal(): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) {
      for (const [k, kind] of kindNames.entries()) {
        for (const [o, outcome] of outcomeNames.entries()) {
          const value = counters[k * outcomeNames.length + o]!
          // Reads and writes are there from the start, so that a rate over the first error is right.
          const isCommon = k < 2 && o <= Outcome.error
          if (value !== 0 || isCommon) yield { labels: { tenant, kind, outcome }, value }
        }
      }
    }
  }

  *#commandCalls(): Iterable<Value> {
    const { names, calls, errors } = this.#options.cells.commands
    for (const [id, command] of names.entries()) {
      if (calls[id] === 0) continue
      const ok = Math.max(this.#okBefore.get(id) ?? 0, calls[id]! - errors[id]!)
      this.#okBefore.set(id, ok)
      yield { labels: { command, outcome: 'ok' }, value: ok }
      yield { labels: { command, outcome: 'error' }, value: errors[id]! }
    }
  }

  *#commandDuration(): Iterable<Value> {
    for (const [i, cell] of this.#options.cells.commandDuration.entries()) {
      if (cell.count === 0) continue
      const kind = kindNames[Math.floor(i / sourceNames.length)]!
      const source = sourceNames[i % sourceNames.length]!
      yield* histogram('command_duration_seconds', { kind, source }, cell)
    }
  }

  *#readsTotal(): Iterable<Value> {
    const { regions } = this.#options.cells
    for (const { tenant, counters } of this.#tenants) {
      for (const [i, region] of regions.entries()) {
        for (let source: number = Source.local; source <= Source.primary; source++) {
          const value = counters[servedOffset + servedIndex(i, source as Source)]!
          if (value !== 0) yield { labels: { tenant, region, source: sourceNames[source]! }, value }
        }
      }
    }
  }

  *#stalenessByTenant(): Iterable<Value> {
    for (const { tenant, counters } of this.#tenants) {
      const counts = counters.subarray(stalenessOffset, stalenessSumOffset)
      if (counts.every((count) => count === 0)) continue
      const cell = { bounds: stalenessBoundsMs, counts, sum: counters[stalenessSumOffset]! }
      yield* histogram('read_staleness_by_tenant_seconds', { tenant }, cell)
    }
  }

  *#fallbacks(): Iterable<Value> {
    const { regions, fallbacks } = this.#options.cells
    for (const [from, from_region] of regions.entries()) {
      for (const [to, to_region] of regions.entries()) {
        for (const [r, reason] of fallbackReasonNames.entries()) {
          const value = fallbacks[fallbackIndex(from, to, r)]!
          if (value !== 0) yield { labels: { from_region, to_region, reason }, value }
        }
      }
    }
  }

  *#reconnects(): Iterable<Value> {
    for (const { region, node, reconnects } of this.#options.cells.nodes.values()) {
      for (const { labels, value } of reconnects.entries()) {
        yield { labels: { region, node, reason: labels[0]! }, value }
      }
    }
  }
}

/** Those of which a scrape costs the same however many clients there are. */
function collectDefaults(register: Registry, openFiles: (() => number | undefined) | undefined): void {
  collectDefaultMetrics({ register })
  // Each goes over every socket of the process; those that end in _total are gauges besides, and promtool refuses the page.
  for (const what of ['handles', 'requests', 'resources']) {
    register.removeSingleMetric(`nodejs_active_${what}`)
    register.removeSingleMetric(`nodejs_active_${what}_total`)
  }
  // It lists the descriptors to count them: 25 ms at five thousand.
  register.removeSingleMetric('process_open_fds')
  if (openFiles?.() === undefined) return
  new Gauge({
    name: 'process_open_fds',
    help: 'Number of open file descriptors.',
    registers: [register],
    collect() {
      this.set(openFiles() ?? 0)
    },
  })
}

const seconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1000)
const plain = (value: number): Value[] => [{ labels: {}, value }]
const nonZero = (labels: Labels, value: number): Value[] => (value === 0 ? [] : [{ labels, value }])

function* keyed(name: MetricName, counter: KeyedCounter): Iterable<Value> {
  const names: readonly string[] = catalogue[name].labels
  for (const { labels, value } of counter.entries()) {
    yield { labels: Object.fromEntries(names.map((label, i) => [label, labels[i] ?? ''])), value }
  }
}

/** Cumulative buckets in seconds, then sum and count, as the text format wants them. */
function histogram(
  name: MetricName,
  labels: Labels,
  cell: { readonly bounds: ArrayLike<number> & Iterable<number>; readonly counts: Float64Array; readonly sum: number },
): Value[] {
  const full = metricPrefix + name
  const values: Value[] = []
  let below = 0
  for (const [i, boundMs] of [...cell.bounds].entries()) {
    below += cell.counts[i]!
    values.push({ metricName: `${full}_bucket`, labels: { ...labels, le: String(boundMs / 1000) }, value: below })
  }
  below += cell.counts[cell.bounds.length]!
  values.push({ metricName: `${full}_bucket`, labels: { ...labels, le: '+Inf' }, value: below })
  values.push({ metricName: `${full}_sum`, labels, value: cell.sum / 1000 })
  values.push({ metricName: `${full}_count`, labels, value: below })
  return values
}

function ofFleet(fleet: FleetSample | undefined, pick: (fleet: FleetSample) => number | undefined): Value[] {
  const value = fleet === undefined ? undefined : pick(fleet)
  return value === undefined || !Number.isFinite(value) ? [] : [{ labels: {}, value }]
}

function sentinelsByState({ sentinels }: PrimarySample): Value[] {
  if (sentinels === undefined) return []
  return (['known', 'heard', 'needed'] as const).map((state) => ({ labels: { state }, value: sentinels[state] }))
}
