/**
 * The other workers of this proxy, as the request path sees them: what is written here is told to them (sibling-log.ts) before it
 * leaves, and what they wrote binds session reads here (sibling-fences.ts), which look at it once for the bytes that a client has sent.
 */
import type { TenantState } from '../tenant/account.ts'
import type { Lane } from '../upstream/lane.ts'
import type { Fences } from './fences.ts'
import { SiblingFences } from './sibling-fences.ts'
import type { SiblingPages } from './sibling-format.ts'
import { SiblingLog } from './sibling-log.ts'

export interface SiblingWritesOptions {
  readonly pages: SiblingPages
  /** Greater than that of any process before that was this worker. */
  readonly incarnation: number
  readonly lanes: readonly Lane[]
  readonly nextSeq: () => number
  readonly history: () => string
  readonly hasUnsettled: () => boolean
  /** May a session read be served by a node that is not the primary? */
  readonly wants: () => boolean
  readonly now: () => number
  /** See SiblingLogOptions. */
  readonly failed: (error: unknown) => void
}

export class SiblingWrites {
  readonly log: SiblingLog
  readonly fences: SiblingFences
  /** They were looked at for the bytes that are being taken. */
  isFresh = false
  private readonly options: SiblingWritesOptions

  constructor(options: SiblingWritesOptions, table: Fences) {
    this.options = options
    this.fences = new SiblingFences({
      pages: options.pages,
      nextSeq: options.nextSeq,
      history: options.history,
      table: {
        layKey: (tenant, spread, tag, slot, position) => table.laySiblingKey(tenant, spread, tag, slot, position),
        layTenant: (tenant, slot, position) => table.laySiblingWide(tenant, slot, position),
      },
    })
    this.log = new SiblingLog(options, options.incarnation)
    table.siblings = this.fences
  }

  /** A session read of this tenant asks what it must see. */
  lookFor(tenant: TenantState): void {
    if (!this.isFresh) {
      this.isFresh = true
      this.log.tellWants()
      this.fences.look()
    }
    this.fences.meet(tenant)
  }

  /** A write of this tenant was answered, or is of unknown fate, before anything was said of it: its reply may go out after this. */
  tellNow(tenant: TenantState): void {
    if (!this.log.isLogging) return
    this.log.tenant(tenant)
    this.log.publish()
  }

  /** Every few tens of ms. */
  tick(): void {
    this.fences.look(this.options.wants())
    this.log.look(this.fences.isWanted)
    this.log.settle()
  }

  /** Replies were read. */
  answered(): void {
    this.log.settle()
  }
}
