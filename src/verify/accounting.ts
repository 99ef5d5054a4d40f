/**
 * What became of writes: each adds an id of its own, and what is there at the end is held against what its client was told.
 * Pure. Acknowledged and missing is a loss, allowed only where a failover of asynchronous replication lies between; told to
 * be not executed and there, or there twice, is never allowed.
 */
export type WriteFate = 'acknowledged' | 'uncertain' | 'notExecuted'

export interface Account {
  readonly sent: number
  readonly acknowledged: number
  readonly uncertain: number
  readonly notExecuted: number
  /** Acknowledged, and not there. */
  readonly lost: readonly string[]
  /** Told to be not executed, and there. */
  readonly ghosts: readonly string[]
  /** There more than once. */
  readonly twice: readonly string[]
  /** There, and never sent. */
  readonly strangers: readonly string[]
  readonly uncertainThere: number
  /** Of what was acknowledged. */
  readonly lostShare: number
}

export class Ledger {
  private readonly fates = new Map<string, WriteFate | undefined>()

  /** Before it is sent. An id that is never settled counts as uncertain. */
  begin(id: string): void {
    if (this.fates.has(id)) throw new Error(`${id} was used before`)
    this.fates.set(id, undefined)
  }

  settle(id: string, fate: WriteFate): void {
    if (!this.fates.has(id) || this.fates.get(id) !== undefined)
      throw new Error(`${id} was not begun, or settled before`)
    this.fates.set(id, fate)
  }

  /** `found`: all ids that are there at the end, in any order. */
  account(found: Iterable<string>): Account {
    const times = new Map<string, number>()
    for (const id of found) times.set(id, (times.get(id) ?? 0) + 1)
    const of = (fate: WriteFate) =>
      [...this.fates].filter(([, settled]) => (settled ?? 'uncertain') === fate).map(([id]) => id)
    const acknowledged = of('acknowledged')
    const uncertain = of('uncertain')
    const notExecuted = of('notExecuted')
    const lost = acknowledged.filter((id) => !times.has(id))
    return {
      sent: this.fates.size,
      acknowledged: acknowledged.length,
      uncertain: uncertain.length,
      notExecuted: notExecuted.length,
      lost,
      ghosts: notExecuted.filter((id) => times.has(id)),
      twice: [...times].filter(([, count]) => count > 1).map(([id]) => id),
      strangers: [...times.keys()].filter((id) => !this.fates.has(id)),
      uncertainThere: uncertain.filter((id) => times.has(id)).length,
      lostShare: acknowledged.length === 0 ? 0 : lost.length / acknowledged.length,
    }
  }
}

/** Can a counter that began at 0 stand at `total`? At most once: no increment counts twice; acknowledged: none is missing. */
export function isTotalPossible(total: number, acknowledged: number, uncertain: number): boolean {
  return total >= acknowledged && total <= acknowledged + uncertain
}

/** A list to which one writer appended 1, 2, 3 ...: in that order, each at most once. The first pair that is not, or undefined. */
export function outOfOrder(list: readonly number[]): readonly [number, number] | undefined {
  for (let i = 1; i < list.length; i++) if (list[i - 1]! >= list[i]!) return [list[i - 1]!, list[i]!]
  return undefined
}
