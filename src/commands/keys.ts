/**
 * Which arguments of a request are key names: found, never guessed. Where the keys cannot be told, the answer is the
 * error that Redis itself gives for such arguments, and nothing is sent. Where they can, every other mistake is left
 * to the server, so that its own text comes back.
 *
 * The finders read arguments exactly as the command's own parser in Redis does (t_zset.c, t_stream.c, sort.c, geo.c,
 * db.c of 7.0), not as its key extraction does: the two differ, e.g. for a consumer that is named STREAMS. Redis
 * compares option words with strcasecmp, for which a word ends at a NUL byte; so do we.
 *
 * Columns of a finder: numkeys: keyFirst = argument of the count, keyLast = destination or 0, keyStep = step of the
 * counted keys. geostore: keyFirst = first option. sort: keyLast = 1 where STORE is an option. The others need none.
 */
import type { ErrorCode } from '../base/errors.ts'
import type { CommandTable } from './lookup.ts'
import { FINDER, KEYS, NUMKEYS_RULE } from './spec.ts'

/** A framed request: argument i is `buf[off[i] .. off[i] + len[i])`. Argument 0 is the command's name. */
export interface Argv {
  buf: Uint8Array
  count: number
  off: Int32Array
  len: Int32Array
}

export interface KeyList {
  count: number
  /** Ascending indices of the arguments that get the prefix prepended; grown as needed. */
  arg: Int32Array
  /**
   * How many of them are patterns (SORT ... BY, GET): the command reads keys that the request does not name, so a
   * promise per key cannot cover it and the tenant's newest write must.
   */
  patterns?: number
  /** An option makes the command wait (XREAD ... BLOCK). */
  blocks?: boolean
  /** MOVE, COPY ... DB: speaks of another database. Such a request is never sent as it is; see tenant/databases.ts. */
  crosses?: boolean
  /** It is a channel, which has the tenant's prefix whatever database is selected. */
  isChannel?: boolean
}

export function newKeyList(): KeyList {
  return { count: 0, arg: new Int32Array(64), patterns: 0 }
}

function add(keys: KeyList, index: number): void {
  if (keys.count === keys.arg.length) {
    const larger = new Int32Array(keys.arg.length * 2 + 8)
    larger.set(keys.arg)
    keys.arg = larger
  }
  keys.arg[keys.count++] = index
}

/** strcasecmp(argument, word) == 0. `word` is lower case ASCII. */
export function isWord(argv: Argv, index: number, word: string): boolean {
  const off = argv.off[index]!
  const len = argv.len[index]!
  if (len < word.length) return false
  for (let i = 0; i < word.length; i++) {
    const byte = argv.buf[off + i]!
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (lower !== word.charCodeAt(i)) return false
  }
  return len === word.length || argv.buf[off + word.length] === 0
}

function isInt64(buf: Uint8Array, off: number, len: number): boolean {
  const value = BigInt(Buffer.from(buf.subarray(off, off + len)).toString('latin1'))
  return value === BigInt.asIntN(64, value)
}

/** A whole number as Redis reads one (util.c string2ll: no sign +, no spaces, no leading zeros); NaN when it is none. */
export function readInteger(argv: Argv, index: number): number {
  const off = argv.off[index]!
  const len = argv.len[index]!
  if (len === 0 || len > 20) return Number.NaN
  const negative = argv.buf[off] === 0x2d
  const first = negative ? 1 : 0
  if (len === first) return Number.NaN
  if (argv.buf[off + first] === 0x30) return len === 1 ? 0 : Number.NaN
  let value = 0
  for (let i = first; i < len; i++) {
    const digit = argv.buf[off + i]! - 0x30
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  // Above 2^53 the value is only compared with small counts; but above 2^63 Redis says that it is no integer.
  if (len - first >= 19 && !isInt64(argv.buf, off, len)) return Number.NaN
  return negative ? -value : value
}

/** The error for a count of keys that is not one of 1 to `most` (0 too for scripts); undefined when it is. */
function numkeysError(rule: number, value: number, most: number): ErrorCode | undefined {
  switch (rule) {
    case NUMKEYS_RULE.atLeastOne: // t_zset.c zunionInterDiffGenericCommand
      if (Number.isNaN(value)) return 'NOT_INTEGER'
      return value < 1 ? 'NO_INPUT_KEY' : value > most ? 'SYNTAX' : undefined
    case NUMKEYS_RULE.positive: // t_list.c lmpopGenericCommand, t_zset.c zmpopGenericCommand
      return !(value >= 1) ? 'NUMKEYS_POSITIVE' : value > most ? 'SYNTAX' : undefined
    case NUMKEYS_RULE.positiveStrict: // t_set.c sinterCardCommand
      return !(value >= 1) ? 'NUMKEYS_POSITIVE' : value > most ? 'NUMKEYS' : undefined
    case NUMKEYS_RULE.msetex: // t_string.c msetexCommand, of Valkey 9.1
      return !(value >= 1) || value > 0x7fffffff ? 'NUMKEYS_RANGE' : value > most ? 'SYNTAX' : undefined
    case NUMKEYS_RULE.function: // functions.c fcallCommandGeneric
      if (Number.isNaN(value)) return 'NUMKEYS_FUNCTION'
      return value < 0 ? 'NUMKEYS_NEGATIVE' : value > most ? 'NUMKEYS' : undefined
    default: // eval.c evalGenericCommand
      if (Number.isNaN(value)) return 'NOT_INTEGER'
      return value < 0 ? 'NUMKEYS_NEGATIVE' : value > most ? 'NUMKEYS' : undefined
  }
}

function findCounted(table: CommandTable, id: number, argv: Argv, keys: KeyList): ErrorCode | undefined {
  const at = table.keyFirst[id]!
  const step = table.keyStep[id]!
  if (at >= argv.count) return 'SYNTAX'
  const value = readInteger(argv, at)
  const error = numkeysError(table.numkeysRule[id]!, value, Math.floor((argv.count - at - 1) / step))
  if (error !== undefined) return error
  if (table.keyLast[id] !== 0) add(keys, table.keyLast[id]!)
  for (let i = 0; i < value; i++) add(keys, at + 1 + i * step)
  return undefined
}

/** XREAD and XREADGROUP: t_stream.c xreadCommand. */
function findStreams(argv: Argv, keys: KeyList): ErrorCode | undefined {
  for (let i = 1; i < argv.count; i++) {
    const more = argv.count - i - 1
    if (isWord(argv, i, 'streams') && more > 0) {
      if (more % 2 !== 0) return 'UNBALANCED_STREAMS'
      for (let k = 1; k <= more / 2; k++) add(keys, i + k)
      return undefined
    }
    if (isWord(argv, i, 'block') && more > 0) {
      keys.blocks = true
      i++
    } else if (isWord(argv, i, 'count') && more > 0) {
      i++
      if (Number.isNaN(readInteger(argv, i))) return 'NOT_INTEGER'
    } else if ((isWord(argv, i, 'claim') || isWord(argv, i, 'maxcount') || isWord(argv, i, 'maxsize')) && more > 0) {
      i++ // newer than 7.0 (8.4, 8.10); an older server refuses the whole command
    } else if (isWord(argv, i, 'group') && more >= 2) i += 2
    else if (!isWord(argv, i, 'noack')) return 'SYNTAX'
  }
  return 'SYNTAX'
}

/** strchr(argument, '*') != NULL. */
function hasStar(argv: Argv, index: number): boolean {
  const end = argv.off[index]! + argv.len[index]!
  for (let i = argv.off[index]!; i < end && argv.buf[i] !== 0; i++) if (argv.buf[i] === 0x2a) return true
  return false
}

/** GET # means the element itself (sort.c lookupKeyByPattern). */
function isSelf(argv: Argv, index: number): boolean {
  const off = argv.off[index]!
  const len = argv.len[index]!
  return len > 0 && argv.buf[off] === 0x23 && (len === 1 || argv.buf[off + 1] === 0)
}

/**
 * SORT and SORT_RO: sort.c sortCommandGeneric. `withPatterns`: BY and GET patterns count as keys; in both the prefix
 * goes in front, as a pattern's key part comes before its `->field`. A repeated STORE is prefixed each time; Redis
 * uses the last.
 */
function findSort(argv: Argv, keys: KeyList, hasStore: boolean, withPatterns: boolean): ErrorCode | undefined {
  add(keys, 1)
  let patterns = 0
  for (let i = 2; i < argv.count; i++) {
    const more = argv.count - i - 1
    if (isWord(argv, i, 'limit') && more >= 2) {
      if (Number.isNaN(readInteger(argv, i + 1)) || Number.isNaN(readInteger(argv, i + 2))) return 'NOT_INTEGER'
      i += 2
    } else if (hasStore && isWord(argv, i, 'store') && more >= 1) {
      i++
      add(keys, i)
    } else if (isWord(argv, i, 'by') && more >= 1) {
      i++
      if (withPatterns && hasStar(argv, i)) {
        add(keys, i)
        patterns++
      }
    } else if (isWord(argv, i, 'get') && more >= 1) {
      i++
      if (withPatterns && !isSelf(argv, i)) {
        add(keys, i)
        patterns++
      }
    } else if (!isWord(argv, i, 'asc') && !isWord(argv, i, 'desc') && !isWord(argv, i, 'alpha')) return 'SYNTAX'
  }
  keys.patterns = patterns
  return undefined
}

/** GEORADIUS and GEORADIUSBYMEMBER: geo.c georadiusGeneric. */
function findGeostore(options: number, argv: Argv, keys: KeyList): ErrorCode | undefined {
  add(keys, 1)
  for (let i = options; i < argv.count; i++) {
    const more = argv.count - i - 1
    if (isWord(argv, i, 'count') && more > 0) i++
    else if ((isWord(argv, i, 'store') || isWord(argv, i, 'storedist')) && more > 0) {
      i++
      add(keys, i)
    } else if (
      !isWord(argv, i, 'withdist') &&
      !isWord(argv, i, 'withhash') &&
      !isWord(argv, i, 'withcoord') &&
      !isWord(argv, i, 'any') &&
      !isWord(argv, i, 'asc') &&
      !isWord(argv, i, 'desc')
    )
      return 'SYNTAX'
  }
  return undefined
}

/**
 * COPY: db.c copyCommand. With a database it is not for a server as it stands, whichever it is: the server's databases are
 * not the tenant's. `asServer`: the option is one like others.
 */
function findCopy(argv: Argv, keys: KeyList, asServer: boolean): ErrorCode | undefined {
  add(keys, 1)
  add(keys, 2)
  for (let i = 3; i < argv.count && !asServer; i++) {
    if (isWord(argv, i, 'db') && i + 1 < argv.count) {
      keys.crosses = true
      return 'NOPERM'
    }
    if (!isWord(argv, i, 'replace')) return 'SYNTAX'
  }
  return undefined
}

/** MOVE never leaves as it is: what leaves is the RENAMENX that tenant/databases.ts makes of it. */
function findMove(argv: Argv, keys: KeyList, asServer: boolean): ErrorCode | undefined {
  add(keys, 1)
  if (asServer) return undefined
  if (isWord(argv, 0, 'renamenx')) {
    add(keys, 2)
    return undefined
  }
  keys.crosses = true
  return 'NOPERM'
}

/**
 * Fills `keys` for a request whose arity was checked. Undefined when fine, else the error to answer; a `%s` in its
 * text is the command's name. Allocates only when `keys.arg` must grow.
 */
export function findKeys(table: CommandTable, id: number, argv: Argv, keys: KeyList): ErrorCode | undefined {
  return find(table, id, argv, keys, false)
}

/**
 * The keys as COMMAND GETKEYS means them: patterns of SORT are none, and what only this proxy refuses (another database)
 * is fine.
 */
export function findNamedKeys(table: CommandTable, id: number, argv: Argv, keys: KeyList): ErrorCode | undefined {
  return find(table, id, argv, keys, true)
}

function find(table: CommandTable, id: number, argv: Argv, keys: KeyList, asServer: boolean): ErrorCode | undefined {
  keys.count = 0
  keys.patterns = 0
  keys.blocks = false
  keys.crosses = false
  keys.isChannel = false
  const mode = table.keyMode[id]
  if (mode === KEYS.none) return undefined
  if (mode === KEYS.range) {
    const end = table.keyLast[id]!
    const last = end < 0 ? argv.count + end : Math.min(end, argv.count - 1)
    const step = table.keyStep[id]!
    for (let i = table.keyFirst[id]!; i <= last; i += step) add(keys, i)
    return undefined
  }
  switch (table.finder[id]) {
    case FINDER.numkeys:
      return findCounted(table, id, argv, keys)
    case FINDER.streams:
      return findStreams(argv, keys)
    case FINDER.sort:
      return findSort(argv, keys, table.keyLast[id] === 1, !asServer)
    case FINDER.geostore:
      return findGeostore(table.keyFirst[id]!, argv, keys)
    case FINDER.copy:
      return findCopy(argv, keys, asServer)
    case FINDER.channel:
      add(keys, 1)
      keys.isChannel = true
      return undefined
    case FINDER.move:
      return findMove(argv, keys, asServer)
    default:
      return 'SYNTAX' // a finder without code: never forwarded
  }
}
