/**
 * Requests above 256 KiB go upstream as they come, and very large replies come as they are read: byte for byte what Redis
 * says and keeps, with little memory, whoever stops half-way. LARGE_BYTES=512000000 makes the large ones larger.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import {
  atEnd,
  configFor,
  rawClient,
  type StartedProxy,
  startProxy,
  startRedis,
  startRelay,
  startReplicaSet,
} from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const MiB = 1024 * 1024
const largeBytes = Number(process.env['LARGE_BYTES'] ?? 40 * MiB)
/** What the proxy may grow by: a copy of the value would be more. */
const growthMax = 18 * MiB

const config = (url: string, more: object = {}): object => ({
  region: 'eu-west',
  primary: 'eu-west',
  regions: { 'eu-west': { nodes: [url] } },
  upstream: { timeout: '15s' },
  tenants: {
    shop: { users: { 'shop-app': { password: 'demo' } } },
    other: { users: { 'other-app': { password: 'demo' } } },
  },
  ...more,
})

function status(proxy: StartedProxy, field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${proxy.proxy.pid}/status`, 'latin1')
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)![1]) * 1024
}

const seed = Number(process.env['SEED'] ?? 1)
function random(state: number): () => number {
  let x = state >>> 0
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    return x / 2 ** 32
  }
}

const noise = Buffer.alloc(2 * MiB)
const noiseOf = random(12)
for (let i = 0; i < noise.length; i += 4) noise.writeUInt32LE((noiseOf() * 2 ** 32) >>> 0, i)

/** Bytes that differ everywhere: a piece that is lost, doubled or moved changes the hash. */
function valueFor(size: number, salt: number): Buffer {
  const value = Buffer.alloc(size)
  for (let at = 0; at < size; at += MiB) noise.copy(value, at, (salt * 7919) % MiB, ((salt * 7919) % MiB) + MiB)
  for (let at = 0; at + 4 <= size; at += 4096) value.writeUInt32LE((salt * 1e6 + at) >>> 0, at)
  return value
}

/** The hash of what GET answers, which is read at most so fast. Nothing else can be asked of this client afterwards. */
function hashOfGet(
  client: RawClient,
  key: string,
  size: number,
  bytesPerS = Number.POSITIVE_INFINITY,
): Promise<string> {
  const { socket } = client
  return new Promise((resolve, reject) => {
    const hash = createHash('sha1')
    let head = Buffer.alloc(0)
    let got = -1
    const startedMs = performance.now()
    const onClose = (): void => reject(new Error(`closed after ${got} bytes`))
    const onData = (chunk: Buffer): void => {
      let bytes = chunk
      if (got < 0) {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n')
        if (end < 0) return
        if (head[0] !== 0x24) return reject(new Error(head.toString('latin1', 0, end)))
        bytes = head.subarray(end + 2)
        got = 0
      }
      hash.update(bytes.subarray(0, Math.max(0, size - got)))
      got += bytes.length
      if (got >= size + 2) {
        socket.off('data', onData).off('close', onClose)
        return resolve(hash.digest('hex'))
      }
      const dueMs = (got / bytesPerS) * 1000 - (performance.now() - startedMs)
      if (dueMs < 2) return
      socket.pause()
      setTimeout(() => socket.resume(), dueMs)
    }
    socket.removeAllListeners('data')
    socket.on('data', onData).on('close', onClose)
    client.send(command('GET', key))
  })
}

/** The hash of a value as Redis itself has it. */
async function hashIn(server: RedisServer, key: string, size: number): Promise<string> {
  return hashOfGet(await rawClient(server.port), key, size)
}

/** `SET key` of a value that is made as it goes; what it hashes to. Nothing of it is kept on this side either. */
async function setLarge(client: RawClient, key: string, size: number, salt: number): Promise<string> {
  const { socket } = client
  const hash = createHash('sha1')
  client.send(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${size}\r\n`)
  for (let at = 0; at < size; at += MiB) {
    const piece = valueFor(Math.min(MiB, size - at), salt + at)
    hash.update(piece)
    if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve))
  }
  client.send('\r\n')
  expect(await client.read()).toBe('OK')
  return hash.digest('hex')
}

async function connectionsOf(server: RedisServer): Promise<number> {
  return Number(await server.info('connected_clients'))
}

/** A request that ends here is whole by `missing` bytes less. */
function cutOff(request: Buffer, missing: number): Buffer {
  return request.subarray(0, request.length - missing)
}

describe('large requests', () => {
  let redis: RedisServer
  let proxy: StartedProxy
  beforeAll(async () => {
    redis = await startRedis({ args: ['--enable-debug-command', 'local'] })
    proxy = await startProxy(config(redis.url), { env: { REGIS_PARANOID: '1' } })
  })

  test('of sizes around all limits, cut anywhere and pipelined with others, are answered as Redis answers them', async () => {
    const twin = await startRedis({ args: ['--enable-debug-command', 'local'] })
    const next = random(seed)
    const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!
    const sizes = [0, 1, 100, 65_000, 65_536, 70_000, 262_000, 262_144, 262_200, 300_000, 1_100_000]
    const value = (): Buffer =>
      valueFor(Math.max(0, pick(sizes) + Math.floor(next() * 60) - 30), Math.floor(next() * 1e9))
    const key = (): string => `k${Math.floor(next() * 5)}`
    const makers: (() => (string | Buffer)[])[] = [
      () => ['SET', key(), value()],
      () => ['SET', key(), value(), 'XX', 'GET', 'PX', '900000'],
      () => ['SETEX', key(), '900', value()],
      () => ['APPEND', key(), value()],
      () => ['SETRANGE', key(), '10', value()],
      () => ['MSET', key(), value(), key(), value(), key(), '3'],
      () => ['HSET', `h${key()}`, 'f', value(), 'g', value()],
      () => ['RPUSH', `l${key()}`, ...Array.from({ length: 300 }, () => valueFor(Math.floor(next() * 3000), 7))],
      () => ['SADD', `s${key()}`, value(), value()],
      () => ['XADD', `x${key()}`, '1-*', 'f', value()],
      () => ['PUBLISH', 'channel', value()],
      () => ['SET', key(), value(), 'NONSENSE'],
      () => ['GETSET', `h${key()}`, value()],
      () => ['LSET', `none${key()}`, '0', value()],
      () => ['STRLEN', key()],
      () => ['GET', key()],
      () => ['PING'],
      () => ['LLEN', `l${key()}`],
    ]
    for (let round = 0; round < 12; round++) {
      const requests = Array.from({ length: 14 }, () => command(...pick(makers)()))
      const bytes = Buffer.concat(requests)
      const [ours, theirs] = [await proxy.client('shop-app'), await rawClient(twin.port)]
      theirs.send(bytes)
      const points = Array.from({ length: 25 }, () => Math.floor(next() * bytes.length)).sort((a, b) => a - b)
      let last = 0
      for (const point of [...points, bytes.length]) {
        ours.send(bytes.subarray(last, point))
        last = point
        if (next() < 0.5) await sleep(next() * 4)
      }
      for (let i = 0; i < requests.length; i++) {
        const [mine, its] = [await ours.readRaw(), await theirs.readRaw()]
        if (mine !== its) {
          const asked = requests[i]!.toString('latin1', 0, 60)
          throw new Error(`round ${round}, ${i}: ${asked}: ${mine.slice(0, 80)}, not ${its.slice(0, 80)}`)
        }
      }
      ours.close()
      theirs.close()
    }
    for (const name of await twinKeys(twin)) {
      const [mine, its] = [
        await redis.call('DEBUG', 'DIGEST-VALUE', `shop:${name}`),
        await twin.call('DEBUG', 'DIGEST-VALUE', name),
      ]
      if (!name.startsWith('x')) expect([name, mine]).toEqual([name, its])
    }
    expect((await metric(proxy)).sum('regis_isolation_violations_total')).toBe(0)
  })

  test('of ten clients at once, a value is stored and read byte for byte, and the proxy keeps no copy of any', async () => {
    const warm = await proxy.client('shop-app')
    await setLarge(warm, 'warm', 2 * MiB, 1)
    const before = status(proxy, 'VmRSS')
    const size = Math.floor(largeBytes / 10)
    const clients = await Promise.all(Array.from({ length: 10 }, () => proxy.client('shop-app')))
    const hashes = await Promise.all(clients.map((client, i) => setLarge(client, `ten${i}`, size, i * 1000)))
    const read = await Promise.all(clients.map((client, i) => hashOfGet(client, `ten${i}`, size)))
    expect(read).toEqual(hashes)
    for (const [i, hash] of hashes.entries()) expect(await hashIn(redis, `shop:ten${i}`, size)).toBe(hash)
    expect(status(proxy, 'VmRSS') - before).toBeLessThan(growthMax)
    for (const client of clients) client.close()
  })

  test('one very large value passes in and out, to a slow reader too, in little memory and beyond limits.output', async () => {
    const mine = await startProxy(config(redis.url, { limits: { output: '8MiB' } }))
    const client = await mine.client('shop-app')
    await client.call('SET', 'warm', Buffer.alloc(600_000))
    const before = status(mine, 'VmRSS')
    const hash = await setLarge(client, 'one', largeBytes, 5)
    expect(await hashOfGet(client, 'one', largeBytes)).toBe(hash)
    const slow = await mine.client('shop-app')
    expect(await hashOfGet(slow, 'one', largeBytes, largeBytes / 2)).toBe(hash)
    expect(status(mine, 'VmHWM') - before).toBeLessThan(growthMax)
    await redis.call('DEL', 'shop:one')
  })

  test('a server that takes its time holds the client back, and nothing gathers in between', async () => {
    const link = await startRelay({ port: redis.port }, { bytesPerSecond: 16 * MiB, queueBytesMax: 100_000 })
    const mine = await startProxy(config(`redis://127.0.0.1:${link.port}`))
    const client = await mine.client('shop-app')
    await client.call('SET', 'warm', Buffer.alloc(600_000))
    const before = status(mine, 'VmRSS')
    const hash = await setLarge(client, 'slowly', 24 * MiB, 21)
    expect(await hashIn(redis, 'shop:slowly', 24 * MiB)).toBe(hash)
    expect(status(mine, 'VmHWM') - before).toBeLessThan(12 * MiB)
  })

  test('a client that stops half-way takes nobody with it: nothing is executed, and its connection is gone', async () => {
    await redis.call('SET', 'shop:half', 'before')
    const request = command('SET', 'half', valueFor(700_000, 3))
    const other = await proxy.client('other-app')
    const before = await connectionsOf(redis)
    const next = random(seed + 1)
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 5 }, async () => {
          const client = await proxy.client('shop-app')
          client.send(cutOff(request, 1 + Math.floor(next() * 600_000)))
          await sleep(next() * 6)
          if (next() < 0.5) client.socket.destroy()
          else client.socket.end()
          await new Promise((resolve) => (client.socket.closed ? resolve(0) : client.socket.once('close', resolve)))
        }),
      )
      expect(await other.call('SET', 'alive', String(round))).toBe('OK')
    }
    // What was a lease and is warm goes too, in time; none may be left that a client holds.
    await waitFor(async () => (await connectionsOf(redis)) <= before)
    await waitFor(
      async () => (await metric(proxy)).sum('regis_tenant_usage', { quota: 'leases', tenant: 'shop' }) === 0,
    )
    expect(await redis.call('GET', 'shop:half')).toBe('before')
  })

  test('what is refused is refused before its first byte has gone upstream, and the client goes on behind it', async () => {
    const tenants = {
      shop: { quota: { bandwidth: '1MiB/s', when_exceeded: 'error' }, users: { 'shop-app': { password: 'demo' } } },
      small: { quota: { max_request: '1MiB' }, users: { 'small-app': { password: 'demo' } } },
      reader: { users: { 'reader-app': { password: 'demo', access: 'read-only' } } },
    }
    const mine = await startProxy(config(redis.url, { tenants }))
    const input = async (): Promise<number> => Number(await redis.info('total_net_input_bytes'))
    const refused = async (user: string, request: Buffer, text: RegExp): Promise<RawClient> => {
      const client = await mine.client(user)
      const before = await input()
      client.send(request)
      const reply = await client.read()
      expect(reply).toBeInstanceOf(ErrorReply)
      expect((reply as ErrorReply).message).toMatch(text)
      expect((await input()) - before).toBeLessThan(200_000)
      return client
    }
    const big = valueFor(2 * MiB, 9)
    const shop = await mine.client('shop-app')
    // More than there is: what comes next must wait.
    await waitFor(async () => (await shop.call('SET', 'first', valueFor(8 * MiB, 1))) === 'OK')
    for (const [user, request, text] of [
      ['shop-app', command('SET', 'k', big), /^THROTTLED/],
      ['reader-app', command('SET', 'k', big), /^NOPERM/],
      ['small-app', command('GETSET', 'k', big, 'more'), /^ERR (wrong number of arguments|Protocol error)/],
    ] as const) {
      const client = await refused(user, request, text)
      // Logging in costs nothing, so whoever is refused may do that.
      if (user !== 'small-app') expect(await client.call('AUTH', user, 'demo')).toBe('OK')
    }
    const greedy = await mine.client('small-app')
    const many = Array.from({ length: 2000 }, (_, i) => valueFor(1000, i))
    greedy.send(command('RPUSH', 'list', ...many)) // known to be too large only on its way
    expect(((await greedy.read()) as ErrorReply).message).toBe('ERR Protocol error: request above limits.max_request')
    expect(await redis.call('EXISTS', 'small:list')).toBe(0)
  })

  test('between MULTI and EXEC what no transaction holds is refused at once, and EXEC aborts', async () => {
    const client = await proxy.client('shop-app')
    expect(await client.call('MULTI')).toBe('OK')
    const before = status(proxy, 'VmRSS')
    client.send(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${70 * MiB}\r\n`)
    for (let at = 0; at < 70; at++) client.send(valueFor(MiB, at))
    client.send('\r\n')
    expect(((await client.read()) as ErrorReply).message).toBe('ERR transaction queue limit exceeded')
    expect(((await client.call('EXEC')) as ErrorReply).message).toMatch(/^EXECABORT/)
    expect(status(proxy, 'VmRSS') - before).toBeLessThan(growthMax)
    expect(await client.call('SET', 'k', '1')).toBe('OK')
  })

  test('a connection lost half-way was not executed, the rest is thrown away; lost behind the last byte it is uncertain', async () => {
    const link = await startRelay({ port: redis.port })
    const mine = await startProxy(config(`redis://127.0.0.1:${link.port}`))
    const client = await mine.client('shop-app')
    const request = command('SET', 'lost', valueFor(900_000, 4))
    client.send(request.subarray(0, 500_000))
    await sleep(100)
    const killed = async (): Promise<void> => {
      const list = String(await redis.call('CLIENT', 'LIST'))
      for (const line of list.split('\n')) {
        const [, id] = /^id=(\d+)/.exec(line) ?? []
        const isMine = /name=regis-eu-west /.test(line) && Number(/qbuf=(\d+)/.exec(line)![1]) > 100_000
        if (isMine) await redis.call('CLIENT', 'KILL', 'ID', id!)
      }
    }
    await killed()
    expect(((await client.read()) as ErrorReply).message).toMatch(/^MASTERDOWN .*not executed/)
    client.send(request.subarray(500_000))
    expect(await client.call('GET', 'lost')).toBeNull()
    // All of it is sent, and the server does not answer.
    await redis.call('CLIENT', 'PAUSE', '60000', 'WRITE')
    client.send(request)
    await sleep(300)
    const ids = String(await redis.call('CLIENT', 'LIST'))
      .split('\n')
      .filter((line) => line.includes('cmd=set'))
    for (const line of ids) await redis.call('CLIENT', 'KILL', 'ID', /^id=(\d+)/.exec(line)![1]!)
    expect(((await client.read()) as ErrorReply).message).toMatch(/^UNCERTAIN/)
    await redis.call('CLIENT', 'UNPAUSE')
    expect(await client.call('PING')).toBe('PONG')
  })

  test('a half-closed client that has sent all of its request is answered; a proxy that drains lets a request end', async () => {
    const mine = await startProxy(config(redis.url))
    const client = await mine.client('shop-app')
    client.socket.end(command('SET', 'ended', valueFor(800_000, 6)))
    expect(await client.read()).toBe('OK')
    const slow = await mine.client('shop-app')
    const request = command('SET', 'drained', valueFor(800_000, 8))
    slow.send(request.subarray(0, 400_000))
    await sleep(100)
    const ended = mine.proxy.stop()
    await sleep(100)
    slow.send(request.subarray(400_000))
    expect(await slow.read()).toBe('OK')
    await ended
  })
})

async function twinKeys(twin: RedisServer): Promise<string[]> {
  return (await twin.call('KEYS', '*')) as string[]
}

test('a reader of another region sees a large write of its tenant as soon as that is acknowledged', async () => {
  const topology = await startReplicaSet({ regions: ['eu-west', 'us-east'] })
  const proxy = await startProxy(configFor(topology, 'us-east'))
  const [writer, reader] = [await proxy.client('shop-app'), await proxy.client('shop-app')]
  await writer.call('SET', 'k', 'old')
  await waitFor(async () => (await reader.call('GET', 'k')) === 'old')
  for (let i = 1; i <= 3; i++) {
    // What the nearest replica holds is what it held: only the fence says that it is not enough.
    topology.replication('us-east').partition(true)
    const value = Buffer.alloc(400_000 + i, 'v')
    expect(await writer.call('SET', 'k', value)).toBe('OK')
    expect(await reader.call('STRLEN', 'k')).toBe(value.length)
    topology.replication('us-east').partition(false)
    await waitFor(async () => (await topology.node('us-east').call('STRLEN', 'shop:k')) === value.length)
  }
})

test('a very large read from a replica goes on while a node elsewhere comes to its end', async () => {
  const regions = ['eu-west', 'us-east', 'ap-south']
  const topology = await startReplicaSet({ regions })
  const proxy = await startProxy(configFor(topology, 'us-east'))
  const value = Buffer.alloc(48_000_000, 'v')
  const writer = await proxy.client('shop-app')
  expect(await writer.call('SET', 'k', value)).toBe('OK')
  await waitFor(async () => (await topology.node('us-east').call('STRLEN', 'shop:k')) === value.length)
  const local = async () => (await metric(proxy)).sum('regis_reads_total', { source: 'local' })
  // Until a short read is served next door the long one would not be either.
  for (let before = await local(); (await local()) === before; ) await writer.call('STRLEN', 'k')
  const socket = connect(proxy.port, '127.0.0.1')
  atEnd(() => void socket.destroy())
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
    if (bytes < 1_000_000) return
    socket.pause()
  })
  const before = await local()
  socket.write(Buffer.concat([command('AUTH', 'shop-app', 'demo'), command('GET', 'k')]))
  await waitFor(() => bytes >= 1_000_000)
  expect(await local()).toBe(before + 1)
  await topology.node('ap-south').stop()
  await waitFor(async () => (await metric(proxy)).sum('regis_upstream_up', { region: 'ap-south' }) === 0)
  socket.removeAllListeners('data')
  socket.on('data', (chunk) => {
    bytes += chunk.length
  })
  socket.resume()
  const whole = '+OK\r\n$48000000\r\n'.length + value.length + 2
  await waitFor(() => bytes === whole || socket.destroyed)
  expect(bytes).toBe(whole)
})
