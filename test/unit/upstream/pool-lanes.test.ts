/** Which of a node's shared connections a client's commands go on. */
import { silentLog } from '../../../src/base/log.ts'
import { Histogram } from '../../../src/metrics/counters.ts'
import { Pool, type PoolEvents } from '../../../src/upstream/pool.ts'

function poolOf(connections: number, idStep: number): Pool {
  const options = {
    addresses: [{ name: 'a:1', host: 'a', port: 1, region: 'here', tls: false }],
    connections,
    idStep,
    timeoutMs: 1_000,
    clientName: 'x',
    log: silentLog,
    now: () => 0,
    durations: () => ({ read: new Histogram(), write: new Histogram(), upstream: new Histogram() }),
  }
  return new Pool(options, {} as PoolEvents)
}

/** How many of 60 clients, whose ids begin at `first`, are on each connection. */
function spread(connections: number, idStep: number, first: number): number[] {
  const pool = poolOf(connections, idStep)
  const counts = new Map<number, number>()
  for (let i = 0; i < 60; i++) {
    const { index } = pool.lane(0, 2, false, first + i * idStep, 0)
    counts.set(index, (counts.get(index) ?? 0) + 1)
  }
  return [...counts.values()]
}

test.each([
  [1, 1],
  [2, 1],
  [3, 1],
  [2, 2],
  [2, 4],
  [3, 3],
  [4, 6],
])('%i connections are used alike, also by a worker whose clients’ ids go up by %i', (connections, idStep) => {
  for (let first = 1; first <= idStep; first++)
    expect(spread(connections, idStep, first)).toEqual(new Array(connections).fill(60 / connections))
})

test('a client stays on its connection', () => {
  const pool = poolOf(3, 2)
  expect(pool.lane(0, 2, false, 7, 0)).toBe(pool.lane(0, 2, false, 7, 0))
})
