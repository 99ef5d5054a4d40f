/**
 * The answers of INFO as facts. Only the lines that are used are read; a missing line leaves the fact unknown rather
 * than wrong. Field names: Redis `src/server.c`, genRedisInfoString.
 */
import type { NodeRole } from './node.ts'

export interface ReplicationFacts {
  readonly role: NodeRole
  readonly replId: string
  /** The history that this one continues, after a promotion; '' when none. */
  readonly replId2: string
  /** Written by a primary, applied by a replica. Bytes. */
  readonly offset: number
  /** `host:port` of a replica's primary, else ''. */
  readonly follows: string
  /** True on a primary. */
  readonly isLinkUp: boolean
  /** A full copy is under way. */
  readonly isSyncing: boolean
}

export interface ServerFacts {
  readonly runId: string
  readonly version: string
}

export function readReplication(info: string): ReplicationFacts {
  const field = fields(info)
  const said = field.get('role')
  const role: NodeRole = said === 'master' ? 'primary' : said === 'slave' ? 'replica' : 'unknown'
  const replId2 = field.get('master_replid2') ?? ''
  const isReplica = role === 'replica'
  return {
    role,
    replId: field.get('master_replid') ?? '',
    replId2: /^0*$/.test(replId2) ? '' : replId2,
    offset: Number(field.get(isReplica ? 'slave_repl_offset' : 'master_repl_offset') ?? 0) || 0,
    follows: isReplica ? `${field.get('master_host') ?? ''}:${field.get('master_port') ?? ''}` : '',
    isLinkUp: role === 'primary' || field.get('master_link_status') === 'up',
    isSyncing: isReplica && field.get('master_sync_in_progress') === '1',
  }
}

export function readServer(info: string): ServerFacts {
  const field = fields(info)
  return { runId: field.get('run_id') ?? '', version: field.get('redis_version') ?? '' }
}

function fields(info: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const line of info.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) found.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return found
}
