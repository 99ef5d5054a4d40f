/** What is left of taken back and lost requests: nothing that could be answered, counted or sent again. */
import { Histogram } from '../../../src/metrics/counters.ts'
import { kindPass, kindSwallow, Lane, type LanePort, type ReplySink } from '../../../src/upstream/lane.ts'
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
  pending = 0
  write(view: Uint8Array): boolean {
    this.sent += Buffer.from(view).toString('latin1')
    return this.pending === 0
  }
  pendingBytes(): number {
    return this.pending
  }
  destroy(): void {}
}

function open(): { lane: Lane; port: Port; put(text: string): void } {
  const slab = new Slab(1)
  const durations = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), durations, events, () => 0)
  const port = new Port()
  lane.open(port)
  const put = (text: string): void => {
    lane.pos += lane.bytes.write(text, lane.pos, 'latin1')
  }
  return { lane, port, put }
}

test('what was taken back is not in flight', () => {
  const { lane, put } = open()
  const sink = new Sink()
  put('a')
  lane.append(sink, kindPass, false, 0)
  lane.save()
  put('bc')
  lane.append(new Sink(), kindPass, false, 0)
  lane.append(new Sink(), kindSwallow, false, 0)
  lane.rollback()
  expect(lane.inFlight).toBe(1)
})

test('a write behind what was taken back is still known as a write when the connection dies', () => {
  const { lane, put } = open()
  const [a, b] = [new Sink(), new Sink()]
  lane.save()
  put('read')
  lane.append(a, kindPass, false, 0)
  lane.append(a, kindPass, false, 0)
  lane.rollback()
  put('write')
  lane.append(a, kindPass, true, 0)
  lane.append(b, kindPass, false, 0)
  lane.flush()
  expect(lane.close()).toBe(true)
  expect([a.uncertain, b.uncertain]).toEqual([1, 0])
  expect(a.text).toMatch(/^-UNCERTAIN [^\r]*\r\n$/)
  expect(b.text).toMatch(/^-TRYAGAIN [^\r]*\r\n$/)
  expect(lane.inFlight).toBe(0)
})

test.each([0, 5])(
  'with %i bytes still with the socket: nothing of a lost connection is sent on the next',
  (pending) => {
    const { lane, port, put } = open()
    const [a, b] = [new Sink(), new Sink()]
    port.pending = pending
    put('sent')
    lane.append(a, kindPass, true, 0)
    lane.flush()
    put('never sent')
    lane.append(b, kindPass, true, 0)
    lane.close()
    expect(a.text).toMatch(/^-UNCERTAIN/)
    expect(b.text).toMatch(/^-MASTERDOWN/)
    const next = new Port()
    lane.open(next)
    lane.flush()
    expect([port.sent, next.sent]).toEqual(['sent', ''])
    put('new')
    lane.append(a, kindPass, true, 0)
    lane.flush()
    expect(next.sent).toBe('new')
  },
)
