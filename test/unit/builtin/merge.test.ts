import { mergeViews } from '../../../src/builtin/merge.ts'

describe('one view of several workers', () => {
  test('clients are those of all, tenants one row each with the sums', () => {
    expect(mergeViews([[{ id: 1, tenant: 'shop', in_flight: 2 }], [{ id: 2, tenant: 'shop', in_flight: 3 }]])).toEqual([
      { id: 1, tenant: 'shop', in_flight: 2 },
      { id: 2, tenant: 'shop', in_flight: 3 },
    ])
    const quotas = (used: number, share: number) => [
      { quota: 'ops', limit: 100, share, used, delayed: 1, refused: 0 },
      { quota: 'memory', limit: 1e6, used: 1000 * used, delayed: 0, refused: 2 },
    ]
    expect(
      mergeViews([
        [{ tenant: 'shop', database: 3, clients: 1, paused_ms: 0, memory_bytes: null, quotas: quotas(10, 40) }],
        [
          { tenant: 'shop', database: 3, clients: 2, paused_ms: 7, memory_bytes: 5, quotas: quotas(20, 60) },
          { tenant: 'blog', clients: 4 },
        ],
      ]),
    ).toEqual([
      {
        ...{ tenant: 'shop', database: 3, clients: 3, paused_ms: 7, memory_bytes: 5 },
        quotas: [
          { quota: 'ops', limit: 100, share: 100, used: 30, delayed: 2, refused: 0 },
          { quota: 'memory', limit: 1e6, used: 20_000, delayed: 0, refused: 4 },
        ],
      },
      { tenant: 'blog', clients: 4 },
    ])
  })

  test('of nodes the worst is told, of what all see the same it is told once', () => {
    const regions = (up: boolean, staleness_ms: number | null, watermark: number) => [
      {
        region: 'eu',
        local: true,
        nodes: [
          {
            node: 'n:1',
            role: 'replica',
            up,
            readable: up,
            staleness_ms,
            watermark,
            connections: 2,
            why_down: up ? null : 'x',
          },
        ],
      },
    ]
    expect(mergeViews([regions(true, 10, 8), regions(false, null, 7)])).toEqual([
      {
        region: 'eu',
        local: true,
        nodes: [
          {
            node: 'n:1',
            role: 'replica',
            up: false,
            readable: false,
            staleness_ms: 10,
            watermark: 7,
            connections: 4,
            why_down: 'x',
          },
        ],
      },
    ])
  })

  test('figures add up, percentiles are an upper bound, the state of overload is the worst', () => {
    const stats = (count: number, p99: number | null, state: string) => ({
      duration_ms: { read: { local: { count, p50: 1, p99 } } },
      overload: { state, memory_used: count / 10, memory_limit_bytes: 100 },
      tripwires: { desync: count },
    })
    expect(mergeViews([stats(3, 5, 'calm'), stats(4, null, 'shedding'), stats(1, 2, 'closed')])).toEqual({
      duration_ms: { read: { local: { count: 8, p50: 1, p99: 5 } } },
      overload: { state: 'shedding', memory_used: 0.4, memory_limit_bytes: 300 },
      tripwires: { desync: 8 },
    })
  })
})
