/**
 * Nearest first. Pure arithmetic over round trips; which nodes are fit to be read is not asked here.
 *
 * Measured times jitter, and readers that change node for nothing lose their monotonic proof each time. Three things keep
 * the order still: the time that a node is ranked by follows its smoothed round trip only when that has moved by more
 * than a quarter and 1 ms, a node of our own region is ranked as if it were that much nearer than it is, and one node
 * passes another only when it is nearer by as much.
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
 * `before`: the order until now, which is kept but for nodes that have really come nearer than one that stands before them.
 */
export function orderByDistance(
  nodes: readonly Node[],
  ranksMs: readonly number[],
  distances: Readonly<Record<string, number>>,
  before?: readonly Node[],
): readonly Node[] {
  const costMs = (node: Node): number => {
    const rankMs = rankOf(node, ranksMs, distances)
    return node.isLocal ? Math.max(0, rankMs * (1 - toleranceShare) - toleranceMs) : rankMs
  }
  if (before === undefined) {
    return [...nodes].sort((a, b) => {
      const [costA, costB] = [costMs(a), costMs(b)]
      if (costA !== costB) return costA - costB
      return a.isLocal === b.isLocal ? a.index - b.index : a.isLocal ? -1 : 1
    })
  }
  const order: Node[] = []
  for (const node of before) {
    const cost = costMs(node)
    const place = order.findIndex((other) => cost < costMs(other) * (1 - toleranceShare) - toleranceMs)
    if (place < 0) order.push(node)
    else order.splice(place, 0, node)
  }
  return order
}

function rankOf(node: Node, ranksMs: readonly number[], distances: Readonly<Record<string, number>>): number {
  const given = Object.hasOwn(distances, node.address.region) ? distances[node.address.region] : undefined
  return given ?? ranksMs[node.index] ?? Number.POSITIVE_INFINITY
}

/** As many orders are made at most: with more equals than that their shares are a little uneven. */
const turnsMax = 60

/**
 * The same order in turns, so that the replicas of one region share its readers: a client has one turn for life, so it stays
 * with its node as long as that will do. They count as equally near because they are of one region: what is measured
 * between them is the load of two machines at least as much as their distance, and whoever went by it would move clients
 * to and fro. The primary keeps its place: its share is the writes.
 */
export function inTurns(order: readonly Node[], primary: Node | undefined): readonly (readonly Node[])[] {
  /** By region: places in the order of its replicas. */
  const groups = new Map<string, number[]>()
  for (const [place, node] of order.entries()) {
    if (node === primary) continue
    const equals = groups.get(node.address.region)
    if (equals === undefined) groups.set(node.address.region, [place])
    else equals.push(place)
  }
  let turns = 1
  for (const group of groups.values()) turns = leastCommonMultiple(turns, group.length)
  return Array.from({ length: Math.min(turns, turnsMax) }, (_, turn) => {
    const turned = [...order]
    for (const group of groups.values()) {
      // By their place in the configuration, so that nothing moves when two of them change theirs in the order.
      const nodes = group.map((place) => order[place]!).sort((a, b) => a.index - b.index)
      for (const [i, place] of group.entries()) turned[place] = nodes[(i + turn) % nodes.length]!
    }
    return turned
  })
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b]
  while (y !== 0) [x, y] = [y, x % y]
  return (a / x) * b
}
