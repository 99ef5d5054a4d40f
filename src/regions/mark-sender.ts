/**
 * Publishes marks on one node, the primary. ~ sockets. Its own connection, because CLIENT PAUSE and a full replica
 * output can hold a PUBLISH back for long, and probes must not wait behind it.
 *
 * Marks that wait for their answer are bounded: a primary that does not answer gets no more of them, and one that stays
 * silent for twice the timeout gets a new connection.
 */
import type { Redis } from 'ioredis'
import type { NodeAddress } from './node.ts'
import type { ProbeOptions } from './probe.ts'
import { textOf, Wire } from './wire.ts'

const unansweredMax = 64

export interface MarkSenderEvents {
  ready(): void
  lost(reason: string): void
  refused(reason: string): void
}

export class MarkSender {
  private readonly options: ProbeOptions
  private readonly events: MarkSenderEvents
  private readonly channel: string
  private readonly wire: Wire
  private redis: Redis | undefined
  private unanswered = 0
  private answeredAtMs = 0

  constructor(address: NodeAddress, channel: string, options: ProbeOptions, events: MarkSenderEvents) {
    this.options = options
    this.events = events
    this.channel = channel
    this.wire = new Wire(
      address,
      { ...options, name: 'regis-control-marks' },
      {
        open: (redis) => {
          this.redis = redis
          this.unanswered = 0
          events.ready()
        },
        lost: (reason) => {
          const wasReady = this.redis !== undefined
          this.redis = undefined
          if (wasReady) events.lost(reason)
        },
      },
    )
  }

  start(): void {
    this.wire.start()
  }

  stop(): void {
    this.redis = undefined
    this.wire.stop()
  }

  send(text: string): boolean {
    const redis = this.redis
    if (redis === undefined) return false
    const now = this.options.clock.now()
    if (this.unanswered === 0) this.answeredAtMs = now
    else if (now - this.answeredAtMs > 2 * this.options.timeoutMs) {
      this.wire.replace('marks are not answered')
      return false
    }
    if (this.unanswered >= unansweredMax) return false
    this.unanswered++
    redis.publish(this.channel, text).then(
      () => {
        this.onAnswer(redis)
        if (this.redis === redis) this.wire.proveUseful()
      },
      (error) => {
        this.onAnswer(redis)
        // Only what the server itself said: a mark that died with its connection is repaired by the next one.
        if (this.redis === redis && error instanceof Error && error.name === 'ReplyError') {
          this.events.refused(textOf(error))
        }
      },
    )
    return true
  }

  private onAnswer(redis: Redis): void {
    if (this.redis !== redis) return
    this.unanswered--
    this.answeredAtMs = this.options.clock.now()
  }
}
