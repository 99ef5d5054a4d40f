/**
 * CONFIG GET and MODULE LIST, ROLE: settings that tools and job queues ask for. Those of the data are the primary's own
 * (eviction, encodings, persistence, events), those of connections are the proxy's; addresses, files, users and sizes of the
 * shared server are not shown.
 */
import { namePatternBytesMax } from '../base/limits.ts'
import { array, bulk, integer, map, type Reply } from '../resp/encode.ts'
import { globMatch } from '../routing/glob.ts'
import type { Session } from '../session/session.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'

/** What the primary says, for those it has; asked for by these very names. */
export const sharedSettings: readonly string[] = [
  ...['activerehashing', 'appendfsync', 'appendonly', 'busy-reply-threshold', 'hash-max-listpack-entries'],
  ...['hash-max-listpack-value', 'hash-max-ziplist-entries', 'hash-max-ziplist-value', 'hll-sparse-max-bytes'],
  ...['latency-monitor-threshold', 'lazyfree-lazy-eviction', 'lazyfree-lazy-expire', 'lazyfree-lazy-server-del'],
  ...['lazyfree-lazy-user-del', 'lazyfree-lazy-user-flush', 'lfu-decay-time', 'lfu-log-factor', 'list-compress-depth'],
  ...['list-max-listpack-size', 'list-max-ziplist-size', 'lua-time-limit', 'maxmemory-policy', 'maxmemory-samples'],
  ...['min-replicas-max-lag', 'min-replicas-to-write', 'notify-keyspace-events', 'save', 'set-max-intset-entries'],
  ...['set-max-listpack-entries', 'set-max-listpack-value', 'slowlog-log-slower-than', 'slowlog-max-len'],
  ...['stream-node-max-bytes', 'stream-node-max-entries', 'tracking-table-max-keys', 'zset-max-listpack-entries'],
  ...['zset-max-listpack-value', 'zset-max-ziplist-entries', 'zset-max-ziplist-value'],
]

/** Before the primary was asked: Redis's own defaults, without persistence. */
export const defaultSettings: Readonly<Record<string, string>> = {
  appendonly: 'no',
  'maxmemory-policy': 'noeviction',
  'notify-keyspace-events': '',
  save: '',
}

async function configGet(args: readonly Buffer[], session: Session, host: BuiltinHost): Promise<Reply> {
  const settings = new Map<string, string>([
    ...(await host.settings()),
    ['databases', String(session.account?.tenant?.prefixes.length ?? 1)],
    ['maxclients', String(host.maxClients)],
    ['maxmemory', '0'],
    ['proto-max-bulk-len', String(host.maxRequestBytes)],
    ['timeout', String(host.idleTimeoutSeconds)],
  ])
  const patterns = args
    .slice(2)
    .filter((arg) => arg.length <= namePatternBytesMax)
    .map((arg) => Buffer.from(arg.toString('latin1').toLowerCase(), 'latin1'))
  const pairs: [Reply, Reply][] = []
  for (const [name, value] of [...settings].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const bytes = Buffer.from(name)
    if (patterns.some((pattern) => globMatch(pattern, bytes, 0, bytes.length))) pairs.push([bulk(name), bulk(value)])
  }
  return map(pairs)
}

export const configBuiltins: Readonly<Record<string, Builtin>> = {
  'config|get': { isStateful: true, run: configGet },
  'module|list': { run: () => array([]) },
  role: { run: () => array([bulk('master'), integer(0), array([])]) },
}
