/**
 * Two hashes of 32 bits of a key as it goes upstream, prefix and all, seeded at random by each process, or by all workers of a
 * proxy alike, so that nobody can choose keys that meet. Bytes are folded in one by one: the state behind a prefix is computed once and gone on from, and
 * a name is the same however it is cut into prefix and rest (databases: `shop:` and `1:k`, or `shop:1:` and `k`).
 * Two keys with the same hashes are taken for one, which only makes a reader wait for more than it must.
 */
import { randomFillSync } from 'node:crypto'

const seeds = new Int32Array(2)
randomFillSync(seeds)

/** The seeds of all workers of this proxy. Before the first hash is made: those made until then are of no use afterwards. */
export function useHashSeeds(a: number, b: number): void {
  seeds[0] = a
  seeds[1] = b
}

/** The state of a hash; also where `hashKey` leaves its result. */
export class KeyHash {
  a = 0
  b = 0

  /** Of nothing yet. */
  begin(): this {
    this.a = seeds[0]!
    this.b = seeds[1]!
    return this
  }

  /** Goes on from `from` with bytes[off, off + len). */
  follow(from: KeyHash, bytes: Uint8Array, off: number, len: number): this {
    let { a, b } = from
    const end = off + len
    for (let i = off; i < end; i++) {
      const byte = bytes[i]!
      a = Math.imul(a ^ byte, 0x01000193)
      b = Math.imul(b + byte, 0x2c1b3c6d)
      b ^= b >>> 15
    }
    this.a = a
    this.b = b
    return this
  }

  /** `a` with its bits spread, for use as an index (murmur3, fmix32). */
  get spread(): number {
    let x = this.a
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    return (x ^ (x >>> 16)) >>> 0
  }
}

/** A hash to go on from: that of a prefix. */
export function hashOf(bytes: Uint8Array): KeyHash {
  const nothing = new KeyHash().begin()
  return new KeyHash().follow(nothing, bytes, 0, bytes.length)
}
