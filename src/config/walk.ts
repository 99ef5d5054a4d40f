/**
 * A document along the schema: plain data for zod, unknown keys, keys whose feature is not built, and what is secret.
 * And the way back: an issue of zod, which knows a path, becomes a finding, which knows a place.
 */
import { z } from 'zod'
import { closest, didYouMean } from './diagnostics.ts'
import type { Entry, Finding, MapNode, Node, Span } from './document.ts'
import { alternatives, factsOf, inner, type Member, membersOf, nodeUrlKind, shapeOf } from './fields.ts'

export interface Walked {
  readonly data: unknown
  readonly errors: readonly Finding[]
  readonly warnings: readonly Finding[]
  readonly secrets: readonly Span[]
  /** Scalars that may hold credentials inside: URLs, and what looks like one. */
  readonly urls: readonly Span[]
}

export function walk(schema: z.ZodType, root: Node): Walked {
  const walker = new Walker()
  return { data: walker.value(schema, root), ...walker }
}

class Walker {
  readonly errors: Finding[] = []
  readonly warnings: Finding[] = []
  readonly secrets: Span[] = []
  readonly urls: Span[] = []

  value(schema: z.ZodType, node: Node): unknown {
    const fitting = alternatives(schema).find((it) => shapeOf(it) === node.kind)
    if (fitting === undefined) {
      // `shop-app: hunter2` where a mapping belongs: that is zod's to report, what it says is not to be seen.
      this.secrets.push(node)
      return node.kind === 'scalar' ? (node.empty ? null : node.text) : node.kind === 'list' ? [] : {}
    }
    const it = inner(fitting)
    if (fitting !== inner(schema)) this.#notYet(it, node, node)
    if (node.kind === 'scalar') {
      if (isNodeUrl(it) || !urlFree(node.written)) this.urls.push(node)
      return node.empty ? null : node.text
    }
    if (node.kind === 'list') return node.items.map((item) => this.value((it as z.ZodArray).element as z.ZodType, item))
    const members = membersOf(it)
    return members === undefined ? this.#record(it as z.ZodRecord, node) : this.#object(members, node)
  }

  #record(schema: z.ZodRecord, node: MapNode): unknown {
    const data: Record<string, unknown> = {}
    for (const [name, entry] of node.entries) data[name] = this.value(schema.valueType as z.ZodType, entry.node)
    return data
  }

  #object(members: ReadonlyMap<string, Member>, node: MapNode): unknown {
    const data: Record<string, unknown> = {}
    for (const [name, entry] of node.entries) {
      const member = members.get(name)
      if (member === undefined) {
        this.#unknown(name, entry, [...members.keys()])
        continue
      }
      this.#notYet(inner(member.schema), entry.node, entry.key)
      const value = this.value(member.schema, entry.node)
      // `limits:` with all its lines commented out is as good as no `limits`.
      if (value !== null || !member.mayBeMissing) data[name] = value
    }
    return data
  }

  #unknown(name: string, entry: Entry, known: readonly string[]): void {
    const hint = didYouMean(name, known)
    const list = hint === '' ? ` (known here: ${known.join(', ')})` : hint
    this.errors.push({ ...entry.key, message: `unknown key '${name.slice(0, 64)}'${list}` })
    // A misspelt `password` holds a password all the same.
    const meant = closest(name, known)
    const isHarmless = entry.node.kind === 'scalar' && urlFree(entry.node.written)
    if (meant === undefined || isSecretKey(meant) || !isHarmless) this.secrets.push(entry.node)
  }

  #notYet(schema: z.ZodType, node: Node, at: Span): void {
    const it = factsOf(schema)?.notYet
    if (it === undefined || (node.kind === 'scalar' && (node.empty || it.unless?.includes(node.text) === true))) return
    const finding = { start: at.start, end: at.end, message: it.says }
    if (it.severity === 'error') this.errors.push(finding)
    else this.warnings.push(finding)
  }
}

/** By name alone, for places where the schema is of no help: broken YAML, misspelt keys. */
export function isSecretKey(name: string): boolean {
  return /pass|secret|token|hash|pwd|cred/i.test(name) && name !== 'nopass'
}

/** zod's issues as findings. Nothing is said of a scalar that was reported before. */
export function findingsOf(issues: readonly z.core.$ZodIssue[], root: Node, schema: z.ZodType): Finding[] {
  return issues.flatMap((issue) => findingOf(issue, [], root, schema))
}

function findingOf(issue: z.core.$ZodIssue, above: readonly PropertyKey[], root: Node, schema: z.ZodType): Finding[] {
  const path = [...above, ...issue.path]
  if (issue.code === 'invalid_union') {
    const branch = issue.errors.find((errors) => errors.every((it) => it.code !== 'invalid_type' || it.path.length > 0))
    if (branch !== undefined) return branch.flatMap((it) => findingOf(it, path, root, schema))
  }
  const { node, entry, missing } = locate(root, path)
  const name = pathText(path) || 'the file'
  if (missing !== undefined) {
    // Where its brothers stand; at the top, the first line.
    const at = entry?.key ?? { start: 0, end: 0 }
    return [{ ...at, message: `missing key '${name}'` }]
  }
  if (node.kind === 'scalar' && node.failed) return []
  const at = { start: node.start, end: node.end }
  if (issue.code === 'too_small') return [{ ...at, message: `${name}: must not be empty` }]
  if (issue.code !== 'custom') {
    const place = node.kind === 'scalar' && node.empty && entry !== undefined ? entry.key : at
    return [{ ...place, message: `${name}: expected ${kindAt(schema, path)}, found ${kindOf(node)}` }]
  }
  return [{ ...at, message: `${name}: ${issue.message}${found(node, schema, path)}` }]
}

/** What may be said of a value: not a secret's, nor one that came from outside the file. */
export function found(node: Node, schema: z.ZodType, path: readonly PropertyKey[]): string {
  const last = schemaAt(schema, path)
  if (last !== undefined && alternatives(last).some(isNodeUrl)) return ''
  const isSecret = path.some(
    (_, i) => factsOf(inner(schemaAt(schema, path.slice(0, i + 1)) ?? schema))?.secret === true,
  )
  return isSecret ? '' : foundText(node)
}

export function foundText(node: Node): string {
  if (node.kind !== 'scalar' || node.text === '') return ''
  if (node.replaced) return `, found the value of ${urlFree(node.written) ? node.written : 'a variable'}`
  return urlFree(node.text) ? `, found '${node.text.slice(0, 64)}'` : ''
}
function isNodeUrl(schema: z.ZodType): boolean {
  return factsOf(inner(schema))?.kind === nodeUrlKind
}
function urlFree(text: string): boolean {
  return !text.includes('@') && !text.includes('://') && text.length <= 200
}

interface Located {
  readonly node: Node
  /** The entry that the node is the value of; for a missing key, that of the mapping it is missing in. */
  readonly entry: Entry | undefined
  readonly missing?: string
}

export function locate(root: Node, path: readonly PropertyKey[]): Located {
  let node = root
  let entry: Entry | undefined
  for (const step of path) {
    if (node.kind === 'list' && typeof step === 'number') {
      node = node.items[step] ?? node
      entry = undefined
    } else if (node.kind === 'map') {
      const next: Entry | undefined = node.entries.get(String(step))
      if (next === undefined) return { node, entry: entry ?? { key: node, node }, missing: String(step) }
      entry = next
      node = next.node
    } else return { node, entry, missing: String(step) }
  }
  return { node, entry }
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i > 0 ? '.' : ''}${String(step)}`)).join('')
}

function kindOf(node: Node): string {
  if (node.kind === 'map') return 'a mapping'
  if (node.kind === 'list') return 'a list'
  return node.empty ? 'nothing' : 'text'
}

function kindAt(schema: z.ZodType, path: readonly PropertyKey[]): string {
  const at = schemaAt(schema, path)
  if (at === undefined) return 'something else'
  const kinds = alternatives(at).map((it) => {
    const shape = shapeOf(it)
    return shape === 'map'
      ? 'a mapping'
      : shape === 'list'
        ? 'a list'
        : (factsOf(inner(it))?.kind ?? 'text').replaceAll('`', '')
  })
  return [...new Set(kinds)].join(' or ')
}

function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema
  for (const step of path) {
    const options: readonly z.ZodType[] = at === undefined ? [] : alternatives(at).map(inner)
    at = undefined
    for (const it of options) {
      if (it instanceof z.ZodArray && typeof step === 'number') at = it.element as z.ZodType
      else if (it instanceof z.ZodRecord) at = it.valueType as z.ZodType
      else if (it instanceof z.ZodObject) at = (it.shape as Record<string, z.ZodType>)[String(step)]
      if (at !== undefined) break
    }
  }
  return at
}
