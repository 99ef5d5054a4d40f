/**
 * A failover while it is under way, as the Sentinels tell of it. Pure: what they say goes in, the node that is being promoted
 * comes out, most of a second before any of them calls it the master.
 *
 *   +try-failover   one means to lead (the vote for itself that follows has the epoch of this attempt)
 *   +vote-for-leader   each tells whom it votes for, in which epoch: one vote an epoch
 *   +failover-state-wait-promotion   the leader has told a replica to become the master
 *   ... it asks that replica once a second, and only when it has seen the answer is the new address given out
 *
 * That last second need not be waited for. A majority has voted for this leader in this epoch, so nobody else leads one of the same
 * epoch; the leader has told this node, and nobody but the node itself knows better whether it has become the master: it is asked
 * (tracker.ts). What the Sentinels then say of that epoch confirms it. Votes come from each voter's own mouth: one Sentinel cannot
 * make a majority. A failover by hand (SENTINEL FAILOVER) has its leader's own vote only and is not recognised here.
 */

/** The leader asks once a second, and tells the others at once: what is not confirmed by then has failed. */
export const promotionMs = 5_000
/** Votes of one Sentinel that are kept: it votes in failovers of other masters too, of all that were on one machine at once. */
const votesKept = 256

interface Vote {
  readonly leader: string
  readonly epoch: number
}

export interface Promotion {
  readonly host: string
  readonly port: number
  readonly epoch: number
}

export class SentinelElections {
  /** By voter, newest last. */
  private readonly votes = new Map<string, Vote[]>()
  /** Those that have begun an attempt and not yet voted for themselves. */
  private readonly trying = new Set<string>()
  /** The epoch of each one's newest attempt. */
  private readonly attempts = new Map<string, number>()
  private promotion: (Promotion & { readonly leader: string; readonly atMs: number; isElected: boolean }) | undefined

  /** This Sentinel begins a failover of our master; in which epoch, its vote for itself will tell. */
  tries(sentinel: string): void {
    this.trying.add(sentinel)
    this.attempts.delete(sentinel)
  }

  voted(voter: string, leader: string, epoch: number): void {
    const votes = this.votes.get(voter) ?? []
    this.votes.set(voter, [...votes, { leader, epoch }].slice(-votesKept))
    if (voter !== leader || !this.trying.delete(voter)) return
    this.attempts.set(voter, epoch)
    // Somebody begins anew: what was under way has not succeeded. One that began before it may be heard of later.
    if (this.promotion !== undefined && epoch > this.promotion.epoch) this.promotion = undefined
  }

  /** This Sentinel has told that node to be the master. */
  promotes(leader: string, host: string, port: number, now: number): void {
    const epoch = this.attempts.get(leader)
    if (epoch === undefined || epoch < (this.promotion?.epoch ?? 0)) return
    this.promotion = { leader, epoch, host, port, atMs: now, isElected: false }
  }

  /** The Sentinels say it themselves now. */
  confirmed(): void {
    this.promotion = undefined
  }

  gaveUp(leader: string): void {
    this.attempts.delete(leader)
    if (this.promotion?.leader === leader) this.promotion = undefined
  }

  /** It is another one now. */
  forget(sentinel: string): void {
    this.votes.delete(sentinel)
    this.trying.delete(sentinel)
    this.attempts.delete(sentinel)
  }

  /** The promotion that so many voters stand behind, and that is not too old. Once elected it stays so, whom they vote for next. */
  underWay(now: number, needed: number): Promotion | undefined {
    const { promotion } = this
    if (promotion === undefined || now - promotion.atMs > promotionMs) return undefined
    if (promotion.isElected) return promotion
    let voters = 0
    for (const votes of this.votes.values())
      if (votes.some(({ leader, epoch }) => leader === promotion.leader && epoch === promotion.epoch)) voters++
    promotion.isElected = voters >= needed
    return promotion.isElected ? promotion : undefined
  }
}
