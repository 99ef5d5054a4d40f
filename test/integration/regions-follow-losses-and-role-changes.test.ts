import { chooseRead, LEVEL, newReadNeed, REASON, type ReadNeed } from '../../src/routing/choose.ts'
import { fenceAt } from '../kit/read-need.ts'
import { startRedis, startRelay, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { addressAt, keepActive, startTracker, untilShown } from './regions-kit.ts'

const need = (level: number, fence = 0): ReadNeed => ({
  ...newReadNeed(),
  level,
  maxStalenessMs: level === LEVEL.bounded ? 5_000 : Number.POSITIVE_INFINITY,
  fences: fenceAt(fence),
  lastNode: -1,
  lastIncarnation: 0,
  seen: 0,
})

async function threeNodes() {
  const servers = await startReplicaSet({ regions: ['eu', 'us', 'ap'] })
  const tracker = await startTracker(
    ['eu', 'us', 'ap'].map((region) => addressAt(region, servers.node(region).port)),
    'us',
    { distances: { us: 1, ap: 40, eu: 80 } }, // all are on this machine: measured, any may be the nearest one
  )
  keepActive(tracker)
  const [eu, us, ap] = tracker.nodes as unknown as [
    (typeof tracker.nodes)[0],
    (typeof tracker.nodes)[0],
    (typeof tracker.nodes)[0],
  ]
  await untilShown(tracker, us)
  await untilShown(tracker, ap)
  return { servers, tracker, eu, us, ap }
}

test('roles, versions and run ids come from the servers, and a tracker of unreachable nodes still starts', async () => {
  const { servers, tracker, eu, us } = await threeNodes()
  expect(tracker.primary).toBe(eu)
  expect(us.role).toBe('replica')
  expect(us.runId).toBe(await servers.node('us').info('run_id'))
  expect(us.replId).toBe(eu.replId)
  expect(us.version).toBe(await servers.node('us').info('redis_version'))
  expect(us.isReadable).toBe(true)
  expect(String(await servers.node('us').call('CLIENT', 'LIST'))).toContain('name=regis-control ')

  const lonely = await startTracker([addressAt('eu', 1)], 'eu')
  expect(lonely.primary).toBeUndefined()
  expect(lonely.nodes[0]!.downReason).toContain('ECONNREFUSED')
})

test('a paused replica is noticed, and unproven when it is back until it has shown a new mark', async () => {
  const { servers, tracker, us, ap } = await threeNodes()
  const { incarnation } = us
  await servers.node('us').kill('SIGSTOP')
  await waitFor(() => !us.isUp, 3_000)
  expect(us.isReadable).toBe(false)
  expect(us.shownSeq).toBe(0)
  expect(ap.isUp).toBe(true)

  const position = tracker.marks.nextSeq
  await servers.node('us').kill('SIGCONT')
  await waitFor(() => us.isUp && us.shownSeq > 0)
  expect(us.shownSeq).toBeGreaterThanOrEqual(position)
  expect(us.incarnation).toBeGreaterThan(incarnation)
})

test('a restarted replica is not readable before it follows the primary again and has shown a new mark', async () => {
  const { servers, tracker, eu, us } = await threeNodes()
  const { incarnation, runId } = us
  const states: string[] = []
  tracker.onChange(() => states.push(`${us.role}:${us.isReadable}`))
  await servers.node('us').restart()
  // It comes back empty and as a primary: two of them now.
  await waitFor(() => tracker.isSplit)
  expect(tracker.primary).toBeUndefined()
  expect(us.isReadable).toBe(false)
  expect(eu.isReadable).toBe(true)

  const position = tracker.marks.nextSeq
  await servers.node('us').replicaOf('127.0.0.1', servers.replication('us').port)
  await waitFor(() => us.isReadable && us.shownSeq > 0)
  expect(tracker.primary).toBe(eu)
  expect(us.runId).not.toBe(runId)
  expect(us.incarnation).toBeGreaterThan(incarnation)
  expect(us.shownSeq).toBeGreaterThanOrEqual(position)
  expect(states).not.toContain('primary:true')
})

test('a killed primary is gone within the timeout; its replicas go on with eventual reads, and with nothing that needs a proof', async () => {
  const { servers, tracker, us, ap } = await threeNodes()
  const { epoch } = tracker
  const fence = us.shownSeq
  await servers.node('eu').kill('SIGKILL')
  await waitFor(() => tracker.primary === undefined, 1_500)
  expect(tracker.epoch).toBeGreaterThan(epoch)
  // Their probes see the lost link, and still they are the best there is.
  await waitFor(() => !Number.isNaN(us.linkDownSinceMs) && !Number.isNaN(ap.linkDownSinceMs))
  const choice = { reason: 0, passedOver: -1 }
  const choose = (what: ReadNeed) => chooseRead(what, tracker.readOrder, tracker.primary, performance.now(), choice)
  expect(choose(need(LEVEL.eventual))).toBe(us.index)
  expect(choose(need(LEVEL.strong))).toBe(-1)
  expect(choose(need(LEVEL.session, fence))).toBe(-1)
  expect(choice.reason).toBe(REASON.unknown)
})

test('a promoted replica is the new primary of a new epoch, whose first mark covers every older position', async () => {
  const { servers, tracker, us, ap } = await threeNodes()
  const { epoch } = tracker
  await servers.node('eu').kill('SIGKILL')
  await waitFor(() => tracker.primary === undefined)
  const position = tracker.marks.nextSeq
  await servers.node('us').promote()
  await servers.node('ap').replicaOf('127.0.0.1', servers.node('us').port)
  await waitFor(() => tracker.primary === us)
  expect(tracker.epoch).toBeGreaterThan(epoch)
  await waitFor(() => ap.shownSeq >= position && ap.isReadable)
})

test('READONLY from the primary ends the epoch at once, and the answer to the next question starts another', async () => {
  const { tracker, eu, us } = await threeNodes()
  const { epoch } = tracker
  tracker.noteReadOnly(eu)
  expect(tracker.primary).toBeUndefined()
  expect(eu.shownSeq).toBe(0)
  await waitFor(() => tracker.primary === eu)
  expect(tracker.epoch).toBe(epoch + 2)
  await untilShown(tracker, us)
})

test('a replica that is cut off from a living primary stops being readable, and what it had proven is void', async () => {
  const { servers, tracker, us, ap } = await threeNodes()
  servers.replication('us').refuse(true)
  servers.replication('us').reset()
  await waitFor(() => !us.isReadable)
  expect(us.isUp).toBe(true)
  expect(us.shownSeq).toBe(0)
  expect(ap.isReadable).toBe(true)
  servers.replication('us').refuse(false)
  await waitFor(() => us.isReadable && us.shownSeq > 0)
  expect(tracker.isSplit).toBe(false)
})

test('a subscription that silently died is found and opened again', async () => {
  const [primary, replica] = [await startRedis(), await startRedis()]
  await replica.replicaOf('127.0.0.1', primary.port)
  await replica.untilInSync()
  const relay = await startRelay({ port: replica.port })
  const addresses = [addressAt('eu', primary.port), addressAt('us', relay.port)]
  const tracker = await startTracker(addresses, 'us', { timeoutMs: 500 })
  keepActive(tracker)
  const node = tracker.nodes[1]!
  await untilShown(tracker, node)
  const { incarnation } = node
  relay.halfOpen('target')
  // That it was down in between may be over before anybody looks.
  await waitFor(() => node.incarnation > incarnation)
  await waitFor(() => node.isUp)
  await untilShown(tracker, node)
})

test('the primary is not listened to, and is as soon as it is no longer the primary', async () => {
  const { servers, tracker, eu, us } = await threeNodes()
  await untilShown(tracker, us)
  const subscribers = async (): Promise<number> =>
    ((await servers.node('eu').call('PUBSUB', 'NUMSUB', tracker.channel)) as unknown[])[1] as number
  await waitFor(async () => (await subscribers()) === 0)
  expect(eu.shownSeq).toBe(0)
  await servers.node('us').promote()
  await servers.node('eu').replicaOf('127.0.0.1', servers.node('us').port)
  await waitFor(() => tracker.primary === us)
  await untilShown(tracker, eu)
  expect(await subscribers()).toBe(1)
})

test('a wrong password is a reason, not a crash, and the right one opens the node', async () => {
  const server = await startRedis()
  await server.call('ACL', 'SETUSER', 'regis', 'on', '>right', '~*', '&*', '+@all')
  const wrong = await startTracker([addressAt('eu', server.port)], 'eu', { username: 'regis', password: 'wrong' })
  expect(wrong.nodes[0]!.isUp).toBe(false)
  expect(wrong.nodes[0]!.downReason).toContain('WRONGPASS')
  const right = await startTracker([addressAt('eu', server.port)], 'eu', { username: 'regis', password: 'right' })
  expect(right.primary).toBe(right.nodes[0])
  expect(String(await server.call('CLIENT', 'LIST'))).toContain('user=regis')
})
