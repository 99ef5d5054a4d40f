/**
 * Two workers, a primary that is far and a replica next door that lags: pairs of clients, one at each worker, of which one writes and
 * the other reads. Tells the reads that did not find what had been written.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RawClient } from './raw-client.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from './servers.ts'
import { clientAtEach } from './workers.ts'

export const workers = 2

export async function startAcross(root?: string) {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const proxy = await startProxy(
    {
      region: 'us-east',
      primary: 'eu-west',
      upstream: { timeout: '2s' },
      regions: regionsFor(topology, 'us-east'),
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } }, scripts: 'declared' } },
    },
    {
      args: ['--workers', String(workers)],
      env: { REGIS_PARANOID: '1' },
      ...(root === undefined ? {} : { root }),
    },
  )
  return { topology, proxy }
}

/** Would this client's read of the key be answered next door now? Nothing is read for it. */
export async function isLocal(client: RawClient, key: string): Promise<boolean> {
  const told = (await client.call('PROXY', 'EXPLAIN', 'GET', key)) as unknown[]
  return told[told.indexOf('region') + 1] === 'us-east'
}

export interface Pair {
  readonly name: string
  readonly clients: readonly [RawClient, RawClient]
}

export async function openPairs(proxy: StartedProxy, count: number): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (let i = 0; i < count; i++) {
    const clients = (await clientAtEach(proxy, workers, 'shop-app')) as [RawClient, RawClient]
    pairs.push({ name: `p${i}`, clients })
  }
  return pairs
}

export interface Seen {
  /** Reads that were let go next door, and all. */
  local: number
  reads: number
  readonly stale: string[]
}

/**
 * Each pair, one after the other: the one writes, the other reads, now this and now that. `patient`: the reader is one that would be
 * served next door, so that only the fence of the write keeps it from there.
 */
export async function writeHereReadThere(pairs: readonly Pair[], rounds: number, patient: boolean): Promise<Seen> {
  const seen: Seen = { local: 0, reads: 0, stale: [] }
  const one = async ({ name, clients }: Pair): Promise<void> => {
    for (let i = 0; i < rounds; i++) {
      const [from, to] = [clients[i % 2]!, clients[1 - (i % 2)]!]
      const key = `${name}:${i % 3}`
      // Not for ever: where reads never come home, the rest is looked at all the same.
      for (let tries = 0; patient && tries < 100 && !(await isLocal(to, key)); tries++) await sleep(20)
      if (await isLocal(to, key)) seen.local++
      const value = `${name}-${i}`
      const ways = [
        () => from.call('SET', key, value),
        () => from.pipeline([['MULTI'], ['SET', key, value], ['EXEC']]),
        () => from.call('EVAL', "return redis.call('SET', KEYS[1], ARGV[1])", '1', key, value),
        () => from.call('MSET', key, value, `${key}:too`, value),
      ]
      await ways[i % ways.length]!()
      const found = await to.call('GET', key)
      seen.reads++
      if (found !== value) seen.stale.push(`${key} after ${i % ways.length}: ${String(found)} and not ${value}`)
    }
  }
  await Promise.all(pairs.map(one))
  return seen
}
