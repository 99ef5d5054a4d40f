import { Node } from '../../../src/regions/node.ts'

function shown(shownSeq: number, trails: readonly number[]): Node {
  const node = new Node(0, { name: 'x', region: 'x', host: 'x', port: 1, tls: false }, true)
  Object.assign(node, { shownSeq, shownControlSeq: shownSeq, shownSentAtMs: 5, shownTrails: Float64Array.from(trails) })
  return node
}

test.each<[number, number, number, boolean, string]>([
  [10, -1, 0, true, 'the very mark'],
  [11, -1, 0, false, 'the next mark'],
  [11, 1, 6, true, 'a later mark on the lane of the command'],
  [11, 1, 7, false, 'the mark that stood before the command on its lane'],
  [11, 0, 6, false, 'a later mark on another lane'],
  [11, 2, 0, false, 'a lane that has shown none'],
  [0, -1, 0, true, 'nothing asked for'],
])('position %d on lane %d behind mark %d: covered is %s (%s)', (loose, slot, trail, isCovered) => {
  expect(shown(10, [0, 7]).covers(loose, slot, trail)).toBe(isCovered)
})

test('a new incarnation has shown nothing: no mark, no mark of any lane, no time', () => {
  const node = shown(10, [3, 7])
  const before = node.incarnation
  node.startIncarnation(42)
  expect(node.incarnation).toBe(before + 1)
  expect(node.incarnationSinceMs).toBe(42)
  expect([node.shownSeq, node.shownControlSeq, node.shownSentAtMs]).toEqual([0, 0, Number.NEGATIVE_INFINITY])
  expect([...node.shownTrails]).toEqual([0, 0])
  expect(node.covers(11, 1, 6)).toBe(false)
  expect(node.covers(11, 0, 0)).toBe(false)
})
