/** Guards in front of reads: which answers to ROLE hold, and what becomes of a lane whose answer does not. */
import { Guards, offsetOf, offsetUnknown } from '../../../src/regions/guards.ts'
import { Node } from '../../../src/regions/node.ts'
import type { CollectHandler, Lane } from '../../../src/upstream/lane.ts'

const address = { name: 'r:1', region: 'here', host: 'r', port: 1, tls: false }
const answer = (host: string, port: number, offset: number, state = 'connected') =>
  Buffer.from(
    `*5\r\n$5\r\nslave\r\n$${host.length}\r\n${host}\r\n:${port}\r\n$${state.length}\r\n${state}\r\n:${offset}\r\n`,
  )
const master = Buffer.from('*3\r\n$6\r\nmaster\r\n:100\r\n*0\r\n')

function setUp() {
  const node = new Node(0, address, true)
  node.role = 'replica'
  node.follows = '10.0.0.1:6379'
  const handlers: CollectHandler[] = []
  const destroyed: string[] = []
  const lane = {
    index: 3,
    nodeIndex: 0,
    isGuarded: false,
    sendInternal: (_request: Uint8Array, handler: CollectHandler) => handlers.push(handler),
    destroy: (why: string) => destroyed.push(why),
  }
  let voided = 0
  const guards = new Guards({
    nodes: [node],
    wentBack: (it) => {
      it.startIncarnation(0)
      voided++
    },
  })
  const send = () => {
    lane.isGuarded = false // flushed
    guards.before(lane as unknown as Lane)
  }
  const hear = (reply: Buffer | undefined) => handlers.shift()!(reply)
  return { node, guards, lane, handlers, send, hear, failures: () => [voided, destroyed.length] }
}

test('an answer is a replica’s of whom it followed, with its offset; anything else is none', () => {
  expect(offsetOf(answer('10.0.0.1', 6379, 77), '10.0.0.1:6379')).toBe(77)
  expect(offsetOf(answer('10.0.0.1', 6379, -1, 'connect'), '10.0.0.1:6379')).toBe(offsetUnknown)
  for (const reply of [answer('10.0.0.2', 6379, 77), answer('10.0.0.1', 6380, 77), master, Buffer.from('+OK\r\n')])
    expect(offsetOf(reply, '10.0.0.1:6379')).toBe(Number.NEGATIVE_INFINITY)
})

test('one guard a flush; while the offset grows and it follows the same node, all is well', () => {
  const { guards, lane, handlers, send, hear, node, failures } = setUp()
  send()
  guards.before(lane as unknown as Lane)
  expect(handlers).toHaveLength(1)
  for (const offset of [100, 100, 250]) {
    hear(answer('10.0.0.1', 6379, offset))
    expect(node.appliedOffset).toBe(offset)
    send()
  }
  hear(answer('10.0.0.1', 6379, offsetUnknown, 'sync')) // no link: it holds what it held
  send()
  hear(Buffer.from('-LOADING Redis is loading the dataset in memory\r\n'))
  send()
  hear(undefined)
  expect(failures()).toEqual([0, 0])
})

test.each([
  ['a lower offset', answer('10.0.0.1', 6379, 99)],
  ['another node that it follows', answer('10.0.0.2', 6379, 200)],
  ['a primary', master],
])('%s: proofs are void and the connection is given up', (_, reply) => {
  const { send, hear, failures } = setUp()
  send()
  hear(answer('10.0.0.1', 6379, 100))
  send()
  hear(reply)
  expect(failures()).toEqual([1, 1])
})

test('what counts is what was known when it was sent: a probe that learns of the change first hides nothing', () => {
  const { node, send, hear, failures } = setUp()
  send()
  hear(answer('10.0.0.1', 6379, 100))
  send()
  node.follows = '10.0.0.2:6379'
  node.startIncarnation(1)
  hear(answer('10.0.0.2', 6379, 50))
  expect(failures()).toEqual([1, 1])
})

test('an answer like the last one does not hold when it was another node that it should follow', () => {
  const { node, send, hear, failures } = setUp()
  for (const offset of [100, 101]) {
    send()
    hear(answer('10.0.0.1', 6379, offset))
  }
  node.follows = '10.0.0.2:6379'
  send()
  hear(answer('10.0.0.1', 6379, 102))
  expect(failures()).toEqual([1, 1])
})

test('an old primary that is read while there is no other is not asked', () => {
  const { node, handlers, send } = setUp()
  node.role = 'primary'
  send()
  expect(handlers).toHaveLength(0)
})
