/** Any split of the bytes parses alike, and RESP2 replies end where the redis-parser package says they end. */
import fc from 'fast-check'
import RedisParser from 'redis-parser'
import { framed, incomplete, inline, nothing, RequestFramer } from '../../src/resp/request-framer.ts'
import { replyEnds } from '../kit/reply-ends.ts'

const runs = Number(process.env['RUNS'] ?? 1000)
const bytes = fc.uint8Array({ maxLength: 40 }).map((it) => Buffer.from(it))

function requestOf(args: readonly Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n')]),
  ])
}

/** Everything a framer says of a stream that comes in these pieces: the arguments, or how it ended. */
function framesOf(stream: Buffer, cuts: readonly number[]): string[] {
  const framer = new RequestFramer()
  const said: string[] = []
  let pending = Buffer.alloc(0)
  let need = 0
  const points = [...cuts.map((cut) => Math.floor(cut * stream.length)), stream.length].sort((a, b) => a - b)
  let last = 0
  for (const point of points) {
    pending = Buffer.concat([pending, stream.subarray(last, point)])
    last = point
    if (pending.length < need) continue
    let pos = 0
    while (pos < pending.length) {
      const outcome = framer.frame(pending, pos, pending.length)
      if (outcome === incomplete) {
        need = framer.need
        break
      }
      need = 0
      if (outcome === framed) {
        const args = Array.from({ length: framer.count }, (_, i) =>
          pending.toString('hex', framer.off[i]!, framer.off[i]! + framer.len[i]!),
        )
        said.push(args.join(' '))
      } else if (outcome === inline)
        said.push(`inline ${pending.toString('hex', framer.off[0]!, framer.off[0]! + framer.len[0]!)}`)
      else if (outcome !== nothing) {
        said.push(`end ${outcome} ${outcome === 4 ? framer.error : ''}`)
        return said
      }
      pos = framer.end
    }
    pending = pending.subarray(pos)
    if (pos > 0 && need === 0) need = 0
  }
  return said
}

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 })

test('requests come out alike whatever the split of the bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.array(bytes, { minLength: 1, maxLength: 6 }), { maxLength: 8 }), cuts, (requests, at) => {
      const stream = Buffer.concat(requests.map(requestOf))
      const whole = requests.map((args) => args.map((arg) => arg.toString('hex')).join(' '))
      expect(framesOf(stream, at)).toEqual(whole)
      expect(
        framesOf(
          stream,
          Array.from({ length: stream.length }, (_, i) => i / stream.length),
        ),
      ).toEqual(whole)
    }),
    { numRuns: runs },
  )
})

test('garbage, and requests with one byte changed, are judged alike whatever the split', () => {
  const dictionary = fc.constantFrom(
    '*1\r\n',
    '*2\r\n',
    '$3\r\nGET\r\n',
    '$-1\r\n',
    '$9999999999\r\n',
    '*-1\r\n',
    '\r\n',
    'PING\r\n',
    '"\\x',
    '*abc\r\n',
    '\n',
    '\r',
  )
  const noise = fc
    .array(
      fc.oneof(
        dictionary.map((it) => Buffer.from(it)),
        bytes,
      ),
      { maxLength: 10 },
    )
    .map((it) => Buffer.concat(it))
  const broken = fc
    .tuple(
      fc.array(fc.array(bytes, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.nat(255),
    )
    .map(([requests, where, value]) => {
      const stream = Buffer.concat(requests.map(requestOf))
      stream[Math.floor(where * stream.length)] = value
      return stream
    })
  fc.assert(
    fc.property(fc.oneof(noise, broken), cuts, (stream, at) => {
      const whole = framesOf(stream, [])
      const split = framesOf(stream, at)
      // A protocol error that is certain before the line is complete may come earlier, never another one or other commands.
      expect(split).toEqual(whole)
    }),
    { numRuns: runs * 3 },
  )
})

/** A RESP2 reply with its text. */
const reply: fc.Arbitrary<string> = fc.letrec<{ reply: string; array: string }>((tie) => ({
  reply: fc.oneof(
    { depthSize: 'small' },
    fc.stringMatching(/^[ -~]{0,20}$/).map((it) => `+${it}\r\n`),
    fc.stringMatching(/^[ -~]{0,20}$/).map((it) => `-${it}\r\n`),
    fc.integer().map((it) => `:${it}\r\n`),
    bytes.map((it) => `$${it.length}\r\n${it.toString('latin1')}\r\n`),
    fc.constantFrom('$-1\r\n', '*-1\r\n', '*0\r\n'),
    tie('array'),
  ),
  array: fc.array(tie('reply'), { maxLength: 5 }).map((items) => `*${items.length}\r\n${items.join('')}`),
})).reply

test('RESP2 replies end where redis-parser says they end, whatever the split', () => {
  fc.assert(
    fc.property(fc.array(reply, { minLength: 1, maxLength: 6 }), cuts, (replies, at) => {
      const stream = Buffer.from(replies.join(''), 'latin1')
      // The oracle counts replies; fed up to each end that we claim, it must have seen exactly as many.
      const claimed = replyEnds(
        stream,
        at.map((cut) => Math.floor(cut * stream.length)),
      )
      expect(claimed).not.toBe('broken')
      let seen = 0
      const parser = new RedisParser({
        returnReply: () => {
          seen++
        },
        returnError: () => {
          seen++
        },
        returnFatalError: (error: Error) => {
          throw error
        },
      })
      let from = 0
      for (const [i, end] of (claimed as number[]).entries()) {
        if (end - from > 1) {
          parser.execute(stream.subarray(from, end - 1))
          expect(seen).toBe(i)
        }
        parser.execute(stream.subarray(Math.max(from, end - 1), end))
        expect(seen).toBe(i + 1)
        from = end
      }
      expect(from).toBe(stream.length)
    }),
    { numRuns: runs },
  )
})
