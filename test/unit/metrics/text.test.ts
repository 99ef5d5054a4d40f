import { Registry } from 'prom-client'
import { familyLines, type Value } from '../../../src/metrics/text.ts'

test('a family reads as prom-client writes it', async () => {
  const values: Value[] = [
    { labels: {}, value: 1 },
    { labels: { tenant: 'shop', kind: 'read' }, value: 0.25 },
    { labels: { tenant: 'quo"te\\back\nline' }, value: 1e21 },
    { labels: { le: '+Inf' }, value: Number.POSITIVE_INFINITY, metricName: 'regis_x_bucket' },
    { labels: { le: '1' }, value: Number.NEGATIVE_INFINITY, metricName: 'regis_x_bucket' },
    { labels: { nan: '' }, value: Number.NaN },
  ]
  const row = { help: 'Help with a \\ and\na line.', type: 'histogram' } as const
  const metric = { name: 'regis_x', ...row, get: async () => ({ name: 'regis_x', ...row, values }) }
  const registry = new Registry()
  registry.registerMetric(metric as never)
  expect([...familyLines('regis_x', row, values)].join('\n')).toBe((await registry.metrics()).trimEnd())
})
