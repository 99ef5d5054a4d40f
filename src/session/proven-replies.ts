/**
 * Replies of one client that are not given yet. A strong read at the primary counts only if that node was the primary when it
 * ran: a request behind it on the same connection, which a demoted node refuses, says so (session/strong-checks.ts). Until its
 * answer has come the reply waits here, and so do the replies to whatever the client sent behind it.
 *
 *   lane --onReply--> held [GET: $1 x][SET: +OK]  --check accepted--> session.onReply
 *                                                 `-refused or lost--> the reads' places are taken by an error
 *
 * Stands in the lane's ring in the session's place for as long as a strong read of it is in flight. What is part of one
 * large reply streams through, but for its end: a client can do nothing with it before, and is cut off if the check fails.
 */
import { errorText } from '../base/errors.ts'
import { heldReplyBytesMax, heldStreamBytes } from '../base/limits.ts'
import { ReplyFramer } from '../resp/reply-framer.ts'
import type { Lane, ReplySink } from '../upstream/lane.ts'
import { SinkFor } from './sink-for.ts'

/** Who the replies are for. */
export interface ProvenFor extends ReplySink {
  proving: ProvenReplies | undefined
  /** What holds replies for another reason, and is given them after the proof. */
  readonly held: ReplySink | undefined
  destroy(reason: string): void
}

/** '-' */
const errorByte = 0x2d

export class ProvenReplies extends SinkFor<ProvenFor> {
  /** Of each command in flight through here, the oldest first: whether its reply must be proven. */
  private proofs: boolean[] = []
  private answered = 0
  private pieces: Uint8Array[] = []
  private bytes = 0
  private completed = 0
  private hasWrite = false
  /** A part of the first of them has been given already. */
  private isCut = false
  /** A reply that need not be proven is given in parts; finds its end. */
  private passing: ReplyFramer | undefined
  /** Of the reply under way, and of the largest that is kept: the parts before the last. */
  private underWay = 0
  private largest = 0

  private get inner(): ReplySink {
    return this.session.held ?? this.session
  }

  /** One more command is put on the lane in this object's name. */
  add(needsProof: boolean): void {
    this.proofs.push(needsProof)
  }

  /** What is given can begin and end inside of a reply: those are told apart here, since one may have to wait and its neighbour not. */
  override onReply(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean {
    const { isHeadPartial } = lane
    const tail = this.passing === undefined || completed === 0 ? 0 : this.passing.next(view, 0, view.length)
    const head = isHeadPartial && completed > 0 ? view.length - lane.headBytes : view.length
    if (head === view.length && (tail === 0 || tail === head)) return this.take(view, completed, hasWrite, lane)
    let isHeld = false
    let left = completed
    lane.isHeadPartial = false
    if (tail > 0) {
      isHeld = this.take(view.subarray(0, tail), 1, hasWrite, lane)
      left--
    }
    if (left > 0 && !this.isClosed) isHeld = this.take(view.subarray(tail, head), left, hasWrite, lane) || isHeld
    lane.isHeadPartial = isHeadPartial
    if (head === view.length || this.isClosed) return isHeld
    return this.take(view.subarray(head), 0, hasWrite, lane) || isHeld
  }

  /** Whole replies, or (`completed` 0) a part of one; the first may be the end of one that was given in part. */
  private take(view: Uint8Array, completed: number, hasWrite: boolean, lane: Lane): boolean {
    if (this.completed === 0 && this.bytes === 0 && !this.needsProof(completed)) {
      if (completed === 0) {
        this.passing ??= new ReplyFramer()
        this.passing.next(view, 0, view.length)
      } else this.passing = undefined
      this.answered += completed
      const isHeld = this.inner.onReply(view, completed, hasWrite, lane)
      this.rest()
      return isHeld
    }
    if (completed === 0 && this.completed === 0 && this.bytes + view.length > heldStreamBytes) {
      for (const piece of this.takePieces()) this.inner.onReply(piece, 0, false, lane)
      this.isCut = true
      return this.inner.onReply(view, 0, false, lane)
    }
    this.pieces.push(Buffer.from(view))
    this.bytes += view.length
    this.completed += completed
    if (hasWrite) this.hasWrite = true
    this.underWay = completed === 0 ? this.underWay + view.length : 0
    this.largest = Math.max(this.largest, this.underWay)
    // One reply may be of any size (session.ts, onSlowReader).
    if (this.bytes > heldReplyBytesMax + this.largest) this.session.destroy('output limit')
    return false
  }

  /** Is there one that must be proven among the next `completed` replies, or is the one under way such a one? */
  private needsProof(completed: number): boolean {
    const from = this.answered
    for (let i = from; i < from + Math.max(1, completed); i++) if (this.proofs[i] === true) return true
    return false
  }

  private takePieces(): Uint8Array[] {
    const { pieces } = this
    this.pieces = []
    this.bytes = 0
    return pieces
  }

  /** The answer to a check has come, so all that was put on the lane before it is answered. */
  release(isProven: boolean, lane: Lane): void {
    const { session, completed, hasWrite, isCut } = this
    if (completed === 0) return
    const pieces = this.takePieces()
    const proofs = this.proofs.slice(this.answered, this.answered + completed)
    this.answered += completed
    this.completed = 0
    this.hasWrite = false
    this.isCut = false
    this.largest = 0
    this.rest()
    if (session.isClosed) return
    if (!isProven && isCut) return session.onTruncated()
    const replies = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    this.inner.onReply(isProven ? replies : withoutUnproven(replies, proofs), completed, hasWrite, lane)
  }

  /** Nothing is in flight through here any more: the client's next commands are its own again. */
  private rest(): void {
    if (this.answered < this.proofs.length || this.completed > 0) return
    this.proofs = []
    this.answered = 0
    this.session.proving = undefined
  }

  override onSwallowed(completed: number, hasWrite: boolean, lane: Lane): void {
    this.inner.onSwallowed(completed, hasWrite, lane)
  }
}

/** Replies one by one; those that were to be proven and were not become an error, unless they are one. */
function withoutUnproven(replies: Uint8Array, proofs: readonly boolean[]): Buffer {
  const bytes = Buffer.from(replies)
  const framer = new ReplyFramer()
  const out: Buffer[] = []
  let pos = 0
  for (const needsProof of proofs) {
    const end = framer.next(bytes, pos, bytes.length)
    const isKept = !needsProof || bytes[pos] === errorByte
    out.push(isKept ? bytes.subarray(pos, end) : Buffer.from(`-${errorText('NO_PRIMARY')}\r\n`))
    pos = end
  }
  return Buffer.concat(out)
}
