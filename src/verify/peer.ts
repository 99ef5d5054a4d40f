/**
 * One client of `verify` at one proxy: logs in, sets its level, comes back after a loss. ~ timers (sockets: demo/wire.ts).
 * Each connection has a number, so that what one has seen is not held against the next.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Reply, ReplyError, Wire } from '../demo/wire.ts'
import type { Seen } from './counter-checks.ts'

export interface Target {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly user?: string
  readonly password?: string
  /** For the share of local reads. */
  readonly admin?: { readonly host: string; readonly port: number; readonly token?: string }
}

/** What became of a command: its reply, refused (`notExecuted`), or nobody knows. */
export type Outcome =
  | { readonly fate: 'ok'; readonly reply: Reply }
  | { readonly fate: 'notExecuted' | 'uncertain'; readonly error: string }

const reopenMs = 100

export class Peer {
  readonly target: Target
  /** What this connection has seen; empty on a new one. */
  seen: Seen = new Map()
  level = 'session'
  private wire: Wire | undefined

  constructor(target: Target) {
    this.target = target
  }

  /** Rejects when the proxy is not there or refuses the login. */
  async open(): Promise<void> {
    const { host, port, user, password } = this.target
    const wire = await Wire.open(port, host)
    try {
      if (password !== undefined) await wire.call('AUTH', ...(user === undefined ? [] : [user]), password)
      await wire.call('PROXY', 'CONSISTENCY', this.level)
    } catch (error) {
      wire.close()
      throw error
    }
    this.seen = new Map()
    this.wire = wire
  }

  async setLevel(level: string): Promise<void> {
    this.level = level
    await this.call('PROXY', 'CONSISTENCY', level)
  }

  /** Never rejects. A connection that is lost is opened anew before the next command; until then `notExecuted`. */
  async call(...args: readonly (string | number)[]): Promise<Outcome> {
    if (this.wire === undefined || !this.wire.isOpen) {
      try {
        await this.open()
      } catch (error) {
        await sleep(reopenMs)
        return { fate: 'notExecuted', error: textOf(error) }
      }
    }
    try {
      return { fate: 'ok', reply: await this.wire!.call(...args) }
    } catch (error) {
      const text = textOf(error)
      // Done, though not on as many replicas as were asked for.
      if (error instanceof ReplyError && text.startsWith('NOTDURABLE')) return { fate: 'ok', reply: text }
      const isKnown = error instanceof ReplyError && !text.startsWith('UNCERTAIN')
      return { fate: isKnown ? 'notExecuted' : 'uncertain', error: text }
    }
  }

  close(): void {
    this.wire?.close()
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
