/**
 * Logins as the request path needs them, from the configuration's users: which commands, which promise, which tenant.
 * One account a user, one state a tenant, whatever the number of connections. Both are made at first use (a login, or an
 * operator who asks about the user) and stay: a tenant that nobody uses has none, only its place in the directory.
 */
import { isDeepStrictEqual } from 'node:util'
import { denyColumn } from '../commands/deny.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { closedInOwnDatabase } from '../commands/policy.ts'
import { type CommandSpec, KEYS, MISSING, ROUTE } from '../commands/spec.ts'
import type { Cells } from '../metrics/cells.ts'
import type { QuotaLimits } from '../quota/tenant-quota.ts'
import { LEVEL, type LevelCode, type LevelName } from '../routing/choose.ts'
import { type Rule, TenantRules, type WhenStale } from '../routing/rules.ts'
import { type DurabilityPromise, isMeteredBy, TenantState } from '../tenant/account.ts'
import { Directory, type Found } from '../tenant/directory.ts'
import type { SessionAccount } from './session.ts'

/** The part of a configuration that logins are made of. */
export interface AccountOptions {
  readonly routing: {
    readonly consistency: LevelName
    readonly maxStalenessMs: number
    readonly maxStalenessIsCeiling: boolean
    readonly whenStale: WhenStale
    readonly maxWaitMs: number
    readonly rules: readonly Rule[]
  }
  readonly tenants: readonly TenantOptions[]
  readonly operators: readonly UserOptions[]
}

export interface TenantOptions {
  readonly id: string
  readonly prefix: string
  /** The servers' logical database that is its own; 0 or none: its keys are told by their prefix. */
  readonly database?: number
  /** How many databases SELECT offers, by sub-prefixes. */
  readonly databases?: number
  readonly users: readonly UserOptions[]
  readonly consistency?: LevelName
  readonly maxStalenessMs?: number
  readonly whenStale?: WhenStale
  readonly deny: readonly string[]
  /** Lua: none (as when left out), keys in KEYS only, keys built in Lua too. */
  readonly scripts?: 'off' | 'declared' | 'any'
  /** Its writes are acknowledged only when replicas have them. */
  readonly durability?: DurabilityPromise
  readonly quota?: QuotaLimits
}

export interface UserOptions {
  readonly name: string
  readonly readOnly: boolean
  readonly consistency?: LevelName
  readonly maxStalenessMs?: number
  /** Of an operator: none. */
  readonly quota?: QuotaLimits
}

/** Concern what other users of the tenant are running. */
const takesFromOthers = new Set(['script|flush', 'script|kill', 'function|kill'])

/** Of tenants that were there before. */
export interface Renewed {
  /** Whose `durability` is another now. */
  readonly reheld: ReadonlySet<TenantState>
  /** Who has other quotas, or of whose users one has. */
  readonly relimited: ReadonlySet<TenantState>
}

/** In `routes`; others begin with r or w. */
const operatorKey = 'operator'
/** A tenant that was used has some KB; in a fleet that comes and goes the oldest are forgotten. */
const retiredMax = 1_000

export class Accounts<T extends TenantOptions = TenantOptions> {
  private directory: Directory<UserOptions, T>
  private readonly states = new Map<string, TenantState>()
  private rules = new Map<TenantState, TenantRules>()
  /** Of tenants that have left the configuration. One that comes back goes on where it was. */
  private readonly retired = new Map<string, TenantState>()
  private readonly byUser = new Map<string, SessionAccount>()
  /** Route columns that users share: most have no deny list. */
  private readonly routes = new Map<string, Uint8Array>()
  private config: AccountOptions
  private readonly table: CommandTable
  private readonly cells: Cells
  /** Route columns before the primary was asked for its commands, by the column that sessions read. */
  private readonly bases = new Map<Uint8Array, Uint8Array>()

  /** The limits of a tenant that is in use were set: at its first use, and when they change. */
  onLimits: ((tenant: TenantState) => void) | undefined

  constructor(config: AccountOptions, table: CommandTable, cells: Cells, directory?: Directory<UserOptions, T>) {
    this.config = config
    this.table = table
    this.cells = cells
    this.directory =
      directory ?? new Directory<UserOptions, T>(config as AccountOptions & { readonly tenants: readonly T[] })
  }

  /** Who this user is; made now if nobody has asked before. Only for names that were let in, or that an operator gave. */
  get(name: string): SessionAccount | undefined {
    const known = this.byUser.get(name)
    if (known !== undefined) return known
    const found = this.directory.user(name)
    if (found === undefined) return undefined
    const account = this.make(found)
    this.byUser.set(name, account)
    return account
  }

  /** The state of a configured tenant; made now if it was never used. */
  tenant(id: string): TenantState | undefined {
    const known = this.states.get(id)
    if (known !== undefined) return known
    const tenant = this.directory.tenant(id)
    return tenant === undefined ? undefined : this.makeState(tenant)
  }

  /** The state of a tenant, if it was ever used. */
  usedTenant(id: string): TenantState | undefined {
    return this.states.get(id)
  }

  /** Those that were used since the start, in the order of first use. */
  get usedTenants(): ReadonlyMap<string, TenantState> {
    return this.states
  }

  /** Makes nothing, so it may be asked about any name that a client sends. */
  isUserOf(name: string, tenantId: string | undefined): boolean {
    const found = this.directory.user(name)
    return found !== undefined && found.tenant?.id === tenantId
  }

  /**
   * Another configuration, whole, in this turn; throws before anything has changed or not at all. Who is in both stays the
   * same object, account and state, so that open connections have their new rights at once and counters, fences and quotas
   * live on. Who is not is found no more.
   */
  replace(config: AccountOptions, directory: Directory<UserOptions, T>, nowUs: number): Renewed {
    const before = { config: this.config, directory: this.directory, rules: this.rules }
    // Most reloads change a few of many tenants: accounts of the others, whose records are the very same, are as they were.
    const isSameRouting = isDeepStrictEqual(config.routing, this.config.routing)
    const isSameRules = isSameRouting || isDeepStrictEqual(config.routing.rules, this.config.routing.rules)
    const renewed: [SessionAccount, SessionAccount][] = []
    const gone: string[] = []
    try {
      this.config = config
      this.directory = directory
      this.rules = new Map()
      for (const [id, state] of this.states) {
        const tenant = directory.tenant(id)
        if (tenant === undefined) continue
        if (!isSameKeyspace(state, tenant)) throw new Error(`the keys of tenant ${id} would be others`)
        const known = before.rules.get(state)
        if (!isSameRules) this.compileRules(state)
        else if (known !== undefined) this.rules.set(state, known)
      }
      for (const [name, account] of this.byUser) {
        const found = directory.user(name)
        if (found === undefined || found.tenant?.id !== account.tenant?.id) gone.push(name)
        else if (!isSameRouting || found.tenant === undefined || found.tenant !== before.directory.user(name)?.tenant)
          renewed.push([account, this.make(found)])
      }
    } catch (error) {
      Object.assign(this, before)
      throw error
    }
    for (const name of gone) this.byUser.delete(name)
    for (const [account, { use: _use, limits: _limits, ...now }] of renewed) Object.assign(account, now)
    const changed = this.renewStates(before.directory, nowUs)
    this.forgetColumns()
    return changed
  }

  private renewStates(before: Directory<UserOptions, T>, nowUs: number): Renewed {
    const reheld = new Set<TenantState>()
    const relimited = new Set<TenantState>()
    for (const [id, state] of [...this.states]) {
      const tenant = this.directory.tenant(id)
      if (tenant === undefined) {
        this.states.delete(id)
        this.retired.delete(id)
        this.retired.set(id, state)
        state.setLimits(undefined, false, nowUs)
        this.onLimits?.(state)
        if (this.retired.size > retiredMax) this.retired.delete(this.retired.keys().next().value!)
        continue
      }
      if (before.tenant(id) === tenant) continue
      if (state.renew(tenant)) reheld.add(state)
      if (isDeepStrictEqual(quotasOf(before.tenant(id)), quotasOf(tenant))) continue
      this.setLimits(tenant, nowUs)
      relimited.add(state)
    }
    return { reheld, relimited }
  }

  /** Columns that nobody has any more. */
  private forgetColumns(): void {
    const used = new Set<Uint8Array>()
    for (const { route } of this.byUser.values()) used.add(route)
    for (const [key, column] of this.routes) if (!used.has(column)) this.routes.delete(key)
    for (const column of this.bases.keys()) if (!used.has(column)) this.bases.delete(column)
  }

  private compileRules(state: TenantState): TenantRules | undefined {
    const rules = TenantRules.compile(this.config.routing.rules, state.id)
    if (rules !== undefined) this.rules.set(state, rules)
    return rules
  }

  private make({ tenant, user }: Found<T, UserOptions>): SessionAccount {
    return tenant === undefined ? this.operatorAccount(user) : this.tenantAccount(tenant, user)
  }

  private makeState(tenant: T): TenantState {
    const known = this.retired.get(tenant.id)
    const isBack = known !== undefined && isSameKeyspace(known, tenant)
    const state = isBack ? known : new TenantState(tenant.id, tenant.prefix, this.cells.tenant(tenant.id), tenant)
    this.retired.delete(tenant.id)
    this.states.set(tenant.id, state)
    const rules = this.compileRules(state)
    if (isBack) {
      state.renew(tenant)
      this.setLimits(tenant, 0)
      return state // what it wrote without session reads is found by the first of them (fences.ts, beginSessionReads)
    }
    // Of all its users, also those who have not come yet: what the first one writes the next one may read.
    state.hasSessionReads =
      rules?.mayAsk(LEVEL.session) === true || tenant.users.some((user) => this.levelOf(tenant, user) === LEVEL.session)
    this.setLimits(tenant, 0)
    return state
  }

  /** What this tenant and its users may use is now as it stands there: at once, for open connections too. */
  setLimits(tenant: TenantOptions, nowUs: number): void {
    let isMetered = false
    for (const { name, quota } of tenant.users) {
      isMetered ||= isMeteredBy(quota)
      const account = this.byUser.get(name)
      if (account === undefined) continue
      account.limits = quota
      if (quota === undefined) account.use = undefined
      else account.use?.quota.setLimits(quota, nowUs)
    }
    const state = this.states.get(tenant.id)
    state?.setLimits(tenant.quota, isMetered, nowUs)
    if (state !== undefined) this.onLimits?.(state)
  }

  /** The table has learned what the primary lacks: nobody may run that. Columns change in place, for open sessions too. */
  learn(): void {
    for (const [column, base] of this.bases) this.fill(column, base)
  }

  private column(base: Uint8Array): Uint8Array {
    const column = new Uint8Array(base.length)
    this.bases.set(column, base)
    this.fill(column, base)
    return column
  }

  private fill(column: Uint8Array, base: Uint8Array): void {
    const { missing } = this.table
    for (let id = 0; id < column.length; id++) column[id] = missing[id] === MISSING.not ? base[id]! : ROUTE.denied
  }

  private levelOf(tenant: TenantOptions, user: UserOptions): LevelCode {
    return LEVEL[user.consistency ?? tenant.consistency ?? this.config.routing.consistency]
  }

  private tenantAccount(tenant: T, user: UserOptions): SessionAccount {
    const { routing } = this.config
    const state = this.states.get(tenant.id) ?? this.makeState(tenant)
    const rules = this.rules.get(state)
    const bound = user.maxStalenessMs ?? tenant.maxStalenessMs
    const level = this.levelOf(tenant, user)
    return {
      user: user.name,
      tenant: state,
      isReadOnly: user.readOnly,
      route: this.routeColumn(tenant, user.readOnly),
      level,
      levelFrom: user.consistency !== undefined ? 'user' : tenant.consistency !== undefined ? 'tenant' : 'routing',
      hasStrongReads: level === LEVEL.strong || rules?.mayAsk(LEVEL.strong) === true,
      boundedMs: bound ?? routing.maxStalenessMs,
      ceilingMs: bound ?? (routing.maxStalenessIsCeiling ? routing.maxStalenessMs : Number.POSITIVE_INFINITY),
      whenStale: tenant.whenStale ?? routing.whenStale,
      maxWaitMs: routing.maxWaitMs,
      rules,
      limits: user.quota,
      use: undefined,
    }
  }

  /** No keyspace: what names a key, or travels to a node at all, is denied. */
  private operatorAccount(user: UserOptions): SessionAccount {
    return {
      user: user.name,
      tenant: undefined,
      isReadOnly: true,
      route: this.operatorColumn(),
      level: LEVEL.eventual,
      levelFrom: 'routing',
      hasStrongReads: false,
      boundedMs: Number.POSITIVE_INFINITY,
      ceilingMs: Number.POSITIVE_INFINITY,
      whenStale: 'primary',
      maxWaitMs: 0,
      rules: undefined,
      limits: undefined,
      use: undefined,
    }
  }

  private operatorColumn(): Uint8Array {
    let column = this.routes.get(operatorKey)
    if (column === undefined) {
      const base = this.table.route.slice()
      for (const { id, categories, isTenantOnly } of this.table.specs) {
        if (base[id]! >= ROUTE.read || isTenantOnly || categories.includes('pubsub')) base[id] = ROUTE.denied
      }
      column = this.column(base)
      this.routes.set(operatorKey, column)
    }
    return column
  }

  private routeColumn(tenant: TenantOptions, isReadOnly: boolean): Uint8Array {
    const isAlone = (tenant.database ?? 0) !== 0
    const deny = isAlone ? [...tenant.deny, ...closedInOwnDatabase] : tenant.deny
    const hasScripts = (tenant.scripts ?? 'off') !== 'off'
    const key = `${isReadOnly ? 'r' : 'w'}${hasScripts ? 's' : ''} ${deny.join(' ')}`
    let column = this.routes.get(key)
    if (column === undefined) {
      const base = this.table.route.slice()
      const denied = denyColumn(this.table, deny)
      for (const spec of this.table.specs) {
        const { id } = spec
        const isOff = !hasScripts && spec.categories.includes('scripting')
        if (denied[id] !== 0 || spec.isOperatorOnly || isOff || (isReadOnly && this.mayWrite(spec)))
          base[id] = ROUTE.denied
      }
      column = this.column(base)
      this.routes.set(key, column)
    }
    return column
  }

  /** A read-only user also loses what is no write by its flags but may change something: keyed, primary only. */
  private mayWrite(spec: CommandSpec): boolean {
    const route = this.table.route[spec.id]!
    if (spec.isWrite || takesFromOthers.has(spec.name)) return true
    const isFree = route === ROUTE.primary || (route === ROUTE.script && !spec.flags.includes('readonly'))
    return isFree && this.table.keyMode[spec.id] !== KEYS.none
  }
}

/** Its own and its users'. */
function quotasOf(tenant: TenantOptions | undefined): unknown {
  return [
    tenant?.quota,
    tenant?.users.filter(({ quota }) => quota !== undefined).map(({ name, quota }) => [name, quota]),
  ]
}

/** What names its keys upstream is the same; more databases beside those that there are change nothing. */
function isSameKeyspace(state: TenantState, { prefix, database, databases }: TenantOptions): boolean {
  const count = databases ?? 1
  const had = state.prefixes.length
  return (
    state.prefix.equals(Buffer.from(prefix)) &&
    state.database === (database ?? 0) &&
    (had === count || (had > 1 && count > had))
  )
}
