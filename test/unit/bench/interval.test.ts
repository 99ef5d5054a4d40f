import { medianInterval } from '../../../bench/interval.ts'

describe('the interval of a median', () => {
  test('is where nearly all values are, and holds the median', () => {
    const values = Array.from({ length: 41 }, (_, i) => 1 + (i - 20) / 100)
    const [low, high] = medianInterval(values)
    expect(low).toBeGreaterThan(0.85)
    expect(low).toBeLessThan(1)
    expect(high).toBeGreaterThan(1)
    expect(high).toBeLessThan(1.15)
  })

  test('is no wider than the values, and is the same each time', () => {
    expect(medianInterval([2, 2, 2])).toEqual([2, 2])
    expect(medianInterval([1, 5, 2, 9])).toEqual(medianInterval([1, 5, 2, 9]))
  })

  test('more values make it narrower', () => {
    const of = (count: number) => medianInterval(Array.from({ length: count }, (_, i) => (i * 7919) % 101))
    const [few, many] = [of(10), of(160)]
    expect(many[1] - many[0]).toBeLessThan((few[1] - few[0]) / 2)
  })
})
