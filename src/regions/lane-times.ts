/** Where the times of a lane to this node are counted: by whether it is the primary, and whether it is near. */
import { type Cells, Kind, Role, Source } from '../metrics/cells.ts'
import type { LaneTimes } from '../upstream/lane.ts'
import type { Node } from './node.ts'

export function laneTimesOf(cells: Cells, node: Node, isPrimary: boolean): LaneTimes {
  const source = isPrimary ? Source.primary : node.isLocal ? Source.local : Source.remote
  return {
    read: cells.commandDurationOf(Kind.read, source),
    write: cells.commandDurationOf(Kind.write, source),
    upstream: cells.upstreamDurationOf(cells.regionIndex(node.address.region), isPrimary ? Role.primary : Role.replica),
  }
}
