/**
 * Which other proxies there are, and what each has said last, from what a node showed of their records. No clock is
 * compared with another's: each time here is one of our own, the moment as of which a view is known to be complete (a mark
 * that we sent then had been shown by that node before it was asked; regions/watermark.ts). A replica that has stopped
 * shows old records at an old moment, so nobody is taken for dead because it stands still.
 *
 *   there --(its record has not moved for 3 of its own intervals)--> gone: its share is free --(10 s)--> to be deleted
 *     ^                                                               |
 *     '---------------------- its record moves ----------------------'
 */
import { fleetProxiesMax } from '../base/limits.ts'
import type { FleetRecord } from './fleet-record.ts'

/** Records that may be missed before a proxy is taken for dead. */
const missedMax = 3
/** Its record is deleted so much later. */
const deadMs = 10_000

export interface Peer {
  readonly id: string
  record: FleetRecord
  /** As of when this record was first seen. */
  movedAtMs: number
  isThere: boolean
}

export class FleetView {
  /** As of when all this is known; -Infinity before the first view. */
  asOfMs = Number.NEGATIVE_INFINITY
  /** The newest record of our own that has been shown; 0: none. */
  ownSeq = 0
  /** Others that are there. */
  living: readonly Peer[] = []
  private readonly ownId: string
  private readonly peers = new Map<string, Peer>()

  constructor(ownId: string) {
    this.ownId = ownId
  }

  /**
   * What a node showed: ids and records in turn, and what was found in the latter (undefined: nothing that we would have written).
   * False when it was shown as of an older moment than what is known.
   */
  take(fields: readonly string[], records: readonly (FleetRecord | undefined)[], asOfMs: number): boolean {
    if (!(asOfMs >= this.asOfMs)) return false
    this.asOfMs = asOfMs
    const shown = new Set<string>()
    for (let i = 0; i + 1 < fields.length && i < 2 * fleetProxiesMax; i += 2) {
      const id = fields[i]!
      const record = records[i / 2]
      if (record === undefined) continue
      if (id === this.ownId) {
        if (record.seq > this.ownSeq) this.ownSeq = record.seq
        continue
      }
      shown.add(id)
      const peer = this.peers.get(id)
      if (peer === undefined) this.peers.set(id, { id, record, movedAtMs: asOfMs, isThere: true })
      else if (record.seq > peer.record.seq) {
        peer.record = record
        peer.movedAtMs = asOfMs
      }
    }
    // One whose record is missing is like one that is silent: the key may have been evicted, and is written again.
    const living: Peer[] = []
    for (const peer of this.peers.values()) {
      peer.isThere = asOfMs - peer.movedAtMs <= missedMax * peer.record.everyMs
      if (peer.isThere) living.push(peer)
      // It outlives its record, which would be taken for that of a new proxy.
      else if (!shown.has(peer.id)) this.peers.delete(peer.id)
    }
    this.living = living
    return true
  }

  /**
   * Records of the dead that it is our turn to delete: one proxy does so for all, the first by id, so that there are not as many
   * deletions as proxies. One that comes back writes anew.
   */
  deletable(): string[] {
    for (const { id } of this.living) if (id < this.ownId) return []
    const ids: string[] = []
    for (const peer of this.peers.values())
      if (!peer.isThere && this.asOfMs - peer.movedAtMs > missedMax * peer.record.everyMs + deadMs) ids.push(peer.id)
    return ids
  }
}
