/**
 * Memory and keys per tenant as another worker process finds them, which sweeps for all (sweeper.ts). Accounts here count what this
 * process lets through, as ever; what is in the keys they are told.
 *
 *   it: mark n? --> the primary's totals, marks of all accounts --> marked ... sweep ... found n --> measured(found, mark n)
 *   an account in doubt: want(tenant) --> it looks --> found
 *
 * A figure without its mark (this process has started since) waits for the next sweep: nobody could say what of it is counted twice.
 */
import type { Found, Mark, MemoryAccount } from '../quota/memory-account.ts'
import type { UsageSource, UsageTenant } from './memory-usage.ts'
import type { SweepFigures, SweepStatus, TenantUsage } from './sweeper.ts'

export interface ToldUsageOptions {
  accounts(): ReadonlyMap<string, MemoryAccount>
  now(): number
  /** Has the primary tell its totals to all accounts. */
  askTotals(): Promise<void>
  want(tenants: readonly (readonly [tenant: string, keys: readonly string[]])[]): void
}

/** A sweep and checks within it; older marks are of one that has ended early. */
const marksMax = 16
/** Looks are asked for anew after this, ms: the answer may have been lost with the worker that sweeps. */
const wantEveryMs = 500

export class ToldUsage implements UsageSource {
  private readonly options: ToldUsageOptions
  private readonly figures = new Map<string, Found & { readonly atMs: number }>()
  private readonly marks = new Map<string, { readonly atMs: number; readonly of: ReadonlyMap<MemoryAccount, Mark> }>()
  private tenants: ReadonlySet<string> = new Set()
  private trueAtMs = Number.NaN
  private wantedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: ToldUsageOptions) {
    this.options = options
  }

  /** `from`: who asks, and which of its marks it is. */
  async mark(from: string): Promise<void> {
    const { options } = this
    await options.askTotals()
    const of = new Map<MemoryAccount, Mark>()
    for (const account of options.accounts().values()) of.set(account, account.mark())
    this.marks.set(from, { atMs: options.now(), of })
    if (this.marks.size > marksMax) this.marks.delete(this.marks.keys().next().value!)
  }

  take(from: string, { isWhole, isSweep, tenants }: SweepFigures): void {
    const marked = this.marks.get(from)
    if (isSweep) this.marks.delete(from)
    if (marked === undefined) return
    const accounts = this.options.accounts()
    for (const [id, found] of tenants) {
      if (!this.tenants.has(id)) continue
      this.figures.set(id, { ...found, atMs: marked.atMs })
      const account = accounts.get(id)
      const mark = account === undefined ? undefined : marked.of.get(account)
      // A check within the sweep knows better than the mark of before it.
      if (account === undefined || mark === undefined || (isSweep && account.measuredAtMs > marked.atMs)) continue
      account.measured(found, mark, this.options.now(), isWhole)
    }
    if (isSweep) this.trueAtMs = marked.atMs
  }

  tick(): void {
    const now = this.options.now()
    const wanting: [string, readonly string[]][] = []
    for (const [id, account] of this.options.accounts()) {
      if (account.wantsLook && this.tenants.has(id)) wanting.push([id, account.recentKeys])
    }
    if (wanting.length === 0) {
      this.wantedAtMs = Number.NEGATIVE_INFINITY
      return
    }
    if (now - this.wantedAtMs < wantEveryMs) return
    this.wantedAtMs = now
    this.options.want(wanting)
  }

  setTenants(tenants: readonly UsageTenant[]): void {
    this.tenants = new Set(tenants.map(({ id }) => id))
    for (const id of this.figures.keys()) if (!this.tenants.has(id)) this.figures.delete(id)
    if (tenants.length === 0) this.trueAtMs = Number.NaN
  }

  begin(tenant: string, account: MemoryAccount): void {
    const found = this.figures.get(tenant)
    if (found !== undefined) account.begin(found.bytes, found.errorBytes, found.keys, found.atMs)
  }

  usageOf(tenant: string): TenantUsage | undefined {
    const found = this.figures.get(tenant)
    if (found === undefined) return undefined
    const { bytes, keys, errorBytes, atMs } = found
    const now = this.options.now()
    const account = this.options.accounts().get(tenant)
    if (account === undefined || Number.isNaN(account.measuredAtMs))
      return { bytes, keys, errorBytes, ageMs: now - atMs }
    return {
      bytes: Math.round(account.bytes.now),
      keys: Math.round(account.keys.now),
      errorBytes: Math.ceil(account.bytes.error + account.bytes.hidden),
      ageMs: Math.min(now - atMs, now - account.measuredAtMs),
    }
  }

  /** Of tenants with such a quota: of others only who sweeps has figures. */
  all(): TenantUsage {
    let [bytes, keys, errorBytes] = [0, 0, 0]
    for (const id of this.figures.keys()) {
      const usage = this.usageOf(id)!
      bytes += usage.bytes
      keys += usage.keys
      errorBytes += usage.errorBytes
    }
    const ageMs = Number.isNaN(this.trueAtMs) ? undefined : this.options.now() - this.trueAtMs
    return { bytes, keys, errorBytes, ageMs }
  }

  get status(): SweepStatus {
    return {
      ...{ isRunning: false, progress: 0, node: '', durationMs: 0, costMs: 0, names: 0, sizes: 0, strays: 0 },
      ...{ trueAtMs: this.trueAtMs, finished: 0, failed: 0, checks: 0 },
    }
  }

  stop(): void {}
}
