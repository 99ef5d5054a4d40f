/** The delay relay: order, completeness and faults. How exact its delays are is printed, and asserted only as lower bounds. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { atEnd, rawClient, startRelay } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

interface Target {
  readonly port: number
  readonly sockets: Socket[]
  readonly seen: string[]
}

async function startTarget(onSocket: (socket: Socket) => void): Promise<Target> {
  const sockets: Socket[] = []
  const seen: string[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.on('end', () => seen.push('end'))
    socket.on('error', (error) => seen.push('code' in error ? String(error.code) : 'error'))
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, sockets, seen }
}

const echo = (socket: Socket) => {
  socket.on('data', (bytes) => socket.write(bytes))
  socket.on('end', () => socket.end())
}

function dial(port: number): { socket: Socket; text: () => string; events: string[] } {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  let text = ''
  const events: string[] = []
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1')
  })
  socket.on('end', () => events.push('end'))
  socket.on('error', (error) => events.push('code' in error ? String(error.code) : 'error'))
  atEnd(() => socket.destroy())
  return { socket, text: () => text, events }
}

async function open(port: number): Promise<ReturnType<typeof dial>> {
  const client = dial(port)
  await once(client.socket, 'connect')
  return client
}

test('a round trip takes at least twice the one-way delay', async () => {
  const target = await startTarget(echo)
  const relay = await startRelay({ port: target.port }, { delayMs: 20 })
  const client = await open(relay.port)
  const trips: number[] = []
  for (let i = 0; i < 10; i++) {
    const startedAt = performance.now()
    client.socket.write('x')
    await once(client.socket, 'data')
    trips.push(performance.now() - startedAt)
  }
  expect(Math.min(...trips)).toBeGreaterThanOrEqual(39)
  console.log(`round trips through 2 x 20 ms: ${trips.map((ms) => ms.toFixed(1)).join(' ')}`)
})

test('nothing is lost or reordered while the delay jumps up and down, both ways at once', async () => {
  const target = await startTarget(echo)
  const relay = await startRelay({ port: target.port }, { delayMs: 5, sliceBytesMax: 1000 })
  const client = await open(relay.port)
  let sent = ''
  for (let i = 0; i < 400; i++) {
    const line = `${i} ${'x'.repeat(i)}\n`
    sent += line
    client.socket.write(line)
    if (i % 20 === 0) {
      relay.setDelay(i % 40 === 0 ? 0 : 30)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  client.socket.end()
  await waitFor(() => client.events.includes('end'))
  expect(client.text()).toBe(sent)
  expect(relay.bytes).toEqual({ toTarget: sent.length, toClient: sent.length })
})

test('16 MB pass whole through a queue of 64 KiB, and a target that does not read stops the sender', async () => {
  const hash = createHash('sha256')
  let isReading = false
  const target = await startTarget((socket) => {
    socket.pause()
    socket.on('data', (bytes) => hash.update(bytes))
    void waitFor(() => isReading, 20_000).then(() => socket.resume())
  })
  const relay = await startRelay({ port: target.port }, { delayMs: 1, queueBytesMax: 64 * 1024 })
  const client = await open(relay.port)
  const payload = randomBytes(16 * 1024 * 1024)
  client.socket.end(payload)
  // What the kernel and the queue hold is far below 16 MB; the rest waits at the sender.
  let before = -1
  await waitFor(
    () => {
      const now = client.socket.writableLength
      const isStill = now === before && now > 0
      before = now
      return isStill
    },
    10_000,
    100,
  )
  expect(client.socket.writableLength).toBeGreaterThan(0)
  isReading = true
  await waitFor(() => target.seen.includes('end'), 20_000)
  expect(hash.digest('hex')).toBe(createHash('sha256').update(payload).digest('hex'))
})

test('a partition delivers nothing, not even the end of a connection, and afterwards everything in order', async () => {
  const target = await startTarget(echo)
  const relay = await startRelay({ port: target.port })
  const client = await open(relay.port)
  client.socket.write('before ')
  await waitFor(() => client.text() === 'before ')
  relay.partition(true)
  client.socket.end('during')
  const late = await rawClient(relay.port)
  late.send('late')
  // Another relay's round trips are the clock here: had this one leaked, it would have by then.
  const other = await open((await startRelay({ port: target.port }, { delayMs: 10 })).port)
  for (let i = 0; i < 5; i++) {
    other.socket.write('x')
    await once(other.socket, 'data')
  }
  expect(target.seen).toEqual([])
  expect(client.text()).toBe('before ')
  expect(late.unread).toBe('')
  relay.partition(false)
  await waitFor(() => client.events.includes('end'))
  expect(client.text()).toBe('before during')
  expect(target.seen).toEqual(['end'])
  await waitFor(() => late.unread === 'late')
})

test('an RST of one side waits out a partition and then reaches the other', async () => {
  const target = await startTarget(echo)
  const relay = await startRelay({ port: target.port })
  const client = await open(relay.port)
  client.socket.write('x')
  await once(client.socket, 'data')
  relay.partition(true)
  target.sockets[0]?.resetAndDestroy()
  const other = await open((await startRelay({ port: target.port }, { delayMs: 20 })).port)
  other.socket.write('x')
  await once(other.socket, 'data')
  expect(client.events).toEqual([])
  relay.partition(false)
  await waitFor(() => client.events.includes('ECONNRESET'))
})

test('reset() resets both sides, refuse() only those who come', async () => {
  const target = await startTarget(echo)
  const relay = await startRelay({ port: target.port })
  const client = await open(relay.port)
  client.socket.write('x')
  await once(client.socket, 'data')
  relay.refuse(true)
  const refused = dial(relay.port)
  await waitFor(() => refused.events.includes('ECONNRESET'))
  expect(client.events).toEqual([])
  relay.reset()
  await waitFor(() => client.events.includes('ECONNRESET') && target.seen.includes('ECONNRESET'))
  await waitFor(() => relay.connections === 0)
})

test('half-open: one side dies, the other is never told', async () => {
  const target = await startTarget(echo)
  const relay = await startRelay({ port: target.port })
  const client = await open(relay.port)
  client.socket.write('x')
  await once(client.socket, 'data')
  expect(relay.halfOpen('target')).toBe(1)
  await waitFor(() => target.seen.includes('ECONNRESET'))
  client.socket.write('anybody there?')
  const other = await open((await startRelay({ port: target.port }, { delayMs: 10 })).port)
  other.socket.write('x')
  await once(other.socket, 'data')
  expect(client.events).toEqual([])
  expect(client.text()).toBe('x')
})

test('a target where nobody listens resets the client', async () => {
  const target = await startTarget(echo)
  const gone = await startRelay({ port: target.port })
  const deadPort = gone.port
  await gone.stop()
  const relay = await startRelay({ port: deadPort }, { delayMs: 5 })
  const client = await open(relay.port)
  await waitFor(() => client.events.includes('ECONNRESET'))
})

test('a bandwidth limit lets through no more than it says', async () => {
  const target = await startTarget((socket) => socket.resume())
  const relay = await startRelay({ port: target.port }, { bytesPerSecond: 1_000_000 })
  const client = await open(relay.port)
  const startedAt = performance.now()
  client.socket.end(Buffer.alloc(200_000))
  await waitFor(() => target.seen.includes('end'))
  // The last piece (at most 16 KiB) is not waited for.
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(180)
})
