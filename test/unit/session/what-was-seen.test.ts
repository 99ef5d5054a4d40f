/** What a connection has read binds its next reads, whatever happened to the node that it read at. */
import { command } from '../../kit/resp.ts'
import { buildWorld } from '../request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')

test('an answer that comes when its node has begun anew does not speak for what the node holds now', () => {
  const world = buildWorld({ consistency: 'session' })
  const { replica, primary, clock } = world
  const client = world.client('shop')
  client.send(['GET', 'a'])
  expect(world.sentTo(replica)).toBe(text('GET', 'shop:a'))
  // It has gone back in time, and its new link shows nothing yet.
  replica.startIncarnation(clock.ms)
  world.reply(replica, '$3\r\nnew\r\n')
  client.send(['GET', 'b'])
  expect(world.sentTo(primary)).toBe(text('GET', 'shop:b'))
  world.reply(primary, '$-1\r\n')
  // Shown a mark that was sent since, it serves again.
  replica.shownSeq = 1e9
  client.send(['GET', 'c'])
  expect(world.sentTo(replica)).toContain(text('GET', 'shop:c'))
})

test('reads stay where they were proven as long as nothing has happened there', () => {
  const world = buildWorld({ consistency: 'session' })
  const client = world.client('shop')
  client.send(['GET', 'a'])
  world.reply(world.replica, '$-1\r\n')
  world.tracker.marks.take()
  world.replica.shownSeq = 0
  client.send(['GET', 'b'])
  expect(world.sentTo(world.replica)).toContain(text('GET', 'shop:b'))
})
