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
 * make a majority. A failover by hand (SENTINEL FAILOVER) has no votes and is not recognised here.
 */

/** The leader asks once a second, and tells the others at once: what is not confirmed by then has failed. */
export const promotionMs = 5_000
/** Votes of one Sentinel that are kept: it may vote for failovers of other masters too. */
const votesKept = 16

interface Vote {
  readonly leader: string
  readonly epoch: number
}

export interface Promotion {
  readonly place: string
  readonly epoch: number
}

export class SentinelElections {
  /** By voter, newest last. */
  private readonly votes = new Map<string, Vote[]>()
  /** Those that have begun an attempt and not yet voted for themselves. */
  private readonly trying = new Set<string>()
  /** The epoch of each one's newest attempt. */
  private readonly attempts = new Map<string, number>()
  private promotion: (Promotion & { readonly leader: string; readonly atMs: number }) | undefined

  /** This Sentinel begins a failover of our master: whatever was under way has not succeeded. */
  tries(sentinel: string): void {
    this.trying.add(sentinel)
    this.attempts.delete(sentinel)
    this.promotion = undefined
  }

  voted(voter: string, leader: string, epoch: number): void {
    const votes = this.votes.get(voter) ?? []
    this.votes.set(voter, [...votes, { leader, epoch }].slice(-votesKept))
    if (voter === leader && this.trying.delete(voter)) this.attempts.set(voter, epoch)
  }

  /** This Sentinel has told the node at that place to be the master. */
  promotes(leader: string, place: string, now: number): void {
    const epoch = this.attempts.get(leader)
    if (epoch !== undefined) this.promotion = { leader, epoch, place, atMs: now }
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

  /** The promotion that so many voters stand behind, and that is not too old. */
  underWay(now: number, needed: number): Promotion | undefined {
    const { promotion } = this
    if (promotion === undefined || now - promotion.atMs > promotionMs) return undefined
    let voters = 0
    for (const votes of this.votes.values())
      if (votes.some(({ leader, epoch }) => leader === promotion.leader && epoch === promotion.epoch)) voters++
    return voters >= needed ? promotion : undefined
  }
}
