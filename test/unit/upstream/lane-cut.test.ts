/** Where a read ends in the middle of a run of one client's replies, they wait for the rest: once, not for long, and none is lost. */
import { cutRunBytesMax } from '../../../src/base/limits.ts'
import { Histogram } from '../../../src/metrics/counters.ts'
import { kindPass, kindSwallow, Lane, type LanePort, type ReplySink } from '../../../src/upstream/lane.ts'
import { Slab } from '../../../src/upstream/slab.ts'

class Sink implements ReplySink {
  isClosed = false
  /** The socket keeps what it is given. */
  keeps = false
  readonly pieces: string[] = []
  readonly views: Uint8Array[] = []
  completed = 0
  late = 0
  isTruncated = false

  get text(): string {
    return this.pieces.join('')
  }
  onReply(view: Uint8Array, completed: number): boolean {
    this.pieces.push(Buffer.from(view).toString('latin1'))
    this.views.push(view)
    this.completed += completed
    return this.keeps
  }
  onSwallowed(completed: number): void {
    this.completed += completed
  }
  onErrorReply(): void {}
  onUncertain(): void {}
  onLateWrite(): void {
    this.late++
  }
  onTruncated(): void {
    this.isTruncated = true
  }
}

function open(isLeased = false) {
  const slab = new Slab(1)
  const port: LanePort = { write: () => true, pendingBytes: () => 0, destroy: () => {} }
  const times = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  let cuts = 0
  const fail = (_: Lane, why = 'foreign prefix'): void => {
    throw new Error(why)
  }
  const events = {
    wantsFlush: () => {},
    hasRoom: () => {},
    errorReply: () => {},
    desync: fail,
    foreignPrefix: fail,
    runCut: () => {
      cuts++
    },
  }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), times, events, () => 0)
  lane.isLeased = isLeased
  lane.open(port)
  /** So many commands of this client, sent with all that was put there since the last flush. */
  const put = (sink: ReplySink, commands: number, isWrite = false, kind: number = kindPass): void => {
    for (let i = 0; i < commands; i++) {
      lane.pos += lane.bytes.write('x', lane.pos, 'latin1')
      lane.append(sink, kind, isWrite, 0)
    }
  }
  return { lane, put, cuts: () => cuts }
}

function receive(lane: Lane, text: string): void {
  const piece = Buffer.from(text, 'latin1')
  lane.nextInput().set(piece)
  lane.onRead(piece.length)
}

describe('a run that the end of a read has cut', () => {
  test('between two replies goes out in one piece', () => {
    const { lane, put, cuts } = open()
    const [a, b] = [new Sink(), new Sink()]
    put(a, 1)
    put(b, 3)
    lane.flush()
    receive(lane, ':1\r\n:2\r\n:3\r\n')
    expect([a.text, b.pieces, cuts()]).toEqual([':1\r\n', [], 1])
    receive(lane, ':4\r\n')
    expect([b.pieces, b.completed, lane.inFlight]).toEqual([[':2\r\n:3\r\n:4\r\n'], 3, 0])
  })

  test('inside of a reply goes out in one piece', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 3)
    lane.flush()
    receive(lane, ':1\r\n$5\r\nhe')
    expect(a.pieces).toEqual([])
    receive(lane, 'llo\r\n:3\r\n')
    expect([a.pieces, a.completed]).toEqual([[':1\r\n$5\r\nhello\r\n:3\r\n'], 3])
  })

  test('waits once: the next read passes on what there is', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 4)
    lane.flush()
    receive(lane, ':1\r\n')
    receive(lane, ':2\r\n$4\r\nab')
    expect([a.pieces, a.completed]).toEqual([[':1\r\n:2\r\n$4\r\nab'], 2])
    receive(lane, 'cd\r\n')
    receive(lane, ':4\r\n')
    expect([a.text, a.completed]).toEqual([':1\r\n:2\r\n$4\r\nabcd\r\n:4\r\n', 4])
  })

  test('gives its whole replies when they have waited long enough, and the rest with the next read', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 3)
    lane.flush()
    receive(lane, ':1\r\n:2\r\n$5\r\nhe')
    lane.giveCutRun()
    expect([a.pieces, a.completed]).toEqual([[':1\r\n:2\r\n'], 2])
    lane.giveCutRun()
    receive(lane, 'llo\r\n')
    expect([a.text, a.completed, lane.inFlight]).toEqual([':1\r\n:2\r\n$5\r\nhello\r\n', 3, 0])
  })

  test('is not lost with the connection', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 3)
    lane.flush()
    receive(lane, ':1\r\n$5\r\nhe')
    lane.close()
    expect([a.pieces[0], a.completed, a.isTruncated]).toEqual([':1\r\n', 3, false])
    expect(a.pieces[1]).toMatch(/^-TRYAGAIN .*\r\n-TRYAGAIN .*\r\n$/)
  })

  test('of a client that has left while it waited goes nowhere, and the next one gets its own', () => {
    const { lane, put } = open()
    const [gone, next] = [new Sink(), new Sink()]
    put(gone, 3, true)
    put(next, 1)
    lane.flush()
    receive(lane, '+OK\r\n')
    gone.isClosed = true
    receive(lane, '+OK\r\n+OK\r\n:1\r\n')
    expect([gone.pieces, gone.late, next.text]).toEqual([[], 1, ':1\r\n'])
  })

  test('while a socket still holds the buffer keeps its bytes', () => {
    const { lane, put } = open()
    const [a, b] = [new Sink(), new Sink()]
    a.keeps = true
    put(a, 1)
    put(b, 2)
    lane.flush()
    receive(lane, ':1\r\n:2\r\n')
    receive(lane, ':3\r\n')
    expect(b.pieces).toEqual([':2\r\n:3\r\n'])
    expect(Buffer.from(a.views[0]!).toString()).toBe(':1\r\n')
  })
})

describe('replies do not wait', () => {
  test('for commands that were sent later', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 1)
    lane.flush()
    put(a, 2)
    lane.flush()
    receive(lane, ':1\r\n')
    expect(a.pieces).toEqual([':1\r\n'])
    receive(lane, ':2\r\n')
    expect(a.pieces).toEqual([':1\r\n'])
    receive(lane, ':3\r\n')
    expect(a.pieces).toEqual([':1\r\n', ':2\r\n:3\r\n'])
  })

  test('for commands that were not sent yet', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 1)
    lane.flush()
    put(a, 2)
    receive(lane, ':1\r\n')
    expect(a.pieces).toEqual([':1\r\n'])
  })

  test('where they are many bytes', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 2)
    lane.flush()
    const large = `$${cutRunBytesMax}\r\n${'v'.repeat(cutRunBytesMax)}\r\n`
    receive(lane, large)
    expect(a.completed).toBe(1)
  })

  test('on a connection of one client', () => {
    const { lane, put } = open(true)
    const a = new Sink()
    put(a, 2)
    lane.flush()
    receive(lane, ':1\r\n')
    expect(a.completed).toBe(1)
  })

  test('where nobody wants them', () => {
    const { lane, put } = open()
    const a = new Sink()
    put(a, 2, false, kindSwallow)
    lane.flush()
    receive(lane, ':1\r\n')
    expect(a.completed).toBe(1)
  })
})

test('however reads are cut, each client gets its own replies, whole and in order', () => {
  let seed = Number(process.env['SEED'] ?? 1)
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0
    return Math.floor(((seed >>> 8) / 2 ** 24) * n)
  }
  for (let round = 0; round < 300; round++) {
    const { lane, put } = open()
    const sinks = Array.from({ length: 3 }, () => new Sink())
    const expected = sinks.map(() => ({ text: '', count: 0 }))
    let stream = ''
    let next = 0
    for (let i = 0; i < 20; i++) {
      const who = below(3)
      const count = 1 + below(6)
      put(sinks[who]!, count, below(2) === 0)
      for (let k = 0; k < count; k++) {
        const reply =
          below(3) === 0 ? `$${String(next).length}\r\n${next}\r\n` : below(2) === 0 ? '+OK\r\n' : `:${next}\r\n`
        next++
        stream += reply
        expected[who]!.text += reply
        expected[who]!.count++
      }
      if (below(3) === 0) lane.flush()
    }
    lane.flush()
    for (let at = 0; at < stream.length; ) {
      const size = 1 + below(below(2) === 0 ? 3 : 60)
      receive(lane, stream.slice(at, at + size))
      at += size
      if (below(4) === 0) lane.giveCutRun()
    }
    expect(sinks.map(({ text, completed }) => ({ text, count: completed }))).toEqual(expected)
    expect(lane.inFlight).toBe(0)
  }
})
