import { FallbackLimit, type FallbackUse, fallbackWindowMs } from '../../../src/routing/fallback-limit.ts'

const newFallbackUse = (): FallbackUse => ({ isListed: false, asked: 0, wish: 0, silent: 0, left: 0 })

/** Asks `perMs` times a ms for each tenant over this time; how many were let through, by tenant. */
function run(limit: FallbackLimit, wishes: readonly (readonly [FallbackUse, number])[], fromMs: number, ms: number) {
  const passed = wishes.map(() => 0)
  const owed = wishes.map(() => 0)
  for (let now = fromMs; now < fromMs + ms; now++) {
    for (const [i, [use, perMs]] of wishes.entries()) {
      owed[i]! += perMs
      for (; owed[i]! >= 1; owed[i]!--) if (limit.take(use, now)) passed[i]!++
    }
  }
  return passed
}

test('no more pass than the rate says, at any rate, and all of it can be used by one', () => {
  for (const [count, perMs] of [
    [5000, 1000],
    [7, 1000],
    [90, 60_000],
  ] as const) {
    const [passed = 0] = run(new FallbackLimit(count, perMs), [[newFallbackUse(), 100]], 1_000, 2 * perMs)
    expect(passed).toBeLessThanOrEqual(2 * count + Math.ceil((count * fallbackWindowMs) / perMs))
    expect(passed).toBeGreaterThanOrEqual(2 * count - Math.ceil((count * fallbackWindowMs) / perMs) - 1)
  }
})

test('within any tenth of a second no more pass than two windows have', () => {
  const limit = new FallbackLimit(1000, 1000)
  const use = newFallbackUse()
  const times: number[] = []
  for (let now = 0; now < 3_000; now += 1) for (let i = 0; i < 50; i++) if (limit.take(use, now)) times.push(now)
  for (const [i, at] of times.entries()) expect((times[i + 200] ?? at + 1_000) - at).toBeGreaterThanOrEqual(100)
})

test('one tenant cannot eat all: who asks for little has it, who ask for much have equal parts', () => {
  const limit = new FallbackLimit(1000, 1000)
  const [small, hog, other] = [newFallbackUse(), newFallbackUse(), newFallbackUse()]
  const wishes = [
    [hog, 1000],
    [other, 50],
    [small, 0.1],
  ] as const
  run(limit, wishes, 0, 300)
  const [much = 0, also = 0, little = 0] = run(limit, wishes, 300, 1_000)
  // The small one's wish, 100 a second, is met but for what falls between two windows.
  expect(little).toBeGreaterThanOrEqual(90)
  expect(much + also + little).toBeLessThanOrEqual(1_000)
  expect(much + also + little).toBeGreaterThanOrEqual(980)
  expect(Math.abs(much - also)).toBeLessThanOrEqual(0.05 * much)
})

test('a newcomer has its part from the next window on', () => {
  const limit = new FallbackLimit(1000, 1000)
  const [hog, late] = [newFallbackUse(), newFallbackUse()]
  run(limit, [[hog, 1000]], 0, 1_000)
  const wishes = [
    [hog, 1000],
    [late, 1000],
  ] as const
  run(limit, wishes, 1_000, 100)
  const [first = 0, second = 0] = run(limit, wishes, 1_100, 500)
  expect(second).toBeGreaterThanOrEqual(0.45 * (first + second))
})

test('who asks seldom is served while others ask always, and many who ask always take turns', () => {
  const limit = new FallbackLimit(40, 1000)
  const [seldom, ...hogs] = Array.from({ length: 9 }, newFallbackUse)
  let now = 0
  let passed = 0
  const got = hogs.map(() => 0)
  for (let i = 0; i < 50; i++) {
    for (const until = now + 170; now < until; now += 5) {
      for (const [h, hog] of hogs.entries()) for (let k = 0; k < 20; k++) if (limit.take(hog, now)) got[h]!++
    }
    if (limit.take(seldom!, now)) passed++
  }
  // Four tokens a window for nine: fewer than one each, so it is a matter of turns, and nobody has none.
  expect(passed).toBeGreaterThan(10)
  for (const count of got) expect(count).toBeGreaterThan(8.5 * 40 * 0.05)
  const one = new FallbackLimit(40, 1000)
  const [rare, hog] = [newFallbackUse(), newFallbackUse()]
  let served = 0
  for (now = 0; now < 8_500; now++) {
    if (now % 170 === 169 && one.take(rare, now)) served++
    for (let k = 0; k < 20; k++) one.take(hog, now)
  }
  expect(served).toBeGreaterThanOrEqual(49)
})

test('a share that is not used is lost to nobody for long: a window later it is free but for one read', () => {
  const limit = new FallbackLimit(1000, 1000)
  const [gone, stays] = [newFallbackUse(), newFallbackUse()]
  run(
    limit,
    [
      [gone, 1000],
      [stays, 1000],
    ],
    0,
    500,
  )
  run(limit, [[stays, 1000]], 500, 200)
  const [passed = 0] = run(limit, [[stays, 1000]], 700, 1_000)
  expect(passed).toBeGreaterThanOrEqual(980)
  const [later = 0] = run(limit, [[stays, 1000]], 1_700, 1_000)
  expect(later).toBeGreaterThanOrEqual(999)
})

test('asking whether there is room takes nothing', () => {
  const limit = new FallbackLimit(10, 1000)
  const use = newFallbackUse()
  for (let i = 0; i < 100; i++) expect(limit.has(use, 0)).toBe(true)
  expect(limit.take(use, 0)).toBe(true)
  expect(limit.has(use, 0)).toBe(false)
  expect(limit.take(use, 0)).toBe(false)
})

test('a pause saves nothing up', () => {
  const limit = new FallbackLimit(1000, 1000)
  const use = newFallbackUse()
  run(limit, [[use, 10]], 0, 100)
  let passed = 0
  for (let i = 0; i < 1_000; i++) if (limit.take(use, 60_000)) passed++
  expect(passed).toBe(100)
})
