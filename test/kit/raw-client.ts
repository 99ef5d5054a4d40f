/**
 * A client that sends exactly the bytes it is told and hands out replies one by one, decoded or as the exact bytes.
 * Nothing is sent on connect. For TLS hand in a connected socket.
 */
import { connect, type Socket } from 'node:net'
import { command, type Decoded, decode } from './resp.ts'

const timeoutMsDefault = 30_000

export class RawClient {
  readonly socket: Socket
  /** What has come and was not read; chunks are joined when somebody looks, not one by one. */
  #chunks: Buffer[] = []
  #ended = false
  #wake: (() => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#chunks.push(bytes)
      this.#wake?.()
    })
    const end = () => {
      this.#ended = true
      this.#wake?.()
    }
    socket.on('end', end).on('error', end).on('close', end)
  }

  static open(port: number, host = '127.0.0.1'): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => resolve(new RawClient(socket)))
    })
  }

  send(bytes: Buffer | string): void {
    this.socket.write(bytes)
  }

  /** The next reply, decoded. Rejects when the connection ends first, or after the timeout. */
  async read(timeoutMs = timeoutMsDefault): Promise<Decoded> {
    return (await this.#next(timeoutMs)).reply
  }

  /** The next reply, as the bytes that came, latin1. */
  async readRaw(timeoutMs = timeoutMsDefault): Promise<string> {
    return (await this.#next(timeoutMs)).raw
  }

  /** Sends a command and reads one reply. Error replies are values of class ErrorReply, not rejections. */
  call(...args: readonly (string | number | Buffer)[]): Promise<Decoded> {
    this.send(command(...args))
    return this.read()
  }

  /** The same, as the bytes that came. */
  callRaw(...args: readonly (string | number | Buffer)[]): Promise<string> {
    this.send(command(...args))
    return this.readRaw()
  }

  /** Several commands in one write, their replies in order. */
  async pipeline(commands: readonly (readonly (string | number | Buffer)[])[]): Promise<Decoded[]> {
    this.send(Buffer.concat(commands.map((args) => command(...args))))
    const replies: Decoded[] = []
    for (let i = 0; i < commands.length; i++) replies.push(await this.read())
    return replies
  }

  /** Resolves with everything not yet read when the other side has ended the connection. */
  async untilClosed(timeoutMs = timeoutMsDefault): Promise<string> {
    await this.#until(() => (this.#ended ? true : undefined), timeoutMs)
    return this.#received().toString('latin1')
  }

  /** Bytes that have come and were not read. */
  get unread(): string {
    return this.#received().toString('latin1')
  }

  get isClosed(): boolean {
    return this.#ended
  }

  /** FIN. */
  end(): void {
    this.socket.end()
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  close(): void {
    this.socket.destroy()
  }

  #received(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!
  }

  #next(timeoutMs: number): Promise<{ reply: Decoded; raw: string }> {
    return this.#until(() => {
      const received = this.#received()
      const found = decode(received)
      if (found === undefined) {
        if (this.#ended) throw new Error(`connection ended, unread: ${JSON.stringify(this.unread.slice(0, 200))}`)
        return undefined
      }
      const raw = received.toString('latin1', 0, found.end)
      this.#chunks = [received.subarray(found.end)]
      return { reply: found.reply, raw }
    }, timeoutMs)
  }

  #until<T>(attempt: () => T | undefined, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = undefined
        reject(new Error(`nothing in ${timeoutMs} ms, unread: ${JSON.stringify(this.unread.slice(0, 200))}`))
      }, timeoutMs)
      const done = (settle: () => void) => {
        clearTimeout(timer)
        this.#wake = undefined
        settle()
      }
      const look = () => {
        try {
          const value = attempt()
          if (value !== undefined) done(() => resolve(value))
        } catch (error) {
          done(() => reject(error))
        }
      }
      this.#wake = look
      look()
    })
  }
}
