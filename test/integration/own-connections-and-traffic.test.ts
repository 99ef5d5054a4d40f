/**
 * CLIENT LIST, KILL, UNBLOCK, MONITOR, SLOWLOG, INFO, CONFIG GET: a tenant's own connections, traffic and numbers, and never a
 * byte of another's.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

let redis: RedisServer
let proxy: StartedProxy
let shop: RawClient
let other: RawClient

beforeAll(async () => {
  redis = await startRedis()
  proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [redis.url] } },
    tenants: {
      shop: { users: { 'shop-app': { password: 'demo' }, 'shop-two': { password: 'demo' } } },
      other: { users: { 'other-app': { password: 'demo' } } },
    },
    operators: { ops: { password: 'demo' } },
  })
  shop = await proxy.client('shop-app')
  other = await proxy.client('other-app')
})

beforeEach(async () => {
  await redis.call('FLUSHALL')
})

const textOf = (reply: unknown): string => String(reply)
const ids = (list: unknown): number[] => [...textOf(list).matchAll(/^id=(\d+) /gm)].map((match) => Number(match[1]))
const idOf = async (client: RawClient): Promise<number> => (await client.call('CLIENT', 'ID')) as number
const addrOf = async (client: RawClient): Promise<string> =>
  / addr=(\S+) /.exec(textOf(await client.call('CLIENT', 'INFO')))![1]!

describe('CLIENT', () => {
  test('LIST has the fields of Redis in its order, and the own connections only', async () => {
    const two = await proxy.client('shop-two')
    await two.call('CLIENT', 'SETNAME', 'worker')
    const list = textOf(await shop.call('CLIENT', 'LIST'))
    expect(ids(list)).toEqual([await idOf(shop), await idOf(two)])
    expect(list).toContain('name=worker')
    expect(list).not.toContain('other-app')
    const direct = textOf(await redis.call('CLIENT', 'LIST')).split('\n')[0]!
    const fields = (line: string): string[] => line.split(' ').map((pair) => pair.split('=')[0]!)
    expect(fields(list.split('\n')[0]!).filter((field) => !field.startsWith('lib-'))).toEqual(fields(direct))
    expect(list.split('\n')[0]).toContain('cmd=client|list')
    expect(ids(await shop.call('CLIENT', 'LIST', 'ID', await idOf(two), await idOf(other)))).toEqual([await idOf(two)])
    expect(ids(await shop.call('CLIENT', 'LIST', 'TYPE', 'normal'))).toEqual([await idOf(shop), await idOf(two)])
    two.close()
  })

  test('KILL ends connections by each filter, and never those of another tenant', async () => {
    const theirs = { id: await idOf(other), addr: await addrOf(other) }
    const none = new ErrorReply('ERR No such client')
    expect(await shop.call('CLIENT', 'KILL', theirs.addr)).toEqual(none)
    expect(await shop.call('CLIENT', 'KILL', 'ID', theirs.id, 'SKIPME', 'no')).toBe(0)
    expect(await shop.call('CLIENT', 'KILL', 'ADDR', theirs.addr, 'SKIPME', 'no')).toBe(0)
    expect(await shop.call('CLIENT', 'KILL', 'USER', 'other-app', 'SKIPME', 'no')).toEqual(
      new ErrorReply("ERR No such user 'other-app'"),
    )
    const filters: readonly (readonly [string, (client: RawClient) => Promise<unknown>])[] = [
      ['ID', idOf],
      ['ADDR', addrOf],
      ['USER', async () => 'shop-two'],
    ]
    for (const [filter, ask] of filters) {
      const victim = await proxy.client('shop-two')
      expect(await shop.call('CLIENT', 'KILL', filter, String(await ask(victim)), 'TYPE', 'normal')).toBe(1)
      await victim.untilClosed()
    }
    const victim = await proxy.client('shop-two')
    expect(await shop.call('CLIENT', 'KILL', await addrOf(victim))).toBe('OK')
    await victim.untilClosed()
    // Everybody but oneself; LADDR is the proxy's own and the same for all.
    const more = await Promise.all([proxy.client('shop-app'), proxy.client('shop-two')])
    const laddr = / laddr=(\S+) /.exec(textOf(await shop.call('CLIENT', 'INFO')))![1]!
    expect(await shop.call('CLIENT', 'KILL', 'LADDR', laddr, 'SKIPME', 'yes')).toBe(2)
    await Promise.all(more.map((client) => client.untilClosed()))
    expect(await other.call('PING')).toBe('PONG')
  })

  test('who kills itself is told so first', async () => {
    const one = await proxy.client('shop-app')
    one.send(Buffer.concat([command('CLIENT', 'KILL', 'ID', await idOf(one), 'SKIPME', 'no'), command('PING')]))
    expect(await one.untilClosed()).toBe(':1\r\n')
    const two = await proxy.client('shop-app')
    expect(await two.call('CLIENT', 'KILL', await addrOf(two))).toBe('OK')
    expect(await two.untilClosed()).toBe('')
  })

  test('UNBLOCK of who does not wait is 0', async () => {
    expect(await shop.call('CLIENT', 'UNBLOCK', await idOf(shop))).toBe(0)
    expect(await shop.call('CLIENT', 'UNBLOCK', await idOf(other), 'ERROR')).toBe(0)
  })
})

describe('MONITOR', () => {
  /** Lines without their time. */
  const lines = (text: string): string[] => text.split('\r\n').map((line) => line.replace(/^\+\d+\.\d{6} /, ''))

  async function watched(run: (client: RawClient) => Promise<void>, user = 'shop-app'): Promise<string[]> {
    const monitor = await proxy.client('shop-app')
    expect(await monitor.call('MONITOR')).toBe('OK')
    const client = await proxy.client(user)
    await run(client)
    expect(await shop.call('PING', 'end')).toBe('end')
    const found: string[] = []
    for (;;) {
      const line = textOf(await monitor.readRaw()).replace(/\r\n$/, '')
      found.push(...lines(line))
      if (line.includes('"end"')) break
    }
    // Said goodbye to, so that the next test finds nobody watching.
    monitor.send(command('QUIT'))
    await monitor.untilClosed()
    client.close()
    return found
  }

  test('shows what Redis shows of the same commands, byte for byte but for time and address', async () => {
    const commands: readonly (readonly (string | Buffer)[])[] = [
      ['SET', 'a"\\b', Buffer.from([120, 1, 255, 10, 9, 13, 7, 8, 32])],
      ['gEt', 'a'],
      ['GET'],
      ['NOPE', 'x'],
      ['CLIENT', 'ID'],
      ['SELECT', '99'],
      ['MSET', 'a', '1', 'b', ''],
      ['AUTH', 'nobody', 'secret'],
      ['HELLO', '2', 'AUTH', 'nobody', 'secret', 'SETNAME', 'x'],
      ['CONFIG', 'GET', 'save'],
      ['SET', 'a', 'b', 'EX', 'nope'],
      ['MULTI'],
      ['SET', 'a', 'b'],
      ['EXEC'],
      ['MULTI'],
      ['NOPE', 'x'],
      ['EXEC'],
      ['ECHO', 'x'],
    ]
    const run = async (client: RawClient): Promise<void> => {
      await client.pipeline(commands)
      client.send('SET inline "quoted value"\r\n')
      await client.read()
    }
    const mine = await watched(run)
    const monitor = await rawClient(redis.port)
    expect(await monitor.call('MONITOR')).toBe('OK')
    const direct = await rawClient(redis.port)
    await direct.pipeline(commands)
    direct.send('SET inline "quoted value"\r\n')
    await direct.read()
    const theirs: string[] = []
    const isOurs = (line: string): boolean =>
      !/"(PUBLISH|PING|INFO|ROLE|publish|ping|info)"|"(ECHO|echo)" "[0-9a-f]{32}"/.test(line)
    while (!theirs.some((line) => line.includes('"inline"'))) {
      const line = textOf(await monitor.readRaw()).replace(/\r\n$/, '')
      if (isOurs(line)) theirs.push(...lines(line))
    }
    monitor.close()
    direct.close()
    const plain = (line: string): string => line.replace(/\[0 [^\]]+\]/, '[0 addr]')
    // A login of its own is part of what is shown, in the same words as the wrong one's.
    const isLogin = (line: string): boolean => line.includes('] "AUTH" "(redacted)" "(redacted)"')
    expect(mine.filter(isLogin).length).toBeGreaterThan(1)
    const shown = mine.filter((line) => !line.includes('"end"') && !isLogin(line))
    expect(shown.map(plain)).toEqual(theirs.filter((line) => !isLogin(line)).map(plain))
    expect(mine.join()).not.toContain('secret')
    expect(mine.join()).not.toContain('demo')
  })

  test('shows nothing of another tenant, with the names that clients sent', async () => {
    const found = await watched(async (client) => {
      await client.call('SET', 'canary-of-other', '1')
      await client.pipeline(Array.from({ length: 50 }, (_, i) => ['GET', `canary-${i}`]))
    }, 'other-app')
    expect(found.join()).not.toContain('canary')
    const own = await watched(async (client) => {
      await client.pipeline(Array.from({ length: 50 }, (_, i) => ['SET', `own-${i}`, 'v']))
      await client.pipeline(Array.from({ length: 50 }, (_, i) => ['GET', `own-${i}`]))
    })
    expect(own.filter((line) => line.includes('"SET" "own-'))).toHaveLength(50)
    expect(own.filter((line) => line.includes('"GET" "own-'))).toHaveLength(50)
    expect(own.join()).not.toContain('shop:own')
  })

  test('a monitor may not touch keys, may ask what needs none, and RESET ends it', async () => {
    const monitor = await proxy.client('shop-two')
    expect(await monitor.call('MONITOR')).toBe('OK')
    const refused = new ErrorReply("ERR Replica can't interact with the keyspace")
    for (const args of [['GET', 'a'], ['SET', 'a', '1'], ['DBSIZE'], ['FLUSHALL'], ['KEYS', '*']]) {
      expect(await monitor.call(...args)).toEqual(refused)
    }
    monitor.send(command('RESET'))
    let reply = await monitor.readRaw()
    while (!reply.startsWith('+RESET')) reply = await monitor.readRaw()
    await monitor.call('AUTH', 'shop-two', 'demo')
    await shop.call('PING', 'unseen')
    expect(await monitor.call('GET', 'a')).toBeNull()
    expect(monitor.unread).toBe('')
    monitor.send(command('QUIT'))
    await monitor.untilClosed()
  })

  test('a login as somebody else ends it, and no more than eight of a tenant watch', async () => {
    const turncoat = await proxy.client('shop-app')
    expect(await turncoat.call('MONITOR')).toBe('OK')
    turncoat.send(command('AUTH', 'other-app', 'demo'))
    expect(await turncoat.readRaw()).toBe('+OK\r\n')
    await shop.call('PING', 'unseen')
    expect(await turncoat.call('GET', 'a')).toBeNull()
    expect(turncoat.unread).toBe('')
    const monitors = await Promise.all(Array.from({ length: 9 }, () => proxy.client('shop-app')))
    const replies: unknown[] = []
    for (const monitor of monitors) {
      monitor.send(command('MONITOR'))
      let raw = await monitor.readRaw()
      while (/^\+\d/.test(raw)) raw = await monitor.readRaw()
      replies.push(raw)
    }
    expect(replies.slice(0, 8)).toEqual(Array(8).fill('+OK\r\n'))
    expect(replies[8]).toContain('max number of monitors')
    for (const monitor of monitors) monitor.send(command('QUIT'))
    await Promise.all(monitors.map((monitor) => monitor.untilClosed()))
  })

  test('a monitor that does not read is closed, and nobody waits for it', async () => {
    const monitor = await proxy.client('shop-two')
    expect(await monitor.call('MONITOR')).toBe('OK')
    monitor.socket.pause()
    const value = 'x'.repeat(30_000)
    for (let i = 0; i < 40; i++) {
      await shop.pipeline(Array.from({ length: 20 }, () => ['SET', 'big', value]))
    }
    const list = textOf(await shop.call('CLIENT', 'LIST'))
    expect(list).not.toContain('user=shop-two')
    monitor.close()
  })
})

describe('SLOWLOG', () => {
  test("shows the tenant's own slow commands with its own names; RESET is its own", async () => {
    await redis.call('CONFIG', 'SET', 'slowlog-log-slower-than', '0')
    await redis.call('CONFIG', 'SET', 'slowlog-max-len', '500')
    await redis.call('SLOWLOG', 'RESET')
    await shop.call('SET', 'mine', 'v')
    await other.call('SET', 'theirs', 'v')
    await other.call('MGET', 'theirs', 'more')
    await shop.call('MGET', ...Array.from({ length: 50 }, (_, i) => `k${i}`))
    await shop.call('TIME')
    await redis.call('CONFIG', 'SET', 'slowlog-log-slower-than', '-1')
    await new Promise((resolve) => setTimeout(resolve, 300))
    const entries = (await shop.call('SLOWLOG', 'GET', '-1')) as [number, number, number, string[], string, string][]
    const args = entries.map((entry) => entry[3])
    expect(args[0]!.slice(0, 3)).toEqual(['MGET', 'k0', 'k1'])
    expect(args[0]!.at(-1)).toBe('... (20 more arguments)')
    expect(args[1]).toEqual(['SET', 'mine', 'v'])
    expect(entries).toHaveLength(2)
    expect(entries[0]![0]).toBeGreaterThan(entries[1]![0])
    expect(await shop.call('SLOWLOG', 'GET', '1')).toHaveLength(1)
    expect(await shop.call('SLOWLOG', 'LEN')).toBe(2)
    expect(await shop.call('SLOWLOG', 'RESET')).toBe('OK')
    expect(await shop.call('SLOWLOG', 'LEN')).toBe(0)
    expect(await other.call('SLOWLOG', 'LEN')).toBe(2)
    expect(await redis.call('SLOWLOG', 'LEN')).toBeGreaterThan(4)
  })
})

describe('INFO and CONFIG GET', () => {
  const fieldsOf = (reply: unknown): Map<string, string> =>
    new Map([...textOf(reply).matchAll(/^([^#:\r\n]+):(.*)\r$/gm)].map((match) => [match[1]!, match[2]!]))

  test('INFO counts the own keys and connections; its sections can be asked for by name', async () => {
    for (let i = 0; i < 7; i++) await shop.call('SET', `k${i}`, 'v')
    for (let i = 0; i < 90; i++) await other.call('SET', `k${i}`, 'v')
    const info = fieldsOf(await shop.call('INFO'))
    expect(info.get('db0')).toBe('keys=7,expires=0,avg_ttl=0')
    expect(info.get('role')).toBe('master')
    expect(info.get('loading')).toBe('0')
    expect(info.get('redis_version')).toMatch(/^7\./)
    const mine = ids(await shop.call('CLIENT', 'LIST'))
    expect(info.get('connected_clients')).toBe(String(mine.length))
    // What `redis-cli --stat` draws.
    const drawn = ['used_memory', 'connected_clients', 'blocked_clients', 'total_commands_processed']
    for (const field of [...drawn, 'total_connections_received']) expect(info.get(field)).toMatch(/^\d+$/)
    expect(textOf(await shop.call('INFO', 'keyspace', 'cluster'))).toBe(
      '# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\ndb0:keys=7,expires=0,avg_ttl=0\r\n',
    )
    await shop.call('FLUSHALL')
    expect(textOf(await shop.call('INFO', 'keyspace'))).toBe('# Keyspace\r\n')
    expect(textOf(await shop.call('INFO', 'ALL'))).toContain('# Commandstats\r\n')
    expect(textOf(await shop.call('INFO'))).not.toContain(String(redis.port))
  })

  test('INFO answers operators too, who have no keys', async () => {
    const ops = await proxy.client('ops')
    expect(textOf(await ops.call('INFO'))).toContain('# Keyspace\r\n')
  })

  test('CONFIG GET tells the true settings of the data, and nothing of the server’s place, users or passwords', async () => {
    const all = (await shop.call('CONFIG', 'GET', '*')) as string[]
    const found = new Map<string, string>()
    for (let i = 0; i < all.length; i += 2) found.set(String(all[i]), String(all[i + 1]))
    for (const name of [
      'hash-max-listpack-entries',
      'maxmemory-policy',
      'notify-keyspace-events',
      'save',
      'appendonly',
    ]) {
      const [, value] = (await redis.call('CONFIG', 'GET', name)) as [unknown, unknown]
      expect([name, found.get(name)]).toEqual([name, String(value)])
    }
    for (const name of [
      'requirepass',
      'masterauth',
      'dir',
      'dbfilename',
      'bind',
      'port',
      'aclfile',
      'logfile',
      'unixsocket',
    ])
      expect(found.has(name)).toBe(false)
    expect(await shop.call('CONFIG', 'GET', 'databases')).toEqual(['databases', '1'])
  })
})
