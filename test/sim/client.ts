/**
 * A client of a simulated proxy: a machine of its own next to it. Its connection is in memory, and opened anew when the
 * proxy closes it or is started anew.
 */
import { EventEmitter } from 'node:events'
import type { RegisProxy } from '../../src/proxy.ts'
import type { Session } from '../../src/session/session.ts'
import type { Seen } from '../../src/verify/counter-checks.ts'
import { command, decode, ErrorReply } from '../kit/resp.ts'
import { failedLate } from './redis.ts'
import type { Process, SimTime } from './time.ts'

export interface SimReply {
  readonly fate: 'ok' | 'uncertain' | 'notExecuted'
  /** Of `ok`: the value; null: none. */
  readonly text: string | null
}

/** Where it connects to: another process after a restart. */
export interface Home {
  process: Process
  proxy: RegisProxy
}

/** What the proxy keeps to itself. */
interface Insides {
  readonly path: { readonly slab: Buffer; readonly readAt: number }
  accept(socket: unknown, remote: string, user: undefined, listener: string): Session
}

const wayMs = 0.05

class ClientSocket extends EventEmitter {
  readonly writableLength = 0
  readonly writableFinished = true
  private readonly onData: (bytes: Buffer) => void
  private readonly onEnd: () => void
  constructor(onData: (bytes: Buffer) => void, onEnd: () => void) {
    super()
    this.onData = onData
    this.onEnd = onEnd
  }
  write(view: Uint8Array, done?: () => void): boolean {
    this.onData(Buffer.from(view))
    done?.()
    return true
  }
  cork(): void {}
  uncork(): void {}
  pause(): void {}
  resume(): void {}
  setTimeout(): void {}
  end(): void {
    this.onEnd()
  }
  destroy(): void {
    this.onEnd()
  }
}

export class SimClient {
  seen: Seen = new Map()
  whenDone: () => void = () => {}
  private readonly time: SimTime
  private readonly home: Home
  private readonly level: string
  /** Of the proxy's process: undefined when there is none, or its end is known here. */
  private session: Session | undefined
  private socket: ClientSocket | undefined
  private input: Buffer = Buffer.alloc(0)
  private wanted = 0
  private replies: SimReply[] = []
  private onReplies: (replies: SimReply[]) => void = () => {}
  private skip = 0

  constructor(time: SimTime, home: Home, level: string) {
    this.time = time
    this.home = home
    this.level = level
  }

  /** In one chunk. `then` gets as many replies; when the connection ends, uncertain ones. */
  send(commands: readonly (readonly string[])[], then: (replies: SimReply[]) => void): void {
    const bytes = commands.map((args) => command(...args))
    this.wanted = commands.length
    this.replies = []
    this.onReplies = then
    const isNew = this.socket === undefined
    if (isNew) {
      bytes.unshift(command('PROXY', 'CONSISTENCY', this.level))
      this.socket = this.newSocket()
      this.session = undefined
      this.input = Buffer.alloc(0)
      this.seen = new Map()
      this.skip = 1
    }
    const socket = this.socket!
    this.time.after(wayMs, () => this.deliver(socket, Buffer.concat(bytes)), this.home.process)
  }

  /** The machine of the proxy says that nobody holds this connection any more. */
  lost(): void {
    const { socket } = this
    if (socket !== undefined) this.onEnd(socket)
  }

  /** In the proxy's process. */
  private deliver(socket: ClientSocket, bytes: Buffer): void {
    const proxy = this.home.proxy as unknown as Insides
    if (socket !== this.socket) return
    this.session ??= proxy.accept(socket, 'sim', undefined, 'sim')
    if (this.session.isClosed) return
    proxy.path.slab.set(bytes, proxy.path.readAt)
    this.session.onRead(bytes.length)
  }

  private newSocket(): ClientSocket {
    const socket: ClientSocket = new ClientSocket(
      (data) => void this.time.after(wayMs, () => this.onData(socket, data), undefined),
      () => void this.time.after(wayMs, () => this.onEnd(socket), undefined),
    )
    return socket
  }

  private onData(socket: ClientSocket, bytes: Buffer): void {
    if (socket !== this.socket) return
    this.input = this.input.length === 0 ? bytes : Buffer.concat([this.input, bytes])
    while (this.input.length > 0) {
      const found = decode(this.input)
      if (found === undefined) return
      this.input = this.input.subarray(found.end)
      if (this.skip > 0) this.skip--
      else this.take(found.reply instanceof ErrorReply ? errorOf(found.reply.message) : okOf(found.reply))
    }
  }

  private take(reply: SimReply): void {
    if (this.wanted === 0) throw new Error('a reply that nobody asked for')
    this.replies.push(reply)
    if (this.replies.length === this.wanted) this.finish()
  }

  private onEnd(socket: ClientSocket): void {
    if (socket !== this.socket) return
    this.socket = undefined
    this.session = undefined
    if (this.wanted === 0) return
    while (this.replies.length < this.wanted) this.replies.push({ fate: 'uncertain', text: null })
    this.finish()
  }

  private finish(): void {
    this.wanted = 0
    this.onReplies(this.replies)
    this.whenDone()
  }
}

function okOf(reply: unknown): SimReply {
  return { fate: 'ok', text: reply === null ? null : String(reply) }
}

function errorOf(message: string): SimReply {
  if (message === failedLate) return { fate: 'ok', text: message }
  return { fate: message.startsWith('UNCERTAIN') ? 'uncertain' : 'notExecuted', text: message }
}
