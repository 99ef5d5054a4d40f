/** A lane's read buffer while sockets of slow clients still hold views of it: what they hold must not change. */

import { arenaHalfBytes, journalBytes } from '../../../src/base/limits.ts'
import { Histogram } from '../../../src/metrics/counters.ts'
import { Journal } from '../../../src/upstream/journal.ts'
import { kindPass, Lane, type ReplySink } from '../../../src/upstream/lane.ts'
import { Slab } from '../../../src/upstream/slab.ts'
import { command } from '../../kit/resp.ts'

/** Keeps the very views, as a socket does that cannot write yet. */
class Holder implements ReplySink {
  isClosed = false
  holds: boolean
  readonly views: Uint8Array[] = []
  constructor(holds: boolean) {
    this.holds = holds
  }
  get text(): string {
    return Buffer.concat(this.views).toString('latin1')
  }
  onReply(view: Uint8Array): boolean {
    this.views.push(this.holds ? view : Buffer.from(view))
    return this.holds
  }
  onSwallowed(): void {}
  onErrorReply(): void {}
  onUncertain(): void {}
  onLateWrite(): void {}
  onTruncated(): void {}
}

function open(): { lane: Lane; receive(text: string): void } {
  const slab = new Slab(1)
  const durations = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), durations, events, () => 0)
  lane.open({ write: () => true, pendingBytes: () => 0, destroy() {} })
  const receive = (text: string): void => {
    const bytes = Buffer.from(text, 'latin1')
    lane.nextInput().set(bytes)
    lane.onRead(bytes.length)
  }
  return { lane, receive }
}

test.each([
  ['a whole reply', 1, '$5\r\nfirst\r\n', '', '$5\r\nother\r\n'],
  ['the beginning of a run', 2, '$5\r\nfirst\r\n', '', '$5\r\nother\r\n'],
  ['a part of a reply', 1, '$10\r\nfirst', 'fifth\r\n', '$5\r\nother\r\n'],
  ['replies before the beginning of a header', 2, '$5\r\nfirst\r\n$', '5\r\nthird\r\n', '$5\r\nother\r\n'],
])('%s that is held stays as it was', (_, count, first, rest, other) => {
  const { lane, receive } = open()
  const [slow, quick] = [new Holder(true), new Holder(false)]
  for (let i = 0; i < count; i++) lane.append(slow, kindPass, false, 0)
  lane.append(quick, kindPass, false, 0)
  receive(first)
  const missing = count === 2 && rest === '' ? '$5\r\nthird\r\n' : rest
  if (missing !== '') receive(missing)
  receive(other)
  expect(slow.text).toBe(first + missing)
  expect(quick.text).toBe(other)
})

test('a held reply whose header began in the read before is not overwritten by the beginning of the next one', () => {
  const { lane, receive } = open()
  const [slow, quick] = [new Holder(true), new Holder(false)]
  lane.append(slow, kindPass, false, 0)
  lane.append(quick, kindPass, false, 0)
  // What is left over is put in front of the next read: the `$` stands there when `$12` wants to.
  receive('$')
  receive('5\r\nfirst\r\n$12')
  receive(`34\r\n${'x'.repeat(1234)}\r\n`)
  expect(slow.text).toBe('$5\r\nfirst\r\n')
  expect(quick.text).toBe(`$1234\r\n${'x'.repeat(1234)}\r\n`)
})

test('a buffer that nobody holds is used again', () => {
  const { lane, receive } = open()
  const quick = new Holder(false)
  for (let i = 0; i < 3; i++) lane.append(quick, kindPass, false, 0)
  const before = lane.nextInput()
  receive('+one\r\n+t')
  expect(lane.nextInput()).toBe(before)
  receive('wo\r\n+three\r\n')
  expect(lane.nextInput()).toBe(before)
  expect(quick.text).toBe('+one\r\n+two\r\n+three\r\n')
})

test('a client that is waited for gets the same buffer again only when its socket holds nothing of it', () => {
  const slab = new Slab(1)
  const durations = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), durations, events, () => 0)
  const paused: boolean[] = []
  lane.open({ write: () => true, pendingBytes: () => 0, destroy() {}, setPaused: (is) => paused.push(is) })
  const slow = new Holder(true)
  lane.append(slow, kindPass, false, 0)
  lane.append(slow, kindPass, false, 0)
  const receive = (text: string): Buffer => {
    const input = lane.nextInput()
    input.set(Buffer.from(text))
    lane.onRead(text.length)
    return input
  }
  const first = receive('$9\r\nfirst')
  lane.pauseReading()
  lane.resumeReading(true)
  expect(lane.nextInput()).toBe(first)
  receive('then\r\n$5\r\n')
  lane.pauseReading()
  lane.resumeReading(false)
  expect(lane.nextInput()).not.toBe(first)
  expect(paused).toEqual([true, false, true, false])
})

describe('a lane to a primary, whose arena is its journal', () => {
  const send = (lane: Lane, to: ReplySink, i: number): Buffer => {
    const request = command('SET', `k${i}`, 'x'.repeat(900))
    expect(lane.hasRoomFor(request.length)).toBe(true)
    request.copy(lane.bytes, lane.pos)
    lane.pos += request.length
    lane.append(to, kindPass, true, 0)
    lane.flush()
    return request
  }

  const found = (lane: Lane, number: number): string | undefined => lane.requestsSent([number])?.join('')

  const primary = (): { lane: Lane; receive(text: string): void } => {
    const it = open()
    it.lane.isPrimary = true
    it.lane.journal = new Journal()
    return it
  }

  test('goes on behind what it has sent, and what it has not come round to yet can be sent again', () => {
    const { lane, receive } = primary()
    const client = new Holder(false)
    const sent: Buffer[] = []
    for (let i = 0; i < 700; i++) {
      sent.push(send(lane, client, i))
      receive('+OK\r\n')
      // As much as the limit says, and hardly more. Looked at now and then, just before and after it has come round too.
      const kept = Math.floor(journalBytes / sent[i]!.length) - 1
      if (i % 37 !== 0 && i % kept > 2) continue
      for (const back of [0, 1, kept]) if (back <= i) expect(found(lane, i - back)).toBe(String(sent[i - back]))
      if (i > 2 * kept) expect(found(lane, i - 2 * kept)).toBeUndefined()
    }
  })

  test('has room for what only an empty half can hold, wherever it has come to', () => {
    const { lane, receive } = primary()
    for (let i = 0; i < 100; i++) {
      send(lane, new Holder(false), i)
      receive('+OK\r\n')
    }
    expect(lane.hasRoomFor(arenaHalfBytes)).toBe(true)
    expect(lane.hasRoomFor(arenaHalfBytes + 1)).toBe(false)
  })

  test('what was written over by something that was taken back is not sent again', () => {
    const { lane, receive } = primary()
    const client = new Holder(false)
    const sent: Buffer[] = []
    let at = -1
    while (lane.pos > at) {
      at = lane.pos
      sent.push(send(lane, client, sent.length))
      receive('+OK\r\n')
    }
    // It has come round: the first lie just where the next will.
    expect(lane.requestsSent([1])).toEqual([sent[1]])
    lane.save()
    lane.bytes.fill(42, lane.pos, lane.pos + sent[0]!.length + 1)
    lane.pos += sent[0]!.length + 1
    lane.append(client, kindPass, false, 0)
    lane.rollback()
    expect(lane.requestsSent([1])).toBeUndefined()
    expect(lane.requestsSent([2])).toEqual([sent[2]])
  })
})
