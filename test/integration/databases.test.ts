/**
 * Several databases for one tenant (`databases: n`): whole conversations, and random ones in pipelines, straight to a Redis
 * with as many databases and through Regis, compared byte for byte; and that no key of one database is another's.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { randomOf } from './argv-generator.ts'

const seed = Number(process.env['SEED'] ?? 1)

let straight: RedisServer
let behind: RedisServer
let proxy: StartedProxy

beforeAll(async () => {
  straight = await startRedis({ args: ['--databases', '4'] })
  behind = await startRedis({ args: ['--databases', '16'] })
  proxy = await startProxy(
    {
      region: 'eu',
      primary: 'eu',
      regions: { eu: { nodes: [`redis://127.0.0.1:${behind.port}`] } },
      tenants: {
        shop: { databases: 4, users: { 'shop-app': { password: 'demo' }, 'shop-two': { password: 'demo' } } },
        rival: { databases: 2, users: { 'rival-app': { password: 'demo' } } },
        plain: { users: { 'plain-app': { password: 'demo' } } },
      },
    },
    { env: { REGIS_PARANOID: '1' } },
  )
})

/** `a:`, `b:` say who sends; `a|` several commands in one write, separated by ` ; `. */
const conversations: readonly (readonly [string, readonly string[]])[] = [
  [
    'SELECT, and its errors',
    [
      'a: set k zero',
      'a: select 3',
      'a: get k',
      'a: set k three',
      'a: select 4',
      'a: get k',
      'a: select -1',
      'a: select 99999999999',
      'a: select 99999999999999999999',
      'a: select x',
      'a: select 01',
      'a: select',
      'a: get k',
      'a: select 0',
      'a: get k',
    ],
  ],
  [
    'a name like a prefix is a name',
    ['a: set 1:k zero', 'a: select 1', 'a: get k', 'a: set 0:k one', 'a: select 0', 'a: get k', 'a: get 1:k'],
  ],
  [
    'a pipeline',
    ['a| set k 0 ; select 1 ; set k 1 ; get k ; select 0 ; get k ; select 1 ; get k ; mget k k ; select 9 ; get k'],
  ],
  ['another client has a database of its own', ['a: select 1', 'a: set k 1', 'b: get k', 'b: select 1', 'b: get k']],
  ['RESET goes back to 0', ['a: set k 0', 'a: select 2', 'a: set k 2', 'a: reset', 'a: login', 'a: get k']],
  [
    'a new login and HELLO do not',
    ['a: select 2', 'a: set k 2', 'a: login', 'a: get k', 'a: hello 3', 'a: get k', 'a: hello 2', 'a: get k'],
  ],
  [
    'MOVE',
    [
      'a: set k v',
      'a: move k 1',
      'a: get k',
      'a: move k 1',
      'a: set k w',
      'a: move k 1',
      'a: move k 0',
      'a: move none 0',
      'a: move k 4',
      'a: move k -1',
      'a: move k x',
      'a: move k 99999999999',
      'a: move k',
      'a: select 1',
      'a: get k',
      'a: move k 3',
      'a: exists k',
      'a: select 3',
      'a: get k',
    ],
  ],
  [
    'COPY ... DB',
    [
      'a: set k v',
      'a: copy k k db 0',
      'a: copy k l db 0',
      'a: copy k k db 1',
      'a: copy k k db 1',
      'a: set k w',
      'a: copy k k db 1 replace',
      'a: copy k m replace db 2',
      'a: copy none m db 2',
      'a: copy k m db 2 db 3',
      'a: copy k m db 4',
      'a: copy k m db x',
      'a: copy k m db 9 foo',
      'a: copy k m foo db 9',
      'a: copy k m db',
      'a: copy k k',
      'a: copy k 1:k',
      'a: select 1',
      'a: mget k m l',
      'a: select 2',
      'a: mget k m l',
      'a: select 3',
      'a: mget k m l',
      'a: copy m k db 0',
      'a: copy m n',
      'a: get n',
    ],
  ],
  [
    'MOVE and COPY in pipelines',
    [
      'a| set k 1 ; move k 2 ; get k ; select 2 ; get k ; copy k c db 3 ; append k 2 ; get k ; select 3 ; get c ; get k',
    ],
  ],
  [
    'SELECT in a transaction',
    [
      'a: set k 0',
      'a: multi',
      'a: select 1',
      'a: set k 1',
      'a: select 9',
      'a: get k',
      'a: select 2',
      'a: get k',
      'a: exec',
      'a: get k',
      'a: set k 2',
      'a: select 1',
      'a: get k',
    ],
  ],
  ['only SELECT in a transaction', ['a: multi', 'a: select 2', 'a: exec', 'a: set k 2', 'a: select 0', 'a: get k']],
  ['the same in one write', ['a| set k 0 ; multi ; select 2 ; exec ; get k ; set k 2 ; select 0 ; get k']],
  [
    'and with commands in one write',
    ['a| set k 0 ; get k ; multi ; get k ; select 1 ; set k 1 ; exec ; get k ; incr k ; select 0 ; get k'],
  ],
  ['DISCARD takes it back', ['a: set k 0', 'a: multi', 'a: select 1', 'a: set k 1', 'a: discard', 'a: get k']],
  ['so does a spoilt EXEC', ['a: set k 0', 'a: multi', 'a: select 1', 'a: nosuch', 'a: exec', 'a: get k']],
  [
    'so does a watched key that has changed',
    ['a: set k 0', 'a: watch k', 'b: set k 9', 'a| multi ; select 1 ; set k 1 ; exec ; get k ; set k 8 ; get k'],
  ],
  [
    'a watched key that has not',
    [
      'a: set k 0',
      'a: watch k',
      'a: select 1',
      'a| multi ; set k 1 ; select 2 ; exec ; get k ; set k 2 ; get k',
      'a: select 1',
      'a: get k',
    ],
  ],
  [
    'a watched key of another database is another key',
    ['a: watch k', 'b: select 1', 'b: set k 9', 'a: multi', 'a: set k 1', 'a: exec'],
  ],
  ['MOVE of a watched key', ['a: set k 1', 'a: watch k', 'b: move k 1', 'a: multi', 'a: get k', 'a: exec']],
  [
    'MOVE onto a watched key',
    ['a: select 1', 'a: watch k', 'b: set k 1', 'b: move k 1', 'a: multi', 'a: get k', 'a: exec'],
  ],
  [
    'MOVE and COPY in a transaction',
    [
      'a: set k v',
      'a: multi',
      'a: copy k c db 1',
      'a: move k 1',
      'a: move k 1',
      'a: move k 0',
      'a: move k 8',
      'a: copy k k db x',
      'a: select 1',
      'a: mget k c',
      'a: move c 2',
      'a: exec',
      'a: exists c',
    ],
  ],
  [
    'silence in a transaction',
    [
      'a: set k 0',
      'a! client reply off ; multi ; select 1 ; set k 1 ; exec',
      'a: client reply on',
      'a: get k',
      'a: select 0',
      'a: get k',
    ],
  ],
  ['silence of SELECT', ['a: set k 0', 'a! client reply skip ; select 1', 'a: get k']],
  [
    'blocking',
    [
      'a: select 1',
      'b: rpush l zero',
      'b: select 1',
      'a>blpop l 0',
      'b: rpush l one',
      'a<',
      'a: select 0',
      'a: blpop l 0',
    ],
  ],
  ['blocking, and moved there', ['a: select 1', 'b: rpush l zero', 'a>blpop l 0', 'b: move l 1', 'a<', 'b: exists l']],
  [
    'names in replies',
    [
      'a: select 2',
      'a: rpush l 1 2',
      'a: lmpop 2 none l left',
      'a: xadd s 1-1 f v',
      'a: xread streams s 0',
      'a: xreadgroup group g c streams s >',
      'a: sort l by w_* get #',
    ],
  ],
  [
    'names in replies that come after SELECT',
    [
      'a| rpush l 1 2 ; lmpop 1 l left ; select 1 ; rpush l x ; lmpop 1 l left ; select 3 ; xreadgroup group g c streams none >',
    ],
  ],
  [
    'large',
    [
      `a: set k ${'x'.repeat(100_000)}`,
      'a: move k 1',
      'a: strlen k',
      'a: select 1',
      'a: strlen k',
      `a: copy k ${'n'.repeat(90_000)} db 2`,
      'a: select 2',
      `a: strlen ${'n'.repeat(90_000)}`,
    ],
  ],
  [
    'what it says of itself',
    ['a: config get databases', 'a: command getkeys move k 1', 'a: command getkeys copy a b db 1'],
  ],
]

/** What both hear, one text a reply. */
async function converse(
  a: RawClient,
  b: RawClient,
  steps: readonly string[],
  login: readonly string[],
): Promise<string[]> {
  const heard: string[] = []
  for (const step of steps) {
    const client = step[0] === 'a' ? a : b
    const how = step[1]
    if (how === '<') {
      heard.push(await client.readRaw())
      continue
    }
    const commands = step.slice(how === '>' ? 2 : 3).split(' ; ')
    client.send(Buffer.concat(commands.map((text) => command(...(text === 'login' ? login : text.split(' '))))))
    if (how === '>') {
      // It must be waiting before the other one goes on.
      await new Promise((resolve) => setTimeout(resolve, 100))
      continue
    }
    if (how !== '!') for (let i = 0; i < commands.length; i++) heard.push(await client.readRaw())
  }
  return heard
}

/** A server without a password has PING for the proxy's login. */
const alike = (text: string): string =>
  text.replace(/^\+(OK|PONG)\r\n$/, '+OK\r\n').replace(/(\$2\r\nid\r\n:)\d+/, '$1n')

async function open(port: number, login: readonly string[], version: number): Promise<RawClient> {
  const client = await rawClient(port)
  await client.call(...login)
  if (version === 3) await client.call('HELLO', '3')
  return client
}

const login = ['AUTH', 'shop-app', 'demo']

describe.each([2, 3])('RESP%i', (version) => {
  test.each(conversations)('%s: the same as straight on Redis', async (_, steps) => {
    await straight.call('FLUSHALL')
    await behind.call('FLUSHALL')
    const straightly = await converse(
      await open(straight.port, ['PING'], version),
      await open(straight.port, ['PING'], version),
      steps,
      ['PING'],
    )
    const through = await converse(
      await open(proxy.port, login, version),
      await open(proxy.port, login, version),
      steps,
      login,
    )
    expect(through.map(alike)).toEqual(straightly.map(alike))
  })
})

test('random commands in random pipelines over four databases are answered as by Redis', async () => {
  const random = randomOf(seed)
  const pick = (of: readonly string[]): string => of[Math.floor(random() * of.length)]!
  const key = (): string => pick(['a', 'b', '1:a', '0:b', ':', 'a:', ''])
  const db = (): string => pick(['0', '1', '2', '3', '3', '4', 'x'])
  let isOpen = false
  const one = (): string[] => {
    const kind = Math.floor(random() * 13)
    if (kind < 3) return ['SELECT', db()]
    if (kind === 3) return ['MOVE', key(), db()]
    if (kind === 4) return ['COPY', key(), key(), 'DB', db(), ...(random() < 0.5 ? ['REPLACE'] : [])]
    if (kind === 5) {
      if (!isOpen) {
        isOpen = true
        return ['MULTI']
      }
      isOpen = false
      return [random() < 0.8 ? 'EXEC' : 'DISCARD']
    }
    if (kind === 6) return ['APPEND', key(), pick(['x', 'yy'])]
    if (kind === 7) return ['DEL', key(), key()]
    if (kind === 8) return ['RENAME', key(), key()]
    if (kind === 9) return ['SET', key(), String(Math.floor(random() * 100))]
    if (kind === 10 && !isOpen) return ['WATCH', key()]
    return random() < 0.5 ? ['GET', key()] : ['MGET', key(), key()]
  }
  await straight.call('FLUSHALL')
  await behind.call('FLUSHALL')
  const direct = await open(straight.port, ['PING'], 2)
  const proxied = await open(proxy.port, login, 2)
  for (let round = 0; round < 400; round++) {
    const commands = Array.from({ length: 1 + Math.floor(random() * 20) }, one)
    const bytes = Buffer.concat(commands.map((argv) => command(...argv)))
    // The proxy gets it in two pieces, cut anywhere.
    const cut = Math.floor(random() * bytes.length)
    direct.send(bytes)
    proxied.send(bytes.subarray(0, cut))
    if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, 2))
    proxied.send(bytes.subarray(cut))
    for (const argv of commands) expect([argv, await proxied.readRaw()]).toEqual([argv, await direct.readRaw()])
  }
})

test('names upstream are each under a sub-prefix, 0 too, and nothing leaves the shared database', async () => {
  await behind.call('FLUSHALL')
  const client = await proxy.client('shop-app')
  await client.pipeline([
    ['SET', 'k', '0'],
    ['SELECT', '3'],
    ['SET', 'k', '3'],
    ['COPY', 'k', 'c', 'DB', '1'],
    ['MOVE', 'k', '2'],
  ])
  const plain = await proxy.client('plain-app')
  await plain.pipeline([
    ['SET', 'k', 'p'],
    ['COPY', 'k', 'c', 'DB', '0'],
    ['COPY', 'k', 'd', 'DB', '1'],
    ['MOVE', 'k', '1'],
    ['SELECT', '1'],
  ])
  expect(((await behind.call('KEYS', '*')) as string[]).sort()).toEqual([
    'plain:c',
    'plain:k',
    'shop:0:k',
    'shop:1:c',
    'shop:2:k',
  ])
  expect(String(await behind.call('INFO', 'keyspace'))).toMatch(/^# Keyspace\r\ndb0:\S+\r\n$/)
})

test('another tenant begins in its own database 0, and has as many as it was given', async () => {
  await behind.call('FLUSHALL')
  const client = await proxy.client('shop-app')
  await client.pipeline([
    ['SELECT', '3'],
    ['SET', 'k', 'shop'],
  ])
  expect(await client.call('AUTH', 'shop-two', 'demo')).toBe('OK')
  expect(await client.call('GET', 'k')).toBe('shop') // another user of the same tenant: as in Redis, where AUTH selects nothing
  expect(await client.call('AUTH', 'rival-app', 'demo')).toBe('OK')
  expect(String(await client.call('CLIENT', 'INFO'))).toContain(' db=0 ')
  await client.call('SET', 'k', 'rival')
  expect(await behind.call('GET', 'rival:0:k')).toBe('rival')
  expect(String(await client.callRaw('SELECT', '2'))).toBe('-ERR DB index is out of range\r\n')
  await client.pipeline([
    ['SELECT', '1'],
    ['AUTH', 'nobody', 'wrong'],
  ])
  expect(String(await client.call('CLIENT', 'INFO'))).toContain(' db=1 ')
  expect(await client.callRaw('SWAPDB', '0', '1')).toMatch(/^-NOPERM /)
})

test('a message reaches subscribers whatever database either has selected', async () => {
  const [hearer, client] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
  await hearer.call('SELECT', '1')
  expect(await hearer.call('SUBSCRIBE', 'ch')).toEqual(['subscribe', 'ch', 1])
  await client.call('SELECT', '3')
  const large = 'x'.repeat(100_000)
  expect(
    await client.pipeline([
      ['SET', 'k', '1'],
      ['PUBLISH', 'ch', 'one'],
      ['PUBLISH', 'ch', large],
    ]),
  ).toEqual(['OK', 1, 1])
  expect((await client.pipeline([['MULTI'], ['SELECT', '2'], ['PUBLISH', 'ch', 'two'], ['EXEC']]))[3]).toEqual([
    'OK',
    1,
  ])
  for (const text of ['one', large, 'two']) expect(await hearer.read()).toEqual(['message', 'ch', text])
})

test('client-side caching: keys of each database by their own names', async () => {
  const [cacher, writer] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
  await cacher.call('HELLO', '3')
  expect(await cacher.call('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'user:')).toBe('OK')
  await cacher.call('SELECT', '2')
  await writer.pipeline([
    ['SET', 'user:1', 'a'],
    ['SELECT', '2'],
    ['SET', 'other', 'b'],
    ['SET', 'user:2', 'c'],
  ])
  const heard = [await cacher.readRaw(), await cacher.readRaw()]
  expect(heard.map((push) => /user:\d/.exec(push)?.[0]).sort()).toEqual(['user:1', 'user:2'])
  expect(heard.join('')).not.toContain('shop')
  expect(String(await cacher.callRaw('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'user:1'))).toMatch(
    /^-ERR Prefix 'user:1' overlaps with an existing prefix 'user:'/,
  )
})

test('walks see the selected database, FLUSHALL all of them, and neither another tenant', async () => {
  await behind.call('FLUSHALL')
  await behind.call('SET', 'plain:k', 'not mine')
  const client = await proxy.client('shop-app')
  const keys = async () => ((await client.call('KEYS', '*')) as string[]).sort()
  await client.pipeline([
    ['SET', 'a', '0'],
    ['SET', '1:b', '0'],
    ['SELECT', '1'],
    ['SET', 'b', '1'],
    ['SET', 'c', '1'],
  ])
  expect([await keys(), await client.call('DBSIZE'), await client.call('KEYS', 'b')]).toEqual([['b', 'c'], 2, ['b']])
  expect(String(await client.call('INFO', 'keyspace'))).toContain('db1:keys=2')
  expect((await client.call('SCAN', '0', 'COUNT', '1000')) as unknown[]).toEqual([
    '0',
    expect.arrayContaining(['b', 'c']),
  ])
  expect(['b', 'c']).toContain(await client.call('RANDOMKEY'))
  await client.call('SELECT', '0')
  expect([await keys(), await client.call('DBSIZE')]).toEqual([['1:b', 'a'], 2])
  expect(await client.call('FLUSHDB')).toBe('OK')
  expect(await client.call('DBSIZE')).toBe(0)
  await client.pipeline([
    ['SET', 'a', '0'],
    ['SELECT', '1'],
  ])
  expect(await client.call('DBSIZE')).toBe(2)
  expect(await client.call('FLUSHALL')).toBe('OK')
  expect(await behind.call('KEYS', '*')).toEqual(['plain:k'])
})
