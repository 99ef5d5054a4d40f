import { Node } from '../../../src/regions/node.ts'
import { inTurns, orderByDistance, rankedBy, smooth } from '../../../src/regions/order.ts'

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

test('one node passes another only when it is really nearer: equals do not change places', () => {
  const list = nodes('a', 'b', 'c')
  const again = (before: readonly Node[], ranks: number[]) => orderByDistance(list, ranks, {}, before)
  let now: readonly Node[] = orderByDistance(list, [10, 11, 50], {})
  // Each drifts by a third and back, one after the other: what is ranked by moves each time.
  for (const ranks of [
    [13.4, 11, 50],
    [13.4, 14.5, 50],
    [10, 14.5, 50],
    [11.5, 10, 50],
  ]) {
    now = again(now, ranks)
    expect(now.map((node) => node.index)).toEqual([0, 1, 2])
  }
  now = again(now, [30, 10, 50])
  expect(now.map((node) => node.index)).toEqual([1, 0, 2])
  // Nearer than all but the first, it passes those in between as well.
  expect(again(now, [30, 10, 9]).map((node) => node.index)).toEqual([1, 2, 0])
  expect(again(now, [30, 30, 2]).map((node) => node.index)).toEqual([2, 1, 0])
})

describe('turns', () => {
  const turns = (list: Node[], ranks: number[], primary = -1) => {
    const order = orderByDistance(list, ranks, {})
    return inTurns(order, list[primary]).map((turn) => turn.map((node) => node.index).join(''))
  }
  test('equals of one region are each first for as many clients, and nothing else moves', () => {
    expect(turns(nodes('home', 'home', 'home', 'a'), [0.3, 0.4, 0.5, 80])).toEqual(['0123', '1203', '2013'])
    expect(turns(nodes('home', 'home', 'a', 'a', 'a'), [1, 1, 80, 81, 82])).toEqual([
      ...['01234', '10342', '01423', '10234', '01342', '10423'],
    ])
  })
  test('of two regions that are equally near none is taken for the other', () => {
    expect(turns(nodes('a', 'b'), [80, 80])).toEqual(['01'])
  })
  test('what is measured between nodes of one region moves no client', () => {
    expect(turns(nodes('home', 'home', 'a'), [0.2, 7, 80])).toEqual(['012', '102'])
    expect(turns(nodes('home', 'home', 'a'), [7, 0.2, 80])).toEqual(['012', '102'])
  })
  test('the primary keeps its place', () => {
    expect(turns(nodes('home', 'home', 'home'), [1, 1, 1], 0)).toEqual(['012', '021'])
    expect(turns(nodes('home', 'home', 'home'), [1, 1, 1], 1)).toEqual(['012', '210'])
  })
  test('nodes that were never reached are equals too', () => {
    const never = Number.POSITIVE_INFINITY
    expect(turns(nodes('a', 'a'), [never, never])).toEqual(['01', '10'])
  })
})
