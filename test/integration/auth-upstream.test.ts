/** Logging in at the nodes: with a password, as an ACL user, with a wrong one. What is secret is never logged. */
import { freePort } from '../../src/demo/redis-server.ts'
import { command, type ErrorReply } from '../kit/resp.ts'
import { rawClient, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const config = (url: string, upstream: object) => ({
  region: 'eu-west',
  primary: 'eu-west',
  regions: { 'eu-west': { nodes: [url] } },
  upstream: { timeout: '500ms', ...upstream },
  tenants: { shop: { users: { 'shop-app': { password: 'client-secret-4711' } } } },
  logging: { level: 'debug' },
})

const nodeSecret = 'node-secret-0815'
const withUser = ['--user', 'regis', 'on', `>${nodeSecret}`, '~*', '&*', '+@all', '--requirepass', 'for-everybody-else']

describe('logins at the nodes', () => {
  test('as an ACL user, from upstream or from the URL, in RESP2 and RESP3', async () => {
    const redis = await startRedis({ args: withUser })
    for (const proxy of [
      await startProxy(config(redis.url, { username: 'regis', password: nodeSecret })),
      await startProxy(config(`redis://regis:${nodeSecret}@127.0.0.1:${redis.port}`, {})),
    ]) {
      const client = await proxy.client('shop-app', 'client-secret-4711')
      expect(await client.call('SET', 'a', 'b')).toBe('OK')
      await client.call('HELLO', '3')
      expect(await client.call('GET', 'a')).toBe('b')
      expect(proxy.proxy.log()).not.toContain(nodeSecret)
      expect(proxy.proxy.log()).not.toContain('client-secret')
    }
  })

  test('with a password alone, for the user default', async () => {
    const redis = await startRedis({ args: ['--requirepass', nodeSecret] })
    const proxy = await startProxy(config(redis.url, { password: nodeSecret }))
    const client = await proxy.client('shop-app', 'client-secret-4711')
    expect(await client.call('SET', 'a', 'b')).toBe('OK')
  })

  test.each([
    ['a wrong password', { username: 'regis', password: 'not-this-one-99' }, /WRONGPASS/],
    ['no password', {}, /NOAUTH/],
  ])(
    '%s: the log names the node and the reason, and no secret; clients are told not executed',
    async (_, upstream, reason) => {
      const redis = await startRedis({ args: withUser })
      const port = await freePort()
      const starting = startProxy(config(redis.url, upstream), {
        readyMsMax: 3_500,
        args: ['--listen', `127.0.0.1:${port}`],
      })
      const failure = starting.then(
        () => 'ready',
        (error: unknown) => String(error),
      )
      const client = await waitFor(() => rawClient(port))
      expect(await client.call('AUTH', 'shop-app', 'client-secret-4711')).toBe('OK')
      expect(((await client.call('SET', 'a', 'b')) as ErrorReply).message).toBe(
        'MASTERDOWN no reachable primary, command not executed',
      )
      const text = await failure
      expect(text).toMatch(reason)
      expect(text).toContain(`127.0.0.1:${redis.port}`)
      expect(text).not.toContain('not-this-one-99')
      expect(text).not.toContain('client-secret')
    },
  )

  test('what clients send is never logged: passwords, keys, values, at any level', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url, {}))
    const client = await proxy.client('shop-app', 'client-secret-4711')
    await client.call('AUTH', 'shop-app', 'wrong-secret-1')
    await client.call('HELLO', '3', 'AUTH', 'shop-app', 'wrong-secret-2')
    await client.call('SET', 'key-secret', 'value-secret')
    await client.call('LPUSH', 'key-secret', 'value-secret')
    await client.call('NOPE', 'argument-secret')
    client.send(Buffer.concat([command('GET', 'key-secret'), Buffer.from('*x-secret\r\n')]))
    await client.untilClosed()
    expect(proxy.proxy.log()).toContain('authentication failed')
    expect(proxy.proxy.log()).not.toContain('secret')
  })
})

describe('logins of clients', () => {
  test('read-only users read and do not write; a tenant sees nothing of another', async () => {
    const redis = await startRedis()
    const proxy = await startProxy({
      ...config(redis.url, {}),
      tenants: {
        shop: {
          users: { 'shop-app': { password: ['old', 'new'] }, 'shop-report': { password: 'demo', access: 'read-only' } },
        },
        other: { users: { 'other-app': { password: 'demo' } } },
        open: { users: { default: { nopass: true } } },
      },
    })
    const writer = await proxy.client('shop-app', 'old')
    expect(await (await proxy.client('shop-app', 'new')).call('SET', 'k', 'v')).toBe('OK')
    const reader = await proxy.client('shop-report')
    expect(await reader.call('GET', 'k')).toBe('v')
    for (const args of [
      ['SET', 'k', 'w'],
      ['DEL', 'k'],
      ['GETDEL', 'k'],
      ['SORT', 'k', 'STORE', 'd'],
      ['TOUCH', 'k'],
    ]) {
      expect(((await reader.call(...args)) as ErrorReply).message).toBe(
        `NOPERM this user has no permissions to run the '${args[0]!.toLowerCase()}' command`,
      )
    }
    expect(await writer.call('GET', 'k')).toBe('v')
    const other = await proxy.client('other-app')
    expect(await other.call('GET', 'k')).toBeNull()
    expect(await other.call('GET', 'shop:k')).toBeNull()
    // Connections without AUTH are user default.
    const anybody = await rawClient(proxy.port)
    expect(await anybody.call('SET', 'k', 'mine')).toBe('OK')
    expect(await redis.call('GET', 'open:k')).toBe('mine')
    expect(await anybody.call('AUTH', 'shop-app', 'new')).toBe('OK')
    expect(await anybody.call('GET', 'k')).toBe('v')
    expect(await anybody.call('RESET')).toBe('RESET')
    expect(await anybody.call('GET', 'k')).toBe('mine')
  })

  test('a new login binds to its own reads: what the tenant before has seen or written plays no part', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url, {}))
    const client = await proxy.client('shop-app', 'client-secret-4711')
    await client.call('SET', 'k', '1')
    const refused = (await client.call('AUTH', 'shop-app', 'nope')) as ErrorReply
    expect(refused.message).toMatch(/^WRONGPASS /)
    // As in Redis, a refused AUTH leaves the connection as it was.
    expect(await client.call('GET', 'k')).toBe('1')
  })
})
