/**
 * CLIENT TRACKING in its modes: the same conversation straight to a Redis and through Regis, pushes included; and that nobody
 * hears of another tenant's keys.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, Tagged } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

let straight: RedisServer
let behind: RedisServer
let proxy: StartedProxy

beforeAll(async () => {
  straight = await startRedis()
  behind = await startRedis()
  proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [`redis://127.0.0.1:${behind.port}`] } },
    tenants: {
      shop: { users: { 'shop-app': { password: 'demo' } } },
      rival: { users: { 'rival-app': { password: 'demo' } } },
    },
  })
})

/** Two clients: `a` on RESP3, `b` plain. `a<` reads one more message of a. */
const conversations: readonly (readonly [string, readonly string[]])[] = [
  [
    'default mode',
    ['a: client tracking on', 'a: get k', 'b: set k 1', 'a<', 'b: set k 2', 'a: ping', 'a: get k', 'b: del k', 'a<'],
  ],
  ['several keys', ['a: client tracking on', 'a: mget k l', 'b: set l 1', 'a<', 'b: mset k 1 l 1', 'a<']],
  ['own writes too', ['a: client tracking on', 'a: get k', 'a: set k 1', 'a<']],
  ['NOLOOP', ['a: client tracking on noloop', 'a: get k', 'a: set k 1', 'a: get k', 'b: set k 2', 'a<']],
  ['BCAST', ['a: client tracking on bcast', 'b: set k 1', 'a<', 'b: set other 1', 'a<']],
  [
    'BCAST with prefixes',
    [
      'a: client tracking on bcast prefix user: prefix obj:',
      'b: set k 1',
      'b: set user:1 1',
      'a<',
      'b: set obj:1 1',
      'a<',
    ],
  ],
  ['OPTIN', ['a: client tracking on optin', 'a: get k', 'a: client caching yes', 'a: get l', 'b: mset k 1 l 1', 'a<']],
  ['OPTOUT', ['a: client tracking on optout', 'a: client caching no', 'a: get k', 'a: get l', 'b: mset k 1 l 1', 'a<']],
  ['in a transaction', ['a: client tracking on', 'a: multi', 'a: get k', 'a: exec', 'b: set k 1', 'a<']],
  ['off again', ['a: client tracking on', 'a: get k', 'a: client tracking off', 'b: set k 1', 'a: ping', 'a: get k']],
  [
    'what it says of itself',
    [
      'a: client trackinginfo',
      'a: client getredir',
      'a: client tracking on bcast prefix p noloop',
      'a: client trackinginfo',
      'a: client getredir',
      'a: client tracking on bcast prefix q',
      'a: client trackinginfo',
      'a: client tracking off',
      'a: client trackinginfo',
    ],
  ],
  [
    'caching told',
    [
      'a: client tracking on optin',
      'a: client caching yes',
      'a: client trackinginfo',
      'a: get k',
      'a: client trackinginfo',
    ],
  ],
  [
    'errors',
    [
      'a: client tracking maybe',
      'a: client tracking on redirect 99999999',
      'a: client tracking on redirect x',
      'a: client tracking on prefix a',
      'a: client tracking on bcast prefix a prefix ab',
      'a: client tracking on bcast optin',
      'a: client tracking on optin optout',
      'a: client caching yes',
      'a: client tracking on foo',
      'a: client tracking on bcast',
      'a: client tracking on bcast prefix a',
      'a: client tracking on',
      'a: client caching yes',
      'a: client tracking',
      'a: client caching',
    ],
  ],
  [
    'what CACHING has told is over with tracking',
    [
      'a: client tracking on optin',
      'a: client caching yes',
      'a: client tracking off',
      'a: client tracking on optout',
      'a: client trackinginfo',
    ],
  ],
  [
    'HELLO with another version: keys go on being tracked',
    [
      'a: client tracking on',
      'a: get k',
      'a: hello 2',
      'a: get l',
      'b: set l 1',
      'a: ping',
      'a: get m',
      'a: hello 3',
      'b: set k 1',
      'a<',
      'b: set m 1',
      'a<',
      'a: get k',
      'b: set k 2',
      'a<',
    ],
  ],
  [
    'HELLO 3 with nothing behind it, of a client that tracks since RESP2',
    ['a: hello 2', 'a: client tracking on', 'a: get k', 'a: hello 3', 'b: set k 1', 'a<'],
  ],
  ['expiry and deletion by age', ['a: client tracking on', 'b: set k 1 px 30', 'a: get k', 'b: get k', 'a<']],
  ['reset ends it', ['a: client tracking on', 'a: get k', 'a: reset', 'b: set k 1', 'a: auth', 'a: ping']],
]

const show = (reply: Decoded): string =>
  JSON.stringify(reply, (_, value) => (value instanceof Map ? [...value] : value))

async function run(steps: readonly string[], a: RawClient, b: RawClient, login: readonly string[]): Promise<string[]> {
  const heard: string[] = []
  for (const step of steps) {
    if (step === 'a<') {
      heard.push(show(await a.read()))
      continue
    }
    const client = step[0] === 'a' ? a : b
    const text = step.slice(3)
    const reply = await client.call(...(text === 'auth' ? login : text.split(' ')))
    // On one connection a push may stand on either side of the reply to the command that caused it.
    if (client === a && reply instanceof Tagged && reply.kind === 'push') {
      const late = await client.read()
      heard.push(show(late))
    } else heard.push(show(reply))
    if (reply instanceof Tagged) heard.push(show(reply))
  }
  return heard
}

test.each(conversations)('%s: the same as straight on Redis', async (_, steps) => {
  await straight.call('FLUSHALL')
  await behind.call('FLUSHALL')
  const open = async (port: number, login: readonly string[], version: string) => {
    const client = await rawClient(port)
    await client.call(...login)
    await client.call('HELLO', version)
    return client
  }
  const login = ['AUTH', 'shop-app', 'demo']
  const [direct, through] = [
    [await open(straight.port, ['PING'], '3'), await open(straight.port, ['PING'], '2')] as const,
    [await open(proxy.port, login, '3'), await open(proxy.port, login, '2')] as const,
  ]
  const sorted = (heard: string[]) => heard.map((line) => line.replace('"PONG"', '"OK"').replace(/"id",\d+/, '"id",0')) // HELLO's
  expect(sorted(await run(steps, ...through, login))).toEqual(sorted(await run(steps, ...direct, ['PING'])))
  for (const client of [...direct, ...through]) client.close()
})

test('nobody hears of keys of another tenant, and a flush of the whole server is told to all', async () => {
  const clients = []
  for (const user of ['shop-app', 'rival-app']) {
    const client = await proxy.client(user)
    await client.call('HELLO', '3')
    await client.call('CLIENT', 'TRACKING', 'ON', 'BCAST')
    clients.push(client)
  }
  const [shop, rival] = clients as [RawClient, RawClient]
  await rival.call('SET', 'secret', '1')
  expect(await rival.read()).toEqual(new Tagged('push', ['invalidate', ['secret']]))
  await shop.call('SET', 'mine', '1')
  expect(await shop.read()).toEqual(new Tagged('push', ['invalidate', ['mine']]))
  expect(shop.unread + rival.unread).toBe('')
  await behind.call('FLUSHALL')
  expect(await shop.read()).toEqual(new Tagged('push', ['invalidate', null]))
  expect(await rival.read()).toEqual(new Tagged('push', ['invalidate', null]))
})

test('REDIRECT to another client on RESP3, whichever version asks for it; the id of another tenant is no id', async () => {
  const target = await proxy.client('shop-app')
  await target.call('HELLO', '3')
  const id = Number(await target.call('CLIENT', 'ID'))
  const rival = await proxy.client('rival-app')
  expect(String(JSON.stringify(await rival.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)))).toContain(
    'does not exist',
  )
  const asker = await proxy.client('shop-app')
  expect(await asker.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)).toBe('OK')
  expect(await asker.call('CLIENT', 'GETREDIR')).toBe(id)
  await asker.call('GET', 'k')
  const writer = await proxy.client('shop-app')
  await writer.call('SET', 'k', '1')
  expect(await target.read()).toEqual(new Tagged('push', ['invalidate', ['k']]))
  // The one that hears goes on with commands of its own meanwhile.
  expect(await target.call('GET', 'k')).toBe('1')
})

test('after a lost connection a client hears that all may have changed, and is tracked again', async () => {
  const client = await proxy.client('shop-app')
  await client.call('HELLO', '3')
  await client.call('CLIENT', 'TRACKING', 'ON')
  await client.call('GET', 'k')
  await behind.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  expect(await client.read()).toEqual(new Tagged('push', ['invalidate', null]))
  let reply = await client.call('GET', 'k')
  // Told again when tracking is back: before or after the first reply.
  const seen: Decoded[] = []
  while (reply instanceof Tagged) {
    seen.push(reply)
    reply = await client.read()
  }
  const writer = await proxy.client('shop-app')
  const value = String(Math.random())
  for (;;) {
    const done = await writer.call('SET', 'k', value)
    if (done === 'OK') break
  }
  for (;;) {
    const push = (await client.read()) as Tagged
    if ((push.value as unknown[])[1] !== null) {
      expect(push).toEqual(new Tagged('push', ['invalidate', ['k']]))
      break
    }
  }
  expect(await client.call('GET', 'k')).toBe(value)
})

test('large replies and many pushes keep apart', async () => {
  const client = await proxy.client('shop-app')
  await client.call('HELLO', '3')
  await client.call('CLIENT', 'TRACKING', 'ON', 'BCAST')
  const writer = await proxy.client('shop-app')
  await writer.call('SET', 'large', 'x'.repeat(500_000))
  await client.read()
  const commands = Array.from({ length: 50 }, () => command('GET', 'large'))
  client.send(Buffer.concat(commands))
  await writer.pipeline(Array.from({ length: 500 }, (_, i) => ['SET', `n${i}`, '1']))
  let values = 0
  const names = new Set<string>()
  while (values < 50 || names.size < 500) {
    const reply = await client.read()
    if (typeof reply === 'string') {
      expect(reply.length).toBe(500_000)
      values++
    } else for (const name of ((reply as Tagged).value as [string, string[]])[1]) names.add(name)
  }
})

test('a redirection outlives a RESET of its target, as in Redis; one that is refused leaves nothing behind', async () => {
  const target = await proxy.client('shop-app')
  const id = Number(await target.call('CLIENT', 'ID'))
  await target.call('SUBSCRIBE', '__redis__:invalidate')
  const asker = await proxy.client('shop-app')
  expect(await asker.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)).toBe('OK')
  const writer = await proxy.client('shop-app')
  for (let round = 0; round < 2; round++) {
    await asker.call('GET', 'k')
    await writer.call('SET', 'k', String(round))
    expect(await target.read()).toEqual(['message', '__redis__:invalidate', ['k']])
    if (round > 0) break
    expect(await target.call('RESET')).toBe('RESET')
    await target.call('AUTH', 'shop-app', 'demo')
    await target.call('SUBSCRIBE', '__redis__:invalidate')
  }
  const connections = async () => String(await behind.call('CLIENT', 'LIST', 'TYPE', 'normal')).split('\n').length
  const before = await connections()
  for (let i = 0; i < 10; i++) {
    const refused = await proxy.client('shop-app')
    const reply = await refused.call(
      'CLIENT',
      'TRACKING',
      'ON',
      'REDIRECT',
      Number(await writer.call('CLIENT', 'ID')),
      'BCAST',
      'PREFIX',
      'a',
      'PREFIX',
      'ab',
    )
    expect(JSON.stringify(reply)).toContain('overlaps')
    refused.close()
  }
  await waitFor(async () => (await connections()) <= before + 1)
})

test('REDIRECT is refused at once when the tenant has no connection left that could hear for the other client', async () => {
  const through = await startProxy({
    region: 'eu',
    primary: 'eu',
    limits: { leases_per_tenant: 1 },
    regions: { eu: { nodes: [`redis://127.0.0.1:${behind.port}`] } },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
  })
  const [target, asker] = [await through.client('shop-app'), await through.client('shop-app')]
  await target.call('HELLO', '3')
  const id = String(await target.call('CLIENT', 'ID'))
  expect(await asker.callRaw('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)).toBe(
    '-ERR max number of blocking clients reached for this tenant\r\n',
  )
  // It goes on, and without a redirection there is a connection.
  expect(await asker.call('PING')).toBe('PONG')
  await asker.call('HELLO', '3')
  expect(await asker.call('CLIENT', 'TRACKING', 'ON')).toBe('OK')
})

test('prefixes that are added to a redirected BCAST mode are heard of too', async () => {
  const run = async (port: number, login: boolean): Promise<string[]> => {
    const open = async (): Promise<RawClient> => {
      const client = await rawClient(port)
      if (login) await client.call('AUTH', 'shop-app', 'demo')
      return client
    }
    const [target, asker] = [await open(), await open()]
    const id = String(await target.call('CLIENT', 'ID'))
    const heard = [await target.callRaw('SUBSCRIBE', '__redis__:invalidate')]
    const tracked = ['CLIENT', 'TRACKING', 'ON', 'BCAST', 'REDIRECT', id, 'PREFIX']
    for (const args of [
      [...tracked, 'a:', 'PREFIX', 'b:'],
      ['INCR', 'a:1'],
      ['INCR', 'b:1'],
    ])
      heard.push(await asker.callRaw(...args))
    heard.push(await target.readRaw(), await target.readRaw())
    for (const args of [
      [...tracked, 'c:'],
      ['INCR', 'c:1234'],
    ])
      heard.push(await asker.callRaw(...args))
    heard.push(await target.readRaw())
    for (const client of [target, asker]) client.close()
    return heard
  }
  await straight.call('FLUSHALL')
  await behind.call('FLUSHALL')
  expect(await run(proxy.port, true)).toEqual(await run(straight.port, false))
})
