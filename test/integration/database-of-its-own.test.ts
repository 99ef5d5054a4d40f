/**
 * `isolation: { database: n }`: keys without a prefix, in a database of the servers that is one tenant's alone. What runs in
 * which database is read from the server's own MONITOR; attacks go in both directions between such tenants and others.
 */
import { connect } from 'node:net'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { randomOf } from './argv-generator.ts'

const config = (nodes: Record<string, string>, region = 'eu') => ({
  region,
  primary: 'eu',
  regions: Object.fromEntries(Object.entries(nodes).map(([name, url]) => [name, { nodes: [url] }])),
  tenants: {
    legacy: { isolation: { database: 3 }, users: { 'legacy-app': { password: 'demo' } } },
    older: { isolation: { database: 5 }, users: { 'older-app': { password: 'demo' } } },
    shop: { users: { 'shop-app': { password: 'demo' } } },
    many: { databases: 6, users: { 'many-app': { password: 'demo' } } },
  },
})

let server: RedisServer
let proxy: StartedProxy

beforeAll(async () => {
  server = await startRedis({ args: ['--databases', '8'] })
  proxy = await startProxy(config({ eu: `redis://127.0.0.1:${server.port}` }), { env: { REGIS_PARANOID: '1' } })
})

/** On the server itself, past Regis. */
async function at(database: number, ...args: readonly string[]): Promise<unknown> {
  const client = await rawClient(server.port)
  expect(await client.call('SELECT', database)).toBe('OK')
  const reply = await client.call(...args)
  client.close()
  return reply
}

async function open(user: string, version: 2 | 3 = 2): Promise<RawClient> {
  const client = await proxy.client(user)
  if (version === 3) await client.call('HELLO', '3')
  return client
}

describe.each([2, 3] as const)('RESP%i', (version) => {
  test('keys are in the database, as they are named', async () => {
    await server.call('FLUSHALL')
    const client = await open('legacy-app', version)
    expect(
      await client.pipeline([
        ['SET', 'k', 'v'],
        ['GET', 'k'],
        ['RPUSH', 'l', '1', '2'],
        ['LMPOP', '1', 'l', 'LEFT'],
      ]),
    ).toEqual(['OK', 'v', 2, ['l', ['1']]])
    const large = 'x'.repeat(200_000)
    expect(await client.call('SET', 'large', large)).toBe('OK')
    expect(await client.call('GET', 'large')).toBe(large)
    expect(
      await client.pipeline([
        ['MSET', ...Array.from({ length: 4_000 }, (_, i) => [`m${i}`, 'y'.repeat(30)]).flat()],
        ['GET', 'm3999'],
      ]),
    ).toEqual(['OK', 'y'.repeat(30)])
    expect(await at(3, 'GET', 'k')).toBe('v')
    expect(await at(3, 'DBSIZE')).toBe(4_003)
    expect(await at(0, 'DBSIZE')).toBe(0)
  })

  test('transactions, WATCH and blocking commands run there', async () => {
    await server.call('FLUSHALL')
    const [client, other] = [await open('legacy-app', version), await open('legacy-app', version)]
    expect(await client.pipeline([['MULTI'], ['SET', 'k', '1'], ['INCR', 'k'], ['EXEC']])).toEqual([
      'OK',
      'QUEUED',
      'QUEUED',
      ['OK', 2],
    ])
    expect(
      await client.pipeline([
        ['WATCH', 'k'],
        ['GET', 'k'],
      ]),
    ).toEqual(['OK', '2'])
    await at(0, 'SET', 'k', 'of another database')
    expect((await client.pipeline([['MULTI'], ['INCR', 'k'], ['EXEC']]))[2]).toEqual([3])
    await client.call('WATCH', 'k')
    await other.call('SET', 'k', '9')
    expect((await client.pipeline([['MULTI'], ['INCR', 'k'], ['EXEC']]))[2]).toBeNull()
    client.send(command('BLPOP', 'q', '0'))
    await waitFor(async () => /flags=\S*b/.test(String(await server.call('CLIENT', 'LIST'))))
    await at(0, 'RPUSH', 'q', 'of another database')
    await at(5, 'RPUSH', 'q', 'of another database')
    await other.call('RPUSH', 'q', 'mine')
    expect(await client.read()).toEqual(['q', 'mine'])
    expect(await at(3, 'GET', 'k')).toBe('9')
  })

  /** As a Redis with one database answers. */
  test.each([
    ['SELECT 0', '+OK'],
    ['SELECT 1', '-ERR DB index is out of range'],
    ['SELECT 3', '-ERR DB index is out of range'],
    ['SELECT x', '-ERR value is not an integer or out of range'],
    ['MOVE k 0', '-ERR source and destination objects are the same'],
    ['MOVE k 5', '-ERR DB index is out of range'],
    ['COPY k c DB 0 REPLACE', ':1'],
    ['COPY k c DB 5', '-ERR DB index is out of range'],
    ['COPY k k DB 0', '-ERR source and destination objects are the same'],
    ['SWAPDB 0 3', "-NOPERM this user has no permissions to run the 'swapdb' command"],
    ['CONFIG GET databases', version === 3 ? '%1' : '*2'],
  ])('%s is answered %s', async (text, expected) => {
    await at(3, 'SET', 'k', 'v')
    const client = await open('legacy-app', version)
    expect((await client.callRaw(...text.split(' '))).split('\r\n')[0]).toBe(expected)
    const [, , inside] = await client.pipeline([['MULTI'], text.split(' '), ['EXEC']])
    if (expected.startsWith('-ERR')) expect(inside).toEqual([new ErrorReply(expected.slice(1))])
  })
})

const canary = 'CANARY'
const databases = [0, 3, 5]

/** A key of each kind in every database, under each name by which an attacker could mean it. */
async function plantCanaries(): Promise<void> {
  await server.call('FLUSHALL')
  for (const database of databases) {
    const client = await rawClient(server.port)
    expect(await client.call('SELECT', database)).toBe('OK')
    for (const prefix of ['', 'shop:', 'many:0:', 'many:3:', 'legacy:', 'older:'])
      await client.pipeline([
        ['SET', `${prefix}s`, canary],
        ['RPUSH', `${prefix}l`, canary],
        ['HSET', `${prefix}h`, canary, canary],
        ['SADD', `${prefix}set`, canary],
        ['ZADD', `${prefix}z`, '1', canary],
        ['XADD', `${prefix}x`, '1-1', canary, canary],
      ])
    client.close()
  }
}

/** One text a key: its name and what is in it. */
async function dump(database: number): Promise<string[]> {
  const client = await rawClient(server.port)
  expect(await client.call('SELECT', database)).toBe('OK')
  const names = ((await client.call('KEYS', '*')) as string[]).sort()
  const dumps = await client.pipeline(names.map((name) => ['DUMP', name]))
  client.close()
  return names.map((name, i) => JSON.stringify([name, dumps[i]]))
}

/** What somebody tries who wants to get out of a database, or into one. */
function attacks(): string[][] {
  const names = ['s', 'shop:s', 'many:0:s', 'many:3:s', 'legacy:s', '3:s', '0:s', ':s']
  const numbers = ['0', '1', '3', '5', '15']
  return [
    ...numbers.flatMap((n) => [
      ['SELECT', n],
      ['SWAPDB', '0', n],
      ['SWAPDB', n, '3'],
    ]),
    ...names.flatMap((name) =>
      numbers.flatMap((n) => [
        ['MOVE', name, n],
        ['COPY', name, 'stolen', 'DB', n],
        ['COPY', name, 'stolen', 'REPLACE', 'DB', n],
        ['COPY', 'mine', name, 'DB', n, 'REPLACE'],
      ]),
    ),
    ['MIGRATE', '127.0.0.1', String(server.port), 's', '3', '1000', 'COPY'],
    ['EVAL', "redis.call('select', 0) return redis.call('get', 's')", '0'],
    ...[
      'KEYS *',
      'SCAN 0',
      'RANDOMKEY',
      'DBSIZE',
      'FLUSHDB',
      'FLUSHALL',
      'FLUSHALL ASYNC',
      'CLIENT TRACKING ON BCAST',
      'FUNCTION LIST',
      'SCRIPT FLUSH',
    ].map((text) => text.split(' ')),
  ]
}

/** Reads that show a canary wherever one is in reach. */
const looks = ['s', 'shop:s', 'many:3:s', 'legacy:s', 'stolen', '3:s'].map((name) => ['GET', name])

describe('attacks', () => {
  test.each(['legacy-app', 'older-app', 'shop-app', 'many-app'])(
    'of %s change and show nothing outside its own',
    async (user) => {
      await plantCanaries()
      const own = { 'legacy-app': 3, 'older-app': 5 }[user]
      const foreign = databases.filter((database) => database !== own && (database !== 0 || own !== undefined))
      const before = await Promise.all(foreign.map(dump))
      const strangers = async () => (await dump(0)).filter((line) => !line.startsWith(`["${user.replace('-app', ':')}`))
      const beforeShared = await strangers()
      if (own !== undefined) await at(own, 'FLUSHDB')
      else {
        const mine = (await at(0, 'KEYS', `${user.replace('-app', ':')}*`)) as string[]
        await at(0, 'DEL', ...mine, 'nothing')
      }
      for (const version of [2, 3] as const) {
        const client = await open(user, version)
        const heard: string[] = []
        const hear = async (commands: readonly (readonly string[])[]) => {
          client.send(Buffer.concat(commands.map((argv) => command(...argv))))
          for (let i = 0; i < commands.length; i++) heard.push(await client.readRaw())
        }
        await hear([['SET', 'mine', 'x']])
        for (const attack of attacks()) {
          await hear([attack, ...looks])
          await hear([['MULTI'], attack, ...looks, ['EXEC'], ['DISCARD']])
          // Inline, and with SELECT before it in the same write.
          client.send(`SELECT 3\r\n${attack.map((arg) => JSON.stringify(arg)).join(' ')}\r\nGET s\r\n`)
          for (let i = 0; i < 3; i++) heard.push(await client.readRaw())
        }
        expect(heard.filter((reply) => reply.includes(canary))).toEqual([])
      }
      expect(await Promise.all(foreign.map(dump))).toEqual(before)
      expect(await strangers()).toEqual(beforeShared)
    },
    120_000,
  )

  test('what walks over a whole server is refused there, for a prefix would not hold it back', async () => {
    const client = await open('legacy-app')
    for (const text of [
      'SCAN 0',
      'KEYS *',
      'FLUSHDB',
      'FLUSHALL',
      'DBSIZE',
      'RANDOMKEY',
      'CLIENT TRACKING ON',
      'EVAL x 0',
      'SCRIPT FLUSH',
      'FUNCTION LIST',
    ])
      expect([text, await client.callRaw(...text.split(' '))]).toEqual([text, expect.stringMatching(/^-NOPERM /)])
  })
})

test('whoever runs where: the mixed traffic of four tenants, with clients that come and go', async () => {
  await server.call('FLUSHALL')
  const random = randomOf(Number(process.env['SEED'] ?? 1))
  const lines: string[] = []
  let rest = ''
  const monitor = connect(server.port, '127.0.0.1')
  monitor.on('data', (bytes) => {
    const parts = (rest + bytes.toString('latin1')).split('\r\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
  })
  monitor.write(command('MONITOR'))
  await waitFor(() => lines[0] === '+OK')
  const users = ['legacy', 'older', 'shop', 'many'] as const
  await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const user = users[i % users.length]!
      for (let round = 0; round < 12; round++) {
        const client = await open(`${user}-app`, random() < 0.5 ? 2 : 3)
        const tag = () => `${user}-tag`
        const commands = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
          switch (Math.floor(random() * 9)) {
            case 0:
              return [['MULTI'], ['SET', tag(), tag()], ['GET', tag()], ['EXEC']]
            case 1:
              return [['WATCH', tag()], ['MULTI'], ['APPEND', tag(), 'x'], ['EXEC']]
            case 2:
              return [['BLPOP', `${tag()}-list`, '0.01']]
            case 3:
              return [['SET', `${tag()}-large`, `${tag()}${'x'.repeat(70_000)}`]]
            case 4:
              return [
                ['SELECT', String(Math.floor(random() * 6))],
                ['GET', tag()],
                ['SELECT', '0'],
              ]
            case 5:
              return [['COPY', tag(), `${tag()}-c`, 'DB', '0', 'REPLACE']]
            case 6:
              return [['MOVE', tag(), '5']]
            default:
              return [random() < 0.5 ? ['GET', tag()] : ['SET', tag(), tag()]]
          }
        }).flat()
        client.send(Buffer.concat(commands.map((argv) => command(...argv))))
        const answered = random() < 0.7 ? commands.length : Math.floor(random() * commands.length)
        for (let k = 0; k < answered; k++) await client.readRaw()
        if (random() < 0.5) client.reset()
        else client.close()
      }
    }),
  )
  await waitFor(async () => String(await server.call('INFO', 'clients')).includes('blocked_clients:0'))
  monitor.destroy()
  const ran = lines.flatMap((line) => {
    const database = /^\+\S+ \[(\d+) /.exec(line)?.[1]
    const user = /(legacy|older|shop|many)-tag/.exec(line)?.[1]
    return database === undefined || user === undefined ? [] : [`${user} in ${database}`]
  })
  expect(new Set(ran)).toEqual(new Set(['legacy in 3', 'older in 5', 'shop in 0', 'many in 0']))
  expect(ran.length).toBeGreaterThan(500)
  // And the names: only what is in the shared database has a prefix.
  for (const database of [3, 5])
    expect(((await at(database, 'KEYS', '*')) as string[]).filter((name) => name.includes(':'))).toEqual([])
  expect(((await at(0, 'KEYS', '*')) as string[]).filter((name) => !/^(shop|many:\d):/.test(name))).toEqual([])
}, 120_000)

test('connections that were lost come back in their database', async () => {
  await server.call('FLUSHALL')
  const client = await open('legacy-app')
  await client.call('SET', 'k', '1')
  for (let round = 0; round < 5; round++) {
    await server.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await waitFor(async () => !((await client.call('INCR', 'k')) instanceof ErrorReply))
  }
  expect(await at(0, 'EXISTS', 'k')).toBe(0)
  expect(Number(await at(3, 'GET', 'k'))).toBeGreaterThanOrEqual(6)
})

test('a server without that database serves all others, and the log says why', async () => {
  const small = await startRedis({ args: ['--databases', '4'] })
  const through = await startProxy(config({ eu: `redis://127.0.0.1:${small.port}` }))
  const [legacy, older, shop] = [
    await through.client('legacy-app'),
    await through.client('older-app'),
    await through.client('shop-app'),
  ]
  expect(await legacy.call('SET', 'k', '3')).toBe('OK')
  expect(await shop.call('SET', 'k', '0')).toBe('OK')
  for (const argv of [
    ['SET', 'k', '5'],
    ['GET', 'k'],
    ['BLPOP', 'l', '1'],
  ])
    expect(await older.call(...argv)).toBeInstanceOf(ErrorReply)
  expect(await older.pipeline([['MULTI'], ['SET', 'k', '5'], ['EXEC']]).then((it) => it[2])).toBeInstanceOf(ErrorReply)
  expect(await shop.call('GET', 'k')).toBe('0')
  expect(((await small.call('KEYS', '*')) as string[]).sort()).toEqual(['shop:k'])
  expect(through.proxy.log()).toContain('SELECT is refused')
})

test('reads of such a tenant come from a replica, in its database there', async () => {
  const topology = await startReplicaSet({
    regions: ['eu', 'us'],
    rttMs: { 'eu:us': 40 }, // or either may be the nearer one
    args: ['--databases', '8'],
  })
  const nodes = Object.fromEntries(topology.regions.map((to) => [to, topology.url('us', to)]))
  const through = await startProxy(config(nodes, 'us'))
  const client = await through.client('legacy-app')
  await client.call('READONLY')
  const primary = topology.primary
  const setter = await rawClient(primary.port)
  await setter.pipeline([
    ['SELECT', '3'],
    ['SET', 'k', 'mine'],
    ['SELECT', '0'],
    ['SET', 'k', 'not mine'],
  ])
  await waitFor(async () => (await client.call('GET', 'k')) === 'mine')
  const stats = async () =>
    Number(/cmdstat_get:calls=(\d+)/.exec(String(await topology.node('us').call('INFO', 'commandstats')))?.[1] ?? 0)
  const before = await stats()
  for (let i = 0; i < 20; i++) expect(await client.call('GET', 'k')).toBe('mine')
  expect((await stats()) - before).toBe(20)
})

test('channels are told apart by prefix there too: nobody hears another tenant', async () => {
  const [mine, theirs, shops] = [await open('legacy-app'), await open('older-app'), await open('shop-app')]
  for (const client of [mine, theirs, shops])
    expect(await client.call('SUBSCRIBE', 'ch')).toEqual(['subscribe', 'ch', 1])
  for (const user of ['legacy', 'older', 'shop']) {
    const client = await open(`${user}-app`)
    expect(
      await client.pipeline([
        ['PUBLISH', 'ch', user],
        ['SPUBLISH', 'ch', user],
        ['PUBLISH', 'legacy:ch', user],
        ['MULTI'],
        ['PUBLISH', 'ch', user],
        ['EXEC'],
      ]),
    ).toEqual([1, 0, 0, 'OK', 'QUEUED', [1]])
  }
  for (const [client, user] of [
    [mine, 'legacy'],
    [theirs, 'older'],
    [shops, 'shop'],
  ] as const) {
    for (let i = 0; i < 2; i++) expect(await client.read()).toEqual(['message', 'ch', user])
    expect(client.unread).toBe('')
  }
  expect(((await server.call('PUBSUB', 'CHANNELS', '*:ch')) as string[]).sort()).toEqual([
    'legacy:ch',
    'older:ch',
    'shop:ch',
  ])
})

test('INFO counts none of the keys of others, and SLOWLOG shows to each what ran in its own database', async () => {
  await plantCanaries()
  const client = await open('legacy-app')
  const shop = await open('shop-app')
  expect(String(await client.call('INFO', 'keyspace'))).not.toMatch(/db\d/)
  await server.call('SLOWLOG', 'RESET')
  await server.call('CONFIG', 'SET', 'slowlog-log-slower-than', '0')
  await client.pipeline([
    ['SET', 'k', canary],
    ['SET', 'shop:k', canary], // a name that would be the other's, were it in the other's database
  ])
  await shop.call('SET', 'mine', '1')
  await server.call('CONFIG', 'SET', 'slowlog-log-slower-than', '-1')
  await new Promise((resolve) => setTimeout(resolve, 300))
  const shown = async (of: typeof client) =>
    ((await of.call('SLOWLOG', 'GET', '-1')) as unknown[][]).map((entry) => entry[3])
  expect(await shown(client)).toEqual([
    ['SET', 'shop:k', canary],
    ['SET', 'k', canary],
  ])
  expect(await shown(shop)).toEqual([['SET', 'mine', '1']])
})
