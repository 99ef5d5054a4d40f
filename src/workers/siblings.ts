/** A worker's view of the others: what the supervisor tells of them, and who wants to know of changes. Pure. */
import type { Sibling, Siblings } from '../base/siblings.ts'
import { kindOf } from './link.ts'

/** Told to every worker whenever a process was started or has ended, and to a new one as the first message. All that run. */
export const siblingsTold = kindOf<readonly Sibling[]>('siblings')

/** What a worker is told by its environment. */
export interface WorkerPlace {
  readonly index: number
  readonly count: number
  readonly incarnation: number
  readonly scratch: string
}

type Listener = (index: number, incarnation: number) => void

export class KnownSiblings implements Siblings {
  readonly index: number
  readonly count: number
  readonly incarnation: number
  readonly scratch: string
  readonly #known = new Map<number, number>()
  readonly #gone: Listener[] = []
  readonly #started: Listener[] = []

  constructor(place: WorkerPlace) {
    this.index = place.index
    this.count = place.count
    this.incarnation = place.incarnation
    this.scratch = place.scratch
  }

  others(): readonly Sibling[] {
    return [...this.#known].map(([index, incarnation]) => ({ index, incarnation }))
  }

  onSiblingGone(listener: Listener): void {
    this.#gone.push(listener)
  }

  onSiblingStarted(listener: Listener): void {
    this.#started.push(listener)
  }

  /** The newest list. All that are gone are told of before any that has started. */
  take(running: readonly Sibling[]): void {
    const others = new Map(
      running.flatMap(({ index, incarnation }) => (index === this.index ? [] : [[index, incarnation]])),
    )
    const before = [...this.#known]
    for (const [index, incarnation] of before) {
      if (others.get(index) === incarnation) continue
      this.#known.delete(index)
      for (const listener of this.#gone) listener(index, incarnation)
    }
    for (const [index, incarnation] of others) {
      if (this.#known.has(index)) continue
      this.#known.set(index, incarnation)
      for (const listener of this.#started) listener(index, incarnation)
    }
  }
}
