import { apart, byteText, compact, linePlot } from '../../../bench/plot.ts'

const plot = (ys: readonly number[]) =>
  linePlot({
    title: 'Cost & growth',
    x: 'clients',
    y: 'CPU <us>',
    series: [
      { name: 'regis', points: ys.map((y, i) => ({ x: 10 ** i, y })) },
      { name: 'redis', points: ys.map((y, i) => ({ x: 10 ** i, y: y / 2 })) },
    ],
  })

describe('a plot', () => {
  test('numbers are short, bytes have units', () => {
    expect([1, 0.25, 1000, 10_000, 100_000, 2_500_000].map(compact)).toEqual([
      '1',
      '0.25',
      '1000',
      '10k',
      '100k',
      '2.5M',
    ])
    expect([3, 1024, 65_536, 64 * 2 ** 20].map(byteText)).toEqual(['3 B', '1 KiB', '64 KiB', '64 MiB'])
  })

  test('every point is a mark inside the area, and a larger value lies higher', () => {
    const svg = plot([1, 10, 100])
    const circles = [...svg.matchAll(/<circle class="m0" cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) =>
      [x, y].map(Number),
    )
    // Three points, and the one beside the name.
    expect(circles).toHaveLength(4)
    const [first, second, third] = circles as [number, number][]
    expect(first![0]).toBe(72)
    expect(third![0]).toBe(560)
    expect(second![1]).toBeLessThan(first![1])
    expect(third![1]).toBeLessThan(second![1])
    for (const [x, y] of circles.slice(0, 3)) {
      expect(x).toBeGreaterThanOrEqual(72)
      expect(y).toBeLessThanOrEqual(340)
    }
  })

  test('texts are escaped, and nothing is not a number', () => {
    const svg = plot([1, 1, 1])
    expect(svg).toContain('Cost &amp; growth')
    expect(svg).toContain('CPU &lt;us>')
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })

  test('names that would lie on each other are moved apart, in their order', () => {
    expect(apart([100, 40, 101], 18)).toEqual([100, 40, 118])
    expect(apart([100, 100, 100], 18).sort((a, b) => a - b)).toEqual([100, 118, 136])
  })

  test('more lines than colours are refused', () => {
    const series = Array.from({ length: 5 }, (_, i) => ({ name: `${i}`, points: [{ x: 1, y: 1 }] }))
    expect(() => linePlot({ title: 't', x: 'x', y: 'y', series })).toThrow('more than')
  })
})
