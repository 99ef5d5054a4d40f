/**
 * Which consistency level a read has: pure tables of precedence. What the connection set comes first, else the rule of
 * the key, else the user's, the tenant's, the default of `routing`. Two rules stand above that: a rule with `pin` cannot
 * be weakened by the connection, and of several keys the strictest decides.
 */
import { LEVEL, type LevelCode, type LevelName } from './choose.ts'

export const levelNames = ['eventual', 'bounded', 'session', 'strong'] as const satisfies readonly LevelName[]

/** Undefined for a name that is no level; any case, as Redis's own options. */
export function levelByName(name: string): LevelCode | undefined {
  const lower = name.toLowerCase()
  return Object.hasOwn(LEVEL, lower) ? LEVEL[lower as LevelName] : undefined
}

export function stricter(a: LevelCode, b: LevelCode): LevelCode {
  return a > b ? a : b
}

/** What a rule says about the keys it matches; it may leave the level alone and only bound the staleness. */
export interface RuledLevel {
  readonly level: LevelCode | undefined
  readonly pin: boolean
}

/**
 * The level of one key. `connection` is what the client asked for on this connection, if it did; `account` is the level
 * of user, tenant or `routing`, already joined in that order (`accountLevel`).
 */
export function levelOfKey(
  connection: LevelCode | undefined,
  rule: RuledLevel | undefined,
  account: LevelCode,
): LevelCode {
  const ruled = rule?.level
  if (ruled === undefined) return connection ?? account
  if (connection === undefined) return ruled
  return rule?.pin === true ? stricter(connection, ruled) : connection
}

/** User before tenant before the default of `routing`. */
export function accountLevel(
  user: LevelCode | undefined,
  tenant: LevelCode | undefined,
  routing: LevelCode,
): LevelCode {
  return user ?? tenant ?? routing
}
