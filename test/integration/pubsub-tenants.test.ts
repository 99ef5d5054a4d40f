/**
 * Subscriptions of two tenants on one server: the same channel names, patterns that would cross, events of keys. What a
 * tenant hears is its own, in its own names; everything that each client was sent is looked at, not what was awaited only.
 */
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, Tagged } from '../kit/resp.ts'
import { atEnd, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

let redis: RedisServer
let proxy: StartedProxy

beforeAll(async () => {
  redis = await startRedis({ args: ['--notify-keyspace-events', 'KEA'] })
  proxy = await startProxy({
    region: 'here',
    primary: 'here',
    regions: { here: { nodes: [redis.url] } },
    tenants: {
      shop: { users: { 'shop-app': { password: 'demo' }, 'shop-reader': { password: 'demo', access: 'read-only' } } },
      // Begins as the other does: a pattern without its colon would cross.
      shop2: { users: { 'shop2-app': { password: 'demo' } } },
      quiet: { deny: ['@pubsub'], users: { 'quiet-app': { password: 'demo' } } },
    },
    operators: { ops: { password: 'demo' } },
  })
})

const text = (reply: Decoded): string => JSON.stringify(reply instanceof Tagged ? reply.value : reply)

/** Messages until the one that says so, which is published last by the tenant itself. */
async function untilMark(client: RawClient, mark: string): Promise<string[]> {
  const seen: string[] = []
  for (;;) {
    const one = text(await client.read())
    if (one.includes(mark)) return seen
    seen.push(one)
  }
}

async function subscriber(user: string, resp: 2 | 3, ...commands: string[][]): Promise<RawClient> {
  const client = await proxy.client(user)
  await client.call('HELLO', resp)
  for (const args of commands) {
    client.send(command(...args))
    for (let i = 1; i < args.length; i++) await client.read()
  }
  return client
}

describe.each([2, 3] as const)('RESP%i', (resp) => {
  test('two tenants with the same channel hear each their own, patterns and shard channels too', async () => {
    const names = [
      ['SUBSCRIBE', 'news', 'end'],
      ['PSUBSCRIBE', '*ews', '2:*', 'shop*', '?:*'],
      ['SSUBSCRIBE', 'news'],
    ]
    const mine = await subscriber('shop-app', resp, ...names)
    const theirs = await subscriber('shop2-app', resp, ...names)
    const [a, b] = [await proxy.client('shop-app'), await proxy.client('shop2-app')]
    await a.call('PUBLISH', 'news', 'from a')
    await b.call('PUBLISH', 'news', 'from b')
    await b.call('SPUBLISH', 'news', 'from b')
    await a.call('SPUBLISH', 'news', 'from a')
    await a.call('PUBLISH', 'shop2:news', 'a as b')
    await b.call('PUBLISH', 'shop:news', 'b as a')
    await a.call('PUBLISH', 'end', 'the end')
    await b.call('PUBLISH', 'end', 'the end')
    expect(await untilMark(mine, 'the end')).toEqual([
      '["message","news","from a"]',
      '["pmessage","*ews","news","from a"]',
      '["smessage","news","from a"]',
      '["pmessage","*ews","shop2:news","a as b"]',
      '["pmessage","shop*","shop2:news","a as b"]',
    ])
    expect(await untilMark(theirs, 'the end')).toEqual([
      '["message","news","from b"]',
      '["pmessage","*ews","news","from b"]',
      '["smessage","news","from b"]',
      '["pmessage","*ews","shop:news","b as a"]',
      '["pmessage","shop*","shop:news","b as a"]',
    ])
    for (const client of [mine, theirs, a, b]) client.close()
  })

  test('events of keys are told to their tenant in its own names, by channel and by pattern, once each', async () => {
    const exact = await subscriber('shop-app', resp, [
      'SUBSCRIBE',
      '__keyspace@0__:k',
      '__keyevent@0__:del',
      '__keyevent@0__:expired',
      'end',
    ])
    const patterns = await subscriber('shop-app', resp, [
      'PSUBSCRIBE',
      '__keyspace@0__:k*',
      '__keyevent@*__:expired',
      'end',
    ])
    const all = await subscriber('shop-app', resp, ['PSUBSCRIBE', '*'])
    const theirs = await subscriber(
      'shop2-app',
      resp,
      ['PSUBSCRIBE', '*'],
      ['SUBSCRIBE', '__keyevent@0__:del', '__keyspace@0__:k'],
    )
    const [a, b] = [await proxy.client('shop-app'), await proxy.client('shop2-app')]
    await a.call('SET', 'k', '1')
    await b.call('SET', 'k', '2')
    await a.call('DEL', 'k')
    await a.call('SET', 'kk', '1', 'PX', '1')
    await waitFor(async () => (await redis.call('EXISTS', 'shop:kk')) === 0)
    await redis.call('SET', 'nobody:k', '1')
    await a.call('PUBLISH', '__keyevent@0__:del', 'forged')
    await new Promise((resolve) => setTimeout(resolve, 300)) // the expiry is told by the server's own cycle
    await a.call('PUBLISH', 'end', 'the end')
    await b.call('PUBLISH', 'end', 'the end')

    expect(await untilMark(exact, 'the end')).toEqual([
      '["message","__keyspace@0__:k","set"]',
      '["message","__keyspace@0__:k","del"]',
      '["message","__keyevent@0__:del","k"]',
      ...['["message","__keyevent@0__:expired","kk"]', '["message","__keyevent@0__:del","forged"]'],
    ])
    const seen = await untilMark(patterns, 'the end')
    expect(seen.sort()).toEqual(
      [
        '["pmessage","__keyspace@0__:k*","__keyspace@0__:k","set"]',
        '["pmessage","__keyspace@0__:k*","__keyspace@0__:k","del"]',
        '["pmessage","__keyspace@0__:k*","__keyspace@0__:kk","set"]',
        '["pmessage","__keyspace@0__:k*","__keyspace@0__:kk","expire"]',
        '["pmessage","__keyspace@0__:k*","__keyspace@0__:kk","expired"]',
        '["pmessage","__keyevent@*__:expired","__keyevent@0__:expired","kk"]',
      ].sort(),
    )
    const everything = await untilMark(all, 'the end')
    expect(everything.sort()).toEqual(
      [
        ...['set', 'del'].map((event) => `["pmessage","*","__keyspace@0__:k","${event}"]`),
        ...['set', 'expire', 'expired'].map((event) => `["pmessage","*","__keyspace@0__:kk","${event}"]`),
        ...['set', 'del'].map((event) => `["pmessage","*","__keyevent@0__:${event}","k"]`),
        ...['set', 'expire', 'expired'].map((event) => `["pmessage","*","__keyevent@0__:${event}","kk"]`),
        '["pmessage","*","__keyevent@0__:del","forged"]',
      ].sort(),
    )
    expect((await untilMark(theirs, 'the end')).sort()).toEqual(
      [
        '["message","__keyspace@0__:k","set"]',
        '["pmessage","*","__keyspace@0__:k","set"]',
        '["pmessage","*","__keyevent@0__:set","k"]',
      ].sort(),
    )
    for (const client of [exact, patterns, all, theirs, a, b]) client.close()
  })
})

test('nobody learns of the channels of others, nor of how many listen', async () => {
  const theirs = await subscriber(
    'shop2-app',
    2,
    ['SUBSCRIBE', 'secret'],
    ['PSUBSCRIBE', '*'],
    ['SSUBSCRIBE', 'secret'],
  )
  const a = await proxy.client('shop-app')
  expect(await a.call('PUBSUB', 'CHANNELS')).toEqual([])
  expect(await a.call('PUBSUB', 'CHANNELS', '*')).toEqual([])
  expect(await a.call('PUBSUB', 'SHARDCHANNELS')).toEqual([])
  expect(await a.call('PUBSUB', 'NUMPAT')).toBe(0)
  expect(await a.call('PUBSUB', 'NUMSUB', 'secret', '2:secret', 'shop2:secret')).toEqual([
    'secret',
    0,
    '2:secret',
    0,
    'shop2:secret',
    0,
  ])
  expect(await a.call('PUBLISH', 'secret', 'x')).toBe(0)
  theirs.close()
})

test('AUTH as another tenant and RESET end subscriptions, and nothing that was on its way arrives', async () => {
  const client = await subscriber('shop-app', 3, ['SUBSCRIBE', 'a', 'b'], ['PSUBSCRIBE', '*'])
  const a = await proxy.client('shop-app')
  client.send(command('AUTH', 'shop2-app', 'demo'))
  expect(await client.read()).toBe('OK')
  expect(await a.call('PUBLISH', 'a', 'x')).toBe(0)
  expect(await client.call('PUBSUB', 'NUMPAT')).toBe(0)
  expect(await client.call('CLIENT', 'INFO')).toMatchObject({ value: expect.stringContaining('sub=0 psub=0') })
  expect(await client.call('UNSUBSCRIBE')).toMatchObject({ value: ['unsubscribe', null, 0] })
  await client.call('SUBSCRIBE', 'a')
  // The same tenant under another name keeps what it has.
  expect(await client.call('AUTH', 'shop2-app', 'demo')).toBe('OK')
  const both = [await client.call('PUBLISH', 'a', 'own'), await client.read()]
  expect(both.filter((reply) => reply === 1)).toHaveLength(1)
  expect(both.map(text)).toContain('["message","a","own"]')
  expect(await client.call('RESET')).toBe('RESET')
  const b = await proxy.client('shop2-app')
  expect(await b.call('PUBLISH', 'a', 'x')).toBe(0)
  expect(client.unread).toBe('')
})

test('a user without writes subscribes and does not publish; a deny list and operators do neither', async () => {
  const reader = await proxy.client('shop-reader')
  expect(await reader.callRaw('PUBLISH', 'a', 'x')).toMatch(/^-NOPERM .*'publish' command/)
  expect(await reader.call('SUBSCRIBE', 'a')).toEqual(['subscribe', 'a', 1])
  for (const user of ['quiet-app', 'ops']) {
    const client = await proxy.client(user)
    for (const name of ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE', 'UNSUBSCRIBE'])
      expect(await client.callRaw(name, 'a')).toBe(
        `-NOPERM this user has no permissions to run the '${name.toLowerCase()}' command\r\n`,
      )
    expect(await client.callRaw('PUBSUB', 'CHANNELS')).toMatch(/^-NOPERM .*'pubsub\|channels' command/)
    expect(await client.callRaw('PUBLISH', 'a', 'x')).toMatch(/^-NOPERM/)
  }
  reader.close()
})

test('the channel of invalidations belongs to nobody else: it can be subscribed to, and not published on', async () => {
  const client = await subscriber('shop-app', 2, ['SUBSCRIBE', '__redis__:invalidate', 'end'])
  const a = await proxy.client('shop-app')
  expect(await a.call('PUBLISH', '__redis__:invalidate', 'x')).toBe(0)
  await redis.call('PUBLISH', '__redis__:invalidate', 'x')
  await a.call('PUBLISH', 'end', 'the end')
  expect(await untilMark(client, 'the end')).toEqual([])
  client.close()
})

test('names that are too long are refused, and the client goes on', async () => {
  const client = await proxy.client('shop-app')
  expect(await client.callRaw('SUBSCRIBE', 'a', 'x'.repeat(8193))).toBe('-ERR channel name or pattern too long\r\n')
  expect(await client.callRaw('PSUBSCRIBE', 'x'.repeat(1025))).toBe('-ERR channel name or pattern too long\r\n')
  expect(await client.call('GET', 'x')).toBeNull()
  expect(await client.call('SUBSCRIBE', 'x'.repeat(8192))).toEqual(['subscribe', 'x'.repeat(8192), 1])
  client.close()
})

test('the server holds one subscription for any number of clients, and none when they have gone', async () => {
  const clients = await Promise.all(
    Array.from({ length: 20 }, () =>
      subscriber('shop-app', 2, ['SUBSCRIBE', 'many', 'more'], ['PSUBSCRIBE', 'a*', 'b*']),
    ),
  )
  expect(await redis.call('PUBSUB', 'NUMSUB', 'shop:many')).toEqual(['shop:many', 1])
  const a = await proxy.client('shop-app')
  expect(await a.call('PUBLISH', 'many', 'x')).toBe(20)
  for (const client of clients) {
    expect(await client.read()).toEqual(['message', 'many', 'x'])
    client.reset()
  }
  await waitFor(async () => ((await a.call('PUBSUB', 'NUMSUB', 'many')) as Decoded[])[1] === 0)
  await waitFor(async () => ((await redis.call('PUBSUB', 'NUMSUB', 'shop:many')) as unknown[])[1] === 0)
  const metrics = await (await fetch(`http://127.0.0.1:${proxy.adminPort}/metrics`)).text()
  expect(metrics).toContain('regis_pubsub_subscriptions{kind="channel"} 0')
  expect(metrics).toContain('regis_foreign_prefix_total 0')
})

test('ten thousand messages come in order and whole, between replies of a client that reads large values', async () => {
  const client = await subscriber('shop-app', 3, ['SUBSCRIBE', 'flood'])
  const a = await proxy.client('shop-app')
  await a.call('SET', 'large', 'v'.repeat(3_000_000))
  await a.call('SET', 'small', 'v')
  const total = 10_000
  let asked = 0
  const publish = async () => {
    for (let i = 0; i < total; i += 100) {
      a.send(Buffer.concat(Array.from({ length: 100 }, (_, k) => command('PUBLISH', 'flood', `m${i + k}`))))
      for (let k = 0; k < 100; k++) await a.read()
      if (i % 1000 === 0) {
        client.send(Buffer.concat([command('GET', 'large'), command('GET', 'small'), command('PING')]))
        asked += 3
      }
    }
  }
  const publishing = publish()
  let next = 0
  const replies: Decoded[] = []
  while (next < total || replies.length < asked) {
    const one = await client.read()
    if (one instanceof Tagged) expect(one.value).toEqual(['message', 'flood', `m${next++}`])
    else replies.push(one)
  }
  await publishing
  expect(replies).toHaveLength(30)
  expect(replies.every((reply, i) => reply === ['v'.repeat(3_000_000), 'v', 'PONG'][i % 3])).toBe(true)
  client.close()
})

test('ioredis and node-redis subscribe and publish as with a server of their own', async () => {
  const options = { port: proxy.port, username: 'shop-app', password: 'demo' }
  const [sub, pub] = [new Redis(options), new Redis(options)]
  atEnd(() => [sub.disconnect(), pub.disconnect()])
  const heard: unknown[] = []
  sub.on('message', (...args: unknown[]) => heard.push(['message', ...args]))
  sub.on('pmessage', (...args: unknown[]) => heard.push(['pmessage', ...args]))
  sub.on('smessage', (...args: unknown[]) => heard.push(['smessage', ...args]))
  expect(await sub.subscribe('news', 'more')).toBe(2)
  expect(await sub.psubscribe('n*')).toBe(3)
  expect(await sub.ssubscribe('news')).toBe(1)
  expect(await pub.publish('news', 'hello')).toBe(2)
  await pub.spublish('news', 'shard')
  await waitFor(() => heard.length === 3)
  expect(heard).toEqual([
    ['message', 'news', 'hello'],
    ['pmessage', 'n*', 'news', 'hello'],
    ['smessage', 'news', 'shard'],
  ])
  // Without names ioredis waits for ever, also on a Redis alone.
  expect(await sub.unsubscribe('news', 'more')).toBe(1)
  expect(await sub.punsubscribe('n*')).toBe(0)

  const url = `redis://shop-app:demo@127.0.0.1:${proxy.port}`
  for (const RESP of [2, 3] as const) {
    const client = createClient({ url, RESP })
    await client.connect()
    atEnd(() => client.destroy())
    const got: string[] = []
    await client.subscribe('a', (message, channel) => got.push(`${channel} ${message}`))
    await client.pSubscribe('a*', (message, channel) => got.push(`a* ${channel} ${message}`))
    await client.sSubscribe('a', (message, channel) => got.push(`shard ${channel} ${message}`))
    await pub.publish('a', '1')
    await pub.publish('ab', '2')
    await pub.spublish('a', '3')
    await waitFor(() => got.length === 4)
    expect(got).toEqual(['a 1', 'a* a 1', 'a* ab 2', 'shard a 3'])
    await client.unsubscribe()
    await client.pUnsubscribe()
    await client.sUnsubscribe()
    if (RESP === 3) expect(await client.get('none')).toBeNull()
  }
})

test('PUBLISH in a transaction is answered with the own receivers in its place', async () => {
  const listener = await subscriber('shop-app', 2, ['SUBSCRIBE', 'n'])
  const a = await proxy.client('shop-app')
  for (const args of [['MULTI'], ['SET', 'k', '1'], ['PUBLISH', 'n', 'x'], ['PUBLISH', 'm', 'y'], ['GET', 'k']])
    await a.call(...args)
  expect(await a.call('EXEC')).toEqual(['OK', 1, 0, '1'])
  expect(await listener.read()).toEqual(['message', 'n', 'x'])
  listener.close()
})

test('a RESP2 client hears of invalidations on their channel', async () => {
  const listener = await proxy.client('shop-app')
  const id = await listener.call('CLIENT', 'ID')
  await listener.call('SUBSCRIBE', '__redis__:invalidate')
  const [reader, writer] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
  expect(await reader.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id))).toBe('OK')
  await reader.call('GET', 'tracked')
  await writer.call('SET', 'tracked', '1')
  expect(await listener.read()).toEqual(['message', '__redis__:invalidate', ['tracked']])
  listener.close()
})
