/**
 * The patterns of a tenant's rules, found by how they begin: which one is the first that matches a key, without asking all of
 * them. Pure; `first` allocates nothing.
 *
 *   key     cart:17:items
 *   hashes  of its first 0, 5 and 8 bytes, where patterns begin with literals of 0, 5 and 8 bytes
 *   asked   patterns with one of these beginnings only, in the order of the list
 *
 * Patterns without a literal beginning (`*:items`) are asked for every key, but one that ends otherwise is passed over by
 * the bytes of its end. A few patterns are asked one after the other, which is as fast.
 */
import { globMatch } from './glob.ts'

/** Up to so many are asked in turn. */
const plainMax = 8

const star = 0x2a
/** `*`, `?`, `[` and `\`: what is no literal. */
const isSign = (byte: number): boolean => byte === star || byte === 0x3f || byte === 0x5b || byte === 0x5c

export class Pattern {
  /** Its literal beginning. */
  readonly head: Uint8Array
  private readonly bytes: Uint8Array
  /** Bytes of its literal end; 0 where classes and escapes make it hard to tell. */
  private readonly tailSize: number
  private readonly isExact: boolean
  private readonly isPrefix: boolean

  constructor(text: string) {
    const bytes = Buffer.from(text)
    let head = 0
    while (head < bytes.length && !isSign(bytes[head]!)) head++
    let tail = bytes.length
    if (!/[[\\]/.test(text)) while (tail > head && !isSign(bytes[tail - 1]!)) tail--
    this.bytes = bytes
    this.head = bytes.subarray(0, head)
    this.tailSize = bytes.length - tail
    this.isExact = head === bytes.length
    this.isPrefix = head === bytes.length - 1 && bytes[head] === star
  }

  matches(buf: Uint8Array, off: number, len: number): boolean {
    const { head, bytes, tailSize } = this
    if (this.isExact ? len !== head.length : len < head.length + tailSize) return false
    for (let i = 1; i <= tailSize; i++) if (buf[off + len - i] !== bytes[bytes.length - i]) return false
    for (let i = 0; i < head.length; i++) if (buf[off + i] !== head[i]) return false
    return this.isExact || this.isPrefix || globMatch(bytes, buf, off, len)
  }
}

const hashSeed = 0x811c9dc5 | 0
/** FNV-1a. Who writes rules is the operator, so nobody gains by keys or patterns that meet. */
const hashStep = (hash: number, byte: number): number => Math.imul(hash ^ byte, 0x01000193)

export class RuleIndex {
  private readonly patterns: readonly Pattern[]
  /** How long the literal beginnings are, shortest first; empty: the patterns are asked in turn. */
  private readonly headSizes: Int32Array
  private readonly mask: number
  /** By hash: the first pattern in this place, and by pattern the next one there, by their order; -1: none. */
  private readonly places: Int32Array
  private readonly nextOf: Int32Array
  private readonly hashOf: Int32Array

  constructor(patterns: readonly Pattern[]) {
    this.patterns = patterns
    const isPlain = patterns.length <= plainMax
    this.headSizes = isPlain
      ? new Int32Array(0)
      : Int32Array.from(new Set(patterns.map(({ head }) => head.length))).sort()
    const size = isPlain ? 1 : 2 ** Math.ceil(Math.log2(patterns.length * 2))
    this.mask = size - 1
    this.places = new Int32Array(size).fill(-1)
    this.nextOf = new Int32Array(patterns.length).fill(-1)
    this.hashOf = Int32Array.from(patterns, ({ head }) => head.reduce(hashStep, hashSeed))
    // From the last to the first, so that each chain begins with the first.
    for (let i = patterns.length - 1; i >= 0; i--) {
      const place = this.placeOf(this.hashOf[i]!)
      this.nextOf[i] = this.places[place]!
      this.places[place] = i
    }
  }

  /** The place in the list of the first pattern that matches buf[off, off + len); -1: none does. */
  first(buf: Uint8Array, off: number, len: number): number {
    const { patterns, headSizes, hashOf, nextOf } = this
    if (headSizes.length === 0) {
      for (let i = 0; i < patterns.length; i++) if (patterns[i]!.matches(buf, off, len)) return i
      return -1
    }
    let best = patterns.length
    let hash = hashSeed
    let hashed = 0
    for (let s = 0; s < headSizes.length; s++) {
      const size = headSizes[s]!
      if (size > len) break
      for (; hashed < size; hashed++) hash = hashStep(hash, buf[off + hashed]!)
      for (let i = this.places[this.placeOf(hash)]!; i !== -1 && i < best; i = nextOf[i]!) {
        if (hashOf[i] === hash && patterns[i]!.matches(buf, off, len)) best = i
      }
    }
    return best === patterns.length ? -1 : best
  }

  private placeOf(hash: number): number {
    return (hash ^ (hash >>> 15)) & this.mask
  }
}
