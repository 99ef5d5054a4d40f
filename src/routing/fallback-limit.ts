/**
 * `routing.fallback_limit`: how many reads that a replica could not serve the primary takes in a second, and a fair share
 * of them for each tenant. Pure arithmetic on the monotonic clock, in whole tokens; runs per such read and allocates
 * nothing. What counts as such a read is decided in request-path.ts.
 *
 *   window of 100 ms:   | a's share | b's share |  free: first come, first served  |
 *
 * Each window has the tokens of its time. A tenant that asked in the window before has a share of its own: what it asked
 * for then, and at most an equal part (max-min fairness); one that asked within the last second keeps a share of one read,
 * so that who asks seldom is not shut out by who asks always. What nobody has a claim on is free for all. So one tenant
 * may use all of it while nobody else wants any, and who comes then has its part from the next window on. Nothing is saved
 * up from window to window: a burst is a tenth of a second's reads at most, for that is what the primary is to be spared.
 */
export const fallbackWindowMs = 100
/** For so many windows a tenant that has asked keeps a claim. */
const claimWindows = 10

/** One tenant's. */
export interface FallbackUse {
  isListed: boolean
  /** Reads that it asked for in this window; what it is taken to want in the next; windows in which it did not ask. */
  asked: number
  wish: number
  silent: number
  /** What is left of its share. */
  left: number
}

export class FallbackLimit {
  private count: number
  private perMs: number
  /** Of a token, in units of 1/perMs: carried on, so that 5/s is five and not none. */
  private rest = 0
  private free = 0
  private startedAtMs = Number.NaN
  /** Who has a claim; as long as the most tenants that ever had one at a time. */
  private readonly listed: FallbackUse[] = []
  private listedCount = 0
  /** With whom the giving of single tokens begins: another one each time. */
  private turn = 0

  /** `count` reads per `perMs`. */
  constructor(count: number, perMs: number) {
    this.count = count
    this.perMs = perMs
  }

  /** From the next window on. Who has a claim keeps it. */
  setRate(count: number, perMs: number): void {
    this.count = count
    this.perMs = perMs
    this.rest = 0
  }

  /** May one more such read of this tenant go to the primary? Takes a token when it may. */
  take(use: FallbackUse, nowMs: number): boolean {
    this.roll(nowMs)
    use.asked++
    if (!use.isListed) {
      use.isListed = true
      this.listed[this.listedCount++] = use
    }
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
    return use.left > 0 || this.free > 0
  }

  private roll(nowMs: number): void {
    const sinceMs = nowMs - this.startedAtMs
    if (sinceMs < fallbackWindowMs) return
    // After a pause, and at the very start, it begins anew: one window's worth.
    this.startedAtMs = sinceMs < 2 * fallbackWindowMs ? this.startedAtMs + fallbackWindowMs : nowMs
    this.rest += this.count * fallbackWindowMs
    const tokens = Math.floor(this.rest / this.perMs)
    this.rest -= tokens * this.perMs
    this.settleWishes()
    this.free = this.share(tokens)
  }

  private settleWishes(): void {
    const { listed } = this
    for (let i = this.listedCount - 1; i >= 0; i--) {
      const use = listed[i]!
      use.silent = use.asked > 0 ? 0 : use.silent + 1
      use.wish = Math.max(1, use.asked)
      use.asked = 0
      use.left = 0
      if (use.silent <= claimWindows) continue
      use.isListed = false
      use.silent = 0
      listed[i] = listed[--this.listedCount]!
    }
  }

  /** Gives those with a claim their shares; returns what is left of the tokens. */
  private share(tokens: number): number {
    const { listed } = this
    let left = tokens
    let open = this.listedCount
    // In rounds: who wants less than an equal part has it, and leaves the rest of that part to the others.
    for (let isMoving = true; isMoving && open > 0; ) {
      isMoving = false
      const part = Math.floor(left / open)
      for (let i = open - 1; i >= 0; i--) {
        const use = listed[i]!
        if (use.wish > part) continue
        use.left = use.wish
        left -= use.wish
        listed[i] = listed[--open]!
        listed[open] = use
        isMoving = true
      }
    }
    if (open === 0) return left
    // The rest in equal parts, and what cannot be divided one by one, each time beginning with another.
    const part = Math.floor(left / open)
    const single = left - part * open
    for (let i = 0; i < open; i++) listed[i]!.left = part
    for (let i = 0; i < single; i++) listed[(this.turn + i) % open]!.left++
    this.turn = (this.turn + single) % open
    return 0
  }
}
