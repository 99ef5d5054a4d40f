import { jsonPieces, mapInSlices, Slices } from '../../../src/base/slices.ts'

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
  test('rests each millisecond, and gives what it would give in one go', async () => {
    const { it, state } = slices()
    const items = Array.from({ length: 1_000 }, (_, i) => i)
    expect(await mapInSlices(items, (i) => i * 2, it)).toEqual(items.map((i) => i * 2))
    expect(state.rests).toBeGreaterThan(200)
    expect(state.rests).toBeLessThan(500)
  })

  test('work that is short does not rest', async () => {
    const { it, state } = slices(0.001)
    await mapInSlices([1, 2, 3], (i) => i, it)
    expect(state.rests).toBe(0)
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
