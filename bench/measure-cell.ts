/** One cell on all who take part in it: keys written, loads opened, rounds in turn. ~ starts child processes through load.ts. */
import type { Cell } from './cells.ts'
import { type Load, openGenerator, openLoad, prefill } from './load.ts'
import { measureRounds, type RoundOptions, type Runner } from './measure.ts'
import type { LeftOut, Measured } from './report.ts'
import type { World } from './world.ts'

export interface CellOptions extends RoundOptions {
  /** Our own generator also where redis-benchmark would do, so that cells of a curve have the same load. */
  readonly isGenerated?: boolean
}

export async function measureCell(
  world: World,
  cell: Cell,
  options: CellOptions,
): Promise<[Measured[], readonly LeftOut[]]> {
  const { lines, leftOut } = world.linesOf(cell)
  const runners: Runner[] = []
  try {
    for (const line of lines) {
      // twemproxy refuses SCRIPT LOAD: the server has the script already, from the direct line.
      const hasScript = cell.op === 'evalsha' && !line.name.startsWith('twemproxy')
      await prefill(line.target, cell.bytes, line.logins, { hasScript })
      const load: Promise<Load> =
        options.isGenerated === true ? openGenerator(world.tool.cores, line, cell) : openLoad(world.tool, line, cell)
      runners.push({ line, load: await load })
    }
    const samples = await measureRounds(runners, options)
    const measured = lines.map(({ name }, i) => ({ cell: cell.name, target: name, samples: samples[i]! }))
    return [measured, leftOut]
  } finally {
    for (const { load } of runners) await load.close()
  }
}
