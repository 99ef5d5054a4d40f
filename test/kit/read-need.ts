/** What a read needs of a node, for tests that ask about one mark. */
import { FenceNeed } from '../../src/regions/fences.ts'

/** The tenant wrote, and this mark, or a later one, shows that a node has it; 0: nothing was written. */
export function fenceAt(mark: number): FenceNeed {
  const need = new FenceNeed()
  need.raiseFloor(mark, 0)
  need.hasWritten = mark > 0
  return need
}
