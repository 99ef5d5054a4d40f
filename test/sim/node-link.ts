/**
 * The control connections to one node, as regions/node-link.ts keeps them through ioredis, over the simulated network: a
 * probe every 200 ms, a subscriber, a mark sender. Same questions, same events, same timeouts.
 */
import type { LinkEvents, NodeLink } from '../../src/regions/link.ts'
import type { NodeAddress } from '../../src/regions/node.ts'
import { decode, ErrorReply } from '../kit/resp.ts'
import type { Conn, Network } from './network.ts'
import type { Process } from './time.ts'

export interface Readers {
  readReplication(info: string): unknown
  readServer(info: string): unknown
}

const probeEveryMs = 200
const pingEveryMs = 1_000
const reopenMs = 60

type Ask = (args: readonly string[], then: (reply: unknown) => void) => void

/** A connection that comes back: `open` runs on each new one. Replies in order; messages apart. */
class Line {
  private conn: Conn | undefined
  private generation = 0
  private isWanted = false
  private readonly network: Network
  private readonly process: Process
  private readonly port: number
  private readonly timeoutMs: number
  private readonly onOpen: (ask: Ask) => void
  private readonly onLost: (reason: string) => void
  private readonly onMessage: (text: string) => void

  constructor(
    network: Network,
    port: number,
    timeoutMs: number,
    onOpen: (ask: Ask) => void,
    onLost: (reason: string) => void,
    onMessage: (text: string) => void = () => {},
  ) {
    this.network = network
    this.process = network.time.process!
    this.port = port
    this.timeoutMs = timeoutMs
    this.onOpen = onOpen
    this.onLost = onLost
    this.onMessage = onMessage
  }

  start(): void {
    if (this.isWanted) return
    this.isWanted = true
    this.open()
  }

  stop(): void {
    this.isWanted = false
    this.drop()
  }

  /** Silence for too long: a new one. */
  replace(reason: string): void {
    this.lose(this.generation, reason)
  }

  private drop(): void {
    this.generation++
    this.conn?.abandon()
    this.conn = undefined
  }

  private lose(generation: number, reason: string): void {
    if (generation !== this.generation || !this.isWanted) return
    this.drop()
    this.onLost(reason)
    if (!this.isWanted) return
    const mine = this.generation
    this.network.time.after(
      reopenMs * (0.5 + this.network.time.random()),
      () => {
        if (mine === this.generation && this.isWanted) this.open()
      },
      this.process,
    )
  }

  private open(): void {
    const generation = ++this.generation
    const { network, process } = this
    const waiting: ((reply: unknown) => void)[] = []
    const deadline = network.time.after(this.timeoutMs, () => this.lose(generation, 'no connection'), process)
    const onData = (text: string): void => {
      const bytes = Buffer.from(text, 'latin1')
      for (let at = 0; at < bytes.length; ) {
        const { reply, end } = decode(bytes, at)!
        at = end
        if (generation !== this.generation) return
        if (Array.isArray(reply) && reply[0] === 'message') this.onMessage(String(reply[2]))
        else waiting.shift()?.(reply)
      }
    }
    network.open(
      process,
      this.port,
      (conn) => {
        deadline.cancel()
        if (generation !== this.generation) return conn.abandon()
        this.conn = conn
        this.onOpen((args, then) => {
          if (generation !== this.generation) return
          waiting.push(then)
          conn.send(args)
        })
      },
      (reason) => this.lose(generation, reason),
      onData,
      (reason) => this.lose(generation, reason),
    )
  }
}

export function simNodeLink(
  network: Network,
  readers: Readers,
  timeoutMs: number,
  address: NodeAddress,
  channel: string,
  events: LinkEvents,
): NodeLink {
  const { time } = network
  const process = time.process!
  const { port } = address
  let timer: { cancel(): void } | undefined
  let deadline: { cancel(): void } | undefined
  let askNow: (() => void) | undefined
  let isAsking = false
  let isHurried = false
  let isConnected = false
  let isSending = false

  const rest = (): void => {
    timer?.cancel()
    deadline?.cancel()
    askNow = undefined
    isAsking = false
    isHurried = false
  }
  const probe: Line = new Line(
    network,
    port,
    timeoutMs,
    (ask) => {
      rest()
      let isFirst = true
      const round = (): void => {
        timer?.cancel()
        isAsking = true
        isHurried = false
        const sentAtMs = time.nowMs
        let rttMs = 0
        let state: 'ok' | 'loading' = 'ok'
        deadline = time.after(timeoutMs, () => probe.replace('no answer'), process)
        ask(['PING'], (reply) => {
          rttMs = time.nowMs - sentAtMs
          if (reply instanceof ErrorReply) state = 'loading'
        })
        ask(['INFO', 'replication'], (reply) => {
          deadline?.cancel()
          isAsking = false
          const info = String(reply)
          const first = isFirst
          isFirst = false
          timer = time.after(Math.max(0, sentAtMs + probeEveryMs - time.nowMs), round, process)
          if (isHurried) round()
          events.answered({
            sentAtMs,
            rttMs,
            state,
            replication: readers.readReplication(info) as never,
            ...(first ? { server: readers.readServer(info) as never } : {}),
          })
        })
      }
      askNow = () => {
        if (isAsking) isHurried = true
        else round()
      }
      isConnected = true
      hear()
      round()
    },
    (reason) => {
      rest()
      isConnected = false
      hear()
      events.deaf(reason)
      events.lost(reason)
    },
  )
  let ping: { cancel(): void } | undefined
  const subscriber: Line = new Line(
    network,
    port,
    timeoutMs,
    (ask) => {
      const expect = (args: readonly string[], then: () => void): void => {
        ping?.cancel()
        ping = time.after(timeoutMs, () => subscriber.replace('no answer'), process)
        ask(args, () => {
          ping?.cancel()
          ping = time.after(pingEveryMs, () => expect(['PING'], () => {}), process)
          then()
        })
      }
      expect(['SUBSCRIBE', channel], () => events.listening())
    },
    (reason) => {
      ping?.cancel()
      events.deaf(reason)
    },
    (text) => events.mark(text),
  )
  const hear = (): void => {
    if (isConnected && !isSending) return subscriber.start()
    ping?.cancel()
    subscriber.stop()
  }
  let publish: ((text: string) => void) | undefined
  const sender = new Line(
    network,
    port,
    timeoutMs,
    (ask) => {
      publish = (text) =>
        ask(['PUBLISH', channel, text], (reply) => {
          if (reply instanceof ErrorReply) events.markRefused(reply.message)
        })
      events.marksReady()
    },
    (reason) => {
      const wasReady = publish !== undefined
      publish = undefined
      if (wasReady) events.marksLost(reason)
    },
  )
  return {
    start: () => probe.start(),
    stop: () => {
      isConnected = false
      probe.stop()
      subscriber.stop()
      sender.stop()
    },
    probeNow: () => askNow?.(),
    askCommands: () => void time.after(1, () => events.commands(undefined), process),
    openMarks: () => {
      isSending = true
      sender.start()
      hear()
    },
    closeMarks: () => {
      publish = undefined
      isSending = false
      sender.stop()
      hear()
    },
    sendMark: (text) => {
      publish?.(text)
      return publish !== undefined
    },
  }
}
