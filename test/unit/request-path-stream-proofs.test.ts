/** A streamed write takes nothing over from the command that another client sent before it. */
import { Histogram } from '../../src/metrics/counters.ts'
import { Lane } from '../../src/upstream/lane.ts'
import type { Lease, LeaseHolder, LeaseKey, Leases } from '../../src/upstream/leases.ts'
import { command } from '../kit/resp.ts'
import { buildWorld, MemoryPort, type World } from './request-world.ts'

test("behind another client's strong read at the primary, its reply waits for no proof", () => {
  const made: { world?: World; lane?: Lane } = {}
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const size = { halfBytes: 16_384, frontBytes: 20_480, readBytes: 16_384, commandsMax: 1_024, ring: 16 }
  const times = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const leases: Partial<Leases> = {
    mayTake: () => true,
    take: (key: LeaseKey, holder: LeaseHolder) => {
      const bytes = { bytes: Buffer.allocUnsafeSlow(32_768) }
      const lane = new Lane(-1, key.nodeIndex, 2, false, bytes as never, 0, times, events, () => 0, size)
      lane.isLeased = true
      lane.open(new MemoryPort(lane))
      lane.isReady = true
      lane.isPrimary = true
      made.lane = lane
      const facts = { scriptsSent: new Set(), isChangingVersion: false, isTracked: false, connection: { id: 1 } }
      return { key, lane, holder, ...facts } as unknown as Lease
    },
    release() {},
  }
  const user = (name: string) => [{ name, readOnly: false }]
  const world = buildWorld({
    tenants: [
      { id: 'a', prefix: 'a:', deny: [], consistency: 'strong', users: user('a') },
      { id: 'b', prefix: 'b:', deny: [], users: user('b') },
    ],
    leases: leases as Leases,
  })
  const [reader, writer] = [world.client('a'), world.client('b')]
  reader.send(['GET', 'x'])
  world.reply(world.primary, '$1\r\n1\r\n:0\r\n')
  expect(reader.socket.text).toBe('$1\r\n1\r\n')
  const request = command('SET', 'k', 'v'.repeat(400_000))
  writer.raw(request.subarray(0, 100_000))
  expect(made.lane!.needsCheck).toBe(false)
  writer.raw(request.subarray(100_000))
  expect(made.lane!.inFlight).toBe(1)
  made.lane!.onChunk(Buffer.from('+OK\r\n'))
  expect(writer.socket.text).toBe('+OK\r\n')
})
