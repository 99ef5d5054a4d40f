/** The choice of a node for a read, at each level, with three nodes of which the nearest is fresh. */
import { Node } from '../src/regions/node.ts'
import { type Choice, chooseRead, LEVEL, type LevelName, newReadNeed, type ReadNeed } from '../src/routing/choose.ts'
import type { MicroCase } from './micro.ts'

export function chooseCases(): MicroCase[] {
  const nodes = ['ap', 'us', 'eu'].map((region, index) => {
    const node = new Node(index, { name: `${region}:1`, region, host: region, port: 1, tls: false }, index === 0)
    return Object.assign(node, { isUp: true, isReadable: true, incarnation: 1, shownSeq: 7, shownSentAtMs: 900 })
  })
  const primary = nodes[2]
  const choice: Choice = { reason: 0, passedOver: -1 }
  return (Object.keys(LEVEL) as LevelName[]).map((level) => {
    const need: ReadNeed = {
      ...newReadNeed(),
      level: LEVEL[level],
      maxStalenessMs: level === 'bounded' ? 500 : Number.POSITIVE_INFINITY,
      lastNode: 2,
      lastIncarnation: 1,
      seen: 6,
    }
    need.fences.hasWritten = true
    need.fences.raiseFloor(5, 0)
    need.fences.add(1, 4.5, 6, 0)
    return { name: `choose: ${level}`, perRun: 1, run: () => chooseRead(need, nodes, primary, 1000, choice) }
  })
}
