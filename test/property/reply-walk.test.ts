/** Walking arbitrary replies: ends where the encoder ended, never reads beyond, and agrees with the decoder of the tests. */
import fc from 'fast-check'
import { encodeReply, type Reply } from '../../src/resp/encode.ts'
import { decode, MalformedReply, skip } from '../../src/resp/reply-walk.ts'
import { type Decoded, ErrorReply, decode as plainDecode, Tagged } from '../kit/resp.ts'

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }
const line = fc.string({ maxLength: 8 }).map((text) => text.replace(/[^\x20-\x7e]/g, ''))
const { reply } = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    line.map((text): Reply => ({ kind: 'simple', text })),
    line.map((text): Reply => ({ kind: 'error', text })),
    fc.integer().map((value): Reply => ({ kind: 'integer', value })),
    fc.uint8Array({ maxLength: 12 }).map((value): Reply => ({ kind: 'bulk', value })),
    fc.constantFrom<Reply>(
      { kind: 'null' },
      { kind: 'nullArray' },
      { kind: 'boolean', value: true },
      { kind: 'double', value: 1.5 },
    ),
    line.map((value): Reply => ({ kind: 'verbatim', value })),
    fc.array(tie('reply'), { maxLength: 4 }).map((items): Reply => ({ kind: 'array', items })),
    fc.array(tie('reply'), { maxLength: 4 }).map((items): Reply => ({ kind: 'set', items })),
    fc
      .array(
        fc.tuple(
          line.map((text): Reply => ({ kind: 'bulk', value: text })),
          tie('reply'),
        ),
        { maxLength: 3 },
      )
      .map((pairs): Reply => ({ kind: 'map', pairs })),
  ),
}))

test('the end of every reply is found, alone, with bytes behind it, and not before it is there', () => {
  fc.assert(
    fc.property(reply, fc.constantFrom<2 | 3>(2, 3), fc.nat(), (value, version, cut) => {
      const bytes = encodeReply(value, version)
      expect(skip(bytes, 0, bytes.length)).toBe(bytes.length)
      const followed = Buffer.concat([Buffer.from('+x\r\n'), bytes, Buffer.from('$9\r\n')])
      expect(skip(followed, 4, followed.length)).toBe(4 + bytes.length)
      expect(skip(bytes, 0, cut % bytes.length)).toBe(-1)
    }),
    { numRuns: 1500, ...seed },
  )
})

/** Both decoders in one shape. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  if (value instanceof ErrorReply) return { error: value.message }
  if (value instanceof Tagged) return value.kind === 'verbatim' ? String(value.value).slice(4) : plain(value.value)
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([name, inner]) => [String(plain(name)), plain(inner)]))
  return value
}

test('the decoder agrees with the one that the tests have', () => {
  fc.assert(
    fc.property(reply, fc.constantFrom<2 | 3>(2, 3), (value, version) => {
      const bytes = encodeReply(value, version)
      expect(plain(decode(bytes))).toEqual(plain(plainDecode(bytes)?.reply as Decoded))
    }),
    { numRuns: 1500, ...seed },
  )
})

test('bytes that are no reply end in -1, an end, or MalformedReply, and never hang', () => {
  const noise = fc.array(
    fc.constantFrom('*', '$', '%', '|', '-1', '1', '3', '\r\n', '\r', 'a', ':', '+', '_', '~', '='),
    { maxLength: 30 },
  )
  fc.assert(
    fc.property(noise, (parts) => {
      const bytes = Buffer.from(parts.join(''))
      try {
        const end = skip(bytes, 0, bytes.length)
        expect(end === -1 || (end > 0 && end <= bytes.length)).toBe(true)
        if (end > 0) decode(bytes.subarray(0, end))
        else expect(() => decode(bytes)).toThrow(MalformedReply)
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedReply)
      }
    }),
    { numRuns: 5000, ...seed },
  )
})
