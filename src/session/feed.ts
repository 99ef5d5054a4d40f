/**
 * Keeps topics subscribed at the node where they should be heard, and says when they are. One feed hears at the nearest
 * readable node, where the tenants' reads go, so that no message overtakes the write it tells of; another at the primary.
 *
 *   current: its messages are delivered          next: the node to move to, being prepared
 *
 *   next opened -> all topics confirmed -> fence: a mark that is sent from now on, seen in both nodes' streams
 *     current delivers what comes before the fence, next what comes after it (kept until current has shown the fence)
 *
 * So a move between two living nodes loses nothing and repeats nothing, whichever of them is ahead. When the current
 * node is lost, what was published until the fence is lost too (a gap, counted), but nothing comes twice: a replica
 * behind the lost node would otherwise tell again what that one told. Where no primary can publish a mark and the
 * replica's own link is down, its stream has ended and there is nothing to keep apart.
 *
 * No socket and no timer here: links, clock and timers are handed in.
 */
import type { Log } from '../base/log.ts'
import type { Node } from '../regions/node.ts'
import type { RegionTracker } from '../regions/tracker.ts'
import { parseMark } from '../regions/watermark.ts'
import type { FeedName } from '../tenant/channels.ts'
import { Backoff } from '../upstream/backoff.ts'
import type { LinkMessage, SubscriptionLink, SubscriptionLinkOptions } from '../upstream/subscription-link.ts'

/** What waits behind the fence while the other node has not shown it; above it the move is decided at once. */
const heldBytesMax = 8 * 1024 * 1024
/** The node before may lag this long behind the next. */
const handoverMs = 1_000
/** A living node is not left for one that takes longer to show the fence; the move is tried again later. */
const fenceMsMax = 5_000
/** With no node before: marks are on their way, so the node lags, and what it tells now was told already. */
const laggardMsMax = 60_000

export type LinkEvents = Pick<SubscriptionLinkOptions, 'onReady' | 'onConfirmed' | 'onMessage' | 'afterRead' | 'onLost'>
export type FeedLink = Pick<
  SubscriptionLink,
  'isReady' | 'pendingCount' | 'has' | 'subscribe' | 'unsubscribe' | 'close'
>

export type GapReason = 'lost' | 'handover' | 'unfenced' | 'refused'

export interface FeedOptions {
  readonly name: FeedName
  readonly tracker: Pick<RegionTracker, 'readOrder' | 'primary' | 'marks' | 'channel'>
  readonly log: Log
  openLink(node: Node, events: LinkEvents): FeedLink
  now(): number
  after(ms: number, run: () => void): void
  onMessage(message: LinkMessage): void
  afterRead(): void
  /** Messages may have been lost. */
  onGap(reason: GapReason): void
}

/** A link with what the move needs to know of it. */
class Stand {
  readonly node: Node
  link: FeedLink | undefined
  /** Every topic that was wanted when it logged in has been answered. */
  isPrepared = false
  preparedAtMs = 0
  /** The first mark with this number or a later one is the fence; 0: none yet. */
  fenceSeq = 0
  /** The fence was seen in this node's stream. */
  isPast = false
  pastAtMs = 0
  held: LinkMessage[] = []
  heldBytes = 0

  constructor(node: Node) {
    this.node = node
  }
}

interface Waiter {
  readonly topics: readonly string[]
  done(refusal?: string): void
}

export class Feed {
  private readonly options: FeedOptions
  private readonly markTopic: string
  /** Wanted topics, and by how many. */
  private readonly wanted = new Map<string, number>()
  private readonly waiters = new Map<string, Set<Waiter>>()
  private current: Stand | undefined
  private next: Stand | undefined
  /** Something was delivered since the feed was last empty: a new node must not repeat it. */
  private hasServed = false
  private readonly backoff = new Backoff()
  private retryAtMs = 0
  /** Marks that a primary had refused before the fence was asked for. */
  private refusedBefore = 0
  private isStopped = false

  constructor(options: FeedOptions) {
    this.options = options
    this.markTopic = `c${options.tracker.channel}`
  }

  /** The node that is heard now, for tests and pages. */
  get node(): Node | undefined {
    return this.current?.node
  }

  want(topic: string): void {
    const count = this.wanted.get(topic) ?? 0
    this.wanted.set(topic, count + 1)
    if (count > 0) return
    if (this.current?.link?.isReady === true) this.current.link.subscribe(topic)
    if (this.next?.link?.isReady === true) this.next.link.subscribe(topic)
    if (this.wanted.size === 1) this.settle()
  }

  release(topic: string): void {
    const count = this.wanted.get(topic) ?? 0
    if (count > 1) {
      this.wanted.set(topic, count - 1)
      return
    }
    this.wanted.delete(topic)
    this.current?.link?.unsubscribe(topic)
    this.next?.link?.unsubscribe(topic)
  }

  /** Confirmed wherever it will be heard: what is published from now on arrives. */
  isHeard(topic: string): boolean {
    return this.current?.link?.has(topic) === true && (this.next === undefined || this.next.link?.has(topic) === true)
  }

  /** Calls `done` when all topics are heard, or with the first word of a server's refusal. Returns how to give up. */
  whenHeard(topics: readonly string[], done: (refusal?: string) => void): () => void {
    const waiter: Waiter = { topics, done }
    for (const topic of topics) {
      let set = this.waiters.get(topic)
      if (set === undefined) {
        set = new Set()
        this.waiters.set(topic, set)
      }
      set.add(waiter)
    }
    return () => this.forget(waiter)
  }

  private forget(waiter: Waiter): void {
    for (const topic of waiter.topics) {
      const set = this.waiters.get(topic)
      set?.delete(waiter)
      if (set?.size === 0) this.waiters.delete(topic)
    }
  }

  private look(topic: string, refusal?: string): void {
    for (const waiter of this.waiters.get(topic) ?? []) {
      if (refusal === undefined && !waiter.topics.every((one) => this.isHeard(one))) continue
      this.forget(waiter)
      waiter.done(refusal)
    }
  }

  // ---- where to be heard ----

  /** Looks again where the topics should be. After changes of the regions, and now and then. */
  settle(): void {
    if (this.isStopped) return
    const { now } = this.options
    if (this.wanted.size === 0) return this.rest()
    const target = this.target()
    const { current, next } = this
    if (target !== undefined && current?.node === target) this.dropNext()
    else if (target !== undefined && next?.node !== target && now() >= this.retryAtMs) {
      this.dropNext()
      this.open(target)
    }
    this.advance()
  }

  private target(): Node | undefined {
    const { name, tracker } = this.options
    if (name === 'primary') return tracker.primary
    return tracker.readOrder.find((node) => node.isReadable)
  }

  private open(node: Node): void {
    const stand = new Stand(node)
    this.next = stand
    const mine = (): boolean => this.next === stand || this.current === stand
    stand.link = this.options.openLink(node, {
      onReady: () => {
        if (!mine()) return
        for (const topic of this.wanted.keys()) stand.link!.subscribe(topic)
        stand.link!.subscribe(this.markTopic) // answers come in order: this one says that all before it are there
      },
      onConfirmed: (topic, refusal) => {
        if (mine()) this.onConfirmed(stand, topic, refusal)
      },
      onMessage: (message) => {
        if (mine()) this.onMessage(stand, message)
      },
      afterRead: () => this.options.afterRead(),
      onLost: (reason) => this.onLost(stand, reason),
    })
  }

  private onConfirmed(stand: Stand, topic: string, refusal: string | undefined): void {
    this.backoff.reset()
    if (topic === this.markTopic) {
      if (!stand.isPrepared) {
        stand.isPrepared = true
        stand.preparedAtMs = this.options.now()
        if (this.hasServed) this.options.after(fenceMsMax, () => this.advance())
      }
      this.advance()
    } else if (refusal === undefined) this.look(topic)
    else {
      this.options.log.warn({ feed: this.options.name, refusal }, 'a server refuses a subscription')
      if (this.waiters.has(topic)) this.look(topic, refusal)
      else this.options.onGap('refused')
    }
  }

  private onLost(stand: Stand, reason: string): void {
    if (this.current !== stand && this.next !== stand) return
    this.options.log.warn({ node: stand.node.address.name, reason }, 'subscription connection lost')
    const delayMs = this.backoff.nextDelayMs()
    this.retryAtMs = this.options.now() + delayMs
    if (this.current === stand) {
      this.current = undefined
      if (this.wanted.size > 0) this.options.onGap('lost')
    } else this.next = undefined
    this.options.after(delayMs, () => this.settle())
    this.advance()
  }

  // ---- the move ----

  /** Goes on with a move as far as the facts allow. */
  private advance(): void {
    const { next, current } = this
    if (next?.isPrepared !== true) return
    if (!this.hasServed || this.isQuiet(next.node)) return this.promote()
    const { marks, primary } = this.options.tracker
    const nowMs = this.options.now()
    const waitedMs = nowMs - next.preparedAtMs
    if (next.isPast) {
      if (current === undefined || current.isPast) this.promote()
      else if (nowMs - next.pastAtMs >= handoverMs) this.promote('handover')
      return
    }
    if (waitedMs >= fenceMsMax) {
      if (current !== undefined) {
        this.retryAtMs = nowMs + fenceMsMax
        return this.dropNext()
      }
      const isFenceable = primary !== undefined && marks.refused === this.refusedBefore
      if (!isFenceable || waitedMs >= laggardMsMax) return this.promote('unfenced')
    }
    if (current !== undefined && !current.link!.has(this.markTopic)) {
      current.link!.subscribe(this.markTopic)
      return // both nodes must show the fence, so it is sent when both have confirmed that they will
    }
    if (next.fenceSeq === 0) {
      next.fenceSeq = marks.nextSeq
      this.refusedBefore = marks.refused
    }
    marks.wantWithin(0)
  }

  /** Nothing old can come out of it any more: no primary, and its own link to one is down. */
  private isQuiet(node: Node): boolean {
    return (
      this.current === undefined && this.options.tracker.primary === undefined && !Number.isNaN(node.linkDownSinceMs)
    )
  }

  private promote(gap?: GapReason): void {
    const next = this.next!
    if (gap !== undefined) this.options.onGap(gap)
    this.current?.link?.close()
    this.current = next
    this.next = undefined
    this.hasServed = true
    this.options.log.info({ feed: this.options.name, node: next.node.address.name }, 'subscriptions are heard')
    this.goOn(next)
    for (const topic of [...this.waiters.keys()]) this.look(topic)
  }

  private onMessage(stand: Stand, message: LinkMessage): void {
    if (message.kind === 'message' && message.channel === this.options.tracker.channel)
      return this.onMark(stand, message)
    const isCurrent = stand === this.current
    if (isCurrent && !stand.isPast) return this.options.onMessage(message)
    if (!stand.isPast) return // before the fence: the node before tells it, or told it
    stand.held.push(message)
    stand.heldBytes += message.payload.length + message.channel.length + 256
    if (stand.heldBytes <= heldBytesMax) return
    if (isCurrent) this.dropNext()
    else this.promote('handover')
  }

  /** This node is heard from here on, beginning with what was kept. */
  private goOn(stand: Stand): void {
    const { held } = stand
    stand.isPast = false
    stand.held = []
    stand.heldBytes = 0
    stand.link!.unsubscribe(this.markTopic)
    for (const message of held) this.options.onMessage(message)
    if (held.length > 0) this.options.afterRead()
  }

  private onMark(stand: Stand, message: LinkMessage): void {
    const { next } = this
    const mark = parseMark(message.payload.toString('latin1'))
    if (next === undefined || next.fenceSeq === 0 || mark === undefined || mark.seq < next.fenceSeq || stand.isPast)
      return
    stand.isPast = true
    stand.pastAtMs = this.options.now()
    if (stand === next) this.options.after(handoverMs, () => this.advance())
    this.advance()
  }

  private dropNext(): void {
    const { next, current } = this
    if (next === undefined) return
    this.next = undefined
    next.link?.close()
    if (current === undefined) return
    this.goOn(current) // nothing was taken over
    for (const topic of [...this.waiters.keys()]) this.look(topic)
  }

  /** Nobody wants anything. */
  private rest(): void {
    this.next?.link?.close()
    this.current?.link?.close()
    this.next = undefined
    this.current = undefined
    this.hasServed = false
  }

  stop(): void {
    this.isStopped = true
    this.rest()
  }
}
