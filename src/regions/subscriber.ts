/**
 * Hears the marks that one node shows. ~ sockets. A connection of its own, subscribed to our instance's channel; each new
 * one is told (`listening`), because what a node showed to another connection is no proof on this one.
 *
 * A PING each second finds a connection that has silently died: without it the node would only look older and older.
 */
import type { Redis } from 'ioredis'
import type { NodeAddress } from './node.ts'
import type { ProbeOptions } from './probe.ts'
import type { Timer } from './timers.ts'
import { textOf, Wire } from './wire.ts'

const pingEveryMs = 1_000

export interface SubscriberEvents {
  listening(): void
  mark(text: string): void
  deaf(reason: string): void
}

export class Subscriber {
  private readonly options: ProbeOptions
  private readonly events: SubscriberEvents
  private readonly channel: string
  private readonly wire: Wire
  private redis: Redis | undefined
  private timer: Timer | undefined

  constructor(address: NodeAddress, channel: string, options: ProbeOptions, events: SubscriberEvents) {
    this.options = options
    this.events = events
    this.channel = channel
    this.wire = new Wire(
      address,
      { ...options, name: 'regis-control-sub' },
      {
        open: (redis) => this.onOpen(redis),
        lost: (reason) => {
          this.rest()
          events.deaf(reason)
        },
      },
    )
  }

  start(): void {
    this.wire.start()
  }

  stop(): void {
    this.rest()
    this.wire.stop()
  }

  private rest(): void {
    this.redis = undefined
    this.timer?.cancel()
  }

  private onOpen(redis: Redis): void {
    this.redis = redis
    redis.on('message', (_channel: string, text: string) => {
      if (this.redis === redis) this.events.mark(text)
    })
    this.expectAnswer(redis, redis.subscribe(this.channel), () => this.events.listening())
  }

  /** Waits for the answer, then rests a second and pings; no answer in time costs the connection. */
  private expectAnswer(redis: Redis, answer: Promise<unknown>, onAnswer: () => void): void {
    const { timers, timeoutMs } = this.options
    this.timer?.cancel()
    this.timer = timers.after(timeoutMs, () => this.wire.replace(`no answer within ${timeoutMs} ms`))
    answer.then(
      () => {
        if (this.redis !== redis) return
        this.wire.proveUseful()
        this.timer?.cancel()
        this.timer = timers.after(pingEveryMs, () => this.expectAnswer(redis, redis.ping(), () => {}))
        onAnswer()
      },
      (error) => {
        // LOADING and BUSY refuse a PING, but they are answers; SUBSCRIBE they do not refuse.
        if (this.redis !== redis) return
        if (/^(LOADING|BUSY|MASTERDOWN)\b/.test(textOf(error))) {
          this.timer?.cancel()
          this.timer = timers.after(pingEveryMs, () => this.expectAnswer(redis, redis.ping(), () => {}))
        } else this.wire.replace(textOf(error))
      },
    )
  }
}
