/** What a connection has read and its tenant has written binds it in places where it is easily forgotten: behind RESET, on later pages of SCAN. */
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { type Decoded, ErrorReply } from '../kit/resp.ts'
import { rawClient, regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

let topology: Awaited<ReturnType<typeof startReplicaSet>>
let proxy: StartedProxy
let primary: RawClient

beforeAll(async () => {
  topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  primary = await rawClient(topology.node('eu-west').port)
  proxy = await startProxy({
    region: 'us-east',
    primary: 'eu-west',
    regions: regionsFor(topology, 'us-east'),
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
  })
})

/** The replica next door serves again, with everything that was written. */
async function untilLocal(): Promise<void> {
  topology.setLag('us-east', 0)
  const local = async () => (await metric(proxy)).sum('regis_reads_total', { source: 'local' })
  await waitFor(async () => {
    const before = await local()
    const client = await proxy.client('shop-app')
    await client.call('GET', 'probe')
    client.close()
    return (await local()) > before
  })
}

test('RESET and a login with the same tenant: nothing older than what was read before', async () => {
  await untilLocal()
  topology.setLag('us-east', 400)
  for (let i = 0; i < 5; i++) {
    const client = await proxy.client('shop-app')
    // Written by somebody else, and seen by this connection at the primary.
    await primary.call('SET', `shop:k${i}`, 'x')
    expect(await client.call('TOUCH', `k${i}`)).toBe(1)
    expect(await client.call('RESET')).toBe('RESET')
    expect(await client.call('AUTH', 'shop-app', 'demo')).toBe('OK')
    expect(await client.call('EXISTS', `k${i}`)).toBe(1)
    client.close()
  }
})

describe.each(['session', 'strong', 'bounded'])('SCAN, %s', (level) => {
  test('a page that a lagging replica must give comes when it has what was written before it was asked for', async () => {
    await untilLocal()
    const client = await proxy.client('shop-app')
    const names = Array.from({ length: 300 }, (_, i) => `page${i}`)
    await client.call('MSET', ...names.flatMap((name) => [name, 'x']))
    await untilLocal()
    const reader = await proxy.client('shop-app')
    const [cursor] = (await reader.call('SCAN', '0', 'COUNT', '20', 'MATCH', 'page*')) as [string, string[]]
    expect(cursor).not.toBe('0')
    await reader.call('PROXY', 'CONSISTENCY', level)
    topology.setLag('us-east', 600)
    expect(await client.call('UNLINK', ...names)).toBe(300)
    // Longer ago than a bounded read may be behind.
    if (level === 'bounded') await new Promise((resolve) => setTimeout(resolve, 520))
    let page: Decoded
    do page = await reader.call('SCAN', cursor, 'COUNT', '1000', 'MATCH', 'page*')
    while (page instanceof ErrorReply && page.message.startsWith('TRYAGAIN ')) // it waits for a second at most
    expect(page).toEqual(['0', []])
  })
})
