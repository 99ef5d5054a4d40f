/**
 * The least that a proxy of Regis's kind can be: it frames requests, puts a prefix on the key, sends them all over one connection, once a
 * turn, and gives each client its replies. No login, no tenants, no quotas, no errors, no bounds, no replicas, no other commands than GET and SET.
 * What it costs on a machine is what Node, the kernel and this design cost there; the rest of Regis's figure is Regis. ~ a process of its own.
 *
 *   node least-proxy.js PORT UPSTREAM_PORT
 */
import net from 'node:net'

const [port = 0, upstreamPort = 0] = process.argv.slice(2).map(Number)
const frontBytes = 64 * 1024
const readBytes = 64 * 1024
const halfBytes = 32 * 1024 * 1024
const earlyBytes = 64 * 1024
const runsMax = 65_536
const prefix = Buffer.from('least:')

const slab = Buffer.allocUnsafeSlow(frontBytes + readBytes + 2 * halfBytes)
let half = frontBytes + readBytes
let otherHalf = half + halfBytes
let at = half
let isWriting = false
let isPlanned = false
const owners: (Client | undefined)[] = new Array(runsMax).fill(undefined)
const counts = new Int32Array(runsMax)
let head = 0
let tail = 0
/** One past the number that was read last. */
let after = 0

function number(bytes: Buffer, from: number): number {
  let n = 0
  let p = from
  for (let c = bytes[p++]!; c !== 13; c = bytes[p++]!) n = n * 10 + c - 48
  after = p + 1
  return n
}

class Client {
  private readonly socket: net.Socket
  private rest: Buffer | undefined

  constructor(socket: net.Socket) {
    this.socket = socket
  }

  give(replies: Uint8Array): void {
    this.socket.write(replies)
  }

  onRead(nread: number): void {
    let start = frontBytes
    const end = frontBytes + nread
    if (this.rest !== undefined) {
      start -= this.rest.length
      this.rest.copy(slab, start)
      this.rest = undefined
    }
    let pos = start
    let from = start
    let count = 0
    while (pos < end) {
      const next = requestEnd(pos, end)
      if (next < 0) break
      slab.copyWithin(at, from, keyHead)
      at += keyHead - from
      const length = keyLength + prefix.length
      slab[at++] = 36
      if (length > 9) slab[at++] = 48 + ((length / 10) | 0)
      slab[at++] = 48 + (length % 10)
      slab[at++] = 13
      slab[at++] = 10
      for (let i = 0; i < prefix.length; i++) slab[at++] = prefix[i]!
      from = keyAt
      pos = next
      count++
    }
    if (count > 0) {
      slab.copyWithin(at, from, pos)
      at += pos - from
      owners[tail & (runsMax - 1)] = this
      counts[tail++ & (runsMax - 1)] = count
      if (!isPlanned) setImmediate(flush)
      isPlanned = true
      if (at - half > earlyBytes) flush()
    }
    if (pos < end) this.rest = Buffer.from(slab.subarray(pos, end))
  }
}

let keyHead = 0
let keyAt = 0
let keyLength = 0

/** One past the request at `pos`, whose key is the first argument; -1: not all of it is there. Headers are complete or the bytes are few. */
function requestEnd(pos: number, end: number): number {
  if (end - pos < 32 && slab.lastIndexOf(10, end - 1) < end - 1) return -1
  const args = number(slab, pos + 1)
  let p = after
  for (let i = 0; i < args; i++) {
    if (p + 4 > end) return -1
    const length = number(slab, p + 1)
    if (i === 1) {
      keyHead = p
      keyAt = after
      keyLength = length
    }
    p = after + length + 2
    if (p > end) return -1
  }
  return p
}

function flush(): void {
  isPlanned = false
  if (isWriting || at === half) return
  upstream.write(slab.subarray(half, at), () => {
    if (!isWriting || upstream.writableLength > 0) return
    isWriting = false
    flush()
  })
  if (upstream.writableLength > 0) {
    isWriting = true
    const busy = half
    half = otherHalf
    otherHalf = busy
  }
  at = half
}

const input = Buffer.allocUnsafeSlow(frontBytes + readBytes)
let left = 0
/** Of a bulk reply that is not complete. */
let bodyLeft = 0

function onReplies(nread: number): void {
  const start = frontBytes - left
  const end = frontBytes + nread
  let from = start
  let pos = start
  left = 0
  while (pos < end) {
    let next = pos + bodyLeft
    if (bodyLeft === 0) {
      const line = input.indexOf(10, pos)
      if (line < 0 || line >= end) break
      next = line + 1
      if (input[pos] === 36 && input[pos + 1] !== 45) next += number(input, pos + 1) + 2
    }
    bodyLeft = Math.max(0, next - end)
    pos = Math.min(next, end)
    if (bodyLeft > 0) break
    const run = head & (runsMax - 1)
    if (--counts[run]! > 0) continue
    owners[run]!.give(Buffer.from(input.subarray(from, pos)))
    owners[run] = undefined
    head++
    from = pos
  }
  if (pos > from) owners[head & (runsMax - 1)]!.give(Buffer.from(input.subarray(from, pos)))
  if (pos < end) {
    left = end - pos
    input.copyWithin(frontBytes - left, pos, end)
  }
}

const upstream = net.connect({
  host: '127.0.0.1',
  port: upstreamPort,
  noDelay: true,
  onread: {
    buffer: input.subarray(frontBytes),
    callback: (nread) => {
      onReplies(nread)
      return true
    },
  },
})

const shared = slab.subarray(frontBytes, frontBytes + readBytes)

net
  .createServer({ pauseOnConnect: true, noDelay: true }, (accepted) => {
    const owner = accepted as unknown as { _handle: unknown }
    const handle = owner._handle
    owner._handle = null
    const onread = {
      buffer: shared,
      callback: (nread: number): boolean => {
        client.onRead(nread)
        return true
      },
    }
    const socket = new net.Socket({ handle, onread } as unknown as net.SocketConstructorOpts)
    const client = new Client(socket)
    socket.on('error', () => {})
    socket.resume()
  })
  .listen(port, '127.0.0.1')
