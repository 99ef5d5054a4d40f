/**
 * A process of its own with very many clients, for connections.bench.ts: they log in, stand still or work in pipelines, and come
 * back when they are cut off. Orders come by IPC, answers go there. ~ sockets, IPC.
 */
import { connect, type Socket } from 'node:net'
import { encodeCommand } from './raw-client.ts'

export type Order =
  | { readonly do: 'open'; readonly port: number; readonly count: number; readonly atOnce: number }
  | { readonly do: 'work'; readonly pipeline: number; readonly bytes: number; readonly ms: number }
  | { readonly do: 'await return' }
  | { readonly do: 'end' }
export interface Report {
  readonly served: number
  /** ms since the order, or since the first loss, until the first and the last client had their answer. */
  readonly firstMs: number
  readonly lastMs: number
  /** CPU of this process meanwhile, ms. */
  readonly cpuMs: number
  readonly commands: number
  readonly tries: number
}

const users = 100
/** As client libraries do: at once, then later and later. */
const retryMs = (tries: number): number => Math.min(2_000, 50 * tries) * (0.5 + Math.random() / 2)

class Client {
  isServed = false
  socket: Socket | undefined
  private missing = 0
  private tries = 0
  private readonly hello: Buffer
  private onServed: (() => void) | undefined
  private readonly i: number
  private readonly port: number

  constructor(i: number, port: number) {
    this.i = i
    this.port = port
    const user = i % users
    this.hello = encodeCommand(['AUTH', `user-${user}`, `secret-${user}`])
  }

  /** Resolves when it is logged in and has had an answer to a GET. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.onServed = resolve
      this.connect()
    })
  }

  private connect(): void {
    world.tries++
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true })
    this.socket = socket
    let bytes = 0
    socket.on('connect', () => socket.write(Buffer.concat([this.hello, encodeCommand(['GET', 'none'])])))
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (this.isServed) {
        this.missing -= chunk.length
        if (this.missing <= 0 && this.more !== undefined) this.more()
        return
      }
      // +OK and $-1
      if (bytes < 10) return
      this.isServed = true
      this.tries = 0
      world.noteServed()
      this.onServed?.()
    })
    socket.on('close', () => {
      if (this.isServed) world.noteLost()
      this.isServed = false
      if (world.isEnding) return
      setTimeout(() => this.connect(), this.tries++ === 0 ? 0 : retryMs(this.tries))
    })
  }

  private more: (() => void) | undefined

  work(requests: Buffer, replyBytes: number): void {
    this.more = () => {
      world.commands += world.pipeline
      if (performance.now() > world.workUntilMs) {
        this.more = undefined
        return
      }
      this.missing = replyBytes
      this.socket!.write(requests)
    }
    this.missing = replyBytes
    this.socket!.write(requests)
  }

  get number(): number {
    return this.i
  }
}

const world = {
  clients: [] as Client[],
  isEnding: false,
  served: 0,
  beganMs: 0,
  firstMs: 0,
  lastMs: 0,
  tries: 0,
  commands: 0,
  pipeline: 1,
  workUntilMs: 0,
  cpu: process.cpuUsage(),
  begin(): void {
    this.beganMs = performance.now()
    this.firstMs = 0
    this.tries = 0
    this.commands = 0
    this.cpu = process.cpuUsage()
  },
  noteServed(): void {
    this.served++
    this.lastMs = performance.now() - this.beganMs
    if (this.firstMs === 0) this.firstMs = this.lastMs
  },
  noteLost(): void {
    if (this.served === this.clients.length) this.begin()
    this.served--
  },
  report(): Report {
    const { user, system } = process.cpuUsage(this.cpu)
    const { served, firstMs, lastMs, commands, tries } = this
    return { served, firstMs, lastMs, cpuMs: (user + system) / 1000, commands, tries }
  },
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function open(port: number, count: number, atOnce: number): Promise<void> {
  world.begin()
  const from = world.clients.length
  for (let at = from; at < from + count; at += atOnce) {
    const batch = Array.from({ length: Math.min(atOnce, from + count - at) }, (_, i) => new Client(at + i, port))
    world.clients.push(...batch)
    await Promise.all(batch.map((client) => client.open()))
  }
}

async function work(pipeline: number, bytes: number, ms: number): Promise<void> {
  world.begin()
  world.pipeline = pipeline
  world.workUntilMs = performance.now() + ms
  const value = Buffer.alloc(bytes, 'x')
  for (const client of world.clients) {
    const key = `key-${client.number}`
    const half = pipeline / 2
    const requests = Buffer.concat([
      ...Array<Buffer>(half).fill(encodeCommand(['SET', key, value])),
      ...Array<Buffer>(half).fill(encodeCommand(['GET', key])),
    ])
    const reply = 5 + `$${bytes}\r\n`.length + bytes + 2
    client.work(requests, half * reply)
  }
  await sleep(ms + 1_000)
}

process.on('message', (order: Order) => {
  const answer = (): void => void process.send!(world.report())
  if (order.do === 'open') void open(order.port, order.count, order.atOnce).then(answer)
  else if (order.do === 'work') void work(order.pipeline, order.bytes, order.ms).then(answer)
  else if (order.do === 'end') {
    world.isEnding = true
    for (const { socket } of world.clients) socket?.destroy()
    process.exit(0)
  } else {
    const wait = async (): Promise<void> => {
      while (world.served === world.clients.length) await sleep(2)
      while (world.served < world.clients.length) await sleep(2)
    }
    void wait().then(answer)
  }
})
