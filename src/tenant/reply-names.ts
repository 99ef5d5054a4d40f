/**
 * Takes the tenant's prefix off the names in a reply, for the commands whose policy row says that there are names
 * (REPLY in commands/spec.ts), and takes denied commands out of the replies of COMMAND. Works on one complete reply.
 *
 * A name is looked for only where the command puts one; a value that happens to begin with the prefix stays as it is.
 * Where a name must stand and has not the tenant's prefix, the answer is undefined: the reply may belong to somebody
 * else, nothing of it may be delivered, and the connection it came on cannot be trusted.
 */
import type { CommandTable } from '../commands/lookup.ts'
import { type CommandSpec, REPLY } from '../commands/spec.ts'
import { elements, isAggregate, readHead, skip, skipAttributes, stringAt, TYPE } from '../resp/reply-walk.ts'

const noSuchKey = Buffer.from('-ERR no such key\r\n') // RENAMENX of a missing key (db.c renameGenericCommand)
const notMoved = Buffer.from(':0\r\n')
const noGroupKey = Buffer.from("-NOGROUP No such key '")
const noGroupName = Buffer.from("-NOGROUP No such consumer group '")
const forKeyName = Buffer.from("' for key name '")
const unknownCommand = Buffer.from('-ERR unknown command ') // the name in quotes, before 7.0 in backquotes
const withArgs = Buffer.from(', with args beginning with: ')
const crlf = Buffer.from('\r\n')

/** Whether `part` stands at `at`. */
function has(buf: Buffer, at: number, part: Buffer): boolean {
  return at + part.length <= buf.length && buf.compare(part, 0, part.length, at, at + part.length) === 0
}

/**
 * The client's reply: `reply` itself where nothing had to change, else a new buffer; undefined when a name lacks the
 * prefix or the reply has not the shape of its command. `mode` is the command's CommandTable.replyMode. Throws
 * MalformedReply when the bytes are no complete reply. `denied`: what this user may not run on top, hidden from COMMAND.
 */
export function stripReply(
  mode: number,
  reply: Buffer,
  prefix: Buffer,
  table: CommandTable,
  denied?: (spec: CommandSpec) => boolean,
): Buffer | undefined {
  if (mode === REPLY.pass) return reply
  const value = skipAttributes(reply, 0, reply.length)
  if (value < 0) return undefined
  if (mode === REPLY.moved) return has(reply, value, noSuchKey) ? notMoved : reply
  if (reply[value] === TYPE.error) return value === 0 ? stripError(reply, prefix) : undefined
  switch (mode) {
    case REPLY.errorNames:
      return reply
    case REPLY.firstElement:
      return stripFirstElement(reply, prefix)
    case REPLY.streams:
      return stripStreams(reply, prefix)
    case REPLY.commandAll:
    case REPLY.commandInfo:
    case REPLY.commandDocs:
      return filterTable(mode, reply, value, (name) => isHiddenName(table, name, denied))
    default:
      return undefined
  }
}

type Hides = (name: Buffer | undefined) => boolean

/** The three replies that describe commands. */
function filterTable(mode: number, reply: Buffer, value: number, hides: Hides): Buffer | undefined {
  switch (mode) {
    case REPLY.commandAll:
      return filterCommands(reply, 0, reply.length, hides, 'drop', true)
    case REPLY.commandInfo: {
      // Without names COMMAND INFO is COMMAND; both look alike here, except that nobody asks for so many by name
      // unless COMMAND LIST, where denied ones are hidden, has told the names.
      const isWhole = (readHead(reply, value, reply.length)?.count ?? 0) >= 200
      return filterCommands(reply, 0, reply.length, hides, isWhole ? 'drop' : 'null', true)
    }
    default:
      return filterDocs(reply, 0, reply.length, hides, true)
  }
}

/**
 * The error texts of Redis 7.0 that echo a key (t_stream.c), and the unknown command of a server older than our table
 * of newer commands, which echoes the rewritten arguments, cut off anywhere: they are left out.
 */
function stripError(reply: Buffer, prefix: Buffer): Buffer | undefined {
  if (has(reply, 0, noGroupKey)) {
    const at = noGroupKey.length
    return has(reply, at, prefix) ? without(reply, [at], prefix.length) : undefined
  }
  if (has(reply, 0, noGroupName)) {
    // The group's name comes first and may itself contain these words, so every place counts.
    const places: number[] = []
    let at = reply.indexOf(forKeyName, noGroupName.length)
    for (; at >= 0; at = reply.indexOf(forKeyName, at + 1)) {
      const name = at + forKeyName.length
      if (has(reply, name, prefix)) places.push(name)
    }
    return places.length > 0 ? without(reply, places, prefix.length) : undefined
  }
  if (has(reply, 0, unknownCommand)) {
    const args = reply.indexOf(withArgs)
    return args < 0 ? reply : Buffer.concat([reply.subarray(0, args + withArgs.length), crlf])
  }
  return reply
}

/** `buf` without `length` bytes at each of the ascending places. */
function without(buf: Buffer, places: readonly number[], length: number): Buffer {
  const pieces: Buffer[] = []
  let from = 0
  for (const place of places) {
    if (place < from) continue // inside what was taken out already
    pieces.push(buf.subarray(from, place))
    from = place + length
  }
  pieces.push(buf.subarray(from))
  return Buffer.concat(pieces)
}

const isNull = (reply: Buffer, pos: number, end: number): boolean => readHead(reply, pos, end)?.count === -1

/** Collects a reply with some of its bulk strings replaced. */
class NameStripper {
  readonly #reply: Buffer
  readonly #prefix: Buffer
  readonly #pieces: Buffer[] = []
  #from = 0

  constructor(reply: Buffer, prefix: Buffer) {
    this.#reply = reply
    this.#prefix = prefix
  }

  /** Takes the prefix off the bulk string at `pos`; false when it is none or has no prefix. */
  strip(pos: number): boolean {
    const head = readHead(this.#reply, pos, this.#reply.length)
    if (head === undefined || head.type !== TYPE.bulk || head.count < this.#prefix.length) return false
    if (!has(this.#reply, head.next, this.#prefix)) return false
    const header = Buffer.from(`$${head.count - this.#prefix.length}\r\n`)
    this.#pieces.push(this.#reply.subarray(this.#from, pos), header)
    this.#from = head.next + this.#prefix.length
    return true
  }

  result(): Buffer {
    this.#pieces.push(this.#reply.subarray(this.#from))
    return Buffer.concat(this.#pieces)
  }
}

/** LMPOP, ZMPOP: null, or [name, elements]. */
function stripFirstElement(reply: Buffer, prefix: Buffer): Buffer | undefined {
  if (isNull(reply, 0, reply.length)) return reply
  const head = readHead(reply, 0, reply.length)
  if (head === undefined || head.type !== TYPE.array || head.count < 1) return undefined
  const names = new NameStripper(reply, prefix)
  return names.strip(head.next) ? names.result() : undefined
}

/** XREAD, XREADGROUP: null, an array of [name, entries] (RESP2), or a map name -> entries (RESP3). */
function stripStreams(reply: Buffer, prefix: Buffer): Buffer | undefined {
  if (isNull(reply, 0, reply.length)) return reply
  const head = readHead(reply, 0, reply.length)
  if (head === undefined || (head.type !== TYPE.array && head.type !== TYPE.map)) return undefined
  const names = new NameStripper(reply, prefix)
  const step = head.type === TYPE.map ? 2 : 1
  let at = head.next
  for (let i = 0; i < head.count; i += step) {
    if (head.type === TYPE.map) {
      if (!names.strip(at)) return undefined
      at = skip(reply, at, reply.length)
    } else {
      const pair = readHead(reply, at, reply.length)
      if (pair === undefined || pair.type !== TYPE.array || pair.count !== 2 || !names.strip(pair.next))
        return undefined
    }
    if (at >= 0) at = skip(reply, at, reply.length)
    if (at < 0) return undefined
  }
  return names.result()
}

/** Whether a tenant may not know of a command: denied, or unknown to our table. Names as Redis writes them. */
function isHiddenName(table: CommandTable, name: Buffer | undefined, denied?: (spec: CommandSpec) => boolean): boolean {
  const spec = name === undefined ? undefined : table.byName(name.toString('latin1'))
  return spec === undefined || table.isHidden(spec, denied)
}

/**
 * The array at `pos` of entries as COMMAND gives them, without hidden ones or with null in their place; their arrays of
 * subcommands (from 7.0 on the tenth element) likewise, always without. Only two levels exist.
 */
function filterCommands(
  buf: Buffer,
  pos: number,
  end: number,
  hides: Hides,
  hidden: 'drop' | 'null',
  isTop: boolean,
): Buffer | undefined {
  const head = readHead(buf, pos, end)
  // Commands are an array, subcommands a set on RESP3.
  if (head === undefined || (head.type !== TYPE.array && head.type !== TYPE.set) || head.count < 0) return undefined
  const kept: Buffer[] = []
  const entries = elements(buf, pos, end)
  for (const [i, start] of entries.entries()) {
    const stop = entries[i + 1] ?? skip(buf, start, end)
    const [name, , flags, ...more] = elements(buf, start, stop)
    const subs = more[6]
    if (name === undefined)
      kept.push(buf.subarray(start, stop)) // null: the server does not know it
    else if (hides(stringAt(buf, name, stop))) {
      // Flags are a set on RESP3: so the null of that version.
      const isResp3 = flags !== undefined && buf[flags] === TYPE.set
      if (hidden === 'null') kept.push(Buffer.from(isResp3 ? '_\r\n' : '*-1\r\n'))
    } else if (!isTop || subs === undefined) kept.push(buf.subarray(start, stop))
    else {
      const subsEnd = skip(buf, subs, stop)
      const filtered = filterCommands(buf, subs, subsEnd, hides, 'drop', false)
      if (filtered === undefined) return undefined
      kept.push(Buffer.concat([buf.subarray(start, subs), filtered, buf.subarray(subsEnd, stop)]))
    }
  }
  return Buffer.concat([Buffer.from(`${String.fromCharCode(head.type)}${kept.length}\r\n`), ...kept])
}

/** COMMAND DOCS: names and their docs, a map on RESP3, in turn in an array on RESP2; `subcommands` inside the same way. */
function filterDocs(buf: Buffer, pos: number, end: number, hides: Hides, isTop: boolean): Buffer | undefined {
  const head = readHead(buf, pos, end)
  if (head === undefined || !isAggregate(head.type) || head.count < 0 || head.count % 2 !== 0) return undefined
  const kept: Buffer[] = []
  let pairs = 0
  const values = elements(buf, pos, end)
  for (let i = 0; i < values.length; i += 2) {
    const start = values[i]!
    const docs = values[i + 1]!
    const stop = values[i + 2] ?? skip(buf, docs, end)
    if (hides(stringAt(buf, start, docs))) continue
    pairs++
    const subs = isTop ? subcommandDocs(buf, docs, stop) : -1
    if (subs < 0) {
      kept.push(buf.subarray(start, stop))
      continue
    }
    const subsEnd = skip(buf, subs, stop)
    const filtered = filterDocs(buf, subs, subsEnd, hides, false)
    if (filtered === undefined) return undefined
    kept.push(buf.subarray(start, subs), filtered, buf.subarray(subsEnd, stop))
  }
  const header = head.type === TYPE.map ? `%${pairs}\r\n` : `*${pairs * 2}\r\n`
  return Buffer.concat([Buffer.from(header), ...kept])
}

/** Position of the value behind the word `subcommands`, -1 when there is none. */
function subcommandDocs(buf: Buffer, pos: number, end: number): number {
  const fields = elements(buf, pos, end)
  for (let i = 0; i + 1 < fields.length; i += 2)
    if (stringAt(buf, fields[i]!, end)?.equals(Buffer.from('subcommands')) === true) return fields[i + 1]!
  return -1
}
