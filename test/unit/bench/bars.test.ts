import { type Bar, bars, judge, parseFloor, verdictRows, withFloors } from '../../../bench/bars.ts'
import { summarize } from '../../../bench/report.ts'
import { measured } from './samples.ts'

const cell = 'get:128:50:16'
const told = (own: readonly Bar[], targets: readonly string[], ...all: ReturnType<typeof measured>[]) =>
  judge(all.map(summarize), own, targets).map((one) => [one.target, one.ratio, one.mustHolds, one.goalHolds])

describe('bars', () => {
  test('an own floor takes the place of what must hold, and leaves the goal and other figures', () => {
    const floors = withFloors(bars, [parseFloor('get:128:50:16=0.5'), parseFloor('get:128:50:16/p50=1.1')])
    const twemproxys = floors.filter((bar) => bar.cell === cell && bar.base === 'twemproxy')
    expect(twemproxys).toEqual([
      { cell, figure: 'cpu', base: 'twemproxy', must: 0.5, goal: 0.2 },
      { cell, figure: 'throughput', base: 'twemproxy', must: 2.8, goal: 3.2 },
      { cell, figure: 'p50', base: 'twemproxy', must: 1.1 },
    ])
    expect(floors).toHaveLength(bars.length + 1)
  })

  test.each(['get:128:50:16', 'get:128:50:16/rss=1', 'get:128=1', '=1'])('%j is no floor', (text) => {
    expect(() => parseFloor(text)).toThrow(/not a/)
  })

  test('no goal is further away than what must hold', () => {
    for (const { must, goal, figure } of bars) {
      if (must === undefined || goal === undefined) continue
      expect(figure === 'throughput' ? goal >= must : goal <= must).toBe(true)
    }
  })

  test('CPU is judged against twemproxy of the same cell: what must hold and the goal apart, for each Regis', () => {
    const bar: Bar = { cell, figure: 'cpu', base: 'twemproxy', must: 0.28, goal: 0.2 }
    const all = [
      measured('twemproxy', [4, 4, 4]),
      measured('regis', [1, 1, 1]),
      measured('before', [2, 2, 2]),
      measured('better', [0.8, 0.8]),
    ]
    expect(told([bar], ['regis', 'before', 'better'], ...all)).toEqual([
      ['regis', 0.25, 'PASS', 'FAIL'],
      ['before', 0.5, 'FAIL', 'FAIL'],
      ['better', 0.2, 'PASS', 'PASS'],
    ])
  })

  test('throughput is to be at least', () => {
    const bar: Bar = { cell, figure: 'throughput', base: 'direct', must: 0.8 }
    const [direct, slow, fast] = [
      measured('direct', [1], 1000),
      measured('slow', [1], 790),
      measured('fast', [1], 800),
    ] as const
    expect(told([bar], ['slow', 'fast'], direct, slow, fast)).toEqual([
      ['slow', 0.79, 'FAIL', undefined],
      ['fast', 0.8, 'PASS', undefined],
    ])
  })

  test('session level is judged against the same Regis at eventual level', () => {
    const bar: Bar = { cell, figure: 'cpu', base: 'eventual', must: 1.15 }
    const all = [measured('regis', [1.2]), measured('regis-eventual', [1]), measured('before', [1])]
    expect(told([bar], ['regis', 'before'], ...all)).toEqual([['regis', 1.2, 'FAIL', undefined]])
  })

  test('without the base, or without its CPU, nothing is judged', () => {
    const bar: Bar = { cell, figure: 'cpu', base: 'twemproxy', must: 0.28 }
    expect(told([bar], ['regis'], measured('regis', [1]))).toEqual([])
    expect(told([bar], ['regis'], measured('twemproxy', [undefined]), measured('regis', [1]))).toEqual([])
  })

  test('a row says the ratio and both limits', () => {
    const verdicts = judge(
      [measured('twemproxy', [4]), measured('regis', [1])].map(summarize),
      [{ cell, figure: 'cpu', base: 'twemproxy', must: 0.28, goal: 0.2 }],
      ['regis'],
    )
    expect(verdictRows(verdicts)).toEqual([
      ['regis', cell, 'CPU of twemproxy', '0.250', '<= 0.28', 'PASS', '<= 0.20', 'FAIL'],
    ])
  })
})
