/**
 * A TCP relay that plays the distance between two regions: every byte arrives `delayMs` later, in order, in both
 * directions; and the faults of a network: silence, resets, half-open connections, narrow links. ~ touches sockets and
 * timers. It does not read what it carries. Delay, partition and bandwidth change while connections live.
 *
 *   client --> read --> [ chunk due | chunk due | chunk due ] --> write --> target      one such queue each way,
 *                        ^ newest                 ^ one timer waits for the head        ends (FIN) queue like bytes
 *
 * A queue that holds `queueBytesMax` stops reading its side, so memory is bounded and TCP tells the sender.
 */
import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'

export interface RelayTarget {
  readonly host?: string
  readonly port: number
}

export interface RelayOptions {
  /** One way, ms. */
  readonly delayMs?: number
  /** Both ways, each for itself; undefined: no limit. */
  readonly bytesPerSecond?: number
  /** Writes are cut into pieces of at most this many bytes, for parsers to show that they do not mind. */
  readonly sliceBytesMax?: number
  readonly queueBytesMax?: number
  /** Default: a free one. */
  readonly port?: number
}

type Direction = 'toTarget' | 'toClient'

const queueBytesMaxDefault = 16 * 1024 * 1024
/** What is due this soon is delivered now, rather than 1 ms later, which is what a timer can do. */
const earlyMs = 0.25

export class Relay {
  readonly #target: Required<RelayTarget>
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly #limits: Limits
  #refuses = false
  /** Bytes delivered since the start. */
  readonly bytes: Record<Direction, number> = { toTarget: 0, toClient: 0 }

  private constructor(target: RelayTarget, options: RelayOptions) {
    this.#target = { host: '127.0.0.1', ...target }
    this.#limits = {
      delayMs: options.delayMs ?? 0,
      partitioned: false,
      bytesPerSecond: options.bytesPerSecond ?? Number.POSITIVE_INFINITY,
      sliceBytesMax: options.sliceBytesMax ?? Number.POSITIVE_INFINITY,
      queueBytesMax: options.queueBytesMax ?? queueBytesMaxDefault,
    }
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) =>
      this.#accept(client),
    )
  }

  /** Rejects when the port cannot be had. The target need not be up yet. */
  static async start(target: RelayTarget, options: RelayOptions = {}): Promise<Relay> {
    const relay = new Relay(target, options)
    relay.#server.listen(options.port ?? 0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  get port(): number {
    const address = this.#server.address()
    return address === null || typeof address === 'string' ? 0 : address.port
  }

  get connections(): number {
    return this.#pairs.size
  }

  get delayMs(): number {
    return this.#limits.delayMs
  }

  /** One way, from now on. What is under way keeps its place: a smaller delay never lets later bytes overtake. */
  setDelay(delayMs: number): void {
    if (!(delayMs >= 0)) throw new RangeError(`not a delay: ${delayMs}`)
    this.#limits.delayMs = delayMs
  }

  setBandwidth(bytesPerSecond: number | undefined): void {
    this.#limits.bytesPerSecond = bytesPerSecond ?? Number.POSITIVE_INFINITY
  }

  /**
   * Silence without a FIN, as when a route is lost: nothing is delivered, ends of connections neither, and new
   * connections hang. Off: what was held back goes on, in order, as TCP would deliver it after its retransmissions.
   */
  partition(on: boolean): void {
    this.#limits.partitioned = on
    for (const pair of this.#pairs) pair.wake()
  }

  /** New connections are reset at once, as by a port where nobody listens. Living ones go on. */
  refuse(on: boolean): void {
    this.#refuses = on
  }

  /** RST on every connection, both sides; what was under way is lost. */
  reset(): void {
    for (const pair of this.#pairs) pair.reset()
  }

  /**
   * One side's connection dies with an RST and the other side never hears of it: it stays open and silent, as after the
   * crash of a machine. Returns how many connections it met.
   */
  halfOpen(dead: 'client' | 'target'): number {
    let count = 0
    for (const pair of this.#pairs) if (pair.halfOpen(dead)) count++
    return count
  }

  /** Ends everything at once. */
  async stop(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined
    this.#server.close()
    for (const pair of this.#pairs) pair.destroy()
    await closed
  }

  #accept(client: Socket): void {
    client.on('error', () => {})
    if (this.#refuses) {
      client.resetAndDestroy()
      return
    }
    const pair = new Pair(client, this.#target, this.#limits, this.bytes, () => this.#pairs.delete(pair))
    this.#pairs.add(pair)
  }
}

/** Shared by all connections of a relay and changed in place. */
interface Limits {
  delayMs: number
  partitioned: boolean
  bytesPerSecond: number
  sliceBytesMax: number
  queueBytesMax: number
}

/** One client connection and its connection to the target. */
class Pair {
  readonly #client: Socket
  readonly #target: Socket
  readonly #up: Pipe
  readonly #down: Pipe
  readonly #forget: () => void
  #isHalfOpen = false

  constructor(
    client: Socket,
    target: Required<RelayTarget>,
    limits: Limits,
    bytes: Record<Direction, number>,
    forget: () => void,
  ) {
    this.#client = client
    this.#forget = forget
    this.#target = new Socket({ allowHalfOpen: true })
    this.#target.setNoDelay(true)
    this.#up = new Pipe(client, this.#target, limits, (count) => {
      bytes.toTarget += count
    })
    this.#down = new Pipe(this.#target, client, limits, (count) => {
      bytes.toClient += count
    })
    // An RST, or a refused connection, takes its turn behind the bytes before it, and waits out a partition as they do.
    client.on('error', () => this.#up.schedule(() => this.#target.resetAndDestroy()))
    this.#target.on('error', () => this.#down.schedule(() => client.resetAndDestroy()))
    client.on('close', () => this.#onClose())
    this.#target.on('close', () => this.#onClose())
    // The handshake of the far side takes a round trip too.
    this.#up.schedule(() => {
      this.#target.connect(target.port, target.host)
      client.resume()
    })
  }

  wake(): void {
    this.#up.wake()
    this.#down.wake()
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#target.resetAndDestroy()
  }

  halfOpen(dead: 'client' | 'target'): boolean {
    if (this.#isHalfOpen) return false
    this.#isHalfOpen = true
    this.#up.stop()
    this.#down.stop()
    const survivor = dead === 'client' ? this.#target : this.#client
    const victim = dead === 'client' ? this.#client : this.#target
    victim.resetAndDestroy()
    survivor.removeAllListeners('data')
    survivor.resume()
    return true
  }

  destroy(): void {
    this.#client.destroy()
    this.#target.destroy()
  }

  #onClose(): void {
    if (!this.#client.destroyed || !this.#target.destroyed) return
    this.#up.stop()
    this.#down.stop()
    this.#forget()
  }
}

interface Chunk {
  /** Earliest delivery, ms of performance.now(). */
  readonly dueMs: number
  /** undefined: the end (FIN). A function: something to do in its turn. */
  readonly what: Buffer | undefined | (() => void)
}

/** One direction: bytes wait in order until they are due. */
class Pipe {
  readonly #from: Socket
  readonly #to: Socket
  readonly #limits: Limits
  readonly #count: (bytes: number) => void
  readonly #queue: Chunk[] = []
  #head = 0
  #queuedBytes = 0
  /** Delay that shrinks must not reorder: nothing is due before what stands in front of it. */
  #lastDueMs = 0
  /** With a bandwidth limit: when the link is free again. */
  #linkFreeMs = 0
  #timer: NodeJS.Timeout | undefined
  #isBlocked = false
  #isStopped = false

  constructor(from: Socket, to: Socket, limits: Limits, count: (bytes: number) => void) {
    this.#from = from
    this.#to = to
    this.#limits = limits
    this.#count = count
    from.on('data', (bytes: Buffer) => this.#take(bytes))
    from.on('end', () => this.schedule(undefined))
    to.on('drain', () => {
      this.#isBlocked = false
      this.wake()
    })
  }

  /** Puts something at the end of the queue, due one delay from now. */
  schedule(what: Chunk['what']): void {
    if (this.#isStopped) return
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#limits.delayMs)
    this.#queue.push({ dueMs: this.#lastDueMs, what })
    if (this.#timer === undefined) this.wake()
  }

  /** Delivers what is due and sets the one timer for the rest. */
  wake(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (!this.#isStopped && !this.#isBlocked && !this.#limits.partitioned) {
      const chunk = this.#queue[this.#head]
      if (chunk === undefined) return
      const now = performance.now()
      const waitMs = Math.max(chunk.dueMs, this.#linkFreeMs) - now
      if (waitMs > earlyMs) {
        // A timer may fire almost 1 ms early: then the rest of the way takes one more.
        this.#timer = setTimeout(() => this.wake(), Math.ceil(waitMs))
        return
      }
      this.#head++
      if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
        this.#queue.splice(0, this.#head)
        this.#head = 0
      }
      this.#deliver(chunk.what, now)
    }
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#queue.length = 0
  }

  #take(bytes: Buffer): void {
    const slice = Math.min(this.#limits.sliceBytesMax, this.#limits.bytesPerSecond < 1e9 ? 16 * 1024 : bytes.length)
    for (let at = 0; at < bytes.length; at += slice) this.schedule(bytes.subarray(at, at + slice))
    this.#queuedBytes += bytes.length
    if (this.#queuedBytes >= this.#limits.queueBytesMax) this.#from.pause()
  }

  #deliver(what: Chunk['what'], now: number): void {
    if (typeof what === 'function') {
      what()
      return
    }
    if (what === undefined) {
      this.#to.end()
      return
    }
    this.#queuedBytes -= what.length
    if (this.#queuedBytes < this.#limits.queueBytesMax / 2 && this.#from.isPaused()) this.#from.resume()
    if (this.#to.destroyed) return
    this.#linkFreeMs = Math.max(this.#linkFreeMs, now) + (what.length / this.#limits.bytesPerSecond) * 1000
    this.#count(what.length)
    if (!this.#to.write(what)) this.#isBlocked = true
  }
}
