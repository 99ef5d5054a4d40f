import { readFileSync } from 'node:fs'
import { metricPrefix, metricRows } from '../../../src/metrics/catalogue.ts'
import { renderMetricsPage } from '../../../src/metrics/page.ts'

describe('docs/metrics.md', () => {
  test('is what the catalogue renders (npm run docs)', () => {
    expect(readFileSync('docs/metrics.md', 'utf8')).toBe(renderMetricsPage())
  })

  test('has one row per metric, each under a heading', () => {
    const rows = [...renderMetricsPage().matchAll(/^\| `(regis_\w+)`/gm)].map((match) => match[1])
    expect(rows).toEqual(metricRows.map(([name]) => metricPrefix + name))
  })
})
