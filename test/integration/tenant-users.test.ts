/**
 * The Redis users that the proxy makes for its tenants: what they may do, that they come back after a restart of the
 * server or when somebody takes them away, and what is left where the server does not let them be made.
 */
import { buildCommandTable } from '../../src/commands/lookup.ts'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { allowedCommands, TenantUsers, tenantUserName, tenantUserSecret } from '../../src/upstream/acl.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const table = buildCommandTable()

const configOf = (redis: RedisServer, upstream: object = {}): object => ({
  region: 'here',
  primary: 'here',
  upstream,
  regions: { here: { nodes: [redis.url] } },
  tenants: {
    a: { scripts: 'any', users: { 'a-app': { password: 'demo' } } },
    b: { scripts: 'declared', deny: ['LPUSH'], users: { 'b-app': { password: 'demo' } } },
  },
})

const script = "return redis.call('incr', KEYS[1])"

async function runsScripts(proxy: StartedProxy, user: string): Promise<unknown> {
  const client = await proxy.client(user)
  const reply = await client.call('EVAL', script, '1', 'n')
  client.close()
  return reply
}

test('the rules let through what a tenant may do, and nothing of the rest', async () => {
  const redis = await startRedis()
  const users = new TenantUsers({
    table,
    tenant: () => ({ prefix: 'shop:', deny: ['LPUSH', '@geo'] }),
    password: () => 'x',
    version: () => '7.0.15',
    hasOneDatabase: () => false,
    now: () => 0,
    refused: () => {},
  })
  const [setUser, auth] = users.login('shop', 0, 'run')!
  expect(await redis.call(...setUser!)).toBe('OK')
  expect(users.login('shop', 0, 'run')).toEqual([auth])
  expect(users.login('shop', 0, 'another run')?.[0]?.[1]).toBe('SETUSER')
  const may = async (...argv: string[]): Promise<boolean> =>
    (await redis.call('ACL', 'DRYRUN', 'regis:shop', ...argv)) === 'OK'
  for (const argv of [
    ['get', 'shop:k'],
    ['mset', 'shop:a', '1', 'shop:b', '2'],
    ['eval', 'x', '1', 'shop:k'],
    ['publish', 'shop:c', 'm'],
    ['sort', 'shop:l', 'store', 'shop:d'],
    ['multi'],
    ['wait', '0', '0'],
    ['blpop', 'shop:l', '0'],
    ['script', 'load', 'x'],
  ])
    expect([argv, await may(...argv)]).toEqual([argv, true])
  const own = [...'shop:x 1 1 1 1 1 1 1'.split(' ')]
  for (const name of `keys scan randomkey dbsize flushdb flushall select swapdb move copy migrate restore info config|get
    config|set client|list client|kill acl|list acl|setuser monitor slowlog|get debug shutdown replicaof role psync cluster|nodes
    script|flush script|kill script|exists function|flush function|dump function|restore module|load memory|stats memory|doctor latency|latest
    pubsub|channels subscribe psubscribe ssubscribe command|count lastsave save bgsave failover lpush geoadd`.split(
    /\s+/,
  )) {
    const argv = [...name.split('|'), ...own]
    const { arity } = table.byName(name)!
    const cut = argv.slice(0, arity > 0 ? arity : Math.max(-arity, name.split('|').length))
    expect([cut, await may(...cut)]).toEqual([cut, false])
  }
  for (const argv of [
    ['get', 'evil:k'],
    ['get', 'shop'],
    ['mset', 'shop:a', '1', 'evil:b', '2'],
    ['eval', 'x', '2', 'shop:k', 'evil:k'],
    ['publish', 'evil:c', 'm'],
    ['sort', 'shop:l', 'store', 'evil:d'],
  ])
    expect([argv, await may(...argv)]).toEqual([argv, false])
})

test('whatever its rules name exists on the server that they are for', async () => {
  const redis = await startRedis()
  const known = new Set<string>()
  for (const row of (await redis.call('COMMAND')) as [string, ...unknown[]][]) {
    known.add(row[0])
    for (const sub of (row[9] ?? []) as [string][]) known.add(sub[0])
  }
  expect(allowedCommands(table, [], '7.0.15', true).filter((name) => !known.has(name))).toEqual([])
  expect(allowedCommands(table, [], '7.0.15', true)).toContain('copy')
  expect(allowedCommands(table, [], '7.0.15', false)).not.toContain('copy')
})

test('users are made at the first lease, and again after a restart or when somebody removes them', async () => {
  const redis = await startRedis()
  const proxy = await startProxy(configOf(redis))
  expect(await redis.call('ACL', 'USERS')).toEqual(['default'])
  expect(await runsScripts(proxy, 'a-app')).toBe(1)
  expect(await redis.call('ACL', 'USERS')).toEqual(['default', tenantUserName('a')])
  // The secret is not drawn: another proxy derives the same.
  const raw = await rawClient(redis.port)
  expect(await raw.call('AUTH', tenantUserName('a'), tenantUserSecret('', 'a'))).toBe('OK')
  raw.close()

  await redis.call('ACL', 'DELUSER', tenantUserName('a'))
  await waitFor(async () => (await runsScripts(proxy, 'a-app')) === 2)

  await redis.restart()
  await waitFor(async () => (await runsScripts(proxy, 'a-app')) === 1, 20_000)
  expect(await redis.call('ACL', 'USERS')).toContain(tenantUserName('a'))
})

test('the tenant’s own deny list holds in scripts too', async () => {
  const redis = await startRedis()
  const proxy = await startProxy(configOf(redis))
  const client = await proxy.client('b-app')
  expect(await client.callRaw('EVAL', "return redis.call('lpush', KEYS[1], 'v')", '1', 'l')).toMatch(
    /^-ERR The user executing the script can't run this command or subcommand script: /,
  )
  expect(await client.call('EVAL', "return redis.call('rpush', KEYS[1], 'v')", '1', 'l')).toBe(1)
})

test.each(['off', 'refused by the server'])('upstream.acl %s: no scripts, and the rest goes on', async (how) => {
  const redis = await startRedis()
  await redis.call('ACL', 'SETUSER', 'regis', 'on', '>secret', '~*', '&*', '+@all', '-acl|setuser')
  const login = { username: 'regis', password: 'secret' }
  const proxy = await startProxy(configOf(redis, how === 'off' ? { ...login, acl: 'off' } : login))
  const client = await proxy.client('a-app')
  const refusal = "NOPERM scripts need a user of the tenant's own on the server, which it does not let the proxy create"
  await waitFor(async () => (await client.callRaw('EVAL', 'return 1', '0')) === `-${refusal}\r\n`)
  expect(await client.call('WATCH', 'k')).toBe('OK')
  expect(await client.call('MULTI')).toBe('OK')
  expect(await client.call('SET', 'k', 'v')).toBe('QUEUED')
  expect(await client.call('EXEC')).toEqual(['OK'])
  await client.call('RPUSH', 'l', 'v')
  expect(await client.call('BLPOP', 'l', '1')).toEqual(['l', 'v'])
  expect(await redis.call('ACL', 'USERS')).toEqual(['default', 'regis'])
  if (how !== 'off') expect(proxy.proxy.log()).toContain('does not let us create users')
})

test.each([
  ['watches keys', ['WATCH', 'w']],
  ['tracks keys', ['CLIENT', 'TRACKING', 'ON', 'NOLOOP']],
])("a client that %s runs scripts as the tenant's user, and all else as ever", async (_, begin) => {
  const redis = await startRedis()
  const proxy = await startProxy(configOf(redis))
  const client = await proxy.client('b-app')
  await redis.call('SET', 'a:foreign', 'secret')
  await client.call('SADD', 'ids', '1')
  await client.call('SET', 'name_1', 'one')
  // Redis refuses these to a user with key patterns.
  const ordinary = [
    ['SORT', 'ids', 'BY', 'nosort', 'GET', 'name_*'],
    ['COPY', 'name_1', 'copied', 'REPLACE'],
  ]
  const served = [['one'], 1]
  expect(await client.call(...begin)).toBe('OK')
  const pid = async (): Promise<string[]> =>
    String(await redis.call('CLIENT', 'LIST'))
      .split('\n')
      .filter((line) => line.includes('user=regis:b'))
  expect(await client.pipeline(ordinary)).toEqual(served)
  expect(await client.call('EVAL', script, '1', 'n')).toBe(1)
  expect(String(JSON.stringify(await client.call('EVAL', "return redis.call('get','a:foreign')", '0')))).toContain(
    "can't access",
  )
  expect(await client.pipeline([...ordinary, ['EVAL', script, '1', 'n'], ...ordinary])).toEqual([
    ...served,
    2,
    ...served,
  ])
  expect(await client.pipeline([['MULTI'], ['EVAL', script, '1', 'n'], ['GET', 'n'], ['EXEC'], ...ordinary])).toEqual([
    'OK',
    'QUEUED',
    'QUEUED',
    [3, '3'],
    ...served,
  ])
  // Given back, it is nobody's in particular.
  client.close()
  await waitFor(async () => (await pid()).length === 0)
  const next = await proxy.client('b-app')
  expect(await next.pipeline([['WATCH', 'w'], ...ordinary, ['MULTI'], ...ordinary, ['EXEC']])).toEqual([
    'OK',
    ...served,
    'OK',
    'QUEUED',
    'QUEUED',
    served,
  ])
})
