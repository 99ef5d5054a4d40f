/** A listener without proxy_protocol believes no header: whoever could name an address there would have any address. */
import { command, ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

describe('a listener without proxy_protocol', () => {
  let proxy: StartedProxy

  beforeAll(async () => {
    const redis = await startRedis()
    proxy = await startProxy({
      region: 'eu-west',
      primary: 'eu-west',
      regions: { 'eu-west': { nodes: [redis.url] } },
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
    })
  })

  test('takes the text header for a command that it refuses, and knows the client by its own address', async () => {
    const client = await rawClient(proxy.port)
    client.send('PROXY TCP4 203.0.113.7 127.0.0.1 12345 6380\r\n')
    client.send(command('AUTH', 'shop-app', 'demo'))
    client.send(command('CLIENT', 'INFO'))
    expect(await client.read()).toBeInstanceOf(ErrorReply)
    expect(await client.read()).toBe('OK')
    const info = String(await client.read())
    expect(info).toMatch(/ addr=127\.0\.0\.1:\d+ /)
    expect(info).not.toContain('203.0.113.7')
  })

  test('takes the binary header for lines of text: QUIT is obeyed and what follows is not read', async () => {
    const client = await rawClient(proxy.port)
    const header = Buffer.concat([
      Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
      Buffer.from([0x21, 0x11, 0, 12, 203, 0, 113, 7, 127, 0, 0, 1, 0x30, 0x39, 0x18, 0xec]),
    ])
    client.send(Buffer.concat([header, command('AUTH', 'shop-app', 'demo'), command('CLIENT', 'INFO')]))
    const heard = await client.untilClosed()
    expect(heard).not.toContain('203.0.113.7')
    expect(heard).not.toContain('shop-app')
    expect(heard).toContain('+OK\r\n') // to QUIT
  })
})
