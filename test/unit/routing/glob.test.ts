import { globMatch } from '../../../src/routing/glob.ts'

function match(pattern: string, text: string): boolean {
  const before = 'junk*'
  const bytes = Buffer.from(before + text + 'more')
  return globMatch(Buffer.from(pattern), bytes, before.length, Buffer.byteLength(text))
}

test.each([
  ['*', ['', 'a', 'abc'], []],
  ['a*', ['a', 'abc'], ['', 'ba']],
  ['*a', ['a', 'bca', 'aa'], ['', 'ab']],
  ['a*b*c', ['abc', 'aXbYc', 'abbcc', 'abcbc'], ['ab', 'ac', 'abcd', 'acb']],
  ['**', ['', 'x'], []],
  ['?', ['a', '*'], ['', 'ab']],
  ['a?c', ['abc', 'a?c'], ['ac', 'abbc']],
  ['[abc]x', ['ax', 'cx'], ['dx', 'x', '[abc]x']],
  ['[^ab]', ['c', '^'], ['a', 'b', '']],
  ['[a-c]', ['a', 'b', 'c'], ['d', '-']],
  ['[c-a]', ['a', 'b', 'c'], ['d', '-']],
  ['[-a]', ['-', 'a'], ['b']],
  ['[a\\]b]', ['a', ']', 'b'], ['\\', 'c']],
  ['[a', ['a'], ['b', '[a']],
  ['[]', [], ['', 'a', ']', '[]']],
  ['[^]', ['a', ']'], ['']],
  ['\\*', ['*'], ['a', '\\*', '']],
  ['\\a', ['a'], ['\\a']],
  ['a\\', ['a\\'], ['a']],
  ['user:*:cart', ['user:1:cart', 'user::cart', 'user:a:b:cart'], ['user:1:car', 'user:cart']],
  ['', [''], ['a']],
] as const)('%s', (pattern, yes, no) => {
  for (const text of yes) expect([text, match(pattern, text)]).toEqual([text, true])
  for (const text of no) expect([text, match(pattern, text)]).toEqual([text, false])
})

test('bytes are bytes: a pattern of UTF-8 matches those bytes, and ? is one of them', () => {
  expect(match('é*', 'ete')).toBe(false)
  expect(match('é*', 'été')).toBe(true)
  expect(match('?', 'é')).toBe(false)
  expect(match('??', 'é')).toBe(true)
})

test('a pattern of many stars takes time in proportion, not for ever', () => {
  const text = Buffer.alloc(20_000, 'a')
  // With a way back at every star this would be 20,000 to the power of 30.
  expect(globMatch(Buffer.from(`${'a*'.repeat(30)}b`), text, 0, text.length)).toBe(false)
  expect(globMatch(Buffer.from(`${'*a'.repeat(30)}`), text, 0, text.length)).toBe(true)
})

test('a budget ends what would take too long, and leaves ordinary patterns alone', () => {
  const text = Buffer.from('a'.repeat(1024))
  const slow = Buffer.from(`*${'a'.repeat(600)}b*c`)
  const budget = { steps: 10_000 }
  expect(globMatch(slow, text, 0, text.length, budget)).toBe(false)
  expect(budget.steps).toBeLessThan(0)
  const enough = { steps: 10_000 }
  expect(globMatch(Buffer.from('user:*:cart'), Buffer.from('user:1:cart'), 0, 11, enough)).toBe(true)
  expect(enough.steps).toBeGreaterThan(9_900)
})
