/** PROXY: what a tenant may ask of the proxy itself. Shows no address and nothing of other tenants. */
import { errorText } from '../base/errors.ts'
import type { QuotaUse } from '../quota/uses.ts'
import { array, bulk, failure, integer, map, nil, ok, type Reply, simple } from '../resp/encode.ts'
import { LEVEL, type LevelName } from '../routing/choose.ts'
import { levelByName } from '../routing/levels.ts'
import type { Session } from '../session/session.ts'
import type { DurabilityPromise } from '../tenant/account.ts'
import type { Builtin, BuiltinHost, Quotas } from './builtin.ts'
import { dataReply, operatorHelp } from './operator.ts'

const tokenBytesMax = 64

const help = [
  'PROXY <subcommand> [<arg> ...]. Subcommands are:',
  'CONSISTENCY <eventual|bounded|session|strong|default>',
  '    Set the consistency level of the reads of this connection; default takes it back.',
  'WHOAMI',
  '    Show the tenant, the user, the promise that reads of this connection have, and what may be used and is.',
  'EXPLAIN <command> [<arg> ...]',
  '    Show where that command would go now, and why: nothing is sent.',
  'TOKEN',
  '    Return a token that covers all that this connection has written and read.',
  'AFTER <token>',
  '    All later reads of this connection see what the token covers, which any proxy of this deployment may have given.',
  'HELP',
  '    Print this help.',
]

export const proxyBuiltins: Readonly<Record<string, Builtin>> = {
  'proxy|help': {
    run: (_args, session) => {
      const isOperator = session.account !== undefined && session.account.tenant === undefined
      const of = (verb: string): string[] => help.slice(help.indexOf(verb), help.indexOf(verb) + 2)
      const lines = isOperator ? [help[0]!, ...operatorHelp, ...of('WHOAMI'), ...of('HELP')] : help
      return array(lines.map(simple))
    },
  },
  'proxy|whoami': { run: (_args, session, host) => whoami(session, host, host.quotasOf(session)) },
  'proxy|explain': {
    // What this connection has in flight has not bound its next reads yet.
    isStateful: true,
    run: (args, session, host) => host.explain(session, args.slice(2)),
  },
  'proxy|consistency': {
    isStateful: true,
    run: (args, session) => {
      // The arity of the table is a minimum, since subcommands share one row shape.
      if (args.length !== 3) return failure(errorText('WRONG_ARITY', 'proxy|consistency'))
      const word = args[2]!.toString('latin1')
      if (word.toLowerCase() === 'default') {
        session.level = -1
        return ok
      }
      const level = levelByName(word)
      if (level === undefined) return failure(errorText('UNKNOWN_LEVEL', word.slice(0, 64)))
      session.level = level
      return ok
    },
  },
  'proxy|token': {
    isStateful: true,
    run: (_args, session, host) => {
      if (session.account?.tenant === undefined) return failure(errorText('NOPERM', 'proxy|token'))
      const token = host.tokenOf(session)
      return token === undefined ? failure(errorText('TOKEN_UNSETTLED')) : bulk(token)
    },
  },
  'proxy|after': {
    isStateful: true,
    run: (args, session, host) => {
      if (session.account?.tenant === undefined) return failure(errorText('NOPERM', 'proxy|after'))
      const token = args[2]!
      const isTaken = token.length <= tokenBytesMax && host.readAfter(session, token.toString('latin1'))
      return isTaken ? ok : failure(errorText('BAD_TOKEN'))
    },
  },
}

/** `quotas`: what its tenant and its user may use and use now, of all worker processes. */
export function whoami(session: Session, host: BuiltinHost, quotas: Quotas): Reply {
  const { level, maxStalenessMs } = host.levelOf(session)
  return map([
    [bulk('tenant'), session.account?.tenant === undefined ? nil : bulk(session.account.tenant.id)],
    [bulk('user'), bulk(session.account?.user ?? 'default')],
    [
      bulk('access'),
      bulk(
        session.account?.tenant === undefined ? 'operator' : session.account.isReadOnly ? 'read-only' : 'read-write',
      ),
    ],
    [bulk('consistency'), bulk(level)],
    [bulk('max_staleness_ms'), Number.isFinite(maxStalenessMs) ? integer(maxStalenessMs) : nil],
    ...durabilityOf(session.account?.tenant?.durability),
    ...quotasReply('quotas', quotas.tenant),
    ...quotasReply('user_quotas', quotas.user),
    [bulk('region'), bulk(host.region)],
    [bulk('resp'), integer(session.resp)],
    [bulk('client_id'), integer(session.id)],
  ])
}

/** Only where there are some. */
function quotasReply(name: string, uses: readonly QuotaUse[]): [Reply, Reply][] {
  return uses.length === 0 ? [] : [[bulk(name), dataReply(uses)]]
}

/** Only where it was asked for. */
function durabilityOf(promise: DurabilityPromise | undefined): [Reply, Reply][] {
  if (promise === undefined) return []
  return [
    [bulk('durability_replicas'), integer(promise.replicas)],
    [bulk('durability_timeout_ms'), integer(promise.timeoutMs)],
  ]
}

export function levelName(code: number): LevelName {
  for (const [name, value] of Object.entries(LEVEL)) if (value === code) return name as LevelName
  return 'strong'
}
