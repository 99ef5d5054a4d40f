/**
 * Strong reads see every write that was acknowledged to anybody before they came: by a mark and the replica next door where
 * the primary is far, else at the primary, which proves behind them that it is still it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { metric } from '../kit/metrics.ts'
import { ErrorReply } from '../kit/resp.ts'
import { regionsFor, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const tenants = { shop: { consistency: 'strong', users: { 'shop-app': { password: 'demo' } } } }

test('far from the primary they are the replica’s, one mark for many, and none is old', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'ap-south'], rttMs: { 'eu-west:ap-south': 120 } })
  const proxy = await startProxy(
    { region: 'ap-south', primary: 'eu-west', regions: regionsFor(topology, 'ap-south'), tenants },
    { env: { REGIS_PARANOID: '1' } },
  )
  const local = async () => (await metric(proxy)).sum('regis_reads_total', { source: 'local' })
  const marks = async () => (await metric(proxy)).sum('regis_marks_sent_total', {})
  const probe = await proxy.client('shop-app')
  await waitFor(async () => {
    const before = await local()
    await probe.call('GET', 'x')
    return (await local()) > before
  })
  // Writes that bypass the proxy, each acknowledged before the next.
  let acked = 0
  let isOver = false
  const writing = (async () => {
    while (!isOver) {
      await topology.primary.call('SET', 'shop:n', acked + 1)
      acked++
      await sleep(2)
    }
  })()
  const before = { local: await local(), marks: await marks() }
  const startedAt = performance.now()
  const problems: string[] = []
  let count = 0
  const readers = Array.from({ length: 16 }, async (_, id) => {
    const client = await proxy.client('shop-app')
    if (id % 2 === 1) await client.call('HELLO', '3')
    for (let i = 0; i < 6; i++) {
      const floor = acked
      const replies = await client.pipeline([
        ['GET', 'n'],
        ['GET', 'n'],
        ['STRLEN', 'n'],
      ])
      count += 3
      for (const value of replies.slice(0, 2))
        if (Number(value) < floor) problems.push(`reader ${id}: ${value}, ${floor} was acknowledged`)
      // In two chunks: the second comes while the first waits for its mark.
      client.send('*2\r\n$3\r\nGET\r\n$1\r\nn\r\n')
      await sleep(15)
      const later = acked
      client.send('*2\r\n$3\r\nGET\r\n$1\r\nn\r\n')
      count += 2
      const [first, second] = [Number(await client.read()), Number(await client.read())]
      if (first < floor) problems.push(`reader ${id}, first chunk: ${first} < ${floor}`)
      if (second < later) problems.push(`reader ${id}, second chunk: ${second} < ${later}`)
    }
  })
  await Promise.all(readers)
  const tookMs = performance.now() - startedAt
  isOver = true
  await writing
  expect(problems).toEqual([])
  expect((await local()) - before.local).toBeGreaterThan(count / 10)
  // One mark serves all who wait: there are at most 200 a second of the reads', however many there are, besides the others.
  expect((await marks()) - before.marks).toBeLessThan(tookMs / 5 + tookMs / 6 + 50)
}, 60_000)

test('a primary that was demoted behind our back gives no old value as strong', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const proxy = await startProxy(
    { region: 'eu-west', primary: 'eu-west', regions: regionsFor(topology, 'eu-west'), tenants },
    { env: { REGIS_PARANOID: '1' } },
  )
  const client = await proxy.client('shop-app')
  const problems: string[] = []
  let refused = 0
  let answered = 0
  let [old, next] = [topology.node('eu-west'), topology.node('us-east')]
  for (let round = 1; round <= 4; round++) {
    await waitFor(async () => (await client.call('SET', 'k', `old${round}`)) === 'OK')
    await waitFor(async () => (await next.call('GET', 'shop:k')) === `old${round}`)
    const read = async (isNew: boolean) => {
      const value = await client.call('GET', 'k')
      if (value instanceof ErrorReply) {
        expect(value.message).toMatch(/^(MASTERDOWN|TRYAGAIN) .*not executed$/)
        refused++
      } else if (isNew && value !== `new${round}`) problems.push(`round ${round}: ${value}`)
      else answered++
    }
    for (let i = 0; i < 20; i++) await read(false)
    // The role moves, and a new value is acknowledged, before any probe of the proxy's can tell.
    await next.call('REPLICAOF', 'NO', 'ONE')
    await old.call('REPLICAOF', '127.0.0.1', String(next.port))
    await next.call('SET', 'shop:k', `new${round}`)
    for (let i = 0; i < 30; i++) await read(true)
    ;[old, next] = [next, old]
  }
  expect(problems).toEqual([])
  expect(refused).toBeGreaterThan(0)
  expect(answered).toBeGreaterThan(80)
}, 60_000)

test('writes that wait for replicas and reads that wait for a proof are answered in the order of one pipeline', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const proxy = await startProxy(
    {
      region: 'eu-west',
      primary: 'eu-west',
      regions: regionsFor(topology, 'eu-west'),
      tenants: { shop: { ...tenants.shop, durability: { replicas: 1, timeout: '2s' } } },
    },
    { env: { REGIS_PARANOID: '1' } },
  )
  const client = await proxy.client('shop-app')
  for (let i = 0; i < 20; i++) {
    const commands = [
      ['SET', 'a', i],
      ['GET', 'a'],
      ['GET', 'none'],
      ['PING'],
      ['INCR', 'n'],
      ['GET', 'n'],
      ['MULTI'],
    ] as const
    const more = [['SET', 'b', i], ['EXEC'], ['GET', 'b'], ['PING', 'x']] as const
    const replies = await client.pipeline([...commands, ...more])
    const text = String(i)
    expect(replies).toEqual(['OK', text, null, 'PONG', i + 1, String(i + 1), 'OK', 'QUEUED', ['OK'], text, 'x'])
  }
}, 60_000)
