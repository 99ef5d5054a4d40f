import { splitInline } from '../../../src/resp/inline.ts'

const split = (line: string): string[] | undefined =>
  splitInline(Buffer.from(line, 'latin1'))?.map((arg) => arg.toString('latin1'))

test.each<[string, string[] | undefined]>([
  ['PING', ['PING']],
  ['  SET  a\tb  ', ['SET', 'a', 'b']],
  ['', []],
  ['   ', []],
  ['SET a "b c"', ['SET', 'a', 'b c']],
  ['SET a ""', ['SET', 'a', '']],
  ["SET a 'b \"c'", ['SET', 'a', 'b "c']],
  ["SET a 'it\\'s'", ['SET', 'a', "it's"]],
  ['"\\x41\\x0a\\n\\r\\t\\b\\a\\\\\\""', ['A\n\n\r\t\b\x07\\"']],
  ['"\\xzz"', ['xzz']],
  ['SET a "b', undefined],
  ["SET a 'b", undefined],
  ['SET a "b"c', undefined],
  ["SET a 'b'c", undefined],
  ['a"b"', ['ab']],
])('%j is split as Redis splits it', (line, expected) => {
  expect(split(line)).toEqual(expected)
})
