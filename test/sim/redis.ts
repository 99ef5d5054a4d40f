/**
 * A Redis server of the simulation: a few commands, pub/sub, and replication as Redis does it as far as promises depend on
 * it: one stream of writes and PUBLISHes, applied in order; partial resync by (history, offset), else a full copy that can
 * take a replica back in time while its clients' connections live; PUBLISH on a replica reaches only its own subscribers.
 * redis/redis `src/replication.c` (masterTryPartialResynchronization, shiftReplicationId), `src/pubsub.c`.
 */
import { decode } from '../kit/resp.ts'
import type { Conn, Network, Payload } from './network.ts'
import type { SimTime } from './time.ts'

type Entry = readonly string[]

interface Saved {
  readonly data: Map<string, string>
  readonly offset: number
  readonly replId: string
  readonly log: readonly Entry[]
}

const reattachMs = 100
/** The answer of a command that has written all the same. */
export const failedLate = 'ERR failed after it had written'

export class SimRedis {
  readonly name: string
  readonly port: number
  readonly conns = new Map<number, Conn>()
  isRunning = true
  /** SIGSTOP. */
  isStopped = false
  isLoading = false
  isFull = false
  data = new Map<string, string>()
  runId: string
  replId: string
  replId2 = ''
  /** The history `replId2` ends here. */
  secondOffset = -1
  /** Entry i has offset i + 1. */
  log: Entry[] = []
  master: SimRedis | undefined
  isLinkUp = true
  isSyncing = false
  lagMs = 0
  /** Writes that it has run, by what became of their connection: for the list of what sometimes happens. */
  readonly happened: (what: string) => void
  private readonly time: SimTime
  private readonly network: Network
  private readonly replicas = new Set<SimRedis>()
  private readonly waiting: { conn: Conn; payload: Payload }[] = []
  /** Raised with every attachment: what an older one brings is nobody's. */
  private attachment = 0
  private readonly stream: { dueMs: number; entry: Entry }[] = []
  private pump: { cancel(): void } | undefined
  private saved: Saved | undefined
  private readonly halfRequests = new Map<number, Buffer>()

  constructor(name: string, port: number, network: Network, happened: (what: string) => void) {
    this.name = name
    this.port = port
    this.network = network
    this.time = network.time
    this.happened = happened
    this.runId = this.hex(40)
    this.replId = this.hex(40)
    network.servers.set(port, this)
  }

  get offset(): number {
    return this.log.length
  }

  private hex(length: number): string {
    let text = ''
    while (text.length < length) text += Math.floor(this.time.random() * 16).toString(16)
    return text
  }

  // ---- clients ----

  receive(conn: Conn, payload: Payload): void {
    if (!this.isRunning) return
    if (this.isStopped) {
      this.waiting.push({ conn, payload })
      return
    }
    for (const args of this.commandsOf(conn, payload)) {
      if (conn.isDead) return
      const reply = this.run(conn, args)
      if (reply !== '') conn.reply(reply)
    }
  }

  private *commandsOf(conn: Conn, payload: Payload): Generator<readonly string[]> {
    if (!Buffer.isBuffer(payload)) {
      yield payload
      return
    }
    const before = this.halfRequests.get(conn.id)
    const bytes = before === undefined ? payload : Buffer.concat([before, payload])
    let at = 0
    while (at < bytes.length) {
      const found = decode(bytes, at)
      if (found === undefined) break
      at = found.end
      yield found.reply as string[]
    }
    if (at < bytes.length) this.halfRequests.set(conn.id, bytes.subarray(at))
    else this.halfRequests.delete(conn.id)
  }

  private run(conn: Conn, args: readonly string[]): string {
    const [word = '', first = '', second = ''] = args
    switch (word.toUpperCase()) {
      case 'PING':
        return this.isLoading ? '-LOADING Redis is loading the dataset in memory\r\n' : '+PONG\r\n'
      case 'ECHO':
        return bulk(first)
      case 'AUTH':
      case 'SELECT':
        return '+OK\r\n'
      case 'HELLO':
        return '%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n'
      case 'CLIENT':
        return this.client(conn, first.toUpperCase(), args)
      case 'ROLE':
        return this.master === undefined
          ? `*3\r\n$6\r\nmaster\r\n:${this.offset}\r\n*0\r\n`
          : `*5\r\n${bulk('slave')}${bulk('127.0.0.1')}:${this.master.port}\r\n${bulk(this.isLinkUp ? 'connected' : 'connect')}:${this.isLinkUp ? this.offset : -1}\r\n`
      case 'INFO':
        return bulk(this.info())
      case 'CONFIG':
        return '*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n'
      case 'SUBSCRIBE':
        conn.channels.add(first)
        return `*3\r\n$9\r\nsubscribe\r\n${bulk(first)}:1\r\n`
      case 'PUBLISH':
        if (this.isLoading) return '-LOADING Redis is loading the dataset in memory\r\n'
        if (this.master === undefined) this.append(['PUBLISH', first, second])
        this.tell(first, second)
        return ':0\r\n'
    }
    if (this.isLoading) return '-LOADING Redis is loading the dataset in memory\r\n'
    return this.keyspace(conn, args)
  }

  private client(conn: Conn, sub: string, args: readonly string[]): string {
    if (sub === 'ID') return `:${conn.id}\r\n`
    if (sub !== 'KILL') return '+OK\r\n'
    const killed = this.conns.get(Number(args[3]))
    // Its bytes may be on their way: they will find nobody.
    if (killed === undefined) return ':0\r\n'
    this.happened('a lost connection was killed by its id')
    killed.close('killed')
    return ':1\r\n'
  }

  private keyspace(conn: Conn, args: readonly string[]): string {
    const [word = '', key = '', value = ''] = args
    switch (word.toUpperCase()) {
      case 'GET':
        return bulk(this.data.get(key))
      case 'MGET':
        return `*${args.length - 1}\r\n${args
          .slice(1)
          .map((one) => bulk(this.data.get(one)))
          .join('')}`
      case 'SET':
      case 'INCR':
      case 'APPEND':
      case 'DEL': {
        if (this.master !== undefined) return "-READONLY You can't write against a read only replica.\r\n"
        if (this.isFull && word.toUpperCase() !== 'DEL') {
          this.happened('a full primary refused a write')
          return "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        }
        if (conn.isAbandoned) this.happened('a write ran after its client had given the connection up')
        this.append(args)
        this.apply(args)
        if (word.toUpperCase() === 'SET') return '+OK\r\n'
        if (word.toUpperCase() === 'APPEND') return `:${this.data.get(key)!.length}\r\n`
        return `:${word.toUpperCase() === 'DEL' ? 1 : this.data.get(key)}\r\n`
      }
      case 'SETEX':
        // Stands for what a script can do: it has written, and then it fails.
        if (this.master !== undefined) return "-READONLY You can't write against a read only replica.\r\n"
        this.append(['SET', key, args[3]!])
        this.apply(['SET', key, args[3]!])
        return `-${failedLate}\r\n`
      case 'WAIT':
        return `:${this.replicas.size}\r\n`
    }
    return `-ERR unknown command '${word}' in the simulation ${value.slice(0, 0)}\r\n`
  }

  private info(): string {
    const isPrimary = this.master === undefined
    return [
      '# Server',
      'redis_version:7.0.15',
      'redis_mode:standalone',
      `run_id:${this.runId}`,
      '# Replication',
      `role:${isPrimary ? 'master' : 'slave'}`,
      ...(isPrimary
        ? []
        : [
            'master_host:127.0.0.1',
            `master_port:${this.master!.port}`,
            `master_link_status:${this.isLinkUp ? 'up' : 'down'}`,
            `master_sync_in_progress:${this.isSyncing ? 1 : 0}`,
            `slave_repl_offset:${this.offset}`,
          ]),
      `connected_slaves:${this.replicas.size}`,
      `master_replid:${this.replId}`,
      `master_replid2:${this.replId2 || '0'.repeat(40)}`,
      `master_repl_offset:${this.offset}`,
      '',
    ].join('\r\n')
  }

  /** To subscribers. */
  private tell(channel: string, message: string): void {
    for (const conn of this.conns.values())
      if (conn.channels.has(channel)) conn.reply(`*3\r\n$7\r\nmessage\r\n${bulk(channel)}${bulk(message)}`)
  }

  private apply([word = '', key = '', value = '']: Entry): void {
    const { data } = this
    switch (word.toUpperCase()) {
      case 'SET':
        data.set(key, value)
        break
      case 'APPEND':
        data.set(key, (data.get(key) ?? '') + value)
        break
      case 'INCR':
        data.set(key, String(Number(data.get(key) ?? 0) + 1))
        break
      case 'DEL':
        data.delete(key)
        break
      case 'FLUSHALL':
        data.clear()
        break
    }
  }

  /** Straight on the server, behind everybody's back. */
  direct(...args: string[]): void {
    this.append(args)
    this.apply(args)
  }

  // ---- replication ----

  private append(entry: Entry): void {
    this.log.push(entry)
    for (const replica of this.replicas) replica.offer(entry)
  }

  /** An entry is on its way to this replica. */
  private offer(entry: Entry): void {
    if (!this.isLinkUp || this.isSyncing) return
    const last = this.stream.at(-1)?.dueMs ?? 0
    const dueMs = Math.max(last, this.time.nowMs + this.streamDelayMs())
    this.stream.push({ dueMs, entry })
    this.plan()
  }

  private streamDelayMs(): number {
    return this.network.delayMs(`${this.master!.name}>${this.name}`) + this.lagMs
  }

  private plan(): void {
    if (this.pump !== undefined || this.stream.length === 0) return
    this.pump = this.time.at(this.stream[0]!.dueMs, () => this.take(), undefined)
  }

  private take(): void {
    this.pump = undefined
    const way = `${this.master?.name}>${this.name}`
    if (this.isStopped || !this.isRunning || this.isLoading || this.network.isCut(way)) {
      this.pump = this.time.after(5, () => this.take(), undefined)
      return
    }
    while (this.stream.length > 0 && this.stream[0]!.dueMs <= this.time.nowMs) {
      const { entry } = this.stream.shift()!
      this.apply(entry)
      this.append(entry)
      if (entry[0] === 'PUBLISH') this.tell(entry[1]!, entry[2]!)
    }
    this.plan()
  }

  /** REPLICAOF. What it has stays until a full copy replaces it. */
  follow(master: SimRedis): void {
    this.detach()
    this.master = master
    this.isLinkUp = false
    this.attach(this.attachment)
  }

  private detach(): void {
    this.attachment++
    this.master?.replicas.delete(this)
    this.stream.length = 0
    this.pump?.cancel()
    this.pump = undefined
    this.isSyncing = false
  }

  private attach(attachment: number): void {
    const delay = this.network.delayMs(`${this.master!.name}>${this.name}`) * 2
    this.time.after(
      delay,
      () => {
        const { master } = this
        if (attachment !== this.attachment || master === undefined) return
        const isAway = !master.isRunning || master.isStopped || master.isLoading || !this.isRunning || this.isStopped
        // A replica whose own link is down has nothing to give (replication.c, syncCommand: NOMASTERLINK).
        const isCutOff = master.master !== undefined && (!master.isLinkUp || master.isSyncing)
        if (isAway || isCutOff || this.network.isCut(`${master.name}>${this.name}`)) {
          this.time.after(reattachMs, () => this.attach(attachment), undefined)
          return
        }
        const isOfHistory =
          (this.replId === master.replId && this.offset <= master.offset) ||
          (this.replId === master.replId2 && this.offset <= master.secondOffset && this.offset <= master.offset)
        if (isOfHistory) this.resume(master)
        else this.copy(master, attachment)
      },
      undefined,
    )
  }

  private resume(master: SimRedis): void {
    this.happened('a partial resync')
    this.replId = master.replId
    this.isLinkUp = true
    master.replicas.add(this)
    for (const entry of master.log.slice(this.offset)) this.offer(entry)
  }

  /** The copy is the primary's state as it was when it began. */
  private copy(master: SimRedis, attachment: number): void {
    this.isSyncing = true
    const copy: Saved = {
      data: new Map(master.data),
      offset: master.offset,
      replId: master.replId,
      log: [...master.log],
    }
    this.time.after(
      this.time.between(10, 400),
      () => {
        if (attachment !== this.attachment) return
        this.happened(copy.offset < this.offset ? 'a full copy took a replica back in time' : 'a full copy')
        this.load(copy)
        this.isSyncing = false
        this.isLinkUp = true
        master.replicas.add(this)
        // Behind a full copy its own replicas begin anew too.
        for (const replica of [...this.replicas]) replica.follow(this)
        for (const entry of master.log.slice(this.offset)) this.offer(entry)
      },
      undefined,
    )
  }

  private load(saved: Saved): void {
    this.data = new Map(saved.data)
    this.log = [...saved.log]
    this.replId = saved.replId
    this.replId2 = ''
  }

  /** The link to its primary breaks and is tried again. */
  breakLink(): void {
    if (this.master !== undefined) this.follow(this.master)
  }

  /** REPLICAOF NO ONE. */
  promote(): void {
    this.detach()
    this.master = undefined
    this.isLinkUp = true
    this.replId2 = this.replId
    this.secondOffset = this.offset
    this.replId = this.hex(40)
  }

  // ---- its process ----

  /** SAVE. */
  save(): void {
    this.saved = { data: new Map(this.data), offset: this.offset, replId: this.replId, log: [...this.log] }
  }

  stop(): void {
    this.isStopped = true
  }

  goOn(): void {
    this.isStopped = false
    for (const { conn, payload } of this.waiting.splice(0)) if (!conn.isDead) this.receive(conn, payload)
  }

  crash(): void {
    this.isRunning = false
    this.isStopped = false
    this.waiting.length = 0
    this.halfRequests.clear()
    for (const conn of [...this.conns.values()]) conn.close('closed by the server')
    this.conns.clear()
    this.detach()
    for (const replica of [...this.replicas]) replica.breakLink()
    this.replicas.clear()
  }

  /** From what was saved last, however long ago; only a replica may: a primary that forgets is another history. */
  restart(): void {
    this.isRunning = true
    this.runId = this.hex(40)
    if (this.saved !== undefined) {
      this.happened('a replica restarted from an old file')
      this.load(this.saved)
    } else {
      this.data.clear()
      this.log = []
      this.replId = this.hex(40)
    }
    this.isLoading = true
    this.time.after(
      this.time.between(5, 300),
      () => {
        this.isLoading = false
      },
      undefined,
    )
    if (this.master !== undefined) this.follow(this.master)
  }
}

function bulk(text: string | undefined): string {
  return text === undefined ? '$-1\r\n' : `$${text.length}\r\n${text}\r\n`
}
