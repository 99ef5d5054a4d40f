/**
 * Asks a node once for its commands, on a connection that is opened for it and closed after: the reply is a quarter of a
 * megabyte, and neither a probe nor a mark should wait behind it. Tries again until it is answered or stopped.
 */
import type { Redis } from 'ioredis'
import type { NodeAddress } from './node.ts'
import type { ProbeOptions } from './probe.ts'
import type { Timer } from './timers.ts'
import { textOf, Wire } from './wire.ts'

export class CommandAsker {
  private readonly options: ProbeOptions
  private readonly told: (reply: unknown) => void
  private readonly wire: Wire
  private deadline: Timer | undefined

  /** `told` gets undefined when the server refuses to say. */
  constructor(address: NodeAddress, options: ProbeOptions, told: (reply: unknown) => void) {
    this.options = options
    this.told = told
    this.wire = new Wire(
      address,
      { ...options, name: 'regis-commands' },
      { open: (redis) => this.ask(redis), lost: () => this.deadline?.cancel() },
    )
  }

  start(): void {
    this.wire.start()
  }

  stop(): void {
    this.deadline?.cancel()
    this.wire.stop()
  }

  private ask(redis: Redis): void {
    const { timeoutMs, timers } = this.options
    this.deadline = timers.after(timeoutMs, () => this.wire.replace(`no answer within ${timeoutMs} ms`))
    redis.call('COMMAND').then(
      (reply) => this.end(reply),
      (error) => {
        const reason = textOf(error)
        // Renamed or not allowed stays so; anything else (BUSY, LOADING, a lost connection) passes.
        if (/^NOPERM|unknown command/i.test(reason)) this.end(undefined)
        else this.wire.replace(reason)
      },
    )
  }

  private end(reply: unknown): void {
    this.stop()
    this.told(reply)
  }
}
