/**
 * What one tenant has on its way on one lane. The lane counts it, by the places in its ring: whatever becomes of a client, a
 * place counts until it is answered, taken back, or lost with its connection.
 */
export class LaneUse {
  /** The lane that counts; places on another do not. Undefined: of nobody in particular. */
  readonly lane: object | undefined
  /** Commands without an answer. */
  inFlight = 0
  /** Commands answered, and the bytes of the answers. */
  answered = 0
  replyBytes = 0

  constructor(lane: object | undefined) {
    this.lane = lane
  }
}
