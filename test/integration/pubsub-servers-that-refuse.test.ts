/** The servers' side of subscriptions: a login of its own, TLS, a user that may not hear every channel. */
import { freePort } from '../../src/demo/redis-server.ts'
import { createAuthority } from '../kit/certificates.ts'
import { startProxy, startRedis } from '../kit/servers.ts'

const tenants = { shop: { users: { 'shop-app': { password: 'demo' } } } }
const configOf = (node: unknown, upstream: object = {}) => ({
  region: 'here',
  primary: 'here',
  regions: { here: { nodes: [node] } },
  tenants,
  upstream,
})

test('a user of the servers that may not hear a channel: the client is told so, and goes on', async () => {
  const redis = await startRedis()
  await redis.call('ACL', 'SETUSER', 'regis', 'on', '>upstream', '~*', '+@all', 'resetchannels', '&regis:*', '&shop:a*')
  const proxy = await startProxy(configOf(redis.url, { username: 'regis', password: 'upstream' }))
  const client = await proxy.client('shop-app')
  const refusal = '-NOPERM this user has no permissions to access one of the channels used as arguments\r\n'
  expect(await client.callRaw('PUBLISH', 'b', 'x')).toBe(refusal)
  expect(await client.call('PUBLISH', 'a', 'x')).toBe(0)
  expect(await client.callRaw('SUBSCRIBE', 'a1', 'b')).toBe(refusal)
  expect(await client.callRaw('PSUBSCRIBE', 'a*')).toBe(refusal)
  expect(await client.callRaw('GET', 'k')).toBe('$-1\r\n')
  expect(await client.call('SUBSCRIBE', 'a1')).toEqual(['subscribe', 'a1', 1])
  expect(await (await proxy.client('shop-app')).call('PUBLISH', 'a1', 'x')).toBe(1)
  expect(await client.read()).toEqual(['message', 'a1', 'x'])
})

test('subscriptions reach a node by TLS', async () => {
  const authority = createAuthority('Test CA')
  const server = authority.issue('redis', ['redis.test'])
  const port = await freePort()
  const args = ['--tls-port', String(port), '--tls-auth-clients', 'no', '--tls-ca-cert-file', authority.certFile]
  await startRedis({ args: [...args, '--tls-cert-file', server.certFile, '--tls-key-file', server.keyFile] })
  const node = { url: `rediss://127.0.0.1:${port}`, ca: authority.certFile, servername: 'redis.test' }
  const proxy = await startProxy(configOf(node))
  const [client, sender] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
  expect(await client.call('SUBSCRIBE', 'a')).toEqual(['subscribe', 'a', 1])
  const large = 'x'.repeat(2_000_000)
  expect(await sender.call('PUBLISH', 'a', large)).toBe(1)
  const [, , payload] = (await client.read()) as string[]
  expect(payload === large).toBe(true)
})
