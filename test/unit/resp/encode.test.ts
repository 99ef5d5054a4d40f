import {
  array,
  bulk,
  encodeReply,
  encodeRequest,
  failure,
  integer,
  map,
  nil,
  type Reply,
  simple,
} from '../../../src/resp/encode.ts'

const text = (reply: Reply, version: 2 | 3): string => encodeReply(reply, version).toString('latin1')

test.each<[Reply, string, string]>([
  [simple('OK'), '+OK\r\n', '+OK\r\n'],
  [failure('ERR a\r\n+INJECTED'), '-ERR a  +INJECTED\r\n', '-ERR a  +INJECTED\r\n'],
  [integer(-3), ':-3\r\n', ':-3\r\n'],
  [bulk('a\r\nb'), '$4\r\na\r\nb\r\n', '$4\r\na\r\nb\r\n'],
  [nil, '$-1\r\n', '_\r\n'],
  [{ kind: 'nullArray' }, '*-1\r\n', '_\r\n'],
  [{ kind: 'boolean', value: true }, ':1\r\n', '#t\r\n'],
  [{ kind: 'double', value: 1.5 }, '$3\r\n1.5\r\n', ',1.5\r\n'],
  [{ kind: 'verbatim', value: 'abc' }, '$3\r\nabc\r\n', '=7\r\ntxt:abc\r\n'],
  [{ kind: 'set', items: [integer(1)] }, '*1\r\n:1\r\n', '~1\r\n:1\r\n'],
  [array([integer(1), array([])]), '*2\r\n:1\r\n*0\r\n', '*2\r\n:1\r\n*0\r\n'],
  [map([[bulk('a'), integer(1)]]), '*2\r\n$1\r\na\r\n:1\r\n', '%1\r\n$1\r\na\r\n:1\r\n'],
])('%j has one form for each version', (reply, two, three) => {
  expect(text(reply, 2)).toBe(two)
  expect(text(reply, 3)).toBe(three)
})

test('a request counts bytes, not characters', () => {
  expect(encodeRequest(['SET', 'é', Buffer.from([0, 255])])).toEqual(
    Buffer.concat([Buffer.from('*3\r\n$3\r\nSET\r\n$2\r\né\r\n$2\r\n'), Buffer.from([0, 255]), Buffer.from('\r\n')]),
  )
})
