import { Node } from '../../../src/regions/node.ts'
import { orderByDistance, rankedBy, smooth } from '../../../src/regions/order.ts'

const nodes = (...regions: string[]) =>
  regions.map(
    (region, i) => new Node(i, { name: `${i}`, region, host: region, port: 1, tls: false }, region === 'home'),
  )
const order = (list: Node[], ranks: number[], distances = {}) =>
  orderByDistance(list, ranks, distances).map((node) => node.index)

test('the nearest comes first', () => {
  expect(order(nodes('a', 'b', 'c'), [180, 80, 120])).toEqual([1, 2, 0])
})

test('a local node is first among equals, and not when it is really farther', () => {
  expect(order(nodes('a', 'home'), [1, 1.8])).toEqual([1, 0])
  expect(order(nodes('a', 'home'), [80, 100])).toEqual([1, 0])
  expect(order(nodes('a', 'home'), [1, 50])).toEqual([0, 1])
})

test('a node that was never reached comes last, a local one before others', () => {
  const never = Number.POSITIVE_INFINITY
  expect(order(nodes('a', 'b', 'home'), [never, 200, never])).toEqual([1, 2, 0])
})

test('a given distance overrides what was measured, for all nodes of that region', () => {
  expect(order(nodes('a', 'b', 'a'), [5, 50, 6], { a: 180 })).toEqual([1, 0, 2])
  expect(order(nodes('constructor', 'b'), [5, 1], {})).toEqual([1, 0])
})

test('equals keep the order of the configuration', () => {
  expect(order(nodes('a', 'b', 'c'), [7, 7, 7])).toEqual([0, 1, 2])
})

test('jitter of less than a quarter or 1 ms does not move a rank; more does', () => {
  expect(rankedBy(100, 124)).toBe(100)
  expect(rankedBy(100, 126)).toBe(126)
  expect(rankedBy(100, 74)).toBe(74)
  expect(rankedBy(0.2, 1.1)).toBe(0.2)
  expect(rankedBy(0.2, 1.3)).toBe(1.3)
  expect(rankedBy(Number.POSITIVE_INFINITY, 5)).toBe(5)
})

test('one bad sample moves the round trip by a fifth of it', () => {
  expect(smooth(Number.POSITIVE_INFINITY, 10)).toBe(10)
  expect(smooth(10, 60)).toBeCloseTo(20)
})
