/**
 * `routing.rules` of one tenant, compiled. The first rule whose pattern matches a key speaks for it; patterns are in the
 * tenant's own key names, so they are asked before the prefix goes on. Pure; `match` runs per key of a read and allocates
 * nothing. Most patterns are `prefix*` or a plain name, which need no glob.
 */
import { LEVEL, type LevelCode, type LevelName } from './choose.ts'
import { globMatch } from './glob.ts'

/** One rule as it is handed in: what config/ calls RuleConfig has this shape. */
export interface Rule {
  /** Only for this tenant's keys; absent = for every tenant's. */
  readonly tenant?: string | undefined
  /** A glob. */
  readonly keys: string
  readonly consistency?: LevelName | undefined
  readonly maxStalenessMs?: number | undefined
  readonly whenStale?: WhenStale | undefined
  /** The connection cannot weaken it. */
  readonly pin: boolean
}

export type WhenStale = 'primary' | 'wait' | 'error'

/** Undefined fields: the rule does not speak of them, the account's own hold. */
export interface CompiledRule {
  readonly level: LevelCode | undefined
  readonly maxStalenessMs: number | undefined
  readonly whenStale: WhenStale | undefined
  readonly pin: boolean
  /** The pattern as it was written. */
  readonly keys: string
  /** Place in the list as it was handed in, from 0: for status pages and explanations. */
  readonly index: number
}

type Shape = 'exact' | 'prefix' | 'glob'

interface Pattern {
  readonly shape: Shape
  /** The literal bytes of `exact` and `prefix`; the whole pattern of `glob`. */
  readonly bytes: Uint8Array
  readonly rule: CompiledRule
}

export class TenantRules {
  private readonly patterns: readonly Pattern[]

  private constructor(patterns: readonly Pattern[]) {
    this.patterns = patterns
  }

  /** Undefined when no rule is for this tenant, so that its reads pay nothing. */
  static compile(rules: readonly Rule[], tenantId: string): TenantRules | undefined {
    const patterns: Pattern[] = []
    for (const [index, rule] of rules.entries()) {
      if (rule.tenant !== undefined && rule.tenant !== tenantId) continue
      const compiled: CompiledRule = {
        level: rule.consistency === undefined ? undefined : LEVEL[rule.consistency],
        maxStalenessMs: rule.maxStalenessMs,
        whenStale: rule.whenStale,
        pin: rule.pin,
        keys: rule.keys,
        index,
      }
      patterns.push({ ...compilePattern(rule.keys), rule: compiled })
    }
    return patterns.length === 0 ? undefined : new TenantRules(patterns)
  }

  /** Some rule gives this level to a key. */
  mayAsk(level: LevelCode): boolean {
    return this.patterns.some(({ rule }) => rule.level === level)
  }

  /** The rule of the key buf[off, off + len), without its prefix. */
  match(buf: Uint8Array, off: number, len: number): CompiledRule | undefined {
    for (let i = 0; i < this.patterns.length; i++) {
      const pattern = this.patterns[i]!
      if (matches(pattern, buf, off, len)) return pattern.rule
    }
    return undefined
  }
}

function compilePattern(text: string): { shape: Shape; bytes: Uint8Array } {
  const body = text.endsWith('*') ? text.slice(0, -1) : text
  if (/[*?[\\]/.test(body)) return { shape: 'glob', bytes: Buffer.from(text) }
  return { shape: body === text ? 'exact' : 'prefix', bytes: Buffer.from(body) }
}

function matches(pattern: Pattern, buf: Uint8Array, off: number, len: number): boolean {
  const { bytes, shape } = pattern
  if (shape === 'glob') return globMatch(bytes, buf, off, len)
  if (shape === 'exact' ? len !== bytes.length : len < bytes.length) return false
  for (let i = 0; i < bytes.length; i++) if (buf[off + i] !== bytes[i]) return false
  return true
}
