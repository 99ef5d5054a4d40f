/**
 * What a scrape looks up instead of its being counted: nodes, lanes, the primary, shared limits. Read from the parts at that
 * moment; how it is written down is metrics/registry.ts.
 */
import type {
  FleetSample,
  MetricSamples,
  NodeSample,
  PrimarySample,
  QuotaSample,
  RegionSample,
  UsageSample,
} from '../metrics/registry.ts'
import type { SentinelDiscovery } from '../regions/discovery.ts'
import type { RegionTracker } from '../regions/tracker.ts'
import type { Overload } from '../session/overload.ts'
import type { Pauses } from '../session/pauses.ts'
import type { QuotaUses } from '../session/quota-uses.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Durability } from '../upstream/durability.ts'
import type { Pool } from '../upstream/pool.ts'
import type { FleetUsage } from '../usage/fleet.ts'
import type { MemoryUsage } from '../usage/memory-usage.ts'

export interface SamplesParts {
  readonly tracker: Pick<RegionTracker, 'nodes' | 'primary' | 'epoch'>
  /** Where Sentinels name the primary. */
  readonly discovery: Pick<SentinelDiscovery, 'status' | 'switches'> | undefined
  readonly pool: Pick<Pool, 'counts'>
  readonly durability: Pick<Durability, 'waiting'>
  readonly pauses: Pauses
  readonly overload: Overload
  readonly fleet: Pick<FleetUsage, 'isOn' | 'proxies' | 'isSeen' | 'view' | 'records'>
  readonly memoryUsage: Pick<MemoryUsage, 'sample'>
  readonly quotaUses: Pick<QuotaUses, 'ofTenant'>
  now(): number
  /** As configured now. */
  regions(): readonly { readonly name: string }[]
  /** The state of a tenant, if it was ever used. */
  usedTenant(id: string): TenantState | undefined
}

export class Samples implements MetricSamples {
  private readonly parts: SamplesParts

  constructor(parts: SamplesParts) {
    this.parts = parts
  }

  *nodes(): Iterable<NodeSample> {
    const { tracker, pool } = this.parts
    const now = this.parts.now()
    for (const node of tracker.nodes) {
      const counts = pool.counts(node.index)
      const isReplica = node.role === 'replica'
      const staleness = now - node.shownSentAtMs
      yield {
        region: node.address.region,
        node: node.address.name,
        up: node.isUp,
        role: node.role,
        rttMs: Number.isFinite(node.rttMs) ? node.rttMs : undefined,
        lagMs: isReplica && Number.isFinite(staleness) ? staleness : undefined,
        stalenessMs: isReplica && Number.isFinite(staleness) ? staleness : undefined,
        lagBytes:
          isReplica && tracker.primary !== undefined && node.replId === tracker.primary.replId
            ? Math.max(0, tracker.primary.offset - node.offset)
            : undefined,
        connections: { ready: counts.ready },
      }
    }
  }

  *regions(): Iterable<RegionSample> {
    const { tracker, pool } = this.parts
    for (const region of this.parts.regions()) {
      let inflight = 0
      let queueDepth = 0
      for (const node of tracker.nodes) {
        if (node.address.region !== region.name) continue
        const counts = pool.counts(node.index)
        inflight += counts.inFlight
        queueDepth += counts.waitingBytes
      }
      yield { region: region.name, inflight, queueDepth }
    }
  }

  primary(): PrimarySample {
    const { tracker, discovery } = this.parts
    const { epoch, primary } = tracker
    const status = discovery?.status()
    return {
      epoch,
      isConfirmed: primary !== undefined,
      ...(status === undefined
        ? {}
        : {
            sentinels: {
              known: status.known,
              heard: status.heard,
              needed: status.needed,
              switches: discovery!.switches,
            },
          }),
    }
  }

  fleet(): FleetSample | undefined {
    const { fleet } = this.parts
    if (!fleet.isOn) return undefined
    return {
      proxies: fleet.proxies,
      isSeen: fleet.isSeen,
      viewAgeMs: this.parts.now() - fleet.view.asOfMs,
      records: fleet.records,
    }
  }

  durableWaiting(): number {
    return this.parts.durability.waiting
  }

  pauses(): Pauses {
    return this.parts.pauses
  }

  overload(): Overload {
    return this.parts.overload
  }

  quotas(tenant: string): Iterable<QuotaSample> {
    const state = this.parts.usedTenant(tenant)
    return state === undefined ? [] : this.parts.quotaUses.ofTenant(state)
  }

  usage(): UsageSample | undefined {
    return this.parts.memoryUsage.sample()
  }
}
