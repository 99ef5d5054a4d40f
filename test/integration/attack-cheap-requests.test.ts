/** Requests that cost their sender little: they may not end the proxy, nor hold up another tenant for long. */
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

let proxy: StartedProxy
let victim: RawClient

beforeAll(async () => {
  const redis = await startRedis()
  proxy = await startProxy({
    region: 'here',
    primary: 'here',
    upstream: { username: 'default', password: 'known to no tenant' },
    regions: { here: { nodes: [redis.url] } },
    tenants: {
      ant: { scripts: 'any', users: { 'ant-app': { password: 'demo' } } },
      bee: { users: { 'bee-app': { password: 'demo' } } },
    },
  })
  victim = await proxy.client('bee-app')
})

afterEach(async () => {
  expect(await victim.call('SET', 'k', 'v')).toBe('OK')
  const metrics = await (await fetch(`http://127.0.0.1:${proxy.adminPort}/metrics`)).text()
  for (const name of ['uncaught', 'desync', 'foreign_prefix'])
    expect(metrics).toMatch(new RegExp(`^regis_${name}_total(?:\\{[^}]*\\})? 0$`, 'm'))
})

const message = (reply: unknown): string => (reply instanceof ErrorReply ? reply.message : JSON.stringify(reply))

test.each([false, true])('CLIENT LIST ID with one id repeated without end (in MULTI: %s)', async (inMulti) => {
  const ant = await proxy.client('ant-app')
  await ant.call('CLIENT', 'SETNAME', 'n'.repeat(1000))
  const id = String(await ant.call('CLIENT', 'ID'))
  const flood = ['CLIENT', 'LIST', 'ID', ...Array.from({ length: 60_000 }, () => id)]
  if (!inMulti) expect(message(await ant.call(...flood))).toContain('limited')
  else {
    ant.send(Buffer.concat([command('MULTI'), command(...flood), command('EXEC')]))
    expect([await ant.read(), await ant.read()]).toEqual(['OK', 'QUEUED'])
    expect(message(((await ant.read()) as unknown[])[0])).toContain('limited')
  }
  expect(await ant.call('PING')).toBe('PONG')
  expect(String(await ant.call('CLIENT', 'LIST', 'ID', id, id)).split('\n')).toHaveLength(3)
})

test('a script whose error must be given its line, with a line that looks like thousands of them', async () => {
  const ant = await proxy.client('ant-app')
  const body = `--${'return '.repeat(60_000)}\nreturn redis.error_reply('x:?.')`
  ant.send(command('EVAL', body, '0'))
  const startedAt = performance.now()
  expect(await victim.call('PING')).toBe('PONG')
  expect(message(await ant.read())).toContain('x')
  // Before, it took the square of its length: minutes for this one.
  expect(performance.now() - startedAt).toBeLessThan(20_000)
})

test('a body that no string can hold', async () => {
  const ant = await proxy.client('ant-app')
  expect(message(await ant.call('EVAL', Buffer.alloc(20 * 1024 * 1024, 32), '0'))).toContain('16 MiB')
  expect(message(await ant.call('SCRIPT', 'LOAD', Buffer.alloc(20 * 1024 * 1024, 32)))).toContain('16 MiB')
})

test('CLIENT TRACKING with more prefixes than fit', async () => {
  const ant = await proxy.client('ant-app')
  expect(message(await ant.call('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'p'.repeat(40_000)))).toContain('8 KiB')
  expect(await ant.call('PING')).toBe('PONG')
})
