/**
 * Libraries and functions of tenants on a real server, which has one list of them for all: names carry a mark upstream, and
 * a client sees neither the mark nor anybody else's.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

let redis: RedisServer
let proxy: StartedProxy
let any: RawClient
let declared: RawClient
let straight: RawClient
/** A server of its own: the list of libraries is one for all. */
let plain: RedisServer

const library = `#!lua name=mylib
redis.register_function('put', function(keys, args)
  redis.call('set', keys[1], args[1])
  redis.call('set', 'built:' .. args[1], 'v')
  return keys
end)
redis.register_function{function_name='peek', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}, description='looks'}
redis.register_function('wrong', function(keys)
  return redis.call('lpush', keys[1], 'v')
end)`

/** Redis lists functions in the order of a hash table with a seed of its own. */
const inOrder = (reply: string): string[] => reply.split('\r\n').sort()

beforeAll(async () => {
  redis = await startRedis()
  proxy = await startProxy({
    region: 'here',
    primary: 'here',
    // The server lets anybody in; the password is what the names of functions are marked with.
    upstream: { username: 'default', password: 'known to no tenant' },
    regions: { here: { nodes: [redis.url] } },
    tenants: {
      any: { scripts: 'any', users: { 'any-app': { password: 'demo' } } },
      decl: { scripts: 'declared', users: { 'decl-app': { password: 'demo' } } },
    },
  })
  any = await proxy.client('any-app')
  declared = await proxy.client('decl-app')
  plain = await startRedis()
  straight = await rawClient(plain.port)
})

beforeEach(async () => {
  for (const server of [redis, plain]) await server.call('FUNCTION', 'FLUSH')
})

test('functions run with their keys prefixed and their texts given back as they came', async () => {
  expect(await any.call('FUNCTION', 'LOAD', library)).toBe('mylib')
  expect(await straight.call('FUNCTION', 'LOAD', library)).toBe('mylib')
  expect(await any.call('FCALL', 'put', '1', 'k', '7')).toEqual(['k'])
  expect(await redis.call('GET', 'any:k')).toBe('7')
  expect(await redis.call('GET', 'any:built:7')).toBe('v')
  expect(await any.call('FCALL_RO', 'peek', '1', 'k')).toBe('7')
  expect(await any.call('FCALL', 'peek', '1', 'k')).toBe('7')
  await straight.call('FCALL', 'put', '1', 'k', '7')
  for (const argv of [
    ['FUNCTION', 'LIST', 'WITHCODE'],
    ['FUNCTION', 'LIST', 'LIBRARYNAME', 'my*'],
    ['FUNCTION', 'LIST', 'LIBRARYNAME', 'other*'],
    ['FUNCTION', 'LIST', 'LIBRARYNAME'],
    ['FUNCTION', 'LIST', 'NOSUCH'],
    ['FUNCTION', 'STATS'],
    ['FCALL', 'wrong', '1', 'k'],
    ['FCALL', 'nosuch', '0'],
    ['FCALL_RO', 'put', '0'],
    ['FUNCTION', 'LOAD', library],
    ['FUNCTION', 'LOAD', '#!lua name=second\nredis.register_function("put", function() return 1 end)'],
    ['FUNCTION', 'LOAD', 'return 1'],
    ['FUNCTION', 'LOAD', '#!lua\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name=a-b\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name=a name=b\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!js name=a\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name=a what=b\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name=a\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name=a\nfoo('],
    ['FUNCTION', 'LOAD', '#!lua name=a\n\nnosuch()'],
    ['FUNCTION', 'LOAD', 'NOSUCH', '#!lua name=a\nreturn 1'],
    ['FUNCTION', 'DELETE', 'nosuch'],
    ['FUNCTION', 'LOAD', 'REPLACE', library],
    ['FUNCTION', 'DELETE', 'mylib'],
    ['FUNCTION', 'LIST'],
  ]) {
    expect([argv, inOrder(await any.callRaw(...argv))]).toEqual([argv, inOrder(await straight.callRaw(...argv))])
  }
})

test('the list is the same on RESP3', async () => {
  const mine = await proxy.client('any-app')
  const theirs = await rawClient(plain.port)
  for (const client of [mine, theirs]) {
    await client.call('HELLO', '3')
    await client.call('FUNCTION', 'LOAD', 'REPLACE', library)
  }
  const list = ['FUNCTION', 'LIST', 'WITHCODE']
  expect(inOrder(await mine.callRaw(...list))).toEqual(inOrder(await theirs.callRaw(...list)))
  expect(await mine.callRaw('FUNCTION', 'STATS')).toBe(await theirs.callRaw('FUNCTION', 'STATS'))
})

test('two tenants have libraries and functions of one name, and FLUSH takes only its own', async () => {
  const simple = (what: string): string =>
    `#!lua name=same\nredis.register_function('f', function(keys) return {'${what}', keys[1]} end)`
  expect(await any.call('FUNCTION', 'LOAD', simple('of any'))).toBe('same')
  expect(await declared.call('FUNCTION', 'LOAD', simple('of decl'))).toBe('same')
  await redis.call(
    'FUNCTION',
    'LOAD',
    simple('of nobody').replace('name=same', 'name=foreign').replace("'f'", "'foreign'"),
  )
  expect(await any.call('FCALL', 'f', '1', 'k')).toEqual(['of any', 'k'])
  expect(await declared.call('FCALL', 'f', '1', 'k')).toEqual(['of decl', 'decl:k'])
  expect(await any.callRaw('FCALL', 'foreign', '0')).toBe('-ERR Function not found\r\n')
  expect(JSON.stringify(await any.call('FUNCTION', 'LIST', 'LIBRARYNAME', '*', 'WITHCODE'))).not.toMatch(
    /foreign|of decl|regis_/,
  )
  expect(await any.call('FUNCTION', 'FLUSH', 'SYNC')).toBe('OK')
  expect(await any.call('FUNCTION', 'LIST')).toEqual([])
  expect(await declared.call('FCALL', 'f', '1', 'k')).toEqual(['of decl', 'decl:k'])
  expect(JSON.stringify(await redis.call('FUNCTION', 'LIST'))).toContain('foreign')
})

test("a function touches no other tenant's key, and dumps are refused", async () => {
  await redis.call('SET', 'other:secret', 'canary')
  const thief = `#!lua name=thief
redis.register_function('steal', function(keys, args) return _G.redis.call('get', 'other:secret') end)
redis.register_function('ask', function(keys, args) return redis.call('get', 'other:secret') end)`
  for (const client of [any, declared]) {
    expect(await client.call('FUNCTION', 'LOAD', thief)).toBe('thief')
    for (const name of ['steal', 'ask']) expect(await client.callRaw('FCALL', name, '0')).not.toContain('canary')
    expect(await client.callRaw('FUNCTION', 'DUMP')).toContain(
      "-NOPERM this user has no permissions to run the 'function|dump'",
    )
    expect(await client.callRaw('FUNCTION', 'RESTORE', 'x')).toContain('-NOPERM')
  }
})

test('no library can take or make a name of another tenant, past the prelude too', async () => {
  const mark = async (server: RedisServer): Promise<string[]> =>
    JSON.stringify(await server.call('FUNCTION', 'LIST')).match(/regis_[0-9a-f]{32}_/g) ?? []
  // Named arguments in another case went past the prelude once; Redis compares them in any.
  const upper = "#!lua name=evil\nredis.register_function{FUNCTION_NAME='f', CALLBACK=function() return 1 end}"
  expect(JSON.stringify(await any.call('FUNCTION', 'LOAD', upper))).toContain('message')
  expect(JSON.stringify(await declared.call('FUNCTION', 'LOAD', upper))).toContain('message')
  // What gets past it all the same has names that nobody else's calls can have: theirs are marked with a secret.
  const past = "#!lua name=past\n_G.redis.register_function('regis_f', function() return 'foreign' end)"
  await any.call('FUNCTION', 'LOAD', past)
  expect(JSON.stringify(await declared.call('FCALL', 'f', '0'))).toContain('Function not found')
  await any.call('FUNCTION', 'LOAD', library)
  await declared.call('FUNCTION', 'LOAD', library)
  expect(new Set(await mark(redis)).size).toBe(2)
})

test('bytes that a library puts behind its error reach nobody, and set nothing off', async () => {
  const moved = `#!lua name=e\nlocal t={}\nt["a\\r\\n*1\\r\\n*2\\r\\n$3\\r\\nfoo\\r\\n*0\\r\\n+"]()`
  await any.call('WATCH', 'zz')
  const replies = await any.pipeline([
    ['FUNCTION', 'LOAD', moved],
    ['XREAD', 'STREAMS', 'nos', '0'],
    ['ECHO', 'in its place'],
  ])
  expect(JSON.stringify(replies[0])).toContain('message')
  expect(replies.slice(1)).toEqual([null, 'in its place'])
  const metrics = await (await fetch(`http://127.0.0.1:${proxy.adminPort}/metrics`)).text()
  expect(metrics).toMatch(/^regis_foreign_prefix_total 0$/m)
  expect(metrics).toMatch(/^regis_desync_total(?:\{[^}]*\})? 0$/m)
  await any.call('UNWATCH')
})

test('without a password for the servers, which no tenant knows, there are no functions', async () => {
  const open = await startProxy({
    region: 'here',
    primary: 'here',
    regions: { here: { nodes: [redis.url] } },
    tenants: { any: { scripts: 'any', users: { 'any-app': { password: 'demo' } } } },
  })
  const client = await open.client('any-app')
  expect(JSON.stringify(await client.call('FUNCTION', 'LOAD', library))).toContain('NOPERM')
  expect(await client.call('EVAL', 'return 1', '0')).toBe(1)
})

test.each([
  ['a callback that is none', "redis.register_function('f', 'no function')"],
  ['a callback that is a number', "redis.register_function('f', 1)"],
  ['a callback that is a boolean', "redis.register_function('f', true)"],
  ['a callback that is a table', "redis.register_function('f', {})"],
  ['no name', 'redis.register_function(nil, function() return 1 end)'],
  ['a boolean for a name', 'redis.register_function(false, function() return 1 end)'],
  ['a table for a name', 'redis.register_function({}, function() return 1 end)'],
  ['an empty name', "redis.register_function('', function() return 1 end)"],
  ['a name that is none', "redis.register_function('a-b', function() return 1 end)"],
  ['a name alone', "redis.register_function('f')"],
  ['nothing', 'redis.register_function()'],
  ['no callback among named arguments', "redis.register_function{function_name='f'}"],
  ['no name among named arguments', 'redis.register_function{callback=function() return 1 end}'],
  ['an empty name among them', "redis.register_function{function_name='', callback=function() return 1 end}"],
  ['a function for a name', 'redis.register_function{function_name=function() end, callback=function() return 1 end}'],
  ['a string for a callback', "redis.register_function{function_name='f', callback='x'}"],
  ['a boolean for a callback', "redis.register_function{function_name='f', callback=true}"],
  ['flags that are none', "redis.register_function{function_name='f', callback=function() end, flags='no-writes'}"],
  ['a flag that there is not', "redis.register_function{function_name='f', callback=function() end, flags={'x'}}"],
  ['a description that is none', "redis.register_function{function_name='f', callback=function() end, description={}}"],
])('a library is refused as straight on Redis, and nothing of it stays: %s', async (_, line) => {
  const code = `#!lua name=bad\nredis.register_function('good', function() return 1 end)\n${line}`
  // Where in the text is said in other ways.
  const words = (reply: string): string =>
    reply
      .replace(/(@?user_function: ?\d+:|script: .*?, on @user_function:\d+\.| *\r\n$)/g, '')
      .replace(/ERR +/g, 'ERR ')
      .trim()
  const told = words(await straight.callRaw('FUNCTION', 'LOAD', code))
  expect(told).toMatch(/^-ERR /)
  for (const client of [any, declared]) {
    expect(words(await client.callRaw('FUNCTION', 'LOAD', code))).toBe(told)
    expect(await client.call('FUNCTION', 'LIST')).toEqual([])
  }
})

test('what is wrong about FCALL and FUNCTION FLUSH is said as Redis says it', async () => {
  for (const client of [straight, any]) await client.call('FUNCTION', 'LOAD', library)
  for (const args of [
    ['FCALL', 'peek', 'many'],
    ['FCALL', 'peek', '-1'],
    ['FCALL', 'peek', '2', 'k'],
    ['FUNCTION', 'FLUSH', 'SYNC', 'more'],
    ['FUNCTION', 'FLUSH', 'never'],
    ['FUNCTION', 'LOAD', '#! name=x\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name=a-b\nreturn 1'],
    ['FUNCTION', 'LOAD', '#!lua name="quoted"\nredis.register_function("q", function() return 1 end)'],
  ])
    expect([args, await any.callRaw(...args)]).toEqual([args, await straight.callRaw(...args)])
})
