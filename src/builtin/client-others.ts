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

function own(session: Session, host: BuiltinHost): Session[] {
  const tenant = session.account?.tenant
  return [...host.sessions()].filter((one) => one.account !== undefined && one.account.tenant === tenant)
}

function list(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply {
  let chosen = own(session, host)
  if (args.length === 4 && word(args[2]) === 'type') {
    const type = typeOf(word(args[3]))
    if (type === undefined) return badType(args[3])
    chosen = chosen.filter((one) => hasType(one, type))
  } else if (args.length > 3 && word(args[2]) === 'id') {
    if (args.length - 3 > clientListIdsMax) return failure(errorText('CLIENT_LIST_LIMIT'))
    const ids: number[] = []
    for (const arg of args.slice(3)) {
      if (!long.test(text(arg))) return failure(errorText('CLIENT_ID_INVALID'))
      ids.push(Number(text(arg)))
    }
    const byId = new Map(chosen.map((one) => [one.id, one]))
    chosen = ids.flatMap((id) => byId.get(id) ?? [])
  } else if (args.length !== 2) return failure(errorText('SYNTAX'))
  // An id may be repeated, and then so is its line: each is made once, and all together are bounded.
  const lines = new Map<Session, string>()
  let size = 0
  const shown = chosen.map((one) => {
    let line = lines.get(one)
    if (line === undefined) {
      line = `${describe(one, host)}\n`
      lines.set(one, line)
    }
    size += line.length
    return line
  })
  if (size > clientListBytesMax) return failure(errorText('CLIENT_LIST_LIMIT'))
  return { kind: 'verbatim', value: shown.join('') }
}

interface Filter {
  id?: number
  type?: ClientType
  addr?: string
  laddr?: string
  user?: string
  skipMe: boolean
}

function readFilter(args: readonly Buffer[], session: Session, host: BuiltinHost): Filter | Reply {
  const filter: Filter = { skipMe: true }
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
        filter.addr = text(value)
        break
      case 'laddr':
        filter.laddr = text(value)
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

function kill(args: readonly Buffer[], session: Session, host: BuiltinHost): Reply {
  // The old form, CLIENT KILL addr:port, kills the asker too.
  const isOld = args.length === 3
  const filter = isOld ? { addr: text(args[2]), skipMe: false } : readFilter(args, session, host)
  if ('kind' in filter) return filter
  let killed = 0
  for (const one of own(session, host)) {
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
  if (!isOld) return integer(killed)
  return killed > 0 ? ok : failure(errorText('CLIENT_NONE'))
}

async function unblock(args: readonly Buffer[], session: Session, host: BuiltinHost): Promise<Reply> {
  const reason = word(args[3])
  if (args.length > 4) return failure(errorText('SUBCOMMAND_ARGS', text(args[1]).slice(0, 128), 'CLIENT'))
  if (args.length === 4 && reason !== 'timeout' && reason !== 'error') return failure(errorText('UNBLOCK_REASON'))
  if (!long.test(text(args[2]))) return failure(errorText('NOT_INTEGER'))
  const id = Number(text(args[2]))
  const found = own(session, host).find((one) => one.id === id)
  return integer(found !== undefined && (await host.unblock(found, reason === 'error')) ? 1 : 0)
}

export const clientOthersBuiltins: Readonly<Record<string, Builtin>> = {
  'client|list': { run: list },
  'client|kill': { isStateful: true, run: kill },
  'client|unblock': { isStateful: true, run: unblock },
}
