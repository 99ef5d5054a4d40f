/** The request path against sequences that were thought out to break a promise of it. */
import { bigRequestBytesMax, clientFrontBytes } from '../../src/base/limits.ts'
import { buildWorld } from './request-world.ts'

test('large requests of some leave room for the small pieces of others', () => {
  const { path } = buildWorld()
  expect(path.reserve(bigRequestBytesMax, bigRequestBytesMax)).toBe(true)
  expect(path.reserve(1, clientFrontBytes + 1)).toBe(false)
  expect(path.reserve(clientFrontBytes, clientFrontBytes)).toBe(true)
})

test('a read below `session` at a node that lacks what was seen does not make that node trusted', () => {
  const world = buildWorld({ consistency: 'session' })
  const [writer, client] = [world.client('shop'), world.client('shop')]
  world.replica.shownSeq = world.tracker.marks.nextSeq - 1
  writer.send(['SET', 'own', '1'])
  world.reply(world.primary, '+OK\r\n')
  const mark = world.tracker.marks.take()
  // The fence sends this read to the primary, where it sees what others have written after that mark.
  client.send(['GET', 'a'])
  world.reply(world.primary, '$3\r\nnew\r\n')
  world.replica.shownSeq = mark
  client.send(['READONLY'], ['GET', 'b'])
  world.reply(world.replica, '$-1\r\n')
  const sent = world.sentTo(world.replica)
  client.send(['READWRITE'], ['GET', 'a'])
  expect(world.sentTo(world.replica)).toBe(sent)
  world.reply(world.primary, '$3\r\nnew\r\n')
  // Once the replica has shown a later mark it may answer again.
  world.replica.shownSeq = world.tracker.marks.take()
  client.send(['GET', 'a'])
  expect(world.sentTo(world.replica)).not.toBe(sent)
})

test('no write goes to a primary where a lost one may still run, not even behind a read', () => {
  const world = buildWorld({ consistency: 'strong' })
  const client = world.client('shop')
  const unsettled = jest.spyOn(world.pool, 'hasUnsettled').mockReturnValue(true)
  client.send(['GET', 'a'], ['SET', 'a', '2'])
  expect(world.sentTo(world.primary)).toContain('GET')
  client.send(['PING'])
  expect(world.sentTo(world.primary)).not.toContain('SET')
  world.reply(world.primary, '$-1\r\n:0\r\n') // and the answer to the check behind a strong read
  expect(world.sentTo(world.primary)).not.toContain('SET')
  unsettled.mockReturnValue(false)
  world.path.waiting.retryNodes()
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).toContain('SET')
})

test('the write of a client that has left fences its tenant all the same', () => {
  const world = buildWorld({ consistency: 'session' })
  const [gone, reader] = [world.client('shop'), world.client('shop')]
  world.replica.shownSeq = world.tracker.marks.nextSeq - 1
  gone.send(['SET', 'a', '1'])
  world.sentTo(world.primary)
  gone.session.destroy('closed')
  world.reply(world.primary, '+OK\r\n')
  reader.send(['GET', 'a'])
  expect(world.sentTo(world.replica)).toBe('')
  expect(world.sentTo(world.primary)).toContain('GET')
})

test('a connection whose arena is full is asked for its role when it has room', () => {
  const { pool, primary, ports, lane: laneOf } = buildWorld()
  const lane = laneOf(primary)
  let written = (): void => {}
  let isBlocked = true
  ports[lane.index]!.write = (_view: Uint8Array, done?: () => void): boolean => {
    written = done ?? written
    return !isBlocked
  }
  lane.isPrimary = false
  lane.pos++
  lane.flush()
  lane.pos = lane.limit
  let isAnswered = false
  pool.askRole(lane, () => {
    isAnswered = true
  })
  expect(lane.inFlight).toBe(0)
  isBlocked = false
  written()
  expect(lane.inFlight).toBe(1)
  lane.flush()
  lane.onChunk(Buffer.from('*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'))
  expect([isAnswered, lane.isPrimary]).toEqual([true, true])
})
