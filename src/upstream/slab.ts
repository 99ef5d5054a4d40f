/**
 * The one block of memory that requests pass through: the shared read buffer of all clients, and the output arenas of
 * all lanes. One block, because `copyWithin` inside one buffer costs 20 ns where a copy between two costs 60
 * (docs/performance.md). Pages that were never written cost no memory.
 *
 *   | front room | client read | lane 0: half a, half b | lane 1: ... |
 */
import { assert } from '../base/assert.ts'
import { arenaHalfBytes, clientFrontBytes, clientReadBytes } from '../base/limits.ts'

export class Slab {
  readonly bytes: Buffer
  /** Where libuv puts what a client sent. A leftover of that client ends exactly here. */
  readonly readAt = clientFrontBytes
  private used: number
  private readonly free: number[] = []

  /** `lanes`: how many arenas there is room for. */
  constructor(lanes: number) {
    this.used = clientFrontBytes + clientReadBytes
    this.bytes = Buffer.allocUnsafeSlow(this.used + lanes * 2 * arenaHalfBytes)
  }

  /** Start of an arena of two halves. Throws when more lanes are asked for than were sized for. */
  takeArena(): number {
    const reused = this.free.pop()
    if (reused !== undefined) return reused
    const at = this.used
    assert(at + 2 * arenaHalfBytes <= this.bytes.length, 'the slab was sized for fewer lanes')
    this.used += 2 * arenaHalfBytes
    return at
  }

  giveArena(at: number): void {
    this.free.push(at)
  }
}
