/**
 * One connection that knows, byte for byte, what must come back. It encodes commands, cuts what it sends wherever it is
 * told, and compares the incoming stream with what was promised. No parser: a reply that is right in value but wrong in
 * form is wrong. ~ touches sockets.
 */
import { connect, type Socket } from 'node:net'

export class WrongReply extends Error {
  override name = 'WrongReply'
}

export function encodeCommand(args: readonly (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

export const bulk = (value: Buffer | undefined): Buffer =>
  value === undefined
    ? Buffer.from('$-1\r\n')
    : Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')])

export class RawClient {
  readonly name: string
  readonly #socket: Socket
  /** What must still come, oldest first. */
  readonly #promised: Buffer[] = []
  #offset = 0
  #promisedBytes = 0
  #received = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined

  private constructor(name: string, socket: Socket) {
    this.name = name
    this.#socket = socket
    socket.on('data', (bytes) => this.#compare(bytes))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error(`${name}: connection closed`)))
  }

  static open(name: string, port: number, host = '127.0.0.1'): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve(new RawClient(name, socket))
      })
    })
  }

  get unansweredBytes(): number {
    return this.#promisedBytes
  }

  promise(reply: Buffer): void {
    this.#promised.push(reply)
    this.#promisedBytes += reply.length
  }

  write(bytes: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#socket.write(bytes)
  }

  /** Resolves when at most this many promised bytes are missing; rejects on the first wrong byte, a close, or silence. */
  async untilMissing(bytesMax: number, silenceMsMax = 10_000): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#promisedBytes <= bytesMax) return
      const before = this.#received
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, silenceMsMax)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (this.#failure === undefined && this.#received === before) {
        throw new Error(`${this.name}: ${this.#promisedBytes} bytes of replies missing after ${silenceMsMax} ms`)
      }
    }
  }

  /** Anything that comes after the last promised byte is one byte too many. */
  close(): void {
    this.#failure ??= new Error(`${this.name}: closed by us`)
    this.#socket.destroy()
  }

  #compare(bytes: Buffer): void {
    if (this.#failure !== undefined) return
    let at = 0
    while (at < bytes.length) {
      const reply = this.#promised[0]
      if (reply === undefined) {
        this.#fail(this.#wrong(bytes.subarray(at), Buffer.alloc(0)))
        return
      }
      const length = Math.min(bytes.length - at, reply.length - this.#offset)
      if (bytes.compare(reply, this.#offset, this.#offset + length, at, at + length) !== 0) {
        this.#fail(this.#wrong(bytes.subarray(at), reply.subarray(this.#offset)))
        return
      }
      at += length
      this.#offset += length
      this.#promisedBytes -= length
      this.#received += length
      if (this.#offset === reply.length) {
        this.#promised.shift()
        this.#offset = 0
      }
    }
    this.#wake?.()
  }

  #wrong(got: Buffer, wanted: Buffer): WrongReply {
    const show = (bytes: Buffer) => JSON.stringify(bytes.subarray(0, 60).toString('latin1'))
    return new WrongReply(`${this.name}: at byte ${this.#received} came ${show(got)}, promised was ${show(wanted)}`)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#socket.destroy()
    this.#wake?.()
  }
}
