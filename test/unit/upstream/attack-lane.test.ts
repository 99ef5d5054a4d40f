/** Replies that would take a shared connection, and other clients' replies, with them. */
import { collectedReplyBytesMax } from '../../../src/base/limits.ts'
import { Histogram } from '../../../src/metrics/counters.ts'
import { kindPass, Lane, type LanePort, type ReplySink } from '../../../src/upstream/lane.ts'
import { Slab } from '../../../src/upstream/slab.ts'

class Sink implements ReplySink {
  isClosed = false
  text = ''
  completed = 0
  lateWrites = 0

  onReply(view: Uint8Array, completed: number): boolean {
    this.text += Buffer.from(view).toString('latin1')
    this.completed += completed
    return false
  }
  onSwallowed(completed: number): void {
    this.completed += completed
  }
  onErrorReply(): void {}
  onUncertain(): void {}
  onTruncated(): void {
    this.isClosed = true
  }
  onLateWrite(): void {
    this.lateWrites++
  }
}

const port: LanePort = { write: () => true, pendingBytes: () => 0, destroy: () => {} }

function open(): { lane: Lane; desyncs: string[] } {
  const slab = new Slab(1)
  const desyncs: string[] = []
  const times = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = {
    wantsFlush: () => {},
    hasRoom: () => {},
    errorReply: () => {},
    desync: (_: Lane, why: string) => {
      desyncs.push(why)
      lane.close()
    },
    foreignPrefix: () => {},
  }
  const lane: Lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), times, events, () => 0)
  lane.open(port)
  return { lane, desyncs }
}

function receive(lane: Lane, bytes: Buffer): void {
  lane.onChunk(bytes)
}

test('a reply too large to be rewritten costs its own client its connection, and nobody else', () => {
  const { lane, desyncs } = open()
  const [greedy, other] = [new Sink(), new Sink()]
  lane.appendTransformed(greedy, (reply) => reply, false, 0)
  lane.append(other, kindPass, false, 0)
  const size = collectedReplyBytesMax + 1024 * 1024
  receive(lane, Buffer.from(`$${size}\r\n`))
  const piece = Buffer.alloc(1024 * 1024)
  for (let sent = 0; sent < size; sent += piece.length) receive(lane, piece)
  receive(lane, Buffer.from('\r\n+mine\r\n'))
  expect(desyncs).toEqual([])
  expect(greedy.isClosed).toBe(true)
  expect(greedy.text).toBe('')
  expect(other.text).toBe('+mine\r\n')
})

test.each(['!x\r\n', '>1\r\n+x\r\n', '+a\n'])('replies that came whole before %j are delivered', (bad) => {
  const { lane, desyncs } = open()
  const sink = new Sink()
  for (let i = 0; i < 3; i++) lane.append(sink, kindPass, false, 0)
  receive(lane, Buffer.from(`+first\r\n${bad}`, 'latin1'))
  expect(desyncs).toHaveLength(1)
  expect(sink.text).toMatch(/^\+first\r\n-TRYAGAIN .*\r\n-TRYAGAIN .*\r\n$/)
  expect(sink.completed).toBe(3)
  // And the lane can be opened again: nothing of the client is left on it.
  lane.open(port)
})

test('the answer to a write whose client has left is still an answer to its tenant', () => {
  const { lane } = open()
  const sink = new Sink()
  lane.append(sink, kindPass, true, 0)
  lane.appendTransformed(sink, (reply) => reply, true, 0)
  sink.isClosed = true
  receive(lane, Buffer.from('+OK\r\n*-1\r\n'))
  expect([sink.text, sink.lateWrites]).toEqual(['', 2])
})
