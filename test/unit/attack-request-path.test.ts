/** The request path against sequences that were thought out to break a promise of it. */
import { bigRequestBytesMax, clientFrontBytes } from '../../src/base/limits.ts'
import { buildWorld } from './request-world.ts'

test('large requests of some leave room for the small pieces of others', () => {
  const { path } = buildWorld()
  expect(path.reserve(bigRequestBytesMax, bigRequestBytesMax)).toBe(true)
  expect(path.reserve(1, clientFrontBytes + 1)).toBe(false)
  expect(path.reserve(clientFrontBytes, clientFrontBytes)).toBe(true)
})
