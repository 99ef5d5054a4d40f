/**
 * What is wrong with a file, and how it is shown: `file:line:col: message`, the source line, a caret. Secrets never get
 * into a Diagnostic: values of secret keys and credentials of URLs are `***` in the source line already.
 */
import type { LineCounter } from 'yaml'
import type { Finding, Span } from './document.ts'

export interface Diagnostic {
  readonly severity: 'error' | 'warning'
  /** The file as it was named, or the option that is meant (`--region`). */
  readonly file: string
  /** From 1; absent where no place in the file is meant. */
  readonly line?: number
  readonly col?: number
  readonly message: string
  /** The line with secrets masked, and where the caret stands in it, from 0. */
  readonly source?: string
  readonly caret?: number
}

/** Thrown by callers who cannot go on without a configuration; the message is everything, formatted. Exit code 78. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(formatDiagnostic).join('\n'))
    this.diagnostics = diagnostics
  }
}

/** One to three lines, without a newline at the end. */
export function formatDiagnostic(it: Diagnostic): string {
  const place = it.line === undefined ? it.file : `${it.file}:${it.line}:${it.col}`
  const head = `${place}: ${it.severity === 'warning' ? 'warning: ' : ''}${it.message}`
  return it.source === undefined ? head : `${head}\n${it.source}\n${' '.repeat(it.caret ?? 0)}^`
}

const mask = '***'
/** A file on one long line is shown around the caret. */
const sourceCharsMax = 120

/** Shows places of one text. */
export class SourceView {
  readonly #file: string
  readonly #text: string
  readonly #lines: LineCounter
  readonly #broken: boolean
  readonly #isSecretKey: (name: string) => boolean
  readonly #secretsByLine = new Map<number, Span[]>()

  constructor(
    file: string,
    text: string,
    document: { readonly lines: LineCounter; readonly secrets: readonly Span[]; readonly broken: boolean },
    isSecretKey: (name: string) => boolean,
  ) {
    this.#file = file
    this.#text = text
    this.#lines = document.lines
    this.#broken = document.broken
    this.#isSecretKey = isSecretKey
    for (const span of document.secrets) this.hide(span)
  }

  /** From now on this part of the text is shown as `***`. */
  hide(span: Span): void {
    const last = this.#lines.linePos(Math.max(span.start, span.end - 1)).line
    for (let { line } = this.#lines.linePos(span.start); line <= last; line++) {
      const there = this.#secretsByLine.get(line)
      if (there === undefined) this.#secretsByLine.set(line, [span])
      else there.push(span)
    }
  }

  /** The same for the credentials in a node's URL, or in what was meant to be one. */
  hideCredentials(span: Span): void {
    const written = this.#text.slice(span.start, span.end)
    const at = written.lastIndexOf('@')
    const scheme = written.indexOf('://')
    const tail = written.lastIndexOf(':') + 1
    if (at >= 0) this.hide({ start: span.start + (scheme >= 0 && scheme < at ? scheme + 3 : 0), end: span.start + at })
    // redis://user:password, the host forgotten: what stands where a port belongs is no number.
    else if (tail > 0 && !/^(\d{1,5}\/?\d*["']?|\/\/.*)$/.test(written.slice(tail))) {
      this.hide({ start: span.start + tail, end: span.end })
    }
  }

  diagnostic(severity: Diagnostic['severity'], finding: Finding): Diagnostic {
    if (this.#text === '') return { severity, file: this.#file, message: finding.message }
    const offset = Math.min(finding.start, this.#text.length)
    const { line, col } = this.#lines.linePos(offset)
    return { severity, file: this.#file, line, col, message: printable(finding.message), ...this.#shown(line, offset) }
  }

  #shown(line: number, offset: number): { source: string; caret: number } {
    const start = this.#lines.lineStarts[line - 1] ?? 0
    const newline = this.#text.indexOf('\n', start)
    const end = newline < 0 ? this.#text.length : newline
    const source = this.#text.slice(start, end).replace(/\r$/, '')
    const masks = (this.#secretsByLine.get(line) ?? []).map((span) => ({
      start: span.start - start,
      end: span.end - start,
    }))
    if (this.#broken) masks.push(...urlSecrets(source), ...this.#guessedSecrets(source, start))
    return window(apply(source, masks, offset - start))
  }

  /** In broken YAML the tree may miss secrets: everything behind a secret key in this line, and the line itself if the last key before it is one. */
  #guessedSecrets(source: string, start: number): Span[] {
    const spans: Span[] = []
    for (const found of source.matchAll(keyPattern)) {
      if (!this.#isSecretKey(found[1]!)) continue
      const end = found.index + found[0].length
      spans.push({ start: end + /^\s*/.exec(source.slice(end))![0].length, end: source.length })
    }
    const before = this.#text.slice(Math.max(0, start - 20_000), start)
    const lastKey = [...before.matchAll(keyPattern)].at(-1)?.[1]
    const ownKey = /^\s*["']?[\w.-]+["']?\s*:(\s|$)/.test(source)
    if (lastKey !== undefined && this.#isSecretKey(lastKey) && !ownKey) {
      spans.push({ start: source.length - source.trimStart().length, end: source.length })
    }
    return spans
  }
}

const keyPattern = /([\w.-]+)["']?\s*:(?=\s|$|["'[{])/g

/** For broken YAML: credentials in URLs, also in those that are not quite URLs. Rather too much than too little. */
function urlSecrets(source: string): Span[] {
  const spans: Span[] = []
  const at = source.lastIndexOf('@')
  const scheme = source.indexOf('://')
  if (scheme >= 0 && at > scheme) spans.push({ start: scheme + 3, end: at })
  for (const found of source.matchAll(/[^\s"'[{,]+:\S*@/g))
    spans.push({ start: found.index, end: found.index + found[0].length - 1 })
  for (const found of source.matchAll(/:\/\/[^\s:"'@[\]]*:(?!\d{1,5}(?:[/"'\s,\]}]|$))\S+/g)) {
    spans.push({ start: found.index + 3, end: found.index + found[0].length })
  }
  return spans
}

function apply(source: string, masks: readonly Span[], offset: number): { source: string; caret: number } {
  let out = ''
  let caret = offset
  let from = 0
  for (const span of merge(masks, source)) {
    out += source.slice(from, span.start)
    if (offset >= span.end) caret -= span.end - span.start - mask.length
    else if (offset > span.start) caret = out.length
    out += mask
    from = span.end
  }
  return { source: out + source.slice(from), caret }
}

/** In order, without overlap, inside the line; a part of a secret that ends in a comment sign takes the rest of the line along. */
function merge(masks: readonly Span[], source: string): Span[] {
  const merged: { start: number; end: number }[] = []
  for (const span of [...masks].sort((a, b) => a.start - b.start)) {
    const start = Math.max(span.start, source.length - source.trimStart().length)
    let end = Math.min(span.end, source.length)
    if (/^\s*#/.test(source.slice(end))) end = source.length
    // A comma inside an unquoted secret ends it for YAML; what is glued to it (an anchor, a tag) is the secret's too.
    end += /^,[^\s\]}]+/.exec(source.slice(end))?.[0].length ?? 0
    if (end <= start) continue
    const last = merged.at(-1)
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end)
    else merged.push({ start, end })
  }
  return merged
}

function window({ source, caret }: { source: string; caret: number }): { source: string; caret: number } {
  const clean = printable(source)
  if (clean.length <= sourceCharsMax) return { source: clean, caret: Math.min(caret, clean.length) }
  const from = Math.max(0, Math.min(caret - sourceCharsMax / 2, clean.length - sourceCharsMax))
  const to = Math.min(clean.length, from + sourceCharsMax)
  const shown = `${from > 0 ? '...' : ''}${clean.slice(from, to)}${to < clean.length ? '...' : ''}`
  return { source: shown, caret: caret - from + (from > 0 ? 3 : 0) }
}

/** A file may hold what a terminal would obey. One for one, so that columns stay. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ')
}

/** ", did you mean 'x'?" or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const found = closest(name, candidates)
  return found === undefined ? '' : `, did you mean '${found}'?`
}

/** The candidate within a third of its letters, case and separators aside. */
export function closest(name: string, candidates: Iterable<string>): string | undefined {
  const plain = (it: string) => it.toLowerCase().replace(/[-_]/g, '')
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const distance = editDistance(plain(name), plain(candidate))
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein, with a swap of neighbours as one step. Words are short; longer ones are cut. */
function editDistance(left: string, right: string): number {
  const a = left.slice(0, 64)
  const b = right.slice(0, 64)
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let distance = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, beforeLast[j - 2]! + 1)
      }
      row.push(distance)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
