/** However a request is cut, its pieces are those of the request as a whole, under its keys' prefix; and what is wrong is wrong at once. */
import fc from 'fast-check'
import { framed, incomplete, RequestFramer } from '../../src/resp/request-framer.ts'
import { pieceArgument, pieceBroken, pieceMore, pieceOver, RequestPieces } from '../../src/resp/request-pieces.ts'
import { Splicer } from '../../src/tenant/rewrite.ts'
import { type KeyPlaces, PieceCheck, PieceRewriter } from '../../src/tenant/rewrite-pieces.ts'
import '../kit/seed.ts'

const runs = Number(process.env['RUNS'] ?? 400)
const maxBytes = 1_000_000
const argument = fc.oneof(
  fc.uint8Array({ maxLength: 12 }).map((it) => Buffer.from(it)),
  fc.constantFrom('', 'a', '\r\n', '$3\r\n', '*1\r\n', '-1').map((text) => Buffer.from(text)),
  fc.integer({ min: 90, max: 130 }).map((size) => Buffer.alloc(size, 'v')),
)
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })
const places = fc.constantFrom<KeyPlaces>(
  { first: 1, last: 1, step: 1 },
  { first: 1, last: 99, step: 1 },
  { first: 1, last: 99, step: 2 },
  { first: 2, last: 3, step: 1 },
)
const prefix = Buffer.from('shop:')

function requestOf(args: readonly Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n')]),
  ])
}

/** The bytes in pieces, each in a block of its own with other bytes around it: nothing may be read beyond its end. */
function piecesOf(bytes: Buffer, at: readonly number[]): { buf: Buffer; from: number; end: number }[] {
  const points = [...at.map((cut) => Math.floor(cut * bytes.length)), bytes.length].sort((a, b) => a - b)
  let last = 0
  return points.map((point) => {
    const part = bytes.subarray(last, point)
    last = point
    const buf = Buffer.concat([Buffer.from('$7\r\n*'), part, Buffer.from('\r\n$9\r\n')])
    return { buf, from: 5, end: 5 + part.length }
  })
}

/** The whole request with its keys prefixed, by the way of requests that are kept. */
function splicedWhole(bytes: Buffer, { first, last, step }: KeyPlaces): Buffer {
  const frame = new RequestFramer()
  expect(frame.frame(bytes, 0, bytes.length)).toBe(framed)
  const keys = { count: 0, arg: new Int32Array(200) }
  for (let i = first; i <= last && i < frame.count; i += step) keys.arg[keys.count++] = i
  const out = Buffer.alloc(bytes.length + 100 * 30)
  const splicer = new Splicer()
  const end = splicer.splice(bytes, false, frame, keys, prefix, out, 0)
  return out.subarray(0, splicer.copy(bytes, false, bytes.length, out, end))
}

test('pieces of any cut are together what the request is under its prefix, and a second reading finds nothing amiss', () => {
  fc.assert(
    fc.property(fc.array(argument, { minLength: 1, maxLength: 9 }), cuts, places, (args, at, keys) => {
      const bytes = requestOf(args)
      const line = Buffer.from(`*${args.length}\r\n`)
      const rewriter = new PieceRewriter(line, args.length, keys, prefix, maxBytes)
      const check = new PieceCheck(line.length, args.length, keys, prefix)
      const made: Buffer[] = []
      let checkedFrom = line.length
      let outcome = pieceMore
      for (const { buf, from, end } of piecesOf(bytes.subarray(line.length), at)) {
        if (outcome === pieceOver) break
        outcome = rewriter.take(buf, from, end)
        expect(rewriter.pos).toBe(end)
        made.push(Buffer.from(rewriter.out.subarray(0, rewriter.outEnd)))
        expect(check.passes(rewriter.out, checkedFrom, rewriter.outEnd)).toBe(true)
        checkedFrom = 0
        rewriter.begin()
      }
      expect(outcome).toBe(pieceOver)
      expect(check.isOver).toBe(true)
      expect(rewriter.taken).toBe(bytes.length)
      expect(Buffer.concat(made).toString('latin1')).toBe(splicedWhole(bytes, keys).toString('latin1'))
    }),
    { numRuns: runs },
  )
})

test('what the strict framer refuses, and nothing else, is refused in pieces too, in the same words', () => {
  const broken = fc.tuple(fc.array(argument, { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat({ max: 255 }))
  fc.assert(
    fc.property(broken, cuts, ([args, place, byte], at) => {
      const whole = requestOf(args)
      const line = Buffer.from(`*${args.length}\r\n`)
      const bytes = Buffer.from(whole)
      bytes[line.length + (place % (bytes.length - line.length))] = byte
      const frame = new RequestFramer()
      frame.maxRequestBytes = 400
      const outcome = frame.frame(bytes, 0, bytes.length)
      const pieces = new RequestPieces(args.length, line.length, 400)
      let said = pieceMore
      for (const { buf, from, end } of piecesOf(bytes.subarray(line.length), at)) {
        let p = from
        do {
          said = pieces.next(buf, p, end)
          p = pieces.pos
        } while (said === pieceArgument)
        if (said !== pieceMore) break
      }
      // A length that is cut off by the end of the bytes is waited for by the one, and judged at its first wrong byte by the other.
      if (outcome === incomplete) expect([pieceMore, pieceBroken]).toContain(said)
      else if (outcome === framed) expect(said).toBe(pieceOver)
      else {
        expect(said).toBe(pieceBroken)
        expect(pieces.error).toBe(frame.error)
      }
    }),
    { numRuns: runs },
  )
})

test('the second reading stops a key without its prefix, wherever the piece ends', () => {
  const bytes = Buffer.from('$4\r\nMSET\r\n$6\r\nshop:a\r\n$1\r\n1\r\n$6\r\nshoP:b\r\n$1\r\n2\r\n')
  for (let cut = 0; cut <= bytes.length; cut++) {
    const check = new PieceCheck(4, 5, { first: 1, last: 4, step: 2 }, prefix)
    expect(check.passes(bytes, 0, cut) && check.passes(bytes, cut, bytes.length)).toBe(false)
  }
  const short = new PieceCheck(4, 2, { first: 1, last: 1, step: 1 }, prefix)
  expect(short.passes(Buffer.from('$3\r\nGET\r\n$4\r\nshop\r\n'), 0, 20)).toBe(false)
})

test('keys that are shorter than their prefix make a request longer, and it is within its bounds still', () => {
  const count = 140_000
  const request = Buffer.concat([
    Buffer.from(`*${count + 1}\r\n$6\r\nUNLINK\r\n`),
    ...Array.from({ length: count }, (_, i) => Buffer.from(`$1\r\n${i % 10}\r\n`)),
  ])
  const maxBytes = request.length + 1
  const prefix = Buffer.from('a-long-tenant:')
  const places = { first: 1, last: count, step: 1 }
  const line = request.subarray(0, request.indexOf('\n') + 1)
  const rewriter = new PieceRewriter(line, count + 1, places, prefix, maxBytes)
  const check = new PieceCheck(line.length, count + 1, places, prefix)
  for (let at = line.length; at < request.length; at += 65_536) {
    rewriter.take(request, at, Math.min(request.length, at + 65_536))
    expect(check.passes(rewriter.out, at === line.length ? line.length : 0, rewriter.outEnd)).toBe(true)
    rewriter.begin()
  }
  expect(check.isOver).toBe(true)
})
