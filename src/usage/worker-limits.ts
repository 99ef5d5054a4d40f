/**
 * A worker process's side of limits that all workers of a proxy share (`scope: proxy`): what it wants of each, once a round, and the parts
 * that it is told. quota/worker-shares.ts divides, at the supervisor.
 *
 *   tick (50 ms): peaks of what is in flight | round (250 ms): demand --tell--> supervisor --parts--> take --> buckets, counts
 *
 * A limit begins with an equal part of it, and has one whenever nothing was said of it: never all of it, never nothing. While
 * the supervisor is silent parts stay as they are.
 *
 * No channel and no timer here: `tick` comes with the time, and what is told goes out by a function that is handed in.
 */
import { workerLimitsMax } from '../base/limits.ts'
import { FleetDemand } from '../quota/fleet-demand.ts'
import { BYTES, OPS } from '../quota/fleet-record.ts'
import type { CountsTold } from '../quota/worker-counts.ts'
import { noWish, PART, type PartsTold, type Wish, type Wishes } from '../quota/worker-shares.ts'
import { type Account, openUse, type TenantState } from '../tenant/account.ts'
import { FleetQuota } from './fleet-limits.ts'

export const roundMs = 250
/** A peak is taken for twice as much: whoever is at its bound cannot show that it wants more. */
const peakGrowth = 2

interface Limited {
  /** Units and bytes. */
  readonly rates: FleetQuota
  /** What is counted at a moment; undefined: of a user, whose leases and commands in flight have no limit of their own. */
  readonly tenant: TenantState | undefined
  readonly demand: readonly [FleetDemand, FleetDemand]
  readonly asked: [number, number]
  commands: number
  refused: number
  delayedMs: number
  inFlightPeak: number
  leasesPeak: number
  /** Wishes for these of the round before: they fall by half. */
  inFlightWant: number
  leasesWant: number
}

export interface WorkerLimitsHands {
  readonly workers: number
  nowUs(): number
  leasesOf(tenant: string): number
  /** Connections of a tenant, or of a user (`tenant/user`), to this process. */
  connectionsOf(name: string): number
  tellWishes(wishes: ReadonlyMap<string, Wishes>): void
  tellConnections(counts: CountsTold): void
}

export class WorkerLimits {
  private readonly hands: WorkerLimitsHands
  private readonly limits = new Map<string, Limited>()
  private readonly parts = new Map<string, readonly number[]>()
  private readonly equal: readonly number[]
  private roundAtMs = Number.NEGATIVE_INFINITY
  private measuredAtMs = Number.NaN
  private hadWishes = false
  /** Whose connections have changed since they were last told, and how many each has to other workers. */
  private readonly changed = new Set<string>()
  private readonly elsewhere = new Map<string, number>()

  constructor(hands: WorkerLimitsHands) {
    this.hands = hands
    const part = 1 / hands.workers
    this.equal = [part, part, part, part]
  }

  /** Somebody logs in: the limits of its tenant and of itself are divided from now on, before its first command. */
  join(account: Account): void {
    const { tenant, limits, user } = account
    if (tenant === undefined) return
    const { hands } = this
    if (tenant.limits !== undefined && !this.limits.has(tenant.id)) {
      tenant.openQuota(hands.nowUs())
      this.add(
        tenant.id,
        new FleetQuota(
          tenant.id,
          () => tenant.quota,
          () => hands.nowUs(),
          'proxy',
        ),
        tenant,
      )
    }
    if (limits === undefined) return
    const name = `${tenant.id}/${user}`
    if (this.limits.has(name) || openUse(account, hands.nowUs() / 1000) === undefined) return
    this.add(
      name,
      new FleetQuota(
        name,
        () => account.use?.quota,
        () => hands.nowUs(),
        'proxy',
      ),
      undefined,
    )
  }

  /** After a reload: whoever has left is forgotten, all others' parts are of the limits that hold now. */
  renew(isThere: (name: string) => boolean): void {
    for (const [name, limited] of this.limits) {
      if (isThere(name)) this.give(name, limited)
      else this.limits.delete(name)
    }
  }

  /** What the supervisor says. */
  take(told: PartsTold): void {
    for (const [name, parts] of told) {
      if (parts === undefined) this.parts.delete(name)
      else this.parts.set(name, parts)
      const limited = this.limits.get(name)
      if (limited !== undefined) this.give(name, limited)
    }
  }

  /** Clients of this tenant or user have come or gone. */
  noteConnections(name: string): void {
    this.changed.add(name)
  }

  /** Its connections to the other workers, as of a tick or two ago. */
  connectionsElsewhere(name: string): number {
    return this.elsewhere.get(name) ?? 0
  }

  takeConnections(told: CountsTold): void {
    for (const [name, count] of told) {
      if (count === 0) this.elsewhere.delete(name)
      else this.elsewhere.set(name, count)
    }
  }

  /** Every 50 ms or so. */
  tick(nowMs: number): void {
    if (this.changed.size > 0) {
      this.hands.tellConnections([...this.changed].map((name) => [name, this.hands.connectionsOf(name)] as const))
      this.changed.clear()
    }
    for (const limited of this.limits.values()) {
      const { tenant } = limited
      if (tenant === undefined) continue
      if (tenant.limits?.inFlight !== undefined) limited.inFlightPeak = Math.max(limited.inFlightPeak, tenant.inFlight)
      if (tenant.limits?.leases !== undefined)
        limited.leasesPeak = Math.max(limited.leasesPeak, this.hands.leasesOf(tenant.id))
    }
    if (nowMs < this.roundAtMs) return
    this.roundAtMs = nowMs + roundMs
    const ms = nowMs - this.measuredAtMs
    this.measuredAtMs = nowMs
    if (ms > 0) this.round(ms)
  }

  private round(ms: number): void {
    let wishes = new Map<string, Wishes>()
    for (const [name, limited] of this.limits) {
      if (limited.rates.isNew) this.give(name, limited) // opened anew by a reload
      const found = this.wishesOf(name, limited, ms)
      if (found.some(({ want, held }) => want > 0 || held > 0)) wishes.set(name, found)
    }
    if (wishes.size > workerLimitsMax) wishes = thirstiest(wishes)
    // Who has none any more says so once.
    if (wishes.size > 0 || this.hadWishes) this.hands.tellWishes(wishes)
    this.hadWishes = wishes.size > 0
  }

  private wishesOf(name: string, limited: Limited, ms: number): Wish[] {
    const { rates, tenant, demand, asked } = limited
    const commands = rates.commands() - limited.commands
    const refused = rates.refused() - limited.refused
    const delayedMs = rates.delayedMs() - limited.delayedMs
    const pressure = Math.max(commands > 0 ? refused / commands : 0, delayedMs / ms)
    const parts = this.parts.get(name) ?? this.equal
    const wishes: Wish[] = []
    for (const kind of [OPS, BYTES] as const) {
      const limit = rates.limit(kind)
      const more = rates.asked(kind) - asked[kind]
      asked[kind] += more
      // Not of one that has begun to count anew.
      if (limit > 0 && more >= 0 && commands >= 0 && (more > 0 || demand[kind].want > 0))
        demand[kind].note(more, pressure, limit * parts[kind]!, limit, ms)
      wishes.push(limit === 0 ? noWish : { limit, want: demand[kind].want, held: 0 })
    }
    limited.commands += commands
    limited.refused += refused
    limited.delayedMs += delayedMs
    limited.inFlightWant = Math.max(limited.inFlightPeak * peakGrowth, Math.floor(limited.inFlightWant / 2))
    limited.leasesWant = Math.max(limited.leasesPeak * peakGrowth, Math.floor(limited.leasesWant / 2))
    limited.inFlightPeak = 0
    limited.leasesPeak = 0
    const { inFlight, leases } = tenant?.limits ?? {}
    const held = leases === undefined ? 0 : this.hands.leasesOf(tenant!.id)
    wishes.push(inFlight === undefined ? noWish : { limit: inFlight, want: limited.inFlightWant, held: 0 })
    wishes.push(leases === undefined ? noWish : { limit: leases, want: limited.leasesWant, held })
    return wishes
  }

  private add(name: string, rates: FleetQuota, tenant: TenantState | undefined): void {
    const limited: Limited = {
      ...{ rates, tenant, demand: [new FleetDemand(), new FleetDemand()] as const, asked: [0, 0] as [number, number] },
      ...{ commands: rates.commands(), refused: rates.refused(), delayedMs: rates.delayedMs() },
      ...{ inFlightPeak: 0, leasesPeak: 0, inFlightWant: 0, leasesWant: 0 },
    }
    for (const kind of [OPS, BYTES] as const) limited.asked[kind] = rates.asked(kind)
    this.limits.set(name, limited)
    this.give(name, limited)
  }

  private give(name: string, { rates, tenant }: Limited): void {
    const parts = this.parts.get(name) ?? this.equal
    rates.divide(parts[PART.ops]!, parts[PART.bytes]!)
    tenant?.setParts(parts[PART.inFlight]!, parts[PART.leases]!)
  }
}

/** Those that want the largest part of a limit; of others this worker is taken to want nothing, and has a floor. */
function thirstiest(wishes: ReadonlyMap<string, Wishes>): Map<string, Wishes> {
  const thirst = (all: Wishes): number =>
    all.reduce((most, { want, limit }) => (limit === 0 ? most : Math.max(most, want / limit)), 0)
  return new Map([...wishes].sort(([, a], [, b]) => thirst(b) - thirst(a)).slice(0, workerLimitsMax))
}
