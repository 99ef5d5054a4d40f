/**
 * Walks complete replies that lie in one buffer, RESP2 and RESP3: where a value ends, what its header says, and a
 * small decoder for our own questions to a server. Nothing here recurses: a reply can be nested as deep as the server
 * likes (a script returned a table that holds itself). Splitting a stream into replies is reply-framer's.
 *
 * Attributes ('|') belong to the value behind them and are walked with it. Streamed types ('$?', '*?') are not sent by
 * any Redis and are malformed here.
 */

/** Thrown where bytes are no RESP at all. Nothing behind them can be trusted: the connection must go. */
export class MalformedReply extends RangeError {
  override name = 'MalformedReply'
}

/** decode() refuses what is nested deeper. Redis's own replies end at about seven. */
export const decodeDepthMax = 1024

export const TYPE = {
  status: 0x2b, // +
  error: 0x2d, // -
  integer: 0x3a, // :
  bulk: 0x24, // $
  array: 0x2a, // *
  null: 0x5f, // _
  double: 0x2c, // ,
  boolean: 0x23, // #
  bulkError: 0x21, // !
  verbatim: 0x3d, // =
  bigNumber: 0x28, // (
  map: 0x25, // %
  set: 0x7e, // ~
  push: 0x3e, // >
  attribute: 0x7c, // |
} as const

/** The first line of a value. */
export interface Head {
  /** First byte, one of TYPE. */
  readonly type: number
  /** Aggregates: values that follow (two for each pair of a map). Bulk strings: bytes. -1: null. Lines: 0. */
  readonly count: number
  /** Behind the first CRLF. */
  readonly next: number
}

/** Position of the CR of the line that holds `pos`, or -1 when it has no end before `end`. */
function lineEnd(buf: Buffer, pos: number, end: number): number {
  const at = buf.indexOf(0x0d, pos)
  if (at < 0 || at + 1 >= end) return -1
  if (buf[at + 1] !== 0x0a) throw new MalformedReply('a line with a bare CR')
  return at
}

/** A length: digits without leading zeros, or -1 where null is allowed. */
function length(buf: Buffer, pos: number, end: number, nullable: boolean): number {
  if (nullable && end - pos === 2 && buf[pos] === 0x2d && buf[pos + 1] === 0x31) return -1
  const digits = end - pos
  if (digits < 1 || digits > 15 || (digits > 1 && buf[pos] === 0x30)) throw new MalformedReply('a bad length')
  let value = 0
  for (let i = pos; i < end; i++) {
    const digit = buf[i]! - 0x30
    if (digit < 0 || digit > 9) throw new MalformedReply('a bad length')
    value = value * 10 + digit
  }
  return value
}

/** The header of the value at `pos`; undefined when its line is not complete before `end`. */
export function readHead(buf: Buffer, pos: number, end: number): Head | undefined {
  if (pos >= end) return undefined
  const cr = lineEnd(buf, pos, end)
  if (cr < 0) return undefined
  const type = buf[pos]!
  const next = cr + 2
  switch (type) {
    case TYPE.status:
    case TYPE.error:
    case TYPE.integer:
    case TYPE.double:
    case TYPE.boolean:
    case TYPE.bigNumber:
      return { type, count: 0, next }
    case TYPE.null:
      return { type, count: -1, next }
    case TYPE.bulk:
    case TYPE.array:
      return { type, count: length(buf, pos + 1, cr, true), next }
    case TYPE.bulkError:
    case TYPE.verbatim:
    case TYPE.set:
    case TYPE.push:
      return { type, count: length(buf, pos + 1, cr, false), next }
    case TYPE.map:
    case TYPE.attribute:
      return { type, count: 2 * length(buf, pos + 1, cr, false), next }
    default:
      throw new MalformedReply('a reply of an unknown type')
  }
}

const isBulk = (type: number): boolean => type === TYPE.bulk || type === TYPE.bulkError || type === TYPE.verbatim
export const isAggregate = (type: number): boolean =>
  type === TYPE.array || type === TYPE.map || type === TYPE.set || type === TYPE.push || type === TYPE.attribute

/** Position behind the bytes of a bulk and their CRLF; -1 when they are not all there. */
function bulkEnd(buf: Buffer, head: Head, end: number): number {
  if (head.count < 0) return head.next
  const cr = head.next + head.count
  if (cr + 2 > end) return -1
  if (buf[cr] !== 0x0d || buf[cr + 1] !== 0x0a) throw new MalformedReply('a bulk string longer than it says')
  return cr + 2
}

/**
 * End of the value at `pos`, its attributes included; -1 when it is not complete before `end`. Throws MalformedReply.
 * A counter is enough: what is open is only how many values are still to come, not where they belong.
 */
export function skip(buf: Buffer, pos: number, end: number): number {
  let left = 1
  let at = pos
  while (left > 0) {
    const head = readHead(buf, at, end)
    if (head === undefined) return -1
    if (head.type === TYPE.attribute) left += head.count
    else {
      left--
      if (isAggregate(head.type) && head.count > 0) left += head.count
    }
    at = isBulk(head.type) ? bulkEnd(buf, head, end) : head.next
    if (at < 0) return -1
  }
  return at
}

/** Position of the value itself behind its attributes; -1 when they are not complete. */
export function skipAttributes(buf: Buffer, pos: number, end: number): number {
  let at = pos
  for (;;) {
    const head = readHead(buf, at, end)
    if (head === undefined) return -1
    if (head.type !== TYPE.attribute) return at
    at = head.next
    for (let i = 0; i < head.count; i++) {
      at = skip(buf, at, end)
      if (at < 0) return -1
    }
  }
}

/** Positions of the values of a complete aggregate at `pos`, attributes before it skipped; empty for anything else. */
export function elements(buf: Buffer, pos: number, end: number): number[] {
  const value = skipAttributes(buf, pos, end)
  const head = value < 0 ? undefined : readHead(buf, value, end)
  const positions: number[] = []
  if (head === undefined || !isAggregate(head.type)) return positions
  let at = head.next
  for (let i = 0; i < head.count; i++) {
    positions.push(at)
    at = skip(buf, at, end)
    if (at < 0) throw new MalformedReply('an aggregate that is not complete')
  }
  return positions
}

/** The bytes of a string (bulk, status, or verbatim without its `txt:`), a view of `buf`; undefined for anything else. */
export function stringAt(buf: Buffer, pos: number, end: number): Buffer | undefined {
  const value = skipAttributes(buf, pos, end)
  const head = value < 0 ? undefined : readHead(buf, value, end)
  if (head === undefined) return undefined
  if (head.type === TYPE.status) return buf.subarray(value + 1, head.next - 2)
  if ((head.type !== TYPE.bulk && head.type !== TYPE.verbatim) || head.count < 0) return undefined
  if (bulkEnd(buf, head, end) < 0) return undefined
  const from = head.type === TYPE.verbatim ? Math.min(4, head.count) : 0
  return buf.subarray(head.next + from, head.next + head.count)
}

/** A decoded error reply: its text without the '-'. */
export interface ReplyError {
  readonly error: string
}

/** Numbers above 2^53 are bigint. Sets and pushes are arrays. Names of a map are strings (UTF-8). */
export type Reply =
  | null
  | boolean
  | number
  | bigint
  | Buffer
  | ReplyError
  | readonly Reply[]
  | ReadonlyMap<string, Reply>

export function isReplyError(reply: Reply): reply is ReplyError {
  return typeof reply === 'object' && reply !== null && 'error' in reply
}

function integerOf(text: string): number | bigint {
  if (!/^[+-]?\d+$/.test(text)) throw new MalformedReply('a bad integer')
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text.replace('+', ''))
}

function doubleOf(text: string): number {
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  if (/^[+-]?nan$/i.test(text)) return Number.NaN
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) throw new MalformedReply('a bad number')
  return Number(text)
}

/** What is not an aggregate. */
function scalar(buf: Buffer, pos: number, head: Head): Reply {
  if (head.count < 0) return null
  if (isBulk(head.type)) {
    const bytes = buf.subarray(head.next, head.next + head.count)
    if (head.type === TYPE.bulkError) return { error: bytes.toString() }
    return head.type === TYPE.verbatim ? bytes.subarray(Math.min(4, head.count)) : bytes
  }
  const line = buf.subarray(pos + 1, head.next - 2)
  switch (head.type) {
    case TYPE.status:
      return line
    case TYPE.error:
      return { error: line.toString() }
    case TYPE.double:
      return doubleOf(line.toString('latin1'))
    case TYPE.boolean:
      if (line.length !== 1 || (line[0] !== 0x74 && line[0] !== 0x66)) throw new MalformedReply('a bad boolean')
      return line[0] === 0x74
    case TYPE.bigNumber: {
      const text = line.toString('latin1')
      if (!/^[+-]?\d+$/.test(text)) throw new MalformedReply('a bad big number')
      return BigInt(text.replace('+', ''))
    }
    default:
      return integerOf(line.toString('latin1'))
  }
}

function nameOf(reply: Reply): string {
  if (Buffer.isBuffer(reply)) return reply.toString()
  if (typeof reply === 'object' && reply !== null) throw new MalformedReply('a map with a name that is no scalar')
  return String(reply)
}

function closed(type: number, values: readonly Reply[]): Reply {
  if (type !== TYPE.map) return values
  const map = new Map<string, Reply>()
  for (let i = 0; i < values.length; i += 2) map.set(nameOf(values[i]!), values[i + 1]!)
  return map
}

interface Open {
  readonly type: number
  left: number
  readonly values: Reply[]
}

/**
 * The first value of `buf`, decoded; attributes are dropped. For our own small questions (ROLE, HELLO, COMMAND), never
 * for a tenant's replies. Buffers are views of `buf`. Throws MalformedReply when incomplete, broken or nested deeper
 * than decodeDepthMax.
 */
export function decode(buf: Buffer): Reply {
  const open: Open[] = []
  let at = 0
  for (;;) {
    const head = readHead(buf, at, buf.length)
    if (head === undefined) throw new MalformedReply('the reply is not complete')
    const next = isBulk(head.type) ? bulkEnd(buf, head, buf.length) : head.next
    if (next < 0) throw new MalformedReply('the reply is not complete')
    let done: Reply | undefined
    if (isAggregate(head.type) && head.count > 0) {
      if (open.length === decodeDepthMax) throw new MalformedReply('the reply is nested too deep')
      open.push({ type: head.type, left: head.count, values: [] })
    } else if (head.type === TYPE.attribute) done = undefined
    else done = isAggregate(head.type) && head.count === 0 ? closed(head.type, []) : scalar(buf, at, head)
    at = next
    // Close what this value completes. An attribute completes nothing: the value behind it stands in its place.
    while (done !== undefined) {
      const top = open.at(-1)
      if (top === undefined) return done
      top.values.push(done)
      if (--top.left > 0) break
      open.pop()
      done = top.type === TYPE.attribute ? undefined : closed(top.type, top.values)
    }
  }
}
