/**
 * Accepts client connections, plain or TLS, with or without a PROXY protocol header, and feeds their bytes to sessions.
 *
 * Plain sockets read into the one shared slab through `onread`, which Node offers for outgoing sockets only: the
 * accepted handle is put into a socket of our own (docs/decisions/0003). Nothing survives the callback in the slab, so
 * all clients can share it. TLS sockets deliver chunks of their own, which are copied in, piece by piece.
 *
 * ~ a window: sockets.
 */
import net from 'node:net'
import tls from 'node:tls'
import { clientReadBytes, listenBacklog } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { formatAddress } from './address.ts'
import { readProxyHeader } from './proxy-protocol.ts'
import { lingerBriefly, type Session } from './session.ts'

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string }
  readonly proxyProtocol: boolean
  /**
   * Where clients come from. `own`: this process listens alone; `shared`: others listen at the same port, and the kernel
   * chooses; `handed`: another process accepts them and hands them over (take).
   */
  readonly from?: 'own' | 'shared' | 'handed'
  readonly slab: Buffer
  readonly readAt: number
  readonly log: Log
  /** False: no room for one more; the text is written and the connection closed. */
  mayAccept(): boolean
  readonly refusal: string
  /** `user`: the common name of a client certificate that was verified. */
  accept(socket: net.Socket, remote: string, user: string | undefined): Session
  /** A handshake that failed. */
  noteTlsError(): void
}

/** A header or a handshake may take this long. */
const preludeMs = 10_000
/** Node's own handle of an accepted socket; not in its types. */
interface WithHandle {
  _handle: unknown
}

export class Listener {
  readonly options: ListenerOptions
  private readonly server: net.Server
  private readonly tlsServer: tls.Server | undefined
  private readonly input: Buffer
  private isStopped = false

  constructor(options: ListenerOptions) {
    this.options = options
    this.input = options.slab.subarray(options.readAt, options.readAt + clientReadBytes)
    if (options.tls !== undefined) {
      this.tlsServer = tls.createServer(
        {
          cert: options.tls.cert,
          key: options.tls.key,
          handshakeTimeout: preludeMs,
          allowHalfOpen: true,
          ...(options.tls.clientCa === undefined
            ? {}
            : { ca: options.tls.clientCa, requestCert: true, rejectUnauthorized: true }),
        },
        (socket) => this.onSecure(socket),
      )
      this.tlsServer.on('tlsClientError', () => options.noteTlsError())
    }
    this.server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) =>
      this.onConnection(socket),
    )
    this.server.on('error', (error) => options.log.error({ error: error.message }, 'listener failed'))
  }

  /** Resolves with the port; rejects when the address cannot be had. */
  start(): Promise<number> {
    const { host, port, from } = this.options
    if (from === 'handed') return Promise.resolve(port)
    const where = { host, port, backlog: listenBacklog, ...(from === 'shared' ? { reusePort: true } : {}) }
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen(where, () => {
        this.server.off('error', reject)
        resolve((this.server.address() as net.AddressInfo).port)
      })
    })
  }

  /** No new connections; those that are open go on. */
  stop(): void {
    this.isStopped = true
    this.server.close()
  }

  /** A connection that another process has accepted, by its handle, of which nothing was read. */
  take(handle: unknown): void {
    const socket = new net.Socket({ handle, allowHalfOpen: true, pauseOnCreate: true } as net.SocketConstructorOpts)
    if (this.isStopped) socket.destroy()
    else this.onConnection(socket)
  }

  private onConnection(accepted: net.Socket): void {
    const { options } = this
    if (!options.mayAccept()) {
      accepted.on('error', () => {})
      accepted.end(options.refusal)
      lingerBriefly(accepted, 1_000)
      accepted.resume()
      return
    }
    const remote = formatAddress(accepted.remoteAddress, accepted.remotePort)
    if (options.proxyProtocol) return this.awaitHeader(accepted, remote)
    if (this.tlsServer !== undefined) {
      this.secure(accepted, remote)
      return
    }
    this.openPlain(accepted, remote, undefined)
  }

  private secure(accepted: net.Socket, remote: string): void {
    accepted.on('error', () => accepted.destroy())
    remotes.set(accepted, remote)
    this.tlsServer!.emit('connection', accepted)
  }

  private onSecure(socket: tls.TLSSocket): void {
    // The raw socket knows the client's address, or the one that the PROXY header named.
    const raw = (socket as unknown as { _parent?: net.Socket })._parent
    const remote = (raw && remotes.get(raw)) ?? formatAddress(socket.remoteAddress, socket.remotePort)
    const name = this.options.tls?.clientCa === undefined ? undefined : socket.getPeerCertificate().subject?.CN
    this.openChunks(socket, remote, typeof name === 'string' ? name : undefined)
  }

  /** Reads exactly the header, then hands the socket on with what follows it put back. */
  private awaitHeader(socket: net.Socket, balancer: string): void {
    let bytes = Buffer.alloc(0)
    const fail = (): void => {
      this.options.log.warn({ balancer }, 'connection without a valid PROXY protocol header')
      socket.destroy()
    }
    const timer = setTimeout(fail, preludeMs)
    const onError = (): void => {
      clearTimeout(timer)
      socket.destroy()
    }
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      bytes = Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes)
      if (header.kind === 'incomplete') return
      clearTimeout(timer)
      socket.off('readable', onReadable)
      socket.off('error', onError)
      socket.off('end', onError)
      if (header.kind === 'invalid') return fail()
      const rest = bytes.subarray(header.length)
      const remote = header.address ?? balancer
      if (this.tlsServer !== undefined) {
        if (rest.length > 0) socket.unshift(rest)
        this.secure(socket, remote)
      } else this.openChunks(socket, remote, undefined, rest)
    }
    socket.on('readable', onReadable)
    socket.on('error', onError)
    socket.on('end', onError)
  }

  /** A plain client: its handle goes into a socket that reads straight into the slab. */
  private openPlain(accepted: net.Socket, remote: string, user: string | undefined): void {
    const handle = (accepted as unknown as WithHandle)._handle
    ;(accepted as unknown as WithHandle)._handle = null
    let session: Session | undefined
    const socket = new net.Socket({
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: this.input,
        callback: (nread: number): boolean => {
          session!.onRead(nread)
          return true
        },
      },
    } as unknown as net.SocketConstructorOpts)
    session = this.open(socket, remote, user)
    socket.resume()
  }

  /** A client whose bytes come in chunks of their own. */
  private openChunks(socket: net.Socket, remote: string, user: string | undefined, first?: Buffer): void {
    socket.setNoDelay(true)
    const session = this.open(socket, remote, user)
    const feed = (chunk: Buffer): void => {
      for (let at = 0; at < chunk.length && !session.isClosed; at += clientReadBytes) {
        const piece = chunk.subarray(at, at + clientReadBytes)
        this.input.set(piece)
        session.onRead(piece.length)
      }
    }
    if (first !== undefined && first.length > 0) feed(first)
    socket.on('data', feed)
    socket.resume()
  }

  private open(socket: net.Socket, remote: string, user: string | undefined): Session {
    const session = this.options.accept(socket, remote, user)
    socket.on('error', () => session.destroy('error'))
    socket.on('close', () => session.destroy('closed'))
    socket.on('end', () => session.onHalfClosed())
    return session
  }
}

const remotes = new WeakMap<net.Socket, string>()
