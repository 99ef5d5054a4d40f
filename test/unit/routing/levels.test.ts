import { LEVEL } from '../../../src/routing/choose.ts'
import { accountLevel, levelByName, levelNames, levelOfKey, stricter } from '../../../src/routing/levels.ts'

const { eventual, bounded, session, strong } = LEVEL

test('the connection comes before the rule, the rule before user, tenant and default', () => {
  expect(levelOfKey(eventual, { level: strong, pin: false }, session)).toBe(eventual)
  expect(levelOfKey(strong, { level: eventual, pin: false }, session)).toBe(strong)
  expect(levelOfKey(undefined, { level: eventual, pin: false }, session)).toBe(eventual)
  expect(levelOfKey(undefined, undefined, session)).toBe(session)
  expect(levelOfKey(bounded, undefined, session)).toBe(bounded)
})

test('a pinned rule can be strengthened by the connection, never weakened', () => {
  expect(levelOfKey(eventual, { level: strong, pin: true }, session)).toBe(strong)
  expect(levelOfKey(strong, { level: bounded, pin: true }, session)).toBe(strong)
  expect(levelOfKey(undefined, { level: bounded, pin: true }, strong)).toBe(bounded)
})

test('a rule that only bounds the staleness leaves the level alone', () => {
  expect(levelOfKey(undefined, { level: undefined, pin: true }, bounded)).toBe(bounded)
  expect(levelOfKey(eventual, { level: undefined, pin: true }, bounded)).toBe(eventual)
})

test('the user comes before the tenant, the tenant before the default; eventual is a level, not an absence', () => {
  expect(accountLevel(eventual, strong, session)).toBe(eventual)
  expect(accountLevel(undefined, eventual, session)).toBe(eventual)
  expect(accountLevel(undefined, undefined, session)).toBe(session)
})

test('of several the strictest, in the order eventual, bounded, session, strong', () => {
  const order = [eventual, bounded, session, strong]
  for (let a = 0; a < 4; a++) {
    for (let b = 0; b < 4; b++) expect(stricter(order[a]!, order[b]!)).toBe(order[Math.max(a, b)])
  }
})

test('names in any case, and nothing else', () => {
  expect(levelNames.map((name) => levelByName(name))).toEqual([0, 1, 2, 3])
  expect(levelByName('STRONG')).toBe(strong)
  for (const name of ['', 'weak', 'constructor', 'toString', '3']) expect(levelByName(name)).toBeUndefined()
})
