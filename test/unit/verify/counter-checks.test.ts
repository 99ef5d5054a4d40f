/** The checks of counters: each is shown what breaks its promise, and what does not by the smallest margin. */
import { CounterChecks, type Seen, Timeline } from '../../../src/verify/counter-checks.ts'

/** 1 was acknowledged at 10 ms, 2 at 20 ms, and so on. */
function written(count: number, key = 'k'): Timeline {
  const line = new Timeline(key)
  for (let i = 1; i <= count; i++) line.ack(line.next(), i * 10)
  return line
}

test('a read below what was acknowledged before it was sent breaks read your writes', () => {
  const checks = new CounterChecks()
  const line = written(3)
  checks.readYourWrites(line, 3, 3)
  checks.readYourWrites(line, 3, 2)
  expect(checks.violations.total).toBe(0)
  checks.readYourWrites(line, 2, 3)
  expect(checks.violations.counts['read your writes']).toBe(1)
  expect(checks.violations.examples[0]!.text).toBe('k is 2, 3 was acknowledged before')
})

test('a connection that sees less than it has seen breaks monotonic reads, and its mark stays where it was', () => {
  const checks = new CounterChecks()
  const [line, other] = [written(5), written(5, 'other')]
  const seen: Seen = new Map()
  for (const value of [1, 1, 4]) checks.monotonicReads(line, value, seen)
  checks.monotonicReads(other, 2, seen)
  checks.monotonicReads(line, 2, new Map())
  expect(checks.violations.total).toBe(0)
  checks.monotonicReads(line, 3, seen)
  checks.monotonicReads(line, 3, seen)
  expect(checks.violations.counts['monotonic reads']).toBe(2)
})

test('the second of two writes without the first breaks monotonic writes', () => {
  const checks = new CounterChecks()
  const [a, b] = [written(5, 'a'), written(5, 'b')]
  checks.monotonicWrites(a, 4, b, 4)
  checks.monotonicWrites(a, 5, b, 4)
  expect(checks.violations.total).toBe(0)
  checks.monotonicWrites(a, 3, b, 4)
  expect(checks.violations.counts['monotonic writes']).toBe(1)
})

test('a bound is kept to the millisecond, counted from the acknowledgement to the sending of the read', () => {
  const checks = new CounterChecks()
  const line = written(9)
  checks.bounded(line, 4, 149, 100) // 5 was acknowledged at 50
  checks.bounded(line, 5, 150, 100)
  checks.bounded(line, 9, 10_000, 100)
  expect(checks.violations.total).toBe(0)
  checks.bounded(line, 4, 150, 100)
  expect(checks.violations.examples[0]!.text).toBe('k is 4, 100 ms old, the bound is 100 ms')
  checks.bounded(line, 0, 10_000, 100)
  expect(checks.violations.counts['bounded staleness']).toBe(2)
})

test('a value that nobody wrote, or that was told to be not executed, is known as such', () => {
  const checks = new CounterChecks()
  const line = written(2)
  line.refuse(line.next())
  const uncertain = line.next()
  for (const value of [0, 1, 2, uncertain]) checks.known(line, value)
  expect(checks.violations.total).toBe(0)
  for (const value of [3, 5, -1, 1.5, Number.NaN]) checks.known(line, value)
  expect(checks.violations.counts['known values']).toBe(5)
  expect(checks.reads).toBe(9)
})

test('staleness is the time since a newer value was acknowledged', () => {
  const line = written(3)
  expect(line.stalenessMs(3, 500)).toBe(0)
  expect(line.stalenessMs(2, 500)).toBe(470)
  expect(line.stalenessMs(0, 500)).toBe(490)
  expect(line.stalenessMs(2, 25)).toBe(0)
})

test('what was acknowledged when is found as a plain search finds it', () => {
  const line = written(50)
  for (let ms = 0; ms < 600; ms += 7) expect(line.ackedBefore(ms)).toBe(Math.min(50, Math.floor(ms / 10)))
})

test('an acknowledgement out of turn is a mistake of the writer', () => {
  const line = written(2)
  expect(() => line.ack(2, 50)).toThrow('k: 2 was acknowledged after 2')
})
