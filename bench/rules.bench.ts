/** Which of a tenant's rules is a key's: a thousand of them, none of which matches, beside none at all and one that does. */
import { type Rule, TenantRules } from '../src/routing/rules.ts'
import type { MicroCase } from './micro.ts'

const count = 1000

export function rulesCases(): MicroCase[] {
  const key = Buffer.from('key:000000000042')
  const of = (name: string, patterns: readonly string[]): MicroCase => {
    const rules = TenantRules.compile(
      patterns.map((keys): Rule => ({ keys, pin: false })),
      'shop',
    )!
    return { name: `rules: ${name}`, perRun: 1, run: () => rules.match(key, 0, key.length)?.index ?? -1 }
  }
  const many = (pattern: (i: number) => string) => Array.from({ length: count }, (_, i) => pattern(i))
  return [
    of('one that matches', ['key:*']),
    of(
      `${count} like area-N:*`,
      many((i) => `area-${i}:*`),
    ),
    of(
      `${count} like key:N:*`,
      many((i) => `key:${i}:*`),
    ),
    of(
      `${count} like *:area-N`,
      many((i) => `*:area-${i}`),
    ),
  ]
}
