/**
 * A tenant's own `deny:` list: commands (`keys`, `config|get`, a container for all its subcommands) and Redis's ACL
 * categories (`@dangerous`). For start and reload: the result is one bit per command id, kept with the tenant.
 */
import type { CommandTable } from './lookup.ts'
import type { CommandSpec } from './spec.ts'

/** Without its @ an entry is a command first: `set` is SET, `@set` is everything on sets. */
function matches(spec: CommandSpec, entry: string, isCommand: (name: string) => boolean): boolean {
  const word = entry.toLowerCase()
  if (!word.startsWith('@')) {
    if (spec.name === word || spec.name.startsWith(`${word}|`)) return true
    if (isCommand(word)) return false
  }
  // What Regis answers itself is judged by name only: its categories speak about the server's own command. Subscriptions
  // are what they are, whoever keeps them.
  const category = word.startsWith('@') ? word.slice(1) : word
  const isJudged = spec.answer === 'upstream' || spec.categories.includes('pubsub')
  return isJudged && (category === 'all' || spec.categories.includes(category))
}

/** Whether the list denies this command. Entries that mean nothing deny nothing: see unknownDenyEntry. */
export function isDenied(table: CommandTable, spec: CommandSpec, denyList: readonly string[]): boolean {
  const isCommand = (name: string): boolean => table.byName(name) !== undefined
  return denyList.some((entry) => matches(spec, entry, isCommand))
}

/** One byte per command id: 1 is denied. */
export function denyColumn(table: CommandTable, denyList: readonly string[]): Uint8Array {
  return Uint8Array.from(table.specs, (spec) => (isDenied(table, spec, denyList) ? 1 : 0))
}

/** Whether an entry names a command or a category at all; configuration refuses one that does not. */
export function isDenyEntry(table: CommandTable, entry: string): boolean {
  const word = entry.toLowerCase()
  if (!word.startsWith('@') && table.byName(word) !== undefined) return true
  const category = word.replace(/^@/, '')
  return category === 'all' || table.specs.some((spec) => spec.categories.includes(category))
}
