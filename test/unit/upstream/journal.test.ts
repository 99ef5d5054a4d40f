import { journalBytes } from '../../../src/base/limits.ts'
import { Journal } from '../../../src/upstream/journal.ts'
import { command } from '../../kit/resp.ts'

const get = (i: number, size = 1): Buffer => command('SET', `k${i}`, 'x'.repeat(size))

/** Flushes of these many commands each, numbered from `first`. */
function journal(flushes: readonly number[], first = 0, size = 1) {
  const it = new Journal()
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

test('what is older than the ring is not found, what is newer is, across its end too', () => {
  const size = 1_000
  const flushes = Array.from({ length: 600 }, () => 1)
  const { it, last } = journal(flushes, 0, size)
  expect(it.requests([1], last)).toBeUndefined()
  for (let i = 599; i > 600 - Math.floor(journalBytes / get(599, size).length); i--)
    expect(it.requests([i], last)).toEqual([get(i, size)])
})

test('a number that was never noted is not found', () => {
  const { it, last } = journal([2])
  expect(it.requests([2], last)).toBeUndefined()
  expect(it.requests([5], last)).toBeUndefined()
})

test('a flush that holds another number of requests than it should gives none: the count would be off by one', () => {
  const it = new Journal()
  it.note(Buffer.concat([get(0), get(1)]), 0)
  it.note(get(3), 3)
  expect(it.requests([0], 4)).toBeUndefined()
  expect(it.requests([3], 4)).toEqual([get(3)])
})

test('it is empty after a flush that is larger than itself', () => {
  const { it } = journal([2])
  it.note(Buffer.alloc(journalBytes + 1), 2)
  expect(it.requests([0], 3)).toBeUndefined()
})

test('a flush that was looked into once is not what a later one in its place is taken for', () => {
  const { it, last } = journal([2, 2])
  expect(it.requests([0], last)).toEqual([get(0)])
  expect(it.requests([1], last)).toEqual([get(1)])
  it.clear()
  it.note(get(9), 9)
  expect(it.requests([9], 10)).toEqual([get(9)])
  const wide = journal([1]).it
  expect(wide.requests([0], 1)).toEqual([get(0)])
  for (let i = 1; i < 10; i++) wide.note(get(i, journalBytes / 4), i)
  expect([wide.requests([0], 10), wide.requests([9], 10)]).toEqual([undefined, [get(9, journalBytes / 4)]])
})
