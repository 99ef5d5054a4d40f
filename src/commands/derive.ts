/**
 * Facts + policy -> specs and key shapes. Runs once at start; pure. The order of rules is the closed default of
 * policy.ts: no row, no service.
 */
import { assert } from '../base/assert.ts'
import { facts } from './facts.generated.ts'
import { newerFacts } from './facts-newer.generated.ts'
import { newerByHand, sinceByHand } from './facts-newer.ts'
import type { FactRow, KeySpec } from './facts-render.ts'
import { ours, type Particular, type PolicyGroup, particularOf, particulars, policy } from './policy.ts'
import { type Answer, type CommandSpec, FINDER, type InMulti, KEYS, NUMKEYS_RULE } from './spec.ts'

/** The key columns of one command; what first, last and step mean for a finder is said in keys.ts. */
export interface KeyShape {
  readonly mode: number
  readonly finder: number
  readonly first: number
  readonly last: number
  readonly step: number
  readonly rule: number
}

const noKeys: KeyShape = { mode: KEYS.none, finder: FINDER.none, first: 0, last: 0, step: 0, rule: 0 }
const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '')

/** Policy groups by command name; a name in two groups is a mistake of ours. */
export function policyByName(groups: readonly PolicyGroup[] = policy): Map<string, PolicyGroup> {
  const byName = new Map<string, PolicyGroup>()
  for (const group of groups)
    for (const name of words(group.commands)) {
      assert(!byName.has(name), `policy names a command twice: ${name}`)
      byName.set(name, group)
    }
  return byName
}

interface Range {
  readonly first: number
  readonly last: number
  readonly step: number
}

/** One range out of several specs, when together they are one (RENAME 1 and 2; BITOP 2 and 3 to the end). */
function oneRange(specs: readonly KeySpec[]): Range | undefined {
  let whole: Range | undefined
  for (const spec of specs) {
    if (spec.at === undefined || spec.last === undefined || spec.step === undefined || (spec.limit ?? 0) > 1)
      return undefined
    const last = spec.last < 0 ? spec.last : spec.at + spec.last
    const next: Range = { first: spec.at, last, step: spec.step }
    if (whole === undefined) whole = next
    else if (whole.step === 1 && next.step === 1 && whole.last > 0 && next.first === whole.last + 1)
      whole = { first: whole.first, last: next.last, step: 1 }
    else return undefined
  }
  return whole
}

/** The shape of a command's keys; undefined when no rule of ours can find them. */
export function keyShape(row: FactRow, particular: Particular): KeyShape | undefined {
  const specs = (row.keys ?? []).filter((spec) => !spec.flags.includes('not_key'))
  const finder = FINDER[particular.finder ?? 'none']
  if (finder === FINDER.geostore) return { ...noKeys, mode: KEYS.finder, finder, first: particular.optionsAt ?? 0 }
  if (finder === FINDER.sort)
    return { ...noKeys, mode: KEYS.finder, finder, last: row.flags.startsWith('write') ? 1 : 0 }
  if (finder !== FINDER.none) return { ...noKeys, mode: KEYS.finder, finder }
  if (particular.channel === true) return { ...noKeys, mode: KEYS.finder, finder: FINDER.channel }
  if (specs.length === 0) return noKeys
  const range = oneRange(specs)
  if (range !== undefined) return { ...noKeys, mode: KEYS.range, ...range }
  // Counted keys, with a destination in front or without.
  const counted = specs.at(-1)
  const destination = specs.length === 2 ? specs[0] : undefined
  if (specs.length > 2 || counted?.at === undefined || counted.numkeys !== 0 || counted.first !== 1) return undefined
  if (specs.length === 2 && (destination?.at === undefined || destination.last !== 0)) return undefined
  return {
    mode: KEYS.finder,
    finder: FINDER.numkeys,
    first: counted.at,
    last: destination?.at ?? 0,
    step: counted.step ?? 1,
    rule: NUMKEYS_RULE[particular.numkeys ?? 'atLeastOne'],
  }
}

/** What may stand between MULTI and EXEC: never what is refused, nor what Redis itself refuses there. */
function inMultiOf(answer: Answer, flags: readonly string[], override: InMulti | undefined): InMulti {
  if (answer === 'denied' || flags.includes('no_multi')) return 'denied'
  return override ?? (answer === 'proxy' ? 'local' : 'ok')
}

export interface Derived {
  readonly spec: CommandSpec
  readonly shape: KeyShape
}

/** Every command that Regis knows, in order of id. */
export function derive(): readonly Derived[] {
  const groups = policyByName()
  const rows: (FactRow & { since?: string; isOurs?: true })[] = [...facts]
  const known = new Set(facts.map((row) => row.name))
  for (const row of [...newerFacts, ...newerByHand]) {
    // A live server's word comes first: what we wrote by hand before it could be asked gives way.
    if (known.has(row.name)) continue
    known.add(row.name)
    rows.push({ ...row, since: Object.hasOwn(sinceByHand, row.name) ? sinceByHand[row.name]! : row.since })
  }
  rows.push(...ours.map((row) => ({ ...row, isOurs: true as const })))
  const names = new Set(rows.map((row) => row.name))
  for (const name of [...groups.keys(), ...Object.keys(particulars)])
    assert(names.has(name), `policy names a command that is in no table: ${name}`)
  const containers = new Set(rows.filter((row) => row.name.includes('|')).map((row) => row.name.split('|')[0]))

  return rows.map((row, id) => {
    const particular = particularOf(row.name)
    const group = groups.get(row.name)
    const shape = keyShape(row, particular)
    const flags = words(row.flags)
    const isContainer = containers.has(row.name)
    const isWrite = flags.includes('write') || particular.hasEffect === true
    let answer = group?.answer ?? 'denied'
    let why = group?.why
    if (group === undefined)
      why = isContainer ? 'its subcommands are judged one by one' : 'no row of the policy names it'
    const keyed = shape !== undefined && shape.mode !== KEYS.none
    // The closed default, whatever the row says: keys that cannot be found, or nothing that could carry a prefix.
    if (
      answer === 'upstream' &&
      (shape === undefined || (!keyed && group?.node !== 'nearest' && group?.via === undefined))
    ) {
      answer = 'denied'
      why = 'its keys cannot be found'
    }
    const isReplicaSafe =
      answer === 'upstream' &&
      group?.via === undefined &&
      !isWrite &&
      group?.node !== 'primary' &&
      (keyed ? flags.includes('readonly') : true)
    const spec: CommandSpec = Object.freeze({
      id,
      name: row.name,
      arity: row.arity,
      answer,
      ...(answer === 'upstream' && group?.via !== undefined ? { via: group.via } : {}),
      isWrite,
      isReplicaSafe,
      categories: words(row.categories),
      flags,
      hints: words(row.hints),
      denyOom: flags.includes('denyoom'),
      isContainer,
      keySpecs: row.keys ?? [],
      isTenantOnly: group?.of === 'tenant',
      isOperatorOnly: group?.of === 'operator',
      // A server that does not know a newer command echoes its arguments, with the prefix.
      reply: particular.reply ?? (row.since !== undefined && answer === 'upstream' ? 'errorNames' : 'pass'),
      inMulti: inMultiOf(answer, flags, particular.inMulti ?? group?.inMulti),
      ...(particular.blocks === undefined ? {} : { blocks: particular.blocks }),
      ...(why === undefined ? {} : { why }),
      ...(row.since === undefined ? {} : { since: row.since }),
      ...(row.isOurs === undefined ? {} : { isOurs: row.isOurs }),
    })
    return { spec, shape: shape ?? noKeys }
  })
}
