import { Entries, jsonPieces, Rows, Slices } from '../../../src/base/slices.ts'

/** A clock that each look moves on; counts the rests. */
function slices(stepMs = 0.3) {
  let nowMs = 0
  const state = { rests: 0 }
  const it = new Slices(
    () => (nowMs += stepMs),
    async () => void state.rests++,
  )
  return { it, state }
}

describe('work in slices', () => {
  test('rests each millisecond, and work that is short does not', async () => {
    const long = slices()
    for (let i = 0; i < 1_000; i++) if (long.it.isOver) await long.it.rest()
    expect(long.state.rests).toBeGreaterThan(200)
    expect(long.state.rests).toBeLessThan(500)
    const short = slices(0.001)
    for (let i = 0; i < 100; i++) if (short.it.isOver) await short.it.rest()
    expect(short.state.rests).toBe(0)
  })

  test('rows and entries are made as they are written, and rests lie between them', async () => {
    const { it, state } = slices()
    const restsAt: number[] = []
    const rows = Rows.of(Array(500).keys(), (i) => {
      restsAt.push(state.rests)
      return { i }
    })
    const value = {
      rows,
      map: new Entries([
        ['a', [1]],
        ['b', undefined],
      ]),
      none: new Rows([]),
      empty: new Entries([]),
    }
    const text = Buffer.concat(await jsonPieces(value, it)).toString()
    expect(JSON.parse(text)).toEqual({
      rows: [...Array(500).keys()].map((i) => ({ i })),
      map: { a: [1] },
      none: [],
      empty: {},
    })
    expect(new Set(restsAt).size).toBeGreaterThan(50)
  })

  test.each<[string, unknown]>([
    ['a number', 1],
    ['nothing', null],
    ['an empty list', []],
    ['an empty map', {}],
    ['few entries', { a: 1, b: [1, 'x', null], c: { d: undefined, e: true } }],
    [
      'a long list of maps',
      Array.from({ length: 500 }, (_, i) => ({ id: i, name: `n"${i}`, list: [i], none: undefined })),
    ],
    [
      'a map of many',
      Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k\n${i}`, { at: i, deep: { er: [] } }])),
    ],
    ['many inside of few', { rows: Array.from({ length: 200 }, (_, i) => i), rest: { many: Array(300).fill(null) } }],
    ['holes and what JSON has no word for', { rows: [...Array(100).fill(undefined), Number.NaN, 'ä€'] }],
  ])('JSON in pieces is JSON: %s', async (_, value) => {
    const { it } = slices()
    expect(Buffer.concat(await jsonPieces(value, it)).toString()).toBe(JSON.stringify(value))
  })

  test('JSON of many rows rests in between', async () => {
    const { it, state } = slices()
    await jsonPieces({ rows: Array.from({ length: 1_000 }, (_, i) => ({ i })) }, it)
    expect(state.rests).toBeGreaterThan(200)
  })
})
