/**
 * `routing.fallback_limit`: how many reads that a replica could not serve the primary takes in a second, and a fair share
 * of them for each tenant. Pure arithmetic on the monotonic clock, in whole tokens; runs per such read and allocates
 * nothing. What counts as such a read is decided in request-path.ts.
 *
 *   window of 100 ms:   | a's share | b's share |  free: first come, first served  |
 *
 * Each window has the tokens of its time. A tenant that asked in the window before has a share of its own: what it asked
 * for then, and at most an equal part (max-min fairness). What nobody has a claim on is free for all. So one tenant may use
 * all of it while nobody else wants any, and who comes then has its part from the next window on. Nothing is saved up
 * from window to window: a burst is a tenth of a second's reads at most, for that is what the primary is to be spared.
 */
export const fallbackWindowMs = 100

/** One tenant's. */
export interface FallbackUse {
  /** The window that the other two are of. */
  window: number
  /** Reads that it asked for in it. */
  asked: number
  /** What is left of its share. */
  left: number
}

export class FallbackLimit {
  private readonly count: number
  private readonly perMs: number
  /** Of a token, in units of 1/perMs: carried on, so that 5/s is five and not none. */
  private rest = 0
  private free = 0
  private window = 1
  private startedAtMs = Number.NaN
  /** Who asked in this window; as long as the most tenants that ever did in one. */
  private readonly active: FallbackUse[] = []
  private activeCount = 0

  /** `count` reads per `perMs`. */
  constructor(count: number, perMs: number) {
    this.count = count
    this.perMs = perMs
  }

  /** May one more such read of this tenant go to the primary? Takes a token when it may. */
  take(use: FallbackUse, nowMs: number): boolean {
    this.roll(nowMs)
    this.enter(use)
    if (use.asked++ === 0) this.active[this.activeCount++] = use
    if (use.left > 0) {
      use.left--
      return true
    }
    if (this.free === 0) return false
    this.free--
    return true
  }

  /** The same without taking. */
  has(use: FallbackUse, nowMs: number): boolean {
    this.roll(nowMs)
    this.enter(use)
    return use.left > 0 || this.free > 0
  }

  /** It did not ask in the window before, so it has no share in this one. */
  private enter(use: FallbackUse): void {
    if (use.window === this.window) return
    use.window = this.window
    use.asked = 0
    use.left = 0
  }

  private roll(nowMs: number): void {
    const sinceMs = nowMs - this.startedAtMs
    if (sinceMs < fallbackWindowMs) return
    // After a pause, and at the very start, it begins anew: one window's worth, and nobody has a claim.
    const isNext = sinceMs < 2 * fallbackWindowMs
    this.startedAtMs = isNext ? this.startedAtMs + fallbackWindowMs : nowMs
    this.window++
    this.rest += this.count * fallbackWindowMs
    const tokens = Math.floor(this.rest / this.perMs)
    this.rest -= tokens * this.perMs
    this.free = isNext ? this.share(tokens) : tokens
    this.activeCount = 0
  }

  /** Gives those who asked in the window before their shares; returns what is left of the tokens. */
  private share(tokens: number): number {
    const { active } = this
    let left = tokens
    let open = this.activeCount
    // In rounds: who asked for less than an equal part has it, and leaves the rest of that part to the others.
    for (let isMoving = true; isMoving && open > 0; ) {
      isMoving = false
      const part = Math.floor(left / open)
      for (let i = open - 1; i >= 0; i--) {
        const use = active[i]!
        if (use.asked > part) continue
        this.give(use, use.asked)
        left -= use.left
        active[i] = active[--open]!
        isMoving = true
      }
    }
    const part = open === 0 ? 0 : Math.floor(left / open)
    for (let i = 0; i < open; i++) this.give(active[i]!, part)
    return left - part * open
  }

  private give(use: FallbackUse, share: number): void {
    use.window = this.window
    use.left = share
    use.asked = 0
  }
}
