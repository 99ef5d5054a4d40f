/**
 * Redis's glob patterns over bytes: `*`, `?`, `[abc]`, `[a-c]`, `[^x]`, `\x`. Pure, and linear in pattern times text:
 * Redis's own matcher recurses at every star (util.c, stringmatchlen; CVE-2022-36021), so `a*a*a*a*b` can stop a server.
 * Here only the newest star is ever gone back to. That loses nothing: whatever an earlier star could take more of, the
 * newest one can take as well.
 *
 * The odd corners are those of Redis 7's KEYS: `[a-` at the end of a pattern, a range written backwards (swapped), an open class (ends
 * with the pattern), `[^]` and `[]` (an empty class), a closing `\` (a plain backslash).
 */
const star = 0x2a
const question = 0x3f
const open = 0x5b
const close = 0x5d
const backslash = 0x5c
const caret = 0x5e
const dash = 0x2d

/** How much work matching may be, in steps of some nanoseconds. Used up: below 0. */
export interface GlobBudget {
  steps: number
}

/**
 * Does the pattern match all of text[off, off + len)? Allocates nothing. With a budget: false as well when that is used up,
 * for one pattern of a kilobyte and one text of as much can take a million steps.
 */
export function globMatch(
  pattern: Uint8Array,
  text: Uint8Array,
  off: number,
  len: number,
  budget?: GlobBudget,
): boolean {
  const end = off + len
  let p = 0
  let t = off
  let starAt = -1
  let starText = 0
  for (;;) {
    if (p < pattern.length && pattern[p] === star) {
      starAt = p++
      starText = t
      continue
    }
    if (t === end) {
      // An element other than a star needs a byte. (More bytes for an earlier star would only leave fewer.)
      return p === pattern.length
    }
    const next = p < pattern.length ? matchOne(pattern, p, text[t]!) : -1
    if (next !== -1) {
      p = next
      t++
      continue
    }
    if (starAt === -1) return false
    if (budget !== undefined) {
      budget.steps -= p - starAt + (pattern[p] === open ? pattern.length - p : 0)
      if (budget.steps < 0) return false
    }
    p = starAt + 1
    t = ++starText
  }
}

/** Where the pattern goes on after the element at `p` has matched `byte`; -1 when it does not. The element is no star. */
function matchOne(pattern: Uint8Array, p: number, byte: number): number {
  const first = pattern[p]!
  if (first === question) return p + 1
  if (first === open) return matchClass(pattern, p + 1, byte)
  if (first === backslash && p + 1 < pattern.length) return pattern[p + 1] === byte ? p + 2 : -1
  return first === byte ? p + 1 : -1
}

function matchClass(pattern: Uint8Array, from: number, byte: number): number {
  const size = pattern.length
  let p = from
  const isNegated = p < size && pattern[p] === caret
  if (isNegated) p++
  let isIn = false
  for (;;) {
    if (p >= size) break
    const c = pattern[p]!
    if (c === backslash && p + 1 < size) {
      if (pattern[p + 1] === byte) isIn = true
      p += 2
    } else if (c === close) {
      p++
      break
    } else if (p + 2 < size && pattern[p + 1] === dash) {
      const low = Math.min(c, pattern[p + 2]!)
      const high = Math.max(c, pattern[p + 2]!)
      if (byte >= low && byte <= high) isIn = true
      p += 3
    } else {
      if (c === byte) isIn = true
      p++
    }
  }
  return isIn === isNegated ? -1 : p
}
