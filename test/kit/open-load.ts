/**
 * Clients that send at a rate, whatever is answered: commands that are due go out together, a few times each 100 ms, over
 * some connections. What came back is counted by kind and by time of arrival.
 */
import { connect, type Socket } from 'node:net'
import { command } from './resp.ts'

const everyMs = 10
/** Width of a bin. */
export const binMs = 100

export class OpenLoad {
  /** Per second; changes at once. */
  rate = 0
  sent = 0
  accepted = 0
  throttled = 0
  /** Other answers, by their text; there should be none. */
  readonly others = new Map<string, number>()
  /** Accepted, by time since the start in bins. */
  readonly bins: number[] = []
  readonly #sockets: Socket[]
  readonly #request: Buffer
  readonly #startedAtMs: number
  #timer: NodeJS.Timeout
  #dueAtMs = performance.now()
  #owed = 0
  #turn = 0

  private constructor(sockets: Socket[], request: Buffer, startedAtMs: number) {
    this.#sockets = sockets
    this.#request = request
    this.#startedAtMs = startedAtMs
    for (const socket of sockets) this.#listen(socket)
    this.#timer = setInterval(() => this.#send(), everyMs)
  }

  /** `startedAtMs`: the same for loads whose bins are to be added up. */
  static async open(
    port: number,
    login: readonly [string, string],
    args: readonly string[],
    connections: number,
    startedAtMs: number,
  ): Promise<OpenLoad> {
    const sockets: Socket[] = []
    for (let i = 0; i < connections; i++) {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      socket.on('error', () => {})
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve)
        socket.once('error', reject)
      })
      socket.write(command('AUTH', ...login))
      const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
      if (answer.toString() !== '+OK\r\n') throw new Error(answer.toString())
      sockets.push(socket)
    }
    return new OpenLoad(sockets, command(...args), startedAtMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    for (const socket of this.#sockets) socket.destroy()
  }

  /** No more is sent; what is under way is counted still. */
  pause(): void {
    this.rate = 0
    this.#owed = 0
  }

  get unanswered(): number {
    let others = 0
    for (const count of this.others.values()) others += count
    return this.sent - this.accepted - this.throttled - others
  }

  #send(): void {
    const now = performance.now()
    this.#owed += (this.rate * (now - this.#dueAtMs)) / 1000
    this.#dueAtMs = now
    const count = Math.floor(this.#owed)
    if (count === 0) return
    this.#owed -= count
    this.sent += count
    this.#sockets[this.#turn++ % this.#sockets.length]!.write(
      Buffer.concat(Array.from({ length: count }, () => this.#request)),
    )
  }

  /** Replies are one line each. */
  #listen(socket: Socket): void {
    let rest = ''
    socket.on('data', (bytes: Buffer) => {
      const bin = Math.floor((performance.now() - this.#startedAtMs) / binMs)
      const lines = (rest + bytes.toString('latin1')).split('\r\n')
      rest = lines.pop()!
      for (const line of lines) {
        if (line[0] === ':') {
          this.accepted++
          while (this.bins.length <= bin) this.bins.push(0)
          this.bins[bin]!++
        } else if (line.startsWith('-THROTTLED ')) this.throttled++
        else this.others.set(line, (this.others.get(line) ?? 0) + 1)
      }
    })
  }
}
