/**
 * The attributed load with everything that leaves state behind: transactions, WATCH, blocking commands, subscriptions,
 * tracking, SCAN, changes of protocol and of tenant. Each act is a few commands in one write, judged one by one; what
 * comes between replies (messages, invalidations) is judged when it comes. A client may vanish in the middle of any act.
 *
 * Names are the same in all tenants; values tell whose they are.
 */
import { setImmediate as turn } from 'node:timers/promises'
import {
  type Asked,
  AttributedClient,
  attributedValue,
  excuses,
  type LoadOptions,
  type Op,
  parseValue,
} from './attributed-load.ts'
import { RawClient } from './raw-client.ts'
import { command, type Decoded, ErrorReply, Tagged } from './resp.ts'
import { counters, queues, type TenantLedger } from './tenant-ledger.ts'

export const channels = ['news:0', 'news:1', 'news:2'] as const
/** A key that each tenant has from the start: its value is the tenant's name. */
export const markKey = 'mark'
/** One that no other tenant has. */
export const onlyKey = (tenant: string): string => `only:${tenant}`

export interface MixOptions extends LoadOptions {
  readonly ledger: TenantLedger
  /** Where a connection goes for a while with AUTH. */
  readonly otherTenants: readonly string[]
}

/** Everything one tenant's clients ever name in this load. */
const ownNames = /^(c\d+:\d+|log:\d+|q:\d|cas:\d|pair:[ab]|x:\d+|h:\d+|mine:\d+|visit:.*|mark|only:(.*))$/

const show = (reply: Decoded | unknown): string =>
  JSON.stringify(reply instanceof ErrorReply ? reply.message : reply)?.slice(0, 160) ?? 'undefined'

export class MixedClient extends AttributedClient {
  readonly acts = new Map<string, number>()
  pushes = 0
  /** Who left while blocked, and how often what was pushed then was gone. */
  readonly leaves = { count: 0, poppedForNobody: 0 }
  private readonly ledger: TenantLedger
  private readonly mix: MixOptions
  private resp: 2 | 3
  private tenantNow: string
  private readonly subscribed = new Set<string>()
  private readonly heard = new Set<string>()
  /** While tracking: the keys that were read. */
  private tracked: Set<string> | undefined
  private readonly scans = { cursor: '0' }
  private lastStreamId = '0'
  /** Subscriptions that were excused. */
  unconfirmed = 0

  constructor(options: MixOptions) {
    super(options)
    this.mix = options
    this.ledger = options.ledger
    this.resp = options.resp
    this.tenantNow = options.tenant
  }

  protected override async connected(): Promise<RawClient> {
    const before = this.client
    const client = await super.connected()
    if (client !== before) {
      this.resp = this.mix.resp
      this.tenantNow = this.mix.tenant
      this.subscribed.clear()
      this.heard.clear()
      this.tracked = undefined
    }
    return client
  }

  /** Now and then in pieces, with a turn of the event loop in between. */
  protected override send(client: RawClient, bytes: Buffer): void {
    if (this.random() > 0.1) return client.send(bytes)
    const cut = () => Math.floor(this.random() * bytes.length)
    const [a = 0, b = 0] = [cut(), cut()].sort((x, y) => x - y)
    client.send(bytes.subarray(0, a))
    void turn()
      .then(() => client.send(bytes.subarray(a, b)))
      .then(() => turn())
      .then(() => client.send(bytes.subarray(b)))
  }

  protected override async read(client: RawClient): Promise<Decoded> {
    for (;;) {
      const reply = await super.read(client)
      if (!(reply instanceof Tagged) || reply.kind !== 'push') return reply
      this.pushes++
      const problem = this.judgePush(reply.value as Decoded[])
      if (problem !== undefined) this.problem(['(push)'], problem)
    }
  }

  private judgePush([kind, name, payload]: readonly Decoded[]): string | undefined {
    switch (kind) {
      case 'message':
        return this.judgeMessage(String(name), String(payload))
      case 'subscribe':
        this.subscribed.add(String(name))
        return undefined
      case 'unsubscribe':
        this.subscribed.delete(String(name))
        return undefined
      case 'invalidate': {
        if (this.tracked === undefined) return `an invalidation, though nothing is tracked: ${show(name)}`
        if (name === null) return undefined
        const strange = (name as Decoded[]).find((key) => !this.tracked!.has(String(key)))
        return strange === undefined ? undefined : `${show(strange)} changed, which was never read`
      }
      default:
        return `a push of kind ${show(kind)}`
    }
  }

  private judgeMessage(channel: string, text: string): string | undefined {
    if (!this.subscribed.has(channel)) return `a message of ${channel}, which is not subscribed to`
    const seq = parseValue(text, this.tenantNow, channel)
    if (typeof seq === 'string') return `a message on ${channel}: ${seq}`
    if (this.heard.has(text)) return `message ${text} came twice`
    this.heard.add(text)
    return undefined
  }

  // ---- acts ----

  protected override async act(): Promise<void> {
    const chosen = this.random()
    let sum = 0
    for (const [name, share, run] of this.choices) {
      sum += share
      if (chosen >= sum) continue
      this.acts.set(name, (this.acts.get(name) ?? 0) + 1)
      await run()
      return
    }
    return this.pipeline()
  }

  private readonly choices: readonly (readonly [string, number, () => Promise<unknown>])[] = [
    ['transaction', 0.1, () => this.transaction(1 + Math.floor(this.random() * 4), 0)],
    ['large transaction', 0.004, () => this.transaction(3, 40_000)],
    ['long transaction', 0.002, () => this.transaction(200, 0)],
    ['watch', 0.06, () => this.raise()],
    ['push', 0.08, () => this.pushElement()],
    ['pop', 0.07, () => this.popElement()],
    ['stream', 0.05, () => this.stream()],
    ['publish', 0.08, () => this.publish()],
    ['script', 0.03, () => this.script()],
    ['subscribe', 0.03, () => this.subscribe()],
    ['track', 0.03, () => this.track()],
    ['scan', 0.001, () => this.scan()],
    ['hello', 0.03, () => this.hello()],
    ['visit', 0.03, () => this.visit()],
    ['others', 0.01, () => this.clientList()],
    ['leave blocked', 0.004, () => this.leaveBlocked()],
  ]

  private once(args: readonly (string | number)[], judge: (reply: Decoded) => string | undefined): Asked {
    return this.asked(args, false, () => judge)
  }

  private exact(args: readonly (string | number)[], right: Decoded): Asked {
    return this.once(args, (reply) => (same(reply, right) ? undefined : `${show(reply)} instead of ${show(right)}`))
  }

  private echo(): Asked {
    const word = `${this.mix.tenant}-${this.mix.id}-${++this.seq}`
    return this.exact(['ECHO', word], word)
  }

  private own(): string {
    return `c${this.mix.id}:${Math.floor(this.random() * 8)}`
  }

  /** Writes to own keys, reads of them in between, and the pair that nobody ever finds unequal. */
  private async transaction(writes: number, padding: number): Promise<void> {
    const { tenant, id } = this.mix
    const isDiscarded = this.random() < 0.1
    const queued: Asked[] = []
    const checks: ((reply: Decoded) => boolean)[] = []
    const ops: [string, Op][] = []
    const queue = (args: readonly (string | number)[], check: (reply: Decoded) => boolean) => {
      queued.push(this.exact(args, 'QUEUED'))
      checks.push(check)
    }
    let pairA: Decoded = null
    queue(['INCR', 'pair:a'], (reply) => {
      pairA = reply
      return typeof reply === 'number'
    })
    for (let i = 0; i < writes; i++) {
      const key = this.own()
      const op = isDiscarded ? { seq: ++this.seq, isDelete: false, fate: 'discarded' } : this.note(key, false)
      if (!isDiscarded) ops.push([key, op])
      const value = padding > 0 ? attributedValue(tenant, id, op.seq, key, padding) : this.value(key, op.seq)
      queue(['SET', key, value], (reply) => reply === 'OK')
      queue(['GET', key], (reply) => reply === value)
      const word = `${tenant}-${id}-${++this.seq}`
      queue(['ECHO', word], (reply) => reply === word)
    }
    queue(['INCR', 'pair:b'], (reply) => reply === pairA)
    if (isDiscarded) {
      await this.converse([this.exact(['MULTI'], 'OK'), ...queued, this.exact(['DISCARD'], 'OK'), this.echo()])
      return
    }
    const exec = this.write(['EXEC'], ops, (reply) => {
      if (!Array.isArray(reply) || reply.length !== checks.length) return false
      return checks.every((check, i) => check(reply[i]!))
    })
    await this.converse([this.echo(), this.exact(['MULTI'], 'OK'), ...queued, exec, this.echo()])
  }

  /** A counter of the tenant, raised by one if nobody else did meanwhile. */
  private async raise(): Promise<void> {
    const counter = counters[Math.floor(this.random() * counters.length)]!
    let from: number | undefined
    let isWatched = false
    const isRead = await this.converse([
      this.once(['WATCH', counter], (reply) => {
        isWatched = reply === 'OK'
        return isWatched ? undefined : show(reply)
      }),
      this.once(['GET', counter], (reply) => {
        if (reply !== null && !/^\d+$/.test(String(reply))) return `not the counter: ${show(reply)}`
        from = Number(reply ?? 0)
        return undefined
      }),
    ])
    // On a new connection nothing would be watched.
    if (!isRead || this.client === undefined || this.client.isClosed) return
    if (from === undefined || !isWatched) {
      await this.converse([this.exact(['UNWATCH'], 'OK')])
      return
    }
    const to = from + 1
    const { ledger } = this
    ledger.raiseLost(counter, 1)
    await this.converse([
      this.exact(['MULTI'], 'OK'),
      this.exact(['SET', counter, to], 'QUEUED'),
      this.asked(
        ['EXEC'],
        true,
        () => (reply) => {
          ledger.raiseLost(counter, -1)
          if (reply === null) ledger.conflicts++
          else if (same(reply, ['OK'])) return ledger.raise(counter, to, this.mix.id)
          else return `EXEC: ${show(reply)}`
          return undefined
        },
        [],
        (code) => {
          if (code !== 'UNCERTAIN') ledger.raiseLost(counter, -1)
        },
      ),
    ])
  }

  private async pushElement(): Promise<void> {
    const queue = queues[Math.floor(this.random() * queues.length)]!
    const element = attributedValue(this.mix.tenant, this.mix.id, ++this.seq, queue)
    this.ledger.pushed.set(element, false)
    const push = this.write(
      [this.random() < 0.5 ? 'LPUSH' : 'RPUSH', queue, element],
      [],
      (reply) => typeof reply === 'number',
      () => this.ledger.pushed.set(element, true),
    )
    await this.converse([push, this.echo()])
  }

  private async popElement(): Promise<void> {
    const asked = [...queues].sort(() => this.random() - 0.5).slice(0, 2)
    const { ledger } = this
    ledger.popsLost++ // until it is answered
    const pop = this.asked(
      [this.random() < 0.5 ? 'BLPOP' : 'BRPOP', ...asked, 0.2],
      true,
      () => (reply) => {
        if (isUnblocked(reply)) return undefined
        ledger.popsLost--
        if (reply === null) return undefined
        if (!Array.isArray(reply) || reply.length !== 2) return `not an element: ${show(reply)}`
        const [queue, element] = reply as string[]
        if (!asked.includes(queue as (typeof queues)[number])) return `popped from ${queue}`
        const seq = parseValue(element!, this.mix.tenant, queue!)
        return typeof seq === 'string' ? seq : ledger.pop(element!, this.mix.id)
      },
      [],
      (code) => {
        if (code !== 'UNCERTAIN') ledger.popsLost--
      },
    )
    await this.converse([pop, this.echo()], 3 * (this.mix.abandon ?? 0))
  }

  /** Own entries, and a neighbour's newest, waited for. */
  private async stream(): Promise<void> {
    const { tenant, id, neighbours } = this.mix
    const key = `x:${this.random() < 0.5 ? id : Math.floor(this.random() * neighbours)}`
    const mine = `x:${id}`
    const add = this.asked(
      ['XADD', mine, 'MAXLEN', '~', 100, '*', 'f', attributedValue(tenant, id, ++this.seq, mine)],
      true,
      () => (reply) => (/^\d+-\d+$/.test(String(reply)) ? undefined : `XADD: ${show(reply)}`),
    )
    const read = this.asked(
      ['XREAD', 'COUNT', 3, 'BLOCK', 20, 'STREAMS', key, this.lastStreamId],
      false,
      () => (reply) => {
        if (reply === null || isUnblocked(reply)) return undefined
        const pairs = reply instanceof Map ? [...reply] : Array.isArray(reply) ? (reply as Decoded[][]) : []
        if (pairs.length !== 1 || pairs[0]![0] !== key) return `XREAD of ${key}: ${show(reply)}`
        for (const [entryId, fields] of pairs[0]![1] as [string, string[]][]) {
          const seq = parseValue(fields[1]!, tenant, key)
          if (typeof seq === 'string') return seq
          this.lastStreamId = entryId
        }
        return undefined
      },
    )
    await this.converse(this.random() < 0.5 ? [add, read, this.echo()] : [add, this.echo()])
  }

  private async publish(): Promise<void> {
    const asked: Asked[] = []
    for (let i = 0; i < 3; i++) {
      const channel = channels[Math.floor(this.random() * channels.length)]!
      const text = attributedValue(this.mix.tenant, this.mix.id, ++this.seq, channel)
      asked.push(
        this.asked(['PUBLISH', channel, text], true, () => (reply) => {
          return typeof reply === 'number' ? undefined : `PUBLISH: ${show(reply)}`
        }),
      )
    }
    await this.converse([...asked, this.echo()])
  }

  /** A script of the tenant's own reads its key, and says what it was asked. */
  private async script(): Promise<void> {
    const { tenant, id } = this.mix
    const key = this.own()
    const word = `${tenant}-${id}-${++this.seq}`
    const body = `return {KEYS[1], ARGV[1], redis.call('get', KEYS[2]), redis.call('get', KEYS[1])}`
    const run = this.asked(['EVAL', body, 2, key, markKey, word], true, (acked) => {
      const floor = acked(key)
      return (reply) => {
        if (!Array.isArray(reply) || reply.length !== 4) return `EVAL: ${show(reply)}`
        // Where keys are only declared, scripts see them with the prefix.
        const isKey = reply[0] === key || reply[0] === `${tenant}:${key}`
        if (!isKey || reply[1] !== word || reply[2] !== tenant) return `EVAL of ${key}: ${show(reply)}`
        return this.judgeRead(key, reply[3]!, floor)
      }
    })
    await this.converse([this.echo(), run, this.echo()])
  }

  /** On RESP3 messages come between the replies to everything else. */
  private async subscribe(): Promise<void> {
    const client = await this.connected()
    if (this.resp === 2) return this.publish()
    const channel = channels[Math.floor(this.random() * channels.length)]!
    const verb = this.subscribed.has(channel) ? 'UNSUBSCRIBE' : 'SUBSCRIBE'
    const echo = this.echo()
    this.send(client, Buffer.concat([command(verb, channel), command(...echo.args)]))
    try {
      // The answer to SUBSCRIBE is a push; only an error stands in its place among the replies.
      let reply = await this.read(client)
      if (reply instanceof ErrorReply && excuses.test(reply.message)) reply = await this.read(client)
      const problem = echo.judge(reply)
      if (problem !== undefined) this.problem([verb, channel], problem)
      this.answered += 2
      const isSubscribed = this.subscribed.has(channel)
      if (isSubscribed !== (verb === 'SUBSCRIBE') && problem === undefined) this.unconfirmed++
    } catch (error) {
      if (!String(error).includes('connection ended')) this.problem([verb, channel], String(error))
      client.close()
    }
  }

  /** Reads under tracking, for a while. */
  private async track(): Promise<void> {
    await this.connected()
    if (this.resp === 2) return this.transaction(2, 0)
    if (this.tracked !== undefined) {
      await this.converse([
        this.once(['CLIENT', 'TRACKING', 'OFF'], (reply) => {
          this.tracked = undefined
          return reply === 'OK' ? undefined : show(reply)
        }),
      ])
      return
    }
    this.tracked = new Set()
    const isOn = await this.converse([this.exact(['CLIENT', 'TRACKING', 'ON'], 'OK'), this.echo()])
    for (let i = 0; isOn && i < 3 && this.client !== undefined; i++) await this.pipeline()
  }

  protected override converse(asked: readonly Asked[], abandon?: number): Promise<boolean> {
    const { tracked } = this
    // Names are short, values are not: the set stays small.
    if (tracked !== undefined)
      for (const { args } of asked) for (const arg of args) if (String(arg).length < 12) tracked.add(String(arg))
    return super.converse(asked, abandon)
  }

  private async scan(): Promise<void> {
    const { tenant } = this.mix
    const { scans } = this
    const pages = Array.from({ length: 2 }, () =>
      this.once(['SCAN', scans.cursor, 'COUNT', 30], (reply) => {
        // A cursor is of one node: while that is down nobody can go on from it.
        if (reply instanceof ErrorReply && reply.message === 'ERR invalid cursor') {
          scans.cursor = '0'
          return undefined
        }
        if (!Array.isArray(reply) || !Array.isArray(reply[1])) return `not a page: ${show(reply)}`
        scans.cursor = String(reply[0])
        for (const name of reply[1]) {
          const found = ownNames.exec(String(name))
          if (found === null || (found[2] !== undefined && found[2] !== tenant)) return `a page with ${show(name)}`
        }
        return undefined
      }),
    )
    // Steps of all tenants are taken in turn, and none while a server stands still.
    this.patienceMs = 60_000
    await this.converse([...pages, this.echo()])
    this.patienceMs = this.mix.answerMsMax
  }

  /** Two and three have other shapes for the same answers. */
  private async hello(): Promise<void> {
    await this.connected()
    const key = `h:${this.mix.id}`
    const value = attributedValue(this.mix.tenant, this.mix.id, ++this.seq, key)
    let isWritten = false
    const write = this.asked(['HSET', key, 'f', value], true, () => (reply) => {
      isWritten = reply === 0 || reply === 1
      return isWritten ? undefined : `HSET: ${show(reply)}`
    })
    const shape = (version: 2 | 3) =>
      this.once(['HGETALL', key], (reply) => {
        const pairs = version === 3 && reply instanceof Map ? [...reply].flat() : version === 2 ? reply : undefined
        if (!Array.isArray(pairs)) return `of RESP${version}: ${show(reply)}`
        if (pairs.length === 0)
          return isWritten && this.mix.readsOwnWrites ? `nothing, though it was written` : undefined
        const seq = pairs.length === 2 ? parseValue(String(pairs[1]), this.mix.tenant, key) : show(pairs)
        return typeof seq === 'string' ? seq : undefined
      })
    const hello = (version: 2 | 3) =>
      this.once(['HELLO', version], (reply) => {
        if (version === 3 ? !(reply instanceof Map) : !Array.isArray(reply)) return `HELLO ${version}: ${show(reply)}`
        this.resp = version
        return undefined
      })
    if (this.subscribed.size > 0 || this.tracked !== undefined) {
      await this.converse([write, shape(this.resp)])
      return
    }
    const other = this.resp === 2 ? 3 : 2
    await this.converse([write, shape(this.resp), hello(other), shape(other), this.echo()])
  }

  /** The same connection as another tenant, and back. */
  private async visit(): Promise<void> {
    const { tenant, id, neighbours, otherTenants } = this.mix
    const there = otherTenants[Math.floor(this.random() * otherTenants.length)]!
    const login = (to: string) =>
      this.once(['AUTH', `${to}-app`, 'demo'], (reply) => {
        if (reply !== 'OK') return `AUTH: ${show(reply)}`
        this.tenantNow = to
        this.subscribed.clear()
        this.heard.clear()
        this.tracked = undefined
        return undefined
      })
    const mark = (of: string) => this.exact(['GET', markKey], of)
    const read = (of: string) => {
      const key = `c${Math.floor(this.random() * neighbours)}:${Math.floor(this.random() * 8)}`
      return this.once(['GET', key], (reply) => {
        const seq = reply === null ? 0 : parseValue(String(reply), of, key)
        return typeof seq === 'string' ? seq : undefined
      })
    }
    const key = `visit:${tenant}:${id}`
    const value = attributedValue(there, id, ++this.seq, key)
    const asked = [
      mark(tenant),
      login(there),
      mark(there),
      read(there),
      this.exact(['MULTI'], 'OK'),
      this.exact(['SET', key, value], 'QUEUED'),
      this.exact(['GET', markKey], 'QUEUED'),
      this.exact(['GET', key], 'QUEUED'),
      this.asked(['EXEC'], true, () => (reply) => {
        return same(reply, ['OK', there, value]) ? undefined : `EXEC: ${show(reply)}`
      }),
      this.asked(['BLPOP', `visit:none:${id}`, 0.01], true, () => (reply) => {
        return reply === null || isUnblocked(reply) ? undefined : `popped ${show(reply)} from nothing`
      }),
      login(tenant),
      mark(tenant),
      read(tenant),
      this.exact(['EXISTS', onlyKey(tenant), onlyKey(there)], 1),
    ]
    await this.converse(asked)
    // Whoever vanished on the way, or was cut, starts anew as itself.
    if (this.tenantNow !== tenant) this.client?.close()
  }

  /** Only connections of the own tenant are shown. */
  private async clientList(): Promise<void> {
    const { tenant } = this.mix
    await this.converse([
      this.once(['CLIENT', 'LIST'], (reply) => {
        const text = reply instanceof Tagged ? String(reply.value) : String(reply)
        const strange = text
          .split('\n')
          .find((line) => line.includes(' user=') && !line.includes(` user=${tenant}-app `))
        return strange === undefined ? undefined : `CLIENT LIST: ${strange}`
      }),
    ])
  }

  /** Who leaves while blocked takes nothing along: when the proxy no longer knows it, what is pushed stays (nearly always). */
  private async leaveBlocked(): Promise<void> {
    const { port, user, id, answerMsMax, tenant } = this.mix
    const key = `mine:${id}`
    const other = await RawClient.open(port)
    let line = ''
    try {
      other.send(Buffer.concat([command('AUTH', user, 'demo'), command('CLIENT', 'ID'), command('BLPOP', key, 0)]))
      await other.read(answerMsMax)
      const otherId = Number(await other.read(answerMsMax))
      const look = this.once(['CLIENT', 'LIST', 'ID', otherId], (reply) => {
        line = String(reply instanceof Tagged ? reply.value : reply)
        return undefined
      })
      for (let i = 0; !/ flags=\S*b/.test(line); i++) if (i > 200 || !(await this.converse([look], 0))) return
      other.reset()
      for (let i = 0; line.includes(`id=${otherId} `); i++) if (i > 200 || !(await this.converse([look], 0))) return
    } finally {
      other.reset()
    }
    const value = attributedValue(tenant, id, ++this.seq, key)
    let isPushed = false
    await this.converse(
      [
        this.asked(['RPUSH', key, value], true, () => (reply) => {
          isPushed = typeof reply === 'number'
          return isPushed ? undefined : show(reply)
        }),
        this.once(['LRANGE', key, 0, -1], (reply) => {
          if (!Array.isArray(reply)) return show(reply)
          if (!isPushed) return undefined
          this.leaves.count++
          // Two connections overtake one another on their way to a server that stands still.
          if (!reply.includes(value)) this.leaves.poppedForNobody++
          return undefined
        }),
        this.asked(['DEL', key], true, () => (reply) => (typeof reply === 'number' ? undefined : show(reply))),
      ],
      0,
    )
  }
}

const isUnblocked = (reply: Decoded): boolean => reply instanceof ErrorReply && reply.message.startsWith('UNBLOCKED ')

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
