/** When a worker that has ended is started again. */
import { Restarts } from '../../../src/workers/restarts.ts'

test('one that dies at once is started ever later, up to half a minute, and never given up', () => {
  const restarts = new Restarts()
  const delays = Array.from({ length: 200 }, () => restarts.delayAfter(5))
  expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800])
  expect(Math.max(...delays)).toBe(30_000)
  expect(delays.slice(9).every((ms) => ms === 30_000)).toBe(true)
  expect(restarts.all).toBe(200)
})

test('one that has lived for a minute is started again as if it were the first time', () => {
  const restarts = new Restarts()
  for (let i = 0; i < 20; i++) restarts.delayAfter(1_000)
  expect(restarts.delayAfter(59_999)).toBe(30_000)
  expect(restarts.delayAfter(60_000)).toBe(100)
  expect(restarts.delayAfter(5)).toBe(200)
})
