/**
 * The network of the simulation: connections with delay and jitter, in order, that can be cut without a word (what is under
 * way arrives when the way is open again, however late, also after its sender has given the connection up) or reset.
 * `FakeSocket` is what node:net's connect gives while a run lasts.
 */
import { EventEmitter } from 'node:events'
import net from 'node:net'
import type { SimRedis } from './redis.ts'
import type { Process, SimTime } from './time.ts'

/** Bytes of a client library, or the words of a command of the control plane. */
export type Payload = Buffer | readonly string[]

/** One direction of one connection. */
class Pipe {
  private lastDueMs = 0
  private readonly held: (() => void)[] = []
  private readonly network: Network
  private readonly way: string
  private readonly process: Process | undefined

  constructor(network: Network, way: string, process: Process | undefined) {
    this.network = network
    this.way = way
    this.process = process
    network.pipes.add(this)
  }

  send(deliver: () => void): void {
    const { time } = this.network
    this.lastDueMs = Math.max(this.lastDueMs, time.nowMs + this.network.delayMs(this.way))
    time.at(this.lastDueMs, () => this.arrive(deliver), this.process)
  }

  /** Packets are lost, and sent again after ever longer times: nothing of this connection arrives for a while. */
  stall(ms: number): void {
    this.lastDueMs = Math.max(this.lastDueMs, this.network.time.nowMs) + ms
  }

  private arrive(deliver: () => void): void {
    if (this.held.length > 0 || this.network.isCut(this.way)) this.held.push(deliver)
    else deliver()
  }

  /** What was held back arrives a while later, and what comes meanwhile keeps its place behind it. */
  heal(): void {
    if (this.held.length === 0) return
    this.network.time.after(
      this.network.delayMs(this.way),
      () => {
        if (this.network.isCut(this.way)) return
        for (const deliver of this.held.splice(0)) deliver()
      },
      this.process,
    )
  }
}

/** One connection, as its server sees it. */
export class Conn {
  readonly id: number
  readonly server: SimRedis
  readonly process: Process
  readonly from: string
  /** Nothing of it runs any more: reset, or killed by its id. */
  isDead = false
  /** Its client has given it up; bytes may still be on their way. */
  isAbandoned = false
  readonly channels = new Set<string>()
  private readonly up: Pipe
  private readonly down: Pipe
  private readonly onData: (reply: string) => void
  private readonly onClosed: (reason: string) => void

  constructor(
    network: Network,
    from: string,
    process: Process,
    server: SimRedis,
    id: number,
    onData: (reply: string) => void,
    onClosed: (reason: string) => void,
  ) {
    this.id = id
    this.server = server
    this.process = process
    this.from = from
    this.onData = onData
    this.onClosed = onClosed
    this.up = new Pipe(network, `${from}>${server.name}`, undefined)
    this.down = new Pipe(network, `${server.name}>${from}`, process)
  }

  send(payload: Payload): void {
    this.up.send(() => {
      if (!this.isDead) this.server.receive(this, payload)
    })
  }

  stall(ms: number): void {
    this.up.stall(ms)
  }

  reply(text: string): void {
    if (this.isDead) return
    this.down.send(() => {
      if (!this.isAbandoned) this.onData(text)
    })
  }

  /** By the server: killed, or its end. */
  close(reason: string): void {
    if (this.isDead) return
    this.isDead = true
    this.server.conns.delete(this.id)
    this.down.send(() => this.tellClosed(reason))
  }

  /** By the network, at once on both sides' books; what the client sent may still arrive. */
  reset(): void {
    this.tellClosed('ECONNRESET')
  }

  /** By the client: an RST that travels behind what it has sent. */
  abandon(): void {
    if (this.isAbandoned) return
    this.isAbandoned = true
    this.up.send(() => {
      this.isDead = true
      this.server.conns.delete(this.id)
    })
  }

  private tellClosed(reason: string): void {
    if (this.isAbandoned) return
    this.abandon()
    this.onClosed(reason)
  }
}

export class Network {
  readonly time: SimTime
  readonly pipes = new Set<Pipe>()
  readonly servers = new Map<number, SimRedis>()
  readonly conns = new Set<Conn>()
  /** Round trips in ms by `a>b`. */
  readonly rttMs = new Map<string, number>()
  private readonly cuts = new Set<string>()
  /** Where each process stands. */
  readonly homes = new Map<Process, string>()
  private nextId = 1

  constructor(time: SimTime) {
    this.time = time
  }

  delayMs(way: string): number {
    const [a = '', b = ''] = way.split('>')
    const rtt = this.rttMs.get(way) ?? this.rttMs.get(`${b}>${a}`) ?? 0.4
    return rtt / 2 + this.time.random() * (0.2 + rtt * 0.1)
  }

  isCut(way: string): boolean {
    return this.cuts.has(way)
  }

  cut(a: string, b: string): void {
    this.cuts.add(`${a}>${b}`).add(`${b}>${a}`)
  }

  heal(a: string, b: string): void {
    this.cuts.delete(`${a}>${b}`)
    this.cuts.delete(`${b}>${a}`)
    for (const pipe of this.pipes) pipe.heal()
  }

  /** All connections between a place and a server. */
  reset(from: string, server: SimRedis): void {
    for (const conn of [...server.conns.values()])
      if (conn.from === from) this.time.after(0, () => conn.reset(), conn.process)
  }

  /** `then` runs a round trip later with the connection; `failed` when nobody listens. Silence when the way is cut. */
  open(
    process: Process,
    port: number,
    then: (conn: Conn) => void,
    failed: (reason: string) => void,
    onData: (reply: string) => void,
    onClosed: (reason: string) => void,
  ): void {
    const server = this.servers.get(port)
    const from = this.homes.get(process)!
    if (server === undefined) throw new Error(`no server on port ${port}`)
    const way = `${from}>${server.name}`
    new Pipe(this, way, process).send(() => {
      // The SYN is there; the answer takes as long again. While the server is stopped its kernel still answers.
      const back = new Pipe(this, `${server.name}>${from}`, process)
      if (!server.isRunning) return back.send(() => failed('ECONNREFUSED'))
      const conn = new Conn(this, from, process, server, this.nextId++, onData, onClosed)
      server.conns.set(conn.id, conn)
      back.send(() => then(conn))
    })
  }

  /** node:net's connect, until the answer is called. */
  replaceConnect(): () => void {
    const module = net as unknown as { connect: unknown }
    const old = module.connect
    module.connect = (options: ConnectOptions) => new FakeSocket(this, options)
    return () => {
      module.connect = old
    }
  }
}

interface ConnectOptions {
  readonly port: number
  readonly onread?: { readonly buffer: Buffer | (() => Buffer); callback(nread: number, buffer: Buffer): boolean }
}

class FakeSocket extends EventEmitter {
  readonly writableLength = 0
  connecting = true
  destroyed = false
  private conn: Conn | undefined
  private readonly network: Network

  constructor(network: Network, { port, onread }: ConnectOptions) {
    super()
    this.network = network
    const { process } = network.time
    if (process === undefined) throw new Error('a connection outside of a process')
    const onData = (text: string): void => {
      const bytes = Buffer.from(text, 'latin1')
      if (onread === undefined) {
        this.emit('data', bytes)
        return
      }
      // In pieces as a kernel might give them.
      for (let at = 0; at < bytes.length && !this.destroyed; ) {
        const into = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer
        const size = Math.min(into.length, bytes.length - at)
        bytes.copy(into, 0, at, at + size)
        at += size
        onread.callback(size, into)
      }
    }
    network.open(
      process,
      port,
      (conn) => {
        if (this.destroyed) return conn.abandon()
        this.conn = conn
        this.connecting = false
        this.emit('connect')
      },
      (reason) => this.fail(reason),
      onData,
      (reason) => this.fail(reason),
    )
  }

  private fail(reason: string): void {
    if (this.destroyed) return
    this.emit('error', new Error(reason))
    this.emit('close')
  }

  write(view: Uint8Array, done?: () => void): boolean {
    this.conn?.send(Buffer.from(view))
    if (done !== undefined) this.network.time.after(0, done)
    return true
  }

  destroy(): void {
    this.destroyed = true
    this.conn?.abandon()
  }

  resetAndDestroy(): void {
    this.destroy()
  }

  setNoDelay(): void {}
  setKeepAlive(): void {}
  setTimeout(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {
    this.destroy()
  }
}
