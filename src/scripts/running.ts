/**
 * Who may be running a script on which node, and since when: for the script budget, and for SCRIPT KILL of a tenant. Redis
 * runs one at a time and says whose only when it is over; what we know is which leases have one in flight, when each
 * was last heard from, and when a script of that node was last answered. Pure.
 *
 * A node's script is taken to be that of the lease that has waited longest. Its time counts from when it was sent, or
 * from the last sign that the node was not busy with it: a reply on its own lease, or an answer to another script.
 * -BUSY is no such sign. A lease that is lost leaves its script running, so its entry stays until the node says otherwise.
 */

/** A connection, and when it was last heard from, ms. */
export interface Heard {
  readonly lastReceivedAtMs: number
}

export interface ScriptRun {
  readonly nodeIndex: number
  readonly tenant: string
  readonly lane: Heard
  readonly sentAtMs: number
  /** Its lease is gone; the script may still run. */
  isOrphan: boolean
}

/** Orphans kept per node: a tenant cannot make more by opening and closing connections. */
const orphansMax = 64

export class RunningScripts {
  readonly #runs = new Map<number, Set<ScriptRun>>()
  /** By node: when a script was answered, but not with -BUSY. */
  readonly #progress = new Map<number, number>()

  start(nodeIndex: number, tenant: string, lane: Heard, nowMs: number): ScriptRun {
    const run: ScriptRun = { nodeIndex, tenant, lane, sentAtMs: nowMs, isOrphan: false }
    const runs = this.#runs.get(nodeIndex)
    if (runs === undefined) this.#runs.set(nodeIndex, new Set([run]))
    else runs.add(run)
    return run
  }

  /** Everything on that lease was answered. */
  end(run: ScriptRun): void {
    const runs = this.#runs.get(run.nodeIndex)
    runs?.delete(run)
    if (runs?.size === 0) this.#runs.delete(run.nodeIndex)
  }

  lost(run: ScriptRun): void {
    const orphans = [...(this.#runs.get(run.nodeIndex) ?? [])].filter((it) => it.isOrphan)
    if (orphans.length >= orphansMax) this.end(run)
    else run.isOrphan = true
  }

  /** How long a script that was answered just now can have run at most, if the node runs one after the other, ms. */
  ranMs(nodeIndex: number, sentAtMs: number, nowMs: number): number {
    return nowMs - Math.max(sentAtMs, this.#progress.get(nodeIndex) ?? Number.NEGATIVE_INFINITY)
  }

  /** A script of that node was answered, and not with -BUSY: nothing that was running before runs any more. */
  noteAnswered(nodeIndex: number, nowMs: number): void {
    this.#progress.set(nodeIndex, nowMs)
  }

  /** The node says that nothing runs, or is gone: lost leases' scripts are over. */
  settle(nodeIndex: number): void {
    for (const run of [...(this.#runs.get(nodeIndex) ?? [])]) if (run.isOrphan) this.end(run)
  }

  #sinceMs(run: ScriptRun): number {
    const heard = run.isOrphan ? Number.NEGATIVE_INFINITY : run.lane.lastReceivedAtMs
    return Math.max(run.sentAtMs, heard, this.#progress.get(run.nodeIndex) ?? Number.NEGATIVE_INFINITY)
  }

  /** The one whose script the node is taken to be running. */
  current(nodeIndex: number): ScriptRun | undefined {
    let oldest: ScriptRun | undefined
    for (const run of this.#runs.get(nodeIndex) ?? [])
      if (oldest === undefined || this.#sinceMs(run) < this.#sinceMs(oldest)) oldest = run
    return oldest
  }

  /** Nodes whose script has had more than its time, with the tenant it is of. */
  overdue(nowMs: number, budgetMs: number): { nodeIndex: number; tenant: string }[] {
    const found: { nodeIndex: number; tenant: string }[] = []
    for (const nodeIndex of this.#runs.keys()) {
      const run = this.current(nodeIndex)
      if (run !== undefined && nowMs - this.#sinceMs(run) > budgetMs) found.push({ nodeIndex, tenant: run.tenant })
    }
    return found
  }
}
