/**
 * How long to wait before the next try to connect. Full jitter: the wait is uniform between 0 and a ceiling that doubles
 * from `firstMs` to `lastMs`, so that many proxies that lost one server at the same moment do not return to it at the
 * same moment (Marc Brooker, "Exponential Backoff And Jitter"). No timers here: the caller owns them.
 */
export interface BackoffOptions {
  readonly firstMs?: number
  readonly lastMs?: number
  /** Uniform in [0, 1), as Math.random. */
  readonly random?: () => number
}

export class Backoff {
  private readonly firstMs: number
  private readonly lastMs: number
  private readonly random: () => number
  private ceilingMs: number

  constructor(options: BackoffOptions = {}) {
    this.firstMs = options.firstMs ?? 50
    this.lastMs = options.lastMs ?? 2_000
    this.random = options.random ?? Math.random
    this.ceilingMs = this.firstMs
  }

  /** Wait this many ms before the next try; the ceiling doubles with every call until `reset`. */
  nextDelayMs(): number {
    const delayMs = Math.floor(this.random() * this.ceilingMs)
    this.ceilingMs = Math.min(this.lastMs, this.ceilingMs * 2)
    return delayMs
  }

  /**
   * Call when a connection has proven useful, not when the TCP handshake ends: a server that accepts and closes at once
   * would otherwise be tried without a pause.
   */
  reset(): void {
    this.ceilingMs = this.firstMs
  }
}
