/**
 * Marks behind commands, on the lanes of the data path. The position of a tenant's write is the mark directly behind it on
 * the same connection: it reaches a replica about when the write's reply reaches the client, so the client's next read
 * finds it there. A mark that is sent only after the reply makes a distant client chase its own writes.
 *
 *   [SET ...][SET ...][PUBLISH regis:wm:<instance> <epoch>:d<lane>:<seq>]  -> one write, in this order on the primary
 *
 * One mark ends a flush, at most every few ms a lane; where the nearest node is the primary itself, nobody needs one.
 */
import type { Clock } from '../base/clock.ts'
import { encodeRequest } from '../resp/encode.ts'
import type { Lane } from '../upstream/lane.ts'
import type { Timers } from './timers.ts'
import type { RegionTracker } from './tracker.ts'

export interface TrailOptions {
  readonly tracker: RegionTracker
  readonly clock: Clock
  readonly timers: Timers
  /** Flush this lane at the end of the turn. */
  wantsFlush(lane: Lane): void
}

export class Trails {
  private readonly options: TrailOptions
  private readonly waiting = new Set<Lane>()

  constructor(options: TrailOptions) {
    this.options = options
  }

  /** The lane is about to be flushed and has something that a mark should follow. Appends it, now or at the next chance. */
  beforeFlush(lane: Lane): void {
    const { tracker, clock, timers } = this.options
    if (!lane.isReady || !lane.isPrimary || tracker.primary?.index !== lane.nodeIndex) {
      lane.needsTrail = false
      return
    }
    const now = clock.now()
    const isFull = !lane.hasRoomFor(trailBytesMax)
    const dueInMs = isFull ? retryMs : lane.lastTrailAtMs + tracker.marks.gapMsNow - now
    if (dueInMs > 0) {
      if (this.waiting.has(lane)) return
      this.waiting.add(lane)
      timers.after(Math.ceil(dueInMs), () => {
        this.waiting.delete(lane)
        if (lane.needsTrail && lane.isReady) this.options.wantsFlush(lane)
      })
      return
    }
    const trail = tracker.takeTrail(lane.index)
    if (trail === undefined) return
    lane.needsTrail = false
    lane.lastTrailSeq = trail.seq
    lane.lastTrailAtMs = now
    lane.sendInternal(encodeRequest(trail.request), (reply) => {
      // Refused (no right to PUBLISH): positions are then proven by the marks of the control connection alone.
      if (reply !== undefined && reply[0] === 45) lane.lastTrailAtMs = now + refusedPauseMs
    })
  }
}

/** A PUBLISH of a mark: channel of 40 bytes, three numbers, headers. */
const trailBytesMax = 256
/** A full arena has room again when the socket has taken it. */
const retryMs = 5
/** After a refusal a lane carries no mark for this long. */
const refusedPauseMs = 10_000
