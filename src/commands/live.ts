/**
 * What the primary says about its own commands (COMMAND), laid over the table: what it lacks is answered as it would
 * answer, an arity that a later release has widened is taken, and a command whose keys stand elsewhere than we look for
 * them is refused. What it has and the policy does not know stays unknown. Pure, but for the columns of the table.
 */
import { keyShape } from './derive.ts'
import { type FactRow, factRow } from './facts-render.ts'
import type { CommandTable } from './lookup.ts'
import { particularOf } from './policy.ts'
import { type CommandSpec, KEYS, MISSING } from './spec.ts'

/** One command of a server. `keys` is undefined where the server does not say (before 7.0), or in words new to us. */
export type ServerCommand = Pick<FactRow, 'name' | 'arity' | 'flags' | 'keys'> & { readonly saysKeys: boolean }

/** Longer replies than any server's are not read to their end. */
const commandsMax = 4096

/** A reply of COMMAND, of any release. Throws when it has another shape. */
export function serverCommands(reply: unknown): ServerCommand[] {
  if (!Array.isArray(reply)) throw new Error('COMMAND: not an array')
  const found: ServerCommand[] = []
  const add = (entry: unknown): void => {
    if (found.length >= commandsMax || !Array.isArray(entry)) return
    const [name, arity, flags, , , , , , , subcommands] = entry as readonly unknown[]
    const plain = {
      name: String(name).toLowerCase(),
      arity: Number(arity),
      flags: Array.isArray(flags) ? flags.map(String).join(' ') : '',
    }
    if (!Number.isInteger(plain.arity)) throw new Error('COMMAND: an arity that is no number')
    const row = entry.length < 10 ? undefined : rowOf(entry)
    found.push({ ...plain, ...(row?.keys === undefined ? {} : { keys: row.keys }), saysKeys: row !== undefined })
    if (Array.isArray(subcommands)) subcommands.forEach(add)
  }
  reply.forEach(add)
  return found
}

function rowOf(entry: unknown): FactRow | undefined {
  try {
    return factRow(entry)
  } catch {
    return undefined // a kind of key specification that is newer than we are
  }
}

/** What differs from our facts. Names, for a log that is read by the operator. */
export interface Learned {
  /** In the policy, not at the server. */
  readonly missing: readonly string[]
  /** At the server, not in the policy: refused as unknown. */
  readonly unknown: readonly string[]
  /** Refused, because the server looks for its keys elsewhere. */
  readonly unfit: readonly string[]
  /** Of another arity, taken or not. */
  readonly arity: readonly string[]
  /** A write there and none here, or the reverse; or the same of `readonly`. */
  readonly flags: readonly string[]
}

/** Sets the table's columns `missing`, `isListed`, `arity` and `keySpecs` to what this server has. */
export function learn(table: CommandTable, commands: readonly ServerCommand[]): Learned {
  const byName = new Map(commands.map((command) => [command.name, command]))
  const namesSubcommands = commands.some((command) => command.name.includes('|'))
  const missing: string[] = []
  const unfit: string[] = []
  const arity: string[] = []
  const flags: string[] = []
  for (const spec of table.specs) {
    const { id, name } = spec
    const there = byName.get(name)
    const container = byName.get(name.split('|')[0]!)
    const has = there !== undefined || (!namesSubcommands && container !== undefined)
    table.arity[id] = spec.arity
    table.keySpecs[id] = there?.keys ?? spec.keySpecs
    table.missing[id] = MISSING.not
    table.isListed[id] = has && spec.isOurs === undefined ? 1 : 0
    if (!has) {
      if (spec.isOurs === undefined) missing.push(name)
      if (spec.answer === 'proxy') continue // ours to answer, whatever the server has
      table.missing[id] = MISSING.lacks
      table.arity[id] = -1 // unknown comes before a wrong number of arguments
      continue
    }
    if (there === undefined) continue
    if (there.arity !== spec.arity && !there.flags.includes('module')) {
      arity.push(name)
      if (mayTakeArity(table, spec, there.arity)) table.arity[id] = there.arity
    }
    const isOther = (flag: string): boolean => there.flags.split(' ').includes(flag) !== spec.flags.includes(flag)
    if (isOther('write') || isOther('readonly')) flags.push(name)
    if (spec.answer === 'upstream' && there.saysKeys && !hasSameKeys(table, spec, there)) {
      unfit.push(name)
      table.missing[id] = MISSING.unfit
    }
  }
  const unknown = commands.filter(({ name }) => table.byName(name) === undefined).map(({ name }) => name)
  return { missing, unknown, unfit, arity, flags }
}

/** Fewer arguments than our facts ask for could leave a key out; more, or more than ours allow, could not. */
function mayTakeArity(table: CommandTable, spec: CommandSpec, arity: number): boolean {
  if (arity === 0) return false
  return table.keyMode[spec.id] === KEYS.none || Math.abs(arity) >= Math.abs(spec.arity)
}

function hasSameKeys(table: CommandTable, spec: CommandSpec, there: ServerCommand): boolean {
  const { id } = spec
  const shape = keyShape({ ...there, categories: '' }, particularOf(spec.name))
  return (
    shape !== undefined &&
    shape.mode === table.keyMode[id] &&
    shape.finder === table.finder[id] &&
    shape.first === table.keyFirst[id] &&
    shape.last === table.keyLast[id] &&
    shape.step === table.keyStep[id]
  )
}
