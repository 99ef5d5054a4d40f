/**
 * One conversation of raw bytes: pieces go out, everything that comes back is kept until the far side ends or a marker
 * has come. For tables of byte sequences. Replies are compared as latin1 text.
 */
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

export interface Heard {
  readonly bytes: string
  /** The far side has ended the connection. */
  readonly isClosed: boolean
}

export interface ExchangeOptions {
  readonly port: number
  readonly host?: string
  /** Ends the listening when it occurs in what came; it is cut off. */
  readonly until?: string
  /** FIN after the last piece. */
  readonly fin?: boolean
  readonly timeoutMs?: number
}

/** Sends each piece in a write of its own, with a turn of the event loop in between. */
export async function exchange(pieces: readonly (Buffer | string)[], options: ExchangeOptions): Promise<Heard> {
  const socket = connect({ port: options.port, host: options.host ?? '127.0.0.1', noDelay: true, allowHalfOpen: true })
  try {
    return await converse(socket, pieces, options)
  } finally {
    socket.destroy()
  }
}

/** The same over a socket that is there already. */
export function converse(
  socket: Socket,
  pieces: readonly (Buffer | string)[],
  options: Omit<ExchangeOptions, 'port' | 'host'>,
): Promise<Heard> {
  const chunks: Buffer[] = []
  let isClosed = false
  return new Promise<Heard>((resolve, reject) => {
    const all = () => Buffer.concat(chunks).toString('latin1')
    const timer = setTimeout(() => {
      const text = all()
      reject(new Error(`neither closed nor ${JSON.stringify(options.until)}: ${JSON.stringify(text.slice(-200))}`))
    }, options.timeoutMs ?? 10_000)
    const settle = (bytes: string) => {
      clearTimeout(timer)
      resolve({ bytes, isClosed })
    }
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (options.until === undefined) return
      // The marker is short: it can only stand at the end of the last two chunks.
      const tail = Buffer.concat(chunks.slice(-2)).toString('latin1')
      if (!tail.includes(options.until) && !(chunks.length < 2000 && all().includes(options.until))) return
      const text = all()
      settle(text.slice(0, text.indexOf(options.until)))
    })
    const onEnd = () => {
      isClosed = true
      settle(all())
    }
    socket.on('end', onEnd).on('close', onEnd).on('error', onEnd)
    const speak = async () => {
      for (const piece of pieces) {
        if (isClosed || socket.destroyed) return
        if (!socket.write(piece, 'latin1')) await new Promise((done) => socket.once('drain', done).once('close', done))
        await turn()
      }
      if (options.fin === true) socket.end()
    }
    if (socket.connecting) socket.once('connect', () => void speak())
    else void speak()
  })
}

/** The bytes cut at these offsets. */
export function cutAt(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const sorted = [...new Set([0, ...offsets, bytes.length])].filter((at) => at <= bytes.length).sort((a, b) => a - b)
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i]!, end))
}

/** A small generator (mulberry32), so that a run can be repeated from its seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
