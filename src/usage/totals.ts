/**
 * What a server says of its data as a whole: `INFO memory`, `INFO keyspace`, and whether anything was written since (`INFO
 * persistence`). Pure reading of text.
 */
import type { ServerTotals } from '../quota/memory-account.ts'

/**
 * What MEMORY USAGE counts for a key and `used_memory_dataset` leaves out: the entry of the table and the object (Redis 7.0:
 * object.c, getMemoryOverheadData: dictEntry 24, robj 16).
 */
export const keyOverheadBytes = 40

/** undefined: it does not say (refused, or another server's page). */
export function readTotals(server: string, memory: string, keyspace: string): ServerTotals | undefined {
  // `_dataset` leaves out what clients, the backlog and the tables take, which comes and goes with traffic.
  const bytes = numberAt(memory, 'used_memory_dataset') ?? numberAt(memory, 'used_memory')
  if (bytes === undefined || !keyspace.includes('# Keyspace')) return undefined
  let keys = 0
  for (const count of keysByDatabase(keyspace).values()) keys += count
  return { server, bytes: bytes + keys * keyOverheadBytes, keys }
}

/** `db0:keys=3,expires=0,avg_ttl=0`; expired keys that are not deleted yet count. */
export function keysByDatabase(keyspace: string): Map<number, number> {
  const found = new Map<number, number>()
  for (const [, database, keys] of keyspace.matchAll(/^db(\d+):keys=(\d+)/gm)) found.set(Number(database), Number(keys))
  return found
}

/** Alike at two moments: nothing was written, and nothing has expired, between them. */
export function writesSoFar(persistence: string, keyspace: string, runId: string): string {
  const changes = numberAt(persistence, 'rdb_changes_since_last_save') ?? Number.NaN
  const saved = numberAt(persistence, 'rdb_last_save_time') ?? Number.NaN
  const keys = [...keysByDatabase(keyspace)].map(([database, count]) => `${database}=${count}`).join(' ')
  // Without these lines no two moments are alike.
  return Number.isNaN(changes + saved) ? `${Math.random()}` : `${runId} ${saved} ${changes} ${keys}`
}

export function numberAt(info: string, field: string): number | undefined {
  const found = new RegExp(`^${field}:(-?\\d+(?:\\.\\d+)?)`, 'm').exec(info)
  return found === null ? undefined : Number(found[1])
}
