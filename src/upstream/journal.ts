/**
 * The newest bytes that a lane to the primary has sent, so that a write which the server has refused as a replica can be
 * sent to the new primary. A copy of each flush into a ring, nothing per command; commands are found again by number, by
 * parsing a flush from its start. What is no longer there is not sent again.
 *
 *   flush of commands 7, 8, 9 --> [ ... | bytes ]   and (7, where they begin)
 */
import { journalBytes, journalFlushesMax } from '../base/limits.ts'
import { framed, RequestFramer } from '../resp/request-framer.ts'

export class Journal {
  private bytes: Buffer | undefined
  /** Bytes ever written: a place in the ring is this modulo its size. */
  private end = 0
  private readonly firsts = new Int32Array(journalFlushesMax)
  private readonly starts = new Float64Array(journalFlushesMax)
  private flushes = 0
  /** The flush that was asked for last: clients that were refused had their commands in the same ones. */
  private parsedStart = -1
  private parsed: readonly Buffer[] = []

  /** `view` is about to be sent; `first` is the number of the first command in it, numbers wrap at 32 bits. */
  note(view: Buffer, first: number): void {
    if (view.length > journalBytes) return this.clear()
    if (this.parsedStart >= 0) this.forgetParsed()
    this.bytes ??= Buffer.allocUnsafeSlow(journalBytes)
    const at = this.end % journalBytes
    const room = journalBytes - at
    view.copy(this.bytes, at)
    if (view.length > room) view.copy(this.bytes, 0, room)
    const i = this.flushes % journalFlushesMax
    this.firsts[i] = first
    this.starts[i] = this.end
    this.flushes++
    this.end += view.length
  }

  /** Another connection, or something was sent that is not in here. */
  clear(): void {
    this.flushes = 0
    this.end = 0
    this.forgetParsed()
  }

  private forgetParsed(): void {
    this.parsedStart = -1
    this.parsed = []
  }

  /**
   * The requests with these numbers (rising) as they were sent; undefined when one of them is no longer there. `last` is
   * the number after the newest command sent.
   */
  requests(numbers: readonly number[], last: number): Buffer[] | undefined {
    const found: Buffer[] = []
    let next = 0
    for (let k = Math.max(0, this.flushes - journalFlushesMax); k < this.flushes && next < numbers.length; k++) {
      const first = this.firsts[k % journalFlushesMax]!
      const after = k + 1 < this.flushes ? this.firsts[(k + 1) % journalFlushesMax]! : last
      if (((numbers[next]! - after) | 0) >= 0) continue
      if (((numbers[next]! - first) | 0) < 0) return undefined
      const requests = this.flush(k, (after - first) | 0)
      if (requests === undefined) return undefined
      while (next < numbers.length && ((numbers[next]! - after) | 0) < 0)
        found.push(Buffer.from(requests[(numbers[next++]! - first) | 0]!)) // a view would keep the whole flush
    }
    return next === numbers.length ? found : undefined
  }

  /** All requests of one flush; undefined when it is overwritten, or does not hold as many as it should. */
  private flush(k: number, count: number): readonly Buffer[] | undefined {
    const start = this.starts[k % journalFlushesMax]!
    if (start === this.parsedStart) return this.parsed.length === count ? this.parsed : undefined
    const end = k + 1 < this.flushes ? this.starts[(k + 1) % journalFlushesMax]! : this.end
    if (this.bytes === undefined || this.end - start > journalBytes) return undefined
    const at = start % journalBytes
    const size = end - start
    const room = Math.min(size, journalBytes - at)
    const whole = Buffer.concat([this.bytes.subarray(at, at + room), this.bytes.subarray(0, size - room)])
    const frame = new RequestFramer()
    const requests: Buffer[] = []
    for (let pos = 0; pos < size; pos = frame.end) {
      if (frame.frame(whole, pos, size) !== framed) return undefined
      requests.push(whole.subarray(pos, frame.end))
    }
    this.parsedStart = start
    this.parsed = requests
    return requests.length === count ? requests : undefined
  }
}
