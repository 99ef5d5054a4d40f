import fc from 'fast-check'
import { globMatch } from '../../src/routing/glob.ts'
import { TenantRules } from '../../src/routing/rules.ts'

/** Redis's matcher with its way back at every star, as in util.c stringmatchlen_impl of 7.0: slow, short, and the judge. */
function redisMatch(p: string, t: string): boolean {
  while (p.length > 0 && t.length > 0) {
    const c = p[0]!
    if (c === '*') {
      while (p[1] === '*') p = p.slice(1)
      if (p.length === 1) return true
      for (; t.length > 0; t = t.slice(1)) if (redisMatch(p.slice(1), t)) return true
      return false
    }
    if (c === '[') {
      p = p.slice(1)
      const not = p[0] === '^'
      if (not) p = p.slice(1)
      let match = false
      for (;;) {
        if (p[0] === '\\' && p.length >= 2) {
          p = p.slice(1)
          if (p[0] === t[0]) match = true
        } else if (p[0] === ']') {
          break
        } else if (p.length === 0) {
          break
        } else if (p.length >= 3 && p[1] === '-') {
          let [start, end] = [p[0]!, p[2]!]
          if (start > end) [start, end] = [end, start]
          p = p.slice(2)
          if (t[0]! >= start && t[0]! <= end) match = true
        } else if (p[0] === t[0]) match = true
        p = p.slice(1)
      }
      if (not) match = !match
      if (!match) return false
      t = t.slice(1)
    } else {
      if (c === '\\' && p.length >= 2) p = p.slice(1)
      if (c !== '?' && p[0] !== t[0]) return false
      t = t.slice(1)
    }
    p = p.slice(1)
    if (t.length === 0) {
      while (p[0] === '*') p = p.slice(1)
      break
    }
  }
  return p.length === 0 && t.length === 0
}

const signs = ['a', 'b', 'c', '*', '*', '?', '[', ']', '^', '-', '\\']
const patterns = fc.string({ unit: fc.constantFrom(...signs), maxLength: 9 })
/** Not empty: stringmatchlen says that `*` does not match '', KEYS says that it does, and so do we. */
const texts = fc.string({
  unit: fc.constantFrom('a', 'a', 'b', 'c', ']', '-', '^', '\\', '*'),
  minLength: 1,
  maxLength: 7,
})

test('a glob matches what Redis matches', () => {
  const met = { yes: 0, no: 0 }
  fc.assert(
    fc.property(patterns, texts, (pattern, text) => {
      const bytes = Buffer.from(`*${text}a`)
      const expected = redisMatch(pattern, text)
      met[expected ? 'yes' : 'no']++
      return globMatch(Buffer.from(pattern), bytes, 1, text.length) === expected
    }),
    { numRuns: 30_000 },
  )
  expect(Math.min(met.yes, met.no)).toBeGreaterThan(1_000)
})

test('a rule matches as its glob does, whichever way it was compiled', () => {
  fc.assert(
    fc.property(fc.array(patterns, { minLength: 1, maxLength: 4 }), texts, (list, text) => {
      const rules = TenantRules.compile(
        list.map((keys) => ({ keys, pin: false })),
        'shop',
      )
      const key = Buffer.from(text)
      const first = list.findIndex((pattern) => globMatch(Buffer.from(pattern), key, 0, key.length))
      expect(rules?.match(key, 0, key.length)?.index ?? -1).toBe(first)
    }),
    { numRuns: 10_000 },
  )
})
