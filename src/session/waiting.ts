/**
 * Clients whose bytes are not being parsed for a while, and how they go on: those that wait for a node (bounded by their
 * own deadline), for room on a lane, or just for the stack to be empty.
 *
 *   stalled --a node, a lane, a mark, the time--> ready --end of the turn, or of a node's replies--> session.resume()
 *
 * ~ a window: setImmediate.
 */
import type { Lane } from '../upstream/lane.ts'
import { type Session, stallBusy, stallNode, stallNone } from './session.ts'

export class WaitingRoom {
  private readonly ready: Session[] = []
  private isResumePlanned = false
  private readonly forNode = new Set<Session>()
  private readonly forRoom = new Map<Lane, Session[]>()
  private readonly now: () => number
  private readonly newestShown: () => number

  /** `newestShown`: the newest mark that any replica has shown. */
  constructor(now: () => number, newestShown: () => number = () => Number.POSITIVE_INFINITY) {
    this.now = now
    this.newestShown = newestShown
  }

  addForNode(session: Session): void {
    this.forNode.add(session)
  }

  addForRoom(session: Session, lane: Lane): void {
    const waiters = this.forRoom.get(lane)
    if (waiters === undefined) this.forRoom.set(lane, [session])
    else waiters.push(session)
  }

  /** At the end of this turn. */
  soon(run: () => void): void {
    setImmediate(run)
  }

  resumeSoon(session: Session): void {
    this.ready.push(session)
    if (!this.isResumePlanned) {
      this.isResumePlanned = true
      setImmediate(this.resumeAll)
    }
  }

  /** Called when no lane is on the stack: after a node's replies were read, and once a turn. */
  readonly resumeAll = (): void => {
    this.isResumePlanned = false
    while (this.ready.length > 0) {
      const batch = this.ready.splice(0)
      for (const session of batch) {
        if (session.stall === stallBusy) continue
        session.stall = stallNone
        session.resume()
      }
    }
  }

  /** A node, a lane or a role has changed: whoever waits for one tries again. */
  retryNodes(): void {
    for (const session of this.forNode) this.resumeSoon(session)
    this.forNode.clear()
  }

  /** Waiters whose time is over are answered; called every few ms while there are some. */
  readonly expire = (): void => {
    const nowMs = this.now()
    const shown = this.newestShown()
    for (const session of this.forNode) {
      // A replica may have shown what this read waits for; others wait for a change of the nodes, or their time.
      const waitsForMark =
        session.readIndex !== 0
          ? session.readIndex <= shown
          : session.markWaitUntilMs !== 0 || session.account?.whenStale === 'wait'
      if (session.stallUntilMs > nowMs && session.stall === stallNode && !waitsForMark) continue
      this.forNode.delete(session)
      this.resumeSoon(session)
    }
  }

  get hasNodeWaiters(): boolean {
    return this.forNode.size > 0
  }

  laneHasRoom(lane: Lane): void {
    const waiters = this.forRoom.get(lane)
    if (waiters === undefined) return
    this.forRoom.delete(lane)
    for (const session of waiters) this.resumeSoon(session)
  }

  forget(session: Session): void {
    this.forNode.delete(session)
  }
}
