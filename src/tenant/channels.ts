/**
 * Names of channels, up and down: what a tenant's subscription asks of a server, and whose a message is. Pure.
 *
 *   SUBSCRIBE news                    channel  shop:news
 *   SUBSCRIBE __keyspace@0__:k        channel  __keyspace@0__:shop:k    (and shop:__keyspace@0__:k: anybody may PUBLISH it)
 *   SUBSCRIBE __keyevent@0__:del      channel  __keyevent@0__:del       (payload shop:k: filtered, stripped)
 *   PSUBSCRIBE n*                     pattern  shop:*                   (n* itself is matched by the proxy)
 *   PSUBSCRIBE *                      besides  __keyspace@0__:shop:* and __keyevent@0__:*
 *   PSUBSCRIBE __keyevent@*__:del     besides  the channel __keyevent@0__:del, not the events of every kind
 *
 * Names are latin1 strings here, one character a byte, so that they can be keys of maps.
 *
 * Expiry and eviction are decided by the primary alone: its replicas are told to delete and announce `del`. So the events
 * `expired` and `evicted` are heard at the primary, all others where the tenant's reads go.
 */

/** Where a topic is heard: at the node that reads go to, or at the primary. */
export type FeedName = 'near' | 'primary'

/** One subscription at a server. `key`: c (channel), p (pattern) or s (shard channel), then the name that goes upstream. */
export interface Topic {
  readonly feed: FeedName
  readonly key: string
}

/**
 * Invalidations of CLIENT TRACKING come to RESP2 clients on this channel, from the proxy itself: it has no prefix, no
 * server is asked for it, and nobody can publish on it.
 */
export const invalidateChannel = '__redis__:invalidate'

const keyspaceHead = '__keyspace@0__:'
const keyeventHead = '__keyevent@0__:'
const keyeventPattern = `${keyeventHead}*`
const atPrimary: ReadonlySet<string> = new Set(['expired', 'evicted'])

const near = (key: string): Topic => ({ feed: 'near', key })
const feedOfEvent = (event: string): FeedName => (atPrimary.has(event) ? 'primary' : 'near')

export function topicsOfChannel(prefix: string, channel: string): Topic[] {
  if (channel === invalidateChannel) return []
  const own = near(`c${prefix}${channel}`)
  if (channel.startsWith(keyspaceHead))
    return [own, near(`c${keyspaceHead}${prefix}${channel.slice(keyspaceHead.length)}`)]
  if (channel.startsWith(keyeventHead))
    return [own, { feed: feedOfEvent(channel.slice(keyeventHead.length)), key: `c${channel}` }]
  return [own]
}

export function topicsOfShard(prefix: string, channel: string): Topic[] {
  return [near(`s${prefix}${channel}`)]
}

export function topicsOfPattern(prefix: string, pattern: string): Topic[] {
  const scope = escapeGlob(prefix)
  const topics = [near(`p${scope}*`)]
  if (mayMatch(pattern, keyspaceHead)) topics.push(near(`p${keyspaceHead}${scope}*`))
  const event = eventOfPattern(pattern)
  if (event !== undefined) topics.push({ feed: feedOfEvent(event), key: `c${keyeventHead}${event}` })
  else if (mayMatch(pattern, keyeventHead)) {
    topics.push(near(`p${keyeventPattern}`))
    for (const one of atPrimary) topics.push({ feed: 'primary', key: `c${keyeventHead}${one}` })
  }
  return topics
}

/** The one event that a pattern such as `__keyevent@*__:expired` speaks of. */
export function eventOfPattern(pattern: string): string | undefined {
  return /^__keyevent@(?:0|\*|\?)__:([a-z_-]+)$/.exec(pattern)?.[1]
}

/** Could the pattern match a name with this beginning? May say yes too often: what it costs then is a subscription. */
function mayMatch(pattern: string, head: string): boolean {
  const special = pattern.search(/[*?[\\]/)
  if (special < 0) return pattern.startsWith(head)
  const literal = pattern.slice(0, special)
  return literal.startsWith(head) || head.startsWith(literal)
}

/** The text as a pattern that matches itself alone. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\^-]/g, '\\$&')
}

/** The tenants that may get messages, found by what a name begins with. No prefix is the beginning of another. */
export class PrefixIndex<T> {
  readonly #byPrefix = new Map<string, T>()
  #lengths: number[] = []

  set(prefix: string, value: T): void {
    this.#byPrefix.set(prefix, value)
    this.#measure()
  }

  delete(prefix: string): void {
    this.#byPrefix.delete(prefix)
    this.#measure()
  }

  /** Whose name it is, and how long the prefix is; undefined: nobody's. */
  find(name: string): { readonly value: T; readonly length: number } | undefined {
    for (const length of this.#lengths) {
      const value = this.#byPrefix.get(name.slice(0, length))
      if (value !== undefined) return { value, length }
    }
    return undefined
  }

  values(): Iterable<T> {
    return this.#byPrefix.values()
  }

  #measure(): void {
    this.#lengths = [...new Set([...this.#byPrefix.keys()].map((prefix) => prefix.length))]
  }
}

/** A message of a server, taken apart. */
export interface Incoming {
  readonly kind: 'message' | 'pmessage' | 'smessage'
  /** Of a pmessage: our pattern that it matched. */
  readonly pattern?: string
  readonly channel: string
  readonly payload: Buffer
}

/** A message as a tenant may see it. `to`: who of the tenant gets it. */
export interface Scoped<T> {
  readonly tenant: T
  readonly channel: string
  readonly payload: Buffer
  /**
   * channel: subscribers of the channel. shard: of the shard channel. patterns: those whose pattern matches.
   * event: subscribers of the channel and of patterns for this event alone. primaryEvent: the channel and all patterns.
   * otherEvents: patterns that match, without those that hear their one event by its channel.
   */
  readonly to: 'channel' | 'shard' | 'patterns' | 'event' | 'primaryEvent' | 'otherEvents'
}

/** Whose message it is, in the tenant's own names; undefined: nobody's here. */
export function scopeOf<T>(message: Incoming, tenants: PrefixIndex<T>): Scoped<T> | undefined {
  const { kind, pattern, channel, payload } = message
  if (kind === 'smessage') return plain(message, tenants, 'shard')
  const isPattern = kind === 'pmessage'
  if (channel.startsWith(keyspaceHead)) {
    // Our patterns for a tenant's own names cannot match these: no prefix begins as they do.
    const found = tenants.find(channel.slice(keyspaceHead.length))
    if (found === undefined) return undefined
    const name = keyspaceHead + channel.slice(keyspaceHead.length + found.length)
    return { tenant: found.value, channel: name, payload, to: isPattern ? 'patterns' : 'channel' }
  }
  if (channel.startsWith(keyeventHead)) {
    const found = tenants.find(payload.toString('latin1', 0, 256))
    const event = channel.slice(keyeventHead.length)
    const isPrimaryEvent = atPrimary.has(event)
    // These come by their channel; the pattern would bring them a second time where the primary is the nearest node.
    if (found === undefined || (isPattern && (isPrimaryEvent || pattern !== keyeventPattern))) return undefined
    const to = isPattern ? 'otherEvents' : isPrimaryEvent ? 'primaryEvent' : 'event'
    return { tenant: found.value, channel, payload: payload.subarray(found.length), to }
  }
  return plain(message, tenants, isPattern ? 'patterns' : 'channel')
}

function plain<T>(
  { channel, payload }: Incoming,
  tenants: PrefixIndex<T>,
  to: 'channel' | 'shard' | 'patterns',
): Scoped<T> | undefined {
  const found = tenants.find(channel)
  return found === undefined ? undefined : { tenant: found.value, channel: channel.slice(found.length), payload, to }
}
