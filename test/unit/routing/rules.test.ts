import type { RuleConfig } from '../../../src/config/config.ts'
import { LEVEL } from '../../../src/routing/choose.ts'
import { type Rule, TenantRules } from '../../../src/routing/rules.ts'

const rule = (keys: string, more: Partial<Rule> = {}): Rule => ({ keys, pin: false, ...more })

function matchIndex(rules: TenantRules | undefined, key: string): number | undefined {
  const bytes = Buffer.from(`shop:${key}tail`)
  return rules?.match(bytes, 5, Buffer.byteLength(key))?.index
}

test('the first rule that matches decides', () => {
  const rules = TenantRules.compile([rule('cart:vip:*'), rule('cart:*'), rule('*:log'), rule('config')], 'shop')
  expect(matchIndex(rules, 'cart:vip:1')).toBe(0)
  expect(matchIndex(rules, 'cart:2')).toBe(1)
  expect(matchIndex(rules, 'cart:log')).toBe(1)
  expect(matchIndex(rules, 'a:log')).toBe(2)
  expect(matchIndex(rules, 'config')).toBe(3)
  for (const key of ['configs', 'confi', 'cart', 'xcart:1', '']) expect(matchIndex(rules, key)).toBeUndefined()
})

test("only the tenant's own rules and those for all count, with their places in the list", () => {
  const list = [rule('a*', { tenant: 'shop' }), rule('b*', { tenant: 'dev' }), rule('c*')]
  expect(matchIndex(TenantRules.compile(list, 'shop'), 'a1')).toBe(0)
  expect(matchIndex(TenantRules.compile(list, 'shop'), 'b1')).toBeUndefined()
  expect(matchIndex(TenantRules.compile(list, 'dev'), 'b1')).toBe(1)
  expect(matchIndex(TenantRules.compile(list, 'dev'), 'c1')).toBe(2)
})

test('a tenant without rules has none to ask', () => {
  expect(TenantRules.compile([], 'shop')).toBeUndefined()
  expect(TenantRules.compile([rule('*', { tenant: 'dev' })], 'shop')).toBeUndefined()
})

test('what a rule says is kept, and what it does not say stays unsaid', () => {
  const rules = TenantRules.compile(
    [rule('a', { consistency: 'strong', maxStalenessMs: 5, pin: true, whenStale: 'wait' }), rule('b')],
    'shop',
  )
  expect(rules?.match(Buffer.from('a'), 0, 1)).toEqual({
    level: LEVEL.strong,
    maxStalenessMs: 5,
    pin: true,
    keys: 'a',
    whenStale: 'wait',
    index: 0,
  })
  expect(rules?.match(Buffer.from('b'), 0, 1)).toMatchObject({
    level: undefined,
    maxStalenessMs: undefined,
    pin: false,
  })
})

test('plain names with escaped signs are globs, and stars in the middle too', () => {
  const rules = TenantRules.compile([rule('a\\*'), rule('b*c'), rule('*')], 'shop')
  expect(matchIndex(rules, 'a*')).toBe(0)
  expect(matchIndex(rules, 'ab')).toBe(2)
  expect(matchIndex(rules, 'bxc')).toBe(1)
  expect(matchIndex(TenantRules.compile([rule('a\\*')], 'shop'), 'a\\x')).toBeUndefined()
})

test('the configuration can be handed in as it is', () => {
  const config: readonly RuleConfig[] = [{ keys: 'a*', consistency: 'bounded', maxStalenessMs: 5_000, pin: false }]
  expect(TenantRules.compile(config, 'shop')?.match(Buffer.from('ab'), 0, 2)?.level).toBe(LEVEL.bounded)
})
