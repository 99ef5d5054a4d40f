import { stepMsMin, walkRestPerCost } from '../../../src/base/limits.ts'
import { Pacer } from '../../../src/upstream/pacer.ts'

function world(rttMs = 0) {
  let nowMs = 0
  const timers: { at: number; run: () => void }[] = []
  const pacer = new Pacer({
    now: () => nowMs,
    after: (ms, run) => void timers.push({ at: nowMs + ms, run }),
    rttMs: () => rttMs,
  })
  return {
    pacer,
    advance(ms: number) {
      nowMs += ms
      for (const timer of timers.splice(0)) {
        if (timer.at <= nowMs) timer.run()
        else timers.push(timer)
      }
    },
  }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await Promise.resolve()
}

test('one turn at a time, tenants in turn however many walks one has', async () => {
  const { pacer } = world()
  const order: string[] = []
  const walk = (tenant: string): void => void pacer.take(tenant).then(() => order.push(tenant))
  for (let i = 0; i < 3; i++) walk('loud')
  walk('quiet')
  for (let i = 0; i < 4; i++) {
    await settle()
    expect(order).toHaveLength(i + 1)
    pacer.release(1, 0)
  }
  expect(order).toEqual(['loud', 'loud', 'quiet', 'loud'])
})

test('over any longer time a walk has its share of the server and no more', async () => {
  const { pacer, advance } = world()
  let steps = 0
  let costMs = 0
  let isOver = false
  const walk = async (): Promise<void> => {
    while (!isOver) {
      await pacer.take('a')
      advance(1) // the step takes the server a millisecond
      costMs += pacer.release(1_000, 1)
      steps++
    }
  }
  void walk()
  for (let ms = 0; ms < 1_000; ms++) {
    await settle()
    advance(1)
  }
  isOver = true
  expect(costMs).toBeCloseTo(steps, 3)
  expect(steps).toBeGreaterThan(600 / walkRestPerCost)
  expect(steps).toBeLessThan(1_400 / walkRestPerCost + 10)
})

test('a step is as large as fits its time, by what steps have cost; larger where the way is long', () => {
  const { pacer } = world()
  const before = pacer.itemsPerStep
  for (let i = 0; i < 100; i++) pacer.release(1_000, 0.1)
  expect(pacer.itemsPerStep).toBeGreaterThan(before)
  for (let i = 0; i < 100; i++) pacer.release(1_000, 50)
  expect(pacer.itemsPerStep).toBe(100)
  expect(world(100).pacer.itemsPerStep).toBeGreaterThan(before)
  expect(before).toBe(Math.round((stepMsMin * 1000) / 0.5))
})

test('while nothing is known of the way, no time counts as cost but the least', () => {
  expect(world(Number.POSITIVE_INFINITY).pacer.release(1_000, 500)).toBeCloseTo(0.2, 3)
})
