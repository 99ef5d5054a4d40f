/**
 * Who is subscribed to what, tenant by tenant, and what becomes of a message. Upstream there is one subscription for all
 * clients of a tenant (feed.ts keeps it at the right node); what it brings is handed to each of them from these tables.
 *
 *   SUBSCRIBE -> entry of (tenant, channel) -> topics wanted of the feeds -> heard -> reply, client in the entry
 *   message   -> whose is it (tenant/channels.ts) -> entry, patterns that match -> one buffer a RESP version -> clients
 *
 * A client gets its reply only when the servers have confirmed: what is published after it arrives. Patterns are matched
 * here, within a budget, so that no tenant's patterns reach a server, where matching can take for ever.
 */
import { errorText } from '../base/errors.ts'
import {
  allSubscriptionsMax,
  channelBytesMax,
  channelPatternBytesMax,
  clientSubscriptionsMax,
  patternStepsMax,
  pushClientsPerTurn,
  tenantChannelNamesBytesMax,
  tenantSubscriptionsMax,
} from '../base/limits.ts'
import type { PubSubCells } from '../metrics/cells.ts'
import { bulk, encodeReply, failure, push, type Reply } from '../resp/encode.ts'
import { type GlobBudget, globMatch } from '../routing/glob.ts'
import type { TenantState } from '../tenant/account.ts'
import {
  eventOfPattern,
  type FeedName,
  type Incoming,
  invalidateChannel,
  PrefixIndex,
  type Scoped,
  scopeOf,
  type Topic,
  topicsOfChannel,
  topicsOfPattern,
  topicsOfShard,
} from '../tenant/channels.ts'
import type { Feed } from './feed.ts'
import { modeSubscriber, type Session } from './session.ts'

/** c: channels, p: patterns, s: shard channels. */
export type SubscriptionKind = 'c' | 'p' | 's'

const words = {
  c: ['subscribe', 'unsubscribe'],
  p: ['psubscribe', 'punsubscribe'],
  s: ['ssubscribe', 'sunsubscribe'],
} as const
const kindNames = { c: 'channel', p: 'pattern', s: 'shard' } as const
const topicsOf = { c: topicsOfChannel, p: topicsOfPattern, s: topicsOfShard } as const

/** One name that clients of a tenant are subscribed to. */
class Entry {
  readonly kind: SubscriptionKind
  readonly name: string
  readonly bytes: Buffer
  readonly topics: readonly Topic[]
  /** Of a pattern: the one event that it speaks of. */
  readonly event: string | undefined
  readonly sessions = new Set<Session>()
  /** Clients in it, and those that wait to be. */
  holds = 0

  constructor(kind: SubscriptionKind, name: string, prefix: string) {
    this.kind = kind
    this.name = name
    this.bytes = Buffer.from(name, 'latin1')
    this.topics = topicsOf[kind](prefix, name)
    this.event = kind === 'p' ? eventOfPattern(name) : undefined
  }
}

class TenantTable {
  readonly prefix: string
  readonly c = new Map<string, Entry>()
  readonly p = new Map<string, Entry>()
  readonly s = new Map<string, Entry>()
  /** Pairs of client and name, and bytes of distinct names. */
  count = 0
  nameBytes = 0

  constructor(prefix: string) {
    this.prefix = prefix
  }

  get isEmpty(): boolean {
    return this.c.size + this.p.size + this.s.size === 0
  }
}

/** One client's subscriptions, in the order in which they were made. */
export class Subscriber {
  readonly table: TenantTable
  readonly c = new Map<string, Entry>()
  readonly p = new Map<string, Entry>()
  readonly s = new Map<string, Entry>()
  /** Gives up what is being waited for. */
  cancel: (() => void) | undefined

  constructor(table: TenantTable) {
    this.table = table
  }

  /** As Redis counts in its replies: shard channels apart. */
  countOf(kind: SubscriptionKind): number {
    return kind === 's' ? this.s.size : this.c.size + this.p.size
  }

  get total(): number {
    return this.c.size + this.p.size + this.s.size
  }
}

export interface SubscriptionsOptions {
  readonly feeds: Readonly<Record<FeedName, Feed>>
  readonly cells: PubSubCells
  /** A client waits this long for the servers' word. */
  readonly waitMs: number
  after(ms: number, run: () => void): void
  /** In a turn of its own. */
  soon(run: () => void): void
}

export class Subscriptions {
  private readonly options: SubscriptionsOptions
  private readonly tables = new PrefixIndex<TenantTable>()
  private readonly byTenant = new Map<TenantState, TenantTable>()
  private total = 0
  /** Clients with messages that were not written yet. */
  private dirty: Session[] = []
  private isFlushPlanned = false

  constructor(options: SubscriptionsOptions) {
    this.options = options
  }

  // ---- commands ----

  /** The reply, now or when the servers have confirmed; undefined then: it was written already. */
  subscribe(session: Session, kind: SubscriptionKind, args: readonly Buffer[]): Reply | Promise<Reply | undefined> {
    const tenant = session.account?.tenant
    if (tenant === undefined) return failure(errorText('NOPERM', words[kind][0]))
    const most = kind === 'p' ? channelPatternBytesMax : channelBytesMax
    if (args.some((arg) => arg.length > most)) return failure(errorText('CHANNEL_NAME'))
    const names = args.map((arg) => arg.toString('latin1'))
    const table = this.tableOf(tenant)
    session.subscriber ??= new Subscriber(table)
    const own = session.subscriber
    const fresh = [...new Set(names)].filter((name) => !own[kind].has(name))
    if (!this.hasRoomFor(own, kind, fresh)) {
      this.tidy(session, tenant)
      return failure(errorText('MAX_SUBSCRIPTIONS'))
    }
    const entries = fresh.map((name) => this.hold(table, kind, name))
    const waits = entries.flatMap((entry) => entry.topics).filter((it) => !this.options.feeds[it.feed].isHeard(it.key))
    if (waits.length === 0) return this.enter(session, own, kind, names, entries)
    return new Promise((resolve) => {
      let isOver = false
      const finish = (refusal?: string): void => {
        if (isOver) return
        isOver = true
        own.cancel = undefined
        for (const stop of stops) stop()
        if (refusal === undefined) {
          // Written at once: what the servers send from now on must come behind it.
          session.writeOwn(encodeReply(this.enter(session, own, kind, names, entries), session.resp))
          return resolve(undefined)
        }
        for (const entry of entries) this.letGo(table, entry)
        this.tidy(session, tenant)
        resolve(failure(refusal))
      }
      const stops: (() => void)[] = []
      let left = 0
      for (const feed of ['near', 'primary'] as const) {
        const topics = waits.filter((it) => it.feed === feed).map((it) => it.key)
        if (topics.length === 0) continue
        left++
        const heard = (refusal?: string): void => {
          if (refusal !== undefined) finish(errorText(refusal === 'NOPERM' ? 'NOPERM_CHANNEL' : 'SUBSCRIBE_REFUSED'))
          else if (--left === 0) finish()
        }
        stops.push(this.options.feeds[feed].whenHeard(topics, heard))
      }
      own.cancel = () => finish(errorText('NO_NODE'))
      this.options.after(this.options.waitMs, () => finish(errorText('NO_NODE')))
    })
  }

  /** Without names: all of the kind. */
  unsubscribe(session: Session, kind: SubscriptionKind, args: readonly Buffer[]): Reply {
    const own = session.subscriber
    const frame = confirmations(words[kind][1], session.resp)
    const names = args.length > 0 ? args.map((arg) => arg.toString('latin1')) : [...(own?.[kind].keys() ?? [])]
    const replies = names.map((name) => {
      const entry = own?.[kind].get(name)
      if (own !== undefined && entry !== undefined) this.leave(session, own, entry)
      return frame(name, own?.countOf(kind) ?? 0)
    })
    if (replies.length === 0) replies.push(frame(undefined, own?.countOf(kind) ?? 0))
    const tenant = session.account?.tenant
    if (tenant !== undefined) this.tidy(session, tenant)
    return messages(replies)
  }

  /** Everything of this client is over, without a word to it: it left, or it is another tenant's now. */
  drop(session: Session): void {
    const own = session.subscriber
    if (own === undefined) return
    own.cancel?.()
    for (const kind of ['c', 'p', 's'] as const)
      for (const entry of [...own[kind].values()]) this.leave(session, own, entry)
    session.dropPushes()
    session.mode &= ~modeSubscriber
    session.subscriber = undefined
    this.forget(own.table)
  }

  // ---- what tenants ask ----

  /** How many times a message for this channel is delivered to clients of this proxy. */
  receivers(tenant: TenantState, channel: Buffer, isShard: boolean): number {
    const table = this.byTenant.get(tenant)
    if (table === undefined || channel.length > channelBytesMax) return 0
    const name = channel.toString('latin1')
    if (isShard) return table.s.get(name)?.sessions.size ?? 0
    let count = name === invalidateChannel ? 0 : (table.c.get(name)?.sessions.size ?? 0)
    if (table.p.size > 0) this.eachMatch(table, name, (entry) => (count += entry.sessions.size))
    return count
  }

  /** Names with at least one subscriber; `pattern` filters them. */
  active(tenant: TenantState, kind: 'c' | 's', pattern: Buffer | undefined): Buffer[] {
    const found: Buffer[] = []
    const budget: GlobBudget = { steps: patternStepsMax }
    for (const { bytes, sessions } of this.byTenant.get(tenant)?.[kind].values() ?? []) {
      if (sessions.size > 0 && (pattern === undefined || globMatch(pattern, bytes, 0, bytes.length, budget)))
        found.push(bytes)
    }
    return found
  }

  count(tenant: TenantState, kind: 'c' | 's', name: Buffer): number {
    return this.byTenant.get(tenant)?.[kind].get(name.toString('latin1'))?.sessions.size ?? 0
  }

  /** Distinct patterns. */
  patterns(tenant: TenantState): number {
    return this.patternNames(tenant).length
  }

  patternNames(tenant: TenantState): string[] {
    const found: string[] = []
    for (const [name, entry] of this.byTenant.get(tenant)?.p ?? []) if (entry.sessions.size > 0) found.push(name)
    return found
  }

  // ---- messages ----

  /** From a feed. */
  take(message: Incoming): void {
    const scoped = scopeOf(message, this.tables)
    if (scoped !== undefined) this.deliver(scoped)
  }

  /** All messages of one read were taken. */
  flush(): void {
    if (this.isFlushPlanned) return
    const turn = this.dirty.length <= pushClientsPerTurn ? this.dirty : this.dirty.splice(0, pushClientsPerTurn)
    if (turn === this.dirty) this.dirty = []
    for (const session of turn) session.flushPushes()
    if (this.dirty.length === 0) return
    this.isFlushPlanned = true
    this.options.soon(() => {
      this.isFlushPlanned = false
      this.flush()
    })
  }

  private deliver({ tenant: table, channel, payload, to }: Scoped<TenantTable>): void {
    const name = Buffer.from(channel, 'latin1')
    if (to === 'shard') {
      const entry = table.s.get(channel)
      if (entry !== undefined) this.send(entry, [bulk('smessage'), bulk(name), bulk(payload)])
      return
    }
    if (to === 'channel' || to === 'event' || to === 'primaryEvent') {
      const entry = table.c.get(channel)
      if (entry !== undefined) this.send(entry, [bulk('message'), bulk(name), bulk(payload)])
      if (to === 'channel') return
    }
    if (table.p.size === 0) return
    const event = to === 'event' ? channel.slice(channel.indexOf(':') + 1) : undefined
    this.eachMatch(table, channel, (entry) => {
      if (to === 'event' && entry.event !== event) return
      if (to === 'otherEvents' && entry.event !== undefined) return
      this.send(entry, [bulk('pmessage'), bulk(entry.bytes), bulk(name), bulk(payload)])
    })
  }

  private eachMatch(table: TenantTable, channel: string, use: (entry: Entry) => void): void {
    const name = Buffer.from(channel, 'latin1')
    const budget: GlobBudget = { steps: patternStepsMax }
    for (const entry of table.p.values()) {
      budget.steps -= Math.min(entry.bytes.length, name.length) + 1
      if (globMatch(entry.bytes, name, 0, name.length, budget)) use(entry)
      else if (budget.steps < 0) {
        this.options.cells.dropped++
        return
      }
    }
  }

  private send(entry: Entry, items: readonly Reply[]): void {
    if (entry.sessions.size === 0) return
    // One buffer for all who speak a version, made when the first of them is met.
    const frames: Partial<Record<2 | 3, Buffer>> = {}
    for (const session of entry.sessions) {
      frames[session.resp] ??= encodeReply(push(items), session.resp)
      if (session.push(frames[session.resp]!)) this.dirty.push(session)
    }
    this.options.cells.delivered += entry.sessions.size
  }

  // ---- tables ----

  private tableOf(tenant: TenantState): TenantTable {
    let table = this.byTenant.get(tenant)
    if (table === undefined) {
      table = new TenantTable(tenant.prefix.toString('latin1'))
      this.byTenant.set(tenant, table)
      this.tables.set(table.prefix, table)
    }
    return table
  }

  private hasRoomFor(own: Subscriber, kind: SubscriptionKind, fresh: readonly string[]): boolean {
    const { table } = own
    let bytes = table.nameBytes
    for (const name of fresh) if (!table[kind].has(name)) bytes += name.length
    return (
      own.total + fresh.length <= clientSubscriptionsMax &&
      table.count + fresh.length <= tenantSubscriptionsMax &&
      this.total + fresh.length <= allSubscriptionsMax &&
      (fresh.length === 0 || bytes <= tenantChannelNamesBytesMax)
    )
  }

  private hold(table: TenantTable, kind: SubscriptionKind, name: string): Entry {
    let entry = table[kind].get(name)
    if (entry === undefined) {
      entry = new Entry(kind, name, table.prefix)
      table[kind].set(name, entry)
      table.nameBytes += name.length
      for (const { feed, key } of entry.topics) this.options.feeds[feed].want(key)
    }
    entry.holds++
    table.count++
    this.total++
    return entry
  }

  private letGo(table: TenantTable, entry: Entry): void {
    table.count--
    this.total--
    if (--entry.holds > 0) return
    table[entry.kind].delete(entry.name)
    table.nameBytes -= entry.name.length
    for (const { feed, key } of entry.topics) this.options.feeds[feed].release(key)
  }

  /** The client is in. The reply names each as often as it was asked for. */
  private enter(
    session: Session,
    own: Subscriber,
    kind: SubscriptionKind,
    names: readonly string[],
    entries: readonly Entry[],
  ): Reply {
    const frame = confirmations(words[kind][0], session.resp)
    const byName = new Map(entries.map((entry) => [entry.name, entry]))
    const replies = names.map((name) => {
      const entry = byName.get(name)
      if (entry !== undefined && !own[kind].has(name)) {
        own[kind].set(name, entry)
        entry.sessions.add(session)
        this.options.cells.add(kindNames[kind], 1)
      }
      return frame(name, own.countOf(kind))
    })
    session.mode |= modeSubscriber
    return messages(replies)
  }

  private leave(session: Session, own: Subscriber, entry: Entry): void {
    own[entry.kind].delete(entry.name)
    entry.sessions.delete(session)
    this.options.cells.add(kindNames[entry.kind], -1)
    this.letGo(own.table, entry)
  }

  /** A client without subscriptions is like any other again. */
  private tidy(session: Session, tenant: TenantState): void {
    const own = session.subscriber
    if (own === undefined || own.total > 0) return
    session.mode &= ~modeSubscriber
    session.subscriber = undefined
    const table = this.byTenant.get(tenant)
    if (table !== undefined) this.forget(table)
  }

  private forget(table: TenantTable): void {
    if (!table.isEmpty) return
    this.tables.delete(table.prefix)
    for (const [tenant, one] of this.byTenant) if (one === table) this.byTenant.delete(tenant)
  }
}

/** Writes confirmations of one kind, as latin1 text: there can be tens of thousands in one reply. */
function confirmations(word: string, resp: 2 | 3): (name: string | undefined, count: number) => string {
  const head = `${resp === 3 ? '>' : '*'}3\r\n$${word.length}\r\n${word}\r\n`
  const nil = resp === 3 ? '_' : '$-1'
  return (name, count) => `${head}${name === undefined ? nil : `$${name.length}\r\n${name}`}\r\n:${count}\r\n`
}

const messages = (frames: readonly string[]): Reply => ({
  kind: 'messages',
  bytes: Buffer.from(frames.join(''), 'latin1'),
})
