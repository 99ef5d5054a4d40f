/** A large piece that is going out is a sign of life, long before its last byte has gone. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { silentLog } from '../../src/base/log.ts'
import { Histogram } from '../../src/metrics/counters.ts'
import { LostConnections, UpstreamConnection } from '../../src/upstream/connection.ts'
import { Lane } from '../../src/upstream/lane.ts'
import { Slab } from '../../src/upstream/slab.ts'
import { atEnd } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

test('what the kernel takes of one large piece shows at once', async () => {
  const accepted: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => accepted.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const slab = new Slab(1)
  const times = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  const events = { wantsFlush() {}, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, true, slab, slab.takeArena(), times, events, () => performance.now())
  const connection = new UpstreamConnection(lane, {
    address: { name: 'x', host: '127.0.0.1', port: (server.address() as AddressInfo).port, tls: false },
    clientName: 'x',
    timeoutMs: 10_000,
    lost: new LostConnections(),
    log: silentLog,
    onReady() {},
    onLost() {},
    afterRead() {},
  })
  atEnd(() => {
    connection.stop()
    for (const socket of accepted) socket.destroy()
    server.close()
  })
  connection.start()
  await waitFor(() => lane.isOpen && accepted.length === 1)
  const size = 128 * 1024 * 1024
  expect(connection.write(Buffer.alloc(size), () => {})).toBe(false)
  const before = connection.pendingBytes()
  accepted[0]!.resume()
  await waitFor(() => accepted[0]!.bytesRead > size / 2)
  accepted[0]!.pause()
  const after = connection.pendingBytes()
  expect(after).toBeLessThan(before)
  expect(after).toBeGreaterThan(0)
  accepted[0]!.resume()
  await waitFor(() => connection.pendingBytes() === 0)
})
