import { ReplyFramer, replyMore } from '../../../src/resp/reply-framer.ts'
import { replyEnds } from '../../kit/reply-ends.ts'

/** Ends of the replies in `text`, given in pieces of `step` bytes. */
function ends(text: string, step: number): number[] | 'broken' {
  const cuts = Array.from({ length: Math.ceil(text.length / step) }, (_, i) => i * step)
  return replyEnds(Buffer.from(text, 'latin1'), cuts)
}

const replies = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':42\r\n',
  ':-1\r\n',
  '$5\r\nhe\r\no\r\n',
  '$0\r\n\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*2\r\n*1\r\n:1\r\n$1\r\nx\r\n',
  '%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n',
  '~2\r\n#t\r\n#f\r\n',
  ',1.5\r\n',
  ',inf\r\n',
  '(12345678901234567890123\r\n',
  '=7\r\ntxt:abc\r\n',
  '!5\r\nERR x\r\n',
  '_\r\n',
  '>2\r\n+message\r\n+x\r\n',
  '|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n',
  '*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n',
  `*1\r\n`.repeat(5000) + ':1\r\n',
]

test.each([1, 2, 3, 7, 1_000_000])('replies end where they end, in pieces of %i bytes', (step) => {
  const text = replies.join('')
  const expected: number[] = []
  let at = 0
  for (const reply of replies) {
    at += reply.length
    expected.push(at)
  }
  expect(ends(text, step)).toEqual(expected)
})

test.each([
  'x\r\n',
  '+OK\rx',
  '+OK\n',
  ':1x\r\n',
  ':\r\n',
  '$-2\r\n',
  '$3\r\nabcd\r\n',
  '$3\r\nabc\rx',
  '*-2\r\n',
  '%-1\r\n',
  '#x\r\n',
  '$99999999999\r\n',
  '$?\r\n',
  '*?\r\n',
])('%j is no reply', (text) => {
  expect(ends(text, 1_000_000)).toBe('broken')
  expect(ends(text, 1)).toBe('broken')
})

test('the type of a reply is known, also when it came in pieces', () => {
  const framer = new ReplyFramer()
  const bytes = Buffer.from('-ERR no\r\n$3\r\nabc\r\n')
  expect(framer.next(bytes, 0, bytes.length)).toBe(9)
  expect(framer.type).toBe(45)
  expect(framer.next(bytes, 9, 15)).toBe(replyMore)
  expect([framer.consumed, framer.started]).toEqual([15, true])
  expect(framer.next(bytes, 15, bytes.length)).toBe(bytes.length)
  expect(framer.type).toBe(36)
})

test('a header that has not arrived whole is left to the caller', () => {
  const framer = new ReplyFramer()
  const bytes = Buffer.from('*2\r\n$10')
  expect(framer.next(bytes, 0, bytes.length)).toBe(replyMore)
  expect(framer.consumed).toBe(4)
})

test.each([1000, 20_000, 70_000])(
  'an error line of 200,000 bytes is a reply like any other, in pieces of %i',
  (step) => {
    const text = `-NOGROUP No such key '${'k'.repeat(200_000)}'\r\n`
    expect(ends(`${text}+OK\r\n`, step)).toEqual([text.length, text.length + 5])
    expect(ends(`-${'x'.repeat(200_000)}\n`, step)).toBe('broken')
    expect(ends(`-${'x'.repeat(200_000)}\rx`, step)).toBe('broken')
    // Inside an aggregate too.
    expect(ends(`*2\r\n${text}:1\r\n`, step)).toEqual([4 + text.length + 4])
  },
)
