/**
 * Which of one tenant's reads had large replies of late, by a hash of command and keys: the next one goes by the bulk lane,
 * where it does not stand in front of small replies. A table of fixed size; what is not seen again is forgotten after a while,
 * and what finds no place displaces the oldest of its four. A wrong answer costs a detour, never a reply.
 */
import { randomInt } from 'node:crypto'

/** Nobody can choose names that meet. */
const seed = randomInt(2 ** 32)

/** Entries; a power of two. 8 bytes each. */
const entries = 1024
const ways = 4
/** A reply of a value that shrank goes by the bulk lane for so long, and a large one that is asked for seldom stands in the way once in so long. */
export const largeForMs = 60_000
/** A very large one is remembered for longer: on a shared connection a slow reader's would gather here. */
export const hugeForMs = 600_000

let state = 0
let stateKind = 0

/** Begins a hash: of a command by its id, and how many keys it has. `kind`: see `kindOf`. */
export function beginRead(id: number, keys: number, kind: number): void {
  state = mixed(seed ^ id, keys)
  stateKind = kind
}

/** One of 32, known without looking at a name: of a command by its id, and of how many bytes its keys are together. */
export function kindOf(id: number, bytes: number): number {
  return (bytes + id * 5) & 31
}

/** Adds a name to it. Four bytes at a time: every read of a tenant that has large replies is hashed. */
export function addName(bytes: Uint8Array, off: number, len: number): void {
  let hash = mixed(state, len)
  const end = off + len
  let i = off
  for (const last = end - 4; i <= last; i += 4)
    hash = mixed(hash, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
  for (; i < end; i++) hash = mixed(hash, bytes[i]!)
  state = hash
}

/** 32 bits that are never 0; the lowest five say the kind. */
export function endRead(): number {
  return ((state & ~31) | stateKind) >>> 0 || 32
}

/** Part of murmur3's finalizer: each bit of the word reaches the low ones, by which a place in the table is found. */
function mixed(hash: number, word: number): number {
  const x = Math.imul(hash ^ word, 0x85ebca6b)
  return Math.imul(x ^ (x >>> 13), 0xc2b2ae35) ^ (x >>> 16)
}

export class LargeKeys {
  private readonly hashes = new Uint32Array(entries)
  private readonly untilMs = new Float64Array(entries)
  private readonly huge = new Uint8Array(entries)
  /** When a large reply was seen last. */
  seenAtMs = 0
  /** Until then every read is to be named: it is not known which one had a large reply. */
  namesUntilMs = 0
  /** Of which kinds were those that it has learned; a bit each. */
  private kinds = 0

  /** Could it have learned a read of this kind? */
  mayHave(kind: number): boolean {
    return ((this.kinds >>> kind) & 1) !== 0
  }

  has(hash: number, nowMs: number): boolean {
    const at = this.find(hash)
    return at >= 0 && this.untilMs[at]! > nowMs
  }

  /** Of what `has` knows: was it above `ownReplyBytes`? */
  isHuge(hash: number): boolean {
    const at = this.find(hash)
    return at >= 0 && this.huge[at] === 1
  }

  learn(hash: number, nowMs: number, isHuge = false): void {
    const forMs = isHuge ? hugeForMs : largeForMs
    // The tenant is forgotten `largeForMs` after it.
    this.seenAtMs = Math.max(this.seenAtMs, nowMs + forMs - largeForMs)
    this.kinds |= 1 << (hash & 31)
    let at = this.find(hash)
    if (at < 0) {
      at = placeOf(hash)
      for (let i = at + 1, end = at + ways; i < end; i++) if (this.untilMs[i]! < this.untilMs[at]!) at = i
    }
    this.hashes[at] = hash
    this.untilMs[at] = nowMs + forMs
    this.huge[at] = isHuge ? 1 : 0
  }

  private find(hash: number): number {
    const from = placeOf(hash)
    for (let i = from; i < from + ways; i++) if (this.hashes[i] === hash) return i
    return -1
  }
}

/** Where its `ways` entries begin. */
function placeOf(hash: number): number {
  return ((hash >>> 5) & (entries / ways - 1)) * ways
}
