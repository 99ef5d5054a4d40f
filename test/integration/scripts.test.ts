/**
 * Scripts of tenants on a real server: what `declared` and `any` promise, that the sha a client knows stays its own, and
 * that a script reaches nothing of another tenant, however it goes about it.
 */
import { createHash } from 'node:crypto'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

const sha1 = (text: string): string => createHash('sha1').update(text, 'latin1').digest('hex')

let redis: RedisServer
let proxy: StartedProxy
let any: RawClient
let declared: RawClient
let off: RawClient
let straight: RawClient

beforeAll(async () => {
  redis = await startRedis()
  proxy = await startProxy({
    region: 'here',
    primary: 'here',
    upstream: { username: 'default', password: 'known to no tenant' },
    regions: { here: { nodes: [redis.url] } },
    tenants: {
      any: {
        scripts: 'any',
        users: { 'any-app': { password: 'demo' }, 'any-reader': { password: 'demo', access: 'read-only' } },
      },
      other: { scripts: 'any', users: { 'other-app': { password: 'demo' } } },
      decl: { scripts: 'declared', users: { 'decl-app': { password: 'demo' } } },
      multi: { scripts: 'any', databases: 3, users: { 'multi-app': { password: 'demo' } } },
      off: { users: { 'off-app': { password: 'demo' } } },
    },
  })
  any = await proxy.client('any-app')
  declared = await proxy.client('decl-app')
  off = await proxy.client('off-app')
  straight = await (await import('../kit/servers.ts')).rawClient(redis.port)
  await redis.call('SET', 'other:secret', 'canary-of-other')
  await redis.call('SET', 'plain', 'canary-of-nobody')
})

/** A command on a fresh key space, straight to Redis. */
const onRedis = (...args: string[]): Promise<string> => straight.callRaw(...args)

test('a tenant without scripts is refused by name', async () => {
  for (const [argv, name] of [
    [['EVAL', 'return 1', '0'], 'eval'],
    [['EVALSHA_RO', sha1('x'), '0'], 'evalsha_ro'],
    [['SCRIPT', 'LOAD', 'return 1'], 'script|load'],
    [['SCRIPT', 'EXISTS', sha1('x')], 'script|exists'],
    [['FCALL', 'f', '0'], 'fcall'],
    [['FUNCTION', 'LIST'], 'function|list'],
  ] as const) {
    expect(await off.callRaw(...argv)).toBe(`-NOPERM this user has no permissions to run the '${name}' command\r\n`)
  }
})

describe('any', () => {
  test('keys of redis.call are prefixed, and KEYS are what the client wrote', async () => {
    const script = "redis.call('set', KEYS[1], ARGV[1]) redis.call('set', 'built:' .. ARGV[1], 'v') return KEYS"
    expect(await any.call('EVAL', script, '1', 'k', '7')).toEqual(['k'])
    expect(await redis.call('GET', 'any:k')).toBe('7')
    expect(await redis.call('GET', 'any:built:7')).toBe('v')
    expect(await any.call('GET', 'built:7')).toBe('v')
  })

  test('EVALSHA, SCRIPT LOAD and SCRIPT EXISTS speak of the sha of the client', async () => {
    const script = "return redis.call('incr', 'counter')"
    expect(await any.call('EVALSHA', sha1(script), '0')).toEqual(
      new ErrorReply('NOSCRIPT No matching script. Please use EVAL.'),
    )
    expect(await any.call('SCRIPT', 'LOAD', script)).toBe(sha1(script))
    expect(await any.call('EVALSHA', sha1(script).toUpperCase(), '0')).toBe(1)
    expect(await any.call('SCRIPT', 'EXISTS', sha1(script), sha1('never'))).toEqual([1, 0])
    expect(await any.call('SCRIPT', 'FLUSH')).toBe('OK')
    expect(await any.call('SCRIPT', 'EXISTS', sha1(script))).toEqual([0])
    expect(await any.call('EVAL', script, '0')).toBe(2)
    expect(await any.call('EVALSHA', sha1(script), '0')).toBe(3)
  })

  test("another tenant's script is not to be had by its sha, not even the same text", async () => {
    const script = "return 'only other has brought this'"
    const other = await proxy.client('other-app')
    expect(await other.call('SCRIPT', 'LOAD', script)).toBe(sha1(script))
    expect(await any.call('EVALSHA', sha1(script), '0')).toBeInstanceOf(ErrorReply)
    expect(await any.call('SCRIPT', 'EXISTS', sha1(script))).toEqual([0])
    expect(await any.call('SCRIPT', 'FLUSH')).toBe('OK')
    expect(await other.call('EVALSHA', sha1(script), '0')).toBe('only other has brought this')
  })

  test('a node that has lost its scripts is given them again', async () => {
    const script = "return redis.call('incr', 'again')"
    expect(await any.call('EVAL', script, '0')).toBe(1)
    expect(await any.call('EVALSHA', sha1(script), '0')).toBe(2)
    await redis.call('SCRIPT', 'FLUSH')
    const first = await any.call('EVALSHA', sha1(script), '0')
    expect(first).toBe(3)
  })

  test('errors carry the sha of the client and the line of the script', async () => {
    await straight.call('SET', 's', 'x')
    await any.call('SET', 's', 'x')
    for (const script of [
      "return redis.call('lpush', 's', 'v')",
      "\n\nreturn redis.call('lpush', 's', 'v')",
      "\nlocal r = redis.call('lpush', 's', 'v')\nreturn r",
      "local call = redis.call\n\nreturn call('lpush', 's', 'v')",
      "local f = function()\nreturn redis.call('lpush', 's', 'v')\nend\nlocal y = f()",
      "local f = function()\n  return tostring(1)\nend\nlocal x = f()\nreturn redis.call('lpush', 's', 'v')",
      "return redis.pcall('lpush', 's', 'v')",
      "return {redis.pcall('lpush', 's', 'v'), 1}",
      "local ok, e = pcall(redis.call, 'lpush', 's', 'v') return {tostring(ok), e}",
      '#!lua flags=no-writes\n\nreturn redis.call("set", "s", 1)',
      '\n\nlocal x = nil\nreturn x.field',
      "\nerror('mine')",
      "\nerror({err='MINE text'})",
      'return nosuchvariable',
      "return redis.call('nosuchcommand')",
      'return redis.call()',
      "return redis.call('get')",
      "return redis.call('get', {})",
      "return redis.call('eval', 'return 1', 0)",
      "return redis.error_reply('MINE text')",
      "return redis.status_reply('fine')",
      'return )',
      'return foo(',
      "(function() return 1 end)() return redis.call('get', 's')",
      "return redis.sha1hex('x')",
      'return {tostring(redis.LOG_WARNING), tostring(redis.REPL_ALL), redis.REDIS_VERSION}',
      "return redis.call('xreadgroup', 'group', 'g', 'c', 'streams', 'nostream', '>')",
      'return cjson.encode({a=1})',
      "redis.setresp(3) return redis.call('hgetall', 'nohash')",
      'return {1.5, "a", true, false, nil, 7}',
      '-- return redis.call(\nreturn "return redis.call("',
    ]) {
      const [mine, theirs] = [await any.callRaw('EVAL', script, '0'), await onRedis('EVAL', script, '0')]
      expect([script, mine]).toEqual([script, theirs])
      if (theirs.includes('compiling')) continue
      const [again, theirAgain] = [
        await any.callRaw('EVALSHA', sha1(script), '0'),
        await onRedis('EVALSHA', sha1(script), '0'),
      ]
      expect([script, again]).toEqual([script, theirAgain])
    }
  })

  test('whatever way a script goes, it gets nothing that is not its own', async () => {
    const ways = [
      "return redis.call('get', 'other:secret')",
      "return redis.call('get', '../other:secret')",
      "return _G.redis.call('get', 'other:secret')",
      "return loadstring(\"return redis.call('get', 'other:secret')\")()",
      "return getmetatable(redis).__index({}, 'call')('get', 'other:secret')",
      "return _G.redis.pcall('mget', 'any:x', 'other:secret')",
      "return _G.redis.call('keys', '*')",
      "return _G.redis.call('scan', 0)",
      "return _G.redis.call('randomkey')",
      "return _G.redis.call('dbsize')",
      "return _G.redis.call('flushall')",
      "return _G.redis.call('select', 1)",
      "return _G.redis.call('move', 'any:s', 1)",
      "return _G.redis.call('copy', 'any:s', 'any:t', 'DB', 1)",
      "return _G.redis.call('sort', 'any:l', 'by', 'nosort', 'get', 'other:secret')",
      "return _G.redis.call('publish', 'other:channel', 'x')",
      "return _G.redis.call('info')",
      "return _G.redis.call('role')",
      "return _G.redis.call('rename', 'other:secret', 'any:mine')",
      "return redis.call('sort', 'l', 'by', 'nosort', 'get', '*')",
    ]
    await any.call('RPUSH', 'l', 'secret')
    const before = await redis.call('DBSIZE')
    for (const script of ways) {
      const reply = await any.callRaw('EVAL', script, '0')
      expect([script, reply]).toEqual([script, expect.not.stringMatching(/canary/)])
      // The first two name keys of its own, which it does not have.
      expect([script, reply.slice(0, 1)]).toEqual([script, expect.stringMatching(/^[-$]/)])
    }
    expect(await redis.call('DBSIZE')).toBe(before)
    expect(await redis.call('GET', 'other:secret')).toBe('canary-of-other')
  })

  test('a first line that would split a reply is refused here', async () => {
    for (const body of ['#!"lua\\r\\n+INJ"\n', '#!lua "flags=x\\r\\n+INJ"\n', "#!lua 'x=y'\nreturn 1"]) {
      // The vector is real: straight on Redis a second reply begins inside the first.
      const raw = await (await import('../kit/servers.ts')).rawClient(redis.port)
      raw.send(Buffer.from(`*3\r\n$4\r\nEVAL\r\n$${body.length}\r\n${body}\r\n$1\r\n0\r\n*1\r\n$4\r\nPING\r\n`))
      const answers = [await raw.readRaw(), await raw.readRaw()]
      if (body.includes('INJ')) expect(answers[1]).not.toBe('+PONG\r\n')
      expect(await any.callRaw('EVAL', body, '0')).toBe('-ERR Invalid script shebang\r\n')
      expect(await any.callRaw('SCRIPT', 'LOAD', body)).toBe('-ERR Invalid script shebang\r\n')
      expect(await any.call('PING')).toBe('PONG')
    }
    expect(await any.callRaw('FUNCTION', 'LOAD', '#!"zz\\r\\n+INJ" name=x\nreturn 1')).toMatch(/^-ERR [^\r\n]*\r\n$/)
    expect(await any.call('PING')).toBe('PONG')
  })

  test('scripts in a transaction, in a pipeline, and before they are known to the node', async () => {
    const script = "return redis.call('incrby', KEYS[1], ARGV[1])"
    await any.call('SCRIPT', 'LOAD', script)
    await redis.call('SCRIPT', 'FLUSH')
    expect(await any.call('MULTI')).toBe('OK')
    expect(await any.call('EVALSHA', sha1(script), '1', 'n', '1')).toBe('QUEUED')
    expect(await any.call('EVAL', script, '1', 'n', '1')).toBe('QUEUED')
    expect(await any.call('EVALSHA', sha1('never'), '0')).toBe('QUEUED')
    expect(await any.call('GET', 'n')).toBe('QUEUED')
    expect(await any.call('EXEC')).toEqual([1, 2, new ErrorReply('NOSCRIPT No matching script. Please use EVAL.'), '2'])
    const many = Array.from({ length: 500 }, () => ['EVALSHA', sha1(script), '1', 'n', '1'])
    const replies = await any.pipeline([...many, ['GET', 'n']])
    expect(replies.slice(0, 500)).toEqual(many.map((_, i) => i + 3))
    expect(replies[500]).toBe('502')
  })

  test('many values, numbers and odd arguments arrive as they do straight on Redis', async () => {
    const script = `
      local t = {} for i = 1, 7900 do t[i] = i end
      redis.call('RPUSH', 'big', unpack(t))
      redis.call('set', 12, 1.5)
      redis.call('MSET', 'm1', 1, 'm2', 2)
      return {redis.call('llen', 'big'), redis.call('get', '12'), redis.call('mget', 'm1', 'm2', 'nokey'),
        redis.call('del', 'm1', 'm2'), redis.call('bitop', 'and', 'bo', '12', '12'),
        redis.call('lmpop', 2, 'nolist', 'big', 'LEFT'), redis.call('exists', 'big', '12', 'bo')}`
    const argv = ['EVAL', script, '0'] as const
    expect(await any.callRaw(...argv)).toBe(await onRedis(...argv))
  })

  test('what a script publishes is heard by its own tenant, under its own name', async () => {
    const [listener, foreign] = [await proxy.client('any-app'), await proxy.client('other-app')]
    for (const client of [listener, foreign]) await client.call('SUBSCRIBE', 'news')
    await any.call('EVAL', "return redis.call('publish', 'news', 'hello')", '0')
    expect(await listener.read()).toEqual(['message', 'news', 'hello'])
    await foreign.call('PING')
    expect(foreign.unread).toBe('')
  })

  test('a reader may run what only reads', async () => {
    const reader = await proxy.client('any-reader')
    expect(await reader.call('EVAL_RO', "return redis.call('get', KEYS[1])", '1', 's')).toBe('x')
    expect(await reader.callRaw('EVAL_RO', "return redis.call('set', KEYS[1], 1)", '1', 's')).toContain(
      'Write commands are not allowed from read-only scripts',
    )
    expect(await reader.callRaw('EVAL', 'return 1', '0')).toContain("run the 'eval' command")
    expect(await reader.callRaw('SCRIPT', 'FLUSH')).toContain("run the 'script|flush' command")
  })
})

describe('declared', () => {
  test('KEYS get the prefix, the text is untouched, and a key that is not declared is refused by Redis', async () => {
    const script = "return {KEYS[1], redis.call('incr', KEYS[1])}"
    expect(await declared.call('EVAL', script, '1', 'n')).toEqual(['decl:n', 1])
    expect(await declared.call('EVALSHA', sha1(script), '1', 'n')).toEqual(['decl:n', 2])
    expect(await declared.callRaw('EVAL', "return redis.call('get', 'n')", '0')).toMatch(
      /^-ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: [0-9a-f]{40}, on @user_script:1\.\r\n$/,
    )
    expect(await declared.callRaw('EVAL', "return redis.call('get', 'other:secret')", '0')).toContain('-ERR The user')
    expect(await redis.call('SCRIPT', 'EXISTS', sha1(script))).toEqual([1])
  })

  test('what only another tenant has brought is not there, though the server has it', async () => {
    const script = "return 'the same text for all'"
    await redis.call('SCRIPT', 'LOAD', script)
    expect(await declared.callRaw('EVALSHA', sha1(script), '0')).toBe(
      '-NOSCRIPT No matching script. Please use EVAL.\r\n',
    )
  })
})

test('with several databases the one that is selected counts', async () => {
  const client = await proxy.client('multi-app')
  const script = "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', 'k')"
  for (const database of ['0', '2']) {
    await client.call('SELECT', database)
    expect(await client.call('EVAL', script, '1', 'k', database)).toBe(database)
    expect(await client.call('EVALSHA', sha1(script), '1', 'k', database)).toBe(database)
    expect(await client.call('MULTI')).toBe('OK')
    expect(await client.call('EVAL', script, '1', 'k', database)).toBe('QUEUED')
    expect(await client.call('EXEC')).toEqual([database])
    expect(await redis.call('GET', `multi:${database}:k`)).toBe(database)
  }
  expect(await client.callRaw('FCALL', 'f', '0')).toContain('-NOPERM')
})

test('counts of keys are judged as Redis does', async () => {
  for (const argv of [
    ['EVAL', 'return 1', 'x'],
    ['EVAL', 'return 1', '-1'],
    ['EVAL', 'return 1', '2', 'a'],
    ['EVAL', 'return 1'],
    ['SCRIPT', 'LOAD'],
    ['SCRIPT', 'FLUSH', 'NOW'],
    ['SCRIPT', 'FLUSH', 'SYNC', 'x'],
    ['SCRIPT', 'EXISTS'],
    ['SCRIPT', 'KILL'],
    ['SCRIPT', 'HELP'],
    ['SCRIPT', 'NOSUCH'],
    ['FUNCTION', 'HELP'],
    ['FUNCTION', 'KILL'],
    ['FUNCTION', 'FLUSH', 'NOW'],
  ]) {
    expect([argv, await any.callRaw(...argv)]).toEqual([argv, await onRedis(...argv)])
  }
})

test('a client that watches keys may run a script also where the server has lost the tenant’s user', async () => {
  const watching = await proxy.client('decl-app')
  expect(await watching.call('EVAL', 'return 1', '0')).toBe(1)
  await redis.call('ACL', 'DELUSER', 'regis:decl')
  expect(await watching.call('WATCH', 'k')).toBe('OK')
  expect(await watching.call('EVAL', 'return 2', '0')).toBe(2)
})
