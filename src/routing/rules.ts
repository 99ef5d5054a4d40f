/**
 * `routing.rules` of one tenant, compiled. The first rule whose pattern matches a key speaks for it; patterns are in the
 * tenant's own key names, so they are asked before the prefix goes on. Pure; `match` runs per key of a read and allocates
 * nothing. rule-index.ts finds it without asking all of them.
 */
import { LEVEL, type LevelCode, type LevelName } from './choose.ts'
import { Pattern, RuleIndex } from './rule-index.ts'

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

export class TenantRules {
  private readonly rules: readonly CompiledRule[]
  private readonly index: RuleIndex

  private constructor(rules: readonly CompiledRule[]) {
    this.rules = rules
    this.index = new RuleIndex(rules.map(({ keys }) => new Pattern(keys)))
  }

  /** Undefined when no rule is for this tenant, so that its reads pay nothing. */
  static compile(rules: readonly Rule[], tenantId: string): TenantRules | undefined {
    const compiled: CompiledRule[] = []
    for (const [index, rule] of rules.entries()) {
      if (rule.tenant !== undefined && rule.tenant !== tenantId) continue
      compiled.push({
        level: rule.consistency === undefined ? undefined : LEVEL[rule.consistency],
        maxStalenessMs: rule.maxStalenessMs,
        whenStale: rule.whenStale,
        pin: rule.pin,
        keys: rule.keys,
        index,
      })
    }
    return compiled.length === 0 ? undefined : new TenantRules(compiled)
  }

  /** Some rule gives this level to a key. */
  mayAsk(level: LevelCode): boolean {
    return this.rules.some((rule) => rule.level === level)
  }

  /** The rule of the key buf[off, off + len), without its prefix. */
  match(buf: Uint8Array, off: number, len: number): CompiledRule | undefined {
    const at = this.index.first(buf, off, len)
    return at === -1 ? undefined : this.rules[at]
  }
}
