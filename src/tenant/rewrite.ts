/**
 * Puts a tenant's prefix on the keys of a request while copying it into a lane's arena, and checks afterwards that it
 * is there. Bytes are copied only from a request that was framed strictly, so what leaves is what was parsed.
 *
 *   from        head[k]      off[k]                       next from
 *   |--- copy --->|$3 CRLF|   key...  --- copied with the next piece --->
 *                 `-> $8 CRLF shop:
 */
import type { RequestFramer } from '../resp/request-framer.ts'

/** The most that one key grows: '$', ten digits, CRLF for the new length, besides the prefix itself. */
export const keyHeaderBytesMax = 13

export interface KeyArguments {
  count: number
  arg: Int32Array
}

export class Splicer {
  /** First byte of the source that was not copied yet. */
  from = 0

  /**
   * Copies from `this.from` up to each key, writing the key's new header and the prefix in between; leaves `this.from`
   * at the last key's first byte. `isSame`: source and arena are one buffer, which allows the cheap copy. Returns the
   * arena's next free byte. The caller has made sure of the room.
   */
  splice(
    source: Buffer,
    isSame: boolean,
    frame: RequestFramer,
    keys: KeyArguments,
    prefix: Buffer,
    arena: Buffer,
    at: number,
  ): number {
    let from = this.from
    let to = at
    const plen = prefix.length
    const arg = keys.arg
    for (let i = 0; i < keys.count; i++) {
      const a = arg[i]!
      const head = frame.head[a]!
      const size = head - from
      if (isSame) arena.copyWithin(to, from, head)
      else source.copy(arena, to, from, head)
      to += size
      arena[to++] = 36
      to = writeNumber(arena, to, frame.len[a]! + plen)
      arena[to++] = 13
      arena[to++] = 10
      for (let j = 0; j < plen; j++) arena[to++] = prefix[j]!
      from = frame.off[a]!
    }
    this.from = from
    return to
  }

  /** Copies what lies between `this.from` and `upTo` as it is. */
  copy(source: Buffer, isSame: boolean, upTo: number, arena: Buffer, at: number): number {
    const from = this.from
    if (isSame) arena.copyWithin(at, from, upTo)
    else source.copy(arena, at, from, upTo)
    this.from = upTo
    return at + upTo - from
  }
}

/** The request in a buffer of its own, with the prefix on: for requests too large for an arena. */
export function rewriteLarge(
  source: Buffer,
  start: number,
  frame: RequestFramer,
  keys: KeyArguments,
  prefix: Buffer,
): Buffer[] {
  const parts: Buffer[] = []
  let from = start
  for (let i = 0; i < keys.count; i++) {
    const a = keys.arg[i]!
    parts.push(source.subarray(from, frame.head[a]!))
    parts.push(Buffer.concat([Buffer.from(`$${frame.len[a]! + prefix.length}\r\n`), prefix]))
    from = frame.off[a]!
  }
  parts.push(source.subarray(from, frame.end))
  return parts
}

/** Does argument `a` of a framed request begin with the prefix? */
export function hasPrefix(buf: Uint8Array, frame: RequestFramer, a: number, prefix: Uint8Array): boolean {
  const off = frame.off[a]!
  if (frame.len[a]! < prefix.length) return false
  for (let j = 0; j < prefix.length; j++) if (buf[off + j] !== prefix[j]) return false
  return true
}

export function writeNumber(out: Buffer, at: number, n: number): number {
  if (n < 10) {
    out[at] = 48 + n
    return at + 1
  }
  if (n < 100) {
    const tens = (n / 10) | 0
    out[at] = 48 + tens
    out[at + 1] = 48 + n - tens * 10
    return at + 2
  }
  let digits = 3
  for (let bound = 1000; n >= bound; bound *= 10) digits++
  let rest = n
  for (let i = at + digits - 1; i >= at; i--) {
    const q = (rest / 10) | 0
    out[i] = 48 + rest - q * 10
    rest = q
  }
  return at + digits
}
