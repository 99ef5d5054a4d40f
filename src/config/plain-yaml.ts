/**
 * The plain part of YAML -> the same nodes that document.ts makes of it, some twenty times faster: block mappings and lists,
 * flow mappings and lists that end in their line, plain words, quotes without escapes, comments. It is meant for large files;
 * ten thousand tenants in proxy.yaml take seconds otherwise. Whatever is not certain (a mistake, an anchor, a text over
 * several lines, a key twice, a tab) is `undefined`, and the whole file is left to document.ts. A test compares the two. Pure.
 */
import type { Entry, ListNode, MapNode, Node, ScalarNode } from './document.ts'
import { interpolate, type Sources } from './interpolate.ts'

/** A line that is no comment and not empty. */
interface Line {
  /** Columns before its first sign, or before what stands behind `- `. */
  indent: number
  /** Offset of that sign in the text. */
  start: number
  /** Without spaces at its end. */
  content: string
}

const depthMax = 32
const keyCharsMax = 200
const key = /^([A-Za-z0-9_][A-Za-z0-9_./-]*) *:(?: +|$)/
const dash = /^- +/
/** No sign that means anything to YAML at its place; a colon only between others. */
const blockWord = /[A-Za-z0-9_./$](?:[A-Za-z0-9_./$+=@%~^(){}*!?&;<>|-]|:(?=[A-Za-z0-9_./$+=@-]))*/y
const flowWord = /[A-Za-z0-9_./$](?:[A-Za-z0-9_./$+=@%~^()*!?&;<>|-]|:(?=[A-Za-z0-9_./$+=@-]))*/y
const quoted = /"[^"\\]*"|'[^']*'/y
const rest = /^(?: *| +#.*)$/

export function readPlainYaml(text: string, sources: Sources): Node | undefined {
  if (/[\t\r\ufeff]/.test(text)) return undefined
  try {
    return new Reader(text, sources).document()
  } catch (error) {
    if (error === unusual) return undefined
    throw error
  }
}

const unusual = new Error('not plain YAML')

class Reader {
  readonly #sources: Sources
  readonly #lines: Line[]
  #at = 0
  #depth = 0

  constructor(text: string, sources: Sources) {
    this.#sources = sources
    this.#lines = linesOf(text)
  }

  document(): Node {
    const first = this.#lines[0]
    if (first === undefined) throw unusual
    const node = this.#block(first.indent)
    if (this.#at < this.#lines.length) throw unusual
    return node
  }

  /** What begins in the present line, at this indent. */
  #block(indent: number): Node {
    if (++this.#depth > depthMax) throw unusual
    const { content } = this.#lines[this.#at]!
    const node = dash.test(content) ? this.#list(indent) : this.#map(indent)
    this.#depth--
    return node
  }

  #map(indent: number): MapNode {
    const { start } = this.#lines[this.#at]!
    const entries = new Map<string, Entry>()
    for (let line = this.#here(indent); line !== undefined; line = this.#here(indent)) {
      const found = key.exec(line.content)
      const name = found?.[1]
      if (found === null || name === undefined || name.length > keyCharsMax || entries.has(name)) throw unusual
      if (name === '__proto__') throw unusual
      const at = { start: line.start, end: line.start + name.length }
      const value = line.content.slice(found[0].length)
      const isNested = value === '' || value.startsWith('#')
      entries.set(name, { key: at, node: isNested ? this.#under(indent) : this.#value(line, found[0].length) })
    }
    return { kind: 'map', start, end: this.#endOf([...entries.values()].at(-1)?.node), entries }
  }

  #list(indent: number): ListNode {
    const { start } = this.#lines[this.#at]!
    const items: Node[] = []
    for (let line = this.#here(indent); line !== undefined; line = this.#here(indent)) {
      const width = dash.exec(line.content)?.[0].length
      if (width === undefined) break // at the indent of its own key, a list ends where the next key comes
      const content = line.content.slice(width)
      if (key.test(content)) {
        // - key: value      a mapping whose lines stand under its first key
        this.#lines[this.#at] = { indent: line.indent + width, start: line.start + width, content }
        items.push(this.#block(line.indent + width))
      } else items.push(this.#value(line, width))
    }
    return { kind: 'list', start, end: this.#endOf(items.at(-1)), items }
  }

  /** The present line, if it belongs to what has this indent. A deeper one would go on a text of the line before. */
  #here(indent: number): Line | undefined {
    const line = this.#lines[this.#at]
    if (line === undefined || line.indent < indent) return undefined
    if (line.indent > indent) throw unusual
    return line
  }

  /** The value of a key that has nothing behind it: what stands deeper, or a list at its own indent. */
  #under(indent: number): Node {
    const line = this.#lines[++this.#at]
    if (line === undefined) throw unusual
    if (line.indent < indent || (line.indent === indent && !dash.test(line.content))) throw unusual
    if (!dash.test(line.content) && !key.test(line.content)) throw unusual
    return this.#block(line.indent)
  }

  /** A value in this line, from `from` to its end. */
  #value(line: Line, from: number): Node {
    const flow = new Flow(line, from, this.#sources)
    this.#at++
    return flow.whole()
  }

  #endOf(node: Node | undefined): number {
    if (node === undefined) throw unusual
    return node.end
  }
}

/** Values inside one line. */
class Flow {
  readonly #line: Line
  readonly #sources: Sources
  #at: number
  #depth = 0

  constructor(line: Line, from: number, sources: Sources) {
    this.#line = line
    this.#at = from
    this.#sources = sources
  }

  whole(): Node {
    const node = this.#value(blockWord)
    if (!rest.test(this.#line.content.slice(this.#at))) throw unusual
    return node
  }

  #value(word: RegExp): Node {
    const sign = this.#line.content[this.#at]
    if (sign === '{') return this.#map()
    if (sign === '[') return this.#list()
    const start = this.#at
    if (sign === '"' || sign === "'") return this.#scalar(this.#take(quoted).slice(1, -1), start, false)
    return this.#scalar(this.#take(word), start, true)
  }

  #map(): MapNode {
    const start = this.#open()
    const entries = new Map<string, Entry>()
    while (this.#space() !== '}') {
      const from = this.#at
      const isQuoted = this.#line.content[from] === '"' || this.#line.content[from] === "'"
      const name = isQuoted ? this.#take(quoted).slice(1, -1) : this.#take(/[A-Za-z0-9_][A-Za-z0-9_./-]*/y)
      const at = { start: this.#line.start + from, end: this.#line.start + this.#at }
      if (entries.has(name) || name === '<<' || name === '__proto__' || this.#space() !== ':') throw unusual
      if (this.#line.content[++this.#at] !== ' ') throw unusual
      this.#space()
      entries.set(name, { key: at, node: this.#value(flowWord) })
      if (this.#space() !== ',') break
      this.#at++
    }
    return { kind: 'map', start, end: this.#close('}'), entries }
  }

  #list(): ListNode {
    const start = this.#open()
    const items: Node[] = []
    while (this.#space() !== ']') {
      items.push(this.#value(flowWord))
      if (this.#space() !== ',') break
      this.#at++
    }
    return { kind: 'list', start, end: this.#close(']'), items }
  }

  #open(): number {
    if (++this.#depth > depthMax) throw unusual
    return this.#line.start + this.#at++
  }

  #close(sign: string): number {
    if (this.#space() !== sign) throw unusual
    this.#depth--
    return this.#line.start + ++this.#at
  }

  #take(what: RegExp): string {
    what.lastIndex = this.#at
    const found = what.exec(this.#line.content)?.[0]
    if (found === undefined) throw unusual
    this.#at += found.length
    return found
  }

  #space(): string {
    while (this.#line.content[this.#at] === ' ') this.#at++
    return this.#line.content[this.#at] ?? ''
  }

  #scalar(written: string, from: number, isPlain: boolean): ScalarNode {
    const { text, replaced, problems } = interpolate(written, this.#sources)
    if (problems.length > 0) throw unusual
    const empty = isPlain && /^(null|Null|NULL)$/.test(written)
    const [start, end] = [this.#line.start + from, this.#line.start + this.#at]
    return { kind: 'scalar', start, end, text, written, replaced, empty, failed: false }
  }
}

function linesOf(text: string): Line[] {
  const lines: Line[] = []
  for (let from = 0; from < text.length; ) {
    const feed = text.indexOf('\n', from)
    const end = feed < 0 ? text.length : feed
    let start = from
    while (start < end && text[start] === ' ') start++
    const content = text.slice(start, end).trimEnd()
    if (content !== '' && !content.startsWith('#')) lines.push({ indent: start - from, start, content })
    from = end + 1
  }
  return lines
}
