/** A large request of few keys is rewritten in parts (rewriteLarge), which is broken here to see that the second look stops it. */
import { rewriteLarge } from '../../src/tenant/rewrite.ts'
import { buildWorld } from './request-world.ts'

jest.mock('../../src/tenant/rewrite.ts', () => {
  const real = jest.requireActual('../../src/tenant/rewrite.ts')
  return { ...real, rewriteLarge: jest.fn(real.rewriteLarge) }
})

const rewrite = rewriteLarge as jest.MockedFunction<typeof rewriteLarge>
const real = jest.requireActual<{ rewriteLarge: typeof rewriteLarge }>('../../src/tenant/rewrite.ts').rewriteLarge
const large = 'v'.repeat(200_000)

test('a large request goes to the primary in parts, with every key prefixed', () => {
  const world = buildWorld()
  world.client('shop').send(['MSET', 'a', large, 'b', '2'])
  expect(rewrite).toHaveBeenCalledTimes(1)
  expect(world.sentTo(world.primary)).toBe(
    `*5\r\n$4\r\nMSET\r\n$6\r\nshop:a\r\n$200000\r\n${large}\r\n$6\r\nshop:b\r\n$1\r\n2\r\n`,
  )
  expect(world.cells.tripwires.foreignPrefix).toBe(0)
})

test.each(['', 'rest:', 'shop'])('one whose second key got %j for a prefix never leaves', (prefix) => {
  rewrite.mockImplementationOnce((source, start, frame, keys, own) => {
    const parts = real(source, start, frame, keys, own)
    parts[3] = Buffer.concat([Buffer.from('$6\r\n'), Buffer.from(prefix)])
    return parts
  })
  const world = buildWorld()
  const client = world.client('shop')
  client.send(['MSET', 'a', large, 'b', '2'])
  expect(world.cells.tripwires.foreignPrefix).toBe(1)
  expect(world.sentTo(world.primary) + world.sentTo(world.replica)).toBe('')
  expect(world.ports.filter((port) => port.destroyed === 'isolation check failed')).toHaveLength(1)
  expect(client.socket.isDestroyed).toBe(true)
})
