/** A client that waits for each reply: one line or one bulk. For latencies as one application thread sees them. ~ sockets. */
import { connect, type Socket } from 'node:net'
import { encodeCommand } from './raw-client.ts'

export class Asker {
  readonly #socket: Socket
  #chunks: Buffer[] = []
  #size = 0
  #wanted = 0
  #wake: ((reply: Buffer) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#chunks.push(bytes)
      this.#size += bytes.length
      if (this.#size < this.#wanted) return
      this.#look()
    })
  }

  static async open(port: number, login?: { readonly user: string; readonly password: string }): Promise<Asker> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const asker = new Asker(socket)
    if (login !== undefined) {
      const reply = await asker.ask(['AUTH', login.user, login.password])
      if (!reply.toString().startsWith('+OK')) throw new Error(`the login is refused: ${reply.toString()}`)
    }
    return asker
  }

  /** The reply as it came, with its header. Errors are replies. */
  ask(args: readonly string[]): Promise<Buffer> {
    const reply = new Promise<Buffer>((resolve) => {
      this.#wake = resolve
    })
    this.#socket.write(encodeCommand(args))
    return reply
  }

  close(): void {
    this.#socket.destroy()
  }

  #look(): void {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#chunks = [all]
    const lineEnd = all.indexOf('\r\n', 0, 'latin1')
    if (lineEnd < 0) return
    const bulkBytes = all[0] === 36 ? Number(all.toString('latin1', 1, lineEnd)) : -1
    const size = lineEnd + 2 + (bulkBytes < 0 ? 0 : bulkBytes + 2)
    this.#wanted = size
    if (all.length < size) return
    this.#chunks = []
    this.#size = 0
    this.#wanted = 0
    if (all.length > size) throw new Error('more came than one reply')
    this.#wake?.(all)
  }
}
