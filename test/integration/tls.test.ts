/** TLS towards clients and towards nodes: who is let in, by which certificate, and what the log says of the others. */
import { once } from 'node:events'
import tls from 'node:tls'
import { freePort } from '../../src/demo/redis-server.ts'
import { type Authority, type Certificate, createAuthority } from '../kit/certificates.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, type ErrorReply } from '../kit/resp.ts'
import { atEnd, rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenants = { shop: { users: { 'shop-app': { password: 'demo' }, 'shop-two': { password: 'demo' } } } }

describe('TLS', () => {
  let authority: Authority
  let stranger: Authority
  let server: Certificate

  beforeAll(() => {
    authority = createAuthority('Test CA')
    stranger = createAuthority('Another CA')
    server = authority.issue('proxy', ['proxy.test'])
  })

  const nodes = (url: unknown) => ({ region: 'eu-west', primary: 'eu-west', regions: { 'eu-west': { nodes: [url] } } })

  async function start(listenerTls: object, more: object = {}): Promise<{ proxy: StartedProxy; port: number }> {
    const redis = await startRedis()
    // `--listen` gives the first listener another address, and nothing else.
    const listeners = [{ address: '127.0.0.1:6380', tls: listenerTls, ...more }]
    const proxy = await startProxy({ ...nodes(redis.url), tenants, listeners })
    return { proxy, port: proxy.port }
  }

  async function open(port: number, options: tls.ConnectionOptions = {}): Promise<RawClient> {
    const socket = tls.connect({ port, host: '127.0.0.1', ca: authority.cert, servername: 'proxy.test', ...options })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    const client = new RawClient(socket)
    atEnd(() => client.close())
    return client
  }

  test('clients are served over TLS: pipelines, large values, FIN with requests pending', async () => {
    const { port, proxy } = await start({ cert: server.certFile, key: server.keyFile })
    const client = await open(port)
    expect(await client.call('AUTH', 'shop-app', 'demo')).toBe('OK')
    const value = 'v'.repeat(3_000_000)
    expect(await client.call('SET', 'big', value)).toBe('OK')
    const replies = await client.pipeline([
      ['GET', 'big'],
      ['PING'],
      ...Array.from({ length: 500 }, (_, i) => ['ECHO', String(i)]),
    ])
    expect(replies[0] === value).toBe(true)
    expect(replies.slice(1)).toEqual(['PONG', ...Array.from({ length: 500 }, (_, i) => String(i))])
    client.send(Buffer.concat([command('GET', 'none'), command('ECHO', 'last')]))
    client.end()
    expect(await client.untilClosed()).toBe('$-1\r\n$4\r\nlast\r\n')
    // Nothing but TLS there.
    const plain = await rawClient(port)
    plain.send(command('PING'))
    expect(await plain.untilClosed()).not.toContain('PONG')
    await waitFor(async () => (await metric(proxy)).sum('regis_client_connections_total', { result: 'tls' }) >= 1)
  })

  test('with client_ca a certificate is needed, and its common name logs in', async () => {
    const { port, proxy } = await start({ cert: server.certFile, key: server.keyFile, client_ca: authority.certFile })
    const own = authority.issue('shop-two')
    const client = await open(port, { cert: own.cert, key: own.key })
    expect(await client.call('ACL', 'WHOAMI')).toBe('shop-two')
    expect(await client.call('SET', 'a', 'b')).toBe('OK')
    // Whoever else it names must still log in.
    const other = authority.issue('nobody-we-know')
    const unknown = await open(port, { cert: other.cert, key: other.key })
    expect(((await unknown.call('GET', 'a')) as ErrorReply).message).toBe('NOAUTH Authentication required.')
    expect(await unknown.call('AUTH', 'shop-app', 'demo')).toBe('OK')
    // Without one, or with one of somebody else's, nothing is answered.
    const forged = stranger.issue('shop-two')
    for (const options of [{}, { cert: forged.cert, key: forged.key }]) {
      const socket = tls.connect({ port, host: '127.0.0.1', ca: authority.cert, servername: 'proxy.test', ...options })
      const ended = Promise.race([once(socket, 'error'), once(socket, 'close')]).catch(() => undefined)
      socket.on('data', () => {
        throw new Error('answered')
      })
      socket.once('secureConnect', () => socket.write(command('PING')))
      await ended
      socket.destroy()
    }
    await waitFor(async () => (await metric(proxy)).sum('regis_client_connections_total', { result: 'tls' }) === 2)
  })

  test('a half handshake and rubbish hold nobody up', async () => {
    const { port, proxy } = await start({ cert: server.certFile, key: server.keyFile })
    for (let i = 0; i < 20; i++) {
      const client = await rawClient(port)
      client.send(i % 2 === 0 ? Buffer.from('160301', 'hex') : Buffer.alloc(300, i))
    }
    const client = await open(port)
    expect(await client.call('AUTH', 'shop-app', 'demo')).toBe('OK')
    expect(proxy.proxy.isRunning).toBe(true)
  })

  describe('towards nodes', () => {
    let node: Certificate
    let tlsPort = 0

    beforeAll(async () => {
      node = authority.issue('node', ['node.test'])
      tlsPort = await freePort()
      await startRedis({
        args: [
          ...['--tls-port', String(tlsPort), '--tls-cert-file', node.certFile, '--tls-key-file', node.keyFile],
          ...['--tls-ca-cert-file', authority.certFile, '--tls-auth-clients', 'no'],
        ],
      })
    })

    const url = () => `rediss://127.0.0.1:${tlsPort}`

    test('rediss:// with a CA and a server name: commands, large values and pipelines', async () => {
      const proxy = await startProxy({
        ...nodes({ url: url(), ca: authority.certFile, servername: 'node.test' }),
        tenants,
      })
      const client = await proxy.client('shop-app')
      const value = 'v'.repeat(3_000_000)
      expect(await client.call('SET', 'big', value)).toBe('OK')
      expect((await client.call('GET', 'big')) === value).toBe(true)
      const numbers = Array.from({ length: 1_000 }, (_, i) => i + 1)
      expect(await client.pipeline(numbers.map(() => ['INCR', 'n']))).toEqual(numbers)
    })

    test.each([
      ['another CA', () => ({ url: url(), ca: stranger.certFile, servername: 'node.test' }), /certificate|issuer/i],
      [
        'another name',
        () => ({ url: url(), ca: authority.certFile, servername: 'other.test' }),
        /altnames|does not match/i,
      ],
    ])('%s: the node is refused, and the log says why', async (_, address, why) => {
      const port = await freePort()
      const starting = startProxy(
        { ...nodes(address()), upstream: { timeout: '500ms' }, tenants },
        { readyMsMax: 4_000, args: ['--listen', `127.0.0.1:${port}`] },
      )
      // Not ready: it has no node. The failure's text holds the last lines of the log.
      await expect(starting).rejects.toThrow(why)
    })
  })
})
