/**
 * Parts of one limit (quota/shares.ts), for proxies that agree on what everybody wants and holds: whatever that is, the parts
 * that are due add up to the limit, nobody has nothing, and nobody wants for what another does not need.
 */
import fc from 'fast-check'
import { type Claim, shareOf } from '../../src/quota/shares.ts'

const limits = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 0.01, max: 10, noNaN: true }))
const wishes = (limit: number) =>
  fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 3 * limit, noNaN: true })), {
    minLength: 2,
    maxLength: 12,
  })
const fleets = limits.chain((limit) => fc.record({ limit: fc.constant(limit), wants: wishes(limit) }))

/** What is due to each when nobody holds anything beyond a floor. */
const due = (limit: number, wants: readonly number[]): number[] =>
  wants.map((want, i) => shareOf(limit, want, without(wants, i, 0)))

function without(wants: readonly number[], own: number, held: number): Claim[] {
  return wants.filter((_, i) => i !== own).map((want) => ({ want, held }))
}

const rounding = (count: number): number => count / 1000 + 1e-6

test('the parts that are due add up to the limit', () => {
  fc.assert(
    fc.property(fleets, ({ limit, wants }) => {
      const sum = due(limit, wants).reduce((a, b) => a + b, 0)
      expect(Math.abs(sum - limit)).toBeLessThanOrEqual(rounding(wants.length))
    }),
  )
})

test('nobody has nothing, or more than the limit', () => {
  const held = fc.double({ min: 0, max: 1e9, noNaN: true })
  const claims = fc.array(fc.record({ want: held, held }), { maxLength: 12 })
  fc.assert(
    fc.property(limits, held, claims, (limit, want, others) => {
      const share = shareOf(limit, want, others)
      expect(share).toBeGreaterThan(0)
      expect(share).toBeLessThanOrEqual(limit)
    }),
  )
})

test('when all wishes fit, each is met', () => {
  fc.assert(
    fc.property(fleets, ({ limit, wants }) => {
      const sum = wants.reduce((a, b) => a + b, 0)
      // The floors are given first.
      fc.pre(sum <= limit * 0.95)
      for (const [i, share] of due(limit, wants).entries())
        expect(share).toBeGreaterThanOrEqual(wants[i]! - rounding(1))
    }),
  )
})

test('when they do not fit, who is cut short has as much as anybody', () => {
  fc.assert(
    fc.property(fleets, ({ limit, wants }) => {
      fc.pre(wants.reduce((a, b) => a + b, 0) > limit)
      const shares = due(limit, wants)
      const most = Math.max(...shares)
      for (const [i, share] of shares.entries())
        if (share < Math.min(wants[i]!, limit) - rounding(1)) expect(share).toBeGreaterThanOrEqual(most - rounding(1))
    }),
  )
})

test('what the others hold is not taken before they let go of it', () => {
  fc.assert(
    fc.property(fleets, fc.double({ min: 0, max: 1, noNaN: true }), ({ limit, wants }, part) => {
      const others = without(wants, 0, (limit * part) / (wants.length - 1))
      const share = shareOf(limit, wants[0]!, others)
      const floors = (limit / 20 / wants.length) * wants.length
      expect(share).toBeLessThanOrEqual(Math.max(limit * (1 - part), floors) + rounding(1))
    }),
  )
})

test('one alone has all of it', () => {
  expect(shareOf(3_000, 0, [])).toBe(3_000)
  expect(shareOf(0.5, 100, [])).toBe(0.5)
})
