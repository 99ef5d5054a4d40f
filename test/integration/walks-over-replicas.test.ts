/**
 * Where walks go: a replica that keeps the client's promise, else the primary; and what a client is told when the server that it
 * walks on is lost. Deleting is the primary's, with one message for who caches.
 */
import type { RawClient } from '../kit/raw-client.ts'
import { ErrorReply } from '../kit/resp.ts'
import { configFor, rawClient, type StartedProxy, startProxy, startRedis, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

async function fill(client: RawClient, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1000) {
    const pairs = Array.from({ length: Math.min(1000, count - at) }, (_, i) => [`k${at + i}`, 'v'])
    expect(await client.call('MSET', ...pairs.flat())).toBe('OK')
  }
}

/** How often a server was asked for something. */
async function calls(server: RawClient, command: string): Promise<number> {
  const info = String(await server.call('INFO', 'commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
}

describe('with a replica in the region', () => {
  let primary: RawClient
  let replica: RawClient
  let proxy: StartedProxy

  beforeAll(async () => {
    const topology = await startReplicaSet({ regions: ['us', 'eu'], rttMs: { 'us:eu': 20 } })
    primary = await rawClient(topology.node('us').port)
    replica = await rawClient(topology.node('eu').port)
    proxy = await startProxy(configFor(topology, 'eu'), { region: 'eu' })
  })

  test('reads of the keyspace are answered there, with everything that the client has written', async () => {
    const client = await proxy.client('shop-app')
    for (let round = 1; round <= 20; round++) {
      await client.call('SET', `k${round}`, 'v')
      expect(await client.call('DBSIZE')).toBe(round)
      expect(await client.call('KEYS', 'k*')).toHaveLength(round)
    }
    await waitFor(async () => {
      await client.call('DBSIZE')
      return (await calls(replica, 'scan')) > 0
    })
    const before = await calls(primary, 'scan')
    expect(await client.call('FLUSHALL')).toBe('OK')
    // Deleted at the primary, and seen at once, wherever the next read goes.
    expect(await calls(primary, 'scan')).toBeGreaterThan(before)
    expect(await client.call('DBSIZE')).toBe(0)
    expect(await client.call('GET', 'k1')).toBeNull()
  })

  test('pages of one SCAN come from one server, while others go elsewhere', async () => {
    const client = await proxy.client('shop-app')
    const strong = await proxy.client('shop-app')
    await strong.call('PROXY', 'CONSISTENCY', 'strong')
    await fill(client, 2_000)
    const found = new Set<string>()
    let cursor = '0'
    do {
      const [next, names] = (await client.call('SCAN', cursor)) as [string, string[]]
      cursor = next
      for (const name of names) found.add(name)
      // Another connection, another promise: the cursor says where it belongs.
      const [other, more] = (await strong.call('SCAN', cursor)) as [string, string[]]
      if (cursor !== '0') {
        for (const name of more) found.add(name)
        cursor = other
      }
    } while (cursor !== '0')
    expect(found.size).toBe(2_000)
  })

  test('who caches keys is told once that all are gone', async () => {
    const cache = await proxy.client('shop-app')
    await cache.call('HELLO', '3')
    await cache.call('SET', 'cached', '1')
    expect(await cache.call('CLIENT', 'TRACKING', 'ON')).toBe('OK')
    await cache.call('GET', 'cached')
    const other = await proxy.client('shop-app')
    expect(await other.call('FLUSHDB')).toBe('OK')
    let pushes = ''
    await waitFor(async () => {
      pushes += await cache.readRaw()
      return pushes.includes('$10\r\ninvalidate\r\n_\r\n')
    })
    expect(pushes.split('invalidate\r\n_\r\n')).toHaveLength(2)
  })

  test('INFO counts who waits, and CLIENT UNBLOCK ends the wait', async () => {
    const client = await proxy.client('shop-app')
    const blocked = await proxy.client('shop-app')
    const id = (await blocked.call('CLIENT', 'ID')) as number
    const reply = blocked.call('BLPOP', 'nothing', '0')
    await waitFor(async () => /blocked_clients:1\r/.test(String(await client.call('INFO', 'clients'))))
    expect(String(await client.call('CLIENT', 'LIST', 'ID', id))).toContain('flags=b')
    const stranger = await proxy.client('analytics-app')
    expect(await stranger.call('CLIENT', 'UNBLOCK', id)).toBe(0)
    expect(await client.call('CLIENT', 'UNBLOCK', id, 'ERROR')).toBe(1)
    expect(await reply).toEqual(new ErrorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK'))
    expect(await client.call('CLIENT', 'UNBLOCK', id)).toBe(0)
  })
})

test('a cursor of a server that was restarted is invalid, and a walk over a lost one ends with an error', async () => {
  const server = await startRedis()
  const config = {
    region: 'eu',
    primary: 'eu',
    regions: { eu: { nodes: [server.url] } },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
  }
  const proxy = await startProxy(config)
  const client = await proxy.client('shop-app')
  await fill(client, 5_000)
  const [cursor] = (await client.call('SCAN', '0')) as [string]
  expect(await client.call('SCAN', cursor)).not.toBeInstanceOf(ErrorReply)
  await server.stop()
  for (const args of [['KEYS', '*'], ['DBSIZE'], ['FLUSHALL'], ['RANDOMKEY'], ['SCAN', cursor]]) {
    const reply = await client.call(...args)
    expect([args, reply]).toEqual([args, expect.any(ErrorReply)])
  }
  const again = await startRedis({ port: server.port })
  await waitFor(async () => (await client.call('SET', 'back', '1')) === 'OK')
  expect(await client.call('SCAN', cursor)).toEqual(new ErrorReply('ERR invalid cursor'))
  expect(await client.call('DBSIZE')).toBe(1)
  await again.stop()
})
