/**
 * What one tenant does, and its neighbours do not notice: floods of commands, large values, loops in Lua, replies that nobody
 * reads. Judged by order and by counts; how long it takes is measured by bench/neighbours.bench.ts.
 */

import { metric } from '../kit/metrics.ts'
import { command } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis, startRelay } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const valueBytes = 3_000_000
const value = 'v'.repeat(valueBytes)

async function start(
  quota: object = {},
): Promise<{ proxy: StartedProxy; relay: Awaited<ReturnType<typeof startRelay>> }> {
  const redis = await startRedis()
  const relay = await startRelay({ port: redis.port })
  const proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    upstream: { timeout: '30s' },
    regions: { eu: { nodes: [`redis://127.0.0.1:${relay.port}`] } },
    tenants: {
      greedy: { users: { 'greedy-app': { password: 'demo' } }, scripts: 'any', quota },
      modest: { users: { 'modest-app': { password: 'demo' } } },
    },
  })
  return { proxy, relay }
}

test('a tenant that has forty thousand commands to send does not stand in front of its neighbour with them', async () => {
  const { proxy, relay } = await start()
  const greedy = await Promise.all(Array.from({ length: 4 }, () => proxy.client('greedy-app')))
  const [modest, looker] = [await proxy.client('modest-app'), await proxy.client('greedy-app')]
  await looker.call('SET', 'n', '0')
  expect(await modest.call('SET', 'k', '1')).toBe('OK')
  relay.setDelay(50)
  const batch = Buffer.concat(Array.from({ length: 10_000 }, () => command('INCR', 'n')))
  for (const client of greedy) client.send(batch)
  const answered = (): number => greedy.reduce((sum, client) => sum + client.unread.split('\n').length - 1, 0)
  await waitFor(() => answered() > 0, 30_000, 1)
  // Commands of one connection are run in their order: had all gone before it, all would be answered before it.
  const before = answered()
  expect(await modest.call('GET', 'k')).toBe('1')
  expect(answered() - before).toBeLessThan(20_000)
  relay.setDelay(0)
  let last = 0
  for (const client of greedy) for (let i = 0; i < 10_000; i++) last = Math.max(last, Number(await client.read()))
  expect(last).toBe(40_000)
  const metrics = await metric(proxy)
  expect(metrics.sum('regis_turns_waited_total', { tenant: 'greedy' })).toBeGreaterThan(0)
  expect(metrics.sum('regis_turns_waited_total', { tenant: 'modest' })).toBe(0)
})

test('small replies come while a large value of another tenant is on its way', async () => {
  const { proxy, relay } = await start()
  const [greedy, modest] = [await proxy.client('greedy-app'), await proxy.client('modest-app')]
  expect(await greedy.call('SET', 'big', value)).toBe('OK')
  expect(await modest.call('SET', 'k', '1')).toBe('OK')
  // The first read says that the tenant has such values, the second which it is. The bulk lane is there from the write on.
  for (let i = 0; i < 2; i++) expect(await greedy.call('GET', 'big')).toBe(value)
  relay.setBandwidth(2_000_000)
  greedy.send(command('GET', 'big'))
  await waitFor(() => greedy.unread.length > 0)
  let answered = 0
  for (; answered < 5; answered++) expect(await modest.call('GET', 'k')).toBe('1')
  expect(greedy.unread.length).toBeLessThan(valueBytes)
  relay.setBandwidth(undefined)
  expect(await greedy.read()).toBe(value)
})

test('a client that does not read its large reply holds up nobody else’s', async () => {
  const { proxy } = await start()
  const [slow, other] = [await proxy.client('greedy-app'), await proxy.client('modest-app')]
  for (const client of [slow, other]) {
    expect(await client.call('SET', 'big', value)).toBe('OK')
    for (let i = 0; i < 2; i++) expect(await client.call('GET', 'big')).toBe(value)
  }
  slow.socket.pause()
  for (let i = 0; i < 8; i++) slow.send(command('GET', 'big'))
  for (let i = 0; i < 5; i++) expect(await other.call('GET', 'big')).toBe(value)
  expect(slow.unread).toBe('')
  slow.socket.resume()
  for (let i = 0; i < 8; i++) expect(await slow.read()).toBe(value)
})

test('between loops of another tenant’s scripts commands get on, each behind one at most', async () => {
  const { proxy } = await start()
  const [greedy, modest] = [await proxy.client('greedy-app'), await proxy.client('modest-app')]
  const loop =
    'local t = redis.call("TIME"); local e = t[1] * 1000000 + t[2] + 100000; repeat t = redis.call("TIME") until t[1] * 1000000 + t[2] >= e; return 1'
  expect(await greedy.call('EVAL', loop, '0')).toBe(1)
  let isOver = false
  const scripts = (async () => {
    for (let i = 0; i < 6; i++) expect(await greedy.call('EVAL', loop, '0')).toBe(1)
    isOver = true
  })()
  let answered = 0
  while (!isOver) {
    expect(await modest.call('SET', 'k', '1')).toBe('OK')
    answered++
  }
  await scripts
  expect(answered).toBeGreaterThanOrEqual(5)
})

test('quota.in_flight holds over all clients of the tenant: others wait, and all are answered', async () => {
  const { proxy, relay } = await start({ in_flight: 50 })
  const clients = await Promise.all(Array.from({ length: 4 }, () => proxy.client('greedy-app')))
  relay.setDelay(30)
  const batch = Buffer.concat(Array.from({ length: 100 }, () => command('INCR', 'n')))
  for (const client of clients) client.send(batch)
  let most = 0
  await waitFor(async () => {
    const now = (await metric(proxy)).sum('regis_inflight_commands')
    most = Math.max(most, now)
    return now > 0
  })
  let last = 0
  for (const client of clients) for (let i = 0; i < 100; i++) last = Math.max(last, Number(await client.read()))
  expect(last).toBe(400)
  // Besides the tenant's: marks and the like.
  expect(most).toBeLessThan(100)
  expect(
    (await metric(proxy)).sum('regis_quota_throttled_total', { tenant: 'greedy', quota: 'inflight' }),
  ).toBeGreaterThan(0)
  expect(String(await clients[0]!.call('PROXY', 'WHOAMI'))).toContain('inflight')
})
