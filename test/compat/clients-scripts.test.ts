/** Scripts of ioredis and node-redis, straight to Redis and through Regis: the same values, the same errors. */
import { type CommandParser, defineScript } from '@redis/client'
import type { Redis } from 'ioredis'
import { expectTheSame, type Side } from './clients.ts'
import { settle, settleAll } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage({ scripts: 'any' })
})
beforeEach(async () => {
  await stage.redis.call('SCRIPT', 'FLUSH')
  await stage.redis.call('FUNCTION', 'FLUSH')
})

const set = "return redis.call('SET', KEYS[1], ARGV[1])"
const library = `#!lua name=mine
redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function{function_name='look', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}`

const cases: Readonly<Record<string, (client: Redis, side: Side) => Promise<unknown>>> = {
  'keys and arguments': async (client) => [
    await client.eval(set, 1, 'k', 'v'),
    await client.eval("return redis.call('GET', KEYS[1])", 1, 'k'),
    await client.eval('return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}', 2, 'a', 'b', 'c', 'd'),
    await client.get('k'),
  ],
  'keys that are built in the script': async (client) => [
    await client.eval(
      "redis.call('SET', ARGV[1] .. ':' .. ARGV[2], 1) return redis.call('INCR', 'queue:id')",
      0,
      'queue',
      'id',
    ),
    await client.get('queue:id'),
    await client.eval("return redis.call('MGET', 'queue:id', 'none')", 0),
    await client.eval("redis.call('RPUSH', 'l', 3, 1, 2) return redis.call('SORT', 'l')", 0),
    await client.eval("redis.call('XADD', 's', '1-1', 'f', 'v') return redis.call('XREAD', 'STREAMS', 's', '0')", 0),
    await client.eval("return redis.call('LMPOP', 1, 'l', 'LEFT')", 0),
  ],
  'every type of reply': async (client) => [
    await client.eval('return 3.99', 0),
    await client.eval('return {1, 2, {3, "x", false, 4}}', 0),
    await client.eval('return {1, nil, 3}', 0),
    await client.eval('return true', 0),
    await client.eval('return false', 0),
    await client.eval('return nil', 0),
    await client.eval("return {ok='fine'}", 0),
    await client.eval("return redis.status_reply('done')", 0),
    await settle(client.eval("return redis.error_reply('MY own words')", 0)),
    await settle(client.eval("return {err='ERR mine'}", 0)),
    await client.eval("redis.setresp(3) redis.call('HSET', 'h', 'f', 1) return redis.call('HGETALL', 'h')", 0),
    await client.eval('return cjson.encode({a={1,2}})', 0),
    await client.eval("return cmsgpack.unpack(cmsgpack.pack({1,'x'}))", 0),
    await client.eval("return redis.sha1hex('')", 0),
    await client.eval("return {tostring(bit.band(7, 3)), struct.pack('>I2', 258)}", 0),
  ],
  errors: async (client) => {
    await client.set('k', 'text')
    return settleAll([
      client.eval('return redis.call("LPUSH", KEYS[1], 1)', 1, 'k'),
      client.eval('return redis.pcall("LPUSH", KEYS[1], 1)', 1, 'k'),
      client.eval('local r = redis.pcall("LPUSH", KEYS[1], 1) return r.err', 1, 'k'),
      client.eval('this is no lua', 0),
      client.eval('return undefined_name', 0),
      client.eval("error('mine')", 0),
      client.eval("return redis.call('NOPE')", 0),
      client.eval("return redis.call('GET')", 0),
      client.eval('return redis.call()', 0),
      client.call('EVAL', 'return 1', '2', 'a'),
      client.call('EVAL', 'return 1', '-1'),
      client.call('EVAL', 'return 1', 'x'),
      client.call('EVAL', 'return 1'),
      client.call('EVALSHA', 'ffffffffffffffffffffffffffffffffffffffff', '0'),
      client.call('EVALSHA', 'short', '0'),
      client.call('EVAL_RO', "return redis.call('SET', KEYS[1], 1)", '1', 'k'),
    ])
  },
  'by their sha': async (client) => {
    const sha = String(await client.script('LOAD', set))
    return [
      sha,
      await client.evalsha(sha, 1, 'k', 'v'),
      await client.evalsha(sha.toUpperCase(), 1, 'k', 'w'),
      await client.script('EXISTS', sha, '0'.repeat(40)),
      await client.eval('return 7', 0),
      await settle(client.script('LOAD', 'this is no lua')),
      await client.script('FLUSH'),
      await client.script('EXISTS', sha),
      await settle(client.evalsha(sha, 1, 'k', 'v')),
      await client.get('k'),
    ]
  },
  'commands of one’s own': async (client) => {
    client.defineCommand('put', { numberOfKeys: 1, lua: set })
    client.defineCommand('look', { numberOfKeys: 1, lua: "return redis.call('GET', KEYS[1])", readOnly: true })
    client.defineCommand('sum', { lua: 'local s = 0 for _, a in ipairs(ARGV) do s = s + a end return s' })
    const own = client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    return [
      await own['put']!('k', 'v'),
      await own['look']!('k'),
      await own['sum']!(0, 1, 2, 3),
      await client
        .pipeline([
          ['put', 'a', '1'],
          ['look', 'a'],
          ['get', 'a'],
        ])
        .exec(),
      await client
        .multi([
          ['put', 'a', '2'],
          ['look', 'a'],
          ['get', 'a'],
        ])
        .exec(),
      await Promise.all(Array.from({ length: 50 }, (_, i) => own['put']!(`k${i}`, i))),
      await client.get('k49'),
    ]
  },
  'in transactions and pipelines': async (client) => [
    await client.multi().set('k', 1).eval("return redis.call('INCR', KEYS[1])", 1, 'k').get('k').exec(),
    await client.pipeline().eval(set, 1, 'k', 'x').get('k').eval('return {err="ERR mine"}', 0).get('k').exec(),
  ],
  functions: async (client) => [
    await client.call('FUNCTION', 'LOAD', library),
    await client.call('FCALL', 'put', '1', 'k', 'v'),
    await client.call('FCALL_RO', 'look', '1', 'k'),
    await settle(client.call('FCALL', 'none', '0')),
    await settle(client.call('FCALL_RO', 'put', '1', 'k', 'v')),
    await settle(client.call('FUNCTION', 'LOAD', library)),
    await client.call('FUNCTION', 'LOAD', 'REPLACE', library),
    await client.get('k'),
    await client.call('FUNCTION', 'DELETE', 'mine'),
    await settle(client.call('FUNCTION', 'DELETE', 'mine')),
    await settle(client.call('FCALL', 'put', '1', 'k', 'v')),
    await client.call('FUNCTION', 'FLUSH'),
    await client.call('FUNCTION', 'LIST'),
  ],
}

describe.each([
  ['as it comes (RESP3)', {}],
  ['protocol 2', { protocol: 2 }],
  ['a key prefix of its own', { keyPrefix: 'app:' }],
] as const)('ioredis, %s', (_, options) => {
  test.each(Object.entries(cases))('%s', async (_name, run) => {
    await expectTheSame(stage, async (side) => run(await side.ioredis(options), side))
  })
})

test('node-redis: eval, evalSha, scripts of one’s own', () =>
  expectTheSame(stage, async (side) => {
    const client = (await side.nodeRedis({
      scripts: {
        put: defineScript({
          NUMBER_OF_KEYS: 1,
          SCRIPT: set,
          parseCommand(parser: CommandParser, key: string, value: string) {
            parser.pushKey(key)
            parser.push(value)
          },
          transformReply: undefined as unknown as () => unknown,
        }),
      },
    } as never)) as Awaited<ReturnType<Side['nodeRedis']>> & { put(key: string, value: string): Promise<unknown> }
    const sha = await client.scriptLoad('return ARGV[1]')
    return [
      await client.eval(set, { keys: ['k'], arguments: ['v'] }),
      await client.evalSha(sha, { arguments: ['x'] }),
      await client.put('k', 'own'),
      await client.get('k'),
      await client.scriptExists([sha]),
      await settle(client.eval('return redis.call("NOPE")')),
      await client.functionLoad(library, { REPLACE: true }),
      await client.fCall('put', { keys: ['k'], arguments: ['w'] }),
      await client.fCallRo('look', { keys: ['k'] }),
      await client
        .multi()
        .eval(set, { keys: ['k'], arguments: ['y'] })
        .get('k')
        .exec(),
    ]
  }))
