/**
 * What operators are shown of this process, by PROXY SHOW and by the admin port alike: pages for people, put together when
 * somebody asks. Nothing is changed here, and secrets are taken out before (redacted).
 */
import { rowsShownMax } from '../base/limits.ts'
import { Rows } from '../base/slices.ts'
import type { Showable } from '../builtin/operator.ts'
import { type Cells, TenantCells } from '../metrics/cells.ts'
import { Largest } from '../metrics/largest.ts'
import { statsOf } from '../metrics/stats.ts'
import type { SentinelDiscovery } from '../regions/discovery.ts'
import type { Node } from '../regions/node.ts'
import type { RegionTracker } from '../regions/tracker.ts'
import type { Overload } from '../session/overload.ts'
import type { Pauses } from '../session/pauses.ts'
import type { QuotaUses } from '../session/quota-uses.ts'
import type { Session } from '../session/session.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Pool } from '../upstream/pool.ts'
import type { MemoryUsage } from '../usage/memory-usage.ts'

/** Of a configured tenant. */
export interface ShownTenant {
  readonly id: string
  readonly prefix: string
  readonly database: number
  readonly databases: number
}

export interface ViewsParts {
  readonly version: string
  readonly cells: Cells
  readonly tracker: Pick<RegionTracker, 'nodes' | 'primary' | 'isSplit' | 'epoch'>
  /** Where Sentinels name the primary. */
  readonly discovery: Pick<SentinelDiscovery, 'status'> | undefined
  readonly pool: Pick<Pool, 'counts'>
  readonly overload: Overload
  readonly pauses: Pick<Pauses, 'leftMs'>
  readonly memoryUsage: Pick<MemoryUsage, 'viewOf'>
  readonly quotas: Pick<QuotaUses, 'ofTenant'>
  now(): number
  uptimeMs(): number
  isDraining(): boolean
  /** Every open connection to this process. */
  sessions(): ReadonlyMap<number, Session>
  /** As configured now. */
  config(): {
    readonly region: string
    readonly regions: readonly { readonly name: string }[]
    readonly routing: { readonly rules: readonly object[] }
  }
  /** The whole configuration without secrets, and its hash. */
  redacted(): object
  configHash(): Promise<string>
  /** The newest reload, for people; undefined: there was none. */
  lastReload(): object | undefined
  directory(): { readonly tenants: readonly ShownTenant[]; tenant(id: string): ShownTenant | undefined }
  /** The state of a tenant, if it was ever used. */
  usedTenant(id: string): TenantState | undefined
}

export class Views {
  private readonly parts: ViewsParts

  constructor(parts: ViewsParts) {
    this.parts = parts
  }

  /** PROXY SHOW: the same as the admin API's. */
  async show(what: Showable): Promise<unknown> {
    switch (what) {
      case 'status':
        return this.status()
      case 'regions':
        return this.regions()
      case 'tenants':
        return this.tenants()
      case 'clients':
        return this.clients()
      case 'rules':
        return this.rules()
      case 'config':
        return this.config()
      case 'stats':
        return this.stats()
    }
  }

  rules(): object {
    return this.parts.config().routing.rules
  }

  config(): object {
    return this.parts.redacted()
  }

  stats(): object {
    const { stateName, use, limitBytes, closedClients, shedCommands, heldCommands, heldTenants } = this.parts.overload
    const overload = {
      state: stateName,
      memory_used: Math.round(use * 1000) / 1000,
      memory_limit_bytes: limitBytes,
      closed_clients: closedClients,
      shed_commands: shedCommands,
      held_tenants: heldTenants,
      held_commands: heldCommands,
    }
    return { ...statsOf(this.parts.cells), overload }
  }

  async status(): Promise<object> {
    const { parts } = this
    const hash = await parts.configHash()
    const { tracker, discovery } = parts
    return {
      version: parts.version,
      region: parts.config().region,
      uptime_seconds: Math.floor(parts.uptimeMs() / 1000),
      clients: parts.sessions().size,
      primary: tracker.primary?.address.name ?? null,
      split: tracker.isSplit,
      epoch: tracker.epoch,
      ...(discovery === undefined ? {} : { discovery: discovery.status() }),
      draining: parts.isDraining(),
      config: {
        hash,
        taken_at: new Date(parts.cells.configLastReloadSeconds * 1000).toISOString(),
        last_reload: parts.lastReload() ?? null,
      },
    }
  }

  regions(): object {
    const { tracker, pool } = this.parts
    const now = this.parts.now()
    const config = this.parts.config()
    return config.regions.map((region) => ({
      region: region.name,
      local: region.name === config.region,
      nodes: tracker.nodes
        .filter((node) => node.address.region === region.name)
        .map((node) => ({
          node: node.address.name,
          role: node.role,
          up: node.isUp,
          readable: node.isReadable,
          rtt_ms: finite(node.rttMs),
          staleness_ms: node === tracker.primary ? 0 : finite(now - node.shownSentAtMs),
          watermark: node.shownSeq,
          lag_bytes: lagBytesOf(node, tracker.primary),
          why_down: node.isUp ? null : node.downReason,
          version: node.version,
          connections: pool.counts(node.index).ready,
        })),
    }))
  }

  /** The first thousand that were there when it was asked for: a page for people. */
  clients(): object {
    const now = this.parts.now()
    const row = (session: Session): object => ({
      id: session.id,
      tenant: session.account?.tenant?.id ?? null,
      user: session.account?.user ?? null,
      name: session.name,
      resp: session.resp,
      age_seconds: Math.floor((now - session.openedAtMs) / 1000),
      idle_seconds: Math.floor((now - session.lastActiveMs) / 1000),
      in_flight: session.inFlight,
      received_bytes: session.bytesIn,
      sent_bytes: session.bytesOut,
    })
    return Rows.of(firstOf(this.parts.sessions().values(), rowsShownMax), row)
  }

  tenants(): object {
    const { cells: all, quotas, memoryUsage, pauses } = this.parts
    const row = (tenant: ShownTenant): object => {
      const cells = all.tenants.get(tenant.id) ?? idleCells
      const state = this.parts.usedTenant(tenant.id)
      const uses = state === undefined ? [] : quotas.ofTenant(state)
      return {
        tenant: tenant.id,
        prefix: tenant.prefix,
        database: tenant.database,
        databases: tenant.databases,
        clients: cells.connections,
        paused_ms: state === undefined ? 0 : pauses.leftMs(state),
        reads: cells.reads,
        writes: cells.writes,
        ...(uses.length === 0 ? {} : { quotas: uses }),
        ...memoryUsage.viewOf(tenant.id),
      }
    }
    return Rows.of(this.shownTenants(), row)
  }

  /** All, or of more than a page holds those that were used, the busiest first, and then as they stand in the file. */
  private shownTenants(): readonly ShownTenant[] {
    const { cells } = this.parts
    const directory = this.parts.directory()
    const { tenants } = directory
    if (tenants.length <= rowsShownMax) return tenants
    const busiest = new Largest(rowsShownMax)
    for (const [id, of] of cells.tenants) busiest.add(id, of.commands())
    const ids = busiest.names()
    const used = [...ids].flatMap((id) => directory.tenant(id) ?? [])
    used.sort((a, b) => cells.tenant(b.id).commands() - cells.tenant(a.id).commands())
    const idle = tenants.slice(0, rowsShownMax).filter(({ id }) => !ids.has(id))
    return [...used, ...idle].slice(0, rowsShownMax)
  }
}

/** Of tenants that were never used. */
const idleCells = new TenantCells()

function firstOf<T>(items: Iterable<T>, count: number): T[] {
  const first: T[] = []
  for (const item of items) {
    if (first.length === count) break
    first.push(item)
  }
  return first
}

/** Bytes of the replication stream that it has not applied, as the servers last said; null: not known. */
function lagBytesOf(node: Node, primary: Node | undefined): number | null {
  if (primary === undefined || node === primary || !node.isUp || node.replId !== primary.replId) return null
  return Math.max(0, primary.offset - node.offset)
}

function finite(ms: number): number | null {
  return Number.isFinite(ms) ? Math.round(ms * 10) / 10 : null
}
