import { parseSummary } from '../../../bench/redis-benchmark.ts'

describe('what redis-benchmark prints', () => {
  const text = `Latency by percentile distribution:
0.000% <= 0.031 milliseconds (cumulative count 2)
99.805% <= 2.479 milliseconds (cumulative count 19961)
99.902% <= 3.263 milliseconds (cumulative count 19981)
100.000% <= 18.095 milliseconds (cumulative count 20000)

Summary:
  throughput summary: 31897.93 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        0.104     0.024     0.087     0.159     0.207    18.095
`
  test('is read with its percentiles', () => {
    expect(parseSummary(text)).toEqual({ perSecond: 31897.93, p50Ms: 0.087, p99Ms: 0.207, p999Ms: 3.263 })
  })

  test('without a summary there is no result', () => {
    expect(parseSummary('WARNING: Could not fetch server CONFIG')).toBeUndefined()
    expect(parseSummary(text.replace('31897.93', '0.00'))).toBeUndefined()
  })
})
