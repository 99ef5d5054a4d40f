/**
 * Stands in a lane's ring in a client's place, and says it what it hears: the common part of those that keep replies for a
 * while (held-replies.ts, proven-replies.ts, second-try.ts), which take what they are there for into their own hands.
 */
import type { Lane, ReplySink } from '../upstream/lane.ts'
import type { LaneUse } from '../upstream/lane-use.ts'

export class SinkFor<S extends ReplySink> implements ReplySink {
  readonly session: S

  constructor(session: S) {
    this.session = session
  }

  get isClosed(): boolean {
    return this.session.isClosed
  }

  get use(): LaneUse | undefined {
    return this.session.use
  }

  onReply(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean {
    return this.session.onReply(view, completed, hasWrite, lane)
  }

  onSwallowed(completed: number, hasWrite: boolean, lane: Lane): void {
    this.session.onSwallowed(completed, hasWrite, lane)
  }

  onErrorReply(code: string, isWrite: boolean, text?: Buffer): void {
    this.session.onErrorReply(code, isWrite, text)
  }

  onUncertain(lane: Lane): void {
    this.session.onUncertain(lane)
  }

  onTruncated(): void {
    this.session.onTruncated()
  }

  onLateWrite(lane: Lane): void {
    this.session.onLateWrite(lane)
  }
}
