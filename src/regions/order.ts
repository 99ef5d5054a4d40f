/**
 * Nearest first. Pure arithmetic over round trips; which nodes are fit to be read is not asked here.
 *
 * Measured times jitter, and readers that change node for nothing lose their monotonic proof each time. Two things keep
 * the order still: the time that a node is ranked by follows its smoothed round trip only when that has moved by more
 * than a quarter and 1 ms, and a node of our own region is ranked as if it were that much nearer than it is.
 */
import type { Node } from './node.ts'

const toleranceShare = 0.25
const toleranceMs = 1
/** Weight of the newest sample: five probes of 200 ms carry two thirds of the answer. */
const sampleWeight = 0.2

/** The smoothed round trip after one more sample; Infinity means that there was none before. */
export function smooth(rttMs: number, sampleMs: number): number {
  return Number.isFinite(rttMs) ? rttMs + sampleWeight * (sampleMs - rttMs) : sampleMs
}

/** The time to rank a node by: the old one unless the smoothed round trip has really moved. */
export function rankedBy(rankMs: number, rttMs: number): number {
  if (!Number.isFinite(rankMs) || !Number.isFinite(rttMs)) return rttMs
  return Math.abs(rttMs - rankMs) > Math.max(toleranceMs, rankMs * toleranceShare) ? rttMs : rankMs
}

/**
 * All nodes, nearest first; ties keep the order of the configuration, local nodes before others.
 * `ranksMs` by node index; `distances` is ms of round trip by region and overrides what was measured.
 */
export function orderByDistance(
  nodes: readonly Node[],
  ranksMs: readonly number[],
  distances: Readonly<Record<string, number>>,
): readonly Node[] {
  const costMs = (node: Node): number => {
    const given = Object.hasOwn(distances, node.address.region) ? distances[node.address.region] : undefined
    const rankMs = given ?? ranksMs[node.index] ?? Number.POSITIVE_INFINITY
    return node.isLocal ? Math.max(0, rankMs * (1 - toleranceShare) - toleranceMs) : rankMs
  }
  return [...nodes].sort((a, b) => {
    const [costA, costB] = [costMs(a), costMs(b)]
    if (costA !== costB) return costA - costB
    return a.isLocal === b.isLocal ? a.index - b.index : a.isLocal ? -1 : 1
  })
}
