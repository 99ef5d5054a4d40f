/** The decoder that the other tests judge by is itself compared with redis-parser, and must refuse what is not RESP. */
import fc from 'fast-check'
import Parser from 'redis-parser'
import { command, type Decoded, decode, ErrorReply, Tagged } from './resp.ts'

type Tree = string | number | null | Tree[] | { error: string }

function encode(tree: Tree): string {
  if (tree === null) return '$-1\r\n'
  if (typeof tree === 'number') return `:${tree}\r\n`
  if (typeof tree === 'string') return `$${Buffer.byteLength(tree, 'latin1')}\r\n${tree}\r\n`
  if (Array.isArray(tree)) return `*${tree.length}\r\n${tree.map(encode).join('')}`
  return `-${tree.error}\r\n`
}

const { tree: trees } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.string({ maxLength: 20 }).filter((text) => /^[\0-\x7f]*$/.test(text)),
    fc.integer(),
    fc.constant(null),
    fc.record({ error: fc.stringMatching(/^[A-Z]{3} [a-z ]{0,10}$/) }),
    fc.array(tie('tree'), { maxLength: 4 }),
  ),
}))

function withRedisParser(bytes: Buffer): unknown[] {
  const seen: unknown[] = []
  const parser = new Parser({
    returnReply: (reply) => seen.push(reply),
    returnError: (error) => seen.push(error),
  })
  parser.execute(bytes)
  return seen
}

/** redis-parser's errors as ours. */
const ours = (value: unknown): unknown =>
  value instanceof Error ? new ErrorReply(value.message) : Array.isArray(value) ? value.map(ours) : value

test('RESP2 replies are what redis-parser makes of them', () => {
  fc.assert(
    fc.property(trees, (tree) => {
      const bytes = Buffer.from(encode(tree), 'latin1')
      expect([decode(bytes)?.reply]).toEqual(withRedisParser(bytes).map(ours))
      expect(decode(bytes)?.end).toBe(bytes.length)
    }),
  )
})

test('no proper beginning of a reply is taken for a reply', () => {
  fc.assert(
    fc.property(trees, (tree) => {
      const bytes = Buffer.from(encode(tree), 'latin1')
      for (let length = 0; length < bytes.length; length++) expect(decode(bytes.subarray(0, length))).toBeUndefined()
    }),
    { numRuns: 50 },
  )
})

const resp3: readonly [string, Decoded][] = [
  ['_\r\n', null],
  ['#t\r\n', true],
  [',1.5\r\n', 1.5],
  [',-inf\r\n', Number.NEGATIVE_INFINITY],
  ['(123456789012345678901\r\n', new Tagged('big', '123456789012345678901')],
  ['=6\r\ntxt:ab\r\n', new Tagged('verbatim', 'txt:ab')],
  ['!5\r\nERR x\r\n', new ErrorReply('ERR x')],
  ['~2\r\n:1\r\n:2\r\n', new Tagged('set', [1, 2])],
  ['>1\r\n+a\r\n', new Tagged('push', ['a'])],
  ['%1\r\n+a\r\n*1\r\n:1\r\n', new Map([['a', [1]]])],
  ['|1\r\n+ttl\r\n:9\r\n+value\r\n', 'value'],
]
test.each(resp3)('RESP3 %j', (text, reply) => {
  expect(decode(Buffer.from(text))).toEqual({ reply, end: text.length })
})

test.each(['x\r\n', ':1.5\r\n', '$1\r\nab\r\n', '#x\r\n', ',\r\n'])('%j is refused', (text) => {
  expect(() => decode(Buffer.from(text))).toThrow()
})

test('a command is an array of bulk strings with lengths in bytes', () => {
  expect(command('SET', 'ä', 1).toString()).toBe('*3\r\n$3\r\nSET\r\n$2\r\nä\r\n$1\r\n1\r\n')
})
