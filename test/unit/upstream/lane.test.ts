import { arenaHalfBytes } from '../../../src/base/limits.ts'
import { Histogram } from '../../../src/metrics/counters.ts'
import { kindPass, kindSwallow, Lane, type LanePort, type ReplySink } from '../../../src/upstream/lane.ts'
import { Slab } from '../../../src/upstream/slab.ts'

/** A client that writes down what it gets. */
class Sink implements ReplySink {
  isClosed = false
  text = ''
  completed = 0
  log: string[] = []
  holds = false

  onReply(view: Uint8Array, completed: number): boolean {
    this.text += Buffer.from(view).toString('latin1')
    this.completed += completed
    return this.holds
  }
  onSwallowed(completed: number): void {
    this.completed += completed
    this.log.push(`swallowed ${completed}`)
  }
  onErrorReply(code: string, isWrite: boolean): void {
    this.log.push(`error ${code}${isWrite ? ' of a write' : ''}`)
  }
  onUncertain(): void {
    this.log.push('uncertain')
  }
  onLateWrite(): void {
    this.log.push('late write')
  }
  onTruncated(): void {
    this.log.push('truncated')
  }
}

class Port implements LanePort {
  sent: string[] = []
  pending = 0
  callbacks: (() => void)[] = []
  destroyed: string | undefined
  write(view: Uint8Array, done: () => void): boolean {
    this.sent.push(Buffer.from(view).toString('latin1'))
    this.callbacks.push(done)
    return this.pending === 0
  }
  pendingBytes(): number {
    return this.pending
  }
  destroy(reason: string): void {
    this.destroyed ??= reason
  }
}

function open(): { lane: Lane; port: Port; events: string[]; clock: { ms: number }; put(text: string): void } {
  const slab = new Slab(1)
  const events: string[] = []
  const clock = { ms: 0 }
  const lane = new Lane(
    0,
    0,
    2,
    false,
    slab,
    slab.takeArena(),
    { read: new Histogram(), write: new Histogram(), upstream: new Histogram() },
    {
      wantsFlush: () => events.push('flush'),
      hasRoom: () => events.push('room'),
      errorReply: (_, code) => events.push(`error ${code}`),
      desync: (_, why) => {
        events.push(`desync: ${why}`)
        lane.close()
      },
      foreignPrefix: () => events.push('foreign prefix'),
    },
    () => clock.ms,
  )
  const port = new Port()
  lane.open(port)
  const put = (text: string): void => {
    lane.pos += lane.bytes.write(text, lane.pos, 'latin1')
  }
  return { lane, port, events, clock, put }
}

function receive(lane: Lane, text: string, step = text.length): void {
  for (let at = 0; at < text.length; at += step) {
    const piece = Buffer.from(text.slice(at, at + step), 'latin1')
    lane.nextInput().set(piece)
    lane.onRead(piece.length)
  }
}

test.each([1, 2, 5, 1000])('replies go to who asked, in order, in pieces of %i bytes', (step) => {
  const { lane } = open()
  const [a, b] = [new Sink(), new Sink()]
  lane.append(a, kindPass, false, 0)
  lane.append(a, kindPass, false, 0)
  lane.append(b, kindPass, true, 0)
  lane.append(a, kindPass, false, 0)
  receive(lane, '$1\r\n1\r\n:2\r\n+OK\r\n*2\r\n:3\r\n$-1\r\n', step)
  expect([a.text, a.completed]).toEqual(['$1\r\n1\r\n:2\r\n*2\r\n:3\r\n$-1\r\n', 3])
  expect([b.text, b.completed]).toEqual(['+OK\r\n', 1])
  expect(lane.inFlight).toBe(0)
})

test('a client that is gone has its replies swallowed and the next one gets its own', () => {
  const { lane } = open()
  const [gone, next] = [new Sink(), new Sink()]
  lane.append(gone, kindPass, false, 0)
  lane.append(next, kindPass, false, 0)
  gone.isClosed = true
  receive(lane, '+theirs\r\n+mine\r\n', 3)
  expect(gone.text).toBe('')
  expect(next.text).toBe('+mine\r\n')
})

test('a reply of the proxy itself waits for its turn', () => {
  const { lane } = open()
  const a = new Sink()
  lane.append(a, kindPass, false, 0)
  lane.appendLocal(a, Buffer.from('+PONG\r\n'), 0)
  lane.append(a, kindPass, false, 0)
  lane.appendLocal(a, Buffer.from('-ERR x\r\n'), 0)
  expect(a.text).toBe('')
  receive(lane, ':1\r\n')
  expect(a.text).toBe(':1\r\n+PONG\r\n')
  receive(lane, ':2\r\n')
  expect([a.text, a.completed]).toEqual([':1\r\n+PONG\r\n:2\r\n-ERR x\r\n', 4])
})

test('a silent client gets nothing, and its commands count as answered', () => {
  const { lane } = open()
  const a = new Sink()
  lane.append(a, kindSwallow, false, 0)
  lane.append(a, kindSwallow, false, 0)
  lane.append(a, kindPass, false, 0)
  receive(lane, ':1\r\n:2\r\n:3\r\n', 2)
  expect([a.text, a.completed]).toEqual([':3\r\n', 3])
})

test('a reply with names is collected whole before it is changed', () => {
  const { lane } = open()
  const a = new Sink()
  const seen: string[] = []
  lane.append(a, kindPass, false, 0)
  lane.appendTransformed(
    a,
    (reply) => {
      seen.push(reply.toString())
      return Buffer.from('+changed\r\n')
    },
    false,
    0,
  )
  lane.append(a, kindPass, false, 0)
  receive(lane, ':1\r\n*1\r\n$3\r\nabc\r\n:2\r\n', 4)
  expect(seen).toEqual(['*1\r\n$3\r\nabc\r\n'])
  expect(a.text).toBe(':1\r\n+changed\r\n:2\r\n')
})

test('a reply without the prefix of its tenant is not delivered and the connection dies', () => {
  const { lane, events } = open()
  const [a, b] = [new Sink(), new Sink()]
  lane.appendTransformed(a, () => undefined, false, 0)
  lane.append(b, kindPass, true, 0)
  lane.flush()
  receive(lane, '*1\r\n$5\r\nevil:\r\n+OK\r\n')
  expect(a.text).toBe('-ERR internal isolation check failed\r\n')
  expect(events).toContain('foreign prefix')
  expect(events.some((event) => event.startsWith('desync'))).toBe(true)
  expect(b.text).not.toContain('+OK')
})

test.each([
  ['+one\r\n+two\r\n', 'a reply that nobody asked for'],
  ['x\r\n', 'a reply that is no RESP'],
  ['>1\r\n+x\r\n', 'a push on a connection without subscriptions'],
])('%j destroys the connection: %s', (text, why) => {
  const { lane, events } = open()
  lane.append(new Sink(), kindPass, false, 0)
  receive(lane, text)
  expect(events).toContain(`desync: ${why}`)
})

test('when the connection dies each command gets the answer that is true for it', () => {
  const { lane, put } = open()
  const [a, b, gone] = [new Sink(), new Sink(), new Sink()]
  put('sent')
  lane.append(a, kindPass, false, 0)
  lane.append(a, kindPass, true, 0)
  lane.append(b, kindSwallow, true, 0)
  lane.append(gone, kindPass, true, 0)
  gone.isClosed = true
  lane.appendLocal(a, Buffer.from('+PONG\r\n'), 0)
  lane.flush()
  put('not sent')
  lane.append(a, kindPass, true, 0)
  expect(lane.close()).toBe(true)
  expect(a.text.split('\r\n')).toEqual([
    '-TRYAGAIN no node satisfies the requested consistency, command not executed',
    '-UNCERTAIN connection to primary lost before the reply, command may have been executed',
    '+PONG',
    '-MASTERDOWN no reachable primary, command not executed',
    '',
  ])
  expect(a.completed).toBe(4)
  expect([a.log, b.log, gone.log]).toEqual([['uncertain'], ['uncertain', 'swallowed 1'], ['uncertain']])
  expect(gone.text).toBe('')
  expect(lane.inFlight).toBe(0)
})

test('a write that was never sent is not uncertain', () => {
  const { lane, put } = open()
  const a = new Sink()
  put('x')
  lane.append(a, kindPass, true, 0)
  expect(lane.close()).toBe(false)
  expect(a.text).toMatch(/^-MASTERDOWN/)
})

test('a client whose reply was cut in the middle is told so, not given an error inside a value', () => {
  const { lane } = open()
  const [a, b] = [new Sink(), new Sink()]
  lane.append(a, kindPass, false, 0)
  lane.append(b, kindPass, false, 0)
  lane.flush()
  receive(lane, '$10\r\n0123')
  lane.close()
  expect([a.text, a.log]).toEqual(['$10\r\n0123', ['truncated']])
  expect(b.text).toMatch(/^-TRYAGAIN/)
})

test('taken back commands leave no trace and others keep their place', () => {
  const { lane, port, put } = open()
  const [a, b] = [new Sink(), new Sink()]
  put('first')
  lane.append(a, kindPass, false, 0)
  lane.save()
  put('taken back')
  lane.append(b, kindPass, false, 0)
  lane.appendLocal(b, Buffer.from('+PONG\r\n'), 0)
  lane.append(b, kindPass, false, 0)
  lane.rollback()
  lane.append(a, kindPass, false, 0)
  put('second')
  lane.flush()
  expect(port.sent).toEqual(['firstsecond'])
  receive(lane, ':1\r\n:2\r\n')
  expect([a.text, b.text]).toEqual([':1\r\n:2\r\n', ''])
})

test('what was sent cannot be taken back', () => {
  const { lane, put } = open()
  lane.save()
  put('x')
  lane.append(new Sink(), kindPass, false, 0)
  lane.flush()
  expect(() => lane.rollback()).toThrow('cannot be taken back')
})

test('while the socket holds one half the other fills, and no third is asked for', () => {
  const { lane, port, events, put } = open()
  const a = new Sink()
  port.pending = 5
  put('one')
  lane.append(a, kindPass, false, 0)
  lane.flush()
  put('two')
  lane.append(a, kindPass, false, 0)
  lane.flush()
  expect(port.sent).toEqual(['one'])
  expect(lane.hasRoomFor(arenaHalfBytes)).toBe(false)
  port.pending = 0
  port.callbacks[0]!()
  expect(port.sent).toEqual(['one', 'two'])
  expect(events).toContain('room')
  expect(lane.hasRoomFor(arenaHalfBytes)).toBe(true)
})

test('a buffer that a slow client still holds is not read into again', () => {
  const { lane } = open()
  const slow = new Sink()
  slow.holds = true
  lane.append(slow, kindPass, false, 0)
  lane.append(slow, kindPass, false, 0)
  const before = lane.nextInput()
  receive(lane, '+one\r\n$5\r\nhe')
  expect(lane.nextInput()).not.toBe(before)
  receive(lane, 'llo\r\n')
  expect(slow.text).toBe('+one\r\n$5\r\nhello\r\n')
})

test('the ring grows and keeps everybody in order', () => {
  const { lane } = open()
  const sinks = Array.from({ length: 5000 }, () => new Sink())
  for (const sink of sinks) lane.append(sink, kindPass, false, 0)
  receive(lane, sinks.map((_, i) => `:${i}\r\n`).join(''), 1000)
  expect(sinks.map((sink) => sink.text)).toEqual(sinks.map((_, i) => `:${i}\r\n`))
})

test('silence is measured from the oldest request or the last sign of life', () => {
  const { lane, clock } = open()
  expect(lane.silentMs(1000)).toBe(0)
  lane.append(new Sink(), kindPass, false, 100)
  lane.append(new Sink(), kindPass, false, 100)
  expect(lane.silentMs(1000)).toBe(900)
  clock.ms = 800
  receive(lane, ':1\r\n')
  expect(lane.silentMs(1000)).toBe(200)
})

test('errors of the node are told with their first word', () => {
  const { lane, events } = open()
  const a = new Sink()
  lane.append(a, kindPass, true, 0)
  receive(lane, '-READONLY You cannot write\r\n', 4)
  expect(a.log).toEqual(['error READONLY of a write'])
  expect(events).toContain('error READONLY')
  expect(a.text).toBe('-READONLY You cannot write\r\n')
})

test('a nonce that comes back in its place proves the order of replies', () => {
  const { lane, port, events } = open()
  const a = new Sink()
  lane.isReady = true
  lane.append(a, kindPass, false, 0)
  lane.sendNonce('0123456789abcdef')
  lane.sendNonce('another while the first is out is not sent')
  lane.flush()
  expect(port.sent.join('')).toBe('*2\r\n$4\r\nECHO\r\n$16\r\n0123456789abcdef\r\n')
  receive(lane, ':1\r\n$16\r\n0123456789abcdef\r\n', 3)
  expect(a.text).toBe(':1\r\n')
  expect(events.filter((event) => event.startsWith('desync'))).toEqual([])
})

test('replies that have moved by one place are noticed by the nonce, and the connection dies', () => {
  const { lane, events } = open()
  const [a, b] = [new Sink(), new Sink()]
  lane.isReady = true
  lane.append(a, kindPass, false, 0)
  lane.sendNonce('0123456789abcdef')
  lane.append(b, kindPass, false, 0)
  lane.flush()
  receive(lane, ':1\r\n+injected\r\n$16\r\n0123456789abcdef\r\n:2\r\n')
  expect(events).toContain('desync: a nonce that did not come back in its place')
  expect(b.text).not.toContain('0123456789abcdef')
})
