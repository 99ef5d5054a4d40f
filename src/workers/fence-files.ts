/**
 * ~ The files in which the workers of one proxy tell each other of writes (regions/sibling-format.ts has the words, regions/sibling-log.ts
 * the rules): in a folder of theirs in memory, made by the supervisor before the first worker starts.
 *
 *   heads      | prelude: version, workers, ring, seeds of hashes, a secret | a head a worker | gone, one a worker |
 *   writes.<n> | the ring of worker n |
 *
 * Read and written with one system call each, in place, so nothing waits for another process. All room is taken at the start: a full
 * file system is met then and not in the middle of a write.
 */
import { randomFillSync } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import path from 'node:path'
import { entryWords, goneWords, headWords, putGone, type SiblingPages } from '../regions/sibling-format.ts'

const version = 0x52470001
const preludeWords = 16
const secretWords = 8
const wordBytes = 4
/** Entries of a ring, 1.5 MiB: what a worker that takes 1.3 million writes a second has between two looks of a sibling (50 ms). */
export const ringEntries = 65_536

export interface SharedSeeds {
  /** Seeds of hashes of keys (tenant/key-hash.ts). */
  readonly a: number
  readonly b: number
  /** 256 random bits that all workers of this proxy have and nobody else. */
  readonly secret: string
}

/** By the supervisor, in an empty folder that only this user may enter. Throws when there is no room. */
export function createFenceFiles(folder: string, workers: number, ring = ringEntries): void {
  const heads = new Uint32Array(preludeWords + workers * (headWords + goneWords))
  randomFillSync(heads, 0, preludeWords)
  heads[0] = version
  heads[1] = workers
  heads[2] = ring
  writeNew(path.join(folder, 'heads'), heads)
  for (let i = 0; i < workers; i++) writeNew(ringPath(folder, i), new Uint32Array(ring * entryWords))
}

function writeNew(file: string, words: Uint32Array): void {
  const fd = openSync(file, 'wx', 0o600)
  try {
    writeAll(fd, words, 0, words.length, 0)
  } finally {
    closeSync(fd)
  }
}

/** By the supervisor, when the process that was this worker has ended, and not before. */
export function tellGone(folder: string, worker: number, incarnation: number): void {
  const fd = openSync(path.join(folder, 'heads'), 'r+')
  try {
    const prelude = new Uint32Array(preludeWords)
    readAll(fd, prelude, prelude.length, 0)
    const words = new Uint32Array(goneWords)
    putGone(incarnation, words)
    const at = preludeWords + prelude[1]! * headWords + worker * goneWords
    writeAll(fd, words, 0, goneWords, at)
  } finally {
    closeSync(fd)
  }
}

function ringPath(folder: string, worker: number): string {
  return path.join(folder, `writes.${worker}`)
}

/** Words [from, from + count) of `words`, to word `at` of the file. */
function writeAll(fd: number, words: Uint32Array, from: number, count: number, at: number): void {
  const bytes = count * wordBytes
  if (writeSync(fd, words, from * wordBytes, bytes, at * wordBytes) !== bytes) throw new Error('a write was cut short')
}

function readAll(fd: number, into: Uint32Array, count: number, at: number): void {
  const bytes = count * wordBytes
  if (readSync(fd, into, 0, bytes, at * wordBytes) !== bytes) throw new Error('a file is too short')
}

/** A worker's hands on all of them. */
export class FenceFiles implements SiblingPages {
  readonly self: number
  readonly workers: number
  readonly ring: number
  readonly seeds: SharedSeeds
  private readonly heads: number
  private readonly rings: readonly number[]

  /** Throws when the files are not there or are another version's. */
  constructor(folder: string, self: number) {
    this.self = self
    this.heads = openSync(path.join(folder, 'heads'), 'r+')
    const prelude = new Uint32Array(preludeWords)
    readAll(this.heads, prelude, prelude.length, 0)
    if (prelude[0] !== version) throw new Error('the files of fences are of another version')
    this.workers = prelude[1]!
    this.ring = prelude[2]!
    const secret = prelude.subarray(preludeWords - secretWords)
    this.seeds = {
      a: prelude[3]! | 0,
      b: prelude[4]! | 0,
      secret: Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength).toString('base64'),
    }
    this.rings = Array.from({ length: this.workers }, (_, i) => {
      const fd = openSync(ringPath(folder, i), i === self ? 'r+' : 'r')
      if (fstatSync(fd).size !== this.ring * entryWords * wordBytes) throw new Error('a ring has another size')
      return fd
    })
  }

  close(): void {
    for (const fd of [this.heads, ...this.rings]) closeSync(fd)
  }

  readHeads(into: Uint32Array): void {
    readAll(this.heads, into, this.workers * (headWords + goneWords), preludeWords)
  }

  writeHead(words: Uint32Array): void {
    writeAll(this.heads, words, 0, headWords, preludeWords + this.self * headWords)
  }

  readRing(worker: number, into: Uint32Array, from: number, entries: number): void {
    readAll(this.rings[worker]!, into, entries * entryWords, from * entryWords)
  }

  writeRing(words: Uint32Array, firstWord: number, from: number, entries: number): void {
    writeAll(this.rings[this.self]!, words, firstWord, entries * entryWords, from * entryWords)
  }
}
