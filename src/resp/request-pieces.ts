/**
 * One request that is not kept whole: follows its bytes as they come and says where arguments begin and where it ends. As
 * strict as request-framer.ts, in the same words; knows no command. What it is given is never looked at a second time.
 *
 *   *3 CRLF | $3 CRLF SET CRLF | $3 CRLF big CRLF | $536870912 CRLF ...
 *           ^ begins here      ^ pieceArgument: index 1, size 3
 */
import type { ErrorCode } from '../base/errors.ts'

/** Outcomes of `next`: all that was given is taken; an argument begins; the request is over; protocol error, see `error`. */
export const pieceMore = 0
export const pieceArgument = 1
export const pieceOver = 2
export const pieceBroken = 3

const dollar = 36
const cr = 13
const lf = 10
/** As many as a length that a request may have. */
const digitsMax = 10

/** Where a header that has begun stands. */
const inNone = 0
const inDigits = 1
const inLineEnd = 2

export class RequestPieces {
  /** Of the argument that began last. */
  index = -1
  size = 0
  /** One past the last byte that was taken. */
  pos = 0
  /** Up to here what was given is of arguments and their ends: a header may follow that has not come whole. */
  dataEnd = 0
  /** Bytes of the request so far, with its first line. */
  taken: number
  error: ErrorCode = 'BULK_LENGTH'
  errorDetail = ''
  private left = 0
  private argumentsLeft: number
  private header = inNone
  private digits = 0
  private value = 0
  private readonly maxBytes: number

  /** Behind the first line, which has `lineBytes`. */
  constructor(count: number, lineBytes: number, maxBytes: number) {
    this.argumentsLeft = count
    this.taken = lineBytes
    this.maxBytes = maxBytes
  }

  /** Goes on at `from`: behind what the last call has taken. */
  next(buf: Uint8Array, from: number, end: number): number {
    let p = from
    this.dataEnd = from
    if (this.left > 0) {
      // The argument's own bytes are passed over; of its CRLF each is looked at.
      if (this.left > 2) {
        const size = Math.min(this.left - 2, end - p)
        p += size
        this.left -= size
      }
      while (this.left > 0 && p < end) {
        if (buf[p] !== (this.left === 2 ? cr : lf)) return this.fail('EXPECTED_CRLF')
        p++
        this.left--
      }
      this.dataEnd = p
      if (this.left > 0) return this.stop(from, p, pieceMore)
    }
    if (this.header === inNone && this.argumentsLeft === 0) return this.stop(from, p, pieceOver)
    for (; p < end; p++) {
      const byte = buf[p]!
      if (this.header === inNone) {
        if (byte !== dollar) return this.failExpectedBulk(byte)
        this.header = inDigits
        this.digits = 0
        this.value = 0
      } else if (this.header === inLineEnd) {
        if (byte !== lf) return this.fail('BULK_LENGTH')
        return this.begin(from, p + 1)
      } else if (byte === cr && this.digits > 0) this.header = inLineEnd
      else {
        const digit = byte - 48
        const isCanonical = this.digits === 0 || this.value > 0
        if (digit < 0 || digit > 9 || !isCanonical || this.digits === digitsMax) return this.fail('BULK_LENGTH')
        this.value = this.value * 10 + digit
        this.digits++
      }
    }
    return this.stop(from, p, pieceMore)
  }

  private begin(from: number, p: number): number {
    this.header = inNone
    this.argumentsLeft--
    this.index++
    this.size = this.value
    this.left = this.value + 2
    if (this.size > this.maxBytes) return this.fail('BULK_LENGTH')
    if (this.taken + (p - from) + this.size > this.maxBytes) return this.fail('TOO_BIG_REQUEST')
    return this.stop(from, p, pieceArgument)
  }

  private stop(from: number, p: number, outcome: number): number {
    this.pos = p
    this.taken += p - from
    return outcome
  }

  private fail(code: ErrorCode): number {
    this.error = code
    return pieceBroken
  }

  private failExpectedBulk(got: number): number {
    this.error = 'EXPECTED_BULK'
    this.errorDetail = got >= 32 && got < 127 ? String.fromCharCode(got) : '?'
    return pieceBroken
  }
}
