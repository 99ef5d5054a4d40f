/**
 * The socket of one lane: connect, log in, learn the role, keep alive, come back with jittered backoff.
 *
 *   idle -> connecting -> handshake (HELLO/AUTH, CLIENT ID, ROLE, INFO server [, CLIENT KILL ID of lost ones] [, SELECT]) -> ready
 *     ^----------------------------- backoff <------------------- lost ---------------------------'
 *
 * A connection that died with writes on it leaves them of unknown fate: the server may still have them in its input.
 * Before a new connection to that node is used for anything, it kills the old one by its id, so nothing of it can run
 * after what comes next. ~ a window: sockets and timers.
 */
import net from 'node:net'
import tls from 'node:tls'
import type { Log } from '../base/log.ts'
import { encodeRequest } from '../resp/encode.ts'
import { Backoff } from './backoff.ts'
import type { Lane, LanePort } from './lane.ts'

export interface UpstreamAddress {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly ca?: string
  readonly servername?: string
  readonly username?: string
  readonly password?: string
}

/** Connections of one node that died with writes on them, by their id on that node. Shared by its lanes. */
export class LostConnections {
  /** id -> run_id of the server that gave it: after a restart the number means somebody else. */
  readonly ids = new Map<number, string>()
}

export interface ConnectionOptions {
  readonly address: UpstreamAddress
  readonly clientName: string
  readonly timeoutMs: number
  readonly lost: LostConnections
  readonly log: Log
  /**
   * For a leased connection: commands to send after the handshake, each of which must succeed (the login as its tenant's
   * own user, say). Such a connection does not come back when it is lost, and what it lost is its holder's affair.
   */
  readonly leased?: {
    extra(runId: string): readonly (readonly string[])[]
    /** One of them was refused; `code` is the first word of the error. The connection ends. */
    refused(command: string, code: string): void
  }
  /** The lane can be used; its role is known. */
  onReady(connection: UpstreamConnection): void
  /** The lane failed its requests. `lostWrite`: some were writes that had been sent. */
  onLost(connection: UpstreamConnection, reason: string, lostWrite: boolean): void
  /** Bytes were read and handed to the lane. */
  afterRead(): void
}

export class UpstreamConnection implements LanePort {
  readonly lane: Lane
  private readonly options: ConnectionOptions
  private readonly backoff = new Backoff({ firstMs: 50, lastMs: 2_000 })
  private socket: net.Socket | undefined
  private retry: NodeJS.Timeout | undefined
  private deadline: NodeJS.Timeout | undefined
  /** The server's id of this connection; 0: not known. */
  id = 0
  runId = ''
  private isStopped = false
  /** RESP3 was asked for and the server does not know HELLO: no use to come back at once. */
  isUnsupported = false
  connects = 0
  /** Said once in the log, and again only when it has worked in between. */
  private isSelectRefused = false

  constructor(lane: Lane, options: ConnectionOptions) {
    this.lane = lane
    this.options = options
  }

  /** Of the server it is connected to, as that said when the connection was made. */
  get serverRunId(): string {
    return this.runId
  }

  /** True from the first attempt on: connected, connecting or waiting to. */
  get isStarted(): boolean {
    return this.socket !== undefined || this.retry !== undefined
  }

  start(): void {
    if (!this.isStopped && this.socket === undefined && this.retry === undefined) this.connect()
  }

  /** Ends for good; requests in flight get their answers. */
  stop(): void {
    this.isStopped = true
    clearTimeout(this.retry)
    this.retry = undefined
    this.destroy('stopped')
  }

  /** Ends for good without an answer of its own to give. */
  end(reason: string): void {
    this.isStopped = true
    this.destroy(reason)
  }

  private connect(): void {
    const { address, timeoutMs } = this.options
    this.connects++
    const onread = {
      buffer: this.lane.nextInput,
      callback: (nread: number): boolean => {
        if (this.socket !== socket) return false
        this.lane.onRead(nread)
        this.options.afterRead()
        return true
      },
    }
    const socket = address.tls
      ? tls.connect({
          host: address.host,
          port: address.port,
          ...(address.ca === undefined ? {} : { ca: address.ca }),
          ...(address.servername === undefined
            ? net.isIP(address.host)
              ? {}
              : { servername: address.host }
            : { servername: address.servername }),
        })
      : net.connect({ host: address.host, port: address.port, onread } as net.NetConnectOpts)
    this.socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
    if (address.tls) {
      socket.on('data', (chunk: Buffer) => {
        if (this.socket !== socket) return
        this.lane.onChunk(chunk)
        this.options.afterRead()
      })
    }
    socket.on('error', (error) => this.lose(socket, error.message))
    socket.on('close', () => this.lose(socket, 'closed by the server'))
    socket.on('end', () => this.lose(socket, 'closed by the server'))
    socket.once(address.tls ? 'secureConnect' : 'connect', () => this.handshake(socket))
    this.deadline = setTimeout(() => this.lose(socket, 'no answer within the timeout'), timeoutMs)
  }

  private handshake(socket: net.Socket): void {
    if (this.socket !== socket) return
    const { address, clientName, lost } = this.options
    const lane = this.lane
    lane.open(this)
    const refuse = (what: string, reply: Buffer): void => this.destroy(`${what} refused: ${firstLine(reply)}`)
    const ask = (args: readonly string[], then: (text: string, reply: Buffer) => void): void => {
      lane.sendInternal(encodeRequest(args), (reply) => {
        if (reply !== undefined && this.socket === socket) then(reply.toString('latin1'), reply)
      })
    }
    const login = address.password === undefined ? [] : [address.username ?? 'default', address.password]
    if (lane.resp === 3) {
      ask(['HELLO', '3', ...(login.length > 0 ? ['AUTH', ...login] : [])], (text, reply) => {
        if (!text.startsWith('-')) return
        if (/^-(NOPROTO|ERR unknown command)/.test(text)) this.isUnsupported = true
        refuse('HELLO', reply)
      })
    } else if (login.length > 0) {
      // One-argument AUTH also works on servers older than 6, which have no users.
      ask(['AUTH', ...(address.username === undefined ? login.slice(1) : login)], (text, reply) => {
        if (text.startsWith('-')) refuse('AUTH', reply)
      })
    }
    // The database stands in the name: SLOWLOG tells a command's connection, but not where it ran.
    ask(['CLIENT', 'SETNAME', lane.database === 0 ? clientName : `${clientName}-db${lane.database}`], () => {})
    ask(['CLIENT', 'ID'], (text) => {
      this.id = Number(/^:(\d+)/.exec(text)?.[1] ?? 0)
      if (this.id === 0) this.options.log.warn({ node: address.name }, 'CLIENT ID is refused: lost writes may run late')
    })
    ask(['ROLE'], (text, reply) => {
      if (text.startsWith('-')) return refuse('ROLE', reply)
      lane.isPrimary = isMasterReply(reply)
    })
    ask(['INFO', 'server'], (text, reply) => {
      if (text.startsWith('-')) return refuse('INFO', reply)
      if (/\r\nredis_mode:cluster/.test(text)) return refuse('a node in cluster mode', Buffer.from('-not supported'))
      this.runId = /\r\nrun_id:([0-9a-f]+)/.exec(text)?.[1] ?? ''
      const dead = [...lost.ids].filter(([, runId]) => runId === this.runId)
      if (dead.length === 0) {
        lost.ids.clear()
        return this.becomeReady()
      }
      dead.forEach(([id], i) => {
        ask(['CLIENT', 'KILL', 'ID', String(id)], (answer) => {
          if (answer.startsWith('-'))
            this.options.log.warn({ node: address.name }, 'CLIENT KILL is refused: lost writes may run late')
          lost.ids.delete(id)
          if (i === dead.length - 1) this.becomeReady()
        })
      })
    })
    lane.flush()
  }

  /** The database first: a tenant's own Redis user may not select. Refused, the lane never becomes ready. */
  private becomeReady(): void {
    const { database } = this.lane
    const { socket } = this
    if (database === 0 || socket === undefined) return this.sendExtra()
    this.lane.sendInternal(encodeRequest(['SELECT', String(database)]), (reply) => {
      if (reply === undefined || this.socket !== socket) return
      if (reply.toString('latin1') === '+OK\r\n') {
        this.isSelectRefused = false
        return this.sendExtra()
      }
      const { log, address } = this.options
      if (!this.isSelectRefused) {
        this.isSelectRefused = true
        log.error(
          { node: address.name, database, error: firstLine(reply) },
          'SELECT is refused: its tenant has no keys there',
        )
      }
      this.destroy(`SELECT refused: ${firstLine(reply)}`)
    })
    this.lane.flush()
  }

  private sendExtra(): void {
    const extra = this.options.leased?.extra(this.runId) ?? []
    const { socket } = this
    if (extra.length === 0 || socket === undefined) return this.finishHandshake()
    extra.forEach((args, i) => {
      this.lane.sendInternal(encodeRequest(args), (reply) => {
        if (reply === undefined || this.socket !== socket) return
        if (reply[0] === 45) {
          // Only names and the first word: the error may repeat a secret.
          const code = /^-(\S+)/.exec(firstLine(reply))?.[1] ?? ''
          this.options.leased?.refused(args[0]!, code)
          return this.destroy(`${args[0]} refused: ${code}`)
        }
        if (i === extra.length - 1) this.finishHandshake()
      })
    })
    this.lane.flush()
  }

  private finishHandshake(): void {
    clearTimeout(this.deadline)
    this.backoff.reset()
    this.lane.isReady = true
    this.options.onReady(this)
  }

  // ---- LanePort ----

  write(view: Uint8Array, done: () => void): boolean {
    const socket = this.socket
    if (socket === undefined) return false
    socket.write(view, done)
    return socket.writableLength === 0
  }

  pendingBytes(): number {
    // A piece counts whole until its last byte is gone; the second number falls with every byte, and shows progress.
    const socket = this.socket as (net.Socket & { _handle?: { writeQueueSize?: number } | null }) | undefined
    return socket === undefined ? 0 : socket.writableLength + (socket._handle?.writeQueueSize ?? 0)
  }

  setPaused(isPaused: boolean): void {
    if (isPaused) this.socket?.pause()
    else this.socket?.resume()
  }

  /** Reset, not a polite end: nothing more may be read from or run on this connection. */
  destroy(reason: string): void {
    const socket = this.socket
    if (socket !== undefined) this.lose(socket, reason)
  }

  private lose(socket: net.Socket, reason: string): void {
    if (this.socket !== socket) return
    this.socket = undefined
    clearTimeout(this.deadline)
    if (socket instanceof tls.TLSSocket || socket.connecting) socket.destroy()
    else socket.resetAndDestroy()
    const wasReady = this.lane.isReady
    const lostWrite = this.lane.isOpen && this.lane.close()
    const isLeased = this.options.leased !== undefined
    if (lostWrite && this.id > 0 && !isLeased) this.options.lost.ids.set(this.id, this.runId)
    if (!this.isStopped && !isLeased) {
      const delayMs = this.isUnsupported ? 30_000 : this.backoff.nextDelayMs()
      this.retry = setTimeout(() => {
        this.retry = undefined
        this.connect()
      }, delayMs)
      if (wasReady) this.options.log.warn({ node: this.options.address.name, reason }, 'upstream connection lost')
    }
    this.options.onLost(this, reason, lostWrite)
  }
}

function firstLine(reply: Buffer): string {
  return reply.toString('latin1', 0, 200).split('\r\n', 1)[0] ?? ''
}

/** Did ROLE answer `master`? */
export function isMasterReply(reply: Buffer): boolean {
  return /^\*\d+\r\n\$6\r\nmaster\r\n/.test(reply.toString('latin1', 0, 32))
}
