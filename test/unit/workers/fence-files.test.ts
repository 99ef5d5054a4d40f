import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { entryWords, goneWords, headWords, takeGone } from '../../../src/regions/sibling-format.ts'
import { createFenceFiles, FenceFiles, ringEntries, tellGone } from '../../../src/workers/fence-files.ts'

const workers = 3
const ring = 8
let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'regis-fences-'))
  createFenceFiles(folder, workers, ring)
})

afterEach(() => {
  chmodSync(folder, 0o700)
  rmSync(folder, { recursive: true })
})

const words = (count: number, from: number) => Uint32Array.from({ length: count }, (_, i) => from + i)

test('what one worker writes the others read, each in its own place', () => {
  const files = [0, 1, 2].map((i) => new FenceFiles(folder, i))
  files.forEach((file, i) => {
    file.writeHead(words(headWords, 100 * i))
    file.writeRing(words(3 * entryWords, 1000 * (i + 1)), entryWords, 6, 2)
  })
  for (const reader of files) {
    const heads = new Uint32Array(workers * (headWords + goneWords))
    reader.readHeads(heads)
    const into = new Uint32Array(2 * entryWords)
    for (let i = 0; i < workers; i++) {
      expect(heads.subarray(i * headWords, (i + 1) * headWords)).toEqual(words(headWords, 100 * i))
      reader.readRing(i, into, 6, 2)
      expect(into).toEqual(words(2 * entryWords, 1000 * (i + 1) + entryWords))
    }
  }
  for (const file of files) file.close()
})

test('who is gone is told without disturbing a head', () => {
  const file = new FenceFiles(folder, 0)
  file.writeHead(words(headWords, 5))
  tellGone(folder, 2, 77)
  const heads = new Uint32Array(workers * (headWords + goneWords))
  file.readHeads(heads)
  expect(heads.subarray(0, headWords)).toEqual(words(headWords, 5))
  expect([0, 1, 2].map((i) => takeGone(heads, workers * headWords + i * goneWords))).toEqual([0, 0, 77])
  file.close()
})

test('all workers have the same seeds and the same secret, another proxy has others', () => {
  const [one, two] = [new FenceFiles(folder, 0), new FenceFiles(folder, 1)]
  expect(one.seeds).toEqual(two.seeds)
  expect(Buffer.from(one.seeds.secret, 'base64')).toHaveLength(32)
  const other = mkdtempSync(path.join(tmpdir(), 'regis-fences-'))
  createFenceFiles(other, 1, ring)
  const stranger = new FenceFiles(other, 0)
  expect(stranger.seeds.secret).not.toBe(one.seeds.secret)
  for (const file of [one, two, stranger]) file.close()
  rmSync(other, { recursive: true })
})

test('they are for this user alone, and take all of their room at the start', () => {
  for (const name of ['heads', 'writes.0', 'writes.2'])
    expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600)
  expect(statSync(path.join(folder, 'writes.1')).size).toBe(ring * entryWords * 4)
  expect(readFileSync(path.join(folder, 'writes.1')).every((byte) => byte === 0)).toBe(true)
  expect(Number.isInteger(Math.log2(ringEntries))).toBe(true)
})

test('files that are not as they were made are refused', () => {
  expect(() => createFenceFiles(folder, workers, ring)).toThrow('EEXIST')
  truncateSync(path.join(folder, 'writes.1'), 12)
  expect(() => new FenceFiles(folder, 0)).toThrow('a ring has another size')
  writeFileSync(path.join(folder, 'heads'), Buffer.alloc(200))
  expect(() => new FenceFiles(folder, 0)).toThrow('another version')
  truncateSync(path.join(folder, 'heads'), 8)
  expect(() => new FenceFiles(folder, 0)).toThrow('a file is too short')
})
