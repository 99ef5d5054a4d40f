import { Node } from '../../../src/regions/node.ts'
import { LEVEL, newReadNeed } from '../../../src/routing/choose.ts'
import { candidateOf } from '../../../src/routing/explain.ts'

const because = (role: Node['role'], primary?: Node): string => {
  const node = new Node(0, { name: 'a:1', region: 'eu', host: 'a', port: 1, tls: false }, true)
  Object.assign(node, { isUp: true, role })
  return candidateOf({ ...newReadNeed(), level: LEVEL.eventual }, node, primary, 0, true, false).because
}

test('a node that is not read from since nobody has confirmed it is told apart from one of another history', () => {
  const other = new Node(1, { name: 'b:1', region: 'us', host: 'b', port: 1, tls: false }, false)
  expect(because('primary')).toBe('it says that it is the primary, and is not confirmed as that')
  expect(because('primary', other)).toBe('it says that it is the primary, and is not confirmed as that')
  expect(because('replica', other)).toBe('it is not of the history of the confirmed primary')
  expect(because('replica')).toBe('it is not of the history of the last confirmed primary')
})
