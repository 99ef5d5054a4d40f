/**
 * A request that a client is in the middle of, and that is not kept: its bytes go on to the client's own connection as they
 * come, or nowhere when it was answered before its end. What becomes of it is decided in src/stream-path.ts.
 */
import type { PieceCheck, PieceRewriter } from '../tenant/rewrite-pieces.ts'
import type { Lane } from '../upstream/lane.ts'

export class RequestStream {
  readonly pieces: PieceRewriter
  /** Looks at what was made; it begins with the first piece. */
  check: PieceCheck | undefined
  /** Undefined: it has its answer, and the rest of it is thrown away. */
  lane: Lane | undefined
  /** Bytes of it that its tenant's quotas have been charged for. */
  charged: number

  constructor(pieces: PieceRewriter, lane: Lane | undefined, charged: number) {
    this.pieces = pieces
    this.lane = lane
    this.charged = charged
  }

  discard(): void {
    this.lane = undefined
    this.pieces.drop()
  }

  /** What it has the proxy keep. */
  get bytes(): number {
    return this.pieces.out.length
  }
}
