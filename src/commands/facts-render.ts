/**
 * Turns the reply of COMMAND (RESP2) into the rows of facts.generated.ts and the text of that file. Pure.
 * Holds no judgement: what Regis does with a command is in policy.ts.
 */

/** Where keys stand, as COMMAND's key specifications say it. Exactly one of `at` and `keyword`, or `unknown`. */
export interface KeySpec {
  /** Words of Redis: RO, RW, OW, RM, access, update, insert, delete, not_key, incomplete, variable_flags. */
  readonly flags: string
  /** The search begins at this argument. */
  readonly at?: number
  /** The search begins behind this word, looked for from argument `from` (negative: backwards from the end). */
  readonly keyword?: string
  readonly from?: number
  /** Range: last key relative to the first; negative counts from the end (-1 is the last argument). */
  readonly last?: number
  readonly step?: number
  /** Range with last -1: 2 means the first half of what is left, and so on; 0 and 1 mean no limit. */
  readonly limit?: number
  /** Counted keys: where the count stands and where the first key stands, both relative to the beginning. */
  readonly numkeys?: number
  readonly first?: number
  /** The server itself cannot say it by a rule. */
  readonly unknown?: true
}

export interface FactRow {
  /** Lower case; a subcommand as Redis writes it: `client|getname`. */
  readonly name: string
  readonly arity: number
  readonly flags: string
  /** ACL categories without their @. */
  readonly categories: string
  readonly hints?: string
  readonly keys?: readonly KeySpec[]
}

/** A command that Redis 7.0 has not. `since`: the release that brought it, `Valkey 9.0` where it is that one's alone. */
export interface NewerRow extends FactRow {
  readonly since: string
}

const list = (value: unknown): unknown[] => {
  if (!Array.isArray(value)) throw new Error(`COMMAND: expected an array, got ${typeof value}`)
  return value
}
const words = (value: unknown): string => list(value).map(String).join(' ')

/** A RESP2 map (a flat array of pairs). */
function record(value: unknown): Map<string, unknown> {
  const flat = list(value)
  const map = new Map<string, unknown>()
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(String(flat[i]), flat[i + 1])
  return map
}

function keySpec(value: unknown): KeySpec {
  const spec = record(value)
  const flags = words(spec.get('flags'))
  const begin = record(spec.get('begin_search'))
  const find = record(spec.get('find_keys'))
  const how = `${String(begin.get('type'))} ${String(find.get('type'))}`
  const begins = record(begin.get('spec'))
  const finds = record(find.get('spec'))
  const start =
    begin.get('type') === 'keyword'
      ? { keyword: String(begins.get('keyword')), from: Number(begins.get('startfrom')) }
      : { at: Number(begins.get('index')) }
  const step = Number(finds.get('keystep'))
  switch (how) {
    case 'unknown unknown':
      return { unknown: true, flags }
    case 'index range':
    case 'keyword range':
      return { ...start, last: Number(finds.get('lastkey')), step, limit: Number(finds.get('limit')), flags }
    case 'index keynum':
    case 'keyword keynum':
      return { ...start, numkeys: Number(finds.get('keynumidx')), first: Number(finds.get('firstkey')), step, flags }
    default:
      throw new Error(`COMMAND: a key specification of an unknown kind: ${how}`)
  }
}

/** One entry of a COMMAND reply, without its subcommands. Throws on one of another shape. */
export function factRow(entry: unknown): FactRow {
  const [name, arity, flags, , , , categories, hints, keys] = list(entry)
  const keySpecs = list(keys).map(keySpec)
  const row: FactRow = {
    name: String(name).toLowerCase(),
    arity: Number(arity),
    flags: words(flags),
    categories: words(categories).replaceAll('@', ''),
    ...(list(hints).length > 0 ? { hints: words(hints) } : {}),
    ...(keySpecs.length > 0 ? { keys: keySpecs } : {}),
  }
  if (!Number.isInteger(row.arity)) throw new Error(`COMMAND: ${row.name} has no arity`)
  return row
}

/** Every command and subcommand of a COMMAND reply, by name. Throws on a reply of another shape. */
export function factRows(commandReply: unknown): FactRow[] {
  const rows: FactRow[] = []
  const add = (entry: unknown): void => {
    rows.push(factRow(entry))
    list(list(entry)[9]).forEach(add)
  }
  list(commandReply).forEach(add)
  return rows.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What COMMAND DOCS says of the release that brought each command, by name. Of modules it says nothing. */
export function sinceByName(docsReply: unknown): Map<string, string> {
  const since = new Map<string, string>()
  const take = (docs: unknown): void => {
    for (const [name, fields] of record(docs)) {
      const entry = record(fields)
      if (entry.has('since')) since.set(name.toLowerCase(), String(entry.get('since')))
      if (entry.has('subcommands')) take(entry.get('subcommands'))
    }
  }
  take(docsReply)
  return since
}

/** One server's answers. */
export interface ServerAnswers {
  readonly product: 'Redis' | 'Valkey'
  readonly version: string
  readonly rows: readonly FactRow[]
  readonly since: ReadonlyMap<string, string>
}

/** Up to 7.2 the two were one. */
const sharedVersion = [7, 2] as const

function release(product: string, since: string): string {
  const [major = 0, minor = 0] = since.split('.').map(Number)
  const isShared = major < sharedVersion[0] || (major === sharedVersion[0] && minor <= sharedVersion[1])
  return `${product === 'Redis' || isShared ? '' : `${product} `}${major}.${minor}`
}

/**
 * The commands of newer servers that `known` has not. Of a command that several have, the first server's facts hold and
 * all their releases are told. Modules are left out: what they say about themselves is not what they check.
 */
export function newerRows(known: readonly FactRow[], servers: readonly ServerAnswers[]): NewerRow[] {
  const names = new Set(known.map((row) => row.name))
  const found = new Map<string, NewerRow>()
  for (const { product, rows, since } of servers) {
    for (const row of rows) {
      const version = since.get(row.name)
      if (names.has(row.name) || version === undefined || row.flags.split(' ').includes('module')) continue
      const told = release(product, version)
      const before = found.get(row.name)
      if (before === undefined) found.set(row.name, { ...row, since: told })
      else if (before.since !== told) found.set(row.name, { ...before, since: `${before.since}, ${told}` })
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

const literal = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${key}: ${literal(inner)}`)
    return `{ ${pairs.join(', ')} }`
  }
  return typeof value === 'string' ? `'${value}'` : String(value)
}

/** The whole text of facts.generated.ts. */
export function renderFacts(rows: readonly FactRow[], version: string): string {
  return `/**
 * What a Redis ${version} says about its own commands (COMMAND, asked live). Generated by \`npm run facts\`; do not edit.
 * ${rows.length} commands and subcommands. What Regis does with each is in policy.ts.
 */
import type { FactRow } from './facts-render.ts'

export const factsVersion = '${version}'

export const facts: readonly FactRow[] = [
${rows.map((row) => `  ${literal(row)},`).join('\n')}
]
`
}

/** The whole text of facts-newer.generated.ts. */
export function renderNewer(rows: readonly NewerRow[], servers: readonly ServerAnswers[]): string {
  const named = servers.map(({ product, version }) => `${product} ${version}`)
  return `/**
 * What newer servers say about commands that Redis 7.0 has not (COMMAND and COMMAND DOCS, asked live): ${named.join(', ')}.
 * Generated by \`npm run facts -- newer host:port ...\`; do not edit. ${rows.length} commands and subcommands.
 */
import type { NewerRow } from './facts-render.ts'

export const newerVersions: readonly string[] = [${named.map((name) => `'${name}'`).join(', ')}]

export const newerFacts: readonly NewerRow[] = [
${rows.map((row) => `  ${literal(row)},`).join('\n')}
]
`
}
