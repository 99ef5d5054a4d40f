/**
 * A light, paced load on one proxy from two tenants, and how long its commands took: shop reads and writes carts
 * (`session`), analytics counts pages (`bounded`), and once a second somebody asks for a strong read. ~ touches timers
 * and, through wire.ts, sockets. It comes back by itself when its proxy does.
 */

import { type Latencies, median } from './status.ts'
import { ReplyError, Wire } from './wire.ts'

type Kind = keyof Latencies

interface Lane {
  readonly user: string
  readonly setUp: readonly (readonly string[])[]
  wire: Wire | undefined
  isOpening: boolean
}

function lane(user: string, ...setUp: readonly (readonly string[])[]): Lane {
  return { user, setUp, wire: undefined, isOpening: false }
}

const tickMs = 20
const reconnectMs = 500
/** Commands that one tenant may have waiting; beyond it the load is not light any more, and the rest is dropped. */
const waitingMax = 1000
const recentMs = 5000
const password = 'demo'

export class Load {
  readonly #port: number
  // Writes have connections of their own, as with any pool: replies come in order, so a read behind a write that is on
  // its way to another region waits for it.
  readonly #shop = lane('shop-app')
  readonly #shopWrites = lane('shop-app')
  readonly #analytics = lane('analytics-app')
  readonly #analyticsWrites = lane('analytics-app')
  readonly #strong = lane('analytics-app', ['PROXY', 'CONSISTENCY', 'strong'])
  readonly #lanes = [this.#shop, this.#shopWrites, this.#analytics, this.#analyticsWrites, this.#strong]
  readonly #timings: Record<Kind, { atMs: number; tookMs: number }[]> = { bounded: [], write: [], strong: [] }
  #errors: Record<string, number> = {}
  #opsPerSecond = 0
  /** Commands that are due and not yet sent, with a fraction. */
  #due = 0
  #strongAtMs = 0
  #tickedAtMs = 0
  #waiting = 0
  #turn = 0
  #timer: NodeJS.Timeout | undefined

  /** Sends nothing before start(). */
  constructor(port: number) {
    this.#port = port
  }

  /** Commands a second on this proxy, from now on; 0: none, and no connections either. */
  start(opsPerSecond: number): void {
    this.#opsPerSecond = opsPerSecond
    clearInterval(this.#timer)
    this.#timer = undefined
    if (opsPerSecond <= 0) {
      this.stop()
      return
    }
    this.#tickedAtMs = performance.now()
    this.#timer = setInterval(() => this.#tick(), tickMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    for (const lane of this.#lanes) {
      lane.wire?.close()
      lane.wire = undefined
    }
  }

  /** Medians of the last five seconds. */
  latencies(): Latencies {
    const since = performance.now() - recentMs
    const recent = (kind: Kind) => {
      const kept = this.#timings[kind].filter(({ atMs }) => atMs > since)
      this.#timings[kind] = kept
      return median(kept.map(({ tookMs }) => tookMs))
    }
    return { bounded: recent('bounded'), write: recent('write'), strong: recent('strong') }
  }

  /** Errors since the last call, by first word. */
  takeErrors(): Record<string, number> {
    const errors = this.#errors
    this.#errors = {}
    return errors
  }

  #tick(): void {
    const now = performance.now()
    // After a pause of this process the load does not make up for what it missed.
    this.#due += (Math.min(now - this.#tickedAtMs, 250) * this.#opsPerSecond) / 1000
    this.#tickedAtMs = now
    for (; this.#due >= 1; this.#due--) this.#sendOne()
    if (now - this.#strongAtMs > 1000) {
      this.#strongAtMs = now
      this.#send(this.#strong, 'strong', ['GET', `page:${this.#turn % 50}`])
    }
  }

  /** The mix: of ten commands five are shop's (one write) and five are analytics' (one write). */
  #sendOne(): void {
    const turn = this.#turn++
    const number = turn % 50
    switch (turn % 10) {
      case 0:
        this.#send(this.#shopWrites, 'write', ['SET', `cart:${number}`, `${number} items`, 'EX', '600'])
        break
      case 5:
        this.#send(this.#analyticsWrites, 'write', ['INCR', `page:${number}`])
        break
      case 1:
      case 3:
      case 7:
      case 9:
        this.#send(this.#shop, undefined, ['GET', `cart:${(number * 7) % 50}`])
        break
      default:
        this.#send(this.#analytics, 'bounded', ['GET', `page:${(number * 7) % 50}`])
    }
  }

  #send(lane: Lane, kind: Kind | undefined, args: readonly string[]): void {
    if (lane.wire === undefined || !lane.wire.isOpen) {
      this.#open(lane)
      return
    }
    if (this.#waiting >= waitingMax) {
      this.#count('NOT-SENT')
      return
    }
    const sentAtMs = performance.now()
    this.#waiting++
    lane.wire.call(...args).then(
      () => {
        this.#waiting--
        const atMs = performance.now()
        if (kind !== undefined) this.#timings[kind].push({ atMs, tookMs: atMs - sentAtMs })
      },
      (error: unknown) => {
        this.#waiting--
        // What our own stop() closes is no error.
        if (this.#timer !== undefined) this.#count(error instanceof ReplyError ? firstWord(error.message) : 'LOST')
      },
    )
  }

  #open(lane: Lane): void {
    if (lane.isOpening) return
    lane.isOpening = true
    const opening = async () => {
      const wire = await Wire.open(this.#port)
      await wire.call('AUTH', lane.user, password)
      for (const command of lane.setUp) await wire.call(...command)
      if (this.#timer === undefined) wire.close()
      else lane.wire = wire
    }
    opening().then(
      () => {
        lane.isOpening = false
      },
      (error: unknown) => {
        this.#count(error instanceof ReplyError ? firstWord(error.message) : 'UNREACHABLE')
        setTimeout(() => {
          lane.isOpening = false
        }, reconnectMs).unref()
      },
    )
  }

  #count(word: string): void {
    this.#errors[word] = (this.#errors[word] ?? 0) + 1
  }
}

function firstWord(message: string): string {
  return message.split(' ', 1)[0] ?? message
}
