/**
 * What a row of the table of keys is made of: the kinds of values (zod, JSON Schema and words for the docs in one), and
 * `required`, `optional`, `preset`, which say what a key is for. The rows are in schema.ts.
 */
import { z } from 'zod'
import { durableTimeoutMsMax, ratePerSecondMax } from '../base/limits.ts'
import { parseHash } from '../tenant/password.ts'
import {
  byteRatePattern,
  durationPattern,
  Problem,
  parseAddress,
  parseBoolean,
  parseByteRate,
  parseDuration,
  parseInteger,
  parseNodeUrl,
  parseRate,
  parseSize,
  parseTenantLabel,
  type Rate,
  ratePattern,
  sizePattern,
} from './values.ts'

/** What zod does not know of a key. */
export interface Facts {
  /** In the docs and in messages: "expected <kind>". */
  readonly kind?: string
  /** Replaces what zod would put into the JSON Schema. */
  readonly json?: Readonly<Record<string, unknown>>
  /** Never shown, not even under a caret. */
  readonly secret?: true
  readonly notYet?: NotYet
}

/** A key of the contract whose feature is not built: said aloud, never silently accepted. */
export interface NotYet {
  readonly severity: 'error' | 'warning'
  readonly says: string
  /** Values that ask for nothing new. */
  readonly unless?: readonly string[]
}

export const facts = z.registry<Facts>()

export interface About {
  readonly about: string
  readonly secret?: true
  readonly notYet?: NotYet
}

function tell<S extends z.ZodType>(schema: S, about: About): S {
  const described = schema.describe(about.about) as S
  const { about: _, ...rest } = about
  facts.add(described, rest)
  return described
}

export function required<S extends z.ZodType>(schema: S, about: About): S {
  return tell(schema, about)
}
export function optional<S extends z.ZodType>(schema: S, about: About): z.ZodOptional<S> {
  return tell(schema, about).optional()
}
/** `preset` is written as in YAML, so that the docs, the JSON Schema and the program have one default. */
export function preset<S extends z.ZodType>(schema: S, value: z.input<S>, about: About): z.ZodPrefault<S> {
  return tell(schema, about).prefault(value as never)
}

export const notEnforced = (feature: string, unless?: readonly string[]): NotYet => ({
  severity: 'warning',
  says: `${feature} is not enforced yet: accepted, without effect`,
  ...(unless === undefined ? {} : { unless }),
})
export const notSupported = (feature: string, unless?: readonly string[]): NotYet => ({
  severity: 'error',
  says: `${feature} is not supported yet`,
  ...(unless === undefined ? {} : { unless }),
})

/** A scalar. All of them reach zod as text. */
function scalar<T>(kind: string, json: Facts['json'], parse: (text: string) => T | Problem) {
  const schema = z.string().transform((text, context): T => {
    const value = parse(text)
    if (!(value instanceof Problem)) return value
    context.addIssue({ code: 'custom', message: value.text })
    return z.NEVER
  })
  facts.add(schema, json === undefined ? { kind } : { kind, json })
  return schema
}

/** What may also stand there in the file: text that is replaced before it is read. */
const replaced = '\\$\\{'
const orReplaced = (json: Readonly<Record<string, unknown>>) => ({
  anyOf: [json, { type: 'string', pattern: replaced }],
})
const unitText = (pattern: string) => ({ type: ['string', 'integer'], pattern: `^${pattern}$|${replaced}` })

export const text = () =>
  scalar('text', { type: 'string', minLength: 1 }, (it) => (it === '' ? new Problem('must not be empty') : it))
export const duration = () => scalar('duration', unitText(durationPattern), parseDuration)
export const size = () => scalar('size', unitText(sizePattern), parseSize)
/** Not 0, where 0 would stop everything. */
export const positiveDuration = () => scalar('duration', unitText(durationPattern), (it) => positive(parseDuration(it)))
export const positiveSize = () => scalar('size', unitText(sizePattern), (it) => positive(parseSize(it)))
export const durableTimeout = () =>
  scalar('duration', unitText(durationPattern), (it) => {
    const ms = positive(parseDuration(it))
    return typeof ms === 'number' && ms > durableTimeoutMsMax
      ? new Problem(`must be at most ${durableTimeoutMsMax / 1000}s`)
      : ms
  })
const positive = (value: number | Problem) => (value === 0 ? new Problem('must be above 0') : value)
export const rate = () => scalar('rate', unitText(ratePattern), parseRate)
/** Of a limit: 0 would stop everything, and what is above the most is no limit for one process. */
export const positiveRate = () => scalar('rate', unitText(ratePattern), (it) => positiveOf(parseRate(it)))
export const positiveByteRate = () =>
  scalar('rate of bytes', unitText(byteRatePattern), (it) => positiveOf(parseByteRate(it)))
const positiveOf = (it: Rate | Problem): Rate | Problem => {
  if (it instanceof Problem) return it
  if (it.count === 0) return new Problem('must be above 0; without a limit the key is left out')
  return (it.count * 1000) / it.perMs <= ratePerSecondMax
    ? it
    : new Problem(`must be at most ${ratePerSecondMax} a second`)
}
export const flag = () => scalar('true or false', orReplaced({ type: 'boolean' }), parseBoolean)
export const address = () => scalar('HOST:PORT', { type: 'string' }, parseAddress)
/** The kind by which messages know that a value may hold credentials. */
export const nodeUrlKind = 'node URL'
export const nodeUrl = () => scalar(nodeUrlKind, { type: 'string', pattern: `^rediss?://|${replaced}` }, parseNodeUrl)
export const tenantLabel = () =>
  scalar('`all`, `none` or `top:N`', { type: 'string', pattern: `^(all|none|top:\\d+)$|${replaced}` }, parseTenantLabel)
export const integer = (min: number, max: number) =>
  scalar(`number, ${min} to ${max}`, orReplaced({ type: 'integer', minimum: min, maximum: max }), (it) =>
    parseInteger(it, min, max),
  )
export const passwordHash = () =>
  scalar('password hash', { type: 'string', minLength: 1 }, (it) => {
    const hash = parseHash(it)
    return 'problem' in hash ? new Problem(hash.problem) : it
  })

export function oneOf<const T extends string>(...words: readonly T[]) {
  const kind = words.map((word) => `\`${word}\``).join(', ')
  return scalar(kind, orReplaced({ enum: words }), (it): T | Problem => {
    const found = words.find((word) => word === it)
    return found ?? new Problem(`expected ${words.length === 1 ? words[0]! : `one of ${words.join(', ')}`}`)
  })
}

/** One value or a list of them. */
export function oneOrMany<S extends z.ZodType>(make: () => S) {
  return z.union([make(), z.array(make()).min(1)]).transform((it) => (Array.isArray(it) ? it : [it]) as z.output<S>[])
}

/** What is true of a row of the table is asked for each tenant that has the key: looked up once. */
export function once<T>(look: (schema: z.ZodType) => T): (schema: z.ZodType) => T {
  const known = new WeakMap<z.ZodType, { readonly it: T }>()
  return (schema) => {
    let found = known.get(schema)
    if (found === undefined) {
      found = { it: look(schema) }
      known.set(schema, found)
    }
    return found.it
  }
}

/** A schema without what only says that it may be missing. */
export const inner = once((schema): z.ZodType => {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return inner(schema.unwrap() as z.ZodType)
  return schema
})

/** For a walk along a document: the alternatives of a union, looked into `oneOrMany` too. */
export const alternatives = once((schema): readonly z.ZodType[] => {
  const it = inner(schema)
  if (it instanceof z.ZodUnion) return it.options as readonly z.ZodType[]
  if (it instanceof z.ZodPipe && it.in instanceof z.ZodUnion) return it.in.options as readonly z.ZodType[]
  return [it]
})

export type Shape = 'map' | 'list' | 'scalar'
export const shapeOf = once((schema): Shape => {
  const it = inner(schema)
  if (it instanceof z.ZodObject || it instanceof z.ZodRecord) return 'map'
  return it instanceof z.ZodArray ? 'list' : 'scalar'
})

/** What zod does not know of it. */
export const factsOf = once((schema) => facts.get(schema))

/** Rows of a mapping by key; undefined: its keys are names. */
export const membersOf = once((schema): ReadonlyMap<string, Member> | undefined => {
  if (!(schema instanceof z.ZodObject)) return undefined
  const rows = Object.entries(schema.shape as Record<string, z.ZodType>)
  return new Map(
    rows.map(([name, row]) => [
      name,
      { schema: row, mayBeMissing: row instanceof z.ZodOptional || row instanceof z.ZodPrefault },
    ]),
  )
})

export interface Member {
  readonly schema: z.ZodType
  readonly mayBeMissing: boolean
}
