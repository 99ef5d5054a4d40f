import { readCommandStats, StepCost } from '../../../src/upstream/step-cost.ts'

const line = (name: string, calls: number, usec: number): string =>
  `cmdstat_${name}:calls=${calls},usec=${usec},usec_per_call=1.00,rejected_calls=0,failed_calls=0`
const page = (...lines: string[]): string => ['# Commandstats', ...lines, ''].join('\r\n')

test('the page of a server says what SCAN has cost, and what others have it do', () => {
  const stats = readCommandStats(
    page(line('scan', 12, 3_400), line('get', 5, 9), line('info', 7, 700), line('client|setinfo', 3, 3)),
  )
  expect(stats).toEqual({ scanCalls: 12, scanUsec: 3_400, otherCalls: 5 })
  expect(readCommandStats(page(line('get', 5, 9)))).toEqual({ scanCalls: 0, scanUsec: 0, otherCalls: 5 })
})

test('a server that says nothing of its commands leaves the cost unknown', () => {
  expect(readCommandStats('# Commandstats\r\n')).toBeUndefined()
  expect(readCommandStats('-NOPERM this user has no permissions\r\n')).toBeUndefined()
})

const steps = (cost: StepCost, count: number, items: number): void => {
  for (let i = 0; i < count; i++) cost.note(items)
}

test('what a key costs is learned from the differences, and steps of other walkers count as ours', () => {
  const cost = new StepCost()
  cost.read({ scanCalls: 1_000, scanUsec: 900_000, otherCalls: 0 }, 1_000)
  for (let round = 1; round <= 20; round++) {
    steps(cost, 10, 500)
    // Another proxy walks too: twenty calls of 100 us, 0.2 us a key.
    cost.read({ scanCalls: 1_000 + round * 20, scanUsec: 900_000 + round * 2_000, otherCalls: 0 }, 1_000 + round * 250)
  }
  expect(cost.usPerItem).toBeCloseTo(0.2, 3)
})

test('a server that was started anew, or a pause, begins a new difference', () => {
  const cost = new StepCost()
  const before = cost.usPerItem
  cost.read({ scanCalls: 1_000, scanUsec: 10_000_000, otherCalls: 500 }, 0)
  steps(cost, 10, 500)
  cost.read({ scanCalls: 10, scanUsec: 50, otherCalls: 0 }, 250)
  expect(cost.usPerItem).toBe(before)
  steps(cost, 10, 500)
  cost.read({ scanCalls: 1_000_010, scanUsec: 50_000_000, otherCalls: 0 }, 60_000)
  expect(cost.usPerItem).toBe(before)
})

test('too few steps say nothing, but are not forgotten', () => {
  const cost = new StepCost()
  const before = cost.usPerItem
  cost.read({ scanCalls: 0, scanUsec: 0, otherCalls: 0 }, 0)
  steps(cost, 4, 100)
  cost.read({ scanCalls: 4, scanUsec: 40_000, otherCalls: 0 }, 250)
  expect(cost.usPerItem).toBe(before)
  steps(cost, 4, 100)
  cost.read({ scanCalls: 8, scanUsec: 80, otherCalls: 0 }, 500)
  expect(cost.usPerItem).toBeLessThan(before)
})

test('a server is idle while nobody but proxies asks it', () => {
  const cost = new StepCost()
  expect(cost.isIdle).toBe(false)
  cost.read({ scanCalls: 0, scanUsec: 0, otherCalls: 1_000 }, 0)
  expect(cost.isIdle).toBe(false)
  cost.read({ scanCalls: 0, scanUsec: 0, otherCalls: 1_001 }, 250)
  expect(cost.isIdle).toBe(true)
  cost.read({ scanCalls: 0, scanUsec: 0, otherCalls: 1_101 }, 500)
  expect(cost.isIdle).toBe(false)
})
