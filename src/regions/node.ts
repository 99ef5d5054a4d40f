/**
 * What is known of one Redis server. Facts only: nothing here decides where a read goes (that is routing/), and nothing
 * but regions/ writes these fields. They are plain and mutable because the request path reads them per command.
 */
import type { ServerCommand } from '../commands/live.ts'

export interface NodeAddress {
  /** `host:port`, as metrics and logs call it. */
  readonly name: string
  readonly region: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** PEM text. Without it the system's roots are used. */
  readonly ca?: string
  /** Name to ask for and to check in the certificate; the host when absent. */
  readonly servername?: string
  readonly username?: string
  readonly password?: string
}

export type NodeRole = 'primary' | 'replica' | 'unknown'

export class Node {
  readonly index: number
  readonly address: NodeAddress
  /** In the region that this proxy stands in. */
  readonly isLocal: boolean

  /** What the node itself said in its last answer; 'unknown' while it does not answer. */
  role: NodeRole = 'unknown'
  /** The control connection is open and its newest question was answered within the timeout. */
  isUp = false
  /** Fit for `eventual`: up, not loading nor syncing, and in the confirmed primary's history (see tracker.ts, judge). */
  isReadable = false
  /** Smoothed round trip of the control connection; Infinity before the first answer. */
  rttMs = Number.POSITIVE_INFINITY

  /**
   * Raised whenever what was proven about this node is void: reconnect, another run_id or history, a lost link to its
   * primary, loading, an older mark after a newer one, a new epoch. Never goes down, so (index, incarnation) is a name.
   */
  incarnation = 0
  /** Newest mark that it has shown in this incarnation; 0 = none. */
  shownSeq = 0
  /** Newest mark of the control connection among them; an older one after it means that the node went back in time. */
  shownControlSeq = 0
  /**
   * By data lane: the newest mark that it carried and this node has shown. A mark on the lane of a command, behind it,
   * proves the command here, whatever other marks were sent. Grown when a lane's first mark is shown.
   */
  shownTrails: Float64Array = new Float64Array(0)
  /** How long a mark takes from sending to being shown here, smoothed; Infinity before the first. */
  markDelayMs = Number.POSITIVE_INFINITY
  /** When that mark was sent, on our monotonic clock; -Infinity when none (so its staleness is Infinity). */
  shownSentAtMs = Number.NEGATIVE_INFINITY

  /**
   * Writes were forgotten because every readable node had them, while this one could not be asked: it must show this mark before
   * it serves reads that depend on writes. See fences.ts.
   */
  owedSeq = 0

  runId = ''
  replId = ''
  /** The history that `replId` continues, after a promotion; '' when none. */
  replId2 = ''
  version = ''
  /** What it has said of its commands, and in which run; undefined: not asked, or it may not say. Only a primary is asked. */
  commands: readonly ServerCommand[] | undefined
  commandsRunId = ''
  /** Replication offset: written by a primary, applied by a replica. Bytes. */
  offset = 0
  /** The newest offset that it has named in this incarnation, in answers to guards (guards.ts); -1: none yet. */
  appliedOffset = -1
  isLoading = false
  /** A full copy from its primary is under way. */
  isSyncing = false
  /** It refuses reads because its link is down (`replica-serve-stale-data no`). */
  isRefusing = false
  /** Our clock when its link to its primary was first seen down; NaN while the link is up. */
  linkDownSinceMs = Number.NaN
  /** `host:port` of its primary as the node sees it, '' on a primary. Another one is another upstream link. */
  follows = ''
  /** It was loading or syncing: whatever it holds now is not believed until it has shown a mark. */
  owesMark = false
  /** Subscribed to our marks; the primary, to which they are sent, is not. */
  isListening = false
  /** When its newest answer was asked for; what it says was true then or later. -Infinity before the first. */
  answeredSinceMs = Number.NEGATIVE_INFINITY
  /** Answers that were asked for before this moment are not believed: a client's reply has contradicted them. */
  doubtedAtMs = Number.NEGATIVE_INFINITY
  /** Marks that were sent before this incarnation began prove nothing in it: they can be a late echo of the old one. */
  incarnationSinceMs = Number.NEGATIVE_INFINITY
  /** Why the node is down, for logs and status pages; '' while it is up. */
  downReason = 'not yet connected'

  constructor(index: number, address: NodeAddress, isLocal: boolean) {
    this.index = index
    this.address = address
    this.isLocal = isLocal
  }

  /** Every proof about this node is void: readers must be shown a mark that is sent from now on. */
  startIncarnation(now: number): void {
    this.incarnation++
    this.incarnationSinceMs = now
    this.appliedOffset = -1
    this.shownSeq = 0
    this.shownControlSeq = 0
    this.shownTrails.fill(0)
    this.shownSentAtMs = Number.NEGATIVE_INFINITY
  }

  /**
   * Does what was shown cover a position? `loose`: the first mark that was not yet sent when the answer came. `slot`,
   * `trail`: any later mark on the lane that carried the command will do as well; slot -1: there is no such lane.
   */
  covers(loose: number, slot: number, trail: number): boolean {
    return this.shownSeq >= loose || (slot >= 0 && slot < this.shownTrails.length && this.shownTrails[slot]! > trail)
  }
}
