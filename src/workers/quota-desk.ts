/**
 * The supervisor's desk for limits that all workers share: hears what each wants and has, divides, and tells all of them at once.
 * The arithmetic is quota/worker-shares.ts and quota/worker-counts.ts; the workers' side is usage/worker-limits.ts.
 *
 *   worker --wishes, counts--> desk --(25 ms, so that what comes together is divided together)--> parts, counts --> all workers
 *
 * Timers are handed in. A worker that ends is told of here: what it had is the others' at once.
 */
import { type CountsTold, WorkerCounts } from '../quota/worker-counts.ts'
import { type PartsTold, type Wishes, WorkerShares } from '../quota/worker-shares.ts'
import { kindOf, type LinkTimers, type SupervisorLinks, type WorkerLink } from './link.ts'

const wishesTold = kindOf<ReadonlyMap<string, Wishes>>('wishes of limits')
const partsTold = kindOf<PartsTold>('parts of limits')
const countsTold = kindOf<CountsTold>('connections')
const countsElsewhere = kindOf<CountsTold>('connections elsewhere')

const gatherMs = 25

export class QuotaDesk {
  private readonly links: Pick<SupervisorLinks, 'handle' | 'tell'>
  private readonly timers: LinkTimers
  private readonly shares = new WorkerShares()
  private readonly counts = new WorkerCounts()
  private isDue = false

  constructor(links: Pick<SupervisorLinks, 'handle' | 'tell'>, timers: LinkTimers) {
    this.links = links
    this.timers = timers
    links.handle(wishesTold, (wishes, worker) => {
      this.shares.report(worker, wishes)
      this.plan()
    })
    links.handle(countsTold, (told, worker) => {
      this.counts.report(worker, told)
      this.plan()
    })
  }

  started(worker: number): void {
    this.shares.started(worker)
    this.counts.started(worker)
    this.plan()
  }

  gone(worker: number): void {
    this.shares.gone(worker)
    this.counts.gone(worker)
    this.tellAll()
  }

  private plan(): void {
    if (this.isDue) return
    this.isDue = true
    this.timers.after(gatherMs, () => {
      this.isDue = false
      this.tellAll()
    })
  }

  private tellAll(): void {
    for (const [worker, told] of this.shares.divide()) this.links.tell(worker, partsTold, told)
    for (const [worker, told] of this.counts.elsewhere()) this.links.tell(worker, countsElsewhere, told)
  }
}

/** A worker's hands for what it tells, and where what it is told goes. */
export function quotaLink(link: Pick<WorkerLink, 'tell' | 'handle'>): {
  tellWishes(wishes: ReadonlyMap<string, Wishes>): void
  tellConnections(counts: CountsTold): void
  listen(takers: { takeParts(told: PartsTold): void; takeConnections(told: CountsTold): void }): void
} {
  return {
    tellWishes: (wishes) => link.tell(wishesTold, wishes),
    tellConnections: (counts) => link.tell(countsTold, counts),
    listen: (takers) => {
      link.handle(partsTold, (told) => takers.takeParts(told))
      link.handle(countsElsewhere, (told) => takers.takeConnections(told))
    },
  }
}
