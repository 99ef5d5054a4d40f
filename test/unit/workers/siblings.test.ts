/** What a worker is told of the others. */
import { firstClientId, partOf, workerOfClient } from '../../../src/base/siblings.ts'
import { KnownSiblings } from '../../../src/workers/siblings.ts'

test('who is gone is told before its successor, and oneself is not among the others', () => {
  const siblings = new KnownSiblings({ index: 1, count: 3, incarnation: 2, scratch: '/dev/shm/x' })
  const events: string[] = []
  siblings.onSiblingGone((index, incarnation) => events.push(`gone ${index}.${incarnation}`))
  siblings.onSiblingStarted((index, incarnation) => events.push(`started ${index}.${incarnation}`))
  const list = (...incarnations: (number | undefined)[]) =>
    siblings.take(
      incarnations.flatMap((incarnation, index) => (incarnation === undefined ? [] : [{ index, incarnation }])),
    )
  list(1, 2, 3)
  list(1, 2, 3)
  list(4, 2, 3)
  list(4, 2, undefined)
  list(4, 2, 5)
  expect(events).toEqual(['started 0.1', 'started 2.3', 'gone 0.1', 'started 0.4', 'gone 2.3', 'started 2.5'])
  expect(siblings.others()).toEqual([
    { index: 0, incarnation: 4 },
    { index: 2, incarnation: 5 },
  ])
})

test.each([
  [10_000, 1, 10_000],
  [10_000, 4, 2_500],
  [10, 4, 3],
  [1, 4, 1],
  [0, 4, 0],
  [Number.POSITIVE_INFINITY, 4, Number.POSITIVE_INFINITY],
])('of %d each of %d has %d', (bound, count, part) => expect(partOf(bound, count)).toBe(part))

test.each([1, 2, 3, 64])('of %d workers each gives ids of its own, from any number on', (count) => {
  for (const from of [1, 2, 17, 1_000_003]) {
    const first = Array.from({ length: count }, (_, index) => firstClientId(index, count, from))
    expect(first.map((id) => workerOfClient(id, count))).toEqual(first.map((_, index) => index))
    expect([...first].sort((a, b) => a - b)).toEqual(first.map((_, i) => from + i))
  }
})
