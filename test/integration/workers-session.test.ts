/**
 * The session promise is the whole proxy's: what a client has written at one worker, the next read at the other finds, while the
 * replica next door lags; and reads of what nobody has just written stay there.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { clientAtEach, workerPids } from '../kit/workers.ts'

const workers = 2
const rounds = Number(process.env['ROUNDS'] ?? 1_500)

async function start(root?: string) {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const proxy = await startProxy(
    {
      region: 'us-east',
      primary: 'eu-west',
      upstream: { timeout: '2s' },
      regions: regionsFor(topology, 'us-east'),
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } }, scripts: 'declared' } },
    },
    { args: ['--workers', String(workers)], env: { REGIS_PARANOID: '1' }, ...(root === undefined ? {} : { root }) },
  )
  return { topology, proxy }
}

/** Where this client's next read goes: asked of the proxy itself, nothing is read. */
async function isLocal(client: RawClient, key: string): Promise<boolean> {
  return JSON.stringify(await client.call('PROXY', 'EXPLAIN', 'GET', key)).includes('us-east')
}

test('what was written at one worker is read at the other', async () => {
  const { topology, proxy } = await start()
  const [one, other] = (await clientAtEach(proxy, workers, 'shop-app')) as [RawClient, RawClient]
  topology.setLag('us-east', 30)
  console.log(JSON.stringify(await other.call('PROXY', 'EXPLAIN', 'GET', 'x')))
  const stale: string[] = []
  for (let i = 0; i < rounds; i++) {
    const [from, to] = i % 2 === 0 ? [one, other] : [other, one]
    await from.call('SET', `k${i % 20}`, i)
    const found = await to.call('GET', `k${i % 20}`)
    if (found !== String(i)) stale.push(`${i}: ${found}`)
  }
  expect(stale).toEqual([])
  console.log((await metric(proxy)).text?.slice?.(0, 100))
}, 120_000)
