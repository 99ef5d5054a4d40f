/** A client that reads slowly holds its own connection to the server back, and only where its socket will say when to go on. */
import { Histogram } from '../../../src/metrics/counters.ts'
import { kindPass, Lane } from '../../../src/upstream/lane.ts'
import { Slab } from '../../../src/upstream/slab.ts'
import { buildWorld } from '../request-world.ts'

function stage() {
  const slab = new Slab(1)
  const times = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), times, events, () => 0)
  lane.isLeased = true
  const pauses: boolean[] = []
  lane.open({ write: () => true, pendingBytes: () => 0, destroy() {}, setPaused: (is) => pauses.push(is) })
  const { session, socket } = buildWorld().client('shop')
  const receive = (text: string): void => {
    lane.nextInput().set(Buffer.from(text))
    lane.onRead(text.length)
  }
  for (let i = 0; i < 3; i++) lane.append(session, kindPass, false, 0)
  session.lane = lane
  session.inFlight = 3
  return { pauses, session, socket, receive }
}

test('a socket that has more than it wants pauses the connection until it has drained', () => {
  const { pauses, socket, receive } = stage()
  Object.assign(socket, { writableLength: 20_000, writableNeedDrain: true })
  receive('+one\r\n')
  expect(pauses).toEqual([true])
  Object.assign(socket, { writableLength: 0, writableNeedDrain: false })
  socket.emit('drain')
  expect(pauses).toEqual([true, false])
})

test('a socket that holds a little, as one over TLS always does, pauses nothing: it would never say that it has drained', () => {
  const { pauses, socket, receive } = stage()
  Object.assign(socket, { writableLength: 6, writableNeedDrain: false })
  receive('+one\r\n')
  receive('+two\r\n')
  receive('+three\r\n')
  expect(pauses).toEqual([])
  expect(socket.text).toBe('+one\r\n+two\r\n+three\r\n')
})
