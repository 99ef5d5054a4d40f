/**
 * Which of one tenant's reads had large replies of late, by a hash of command and keys: the next one goes by the bulk lane,
 * where it does not stand in front of small replies. A table of fixed size; what is not seen again is forgotten after a while,
 * and what finds no place displaces the oldest of its four. A wrong answer costs a detour, never a reply.
 */
import { KeyHash } from './key-hash.ts'

/** Entries; a power of two. 8 bytes each. */
const entries = 1024
const ways = 4
/** A reply of a value that shrank goes by the bulk lane for so long, and a large one that is asked for seldom stands in the way once in so long. */
export const largeForMs = 60_000
/** A very large one is remembered for longer: on a shared connection a slow reader's would gather here. */
export const hugeForMs = 600_000

const state = new KeyHash()

/** Begins a hash: of a command by its id, and how many keys it has. */
export function beginRead(id: number, keys: number): void {
  state.begin()
  state.a = Math.imul(state.a ^ id, 0x01000193)
  state.b = Math.imul(state.b + keys, 0x2c1b3c6d)
}

/** Adds a name to it. */
export function addName(bytes: Uint8Array, off: number, len: number): void {
  state.follow(state, bytes, off, len)
}

/** 32 bits that are never 0. */
export function endRead(): number {
  return (state.spread ^ state.b) >>> 0 || 1
}

export class LargeKeys {
  private readonly hashes = new Uint32Array(entries)
  private readonly untilMs = new Float64Array(entries)
  private readonly huge = new Uint8Array(entries)
  /** When a large reply was seen last. */
  seenAtMs = 0

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
    let at = this.find(hash)
    if (at < 0) {
      at = (hash & (entries / ways - 1)) * ways
      for (let i = at + 1, end = at + ways; i < end; i++) if (this.untilMs[i]! < this.untilMs[at]!) at = i
    }
    this.hashes[at] = hash
    this.untilMs[at] = nowMs + forMs
    this.huge[at] = isHuge ? 1 : 0
  }

  private find(hash: number): number {
    const from = (hash & (entries / ways - 1)) * ways
    for (let i = from; i < from + ways; i++) if (this.hashes[i] === hash) return i
    return -1
  }
}
