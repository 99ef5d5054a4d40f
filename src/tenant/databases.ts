/**
 * Several databases for one tenant, as sub-prefixes, and what moves a key between them. Pure.
 *
 *   databases: 1     the tenant's prefix                                     shop:
 *   databases: n     the prefix, the database's number, a colon, 0 too       shop:0:  shop:1: ... shop:15:
 *   a database of its own on the servers                                     (nothing)
 *
 * No key of one database can be a key of another: none of these is the beginning of another, since a number ends at its
 * colon. Did database 0 keep `shop:`, its key `1:a` would be database 1's `a`. See docs/decisions/0007-databases.md.
 */
import type { ErrorCode } from '../base/errors.ts'
import { type Argv, isWord, readInteger } from '../commands/keys.ts'
import { encodeRequest } from '../resp/encode.ts'

/** What keys begin with upstream, by the database that a client has selected. */
export function keyPrefixes(prefix: string, databases: number): readonly Buffer[] {
  if (databases === 1) return [Buffer.from(prefix)]
  return Array.from({ length: databases }, (_, database) => Buffer.from(`${prefix}${database}:`))
}

const intMin = -2147483648
const intMax = 2147483647

/** The database that argument `index` names, out of `count`; or Redis's error (db.c selectCommand, getIntFromObjectOrReply). */
export function databaseOf(argv: Argv, index: number, count: number): number | ErrorCode {
  const database = readInteger(argv, index)
  if (Number.isNaN(database)) return 'NOT_INTEGER'
  if (database < intMin || database > intMax) return 'INT_RANGE'
  return database >= 0 && database < count ? database : 'DB_INDEX'
}

/**
 * MOVE, or COPY with a DB option, as one request in which each name already begins with its database's number. What is
 * common to all the tenant's databases (`commonBytes` of each prefix) goes in front later, as for all others; the server
 * sees one database. MOVE becomes RENAMENX, whose `no such key` is MOVE's 0 (REPLY.moved). The order of errors is db.c's.
 */
export function acrossDatabases(
  argv: Argv,
  isMove: boolean,
  from: number,
  prefixes: readonly Buffer[],
  commonBytes: number,
): Buffer | ErrorCode {
  let to = from
  let isReplacing = false
  if (isMove) {
    const database = databaseOf(argv, 2, prefixes.length)
    if (typeof database === 'string') return database
    if (database === from) return 'SAME_OBJECT'
    to = database
  }
  for (let i = 3; i < argv.count && !isMove; i++) {
    if (isWord(argv, i, 'replace')) isReplacing = true
    else if (isWord(argv, i, 'db') && i + 1 < argv.count) {
      const database = databaseOf(argv, ++i, prefixes.length)
      if (typeof database === 'string') return database
      to = database
    } else return 'SYNTAX'
  }
  const named = (database: number, index: number): Buffer => {
    const off = argv.off[index]!
    return Buffer.concat([prefixes[database]!.subarray(commonBytes), argv.buf.subarray(off, off + argv.len[index]!)])
  }
  if (isMove) return encodeRequest(['RENAMENX', named(from, 1), named(to, 1)])
  return encodeRequest(['COPY', named(from, 1), named(to, 2), ...(isReplacing ? ['REPLACE'] : [])])
}
