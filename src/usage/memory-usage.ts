/**
 * Memory and keys per tenant, all parts joined: accounts of tenants with a quota, the watch over the primary's totals, the
 * sweep; the connections that both ask on, which carry nothing else. Built by proxy.ts when a tenant has such a quota, or the
 * configuration wants the sweep always.
 *
 * Figures come from looking at keys. A server that knows them by itself (CLUSTER SLOT-STATS ... MEMORY-BYTES, Redis 8.2 in cluster
 * mode, where a tenant has slots of its own) can take the sweep's place: what is needed of a source is `UsageSource`.
 */

import { lookWaitMs } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { UsageSample } from '../metrics/registry.ts'
import { MemoryAccount, type ServerTotals } from '../quota/memory-account.ts'
import { lookAtKeys } from '../quota/meter.ts'
import type { Node } from '../regions/node.ts'
import { encodeRequest } from '../resp/encode.ts'
import { gateMemory, type TenantState } from '../tenant/account.ts'
import type { ServiceLanes } from '../upstream/service.ts'
import { MemoryWatch } from './memory-watch.ts'
import { Sweeper, type SweepFigures, type SweepStatus, type TenantUsage } from './sweeper.ts'
import { ToldUsage } from './told-usage.ts'
import { readTotals } from './totals.ts'

/** Where figures per tenant come from. It calls `MemoryAccount.measured` of those that have an account. */
export interface UsageSource {
  readonly status: SweepStatus
  usageOf(tenant: string): TenantUsage | undefined
  setTenants(tenants: readonly UsageTenant[]): void
  /** An account begins with what is known of its tenant. */
  begin(tenant: string, account: MemoryAccount): void
  /** All tenants together. */
  all(): TenantUsage
  /** Every 50 ms. */
  tick(): void
  stop(): void
}

export interface UsageTenant {
  readonly id: string
  readonly prefix: string
  readonly database: number
  readonly quota?: { readonly memoryBytes?: number; readonly keys?: number }
}

export interface MemoryUsageOptions {
  readonly tenants: readonly UsageTenant[]
  readonly sweep: { readonly when: 'auto' | 'always' | 'off'; readonly everyMs: number }
  readonly nodes: readonly Node[]
  readonly log: Log
  readonly lanes: Pick<ServiceLanes, 'ask' | 'askMany' | 'runId'>
  now(): number
  after(ms: number, run: () => void): void
  random(): number
  primary(): Node | undefined
  /** Nearest first. */
  readOrder(): readonly Node[]
  /** A mark is sent soon. */
  wantMark(): void
  /** Other worker processes of this proxy, of which one sweeps for all; undefined: there are none. */
  readonly workers?: SweepingWorkers | undefined
}

/** How workers tell each other of sweeps. */
export interface SweepingWorkers {
  /** It is this one that sweeps. */
  isFirst(): boolean
  /** All others have marked what their accounts know. */
  mark(number: number): Promise<void>
  found(figures: SweepFigures): void
  /** Whoever sweeps looks at the keys of these tenants soon. */
  want(tenants: readonly (readonly [tenant: string, keys: readonly string[]])[]): void
}

/** What `PROXY SHOW TENANTS` and the admin API say of one tenant; what is not known is null. */
export interface MemoryView {
  readonly memory_bytes: number | null
  readonly memory_error_bytes: number | null
  readonly keys: number | null
  readonly memory_age_seconds: number | null
}

export class MemoryUsage {
  /** Of tenants that are in use and have such a quota. */
  private readonly accounts = new Map<string, MemoryAccount>()
  private readonly watch: MemoryWatch
  private readonly waitingSinceMs = new Map<MemoryAccount, number>()
  private readonly sweeper: Sweeper
  /** Of a worker for which another one sweeps. */
  private readonly told: ToldUsage | undefined
  private tenants: readonly UsageTenant[] = []
  private wasFirst = true
  private readonly options: MemoryUsageOptions
  /** The sweep is on. */
  private isMeasuring = false

  constructor(options: MemoryUsageOptions) {
    this.options = options
    const { sweep, lanes, nodes } = options
    this.watch = new MemoryWatch(() => this.accounts.values(), {
      now: () => options.now(),
      after: (ms, run) => options.after(ms, run),
      hasPrimary: () => options.primary() !== undefined,
      totals: () => this.totals(),
    })
    const { workers } = options
    this.told =
      workers === undefined
        ? undefined
        : new ToldUsage({
            accounts: () => this.accounts,
            now: () => options.now(),
            askTotals: () => this.watch.ask(),
            want: (tenants) => workers.want(tenants),
          })
    this.wasFirst = workers?.isFirst() ?? true
    this.sweeper = new Sweeper({
      listeners: workers,
      everyMs: sweep.everyMs,
      log: options.log,
      accountOf: (tenant) => this.accounts.get(tenant),
      hands: {
        ask: (node, request) => lanes.ask(node, request),
        askMany: (node, requests, count, take) => lanes.askMany(node, requests, count, take),
        runId: (node) => lanes.runId(node),
        now: () => options.now(),
        sleep: (ms) => new Promise((resolve) => options.after(ms, resolve)),
        random: () => options.random(),
        choose: () => chooseNode(nodes, options.readOrder(), options.primary()),
        mayStay: (node, asPrimary) => mayStay(nodes, node, options.primary(), asPrimary),
        nodeName: (node) => nodes[node]!.address.name,
        has: (node, sinceMs) => this.has(nodes[node]!, sinceMs),
        askTotals: () => this.watch.ask(),
      },
    })
    this.setTenants(options.tenants)
  }

  /** Those that the configuration has now. */
  setTenants(tenants: readonly UsageTenant[]): void {
    const { when } = this.options.sweep
    this.isMeasuring = when === 'always' || (when === 'auto' && tenants.some(({ quota }) => hasQuota(quota)))
    this.tenants = tenants
    this.tellSources()
    const ids = new Set(tenants.map(({ id }) => id))
    for (const id of this.accounts.keys()) if (!ids.has(id)) this.accounts.delete(id)
  }

  /** Who sweeps by itself, or who is told. */
  private get source(): UsageSource {
    return this.told !== undefined && !this.wasFirst ? this.told : this.sweeper
  }

  /** Where nobody measures, or another worker does, there is nothing to keep by tenant. */
  private tellSources(): void {
    const tenants = this.isMeasuring ? this.tenants : []
    this.sweeper.setTenants(this.wasFirst ? tenants : [])
    this.told?.setTenants(tenants)
  }

  /** Workers come and go: the first of those that run sweeps. */
  private settleFirst(): void {
    const isFirst = this.options.workers?.isFirst() ?? true
    if (isFirst === this.wasFirst) return
    this.wasFirst = isFirst
    this.tellSources()
  }

  /** Asked by the worker that sweeps: what the accounts here know is marked when it resolves. */
  async mark(from: string): Promise<void> {
    await this.told?.mark(from)
  }

  /** Told by the worker that sweeps. */
  takeFigures(from: string, figures: SweepFigures): void {
    if (!this.wasFirst) this.told?.take(from, figures)
  }

  /** Another worker waits for looks at keys. */
  wantLooks(tenants: readonly (readonly [string, readonly string[]])[]): void {
    if (!this.wasFirst || !this.isMeasuring) return
    for (const [tenant, keys] of tenants) this.sweeper.want(tenant, keys)
  }

  /** The limits of a tenant that is in use were set: its commands are looked at from now on, or no longer. */
  attach(tenant: TenantState): void {
    const { id, limits } = tenant
    if (!hasQuota(limits)) {
      this.accounts.delete(id)
      tenant.memory = undefined
      tenant.gate &= ~gateMemory
      return
    }
    const { memoryBytes = Number.POSITIVE_INFINITY, keys = Number.POSITIVE_INFINITY } = limits
    let account = this.accounts.get(id)
    if (account === undefined) {
      account = new MemoryAccount(memoryBytes, keys)
      this.source.begin(id, account)
      this.accounts.set(id, account)
    } else account.limit(memoryBytes, keys)
    tenant.memory = account
    tenant.gate |= gateMemory
  }

  /** There is no primary that could be asked: whoever writes waits for it elsewhere. */
  get isBlind(): boolean {
    return this.watch.isBlind
  }

  /** Calls back when this tenant's next command may be asked about again: what there was to know is known, or will not be. */
  confirm(account: MemoryAccount, then: () => void): void {
    if (account.suspicion !== lookAtKeys) {
      this.watch.confirm(then)
      return
    }
    account.whenLookedAt(then)
    if (!this.waitingSinceMs.has(account)) this.waitingSinceMs.set(account, this.options.now())
    if (!this.isMeasuring) account.giveUp()
    else this.source.tick()
  }

  tick(nowMs: number): void {
    this.settleFirst()
    if (this.accounts.size > 0) this.watch.tick(nowMs)
    for (const [account, sinceMs] of this.waitingSinceMs) {
      if (!account.isWaiting) this.waitingSinceMs.delete(account)
      else if (nowMs - sinceMs >= lookWaitMs) account.giveUp()
    }
    if (this.isMeasuring) this.source.tick()
  }

  stop(): void {
    this.sweeper.stop()
  }

  /** undefined: nobody measures. */
  viewOf(tenant: string): MemoryView | undefined {
    if (!this.isMeasuring) return undefined
    const usage = this.source.usageOf(tenant)
    if (usage?.ageMs === undefined)
      return { memory_bytes: null, memory_error_bytes: null, keys: null, memory_age_seconds: null }
    return {
      memory_bytes: usage.bytes,
      memory_error_bytes: usage.errorBytes,
      keys: usage.keys,
      memory_age_seconds: Math.round(usage.ageMs / 100) / 10,
    }
  }

  /** For PROXY WHOAMI and the metrics of quotas: as far as it is known. */
  usedBy(tenant: string): { memoryBytes: number | undefined; keys: number | undefined } {
    const account = this.accounts.get(tenant)
    const usage = this.isMeasuring ? this.source.usageOf(tenant) : undefined
    if (usage?.ageMs !== undefined) return { memoryBytes: usage.bytes, keys: usage.keys }
    return { memoryBytes: account?.bytes.now, keys: account?.keys.now }
  }

  /** For the metrics. */
  sample(): UsageSample | undefined {
    if (!this.isMeasuring) return undefined
    const { status } = this.source
    const { trueAtMs, progress, durationMs, costMs, names, sizes, strays, finished, failed, checks } = status
    return {
      of: (tenant) => this.source.usageOf(tenant),
      all: () => this.source.all(),
      sweep: {
        ageMs: Number.isNaN(trueAtMs) ? undefined : this.options.now() - trueAtMs,
        ...{ progress, durationMs, costMs, failed, checks },
        seen: names,
        measured: sizes,
        stray: strays,
        ok: finished,
      },
    }
  }

  private has(node: Node, sinceMs: number): boolean {
    if (node === this.options.primary() || node.shownSentAtMs >= sinceMs) return true
    this.options.wantMark()
    return false
  }

  private async totals(): Promise<ServerTotals | undefined> {
    const primary = this.options.primary()
    if (primary === undefined) return undefined
    const { lanes } = this.options
    const [memory, keyspace] = await Promise.all([
      lanes.ask(primary.index, encodeRequest(['INFO', 'memory'])),
      lanes.ask(primary.index, encodeRequest(['INFO', 'keyspace'])),
    ])
    if (typeof memory === 'string' || typeof keyspace === 'string') return undefined
    return readTotals(lanes.runId(primary.index), memory.toString('latin1'), keyspace.toString('latin1'))
  }
}

export function hasQuota<Q extends { memoryBytes?: number; keys?: number }>(quota: Q | undefined): quota is Q {
  return quota?.memoryBytes !== undefined || quota?.keys !== undefined
}

/** The nearest replica in sync; the primary where no replica lives; nowhere while one lives that is not fit. */
export function chooseNode(
  nodes: readonly Node[],
  order: readonly Node[],
  primary: Node | undefined,
): { node: number; isPrimary: boolean } | undefined {
  const replica = order.find((node) => node !== primary && node.role === 'replica' && node.isUp && node.isReadable)
  if (replica !== undefined) return { node: replica.index, isPrimary: false }
  if (primary === undefined || !primary.isUp || nodes.some((node) => node !== primary && node.isUp)) return undefined
  return { node: primary.index, isPrimary: true }
}

/** `asPrimary`: what was begun there was begun at the primary's pace. */
export function mayStay(nodes: readonly Node[], index: number, primary: Node | undefined, asPrimary: boolean): boolean {
  const node = nodes[index]!
  if (!node.isUp || node.isLoading || node.isSyncing) return false
  if (node !== primary && node.role === 'replica') return true
  return asPrimary && node === primary && !nodes.some((other) => other !== node && other.isUp)
}
