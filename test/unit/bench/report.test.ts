import { quantile, spread, summarize, table } from '../../../bench/report.ts'
import { measured } from './samples.ts'

describe('report', () => {
  test('quartiles interpolate, the median of an even count lies between', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
    expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2)
    expect(spread([1, 2, 3, 4, 5])).toEqual({ median: 3, iqr: 2 / 3 })
  })

  test('one outlier does not move a median', () => {
    expect(summarize(measured('regis', [1, 1, 100, 1, 1])).cpuUs?.median).toBe(1)
  })

  test('a figure that one round lacks is not shown', () => {
    expect(summarize(measured('regis', [1, undefined])).cpuUs).toBeUndefined()
  })

  test('memory is that after the last round', () => {
    expect(summarize(measured('regis', [1, 1, 1])).rssBytes).toBe(3 * 2 ** 20)
  })

  test('the table shows the ratio beside the figure', () => {
    const all = [measured('direct', [1]), measured('twemproxy', [4]), measured('regis', [2])].map(summarize)
    const line = table(all)
      .split('\n')
      .find((one) => one.includes('regis'))
    expect(line?.trim().split(/\s+/).slice(0, 5)).toEqual(['regis', '2.00', '±0%', '0.50', '2.00'])
  })

  test('the table says who was left out, and why', () => {
    const why = 'twemproxy knows no transactions'
    const text = table([measured('regis', [2])].map(summarize), [{ cell: 'get:128:50:16', target: 'twemproxy', why }])
    expect(text.split('\n').at(-1)?.trim()).toBe(`twemproxy  left out: ${why}`)
  })
})
