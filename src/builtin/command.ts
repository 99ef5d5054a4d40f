/**
 * COMMAND COUNT, LIST, GETKEYS and GETKEYSANDFLAGS as a tenant sees them: denied commands do not exist. COMMAND, INFO
 * and DOCS are the server's own replies with the denied left out: tenant/reply-names.ts.
 *
 * Like COMMAND itself these speak of the commands that the primary has; PROXY is not listed.
 */
import type { ErrorCode } from '../base/errors.ts'
import { namePatternBytesMax } from '../base/limits.ts'
import type { KeySpec } from '../commands/facts-render.ts'
import { type Argv, findNamedKeys, newKeyList } from '../commands/keys.ts'
import type { CommandTable } from '../commands/lookup.ts'
import type { CommandSpec } from '../commands/spec.ts'
import { globMatch } from '../routing/glob.ts'

/** What this user may not run on top: the tenant's deny list, a read-only user's writes. */
export type Denied = (spec: CommandSpec) => boolean
const nothing: Denied = () => false

function isListed(table: CommandTable, spec: CommandSpec, denied: Denied): boolean {
  return table.isListed[spec.id] !== 0 && !table.isHidden(spec, denied)
}

/** COMMAND COUNT: commands without their subcommands, as Redis counts. */
export function commandCount(table: CommandTable, denied: Denied = nothing): number {
  return table.specs.filter((spec) => !spec.name.includes('|') && isListed(table, spec, denied)).length
}

/** COMMAND LIST [FILTERBY ...]. A module has no commands here; a category is written without @, as in Redis. */
export type ListFilter =
  | { readonly by: 'aclcat'; readonly value: string }
  | { readonly by: 'pattern'; readonly value: Buffer }
  | { readonly by: 'module'; readonly value: string }

/** The filter in the arguments behind COMMAND LIST; undefined for none. */
export function parseListFilter(args: readonly Buffer[]): ListFilter | undefined | ErrorCode {
  if (args.length === 0) return undefined
  const [word, kind, value] = args
  if (args.length !== 3 || word === undefined || kind === undefined || value === undefined) return 'SYNTAX'
  if (word.toString('latin1').toLowerCase() !== 'filterby') return 'SYNTAX'
  if (value.length > namePatternBytesMax) return { by: 'module', value: '' } // of which there are no commands
  switch (kind.toString('latin1').toLowerCase()) {
    case 'aclcat':
      return { by: 'aclcat', value: value.toString('latin1') }
    case 'pattern':
      return { by: 'pattern', value }
    case 'module':
      return { by: 'module', value: value.toString('latin1') }
    default:
      return 'SYNTAX'
  }
}

/** Names with their subcommands, as Redis lists them. Patterns match in any case (db.c, stringmatchlen with nocase). */
export function commandList(table: CommandTable, filter?: ListFilter, denied: Denied = nothing): string[] {
  const lower =
    filter?.by === 'pattern' ? Buffer.from(filter.value.toString('latin1').toLowerCase(), 'latin1') : undefined
  const passes = (spec: CommandSpec): boolean => {
    switch (filter?.by) {
      case undefined:
        return true
      case 'module':
        return false
      case 'aclcat':
        return spec.categories.includes(filter.value.toLowerCase())
      case 'pattern':
        return globMatch(lower ?? Buffer.alloc(0), Buffer.from(spec.name), 0, spec.name.length)
    }
  }
  return table.specs.filter((spec) => isListed(table, spec, denied) && passes(spec)).map((spec) => spec.name)
}

/** A key of COMMAND GETKEYSANDFLAGS, in the client's own name. */
export interface FlaggedKey {
  readonly key: Buffer
  readonly flags: readonly string[]
}

function argvOf(args: readonly Buffer[]): Argv {
  const off = new Int32Array(args.length)
  const len = Int32Array.from(args, (arg) => arg.length)
  for (let i = 1; i < args.length; i++) off[i] = off[i - 1]! + len[i - 1]!
  return { buf: Buffer.concat(args), count: args.length, off, len }
}

/** The command of an argv; a container's subcommand where there is one. Undefined when a tenant has no such command. */
function specOf(table: CommandTable, argv: Argv, denied: Denied): CommandSpec | undefined {
  let id = table.lookup(argv.buf, argv.off[0]!, argv.len[0]!)
  if (id >= 0 && table.isContainer[id] === 1 && argv.count > 1)
    id = table.lookupSub(id, argv.buf, argv.off[1]!, argv.len[1]!)
  const spec = table.specs[id]
  return spec === undefined || table.isHidden(spec, denied) ? undefined : spec
}

const arityFits = (arity: number, count: number): boolean => (arity >= 0 ? count === arity : count >= -arity)
/** strcasecmp(argument, word) == 0, for which a word ends at a NUL byte. */
const isWord = (arg: Buffer | undefined, word: string): boolean =>
  arg?.toString('latin1').split('\0')[0]?.toLowerCase() === word

/** Flags that depend on the options (Redis: variable_flags; setGetKeys and bitfieldGetKeys in db.c). */
function variableFlags(spec: CommandSpec, args: readonly Buffer[]): readonly string[] | undefined {
  if (spec.name === 'set')
    return args.slice(3).some((arg) => isWord(arg, 'get')) ? ['RW', 'access', 'update'] : ['OW', 'update']
  if (spec.name !== 'bitfield') return undefined
  // Read-only as long as every operation is a whole GET or OVERFLOW.
  for (let i = 2; i < args.length; ) {
    const more = args.length - i - 1
    if (isWord(args[i], 'get') && more >= 2) i += 3
    else if (isWord(args[i], 'overflow') && more >= 1) i += 2
    else return ['RW', 'access', 'update']
  }
  return ['RO', 'access']
}

/** The key specification that covers argument `index`: the one whose range names it, else the last one. */
function specFor(specs: readonly KeySpec[], index: number, count: number): KeySpec | undefined {
  for (const spec of specs) {
    if (spec.at === undefined || spec.last === undefined) continue
    const last = spec.last < 0 ? count + spec.last : spec.at + spec.last
    if (index >= spec.at && index <= last) return spec
  }
  return specs.at(-1)
}

/** COMMAND GETKEYSANDFLAGS on `args`, the whole command that the client asks about. */
export function commandGetKeysAndFlags(
  table: CommandTable,
  args: readonly Buffer[],
  denied: Denied = nothing,
): FlaggedKey[] | ErrorCode {
  const argv = argvOf(args)
  const spec = args.length === 0 ? undefined : specOf(table, argv, denied)
  if (spec === undefined) return 'GETKEYS_NO_COMMAND'
  const keySpecs = table.keySpecs[spec.id]!
  if (keySpecs.length === 0) return 'GETKEYS_NO_KEYS'
  if (!arityFits(table.arity[spec.id]!, args.length)) return 'GETKEYS_ARITY'
  const keys = newKeyList()
  if (findNamedKeys(table, spec.id, argv, keys) !== undefined) return 'GETKEYS_INVALID'
  const flagsOf = (index: number): readonly string[] =>
    variableFlags(spec, args) ?? specFor(keySpecs, index, args.length)?.flags.split(' ') ?? []
  // Of a repeated STORE only the last is used (sortGetKeys, georadiusGetKeys).
  let indices = Array.from(keys.arg.subarray(0, keys.count))
  if (/^(sort|georadius)/.test(spec.name) && indices.length > 2) indices = [indices[0]!, indices.at(-1)!]
  return indices.map((index) => ({ key: args[index]!, flags: flagsOf(index).filter((flag) => !flag.includes('_')) }))
}

/** COMMAND GETKEYS on `args`, the whole command that the client asks about. */
export function commandGetKeys(
  table: CommandTable,
  args: readonly Buffer[],
  denied: Denied = nothing,
): Buffer[] | ErrorCode {
  const found = commandGetKeysAndFlags(table, args, denied)
  return typeof found === 'string' ? found : found.map((entry) => entry.key)
}
