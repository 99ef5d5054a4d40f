import { TenantCells } from '../../../src/metrics/cells.ts'
import { Node } from '../../../src/regions/node.ts'
import { TenantState } from '../../../src/tenant/account.ts'

const tenant = (): TenantState => new TenantState('shop', 'shop:', new TenantCells())

/** Whether a node that has shown these marks may serve the tenant's session reads, by the rule of routing/choose.ts. */
function isCovered(state: TenantState, shownSeq: number, trails: number[]): boolean {
  const node = new Node(0, { name: 'x', region: 'x', host: 'x', port: 1, tls: false }, true)
  Object.assign(node, { shownSeq, shownTrails: Float64Array.from(trails) })
  return (
    shownSeq >= state.fence &&
    node.covers(state.fenceA, state.slotA, state.trailA) &&
    node.covers(state.fenceB, state.slotB, state.trailB)
  )
}

test('a write is covered by a mark sent after its answer, or by one behind it on its own lane', () => {
  const state = tenant()
  state.noteWrite(20, 1, 12, 0)
  expect(isCovered(state, 20, [])).toBe(true)
  expect(isCovered(state, 19, [])).toBe(false)
  expect(isCovered(state, 13, [0, 13])).toBe(true)
  expect(isCovered(state, 12, [0, 12])).toBe(false)
})

test('marks of another lane prove nothing but their time', () => {
  const state = tenant()
  state.noteWrite(20, 1, 12, 0)
  expect(isCovered(state, 19, [19, 0, 19])).toBe(false)
})

test('writes on two lanes must both be covered', () => {
  const state = tenant()
  state.noteWrite(20, 1, 12, 0)
  state.noteWrite(22, 3, 14, 0)
  expect(isCovered(state, 15, [0, 15, 0, 0])).toBe(false)
  expect(isCovered(state, 15, [0, 0, 0, 15])).toBe(false)
  expect(isCovered(state, 15, [0, 13, 0, 15])).toBe(true)
  state.noteWrite(30, 1, 25, 0)
  expect(isCovered(state, 15, [0, 13, 0, 15])).toBe(false)
  expect(isCovered(state, 26, [0, 26, 0, 15])).toBe(true)
})

test('a lane that is crowded out is still covered by time', () => {
  const state = tenant()
  state.noteWrite(20, 1, 12, 0)
  state.noteWrite(22, 3, 14, 0)
  state.noteWrite(24, 5, 16, 0)
  expect(isCovered(state, 19, [0, 13, 0, 15, 0, 17])).toBe(false)
  expect(isCovered(state, 20, [0, 13, 0, 15, 0, 17])).toBe(true)
})
