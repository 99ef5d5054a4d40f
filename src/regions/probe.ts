/**
 * Asks one node how it is, every 200 ms, over its own connection. ~ sockets. A round is PING (timed; refused while the
 * node loads) and INFO replication (role, history, offset, link: all that ROLE says and more), plus INFO server on a new
 * connection. One round at a time; one that is not answered within the timeout costs the connection, which is how a
 * paused or cut-off server is noticed.
 *
 * Its connection carries nothing else: CLIENT PAUSE, which a planned FAILOVER uses, holds back the marks' PUBLISH and
 * everything behind it, and the role must be seen through that.
 */
import type { Redis } from 'ioredis'
import type { Clock } from '../base/clock.ts'
import { readReplication, readServer } from './info.ts'
import type { ProbeRound } from './link.ts'
import type { NodeAddress } from './node.ts'
import type { Timer, Timers } from './timers.ts'
import { textOf, Wire } from './wire.ts'

export const probeEveryMs = 200

export interface ProbeOptions {
  readonly timeoutMs: number
  readonly clock: Clock
  readonly timers: Timers
  readonly random: () => number
}

export interface ProbeEvents {
  /** Connected; nothing asked yet. */
  open(): void
  answered(round: ProbeRound): void
  lost(reason: string): void
}

export class Probe {
  private readonly options: ProbeOptions
  private readonly events: ProbeEvents
  private readonly wire: Wire
  private redis: Redis | undefined
  private isFirst = true
  private isAsking = false
  private isHurried = false
  private next: Timer | undefined
  private deadline: Timer | undefined

  constructor(address: NodeAddress, options: ProbeOptions, events: ProbeEvents) {
    this.options = options
    this.events = events
    this.wire = new Wire(
      address,
      { ...options, name: 'regis-control' },
      { open: (redis) => this.onOpen(redis), lost: (reason) => this.onLost(reason) },
    )
  }

  start(): void {
    this.wire.start()
  }

  stop(): void {
    this.rest()
    this.wire.stop()
  }

  probeNow(): void {
    if (this.redis === undefined) return
    if (this.isAsking) this.isHurried = true
    else this.ask(this.redis)
  }

  private onOpen(redis: Redis): void {
    this.redis = redis
    this.isFirst = true
    this.events.open()
    this.ask(redis)
  }

  private onLost(reason: string): void {
    this.rest()
    this.events.lost(reason)
  }

  private rest(): void {
    this.redis = undefined
    this.isAsking = false
    this.isHurried = false
    this.next?.cancel()
    this.deadline?.cancel()
  }

  private ask(redis: Redis): void {
    const { clock, timers, timeoutMs } = this.options
    this.next?.cancel()
    this.isAsking = true
    this.isHurried = false
    this.deadline = timers.after(timeoutMs, () => this.wire.replace(`no answer within ${timeoutMs} ms`))
    const sentAtMs = clock.now()
    let rttMs = 0
    let state: ProbeRound['state'] = 'ok'
    const onRefused = (error: unknown): undefined => {
      const refusal = textOf(error)
      const word = /^(LOADING|MASTERDOWN|BUSY)\b/.exec(refusal)?.[1]
      if (word === undefined) throw error
      state = word === 'LOADING' ? 'loading' : word === 'MASTERDOWN' ? 'masterdown' : 'busy'
    }
    const timed = (): undefined => {
      rttMs = clock.now() - sentAtMs
    }
    const questions = [
      redis.ping().then(timed, (error) => {
        timed()
        return onRefused(error)
      }),
      redis.info('replication').catch(onRefused),
      this.isFirst ? redis.info('server').catch(onRefused) : Promise.resolve(undefined),
    ] as const
    Promise.all(questions).then(
      ([, replication, server]) => {
        if (this.redis !== redis) return
        this.onAnswer(redis, {
          sentAtMs,
          rttMs,
          state,
          ...(replication === undefined ? {} : { replication: readReplication(replication) }),
          ...(server === undefined ? {} : { server: readServer(server) }),
        })
      },
      (error) => {
        // The connection is gone, or the server answers but refuses us (NOAUTH, NOPERM): either way it tells us nothing.
        if (this.redis === redis) this.wire.replace(textOf(error))
      },
    )
  }

  private onAnswer(redis: Redis, round: ProbeRound): void {
    const { clock, timers } = this.options
    this.isAsking = false
    this.deadline?.cancel()
    this.wire.proveUseful()
    if (round.server !== undefined) this.isFirst = false
    if (this.isHurried) this.ask(redis)
    else {
      const restMs = Math.max(0, round.sentAtMs + probeEveryMs - clock.now())
      this.next = timers.after(restMs, () => this.ask(redis))
    }
    this.events.answered(round)
  }
}
