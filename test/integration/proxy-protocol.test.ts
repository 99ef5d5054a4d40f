/** A load balancer in front: the PROXY protocol header names the client, in both versions, whole and in pieces. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { createAuthority } from '../kit/certificates.ts'
import { converse, exchange } from '../kit/exchange.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { atEnd, rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** Version 2: command and family by number, addresses and what follows them as they come. */
function binary(versionCommand: number, family: number, body: Buffer): Buffer {
  const head = Buffer.from([versionCommand, family, body.length >> 8, body.length & 255])
  return Buffer.concat([signature, head, body])
}

const ipv4 = Buffer.from([203, 0, 113, 7, 127, 0, 0, 1, 0x30, 0x39, 0x18, 0xec]) // 203.0.113.7:12345
const ipv6 = Buffer.concat([
  Buffer.from('20010db8000000000000000000000007', 'hex'),
  Buffer.alloc(16),
  Buffer.from([0x30, 0x39, 0x18, 0xec]),
])
const tlv = Buffer.from([0x05, 0, 3, 1, 2, 3])

const good: readonly (readonly [string, Buffer | string, string | undefined])[] = [
  ['version 1, TCP4', 'PROXY TCP4 203.0.113.7 127.0.0.1 12345 6380\r\n', '203.0.113.7:12345'],
  ['version 1, TCP6', 'PROXY TCP6 2001:db8::7 ::1 12345 6380\r\n', '[2001:db8::7]:12345'],
  ['version 1, UNKNOWN', 'PROXY UNKNOWN\r\n', undefined],
  ['version 1, UNKNOWN with addresses', 'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', undefined],
  ['version 2, IPv4', binary(0x21, 0x11, ipv4), '203.0.113.7:12345'],
  ['version 2, IPv4 and more', binary(0x21, 0x11, Buffer.concat([ipv4, tlv])), '203.0.113.7:12345'],
  ['version 2, IPv6', binary(0x21, 0x21, ipv6), '[2001:db8:0:0:0:0:0:7]:12345'],
  ['version 2, LOCAL', binary(0x20, 0x00, Buffer.alloc(0)), undefined],
]

const bad: readonly (readonly [string, Buffer | string])[] = [
  ['none at all', command('PING')],
  ['an inline command', 'PING\r\n'],
  ['a port above 65535', 'PROXY TCP4 203.0.113.7 127.0.0.1 65536 6380\r\n'],
  ['an address that is none', 'PROXY TCP4 203.0.113.256 127.0.0.1 1 2\r\n'],
  ['an address with zeros in front', 'PROXY TCP4 203.0.113.007 127.0.0.1 1 2\r\n'],
  ['a word too many', 'PROXY TCP4 203.0.113.7 127.0.0.1 1 2 3\r\n'],
  ['a family of its own', 'PROXY UDP4 203.0.113.7 127.0.0.1 1 2\r\n'],
  ['a line without an end', `PROXY TCP4 ${'1'.repeat(120)}`],
  ['a version that is not 2', binary(0x31, 0x11, ipv4)],
  ['a command that is not 0 or 1', binary(0x22, 0x11, ipv4)],
  ['a body too short for its addresses', binary(0x21, 0x11, ipv4.subarray(0, 8))],
  ['a body that is too long', Buffer.concat([signature, Buffer.from([0x21, 0x11, 0xff, 0xff]), ipv4])],
  ['a signature with a mistake', Buffer.from('\r\n\r\n\0\r\nQUIX\n!!!!', 'latin1')],
]

describe('PROXY protocol', () => {
  let proxy: StartedProxy

  beforeAll(async () => {
    const redis = await startRedis()
    proxy = await startProxy(config(redis.url))
  })

  function config(url: string, more: object = {}): object {
    return {
      region: 'eu-west',
      primary: 'eu-west',
      regions: { 'eu-west': { nodes: [url] } },
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
      listeners: [{ address: '127.0.0.1:6380', proxy_protocol: true, ...more }],
      limits: { auth_failures: '2/m' },
    }
  }

  test.each(good)('%s: the client is known by the address in the header', async (_, header, address) => {
    const bytes = Buffer.isBuffer(header) ? header : Buffer.from(header, 'latin1')
    const rest = Buffer.concat([command('AUTH', 'shop-app', 'demo'), command('CLIENT', 'INFO')])
    const whole = Buffer.concat([bytes, rest])
    // Whole, header and commands apart, byte by byte, and a cut inside the first command.
    for (const pieces of [
      [whole],
      [bytes, rest],
      [...whole].map((byte) => Buffer.from([byte])),
      [whole.subarray(0, bytes.length + 5), whole.subarray(bytes.length + 5)],
    ]) {
      const heard = await exchange(pieces, { port: proxy.port, fin: true })
      expect(heard.bytes.startsWith('+OK\r\n$')).toBe(true)
      const found = / addr=(\S+) /.exec(heard.bytes)?.[1]
      if (address !== undefined) expect(found).toBe(address)
      else expect(found).toMatch(/^127\.0\.0\.1:\d+$/)
    }
  })

  test.each(bad)('%s: closed without a word', async (_, bytes) => {
    expect(await exchange([bytes], { port: proxy.port })).toEqual({ bytes: '', isClosed: true })
  })

  test('a connection that ends in the middle of the header leaves nothing behind', async () => {
    for (const bytes of ['PROXY TC', signature.subarray(0, 7)]) {
      expect((await exchange([bytes], { port: proxy.port, fin: true })).bytes).toBe('')
    }
    expect((await metric(proxy)).sum('regis_uncaught_total')).toBe(0)
  })

  test('failed logins are counted by the address in the header, not by the balancer', async () => {
    const from = (last: number) => `PROXY TCP4 198.51.100.${last} 127.0.0.1 1000 6380\r\n`
    const attack = await rawClient(proxy.port)
    attack.send(from(1))
    for (let i = 0; i < 3; i++) await attack.call('AUTH', 'shop-app', 'nope')
    const limited = (await metric(proxy)).sum('regis_auth_failures_total', { reason: 'limited' })
    expect(limited).toBe(1)
    const honest = await rawClient(proxy.port)
    honest.send(from(2))
    expect(await honest.call('AUTH', 'shop-app', 'demo')).toBe('OK')
  })

  test('behind the header comes TLS, in one piece or in several', async () => {
    const authority = createAuthority('Test CA')
    const own = authority.issue('proxy', ['proxy.test'])
    const redis = await startRedis()
    const secure = await startProxy(config(redis.url, { tls: { cert: own.certFile, key: own.keyFile } }))
    for (const cut of [0, 20]) {
      const header = 'PROXY TCP4 203.0.113.7 127.0.0.1 12345 6380\r\n'
      const raw = net.connect({ port: secure.port, host: '127.0.0.1', noDelay: true })
      atEnd(() => raw.destroy())
      await once(raw, 'connect')
      raw.cork()
      raw.write(header.slice(0, cut))
      if (cut > 0) {
        raw.uncork()
        await new Promise((resolve) => setTimeout(resolve, 20))
        raw.cork()
      }
      raw.write(header.slice(cut))
      const socket = tls.connect({ socket: raw, ca: authority.cert, servername: 'proxy.test' })
      // The hello leaves together with the header.
      setImmediate(() => raw.uncork())
      await once(socket, 'secureConnect')
      const client = new RawClient(socket)
      expect(await client.call('AUTH', 'shop-app', 'demo')).toBe('OK')
      expect(String(await client.call('CLIENT', 'INFO'))).toContain(' addr=203.0.113.7:12345 ')
      client.close()
    }
    const plain = net.connect({ port: secure.port, host: '127.0.0.1' })
    const heard = await converse(plain, ['PROXY UNKNOWN\r\n', command('PING')], {})
    expect(heard.isClosed).toBe(true)
    expect(heard.bytes).not.toContain('PONG')
  })
})
