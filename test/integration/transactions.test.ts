/**
 * MULTI, EXEC, WATCH: whole conversations of two clients, straight to a Redis and through Regis, compared byte for byte; and
 * what Regis adds, losses among it.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

let straight: RedisServer
let behind: RedisServer
let proxy: StartedProxy

const config = (port: number) => ({
  region: 'eu',
  primary: 'eu',
  regions: { eu: { nodes: [`redis://127.0.0.1:${port}`] } },
  tenants: {
    shop: { users: { 'shop-app': { password: 'demo' }, 'shop-reader': { password: 'demo', access: 'read-only' } } },
    rival: { users: { 'rival-app': { password: 'demo' } } },
  },
})

beforeAll(async () => {
  straight = await startRedis()
  behind = await startRedis()
  proxy = await startProxy(config(behind.port))
})

/** `a:`, `b:` say who sends; `a|` several commands in one write (separated by ` ; `). */
type Step = string
const conversations: readonly (readonly [string, readonly Step[]])[] = [
  ['an ordinary transaction', ['a: multi', 'a: set k 1', 'a: incr k', 'a: get k', 'a: exec', 'a: get k']],
  ['an empty one', ['a: multi', 'a: exec']],
  ['discarded', ['a: set k 1', 'a: multi', 'a: set k 2', 'a: discard', 'a: get k']],
  [
    'errors of order',
    ['a: exec', 'a: discard', 'a: multi', 'a: multi', 'a: watch k', 'a: set k 1', 'a: exec', 'a: get k'],
  ],
  ['an unknown command spoils it', ['a: multi', 'a: nosuch k', 'a: set k 1', 'a: exec', 'a: get k']],
  ['a wrong arity spoils it', ['a: multi', 'a: get', 'a: set k 1', 'a: exec', 'a: get k']],
  ['an unknown subcommand spoils it', ['a: multi', 'a: object nope k', 'a: exec']],
  [
    'a runtime error does not',
    ['a: multi', 'a: set k x', 'a: incr k', 'a: lpush k 1', 'a: get k', 'a: exec', 'a: get k'],
  ],
  [
    'arguments whose keys cannot be found',
    ['a: multi', 'a: zunionstore d nope a', 'a: lmpop 0 k left', 'a: set k 1', 'a: exec', 'a: get k'],
  ],
  ['discard after an error', ['a: multi', 'a: nosuch', 'a: discard', 'a: set k 1', 'a: get k']],
  ['watch, no conflict', ['a: watch k', 'a: get k', 'a: multi', 'a: set k 1', 'a: exec', 'b: get k']],
  ['watch, conflict', ['a: watch k', 'b: set k 9', 'a: multi', 'a: set k 1', 'a: exec', 'a: get k']],
  ['watch, conflict, empty transaction', ['a: watch k', 'b: set k 9', 'a: multi', 'a: exec', 'a: get k']],
  [
    'watch, conflict, only an answer of the server itself',
    ['a: watch k', 'b: set k 9', 'a: multi', 'a: ping', 'a: exec'],
  ],
  ['watch, own write conflicts', ['a: watch k', 'a: set k 1', 'a: multi', 'a: get k', 'a: exec']],
  ['watch twice, unwatch', ['a: watch k', 'a: watch l', 'a: unwatch', 'b: set l 1', 'a: multi', 'a: get l', 'a: exec']],
  ['watch, discard ends it', ['a: watch k', 'a: multi', 'a: discard', 'b: set k 1', 'a: multi', 'a: get k', 'a: exec']],
  ['watch, exec ends it', ['a: watch k', 'a: multi', 'a: exec', 'b: set k 1', 'a: multi', 'a: get k', 'a: exec']],
  [
    'watch, spoilt exec ends it',
    ['a: watch k', 'a: multi', 'a: nosuch', 'a: exec', 'b: set k 1', 'a: multi', 'a: get k', 'a: exec'],
  ],
  ['reset ends everything', ['a: watch k', 'a: multi', 'a: set k 1', 'a: reset', 'a: auth', 'a: get k', 'a: exec']],
  [
    'names in replies',
    [
      'a: rpush l 1 2 3',
      'a: zadd z 1 m',
      'a: xadd s 1-1 f v',
      'a: multi',
      'a: lmpop 2 l m left',
      'a: zmpop 1 z min',
      'a: xread streams s 0',
      'a: lmpop 1 none left',
      'a: exec',
    ],
  ],
  [
    'blocking commands do not block',
    [
      'a: multi',
      'a: blpop none 0',
      'a: rpush l 1',
      'a: blpop l 0',
      'a: bzpopmin z 0',
      'a: blmove l m left right 0',
      'a: xread block 0 streams s $',
      'a: exec',
    ],
  ],
  [
    'answers of the proxy itself',
    [
      'a: multi',
      'a: ping',
      'a: set k 1',
      'a: echo hello',
      'a: get k',
      'a: ping x',
      'a: select 0',
      'a: client getname',
      'a: exec',
    ],
  ],
  ['nothing but answers of the proxy itself', ['a: multi', 'a: ping', 'a: echo hello', 'a: exec']],
  ['all in one write', ['a| set k 1 ; multi ; incr k ; get k ; exec ; get k ; multi ; discard ; ping ; get k']],
  ['watch and all in one write', ['a| watch k ; get k ; multi ; set k 1 ; exec ; get k ; unwatch ; get k']],
  ['two transactions in one write', ['a| multi ; set k 1 ; exec ; multi ; incr k ; exec ; incr k']],
  ['an inline command inside', ['a: multi', 'a= SET k 5\r\n', 'a: get k', 'a: exec']],
  ['errors inside name the key as the client did', ['a: multi', 'a: xreadgroup group g c streams s >', 'a: exec']],
  ['wait inside answers at once', ['a: multi', 'a: wait 1 0', 'a: exec']],
  ['silence', ['a: client reply skip', 'a| multi ; set k 1 ; exec']],
  ['large', ['a: multi', `a: set k ${'x'.repeat(100_000)}`, 'a: strlen k', 'a: exec']],
  ['large values back', [`a: set k ${'x'.repeat(300_000)}`, 'a: multi', 'a: get k', 'a: get k', 'a: exec', 'a: ping']],
]

class Pair {
  readonly a: RawClient
  readonly b: RawClient
  private readonly login: readonly string[]
  constructor(a: RawClient, b: RawClient, login: readonly string[]) {
    this.a = a
    this.b = b
    this.login = login
  }

  async run(steps: readonly Step[]): Promise<string[]> {
    const heard: string[] = []
    for (const step of steps) {
      const client = step[0] === 'a' ? this.a : this.b
      if (step[1] === '=') {
        client.send(step.slice(3))
        heard.push(await client.readRaw())
        continue
      }
      const commands = step.slice(3).split(' ; ')
      const silent = step.includes('reply skip')
      client.send(Buffer.concat(commands.map((text) => command(...(text === 'auth' ? this.login : text.split(' '))))))
      // After SKIP the first of the next write says nothing either.
      const after = steps[steps.indexOf(step) - 1]?.includes('reply skip') === true ? 1 : 0
      for (let i = after; i < commands.length && !silent; i++) heard.push(await client.readRaw())
    }
    return heard
  }
}

describe.each([2, 3])('RESP%i', (version) => {
  test.each(conversations)('%s: the same as straight on Redis', async (_, steps) => {
    await straight.call('FLUSHALL')
    await behind.call('FLUSHALL')
    const hello = version === 3 ? ['HELLO', '3'] : ['PING']
    const open = async (port: number, login: readonly string[]) => {
      const client = await rawClient(port)
      if (login[0] === 'AUTH') expect(await client.call(...login)).toBe('OK')
      await client.call(...hello)
      return client
    }
    const login = ['AUTH', 'shop-app', 'demo']
    const direct = new Pair(await open(straight.port, ['PING']), await open(straight.port, ['PING']), ['PING'])
    const proxied = new Pair(await open(proxy.port, login), await open(proxy.port, login), login)
    const expected = await direct.run(steps)
    const heard = await proxied.run(steps)
    // The straight server has no password: its PING stands where the other logs in anew.
    expect(heard.map((text) => text.replace(/^\+OK\r\n$/, '+PONG\r\n'))).toEqual(
      expected.map((text) => text.replace(/^\+OK\r\n$/, '+PONG\r\n')),
    )
  })
})

test('commands of others never run inside a transaction, on shared connections too', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.client('shop-app')))
  await clients[0]!.call('SET', 'n', '0')
  const wrong: unknown[] = []
  await Promise.all(
    clients.map(async (client, c) => {
      for (let round = 0; round < 50; round++) {
        if (c % 2 === 0) {
          // Between the two reads nobody may have counted.
          const replies = await client.pipeline([['MULTI'], ['GET', 'n'], ['INCR', 'n'], ['GET', 'n'], ['EXEC']])
          const [before, counted, after] = replies[4] as [string, number, string]
          if (Number(before) + 1 !== counted || Number(after) !== counted) wrong.push(replies[4])
        } else
          await client.pipeline([
            ['INCR', 'n'],
            ['INCR', 'n'],
            ['GET', 'n'],
          ])
      }
    }),
  )
  expect(wrong).toEqual([])
  expect(await clients[0]!.call('GET', 'n')).toBe(String(10 * 50 + 10 * 50 * 2))
})

test("the keys of a transaction are the tenant's, and a read-only user cannot write in one", async () => {
  const app = await proxy.client('shop-app')
  await app.call('DEL', 'k')
  const rival = await proxy.client('rival-app')
  await rival.pipeline([['MULTI'], ['SET', 'k', 'rival'], ['EXEC']])
  expect((await app.pipeline([['MULTI'], ['GET', 'k'], ['EXEC']]))[2]).toEqual([null])
  expect(await behind.call('GET', 'rival:k')).toBe('rival')
  const reader = await proxy.client('shop-reader')
  const replies = await reader.pipeline([['MULTI'], ['SET', 'k', '1'], ['GET', 'k'], ['EXEC']])
  expect(String((replies[1] as ErrorReply).message)).toContain('NOPERM')
  expect((replies[3] as ErrorReply).message).toContain('EXECABORT')
  expect((await reader.pipeline([['WATCH', 'k'], ['MULTI'], ['GET', 'k'], ['EXEC']]))[3]).toEqual([null])
})

test('a login as another tenant drops the transaction and what was watched', async () => {
  const client = await proxy.client('shop-app')
  await client.pipeline([['WATCH', 'k'], ['MULTI'], ['SET', 'k', 'left over']])
  expect(await client.call('AUTH', 'rival-app', 'demo')).toBeInstanceOf(ErrorReply) // not allowed in a transaction
  await client.call('DISCARD')
  await client.call('WATCH', 'k')
  expect(await client.call('AUTH', 'rival-app', 'demo')).toBe('OK')
  expect(await client.call('EXEC')).toEqual(new ErrorReply('ERR EXEC without MULTI'))
})

test('ten thousand commands in one transaction are answered as one', async () => {
  const client = await proxy.client('shop-app')
  const commands = Array.from({ length: 10_000 }, (_, i) => ['SET', `many:${i}`, String(i)])
  const replies = await client.pipeline([['MULTI'], ...commands, ['EXEC'], ['PING']])
  expect(replies[1]).toBe('QUEUED')
  expect((replies[10_001] as unknown[]).length).toBe(10_000)
  expect(replies[10_002]).toBe('PONG')
})

test('watching clients use few upstream connections one after the other, and give them back', async () => {
  const before = await connections()
  for (let round = 0; round < 30; round++) {
    const client = await proxy.client('shop-app')
    await client.pipeline([['WATCH', 'k'], ['MULTI'], ['SET', 'k', '1'], ['EXEC']])
    client.close()
  }
  expect((await connections()) - before).toBeLessThan(6)
  // One that leaves while it watches leaves nothing watched to the next.
  const leaver = await proxy.client('shop-app')
  await leaver.call('WATCH', 'k')
  leaver.close()
  const next = await proxy.client('shop-app')
  await next.call('WATCH', 'other')
  await behind.call('SET', 'shop:k', 'changed')
  expect((await next.pipeline([['MULTI'], ['GET', 'other'], ['EXEC']]))[2]).toEqual([null])
})

async function connections(): Promise<number> {
  return String(await behind.call('CLIENT', 'LIST', 'TYPE', 'normal')).split('\n').length
}

test('a lost connection: what was watched counts as changed, a queued transaction still runs, a sent one is uncertain', async () => {
  const own = await startRedis()
  const through = await startProxy(config(own.port))
  const watching = await through.client('shop-app')
  const queueing = await through.client('shop-app')
  await watching.call('WATCH', 'k')
  await queueing.pipeline([['MULTI'], ['SET', 'q', '1']])
  await own.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await waitFor(async () => (await watching.call('PING')) === 'PONG')
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect((await watching.pipeline([['MULTI'], ['SET', 'k', '1'], ['EXEC']]))[2]).toBeNull()
  expect(await queueing.call('EXEC')).toEqual(['OK'])
  // And after that one everything is as ever.
  expect((await watching.pipeline([['WATCH', 'k'], ['MULTI'], ['SET', 'k', '2'], ['EXEC']]))[3]).toEqual(['OK'])

  await own.call('CLIENT', 'PAUSE', '60000', 'WRITE')
  const sent = await through.client('shop-app')
  sent.send(Buffer.concat([['MULTI'], ['SET', 'u', '1'], ['EXEC']].map((args) => command(...args))))
  expect([await sent.read(), await sent.read()]).toEqual(['OK', 'QUEUED'])
  expect(String(((await sent.read()) as ErrorReply).message)).toContain('UNCERTAIN')
})

test.each([2, 3] as const)('HELLO between WATCH and EXEC, from RESP%i: what was watched stays so', async (before) => {
  const after = before === 2 ? '3' : '2'
  const warm = await proxy.client('shop-app')
  await warm.call('HELLO', after)
  await warm.pipeline([['WATCH', 'x'], ['UNWATCH']]) // leaves a connection of the other version ready
  const client = await proxy.client('shop-app')
  const other = await proxy.client('shop-app')
  await client.call('HELLO', String(before))
  const exec = async (): Promise<unknown> =>
    (await client.pipeline([['MULTI'], ['HSET', 'h', 'f', '1'], ['HGETALL', 'h'], ['EXEC']]))[3]
  const map = (resp: string): unknown => (resp === '3' ? new Map([['f', '1']]) : ['f', '1'])

  await client.call('WATCH', 'k')
  await client.call('HELLO', after)
  await other.call('SET', 'k', 'theirs')
  expect(await exec()).toBeNull()

  await client.call('WATCH', 'k')
  await client.call('HELLO', String(before))
  expect(await exec()).toEqual([expect.any(Number), map(String(before))])

  // A client that cannot decide has one HELLO under way, and is answered in the version that it said last.
  const hellos = async (): Promise<number> =>
    Number(/cmdstat_hello:calls=(\d+)/.exec(String(await behind.call('INFO', 'commandstats')))?.[1] ?? 0)
  const sentBefore = await hellos()
  await client.call('WATCH', 'k')
  const undecided = await client.pipeline([
    ...Array.from({ length: 2_001 }, (_, i) => ['HELLO', i % 2 === 0 ? after : String(before)]),
    ['MULTI'],
    ['HGETALL', 'h'],
    ['EXEC'],
  ])
  expect(undecided.at(-1)).toEqual([map(after)])
  expect((await hellos()) - sentBefore).toBeLessThan(500)
  await client.call('HELLO', String(before))

  // The connection has gone back as one of the version that it speaks: whoever takes it next is answered in that.
  await client.call('WATCH', 'k')
  await client.call('HELLO', after)
  expect(await client.call('HGETALL', 'h')).toEqual(map(after))
  await client.call('UNWATCH')
  for (const version of ['2', '3']) {
    await other.call('HELLO', version)
    await other.call('WATCH', 'k')
    expect(await other.call('HGETALL', 'h')).toEqual(map(version))
    await other.call('UNWATCH')
  }
})
