/** What one client can do to the proxy, and so to everybody else on it: sockets, time, memory, its life. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { metric } from '../kit/metrics.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { configFor, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

async function start(more: object = {}): Promise<StartedProxy> {
  const topology = await startReplicaSet({ regions: ['eu-west'] })
  return startProxy({ ...configFor(topology, 'eu-west'), ...more }, { env: { REGIS_PARANOID: '1' } })
}

/** A client that never closes its side and says a byte every half second, until the proxy throws it out. */
function chatterbox(port: number, first: Buffer): { isOut(): boolean } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let isOut = false
  socket.on('close', () => {
    isOut = true
  })
  socket.on('error', () => {})
  socket.resume()
  socket.write(first)
  const timer = setInterval(() => (isOut ? clearInterval(timer) : socket.write('x')), 500)
  return { isOut: () => isOut }
}

test('a connection that has ended is closed, though its client goes on talking', async () => {
  const proxy = await start({ limits: { max_clients: 3 } })
  const stays = await proxy.client('shop-app')
  const after = [chatterbox(proxy.port, command('QUIT')), chatterbox(proxy.port, command('QUIT'))]
  await sleep(200)
  // They hold sockets: the limit counts them.
  const refused = chatterbox(proxy.port, command('PING'))
  await waitFor(() => refused.isOut() && after.every((one) => one.isOut()), 12_000)
  expect(await stays.call('PING')).toBe('PONG')
  expect(await (await proxy.client('shop-app')).call('PING')).toBe('PONG')
})

test('RESET gives a connection without a login no more time for one', async () => {
  const proxy = await start()
  const client = await proxy.client()
  const timer = setInterval(() => client.send(command('RESET')), 1_000)
  try {
    await client.untilClosed(14_000)
  } finally {
    clearInterval(timer)
  }
})

test('a pattern as long as a request may be does not stop the proxy', async () => {
  const proxy = await start()
  const [client, other] = [await proxy.client('shop-app'), await proxy.client('analytics-app')]
  const stars = Buffer.alloc(16 * 1024 * 1024, '*')
  client.send(command('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', stars))
  client.send(command('CONFIG', 'GET', stars))
  let slowestMs = 0
  for (let i = 0; i < 50; i++) {
    const began = performance.now()
    await other.call('PING')
    slowestMs = Math.max(slowestMs, performance.now() - began)
    await sleep(5)
  }
  expect(await client.read()).toEqual([])
  expect(await client.read()).toEqual([])
  expect(slowestMs).toBeLessThan(1_000) // it was 4 s, and is some 20 ms
})

test('names of clients are bounded: they are kept, and printed', async () => {
  const proxy = await start()
  const client = await proxy.client('shop-app')
  const long = Buffer.alloc(2_000, 'n')
  for (const args of [
    ['CLIENT', 'SETNAME', long],
    ['CLIENT', 'SETINFO', 'lib-name', long],
    ['CLIENT', 'SETINFO', 'lib-ver', long],
    ['HELLO', '3', 'SETNAME', long],
  ])
    expect(await client.call(...args)).toBeInstanceOf(ErrorReply)
  expect(await client.call('CLIENT', 'SETNAME', 'n'.repeat(1_000))).toBe('OK')
})

test('answers of the proxy behind a late reply do not fill its memory', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west'] })
  const proxy = await startProxy(configFor(topology, 'eu-west'))
  const client = await proxy.client('shop-app')
  const rss = async (): Promise<number> => (await metric(proxy)).sum('process_resident_memory_bytes')
  const before = await rss()
  await topology.primary.kill('SIGSTOP')
  client.send(command('GET', 'late'))
  const echo = command('ECHO', Buffer.alloc(256 * 1024, 'e'))
  for (let i = 0; i < 1_000; i++) client.send(echo)
  await sleep(1_000)
  const grown = (await rss()) - before
  await topology.primary.kill('SIGCONT')
  expect(await client.read()).toBe(null)
  for (let i = 0; i < 1_000; i++) expect(String(await client.read()).length).toBe(256 * 1024)
  expect(grown).toBeLessThan(100 * 1024 * 1024)
})

test('a large collected reply is as good as any other for a client that takes its time', async () => {
  const proxy = await start()
  const client = await proxy.client('shop-app')
  const value = Buffer.alloc(40 * 1024 * 1024, 'v')
  await client.call('XADD', 's', '1-1', 'f', value)
  client.socket.pause()
  client.socket.removeAllListeners('data')
  let received = 0
  client.socket.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  client.send(command('XREAD', 'STREAMS', 's', '0'))
  await sleep(1_500)
  client.socket.resume()
  await waitFor(() => received > value.length)
})
