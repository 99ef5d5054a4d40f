/**
 * How much tenants that share one connection to a node may have on their way there, and who is next: pure arithmetic, no
 * clock of its own.
 *
 *   alone in the last ten seconds   as much as the connection takes
 *   several                         together a small standing window, so that nobody finds a long queue in front of him
 *
 *   window = what waits (some 5 ms of what the node answers) + what is on its way (what it answers x round trip)
 *   each may always have window / tenants, and what others leave free, as long as there is something free
 *   who wants more waits; the waiting are served in turn by deficit round robin, in units, not in clients
 *
 * A unit is one small command: 256 bytes of request and reply count as one more, so that a tenant with large replies has
 * as many bytes in front of its neighbours as one with small ones.
 */

/** One tenant on one connection. */
export interface Sharer {
  /** Commands on their way. */
  readonly inFlight: number
  /** Nothing was answered yet: what its commands cost is not known. */
  readonly isUnknown: boolean
  /** Units of one of its commands, at least 1. */
  readonly cost: number
  /** Units that it may still take of its turn. */
  deficit: number
  /** In the ring of those that wait. */
  isWaiting: boolean
  /** Second in which it was seen last. */
  seenIn: number
}

/** The connection. */
export interface Shared {
  /** Commands of all on their way. */
  readonly inFlight: number
  /** Commands answered and bytes received so far; the first wraps at 32 bits. */
  readonly answered: number
  readonly receivedBytes: number
}

export interface FairSizes {
  /** How long what waits at the node may take it, ms: longer, and neighbours notice; shorter, and it may have nothing to do. */
  readonly standingMs: number
  /** But at least and at most so many units: the least is what a server reads at once. */
  readonly standingLeast: number
  readonly standingUnits: number
  /** Each may have so much, however many they are: less would cost a round trip for every few commands. */
  readonly leastUnits: number
  /** The window is no larger, however far the node. */
  readonly mostUnits: number
  /** What one tenant takes before the next is served. */
  readonly quantumUnits: number
}

export const fairSizes: FairSizes = {
  standingMs: 5,
  standingLeast: 256,
  standingUnits: 1024,
  leastUnits: 16,
  mostUnits: 32_768,
  quantumUnits: 128,
}

/** So long after two tenants were seen the connection counts as shared: who comes seldom must not find the queue of one alone. */
export const sharedForMs = 10_000
/** Bytes of request and reply that count as one command more. */
export const unitBytes = 256
/** A command counts as no more than this, so that the ring need not turn a thousand times for one. */
export const costMax = 8192
/** Before a tenant's first answer: what its commands cost could be anything. */
const unknownCommandsMax = 64
const lookEveryMs = 100
const rttForMs = 10_000

export function costOf(commands: number, bytes: number): number {
  return Math.min(costMax, 1 + bytes / commands / unitBytes)
}

export class FairWindow<S extends Sharer> {
  /** The window, units. */
  units: number
  private readonly sizes: FairSizes
  private readonly ring: S[] = []
  private last: S | undefined
  private sharedUntilMs = Number.NEGATIVE_INFINITY
  private second = -1
  private seen = 0
  private seenBefore = 0
  private cost = 1
  private ratePerMs = 0
  private lookedAtMs = Number.NEGATIVE_INFINITY
  private answered = 0
  private bytes = 0
  private rttMs = Number.POSITIVE_INFINITY
  private rttBeforeMs = Number.POSITIVE_INFINITY
  private rttSinceMs = 0

  constructor(sizes: FairSizes = fairSizes) {
    this.sizes = sizes
    this.units = sizes.standingUnits
  }

  /** Tenants seen in this second or the last. */
  get sharers(): number {
    return Math.max(1, this.seen, this.seenBefore)
  }

  get hasWaiting(): boolean {
    return this.ring.length > 0
  }

  /** This one has something to send. Returns whether the connection is shared. */
  note(sharer: S, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000)
    if (second !== this.second) {
      this.seenBefore = second === this.second + 1 ? this.seen : 0
      this.seen = 0
      this.second = second
    }
    if (sharer.seenIn !== second) {
      sharer.seenIn = second
      this.seen++
    }
    if (sharer !== this.last) {
      if (this.last !== undefined) this.sharedUntilMs = nowMs + sharedForMs
      this.last = sharer
    }
    return nowMs < this.sharedUntilMs
  }

  /** Now and then: how fast the node answers, how much an answer holds, how far it is. */
  look(shared: Shared, rttMs: number, nowMs: number): void {
    const elapsedMs = nowMs - this.lookedAtMs
    if (elapsedMs < lookEveryMs) return
    const commands = (shared.answered - this.answered) | 0
    const bytes = shared.receivedBytes - this.bytes
    this.answered = shared.answered
    this.bytes = shared.receivedBytes
    this.lookedAtMs = nowMs
    this.noteRtt(rttMs, nowMs)
    if (elapsedMs === Number.POSITIVE_INFINITY || commands < 0) return
    if (commands > 0) this.cost += (costOf(commands, bytes) - this.cost) / 2
    this.ratePerMs = Math.max((commands * this.cost) / elapsedMs, this.ratePerMs * 0.9)
    const leastRttMs = Math.min(this.rttMs, this.rttBeforeMs)
    const onTheWay = leastRttMs === Number.POSITIVE_INFINITY ? 0 : this.ratePerMs * leastRttMs
    const { standingMs, standingLeast, standingUnits, mostUnits } = this.sizes
    const standing = Math.min(standingUnits, Math.max(standingLeast, this.ratePerMs * standingMs))
    this.units = Math.min(mostUnits, standing + onTheWay)
  }

  /** The least of the last seconds: what a busy node adds is the queue, not the way. */
  private noteRtt(rttMs: number, nowMs: number): void {
    if (nowMs - this.rttSinceMs > rttForMs) {
      this.rttBeforeMs = this.rttMs
      this.rttMs = Number.POSITIVE_INFINITY
      this.rttSinceMs = nowMs
    }
    if (rttMs < this.rttMs) this.rttMs = rttMs
  }

  /** How many commands more this one may send now; while others wait, no more than what is its own in any case. */
  most(sharer: S, shared: Shared): number {
    return sharer.isWaiting ? 0 : this.room(sharer, shared, this.ring.length === 0)
  }

  private room(sharer: S, shared: Shared, mayTakeFree: boolean): number {
    const { cost, inFlight } = sharer
    const own = Math.max(this.sizes.leastUnits, this.units / this.sharers) - inFlight * cost
    const free = mayTakeFree ? this.units - shared.inFlight * this.cost : 0
    const commands = Math.floor(Math.max(own, free) / cost)
    if (commands <= 0) return inFlight === 0 ? 1 : 0
    return sharer.isUnknown ? Math.max(0, Math.min(commands, unknownCommandsMax - inFlight)) : commands
  }

  /** It wants more than it may have. */
  wait(sharer: S): void {
    if (sharer.isWaiting) return
    sharer.isWaiting = true
    sharer.deficit = 0
    this.ring.push(sharer)
  }

  /**
   * Room may have come: the waiting are served in turn. `give` lets one client of a tenant send up to so many commands, and
   * returns how many it sent, or -1: none of its clients waits any more. `bound` is what else limits it.
   */
  serve(shared: Shared, bound: (sharer: S) => number, give: (sharer: S, commands: number) => number): void {
    const { ring } = this
    let passedOver = 0
    while (passedOver < ring.length) {
      const sharer = ring[0]!
      const most = Math.min(this.room(sharer, shared, true), bound(sharer))
      if (most <= 0) {
        passedOver++
        this.turn()
        continue
      }
      if (sharer.deficit < sharer.cost) {
        sharer.deficit += this.sizes.quantumUnits
        if (sharer.deficit < sharer.cost) {
          this.turn()
          continue
        }
      }
      const taken = give(sharer, Math.min(most, Math.floor(sharer.deficit / sharer.cost)))
      if (taken < 0) {
        // Unless the connection was lost meanwhile, and with it the ring.
        if (ring[0] === sharer) ring.shift()
        sharer.isWaiting = false
        continue
      }
      sharer.deficit -= taken * sharer.cost
      passedOver = taken === 0 ? passedOver + 1 : 0
      if (taken === 0 || sharer.deficit < sharer.cost) this.turn()
    }
  }

  private turn(): void {
    const first = this.ring.shift()
    if (first !== undefined) this.ring.push(first) // none: the connection was lost while its turn was on
  }

  /** The connection is gone: nobody waits for it. */
  clear(): S[] {
    const { ring } = this
    for (const sharer of ring) sharer.isWaiting = false
    return ring.splice(0)
  }
}
