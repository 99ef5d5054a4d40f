/**
 * Whose key is this? The longest of many prefixes that a name begins with, in one pass over its first bytes: a running hash,
 * looked up where a prefix ends. 100,000 prefixes cost some 3 MB and no more time than ten. Knows nothing of tenants:
 * an owner is the prefix's place in the list.
 */

/** FNV-1a, 32 bits. Two prefixes with one hash are told apart by their bytes. */
const hashStart = 0x811c9dc5 | 0
const hashFactor = 0x01000193

export class PrefixIndex {
  private readonly bytes: Buffer
  /** Where prefix i begins in `bytes`; one more than there are prefixes. */
  private readonly at: Int32Array
  private readonly hashes: Int32Array
  /** Place + 1 by hash, open addressing; 0: empty. */
  private readonly slots: Int32Array
  private readonly mask: number
  /** By length: some prefix is so long. */
  private readonly isLength: Uint8Array

  /** Empty prefixes own nothing. Of two that are alike the first owns. */
  constructor(prefixes: readonly Buffer[]) {
    this.bytes = Buffer.concat(prefixes as Buffer[])
    this.at = new Int32Array(prefixes.length + 1)
    this.hashes = new Int32Array(prefixes.length)
    let size = 16
    while (size < prefixes.length * 2) size *= 2
    this.slots = new Int32Array(size)
    this.mask = size - 1
    this.isLength = new Uint8Array(prefixes.reduce((most, { length }) => Math.max(most, length), 0) + 1)
    for (const [i, prefix] of prefixes.entries()) {
      this.at[i + 1] = this.at[i]! + prefix.length
      let hash = hashStart
      for (const byte of prefix) hash = Math.imul(hash ^ byte, hashFactor)
      this.hashes[i] = hash
      if (prefix.length === 0 || this.lookup(prefix, 0, prefix.length, hash) >= 0) continue
      this.isLength[prefix.length] = 1
      let slot = mixed(hash) & this.mask
      while (this.slots[slot] !== 0) slot = (slot + 1) & this.mask
      this.slots[slot] = i + 1
    }
  }

  /** The place of the longest prefix of name[from, to); -1: nobody's. */
  find(name: Uint8Array, from = 0, to = name.length): number {
    const { isLength } = this
    const end = Math.min(to - from, isLength.length - 1)
    let found = -1
    let hash = hashStart
    for (let length = 1; length <= end; length++) {
      hash = Math.imul(hash ^ name[from + length - 1]!, hashFactor)
      if (isLength[length] === 0) continue
      const owner = this.lookup(name, from, length, hash)
      if (owner >= 0) found = owner
    }
    return found
  }

  private lookup(name: Uint8Array, from: number, length: number, hash: number): number {
    for (let slot = mixed(hash) & this.mask; this.slots[slot] !== 0; slot = (slot + 1) & this.mask) {
      const i = this.slots[slot]! - 1
      const at = this.at[i]!
      if (this.hashes[i] !== hash || this.at[i + 1]! - at !== length) continue
      let same = 0
      while (same < length && this.bytes[at + same] === name[from + same]) same++
      if (same === length) return i
    }
    return -1
  }
}

/** The low bits of FNV of names that are much alike are poor (the end of MurmurHash3's finalizer). */
function mixed(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return h ^ (h >>> 13)
}
