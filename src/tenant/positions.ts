/**
 * Positions of writes that travelled on shared lanes, by lane: the newest mark that the lane had carried when the write was
 * put on it. Any later mark on that lane covers the write, and all before it; so one number a lane stands for any number
 * of writes. Tenants use a handful of lanes, so a list is searched, not a map.
 */
export class LanePositions {
  /** The lane of each, and the number; both have `count` that count. */
  readonly slots: number[] = []
  readonly trails: number[] = []
  /** When the covering mark was or will be sent, ms: an estimate. */
  readonly sentAtMs: number[] = []

  get count(): number {
    return this.slots.length
  }

  /** A later position on the same lane stands for the earlier one too. */
  raise(slot: number, trail: number, sentAtMs: number): void {
    const { slots, trails } = this
    for (let i = 0; i < slots.length; i++) {
      if (slots[i] !== slot) continue
      if (trail >= trails[i]!) {
        trails[i] = trail
        this.sentAtMs[i] = sentAtMs
      }
      return
    }
    slots.push(slot)
    trails.push(trail)
    this.sentAtMs.push(sentAtMs)
  }

  raiseAll(others: LanePositions): void {
    for (let i = 0; i < others.count; i++) this.raise(others.slots[i]!, others.trails[i]!, others.sentAtMs[i]!)
  }
}
