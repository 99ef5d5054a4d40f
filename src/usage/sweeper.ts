/**
 * When and where tenants' keys are looked at, and what is known of them now: one sweep for all tenants, and between sweeps
 * checks of those that are full or in doubt (sweep.ts says how one goes).
 *
 *   idle --it is time, something was written--> sweep ----> figures of all tenants --> their accounts
 *     `----a tenant wants it (also within a sweep)--> check --> its account
 *
 * On the nearest replica that is up and in sync. While one lives, never on the primary; where none is configured, or all are
 * gone, on the primary at a quarter of the pace. A node that goes away, restarts or becomes the primary in the middle ends the
 * sweep, and it begins again elsewhere.
 */
import { checkEveryMs, checkNames, checkWholeKeys, largeKeysKept } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Found, Mark, MemoryAccount } from '../quota/memory-account.ts'
import { PrefixIndex } from '../quota/prefix-index.ts'
import { encodeRequest } from '../resp/encode.ts'
import {
  askKeys,
  type Keyspace,
  type LargeKey,
  SweepFailure,
  type SweepHands,
  type SweepPlan,
  type SweepResult,
  sweep,
} from './sweep.ts'
import { SweepPace } from './sweep-pace.ts'
import { writesSoFar } from './totals.ts'

export interface SweptTenant {
  readonly id: string
  readonly prefix: string
  /** The servers' database that is its own; 0: none. */
  readonly database: number
  readonly quota?: { readonly memoryBytes?: number; readonly keys?: number }
}

export interface SweeperHands extends SweepHands {
  /** Where to sweep now; undefined: nowhere. */
  choose(): { node: number; isPrimary: boolean } | undefined
  /** A sweep there may go on: the node is up, and is not the primary unless nothing else lives. */
  mayStay(node: number, asPrimary: boolean): boolean
  nodeName(node: number): string
  /** Everything that was acknowledged before that moment (monotonic ms) is there. */
  has(node: number, sinceMs: number): boolean
  /** Has the primary tell its totals to all accounts. */
  askTotals(): Promise<void>
}

export interface SweeperOptions {
  /** Where the tenant has a quota of memory or keys, and is in use. */
  accountOf(tenant: string): MemoryAccount | undefined
  /** Rest between two sweeps, ms. */
  readonly everyMs: number
  readonly log: Log
  readonly hands: SweeperHands
  /** Other worker processes, for which this one sweeps; undefined: there are none. */
  readonly listeners?: SweepListeners | undefined
}

/** Processes that have accounts of the same tenants and do not sweep themselves (told-usage.ts). */
export interface SweepListeners {
  /** Resolves when each has marked what its accounts know now, under this number. */
  mark(number: number): Promise<void>
  /** What was found since that mark. */
  found(figures: SweepFigures): void
}

export interface SweepFigures {
  /** Of the mark that was taken before the keys were looked at. */
  readonly number: number
  /** All keys of the tenants were looked at, not a sample of them. */
  readonly isWhole: boolean
  /** A sweep of all; else a check of some. */
  readonly isSweep: boolean
  readonly tenants: readonly (readonly [tenant: string, found: Found])[]
}

/** For metrics and PROXY SHOW TENANTS. */
export interface TenantUsage {
  readonly bytes: number
  readonly keys: number
  readonly errorBytes: number
  /** Age of the figures, ms; undefined: never looked at. */
  readonly ageMs: number | undefined
}

export interface SweepStatus {
  readonly isRunning: boolean
  /** 0 to 1. */
  readonly progress: number
  readonly node: string
  /** Of the last whole sweep. */
  readonly durationMs: number
  readonly costMs: number
  readonly names: number
  readonly sizes: number
  readonly strays: number
  /** Since when its figures are true; NaN: never. */
  readonly trueAtMs: number
  readonly finished: number
  readonly failed: number
  readonly checks: number
}

/** A replica that does not show a mark for so long is swept as it is, ms. */
const freshWaitMs = 1_000
/** After one that failed. */
const retryMs = 1_000
/** A keyspace that shrank meanwhile is swept anew, so often in a row at most. */
const unevenMax = 2

export class Sweeper {
  private readonly options: SweeperOptions
  private readonly hands: SweeperHands
  private tenants: readonly SweptTenant[] = []
  private keyspaces: readonly Keyspace[] = []
  /** By place in `tenants`. */
  private bytes = new Float64Array(0)
  private keys = new Float64Array(0)
  private errors = new Float64Array(0)
  /** Of all places. */
  private sums = { bytes: 0, keys: 0, errorBytes: 0 }
  private readonly numbers = new Map<string, number>()
  /** Places of tenants with an account. */
  private accounted = new Set<number>()
  /** Raised with each change of the tenants: what was begun before speaks of other places. */
  private generation = 0
  /** Names of the largest keys, by tenant. */
  private large = new Map<number, Set<string>>()
  private dueAtMs = 0
  private checkedAtMs = Number.NEGATIVE_INFINITY
  private restsUntilMs = Number.NEGATIVE_INFINITY
  private isBusy = false
  private isChecking = false
  private isStopped = false
  private unevenInRow = 0
  /** Tenants that other processes want looked at, with the keys of which they have written much. */
  private readonly wantedElsewhere = new Map<string, ReadonlySet<string>>()
  private markNumber = 0
  private namesDone = 0
  private namesThere = 0
  private swept: { signature: string } | undefined
  private readonly state = {
    isRunning: false,
    node: '',
    durationMs: 0,
    costMs: 0,
    names: 0,
    sizes: 0,
    strays: 0,
    trueAtMs: Number.NaN,
    finished: 0,
    failed: 0,
    checks: 0,
  }

  constructor(options: SweeperOptions) {
    this.options = options
    this.hands = options.hands
  }

  /** Where another tenant or prefix is among them a sweep begins at once; until it has ended those that stay have what was counted. */
  setTenants(tenants: readonly SweptTenant[]): void {
    if (tenants.length > 0 && isSame(tenants, this.tenants)) return
    const before = { tenants: this.tenants, bytes: this.bytes, keys: this.keys, errors: this.errors }
    const places = new Map(this.numbers)
    this.generation++
    this.tenants = tenants
    this.keyspaces = keyspacesOf(tenants)
    this.bytes = new Float64Array(tenants.length).fill(Number.NaN)
    this.keys = new Float64Array(tenants.length)
    this.errors = new Float64Array(tenants.length)
    this.sums = { bytes: 0, keys: 0, errorBytes: 0 }
    this.numbers.clear()
    for (const [i, tenant] of tenants.entries()) {
      this.numbers.set(tenant.id, i)
      const at = places.get(tenant.id)
      if (at === undefined || !isSameTenant(tenant, before.tenants[at]!) || !this.wasCounted(before.bytes[at]!))
        continue
      this.sums.bytes += this.bytes[i] = before.bytes[at]!
      this.sums.keys += this.keys[i] = before.keys[at]!
      this.sums.errorBytes += this.errors[i] = before.errors[at]!
    }
    this.accounted = new Set([...tenants.keys()].filter((i) => this.account(i) !== undefined))
    this.large = new Map()
    this.swept = undefined
    if (tenants.length === 0) this.state.trueAtMs = Number.NaN
    this.dueAtMs = this.hands.now()
  }

  /** In the last whole sweep; not of a tenant that has come since. */
  private wasCounted(bytes: number): boolean {
    return !Number.isNaN(this.state.trueAtMs) && !Number.isNaN(bytes)
  }

  begin(tenant: string, account: MemoryAccount): void {
    const i = this.numbers.get(tenant)
    if (i === undefined) return
    this.accounted.add(i)
    if (this.wasCounted(this.bytes[i]!))
      account.begin(this.bytes[i]!, this.errors[i]!, this.keys[i]!, this.state.trueAtMs)
  }

  private account(i: number): MemoryAccount | undefined {
    return this.options.accountOf(this.tenants[i]!.id)
  }

  get status(): SweepStatus {
    const { state } = this
    const progress = state.isRunning ? Math.min(1, this.namesDone / Math.max(1, this.namesThere)) : 0
    return { ...state, progress }
  }

  usageOf(id: string): TenantUsage | undefined {
    const i = this.numbers.get(id)
    if (i === undefined) return undefined
    const account = this.account(i)
    const now = this.hands.now()
    const { trueAtMs } = this.state
    const ageMs = this.wasCounted(this.bytes[i]!) ? now - trueAtMs : undefined
    if (account === undefined || Number.isNaN(account.measuredAtMs))
      return { bytes: this.bytes[i]! || 0, keys: this.keys[i]!, errorBytes: this.errors[i]!, ageMs }
    return {
      bytes: Math.round(account.bytes.now),
      keys: Math.round(account.keys.now),
      errorBytes: Math.ceil(account.bytes.error + account.bytes.hidden),
      ageMs: Math.min(ageMs ?? Number.POSITIVE_INFINITY, now - account.measuredAtMs),
    }
  }

  /** Goes over those with an account only: it is asked for with each scrape. */
  all(): TenantUsage {
    let { bytes, keys, errorBytes } = this.sums
    for (const i of this.accounted) {
      const one = this.account(i) === undefined ? undefined : this.usageOf(this.tenants[i]!.id)
      if (one === undefined) continue
      bytes += one.bytes - (this.bytes[i]! || 0)
      keys += one.keys - this.keys[i]!
      errorBytes += one.errorBytes - this.errors[i]!
    }
    const { trueAtMs } = this.state
    return { bytes, keys, errorBytes, ageMs: Number.isNaN(trueAtMs) ? undefined : this.hands.now() - trueAtMs }
  }

  /** Another process waits for a look at the keys of this tenant. */
  want(tenant: string, keys: readonly string[]): void {
    if (!this.numbers.has(tenant)) return
    this.wantedElsewhere.set(tenant, new Set([...(this.wantedElsewhere.get(tenant) ?? []), ...keys]))
    this.tick()
  }

  /** Every 50 ms or so: begins what is due. */
  tick(): void {
    if (this.isBusy || this.isStopped) return
    const now = this.hands.now()
    const isCheckDue = this.isCheckDue(now)
    if (!isCheckDue && now < this.dueAtMs) return
    this.isBusy = true
    void (isCheckDue ? this.check() : this.sweepAll()).finally(() => {
      this.isBusy = false
    })
  }

  stop(): void {
    this.isStopped = true
  }

  private isCheckDue(now: number): boolean {
    if (this.isChecking || now < this.restsUntilMs) return false
    if (this.wantedElsewhere.size > 0) return true
    // Whoever waits for one does not wait for the usual time between two.
    const isSoon = now - this.checkedAtMs < checkEveryMs
    for (const i of this.accounted) {
      const account = this.account(i)
      if (account !== undefined && (isSoon ? account.isWaiting : account.wantsLook)) return true
    }
    return false
  }

  private async sweepAll(): Promise<void> {
    const { hands, state, options } = this
    const target = hands.choose()
    if (target === undefined) {
      this.dueAtMs = hands.now() + retryMs
      return
    }
    const startedAtMs = hands.now()
    const pace = new SweepPace(target.isPrimary)
    try {
      const signature = await this.signature(target.node)
      if (signature !== undefined && signature === this.swept?.signature) {
        state.trueAtMs = startedAtMs
        this.dueAtMs = hands.now() + options.everyMs
        return
      }
      state.isRunning = true
      state.node = hands.nodeName(target.node)
      // Places are those of now, also when the tenants are others at the end.
      const { tenants, keys } = this
      const stop = this.stopOf(target.node, pace, false)
      const plan = this.plan(target.node, pace, stop, {
        wantsSizes: () => true,
        noteNames: (done, all) => {
          this.namesDone = done
          this.namesThere = all
        },
        keysBefore: (owner) => (state.finished > 0 ? keys[owner] : undefined),
        between: async () => {
          if (this.isCheckDue(hands.now())) await this.check()
        },
      })
      const { marks, number } = await this.marksAt(target.node)
      const result = await sweep(hands, plan, largeKeysKept)
      goOn(stop)
      if (this.isUneven(result)) {
        this.dueAtMs = hands.now()
        return
      }
      const isOfNow = tenants === this.tenants
      this.tellSwept(result, tenants, number)
      if (isOfNow) this.take(result, marks, startedAtMs, nobody)
      else this.take(this.placed(result, tenants), marks, startedAtMs, this.newcomers(tenants))
      state.durationMs = hands.now() - startedAtMs
      state.costMs = pace.spentMs
      state.trueAtMs = startedAtMs
      state.finished++
      // What was written since the sweep began makes another one worth while.
      this.swept = signature === undefined || !isOfNow ? undefined : { signature }
      this.dueAtMs = hands.now() + (isOfNow ? options.everyMs : 0)
    } catch (error) {
      state.failed++
      options.log.warn({ node: hands.nodeName(target.node), reason: reasonOf(error) }, 'a sweep ended early')
      this.dueAtMs = hands.now() + retryMs
    } finally {
      state.isRunning = false
    }
  }

  /** Of tenants that are full or in doubt. */
  private async check(): Promise<void> {
    const { hands, options, state } = this
    const target = hands.choose()
    this.checkedAtMs = hands.now()
    if (target === undefined) return
    this.isChecking = true
    const elsewhere = new Map([...this.wantedElsewhere].map(([id, keys]) => [this.numbers.get(id) ?? -1, keys]))
    elsewhere.delete(-1)
    this.wantedElsewhere.clear()
    const wanted = new Set([...this.accounted].filter((i) => this.account(i)?.wantsLook === true))
    for (const i of elsewhere.keys()) wanted.add(i)
    const pace = new SweepPace(target.isPrimary)
    const stop = this.stopOf(target.node, pace, true)
    try {
      const { marks, number } = await this.marksAt(target.node)
      goOn(stop) // `wanted` are places
      const certain = new Map(
        [...wanted].map((i) => {
          const recent = [...(this.account(i)?.recentKeys ?? []), ...(elsewhere.get(i) ?? [])]
          return [i, new Set([...(this.large.get(i) ?? []), ...recent])] as const
        }),
      )
      const plan: SweepPlan = {
        ...this.plan(target.node, pace, stop, {
          wantsSizes: (owner) => wanted.has(owner),
          keysBefore: () => 0, // what is found here is measured, whatever the sample says
        }),
        certain: (owner) => certain.get(owner),
        names: checkNames,
        wholeBelow: checkWholeKeys,
      }
      const result = await sweep(hands, plan, 0)
      for (const i of wanted) {
        goOn(stop)
        const tenant = this.tenants[i]!
        const there = result.databases.get(tenant.database)
        const sample = result.owners.get(i)
        if (there?.isSample === true) {
          const keys = await askKeys(hands, plan, tenant.database, [...certain.get(i)!])
          goOn(stop)
          const found = sample?.scaled(there.names, there.before) ?? none
          this.measured(i, withKeys(found, keys), marks, number, false)
        } else {
          const found = sample?.result() ?? none
          this.measured(i, { ...found, errorKeys: 0 }, marks, number, true)
        }
      }
      state.checks++
    } catch (error) {
      state.failed++
      options.log.warn({ node: hands.nodeName(target.node), reason: reasonOf(error) }, 'a check ended early')
    } finally {
      this.isChecking = false
      this.checkedAtMs = hands.now()
      // Its rest is taken here, so that check after check is no more than the pace either.
      this.restsUntilMs = hands.now() + pace.restMs(hands.now())
    }
  }

  /** Not of one whose quota has come meanwhile. */
  private measured(
    i: number,
    found: Found,
    marks: ReadonlyMap<MemoryAccount, Mark>,
    number: number,
    isWhole: boolean,
  ): void {
    const tenants = [[this.tenants[i]!.id, found] as const]
    this.options.listeners?.found({ number, isWhole, isSweep: false, tenants })
    const account = this.account(i)
    const mark = account === undefined ? undefined : marks.get(account)
    if (mark !== undefined) account!.measured(found, mark, this.hands.now(), isWhole)
  }

  /** What was acknowledged until now is on the node, and in the primary's totals; how much of it each account knows. */
  private async marksAt(node: number): Promise<{ marks: Map<MemoryAccount, Mark>; number: number }> {
    const { hands } = this
    const number = ++this.markNumber
    // Before the moment from which on the node must have everything: what they mark was acknowledged by then.
    await Promise.all([hands.askTotals(), this.options.listeners?.mark(number)])
    const marks = new Map<MemoryAccount, Mark>()
    for (const i of this.accounted) {
      const account = this.account(i)
      if (account !== undefined) marks.set(account, account.mark())
    }
    const sinceMs = hands.now()
    while (!hands.has(node, sinceMs) && hands.now() - sinceMs < freshWaitMs) await hands.sleep(5)
    return { marks, number }
  }

  /** Why to end what begins now. Nearer nodes may have come back: what was begun is finished where it is. */
  private stopOf(node: number, pace: SweepPace, isByPlace: boolean): () => string | undefined {
    const { hands, generation } = this
    return () => {
      if (this.isStopped) return 'stopped'
      if (this.tenants.length === 0) return 'nobody is to be measured any more'
      if (isByPlace && this.generation !== generation) return 'the tenants are others now'
      return hands.mayStay(node, pace.isPrimary) ? undefined : 'the node may not be swept any more'
    }
  }

  private plan(
    node: number,
    pace: SweepPace,
    stop: () => string | undefined,
    wishes: Pick<SweepPlan, 'wantsSizes' | 'keysBefore' | 'between' | 'noteNames'>,
  ): SweepPlan {
    const { keyspaces, large } = this
    return { node, pace, stop, keyspaces, certain: (owner) => large.get(owner), ...wishes }
  }

  /** Of tenants with such a quota: others need it of no others. */
  private tellSwept(result: SweepResult, tenants: readonly SweptTenant[], number: number): void {
    const { listeners } = this.options
    if (listeners === undefined) return
    const found = tenants.flatMap((tenant, i) => {
      if (tenant.quota?.memoryBytes === undefined && tenant.quota?.keys === undefined) return []
      const { bytes, keys, errorBytes } = result.owners.get(i)?.result() ?? none
      return [[tenant.id, { bytes, keys, errorBytes, errorKeys: 0 }] as const]
    })
    listeners.found({ number, isWhole: true, isSweep: true, tenants: found })
  }

  /** What was found by the places of `tenants`, by those of now; without those that have left. */
  private placed(result: SweepResult, tenants: readonly SweptTenant[]): SweepResult {
    const moved = <V>(found: ReadonlyMap<number, V>): Map<number, V> => {
      const there = new Map<number, V>()
      for (const [was, value] of found) {
        const i = this.numbers.get(tenants[was]!.id)
        if (i !== undefined && isSameTenant(tenants[was]!, this.tenants[i]!)) there.set(i, value)
      }
      return there
    }
    return { ...result, owners: moved(result.owners), large: moved(result.large) }
  }

  /** Places of those that were not there, or had other keys. */
  private newcomers(tenants: readonly SweptTenant[]): ReadonlySet<number> {
    const before = new Map(tenants.map((tenant) => [tenant.id, tenant]))
    const isNew = (i: number): boolean => {
      const was = before.get(this.tenants[i]!.id)
      return was === undefined || !isSameTenant(was, this.tenants[i]!)
    }
    return new Set([...this.tenants.keys()].filter(isNew))
  }

  /** Of `newcomers` it says nothing. */
  private take(
    result: SweepResult,
    marks: ReadonlyMap<MemoryAccount, Mark>,
    startedAtMs: number,
    newcomers: ReadonlySet<number>,
  ): void {
    const { state } = this
    this.bytes.fill(0)
    this.keys.fill(0)
    this.errors.fill(0)
    const sums = { bytes: 0, keys: 0, errorBytes: 0 }
    for (const [i, sample] of result.owners) {
      const { bytes, keys, errorBytes } = sample.result()
      sums.bytes += bytes
      sums.keys += keys
      sums.errorBytes += errorBytes
      this.bytes[i] = bytes
      this.keys[i] = keys
      this.errors[i] = errorBytes
    }
    this.sums = sums
    for (const i of newcomers) this.bytes[i] = Number.NaN
    this.large.clear()
    for (const i of this.accounted) {
      if (newcomers.has(i)) continue
      const account = this.account(i)
      const mark = account === undefined ? undefined : marks.get(account)
      const found = { bytes: this.bytes[i]!, keys: this.keys[i]!, errorBytes: this.errors[i]!, errorKeys: 0 }
      // A check within the sweep knows better than the mark of before it.
      if (account !== undefined && mark !== undefined && !(account.measuredAtMs > startedAtMs))
        account.measured(found, mark, this.hands.now(), true)
      const names = result.large.get(i)
      if (names !== undefined) this.large.set(i, largest(names))
    }
    state.names = result.names
    state.sizes = result.sizes
    state.strays = result.strays
  }

  /** Keys told twice while a table shrank, or gone behind the sweep's back (FLUSHALL): figures of no moment at all. */
  private isUneven(result: SweepResult): boolean {
    let isUneven = false
    for (const { names, before, after } of result.databases.values()) {
      const slack = 100 + 0.02 * Math.max(before, after)
      if (names > Math.max(before, after) + slack || after < 0.9 * names - slack) isUneven = true
    }
    this.unevenInRow = isUneven ? this.unevenInRow + 1 : 0
    return isUneven && this.unevenInRow <= unevenMax
  }

  private async signature(node: number): Promise<string | undefined> {
    const { hands } = this
    const [persistence, keyspace] = await Promise.all([
      hands.ask(node, encodeRequest(['INFO', 'persistence'])),
      hands.ask(node, encodeRequest(['INFO', 'keyspace'])),
    ])
    if (typeof persistence === 'string' || typeof keyspace === 'string') return undefined
    return writesSoFar(persistence.toString('latin1'), keyspace.toString('latin1'), hands.runId(node))
  }
}

/** Places of tenants and their marks are those of the beginning: asked again after each wait. */
function goOn(stop: () => string | undefined): void {
  const reason = stop()
  if (reason !== undefined) throw new SweepFailure(reason)
}

const nobody: ReadonlySet<number> = new Set()
const none = { bytes: 0, keys: 0, errorBytes: 0, errorKeys: 0, measured: 0 }

function withKeys(
  found: { bytes: number; keys: number; errorBytes: number; errorKeys: number },
  keys: readonly { bytes: number; variance: number }[],
): { bytes: number; keys: number; errorBytes: number; errorKeys: number } {
  let [bytes, variance] = [found.bytes, (found.errorBytes / 1.96) ** 2]
  for (const key of keys) {
    bytes += key.bytes
    variance += key.variance
  }
  return { bytes, keys: found.keys + keys.length, errorBytes: 1.96 * Math.sqrt(variance), errorKeys: found.errorKeys }
}

function largest(keys: readonly LargeKey[]): Set<string> {
  return new Set(keys.slice(0, largeKeysKept).map(({ name }) => name))
}

/** Database 0 by prefix, and each tenant's own as a whole. */
export function keyspacesOf(tenants: readonly SweptTenant[]): Keyspace[] {
  const shared = tenants.map(({ prefix, database }) => Buffer.from(database === 0 ? prefix : ''))
  const own = tenants.flatMap(({ database }, i) => (database === 0 ? [] : [{ database, owner: i }]))
  return [{ database: 0, owner: new PrefixIndex(shared) }, ...own]
}

function isSame(one: readonly SweptTenant[], other: readonly SweptTenant[]): boolean {
  return one.length === other.length && one.every((tenant, i) => isSameTenant(tenant, other[i]!))
}

function isSameTenant(one: SweptTenant, other: SweptTenant): boolean {
  return one.id === other.id && one.prefix === other.prefix && one.database === other.database
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
