/**
 * Clients that the supervisor has accepted on their way to workers, where the system cannot let workers listen at one port
 * (ports.ts). Nothing of a client is read here: only its handle passes.
 *
 *   accepted --> queue --> the worker with the fewest clients that has few on their way --> taken, our copy is closed
 *                  ^------ its process has ended before it said so
 *
 * A worker has at most four on their way: Node sends the next handle when the other process has answered for the last, and
 * a hundred in that line make each wait for a busy worker's turns (docs/decisions/0024). Pure: handles are handed in.
 */
import { handedFairClients, handedFairMs, handedInFlightMax, handedLostMs, handedWaitingMax } from '../base/limits.ts'

/** Of an accepted socket: Node's own, of which only this is used here. */
export interface ClientHandle {
  close(): void
}

interface Offer {
  readonly id: number
  readonly listener: number
  readonly handle: ClientHandle
  givenAtMs: number
}

interface Taker {
  readonly give: (id: number, listener: number, handle: ClientHandle) => void
  readonly onTheirWay: Map<number, Offer>
  /** As the worker said last, and those that it was given since. */
  clients: number
  /** It takes clients: it is neither full nor short of memory, as far as it has said. */
  isOpen: boolean
}

export class HandOut {
  readonly #takers = new Map<number, Taker>()
  #queue: Offer[] = []
  #nextId = 1
  #isStopped = false
  #dropped = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Accepted, not yet given to anybody. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Closed without a word: too many waited. */
  get dropped(): number {
    return this.#dropped
  }

  accepted(listener: number, handle: ClientHandle): void {
    if (this.#isStopped || this.#queue.length >= handedWaitingMax) {
      this.#dropped++
      handle.close()
      return
    }
    this.#queue.push({ id: this.#nextId++, listener, handle, givenAtMs: 0 })
    this.#pump()
  }

  /** A worker serves from now on. */
  join(worker: number, give: Taker['give']): void {
    this.leave(worker)
    this.#takers.set(worker, { give, onTheirWay: new Map(), clients: 0, isOpen: true })
    this.#pump()
  }

  /** Its process has ended. Whom it did not take goes to another, those first who came first. */
  leave(worker: number): void {
    const taker = this.#takers.get(worker)
    if (taker === undefined) return
    this.#takers.delete(worker)
    this.#queue.unshift(...taker.onTheirWay.values())
    if (this.#isStopped) this.#drop()
    this.#pump()
  }

  /** The worker has it: from here on it is its client, and nobody else's. */
  taken(worker: number, id: number): void {
    const taker = this.#takers.get(worker)
    const offer = taker?.onTheirWay.get(id)
    if (offer === undefined) return
    taker!.onTheirWay.delete(id)
    offer.handle.close()
    this.#pump()
  }

  /**
   * What a worker says of itself, now and then. `isOpen` undefined: it said this before it served, and messages that came together are heard
   * in another order; it is open until it says that it is not.
   */
  note(worker: number, clients: number, isOpen: boolean | undefined): void {
    const taker = this.#takers.get(worker)
    if (taker === undefined) return
    // It lives and has not said that it has them: lost on their way, or it will have its own copy. They are no reason to pass it by.
    for (const { id, handle, givenAtMs } of taker.onTheirWay.values()) {
      if (this.#now() - givenAtMs < handedLostMs) continue
      taker.onTheirWay.delete(id)
      handle.close()
    }
    taker.clients = clients + taker.onTheirWay.size
    if (isOpen !== undefined) taker.isOpen = isOpen
    this.#pump()
  }

  /** No more clients: those that nobody has yet are closed. */
  stop(): void {
    this.#isStopped = true
    this.#drop()
  }

  #drop(): void {
    for (const { handle } of this.#queue) handle.close()
    this.#dropped += this.#queue.length
    this.#queue = []
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const taker = this.#next()
      if (taker === undefined) return
      const offer = this.#queue.shift()!
      offer.givenAtMs = this.#now()
      taker.onTheirWay.set(offer.id, offer)
      taker.clients++
      taker.give(offer.id, offer.listener, offer.handle)
    }
  }

  /** Fewest clients, of those that take some; where none does, of all: it says itself why it refuses. undefined: nobody now. */
  #next(): Taker | undefined {
    const takers = [...this.#takers.values()]
    const some = takers.filter((taker) => taker.isOpen)
    const candidates = some.length > 0 ? some : takers
    let best: Taker | undefined
    for (const taker of candidates) {
      if (taker.onTheirWay.size >= handedInFlightMax) continue
      if (best === undefined || taker.clients < best.clients) best = taker
    }
    if (best === undefined) return undefined
    const most = best.clients - handedFairClients
    const isAwaited = candidates.some((taker) => taker !== best && taker.clients <= most && this.#isPrompt(taker))
    return isAwaited ? undefined : best
  }

  /** It has as many on their way as it may, and takes them as fast as one may wish. */
  #isPrompt(taker: Taker): boolean {
    const [oldest] = taker.onTheirWay.values()
    return oldest !== undefined && this.#now() - oldest.givenAtMs < handedFairMs
  }
}
