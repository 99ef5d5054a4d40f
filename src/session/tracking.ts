/**
 * What a client has asked of CLIENT TRACKING, and the messages it gets for it. The server does the tracking, on the client's
 * leased connection (leased-path.ts); here stand the state that the proxy answers questions from and the shapes on the wire.
 *
 *   the server's push on the lease --names stripped--> this client, or the client that it redirects to
 */
import { bulk, encodeReply, type Reply } from '../resp/encode.ts'
import { elements, readHead, stringAt, TYPE } from '../resp/reply-walk.ts'
import { invalidateChannel } from '../tenant/channels.ts'
import type { Session } from './session.ts'

/** Tracking of one client. Replaced as a whole when the server has accepted another command. */
export interface Tracking {
  readonly isBcast: boolean
  readonly isOptin: boolean
  readonly isOptout: boolean
  readonly isNoloop: boolean
  /** In the client's own names, without the tenant's prefix. */
  readonly prefixes: readonly Buffer[]
  /** The client that gets the messages; undefined: this one itself. */
  readonly redirect: Session | undefined
}

export interface TrackingRequest extends Tracking {
  readonly isOn: boolean
}

const empty = Buffer.alloc(0)

/** The options of CLIENT TRACKING as Redis reads them (networking.c, clientCommand); the code of the error otherwise. */
export function parseTracking(
  args: readonly Buffer[],
  find: (id: number) => Session | undefined,
): TrackingRequest | 'SYNTAX' | 'NOT_INTEGER' | 'TRACKING_REDIRECT' | 'TRACKING_TWICE' {
  let [isBcast, isOptin, isOptout, isNoloop] = [false, false, false, false]
  let redirect: Session | undefined
  const prefixes: Buffer[] = []
  for (let i = 3; i < args.length; i++) {
    const word = args[i]!.toString('latin1').toLowerCase()
    const more = i + 1 < args.length
    if (word === 'redirect' && more) {
      if (redirect !== undefined) return 'TRACKING_TWICE'
      const text = args[++i]!.toString('latin1')
      if (!/^-?(0|[1-9]\d{0,18})$/.test(text)) return 'NOT_INTEGER'
      redirect = find(Number(text))
      if (redirect === undefined) return 'TRACKING_REDIRECT'
    } else if (word === 'bcast') isBcast = true
    else if (word === 'optin') isOptin = true
    else if (word === 'optout') isOptout = true
    else if (word === 'noloop') isNoloop = true
    else if (word === 'prefix' && more) prefixes.push(args[++i]!)
    else return 'SYNTAX'
  }
  const word = args[2]!.toString('latin1').toLowerCase()
  if (word !== 'on' && word !== 'off') return 'SYNTAX'
  return { isOn: word === 'on', isBcast, isOptin, isOptout, isNoloop, prefixes, redirect }
}

/** The key prefixes of a tenant's databases, and what they have in common: what concerns names concerns all of them, as in Redis. */
export interface NameSpace {
  readonly prefixes: readonly Buffer[]
  readonly keyPrefix: Buffer
}

/** The same command for the server: the tenant's prefixes on, and the id of a connection of ours for the client's. */
export function trackingCommand(want: Tracking, space: NameSpace, redirectId: number): (string | Buffer)[] {
  const words: (string | Buffer)[] = ['CLIENT', 'TRACKING', 'ON']
  if (want.redirect !== undefined) words.push('REDIRECT', String(redirectId))
  if (want.isBcast) words.push('BCAST')
  if (want.isOptin) words.push('OPTIN')
  if (want.isOptout) words.push('OPTOUT')
  if (want.isNoloop) words.push('NOLOOP')
  // Without a prefix the server would tell of every tenant's keys. What is kept of a client may hold '' beside others.
  const isAll = want.isBcast && (want.prefixes.length === 0 || (!('isOn' in want) && want.prefixes[0]!.length === 0))
  if (isAll) return [...words, ...space.prefixes.flatMap((prefix) => ['PREFIX', prefix])]
  for (const own of want.prefixes)
    for (const prefix of space.prefixes) words.push('PREFIX', Buffer.concat([prefix, own]))
  return words
}

/** BCAST without PREFIX. Beside OPTIN or OPTOUT Redis refuses it, and nothing changes. */
export function isOfAllNames(want: Tracking): boolean {
  return want.isBcast && want.prefixes.length === 0 && !want.isOptin && !want.isOptout
}

/** The prefixes that a client has then, each once, in the order of Redis's tree (tracking.c, enableBcastTrackingForPrefix). */
export function prefixesAfter(before: Tracking | undefined, want: Tracking): Buffer[] {
  if (!want.isBcast) return []
  const all = [...(before?.prefixes ?? []), ...(want.prefixes.length === 0 ? [empty] : want.prefixes)]
  return all.sort(Buffer.compare).filter((own, i) => i === 0 || !own.equals(all[i - 1]!))
}

/** CLIENT TRACKINGINFO. */
export function trackingInfo(session: Session): Reply {
  const { tracking } = session
  const flags =
    tracking === undefined
      ? ['off']
      : [
          'on',
          ...(tracking.isBcast ? ['bcast'] : []),
          ...(tracking.isOptin ? ['optin'] : []),
          ...(tracking.isOptout ? ['optout'] : []),
          ...(session.isCachingNext ? [tracking.isOptin ? 'caching-yes' : 'caching-no'] : []),
          ...(tracking.isNoloop ? ['noloop'] : []),
          ...(tracking.redirect?.isClosed === true ? ['broken_redirect'] : []),
        ]
  return {
    kind: 'map',
    pairs: [
      [bulk('flags'), { kind: 'set', items: flags.map((flag) => bulk(flag)) }],
      [bulk('redirect'), { kind: 'integer', value: redirectOf(session) }],
      [bulk('prefixes'), { kind: 'array', items: (tracking?.prefixes ?? []).map((own) => bulk(own)) }],
    ],
  }
}

/** CLIENT GETREDIR: -1 without tracking, 0 without redirection. */
export function redirectOf(session: Session): number {
  return session.tracking === undefined ? -1 : (session.tracking.redirect?.id ?? 0)
}

export type Push =
  | { readonly kind: 'invalidate' /** undefined: everything. */; readonly names: readonly Buffer[] | undefined }
  | { readonly kind: 'broken' }

/** A push of the server's, names without the tenant's prefix. 'foreign': a name has it not; undefined: no push that we know. */
export function readPush(push: Buffer, { prefixes }: NameSpace): Push | 'foreign' | undefined {
  const [kind, payload] = elements(push, 0, push.length)
  if (kind === undefined) return undefined
  const word = stringAt(push, kind, push.length)?.toString('latin1')
  if (word === 'tracking-redir-broken') return { kind: 'broken' }
  if (word !== 'invalidate' || payload === undefined) return undefined
  const head = readHead(push, payload, push.length)
  if (head === undefined) return undefined
  if (head.count === -1) return { kind: 'invalidate', names: undefined }
  if (head.type !== TYPE.array) return undefined
  const names: Buffer[] = []
  for (const at of elements(push, payload, push.length)) {
    const name = stringAt(push, at, push.length)
    const prefix = name === undefined ? undefined : prefixes.find((it) => name.subarray(0, it.length).equals(it))
    if (name === undefined || prefix === undefined) return 'foreign'
    names.push(name.subarray(prefix.length))
  }
  return { kind: 'invalidate', names }
}

/** An invalidation as a client hears it: a push on RESP3, a message on RESP2. */
export function invalidation(names: readonly Buffer[] | undefined, resp: 2 | 3): Buffer {
  const list: Reply =
    names === undefined ? { kind: 'nullArray' } : { kind: 'array', items: names.map((name) => bulk(name)) }
  const body = encodeReply(list, resp)
  if (resp === 3) return Buffer.concat([Buffer.from('>2\r\n$10\r\ninvalidate\r\n'), body])
  const head = `*3\r\n$7\r\nmessage\r\n$${invalidateChannel.length}\r\n${invalidateChannel}\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** To a client on RESP3 whose redirection has lost its target. */
export function redirectionBroken(id: number): Buffer {
  return Buffer.from(`>2\r\n$21\r\ntracking-redir-broken\r\n:${id}\r\n`)
}

/** The server's errors about prefixes repeat them. */
export function stripTrackingError(reply: Buffer, { prefixes, keyPrefix }: NameSpace): Buffer {
  if (reply[0] !== TYPE.error) return reply
  let text = reply.toString('latin1')
  for (const prefix of [...prefixes, keyPrefix]) text = text.replaceAll(`'${prefix.toString('latin1')}`, "'")
  return Buffer.from(text, 'latin1')
}
