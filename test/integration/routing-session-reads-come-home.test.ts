/**
 * Session reads far from the primary: they see the tenant's writes, and they are served by the replica again as soon as
 * it has them, also for a client that never pauses. Counted in the proxy's own metrics.
 */
import { configFor, startProxy, startReplicaSet } from '../kit/servers.ts'

async function readsBySource(adminPort: number, tenant: string): Promise<Record<string, number>> {
  const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const found: Record<string, number> = {}
  for (const line of page.split('\n')) {
    const match = /^regis_reads_total\{(.*)\} (\d+)$/.exec(line)
    if (match === null || !match[1]!.includes(`tenant="${tenant}"`)) continue
    const source = /source="(\w+)"/.exec(match[1]!)![1]!
    found[source] = (found[source] ?? 0) + Number(match[2])
  }
  return found
}

test('a client that writes, and reads without a pause, gets its own writes, most of them from the replica', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'ap-south'], rttMs: { 'eu-west:ap-south': 60 } })
  const proxy = await startProxy(configFor(topology, 'ap-south'), { region: 'ap-south' })
  const client = await proxy.client('shop-app')
  // The first session read tells the proxy that marks behind this tenant's writes are wanted.
  await client.call('GET', 'counter')
  await new Promise((resolve) => setTimeout(resolve, 500))
  const before = await readsBySource(proxy.adminPort, 'shop')
  for (let i = 1; i <= 20; i++) {
    expect(await client.call('SET', 'counter', String(i))).toBe('OK')
    for (let read = 0; read < 10; read++) expect(await client.call('GET', 'counter')).toBe(String(i))
  }
  const after = await readsBySource(proxy.adminPort, 'shop')
  const local = (after['local'] ?? 0) - (before['local'] ?? 0)
  const primary = (after['primary'] ?? 0) - (before['primary'] ?? 0)
  expect(local + primary).toBe(200)
  // Without marks behind the writes it is none at all: each reply of the primary asks for a newer mark than the last.
  expect(local).toBeGreaterThan(150)
})

test('another connection of the tenant reads the write too, wherever it was written', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'ap-south'], rttMs: { 'eu-west:ap-south': 40 } })
  const proxy = await startProxy(configFor(topology, 'ap-south'), { region: 'ap-south' })
  const writer = await proxy.client('shop-app')
  const other = await proxy.client('shop-app')
  const third = await proxy.client('shop-app')
  expect(await third.call('HELLO', '3')).toBeDefined()
  for (let i = 1; i <= 50; i++) {
    await (i % 2 === 0 ? writer : third).call('SET', 'k', String(i))
    expect(await other.call('GET', 'k')).toBe(String(i))
  }
})
