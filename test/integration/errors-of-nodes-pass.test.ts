/** Refusals of a node that say "not executed" reach the client in the node's own words, and the connection goes on. */
import { command } from '../kit/resp.ts'
import { startProxy, startRedis } from '../kit/servers.ts'

test('-OOM and -NOREPLICAS are passed on as they are, and reads go on', async () => {
  const redis = await startRedis()
  const proxy = await startProxy({
    region: 'here',
    primary: 'here',
    regions: { here: { nodes: [redis.url] } },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
  })
  const client = await proxy.client('shop-app')
  expect(await client.call('SET', 'a', '1')).toBe('OK')

  const refusals = [
    { setting: ['maxmemory', '1', '0'], text: "OOM command not allowed when used memory > 'maxmemory'." },
    { setting: ['min-replicas-to-write', '1', '0'], text: 'NOREPLICAS Not enough good replicas to write.' },
  ] as const
  for (const { setting, text } of refusals) {
    await redis.call('CONFIG', 'SET', setting[0], setting[1])
    client.send(command('SET', 'a', '2'))
    expect(await client.readRaw()).toBe(`-${text}\r\n`)
    expect(await client.call('GET', 'a')).toBe('1')
    await redis.call('CONFIG', 'SET', setting[0], setting[2])
  }
  expect(await client.call('SET', 'a', '3')).toBe('OK')
})
