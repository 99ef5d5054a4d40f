/**
 * Is this still the replica of which something was proven? A replica can go back in time on a living connection: it is told
 * to follow a sibling that lags, or what it follows restarts with an old copy, and after a full copy it goes on from an older
 * state, while our connections to it stay open. The probes notice it within 200 ms, the marks when an older one comes. So a flush
 * of reads that need a proof begins with
 *
 *   [ROLE][GET ...][GET ...]  -> *5 slave, whom it follows, its offset   still the same, and not less than before
 *
 * in one write on one connection, and no reply behind it is looked at before its answer. From being told to follow another to holding
 * the other's data a replica needs several turns of its event loop, and bytes that came together are run together, so what
 * follows an answer that holds was read from what was proven. When it does not hold, every proof of that node is void and the
 * connection is given up: those reads are answered *not executed*.
 *
 * What is compared is what was known when the request was sent: a probe may have learnt of the change since.
 */
import { encodeRequest } from '../resp/encode.ts'
import type { CollectHandler, Lane } from '../upstream/lane.ts'
import type { Node } from './node.ts'

export interface GuardsOptions {
  readonly nodes: readonly Node[]
  /** This node is not what it was; what it had proven is void. */
  wentBack(node: Node): void
}

const request = encodeRequest(['ROLE'])

/** The guards of one lane that are in flight, the oldest first. */
class LaneGuards {
  readonly handler: CollectHandler
  private readonly node: Node
  private readonly lane: Lane
  private readonly wentBack: (node: Node) => void
  private readonly follows: string[] = []
  private readonly offsets: number[] = []
  /** All of the last answer before its offset, and whom it was found to follow. */
  private head = Buffer.alloc(0)
  private headFollows = ''

  constructor(lane: Lane, node: Node, wentBack: (node: Node) => void) {
    this.lane = lane
    this.node = node
    this.wentBack = wentBack
    this.handler = (reply) => this.answered(reply)
  }

  sent(): void {
    this.follows.push(this.node.follows)
    this.offsets.push(this.node.appliedOffset)
  }

  takenBack(): void {
    this.follows.pop()
    this.offsets.pop()
  }

  private answered(reply: Buffer | undefined): void {
    const follows = this.follows.shift()!
    const offset = this.offsets.shift()!
    // An error is no answer to the question (LOADING, and then the reads are refused as well; no right to ask).
    if (reply === undefined || reply[0] === 45) return
    const { node } = this
    const now = this.offsetIn(reply, follows)
    if (now === offsetUnknown) return // its link is down: what it holds is what it held
    if (now >= offset) {
      if (now > node.appliedOffset) node.appliedOffset = now
      return
    }
    this.wentBack(node)
    this.lane.destroy('the replica is not what it was')
  }

  /** Answers differ in their last number alone, nearly always: what stands before it is taken apart once. */
  private offsetIn(reply: Buffer, follows: string): number {
    const { head } = this
    if (
      follows === this.headFollows &&
      reply.length > head.length &&
      reply.compare(head, 0, head.length, 0, head.length) === 0
    ) {
      let n = 0
      let at = head.length
      for (let digit = reply[at]! - 48; digit >= 0 && digit <= 9; digit = reply[++at]! - 48) n = n * 10 + digit
      if (at > head.length && reply[at] === 13) return n
    }
    const offset = offsetOf(reply, follows)
    if (offset >= 0) {
      this.head = Buffer.from(reply.subarray(0, reply.lastIndexOf(58) + 1))
      this.headFollows = follows
    }
    return offset
  }
}

export class Guards {
  private readonly options: GuardsOptions
  private readonly ofLane: LaneGuards[] = []
  private readonly ofLease = new WeakMap<Lane, LaneGuards>()

  constructor(options: GuardsOptions) {
    this.options = options
  }

  /** Reads that need a proof are about to be put on this lane to a replica. One guard a flush. */
  before(lane: Lane): void {
    const { nodes, wentBack } = this.options
    if (lane.isGuarded) return
    // An old primary that is read while there is no other follows nobody.
    if (nodes[lane.nodeIndex]!.role !== 'replica') {
      lane.isGuarded = true
      return
    }
    let guards = lane.isLeased ? this.ofLease.get(lane) : this.ofLane[lane.index]
    if (guards === undefined) {
      guards = new LaneGuards(lane, nodes[lane.nodeIndex]!, wentBack)
      if (lane.isLeased) this.ofLease.set(lane, guards)
      else this.ofLane[lane.index] = guards
    }
    guards.sent()
    lane.sendInternal(request, guards.handler)
    lane.isGuarded = true
  }

  /** The reads behind the guard that was put on this shared lane last were taken back, and it with them. */
  takenBack(lane: Lane): void {
    if (this.options.nodes[lane.nodeIndex]!.role === 'replica') this.ofLane[lane.index]?.takenBack()
  }
}

/** The replica has no link to its primary now. */
export const offsetUnknown = -1
/** Another role, or it follows somebody else. */
const offsetOfAnother = Number.NEGATIVE_INFINITY

/**
 * The replication offset in a replica's answer to ROLE (`*5` slave, host, port, state, offset), bytes; -Infinity when it is no
 * replica of `follows` (`host:port`) any more.
 */
export function offsetOf(reply: Buffer, follows: string): number {
  const parts = reply.toString('latin1').split('\r\n')
  const [, , role, , host, port, , , offset] = parts
  if (role !== 'slave' || `${host}:${port?.slice(1)}` !== follows) return offsetOfAnother
  return offset?.[0] === ':' ? Number(offset.slice(1)) : offsetOfAnother
}
