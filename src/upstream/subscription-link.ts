/**
 * One connection to one node that carries subscriptions: which topics a server confirmed, and the messages it sends.
 * One life: connect, log in, serve, lost. Whoever owns it (session/feed.ts) opens another, and decides where.
 *
 *   open -> AUTH, CLIENT SETNAME -> ready -> SUBSCRIBE / UNSUBSCRIBE, one name each -> ... -> lost (once)
 *             answers come in the order of what was sent; messages between them
 *
 * A PING each second finds a connection that has silently died. RESP2 is enough: nothing but messages comes unasked.
 * ~ a window: a socket and timers.
 */
import net from 'node:net'
import tls from 'node:tls'
import { collectedReplyBytesMax } from '../base/limits.ts'
import { encodeRequest } from '../resp/encode.ts'
import { ReplyFramer, replyBroken, replyMore } from '../resp/reply-framer.ts'
import { elements, MalformedReply, stringAt } from '../resp/reply-walk.ts'
import type { UpstreamAddress } from './connection.ts'

const pingEveryMs = 1_000

export interface LinkMessage {
  readonly kind: 'message' | 'pmessage' | 'smessage'
  readonly pattern?: string
  readonly channel: string
  readonly payload: Buffer
}

export interface SubscriptionLinkOptions {
  readonly address: UpstreamAddress
  readonly clientName: string
  readonly timeoutMs: number
  /** Logged in: topics may be asked for. */
  onReady(): void
  /** The server confirmed a topic that is still wanted; with `refusal`: it said no. */
  onConfirmed(topic: string, refusal?: string): void
  onMessage(message: LinkMessage): void
  /** All messages of one read were handed over. */
  afterRead(): void
  /** Once. Nothing of this connection comes any more. */
  onLost(reason: string): void
}

/** Commands by the first letter of a topic. */
const verbs: Readonly<Record<string, readonly [string, string]>> = {
  c: ['SUBSCRIBE', 'UNSUBSCRIBE'],
  p: ['PSUBSCRIBE', 'PUNSUBSCRIBE'],
  s: ['SSUBSCRIBE', 'SUNSUBSCRIBE'],
}

/** What an answer is for. A topic's newest entry alone counts: it may have been given up and wanted again meanwhile. */
interface Asked {
  readonly topic?: string
  readonly onAnswer?: (reply: Buffer) => void
}

export class SubscriptionLink {
  isReady = false
  private readonly options: SubscriptionLinkOptions
  private readonly socket: net.Socket
  private readonly framer = new ReplyFramer()
  private isOver = false
  private timer: NodeJS.Timeout
  private pinger: NodeJS.Timeout | undefined
  private asked: Asked[] = []
  private askedHead = 0
  private readonly newest = new Map<string, Asked>()
  private readonly confirmed = new Set<string>()
  private leftover: Buffer | undefined
  private parts: Buffer[] = []
  private partBytes = 0
  /** Requests of one turn go out in one write. */
  private outgoing: Buffer[] = []

  constructor(options: SubscriptionLinkOptions) {
    this.options = options
    const { address, timeoutMs } = options
    const { host, port } = address
    const servername = address.servername ?? (net.isIP(host) ? undefined : host)
    const socket = address.tls
      ? tls.connect({
          host,
          port,
          ...(address.ca === undefined ? {} : { ca: address.ca }),
          ...(servername === undefined ? {} : { servername }),
        })
      : net.connect({ host, port })
    this.socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    socket.on('error', (error) => this.lose(error.message))
    socket.on('close', () => this.lose('closed by the server'))
    socket.on('end', () => this.lose('closed by the server'))
    socket.once(address.tls ? 'secureConnect' : 'connect', () => this.logIn())
    this.timer = setTimeout(() => this.lose('no answer within the timeout'), timeoutMs)
  }

  /** Topics asked for and not yet answered. */
  get pendingCount(): number {
    return this.newest.size
  }

  has(topic: string): boolean {
    return this.confirmed.has(topic)
  }

  subscribe(topic: string): void {
    if (this.isOver || this.newest.has(topic) || this.confirmed.has(topic)) return
    const entry: Asked = { topic }
    this.newest.set(topic, entry)
    this.ask([verbs[topic[0]!]![0], Buffer.from(topic.slice(1), 'latin1')], entry)
  }

  unsubscribe(topic: string): void {
    if (this.isOver || !(this.newest.delete(topic) || this.confirmed.has(topic))) return
    this.confirmed.delete(topic)
    this.ask([verbs[topic[0]!]![1], Buffer.from(topic.slice(1), 'latin1')], {})
  }

  close(): void {
    this.end()
  }

  private logIn(): void {
    const { address, clientName } = this.options
    if (address.password !== undefined) {
      const login = [...(address.username === undefined ? [] : [address.username]), address.password]
      this.ask(['AUTH', ...login], {
        onAnswer: (reply) => {
          if (reply[0] === 45) this.lose('AUTH refused: a wrong login')
        },
      })
    }
    this.ask(['CLIENT', 'SETNAME', clientName], {
      onAnswer: () => {
        if (this.isOver) return
        clearTimeout(this.timer)
        this.isReady = true
        this.pinger = setInterval(() => this.ping(), pingEveryMs)
        this.options.onReady()
      },
    })
  }

  private ping(): void {
    const timer = setTimeout(() => this.lose('no answer within the timeout'), this.options.timeoutMs)
    clearTimeout(this.timer)
    this.timer = timer
    this.ask(['PING'], { onAnswer: () => clearTimeout(timer) })
  }

  private ask(args: readonly (string | Buffer)[], entry: Asked): void {
    this.asked.push(entry)
    if (this.outgoing.push(encodeRequest(args)) === 1) queueMicrotask(this.flush)
  }

  private readonly flush = (): void => {
    const bytes = Buffer.concat(this.outgoing)
    this.outgoing = []
    if (!this.isOver) this.socket.write(bytes)
  }

  // ---- what comes ----

  private take(chunk: Buffer): void {
    const buf = this.leftover === undefined ? chunk : Buffer.concat([this.leftover, chunk])
    this.leftover = undefined
    let from = 0
    let pos = 0
    while (pos < buf.length && !this.isOver) {
      const next = this.framer.next(buf, pos, buf.length)
      if (next === replyBroken) return this.lose('a reply that is no RESP')
      if (next === replyMore) {
        pos = this.framer.consumed
        break
      }
      const last = buf.subarray(from, next)
      const frame = this.parts.length === 0 ? last : Buffer.concat([...this.parts, last])
      this.parts = []
      this.partBytes = 0
      pos = next
      from = next
      try {
        this.handle(frame)
      } catch (error) {
        if (!(error instanceof MalformedReply)) throw error
        return this.lose('a reply that is no RESP')
      }
    }
    if (this.isOver) return
    if (pos > from) {
      this.parts.push(buf.subarray(from, pos))
      this.partBytes += pos - from
      if (this.partBytes > collectedReplyBytesMax) return this.lose('a message that does not end')
    }
    if (pos < buf.length) this.leftover = buf.subarray(pos)
    this.options.afterRead()
  }

  private handle(frame: Buffer): void {
    // *3 message, *4 pmessage, *3 smessage; everything else answers what was asked.
    if (frame[0] === 42) {
      const at = elements(frame, 0, frame.length)
      const word = at.length < 3 ? undefined : stringAt(frame, at[0]!, frame.length)?.toString('latin1')
      if (word === 'message' || word === 'smessage' || word === 'pmessage') return this.message(frame, at, word)
    }
    const entry = this.asked[this.askedHead]
    if (entry === undefined) return this.lose('a reply that nobody asked for')
    this.askedHead++
    if (this.askedHead > 1024 || this.askedHead === this.asked.length) {
      this.asked = this.asked.slice(this.askedHead)
      this.askedHead = 0
    }
    entry.onAnswer?.(frame)
    const { topic } = entry
    if (topic === undefined || this.newest.get(topic) !== entry) return
    this.newest.delete(topic)
    const isRefused = frame[0] === 45
    if (!isRefused) this.confirmed.add(topic)
    if (isRefused) this.options.onConfirmed(topic, frame.toString('latin1', 1, 64).split(' ', 1)[0] ?? '')
    else this.options.onConfirmed(topic)
  }

  private message(frame: Buffer, at: readonly number[], kind: LinkMessage['kind']): void {
    const text = (i: number): Buffer | undefined =>
      at[i] === undefined ? undefined : stringAt(frame, at[i], frame.length)
    const last = kind === 'pmessage' ? 3 : 2
    const channel = text(last - 1)
    const payload = text(last)
    if (channel === undefined || payload === undefined || at.length !== last + 1)
      return this.lose('a message of an unknown shape')
    const pattern = kind === 'pmessage' ? text(1)?.toString('latin1') : undefined
    this.options.onMessage({
      kind,
      channel: channel.toString('latin1'),
      payload,
      ...(pattern === undefined ? {} : { pattern }),
    })
  }

  // ---- the end ----

  private lose(reason: string): void {
    if (this.end()) this.options.onLost(reason)
  }

  private end(): boolean {
    if (this.isOver) return false
    this.isOver = true
    this.isReady = false
    clearTimeout(this.timer)
    clearInterval(this.pinger)
    this.socket.destroy()
    return true
  }
}
