/** Waiting for something to become true, for tests on real servers. */
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Calls `predicate` until it gives something truthy, which is returned. What it throws counts as not yet. Rejects after
 * `timeoutMs` with what it last gave or threw.
 */
export async function waitFor<T>(predicate: () => T | Promise<T>, timeoutMs = 30_000, everyMs = 20): Promise<T> {
  const endsAt = performance.now() + timeoutMs
  for (;;) {
    let last: unknown
    try {
      const value = await predicate()
      if (value) return value
      last = value
    } catch (error) {
      last = error
    }
    if (performance.now() > endsAt) throw new Error(`not true after ${timeoutMs} ms, last: ${String(last)}`)
    await sleep(everyMs)
  }
}
