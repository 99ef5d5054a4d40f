import { Tokens } from '../../../src/session/tokens.ts'

const [here, there] = [new Tokens('secret', 'a'.repeat(32)), new Tokens('secret', 'b'.repeat(32))]

test('the process that made a token reads its mark, another one of the same deployment that it is a token', () => {
  const token = here.make('shop', 2 ** 40 + 7, 'history')
  expect(token.length).toBeLessThanOrEqual(64)
  expect(here.read('shop', token, 'history')).toEqual({ mark: 2 ** 40 + 7, isOfHistory: true })
  expect(there.read('shop', token, 'history')).toEqual({ mark: undefined, isOfHistory: true })
})

test('of another history it is known as such; where one side knows no history there is nothing to tell', () => {
  expect(there.read('shop', here.make('shop', 1, 'old'), 'new')?.isOfHistory).toBe(false)
  expect(here.read('shop', here.make('shop', 1, 'old'), '')?.isOfHistory).toBe(true)
  expect(here.read('shop', here.make('shop', 1, ''), 'new')?.isOfHistory).toBe(true)
})

test('nobody else’s and nothing changed is taken', () => {
  const token = here.make('shop', 1, 'h')
  expect(here.read('shop2', token, 'h')).toBeUndefined()
  expect(new Tokens('other', 'a').read('shop', token, 'h')).toBeUndefined()
  expect(new Tokens('', 'a').read('shop', new Tokens('', 'a').make('shop', 1, 'h'), 'h')).toBeUndefined()
  for (let i = 0; i < token.length; i++) {
    const other = token[i] === 'A' ? 'B' : 'A'
    expect(here.read('shop', token.slice(0, i) + other + token.slice(i + 1), 'h')).toBeUndefined()
  }
  for (const text of ['', 'x', `${token}A`, token.slice(1), ` ${token}`, 'A'.repeat(52), '='.repeat(52)])
    expect(here.read('shop', text, 'h')).toBeUndefined()
})

test('it shows neither the tenant nor the history nor the process', () => {
  const bytes = Buffer.from(here.make('shop', 1, 'history'), 'base64url').toString('latin1')
  expect(bytes).not.toMatch(/shop|history|aaaa/)
})
