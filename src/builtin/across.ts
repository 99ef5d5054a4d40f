/**
 * A tenant's questions about its own clients where the proxy has several worker processes (`--workers`): CLIENT LIST, KILL and
 * UNBLOCK, PUBSUB, INFO. Each worker answers for its own clients (`answerAbout`), and who was asked puts the answers together. What one worker
 * is asked by another is of one tenant, and names it; whoever asks has found it in its own client's login.
 *
 * A worker that does not answer in time is taken to have no clients: the one that asked waits no longer for it.
 */
import { channelBytesMax } from '../base/limits.ts'
import { array, bulk, integer, type Reply } from '../resp/encode.ts'
import type { Session } from '../session/session.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Builtin, BuiltinHost, OtherClients, Quotas } from './builtin.ts'
import {
  clientLines,
  clientOthersBuiltins,
  type KillFilter,
  killClients,
  killReply,
  type ListFilter,
  listReply,
  readKillFilter,
  readListFilter,
  readUnblock,
  unblockClient,
} from './client-others.ts'
import { mergeViews } from './merge.ts'
import { proxyBuiltins, whoami } from './proxy-verb.ts'
import { channelPattern, countsReply, pubsubBuiltins } from './pubsub.ts'

/** What is counted of a tenant, or of operators: for INFO. */
export interface TenantTotals {
  readonly connections: number
  readonly blocked: number
  readonly logins: number
  readonly commands: number
  readonly errors: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** `tenant` undefined: clients of operators. */
type OfTenant<P> = P & { readonly tenant: string | undefined }
type Channels = 'c' | 's'

export interface ClientQuestions {
  clientLines: {
    payload: OfTenant<{ readonly filter: ListFilter }>
    /** undefined: too many. */
    answer: ReadonlyMap<number, string> | undefined
  }
  clientKill: { payload: OfTenant<{ readonly filter: KillFilter }>; answer: number }
  clientUnblock: { payload: OfTenant<{ readonly id: number; readonly withError: boolean }>; answer: boolean }
  totals: { payload: OfTenant<object>; answer: TenantTotals }
  quotas: { payload: OfTenant<{ readonly user: string }>; answer: Quotas }
  /** Names of channels with subscribers, or of patterns, as latin1. */
  channels: {
    payload: OfTenant<{ readonly of: Channels | 'p'; readonly pattern?: string | undefined }>
    answer: readonly string[]
  }
  subscribers: {
    payload: OfTenant<{ readonly of: Channels; readonly names: readonly string[] }>
    answer: readonly number[]
  }
}

/** What the answers are made of, at the worker that is asked. */
export interface AboutHost {
  readonly builtins: BuiltinHost
  totals(tenant: string | undefined): TenantTotals
  quotas(tenant: string | undefined, user: string): Quotas
  tenant(id: string): TenantState | undefined
}

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')
const textOf = (bytes: Buffer): string => bytes.toString('latin1')

/** By kind of question: this process's part of the answer. */
export const answersAbout: {
  readonly [K in keyof ClientQuestions]: (
    payload: ClientQuestions[K]['payload'],
    host: AboutHost,
  ) => ClientQuestions[K]['answer'] | Promise<ClientQuestions[K]['answer']>
} = {
  clientLines: ({ tenant, filter }, { builtins }) => clientLines(tenant, filter, builtins),
  clientKill: ({ tenant, filter }, { builtins }) => killClients(tenant, filter, undefined, builtins),
  clientUnblock: ({ tenant, ...asked }, { builtins }) => unblockClient(tenant, asked, builtins),
  totals: ({ tenant }, host) => host.totals(tenant),
  quotas: ({ tenant, user }, host) => host.quotas(tenant, user),
  channels: ({ tenant, of, pattern }, host) => {
    const state = host.tenant(tenant ?? '')
    const { subscriptions } = host.builtins
    if (state === undefined) return []
    if (of === 'p') return subscriptions.patternNames(state)
    return subscriptions.active(state, of, pattern === undefined ? undefined : bytesOf(pattern)).map(textOf)
  },
  subscribers: ({ tenant, of, names }, host) => {
    const state = host.tenant(tenant ?? '')
    return names.map((name) => (state === undefined ? 0 : host.builtins.subscriptions.count(state, of, bytesOf(name))))
  },
}

const noTotals: TenantTotals = {
  ...{ connections: 0, blocked: 0, logins: 0, commands: 0, errors: 0, bytesIn: 0, bytesOut: 0 },
}

export async function totalsOfOthers(tenant: string | undefined, host: BuiltinHost): Promise<TenantTotals> {
  if (host.others === undefined) return noTotals
  const sum = { ...noTotals } as Record<keyof TenantTotals, number>
  for (const totals of await host.others.ask('totals', { tenant }))
    for (const key of Object.keys(sum) as (keyof TenantTotals)[]) sum[key] += totals[key]
  return sum
}

const tenantOf = (session: Session): string | undefined => session.account?.tenant?.id

type Across = (args: readonly Buffer[], session: Session, host: BuiltinHost, others: OtherClients) => Promise<Reply>

async function list(
  args: readonly Buffer[],
  session: Session,
  host: BuiltinHost,
  others: OtherClients,
): Promise<Reply> {
  const filter = readListFilter(args)
  if ('kind' in filter) return filter
  const tenant = tenantOf(session)
  const elsewhere = await others.ask('clientLines', { tenant, filter })
  return listReply(filter, [clientLines(tenant, filter, host), ...elsewhere])
}

async function kill(
  args: readonly Buffer[],
  session: Session,
  host: BuiltinHost,
  others: OtherClients,
): Promise<Reply> {
  const filter = readKillFilter(args, session, host)
  if ('kind' in filter) return filter
  const tenant = tenantOf(session)
  const elsewhere = await others.ask('clientKill', { tenant, filter })
  // The asker is told before it is closed, so its own process comes last.
  return killReply(args, sum(elsewhere) + killClients(tenant, filter, session, host))
}

async function unblock(
  args: readonly Buffer[],
  session: Session,
  host: BuiltinHost,
  others: OtherClients,
): Promise<Reply> {
  const asked = readUnblock(args)
  if ('kind' in asked) return asked
  const tenant = tenantOf(session)
  if (await unblockClient(tenant, asked, host)) return integer(1)
  return integer((await others.ask('clientUnblock', { tenant, ...asked })).includes(true) ? 1 : 0)
}

function channels(of: Channels): Across {
  return async (args, session, host, others) => {
    const pattern = channelPattern(args)
    if (pattern !== undefined && 'kind' in pattern) return pattern
    const { tenant } = session.account!
    const asked = pattern === undefined ? { of } : { of, pattern: textOf(pattern) }
    const elsewhere = await others.ask('channels', { tenant: tenant!.id, ...asked })
    const names = new Set([...host.subscriptions.active(tenant!, of, pattern).map(textOf), ...elsewhere.flat()])
    return array([...names].map((name) => bulk(bytesOf(name))))
  }
}

/** Other processes are asked about so many at a time, and so many bytes: what is asked lies in several of them at once. */
const namesAskedMax = 512

function counts(of: Channels): Across {
  return async (args, session, host, others) => {
    const names = args.slice(2)
    const { tenant } = session.account!
    const found = names.map((name) => host.subscriptions.count(tenant!, of, name))
    for (let from = 0; from < names.length; ) {
      const asked: { at: number; name: string }[] = []
      let bytes = 0
      for (; from < names.length && asked.length < namesAskedMax && bytes < channelBytesMax; from++) {
        // A longer one has no subscribers.
        if (names[from]!.length > channelBytesMax) continue
        bytes += names[from]!.length
        asked.push({ at: from, name: textOf(names[from]!) })
      }
      if (asked.length === 0) continue
      const elsewhere = await others.ask('subscribers', {
        tenant: tenant!.id,
        of,
        names: asked.map(({ name }) => name),
      })
      for (const [i, { at }] of asked.entries()) found[at]! += sum(elsewhere.map((counted) => counted[i] ?? 0))
    }
    return countsReply(names, found)
  }
}

const patterns: Across = async (_args, session, host, others) => {
  const { tenant } = session.account!
  const elsewhere = await others.ask('channels', { tenant: tenant!.id, of: 'p' })
  return integer(new Set([...host.subscriptions.patternNames(tenant!), ...elsewhere.flat()]).size)
}

const whoamiOfAll: Across = async (_args, session, host, others) => {
  const { user } = session.account ?? {}
  const elsewhere = user === undefined ? [] : await others.ask('quotas', { tenant: tenantOf(session), user })
  return whoami(session, host, mergeViews([host.quotasOf(session), ...elsewhere]) as Quotas)
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}

/** The verb by itself where there are no other workers, or where no time may be taken. */
function across(alone: Builtin, together: Across): Builtin {
  const runAlone = alone.run.bind(alone)
  return {
    ...alone,
    isStateful: true,
    run: (args, session, host, id) =>
      host.others === undefined ? runAlone(args, session, host, id) : together(args, session, host, host.others),
    runNow: (args, session, host, id) => runAlone(args, session, host, id) as Reply | undefined,
  }
}

/** In place of those of the same names, in a proxy of several workers. */
export const acrossBuiltins: Readonly<Record<string, Builtin>> = {
  'client|list': across(clientOthersBuiltins['client|list']!, list),
  'client|kill': across(clientOthersBuiltins['client|kill']!, kill),
  // Refused inside of MULTI, as ever.
  'client|unblock': {
    isStateful: true,
    run: (args, session, host, id) =>
      host.others === undefined
        ? clientOthersBuiltins['client|unblock']!.run(args, session, host, id)
        : unblock(args, session, host, host.others),
  },
  'proxy|whoami': across(proxyBuiltins['proxy|whoami']!, whoamiOfAll),
  'pubsub|channels': across(pubsubBuiltins['pubsub|channels']!, channels('c')),
  'pubsub|shardchannels': across(pubsubBuiltins['pubsub|shardchannels']!, channels('s')),
  'pubsub|numsub': across(pubsubBuiltins['pubsub|numsub']!, counts('c')),
  'pubsub|shardnumsub': across(pubsubBuiltins['pubsub|shardnumsub']!, counts('s')),
  'pubsub|numpat': across(pubsubBuiltins['pubsub|numpat']!, patterns),
}
