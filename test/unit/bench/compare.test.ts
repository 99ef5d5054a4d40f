import { pairRows, pairs } from '../../../bench/compare.ts'
import { measured } from './samples.ts'

describe('two revisions', () => {
  test('are compared round by round, so that what disturbs both is no difference', () => {
    const before = measured('before', [1, 10, 2, 20, 1])
    const after = measured('regis', [0.9, 9, 1.8, 18, 0.9])
    const [cpu, throughput] = pairs([before, after], 'before', 'regis')
    expect(cpu?.ratio).toBeCloseTo(0.9)
    expect(cpu?.interval[1]).toBeCloseTo(0.9)
    expect(throughput?.ratio).toBe(1)
  })

  test('differ only where the interval is all on one side; less CPU is better, less throughput worse', () => {
    const pair = (figure: string, low: number, high: number) => ({
      ...{ cell: 'c', figure, ratio: 1, interval: [low, high] as const },
    })
    const words = pairRows([
      pair('CPU', 0.9, 0.99),
      pair('CPU', 0.9, 1.01),
      pair('CPU', 1.01, 1.2),
      pair('throughput', 0.9, 0.99),
      pair('throughput', 1.01, 1.1),
    ]).map((row) => row.at(-1))
    expect(words).toEqual(['better', '', 'worse', 'worse', 'better'])
  })

  test('without the CPU of one of them it is left out', () => {
    const figures = pairs([measured('before', [undefined]), measured('regis', [1])], 'before', 'regis')
    expect(figures.map((one) => one.figure)).toEqual(['throughput', 'p50'])
  })
})
