import fc from 'fast-check'
import { globMatch } from '../../src/routing/glob.ts'
import { Pattern, RuleIndex } from '../../src/routing/rule-index.ts'

/** Few letters, so that beginnings and ends are often alike. */
const letters = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 6 })
const sign = fc.constantFrom('', '*', '*', '?', '[ab]', '[^a]', '\\*', '\\a', ']', '[')
const pattern = fc.tuple(letters, sign, letters, sign).map((parts) => parts.join(''))
const key = fc.oneof(
  letters,
  fc.tuple(letters, letters, fc.constantFrom('', '*', 'é')).map((parts) => parts.join('')),
)

/** What the list says, asked one after the other. */
const asked = (patterns: readonly string[], text: Buffer): number =>
  patterns.findIndex((one) => globMatch(Buffer.from(one), text, 0, text.length))

test.each([
  ['a few', 0, 8],
  ['many', 9, 60],
])('of %s patterns the index finds the first that matches, as asking all of them does', (_, minLength, maxLength) => {
  fc.assert(
    fc.property(
      fc.array(pattern, { minLength, maxLength }),
      fc.array(key, { minLength: 1, maxLength: 8 }),
      (patterns, keys) => {
        const index = new RuleIndex(patterns.map((one) => new Pattern(one)))
        for (const one of [...keys, ...patterns]) {
          const text = Buffer.from(one)
          const framed = Buffer.concat([Buffer.from('shop:'), text, Buffer.from('aab*')])
          expect(index.first(framed, 5, text.length)).toBe(asked(patterns, text))
        }
      },
    ),
    { numRuns: 400 },
  )
})

test('a key of a thousand rules asks those with its beginning only', () => {
  let asks = 0
  class Counted extends Pattern {
    override matches(buf: Uint8Array, off: number, len: number): boolean {
      asks++
      return super.matches(buf, off, len)
    }
  }
  const index = new RuleIndex(Array.from({ length: 1000 }, (_, i) => new Counted(`area-${i}:*`)))
  const text = Buffer.from('area-77:items')
  expect(index.first(text, 0, text.length)).toBe(77)
  expect(index.first(Buffer.from('other'), 0, 5)).toBe(-1)
  expect(asks).toBe(1)
})
