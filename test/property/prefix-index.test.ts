import fc from 'fast-check'
import { PrefixIndex } from '../../src/quota/prefix-index.ts'
import '../kit/seed.ts'

test('the owner of a name is what a look at every prefix says', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 6 })
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), fc.array(word, { maxLength: 30 }), (prefixes, names) => {
      const index = new PrefixIndex(prefixes.map((prefix) => Buffer.from(prefix)))
      for (const name of names) {
        const fitting = prefixes.filter((prefix) => prefix !== '' && name.startsWith(prefix))
        const longest = fitting.reduce((best, prefix) => (prefix.length > best.length ? prefix : best), '')
        expect(index.find(Buffer.from(name))).toBe(longest === '' ? -1 : prefixes.indexOf(longest))
      }
    }),
    { numRuns: 300 },
  )
})
