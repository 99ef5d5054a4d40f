/**
 * A large value through Regis and back: how long it takes, and how much memory the proxy needs for it, as the kernel counts
 * (VmRSS every 10 ms, and VmHWM). The client keeps nothing either: what it sends is made as it goes, what it reads is hashed.
 *
 *   SET          a value written as fast as it is taken
 *   GET          read as fast as it comes, through the proxy that wrote it
 *   slow GET     read at --slow bytes a second
 *   first GET    through a proxy that has never heard of the key
 *
 * Usage: npm run bench:large -- --size 512000000 [--slow 50000000] [--clients 1] [--json FILE]. ~ prints.
 */
import { createHash, type Hash } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ProxyProcess } from '../src/demo/proxy-process.ts'
import { freePort, RedisServer } from '../src/demo/redis-server.ts'

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '512000000' },
    slow: { type: 'string', default: '50000000' },
    clients: { type: 'string', default: '1' },
    /** `upstream.timeout`: a server that copies a reply of 512 MB is silent for a second, or for several on a busy machine. */
    timeout: { type: 'string', default: '10s' },
    root: { type: 'string', default: process.cwd() },
    json: { type: 'string' },
  },
})
const size = Number(values.size)
const slowBytesPerS = Number(values.slow)
const clients = Number(values.clients)
const MiB = 1024 * 1024

const block = Buffer.allocUnsafe(MiB)
for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 8)) & 255

/** Piece `n` of the value. */
function piece(n: number): Buffer {
  block.writeUInt32BE(n, 0)
  return block.subarray(0, Math.min(MiB, size - n * MiB))
}
const pieces = Math.ceil(size / MiB)

function hashOfValue(): string {
  const hash = createHash('sha1')
  for (let n = 0; n < pieces; n++) hash.update(piece(n))
  return hash.digest('hex')
}

function status(pid: number, field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  return Number(line?.[1] ?? 0) * 1024
}

class Client {
  readonly socket: Socket
  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
  }

  static async open(port: number): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const client = new Client(socket)
    socket.write('*3\r\n$4\r\nAUTH\r\n$8\r\nshop-app\r\n$4\r\ndemo\r\n')
    if (!(await client.line()).startsWith('+OK')) throw new Error('the login is refused')
    return client
  }

  line(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.socket.once('close', () => reject(new Error('the connection was closed')))
      this.socket.once('data', (bytes) => resolve(bytes.toString('latin1', 0, 200)))
      this.socket.resume()
    })
  }

  async set(key: string): Promise<string> {
    const { socket } = this
    const reply = this.line()
    reply.catch(() => {})
    socket.write(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${size}\r\n`)
    for (let n = 0; n < pieces; n++) {
      const copy = Buffer.from(piece(n))
      if (!socket.write(copy))
        await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve).once('error', resolve))
      if (socket.destroyed) break
    }
    socket.write('\r\n')
    return reply
  }

  /** The hash of the value; at most so many bytes a second are read. */
  get(key: string, bytesPerS = Number.POSITIVE_INFINITY): Promise<string> {
    const { socket } = this
    return new Promise((resolve, reject) => {
      const hash: Hash = createHash('sha1')
      let header = Buffer.alloc(0)
      let got = -1
      const startedMs = performance.now()
      socket.once('close', () => reject(new Error(`the connection was closed after ${got} bytes`)))
      const onData = (bytes: Buffer): void => {
        let from = 0
        if (got < 0) {
          header = Buffer.concat([header, bytes])
          const end = header.indexOf('\r\n')
          if (end < 0) return
          if (header[0] !== 36) return reject(new Error(header.toString('latin1', 0, end)))
          bytes = header
          from = end + 2
          got = 0
        }
        hash.update(bytes.subarray(from, Math.max(from, Math.min(bytes.length, from + size - got))))
        got += bytes.length - from
        if (got >= size + 2) {
          socket.off('data', onData)
          return resolve(hash.digest('hex'))
        }
        const dueMs = (got / bytesPerS) * 1000 - (performance.now() - startedMs)
        if (dueMs > 2) {
          socket.pause()
          setTimeout(() => socket.resume(), dueMs)
        }
      }
      socket.on('data', onData)
      socket.write(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`)
      socket.resume()
    })
  }
}

interface Row {
  readonly what: string
  readonly result: string
  readonly seconds: number
  readonly rssBefore: number
  readonly rssMost: number
  readonly rssAfter: number
}

async function startProxy(redis: RedisServer): Promise<{ proxy: ProxyProcess; end(): Promise<void> }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-large-'))
  const file = path.join(folder, 'proxy.yaml')
  const config = {
    region: 'eu-west',
    primary: 'eu-west',
    regions: { 'eu-west': { nodes: [redis.url] } },
    upstream: { timeout: values.timeout },
    tenants: { shop: { users: { 'shop-app': { password: 'demo' } } } },
  }
  writeFileSync(file, JSON.stringify(config))
  const options = { file, port: await freePort(), adminPort: await freePort() }
  const proxy = await ProxyProcess.start({ ...options, root: values.root })
  return {
    proxy,
    async end() {
      await proxy.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function measured(what: string, pid: number, run: () => Promise<string[]>): Promise<Row> {
  const rssBefore = status(pid, 'VmRSS')
  let rssMost = rssBefore
  const timer = setInterval(() => {
    rssMost = Math.max(rssMost, status(pid, 'VmRSS'))
  }, 10)
  const startedMs = performance.now()
  let result: string
  try {
    result = [...new Set(await run())].join(', ')
  } catch (error) {
    result = String(error)
  }
  const seconds = (performance.now() - startedMs) / 1000
  clearInterval(timer)
  await sleep(200)
  const row = { what, result: result.trim(), seconds, rssBefore, rssMost, rssAfter: status(pid, 'VmRSS') }
  const mib = (bytes: number): string => `${(bytes / MiB).toFixed(0)} MiB`.padStart(9)
  console.log(
    `${what.padEnd(20)} ${row.result.slice(0, 60).padEnd(60)} ${seconds.toFixed(1).padStart(6)} s  RSS before ${mib(rssBefore)}  most ${mib(rssMost)}  after ${mib(row.rssAfter)}`,
  )
  return row
}

async function main(): Promise<void> {
  const redis = await RedisServer.start({ args: ['--save', '', '--client-output-buffer-limit', 'normal 0 0 0'] })
  const rows: Row[] = []
  const first = await startProxy(redis)
  try {
    const wanted = hashOfValue()
    const pid = first.proxy.pid!
    const all = (run: (client: Client, n: number) => Promise<string>): Promise<string[]> =>
      Promise.all(
        Array.from({ length: clients }, async (_, n) => {
          const client = await Client.open(first.proxy.port)
          try {
            return await run(client, n)
          } finally {
            client.socket.destroy()
          }
        }),
      )
    const judged = async (hash: Promise<string>): Promise<string> =>
      (await hash) === wanted ? 'the very value' : 'ANOTHER VALUE'
    console.log(`${clients} client(s), ${size} bytes`)
    rows.push(await measured('SET', pid, () => all((client, n) => client.set(`big${n}`))))
    rows.push(await measured('GET', pid, () => all((client, n) => judged(client.get(`big${n}`)))))
    rows.push(await measured('slow GET', pid, () => all((client, n) => judged(client.get(`big${n}`, slowBytesPerS)))))
    console.log(`VmHWM ${(status(pid, 'VmHWM') / MiB).toFixed(0)} MiB`)
    const second = await startProxy(redis)
    try {
      const other = second.proxy.pid!
      const get = async (speed?: number): Promise<string[]> => {
        const client = await Client.open(second.proxy.port)
        const result = await judged(client.get('big0', speed)).catch(String)
        client.socket.destroy()
        return [result]
      }
      rows.push(await measured('first GET', other, () => get()))
      rows.push(await measured('first GET, slow', other, () => get(slowBytesPerS)))
      rows.push(await measured('third GET, slow', other, () => get(slowBytesPerS)))
      rows.push(await measured('fourth GET, slow', other, () => get(slowBytesPerS)))
    } finally {
      await second.end()
    }
    if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ size, clients, slowBytesPerS, rows }))
  } finally {
    await first.end()
    await redis.stop()
  }
}

await main()
