/**
 * One line of JSON -> the same nodes that document.ts makes of it, some thirty times faster: a hundred thousand lines through
 * a reader of YAML take half a minute. Whatever is unusual (a mistake, a key twice, a flow mapping that is YAML and no JSON)
 * is `undefined`, and left to document.ts, which knows the words for it. A test compares the two. Pure.
 */
import type { Entry, Node, ParsedDocument, ScalarNode } from './document.ts'
import { interpolate, type Sources } from './interpolate.ts'

/** A tenant's line is four deep. */
const depthMax = 16
const literal = /(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=[ \t,}\]]|$)/y

export function readJsonLine(text: string, sources: Sources): Pick<ParsedDocument, 'root'> | undefined {
  try {
    const reader = new Reader(text, sources)
    return { root: reader.document() }
  } catch (error) {
    if (error === unusual) return undefined
    throw error
  }
}

const shortPlain = /^[ !#-[\]-~]{0,12}$/
const unusual = new Error('not plain JSON')

class Reader {
  readonly #text: string
  readonly #sources: Sources
  #at = 0
  #depth = 0

  constructor(text: string, sources: Sources) {
    this.#text = text
    this.#sources = sources
  }

  document(): Node {
    const node = this.#value()
    this.#space()
    if (this.#at !== this.#text.length) throw unusual
    return node
  }

  #value(): Node {
    const sign = this.#space()
    if (sign === '"') {
      const start = this.#at
      const written = this.#string()
      return this.#scalar(written, start, false)
    }
    if (sign === '{') return this.#map()
    if (sign === '[') return this.#list()
    const start = this.#at
    literal.lastIndex = start
    const found = literal.exec(this.#text)
    if (found === null) throw unusual
    this.#at += found[0].length
    return this.#scalar(found[0], start, found[0] === 'null')
  }

  #map(): Node {
    const start = this.#open()
    const entries = new Map<string, Entry>()
    for (let sign = this.#space(); sign !== '}' || entries.size > 0; sign = this.#space()) {
      if (sign !== '"') throw unusual
      const keyStart = this.#at
      const name = this.#string()
      const key = { start: keyStart, end: this.#at }
      if (name === '<<' || name === '__proto__' || entries.has(name) || this.#space() !== ':') throw unusual
      this.#at++
      entries.set(name, { key, node: this.#value() })
      if (this.#isLast('}')) break
    }
    return { kind: 'map', start, end: this.#close(), entries }
  }

  #list(): Node {
    const start = this.#open()
    const items: Node[] = []
    for (let sign = this.#space(); sign !== ']' || items.length > 0; sign = this.#space()) {
      items.push(this.#value())
      if (this.#isLast(']')) break
    }
    return { kind: 'list', start, end: this.#close(), items }
  }

  #open(): number {
    if (++this.#depth > depthMax) throw unusual
    return this.#at++
  }

  #close(): number {
    this.#depth--
    return ++this.#at
  }

  /** Behind a value: the sign that closes, or a comma, which is stepped over. */
  #isLast(closing: string): boolean {
    const sign = this.#space()
    if (sign === closing) return true
    if (sign !== ',') throw unusual
    this.#at++
    return false
  }

  #string(): string {
    const text = this.#text
    const start = this.#at
    let end = text.indexOf('"', start + 1)
    while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
    if (end < 0) throw unusual
    this.#at = end + 1
    const inside = text.slice(start + 1, end)
    // So short a piece is a copy; a longer one would keep the whole line.
    if (shortPlain.test(inside)) return inside
    try {
      return JSON.parse(text.slice(start, end + 1)) as string
    } catch {
      throw unusual
    }
  }

  #scalar(written: string, start: number, empty: boolean): ScalarNode {
    const { text, replaced, problems } = interpolate(written, this.#sources)
    if (problems.length > 0) throw unusual
    return { kind: 'scalar', start, end: this.#at, text, written, replaced, empty, failed: false }
  }

  /** The next sign that is no space; '' at the end. */
  #space(): string {
    const text = this.#text
    while (text[this.#at] === ' ' || text[this.#at] === '\t') this.#at++
    return text[this.#at] ?? ''
  }
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0
  while (text[at - 1 - slashes] === '\\') slashes++
  return slashes % 2 === 1
}
