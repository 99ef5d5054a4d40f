/** When there is too much, who pays, and how far: figures in, decisions out. */
import {
  heaviest,
  heldUntilMs,
  heldWindowMs,
  isRelaxed,
  isSaturated,
  LoopLevels,
  memoryUse,
  OVERLOAD,
  stateFor,
  workOf,
} from '../../../src/quota/overload.ts'

const MiB = 1024 * 1024

test.each([
  [0.84, OVERLOAD.calm, OVERLOAD.calm],
  [0.85, OVERLOAD.calm, OVERLOAD.closed],
  [0.92, OVERLOAD.calm, OVERLOAD.shedding],
  [0.95, OVERLOAD.calm, OVERLOAD.closing],
  [0.949, OVERLOAD.closing, OVERLOAD.closing],
  [0.92, OVERLOAD.closing, OVERLOAD.closing],
  [0.919, OVERLOAD.closing, OVERLOAD.shedding],
  [0.88, OVERLOAD.shedding, OVERLOAD.shedding],
  [0.879, OVERLOAD.closing, OVERLOAD.closed],
  [0.8, OVERLOAD.closed, OVERLOAD.closed],
  [0.799, OVERLOAD.closing, OVERLOAD.calm],
])('at %d of the memory, from state %d, the state is %d', (use, from, state) => {
  expect(stateFor(use, from)).toBe(state)
})

test('use that goes to and fro around a step changes the state once', () => {
  let state: number = OVERLOAD.calm
  let changes = 0
  for (const use of [0.84, 0.86, 0.84, 0.86, 0.82, 0.86, 0.81]) {
    const next = stateFor(use, state)
    if (next !== state) changes++
    state = next
  }
  expect([changes, state]).toEqual([1, OVERLOAD.closed])
})

test('the nearer limit counts: the heap has its own', () => {
  const figures = { heapUsed: 60 * MiB, heapLimit: 64 * MiB, buffers: 10 * MiB, rss: 120 * MiB }
  const use = memoryUse(figures, 50 * MiB, 1000 * MiB)
  expect(use.heap).toBeCloseTo(60 / 64)
  expect(use.process).toBeCloseTo(0.12)
})

test('what the kernel counts is believed as far as what is in use explains it: the rest is free memory of the allocator', () => {
  const atPeak = { heapUsed: 20 * MiB, heapLimit: 4000 * MiB, buffers: 130 * MiB, rss: 230 * MiB }
  expect(memoryUse(atPeak, 50 * MiB, 256 * MiB).process).toBeCloseTo(230 / 256)
  // All was given back, and the allocator keeps it: closing clients would help nobody.
  const after = { ...atPeak, buffers: 5 * MiB }
  expect(memoryUse(after, 50 * MiB, 256 * MiB).process).toBeLessThan(0.5)
  // Nothing is less in use than what is known to be.
  expect(memoryUse({ ...atPeak, rss: 0 }, 50 * MiB, 256 * MiB).process).toBeCloseTo(200 / 256)
})

test('the heaviest pay until it is enough, the heaviest first, and nobody who holds next to nothing', () => {
  const holders = [
    { who: 'modest', bytes: 900 },
    { who: 'large', bytes: 5_000 },
    { who: 'largest', bytes: 9_000 },
    { who: 'middling', bytes: 3_000 },
  ]
  const named = (excess: number, least = 1_000): string[] => heaviest(holders, excess, least).map(({ who }) => who)
  expect(named(1)).toEqual(['largest'])
  expect(named(9_001)).toEqual(['largest', 'large'])
  expect(named(1e9)).toEqual(['largest', 'large', 'middling'])
  expect(named(0)).toEqual([])
  expect(named(1e9, 10_000)).toEqual([])
})

test('a loop is saturated when it is busy and late, and relaxed when it is one of neither', () => {
  expect(isSaturated({ utilization: 1, lagMs: 60 })).toBe(true)
  expect(isSaturated({ utilization: 1, lagMs: 49 })).toBe(false)
  expect(isSaturated({ utilization: 0.9, lagMs: 500 })).toBe(false)
  expect(isRelaxed({ utilization: 1, lagMs: 30 })).toBe(false)
  expect(isRelaxed({ utilization: 1, lagMs: 10 })).toBe(true)
  expect(isRelaxed({ utilization: 0.5, lagMs: 500 })).toBe(true)
})

describe('a saturated loop', () => {
  const greedy = { who: 'greedy', work: workOf(100_000, 0) }
  const modest = ['a', 'b', 'c'].map((who) => ({ who, work: workOf(1_000, 0) }))

  test('has its heaviest tenant held back step by step, never wholly, and others never', () => {
    const levels = new LoopLevels<string>()
    for (let i = 0; i < 20; i++) levels.raise([...modest, greedy])
    expect(levels.of('greedy')).toBe(7)
    expect(modest.map(({ who }) => levels.of(who))).toEqual([0, 0, 0])
  })

  test('who does nothing but move bytes is as heavy as who sends commands', () => {
    const levels = new LoopLevels<string>()
    expect(levels.raise([...modest, { who: 'bytes', work: workOf(100, 1e9) }])).toBe('bytes')
  })

  test('nobody is heavier than others where all do the same, or where one is alone', () => {
    const levels = new LoopLevels<string>()
    expect(levels.raise(modest)).toBeUndefined()
    expect(levels.raise([greedy])).toBeUndefined()
    expect(levels.raise([greedy, { who: 'idle', work: 0 }])).toBeUndefined()
    expect(levels.raise([])).toBeUndefined()
  })

  test('lets go step by step when it is relaxed', () => {
    const levels = new LoopLevels<string>()
    levels.raise([...modest, greedy])
    levels.raise([...modest, greedy])
    expect(levels.lower()).toEqual([])
    expect(levels.lower()).toEqual(['greedy'])
    expect(levels.size).toBe(0)
  })
})

test('held back by n eighths, commands wait for that part of each window, and never for longer', () => {
  for (let level = 0; level < 8; level++) {
    let waiting = 0
    for (let ms = 0; ms < heldWindowMs; ms++) {
      const untilMs = heldUntilMs(10 * heldWindowMs + ms, level)
      if (untilMs === 0) continue
      waiting++
      expect(untilMs - 10 * heldWindowMs).toBe((level * heldWindowMs) / 8)
      expect(heldUntilMs(untilMs, level)).toBe(0)
    }
    expect(waiting).toBe((level * heldWindowMs) / 8)
  }
})
