/** Timers and the wall clock, handed in so that tests own them. ~ touches the real ones. */
export interface Timers {
  /** Runs `run` once after `ms`; the answer cancels it. */
  after(ms: number, run: () => void): Timer
  /** Runs `run` once, after the I/O callbacks of this turn of the event loop. */
  soon(run: () => void): void
}

export interface Timer {
  cancel(): void
}

export const systemTimers: Timers = {
  after(ms, run) {
    const handle = setTimeout(run, ms)
    return { cancel: () => clearTimeout(handle) }
  },
  soon(run) {
    setImmediate(run)
  },
}

/** Milliseconds since 1970. Only its pace is ever used: against the monotonic clock, to notice that the machine slept. */
export const systemWallClock = (): number => Date.now()
