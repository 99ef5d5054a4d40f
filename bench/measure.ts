/** Rounds over several loads in turn, the order rotated; what the target used meanwhile. ~ reads /proc. */
import { cpuNs } from './cpu.ts'
import type { Line, Load } from './load.ts'
import type { Sample } from './report.ts'
import { residentBytes } from './resident.ts'
import { startScraper } from './scraper.ts'

export interface Runner {
  readonly line: Line
  readonly load: Load
}

export interface RoundOptions {
  readonly rounds: number
  readonly seconds: number
  /** Of each Regis, while it is measured. */
  readonly isScraped: boolean
}

async function measureOnce({ line, load }: Runner, options: RoundOptions): Promise<Sample> {
  const { pid, adminPort } = line.target
  const scraper = options.isScraped && adminPort !== undefined ? startScraper(adminPort) : undefined
  const before = pid === undefined ? 0 : cpuNs(pid)
  const result = await load.run(options.seconds)
  const cpuUs = pid === undefined ? undefined : (cpuNs(pid) - before) / 1000 / result.requests
  await scraper?.stop()
  const { perSecond, p50Ms, p99Ms, p999Ms } = result
  return { perSecond, p50Ms, p99Ms, p999Ms, cpuUs, rssBytes: pid === undefined ? undefined : residentBytes(pid).now }
}

/** Samples of each runner, in its order; i-th samples are of the same round, so they are pairs. */
export async function measureRounds(runners: readonly Runner[], options: RoundOptions): Promise<Sample[][]> {
  for (const { load } of runners) {
    // The first finds the speed, the second is as long as a round, so that code is compiled and buffers grown.
    await load.run(Math.min(0.2, options.seconds))
    await load.run(options.seconds)
  }
  const samples = runners.map((): Sample[] => [])
  for (let round = 0; round < options.rounds; round++) {
    for (let i = 0; i < runners.length; i++) {
      const at = (i + round) % runners.length
      samples[at]!.push(await measureOnce(runners[at]!, options))
    }
  }
  return samples
}
