/**
 * How many of something (connections) each worker process has by name, and how many all others have beside it. Pure; held by the
 * supervisor, who passes on what has changed.
 */

/** Names with their counts now; 0: none any more. */
export type CountsTold = readonly (readonly [name: string, count: number])[]

export class WorkerCounts {
  private readonly counts = new Map<number, Map<string, number>>()
  private readonly totals = new Map<string, number>()
  private readonly changed = new Set<string>()
  /** They know of nothing yet. */
  private readonly fresh = new Set<number>()

  started(worker: number): void {
    this.counts.set(worker, new Map())
    this.fresh.add(worker)
  }

  /** Its clients are gone with it. */
  gone(worker: number): void {
    const counts = this.counts.get(worker)
    if (counts === undefined) return
    this.report(
      worker,
      [...counts.keys()].map((name) => [name, 0] as const),
    )
    this.counts.delete(worker)
    this.fresh.delete(worker)
  }

  report(worker: number, told: CountsTold): void {
    const counts = this.counts.get(worker)
    if (counts === undefined) return
    for (const [name, count] of told) {
      const total = (this.totals.get(name) ?? 0) + count - (counts.get(name) ?? 0)
      if (count === 0) counts.delete(name)
      else counts.set(name, count)
      if (total === 0) this.totals.delete(name)
      else this.totals.set(name, total)
      this.changed.add(name)
    }
  }

  /** By worker: what the others have, where that may have changed. */
  elsewhere(): Map<number, CountsTold> {
    const tell = new Map<number, CountsTold>()
    for (const [worker, own] of this.counts) {
      const names = this.fresh.has(worker) ? this.totals.keys() : this.changed
      const told: [string, number][] = []
      for (const name of names) told.push([name, (this.totals.get(name) ?? 0) - (own.get(name) ?? 0)])
      if (told.length > 0) tell.set(worker, told)
    }
    this.fresh.clear()
    this.changed.clear()
    return tell
  }
}
