/**
 * The session promise is the whole proxy's: what a client has written at one worker, the next read at the other finds, while the
 * replica next door lags; and what nobody has written of late is read next door. ROUNDS= for a longer look.
 */
import { isLocal, openPairs, startAcross, workers, writeHereReadThere } from '../kit/across-workers.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { waitFor } from '../kit/wait-for.ts'
import { clientAtEach, workerPids } from '../kit/workers.ts'

const rounds = Number(process.env['ROUNDS'] ?? 40)
const pairCount = 12

let deployment: Awaited<ReturnType<typeof startAcross>>

beforeAll(async () => {
  deployment = await startAcross()
}, 60_000)

test('a token of one worker holds at the other', async () => {
  const { topology, proxy } = deployment
  const [writer, reader] = (await clientAtEach(proxy, workers, 'shop-app')) as [RawClient, RawClient]
  await writer.call('SET', 'told', 'old')
  await waitFor(() => isLocal(reader, 'told'))
  topology.setLag('us-east', 400)
  await reader.call('PROXY', 'CONSISTENCY', 'EVENTUAL')
  await writer.call('SET', 'told', 'new')
  const token = (await writer.call('PROXY', 'TOKEN')) as string
  expect(await reader.call('GET', 'told')).toBe('old')
  expect(await reader.call('PROXY', 'AFTER', token)).toBe('OK')
  expect(await reader.call('GET', 'told')).toBe('new')
  topology.setLag('us-east', 30)
}, 60_000)

test('what was written at one worker is found by the next read at the other, however it was written', async () => {
  const pairs = await openPairs(deployment.proxy, pairCount)
  const hurried = await writeHereReadThere(pairs, rounds, false)
  expect(hurried).toMatchObject({ stale: [], reads: pairCount * rounds })
  const patient = await writeHereReadThere(pairs, Math.ceil(rounds / 10), true)
  expect(patient.stale).toEqual([])
  // Reads do come home, to be kept from there by the next write.
  expect(patient.local).toBeGreaterThan(patient.reads / 2)
}, 120_000)

test('a worker that is killed leaves nothing behind that is read too early, nor reads that stay away', async () => {
  const { topology, proxy } = deployment
  topology.setLag('us-east', 0)
  const [writer, reader] = (await clientAtEach(proxy, workers, 'shop-app')) as [RawClient, RawClient]
  await writer.call('SET', 'last', 'old')
  await waitFor(() => isLocal(reader, 'last'))
  topology.setLag('us-east', 400)
  expect(await writer.call('SET', 'last', 'words')).toBe('OK')
  const [pid] = workerPids(proxy)
  process.kill(pid!, 'SIGKILL')
  expect(await reader.call('GET', 'last')).toBe('words')
  // Who comes back to a new process of that worker finds it as well, before and after it is on the replica.
  await waitFor(() => workerPids(proxy)[0] !== pid, 20_000)
  const [again] = (await clientAtEach(proxy, workers, 'shop-app')) as [RawClient, RawClient]
  expect(await again.call('GET', 'last')).toBe('words')
  topology.setLag('us-east', 0)
  await waitFor(() => isLocal(reader, 'last'))
  await waitFor(() => isLocal(again, 'last'))
  expect(await reader.call('GET', 'last')).toBe('words')
}, 60_000)
