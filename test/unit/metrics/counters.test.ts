import { durationBoundsMs, Histogram, KeyedCounter, keyedSeriesMax } from '../../../src/metrics/counters.ts'

describe('Histogram', () => {
  test('a value on a bound belongs to that bucket, the next larger one to the next', () => {
    for (const [i, boundMs] of durationBoundsMs.entries()) {
      const histogram = new Histogram()
      histogram.observe(boundMs, 1)
      histogram.observe(boundMs * 1.0001, 2)
      expect(histogram.counts[i]).toBe(1)
      expect(histogram.counts[i + 1]).toBe(2)
    }
  })

  test('one call with a weight is as many calls with one', () => {
    const weighted = new Histogram()
    const single = new Histogram()
    for (const [ms, count] of [
      [0.1, 3],
      [7, 5],
      [9000, 2],
    ] as const) {
      weighted.observe(ms, count)
      for (let i = 0; i < count; i++) single.observe(ms, 1)
    }
    expect(weighted.counts).toEqual(single.counts)
    expect(weighted.sum).toBeCloseTo(single.sum)
    expect(weighted.count).toBe(10)
  })

  test('there are 13 bounds from 0.25 ms to 5 s', () => {
    expect(durationBoundsMs).toHaveLength(13)
    expect(durationBoundsMs[0]).toBe(0.25)
    expect(durationBoundsMs[12]).toBe(5000)
  })

  test('a quantile is the upper bound of its bucket, unknown while empty', () => {
    const histogram = new Histogram()
    expect(histogram.quantileMs(0.5)).toBeUndefined()
    histogram.observe(0.1, 98)
    histogram.observe(40, 1)
    histogram.observe(6000, 1)
    expect(histogram.quantileMs(0.5)).toBe(0.25)
    expect(histogram.quantileMs(0.99)).toBe(50)
    expect(histogram.quantileMs(1)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('KeyedCounter', () => {
  test('counts by the whole label set', () => {
    const counter = new KeyedCounter(2)
    counter.add(['a', 'b c'])
    counter.add(['a b', 'c'], 2)
    counter.add(['a', 'b c'])
    expect([...counter.entries()].map(({ labels, value }) => [...labels, value])).toEqual([
      ['a', 'b c', 2],
      ['a b', 'c', 2],
    ])
    expect(counter.total).toBe(4)
  })

  test('a declared series is there at 0', () => {
    expect([...new KeyedCounter(1).declare('auth').entries()]).toEqual([{ labels: ['auth'], value: 0 }])
  })

  test('more label sets than the bound are counted as other, none is lost', () => {
    const counter = new KeyedCounter(1)
    for (let i = 0; i < keyedSeriesMax + 50; i++) counter.add([`x${i}`])
    const entries = [...counter.entries()]
    expect(entries).toHaveLength(keyedSeriesMax + 1)
    expect(entries.at(-1)).toMatchObject({ labels: ['other'], value: 50 })
  })
})
