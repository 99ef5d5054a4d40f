/**
 * What a script that does not end costs: its owner and the others are told in Redis's words, the proxy ends it when its
 * time is over, and nobody can end another tenant's.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const endless = 'while true do end'
const killed = /^-ERR Error running script|^-ERR Script killed by user with SCRIPT KILL\.\.\. script: /

async function start(scriptTime: string): Promise<{ redis: RedisServer; proxy: StartedProxy }> {
  // Redis listens to SCRIPT KILL only after this time.
  const redis = await startRedis({ args: ['--busy-reply-threshold', '100'] })
  const tenant = (id: string) => ({ scripts: 'any', users: { [`${id}-app`]: { password: 'demo' } } })
  const proxy = await startProxy({
    region: 'here',
    primary: 'here',
    regions: { here: { nodes: [redis.url] } },
    upstream: { timeout: '10s', username: 'default', password: 'known to no tenant' },
    limits: { script_time: scriptTime },
    tenants: { a: tenant('a'), b: tenant('b') },
  })
  return { redis, proxy }
}

test('a script over its time is ended, others hear BUSY meanwhile, and everything goes on', async () => {
  const { proxy } = await start('1s')
  const [owner, other] = [await proxy.client('a-app'), await proxy.client('b-app')]
  expect(await other.call('SET', 'k', 'v')).toBe('OK')
  const dying = owner.callRaw('EVAL', endless, '0')
  await waitFor(async () => (await other.callRaw('GET', 'k')).startsWith('-BUSY Redis is busy running a script.'))
  expect(await dying).toMatch(killed)
  expect(await other.call('GET', 'k')).toBe('v')
  expect(await owner.call('EVAL', 'return 1', '0')).toBe(1)
})

test('so is a function, and a script whose client has left', async () => {
  const { redis, proxy } = await start('1s')
  const [owner, other] = [await proxy.client('a-app'), await proxy.client('b-app')]
  await owner.call('FUNCTION', 'LOAD', `#!lua name=l\nredis.register_function('f', function() ${endless} end)`)
  expect(await owner.callRaw('FCALL', 'f', '0')).toMatch(killed)
  owner.send('*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n')
  await waitFor(async () => (await other.callRaw('SET', 'k', '1')).startsWith('-BUSY'))
  owner.reset()
  await waitFor(async () => (await redis.call('PING')) === 'PONG')
  expect(await other.call('SET', 'k', '2')).toBe('OK')
})

test('SCRIPT KILL ends the own script and no other', async () => {
  const { proxy } = await start('30s')
  const [owner, second, other] = [await proxy.client('a-app'), await proxy.client('a-app'), await proxy.client('b-app')]
  const dying = owner.callRaw('EVAL', endless, '0')
  await waitFor(async () => (await other.callRaw('GET', 'k')).startsWith('-BUSY'))
  expect(await other.callRaw('SCRIPT', 'KILL')).toBe('-NOTBUSY No scripts in execution right now.\r\n')
  expect(await other.callRaw('FUNCTION', 'KILL')).toBe('-NOTBUSY No scripts in execution right now.\r\n')
  expect(await other.callRaw('EVAL', 'return 1', '0')).toMatch(/^-BUSY/)
  expect(await other.callRaw('SCRIPT', 'KILL')).toBe('-NOTBUSY No scripts in execution right now.\r\n')
  expect(await second.call('SCRIPT', 'KILL')).toBe('OK')
  expect(await dying).toMatch(killed)
  expect(await second.callRaw('SCRIPT', 'KILL')).toBe('-NOTBUSY No scripts in execution right now.\r\n')
  expect(await other.call('EVAL', 'return 1', '0')).toBe(1)
})

test('one that has written cannot be ended, and the asker is told so', async () => {
  const { proxy } = await start('30s')
  const [owner, second] = [await proxy.client('a-app'), await proxy.client('a-app')]
  // It ends by itself: a loop over a key whose time passes.
  const script =
    "redis.call('set', 'written', 1) local t = redis.call('time')[1] + 3 while redis.call('time')[1] + 0 < t do end return 'over'"
  const running = owner.call('EVAL', script, '0')
  await waitFor(async () => (await second.callRaw('GET', 'written')).startsWith('-BUSY'))
  expect(await second.callRaw('SCRIPT', 'KILL')).toMatch(/^-UNKILLABLE /)
  expect(await running).toBe('over')
})
