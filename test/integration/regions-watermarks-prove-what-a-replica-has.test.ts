import { chooseRead, LEVEL, newReadNeed, type ReadNeed } from '../../src/routing/choose.ts'
import { startRedis, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { addressAt, keepActive, startTracker, untilShown } from './regions-kit.ts'

const bounded = (maxStalenessMs: number): ReadNeed => ({
  ...newReadNeed(),
  level: LEVEL.bounded,
  maxStalenessMs,
  lastNode: -1,
  lastIncarnation: 0,
  seen: 0,
})

test('a replica that shows a mark has every write that was acknowledged before the mark was sent', async () => {
  const servers = await startReplicaSet({ regions: ['eu', 'us'], rttMs: { 'eu:us': 8 } })
  const [primary, replica] = [servers.node('eu'), servers.node('us')]
  const tracker = await startTracker([addressAt('eu', primary.port), addressAt('us', replica.port)], 'us')
  const node = tracker.nodes[1]!
  await untilShown(tracker, node)

  let staleAtOnce = 0
  for (let round = 1; round <= 200; round++) {
    await primary.call('SET', 'key', round)
    if ((await replica.call('GET', 'key')) !== String(round)) staleAtOnce++
    const position = tracker.marks.nextSeq
    tracker.marks.wantWithin(0)
    const value = await new Promise((resolve) => {
      let isOver = false
      tracker.onShown((shown) => {
        if (isOver || shown !== node || shown.shownSeq < position) return
        isOver = true
        resolve(replica.call('GET', 'key'))
      })
    })
    expect(value).toBe(String(round))
  }
  // Without the mark the replica is behind: the loop above could have failed.
  expect(staleAtOnce).toBeGreaterThan(100)
})

test('staleness follows a delay on the replication link, and the order of choice with it', async () => {
  const servers = await startReplicaSet({ regions: ['eu', 'us'] })
  const tracker = await startTracker(
    [addressAt('eu', servers.node('eu').port), addressAt('us', servers.node('us').port)],
    'us',
    { distances: { eu: 80, us: 1 } }, // both are on this machine: measured, either may be the nearer one
  )
  keepActive(tracker)
  const [eu, us] = tracker.nodes as [(typeof tracker.nodes)[0], (typeof tracker.nodes)[0]]
  const choice = { reason: 0, passedOver: -1 }
  const choose = (maxStalenessMs: number) =>
    chooseRead(bounded(maxStalenessMs), tracker.readOrder, tracker.primary, performance.now(), choice)

  await untilShown(tracker, us)
  expect(tracker.readOrder[0]).toBe(us)
  expect(choose(1_000)).toBe(us.index)

  servers.replication('us').setDelay(400)
  // What is under way arrives first; then every mark takes 400 ms, so no moment can look fresher than that.
  const before = tracker.marks.nextSeq
  await waitFor(() => us.shownSeq > before)
  for (let look = 0; look < 20; look++) {
    expect(tracker.lagMs(us, performance.now())).toBeGreaterThanOrEqual(400)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(choose(300)).toBe(eu.index)
  expect(choice).toEqual({ reason: 1, passedOver: us.index })
  expect(choose(60_000)).toBe(us.index)

  servers.replication('us').setDelay(0)
  await waitFor(() => tracker.lagMs(us, performance.now()) < 300)
  expect(choose(300)).toBe(us.index)
})

test('marks pass a primary whose memory is full and one that lacks replicas, where writes are refused', async () => {
  const servers = await startReplicaSet({ regions: ['eu', 'us'] })
  const primary = servers.node('eu')
  const tracker = await startTracker([addressAt('eu', primary.port), addressAt('us', servers.node('us').port)], 'us')
  const replica = tracker.nodes[1]!

  await primary.call('CONFIG', 'SET', 'maxmemory', '1')
  await expect(primary.call('SET', 'a', '1').then(String, String)).resolves.toContain('OOM')
  await untilShown(tracker, replica)
  await primary.call('CONFIG', 'SET', 'maxmemory', '0')

  await primary.call('CONFIG', 'SET', 'min-replicas-to-write', '5')
  await expect(primary.call('SET', 'a', '1').then(String, String)).resolves.toContain('NOREPLICAS')
  await untilShown(tracker, replica)
  expect(tracker.marks.refused).toBe(0)
})

test('CLIENT PAUSE WRITE holds the marks back but not the knowledge who is primary', async () => {
  const servers = await startReplicaSet({ regions: ['eu', 'us'] })
  const primary = servers.node('eu')
  const tracker = await startTracker([addressAt('eu', primary.port), addressAt('us', servers.node('us').port)], 'us')
  const [eu, us] = tracker.nodes
  keepActive(tracker)
  await untilShown(tracker, us!)

  const { epoch } = tracker
  await primary.call('CLIENT', 'PAUSE', '1500', 'WRITE')
  const position = tracker.marks.nextSeq
  const answered = eu!.answeredSinceMs
  await waitFor(() => eu!.answeredSinceMs > answered + 500)
  expect(us!.shownSeq).toBeLessThan(position)
  expect(tracker.primary).toBe(eu)

  await waitFor(() => us!.shownSeq >= position)
  expect(tracker.epoch).toBe(epoch)
})

test('a mark that is published on a replica stays on that replica: it cannot prove anything about another node', async () => {
  const servers = await startReplicaSet({ regions: ['eu', 'us'] })
  const us = servers.node('us')
  const behind = await startRedis()
  await behind.replicaOf('127.0.0.1', us.port)
  await behind.untilInSync()
  const tracker = await startTracker(
    [addressAt('eu', servers.node('eu').port), addressAt('us', us.port), addressAt('ap', behind.port)],
    'us',
  )
  const [, replica, chained] = tracker.nodes
  await untilShown(tracker, chained!)

  const seq = tracker.marks.nextSeq - 1
  const shown = { replica: 0, chained: 0 }
  tracker.onShown((node) => {
    if (node === replica) shown.replica++
    if (node === chained) shown.chained++
  })
  // What a demoted primary would do with a mark of ours: the same number again, so that it counts as shown.
  await us.call('PUBLISH', `regis:wm:${tracker.instance}`, `${tracker.epoch}:1:${seq}`)
  await waitFor(() => shown.replica > 0)
  // A real mark behind it goes down the same chain: had the other one gone too, it would have been shown before.
  await untilShown(tracker, chained!)
  expect(shown.chained).toBe(tracker.marks.nextSeq - 1 - seq)
})
