/** Results made up, for the tests of what is read out of them. */
import type { Measured } from '../../../bench/report.ts'

/** A round for each figure of CPU; `cell` get:128:50:16. */
export const measured = (target: string, cpuUs: readonly (number | undefined)[], perSecond = 1000): Measured => ({
  cell: 'get:128:50:16',
  target,
  samples: cpuUs.map((cpu, i) => ({
    cpuUs: cpu,
    perSecond: perSecond * (i + 1),
    p50Ms: 1,
    p99Ms: 2,
    p999Ms: 3,
    rssBytes: 2 ** 20 * (i + 1),
  })),
})
