import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { systemTimers } from '../../../src/regions/timers.ts'
import { Wire } from '../../../src/regions/wire.ts'
import { waitFor } from '../../kit/wait-for.ts'

const subscribed = '*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n'

// What ioredis throws at such a reply would end this process, and in a test makes it fail.
test.each([
  ':1\r\n',
  '$-1\r\n',
  '*0\r\n',
  '*1\r\n$-1\r\n',
  `${subscribed}*1\r\n$-1\r\n`,
  `${subscribed}*0\r\n`,
  `${subscribed}*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n`,
  '>1\r\n_\r\n',
])('a server that answers SUBSCRIBE with %j loses that connection, and nothing else happens', async (answer) => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    socket.on('data', (bytes) => socket.write(/subscribe/i.test(bytes.toString('latin1')) ? answer : '+OK\r\n'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const losses: string[] = []
  const wire = new Wire(
    { name: 's', region: '', host: '127.0.0.1', port, tls: false },
    { name: 'test', timeoutMs: 10_000, timers: systemTimers, random: Math.random },
    {
      open: (redis) => {
        redis.on('message', () => {})
        redis.subscribe('c').catch(() => {})
      },
      lost: (reason) => losses.push(reason),
    },
  )
  wire.start()
  await waitFor(() => losses.length > 0)
  wire.stop()
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  expect(losses[0]).toMatch(/^Cannot read properties of /)
})
