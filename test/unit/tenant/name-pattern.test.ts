import fc from 'fast-check'
import { globMatch } from '../../../src/routing/glob.ts'
import { globOfPrefix, readPattern } from '../../../src/tenant/name-pattern.ts'

test.each([
  ['', 'literal', ''],
  ['abc', 'literal', 'abc'],
  ['a\\*c', 'literal', 'a*c'],
  ['user:*', 'prefix', 'user:'],
  ['user:**', 'prefix', 'user:'],
  ['*', 'prefix', ''],
  ['a*b', 'glob', 'a'],
  ['a?', 'glob', 'a'],
  ['a[bc]', 'glob', 'a'],
  ['*a', 'glob', ''],
  ['a\\', 'glob', 'a'],
])('%j is a %s that begins with %j', (text, kind, head) => {
  const pattern = readPattern(Buffer.from(text))
  expect([pattern.kind, pattern.head.toString()]).toEqual([kind, head])
})

test('a beginning longer than a kilobyte is cut, and the proxy matches the rest', () => {
  const pattern = readPattern(Buffer.alloc(5_000, 'x'))
  expect([pattern.kind, pattern.head.length]).toEqual(['glob', 1024])
})

const signs = fc.array(fc.constantFrom(...'ab*?[]\\^-:'), { maxLength: 8 }).map((parts) => Buffer.from(parts.join('')))

test('whatever a pattern matches begins with its head', () => {
  fc.assert(
    fc.property(signs, signs, (whole, name) => {
      const { head, kind } = readPattern(whole)
      const begins = name.subarray(0, head.length).equals(head)
      const isMatch = globMatch(whole, name, 0, name.length)
      if (isMatch) expect(begins).toBe(true)
      if (kind === 'prefix') expect(isMatch).toBe(begins)
      if (kind === 'literal') expect(isMatch).toBe(name.equals(head))
    }),
    { numRuns: 5_000 },
  )
})

test('the glob of a prefix matches what begins with it, and nothing else, whatever signs it is made of', () => {
  fc.assert(
    fc.property(signs, signs, signs, (prefix, head, name) => {
      const glob = globOfPrefix(prefix, head)
      const whole = Buffer.concat([prefix, head])
      const begins = name.subarray(0, whole.length).equals(whole)
      expect(globMatch(glob, name, 0, name.length)).toBe(begins)
      const own = Buffer.concat([whole, name])
      expect(globMatch(glob, own, 0, own.length)).toBe(true)
    }),
    { numRuns: 5_000 },
  )
})
