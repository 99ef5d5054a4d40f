/** What the kit and the demo build on: regions with distance, lag and partitions, and a proxy in front of them. */
import { configFor, rawClient, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const regions = ['eu-west', 'ap-south']

test('replicas follow through their relay, lag when told, and name themselves by their own port', async () => {
  const set = await startReplicaSet({ regions, rttMs: { 'ap-south:eu-west': 20 } })
  const replica = set.node('ap-south')
  expect(await set.primary.call('SET', 'a', '1')).toBe('OK')
  await waitFor(async () => (await replica.call('GET', 'a')) === '1')
  const role = await set.primary.call('ROLE')
  expect(Array.isArray(role) && role[0]).toBe('master')
  expect(JSON.stringify(role)).toContain(`["127.0.0.1","${replica.port}"`)

  set.setLag('ap-south', 60_000)
  await set.primary.call('SET', 'a', '2')
  expect(await replica.call('GET', 'a')).toBe('1')
  set.replication('ap-south').reset()
  set.setLag('ap-south', 0)
  await waitFor(async () => (await replica.call('GET', 'a')) === '2', 20_000)
})

test('a partition cuts replication and the ways of proxies, and joining again catches up', async () => {
  const set = await startReplicaSet({ regions })
  set.partition('ap-south', true)
  await set.primary.call('SET', 'a', '1')
  const far = await rawClient(set.link('ap-south', 'eu-west').port)
  const answer = far.call('GET', 'a')
  // The servers themselves live on and answer, three turns long; what goes through the cut does not.
  for (let i = 0; i < 3; i++) expect(await set.node('ap-south').call('GET', 'a')).toBe(null)
  expect(far.unread).toBe('')
  set.partition('ap-south', false)
  expect(await answer).toBe('1')
  await waitFor(async () => (await set.node('ap-south').call('GET', 'a')) === '1')
})

test('a replica that was killed comes back and follows again', async () => {
  const set = await startReplicaSet({ regions })
  await set.primary.call('SET', 'a', '1')
  await set.node('ap-south').kill('SIGKILL')
  await set.restart('ap-south')
  await set.node('ap-south').untilInSync()
  expect(await set.node('ap-south').call('GET', 'a')).toBe('1')
})

test('a proxy in front of them keeps tenants apart, and says why when it cannot start', async () => {
  const set = await startReplicaSet({ regions })
  const config = configFor(set, 'ap-south')
  const { client, proxy, adminPort } = await startProxy(config)
  const shop = await client('shop-app')
  const analytics = await client('analytics-app')
  expect(await shop.call('SET', 'a', 'ä')).toBe('OK')
  expect(await shop.call('GET', 'a')).toBe(Buffer.from('ä').toString('latin1'))
  expect(await analytics.call('GET', 'a')).toBe(null)
  expect(await set.primary.call('GET', 'shop:a')).toBe('ä')
  expect((await proxy.fetch('/readyz')).status).toBe(200)
  expect(adminPort).toBe(proxy.adminPort)
  await proxy.stop()
  expect(await proxy.exited()).toBe(0)

  await expect(startProxy({ ...config, tenantz: {} })).rejects.toThrow('tenantz')
})
