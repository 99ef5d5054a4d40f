/**
 * The second wall: a Redis user for each tenant, as which its scripts run. What the first wall cannot see
 * (the keys that a script builds) is then judged by Redis itself. Pure: says which commands to send; leases.ts sends them.
 *
 *   first lease of a tenant on this run of a server:  ACL SETUSER regis:shop ... ; AUTH regis:shop <secret>
 *   later ones:                                       AUTH regis:shop <secret>
 *
 * Users are neither replicated nor kept over a restart, hence `run`: another run_id begins anew. Several proxies set up
 * the same user in the same words: the secret is derived, not drawn. Nobody removes users: another proxy, whose file
 * still has the tenant, could be using them; without a proxy that knows its tenant a user is of no use to anybody.
 *
 * The rules are a list of what may be called, not of what may not: commands that a newer server adds stay closed.
 */
import { createHmac } from 'node:crypto'
import { isDenied } from '../commands/deny.ts'
import type { CommandTable } from '../commands/lookup.ts'
import type { CommandSpec } from '../commands/spec.ts'

/** Called on leased connections by the proxy, or harmless in a script, though no row of the policy sends them upstream. */
const besides = `auth discard echo eval eval_ro evalsha evalsha_ro exec fcall fcall_ro function|delete function|list
  function|load multi ping publish readonly script|load spublish unwatch wait watch blmove blmpop blpop brpop brpoplpush
  bzmpop bzpopmax bzpopmin client|caching client|id client|tracking client|trackinginfo`.split(/\s+/)

/**
 * Never, whatever a row of the policy says for the shared connections. These ignore key patterns, also in scripts: KEYS,
 * SCAN, RANDOMKEY and DBSIZE show all tenants; SELECT, MOVE and SWAPDB leave the tenant's database.
 */
const never = new Set(
  `acl client|kill client|list config dbsize debug flushall flushdb
  info keys migrate monitor move psubscribe pubsub|channels randomkey restore role scan script|flush script|kill select
  shutdown slowlog swapdb`.split(/\s+/),
)

export interface TenantUserOptions {
  /** Of channels, and of keys unless `keyPrefixes` are given. */
  readonly prefix: string
  /** One for each of its databases. */
  readonly keyPrefixes?: readonly Buffer[]
  /** A database of the servers that is its own: its keys have no prefix, and it may not leave it. */
  readonly database?: number
  /** The tenant's own `deny:` list. */
  readonly deny: readonly string[]
}

/** Name of a tenant's user on the nodes. */
export const tenantUserName = (tenant: string): string => `regis:${tenant}`

/** 256 bits that only those who know the proxy's own password can derive. */
export function tenantUserSecret(upstreamPassword: string, tenant: string): string {
  const key = createHmac('sha256', upstreamPassword).update('regis tenant users').digest()
  return createHmac('sha256', key).update(tenant).digest('hex')
}

/** Does a server of this version know the command? Facts are of 7.0; what came later says since when. */
function isKnownTo(spec: CommandSpec, version: string): boolean {
  if (spec.isOurs === true) return false
  if (spec.since === undefined) return true
  const since = /^(\d+)\.(\d+)$/.exec(spec.since)
  const has = /^(\d+)\.(\d+)/.exec(version)
  if (since === null || has === null) return false
  return Number(has[1]) > Number(since[1]) || (has[1] === since[1] && Number(has[2]) >= Number(since[2]))
}

/** Names for ACL rules, with a bar before a subcommand: what the tenant's own user may call on a server of this version. */
export function allowedCommands(
  table: CommandTable,
  deny: readonly string[],
  version: string,
  hasOneDatabase: boolean,
): string[] {
  const extra = new Set(besides)
  const allowed: string[] = []
  for (const spec of table.specs) {
    const isContainerOf = spec.isContainer && table.subcommands(spec).length > 0
    if (isContainerOf || never.has(spec.name) || never.has(spec.name.split('|')[0]!)) continue
    if (spec.answer !== 'upstream' && !extra.has(spec.name)) continue
    // Its DB option passes key patterns, in scripts too.
    if (spec.name === 'copy' && !hasOneDatabase) continue
    if (isKnownTo(spec, version) && !isDenied(table, spec, deny)) allowed.push(spec.name)
  }
  return allowed
}

export interface TenantUsersOptions {
  readonly table: CommandTable
  /** Of a configured tenant; asked at each lease that logs in. */
  tenant(id: string): TenantUserOptions | undefined
  /** The proxy's own password at that node; '' where it has none. */
  password(nodeIndex: number): string
  version(nodeIndex: number): string
  /** `databases 1` was read from that node. Unknown is false. */
  hasOneDatabase(nodeIndex: number): boolean
  now(): number
  /** A node does not let us: said once for each run of a node. */
  refused(nodeIndex: number, code: string): void
}

/** A node that refused is asked again after this time: somebody may have given the proxy's user the right. */
const askAgainMs = 60_000

export class TenantUsers {
  readonly #options: TenantUsersOptions
  /** By node: the run_id that the tenants in `has` were set up on. */
  readonly #nodes = new Map<number, { runId: string; has: Map<string, string> }>()
  readonly #refusals = new Map<number, { runId: string; untilMs: number }>()

  constructor(options: TenantUsersOptions) {
    this.#options = options
  }

  /**
   * Tenants are configured otherwise: what must be said to nodes now. A user that is there has its other rights from that
   * moment on, on all its connections. What a node does not take is said at the tenant's next lease (`forget`).
   */
  renew(): { node: number; tenant: string; request: readonly string[] }[] {
    const requests: { node: number; tenant: string; request: readonly string[] }[] = []
    for (const [node, { has }] of this.#nodes) {
      for (const [tenant, kind] of has) {
        const options = this.#options.tenant(tenant)
        if (options === undefined) has.delete(tenant)
        else if (this.kindOf(options, node) !== kind) {
          has.set(tenant, this.kindOf(options, node))
          requests.push({ node, tenant, request: this.setUser(tenant, options, node) })
        }
      }
    }
    return requests
  }

  /** This node was not told. */
  forget(tenant: string, nodeIndex: number): void {
    this.#nodes.get(nodeIndex)?.has.delete(tenant)
  }

  /** Commands that make a new connection the tenant's own; undefined: not on this node, it stays the proxy's. */
  login(tenant: string, nodeIndex: number, runId: string): readonly (readonly string[])[] | undefined {
    const options = this.#options.tenant(tenant)
    if (options === undefined || this.isRefused(nodeIndex, runId)) return undefined
    const auth = ['AUTH', tenantUserName(tenant), tenantUserSecret(this.#options.password(nodeIndex), tenant)]
    let node = this.#nodes.get(nodeIndex)
    if (node === undefined || node.runId !== runId) {
      node = { runId, has: new Map() }
      this.#nodes.set(nodeIndex, node)
    }
    const kind = this.kindOf(options, nodeIndex)
    if (node.has.get(tenant) === kind) return [auth]
    // Noted before the answer: the same words again would do no harm, and a refusal takes the note back.
    node.has.set(tenant, kind)
    return [this.setUser(tenant, options, nodeIndex), auth]
  }

  /** What its rules are made of, as far as it may change. */
  private kindOf({ deny, keyPrefixes }: TenantUserOptions, nodeIndex: number): string {
    const { version, hasOneDatabase } = this.#options
    return `${version(nodeIndex)} ${hasOneDatabase(nodeIndex)} ${keyPrefixes?.length ?? 1} ${deny.join(' ')}`
  }

  private setUser(tenant: string, options: TenantUserOptions, nodeIndex: number): string[] {
    const { table, version, hasOneDatabase, password } = this.#options
    const secret = tenantUserSecret(password(nodeIndex), tenant)
    const rules = this.rules(options, table, version(nodeIndex), hasOneDatabase(nodeIndex), secret)
    return ['ACL', 'SETUSER', tenantUserName(tenant), ...rules]
  }

  private rules(
    { prefix, keyPrefixes, deny, database }: TenantUserOptions,
    table: CommandTable,
    version: string,
    isAlone: boolean,
    secret: string,
  ): string[] {
    const commands = allowedCommands(table, deny, version, isAlone).map((name) => `+${name}`)
    const own = keyPrefixes?.map((bytes) => `~${bytes.toString('latin1')}*`) ?? [`~${prefix}*`]
    const keys = (database ?? 0) === 0 ? own : ['~*']
    return ['reset', 'on', `>${secret}`, ...keys, 'resetchannels', `&${prefix}*`, '-@all', ...commands]
  }

  /** One of the commands of `login` was refused; `command` is its first word. */
  loginRefused(tenant: string, nodeIndex: number, command: string, code: string): void {
    const node = this.#nodes.get(nodeIndex)
    // Somebody has removed or changed the user: the next lease sets it up again.
    node?.has.delete(tenant)
    if (command === 'AUTH' && code === 'WRONGPASS') return
    const runId = node?.runId ?? ''
    const isNews = this.#refusals.get(nodeIndex)?.runId !== runId
    this.#refusals.set(nodeIndex, { runId, untilMs: this.#options.now() + askAgainMs })
    if (isNews) this.#options.refused(nodeIndex, code)
  }

  isRefused(nodeIndex: number, runId: string): boolean {
    const refusal = this.#refusals.get(nodeIndex)
    return refusal !== undefined && refusal.runId === runId && this.#options.now() < refusal.untilMs
  }
}
