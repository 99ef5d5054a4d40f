/**
 * Time, handed in so that tests own it. ~ touches the real clock.
 * `now()` is monotonic milliseconds with a fraction; only differences mean anything, and only inside one process.
 */
export interface Clock {
  now(): number
}

export const systemClock: Clock = { now: () => performance.now() }
