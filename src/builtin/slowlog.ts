/**
 * SLOWLOG as a tenant sees it: of what the nodes hold, the entries whose keys are all this tenant's, with the client's own
 * names. Entries without keys are shown to nobody: whose they were cannot be told. Ids are made of the time, since the
 * servers' own count all tenants' entries; addresses are the proxy's, so they are left out.
 */
import { errorText } from '../base/errors.ts'
import { prefixBytesMax, slowlogLookMax, slowlogShownMax } from '../base/limits.ts'
import { type Argv, findNamedKeys, newKeyList } from '../commands/keys.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { KEYS } from '../commands/spec.ts'
import type { Node } from '../regions/node.ts'
import { array, bulk, encodeRequest, failure, integer, ok, type Reply } from '../resp/encode.ts'
import { decode } from '../resp/reply-walk.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Answer } from '../upstream/service.ts'
import type { Builtin } from './builtin.ts'

export interface SlowlogOptions {
  readonly table: CommandTable
  readonly nodes: readonly Node[]
  now(): number
  ask(node: number, request: Uint8Array): Promise<Answer>
}

interface Entry {
  readonly id: number
  readonly seconds: number
  readonly micros: number
  readonly args: readonly Buffer[]
  /** Of the connection it came on: those of a database that is one tenant's own end with `-db<n>` (upstream/connection.ts). */
  readonly database: number
}

/** What is asked of a configured tenant. */
interface Owner {
  readonly id: string
  readonly prefix: string
  readonly database?: number
}

/** Tenants that ask at once share what the nodes say. */
const freshMs = 250
/** Redis keeps 32 arguments of a command; the last then says how many more there were (slowlog.c). */
const argsMax = 32
const more = /^\.\.\. \(\d+ more arguments\)$/

export class Slowlog {
  private readonly options: SlowlogOptions
  private known: { atMs: number; entries: Promise<(readonly Entry[])[]> } | undefined
  /** RESET: by node, the newest entry then. */
  private readonly resetAt = new WeakMap<TenantState, Map<string, number>>()

  constructor(options: SlowlogOptions) {
    this.options = options
  }

  /** The tenant's entries, newest first. */
  async of(tenant: TenantState): Promise<Reply[]> {
    const reset = this.resetAt.get(tenant)
    const found = (await this.look()).flatMap((entries, node) => {
      const after = reset?.get(this.options.nodes[node]!.runId) ?? -1
      return entries.flatMap((entry) => {
        const args = entry.id > after ? this.ofAny(entry, tenant) : undefined
        return args === undefined ? [] : [{ ...entry, args }]
      })
    })
    found.sort((a, b) => a.seconds - b.seconds || a.id - b.id)
    let last = 0
    return found
      .map(({ seconds, micros, args }) => {
        last = Math.max(last + 1, seconds * 1000)
        return array([
          integer(last),
          integer(seconds),
          integer(micros),
          array(args.map((arg) => bulk(arg))),
          bulk('?:0'),
          bulk(''),
        ])
      })
      .reverse()
  }

  /**
   * All entries of all nodes, newest first, for operators: when, where, how long, which command, and whose. No argument of
   * it: those are keys and values of tenants.
   */
  async all(tenants: Iterable<Owner>): Promise<object[]> {
    const perNode = await this.look()
    const owners = this.ownersOf(perNode.flat(), tenants)
    return perNode
      .flatMap((entries, node) => {
        const { name, region } = this.options.nodes[node]!.address
        return entries.map((entry) => ({
          node: name,
          region,
          at_seconds: entry.seconds,
          micros: entry.micros,
          command: this.commandOf(entry.args),
          arguments: entry.args.length,
          tenant: owners.get(entry) ?? null,
        }))
      })
      .sort((a, b) => b.at_seconds - a.at_seconds)
      .slice(0, slowlogShownMax)
  }

  /** Whose keys they name. One pass over the tenants, however many: what the entries' first keys begin with is gathered before. */
  private ownersOf(entries: readonly Entry[], tenants: Iterable<Owner>): Map<Entry, string> {
    const byStart = new Map<string, Entry[]>()
    const byDatabase = new Map<number, Entry[]>()
    const note = <K>(map: Map<K, Entry[]>, key: K, entry: Entry): void => {
      const there = map.get(key)
      if (there === undefined) map.set(key, [entry])
      else there.push(entry)
    }
    for (const entry of entries) {
      const first = this.keysOf(entry.args)?.[0]
      if (first === undefined) continue
      if (entry.database !== 0) note(byDatabase, entry.database, entry)
      else
        for (let end = 1; end <= Math.min(first.length, prefixBytesMax); end++)
          note(byStart, first.toString('utf8', 0, end), entry)
    }
    const owners = new Map<Entry, string>()
    for (const { id, prefix, database } of tenants) {
      const found = (database ?? 0) === 0 ? byStart.get(prefix) : byDatabase.get(database!)
      if (found === undefined) continue
      const bytes = Buffer.from((database ?? 0) === 0 ? prefix : '')
      for (const entry of found) if (this.own(entry.args, bytes) !== undefined) owners.set(entry, id)
    }
    return owners
  }

  /** As the table knows it; `other`: what it does not know may be anything. */
  private commandOf(args: readonly Buffer[]): string {
    const argv = argvOf(args)
    const { table } = this.options
    let id = argv.count === 0 ? -1 : table.lookup(argv.buf, argv.off[0]!, argv.len[0]!)
    if (id >= 0 && table.isContainer[id] !== 0 && argv.count > 1)
      id = table.lookupSub(id, argv.buf, argv.off[1]!, argv.len[1]!)
    return table.specs[id]?.name ?? 'other'
  }

  async reset(tenant: TenantState): Promise<void> {
    this.known = undefined
    const newest = new Map<string, number>()
    const all = await this.look()
    all.forEach((entries, node) => {
      const ids = entries.map((entry) => entry.id)
      newest.set(this.options.nodes[node]!.runId, Math.max(-1, ...ids))
    })
    this.resetAt.set(tenant, newest)
  }

  private look(): Promise<(readonly Entry[])[]> {
    const { nodes, now } = this.options
    if (this.known !== undefined && now() - this.known.atMs < freshMs) return this.known.entries
    const entries = Promise.all(nodes.map((node) => (node.isUp ? this.entriesOf(node.index) : [])))
    this.known = { atMs: now(), entries }
    return entries
  }

  private async entriesOf(node: number): Promise<readonly Entry[]> {
    const answer = await this.options.ask(node, encodeRequest(['SLOWLOG', 'GET', String(slowlogLookMax)]))
    const reply = typeof answer === 'string' ? undefined : decode(answer)
    if (!Array.isArray(reply)) return []
    return reply.flatMap((entry: unknown) => {
      const [id, seconds, micros, args, , name] = Array.isArray(entry) ? (entry as unknown[]) : []
      const isWhole = typeof id === 'number' && typeof seconds === 'number' && typeof micros === 'number'
      if (!isWhole || !Array.isArray(args) || !args.every((arg) => Buffer.isBuffer(arg))) return []
      const database = Number(/-db(\d+)$/.exec(Buffer.isBuffer(name) ? name.toString('latin1') : '')?.[1] ?? 0)
      return [{ id, seconds, micros, args: args as Buffer[], database }]
    })
  }

  /** In any of the tenant's databases. What ran in another database of the servers may name anything. */
  private ofAny({ args, database }: Entry, tenant: TenantState): readonly Buffer[] | undefined {
    if (database !== tenant.database) return undefined
    if (database !== 0) return this.own(args, Buffer.alloc(0))
    for (const prefix of tenant.prefixes) {
      const own = this.own(args, prefix)
      if (own !== undefined) return own
    }
    return undefined
  }

  /** The arguments with the tenant's own names; undefined: not this tenant's, or it cannot be told. */
  private own(args: readonly Buffer[], prefix: Buffer): readonly Buffer[] | undefined {
    const places = this.keyPlaces(args)
    if (places === undefined) return undefined
    const out = [...args]
    for (const at of places) {
      const name = args[at]!
      if (name.length < prefix.length || prefix.compare(name, 0, prefix.length) !== 0) return undefined
      out[at] = name.subarray(prefix.length)
    }
    return out
  }

  private keysOf(args: readonly Buffer[]): Buffer[] | undefined {
    return this.keyPlaces(args)?.map((at) => args[at]!)
  }

  /** Which arguments are keys; undefined: none, or it cannot be told. */
  private keyPlaces(args: readonly Buffer[]): number[] | undefined {
    const isCut = args.length === argsMax && more.test(args.at(-1)!.toString('latin1'))
    const known = isCut ? args.slice(0, -1) : args
    const argv = argvOf(known)
    const { table } = this.options
    if (argv.count === 0) return undefined
    let id = table.lookup(argv.buf, argv.off[0]!, argv.len[0]!)
    if (id >= 0 && table.isContainer[id] !== 0 && argv.count > 1)
      id = table.lookupSub(id, argv.buf, argv.off[1]!, argv.len[1]!)
    if (id < 0 || table.keyMode[id] === KEYS.none) return undefined
    const keys = newKeyList()
    if (findNamedKeys(table, id, argv, keys) !== undefined || keys.count === 0) return undefined
    const places = Array.from(keys.arg.subarray(0, keys.count))
    return places.every((at) => known[at] !== undefined) ? places : undefined
  }
}

function argvOf(args: readonly Buffer[]): Argv {
  const off = new Int32Array(args.length)
  const len = Int32Array.from(args, (arg) => arg.length)
  for (let i = 1; i < args.length; i++) off[i] = off[i - 1]! + len[i - 1]!
  return { buf: Buffer.concat(args), count: args.length, off, len }
}

export const slowlogBuiltins: Readonly<Record<string, Builtin>> = {
  'slowlog|get': {
    isStateful: true,
    run: async (args, session, host) => {
      if (args.length > 3) {
        return failure(errorText('SUBCOMMAND_ARGS', args[1]!.toString('latin1').slice(0, 128), 'SLOWLOG'))
      }
      const text = args[2]?.toString('latin1', 0, 32) ?? '10'
      if (!/^(-1|0|[1-9]\d{0,17})$/.test(text)) return failure(errorText('SLOWLOG_COUNT'))
      const entries = await host.slowlog.of(session.account!.tenant!)
      return array(text === '-1' ? entries : entries.slice(0, Number(text)))
    },
  },
  'slowlog|len': {
    isStateful: true,
    run: async (_args, session, host) => integer((await host.slowlog.of(session.account!.tenant!)).length),
  },
  'slowlog|reset': {
    isStateful: true,
    run: async (_args, session, host) => {
      await host.slowlog.reset(session.account!.tenant!)
      return ok
    },
  },
}
