/**
 * What one proxy wants of one limit, from what its clients have asked for. Up at once, and down by half with each round: demand
 * that has come must be served within seconds, and one that comes in bursts keeps its room between them.
 *
 * Clients that are held back ask for less than they would: each waits for its answer before it asks again. So a proxy that
 * holds them back wants more with each round, up to twice as much, until nobody is held back or it has its equal part of the
 * limit (shares.ts cuts what is more).
 */

/** Above what was asked for, so that the noise of a second is no reason to hold anybody back. */
const headroom = 1.1
/** Clients held back for a fifth of the time, or in a fifth of their commands, are taken for twice as many. */
const pressureForTwice = 0.2
/** Who has used less than this part of a share was not held back for it, but for the other limit (units, bytes). */
const usedPartMin = 0.5
/** Below this part of the limit a wish that nobody renews has ended. */
const wishPartMin = 0.001

export class FleetDemand {
  /** Per second. */
  want = 0
  /** What was asked for, as told above. */
  private seen = 0
  /** What more might be asked for; 0: nobody is held back. */
  private guess = 0

  /**
   * One round: units (or bytes) that were asked for in it; the part of the commands that was refused, or of the time for which
   * some were delayed; the share that held, the whole limit (both per second), how long the round was.
   */
  note(asked: number, pressure: number, share: number, limit: number, ms: number): void {
    const rate = (asked * 1000) / ms
    const wish = rate * headroom
    this.seen = Math.min(limit, Math.max(wish, (this.seen + wish) / 2))
    if (asked === 0 && this.seen < limit * wishPartMin) this.seen = 0
    const growth = 1 + Math.min(1, pressure / pressureForTwice)
    const isShort = pressure > 0 && rate > share * usedPartMin
    this.guess = isShort ? Math.min(limit, growth * Math.max(share, this.guess)) : 0
    this.want = Math.max(this.seen, this.guess)
  }
}
