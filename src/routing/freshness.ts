/**
 * How old a node may be. Pure arithmetic over the facts of regions/node.ts; all times are this process's monotonic
 * milliseconds, no clock of another machine is ever compared. docs/decisions/0002-watermarks-by-publish.md.
 */
import type { Node } from '../regions/node.ts'

/**
 * Upper bound of a replica's staleness in ms: everything that was acknowledged to anybody before the newest mark it has
 * shown was sent is visible there. Infinity = unknown, hence too stale for every bound. Never negative.
 */
export function stalenessMs(node: Node, now: number): number {
  return Math.max(0, now - node.shownSentAtMs)
}

/** True when the node has shown `seq` or a later mark in its present incarnation; 0 asks for nothing. */
export function hasShown(node: Node, seq: number): boolean {
  return node.shownSeq >= seq
}

/** Bytes of replication stream that a replica has not applied yet, by the offsets last seen; NaN when one is unknown. */
export function lagBytes(node: Node, primary: Node | undefined): number {
  if (primary === undefined || !node.isUp) return Number.NaN
  if (node === primary) return 0
  return Math.max(0, primary.offset - node.offset)
}
