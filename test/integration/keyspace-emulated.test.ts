/**
 * The keyspace as a tenant sees it, against real servers: each command straight to Redis with the same data and through
 * Regis among foreign keys, the same replies; and nothing of the others, by names, counts or cursors.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

let redis: RedisServer
/** A server of its own: what Redis says to a tenant who has it alone. */
let alone: RedisServer
let proxy: StartedProxy
let shop: RawClient
let other: RawClient
let direct: RawClient

beforeAll(async () => {
  redis = await startRedis()
  alone = await startRedis()
  proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [redis.url] } },
    tenants: {
      shop: {
        users: { 'shop-app': { password: 'demo' }, 'shop-look': { password: 'demo', access: 'read-only' } },
      },
      other: { users: { 'other-app': { password: 'demo' } } },
    },
    operators: { ops: { password: 'demo' } },
  })
  shop = await proxy.client('shop-app')
  other = await proxy.client('other-app')
  direct = await rawClient(alone.port)
})

beforeEach(async () => {
  await redis.call('FLUSHALL')
  await alone.call('FLUSHALL')
})

const fill = async (client: RawClient, count: number, name = 'k'): Promise<void> => {
  for (let at = 0; at < count; at += 1000) {
    const pairs: string[] = []
    for (let i = at; i < Math.min(at + 1000, count); i++) pairs.push(`${name}${i}`, String(i))
    expect(await client.call('MSET', ...pairs)).toBe('OK')
  }
}

const names = (reply: unknown): string[] => (reply as unknown[]).map(String).sort()

/** All pages of a SCAN: the names, how often each came, and every cursor. */
async function scanAll(client: RawClient, ...options: string[]): Promise<{ names: string[]; cursors: string[] }> {
  const found: string[] = []
  const cursors: string[] = []
  let cursor = '0'
  do {
    const reply = (await client.call('SCAN', cursor, ...options)) as [unknown, unknown[]]
    cursor = String(reply[0])
    cursors.push(cursor)
    found.push(...reply[1].map(String))
  } while (cursor !== '0')
  return { names: found.sort(), cursors }
}

describe('errors and odd arguments', () => {
  const rows = [
    ...[
      'SCAN x',
      'SCAN 0 COUNT 0',
      'SCAN 0 COUNT x',
      'SCAN 0 COUNT -1',
      'SCAN 0 MATCH',
      'SCAN 0 FOO bar',
      'SCAN 0 TYPE',
    ],
    ...['SCAN 007x', 'SCAN 1.5', 'SCAN 0 COUNT 99999999999999999999', 'SCAN', 'SCAN 0 count 5 match * type string'],
    ...['SCAN 00', 'SCAN +0', 'SCAN -0', 'SCAN 0 TYPE nope', 'SCAN 99999999999999999999999999', 'SCAN 0 MATCH x COUNT'],
    ...['KEYS', 'KEYS a b', 'KEYS *', 'KEYS nope', 'DBSIZE x', 'DBSIZE', 'RANDOMKEY x', 'RANDOMKEY'],
    ...['FLUSHDB nope', 'FLUSHALL ASYNC SYNC', 'FLUSHDB ASYNC', 'FLUSHALL sync', 'FLUSHALL'],
    ...['CLUSTER INFO', 'CLUSTER SLOTS', 'CLUSTER NODES', 'CLUSTER HELP', 'CLUSTER KEYSLOT a', 'CLUSTER FOO', 'ASKING'],
    ...['CLUSTER COUNTKEYSINSLOT 1', 'CLUSTER MYID', 'CLUSTER SHARDS', 'CLUSTER RESET'],
    ...['SLOWLOG GET -2', 'SLOWLOG GET x', 'SLOWLOG GET 1 2', 'SLOWLOG FOO', 'SLOWLOG HELP', 'SLOWLOG LEN x'],
    ...['LATENCY LATEST', 'LATENCY HISTORY x', 'LATENCY GRAPH x', 'LATENCY RESET', 'LATENCY RESET command'],
    ...['LATENCY HELP', 'LATENCY DOCTOR', 'LATENCY HISTOGRAM nope', 'LATENCY HISTORY'],
    ...['ACL CAT', 'ACL CAT nope', 'ACL CAT a b', 'ACL GENPASS 0', 'ACL GENPASS x', 'ACL GENPASS 4097', 'ACL HELP'],
    ...[
      'ACL GENPASS 1 2',
      'ACL GENPASS -5',
      'MODULE LIST',
      'MODULE HELP',
      'CONFIG HELP',
      'CONFIG GET',
      'CONFIG GET nope',
    ],
    ...[
      'CLIENT HELP',
      'CLIENT LIST TYPE x',
      'CLIENT LIST ID x',
      'CLIENT LIST ID',
      'CLIENT LIST FOO',
      'CLIENT LIST a b c',
    ],
    ...['CLIENT LIST ID 999999', 'CLIENT LIST TYPE master', 'CLIENT LIST TYPE pubsub', 'CLIENT LIST TYPE replica'],
    ...['CLIENT KILL', 'CLIENT KILL 1.1.1.1:1', 'CLIENT KILL ID 0', 'CLIENT KILL ID x', 'CLIENT KILL TYPE x'],
    ...[
      'CLIENT KILL TYPE x ID 1',
      'CLIENT KILL ID 0 TYPE normal',
      'CLIENT KILL ID x SKIPME no',
      'CLIENT KILL FOO bar x y',
    ],
    ...[
      'CLIENT KILL USER nope ID 99999',
      'CLIENT KILL SKIPME maybe ID 9',
      'CLIENT KILL ID 99999 ADDR',
      'CLIENT KILL ID',
    ],
    ...['CLIENT KILL ADDR x LADDR y', 'CLIENT KILL ID 99999 SKIPME yes', 'CLIENT KILL TYPE master SKIPME no'],
    ...[
      'CLIENT UNBLOCK x',
      'CLIENT UNBLOCK 5 foo',
      'CLIENT UNBLOCK 99999',
      'CLIENT UNBLOCK 1 a b',
      'CLIENT UNBLOCK x y',
    ],
    ...[
      'CLIENT GETREDIR',
      'CLIENT TRACKINGINFO',
      'CLIENT NO-EVICT on',
      'INFO nope',
      'INFO modules',
      'INFO errorstat nope',
    ],
    ...['ROLE x', 'MONITOR x', 'OBJECT HELP', 'MEMORY HELP', 'MEMORY USAGE nope', 'OBJECT ENCODING nope'],
  ]
  test.each([2, 3])('are answered in the words of Redis itself, in RESP%i', async (version) => {
    const mine = await proxy.client('shop-app')
    const theirs = await rawClient(alone.port)
    await mine.call('HELLO', version)
    await theirs.call('HELLO', version)
    for (const row of rows) {
      const args = row.split(' ')
      expect([row, await mine.callRaw(...args)]).toEqual([row, await theirs.callRaw(...args)])
    }
  })

  test('what stays refused is refused by name', async () => {
    for (const args of [
      ...['CONFIG SET a b', 'CONFIG REWRITE', 'CONFIG RESETSTAT', 'CLIENT PAUSE 1', 'CLIENT UNPAUSE', 'ACL LIST'],
      ...['ACL SETUSER x', 'ACL LOG', 'MODULE LOAD x', 'MEMORY STATS', 'MEMORY DOCTOR', 'DEBUG SLEEP 0', 'LASTSAVE'],
    ]) {
      const name = args
        .split(' ')
        .slice(0, /^(DEBUG|LASTSAVE)/.test(args) ? 1 : 2)
        .join('|')
      expect(await shop.call(...args.split(' '))).toEqual(
        new ErrorReply(`NOPERM this user has no permissions to run the '${name.toLowerCase()}' command`),
      )
    }
  })
})

describe('names', () => {
  test('KEYS matches as Redis does, and shows the own names only', async () => {
    const keys = [
      'a',
      'b',
      'ab',
      'a*',
      'a?c',
      'abc',
      'a[x]',
      'x:1',
      'x:2',
      'x:',
      '',
      ' ',
      'a\\b',
      '^',
      '-',
      'shop:a',
      'other:z',
    ]
    for (const key of keys) {
      await direct.call('SET', key, '1')
      await shop.call('SET', key, '1')
      await other.call('SET', `theirs-${key}`, '1')
      await redis.call('SET', `sho${key}`, '1')
    }
    const patterns = [
      '*',
      '',
      'a',
      'a*',
      'a?',
      '?',
      '??*',
      '*:*',
      'x:[12]',
      'x:[^1]',
      'a\\*',
      'a\\?c',
      '[a-b]',
      '\\',
      'a\\',
      '*b',
    ]
    for (const pattern of [
      ...patterns,
      'nope*',
      '[',
      '[^]',
      'a[x]',
      'a\\[x\\]',
      'shop:*',
      '**',
      'a**',
      'other:*',
      '^',
      '-',
      '[b-a]',
    ]) {
      const expected = names(await direct.call('KEYS', pattern))
      expect([pattern, names(await shop.call('KEYS', pattern))]).toEqual([pattern, expected])
      const { names: scanned } = await scanAll(shop, 'MATCH', pattern, 'COUNT', '3')
      expect([pattern, scanned]).toEqual([pattern, expected])
    }
    expect(await shop.call('DBSIZE')).toBe(keys.length)
  })

  test('SCAN finds each key, by TYPE too, and COUNT keeps pages near what was asked for', async () => {
    await fill(shop, 2_500)
    await fill(other, 2_500)
    await shop.call('RPUSH', 'list', 'x')
    await shop.call('HSET', 'hash', 'f', 'v')
    const all = await scanAll(shop)
    expect(new Set(all.names).size).toBe(2_502)
    expect(all.cursors.every((cursor) => /^(0|[1-9]\d*)$/.test(cursor) && BigInt(cursor) < 1n << 53n)).toBe(true)
    expect((await scanAll(shop, 'TYPE', 'list')).names).toEqual(['list'])
    expect((await scanAll(shop, 'TYPE', 'HASH', 'MATCH', 'h*', 'COUNT', '1000')).names).toEqual(['hash'])
    const [, page] = (await shop.call('SCAN', '0', 'COUNT', '10')) as [unknown, unknown[]]
    expect(page.length).toBeGreaterThan(0)
    expect(page.length).toBeLessThan(100)
  })

  test('keys of bytes that are no text, and long ones, come back as they are', async () => {
    const odd = [Buffer.from([0, 255, 13, 10, 128]), Buffer.from('a\r\nb'), Buffer.alloc(100_000, 'x')]
    for (const key of odd) await shop.call('SET', key, '1')
    const raw = await shop.callRaw('KEYS', '*')
    for (const key of odd) expect(raw).toContain(`$${key.length}\r\n${key.toString('latin1')}\r\n`)
    expect(await shop.call('DBSIZE')).toBe(3)
    expect(await shop.call('FLUSHDB')).toBe('OK')
    expect(await redis.call('DBSIZE')).toBe(0)
  })

  test('a name longer than an arena is deleted too', async () => {
    await shop.call('SET', Buffer.alloc(1_500_000, 'n'), '1')
    await shop.call('SET', 'small', '1')
    expect(await shop.call('DBSIZE')).toBe(2)
    expect(await shop.call('FLUSHALL')).toBe('OK')
    expect(await redis.call('DBSIZE')).toBe(0)
  })

  test('expired keys are neither shown nor counted', async () => {
    await shop.call('SET', 'gone', '1', 'PX', '1')
    await shop.call('SET', 'here', '1')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(names(await shop.call('KEYS', '*'))).toEqual(['here'])
    expect(await shop.call('DBSIZE')).toBe(1)
  })

  test('RANDOMKEY is one of the own keys, and each of few comes up', async () => {
    await fill(other, 3_000)
    expect(await shop.call('RANDOMKEY')).toBeNull()
    await fill(shop, 3)
    const seen = new Set<string>()
    for (let i = 0; i < 60; i++) seen.add(String(await shop.call('RANDOMKEY')))
    expect([...seen].sort()).toEqual(['k0', 'k1', 'k2'])
  })

  test('RANDOMKEY of a tenant with many keys gives many', async () => {
    await fill(shop, 5_000)
    const seen = new Set<string>()
    for (let i = 0; i < 40; i++) seen.add(String(await shop.call('RANDOMKEY')))
    expect(seen.size).toBeGreaterThan(20)
  })

  test('a pipeline sees its own writes, and replies stay in order', async () => {
    const replies = await shop.pipeline([
      ['SET', 'a', '1'],
      ['DBSIZE'],
      ['GET', 'a'],
      ['KEYS', '*'],
      ['FLUSHALL'],
      ['GET', 'a'],
      ['DBSIZE'],
      ['SET', 'a', '2'],
      ['SCAN', '0'],
      ['GET', 'a'],
    ])
    expect(replies.map((reply) => (Buffer.isBuffer(reply) ? String(reply) : reply))).toEqual([
      ...['OK', 1, '1'],
      [expect.anything()],
      ...['OK', null, 0, 'OK'],
      expect.anything(),
      '2',
    ])
  })
})

describe('cursors', () => {
  test('one of another tenant, of another server, or made up, is invalid', async () => {
    await fill(shop, 1_000)
    await fill(other, 1_000)
    const [cursor] = (await shop.call('SCAN', '0')) as [string]
    const [next] = (await shop.call('SCAN', String(cursor))) as [string]
    expect(String(next)).not.toBe(String(cursor))
    const invalid = new ErrorReply('ERR invalid cursor')
    expect(await other.call('SCAN', String(cursor))).toEqual(invalid)
    expect(await shop.call('SCAN', String(BigInt(String(cursor)) + 1n))).toEqual(invalid)
    for (const made of ['1', '17', '9007199254740991', '4503599627370495', '9223372036854775807', '-1'])
      expect([made, await shop.call('SCAN', made)]).toEqual([made, invalid])
  })

  test('one is understood by another proxy, and by the same after a restart of its own, but not after the server’s', async () => {
    const server = await startRedis()
    const config = {
      region: 'eu',
      primary: 'eu',
      regions: { eu: { nodes: [server.url] } },
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
    }
    const [first, second] = [await startProxy(config), await startProxy(config)]
    const [one, two] = [await first.client('shop-app'), await second.client('shop-app')]
    await fill(one, 500)
    const found = new Set<string>()
    let cursor = '0'
    let turn = 0
    do {
      const reply = (await (turn++ % 2 === 0 ? one : two).call('SCAN', cursor)) as [string, string[]]
      cursor = String(reply[0])
      for (const name of reply[1]) found.add(String(name))
    } while (cursor !== '0')
    expect(found.size).toBe(500)
  })
})

describe('FLUSHDB and FLUSHALL', () => {
  test('delete the own keys, all of them and no others', async () => {
    await fill(shop, 5_000)
    await fill(other, 3_000)
    expect(await shop.call('FLUSHDB', 'ASYNC')).toBe('OK')
    expect(await shop.call('DBSIZE')).toBe(0)
    expect(await other.call('DBSIZE')).toBe(3_000)
    expect(await redis.call('DBSIZE')).toBe(3_000)
  })

  test('a read-only user may look at the keyspace and not delete it; an operator has none', async () => {
    await fill(shop, 5)
    const look = await proxy.client('shop-look')
    expect(await look.call('DBSIZE')).toBe(5)
    for (const name of ['flushdb', 'flushall'])
      expect(await look.call(name)).toEqual(
        new ErrorReply(`NOPERM this user has no permissions to run the '${name}' command`),
      )
    const ops = await proxy.client('ops')
    for (const name of ['dbsize', 'randomkey', 'flushall', 'monitor'])
      expect(await ops.call(name)).toEqual(
        new ErrorReply(`NOPERM this user has no permissions to run the '${name}' command`),
      )
    expect(await shop.call('DBSIZE')).toBe(5)
  })

  test('many at once, of several tenants, with writes between, all end', async () => {
    const clients = await Promise.all(
      Array.from({ length: 12 }, (_, i) => proxy.client(i % 2 === 0 ? 'shop-app' : 'other-app')),
    )
    const verbs = [['FLUSHALL'], ['DBSIZE'], ['KEYS', '*'], ['SCAN', '0'], ['RANDOMKEY'], ['SET', 'x', '1']]
    await Promise.all(
      clients.map(async (client, i) => {
        for (let round = 0; round < 10; round++) {
          const reply = await client.call(...verbs[(i + round) % verbs.length]!)
          expect(reply).not.toBeInstanceOf(ErrorReply)
        }
      }),
    )
  })

  test('a client that leaves in the middle of a walk leaves nothing behind', async () => {
    await fill(other, 20_000)
    for (let i = 0; i < 20; i++) {
      const client = await proxy.client('shop-app')
      client.send(command('KEYS', '*'))
      client.send(command('DBSIZE'))
      client.reset()
    }
    expect(await shop.call('DBSIZE')).toBe(0)
    expect(await other.call('DBSIZE')).toBe(20_000)
  })
})
