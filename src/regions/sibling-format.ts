/**
 * The words in which the workers of one proxy tell each other of writes (sibling-log.ts writes them, sibling-fences.ts reads
 * them), as unsigned 32-bit numbers in the machine's own order: both ends are on one machine.
 *
 *   head, one a worker   | incarnation | flags | written: lo, hi | settled: lo, hi | history: a, b | check | not used |
 *   gone, one a worker   | incarnation that has ended | check |                       written by the supervisor
 *   entry, in a ring     | tenant: a, b | key: spread, tag | kind | check |
 *
 * Nobody locks anything, so a reader can meet a head or an entry that is half written. The check covers all words of it, for
 * an entry also which entry of which incarnation it is; so one that was overwritten meanwhile is told apart as well.
 */
export const headWords = 16
export const goneWords = 2
export const entryWords = 6

/** Flags of a head. `wants`: its session reads may be served by replicas. `logs`: what it writes is in its ring. */
export const flagWants = 1
export const flagLogs = 2

/** What an entry holds for: one key of a tenant, all of its keys, or everything of everybody. */
export const kindKey = 0
export const kindTenant = 1
export const kindEverybody = 2

const usedHeadWords = 9
const twoTo32 = 0x1_0000_0000

function mix(hash: number, word: number): number {
  const x = Math.imul(hash ^ word, 0x9e3779b1)
  return x ^ (x >>> 15)
}

/** What a worker says of itself. */
export class Head {
  /** Raised by each process that is this worker; 0: none was yet. */
  incarnation = 0
  flags = 0
  /** How many entries it has written. */
  written = 0
  /** Up to this one, all of what they stand for is over: answered, or never to be run. */
  settled = 0
  /** Which run of which primary it writes to: a hash; two zeros: it knows none. */
  historyA = 0
  historyB = 0
}

export function putHead(head: Head, words: Uint32Array): void {
  words[0] = head.incarnation
  words[1] = head.flags
  words[2] = head.written >>> 0
  words[3] = Math.floor(head.written / twoTo32)
  words[4] = head.settled >>> 0
  words[5] = Math.floor(head.settled / twoTo32)
  words[6] = head.historyA
  words[7] = head.historyB
  words[8] = checkOf(words, 0, usedHeadWords - 1)
}

/** False: it is half written. Words that are all zero are a head of nobody yet. */
export function takeHead(words: Uint32Array, at: number, head: Head): boolean {
  if (words[at] === 0 && words[at + 8] === 0) {
    head.incarnation = 0
    return true
  }
  if (words[at + 8] !== checkOf(words, at, usedHeadWords - 1)) return false
  head.incarnation = words[at]!
  head.flags = words[at + 1]!
  head.written = words[at + 2]! + words[at + 3]! * twoTo32
  head.settled = words[at + 4]! + words[at + 5]! * twoTo32
  head.historyA = words[at + 6]!
  head.historyB = words[at + 7]!
  return true
}

export function putGone(incarnation: number, words: Uint32Array): void {
  words[0] = incarnation
  words[1] = checkOf(words, 0, 1)
}

/** The newest incarnation of a worker that has ended; 0: none, or half written. */
export function takeGone(words: Uint32Array, at: number): number {
  return words[at + 1] === checkOf(words, at, 1) ? words[at]! : 0
}

function checkOf(words: Uint32Array, at: number, count: number): number {
  let hash = 0x5eed
  for (let i = at; i < at + count; i++) hash = mix(hash, words[i]!)
  return hash >>> 0
}

/** Of entry number `number` (from 1) of an incarnation. */
export function entryCheck(words: Uint32Array, at: number, number: number, incarnation: number): number {
  let hash = mix(mix(0x5eed, incarnation), number | 0)
  hash = mix(hash, Math.floor(number / twoTo32))
  for (let i = at; i < at + entryWords - 1; i++) hash = mix(hash, words[i]!)
  return hash >>> 0
}

/**
 * Where the words are kept. Reads and writes take effect at once and for all; each throws when the file cannot be used. A write that
 * was made before another is seen before it.
 */
export interface SiblingPages {
  /** Which worker this process is, from 0, and how many there are. */
  readonly self: number
  readonly workers: number
  /** Entries of a ring; a power of two. */
  readonly ring: number
  /** All heads, then all that are gone: `workers * (headWords + goneWords)` words. */
  readHeads(into: Uint32Array): void
  /** Own head. */
  writeHead(words: Uint32Array): void
  /** `entries` of a worker's ring from place `from` on, which do not go beyond its end, to the beginning of `into`. */
  readRing(worker: number, into: Uint32Array, from: number, entries: number): void
  /** The first `entries` of `words`, to own ring. */
  writeRing(words: Uint32Array, firstWord: number, from: number, entries: number): void
}
