/**
 * Read your writes, by key: while the replica next door lags, a read of what the tenant has just written is the primary's,
 * whoever wrote it and by whatever command; reads of other keys stay local meanwhile.
 */
import { metric } from '../kit/metrics.ts'
import { ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const reads = async (proxy: StartedProxy, source: string) => (await metric(proxy)).sum('regis_reads_total', { source })

async function start(more: object = {}) {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const proxy = await startProxy(
    {
      region: 'us-east',
      primary: 'eu-west',
      upstream: { timeout: '2s' },
      regions: regionsFor(topology, 'us-east'),
      tenants: { shop: { users: { 'shop-app': { password: 'demo' } }, scripts: 'declared', databases: 3, ...more } },
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  return { topology, proxy }
}

/** A connection that has read nothing finds what it wants next door: one that reads at a lagging replica's primary stays there. */
async function untilLocal(proxy: StartedProxy): Promise<void> {
  await waitFor(async () => {
    const client = await proxy.client('shop-app')
    const before = await reads(proxy, 'local')
    await client.call('GET', 'probe')
    client.close()
    return (await reads(proxy, 'local')) > before
  })
}

describe('while the near replica lags by half a second', () => {
  test('every way to write a key is seen by the next read of that key, and reads of other keys stay local', async () => {
    const { topology, proxy } = await start()
    const writer = await proxy.client('shop-app')
    await writer.call('RPUSH', 'ids', '1')
    for (let i = 0; i < 5; i++) await writer.call('SET', `still${i}`, 'x')
    await writer.call('SET', 'probe', 'x')
    await untilLocal(proxy)
    topology.setLag('us-east', 500)
    const problems: string[] = []
    const see = async (how: string, key: string, expected: unknown, ...ask: string[]) => {
      // A fresh connection each: what another has read at the primary would keep it there.
      const fresh = await proxy.client('shop-app')
      const reply = await fresh.call(...(ask.length > 0 ? ask : ['GET', key]))
      fresh.close()
      if (JSON.stringify(reply) !== JSON.stringify(expected)) problems.push(`${how}: ${JSON.stringify(reply)}`)
    }
    let before = await reads(proxy, 'local')
    const localSince = async (): Promise<number> => {
      const now = await reads(proxy, 'local')
      const count = now - before
      before = now
      return count
    }
    for (let round = 0; round < 2; round++) {
      const value = `v${round}`
      await writer.call('SET', 'one', value)
      await see('SET', 'one', value)
      await writer.call('MSET', 'm1', value, 'm2', value)
      await see('MSET', 'm1', [value, value], 'MGET', 'm1', 'm2')
      await writer.pipeline([['MULTI'], ['SET', 't1', value], ['APPEND', 't2', 'x'], ['EXEC']])
      await see('EXEC', 't1', value)
      await see('EXEC, the second key', 't2', 'x'.repeat(round + 1))
      await writer.call('WATCH', 'w')
      await writer.pipeline([['MULTI'], ['SET', 'w', value], ['EXEC']])
      await see('EXEC on a lease', 'w', value)
      await writer.call('RPUSH', 'list', value, value)
      await writer.call('BLPOP', 'list', '1')
      await see('BLPOP', 'list', round + 1, 'LLEN', 'list')
      await writer.pipeline([
        ['SELECT', '2'],
        ['SET', 'db', value],
        ['COPY', 'db', 'copied', 'DB', '0', 'REPLACE'],
        ['SELECT', '0'],
      ])
      await see('COPY from another database', 'copied', value)
      await writer.call('SET', 'big', value.repeat(50_000))
      await see('a large SET', 'big', value.repeat(50_000).length, 'STRLEN', 'big')
      await writer.call('SET', 'by-1', value)
      await see('keys found by a pattern', 'ids', [value], 'SORT_RO', 'ids', 'BY', 'nosort', 'GET', 'by-*')
      await writer.call('SET', `n${round}`, 'x')
      const size = await (await proxy.client('shop-app')).call('DBSIZE')
      if (typeof size !== 'number' || size < 15) problems.push(`DBSIZE: ${size}`)
      // Last, for a script's keys are not known: it holds for all of the tenant's. Two kinds in turn.
      if (round % 2 === 0) {
        await writer.call('EVAL', "return redis.call('set', KEYS[1], ARGV[1])", '1', 's', value)
        await see('EVAL', 's', value)
      } else {
        const failed = await writer.call('EVAL', "redis.call('set', KEYS[1], ARGV[1]) error('x')", '1', 'se', value)
        if (!(failed instanceof ErrorReply)) problems.push('the script did not fail')
        await see('EVAL that failed behind its write', 'se', value)
      }
      await untilLocal(proxy)
    }
    expect(problems).toEqual([])
    expect(await localSince()).toBeGreaterThan(0)
    // One connection that writes a key all the time, and reads others: nothing of that needs the primary.
    await untilLocal(proxy)
    const chatty = await proxy.client('shop-app')
    await localSince()
    for (let i = 0; i < 40; i++) {
      expect(await chatty.call('SET', 'hot', String(i))).toBe('OK')
      for (let n = 0; n < 5; n++) expect(await chatty.call('GET', `still${n}`)).toBe('x')
    }
    expect(await localSince()).toBe(200)
    expect(await chatty.call('GET', 'hot')).toBe('39')
    expect(await localSince()).toBe(0)
    // In one chunk: reads of other keys before and behind that of the written one come in order, from one node.
    await chatty.call('SET', 'hot', 'last')
    expect(
      await chatty.pipeline([
        ['GET', 'still1'],
        ['GET', 'hot'],
        ['GET', 'still2'],
      ]),
    ).toEqual(['x', 'last', 'x'])
  }, 60_000)

  test('what a connection has read at the primary it does not find older next door', async () => {
    const { topology, proxy } = await start()
    await topology.primary.call('SET', 'shop:0:up', '0')
    await (await proxy.client('shop-app')).call('SET', 'probe', 'x')
    await untilLocal(proxy)
    topology.setLag('us-east', 400)
    const problems: string[] = []
    for (let round = 1; round <= 8; round++) {
      const client = await proxy.client('shop-app')
      await topology.primary.call('INCR', 'shop:0:up')
      await client.call('SET', 'own', String(round))
      // Its own write takes this read to the primary, and `up`, which no write of this tenant fences, with it.
      const both = await client.call('MGET', 'own', 'up')
      const alone = await client.call('GET', 'up')
      if (JSON.stringify(both) !== JSON.stringify([String(round), String(round)])) problems.push(JSON.stringify(both))
      if (Number(alone) < round) problems.push(`${alone} after ${round}`)
      client.close()
    }
    expect(problems).toEqual([])
  }, 60_000)

  test('the first write of a tenant is seen, and comes home by its own mark', async () => {
    const { topology, proxy } = await start()
    await waitFor(async () => (await metric(proxy)).sum('regis_marks_sent_total', {}) > 2)
    topology.setLag('us-east', 300)
    const [writer, other] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
    await writer.call('SET', 'first', '1')
    expect(await other.call('GET', 'first')).toBe('1')
    topology.setLag('us-east', 0)
    await untilLocal(proxy)
    expect(await writer.call('GET', 'first')).toBe('1')
  }, 60_000)
})

test('a stopped replica, and one that goes back in time, serve nothing that was written since', async () => {
  const { topology, proxy } = await start()
  const [writer, other] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
  await writer.call('SET', 'k', '0')
  await writer.call('SET', 'probe', 'x')
  await untilLocal(proxy)
  const replica = topology.node('us-east')
  await replica.kill('SIGSTOP')
  let n = 0
  const endsAt = performance.now() + 3_000
  while (performance.now() < endsAt) {
    expect(await writer.call('SET', 'k', String(++n))).toBe('OK')
    const value = await other.call('GET', 'k')
    if (value instanceof ErrorReply) expect(value.message).toMatch(/^TRYAGAIN /)
    else expect(value).toBe(String(n))
  }
  await replica.kill('SIGCONT')
  for (let i = 0; i < 300; i++) {
    await writer.call('SET', 'k', String(++n))
    expect(await other.call('GET', 'k')).toBe(String(n))
  }
  await untilLocal(proxy)
  // It loses its link and what it holds: an empty server with the same address, then attached again.
  const before = String(n)
  await replica.call('REPLICAOF', 'NO', 'ONE')
  // Noticed: there are two that say they are the primary. (Within one interval of the probes it could not be; docs/not-yet.md.)
  await waitFor(async () => (await writer.call('SET', 'while-split', 'x')) instanceof ErrorReply)
  await replica.call('FLUSHALL')
  await replica.call('REPLICAOF', '127.0.0.1', String(topology.primary.port))
  let seen = 0
  for (let i = 0; i < 20_000 && seen < 200; i++) {
    const value = await other.call('GET', 'k')
    if (value instanceof ErrorReply) expect(value.message).toMatch(/^TRYAGAIN /)
    else {
      expect(value).toBe(before)
      seen++
    }
  }
  expect(seen).toBe(200)
}, 60_000)
