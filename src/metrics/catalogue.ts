/**
 * The table of every metric that Regis feeds: the names, labels and help texts that dashboards and alerts rely on.
 * docs/metrics.md is rendered from it (page.ts); registry.ts must have exactly one reader per row. Names follow
 * Prometheus: base units (`_seconds`, `_bytes`, `_ratio`), `_total` on counters, histograms instead of percentiles.
 * No key, client address, user or free text is ever a label.
 */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly unit: 'count' | 'seconds' | 'bytes' | 'ratio' | 'info' | 'bool' | 'unix seconds'
  readonly help: string
  /** The version of Regis that first had it. */
  readonly since: string
  /** What an operator does with it; on the page only. */
  readonly note?: string
}

export const metricPrefix = 'regis_'

export const catalogue = {
  // ---- This process and its configuration
  build_info: {
    type: 'gauge',
    labels: ['version', 'node', 'region'],
    unit: 'info',
    help: 'Always 1; the labels say what runs and where.',
    since: '0.1.0',
  },
  config_last_reload_successful: {
    type: 'gauge',
    labels: [],
    unit: 'bool',
    help: 'Whether the newest reload of the configuration was taken (1) or refused (0).',
    since: '0.1.0',
    note: 'Alert on 0: the file on disk is not what is running.',
  },
  config_last_reload_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    unit: 'unix seconds',
    help: 'When the running configuration was taken.',
    since: '0.1.0',
  },
  config_reloads_total: {
    type: 'counter',
    labels: ['result'],
    unit: 'count',
    help: 'Reloads of the configuration by result (ok, refused).',
    since: '0.1.0',
  },
  event_loop_utilization_ratio: {
    type: 'gauge',
    labels: [],
    unit: 'ratio',
    help: 'Share of the time since the last scrape in which the event loop was busy.',
    since: '0.1.0',
    note: 'Above 0.9 this process is the bottleneck: add a worker or a proxy.',
  },

  // ---- Clients
  client_connections: {
    type: 'gauge',
    labels: ['tenant'],
    unit: 'count',
    help: 'Open authenticated client connections.',
    since: '0.1.0',
  },
  client_connections_total: {
    type: 'counter',
    labels: ['listener', 'result'],
    unit: 'count',
    help: 'Accepted client connections by listener and result (ok, auth, limit, tls).',
    since: '0.1.0',
  },
  overload_state: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'What the proxy does because its memory runs out: 0 nothing, 1 takes no new clients, 2 refuses commands of the heaviest tenants, 3 closes the heaviest clients.',
    since: '0.2.0',
    note: 'Alert on 1 for a minute: it needs more memory, or somebody uses too much of it (docs/operations.md).',
  },
  overload_memory_ratio: {
    type: 'gauge',
    labels: [],
    unit: 'ratio',
    help: "Memory in use, of `limits.memory` or of V8's heap limit, whichever is nearer; with garbage that was not collected yet.",
    since: '0.2.0',
  },
  overload_memory_limit_bytes: {
    type: 'gauge',
    labels: [],
    unit: 'bytes',
    help: 'What `limits.memory` is.',
    since: '0.2.0',
  },
  overload_commands_total: {
    type: 'counter',
    labels: ['how'],
    unit: 'count',
    help: 'Commands that were refused (not executed) because memory is short, or held for some milliseconds because the event loop is saturated.',
    since: '0.2.0',
  },
  overload_held_tenants: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'Tenants whose commands are held for a part of the time because they use most of a saturated event loop.',
    since: '0.2.0',
  },
  paused_tenants: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'Tenants whose commands wait because an operator has paused them (PROXY PAUSE).',
    since: '0.2.0',
  },
  paused_clients: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'Clients of paused tenants whose next command waits.',
    since: '0.2.0',
  },
  client_disconnects_total: {
    type: 'counter',
    labels: ['reason'],
    unit: 'count',
    help: 'Client connections that ended, by reason.',
    since: '0.1.0',
  },
  client_received_bytes_total: {
    type: 'counter',
    labels: ['tenant'],
    unit: 'bytes',
    help: 'Bytes read from clients.',
    since: '0.1.0',
  },
  client_sent_bytes_total: {
    type: 'counter',
    labels: ['tenant'],
    unit: 'bytes',
    help: 'Bytes written to clients.',
    since: '0.1.0',
  },
  auth_failures_total: {
    type: 'counter',
    labels: ['reason'],
    unit: 'count',
    help: 'Refused logins by reason. The client is told the same text for all of them.',
    since: '0.1.0',
  },
  protocol_errors_total: {
    type: 'counter',
    labels: ['kind'],
    unit: 'count',
    help: 'Client connections closed because of bytes that are no Redis protocol, by kind.',
    since: '0.1.0',
  },

  // ---- Commands
  commands_total: {
    type: 'counter',
    labels: ['tenant', 'kind', 'outcome'],
    unit: 'count',
    help: 'Commands by tenant, kind (read, write, admin, pubsub) and outcome (ok, error, denied, throttled, timeout, uncertain).',
    since: '0.1.0',
    note: 'error is an error reply of any origin; uncertain was sent and its reply was lost.',
  },
  command_calls_total: {
    type: 'counter',
    labels: ['command', 'outcome'],
    unit: 'count',
    help: 'Commands by name and outcome (ok, error). Names outside the command table are counted as other.',
    since: '0.1.0',
  },
  denied_commands_total: {
    type: 'counter',
    labels: ['command'],
    unit: 'count',
    help: 'Commands refused because tenants may not run them, or because the command table does not know them (other).',
    since: '0.1.0',
  },
  command_duration_seconds: {
    type: 'histogram',
    labels: ['kind', 'source'],
    unit: 'seconds',
    help: 'Time from the arrival of a command to its reply, by kind and by who answered (local, remote, primary, proxy).',
    since: '0.1.0',
  },
  uncertain_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Commands whose reply was lost after they had been sent; answered -UNCERTAIN, never sent again.',
    since: '0.1.0',
  },
  error_names_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: "Error replies of nodes that passed to a client with its tenant's prefix in quotes.",
    since: '0.1.0',
    note: 'Either a value of the client that looks like a name, or a server whose texts echo names that Regis does not know of: tell us.',
  },
  writes_rejected_total: {
    type: 'counter',
    labels: ['reason'],
    unit: 'count',
    help: 'Writes answered as not executed, by reason (no_primary, split, overloaded).',
    since: '0.1.0',
  },

  // ---- Where reads go
  reads_total: {
    type: 'counter',
    labels: ['tenant', 'region', 'source'],
    unit: 'count',
    help: 'Reads by tenant, by the region that served them, and by source (local, remote, primary).',
    since: '0.1.0',
    note: 'The share of source="local" is what a region-aware proxy is for.',
  },
  read_fallbacks_total: {
    type: 'counter',
    labels: ['from_region', 'to_region', 'reason'],
    unit: 'count',
    help: 'Reads that wanted a replica and went elsewhere, by reason (lag, session, down, unknown, level, timeout, rule, order).',
    since: '0.1.0',
  },
  read_staleness_seconds: {
    type: 'histogram',
    labels: ['level'],
    unit: 'seconds',
    help: 'Proven upper bound of the age of what replicas served, by consistency level. Above the last bound: unknown too.',
    since: '0.1.0',
  },

  read_staleness_by_tenant_seconds: {
    type: 'histogram',
    labels: ['tenant'],
    unit: 'seconds',
    help: 'Proven upper bound of the age of what replicas served, by tenant. Above the last bound: unknown too.',
    since: '0.1.0',
    note: 'Measured as each read is sent, by the newest watermark that the replica had shown. Reads at the primary are not in it.',
  },
  reads_refused_total: {
    type: 'counter',
    labels: ['reason'],
    unit: 'count',
    help: 'Reads answered as not executed, by reason (limited, stale, no_node).',
    since: '0.1.0',
    note: 'limited: routing.fallback_limit. stale: when_stale kept them in the region. no_node: nobody could serve them.',
  },
  session_waits_total: {
    type: 'counter',
    labels: ['outcome'],
    unit: 'count',
    help: 'Reads that waited for a replica to catch up, by outcome (caught_up, rerouted, timeout).',
    since: '0.1.0',
  },
  session_wait_seconds: {
    type: 'histogram',
    labels: [],
    unit: 'seconds',
    help: 'How long reads waited for a replica to catch up.',
    since: '0.1.0',
  },

  // ---- Nodes
  upstream_up: {
    type: 'gauge',
    labels: ['region', 'node'],
    unit: 'bool',
    help: 'Whether the node is connected and answers.',
    since: '0.1.0',
  },
  upstream_role_info: {
    type: 'gauge',
    labels: ['region', 'node', 'role'],
    unit: 'info',
    help: 'Always 1; the role that the node itself reports (primary, replica, unknown).',
    since: '0.1.0',
  },
  upstream_rtt_seconds: {
    type: 'gauge',
    labels: ['region', 'node'],
    unit: 'seconds',
    help: 'Measured round trip to the node, smoothed.',
    since: '0.1.0',
  },
  upstream_connections: {
    type: 'gauge',
    labels: ['region', 'node', 'state'],
    unit: 'count',
    help: 'Connections to the node by state.',
    since: '0.1.0',
  },
  upstream_reconnects_total: {
    type: 'counter',
    labels: ['region', 'node', 'reason'],
    unit: 'count',
    help: 'Connections to the node that were lost or given up, by reason.',
    since: '0.1.0',
  },
  upstream_duration_seconds: {
    type: 'histogram',
    labels: ['region', 'role'],
    unit: 'seconds',
    help: 'Time from the write to a node to its reply, by region and role of the node.',
    since: '0.1.0',
  },
  inflight_commands: {
    type: 'gauge',
    labels: ['region'],
    unit: 'count',
    help: 'Commands sent to nodes of the region and not answered yet.',
    since: '0.1.0',
  },
  upstream_queue_depth: {
    type: 'gauge',
    labels: ['region'],
    unit: 'count',
    help: 'Clients that wait for room on a lane to the region.',
    since: '0.1.0',
  },
  replication_lag_seconds: {
    type: 'gauge',
    labels: ['region', 'node'],
    unit: 'seconds',
    help: 'Time that the newest watermark took from this proxy through the primary to the replica and back.',
    since: '0.1.0',
    note: 'Measured on one clock, so it includes the way back: it never says less than the truth.',
  },
  replication_lag_age_seconds: {
    type: 'gauge',
    labels: ['region', 'node'],
    unit: 'seconds',
    help: 'Time since that watermark was read back. At rest there is at most one watermark in 2 s.',
    since: '0.1.0',
  },
  replica_staleness_seconds: {
    type: 'gauge',
    labels: ['region', 'node'],
    unit: 'seconds',
    help: 'Proven upper bound of the age of the data of the replica now; absent while nothing is proven.',
    since: '0.1.0',
  },
  replication_lag_bytes: {
    type: 'gauge',
    labels: ['region', 'node'],
    unit: 'bytes',
    help: 'Distance of the replica behind the primary in the replication stream, as the servers report it.',
    since: '0.1.0',
  },
  walks_total: {
    type: 'counter',
    labels: ['kind', 'result'],
    unit: 'count',
    help: 'Walks over the keyspace of a tenant, by kind (keys, dbsize, random, flush) and result (ok, failed).',
    since: '0.1.0',
    note: 'A walk looks at every key of the server; several clients of a tenant that wait for the same share one.',
  },
  primary_changes_total: {
    type: 'counter',
    labels: ['from_region', 'to_region'],
    unit: 'count',
    help: 'Confirmed changes of the primary.',
    since: '0.1.0',
  },
  epoch: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'Number of the present epoch of this proxy: it rises whenever a primary is confirmed and whenever one is lost.',
    since: '0.1.0',
    note: 'Rising without a failover: the primary, or the way to it, comes and goes.',
  },
  primary_confirmed: {
    type: 'gauge',
    labels: [],
    unit: 'bool',
    help: 'Whether there is a node that writes go to (1) or they are held and refused (0).',
    since: '0.1.0',
    note: 'Alert on 0 for longer than a failover takes.',
  },
  sentinels: {
    type: 'gauge',
    labels: ['state'],
    unit: 'count',
    help: 'Sentinels by state: known (as many as they tell of), heard (within two seconds), needed (that must agree).',
    since: '0.1.0',
    note: 'Alert on heard below needed: writes are refused. No series without discovery.',
  },
  sentinel_switches_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Times that the Sentinels named another primary than before.',
    since: '0.1.0',
  },
  writes_held_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Times that a client was held because a command found no primary. It goes on with the next primary or is refused.',
    since: '0.1.0',
  },
  readonly_resent_total: {
    type: 'counter',
    labels: ['result'],
    unit: 'count',
    help: 'Writes that a node refused as a replica, by what became of them: resent (to the new primary, once), passed (the refusal went to the client).',
    since: '0.1.0',
  },
  session_lost_writes_possible_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Session tokens handed in that are of another replication history than the present one.',
    since: '0.1.0',
    note: 'A failover came between: what such a token covers may be lost. Its reads begin at the primary.',
  },
  marks_sent_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Watermarks written through the primary.',
    since: '0.1.0',
    note: 'What freshness costs the primary.',
  },

  // ---- Durability
  durable_writes_total: {
    type: 'counter',
    labels: ['tenant', 'outcome'],
    unit: 'count',
    help: 'Writes of tenants with durability, by outcome (confirmed, not_durable).',
    since: '0.1.0',
    note: 'not_durable: done on the primary, and answered with -NOTDURABLE.',
  },
  durable_wait_seconds: {
    type: 'histogram',
    labels: ['tenant'],
    unit: 'seconds',
    help: 'How long the replies to such writes were held until replicas confirmed them, or the time was over.',
    since: '0.1.0',
  },
  durable_held_clients: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'Clients with writes that wait for their confirmation now.',
    since: '0.1.0',
  },

  // ---- Quotas
  turns_waited_total: {
    type: 'counter',
    labels: ['tenant'],
    unit: 'count',
    help: "Times that a client waited for its tenant's turn: on a connection that others use too, or in this process.",
    since: '0.1.0',
    note: 'The tenant sends more at once than its part while others are active. Nothing is wrong, and nothing is refused.',
  },
  quota_limit: {
    type: 'gauge',
    labels: ['tenant', 'quota'],
    unit: 'count',
    help: 'What a tenant may use, by quota: units (ops) and bytes (bandwidth) a second, connections, leases, bytes (request, memory), commands (inflight), keys.',
    since: '0.1.0',
    note: 'As configured: under scope fleet for all proxies together. Only of tenants with a label of their own.',
  },
  quota_usage_ratio: {
    type: 'gauge',
    labels: ['tenant', 'quota'],
    unit: 'ratio',
    help: 'What a tenant uses at this proxy now, as a part of what it may use here.',
    since: '0.1.0',
    note: 'Of the last whole second with traffic, for ops and bandwidth. Above 0.9 for long: the tenant needs more, or is a neighbour to talk to.',
  },
  quota_throttled_total: {
    type: 'counter',
    labels: ['tenant', 'quota'],
    unit: 'count',
    help: 'Commands that waited for a quota, by tenant and quota (ops, bandwidth).',
    since: '0.1.0',
  },
  quota_throttle_seconds_total: {
    type: 'counter',
    labels: ['tenant', 'quota'],
    unit: 'seconds',
    help: 'How long commands waited for a quota, all together.',
    since: '0.1.0',
  },
  quota_rejected_total: {
    type: 'counter',
    labels: ['tenant', 'quota'],
    unit: 'count',
    help: 'Commands (ops, bandwidth, leases, request, inflight, memory, keys) and logins (connections) that a quota refused: not executed.',
    since: '0.1.0',
    note: 'A steady rate is a client that does not slow down when it is told to.',
  },

  // ---- Pub/sub
  pubsub_subscriptions: {
    type: 'gauge',
    labels: ['kind'],
    unit: 'count',
    help: 'Subscriptions of clients by kind (channel, pattern, shard); a name with ten subscribers counts ten.',
    since: '0.1.0',
  },
  pubsub_messages_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Messages delivered to clients; one with ten receivers counts ten.',
    since: '0.1.0',
  },
  pubsub_gaps_total: {
    type: 'counter',
    labels: ['reason'],
    unit: 'count',
    help: 'Times at which messages may have been lost between nodes and this proxy, by reason (lost, handover, unfenced, refused).',
    since: '0.1.0',
    note: 'lost: the node that was listened to went away. Subscribers were subscribed again elsewhere and are not told. unfenced: a message may also have come twice.',
  },
  pubsub_unmatched_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Messages that were not tried on all patterns of their tenant, because matching them took too long.',
    since: '0.1.0',
    note: 'A tenant has very many patterns, or patterns that are made to be slow.',
  },

  // ---- Memory and keys of tenants
  tenant_memory_bytes: {
    type: 'gauge',
    labels: ['tenant'],
    unit: 'bytes',
    help: 'What the keys of a tenant take, as MEMORY USAGE counts: as last measured, and with a quota what was written since.',
    since: '0.2.0',
    note: 'There while the sweep is on (`sweep.when`), from the end of the first one.',
  },
  tenant_memory_error_bytes: {
    type: 'gauge',
    labels: ['tenant'],
    unit: 'bytes',
    help: 'How far that may be off, at 95 %.',
    since: '0.2.0',
  },
  tenant_keys: {
    type: 'gauge',
    labels: ['tenant'],
    unit: 'count',
    help: 'Keys of a tenant: counted by the last sweep, and with a quota those that were written since.',
    since: '0.2.0',
  },
  sweep_age_seconds: {
    type: 'gauge',
    labels: [],
    unit: 'seconds',
    help: 'Since when the figures of the last sweep are true.',
    since: '0.2.0',
    note: 'Rises when no replica can be swept: alert above ten times `sweep.every`.',
  },
  sweep_progress_ratio: {
    type: 'gauge',
    labels: [],
    unit: 'ratio',
    help: 'How much of the keys the running sweep has seen; 0 while none runs.',
    since: '0.2.0',
  },
  sweep_duration_seconds: {
    type: 'gauge',
    labels: [],
    unit: 'seconds',
    help: 'How long the last sweep took.',
    since: '0.2.0',
  },
  sweep_cpu_seconds: {
    type: 'gauge',
    labels: [],
    unit: 'seconds',
    help: 'What the last sweep cost the swept server, by its own figures.',
    since: '0.2.0',
  },
  sweep_keys: {
    type: 'gauge',
    labels: ['kind'],
    unit: 'count',
    help: "Of the last sweep: names seen, sizes asked for, and strays, which are no tenant's (seen, measured, stray).",
    since: '0.2.0',
  },
  sweeps_total: {
    type: 'counter',
    labels: ['result'],
    unit: 'count',
    help: 'Sweeps that were finished, those that ended early, and checks of tenants that are full or in doubt (ok, failed, check).',
    since: '0.2.0',
  },

  // ---- Tripwires: 0 for ever
  desync_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Connections to nodes destroyed because a reply did not fit what was asked. Must stay 0.',
    since: '0.1.0',
  },
  foreign_prefix_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Frames or replies stopped because they lacked the prefix of their tenant. Must stay 0.',
    since: '0.1.0',
  },
  slot_mismatch_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Replies stopped because their slot belonged to another connection. Must stay 0.',
    since: '0.1.0',
  },
  write_resent_after_unknown_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Writes of unknown fate that were sent again. Must stay 0.',
    since: '0.1.0',
  },
  uncaught_total: {
    type: 'counter',
    labels: [],
    unit: 'count',
    help: 'Exceptions that reached the top of the process. Must stay 0.',
    since: '0.1.0',
  },
  tenants_folded: {
    type: 'gauge',
    labels: [],
    unit: 'count',
    help: 'Tenants counted under tenant="other", as metrics.tenant_label says.',
    since: '0.1.0',
  },
} as const satisfies Record<string, MetricRow>

export type MetricName = keyof typeof catalogue

/** Rows in the order of the table. */
export const metricRows: readonly (readonly [MetricName, MetricRow])[] = Object.entries(catalogue) as [
  MetricName,
  MetricRow,
][]
