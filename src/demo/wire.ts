/**
 * One raw connection to anything that speaks RESP2, with redis-parser for the replies: the demo's load, and the control
 * of the servers it starts. ~ touches sockets. Not for the data path of the proxy, which decodes nothing.
 */
import { connect, type Socket } from 'node:net'
import Parser from 'redis-parser'

export type Reply = string | number | null | readonly Reply[]

/** What an error reply becomes; `message` is its whole text, code first. */
export class ReplyError extends Error {
  override name = 'ReplyError'
}

interface Waiting {
  resolve(reply: Reply): void
  reject(error: Error): void
}

export class Wire {
  readonly #socket: Socket
  readonly #waiting: Waiting[] = []
  #closed: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    const parser = new Parser({
      returnReply: (reply) => this.#waiting.shift()?.resolve(reply as Reply),
      returnError: (error) => this.#waiting.shift()?.reject(new ReplyError(error.message)),
      returnFatalError: (error) => this.#close(error),
    })
    socket.setNoDelay(true)
    socket.on('data', (bytes) => parser.execute(bytes))
    socket.on('error', (error) => this.#close(error))
    socket.on('close', () => this.#close(new Error('connection closed')))
  }

  /** Rejects when nothing listens there, or does not answer the handshake in `timeoutMs`. */
  static open(port: number, host = '127.0.0.1', timeoutMs = 2000): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host })
      socket.setTimeout(timeoutMs, () =>
        socket.destroy(new Error(`no connection to ${host}:${port} in ${timeoutMs} ms`)),
      )
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.setTimeout(0)
        socket.removeListener('error', reject)
        resolve(new Wire(socket))
      })
    })
  }

  get isOpen(): boolean {
    return this.#closed === undefined
  }

  /** Sends one command; resolves with its reply, rejects with ReplyError, or with what ended the connection. */
  call(...args: readonly (string | number)[]): Promise<Reply> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#socket.write(encode(args))
    })
  }

  close(): void {
    this.#close(new Error('connection closed by us'))
  }

  #close(error: Error): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    this.#socket.destroy()
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
  }
}

/** A command as an array of bulk strings. */
export function encode(args: readonly (string | number)[]): string {
  let text = `*${args.length}\r\n`
  for (const arg of args) {
    const value = String(arg)
    text += `$${Buffer.byteLength(value)}\r\n${value}\r\n`
  }
  return text
}
