/**
 * A load whose every reply can be told from every other: values carry `tenant|client|seq|key|crc`, echoes are unique,
 * errors repeat a unique word. A client checks each reply against what it asked, and what it has read against what it
 * has written; what it finds wrong is kept as text. What the servers hold afterwards is checked by `checkLogs`.
 *
 * A client writes only its own keys (`c<id>:<n>`) and its own log (a list of unique ids), and also reads its neighbours'.
 */
import { crc32 } from 'node:zlib'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { randomFrom } from './exchange.ts'
import { RawClient } from './raw-client.ts'
import { command, type Decoded, ErrorReply } from './resp.ts'

export interface LoadOptions {
  readonly port: number
  readonly tenant: string
  readonly user: string
  readonly id: number
  readonly neighbours: number
  readonly resp: 2 | 3
  /** Every command must be answered within this many ms. */
  readonly answerMsMax: number
  /** Reads see this client's own acknowledged writes. */
  readonly readsOwnWrites: boolean
  readonly seed: number
  /** Share of pipelines that are abandoned: the connection is reset with replies under way. */
  readonly abandon?: number
  readonly password?: string
  /** The servers may lose what was acknowledged, as after a failover: reads that show it are counted, not wrong. */
  readonly mayLose?: boolean
}

export interface Asked {
  readonly args: readonly (string | number)[]
  /** What is wrong with this reply, or undefined. */
  judge(reply: Decoded): string | undefined
  readonly isWrite: boolean
}

export interface Op {
  readonly seq: number
  readonly isDelete: boolean
  /** OK, the code of an error, or `unanswered`. */
  fate: string
}

const ownKeys = 8
/** A run that has shown this many problems, or takes this long, has failed. */
const wrongMax = 5
const runMsMax = 90_000 + Number(process.env['COMMANDS'] ?? 0)
/** What a client may be told in place of an answer while nodes come and go. */
export const excuses = /^(UNCERTAIN|MASTERDOWN|TRYAGAIN|LOADING|READONLY) /

/** `tenant|client|seq|key|crc`, and on request so many bytes more, which follow from the crc. */
export function attributedValue(tenant: string, id: number, seq: number, key: string, padding = 0): string {
  const body = `${tenant}|${id}|${seq}|${key}`
  const crc = crc32(body).toString(16)
  return padding === 0 ? `${body}|${crc}` : `${body}|${crc}|${crc.repeat(Math.ceil(padding / 8))}`
}

/** Is this a value of that key and tenant? Its seq, or what is wrong. */
export function parseValue(text: string, tenant: string, key: string): number | string {
  const parts = text.split('|')
  const crc = crc32(parts.slice(0, 4).join('|')).toString(16)
  const padding = parts[5] ?? ''
  if (parts.length < 5 || parts.length > 6 || crc !== parts[4] || padding !== crc.repeat(padding.length / crc.length))
    return `not a whole value: ${text.slice(0, 80)}`
  if (parts[0] !== tenant) return `of tenant ${parts[0]}`
  if (parts[3] !== key) return `of key ${parts[3]} instead of ${key}`
  return Number(parts[2])
}

export class AttributedClient {
  readonly wrong: string[] = []
  readonly excused = new Map<string, number>()
  answered = 0
  abandoned = 0
  reconnects = 0
  /** Connections that the proxy ended in the middle of a reply, and between two. */
  cut = 0
  endedBetween = 0
  longestMs = 0
  /** Ids pushed to the log: true when acknowledged. */
  readonly pushed = new Map<string, boolean>()
  /** Reads of own keys that did not show what was acknowledged, where that may be. */
  lossesSeen = 0
  options: LoadOptions
  protected readonly random: () => number
  protected patienceMs: number
  protected client: RawClient | undefined
  protected seq = 0
  protected isStopped = false
  /** By key: all writes ever asked for, and the newest that was acknowledged. */
  readonly #ops = new Map<string, Op[]>()
  readonly #acked = new Map<string, number>()

  constructor(options: LoadOptions) {
    this.options = options
    this.random = randomFrom(options.seed)
    this.patienceMs = options.answerMsMax
  }

  get logKey(): string {
    return `log:${this.options.id}`
  }

  get socketIsOpen(): boolean {
    return this.client !== undefined && !this.client.isClosed
  }

  stop(): void {
    this.isStopped = true
  }

  /** From its next run on it writes keys of this id, and knows nothing of what was before: so that it can go on for ever. */
  become(id: number): void {
    this.options = { ...this.options, id }
    this.isStopped = false
    this.answered = 0
    this.longestMs = 0
    this.lossesSeen = 0
    this.wrong.length = 0
    for (const map of [this.excused, this.pushed, this.#ops, this.#acked]) map.clear()
  }

  /**
   * Pipelines until `commands` were answered, or `stop`, or enough has gone wrong. Never rejects: what goes wrong is in
   * `wrong`. `staysOpen`: the connection is kept for the next run.
   */
  async run(commands: number, pauseMs = 0, staysOpen = false): Promise<void> {
    const target = this.answered + commands
    const endsAt = performance.now() + runMsMax
    try {
      while (this.answered < target && !this.isStopped && this.wrong.length < wrongMax) {
        if (performance.now() > endsAt) throw new Error(`only ${this.answered} of ${target} answered in ${runMsMax} ms`)
        await this.act()
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    } catch (error) {
      this.wrong.push(`client ${this.options.id}: ${String(error)}`)
    }
    if (staysOpen) return
    this.client?.close()
    this.client = undefined
  }

  protected async connected(): Promise<RawClient> {
    if (this.client !== undefined && !this.client.isClosed) return this.client
    this.client?.close()
    const { port, user, resp, password = 'demo' } = this.options
    const client = await RawClient.open(port)
    this.reconnects++
    client.send(command('HELLO', resp, 'AUTH', user, password))
    const hello = await client.read(this.options.answerMsMax).catch((error) => new ErrorReply(String(error)))
    if (hello instanceof ErrorReply) {
      client.close()
      throw new Error(`login: ${hello.message}`)
    }
    this.client = client
    return client
  }

  /** What it does next. */
  protected act(): Promise<void> {
    return this.pipeline()
  }

  /** The next reply; what comes between replies is judged by itself. */
  protected read(client: RawClient): Promise<Decoded> {
    return client.read(this.patienceMs)
  }

  protected send(client: RawClient, bytes: Buffer): void {
    client.send(bytes)
  }

  protected problem(args: readonly (string | number)[], text: string): void {
    this.wrong.push(`${this.options.tenant} client ${this.options.id}: ${args.join(' ').slice(0, 120)}: ${text}`)
  }

  /** False: the connection has ended in between. */
  protected async converse(asked: readonly Asked[], abandon = this.options.abandon ?? 0): Promise<boolean> {
    const client = await this.connected()
    this.send(client, Buffer.concat(asked.map(({ args }) => command(...args))))
    const sentAt = performance.now()
    const abandonAt = this.random() < abandon ? Math.floor(this.random() * asked.length) : -1
    for (const [i, one] of asked.entries()) {
      if (i === abandonAt) {
        this.abandoned++
        client.reset()
        this.client = undefined
        return false
      }
      let reply: Decoded
      try {
        reply = await this.read(client)
      } catch (error) {
        // Cut in the middle of a reply: the connection must have ended. Anything else is wrong: silence, or what is no RESP.
        const text = String(error)
        if (!text.includes('connection ended')) this.problem(one.args, `hung or broken: ${text}`)
        else if (text.endsWith('unread: ""')) this.endedBetween++
        else this.cut++
        client.close()
        this.client = undefined
        return false
      }
      this.answered++
      this.longestMs = Math.max(this.longestMs, performance.now() - sentAt)
      const problem = one.judge(reply)
      if (problem !== undefined) this.problem(one.args, problem)
    }
    return true
  }

  protected async pipeline(): Promise<void> {
    await this.converse(Array.from({ length: 1 + Math.floor(this.random() * 16) }, () => this.ask()))
  }

  /** One in twenty is large, so that it travels in pieces. */
  protected value(key: string, seq: number): string {
    const padding = this.random() < 0.05 ? Math.floor(this.random() * 100_000) : 0
    return attributedValue(this.options.tenant, this.options.id, seq, key, padding)
  }

  /** `acked`: the newest write that was acknowledged when this was asked. */
  protected judgeRead(key: string, reply: Decoded, acked: number): string | undefined {
    const isOwn = key.startsWith(`c${this.options.id}:`)
    if (reply === null) {
      if (!isOwn || !this.options.readsOwnWrites) return undefined
      const isPossible =
        acked === 0 ||
        (this.#ops.get(key) ?? []).some((op) => op.isDelete && (op.seq >= acked || op.fate === 'unanswered'))
      return isPossible ? undefined : this.#loss(`nothing, though write ${acked}`, key, acked)
    }
    if (typeof reply !== 'string') return `not a string: ${JSON.stringify(reply)}`
    const seq = parseValue(reply, this.options.tenant, key)
    if (typeof seq === 'string') return seq
    if (!isOwn) return undefined
    const op = (this.#ops.get(key) ?? []).find((one) => one.seq === seq && !one.isDelete)
    if (op === undefined) return `write ${seq} was never asked for`
    // A write whose client left before the answer may run later, behind what its next connection wrote; no other may.
    if (this.options.readsOwnWrites && seq < acked && op.fate !== 'unanswered')
      return this.#loss(`write ${seq}, though ${acked}`, key, seq)
    return undefined
  }

  #loss(what: string, key: string, from: number): string | undefined {
    if (this.options.mayLose !== true) return `${what} was acknowledged; ${this.#story(key, from)}`
    this.lossesSeen++
    return undefined
  }

  /** The fates of the writes of a key from one on, for a problem's text. */
  #story(key: string, from: number): string {
    const ops = (this.#ops.get(key) ?? []).filter((op) => op.seq >= from)
    const told = ops.map((op) => `${op.isDelete ? 'DEL' : 'SET'} ${op.seq} ${op.fate}`).join(', ')
    return `${told}, at ${performance.now().toFixed(0)}`
  }

  protected ask(): Asked {
    const which = Math.floor(this.random() * 12)
    const { id, neighbours } = this.options
    const own = () => `c${id}:${Math.floor(this.random() * ownKeys)}`
    // Neighbours' ids begin at a multiple of their number.
    const first = id - (id % neighbours)
    const any = () =>
      this.random() < 0.6
        ? own()
        : `c${first + Math.floor(this.random() * neighbours)}:${Math.floor(this.random() * ownKeys)}`
    const unique = `${this.options.tenant}-${id}-${++this.seq}`
    if (which < 3) {
      const key = any()
      return this.asked(['GET', key], false, (acked) => (reply) => this.judgeRead(key, reply, acked(key)))
    }
    if (which === 3) {
      const keys = [any(), any(), own()]
      return this.asked(['MGET', ...keys], false, (acked) => {
        const floors = keys.map(acked)
        return (reply) => {
          if (!Array.isArray(reply) || reply.length !== 3) return `not three values: ${JSON.stringify(reply)}`
          return keys
            .map((key, i) => this.judgeRead(key, reply[i]!, floors[i]!))
            .find((problem) => problem !== undefined)
        }
      })
    }
    if (which === 4) {
      const key = own()
      const op = this.note(key, false)
      return this.write(['SET', key, this.value(key, op.seq)], [[key, op]], (reply) => reply === 'OK')
    }
    if (which === 5) {
      const keys = [...new Set([own(), own()])]
      const ops = keys.map((key): [string, Op] => [key, this.note(key, false)])
      return this.write(
        ['MSET', ...ops.flatMap(([key, op]) => [key, this.value(key, op.seq)])],
        ops,
        (reply) => reply === 'OK',
      )
    }
    if (which === 6) {
      const key = own()
      return this.write(['DEL', key], [[key, this.note(key, true)]], (reply) => reply === 0 || reply === 1)
    }
    if (which === 7) {
      this.pushed.set(unique, false)
      return this.write(
        ['RPUSH', this.logKey, unique],
        [],
        (reply) => typeof reply === 'number',
        () => this.pushed.set(unique, true),
      )
    }
    if (which === 8) {
      return this.asked(['LRANGE', this.logKey, -20, -1], false, () => (reply) => {
        if (!Array.isArray(reply)) return `not a list: ${JSON.stringify(reply)}`
        const strange = reply.find((item) => !this.pushed.has(String(item)))
        return strange === undefined ? undefined : `holds ${JSON.stringify(strange)}, which this client never pushed`
      })
    }
    if (which === 9)
      return this.asked(
        ['ECHO', unique],
        false,
        () => (reply) => (reply === unique ? undefined : `echo of ${JSON.stringify(reply)}`),
      )
    if (which === 10)
      return this.asked(
        ['PING', unique],
        false,
        () => (reply) => (reply === unique ? undefined : `ping of ${JSON.stringify(reply)}`),
      )
    const text = `ERR unknown command '${unique}', with args beginning with: `
    return this.asked(
      [unique],
      false,
      () => (reply) =>
        reply instanceof ErrorReply && reply.message === text ? undefined : `not the error: ${JSON.stringify(reply)}`,
    )
  }

  protected note(key: string, isDelete: boolean): Op {
    const op: Op = { seq: ++this.seq, isDelete, fate: 'unanswered' }
    const ops = this.#ops.get(key) ?? []
    ops.push(op)
    this.#ops.set(key, ops)
    return op
  }

  /** `prepare` runs when the command is made: it takes what was acknowledged by then. */
  protected asked(
    args: readonly (string | number)[],
    isWrite: boolean,
    prepare: (acked: (key: string) => number) => (reply: Decoded) => string | undefined,
    ops: readonly (readonly [string, Op])[] = [],
    excused?: (code: string) => void,
  ): Asked {
    const floors = new Map(this.#acked)
    const judge = prepare((key) => floors.get(key) ?? 0)
    return {
      args,
      isWrite,
      judge: (reply) => {
        if (reply instanceof ErrorReply && excuses.test(reply.message)) {
          const code = reply.message.split(' ', 1)[0]!
          this.excused.set(code, (this.excused.get(code) ?? 0) + 1)
          for (const [, op] of ops) op.fate = code
          excused?.(code)
          if (code === 'UNCERTAIN' && !isWrite) return 'a read was answered UNCERTAIN'
          return undefined
        }
        return judge(reply)
      },
    }
  }

  protected write(
    args: readonly (string | number)[],
    ops: readonly [string, Op][],
    isRight: (reply: Decoded) => boolean,
    then?: () => void,
  ): Asked {
    return this.asked(
      args,
      true,
      () => (reply) => {
        if (!isRight(reply)) return `answered ${JSON.stringify(reply)}`
        for (const [key, op] of ops) {
          op.fate = 'OK'
          this.#acked.set(key, Math.max(this.#acked.get(key) ?? 0, op.seq))
        }
        then?.()
        return undefined
      },
      ops,
    )
  }
}

/** Every id at most once, none that was not pushed, all acknowledged ones (unless writes may be lost). */
export async function checkLogs(
  clients: readonly AttributedClient[],
  server: RedisServer,
  options: { readonly mayLose?: boolean } = {},
): Promise<string[]> {
  const problems: string[] = []
  for (const client of clients) {
    const { tenant, id } = client.options
    const items = (await server.call('LRANGE', `${tenant}:${client.logKey}`, 0, -1)) as string[]
    const seen = new Set<string>()
    for (const item of items) {
      if (seen.has(item)) problems.push(`${item} is there twice`)
      if (!client.pushed.has(item)) problems.push(`${item} in the log of ${tenant} ${id} was never pushed`)
      seen.add(item)
    }
    if (options.mayLose === true) continue
    for (const [item, isAcked] of client.pushed) {
      if (isAcked && !seen.has(item)) problems.push(`${item} was acknowledged and is not there`)
    }
  }
  return problems
}

/** Clients spread over tenants `t0`, `t1`...; users `t0-app`. Half of them speak RESP3. */
export function clientsOf(
  tenants: readonly { readonly name: string; readonly readsOwnWrites: boolean }[],
  perTenant: number,
  shared: { readonly port: number; readonly answerMsMax: number; readonly seed: number; readonly abandon?: number },
): AttributedClient[] {
  return tenants.flatMap(({ name, readsOwnWrites }, t) =>
    Array.from(
      { length: perTenant },
      (_, id) =>
        new AttributedClient({
          ...shared,
          tenant: name,
          user: `${name}-app`,
          id,
          neighbours: perTenant,
          resp: id % 2 === 0 ? 2 : 3,
          readsOwnWrites,
          seed: shared.seed * 7919 + t * 1000 + id,
        }),
    ),
  )
}

export function excuseCounts(clients: readonly AttributedClient[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const client of clients) for (const [code, n] of client.excused) sum[code] = (sum[code] ?? 0) + n
  return sum
}
