import { place, roundDown, roundUp, settingAxis, valueAxis } from '../../../bench/axis.ts'

describe('a logarithmic axis', () => {
  test.each([
    [1, 1, 1],
    [0.3, 0.2, 0.5],
    [9.99, 5, 10],
    [10, 10, 10],
    [0.001, 0.001, 0.001],
    [1234, 1000, 2000],
    [67_108_864, 50_000_000, 100_000_000],
  ])('%d lies between %d and %d', (value, low, high) => {
    expect(roundDown(value)).toBeCloseTo(low, 10)
    expect(roundUp(value)).toBeCloseTo(high, 10)
  })

  test('equal ratios are equal distances', () => {
    const axis = valueAxis([1, 100])
    expect([axis.low, axis.high]).toEqual([1, 100])
    expect(place(axis, 1)).toBe(0)
    expect(place(axis, 10)).toBeCloseTo(0.5)
    expect(place(axis, 100)).toBeCloseTo(1)
  })

  test('every value lies on it, whatever the values are', () => {
    for (const values of [[0.07], [3, 3.1], [0.9, 12_345], [1e-3, 1e9]]) {
      const axis = valueAxis(values)
      for (const value of [...values, ...axis.ticks]) {
        expect(place(axis, value)).toBeGreaterThanOrEqual(-1e-9)
        expect(place(axis, value)).toBeLessThanOrEqual(1 + 1e-9)
      }
      expect(axis.ticks.length).toBeGreaterThanOrEqual(2)
      expect(axis.ticks.length).toBeLessThanOrEqual(9)
    }
  })

  test('what hardly differs looks alike: the axis spans a factor of ten at least', () => {
    const axis = valueAxis([1, 1.05])
    expect(axis.high / axis.low).toBeGreaterThanOrEqual(10)
    expect(place(axis, 1.05) - place(axis, 1)).toBeLessThan(0.03)
  })

  test('settings have their own ticks, not more than fit', () => {
    expect(settingAxis([1, 10, 100, 10]).ticks).toEqual([1, 10, 100])
    expect(settingAxis([1, 2, 4, 8, 16, 32, 64, 128, 256]).ticks).toEqual([1, 4, 16, 64, 256])
  })

  test('zero stands at the end, apart from the smallest other value', () => {
    const axis = settingAxis([0, 10, 100, 1000])
    expect(place(axis, 0)).toBe(0)
    expect(place(axis, 10)).toBeGreaterThan(0.1)
    expect(place(axis, 1000)).toBeCloseTo(1)
  })

  test('one setting alone is no division by zero', () => {
    expect(place(settingAxis([5]), 5)).toBe(0)
    expect(() => valueAxis([0])).toThrow('positive')
  })
})
