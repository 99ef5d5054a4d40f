/**
 * YAML text -> a tree of nodes that remember where they stand. Every scalar stays text: which of them is a number is the
 * schema's business, so that `password: 0123` stays four digits and `port: ${PORT}` can become a number.
 * Also here: interpolation of scalars, aliases, merge keys, duplicate keys. Not here: what keys exist.
 */
import { type Alias, isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from 'yaml'
import { interpolate, type Sources } from './interpolate.ts'
import { readPlainYaml } from './plain-yaml.ts'

export interface Span {
  /** Offsets into the text, `end` exclusive. */
  readonly start: number
  readonly end: number
}

export interface MapNode extends Span {
  readonly kind: 'map'
  readonly entries: Map<string, Entry>
}
export interface Entry {
  readonly key: Span
  readonly node: Node
}
export interface ListNode extends Span {
  readonly kind: 'list'
  readonly items: readonly Node[]
}
export interface ScalarNode extends Span {
  readonly kind: 'scalar'
  /** After interpolation. */
  readonly text: string
  /** As written: what may be shown where `text` may not. */
  readonly written: string
  /** Part of `text` came from the environment or a file. */
  readonly replaced: boolean
  /** Nothing, `~` or `null`. */
  readonly empty: boolean
  /** Already reported; nothing more is said about it. */
  readonly failed: boolean
}
export type Node = MapNode | ListNode | ScalarNode

export interface Finding extends Span {
  readonly message: string
}

export interface ParsedDocument {
  /** Undefined when the YAML itself is broken or the file holds nothing. */
  readonly root: Node | undefined
  readonly errors: readonly Finding[]
  readonly warnings: readonly Finding[]
  readonly lines: LineCounter
  /** Values that stand under a key of a secret name, broken YAML included. */
  readonly secrets: readonly Span[]
  /** The YAML could not be read to its end: `secrets` may be incomplete. */
  readonly broken: boolean
}

/** Aliases may multiply a small file; what a configuration needs is far below this. */
const nodesMax = 5_000_000
const depthMax = 64
/** Behind the first few, messages about YAML are mostly consequences. */
const syntaxErrorsMax = 3

/** From this size on the fast reader is tried first: ten thousand tenants take the library two seconds. */
export const plainCharsMin = 64 * 1024

export function readDocument(text: string, sources: Sources, isSecretKey: (name: string) => boolean): ParsedDocument {
  const plain = text.length < plainCharsMin ? undefined : readPlainYaml(text, sources)
  if (plain === undefined) return readAnyYaml(text, sources, isSecretKey)
  const secrets: Span[] = []
  collectSecrets(plain, isSecretKey, secrets)
  return { root: plain, errors: [], warnings: [], lines: lineCounter(text), secrets, broken: false }
}

function collectSecrets(node: Node, isSecretKey: (name: string) => boolean, into: Span[]): void {
  if (node.kind === 'list') for (const item of node.items) collectSecrets(item, isSecretKey, into)
  if (node.kind !== 'map') return
  for (const [name, { node: value }] of node.entries) {
    if (value.kind !== 'map' && isSecretKey(name)) into.push({ start: value.start, end: value.end })
    else collectSecrets(value, isSecretKey, into)
  }
}

function lineCounter(text: string): LineCounter {
  const lines = new LineCounter()
  lines.addNewLine(0)
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1)
  return lines
}

/** By the library, which knows all of YAML and what is wrong with it. */
function readAnyYaml(text: string, sources: Sources, isSecretKey: (name: string) => boolean): ParsedDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    // The library's own check compares every key with every other one; ours is a Map.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  })
  const secrets = secretSpans(document.contents, isSecretKey)
  const warnings = document.warnings.map((w) => ({
    start: w.pos[0],
    end: w.pos[1],
    message: syntaxText(w.code, w.message),
  }))
  if (document.errors.length > 0) {
    // One mistake makes several messages: the first of each line is the one to read.
    const seen = new Set<number>()
    const errors = document.errors
      .map(({ code, message, pos: [start, end] }) => ({
        start,
        end,
        message: `YAML: ${syntaxText(code, message)}${flowHint(text, start)}`,
      }))
      .filter(({ start }) => !seen.has(lines.linePos(start).line) && seen.add(lines.linePos(start).line))
      .slice(0, syntaxErrorsMax)
    return { root: undefined, errors, warnings, lines, secrets, broken: true }
  }
  if (document.contents === null || isEmptyScalar(document.contents)) {
    const errors = [{ start: 0, end: 0, message: 'the file is empty' }]
    return { root: undefined, errors, warnings, lines, secrets, broken: false }
  }
  const builder = new Builder(text, sources, lines)
  const root = builder.build(document.contents, 0)
  return { root, errors: builder.errors, warnings, lines, secrets: [...secrets, ...builder.secrets], broken: false }
}

class Builder {
  readonly errors: Finding[] = []
  readonly secrets: Span[] = []
  readonly #text: string
  readonly #sources: Sources
  readonly #lines: LineCounter
  /** By name; filled in the order of the text, so an alias means the last anchor before it. */
  readonly #anchors = new Map<string, ParsedNode>()
  readonly #open = new Set<ParsedNode>()
  #nodes = 0
  #insideAlias = 0

  constructor(text: string, sources: Sources, lines: LineCounter) {
    this.#text = text
    this.#sources = sources
    this.#lines = lines
  }

  build(node: ParsedNode | null, fallback: number): Node {
    if (node === null) return emptyAt(fallback)
    const [start, end] = node.range
    if (++this.#nodes > nodesMax || this.#open.size >= depthMax) {
      if (this.#nodes !== Number.POSITIVE_INFINITY)
        this.errors.push({ start, end, message: 'nested too deep, or too many aliases' })
      this.#nodes = Number.POSITIVE_INFINITY
      return { ...emptyAt(start), failed: true }
    }
    if (isAlias(node)) return this.#alias(node as Alias.Parsed)
    if (node.anchor !== undefined && this.#insideAlias === 0) this.#anchors.set(node.anchor, node)
    if (isScalar(node)) return this.#scalar(String(node.value), node.type === 'PLAIN', start, end)
    this.#open.add(node)
    const built = isSeq(node)
      ? ({ kind: 'list', start, end, items: node.items.map((item) => this.build(item as ParsedNode, start)) } as const)
      : this.#map(node, start, end)
    this.#open.delete(node)
    return built
  }

  #alias(alias: Alias.Parsed): Node {
    const [start, end] = alias.range
    const target = this.#anchors.get(alias.source)
    // The name is not quoted: `password: *hunter2` would print a secret.
    if (target === undefined)
      this.errors.push({ start, end, message: 'an alias to nothing (quote a value that begins with *)' })
    else if (this.#open.has(target)) this.errors.push({ start, end, message: 'an alias to what it stands in' })
    else {
      this.#insideAlias++
      const built = this.build(target, start)
      this.#insideAlias--
      return built
    }
    return { ...emptyAt(start), failed: true }
  }

  #scalar(written: string, plain: boolean, start: number, end: number): ScalarNode {
    const { text, replaced, problems } = interpolate(written, this.#sources)
    for (const { index, message } of problems) {
      const opening = written.slice(index, index + 12)
      const found = this.#text.indexOf(opening, start)
      const at = found >= 0 && found < end ? found : start
      this.errors.push({ start: at, end, message })
    }
    const empty = plain && /^(|~|null|Null|NULL)$/.test(written)
    return { kind: 'scalar', start, end, text, written, replaced, empty, failed: problems.length > 0 }
  }

  #map(node: ParsedNode, start: number, end: number): MapNode {
    const entries = new Map<string, Entry>()
    const merged: Entry[] = []
    if (isMap(node)) {
      for (const pair of node.items) {
        const keyNode = pair.key as ParsedNode | null
        if (!isScalar(keyNode)) {
          const at = keyNode?.range?.[0] ?? start
          this.errors.push({ start: at, end: keyNode?.range?.[1] ?? at, message: 'a key must be plain text' })
          continue
        }
        const name = String(keyNode.value)
        const key = { start: keyNode.range![0], end: keyNode.range![1] }
        // `{ password: abc,def }` is a password `abc` and a key `def`: half a secret, so it is not named.
        if (pair.value === null) {
          this.secrets.push(key)
          this.errors.push({ ...key, message: 'a key without a value (a value that holds a comma must be quoted)' })
          continue
        }
        const value = this.build(pair.value as ParsedNode | null, key.end)
        if (name === '<<' && value.kind !== 'scalar') merged.push({ key, node: value })
        else if (entries.has(name)) {
          const { line } = this.#lines.linePos(entries.get(name)!.key.start)
          this.errors.push({ ...key, message: `the key '${shown(name)}' is here twice, first in line ${line}` })
        } else if (name === '__proto__') this.errors.push({ ...key, message: `'__proto__' is not a name` })
        else entries.set(name, { key, node: value })
      }
    }
    for (const { key, node: source } of merged) this.#merge(entries, key, source)
    return { kind: 'map', start, end, entries }
  }

  /** `<<: *base` or a list of them: what is not there yet is taken over; earlier maps win over later ones. */
  #merge(entries: Map<string, Entry>, key: Span, source: Node): void {
    for (const map of source.kind === 'list' ? source.items : [source]) {
      if (map.kind !== 'map') this.errors.push({ ...key, message: "'<<' merges mappings only" })
      else for (const [name, entry] of map.entries) if (!entries.has(name)) entries.set(name, entry)
    }
  }
}

function emptyAt(offset: number): ScalarNode {
  return {
    kind: 'scalar',
    start: offset,
    end: offset,
    text: '',
    written: '',
    replaced: false,
    empty: true,
    failed: false,
  }
}

function isEmptyScalar(node: ParsedNode): boolean {
  return isScalar(node) && node.type === 'PLAIN' && node.value === ''
}

function secretSpans(root: ParsedNode | null, isSecretKey: (name: string) => boolean): Span[] {
  const spans: Span[] = []
  const walk = (node: unknown): void => {
    if (isMap(node) || isSeq(node)) for (const item of node.items) walk(item)
    else if (isPair(node)) {
      const value = node.value as ParsedNode | null
      const isSecret = isScalar(node.key) && isSecretKey(String(node.key.value))
      // A mapping under such a name is none itself: a tenant may be called `secret-santa`.
      if (isSecret && value?.range != null && !isMap(value)) {
        spans.push({ start: value.range[0], end: value.range[1] })
      } else walk(value)
    }
  }
  walk(root)
  return spans
}

/** The library's words where they quote nothing of the file, else our own. */
function syntaxText(code: string, message: string): string {
  switch (code) {
    case 'UNEXPECTED_TOKEN':
      return 'unexpected text here'
    case 'BAD_SCALAR_START':
      return 'a value that begins with this sign must be quoted'
    case 'BAD_DQ_ESCAPE':
      return 'unknown escape in double quotes (single quotes take backslashes as they are)'
    case 'TAG_RESOLVE_FAILED':
      return 'this tag is not used here'
    case 'MULTIPLE_DOCS':
      return 'more than one document in the file'
    case 'MISSING_CHAR':
    case 'BAD_INDENT':
    case 'TAB_AS_INDENT':
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY':
    case 'BLOCK_IN_FLOW':
      return message.charAt(0).toLowerCase() + message.slice(1)
    default:
      return `cannot be read (${code.toLowerCase().replaceAll('_', ' ')})`
  }
}

/** `{ token: ${X} }` is the mistake everybody makes once: inside { } and [ ] a brace ends the value. */
function flowHint(text: string, offset: number): string {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1
  const lineEnd = text.indexOf('\n', offset)
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd)
  return /[{[][^"']*[^"'\s\w]?\s*\$\{/.test(line) ? '; inside { } and [ ] values with ${...} must be quoted' : ''
}

function shown(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}...` : name
}
