/**
 * A tenant's pattern for names (KEYS, SCAN MATCH) as two parts: its literal beginning, which the server matches behind the
 * prefix, and the whole, which the proxy matches itself where the beginning does not say it all. So no pattern of a tenant
 * ever runs in a server, where some have taken seconds (CVE-2022-36021), and none can reach beyond the prefix.
 */

const special = new Set([0x2a, 0x3f, 0x5b, 0x5c]) // * ? [ \
const escaped = new Set([...special, 0x5d, 0x5e, 0x2d]) // ] ^ -
const star = 0x2a
const backslash = 0x5c
/** A longer beginning is cut: the proxy matches the rest. */
const headBytesMax = 1024

export interface NamePattern {
  /** Names begin with it. */
  readonly head: Buffer
  /** `literal`: the head is the one name; `prefix`: every name that begins with it; `glob`: to be matched in the proxy. */
  readonly kind: 'literal' | 'prefix' | 'glob'
  /** As the client sent it. */
  readonly whole: Buffer
}

export function readPattern(whole: Buffer): NamePattern {
  const head: number[] = []
  let at = 0
  while (at < whole.length && head.length < headBytesMax) {
    let byte = whole[at]!
    if (byte === backslash && at + 1 < whole.length) byte = whole[++at]!
    else if (special.has(byte)) break
    head.push(byte)
    at++
  }
  const rest = whole.subarray(at)
  const isPrefix = rest.length > 0 && rest.every((byte) => byte === star)
  return { head: Buffer.from(head), kind: rest.length === 0 ? 'literal' : isPrefix ? 'prefix' : 'glob', whole }
}

/** The glob that matches exactly these bytes and whatever follows. */
export function globOfPrefix(...parts: readonly Buffer[]): Buffer {
  const out: number[] = []
  for (const part of parts) {
    for (const byte of part) {
      if (escaped.has(byte)) out.push(backslash)
      out.push(byte)
    }
  }
  out.push(star)
  return Buffer.from(out)
}
