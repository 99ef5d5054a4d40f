/**
 * INFO: what clients and dashboards look at, in Redis's field names and order of sections, with the tenant's own numbers.
 * Nothing of the nodes, of other tenants or of addresses. A field that we have no true number for is left out, save those that
 * tools cannot do without (used_memory: 0).
 */
import type { Reply } from '../resp/encode.ts'
import type { Session } from '../session/session.ts'
import { type TenantTotals, totalsOfOthers } from './across.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'

interface Facts {
  readonly session: Session
  readonly host: BuiltinHost
  readonly settings: ReadonlyMap<string, string>
  /** What other workers count of this tenant. */
  readonly others: TenantTotals
  /** undefined: not asked for, or not known in time. */
  readonly keys: number | undefined
}

type Section = (facts: Facts) => readonly string[]

const tenantOf = (session: Session): string | undefined => session.account?.tenant?.id

function server({ session, host }: Facts): readonly string[] {
  const wallMs = host.wallMs()
  const seconds = Math.floor((wallMs - host.startedAtMs) / 1000)
  return [
    `redis_version:${host.serverVersion()}`,
    'redis_git_sha1:00000000',
    'redis_git_dirty:0',
    'redis_mode:standalone',
    `os:${process.platform} ${process.arch}`,
    'arch_bits:64',
    `process_id:${process.pid}`,
    `run_id:${host.runId}`,
    `tcp_port:${session.local.slice(session.local.lastIndexOf(':') + 1)}`,
    `server_time_usec:${wallMs * 1000}`,
    `uptime_in_seconds:${seconds}`,
    `uptime_in_days:${Math.floor(seconds / 86_400)}`,
    'hz:10',
    'configured_hz:10',
    'io_threads_active:0',
    `regis_version:${host.version}`,
    `regis_region:${host.region}`,
  ]
}

function clients({ session, host, others }: Facts): readonly string[] {
  return [
    `connected_clients:${host.connections(tenantOf(session)) + others.connections}`,
    'cluster_connections:0',
    `maxclients:${host.maxClients}`,
    `blocked_clients:${host.blockedClients(tenantOf(session)) + others.blocked}`,
    'tracking_clients:0',
    'clients_in_timeout_table:0',
  ]
}

function memory({ settings }: Facts): readonly string[] {
  return [
    'used_memory:0',
    'used_memory_human:0B',
    'used_memory_peak:0',
    'used_memory_peak_human:0B',
    'maxmemory:0',
    'maxmemory_human:0B',
    `maxmemory_policy:${settings.get('maxmemory-policy') ?? 'noeviction'}`,
  ]
}

function persistence({ settings }: Facts): readonly string[] {
  return [
    'loading:0',
    'async_loading:0',
    'rdb_bgsave_in_progress:0',
    `aof_enabled:${settings.get('appendonly') === 'yes' ? 1 : 0}`,
    'aof_rewrite_in_progress:0',
  ]
}

function stats({ session, host, others }: Facts): readonly string[] {
  const cells = session.account?.tenant?.cells
  return [
    `total_connections_received:${host.tenantLogins(tenantOf(session)) + others.logins}`,
    `total_commands_processed:${host.tenantCommands(tenantOf(session)) + others.commands}`,
    `total_net_input_bytes:${(cells?.bytesIn ?? 0) + others.bytesIn}`,
    `total_net_output_bytes:${(cells?.bytesOut ?? 0) + others.bytesOut}`,
    `total_error_replies:${host.tenantErrors(session) + others.errors}`,
  ]
}

function replication(): readonly string[] {
  return ['role:master', 'connected_slaves:0', 'master_failover_state:no-failover']
}

function keyspace({ keys, session }: Facts): readonly string[] {
  return keys === undefined || keys === 0 ? [] : [`db${session.database}:keys=${keys},expires=0,avg_ttl=0`]
}

/** In the order of genRedisInfoString (server.c). `all`: only where it is named or all is asked for. */
const sections: readonly { readonly name: string; readonly lines: Section; readonly isExtra?: true }[] = [
  { name: 'Server', lines: server },
  { name: 'Clients', lines: clients },
  { name: 'Memory', lines: memory },
  { name: 'Persistence', lines: persistence },
  { name: 'Stats', lines: stats },
  { name: 'Replication', lines: replication },
  { name: 'CPU', lines: () => [] },
  { name: 'Modules', lines: () => [] },
  { name: 'Commandstats', lines: () => [], isExtra: true },
  { name: 'Errorstats', lines: () => [] },
  { name: 'Latencystats', lines: () => [], isExtra: true },
  { name: 'Cluster', lines: () => ['cluster_enabled:0'] },
  { name: 'Keyspace', lines: keyspace },
]

async function info(args: readonly Buffer[], session: Session, host: BuiltinHost): Promise<Reply> {
  const wanted = new Set(args.slice(1).map((arg) => arg.toString('latin1').toLowerCase()))
  const isAll = wanted.has('all') || wanted.has('everything')
  const isDefault = isAll || wanted.size === 0 || wanted.has('default')
  const chosen = sections.filter(
    ({ name, isExtra }) => isAll || (isDefault && isExtra !== true) || wanted.has(name.toLowerCase()),
  )
  const tenant = session.account?.tenant
  const [settings, others, keys] = await Promise.all([
    host.settings(),
    totalsOfOthers(tenant?.id, host),
    tenant !== undefined && chosen.some(({ name }) => name === 'Keyspace')
      ? host.keyspace.count(session, tenant)
      : undefined,
  ])
  const facts: Facts = { session, host, settings, others, keys }
  const value = chosen.map(({ name, lines }) => [`# ${name}`, ...lines(facts), ''].join('\r\n')).join('\r\n')
  return { kind: 'verbatim', value }
}

export const infoBuiltins: Readonly<Record<string, Builtin>> = { info: { isStateful: true, run: info } }
