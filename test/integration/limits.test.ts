/** What one client, or one attacker, may cost: connections, unread output, floods, failed logins, silence. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxyProcess } from '../../src/demo/proxy-process.ts'
import { hashPassword } from '../../src/tenant/password.ts'
import { converse } from '../kit/exchange.ts'
import { metric } from '../kit/metrics.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { atEnd, rawClient, type StartedProxy, startProxy, startRedis, startRelay } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const config = (url: string, more: object = {}): object => ({
  region: 'eu-west',
  primary: 'eu-west',
  regions: { 'eu-west': { nodes: [url] } },
  tenants: {
    shop: { users: { 'shop-app': { password: 'demo' } } },
    other: { users: { 'other-app': { password: 'demo' } } },
  },
  ...more,
})

function residentBytes(process: ProxyProcess): number {
  return Number(readFileSync(`/proc/${process.pid}/statm`, 'latin1').split(' ')[1]) * 4096
}

/** Connected, logged in, and reads nothing more. */
async function silentClient(proxy: StartedProxy, user: string): Promise<RawClient> {
  const client = await proxy.client(user)
  client.socket.pause()
  return client
}

describe('limits', () => {
  test('above max_clients a connection is told so and closed; those that are open go on', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url, { limits: { max_clients: 3 } }))
    const clients = [await proxy.client('shop-app'), await proxy.client('shop-app'), await proxy.client('other-app')]
    for (let i = 0; i < 3; i++) {
      const refused = await rawClient(proxy.port)
      expect(await refused.untilClosed()).toBe('-ERR max number of clients reached\r\n')
    }
    expect(await clients[0]!.call('SET', 'a', 'b')).toBe('OK')
    clients[1]!.close()
    await waitFor(async () => {
      const next = await rawClient(proxy.port)
      const answer = await next.call('AUTH', 'shop-app', 'demo')
      next.close()
      return answer === 'OK'
    })
  })

  test('a client that does not read 1 MB values is closed at the hard limit, and others are served', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url))
    const writer = await proxy.client('shop-app')
    await writer.call('SET', 'big', Buffer.alloc(1_000_000, 'x'))
    const before = residentBytes(proxy.proxy)
    const slow = await silentClient(proxy, 'shop-app')
    slow.send(Buffer.concat(Array.from({ length: 200 }, () => command('GET', 'big'))))
    await waitFor(
      async () => (await metric(proxy)).sum('regis_client_disconnects_total', { reason: 'output limit' }) === 1,
    )
    expect(await writer.call('STRLEN', 'big')).toBe(1_000_000)
    expect(residentBytes(proxy.proxy) - before).toBeLessThan(150 * 1024 * 1024)
  })

  test('a value larger than the hard limit is read whole over a link slower than the node', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url))
    const size = 60_000_000
    await redis.call('SETRANGE', 'shop:huge', size - 1, 'x')
    const link = await startRelay({ port: proxy.port }, { bytesPerSecond: 100_000_000, queueBytesMax: 100_000 })
    const client = await rawClient(link.port)
    await client.call('AUTH', 'shop-app', 'demo')
    let got = 0
    let last = ''
    client.socket.removeAllListeners('data')
    client.socket.on('data', (chunk: Buffer) => {
      got += chunk.length
      last = chunk.toString('latin1', Math.max(0, chunk.length - 3))
    })
    client.send(command('GET', 'huge'))
    await waitFor(() => got >= size + 13, 20_000)
    expect(last).toBe('x\r\n')
  })

  test('above limits.output the largest holder of unread replies is closed, and only it', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url, { limits: { output: '20MiB' } }))
    await redis.call('SETRANGE', 'shop:big', 999_999, 'x')
    await redis.call('SETRANGE', 'other:big', 999_999, 'x')
    const small = await silentClient(proxy, 'other-app')
    small.send(Buffer.concat(Array.from({ length: 10 }, () => command('GET', 'big'))))
    await sleep(200)
    const large = await silentClient(proxy, 'shop-app')
    large.send(Buffer.concat(Array.from({ length: 31 }, () => command('GET', 'big'))))
    await waitFor(
      async () => (await metric(proxy)).sum('regis_client_disconnects_total', { reason: 'output limit' }) === 1,
    )
    small.socket.resume()
    for (let i = 0; i < 10; i++) expect(String(await small.read()).length).toBe(1_000_000)
    expect(await small.call('PING')).toBe('PONG')
  })

  test('small replies that a client does not read hold no large buffers', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url))
    const busy = await proxy.client('other-app')
    await busy.call('SET', 'page', Buffer.alloc(50_000, 'x'))
    const slow = await silentClient(proxy, 'shop-app')
    // First the kernel's buffers, on both sides, until the proxy itself must hold what comes.
    const filler = await proxy.client('shop-app')
    await filler.call('SET', 'big', Buffer.alloc(1_000_000, 'x'))
    slow.send(Buffer.concat(Array.from({ length: 7 }, () => command('GET', 'big'))))
    await waitFor(async () => {
      const clients = JSON.parse((await proxy.proxy.fetch('/api/v1/clients')).body) as { sent_bytes: number }[]
      return clients.some((client) => client.sent_bytes > 7_000_000)
    })
    const before = residentBytes(proxy.proxy)
    for (let i = 0; i < 3_000; i++) {
      // One node reply that is nearly all the busy client's, with the slow one's five bytes in it; and one of our own.
      slow.send(i % 2 === 0 ? command('GET', 'none') : command('PING'))
      await busy.call('GET', 'page')
    }
    expect(residentBytes(proxy.proxy) - before).toBeLessThan(64 * 1024 * 1024)
    expect(await busy.call('PING')).toBe('PONG')
  })

  test('commands that the proxy answers itself do not pile up without end behind a reply that is late', async () => {
    const redis = await startRedis()
    const relay = await startRelay({ port: redis.port })
    const proxy = await startProxy(config(`redis://127.0.0.1:${relay.port}`, { upstream: { timeout: '4s' } }))
    const client = await proxy.client('shop-app')
    relay.partition(true)
    const before = residentBytes(proxy.proxy)
    client.send(command('GET', 'late'))
    const pings = Buffer.concat(Array.from({ length: 10_000 }, () => command('PING')))
    const total = 600_000
    for (let at = 0; at < total; at += 10_000) client.send(pings)
    await sleep(1_500)
    expect(residentBytes(proxy.proxy) - before).toBeLessThan(64 * 1024 * 1024)
    relay.partition(false)
    expect(await client.read()).toBeNull()
    const heard = await converse(client.socket, [command('ECHO', 'the end')], {
      until: '$7\r\nthe end\r\n',
      timeoutMs: 20_000,
    })
    // Some came before `converse` listened; all are PONGs.
    expect(heard.bytes.replaceAll('+PONG\r\n', '').length).toBeLessThan('+PONG\r\n'.length)
  })

  test('too many failed logins are answered late, right ones too, and other users are not', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url, { limits: { auth_failures: '3/m' } }))
    const client = await rawClient(proxy.port)
    for (let i = 0; i < 3; i++) expect(await client.call('AUTH', 'shop-app', 'nope')).toBeInstanceOf(ErrorReply)
    expect((await metric(proxy)).sum('regis_auth_failures_total', { reason: 'limited' })).toBe(0)
    const limited = await client.call('AUTH', 'shop-app', 'demo')
    expect((limited as ErrorReply).message).toBe('WRONGPASS invalid username-password pair or user is disabled.')
    expect((await metric(proxy)).sum('regis_auth_failures_total', { reason: 'limited' })).toBe(1)
    expect(await (await rawClient(proxy.port)).call('AUTH', 'other-app', 'demo')).toBe('OK')
  })

  test('a client that leaves while its password is checked is not counted for ever', async () => {
    const redis = await startRedis()
    const hash = await hashPassword(Buffer.from('slow'), 'scrypt')
    const proxy = await startProxy(
      config(redis.url, {
        tenants: { shop: { users: { 'shop-app': { password: 'demo' }, 'shop-slow': { password_hash: hash } } } },
      }),
    )
    for (let i = 0; i < 5; i++) {
      const client = await RawClient.open(proxy.port)
      client.send(command('AUTH', 'shop-slow', 'slow'))
      await sleep(2)
      client.reset()
    }
    const witness = await rawClient(proxy.port)
    await witness.call('AUTH', 'shop-slow', 'slow')
    await witness.call('GET', 'a')
    await waitFor(async () => (await metric(proxy)).sum('regis_client_connections', { tenant: 'shop' }) === 1, 3_000)
  })

  test('ten seconds without AUTH end a connection; RESET begins them anew', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url))
    const silent = await rawClient(proxy.port)
    const half = await rawClient(proxy.port)
    half.send('*2\r\n$4\r\nAUTH\r\n$')
    const logged = await proxy.client('shop-app')
    expect(await silent.untilClosed(13_000)).toBe('')
    expect(await half.untilClosed(3_000)).toBe('')
    expect(await logged.call('RESET')).toBe('RESET')
    await sleep(1_500)
    expect(await logged.call('AUTH', 'shop-app', 'demo')).toBe('OK')
    expect((await metric(proxy)).sum('regis_client_disconnects_total', { reason: 'no authentication' })).toBe(2)
  })

  test('a client that has not logged in and does not read is closed before it holds much', async () => {
    const redis = await startRedis()
    const proxy = await startProxy(config(redis.url))
    const client = await rawClient(proxy.port)
    client.socket.pause()
    atEnd(() => client.close())
    const errors = Buffer.concat(Array.from({ length: 10_000 }, () => command('GET', 'a')))
    for (let i = 0; i < 60 && !client.socket.destroyed; i++) client.send(errors)
    await waitFor(
      async () =>
        (await metric(proxy)).sum('regis_client_disconnects_total', {
          reason: 'unauthenticated client does not read',
        }) === 1,
    )
  })
})
