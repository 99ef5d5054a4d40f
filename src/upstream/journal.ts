/**
 * The newest bytes that a lane to the primary has sent, so that a write which the server has refused as a replica can be
 * sent to the new primary. Nothing is copied: the bytes stay where they lay in the lane's arena, which goes on behind them
 * and comes round; only where each flush lay is kept. Commands are found again by number, by parsing a flush from its
 * start. What has been written over is no longer there, and is not sent again.
 *
 *   arena   [ flush 1 | flush 2 | flush 3 | being filled ... ]      kept: (number of its first command, where it begins and ends)
 */
import { journalFlushesMax } from '../base/limits.ts'
import { framed, RequestFramer } from '../resp/request-framer.ts'

export class Journal {
  private readonly firsts = new Int32Array(journalFlushesMax)
  private readonly starts = new Int32Array(journalFlushesMax)
  private readonly ends = new Int32Array(journalFlushesMax)
  private flushes = 0
  /** The flush that was asked for last: clients that were refused had their commands in the same ones. */
  private parsedFlush = -1
  private parsed: readonly Buffer[] = []

  /** The arena's [start, end) is about to be sent, or holds nothing any more; `first` is the number of the first command in it. Numbers wrap at 32 bits. */
  note(start: number, end: number, first: number): void {
    if (this.parsedFlush >= 0) this.forgetParsed()
    const i = this.flushes % journalFlushesMax
    this.firsts[i] = first
    this.starts[i] = start
    this.ends[i] = end
    this.flushes++
  }

  /** Another connection, or something was sent that is not in here. */
  clear(): void {
    this.flushes = 0
    this.forgetParsed()
  }

  private forgetParsed(): void {
    this.parsedFlush = -1
    this.parsed = []
  }

  /**
   * The requests with these numbers (rising) as they were sent; undefined when one of them is no longer there. `last` is
   * the number after the newest command sent; [from, to) of the arena is being filled.
   */
  requests(numbers: readonly number[], last: number, arena: Buffer, from: number, to: number): Buffer[] | undefined {
    const found: Buffer[] = []
    let next = 0
    for (let k = Math.max(0, this.flushes - journalFlushesMax); k < this.flushes && next < numbers.length; k++) {
      const first = this.firsts[k % journalFlushesMax]!
      const after = k + 1 < this.flushes ? this.firsts[(k + 1) % journalFlushesMax]! : last
      if (((numbers[next]! - after) | 0) >= 0) continue
      if (((numbers[next]! - first) | 0) < 0) return undefined
      if (this.isOverwritten(k, from, to)) return undefined
      const requests = this.flush(k, (after - first) | 0, arena)
      if (requests === undefined) return undefined
      while (next < numbers.length && ((numbers[next]! - after) | 0) < 0)
        found.push(Buffer.from(requests[(numbers[next++]! - first) | 0]!)) // a view would keep the whole flush
    }
    return next === numbers.length ? found : undefined
  }

  /** By a later flush, or by what is not sent yet. */
  private isOverwritten(k: number, from: number, to: number): boolean {
    const start = this.starts[k % journalFlushesMax]!
    const end = this.ends[k % journalFlushesMax]!
    if (from < end && start < to) return true
    for (let j = k + 1; j < this.flushes; j++)
      if (this.starts[j % journalFlushesMax]! < end && start < this.ends[j % journalFlushesMax]!) return true
    return false
  }

  /** All requests of one flush; undefined when it does not hold as many as it should. */
  private flush(k: number, count: number, arena: Buffer): readonly Buffer[] | undefined {
    if (k === this.parsedFlush) return this.parsed.length === count ? this.parsed : undefined
    const whole = Buffer.from(arena.subarray(this.starts[k % journalFlushesMax]!, this.ends[k % journalFlushesMax]!))
    const frame = new RequestFramer()
    const requests: Buffer[] = []
    for (let pos = 0; pos < whole.length; pos = frame.end) {
      if (frame.frame(whole, pos, whole.length) !== framed) return undefined
      requests.push(whole.subarray(pos, frame.end))
    }
    this.parsedFlush = k
    this.parsed = requests
    return requests.length === count ? requests : undefined
  }
}
