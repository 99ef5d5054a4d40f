import { readProxyHeader } from '../../../src/session/proxy-protocol.ts'

const signature = '\r\n\r\n\0\r\nQUIT\n'
const v2 = (command: number, family: number, body: number[]): Buffer =>
  Buffer.concat([
    Buffer.from(signature, 'latin1'),
    Buffer.from([0x20 | command, family, body.length >> 8, body.length & 255, ...body]),
  ])

const ipv4Body = [10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0x18, 0xeb]
const ipv6Body = [
  0x20,
  1,
  0x0d,
  0xb8,
  ...Array.from({ length: 11 }, () => 0),
  1,
  ...Array.from({ length: 16 }, () => 0),
  0x1f,
  0x90,
  0x18,
  0xeb,
]

test.each<[Buffer, number, string | undefined]>([
  [Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 8080 6379\r\n*1'), 40, '10.0.0.1:8080'],
  [Buffer.from('PROXY TCP6 2001:db8::1 ::1 8080 6379\r\n'), 38, '[2001:db8::1]:8080'],
  [Buffer.from('PROXY UNKNOWN\r\n'), 15, undefined],
  [Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), 35, undefined],
  [v2(1, 0x11, ipv4Body), 28, '10.0.0.1:8080'],
  [v2(1, 0x11, [...ipv4Body, 4, 0, 1, 0]), 32, '10.0.0.1:8080'],
  [v2(1, 0x21, ipv6Body), 52, '[2001:db8:0:0:0:0:0:1]:8080'],
  [v2(0, 0x00, []), 16, undefined],
])('header %# is read', (bytes, length, address) => {
  expect(readProxyHeader(bytes)).toEqual({ kind: 'ok', length, ...(address === undefined ? {} : { address }) })
  // Every proper start of it is incomplete, never invalid.
  for (let cut = 0; cut < length; cut++) expect(readProxyHeader(bytes.subarray(0, cut)).kind).toBe('incomplete')
})

test.each<Buffer>([
  Buffer.from('*1\r\n$4\r\nPING\r\n'),
  Buffer.from('PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n'),
  Buffer.from('PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n'),
  Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n'),
  Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n'),
  Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`),
  Buffer.from('\r\n\r\n\0\r\nQUIX\n', 'latin1'),
  Buffer.concat([Buffer.from(signature, 'latin1'), Buffer.from([0x11, 0x11, 0, 12, ...ipv4Body])]),
  v2(2, 0x11, ipv4Body),
  v2(1, 0x11, ipv4Body.slice(0, 8)),
  v2(1, 0x31, ipv4Body),
  Buffer.concat([Buffer.from(signature, 'latin1'), Buffer.from([0x21, 0x11, 0xff, 0xff])]),
])('header %# is refused', (bytes) => {
  expect(readProxyHeader(bytes)).toEqual({ kind: 'invalid' })
})
