/**
 * The first line of a script or library, checked before Redis sees it. Redis 7.0 repeats an engine, an option or a flag
 * that it does not know inside its error, with the line ends that it holds: a reply then becomes two (behaviour.md,
 * threat 7). So a first line is passed on only when it has nothing in it that could be repeated harmfully.
 */

const scriptHeader = /^#!lua(?: +flags=[a-z,-]*)*[ \r]*$/
/** Names of libraries: scripting functions accept letters, digits and underscores (functions.c, functionsVerifyName). */
const libraryHeader = /^#!lua +name=("?)([A-Za-z0-9_]{1,512})\1[ \r]*$/i
const headerBytesMax = 1024

/** Length of a script's first line with its newline; 0: it has none; -1: it must not be passed on. */
export function scriptHeaderLength(body: Buffer): number {
  if (body[0] !== 0x23 || body[1] !== 0x21) return 0
  const end = body.indexOf(10)
  if (end < 0 || end > headerBytesMax) return -1
  return scriptHeader.test(body.toString('latin1', 0, end)) ? end + 1 : -1
}

/** Name and length of the first line of a library; undefined: it must not be passed on. */
export function libraryHeaderOf(code: Buffer): { name: string; length: number } | undefined {
  const end = code.indexOf(10)
  if (end < 0 || end > headerBytesMax) return undefined
  const name = libraryHeader.exec(code.toString('latin1', 0, end))?.[2]
  return name === undefined ? undefined : { name, length: end + 1 }
}

/** What Redis says to a first line of a library that `libraryHeaderOf` refuses; undefined: it is fine. */
export function libraryHeaderError(code: Buffer): string | undefined {
  if (libraryHeaderOf(code) !== undefined) return undefined
  if (code[0] !== 0x23 || code[1] !== 0x21) return 'ERR Missing library metadata'
  const end = code.indexOf(10)
  const line = code.toString('latin1', 0, Math.min(end, headerBytesMax))
  // Quotes would have escapes undone; what else can be printed is repeated as it is.
  if (end < 0 || end > headerBytesMax || !/^[\x20-\x7e]*$/.test(line) || /["']/.test(line))
    return 'ERR Invalid library metadata'
  const [engine, ...options] = line.slice(2).trimEnd().split(/ +/)
  const names = options.filter((option) => /^name=/i.test(option))
  if (names.length > 1) return 'ERR Invalid metadata value, name argument was given multiple times'
  const other = options.find((option) => !/^name=/i.test(option))
  if (other !== undefined) return `ERR Invalid metadata value given: ${other}`
  if (names.length === 0) return 'ERR Library name was not given'
  if (!/^\w+$/.test(names[0]!.slice(5)))
    return 'ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long'
  return `ERR Engine '${engine}' not found`
}
