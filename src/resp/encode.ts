/**
 * Building frames: replies that the proxy gives itself, in the client's RESP version, and requests of its own. Not on
 * the path of a forwarded command, so clarity comes before speed.
 */

const crlf = '\r\n'

/** A reply as data. Maps become flat arrays and null an empty bulk on RESP2; `nullArray` is `*-1` there. */
export type Reply =
  | { readonly kind: 'simple'; readonly text: string }
  | { readonly kind: 'error'; readonly text: string }
  | { readonly kind: 'integer'; readonly value: number | bigint }
  | { readonly kind: 'bulk'; readonly value: string | Uint8Array }
  | { readonly kind: 'verbatim'; readonly value: string }
  | { readonly kind: 'null' }
  | { readonly kind: 'nullArray' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'array'; readonly items: readonly Reply[] }
  | { readonly kind: 'set'; readonly items: readonly Reply[] }
  /** Whole replies, encoded already, the same in both versions. */
  | { readonly kind: 'encoded'; readonly parts: readonly Uint8Array[] }
  | { readonly kind: 'map'; readonly pairs: readonly (readonly [Reply, Reply])[] }
  /** Out of band on RESP3, an array on RESP2. */
  | { readonly kind: 'push'; readonly items: readonly Reply[] }
  /** Messages, encoded already for the version of their client: SUBSCRIBE answers one for each channel. */
  | { readonly kind: 'messages'; readonly bytes: Buffer }

export const simple = (text: string): Reply => ({ kind: 'simple', text })
export const failure = (text: string): Reply => ({ kind: 'error', text })
export const integer = (value: number | bigint): Reply => ({ kind: 'integer', value })
export const bulk = (value: string | Uint8Array): Reply => ({ kind: 'bulk', value })
export const array = (items: readonly Reply[]): Reply => ({ kind: 'array', items })
export const map = (pairs: readonly (readonly [Reply, Reply])[]): Reply => ({ kind: 'map', pairs })
export const push = (items: readonly Reply[]): Reply => ({ kind: 'push', items })
export const nil: Reply = { kind: 'null' }
export const ok: Reply = { kind: 'simple', text: 'OK' }

/** Bytes of a reply for a client that speaks RESP `version` 2 or 3. CR and LF in status and error lines become blanks. */
export function encodeReply(reply: Reply, version: 2 | 3): Buffer {
  const parts: (string | Uint8Array)[] = []
  write(reply, version, parts)
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}

/** A request as an array of bulk strings. */
export function encodeRequest(args: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}${crlf}`)]
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg
    parts.push(Buffer.from(`$${bytes.length}${crlf}`), bytes, Buffer.from(crlf))
  }
  return Buffer.concat(parts)
}

function write(reply: Reply, version: 2 | 3, parts: (string | Uint8Array)[]): void {
  switch (reply.kind) {
    case 'simple':
      parts.push(`+${oneLine(reply.text)}${crlf}`)
      return
    case 'error':
      parts.push(`-${oneLine(reply.text)}${crlf}`)
      return
    case 'integer':
      parts.push(`:${reply.value}${crlf}`)
      return
    case 'bulk':
      writeBulk('$', typeof reply.value === 'string' ? Buffer.from(reply.value) : reply.value, parts)
      return
    case 'verbatim':
      if (version === 3) writeBulk('=', Buffer.from(`txt:${reply.value}`), parts)
      else writeBulk('$', Buffer.from(reply.value), parts)
      return
    case 'null':
      parts.push(version === 3 ? `_${crlf}` : `$-1${crlf}`)
      return
    case 'nullArray':
      parts.push(version === 3 ? `_${crlf}` : `*-1${crlf}`)
      return
    case 'boolean':
      parts.push(version === 3 ? `#${reply.value ? 't' : 'f'}${crlf}` : `:${reply.value ? 1 : 0}${crlf}`)
      return
    case 'double':
      if (version === 3) parts.push(`,${reply.value}${crlf}`)
      else writeBulk('$', Buffer.from(String(reply.value)), parts)
      return
    case 'array':
    case 'set':
      parts.push(`${reply.kind === 'set' && version === 3 ? '~' : '*'}${reply.items.length}${crlf}`)
      for (const item of reply.items) write(item, version, parts)
      return
    case 'push':
      parts.push(`${version === 3 ? '>' : '*'}${reply.items.length}${crlf}`)
      for (const item of reply.items) write(item, version, parts)
      return
    case 'messages':
      parts.push(reply.bytes)
      return
    case 'encoded':
      for (const part of reply.parts) parts.push(part)
      return
    case 'map':
      parts.push(version === 3 ? `%${reply.pairs.length}${crlf}` : `*${reply.pairs.length * 2}${crlf}`)
      for (const [key, value] of reply.pairs) {
        write(key, version, parts)
        write(value, version, parts)
      }
      return
  }
}

function writeBulk(type: string, bytes: Uint8Array, parts: (string | Uint8Array)[]): void {
  parts.push(`${type}${bytes.length}${crlf}`, bytes, crlf)
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, ' ')
}
