/**
 * Pieces of a file -> its lines, one after the other, however the pieces are cut. Of the file no more is held than one
 * piece and one line. A line feed ends a line, a carriage return before it and a byte order mark at the start are no part of
 * it; what follows the last line feed is a line too, unless it is nothing. Pure.
 */
export interface Line {
  /** From 1. */
  readonly number: number
  /** Undefined: the line is longer than `lineBytesMax`. */
  readonly text: string | undefined
}

const lineFeed = 10
const none = Buffer.alloc(0)

export function* linesOf(pieces: Iterable<Buffer>, lineBytesMax: number): Generator<Line, void> {
  let number = 0
  /** The beginning of a line whose end has not come. */
  let begun: Buffer = none
  let isTooLong = false
  const line = (end: Buffer): Line => {
    number++
    const bytes = begun.length === 0 ? end : Buffer.concat([begun, end])
    const text = isTooLong || bytes.length > lineBytesMax ? undefined : textOf(bytes, number === 1)
    begun = none
    isTooLong = false
    return { number, text }
  }
  for (const piece of pieces) {
    let from = 0
    for (let at = piece.indexOf(lineFeed); at >= 0; at = piece.indexOf(lineFeed, from)) {
      yield line(piece.subarray(from, at))
      from = at + 1
    }
    const rest = piece.subarray(from)
    if (isTooLong || begun.length + rest.length > lineBytesMax) {
      isTooLong = true
      begun = none
    } else if (rest.length > 0) begun = Buffer.concat([begun, rest]) // a copy: the piece may be filled anew
  }
  if (isTooLong || begun.length > 0) yield line(none)
}

function textOf(bytes: Buffer, isFirst: boolean): string {
  const text = bytes.toString('utf8', 0, bytes.at(-1) === 13 ? bytes.length - 1 : bytes.length)
  return isFirst && text.startsWith('\ufeff') ? text.slice(1) : text
}
