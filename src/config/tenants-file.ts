/**
 * `tenants_file`: one tenant a line, as a mapping with its `id` beside what stands under `tenants` in proxy.yaml, by the same
 * schema. JSON is the fast way; a line of YAML's flow style is understood too. Empty lines and lines that begin with # are
 * nothing. Pure: what the file holds is handed in piece by piece, and of a line that is right only its tenant stays.
 *
 *   pieces --> lines --> nodes (json-line, else document) --> walk --> zod --> checks --> resolve
 */
import { LineCounter } from 'yaml'
import { tenantLineBytesMax } from '../base/limits.ts'
import type { TenantConfig } from './config.ts'
import { type Diagnostic, SourceView } from './diagnostics.ts'
import { type Finding, type ParsedDocument, readDocument } from './document.ts'
import type { Sources } from './interpolate.ts'
import { readJsonLine } from './json-line.ts'
import { type Line, linesOf } from './lines.ts'
import { asText, entryAt } from './look.ts'
import { tenantConfig } from './resolve.ts'
import { tenantLine } from './schema.ts'
import type { PrefixFinding, TenantChecks } from './tenant-checks.ts'
import { findingsOf, isSecretKey, walk } from './walk.ts'

export interface TenantsFileOptions {
  /** As it is shown. */
  readonly name: string
  readonly sources: Sources
  readonly checks: TenantChecks
}

/** Behind these the rest of the file is not looked at: what is wrong with thousands of lines is one mistake of a program. */
export const lineErrorsMax = 100
/** Lines between two rests: a millisecond or two. */
const stepLines = 50

/** A file's errors and warnings; of the latter the first hundred, and how many more there are. */
export class LineReport {
  readonly errors: Diagnostic[] = []
  readonly #warnings: Diagnostic[] = []
  #warningsLeftOut = 0
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  get isFull(): boolean {
    return this.errors.length >= lineErrorsMax
  }

  get warnings(): Diagnostic[] {
    if (this.#warningsLeftOut === 0) return this.#warnings
    const message = `and ${this.#warningsLeftOut} more warnings`
    return [...this.#warnings, { severity: 'warning', file: this.#name, message }]
  }

  error(line: number, message: string): void {
    if (!this.isFull) this.errors.push({ severity: 'error', file: this.#name, line, col: 1, message })
  }

  /** What was found in one line. */
  add(line: number, makeView: () => SourceView, errors: readonly Finding[], warnings: readonly Finding[]): void {
    const shownErrors = errors.slice(0, lineErrorsMax - this.errors.length)
    const shownWarnings = warnings.slice(0, lineErrorsMax - this.#warnings.length)
    this.#warningsLeftOut += warnings.length - shownWarnings.length
    if (shownErrors.length + shownWarnings.length === 0) return
    const view = makeView()
    for (const it of shownErrors.sort((a, b) => a.start - b.start))
      this.errors.push({ ...view.diagnostic('error', it), line })
    for (const it of shownWarnings) this.#warnings.push({ ...view.diagnostic('warning', it), line })
  }
}

/** Yields where others may have a turn. */
export function* readTenants(
  pieces: Iterable<Buffer>,
  options: TenantsFileOptions,
  report: LineReport,
): Generator<undefined, TenantConfig[]> {
  const tenants: TenantConfig[] = []
  for (const line of linesOf(pieces, tenantLineBytesMax)) {
    if (line.number % stepLines === 0) yield
    const tenant = readLine(line, options, report)
    if (tenant !== undefined) tenants.push(tenant)
    if (report.isFull) {
      report.errors.push({
        severity: 'error',
        file: options.name,
        message: `${lineErrorsMax} errors up to line ${line.number}: the rest of the file was not looked at`,
      })
      break
    }
  }
  return tenants
}

function readLine({ number, text }: Line, options: TenantsFileOptions, report: LineReport): TenantConfig | undefined {
  if (text === undefined) {
    report.error(number, `the line is longer than ${tenantLineBytesMax} bytes`)
    return undefined
  }
  if (/^\s*(#|$)/.test(text)) return undefined
  const document = documentOf(text, options.sources)
  const errors = [...document.errors]
  const { root } = document
  if (root === undefined) {
    report.add(number, () => viewOf(options.name, text, document), errors, [])
    return undefined
  }
  const walked = walk(tenantLine, root)
  const result = tenantLine.safeParse(walked.data)
  const warnings = [...document.warnings, ...walked.warnings]
  errors.push(...walked.errors, ...(result.success ? [] : findingsOf(result.error.issues, root, tenantLine)))
  const id = asText(entryAt(root, 'id')?.node)
  if (id !== undefined) options.checks.add(id.text, id, root, { errors, warnings }, number)
  if (errors.length + warnings.length > 0)
    report.add(number, () => viewOf(options.name, text, document, walked), errors, warnings)
  if (!result.success || errors.length > 0) return undefined
  const { id: name, ...tenant } = result.data
  return tenantConfig(name, tenant)
}

/** Prefixes that begin others are found at the end; their lines are read once more to be shown. */
export function reportPrefixes(
  pieces: () => Iterable<Buffer>,
  findings: readonly PrefixFinding[],
  options: TenantsFileOptions,
  report: LineReport,
): void {
  const byLine = new Map<number, PrefixFinding[]>()
  for (const it of findings) {
    if (it.line === undefined) continue
    const there = byLine.get(it.line)
    if (there === undefined) byLine.set(it.line, [it])
    else there.push(it)
  }
  if (byLine.size === 0) return
  for (const { number, text } of linesOf(pieces(), tenantLineBytesMax)) {
    const found = byLine.get(number)
    if (found === undefined || text === undefined) continue
    const document = documentOf(text, options.sources)
    const walked = document.root === undefined ? undefined : walk(tenantLine, document.root)
    const errors = found.map(({ at, message }) => ({ start: at.start, end: at.end, message }))
    report.add(number, () => viewOf(options.name, text, document, walked), errors, [])
    byLine.delete(number)
    if (byLine.size === 0) return
    if (report.isFull) break
  }
  const left = [...byLine.values()].flat().length
  if (left > 0)
    report.errors.push({ severity: 'error', file: options.name, message: `${left} more prefixes meet others` })
}

/** What the SourceView of a line of JSON has to hide is found only if the line is to be shown: by document.ts. */
function documentOf(text: string, sources: Sources): ParsedDocument {
  const plain = readJsonLine(text, sources)
  if (plain === undefined) return readDocument(text, sources, isSecretKey)
  return { root: plain.root, errors: [], warnings: [], lines: oneLine, secrets: [], broken: false }
}

const oneLine = new LineCounter()
oneLine.addNewLine(0)

function viewOf(name: string, text: string, document: ParsedDocument, walked?: ReturnType<typeof walk>): SourceView {
  const { secrets } = document.lines === oneLine ? readDocument(text, noSources, isSecretKey) : document
  const view = new SourceView(name, text, { lines: oneLine, secrets, broken: document.broken }, isSecretKey)
  for (const span of walked?.secrets ?? []) view.hide(span)
  for (const span of walked?.urls ?? []) view.hideCredentials(span)
  return view
}

/** For a document of which only places are asked. */
const noSources: Sources = { env: {}, readFile: () => ({ problem: '' }) }
