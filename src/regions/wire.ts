/**
 * One control connection that is kept open. ~ sockets, through ioredis. Reconnecting is done here, not by ioredis, so that
 * every attempt is a new connection with nothing left over from the last one, and the pause between attempts is jittered.
 *
 *   start -> [opening] --set up--> [open] --closed / replace--> [waiting: backoff] -> [opening] ...      stop -> nothing
 *
 * AUTH and CLIENT SETNAME are sent here as well: ioredis prints its opinion of a wrong password to the console.
 */
import { Redis, type RedisOptions } from 'ioredis'
import { Backoff } from '../upstream/backoff.ts'
import { guardReplies } from './ioredis-guard.ts'
import type { NodeAddress } from './node.ts'
import type { Timer, Timers } from './timers.ts'

guardReplies()

export interface WireOptions {
  /** CLIENT SETNAME: what an operator sees in CLIENT LIST. */
  readonly name: string
  /** For TCP, TLS, AUTH together. */
  readonly timeoutMs: number
  readonly timers: Timers
  readonly random: () => number
}

export interface WireEvents {
  open(redis: Redis): void
  /** Once for each attempt that failed and each connection that ended, not after `stop`. */
  lost(reason: string): void
}

export class Wire {
  private readonly address: NodeAddress
  private readonly options: WireOptions
  private readonly events: WireEvents
  private readonly backoff: Backoff
  private redis: Redis | undefined
  private timer: Timer | undefined
  private isWanted = false

  constructor(address: NodeAddress, options: WireOptions, events: WireEvents) {
    this.address = address
    this.options = options
    this.events = events
    this.backoff = new Backoff({ random: options.random })
  }

  start(): void {
    if (this.isWanted) return
    this.isWanted = true
    this.backoff.reset()
    this.open()
  }

  stop(): void {
    this.isWanted = false
    this.drop()
  }

  /** The connection is not what it should be: end it and open another after a pause. */
  replace(reason: string): void {
    if (!this.isWanted || this.redis === undefined) return
    this.drop()
    this.timer = this.options.timers.after(this.backoff.nextDelayMs(), () => this.open())
    this.events.lost(reason)
  }

  /** It has answered: the next loss is tried again without a long pause. */
  proveUseful(): void {
    this.backoff.reset()
  }

  private drop(): void {
    this.timer?.cancel()
    this.timer = undefined
    const redis = this.redis
    this.redis = undefined
    if (redis === undefined) return
    // Neither politely nor later: a paused server never closes its half, and ioredis would wait 2 s for it.
    if (redis.status !== 'end') redis.disconnect()
    redis.stream?.destroy()
  }

  private open(): void {
    const { timeoutMs, timers } = this.options
    const redis = new Redis(optionsOf(this.address, timeoutMs))
    this.redis = redis
    let reason = ''
    const fail = (): void => {
      if (this.redis === redis) this.replace(reason === '' ? 'connection closed' : reason)
    }
    this.timer = timers.after(timeoutMs, () => {
      reason ||= `no connection within ${timeoutMs} ms`
      fail()
    })
    redis.on('error', (error: Error) => {
      reason = textOf(error)
    })
    redis.once('end', fail)
    const setUp = async (): Promise<void> => {
      try {
        await redis.connect()
        await this.introduce(redis)
      } catch (error) {
        reason ||= textOf(error)
        return fail()
      }
      if (this.redis !== redis) return
      this.timer?.cancel()
      this.timer = undefined
      this.events.open(redis)
    }
    void setUp()
  }

  private async introduce(redis: Redis): Promise<void> {
    const { username, password } = this.address
    const steps: Promise<unknown>[] = []
    if (password !== undefined)
      steps.push(username === undefined ? redis.auth(password) : redis.auth(username, password))
    // A user who may not name its connections is still a user.
    steps.push(redis.call('CLIENT', 'SETNAME', this.options.name).catch(() => undefined))
    await Promise.all(steps)
  }
}

function optionsOf(address: NodeAddress, timeoutMs: number): RedisOptions & { replyMapping: 'legacy' } {
  const options: RedisOptions & { replyMapping: 'legacy' } = {
    host: address.host,
    port: address.port,
    protocol: 2,
    replyMapping: 'legacy',
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    connectTimeout: timeoutMs,
    disconnectTimeout: 0,
    retryStrategy: () => null,
  }
  if (address.tls) {
    options.tls = {
      ...(address.ca === undefined ? {} : { ca: address.ca }),
      ...(address.servername === undefined ? {} : { servername: address.servername }),
    }
  }
  return options
}

/** What an error says. ECONNREFUSED has an empty message when a name has several addresses, each with an error of its own. */
export function textOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error)
  if ('message' in error && typeof error.message === 'string' && error.message !== '') return error.message
  return 'code' in error ? String(error.code) : String(error)
}
