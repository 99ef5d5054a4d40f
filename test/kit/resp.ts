/**
 * A decoder of RESP2 and RESP3 replies for tests, written apart from src/ so that both do not share a mistake: recursive,
 * slow and plain. resp.test.ts compares it with redis-parser.
 */
export class ErrorReply {
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

/** Kinds that plain JavaScript has no value for keep their RESP3 name. */
export class Tagged {
  readonly kind: 'push' | 'set' | 'verbatim' | 'big'
  readonly value: unknown
  constructor(kind: Tagged['kind'], value: unknown) {
    this.kind = kind
    this.value = value
  }
}

/** Strings are latin1, so that every byte keeps its value. Maps are Map; attributes are dropped. */
export type Decoded = string | number | boolean | null | ErrorReply | Tagged | Decoded[] | Map<Decoded, Decoded>

/** The reply that begins at `at` and where it ends; undefined when it is not complete yet. Throws on what is not RESP. */
export function decode(bytes: Buffer, at = 0): { reply: Decoded; end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at, 'latin1')
  if (lineEnd < 0) return undefined
  const kind = String.fromCharCode(bytes[at]!)
  const line = bytes.toString('latin1', at + 1, lineEnd)
  const next = lineEnd + 2
  switch (kind) {
    case '+':
      return { reply: line, end: next }
    case '-':
      return { reply: new ErrorReply(line), end: next }
    case ':':
      return { reply: integer(line), end: next }
    case ',':
      return { reply: double(line), end: next }
    case '(':
      return { reply: new Tagged('big', line), end: next }
    case '#':
      if (line !== 't' && line !== 'f') throw new Error(`not a boolean: ${line}`)
      return { reply: line === 't', end: next }
    case '_':
      return { reply: null, end: next }
    case '$':
    case '=':
    case '!': {
      const length = integer(line)
      if (length === -1) return { reply: null, end: next }
      if (bytes.length < next + length + 2) return undefined
      if (bytes.toString('latin1', next + length, next + length + 2) !== '\r\n') throw new Error('no CRLF after a bulk')
      const text = bytes.toString('latin1', next, next + length)
      const reply = kind === '$' ? text : kind === '!' ? new ErrorReply(text) : new Tagged('verbatim', text)
      return { reply, end: next + length + 2 }
    }
    case '*':
    case '~':
    case '>':
    case '%':
    case '|': {
      const count = integer(line)
      if (count === -1) return { reply: null, end: next }
      const items: Decoded[] = []
      let end = next
      for (let i = 0; i < (kind === '%' || kind === '|' ? 2 * count : count); i++) {
        const item = decode(bytes, end)
        if (item === undefined) return undefined
        items.push(item.reply)
        end = item.end
      }
      if (kind === '|') return decode(bytes, end)
      if (kind === '%') {
        const map = new Map<Decoded, Decoded>()
        for (let i = 0; i < items.length; i += 2) map.set(items[i]!, items[i + 1]!)
        return { reply: map, end }
      }
      return { reply: kind === '*' ? items : new Tagged(kind === '~' ? 'set' : 'push', items), end }
    }
    default:
      throw new Error(`not RESP: ${JSON.stringify(bytes.toString('latin1', at, Math.min(at + 40, bytes.length)))}`)
  }
}

function integer(line: string): number {
  if (!/^[+-]?\d+$/.test(line)) throw new Error(`not a number: ${JSON.stringify(line)}`)
  return Number(line)
}

function double(line: string): number {
  if (line === 'inf') return Number.POSITIVE_INFINITY
  if (line === '-inf') return Number.NEGATIVE_INFINITY
  if (line === 'nan') return Number.NaN
  const value = Number(line)
  if (line === '' || Number.isNaN(value)) throw new Error(`not a double: ${JSON.stringify(line)}`)
  return value
}

/** A command as an array of bulk strings. Strings are UTF-8. */
export function command(...args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}
