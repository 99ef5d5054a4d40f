/**
 * How limits of one proxy are divided between its worker processes: pure arithmetic, by who sees all of their wishes (the
 * supervisor). Parts are fractions of a limit, so that a reload that changes the limit needs no word from here.
 *
 *   worker: wishes per limit, each round --report--> WorkerShares --divide--> fractions, to all workers at once
 *
 * The arithmetic is that of the whole fleet (shares.ts): floors, then by demand, max-min fair, then what is left over in equal
 * parts. One difference: there everybody divides by a view of its own, so a part is raised only into what others are seen to have let go. Here
 * one process divides for all and they hear it within the same millisecond; only what is *held* for long (leases) is waited for.
 *
 * Of a limit that nobody has used of late nothing is kept: every worker has an equal part of it, of all workers that there should be.
 */
import { type Claim, shareOf } from './shares.ts'

/** What is divided, as indexes: units a second, bytes a second, commands in flight, leases. */
export const PART = { ops: 0, bytes: 1, inFlight: 2, leases: 3 } as const
export const partsCount = 4

/** Of one limit of one worker: the limit itself (0: there is none), what is wanted of it, what is held and cannot be let go of. */
export interface Wish extends Claim {
  readonly limit: number
}

/** By kind (PART); of one tenant, or one user of one. */
export type Wishes = readonly Wish[]

export const noWish: Wish = { limit: 0, want: 0, held: 0 }

/** Fractions by kind; undefined: an equal part of each. */
export type Parts = readonly number[] | undefined

/** What one worker is to be told: only what has changed since it was last told. */
export type PartsTold = readonly (readonly [name: string, parts: Parts])[]

export class WorkerShares {
  /** By worker: its newest wishes. */
  private readonly wishes = new Map<number, ReadonlyMap<string, Wishes>>()
  /** By worker: what it was told last. */
  private readonly told = new Map<number, Map<string, readonly number[]>>()
  private isChanged = false

  /** It runs, and counts as one of those that share. It knows nothing yet. */
  started(worker: number): void {
    this.wishes.set(worker, new Map())
    this.told.set(worker, new Map())
    this.isChanged = true
  }

  /** What it had is the others' from the next round on. */
  gone(worker: number): void {
    this.wishes.delete(worker)
    this.told.delete(worker)
    this.isChanged = true
  }

  /** All limits that it wants something of now. */
  report(worker: number, wishes: ReadonlyMap<string, Wishes>): void {
    if (!this.wishes.has(worker)) return
    this.wishes.set(worker, wishes)
    this.isChanged = true
  }

  /** One round. By worker: what is to be told. */
  divide(): Map<number, PartsTold> {
    const tell = new Map<number, PartsTold>()
    if (!this.isChanged) return tell
    this.isChanged = false
    const names = new Set<string>()
    for (const wishes of this.wishes.values()) for (const name of wishes.keys()) names.add(name)
    const workers = [...this.wishes.keys()]
    const changes = new Map<number, [string, Parts][]>(workers.map((worker) => [worker, []]))
    for (const name of names) {
      const all = workers.map((worker) => this.wishes.get(worker)!.get(name))
      for (const [i, worker] of workers.entries()) {
        const parts = partsOf(all, i)
        const told = this.told.get(worker)!
        const before = told.get(name)
        if (before !== undefined && parts.every((part, kind) => part === before[kind])) continue
        told.set(name, parts)
        changes.get(worker)!.push([name, parts])
      }
    }
    for (const [worker, told] of this.told) {
      for (const name of told.keys()) {
        if (names.has(name)) continue
        told.delete(name)
        changes.get(worker)!.push([name, undefined])
      }
    }
    for (const [worker, told] of changes) if (told.length > 0) tell.set(worker, told)
    return tell
  }
}

function partsOf(all: readonly (Wishes | undefined)[], own: number): number[] {
  return Array.from({ length: partsCount }, (_, kind) => {
    // While a reload reaches them, they may speak of two limits: nobody gets more than the smaller one allows.
    let limit = Number.POSITIVE_INFINITY
    for (const wishes of all) {
      const wish = wishes?.[kind]
      if (wish !== undefined && wish.limit > 0) limit = Math.min(limit, wish.limit)
    }
    if (limit === Number.POSITIVE_INFINITY) return 1 / all.length
    const others = all.filter((_one, i) => i !== own).map((wishes) => wishes?.[kind] ?? noWish)
    return shareOf(limit, all[own]?.[kind]?.want ?? 0, others) / limit
  })
}
