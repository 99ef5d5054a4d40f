/**
 * Which node answers a read. Pure, and allocation-free because it runs per command: the caller owns `need` and `choice`
 * and uses them again. What the facts are: regions/node.ts. Whether the primary has room for a fallback: not here.
 *
 * Nodes are tried nearest first. The confirmed primary is always acceptable; another node must be readable, within the
 * staleness bound, and have shown the marks that the read depends on.
 */
import { FenceNeed } from '../regions/fences.ts'
import type { Node } from '../regions/node.ts'

/** Consistency levels as numbers, ordered: a higher one promises more. */
export const LEVEL = { eventual: 0, bounded: 1, session: 2, strong: 3 } as const
export type LevelCode = (typeof LEVEL)[keyof typeof LEVEL]
export type LevelName = keyof typeof LEVEL

/** Why a nearer node was passed over; the index into `reasonNames`, which are the values of the metric's label. */
export const REASON = {
  none: 0,
  /** Its newest shown mark is older than the bound. */
  lag: 1,
  /** It has not shown the mark behind a write of this tenant's, behind what this connection has read, or of its token. */
  session: 2,
  /** Down, loading, syncing, or cut off from the primary. */
  down: 3,
  /** No mark was shown in its present incarnation, so nothing is known of its age. */
  unknown: 4,
  /** The level asks for the primary. */
  level: 5,
} as const
export type Reason = (typeof REASON)[keyof typeof REASON]
export const reasonNames = ['none', 'lag', 'session', 'down', 'unknown', 'level'] as const

export interface ReadNeed {
  /** A LEVEL. */
  level: number
  /** Bound on staleness, kept at every level where it is finite; Infinity = no bound. */
  maxStalenessMs: number
  /** `session`: the tenant's writes that this read must see. */
  readonly fences: FenceNeed
  /** A mark that must have been shown, whatever the level: PROXY AFTER. 0: none. */
  after: number
  /** `strong`: a mark that was sent after the read had arrived; Infinity: none was, so only the primary will do. */
  readIndex: number
  /** `session`: who answered this connection's last read (-1 = nobody), in which incarnation, */
  lastNode: number
  lastIncarnation: number
  /** and the position of the newest state that it has seen: the first mark not yet sent then; 0 = nothing seen. */
  seen: number
  seenSlot: number
  seenTrail: number
}

/** A need that asks for nothing: to be filled and used again. */
export function newReadNeed(): ReadNeed {
  return {
    level: 0,
    maxStalenessMs: Number.POSITIVE_INFINITY,
    fences: new FenceNeed(),
    after: 0,
    readIndex: Number.POSITIVE_INFINITY,
    lastNode: -1,
    lastIncarnation: 0,
    seen: 0,
    seenSlot: -1,
    seenTrail: 0,
  }
}

export interface Choice {
  /** A REASON: why the nearest node was not taken; `none` when it was. Set by every call. */
  reason: number
  /** Index of that nearest node, -1 when `reason` is none. */
  passedOver: number
}

/** Index of the node to read from, or -1 when none will do: then `choice.reason` is the nearest node's. */
export function chooseRead(
  need: ReadNeed,
  readOrder: readonly Node[],
  primary: Node | undefined,
  now: number,
  choice: Choice,
): number {
  choice.reason = REASON.none
  choice.passedOver = -1
  for (let i = 0; i < readOrder.length; i++) {
    const node = readOrder[i]!
    const reason = obstacle(need, node, primary, now)
    if (reason === REASON.none) return node.index
    if (choice.passedOver === -1) {
      choice.reason = reason
      choice.passedOver = node.index
    }
  }
  return -1
}

/** May this node answer that read now? */
export function isNodeFresh(need: ReadNeed, node: Node, primary: Node | undefined, now: number): boolean {
  return obstacle(need, node, primary, now) === REASON.none
}

/** What stands between the read and the node. The most basic obstacle is named first. */
export function obstacle(need: ReadNeed, node: Node, primary: Node | undefined, now: number): Reason {
  if (node === primary) return REASON.none
  if (need.level === LEVEL.strong && !(node.shownSeq >= need.readIndex)) return REASON.level
  if (!node.isReadable) return REASON.down
  if (need.maxStalenessMs !== Number.POSITIVE_INFINITY || need.level === LEVEL.bounded) {
    // A bounded read whose bound is missing is still one: what has shown no mark has no bound at all.
    if (node.shownSeq === 0) return REASON.unknown
    if (!(now - node.shownSentAtMs <= need.maxStalenessMs)) return REASON.lag
  }
  if (node.shownSeq < need.after) return node.shownSeq === 0 ? REASON.unknown : REASON.session
  if (need.level === LEVEL.session) {
    if (!need.fences.isMetBy(node)) return node.shownSeq === 0 ? REASON.unknown : REASON.session
    // The same node in the same incarnation cannot have gone back; any other must have shown what was seen.
    const isSame = node.index === need.lastNode && node.incarnation === need.lastIncarnation
    if (!isSame && !node.covers(need.seen, need.seenSlot, need.seenTrail))
      return node.shownSeq === 0 ? REASON.unknown : REASON.session
  }
  return REASON.none
}
