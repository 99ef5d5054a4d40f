import { Journal } from '../../../src/upstream/journal.ts'
import { command } from '../../kit/resp.ts'

const get = (i: number, size = 1): Buffer => command('SET', `k${i}`, 'x'.repeat(size))

/** An arena that comes round when a flush does not fit any more, as a lane's does. */
class Arena {
  readonly bytes: Buffer
  readonly it = new Journal()
  at = 0

  constructor(size = 64 * 1024) {
    this.bytes = Buffer.alloc(size)
  }

  note(flush: Buffer, first: number): void {
    if (this.at + flush.length > this.bytes.length) this.at = 0
    flush.copy(this.bytes, this.at)
    this.it.note(this.at, this.at + flush.length, first)
    this.at += flush.length
  }

  /** With so many bytes behind the last flush that were not sent yet. */
  requests(numbers: readonly number[], last: number, unsent = 0): Buffer[] | undefined {
    return this.it.requests(numbers, last, this.bytes, this.at, this.at + unsent)
  }
}

/** Flushes of these many commands each, numbered from `first`. */
function journal(flushes: readonly number[], first = 0, size = 1, arenaBytes?: number) {
  const it = new Arena(arenaBytes)
  let number = first
  for (const count of flushes) {
    it.note(Buffer.concat(Array.from({ length: count }, (_, i) => get((number + i) | 0, size))), number)
    number = (number + count) | 0
  }
  return { it, last: number }
}

test('requests are found by their numbers, in one flush or in several', () => {
  const { it, last } = journal([3, 1, 4])
  expect(it.requests([1, 2, 3, 7], last)).toEqual([1, 2, 3, 7].map((i) => get(i)))
})

test('numbers go on from the largest to the smallest', () => {
  const { it, last } = journal([2, 2], 0x7fffffff)
  const second = (0x7fffffff + 1) | 0
  expect(it.requests([0x7fffffff, second], last)).toEqual([get(0x7fffffff), get(second)])
})

test('what was written over is not found, what is newer is, across the end of the arena too', () => {
  const size = 1_000
  const { it, last } = journal(
    Array.from({ length: 600 }, () => 1),
    0,
    size,
    100_000,
  )
  const fit = Math.floor(100_000 / get(599, size).length)
  expect(it.requests([1], last)).toBeUndefined()
  expect(it.requests([599 - fit], last)).toBeUndefined()
  for (let i = 599; i > 599 - fit; i--) expect(it.requests([i], last)).toEqual([get(i, size)])
  // What is being written now has taken the place of the oldest of these.
  it.at = it.at + get(0, size).length > 100_000 ? 0 : it.at
  expect(it.requests([599 - fit + 1], last, 1)).toBeUndefined()
  expect(it.requests([599], last, 1)).toEqual([get(599, size)])
})

test('where something was written and taken back nothing is found any more', () => {
  const { it, last } = journal([2, 2])
  const length = Buffer.concat([get(0), get(1)]).length
  it.it.note(length - 1, length, last)
  expect(it.requests([0], last)).toBeUndefined()
  expect(it.requests([2], last)).toEqual([get(2)])
})

test('a number that was never noted is not found', () => {
  const { it, last } = journal([2])
  expect(it.requests([2], last)).toBeUndefined()
  expect(it.requests([5], last)).toBeUndefined()
})

test('a flush that holds another number of requests than it should gives none: the count would be off by one', () => {
  const it = new Arena()
  it.note(Buffer.concat([get(0), get(1)]), 0)
  it.note(get(3), 3)
  expect(it.requests([0], 4)).toBeUndefined()
  expect(it.requests([3], 4)).toEqual([get(3)])
})

test('a flush that was looked into once is not what a later one in its place is taken for', () => {
  const { it, last } = journal([2, 2])
  expect(it.requests([0], last)).toEqual([get(0)])
  expect(it.requests([1], last)).toEqual([get(1)])
  it.it.clear()
  it.note(get(9), 9)
  expect(it.requests([9], 10)).toEqual([get(9)])
})
