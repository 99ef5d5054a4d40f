/**
 * Finds where one reply of a server ends, in RESP2 and RESP3, across any split of the bytes. Values are skipped by
 * their length and never looked at, so a reply of any size costs no memory here. No stack: an aggregate only adds to
 * the number of elements still to come, so depth costs nothing.
 *
 * A header line that has not arrived whole is not consumed (lines of text are once they are long: errors repeat keys); the caller puts it back in front of the next bytes. Bodies
 * are consumed as they come. `started` says that a part of the reply under way was consumed already.
 */
import { replyHeaderBytesMax } from '../base/limits.ts'

export const replyMore = -1
export const replyBroken = -2

const cr = 13
const lf = 10

export class ReplyFramer {
  /** First byte (type) of the reply under way, or of the last complete one. */
  type = 0
  /** After `replyMore`: one past the bytes consumed. */
  consumed = 0
  /** Bytes of the reply under way were consumed by an earlier call. */
  started = false
  /** Elements still to come until the reply is complete. */
  private left = 1
  /** Bytes of the bulk body (with its CRLF) still to come. */
  private skip = 0
  /** In the middle of a long line of text: an error that repeats a key, say. */
  private isInLine = false

  reset(): void {
    this.started = false
    this.isInLine = false
    this.left = 1
    this.skip = 0
  }

  /** Position one past the reply that starts (or goes on) at `pos`, or replyMore, or replyBroken. */
  next(buf: Uint8Array, start: number, end: number): number {
    let pos = start
    let left = this.left
    if (!this.started) {
      if (pos >= end) {
        this.consumed = pos
        return replyMore
      }
      const type = buf[pos]!
      this.type = type
      // The common whole replies, without the loop: a bulk of up to three digits of length, a short line.
      if (type === 36) {
        let p = pos + 2
        let n = buf[pos + 1]! - 48
        if (n >= 0 && n <= 9) {
          let digit = buf[p]! - 48
          if (digit >= 0 && digit <= 9) {
            n = n * 10 + digit
            digit = buf[++p]! - 48
            if (digit >= 0 && digit <= 9) {
              n = n * 10 + digit
              p++
            }
          }
          const next = p + n + 4
          if (next <= end && buf[p] === cr && buf[p + 1] === lf && buf[next - 2] === cr && buf[next - 1] === lf)
            return next
        }
      } else if (type === 43 && pos + 5 <= end && buf[pos + 3] === cr && buf[pos + 4] === lf) {
        if (buf[pos + 1] !== cr && buf[pos + 1] !== lf && buf[pos + 2] !== cr && buf[pos + 2] !== lf) return pos + 5 // +OK
      }
    }
    if (this.skip > 0) {
      const have = end - pos
      if (have < this.skip) {
        this.skip -= have
        this.consumed = end
        return replyMore
      }
      pos += this.skip
      // The body's last byte is in these bytes; its CR may have come before.
      if (buf[pos - 1] !== lf || (this.skip > 1 && buf[pos - 2] !== cr)) return replyBroken
      this.skip = 0
      left--
    }
    if (this.isInLine) {
      while (pos < end && buf[pos] !== cr && buf[pos] !== lf) pos++
      if (pos < end && buf[pos] === lf) return replyBroken
      if (pos + 1 >= end) return this.more(left, pos, start)
      if (buf[pos + 1] !== lf) return replyBroken
      pos += 2
      left--
      this.isInLine = false
    }
    while (left > 0) {
      if (pos >= end) return this.more(left, pos, start)
      const type = buf[pos]!
      if (type === 43 || type === 45 || type === 44 || type === 40) {
        // + - , ( : a line of any bytes but CR LF
        let p = pos + 1
        while (p < end && buf[p] !== cr && buf[p] !== lf) p++
        if (p < end && buf[p] === lf) return replyBroken
        if (p + 1 >= end) {
          if (p - pos <= replyHeaderBytesMax) return this.more(left, pos, start)
          this.isInLine = true
          return this.more(left, p, start)
        }
        if (buf[p] !== cr || buf[p + 1] !== lf) return replyBroken
        pos = p + 2
        left--
        continue
      }
      // $ * : % ~ > = ! | # _ : a header line, most of them a count
      let p = pos + 1
      let n = 0
      let isNegative = false
      if (type === 35) {
        if (p >= end) return this.more(left, pos, start)
        if (buf[p] !== 116 && buf[p] !== 102) return replyBroken
        p++
      } else if (type !== 95) {
        if (p < end && buf[p] === 45) {
          isNegative = true
          p++
        }
        const digits = p
        while (p < end) {
          const digit = buf[p]! - 48
          if (digit < 0 || digit > 9) break
          n = n * 10 + digit
          p++
        }
        if (p - digits > 20) return replyBroken
        if (p < end && p === digits) return replyBroken
      }
      if (p + 1 >= end) {
        if (p < end && buf[p] !== cr) return replyBroken
        return this.more(left, pos, start)
      }
      if (buf[p] !== cr || buf[p + 1] !== lf) return replyBroken
      p += 2
      switch (type) {
        case 36: // $
        case 61: // =
        case 33: // !
          if (isNegative) {
            if (n !== 1 || type !== 36) return replyBroken
            pos = p
            left--
            break
          }
          if (n > 4_294_967_296) return replyBroken
          if (end - p >= n + 2) {
            pos = p + n + 2
            if (buf[pos - 2] !== cr || buf[pos - 1] !== lf) return replyBroken
            left--
            break
          }
          this.skip = n + 2 - (end - p)
          this.left = left
          this.started = true
          this.consumed = end
          return replyMore
        case 58: // :
        case 35: // #
        case 95: // _
          pos = p
          left--
          break
        case 42: // *
        case 126: // ~
        case 62: // >
          if (isNegative && (n !== 1 || type !== 42)) return replyBroken
          pos = p
          left += isNegative ? -1 : n - 1
          break
        case 37: // %
          if (isNegative) return replyBroken
          pos = p
          left += 2 * n - 1
          break
        case 124: // | attributes stand before the value they describe and are not one
          if (isNegative) return replyBroken
          pos = p
          left += 2 * n
          break
        default:
          return replyBroken
      }
      if (left > 4_294_967_296) return replyBroken
    }
    this.left = 1
    this.started = false
    return pos
  }

  private more(left: number, pos: number, start: number): number {
    this.left = left
    if (pos > start) this.started = true
    this.consumed = pos
    return replyMore
  }
}
