import fc from 'fast-check'
import { Largest } from '../../../src/metrics/largest.ts'

test('the N largest are those that sorting finds, equals by name', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(8), { maxLength: 60 }), fc.nat(12), (sizes, max) => {
      const items = sizes.map((size, i) => ({ name: `n${String(i).padStart(2, '0')}`, size }))
      const largest = new Largest(max)
      for (const { name, size } of items) largest.add(name, size)
      const sorted = [...items].sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1))
      expect([...largest.names()].sort()).toEqual(
        sorted
          .slice(0, max)
          .map(({ name }) => name)
          .sort(),
      )
    }),
  )
})

test('without a bound it is all of them', () => {
  const largest = new Largest(Number.POSITIVE_INFINITY)
  for (let i = 0; i < 100; i++) largest.add(`n${i}`, i % 3)
  expect(largest.names().size).toBe(100)
})
