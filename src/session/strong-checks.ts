/**
 * Is the node that answered these reads still the primary? A node that was demoted without our knowledge goes on answering
 * reads, and accepts a PUBLISH. What it refuses is a write. So a batch of strong reads that is sent to the primary ends with
 *
 *   UNLINK regis:wm:<instance>:none       -> :0   it was the primary when it ran this, and so it was before
 *                                         -> -READONLY, -NOREPLICAS: it is not, or it is cut off from its replicas
 *
 * on the same connection: a write by its flag that changes nothing (a missing key is not replicated), passes a full memory,
 * and is one for all strong reads of that flush. Their replies wait for it (proven-replies.ts). Where the disk of the primary
 * refuses all writes (-MISCONF), ROLE is asked instead.
 */
import { encodeRequest } from '../resp/encode.ts'
import { isMasterReply } from '../upstream/connection.ts'
import type { Lane } from '../upstream/lane.ts'
import { type ProvenFor, ProvenReplies } from './proven-replies.ts'

export interface StrongChecksOptions {
  /** The channel of the marks: 128 random bits that are no tenant's key. */
  readonly channel: string
  after(ms: number, run: () => void): void
  wantsFlush(lane: Lane): void
  /** The node refused a check; the first word of its error. */
  refused(lane: Lane, code: string): void
}

/** A check and to spare: the key has 52 bytes. */
const checkBytesMax = 256
/** A full arena has room again when the socket has taken it. */
const retryMs = 5
const roleRequest = encodeRequest(['ROLE'])

export class StrongChecks {
  /** Checks sent so far. */
  sent = 0
  private readonly options: StrongChecksOptions
  private readonly request: Uint8Array
  /** Who has strong reads on a lane behind which no check was put yet. */
  private readonly waiting = new Map<Lane, Set<ProvenReplies>>()

  constructor(options: StrongChecksOptions) {
    this.options = options
    this.request = encodeRequest(['UNLINK', `${options.channel}:none`])
  }

  /** A strong read of this client is about to be put on a lane to the primary; whose place in the ring it takes. */
  hold(session: ProvenFor, lane: Lane): ProvenReplies {
    session.proving ??= new ProvenReplies(session)
    let batch = this.waiting.get(lane)
    if (batch === undefined) {
      batch = new Set()
      this.waiting.set(lane, batch)
      lane.needsCheck = true
      this.options.wantsFlush(lane)
    }
    batch.add(session.proving)
    return session.proving
  }

  /** The lane is about to be flushed. */
  beforeFlush(lane: Lane): void {
    const batch = this.waiting.get(lane)
    if (batch === undefined) {
      lane.needsCheck = false
      return
    }
    if (!lane.hasRoomFor(checkBytesMax)) {
      this.options.after(retryMs, () => this.options.wantsFlush(lane))
      return
    }
    lane.needsCheck = false
    this.waiting.delete(lane)
    this.sent++
    lane.sendInternal(this.request, (reply) => this.answered(lane, batch, reply))
  }

  /** The connection is gone; what was in flight has been answered. */
  laneLost(lane: Lane): void {
    const batch = this.waiting.get(lane)
    if (batch === undefined) return
    this.waiting.delete(lane)
    release(batch, false, lane)
  }

  private answered(lane: Lane, batch: ReadonlySet<ProvenReplies>, reply: Buffer | undefined): void {
    const error = reply?.[0] === 45 ? (/^-(\S+)/.exec(reply.toString('latin1', 0, 40))?.[1] ?? '') : ''
    if (error === 'MISCONF' && lane.hasRoomFor(checkBytesMax)) {
      lane.sendInternal(roleRequest, (role) => release(batch, role !== undefined && isMasterReply(role), lane))
      return
    }
    if (error !== '') this.options.refused(lane, error)
    release(batch, reply !== undefined && error === '', lane)
  }
}

function release(batch: ReadonlySet<ProvenReplies>, isProven: boolean, lane: Lane): void {
  for (const held of batch) held.release(isProven, lane)
}
