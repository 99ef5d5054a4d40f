/**
 * The load that redis-benchmark cannot make, as a child process on the load's core: mixes, transactions, scripts, messages,
 * RESP3, TLS, clients of many tenants, thousands of clients that stay. Commands are encoded beforehand; of replies only the
 * ends are found, and whether one is an error, which ends the run.
 *
 *   parent -> "measure MS"   every client sends its next batch when the last one is answered, for so long
 *   child  -> one line of JSON: how many commands, how long, percentiles of a batch's round trip
 *
 * ~ sockets, prints.
 */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { ReplyFramer, replyBroken } from '../src/resp/reply-framer.ts'
import type { GeneratorOptions, LoadResult } from './load.ts'
import { encodeCommand } from './raw-client.ts'
import { quantile } from './report.ts'
import { buildWorkload, channel, type Workload } from './workload.ts'

const options = JSON.parse(process.argv[2] ?? '') as GeneratorOptions
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
const die = (why: string): never => {
  say({ error: why })
  process.exit(1)
}

/** All sockets read into the same memory: what is not a whole header yet is copied away before the next read. */
const readBuffer = Buffer.allocUnsafe(256 * 1024)

class Connection {
  readonly socket: Socket
  onReply: () => void = () => {}
  private readonly framer = new ReplyFramer()
  private rest: Buffer | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', (error) => die(error.message))
    socket.on('close', () => die('a connection was closed'))
  }

  static open(): Promise<Connection> {
    return new Promise((resolve) => {
      const { host, port, caFile } = options
      let connection: Connection | undefined
      const take = (bytes: Buffer) => connection?.read(bytes)
      const ready = () => resolve(connection!)
      if (caFile !== undefined) {
        const socket = connectTls({ host, port, ca: readFileSync(caFile), checkServerIdentity: () => undefined }, ready)
        connection = new Connection(socket)
        socket.setNoDelay(true)
        socket.on('data', take)
        return
      }
      const onread = {
        buffer: readBuffer,
        callback: (size: number, buffer: Uint8Array) => {
          take(Buffer.from(buffer.buffer, buffer.byteOffset, size))
          return true
        },
      }
      connection = new Connection(connect({ host, port, noDelay: true, onread }, ready))
    })
  }

  /** Sends this, and resolves when so many replies have come. */
  ask(command: Buffer, replies = 1): Promise<void> {
    return new Promise((resolve) => {
      let left = replies
      this.onReply = () => {
        if (--left === 0) resolve()
      }
      this.socket.write(command)
    })
  }

  private read(bytes: Buffer): void {
    const all = this.rest === undefined ? bytes : Buffer.concat([this.rest, bytes])
    const { framer } = this
    let pos = 0
    while (pos < all.length) {
      if (!framer.started && all[pos] === 45) die(all.toString('utf8', pos, Math.min(all.length, pos + 200)).trim())
      const end = framer.next(all, pos, all.length)
      if (end === replyBroken) die('what came is no reply')
      if (end < 0) {
        pos = framer.consumed
        break
      }
      pos = end
      this.onReply()
    }
    this.rest = pos < all.length ? Buffer.from(all.subarray(pos)) : undefined
  }
}

const hello = (client: number): Buffer | undefined => {
  const login = options.logins[client % Math.max(1, options.logins.length)]
  if (options.isResp3) return encodeCommand(['HELLO', '3', ...(login ? ['AUTH', login.user, login.password] : [])])
  return login && encodeCommand(['AUTH', login.user, login.password])
}

async function openClient(client: number): Promise<Connection> {
  const connection = await Connection.open()
  const greeting = hello(client)
  if (greeting !== undefined) await connection.ask(greeting)
  return connection
}

/** A few at a time: queues of connections that wait to be accepted are short. */
async function openAll(count: number): Promise<Connection[]> {
  const all: Connection[] = []
  while (all.length < count) {
    const some = Array.from({ length: Math.min(50, count - all.length) }, (_, i) => openClient(all.length + i))
    all.push(...(await Promise.all(some)))
  }
  return all
}

/** One measurement: what each client does, and how to know that it has done its last. */
interface Run {
  endsAtMs: number
  commands: number
  times: number[]
  busy: number
  done(): void
}

let run: Run | undefined
const micros = () => performance.now() * 1000

/** Its next batch, or nothing when the time is over. */
function looper(connection: Connection, workload: Workload, offset: number): () => void {
  const { batches, repliesPerBatch, commandsPerBatch } = workload
  let next = offset % batches.length
  let left = 0
  let sentAt = 0
  const send = () => {
    left = repliesPerBatch
    sentAt = micros()
    connection.socket.write(batches[next]!)
    next = next + 1 === batches.length ? 0 : next + 1
  }
  connection.onReply = () => {
    if (--left !== 0) return
    if (run === undefined) return die('a reply that nobody asked for')
    run.times.push(micros() - sentAt)
    run.commands += commandsPerBatch
    if (performance.now() < run.endsAtMs) send()
    else if (--run.busy === 0) run.done()
  }
  return send
}

/** One publisher; its batch is done when the last subscriber has its last message. */
function publisher(from: Connection, to: readonly Connection[], workload: Workload): () => void {
  const { batches, repliesPerBatch, commandsPerBatch } = workload
  const perBatch = commandsPerBatch * to.length
  let next = 0
  let left = 0
  let sentAt = 0
  const send = () => {
    left = repliesPerBatch + perBatch
    sentAt = micros()
    from.socket.write(batches[next]!)
    next = (next + 1) % batches.length
  }
  const got = () => {
    if (--left !== 0) return
    if (run === undefined) return die('a message that nobody published')
    run.times.push(micros() - sentAt)
    run.commands += perBatch
    if (performance.now() < run.endsAtMs) send()
    else run.done()
  }
  for (const one of [from, ...to]) one.onReply = got
  return send
}

async function prepare(): Promise<(() => void)[]> {
  const workload = buildWorkload(options)
  const clients = await openAll(options.clients)
  if (options.op !== 'pubsub') return clients.map((client, i) => looper(client, workload, i * 7))
  for (const client of clients) await client.ask(encodeCommand(['SUBSCRIBE', channel]))
  return [publisher(await openClient(0), clients, workload)]
}

function measure(starters: readonly (() => void)[], ms: number): Promise<LoadResult> {
  return new Promise((resolve) => {
    const beganAt = performance.now()
    const now: Run = {
      endsAtMs: beganAt + ms,
      commands: 0,
      times: [],
      busy: starters.length,
      done: () => {
        const seconds = (performance.now() - beganAt) / 1000
        run = undefined
        const [p50Ms, p99Ms, p999Ms] = [0.5, 0.99, 0.999].map((share) => quantile(now.times, share) / 1000) as [
          number,
          number,
          number,
        ]
        resolve({ requests: now.commands, perSecond: now.commands / seconds, p50Ms, p99Ms, p999Ms })
      },
    }
    run = now
    for (const start of starters) start()
  })
}

const starters = await prepare()
say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ms] = line.split(' ')
  if (verb !== 'measure' || !(Number(ms) > 0)) die(`not understood: ${line}`)
  say(await measure(starters, Number(ms)))
}
// The parent has closed the pipe, or is gone.
process.exit(0)
