/**
 * CLIENT LIST, KILL and UNBLOCK: the tenant's own connections to this proxy. To a tenant there are no others; what is asked
 * of them is answered as if they did not exist. (networking.c, clientCommand, of Redis 7.0.)
 */
import { errorText } from '../base/errors.ts'
import { clientListBytesMax, clientListIdsMax } from '../base/limits.ts'
import { failure, integer, ok, type Reply } from '../resp/encode.ts'
import { modeSubscriber, type Session } from '../session/session.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'
import { describe } from './client.ts'

const text = (arg: Buffer | undefined): string => arg?.toString('latin1') ?? ''
const word = (arg: Buffer | undefined): string => text(arg).toLowerCase()
const long = /^(0|-?[1-9]\d{0,17})$/

type ClientType = 'normal' | 'pubsub' | 'none'

/** A word for a type of client; `none`: a type that no client of a tenant is of. undefined: no such word. */
function typeOf(name: string): ClientType | undefined {
  if (name === 'normal' || name === 'pubsub') return name
  return name === 'master' || name === 'replica' || name === 'slave' ? 'none' : undefined
}

const hasType = (session: Session, type: ClientType): boolean =>
  type !== 'none' && ((session.mode & modeSubscriber) !== 0) === (type === 'pubsub')

const badType = (arg: Buffer | undefined): Reply => failure(errorText('CLIENT_TYPE', text(arg).slice(0, 128)))

/** Connections of this tenant (undefined: of operators) to this process. */
export function clientsOf(tenant: string | undefined, host: Pick<BuiltinHost, 'sessions'>): Session[] {
  return [...host.sessions()].filter((one) => one.account !== undefined && one.account.tenant?.id === tenant)
}

const tenantOf = (session: Session): string | undefined => session.account?.tenant?.id

/** Which of them CLIENT LIST shows: all, those of a type, or these ids in this order. */
export interface ListFilter {
  readonly type?: ClientType
  readonly ids?: readonly number[]
}

export function readListFilter(args: readonly Buffer[]): ListFilter | Reply {
  if (args.length === 4 && word(args[2]) === 'type') {
    const type = typeOf(word(args[3]))
    return type === undefined ? badType(args[3]) : { type }
  }
  if (args.length > 3 && word(args[2]) === 'id') {
    if (args.length - 3 > clientListIdsMax) return failure(errorText('CLIENT_LIST_LIMIT'))
    const ids: number[] = []
    for (const arg of args.slice(3)) {
      if (!long.test(text(arg))) return failure(errorText('CLIENT_ID_INVALID'))
      ids.push(Number(text(arg)))
    }
    return { ids }
  }
  return args.length === 2 ? {} : failure(errorText('SYNTAX'))
}

/** Their lines by id; undefined: more than may be shown. */
export function clientLines(
  tenant: string | undefined,
  filter: ListFilter,
  host: BuiltinHost,
): ReadonlyMap<number, string> | undefined {
  const { type, ids } = filter
  const wanted = ids === undefined ? undefined : new Set(ids)
  const lines = new Map<number, string>()
  let size = 0
  for (const one of clientsOf(tenant, host)) {
    if ((type !== undefined && !hasType(one, type)) || wanted?.has(one.id) === false) continue
    const line = `${describe(one, host)}\n`
    size += line.length
    if (size > clientListBytesMax) return undefined
    lines.set(one.id, line)
  }
  return lines
}

/** As Redis orders them: as they came, or as they were asked for. An id may be repeated, and then so is its line. */
export function listReply({ ids }: ListFilter, parts: readonly (ReadonlyMap<number, string> | undefined)[]): Reply {
  const lines = new Map<number, string>()
  for (const part of parts) {
    if (part === undefined) return failure(errorText('CLIENT_LIST_LIMIT'))
    for (const [id, line] of part) lines.set(id, line)
  }
  const shown = (ids ?? [...lines.keys()].sort((a, b) => a - b)).flatMap((id) => lines.get(id) ?? [])
  let size = 0
  for (const line of shown) size += line.length
  if (size > clientListBytesMax) return failure(errorText('CLIENT_LIST_LIMIT'))
  return { kind: 'verbatim', value: shown.join('') }
}

function list(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply {
  const filter = readListFilter(args)
  return 'kind' in filter ? filter : listReply(filter, [clientLines(tenantOf(session), filter, host)])
}

/** Whom CLIENT KILL closes. */
export interface KillFilter {
  id?: number
  type?: ClientType
  addr?: string
  laddr?: string
  user?: string
  skipMe: boolean
}

/** More than any address has: what is cut to it is still nobody's. */
const addressCharsMax = 80

export function readKillFilter(args: readonly Buffer[], session: Session, host: BuiltinHost): KillFilter | Reply {
  // The old form, CLIENT KILL addr:port, kills the asker too.
  if (args.length === 3) return { addr: text(args[2]).slice(0, addressCharsMax), skipMe: false }
  const filter: KillFilter = { skipMe: true }
  for (let i = 2; i < args.length; i += 2) {
    const value = args[i + 1]
    if (value === undefined) return failure(errorText('SYNTAX'))
    switch (word(args[i])) {
      case 'id':
        if (!long.test(text(value)) || Number(text(value)) < 1) return failure(errorText('CLIENT_ID_POSITIVE'))
        filter.id = Number(text(value))
        break
      case 'type': {
        const type = typeOf(word(value))
        if (type === undefined) return badType(value)
        filter.type = type
        break
      }
      case 'addr':
        filter.addr = text(value).slice(0, addressCharsMax)
        break
      case 'laddr':
        filter.laddr = text(value).slice(0, addressCharsMax)
        break
      case 'user':
        filter.user = value.toString('utf8')
        if (!host.isUserOf(filter.user, session)) return failure(errorText('CLIENT_USER', text(value).slice(0, 128)))
        break
      case 'skipme':
        if (word(value) !== 'yes' && word(value) !== 'no') return failure(errorText('SYNTAX'))
        filter.skipMe = word(value) === 'yes'
        break
      default:
        return failure(errorText('SYNTAX'))
    }
  }
  return filter
}

/** How many were closed here. `session`: who asks, if it is a connection to this process. */
export function killClients(
  tenant: string | undefined,
  filter: KillFilter,
  session: Session | undefined,
  host: Pick<BuiltinHost, 'sessions'>,
): number {
  let killed = 0
  for (const one of clientsOf(tenant, host)) {
    if (filter.addr !== undefined && one.remote !== filter.addr) continue
    if (filter.laddr !== undefined && one.local !== filter.laddr) continue
    if (filter.type !== undefined && !hasType(one, filter.type)) continue
    if (filter.id !== undefined && one.id !== filter.id) continue
    if (filter.user !== undefined && one.account?.user !== filter.user) continue
    if (one === session && filter.skipMe) continue
    killed++
    // Who kills itself is told so first.
    if (one === session) session.isEnding = true
    else one.destroy('killed')
  }
  return killed
}

export function killReply(args: readonly Buffer[], killed: number): Reply {
  if (args.length !== 3) return integer(killed)
  return killed > 0 ? ok : failure(errorText('CLIENT_NONE'))
}

function kill(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply {
  const filter = readKillFilter(args, session, host)
  if ('kind' in filter) return filter
  return killReply(args, killClients(tenantOf(session), filter, session, host))
}

/** Whose wait is to end, and how; or why not. */
export function readUnblock(args: readonly Buffer[]): { readonly id: number; readonly withError: boolean } | Reply {
  const reason = word(args[3])
  if (args.length > 4) return failure(errorText('SUBCOMMAND_ARGS', text(args[1]).slice(0, 128), 'CLIENT'))
  if (args.length === 4 && reason !== 'timeout' && reason !== 'error') return failure(errorText('UNBLOCK_REASON'))
  if (!long.test(text(args[2]))) return failure(errorText('NOT_INTEGER'))
  return { id: Number(text(args[2])), withError: reason === 'error' }
}

export async function unblockClient(
  tenant: string | undefined,
  { id, withError }: { readonly id: number; readonly withError: boolean },
  host: BuiltinHost,
): Promise<boolean> {
  const found = clientsOf(tenant, host).find((one) => one.id === id)
  return found !== undefined && (await host.unblock(found, withError))
}

async function unblock(args: readonly Buffer[], session: Session, host: BuiltinHost): Promise<Reply> {
  const asked = readUnblock(args)
  if ('kind' in asked) return asked
  return integer((await unblockClient(tenantOf(session), asked, host)) ? 1 : 0)
}

export const clientOthersBuiltins: Readonly<Record<string, Builtin>> = {
  'client|list': { run: list },
  'client|kill': { isStateful: true, run: kill },
  'client|unblock': { isStateful: true, run: unblock },
}
