/**
 * Finds where one request of a client ends and where its arguments lie: offsets only, no strings, no copies.
 *
 * Strict where Redis is lenient (CRLF after every bulk is checked), because only bytes that were parsed here are
 * forwarded: two parsers must not disagree on where a command ends. Knows no command. Inline commands are only
 * recognised here; src/resp/inline.ts splits them.
 *
 *   *2 CRLF  $3 CRLF GET CRLF  $5 CRLF hello CRLF
 *            ^head[0] ^off[0]  ^head[1] ^off[1]    ^end
 */
import type { ErrorCode } from '../base/errors.ts'
import { lineBytesMax, requestArgsMax, unauthArgsMax, unauthBulkBytesMax } from '../base/limits.ts'

/** Outcomes of `RequestFramer.frame`. */
export const framed = 1
export const incomplete = 0
/** `*0`, `*-5`, an empty line: bytes that are no command; `end` says where they end. */
export const nothing = 2
/** A line that is no array: `off[0]`, `len[0]` hold it without its newline. */
export const inline = 3
/** Protocol error: `error` and `errorDetail` say which. */
export const broken = 4
/** Bytes of another protocol (HTTP, TLS): close without a word. */
export const foreign = 5

const star = 42
const dollar = 36
const minus = 45
const cr = 13
const lf = 10

/** Results of `count`, below zero so that they cannot be lengths. */
const noCount = -1
const badCount = -2
const negativeCount = -3
const longCount = -4

/** Requests up to this size are parsed anew whenever they grow. */
const judgedAtOnceBytes = 4096
/** The least an argument takes: `$0\r\n\r\n`. */
const argumentBytesMin = 6

export class RequestFramer {
  /** The bytes that the offsets are of. */
  buf: Uint8Array = new Uint8Array(0)
  /** Arguments of the framed request. */
  count = 0
  /** Offset of argument i's `$`; of its first byte; its length in bytes. Grown by doubling, never shrunk. */
  head = new Int32Array(64)
  off = new Int32Array(64)
  len = new Int32Array(64)
  /** Where the first argument's `$` stands is head[0]; one past the last byte of the request. */
  end = 0
  /** After `incomplete`: the fewest bytes, counted from the request's start, with which another try can succeed. */
  need = 0
  /** After `incomplete` in the middle of an array: `count` is what it announces, and so many arguments of it are whole. */
  seen = 0
  /** The one behind those has begun: its `off` and `len` are known. */
  isOpen = false
  error: ErrorCode = 'MBULK_LENGTH'
  errorDetail = ''
  /** Bound on one argument and on a whole request, bytes. */
  maxRequestBytes = 512 * 1024 * 1024
  /** The client has not authenticated: Redis's tighter bounds hold. */
  isUnauthenticated = false
  private next = 0

  /** Frames the request that starts at `pos`; `end` is one past the bytes received. Bytes beyond `end` are never trusted. */
  frame(buf: Uint8Array, pos: number, end: number): number {
    this.buf = buf
    if (buf[pos] !== star) return this.line(buf, pos, end)
    // Nearly all requests have one to nine arguments: `*N CRLF`, read without a call.
    let n = buf[pos + 1]! - 48
    let p = pos + 4
    if (p > end || n < 1 || n > 9 || buf[pos + 2] !== cr || buf[pos + 3] !== lf) {
      n = this.readCount(buf, pos + 1, end)
      if (n <= 0) return this.emptyOrBad(n, pos, end)
      if (n > requestArgsMax) return this.fail('MBULK_LENGTH')
      if (this.isUnauthenticated && n > unauthArgsMax) return this.fail('UNAUTH_MBULK')
      if (n > this.off.length) this.grow(n)
      p = this.next
    }
    const head = this.head
    const off = this.off
    const len = this.len
    for (let i = 0; i < n; i++) {
      if (p >= end) return this.waitIn(n, i, false, p - pos + 1, (n - i) * argumentBytesMin - 1)
      if (buf[p] !== dollar) return this.failExpectedBulk(buf[p]!)
      head[i] = p
      // And nearly all lengths have one or two digits.
      let size = buf[p + 1]! - 48
      const second = buf[p + 2]! - 48
      if (p + 5 <= end && size >= 0 && size <= 9 && buf[p + 2] === cr && buf[p + 3] === lf) p += 4
      else if (
        p + 5 <= end &&
        size >= 1 &&
        size <= 9 &&
        second >= 0 &&
        second <= 9 &&
        buf[p + 3] === cr &&
        buf[p + 4] === lf
      ) {
        size = size * 10 + second
        p += 5
      } else {
        size = this.readCount(buf, p + 1, end)
        if (size < 0) return this.badBulk(size, pos, end, n, i)
        if (this.isUnauthenticated && size > unauthBulkBytesMax) return this.fail('UNAUTH_BULK')
        p = this.next
      }
      if (size > this.maxRequestBytes) return this.fail('BULK_LENGTH')
      off[i] = p
      len[i] = size
      p += size
      if (p - pos > this.maxRequestBytes) return this.fail('TOO_BIG_REQUEST')
      if (p + 2 > end) {
        if (p < end && buf[p] !== cr) return this.fail('EXPECTED_CRLF')
        return this.waitIn(n, i, true, p + 2 - pos, (n - i - 1) * argumentBytesMin)
      }
      if (buf[p] !== cr || buf[p + 1] !== lf) return this.fail('EXPECTED_CRLF')
      p += 2
    }
    this.count = n
    this.end = p
    return framed
  }

  /**
   * A canonical decimal up to CRLF: no sign but '-', no leading zero (as Redis's string2ll). Returns the number and
   * leaves `next` behind the CRLF, or one of the codes above.
   */
  private readCount(buf: Uint8Array, start: number, end: number): number {
    let p = start
    let n = 0
    while (p < end) {
      const digit = buf[p]! - 48
      if (digit < 0 || digit > 9) break
      n = n * 10 + digit
      p++
      if (p - start > 10) return this.lineWithoutCount(buf, start, end)
    }
    if (p >= end) return end - start > lineBytesMax ? longCount : noCount
    if (buf[p] !== cr || p === start || (buf[start] === 48 && p - start > 1))
      return this.lineWithoutCount(buf, start, end)
    if (p + 1 >= end) return noCount
    if (buf[p + 1] !== lf) return badCount
    this.next = p + 2
    return n
  }

  /** Not a plain number: negative, garbage, or a line that has not ended. Redis judges a line only once it has its CR. */
  private lineWithoutCount(buf: Uint8Array, start: number, end: number): number {
    let p = start
    const stop = Math.min(end, start + lineBytesMax + 1)
    while (p < stop && buf[p] !== cr) p++
    if (p >= stop) return end - start > lineBytesMax ? longCount : noCount
    if (p + 1 >= end) return noCount
    if (buf[p + 1] !== lf) return badCount
    if (buf[start] !== minus || p - start < 2 || p - start > 11) return badCount
    for (let i = start + 1; i < p; i++) {
      const digit = buf[i]! - 48
      if (digit < 0 || digit > 9) return badCount
    }
    if (buf[start + 1] === 48) return badCount
    this.next = p + 2
    return negativeCount
  }

  private emptyOrBad(code: number, pos: number, end: number): number {
    if (code === 0 || code === negativeCount) {
      this.end = this.next
      return nothing
    }
    if (code === noCount) return this.wait(end - pos + 1, 0)
    return this.fail(code === longCount ? 'BIG_MBULK_COUNT' : 'MBULK_LENGTH')
  }

  private badBulk(code: number, pos: number, end: number, n: number, i: number): number {
    if (code === noCount) return this.waitIn(n, i, false, end - pos + 1, (n - i - 1) * argumentBytesMin)
    return this.fail(code === longCount ? 'BIG_BULK_COUNT' : 'BULK_LENGTH')
  }

  private line(buf: Uint8Array, pos: number, end: number): number {
    if (buf[pos] === 0x16 && (pos + 1 >= end || buf[pos + 1] === 3)) {
      return pos + 1 >= end ? this.wait(2, 0) : foreign // a TLS hello on a plain port
    }
    let p = pos
    const stop = Math.min(end, pos + lineBytesMax + 1)
    while (p < stop && buf[p] !== lf) p++
    if (p >= stop) {
      if (end - pos > lineBytesMax) return this.fail('BIG_INLINE')
      return this.wait(end - pos + 1, 0)
    }
    this.end = p + 1
    const last = p > pos && buf[p - 1] === cr ? p - 1 : p
    if (startsWithWord(buf, pos, last, 'post') || startsWithWord(buf, pos, last, 'host:')) return foreign
    if (last === pos) return nothing
    this.off[0] = pos
    this.len[0] = last - pos
    return inline
  }

  /**
   * The next thing to be judged is there when `least` bytes are. A long request is looked at again only when all that
   * must follow (`later`, bytes) can have come too: that keeps the work for a request of many small arguments, sent byte
   * by byte, in proportion to its length. A short one is judged at once, so that its errors are not held back.
   */
  private wait(least: number, later: number): number {
    this.need = least > judgedAtOnceBytes ? least + later : least
    return incomplete
  }

  private waitIn(n: number, i: number, isOpen: boolean, least: number, later: number): number {
    this.count = n
    this.seen = i
    this.isOpen = isOpen
    return this.wait(least, later)
  }

  private fail(code: ErrorCode): number {
    this.error = code
    this.errorDetail = ''
    return broken
  }

  private failExpectedBulk(got: number): number {
    this.error = 'EXPECTED_BULK'
    this.errorDetail = got >= 32 && got < 127 ? String.fromCharCode(got) : '?'
    return broken
  }

  private grow(n: number): void {
    const size = 2 ** Math.ceil(Math.log2(n))
    this.head = new Int32Array(size)
    this.off = new Int32Array(size)
    this.len = new Int32Array(size)
  }
}

/** True when the line begins with the word (lower case given) and the word ends there. Redis: SECURITY ATTACK check of networking.c. */
function startsWithWord(buf: Uint8Array, pos: number, end: number, word: string): boolean {
  if (end - pos < word.length) return false
  for (let i = 0; i < word.length; i++) if ((buf[pos + i]! | 0x20) !== (word.charCodeAt(i) | 0x20)) return false
  return word.endsWith(':') || end - pos === word.length || buf[pos + word.length] === 32
}
