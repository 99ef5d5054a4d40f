import { defaultCells, defaultFloors, expandCells, parseCell, parseFloor, withFloors } from '../../../bench/cells.ts'
import { judge, type Measured, quantile, spread, summarize, table } from '../../../bench/report.ts'

const measured = (target: string, cpuUs: readonly (number | undefined)[]): Measured => ({
  cell: 'get:128:50:16',
  target,
  samples: cpuUs.map((cpu, i) => ({ cpuUs: cpu, perSecond: 1000 * (i + 1), p50Ms: 1, p99Ms: 2 })),
})

describe('cells', () => {
  test('slashes and braces are written out', () => {
    expect(expandCells('get/set:128:50:{1,16},get:3:1:1')).toEqual([
      'get:128:50:1',
      'set:128:50:1',
      'get:128:50:16',
      'set:128:50:16',
      'get:3:1:1',
    ])
  })

  test('every default cell parses, and every floor has a cell that is measured by default', () => {
    const names = expandCells(defaultCells).map((name) => parseCell(name).name)
    expect(new Set(names).size).toBe(names.length)
    for (const floor of defaultFloors) expect(names).toContain(floor.cell)
  })

  test.each(['get:128:50', 'del:1:1:1', 'get:0:1:1', 'get:128:50:16:2', ''])('%j is no cell', (name) => {
    expect(() => parseCell(name)).toThrow('not a cell')
  })

  test('an own floor replaces the default of its cell and figure only', () => {
    const own = parseFloor('get:128:50:16=0.2')
    const floors = withFloors(defaultFloors, [own, parseFloor('get:128:50:16/p50=1.1')])
    expect(floors.filter((floor) => floor.cell === 'get:128:50:16')).toEqual([
      { cell: 'get:128:50:16', what: 'cpu', max: 0.2 },
      { cell: 'get:128:50:16', what: 'p50', max: 1.1 },
    ])
    expect(floors).toHaveLength(defaultFloors.length + 1)
  })
})

describe('report', () => {
  test('quartiles interpolate, the median of an even count lies between', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
    expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2)
    expect(spread([1, 2, 3, 4, 5])).toEqual({ median: 3, iqr: 2 / 3 })
  })

  test('one outlier does not move a median', () => {
    expect(summarize(measured('regis', [1, 1, 100, 1, 1])).cpuUs?.median).toBe(1)
  })

  test('a floor is judged against twemproxy of the same cell, and can fail', () => {
    const all = [measured('twemproxy', [4, 4, 4]), measured('regis', [1, 1, 1]), measured('before', [2, 2, 2])].map(
      summarize,
    )
    const verdicts = judge(all, [{ cell: 'get:128:50:16', what: 'cpu', max: 0.28 }], ['regis', 'before'])
    expect(verdicts.map(({ target, ratio, passes }) => [target, ratio, passes])).toEqual([
      ['regis', 0.25, true],
      ['before', 0.5, false],
    ])
  })

  test('without twemproxy, or without its CPU, nothing is judged', () => {
    const floors = [{ cell: 'get:128:50:16', what: 'cpu', max: 0.28 }] as const
    expect(judge([measured('regis', [1])].map(summarize), floors, ['regis'])).toEqual([])
    const unknown = [measured('twemproxy', [undefined]), measured('regis', [1])].map(summarize)
    expect(judge(unknown, floors, ['regis'])).toEqual([])
  })

  test('the table shows the ratio beside the figure', () => {
    const all = [measured('direct', [1]), measured('twemproxy', [4]), measured('regis', [2])].map(summarize)
    const line = table(all)
      .split('\n')
      .find((one) => one.includes('regis'))
    expect(line?.trim().split(/\s+/).slice(0, 5)).toEqual(['regis', '2.00', '±0%', '0.50', '2.00'])
  })
})
