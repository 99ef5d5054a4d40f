/** node-redis 6 (@redis/client) as it comes from the registry, straight to Redis and through Regis. */
import { createClient, type RedisClientOptions } from '@redis/client'
import { ProxyProcess } from '../../src/demo/proxy-process.ts'
import { atEnd } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { bothWays, type Cases, refusal, refused, settle, settleAll, wordsOf } from './library.ts'
import { password, prefix, type Stage, startStage, user } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

type Options = Omit<RedisClientOptions, 'RESP'> & { RESP?: 2 | 3 }
/** The library's types depend on its options in more ways than the cases care for. */
type Client = ReturnType<typeof createClient>

function create(port: number, options: Options = {}): Client {
  const client = createClient({
    username: user,
    password,
    ...options,
    socket: { host: '127.0.0.1', port, reconnectStrategy: false, ...options.socket },
  } as RedisClientOptions) as Client
  client.on('error', () => {})
  atEnd(() => (client.isOpen ? client.destroy() : undefined))
  return client
}

async function connect(port: number, options: Options = {}): Promise<Client> {
  const client = create(port, options)
  await client.connect()
  return client
}
const close = (client: Client) => client.close()

const variants: Readonly<Record<string, Options>> = {
  'as it comes': {},
  'RESP 2': { RESP: 2 },
  'RESP 3': { RESP: 3 },
  'a name': { name: 'first-day', RESP: 3 },
  'a name, RESP 2': { name: 'first-day', RESP: 2 },
  'maintenance notifications off': { maintNotifications: 'disabled' },
  'a key prefix of its own': { keyPrefix: 'app:' },
}

const cases: Cases<Client> = {
  strings: async (client) => [
    await client.set('k', 'v', { expiration: { type: 'EX', value: 100 }, condition: 'NX' }),
    await client.set('k', 'v', { condition: 'NX' }),
    await client.get('k'),
    await client.get('none'),
    await client.mSet({ a: '1', b: 'ü' }),
    await client.mGet(['a', 'b', 'none']),
    await client.incrBy('a', 41),
    await client.incrByFloat('a', 0.5),
    await client.exists(['a', 'b', 'none']),
    await client.del(['a', 'b', 'none']),
    await client.getEx('k', { type: 'PERSIST' }),
    await client.ttl('k'),
  ],
  'hashes, lists, sets': async (client) => [
    await client.hSet('h', { a: '1', b: 'two', c: '' }),
    await client.hGetAll('h'),
    await client.hGetAll('none'),
    await client.hmGet('h', ['a', 'none']),
    await client.hScan('h', '0'),
    await client.rPush('l', ['1', '2', '3']),
    await client.lmPop(['none', 'l'], 'LEFT', { COUNT: 2 }),
    await client.lmPop('none', 'LEFT'),
    await client.lRange('l', 0, -1),
    await client.sAdd('s', ['x', 'y']),
    await client.sIsMember('s', 'x'),
    await client.smIsMember('s', ['x', 'z']),
    (await client.sMembers('s')).sort(),
  ],
  'sorted sets': async (client) => [
    await client.zAdd('z', [
      { score: 1, value: 'one' },
      { score: 2.5, value: 'two' },
    ]),
    await client.zRangeWithScores('z', 0, -1),
    await client.zScore('z', 'two'),
    await client.zmScore('z', ['one', 'none']),
    await client.zIncrBy('z', 0.1, 'one'),
    await client.zmPop('z', 'MIN'),
    await client.zPopMax('z'),
    await client.zRank('z', 'none'),
  ],
  streams: async (client) => [
    await client.xAdd('s', '1-1', { f: 'v' }),
    await client.xRead([
      { key: 's', id: '0' },
      { key: 'none', id: '0' },
    ]),
    await client.xRead({ key: 's', id: '$' }),
    await client.xGroupCreate('s', 'g', '0'),
    await client.xReadGroup('g', 'c', { key: 's', id: '>' }),
    await client.xPending('s', 'g'),
    await client.xAck('s', 'g', '1-1'),
    await client.xInfoGroups('s'),
    await client.xInfoStream('s'),
    await settle(client.xReadGroup('none', 'c', { key: 's', id: '>' })),
  ],
  'geo, bits, HyperLogLog, sort, copies': async (client) => [
    await client.geoAdd('g', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }),
    await client.geoPos('g', ['Palermo', 'none']),
    await client.geoSearch('g', { longitude: 13, latitude: 38 }, { radius: 200, unit: 'km' }),
    await client.setBit('b', 7, 1),
    await client.bitCount('b'),
    await client.pfAdd('h', ['1', '2']),
    await client.pfCount('h'),
    await client.mSet({ w_1: '2', w_2: '1' }),
    await client.rPush('l', ['1', '2']),
    // Under a key prefix of its own the library prefixes the key, yet not the patterns: the same on both sides.
    await client.sort('l', { BY: 'w_*', GET: ['#', 'w_*'] }),
    await client.copy('l', 'm'),
    await client.objectEncoding('l'),
    await client.type('m'),
  ],
  errors: async (client) => {
    await client.set('k', 'v')
    return settleAll([
      client.incr('k'),
      client.lPush('k', 'x'),
      client.sendCommand(['NOPE', 'a']),
      client.sendCommand(['GET']),
      client.sendCommand(['SET', 'k', 'v', 'NOPE']),
      client.sendCommand(['CLIENT', 'MAINT_NOTIFICATIONS', 'ON']),
      client.sendCommand(['CLIENT', 'NOPE']),
      client.xGroupCreate('none', 'g', '0'),
      client.rename('none', 'x'),
      client.sendCommand(['SELECT', '77']),
      client.get('k'),
    ])
  },
  '500 calls at once, reads and writes and errors mixed': async (client) => {
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < 100; i++) {
      calls.push(client.set(`k${i}`, `v${i}`), client.get(`k${i}`), client.incr('n'))
      calls.push(client.lPush(`k${i}`, 'x'), client.hSet('h', `f${i}`, i))
    }
    return [await settleAll(calls), await client.hLen('h'), await client.get('n')]
  },
  'a value of a megabyte between small ones': async (client) => {
    const value = 'r'.repeat(1024 * 1024)
    const replies = await Promise.all([
      client.get('none'),
      client.set('big', value),
      client.get('big'),
      client.strLen('big'),
      client.append('big', value),
      client.set('small', '1'),
    ])
    return replies.map((reply) => (typeof reply === 'string' ? reply.length : reply))
  },
  'iterators over HSCAN, SSCAN and ZSCAN': async (client) => {
    const values = Array.from({ length: 600 }, (_, i) => `v${i}`)
    await client.hSet('h', Object.fromEntries(values.map((value, i) => [`f${i}`, value])))
    await client.sAdd('s', values)
    await client.zAdd(
      'z',
      values.map((value, score) => ({ value, score })),
    )
    const seen: unknown[] = []
    for await (const page of client.hScanIterator('h')) seen.push(...page.map((entry) => JSON.stringify(entry)))
    for await (const page of client.sScanIterator('s')) seen.push(...page)
    for await (const page of client.zScanIterator('z')) seen.push(...page.map((entry) => JSON.stringify(entry)))
    return seen.sort()
  },
  'the connection': async (client) => [
    await client.ping(),
    await client.echo('x'),
    await client.clientGetName(),
    await client.sendCommand(['CLIENT', 'SETNAME', 'again']),
    await client.clientGetName(),
    await client.sendCommand(['SELECT', '0']),
    await client.commandGetKeys(['MSET', 'a', '1', 'b', '2']),
    typeof (await client.clientId()),
    await client.role(),
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

test('bytes of every kind, with a type mapping to Buffers', async () => {
  const bytes = Buffer.from('\0\r\n\xff$5\r\n', 'latin1')
  const run = async (client: Client) => {
    const binary = client.withTypeMapping({ [36]: Buffer }) // RESP_TYPES.BLOB_STRING
    await client.set(bytes, bytes)
    await client.hSet('h', bytes, bytes)
    return [
      await binary.get(bytes),
      await binary.hGet('h', bytes),
      await client.rename(bytes, 'x'),
      await binary.get('x'),
    ]
  }
  const { straight, through } = await bothWays(stage, (port) => connect(port), close, run)
  expect(through).toEqual(straight)
  expect((through as unknown[])[0]).toEqual(bytes)
})

describe('connecting', () => {
  const lifeOf = async (port: number, options: Options): Promise<unknown[]> => {
    const client = create(port, options)
    const seen: unknown[] = []
    for (const name of ['connect', 'ready', 'end', 'error', 'reconnecting']) {
      client.on(name, (error?: unknown) => seen.push([name, wordsOf(error)]))
    }
    seen.push(typeof (await settle(client.connect())) === 'string' ? 'failed' : 'connected')
    seen.push(client.isReady, await settle(client.get('k')))
    if (client.isOpen) await client.close()
    return seen
  }
  test.each([
    ['RESP 3', { RESP: 3 }],
    ['RESP 2', { RESP: 2 }],
    ['a name', { name: 'first-day' }],
    ['database 0', { database: 0 }],
    ['a database that is not there', { database: 9 }],
    ['a wrong password', { password: 'wrong' }],
    ['a wrong password, RESP 2', { password: 'wrong', RESP: 2 }],
    ['a wrong user', { username: 'nobody' }],
    ['maintenance notifications demanded', { RESP: 3, maintNotifications: 'enabled' }],
  ] as const)('%s: the same events and the same errors', async (_, options) => {
    expect(await lifeOf(stage.proxy.port, options)).toEqual(await lifeOf(stage.redis.port, options))
  })

  test('READONLY is refused by a Redis without cluster; here it is a promise, and the client is ready', async () => {
    expect(String(await lifeOf(stage.redis.port, { readonly: true }))).toContain('cluster support disabled')
    expect(await lifeOf(stage.proxy.port, { readonly: true })).toEqual(await lifeOf(stage.proxy.port, {}))
  })

  test('a URL with user and password', async () => {
    const of = async (port: number) => {
      const client = createClient({ url: `redis://${user}:${password}@127.0.0.1:${port}/0` })
      atEnd(() => (client.isOpen ? client.destroy() : undefined))
      await client.connect()
      return [await client.set('url', '1'), await client.get('url')]
    }
    expect(await of(stage.proxy.port)).toEqual(await of(stage.redis.port))
  })

  test('its name and version arrive, although a server of 7.0 itself refuses SETINFO', async () => {
    const client = await connect(stage.proxy.port, { name: 'first-day', RESP: 3 })
    const text = await client.sendCommand(['CLIENT', 'INFO'])
    expect(text).toMatch(/ name=first-day .* resp=3 lib-name=node-redis lib-ver=6\./)
    expect(await client.info('replication')).toMatch(/^role:master\r?$/m)
  })
})

test.each([
  ['RESP 3', { RESP: 3 }],
  ['RESP 2', { RESP: 2 }],
] as const)('what is refused today is refused in Redis’s words, and the connection goes on: %s', async (_, options) => {
  const client = await connect(stage.proxy.port, options)
  const id = await client.clientId()
  for (const [argv, name] of refused) {
    expect(await settle(client.sendCommand(argv))).toBe(`SimpleError: ${refusal(name)}`)
    expect(await client.echo(name)).toBe(name)
  }
  expect(await client.clientId()).toBe(id)
})

test('its own ways to scripts reject where a tenant has none, and the connection goes on', async () => {
  const client = await connect(stage.proxy.port)
  expect(await settle(client.eval('return 1'))).toMatch(/NOPERM/)
  expect(await settle(client.fCall('f', { keys: [] }))).toMatch(/NOPERM/)
  expect(await settle(client.multi().set('k', '1').eval('return 1').exec())).toMatch(/EXECABORT|NOPERM/)
  expect(await client.exists('k')).toBe(0)
  expect(await client.ping()).toBe('PONG')
})

test('a pipeline without a transaction gives what Redis gives', async () => {
  const run = (client: Client) => client.multi().set('k', '1').incr('k').get('k').hGetAll('none').execAsPipeline()
  const { straight, through } = await bothWays(stage, (port) => connect(port), close, run)
  expect(through).toEqual(straight)
  expect(through).toHaveLength(4)
})

test('when the proxy drains and comes back, the client logs in again by itself', async () => {
  const own = await startStage()
  const { file, port, adminPort, proxy } = own.proxy
  const client = await connect(port, {
    RESP: 3,
    name: 'first-day',
    socket: { reconnectStrategy: 50 },
  } as RedisClientOptions)
  const calls = Array.from({ length: 500 }, () => client.incr('n'))
  await calls[0]
  proxy.signal('SIGTERM')
  const replies = await settleAll(calls)
  expect(await proxy.exited()).toBe(0)
  // What was answered was done once; what was not answered is an error, never a value.
  const answered = replies.filter((reply) => typeof reply === 'number')
  expect(answered).toEqual(Array.from(answered, (_, i) => i + 1))
  const again = await ProxyProcess.start({ file, port, adminPort })
  atEnd(() => again.stop())
  await waitFor(() => client.isReady)
  expect(await client.clientGetName()).toBe('first-day')
  expect(Number(await client.get('n'))).toBeGreaterThanOrEqual(answered.length)
})
