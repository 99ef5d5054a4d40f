/**
 * Clients that have had their time (to log in, for a request, to read, of silence), and unread replies of all of them together:
 * who is closed for it. Looked at twice a second by proxy.ts; bounds that are taken at once are shared-bounds.ts.
 */
import { halfFrameMs, unauthMs } from '../base/limits.ts'
import type { Clients } from './clients.ts'
import { modeSubscriber, type Session, stallBusy, stallPaused } from './session.ts'

export interface OverdueLimits {
  /** 0: none. */
  readonly idleTimeoutMs: number
  /** Unread replies of all clients together, `limits.output`. */
  readonly outputBytes: number
}

type Open = Pick<Clients, 'sessions' | 'lingering'>

export function closeOverdue(clients: Open, { idleTimeoutMs, outputBytes }: OverdueLimits, nowMs: number): void {
  let unreadBytes = 0
  for (const session of clients.sessions.values()) {
    const reason = overdue(session, idleTimeoutMs, nowMs)
    if (reason === undefined) unreadBytes += session.socket.writableLength
    else session.destroy(reason)
  }
  for (const socket of clients.lingering) unreadBytes += socket.writableLength
  if (unreadBytes > outputBytes) shedOutput(clients, unreadBytes - outputBytes)
}

/** Why this client is closed; undefined: it has time. */
function overdue(session: Session, idleTimeoutMs: number, nowMs: number): string | undefined {
  if (session.account === undefined && nowMs - session.unauthSinceMs > unauthMs) return 'no authentication'
  const isHalf = session.halfFrameSinceMs !== 0 && session.stall === 0
  if (isHalf && nowMs - session.halfFrameSinceMs > halfFrameMs) return 'half a request'
  if (session.isOutputOverdue(nowMs)) return 'output limit'
  const isIdle =
    idleTimeoutMs > 0 &&
    session.inFlight === 0 &&
    (session.mode & modeSubscriber) === 0 && // whoever listens is not idle, as in Redis
    session.stall !== stallBusy &&
    session.stall !== stallPaused &&
    nowMs - session.lastActiveMs > idleTimeoutMs
  return isIdle ? 'idle' : undefined
}

/** Unread replies of all clients together are above `limits.output`: those who hold most are closed. */
function shedOutput(clients: Open, excessBytes: number): void {
  const holders = [...clients.sessions.values()].sort((a, b) => b.socket.writableLength - a.socket.writableLength)
  let left = excessBytes
  // Those who have said goodbye and do not read go first.
  for (const socket of [...clients.lingering].sort((a, b) => b.writableLength - a.writableLength)) {
    if (left <= 0 || socket.writableLength === 0) break
    left -= socket.writableLength
    socket.destroy()
  }
  for (const session of holders) {
    if (left <= 0) return
    left -= session.socket.writableLength
    session.destroy('output limit')
  }
}
