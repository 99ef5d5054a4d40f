/**
 * PROXY TOKEN and PROXY AFTER by an unmodified client, through two proxies in two regions, each with a replica of its own that
 * lags: what was written or read here is seen there.
 */
import { metric } from '../kit/metrics.ts'
import { ErrorReply } from '../kit/resp.ts'
import { regionsFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenants = {
  shop: { consistency: 'eventual', users: { 'shop-app': { password: 'demo' } } },
  other: { users: { 'other-app': { password: 'demo' } } },
}
const reads = async (proxy: StartedProxy, source: string) => (await metric(proxy)).sum('regis_reads_total', { source })

async function twoRegions(password?: string) {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east', 'ap-south'] })
  const server = ['eu-west', 'us-east', 'ap-south'].map((region) => topology.node(region))
  if (password !== undefined) {
    for (const node of server) {
      await node.call('CONFIG', 'SET', 'masterauth', password)
    }
    // The default user keeps needing none; the proxies log in as one that has a password.
    for (const node of server)
      await node.call('ACL', 'SETUSER', 'regis', 'on', `>${password}`, 'allkeys', 'allchannels', '+@all')
  }
  const start = (region: string) =>
    startProxy(
      {
        region,
        primary: 'eu-west',
        ...(password === undefined ? {} : { upstream: { username: 'regis', password } }),
        regions: regionsFor(topology, region),
        tenants,
      },
      { region, env: { REGIS_PARANOID: '1' } },
    )
  return { topology, us: await start('us-east'), ap: await start('ap-south') }
}

async function untilLocal(proxy: StartedProxy): Promise<void> {
  await waitFor(async () => {
    const client = await proxy.client('shop-app')
    const before = await reads(proxy, 'local')
    await client.call('GET', 'probe')
    client.close()
    return (await reads(proxy, 'local')) > before
  })
}

test('a token carries what was written and read to another connection, through any proxy, at any level', async () => {
  const { topology, us, ap } = await twoRegions('upstream-secret')
  const [writer, near] = [await us.client('shop-app'), await us.client('shop-app')]
  await untilLocal(us)
  await untilLocal(ap)
  topology.setLag('us-east', 400)
  topology.setLag('ap-south', 400)
  await writer.call('SET', 'lagging', 'x')
  let staleWithout = 0
  for (let i = 0; i < 5; i++) {
    expect(await writer.call('SET', 'k', String(i))).toBe('OK')
    const token = String(await writer.call('PROXY', 'TOKEN'))
    expect(token.length).toBeLessThanOrEqual(64)
    const far = await ap.client('shop-app')
    if ((await far.call('GET', 'k')) !== String(i)) staleWithout++
    for (const client of [near, far]) {
      expect(await client.call('PROXY', 'AFTER', token)).toBe('OK')
      expect(await client.call('GET', 'k')).toBe(String(i))
      expect(await client.call('MGET', 'k', 'none')).toEqual([String(i), null])
    }
    // What was read, too: written by somebody else, seen at the primary, told to a third.
    await topology.primary.call('SET', 'shop:foreign', i)
    expect(await near.call('PROXY', 'CONSISTENCY', 'strong')).toBe('OK')
    expect(await near.call('GET', 'foreign')).toBe(String(i))
    expect(await near.call('PROXY', 'CONSISTENCY', 'default')).toBe('OK')
    const read = String(await near.call('PROXY', 'TOKEN'))
    expect(await far.call('PROXY', 'AFTER', read)).toBe('OK')
    expect(await far.call('GET', 'foreign')).toBe(String(i))
    far.close()
  }
  expect(staleWithout).toBeGreaterThan(0) // without it the replica's older value is what an eventual read gives
  // Later reads hold it and come home when the replica has it.
  const home = await ap.client('shop-app')
  expect(await home.call('PROXY', 'AFTER', String(await writer.call('PROXY', 'TOKEN')))).toBe('OK')
  const before = await reads(ap, 'local')
  await waitFor(async () => {
    expect(await home.call('GET', 'k')).toBe('4')
    return (await reads(ap, 'local')) > before
  })

  const token = String(await writer.call('PROXY', 'TOKEN'))
  const stranger = await us.client('other-app')
  for (const [client, text] of [
    [stranger, token],
    [near, `${token.slice(0, -2)}AA`],
    [near, 'nonsense'],
    [near, 'x'.repeat(10_000)],
  ] as const) {
    const reply = await client.call('PROXY', 'AFTER', text)
    expect(reply instanceof ErrorReply && reply.message).toBe('ERR invalid session token')
  }
  expect((await metric(ap)).sum('regis_session_lost_writes_possible_total', {})).toBe(0)

  // Another history: the token is void, its reads begin at the primary, and that is counted.
  topology.setLag('us-east', 0)
  topology.setLag('ap-south', 0)
  const [old, next] = [topology.node('eu-west'), topology.node('us-east')]
  await next.call('REPLICAOF', 'NO', 'ONE')
  await old.call('REPLICAOF', '127.0.0.1', String(next.port))
  const late = await ap.client('shop-app')
  await waitFor(async () => {
    expect(await late.call('PROXY', 'AFTER', token)).toBe('OK')
    return (await metric(ap)).sum('regis_session_lost_writes_possible_total', {}) > 0
  })
  await waitFor(async () => (await late.call('GET', 'k')) === '4')
}, 60_000)

test('without a password for the servers a token is its own proxy’s alone', async () => {
  const { us, ap } = await twoRegions()
  const token = String(await (await us.client('shop-app')).call('PROXY', 'TOKEN'))
  expect(await (await us.client('shop-app')).call('PROXY', 'AFTER', token)).toBe('OK')
  const reply = await (await ap.client('shop-app')).call('PROXY', 'AFTER', token)
  expect(reply instanceof ErrorReply && reply.message).toBe('ERR invalid session token')
}, 60_000)
