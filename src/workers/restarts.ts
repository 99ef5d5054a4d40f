/**
 * When a worker that has ended is started again: at once or nearly, and ever later while it dies early, so that one that
 * cannot live costs a process each half minute and no more. Never given up: what kills it may pass. Pure.
 */
import { workerRestartFirstMs, workerRestartLastMs, workerSteadyMs } from '../base/limits.ts'

export class Restarts {
  /** Ends in a row that came early. */
  #early = 0
  #all = 0

  /** Ends so far. */
  get all(): number {
    return this.#all
  }

  /** It has ended after `livedMs`: its successor is started after so many ms. */
  delayAfter(livedMs: number): number {
    if (livedMs >= workerSteadyMs) this.#early = 0
    const delayMs = Math.min(workerRestartLastMs, workerRestartFirstMs * 2 ** Math.min(this.#early, 30))
    this.#early++
    this.#all++
    return delayMs
  }
}
