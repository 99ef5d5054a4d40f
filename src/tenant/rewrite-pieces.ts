/**
 * Puts the prefix on the keys of a request that is never there as a whole: what goes in piece by piece comes out piece by
 * piece. And a second look at what came out, by another reading of it: rewrite.ts and second-look.ts for requests that are
 * too large to be kept.
 */
import type { ErrorCode } from '../base/errors.ts'
import { clientReadBytes } from '../base/limits.ts'
import { pieceArgument, pieceBroken, pieceMore, pieceOver, RequestPieces } from '../resp/request-pieces.ts'
import { keyHeaderBytesMax, writeNumber } from './rewrite.ts'

/** Which arguments are keys: every `step`-th from `first` to `last`. */
export interface KeyPlaces {
  readonly first: number
  readonly last: number
  readonly step: number
}

function isKey({ first, last, step }: KeyPlaces, index: number): boolean {
  return index >= first && index <= last && (index - first) % step === 0
}

/** '$', CR, LF. */
const dollar = 36
const cr = 13
const lf = 10
/** What one read brings, and a key or two. */
const leastBytes = clientReadBytes + 1024
/** The least that an argument takes: `$0\r\n\r\n`. */
const argumentBytesMin = 6

export class PieceRewriter {
  /** The piece that was made last: out[0 .. outEnd). Used again for the next, so only when nobody needs it any more. */
  out: Buffer
  outEnd = 0
  private readonly pieces: RequestPieces
  private readonly keys: KeyPlaces
  private readonly prefix: Buffer

  /** Of the request whose first line was `line`, with so many arguments. */
  constructor(line: Uint8Array, count: number, keys: KeyPlaces, prefix: Buffer, maxBytes: number) {
    this.pieces = new RequestPieces(count, line.length, maxBytes)
    this.keys = keys
    this.prefix = prefix
    this.out = Buffer.from(line)
    this.outEnd = line.length
  }

  /** Bytes of the request that were taken, as they came. */
  get taken(): number {
    return this.pieces.taken
  }

  get error(): ErrorCode {
    return this.pieces.error
  }

  get errorDetail(): string {
    return this.pieces.errorDetail
  }

  /** One past the last byte that was taken by the last call. */
  get pos(): number {
    return this.pieces.pos
  }

  /** Makes a piece of [from, end), up to the request's own end: pieceMore, pieceOver or pieceBroken. */
  take(buf: Buffer, from: number, end: number): number {
    const { pieces, prefix } = this
    this.makeRoom(end - from)
    let p = from
    for (;;) {
      const outcome = pieces.next(buf, p, end)
      if (outcome === pieceBroken) return outcome
      const { out } = this
      this.outEnd += buf.copy(out, this.outEnd, p, Math.max(p, pieces.dataEnd))
      p = pieces.pos
      if (outcome !== pieceArgument) return outcome
      const isName = isKey(this.keys, pieces.index)
      out[this.outEnd++] = dollar
      this.outEnd = writeNumber(out, this.outEnd, pieces.size + (isName ? prefix.length : 0))
      out[this.outEnd++] = cr
      out[this.outEnd++] = lf
      if (isName) this.outEnd += prefix.copy(out, this.outEnd)
    }
  }

  /** The same without making anything. */
  skip(buf: Buffer, from: number, end: number): number {
    let p = from
    for (;;) {
      const outcome = this.pieces.next(buf, p, end)
      p = this.pieces.pos
      if (outcome !== pieceArgument) return outcome
    }
  }

  /** The piece before is with the server: the next one begins. */
  begin(): void {
    this.outEnd = 0
  }

  /** Nothing more will be made. */
  drop(): void {
    this.out = Buffer.alloc(0)
    this.outEnd = 0
  }

  /** So many bytes may hold as many keys as fit into them, where there can be more than one. */
  private makeRoom(bytes: number): void {
    const { first, last, step } = this.keys
    const namesMax = first === last ? 1 : Math.ceil(bytes / (argumentBytesMin * step)) + 1
    const wanted = this.outEnd + bytes + keyHeaderBytesMax + namesMax * (this.prefix.length + keyHeaderBytesMax)
    if (wanted <= this.out.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, leastBytes))
    this.out.copy(larger, 0, 0, this.outEnd)
    this.out = larger
  }
}

/** Reads what the other has made, and knows of it only that its keys must begin with the prefix. */
export class PieceCheck {
  private readonly pieces: RequestPieces
  private readonly keys: KeyPlaces
  private readonly prefix: Buffer
  /** How much of the prefix of the key under way has been seen; -1: the argument is none. */
  private seen = -1
  /** It ended where it should. */
  isOver = false

  constructor(lineBytes: number, count: number, keys: KeyPlaces, prefix: Buffer) {
    // As it came it was within its bounds; prefixes have made it longer.
    this.pieces = new RequestPieces(count, lineBytes, Number.MAX_SAFE_INTEGER)
    this.keys = keys
    this.prefix = prefix
  }

  /** False: a key without the prefix, or no such request. */
  passes(buf: Buffer, from: number, end: number): boolean {
    const { pieces, prefix } = this
    let p = from
    for (;;) {
      // What was passed over last is of the argument that began before.
      const before = p
      const outcome = pieces.next(buf, p, end)
      if (outcome === pieceBroken) return false
      p = pieces.pos
      if (this.seen >= 0) {
        const upTo = Math.min(pieces.dataEnd, before + prefix.length - this.seen)
        for (let i = before; i < upTo; i++) if (buf[i] !== prefix[this.seen++]) return false
        if (outcome !== pieceMore && this.seen < prefix.length) return false
      }
      if (outcome === pieceArgument) {
        const isName = isKey(this.keys, pieces.index)
        if (isName && pieces.size < prefix.length) return false
        this.seen = isName ? 0 : -1
      } else {
        this.isOver = outcome === pieceOver
        return !this.isOver || p === end
      }
    }
  }
}
