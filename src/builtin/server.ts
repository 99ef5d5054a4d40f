/**
 * INFO, ROLE, CONFIG GET: what clients look at before they trust a server, in Redis's field names, with the tenant's own
 * numbers. Nothing of the nodes, of other tenants or of addresses. Fields that we have no true number for are left out.
 */
import { namePatternBytesMax } from '../base/limits.ts'
import { array, bulk, integer, map, type Reply } from '../resp/encode.ts'
import { globMatch } from '../routing/glob.ts'
import type { Session } from '../session/session.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'

export const serverBuiltins: Readonly<Record<string, Builtin>> = {
  role: { run: () => array([bulk('master'), integer(0), array([])]) },
  info: { run: info },
  'config|get': { run: configGet },
}

type Section = (session: Session, host: BuiltinHost) => readonly string[]

const sections: ReadonlyMap<string, Section> = new Map<string, Section>([
  [
    'Server',
    (session, host) => {
      const seconds = Math.floor((host.wallMs() - host.startedAtMs) / 1000)
      return [
        `redis_version:${host.serverVersion()}`,
        'redis_mode:standalone',
        `os:${process.platform} ${process.arch}`,
        'arch_bits:64',
        `process_id:${process.pid}`,
        `run_id:${host.runId}`,
        `tcp_port:${session.local.slice(session.local.lastIndexOf(':') + 1)}`,
        `server_time_usec:${host.wallMs() * 1000}`,
        `uptime_in_seconds:${seconds}`,
        `uptime_in_days:${Math.floor(seconds / 86_400)}`,
        `regis_version:${host.version}`,
        `regis_region:${host.region}`,
      ]
    },
  ],
  [
    'Clients',
    (session, host) => [`connected_clients:${host.connections(session.account?.tenant?.id)}`, 'blocked_clients:0'],
  ],
  ['Memory', () => ['maxmemory:0', 'maxmemory_human:0B', 'maxmemory_policy:noeviction']],
  [
    'Persistence',
    () => ['loading:0', 'async_loading:0', 'rdb_bgsave_in_progress:0', 'aof_enabled:0', 'aof_rewrite_in_progress:0'],
  ],
  ['Stats', (session, host) => [`total_commands_processed:${host.tenantCommands(session.account?.tenant?.id)}`]],
  ['Replication', () => ['role:master', 'connected_slaves:0']],
  ['Cluster', () => ['cluster_enabled:0']],
  ['Keyspace', () => []],
])

function info(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply {
  const wanted = new Set(args.slice(1).map((arg) => arg.toString('latin1').toLowerCase()))
  const isAll = wanted.size === 0 || ['all', 'default', 'everything'].some((word) => wanted.has(word))
  const parts: string[] = []
  for (const [name, lines] of sections) {
    if (isAll || wanted.has(name.toLowerCase())) parts.push([`# ${name}`, ...lines(session, host), ''].join('\r\n'))
  }
  return { kind: 'verbatim', value: parts.join('\r\n') }
}

/** What tools ask for at the start (redis-benchmark: save, appendonly; job queues: the eviction policy). */
function configGet(args: readonly Buffer[], _session: Session, host: BuiltinHost): Reply {
  const settings: Readonly<Record<string, string>> = {
    appendonly: 'no',
    databases: '1',
    maxclients: String(host.maxClients),
    maxmemory: '0',
    'maxmemory-policy': 'noeviction',
    'notify-keyspace-events': '',
    'proto-max-bulk-len': String(host.maxRequestBytes),
    save: '',
    timeout: String(host.idleTimeoutSeconds),
  }
  const short = args.slice(2).filter((arg) => arg.length <= namePatternBytesMax)
  const patterns = short.map((arg) => Buffer.from(arg.toString('latin1').toLowerCase(), 'latin1'))
  const pairs: [Reply, Reply][] = []
  for (const [name, value] of Object.entries(settings)) {
    const bytes = Buffer.from(name)
    if (patterns.some((pattern) => globMatch(pattern, bytes, 0, bytes.length))) pairs.push([bulk(name), bulk(value)])
  }
  return map(pairs)
}
