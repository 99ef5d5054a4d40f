/** A short transaction rides a shared connection. When that is more than half full of others' commands, it still gets on. */
import { metric } from '../kit/metrics.ts'
import { command } from '../kit/resp.ts'
import { startProxy, startRedis, startRelay } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

/** More than half of what a shared connection carries, from clients of which each may have 10,000. */
const [clients, each] = [4, 8_500]

test('an EXEC behind thirty-four thousand commands in flight on the shared connection is answered', async () => {
  const redis = await startRedis()
  const relay = await startRelay({ port: redis.port })
  const proxy = await startProxy({
    region: 'eu',
    primary: 'eu',
    upstream: { timeout: '30s' },
    regions: { eu: { nodes: [`redis://127.0.0.1:${relay.port}`] } },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
  })
  const loads = await Promise.all(Array.from({ length: clients }, () => proxy.client('shop-app')))
  const client = await proxy.client('shop-app')
  expect(await client.call('SET', 'k', '1')).toBe('OK')
  expect(await client.call('MULTI')).toBe('OK')
  expect(await client.call('INCR', 'k')).toBe('QUEUED')
  relay.setDelay(2_000)
  const batch = Buffer.concat(Array.from({ length: each }, () => command('INCR', 'n')))
  for (const load of loads) load.send(batch)
  const inFlight = async (): Promise<number> => (await metric(proxy)).sum('regis_inflight_commands')
  await waitFor(async () => (await inFlight()) >= clients * each)
  client.send(command('EXEC'))
  relay.setDelay(0)
  expect(await client.read(20_000)).toEqual([2])
  for (const load of loads) for (let i = 0; i < each; i++) await load.read(20_000)
  expect(await client.call('GET', 'n')).toBe(String(clients * each))
}, 60_000)
