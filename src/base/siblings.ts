/**
 * What a worker process knows of those that serve with it on this machine (`--workers`), as far as the rooms that serve
 * clients need it. One process alone has none of this: undefined, and no part of anything is divided.
 */

export interface Siblings {
  /** 0 .. count-1: which worker this is. A worker that is started again keeps it. */
  readonly index: number
  readonly count: number
  /** Which process this is: numbers of processes only rise, and none is given twice while the supervisor lives. */
  readonly incarnation: number
  /**
   * A folder of this deployment's alone, in memory where the system has such a place (/dev/shm): made by the supervisor, which
   * takes it away at its end. Only this user may enter it.
   */
  readonly scratch: string
  /** The others that run now, as far as is known here. One that is being started is among them. */
  others(): readonly Sibling[]
  /** A process has ended, by itself or not: nothing comes from it any more. Told before its successor has started. */
  onSiblingGone(listener: (index: number, incarnation: number) => void): void
  /** A process was started. It may not serve yet. */
  onSiblingStarted(listener: (index: number, incarnation: number) => void): void
}

export interface Sibling {
  readonly index: number
  readonly incarnation: number
}

/** One process's part of a bound that is promised for all of them; never nothing. Infinity stays what it is. */
export function partOf(bound: number, count: number): number {
  return count <= 1 || bound === 0 ? bound : Math.max(1, Math.ceil(bound / count))
}

/** Ids of clients go round the workers, so that an id says at which of them its client is. */
export function workerOfClient(id: number, count: number): number {
  return (id - 1) % count
}

/** The first id from `from` on that is this worker's to give; each next one of its own is `count` further. */
export function firstClientId(index: number, count: number, from: number): number {
  return from + ((((index + 1 - from) % count) + count) % count)
}
