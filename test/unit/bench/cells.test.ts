import { bars } from '../../../bench/bars.ts'
import { cellSets, expandCells, parseCell } from '../../../bench/cells.ts'

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

  test('an operation is read with its options', () => {
    expect(parseCell('mix10+split+resp3:128:50:16')).toEqual({
      name: 'mix10+split+resp3:128:50:16',
      op: 'mix10',
      options: ['split', 'resp3'],
      bytes: 128,
      clients: 50,
      pipeline: 16,
    })
  })

  test.each(Object.entries(cellSets))('every cell of the set %s parses, and stands there once', (_, pattern) => {
    const names = expandCells(pattern).map((name) => parseCell(name).name)
    expect(new Set(names).size).toBe(names.length)
  })

  test('every bar has a cell that is measured by default', () => {
    const names = expandCells(cellSets.acceptance)
    for (const bar of bars) expect(names).toContain(bar.cell)
  })

  test.each([
    'get:128:50',
    'del:1:1:1',
    'get:0:1:1',
    'get:128:50:16:2',
    'get+fast:128:50:16',
    'get+tls+tls:128:50:16',
    'toString:1:1:1',
    '',
  ])('%j is no cell', (name) => {
    expect(() => parseCell(name)).toThrow('not a cell')
  })
})
