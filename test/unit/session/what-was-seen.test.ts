/** What a connection has read, and its tenant has written, binds its next reads, whatever happened to the node that it read at. */
import { Histogram } from '../../../src/metrics/counters.ts'
import { Lane, sharedLaneSize } from '../../../src/upstream/lane.ts'
import type { Leases } from '../../../src/upstream/leases.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld, MemoryPort } from '../request-world.ts'

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

/** One connection to the primary that a client may have for its own. */
function oneLease() {
  const times = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const arena = { bytes: Buffer.alloc(2 * sharedLaneSize.halfBytes) }
  const lane = new Lane(-1, 0, 2, false, arena, 0, times, events, () => 1_000)
  lane.isLeased = true
  lane.open(new MemoryPort(lane))
  Object.assign(lane, { isReady: true, isPrimary: true })
  const lease = {
    lane,
    key: { nodeIndex: 0, resp: 2, runsScripts: false },
    connection: { id: 1 },
    scriptsSent: new Set(),
  }
  const leases = { take: () => lease, release() {}, drop() {} } as unknown as Leases
  const reply = (text: string): void => {
    lane.flush()
    lane.nextInput().set(Buffer.from(text))
    lane.onRead(text.length)
  }
  return { leases, reply }
}

test('a write on a connection of its own that was sent while the primary was the nearest binds like those around it', () => {
  const { leases, reply } = oneLease()
  const world = buildWorld({ consistency: 'session', leases })
  const { tracker, replica, primary } = world
  for (let i = 0; i < 5; i++) tracker.marks.take()
  replica.shownSeq = 5
  const writer = world.client('shop')
  writer.send(['WATCH', 'w'])
  reply('+OK\r\n')
  writer.send(['SET', 'a', '1'])
  tracker.readOrder = [primary, replica]
  writer.send(['SET', 'b', '1'])
  tracker.readOrder = [replica, primary]
  reply('+OK\r\n+OK\r\n')
  expect(writer.socket.text).toBe('+OK\r\n'.repeat(3))
  for (const key of ['a', 'b']) world.client('shop').send(['GET', key])
  expect(world.sentTo(replica)).toBe('')
  expect(world.sentTo(primary)).toBe(text('GET', 'shop:a') + text('GET', 'shop:b'))
})

test('a guard never stands in the middle of a request, however little room the lane has left', () => {
  for (let room = 40; room < 100; room += 3) {
    const world = buildWorld({ consistency: 'session', isGuarded: true, isParanoid: false })
    const { replica } = world
    // A write whose key is told apart from those that are read: each read is looked at by itself.
    world.client('shop').send(['SET', 'w', '1'])
    const client = world.client('shop')
    client.send(['GET', 'first'])
    world.sentTo(replica)
    const lane = world.lane(replica)
    lane.limit = lane.pos + room
    client.send(['GET', 'a'], ['GET', 'b'])
    const pieces = world.sentTo(replica).split(text('ROLE'))
    for (const key of ['first', 'a', 'b'])
      for (const [i, piece] of pieces.entries()) pieces[i] = piece.replace(text('GET', `shop:${key}`), '')
    expect([room, pieces.join('')]).toEqual([room, ''])
  }
})

test('a read behind a token stands behind a guard at any level', () => {
  const world = buildWorld({ consistency: 'eventual', isGuarded: true })
  const client = world.client('shop')
  client.send(['GET', 'a'])
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  world.reply(world.replica, '$-1\r\n')
  client.session.after = 1
  client.send(['GET', 'a'])
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a') + text('ROLE') + text('GET', 'shop:a'))
})
