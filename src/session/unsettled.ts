/**
 * Tenants with writes of unknown fate: sent, the reply lost, perhaps still in the network. Until they can no longer run,
 * no replica may serve their session reads.
 */
import type { Node } from '../regions/node.ts'
import type { TenantState } from '../tenant/account.ts'
import type { Lane } from '../upstream/lane.ts'

export interface UnsettledOptions {
  readonly nodes: readonly Node[]
  readonly primary: () => Node | undefined
  /** The lost connections of this node are not yet known to be dead. */
  readonly hasLost: (nodeIndex: number) => boolean
  readonly isConnected: (nodeIndex: number) => boolean
  /** The first mark that was not yet sent. */
  readonly nextSeq: () => number
  /** A tenant has one more, of which nothing was said to its client yet. */
  readonly added?: (tenant: TenantState) => void
}

export class UnsettledWrites {
  private readonly options: UnsettledOptions
  private entries: { nodeIndex: number; tenant: TenantState; runId: string; leased: Lane | undefined }[] = []

  constructor(options: UnsettledOptions) {
    this.options = options
  }

  get isEmpty(): boolean {
    return this.entries.length === 0
  }

  add(tenant: TenantState, lane: Lane): void {
    this.options.added?.(tenant)
    const { nodeIndex } = lane
    tenant.floor = Number.POSITIVE_INFINITY
    tenant.floorSentAtMs = Number.POSITIVE_INFINITY
    const leased = lane.isLeased ? lane : undefined
    this.entries.push({ nodeIndex, tenant, runId: this.options.nodes[nodeIndex]!.runId, leased })
  }

  /**
   * Writes of unknown fate are over: what was lost on this node was killed, or another history has begun. Their
   * tenants' floors become the first mark sent from now on.
   */
  settle(): void {
    if (this.entries.length === 0) return
    const { primary, hasLost, isConnected, nextSeq } = this.options
    const now = primary()
    const left = this.entries.filter(({ nodeIndex, runId, leased }) => {
      // An epoch also ends when the link to the same server drops and returns; only another run of a server is another
      // history, in which what was lost can no longer run.
      const isKilled = leased === undefined || leased.isLossSettled
      const isOver =
        (now !== undefined && now.runId !== runId) || (isKilled && !hasLost(nodeIndex) && isConnected(nodeIndex))
      return !isOver
    })
    const still = new Set(left.map((entry) => entry.tenant))
    for (const { tenant } of this.entries) {
      if (still.has(tenant)) continue
      tenant.floor = nextSeq()
      if (tenant.floor > tenant.newestMark) tenant.newestMark = tenant.floor
    }
    this.entries = left
  }
}
