/** ioredis 6 as it comes from the registry, straight to Redis and through Regis: the same values, the same errors. */
import { once } from 'node:events'
import { Redis, type RedisOptions } from 'ioredis'
import { ProxyProcess } from '../../src/demo/proxy-process.ts'
import { atEnd } from '../kit/servers.ts'
import { bothWays, type Cases, refusal, refused, settle, settleAll, wordsOf } from './library.ts'
import { password, prefix, type Stage, startStage, user } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

/** The library types its replies by `replyMapping`; the cases here look at values only. */
function create(options: RedisOptions): Redis {
  const client = new Redis({ host: '127.0.0.1', ...options } as RedisOptions & { replyMapping: 'legacy' })
  // A second disconnect() would wait two seconds for a socket that is gone.
  atEnd(() => (client.status === 'end' ? undefined : client.disconnect()))
  client.on('error', () => {})
  return client
}

/** A client that is ready. Nothing is retried for ever: a case that fails must end. */
async function connect(port: number, options: RedisOptions = {}): Promise<Redis> {
  const client = create({ port, username: user, password, maxRetriesPerRequest: 3, ...options })
  await once(client, 'ready')
  return client
}
const close = (client: Redis) => client.disconnect()
const bytes = Buffer.from('\0\r\n\xff$5\r\n', 'latin1')

const variants: Readonly<Record<string, RedisOptions>> = {
  'as it comes (RESP3)': {},
  'protocol 2': { protocol: 2 },
  'replies as RESP3 has them': { replyMapping: 'resp3' },
  'a key prefix of its own': { keyPrefix: 'app:' },
  'a key prefix of its own, protocol 2': { keyPrefix: 'app:', protocol: 2 },
  autopipelining: { enableAutoPipelining: true },
  'autopipelining, protocol 2': { enableAutoPipelining: true, protocol: 2 },
  'numbers as strings': { stringNumbers: true },
}

const cases: Cases<Redis> = {
  strings: async (client) => [
    await client.set('k', 'v', 'EX', 100, 'NX'),
    await client.set('k', 'v', 'NX'),
    await client.get('k'),
    await client.getBuffer('k'),
    await client.mset({ a: 1, b: 'ü' }),
    await client.mget('a', 'b', 'none'),
    await client.incrby('a', 41),
    await client.incrbyfloat('a', 0.5),
    await client.exists('a', 'b', 'none'),
    await client.del('a', 'b', 'none'),
  ],
  'bytes of every kind': async (client) => [
    await client.set(bytes, bytes),
    await client.getBuffer(bytes),
    await client.hset('h', new Map([[bytes.toString('hex'), bytes]])),
    await client.hgetallBuffer('h'),
    await client.rename(bytes, 'plain'),
    await client.getBuffer('plain'),
  ],
  hashes: async (client) => [
    await client.hset('h', { a: 1, b: 'two', c: '' }),
    await client.hgetall('h'),
    await client.hgetall('none'),
    await client.hmget('h', 'a', 'none'),
    await client.hincrbyfloat('h', 'a', 1.5),
    await client.hscan('h', 0, 'COUNT', 10),
    await client.hrandfield('h', 3),
  ],
  'lists and sets': async (client) => [
    await client.rpush('l', 1, 2, 3),
    await client.lmpop(2, 'none', 'l', 'LEFT', 'COUNT', 2),
    await client.lmpop(1, 'none', 'LEFT'),
    await client.lrange('l', 0, '-1'),
    await client.sadd('s', 'x', 'y'),
    await client.smismember('s', ['x', 'z']),
    await client.sunionstore('d', 's', 'none'),
    (await client.smembers('d')).sort(),
  ],
  'sorted sets': async (client) => [
    await client.zadd('z', 1, 'one', 2.5, 'two'),
    await client.zadd('z', 'INCR', 1, 'one'),
    await client.zrange('z', 0, '-1', 'WITHSCORES'),
    await client.zscore('z', 'two'),
    await client.zmscore('z', 'one', 'none'),
    await client.zmpop(1, 'z', 'MIN'),
    await client.zpopmax('z'),
  ],
  streams: async (client) => [
    await client.xadd('s', '1-1', 'f', 'v'),
    await client.xread('COUNT', 2, 'STREAMS', 's', 'none', 0, 0),
    await client.xread('STREAMS', 's', '$'),
    await client.xgroup('CREATE', 's', 'g', '0'),
    await client.xreadgroup('GROUP', 'g', 'c', 'STREAMS', 's', '>'),
    await client.xpending('s', 'g'),
    await client.xack('s', 'g', '1-1'),
    await client.xinfo('GROUPS', 's'),
    await client.xinfo('STREAM', 's'),
    await settle(client.xreadgroup('GROUP', 'none', 'c', 'STREAMS', 's', '>')),
  ],
  'geo, bits, HyperLogLog, sort': async (client) => [
    await client.geoadd('g', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'),
    await client.geodist('g', 'Palermo', 'Catania'),
    await client.geopos('g', 'Palermo', 'none'),
    await client.setbit('b', 7, 1),
    await client.bitcount('b'),
    await client.pfadd('h', 1, 2),
    await client.pfcount('h'),
    await client.mset('w_1', 2, 'w_2', 1),
    await client.rpush('l', 1, 2),
    await client.sort('l', 'BY', 'w_*', 'GET', '#', 'GET', 'w_*'),
  ],
  errors: async (client) => {
    await client.set('k', 'v')
    return settleAll([
      client.incr('k'),
      client.lpush('k', 'x'),
      client.call('NOPE', 'a'),
      client.call('GET'),
      client.call('SET', 'k', 'v', 'NOPE'),
      client.xgroup('CREATE', 'none', 'g', '0'),
      client.rename('none', 'x'),
      client.call('OBJECT', 'NOPE', 'k'),
      client.select(77),
      client.get('k'),
    ])
  },
  'a pipeline of 500, reads and writes and errors mixed': async (client) => {
    const pipeline = client.pipeline()
    for (let i = 0; i < 100; i++) {
      pipeline.set(`k${i}`, `v${i}`).get(`k${i}`).incr('n').lpush(`k${i}`, 'x').hset('h', `f${i}`, i)
    }
    const replies = await pipeline.exec()
    return [replies?.map(([error, value]) => [wordsOf(error), value]), await client.hlen('h'), await client.get('n')]
  },
  '500 calls at once, in order': async (client) => {
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < 250; i++) calls.push(client.append('k', String(i % 10)), client.strlen('k'))
    return settleAll(calls)
  },
  'a value of a megabyte, alone and in a pipeline': async (client) => {
    const value = Buffer.alloc(1024 * 1024, 'r')
    await client.set('big', value)
    const read = await client.getBuffer('big')
    const replies = await client.pipeline().get('none').getBuffer('big').strlen('big').append('big', value).exec()
    return [read?.equals(value), replies?.map(([, reply]) => (Buffer.isBuffer(reply) ? reply.length : reply))]
  },
  'streams over HSCAN, SSCAN and ZSCAN': async (client) => {
    const fields = Array.from({ length: 600 }, (_, i) => [`f${i}`, `v${i}`])
    await client.hset('h', Object.fromEntries(fields))
    await client.sadd('s', fields.flat())
    await client.zadd('z', ...fields.flatMap(([, v], i) => [i, v!]))
    const seen: unknown[] = []
    for (const stream of [
      client.hscanStream('h'),
      client.sscanStream('s'),
      client.zscanStream('z', { match: 'v1*' }),
    ]) {
      for await (const page of stream) seen.push(page)
    }
    return seen.flat().map(String).sort()
  },
  'the connection': async (client) => [
    await client.ping(),
    await client.ping('hello'),
    await client.echo('x'),
    await client.client('SETNAME', 'again'),
    await client.client('GETNAME'),
    await client.select(0),
    await client.call('COMMAND', 'GETKEYS', 'MSET', 'a', '1', 'b', '2'),
    typeof (await client.client('ID')),
    await client.role(),
    await client.quit(),
  ],
}

describe.each(Object.keys(variants))('%s', (variant) => {
  const options = variants[variant]!
  test.each(Object.keys(cases))('%s', async (name) => {
    const { straight, through } = await bothWays(stage, (port) => connect(port, options), close, cases[name]!)
    expect(through).toEqual(straight)
    expect(JSON.stringify(through)).not.toContain(prefix)
    expect(Array.isArray(straight)).toBe(true) // a case that threw has compared nothing
  })
})

test('its key prefix stands behind that of the tenant', async () => {
  await stage.redis.call('FLUSHALL')
  const client = await connect(stage.proxy.port, { keyPrefix: 'app:' })
  await client.mset('a', 1, 'b', 2)
  await client.sunionstore('d', 's1', 's2')
  expect(await stage.redis.call('EXISTS', 'shop:app:a', 'shop:app:b')).toBe(2)
  expect(await stage.redis.call('DBSIZE')).toBe(2)
})

describe('connecting', () => {
  const events = ['wait', 'connecting', 'connect', 'ready', 'close', 'end', 'reconnecting', 'error'] as const
  const lifeOf = async (port: number, options: RedisOptions): Promise<string[]> => {
    const client = create({ port, lazyConnect: true, retryStrategy: () => null, ...options })
    const seen: string[] = []
    for (const name of events) {
      client.on(name, (error?: Error) => seen.push(error instanceof Error ? `${name} ${error.message}` : name))
    }
    seen.push(String(await settle(client.connect())), client.status)
    seen.push(String(await settle(client.get('k'))))
    client.disconnect()
    if (client.status !== 'end') await once(client, 'end')
    return seen
  }
  test.each([
    ['RESP3', {}],
    ['protocol 2', { protocol: 2 }],
    ['a name', { connectionName: 'first-day' }],
    ['no ready check', { enableReadyCheck: false }],
    ['database 0', { db: 0 }],
    ['a wrong password', { password: 'wrong' }],
    ['a wrong password, protocol 2', { password: 'wrong', protocol: 2 }],
    ['a wrong user', { username: 'nobody' }],
    ['a database that is not there', { db: 9 }],
    ['READONLY', { readOnly: true }],
  ] as const)('%s: the same events and the same errors', async (_, options) => {
    const login = { username: user, password, ...options }
    const [straight, through] = [await lifeOf(stage.redis.port, login), await lifeOf(stage.proxy.port, login)]
    expect(through).toEqual(straight)
  })

  test('a URL with user and password', async () => {
    const of = async (port: number) => {
      const client = new Redis(`redis://${user}:${password}@127.0.0.1:${port}/0`)
      atEnd(() => client.disconnect())
      return [await client.set('url', '1'), await client.get('url')]
    }
    expect(await of(stage.proxy.port)).toEqual(await of(stage.redis.port))
  })

  test('the ready check reads a server that is not loading, and its version', async () => {
    const client = await connect(stage.proxy.port)
    const text = await client.info()
    expect(text).toMatch(/^loading:0\r?$/m)
    expect(text).toMatch(/^role:master\r?$/m)
    const version = /^redis_version:(.*)\r?$/m
    expect(version.exec(text)?.[1]).toBe(await stage.redis.info('redis_version'))
    // The library's own name arrives, although a server of 7.0 itself refuses SETINFO.
    expect(await client.client('INFO')).toMatch(/lib-name=ioredis lib-ver=6\./)
  })

  test('without a login every command is refused, and the words are Redis’s', async () => {
    const client = create({ port: stage.proxy.port, enableReadyCheck: false, protocol: 2 })
    expect(await settle(client.get('k'))).toBe('SimpleError: NOAUTH Authentication required.')
  })
})

test.each([
  ['RESP3', {}],
  ['protocol 2', { protocol: 2 }],
] as const)('what is refused today is refused in Redis’s words, and the connection goes on: %s', async (_, options) => {
  const client = await connect(stage.proxy.port, options)
  const id = await client.client('ID')
  for (const [argv, name] of refused) {
    const reply = await settle(client.call(argv[0]!, ...argv.slice(1)))
    expect(reply).toBe(`SimpleError: ${refusal(name)}`)
    expect(await client.echo(name)).toBe(name)
  }
  expect(await client.client('ID')).toBe(id)
  client.disconnect()
})

test('its own ways to scripts reject where a tenant has none, and the connection goes on', async () => {
  const client = await connect(stage.proxy.port)
  expect(await settle(client.multi().set('k', 1).eval('return 1', 0).exec())).toMatch(/EXECABORT/)
  client.defineCommand('own', { numberOfKeys: 1, lua: 'return 1' })
  expect(await settle(client.eval('return 1', 0))).toBe(`SimpleError: ${refusal('eval')}`)
  expect(await settle((client as unknown as { own(key: string): Promise<unknown> }).own('k'))).toMatch(/NOPERM/)
  expect(await client.exists('k')).toBe(0)
  expect(await client.ping()).toBe('PONG')
  client.disconnect()
})

describe('when the proxy goes away and comes back', () => {
  const restartable = async () => {
    const own = await startStage()
    const { file, port, adminPort } = own.proxy
    const again = async () => {
      const proxy = await ProxyProcess.start({ file, port, adminPort })
      atEnd(() => proxy.stop())
    }
    return { ...own, again }
  }

  test('draining loses no command and runs none twice; killed, the client is back by itself', async () => {
    const { proxy, redis, again } = await restartable()
    const client = await connect(proxy.port, { retryStrategy: () => 50, maxRetriesPerRequest: null })
    const total = 2000
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < total; i++) {
      calls.push(client.incr('n'))
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
      if (i === total / 2) proxy.proxy.signal('SIGTERM')
    }
    expect(await proxy.proxy.exited()).toBe(0)
    await again()
    const replies = await Promise.all(calls)
    expect(replies).toEqual(Array.from({ length: total }, (_, i) => i + 1))
    expect(await redis.call('GET', 'shop:n')).toBe(String(total))
    client.disconnect()
  })

  test('killed, the client reconnects, logs in and selects its protocol again', async () => {
    const { proxy, again } = await restartable()
    const client = await connect(proxy.port, { retryStrategy: () => 50, maxRetriesPerRequest: null })
    await client.set('k', 'v')
    proxy.proxy.signal('SIGKILL')
    await once(client, 'close')
    const later = client.get('k')
    await again()
    expect(await later).toBe('v')
    expect(await client.hgetall('none')).toEqual({})
    expect(await client.client('INFO')).toMatch(/ resp=3 /)
    client.disconnect()
  })
})
