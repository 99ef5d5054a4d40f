import { stepMsMin, walkCostEveryMs, walkRestPerCost, walkRestPerCostIdle } from '../../../src/base/limits.ts'
import { Pacer } from '../../../src/upstream/pacer.ts'
import type { CommandStats } from '../../../src/upstream/step-cost.ts'

function world(rttMs = 0, usPerItem?: number, otherCallsPerMs = 1) {
  let nowMs = 0
  let [calls, items, asked] = [0, 0, 0]
  const timers: { at: number; run: () => void }[] = []
  const pacer = new Pacer({
    now: () => nowMs,
    after: (ms, run) => void timers.push({ at: nowMs + ms, run }),
    rttMs: () => rttMs,
    stats: async (): Promise<CommandStats | undefined> => {
      asked++
      if (usPerItem === undefined) return undefined
      return { scanCalls: calls, scanUsec: items * usPerItem, otherCalls: Math.floor(nowMs * otherCallsPerMs) }
    },
  })
  return {
    pacer,
    get asked() {
      return asked
    },
    /** A walk for a while, each step as large as it may be. Returns how long its steps took the server, ms. */
    async walk(ms: number, stepMs = 0): Promise<{ items: number; steps: number }> {
      const before = items
      const callsBefore = calls
      let isOver = false
      const walking = (async () => {
        while (!isOver) {
          await pacer.take('a')
          const count = pacer.itemsPerStep
          calls++
          items += count
          this.advance(stepMs)
          pacer.release(count, true)
        }
      })()
      for (let at = 0; at < ms; at++) {
        await settle()
        this.advance(1)
      }
      isOver = true
      this.advance(1_000)
      await walking
      return { items: items - before, steps: calls - callsBefore }
    },
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
  for (let i = 0; i < 40; i++) await Promise.resolve()
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
    pacer.release(1, true)
  }
  expect(order).toEqual(['loud', 'loud', 'quiet', 'loud'])
})

test('over any longer time a walk has its share of the server and no more', async () => {
  const one = world(0, 0.25)
  await one.walk(1_000)
  const { items } = await one.walk(1_000)
  const shareMs = 1_000 / walkRestPerCost
  expect((items * 0.25) / 1000).toBeGreaterThan(shareMs * 0.8)
  expect((items * 0.25) / 1000).toBeLessThan(shareMs * 1.2)
})

test('how long answers take says nothing of the cost: a server that others keep busy is not walked more slowly for it', async () => {
  const one = world(0, 0.25)
  await one.walk(1_000)
  const quick = await one.walk(1_000)
  // Most of the time between two steps is rest, so that the answer may come a millisecond later.
  const late = await one.walk(1_000, 0.5)
  expect(late.items).toBeGreaterThan(quick.items * 0.8)
})

test('a step is as large as fits its time, by what the server says that steps cost; larger where the way is long', async () => {
  const cheap = world(0, 0.1)
  const before = cheap.pacer.itemsPerStep
  expect(before).toBe(Math.round((stepMsMin * 1000) / 0.5))
  await cheap.walk(2_000)
  expect(cheap.pacer.itemsPerStep).toBeGreaterThan(stepMsMin * 1000 * 9)
  expect(cheap.pacer.itemsPerStep).toBeLessThan(stepMsMin * 1000 * 11)
  const dear = world(0, 50)
  await dear.walk(2_000)
  expect(dear.pacer.itemsPerStep).toBe(25)
  expect(world(100).pacer.itemsPerStep).toBeGreaterThan(before)
})

test('a server that nobody else asks anything is walked at half of its time', async () => {
  const idle = world(0, 0.25, 0)
  await idle.walk(1_000)
  const { items } = await idle.walk(1_000)
  const costMs = (items * 0.25) / 1000
  expect(costMs).toBeGreaterThan((1_000 / walkRestPerCostIdle) * 0.8)
})

test('the server is asked rarely, and one that says nothing is taken to be slow', async () => {
  const silent = world()
  const { items } = await silent.walk(1_000)
  expect(silent.asked).toBeLessThanOrEqual(1_000 / walkCostEveryMs + 5)
  expect(silent.asked).toBeGreaterThan(2)
  expect((items * 0.5) / 1000).toBeLessThan((1_000 / walkRestPerCost) * 1.2)
})
