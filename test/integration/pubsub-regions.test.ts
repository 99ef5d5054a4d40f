/**
 * Subscribe in one region, publish from another; a message does not overtake the write it tells of; the node that is
 * listened to is lost, comes back, and moves: nothing twice, and nothing lost while both nodes live.
 */

import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded } from '../kit/resp.ts'
import { configFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

async function gaps(proxy: StartedProxy): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${proxy.adminPort}/metrics`)).text()
  return [...page.matchAll(/^regis_pubsub_gaps_total\{.*\} (\d+)$/gm)].reduce((sum, match) => sum + Number(match[1]), 0)
}

/** Gathers numbered messages of a channel as they come. */
function gather(client: RawClient): number[] {
  const heard: number[] = []
  void (async () => {
    for (;;) {
      const reply = await client.read(60_000).catch(() => undefined)
      if (reply === undefined) return
      const items = reply as Decoded[]
      if (items[0] === 'message') heard.push(Number(items[2]))
    }
  })()
  return heard
}

const isOrderedOnce = (heard: readonly number[]): boolean => heard.every((n, i) => i === 0 || n > heard[i - 1]!)

test('a message from another region arrives behind the write it tells of, on the replica that the reader reads', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'ap-south'], rttMs: { 'eu-west:ap-south': 60 } })
  const eu = await startProxy(configFor(topology, 'eu-west'), { region: 'eu-west' })
  const ap = await startProxy(configFor(topology, 'ap-south'), { region: 'ap-south' })
  const [listener, reader] = [await ap.client('shop-app'), await ap.client('shop-app')]
  await reader.call('PROXY', 'CONSISTENCY', 'eventual')
  expect(await listener.call('SUBSCRIBE', 'changed')).toEqual(['subscribe', 'changed', 1])
  expect(await topology.node('ap-south').call('PUBSUB', 'NUMSUB', 'shop:changed')).toEqual(['shop:changed', 1])
  const writer = await eu.client('shop-app')
  for (let i = 1; i <= 100; i++) {
    await writer.pipeline([
      ['SET', 'k', String(i)],
      ['PUBLISH', 'changed', String(i)],
    ])
    const [, , told] = (await listener.read()) as string[]
    expect(told).toBe(String(i))
    expect(Number(await reader.call('GET', 'k'))).toBeGreaterThanOrEqual(i)
  }
  // And the other way round, from the far region to the near one.
  const near = await eu.client('shop-app')
  await near.call('SUBSCRIBE', 'changed')
  expect(await (await ap.client('shop-app')).call('PUBLISH', 'changed', 'back')).toBe(1)
  expect(await near.read()).toEqual(['message', 'changed', 'back'])
  expect(await listener.read()).toEqual(['message', 'changed', 'back'])
})

test('an expiry is told as such in every region, though replicas only delete', async () => {
  const topology = await startReplicaSet({
    regions: ['eu-west', 'ap-south'],
    args: ['--notify-keyspace-events', 'KEA'],
  })
  const ap = await startProxy(configFor(topology, 'ap-south'), { region: 'ap-south' })
  const [exact, pattern, writer] = [
    await ap.client('shop-app'),
    await ap.client('shop-app'),
    await ap.client('shop-app'),
  ]
  await exact.call('SUBSCRIBE', '__keyevent@0__:expired')
  await pattern.call('PSUBSCRIBE', '__keyevent@*__:expired')
  await writer.call('SET', 'k', '1', 'PX', '20')
  expect(await exact.read()).toEqual(['message', '__keyevent@0__:expired', 'k'])
  expect(await pattern.read()).toEqual(['pmessage', '__keyevent@*__:expired', '__keyevent@0__:expired', 'k'])
  expect(exact.unread + pattern.unread).toBe('')
})

test('when the node is lost its subscribers are served by another, and by the first again when it is back', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'ap-south'], rttMs: { 'eu-west:ap-south': 20 } })
  const ap = await startProxy(configFor(topology, 'ap-south'), { region: 'ap-south' })
  const eu = await startProxy(configFor(topology, 'eu-west'), { region: 'eu-west' })
  const listener = await ap.client('shop-app')
  await listener.call('SUBSCRIBE', 'n')
  const heard = gather(listener)
  const publisher = await eu.client('shop-app')
  let published = 0
  let isOver = false
  const publishing = (async () => {
    while (!isOver) {
      // For a moment the restarted server is a second primary, and nothing is published.
      if (typeof (await publisher.call('PUBLISH', 'n', String(published + 1))) === 'number') published++
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()
  const hearsNew = async () => {
    const from = published
    await waitFor(() => heard.at(-1)! > from)
  }
  await hearsNew()
  expect(await gaps(ap)).toBe(0)

  await topology.node('ap-south').kill('SIGKILL')
  await waitFor(async () => (await gaps(ap)) > 0)
  await hearsNew()
  expect(await topology.primary.call('PUBSUB', 'NUMSUB', 'shop:n')).toEqual(['shop:n', 1])
  const another = await ap.client('shop-app')
  expect(await another.call('SUBSCRIBE', 'n')).toEqual(['subscribe', 'n', 1])

  const lost = await gaps(ap)
  const from = heard.length
  await topology.restart('ap-south')
  await waitFor(async () => ((await topology.primary.call('PUBSUB', 'NUMSUB', 'shop:n')) as unknown[])[1] === 0, 30_000)
  expect(await topology.node('ap-south').call('PUBSUB', 'NUMSUB', 'shop:n')).toEqual(['shop:n', 1])
  await hearsNew()
  isOver = true
  await publishing
  await waitFor(() => heard.at(-1) === published)
  expect(isOrderedOnce(heard)).toBe(true)
  // The way back was between two living nodes: whole.
  expect(heard.slice(from)).toEqual(Array.from({ length: heard.length - from }, (_, i) => heard[from]! + i))
  expect(await gaps(ap)).toBe(lost)
})

test('when the nearest node lags, is cut off and comes back, every message comes once, or is counted as lost', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'ap-south'], rttMs: { 'eu-west:ap-south': 10 } })
  const ap = await startProxy(configFor(topology, 'ap-south'), { region: 'ap-south' })
  const listener = await ap.client('shop-app')
  await listener.call('SUBSCRIBE', 'n')
  const heard = gather(listener)
  const publisher = await ap.client('shop-app')
  let published = 0
  const publish = async (count: number) => {
    for (let i = 0; i < count; i += 10) {
      publisher.send(Buffer.concat(Array.from({ length: 10 }, () => command('PUBLISH', 'n', String(++published)))))
      for (let k = 0; k < 10; k++) await publisher.read()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await publish(200)
  topology.setLag('ap-south', 300)
  await publish(200)
  // The replica's link is cut: it is not fit to be read while the primary is there, so the primary is listened to.
  topology.replication('ap-south').partition(true)
  topology.replication('ap-south').reset()
  await publish(100)
  await waitFor(async () => ((await topology.primary.call('PUBSUB', 'NUMSUB', 'shop:n')) as unknown[])[1] === 1, 30_000)
  await publish(200)
  topology.replication('ap-south').partition(false)
  const back = publish(600)
  await waitFor(async () => ((await topology.primary.call('PUBSUB', 'NUMSUB', 'shop:n')) as unknown[])[1] === 0, 30_000)
  await back
  await publish(100)
  await waitFor(() => heard.at(-1) === published)
  expect(isOrderedOnce(heard)).toBe(true)
  const missing = published - heard.length
  if (missing > 0) expect(await gaps(ap)).toBeGreaterThan(0)
  // Nothing of the end, which was quiet, is missing.
  expect(heard.slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => published - 99 + i))
})

test('without any node SUBSCRIBE says so in the end, and the connection is as it was', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west'] })
  const eu = await startProxy(configFor(topology, 'eu-west'), { region: 'eu-west' })
  const client = await eu.client('shop-app')
  await topology.primary.kill('SIGKILL')
  await waitFor(async () => String(await client.callRaw('GET', 'k')).startsWith('-TRYAGAIN'))
  expect(await client.callRaw('SUBSCRIBE', 'a', 'b')).toMatch(/^-TRYAGAIN/)
  expect(await client.call('PING')).toBe('PONG')
  expect(await client.call('PUBSUB', 'CHANNELS')).toEqual([])
  await topology.primary.restart()
  await waitFor(async () => !String(await client.callRaw('GET', 'k')).startsWith('-'))
  expect(await client.call('SUBSCRIBE', 'a')).toEqual(['subscribe', 'a', 1])
})
