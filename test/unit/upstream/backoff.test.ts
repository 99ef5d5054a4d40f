import { Backoff } from '../../../src/upstream/backoff.ts'

test('the ceiling doubles from 50 ms to 2 s', () => {
  const backoff = new Backoff({ random: () => 0.999_999 })
  const delays = Array.from({ length: 9 }, () => backoff.nextDelayMs())
  expect(delays).toEqual([49, 99, 199, 399, 799, 1599, 1999, 1999, 1999])
})

test('the wait is spread over the whole range below the ceiling: many clients do not return together', () => {
  const share = (random: number) => {
    const backoff = new Backoff({ random: () => random })
    for (let i = 0; i < 6; i++) backoff.nextDelayMs()
    return backoff.nextDelayMs()
  }
  expect([share(0), share(0.25), share(0.5), share(0.75)]).toEqual([0, 500, 1000, 1500])
})

test('a reset begins anew', () => {
  const backoff = new Backoff({ random: () => 0.999_999, firstMs: 10, lastMs: 40 })
  for (let i = 0; i < 5; i++) backoff.nextDelayMs()
  backoff.reset()
  expect([backoff.nextDelayMs(), backoff.nextDelayMs(), backoff.nextDelayMs(), backoff.nextDelayMs()]).toEqual([
    9, 19, 39, 39,
  ])
})
