/** A client of a simulated proxy: a connection in memory, opened anew when the proxy closes it. */
import { EventEmitter } from 'node:events'
import type { RegisProxy } from '../../src/proxy.ts'
import type { Session } from '../../src/session/session.ts'
import type { Seen } from '../../src/verify/counter-checks.ts'
import { command, decode, ErrorReply } from '../kit/resp.ts'
import type { Process, SimTime } from './time.ts'

export interface SimReply {
  readonly fate: 'ok' | 'uncertain' | 'notExecuted'
  /** Of `ok`: the value; null: none. */
  readonly text: string | null
}

interface Home {
  readonly process: Process
  readonly proxy: RegisProxy
}

/** Path and session as the proxy keeps them to itself. */
interface Insides {
  readonly path: { readonly slab: Buffer; readonly readAt: number }
  accept(socket: unknown, remote: string, user: undefined, listener: string): Session
}

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
  readonly process: Process
  seen: Seen = new Map()
  whenDone: () => void = () => {}
  private readonly time: SimTime
  private readonly home: Home
  private readonly level: string
  private session: Session | undefined
  private input = Buffer.alloc(0)
  private wanted = 0
  private replies: SimReply[] = []
  private then: (replies: SimReply[]) => void = () => {}
  private skip = 0

  constructor(time: SimTime, home: Home, level: string) {
    this.time = time
    this.home = home
    this.process = home.process
    this.level = level
  }

  /** In one chunk. `then` gets as many replies, at the end of the connection uncertain ones. */
  send(commands: readonly (readonly string[])[], then: (replies: SimReply[]) => void): void {
    const bytes = commands.map((args) => command(...args))
    if (this.session === undefined || this.session.isClosed) bytes.unshift(this.open())
    this.wanted = commands.length
    this.replies = []
    this.then = then
    const session = this.session!
    const all = Buffer.concat(bytes)
    const { path } = this.home.proxy as unknown as Insides
    path.slab.set(all, path.readAt)
    session.onRead(all.length)
  }

  private open(): Buffer {
    const socket: ClientSocket = new ClientSocket(
      (data) => {
        if (mine === this.socket) this.onData(data)
      },
      () => {
        if (mine === this.socket) this.onEnd()
      },
    )
    const mine = socket
    this.socket = socket
    this.input = Buffer.alloc(0)
    this.seen = new Map()
    this.skip = 1
    const proxy = this.home.proxy as unknown as Insides
    this.session = proxy.accept(socket, 'sim', undefined, 'sim')
    return command('PROXY', 'CONSISTENCY', this.level)
  }
  private socket: ClientSocket | undefined

  private onData(bytes: Buffer): void {
    this.input = Buffer.concat([this.input, bytes])
    for (;;) {
      const found = decode(this.input)
      if (found === undefined) return
      this.input = this.input.subarray(found.end)
      if (this.skip > 0) this.skip--
      else this.take(found.reply instanceof ErrorReply ? errorOf(found.reply.message) : okOf(found.reply))
    }
  }

  private take(reply: SimReply): void {
    this.replies.push(reply)
    if (this.replies.length === this.wanted) this.finish()
  }

  private onEnd(): void {
    if (this.session !== undefined) this.session.isClosed = true
    if (this.wanted === 0) return
    while (this.replies.length < this.wanted) this.replies.push({ fate: 'uncertain', text: null })
    this.finish()
  }

  private finish(): void {
    this.wanted = 0
    const { then, replies } = this
    // The client's own turn: not on the proxy's stack.
    this.time.after(0, () => {
      then(replies)
      this.whenDone()
    }, this.process)
  }
}

function okOf(reply: unknown): SimReply {
  return { fate: 'ok', text: reply === null ? null : String(reply) }
}

function errorOf(message: string): SimReply {
  return { fate: message.startsWith('UNCERTAIN') ? 'uncertain' : 'notExecuted', text: message }
}
