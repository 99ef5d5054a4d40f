/**
 * Inline commands (`SET a "b c"`), split by the rules of Redis's sdssplitargs: blanks separate, "..." knows \n \r \t \b
 * \a \xHH, '...' knows only \', a closing quote must be followed by a blank. Pure; the line comes without its newline.
 */

/** The arguments, or undefined for unbalanced quotes. An empty line gives no arguments. */
export function splitInline(line: Uint8Array): Buffer[] | undefined {
  const args: Buffer[] = []
  let p = 0
  while (true) {
    while (p < line.length && isBlank(line[p]!)) p++
    if (p >= line.length) return args
    const current: number[] = []
    let quote = 0
    let done = false
    while (!done) {
      if (p >= line.length) {
        if (quote !== 0) return undefined
        break
      }
      const c = line[p]!
      if (quote === 34) {
        if (c === 92 && line[p + 1] === 120 && isHex(line[p + 2]) && isHex(line[p + 3])) {
          current.push(Number.parseInt(String.fromCharCode(line[p + 2]!, line[p + 3]!), 16))
          p += 3
        } else if (c === 92 && p + 1 < line.length) {
          p++
          current.push(escapes.get(line[p]!) ?? line[p]!)
        } else if (c === 34) {
          if (p + 1 < line.length && !isBlank(line[p + 1]!)) return undefined
          done = true
        } else current.push(c)
      } else if (quote === 39) {
        if (c === 92 && line[p + 1] === 39) {
          p++
          current.push(39)
        } else if (c === 39) {
          if (p + 1 < line.length && !isBlank(line[p + 1]!)) return undefined
          done = true
        } else current.push(c)
      } else if (isBlank(c)) {
        done = true
      } else if (c === 34 || c === 39) {
        quote = c
      } else current.push(c)
      p++
    }
    args.push(Buffer.from(current))
  }
}

const escapes = new Map([
  [110, 10],
  [114, 13],
  [116, 9],
  [98, 8],
  [97, 7],
])

function isBlank(c: number): boolean {
  return c === 32 || (c >= 9 && c <= 13) || c === 0
}

function isHex(c: number | undefined): boolean {
  return c !== undefined && ((c >= 48 && c <= 57) || (c >= 97 && c <= 102) || (c >= 65 && c <= 70))
}
