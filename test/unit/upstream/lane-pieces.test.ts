/** A request that is written in pieces: lost before the last of them it was not executed, and nothing of others gets in between. */
import { Histogram } from '../../../src/metrics/counters.ts'
import { encodeRequest } from '../../../src/resp/encode.ts'
import { kindPass, Lane, type LanePort, type ReplySink } from '../../../src/upstream/lane.ts'
import { Slab } from '../../../src/upstream/slab.ts'

class Sink implements ReplySink {
  isClosed = false
  text = ''
  uncertain = 0
  onReply(view: Uint8Array): boolean {
    this.text += Buffer.from(view).toString('latin1')
    return false
  }
  onSwallowed(): void {}
  onErrorReply(): void {}
  onUncertain(): void {
    this.uncertain++
  }
  onLateWrite(): void {}
  onTruncated(): void {}
}

class Port implements LanePort {
  sent = ''
  takes = true
  private waiting: (() => void)[] = []
  write(view: Uint8Array, done: () => void): boolean {
    this.sent += Buffer.from(view).toString('latin1')
    if (!this.takes) this.waiting.push(done)
    return this.takes
  }
  pendingBytes(): number {
    return this.waiting.length
  }
  take(): void {
    for (const done of this.waiting.splice(0)) done()
  }
  destroy(): void {}
}

function open() {
  const slab = new Slab(1)
  const durations = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const clock = { ms: 0 }
  let rooms = 0
  const events = { wantsFlush() {}, hasRoom: () => rooms++, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), durations, events, () => clock.ms)
  const port = new Port()
  lane.open(port)
  const sink = new Sink()
  return { lane, port, sink, clock, rooms: () => rooms }
}
const piece = (text: string) => Buffer.from(text)

test('lost before its last piece a write was not executed; behind it, nobody knows', () => {
  for (const [isLast, text, uncertain] of [
    [false, '-MASTERDOWN no reachable primary, command not executed\r\n', 0],
    [true, '-UNCERTAIN connection to primary lost before the reply, command may have been executed\r\n', 1],
  ] as const) {
    const { lane, sink } = open()
    lane.append(sink, kindPass, true, 0)
    lane.writePiece(piece('*3\r\n$3\r\nSET\r\n'), false)
    lane.writePiece(piece('$1\r\na\r\n$1\r\nb\r\n'), isLast)
    expect(lane.close()).toBe(isLast)
    expect([sink.text, sink.uncertain]).toEqual([text, uncertain])
  }
})

test('whoever broke it off is told why, and the next one on this lane is not', () => {
  const { lane, sink, port } = open()
  lane.append(sink, kindPass, true, 0)
  lane.writePiece(piece('*3\r\n'), false)
  lane.cutError = 'ERR Protocol error: invalid bulk length'
  lane.close()
  expect(sink.text).toBe('-ERR Protocol error: invalid bulk length\r\n')
  lane.open(port)
  const next = new Sink()
  lane.append(next, kindPass, true, 0)
  lane.close()
  expect(next.text).toMatch(/^-MASTERDOWN/)
})

test('what stands in the arena goes before the first piece, and nothing between two', () => {
  const { lane, sink, port } = open()
  lane.sendInternal(encodeRequest(['ECHO', 'x']), () => {})
  lane.append(sink, kindPass, true, 0)
  lane.writePiece(piece('<first>'), false)
  lane.sendInternal(encodeRequest(['ECHO', 'y']), () => {})
  lane.flush()
  lane.writePiece(piece('<last>'), true)
  lane.flush()
  expect(port.sent).toBe('*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n<first><last>*2\r\n$4\r\nECHO\r\n$1\r\ny\r\n')
})

test('a piece that the kernel does not take is waited for', () => {
  const { lane, sink, port, rooms } = open()
  lane.append(sink, kindPass, true, 0)
  port.takes = false
  expect(lane.writePiece(piece('<first>'), false)).toBe(false)
  expect(lane.canFlush).toBe(false)
  expect(() => lane.writePiece(piece('<next>'), false)).toThrow()
  port.take()
  expect([lane.canFlush, rooms()]).toEqual([true, 1])
})

test('silent is a server that takes nothing, or has all and does not answer; not one that waits for the client', () => {
  const { lane, sink, port, clock } = open()
  lane.append(sink, kindPass, true, 0)
  lane.writePiece(piece('<first>'), false)
  clock.ms = 10_000
  expect(lane.silentMs(clock.ms)).toBe(0)
  port.takes = false
  lane.writePiece(piece('<next>'), false)
  lane.silentMs(clock.ms)
  clock.ms = 13_000
  expect(lane.silentMs(clock.ms)).toBe(3_000)
  port.take()
  port.takes = true
  lane.writePiece(piece('<last>'), true)
  clock.ms = 14_000
  expect(lane.silentMs(clock.ms)).toBe(1_000)
})
