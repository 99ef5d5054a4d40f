import fc from 'fast-check'
import { remakeTailCalls, tailMark, unmakeTailCalls } from '../../../src/scripts/lua-source.ts'

const marked = (text: string): string => text.replaceAll('return^', `return${tailMark}`)

test.each([
  ["return^ redis.call('get', 'k')"],
  ["if a then return^ redis.call('x') else return^ redis . call ('y') end"],
  ["-- return redis.call('x')\nreturn^ redis.call('y')"],
  ["--[[ return redis.call('x')\n]] return^ redis.call('y')"],
  ["--[==[ ]] return redis.call('x') ]==] return^ redis.call('y')"],
  ['local s = "return redis.call(1)" return s'],
  ["local s = 'a\\' return redis.call(1)' return s"],
  ['local s = [[ return redis.call(1) ]] return [=[ return redis.call(1) ]=]'],
  ['local rcall = redis.call\nreturn^ rcall(1)'],
  ['local rcall = redis.call; return^ rcall(1)'],
  ['local rcall = redis.call(1)\nreturn rcall(1)'],
  ["local rcall = redis.call 'get'\nreturn rcall(1)"],
  ['local rcall = redis.call rcall = other return rcall(1)'],
  ['local rcall = redis.call local function rcall() return 1, 2 end return rcall(1)'],
  ['local rcall = redis.call function f(a, rcall) return rcall(1) end'],
  ['local rcall = redis.pcall return rcall(1)'],
  ['return redis.pcall(1)'],
  ['return redis.call'],
  ['return f(redis.call(1))'],
  ['return redis.callx(1)'],
  ['returns redis.call(1)'],
  ['"unfinished return redis.call(1)'],
  ['[[unfinished return redis.call(1)'],
])('%j', (text) => {
  const original = text.replaceAll('^', '')
  expect(unmakeTailCalls(original)).toBe(marked(text))
  expect(remakeTailCalls(unmakeTailCalls(original))).toBe(original)
})

test('any text comes back as it was', () => {
  const word = fc.constantFrom(
    'return',
    'redis',
    '.',
    'call',
    '(',
    ')',
    '"',
    "'",
    '--',
    '[[',
    ']]',
    '\n',
    ' ',
    '\\',
    'x',
  )
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const text = words.join('')
      expect(remakeTailCalls(unmakeTailCalls(text))).toBe(text)
    }),
  )
})
