/** Two replicas of one region, equally near: who reads where, what happens when one goes and comes back, and who never leaves. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topology } from '../../src/demo/topology.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenant = (name: string, more: object = {}) => ({ users: { [`${name}-app`]: { password: 'demo' } }, ...more })

async function calls(topology: Topology, region: string): Promise<number> {
  const text = String(await topology.node(region).call('INFO', 'commandstats'))
  return Number(/cmdstat_get:calls=(\d+)/.exec(text)?.[1] ?? 0)
}

/** Where one read of this client goes, by the servers' own count. */
async function readsAt(topology: Topology, client: RawClient, regions = topology.regions): Promise<string> {
  const before = await Promise.all(regions.map((region) => calls(topology, region)))
  expect(await client.call('GET', 'probe')).not.toBeInstanceOf(ErrorReply)
  const after = await Promise.all(regions.map((region) => calls(topology, region)))
  return regions.filter((_, i) => after[i]! > before[i]!).join()
}

describe('two replicas that are equally near', () => {
  let topology: Topology
  let proxy: StartedProxy

  beforeAll(async () => {
    // To the proxy `a` and `b` are two nodes of one region.
    topology = await startReplicaSet({ regions: ['eu-west', 'a', 'b'] })
    proxy = await startProxy({
      region: 'home',
      primary: 'eu-west',
      upstream: { timeout: '1s' },
      regions: {
        'eu-west': { nodes: [topology.url('a', 'eu-west')] },
        home: { nodes: [topology.node('a').url, topology.node('b').url], distance: { 'eu-west': '1s' } },
      },
      tenants: { shop: tenant('shop'), calm: tenant('calm', { consistency: 'eventual' }) },
    })
  }, 60_000)

  test('share the clients, and each client stays with its own', async () => {
    const clients = await Promise.all(Array.from({ length: 16 }, () => proxy.client('calm-app')))
    await waitFor(async () => (await readsAt(topology, clients[0]!)) !== 'eu-west')
    const first: string[] = []
    for (const client of clients) first.push(await readsAt(topology, client))
    expect(first.filter((at) => at === 'a').length).toBeGreaterThanOrEqual(4)
    expect(first.filter((at) => at === 'b').length).toBeGreaterThanOrEqual(4)
    const second: string[] = []
    for (const client of clients) second.push(await readsAt(topology, client))
    expect(second).toEqual(first)
  })

  test('take over from one another, and a node that comes back empty is read from when it has shown a mark', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.client('shop-app')))
    let count = Number(await clients[0]!.call('INCR', 'count'))
    const homes = new Map<RawClient, string>()
    await waitFor(async () => {
      for (const client of clients) homes.set(client, await readsAt(topology, client))
      return ![...homes.values()].includes('eu-west')
    })
    const ofA = clients.filter((client) => homes.get(client) === 'a')
    const ofB = clients.filter((client) => homes.get(client) === 'b')
    expect(ofA.length).toBeGreaterThan(0)
    expect(ofB.length).toBeGreaterThan(0)
    const problems: string[] = []
    const read = async (): Promise<void> => {
      count = Number(await clients[0]!.call('INCR', 'count'))
      for (const client of clients) {
        const value = await client.call('GET', 'count')
        if (value instanceof ErrorReply) continue
        if (Number(value) < count) problems.push(`${value} after ${count}`)
      }
    }
    await topology.node('a').kill('SIGKILL')
    for (let i = 0; i < 20; i++) await read()
    await waitFor(async () => (await readsAt(topology, ofA[0]!, ['b'])) === 'b')
    await topology.restart('a')
    for (let i = 0; i < 20; i++) await read()
    // Home again, and the others have not moved.
    await waitFor(async () => {
      await read()
      return (await readsAt(topology, ofA[0]!)) === 'a'
    }, 20_000)
    await waitFor(async () => (await readsAt(topology, ofB[0]!)) === 'b')
    expect(problems).toEqual([])
  }, 60_000)
})

test('when_stale: error never leaves the region, not for a replica elsewhere either', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east', 'ap-south'] })
  const bounded = { consistency: 'bounded', max_staleness: '300ms' }
  const proxy = await startProxy({
    region: 'us-east',
    primary: 'eu-west',
    upstream: { timeout: '1s' },
    // The other replica is nearer than the primary.
    regions: {
      ...regionsFor(topology, 'us-east'),
      'us-east': {
        nodes: [topology.url('us-east', 'us-east')],
        distance: { 'ap-south': '20ms', 'eu-west': '80ms' },
      },
    },
    tenants: {
      stays: tenant('stays', { ...bounded, when_stale: 'error' }),
      calm: tenant('calm', { consistency: 'eventual', when_stale: 'error' }),
      goes: tenant('goes', bounded),
    },
  })
  const [stays, calm, goes] = await Promise.all(['stays-app', 'calm-app', 'goes-app'].map((user) => proxy.client(user)))
  await waitFor(async () => (await readsAt(topology, goes!)) === 'us-east')
  topology.setLag('us-east', 1_000)
  await waitFor(async () => (await readsAt(topology, goes!)) === 'ap-south')
  await waitFor(async () => (await stays!.call('GET', 'probe')) instanceof ErrorReply)
  const elsewhere = async () => (await calls(topology, 'ap-south')) + (await calls(topology, 'eu-west'))
  const before = await elsewhere()
  for (let i = 0; i < 10; i++) {
    const reply = await stays!.call('GET', 'probe')
    if (reply instanceof ErrorReply) expect(reply.message).toMatch(/^TRYAGAIN no node within max staleness 300 ms/)
  }
  // Nor when its replica is gone, and whatever the level.
  await topology.node('us-east').kill('SIGKILL')
  await waitFor(async () => (await calm!.call('GET', 'probe')) instanceof ErrorReply)
  for (let i = 0; i < 5; i++) {
    expect(await stays!.call('GET', 'probe')).toBeInstanceOf(ErrorReply)
    expect(await calm!.call('GET', 'probe')).toBeInstanceOf(ErrorReply)
    await sleep(20)
  }
  expect(await elsewhere()).toBe(before)
  expect(await readsAt(topology, goes!, ['eu-west', 'ap-south'])).toBe('ap-south')
}, 60_000)
