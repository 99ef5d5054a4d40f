/**
 * The bound of the estimate, against populations whose true sum is known: it must hold in at least 95 of 100, above all where
 * few keys hold most of the bytes.
 */
import { MemorySample } from '../../src/quota/memory-estimate.ts'
import { randomOf } from '../integration/memory-kit.ts'

type Draw = (random: () => number) => number

const normal: Draw = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
const populations: Readonly<Record<string, Draw>> = {
  'all alike': () => 100,
  uniform: (random) => 50 + 500 * random(),
  'lognormal, sigma 1': (random) => Math.exp(5 + normal(random)),
  'lognormal, sigma 2': (random) => Math.exp(5 + 2 * normal(random)),
  'Pareto, alpha 1.2': (random) => Math.min(512e6, 60 * (1 - random()) ** (-1 / 1.2)),
  'Pareto, alpha 2': (random) => 60 * (1 - random()) ** (-1 / 2),
  'Pareto, alpha 3': (random) => 60 * (1 - random()) ** (-1 / 3),
  'two kinds, one in a hundred a thousand times the other': (random) => (random() < 0.01 ? 100_000 : 100),
}

/** One sweep over a population: pages of 500 in random order. */
function sweepOf(
  draw: Draw,
  keys: number,
  seed: number,
): { off: number; bound: number; measured: number; sum: number } {
  const random = randomOf(seed)
  const sample = new MemorySample()
  let sum = 0
  for (let k = 0; k < keys; k++) {
    const bytes = Math.floor(draw(random))
    sum += bytes
    if (sample.take(random())) sample.note(bytes, 0, sample.phaseNumber)
    if (k % 500 === 499) sample.adapt(keys)
  }
  const { bytes, errorBytes, measured } = sample.result()
  return { off: Math.abs(bytes - sum), bound: errorBytes, measured, sum }
}

describe.each(Object.entries(populations))('of sizes that are %s', (_, draw) => {
  test('the true sum lies within the bound in at least 95 of 100 sweeps, and the bound within 5 %', () => {
    const runs = Number(process.env['RUNS'] ?? 12)
    let held = 0
    let widest = 0
    for (let run = 0; run < runs; run++) {
      const { off, bound, sum } = sweepOf(draw, 40_000, 1_000 + run)
      if (off <= bound + 1) held++
      widest = Math.max(widest, bound / sum)
    }
    expect(held).toBeGreaterThanOrEqual(Math.ceil(0.95 * runs))
    expect(widest).toBeLessThan(0.05)
  })
})

test('where sizes are much alike, few of many are measured', () => {
  const { measured, off, sum } = sweepOf(populations['uniform']!, 400_000, 5)
  expect(measured).toBeLessThan(60_000)
  expect(off / sum).toBeLessThan(0.03)
})

test('where few keys hold most, none is left out', () => {
  expect(sweepOf(populations['Pareto, alpha 1.2']!, 60_000, 5)).toMatchObject({ off: 0, bound: 0, measured: 60_000 })
})
