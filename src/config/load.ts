/**
 * proxy.yaml -> Config, or everything that is wrong with it at once. ~ reads files: the configuration itself, `tenants_file`,
 * `${file:...}`, certificates. Synchronous: it runs at start and in short verbs; `loadConfigInTurns` is for a proxy at work.
 *
 *   text --> document (YAML, ${...}) --> walk (unknown keys, not built yet) --> zod --> checks --> files --> resolve
 *   tenants_file, line by line (tenants-file.ts) ------------------------------------^
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import path from 'node:path'
import { isDenyEntry } from '../commands/deny.ts'
import { buildCommandTable, type CommandTable } from '../commands/lookup.ts'
import { beginTenants, check, endTenants } from './checks.ts'
import type { Config, TenantConfig } from './config.ts'
import { type Diagnostic, SourceView } from './diagnostics.ts'
import { type Finding, type Node, readDocument, type Span } from './document.ts'
import type { Sources } from './interpolate.ts'
import { resolve } from './resolve.ts'
import { schema } from './schema.ts'
import type { Sink, TenantChecks } from './tenant-checks.ts'
import { LineReport, readTenants, reportPrefixes, type TenantsFileOptions } from './tenants-file.ts'
import { Problem, parseAddress } from './values.ts'
import { findingsOf, isSecretKey, locate, walk } from './walk.ts'

export { ConfigError, type Diagnostic, formatDiagnostic } from './diagnostics.ts'
export { redactedConfig } from './print.ts'

export interface LoadOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** `--region`: goes before the file's `region`; where both are missing, the variable REGION counts. */
  readonly region?: string
  /** `--listen HOST:PORT`: the first listener, at this address, and no other. */
  readonly listen?: string
  /** `--admin HOST:PORT`. */
  readonly admin?: string
}

export interface Loaded {
  /** There exactly when `errors` is empty. */
  readonly config?: Config
  readonly errors: Diagnostic[]
  readonly warnings: Diagnostic[]
  /** All files that were read, or were to be: a change of one of them may change the configuration. */
  readonly files: readonly string[]
  /** An error at the key with this path, or at the nearest one above it that is in the file. */
  place(steps: readonly (string | number)[], message: string): Diagnostic
}

/** A file for a hundred thousand tenants has some 20 MB. */
const fileBytesMax = 256 * 1024 * 1024

/** Of `tenants_file` so much is read at once. */
const pieceBytes = 256 * 1024

/** Never throws for what a file or an option may hold. */
export function loadConfig(file: string, options: LoadOptions): Loaded {
  return atOnce(loading(file, options))
}

/** The same, while others have their turns: `tenants_file` is read some lines at a time, proxy.yaml itself in one go. */
export async function loadConfigInTurns(
  file: string,
  options: LoadOptions,
  rest: () => Promise<void>,
): Promise<Loaded> {
  const steps = loading(file, options)
  let step = steps.next()
  for (; step.done !== true; step = steps.next()) await rest()
  return step.value
}

/** The same for a text that is not in a file (yet): `file` names it in messages, and paths in it are relative to its folder. */
export function parseConfig(text: string, options: LoadOptions & { readonly file: string }): Loaded {
  return atOnce(parsing(text, options))
}

function atOnce<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

function* loading(file: string, options: LoadOptions): Generator<undefined, Loaded> {
  const read = readText(file)
  if ('problem' in read) {
    const error: Diagnostic = { severity: 'error', file, message: `cannot be read: ${read.problem}` }
    return {
      errors: [error],
      warnings: [],
      files: [path.resolve(file)],
      place: (_, message) => ({ severity: 'error', file, message }),
    }
  }
  return yield* parsing(read.text, { ...options, file })
}

function* parsing(text: string, options: LoadOptions & { readonly file: string }): Generator<undefined, Loaded> {
  const files = new Files(path.dirname(options.file))
  const sources: Sources = { env: options.env, readFile: (name) => files.read(name) }
  // A byte order mark would be part of the first key.
  const document = readDocument(text.replace(/^\ufeff/, ''), sources, isSecretKey)
  const view = new SourceView(options.file, text.replace(/^\ufeff/, ''), document, isSecretKey)
  const errors = [...document.errors]
  const warnings = [...document.warnings]
  const optionErrors: Diagnostic[] = []
  let more: MoreTenants | undefined
  let config: Config | undefined

  if (document.root !== undefined) {
    const { root } = document
    const walked = walk(schema, root)
    for (const span of walked.secrets) view.hide(span)
    for (const span of walked.urls) view.hideCredentials(span)
    const region = options.region ?? (hasRegion(root) ? undefined : options.env['REGION'] || undefined)
    const data = region === undefined ? walked.data : { ...(walked.data as object), region }
    const result = schema.safeParse(data)
    const checked = check(root, { region, listen: options.listen, admin: options.admin })
    const tenants = beginTenants(root, denyEntries(), checked)
    more = yield* moreTenants(root, tenants, sources, options.file, checked)
    endTenants(root, tenants, checked)
    const optionName = options.region === undefined ? '$REGION' : '--region'
    for (const { option, message } of checked.optionErrors) {
      optionErrors.push({ severity: 'error', file: option === '--region' ? optionName : option, message })
    }
    errors.push(
      ...walked.errors,
      ...checked.errors,
      ...(result.success ? [] : findingsOf(result.error.issues, root, schema)),
    )
    errors.push(...fileFindings(root, files, warnings))
    warnings.push(...walked.warnings, ...checked.warnings)
    if (result.success && errors.length + optionErrors.length + more.report.errors.length === 0) {
      config = resolve(result.data, {
        region: region ?? result.data.region,
        listen: addressOption(options.listen),
        admin: addressOption(options.admin),
        moreTenants: more.tenants,
        contents: (name) => files.contents(name),
      })
    }
  }
  return {
    ...(config === undefined ? {} : { config }),
    errors: [
      ...ordered(errors).map((it) => view.diagnostic('error', it)),
      ...(more?.report.errors ?? []),
      ...optionErrors,
    ],
    warnings: [...ordered(warnings).map((it) => view.diagnostic('warning', it)), ...(more?.report.warnings ?? [])],
    files: [path.resolve(options.file), ...(more?.files ?? []), ...files.names],
    place: (steps, message) => view.diagnostic('error', { ...placeOf(document.root, steps), message }),
  }
}

interface MoreTenants {
  readonly tenants: readonly TenantConfig[]
  readonly report: LineReport
  readonly files: readonly string[]
}

/** `tenants_file`, read and compared with those of proxy.yaml; what is wrong with the file as a whole is said in proxy.yaml's place. */
function* moreTenants(
  root: Node,
  checks: TenantChecks,
  sources: Sources,
  file: string,
  sink: Sink,
): Generator<undefined, MoreTenants> {
  const { node, missing } = locate(root, ['tenants_file'])
  const isNamed = missing === undefined && node.kind === 'scalar' && !node.failed && node.text !== ''
  // As somebody would name it who stands where the other file was named; what a variable holds is not shown.
  const place = isNamed ? path.resolve(path.dirname(file), node.text) : ''
  const name = !isNamed ? '' : node.replaced ? node.written : path.join(path.dirname(file), node.text)
  const options: TenantsFileOptions = { name, sources, checks }
  const report = new LineReport(name)
  let tenants: readonly TenantConfig[] = []
  try {
    if (isNamed) tenants = yield* readTenants(piecesOf(place), options, report)
    const meeting = [...checks.prefixFindings()]
    for (const { line, at, message } of meeting) if (line === undefined) sink.errors.push({ ...at, message })
    reportPrefixes(() => piecesOf(place), meeting, options, report)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (typeof code !== 'string') throw error
    const problem = systemWords(code)
    const shown = isNamed && !node.replaced ? ` ${node.text}` : ''
    sink.errors.push({ ...span(node), message: `the file${shown} cannot be read: ${problem}` })
  }
  return { tenants, report, files: isNamed ? [place] : [] }
}

function* piecesOf(file: string): Generator<Buffer, void> {
  const handle = openSync(file, 'r')
  try {
    const piece = Buffer.allocUnsafe(pieceBytes)
    let bytes = 0
    for (;;) {
      const count = readSync(handle, piece)
      if (count === 0) return
      bytes += count
      if (bytes > fileBytesMax) throw Object.assign(new Error(), { code: 'EFBIG' })
      yield piece.subarray(0, count)
    }
  } finally {
    closeSync(handle)
  }
}

/** Of the key; of what holds it where the key itself is not written down. */
function placeOf(root: Node | undefined, steps: readonly (string | number)[]): Span {
  if (root === undefined) return { start: 0, end: 0 }
  for (let count = steps.length; count > 0; count--) {
    const { node, entry, missing } = locate(root, steps.slice(0, count))
    if (missing === undefined && (count > 1 || steps[0] !== 'tenants')) return span(entry?.key ?? node)
  }
  // A tenant that is not in proxy.yaml itself.
  const file = locate(root, ['tenants_file'])
  if (steps[0] === 'tenants' && file.missing === undefined) return span(file.entry?.key ?? file.node)
  return { start: 0, end: 0 }
}

/** The command table costs a few ms: only built where a list is to be looked at. */
function denyEntries(): (word: string) => boolean {
  let table: CommandTable | undefined
  return (word) => {
    table ??= buildCommandTable()
    return isDenyEntry(table, word)
  }
}

function hasRegion(root: Node): boolean {
  const node = root.kind === 'map' ? root.entries.get('region')?.node : undefined
  return node !== undefined && !(node.kind === 'scalar' && node.empty)
}

function addressOption(text: string | undefined) {
  const address = text === undefined ? undefined : parseAddress(text)
  return address instanceof Problem ? undefined : address
}

/** In the order of the file; what an alias brought up twice is said once. */
function ordered(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>()
  return [...findings]
    .sort((a, b) => a.start - b.start)
    .filter((it) => {
      const key = `${it.start} ${it.message}`
      return !seen.has(key) && seen.add(key)
    })
}

/** Files that are named by keys: certificates, keys, CAs. */
function fileFindings(root: Node, files: Files, warnings: Finding[]): Finding[] {
  const errors: Finding[] = []
  const use = (at: readonly PropertyKey[], test: (contents: string) => string | undefined): string | undefined => {
    const { node, missing } = locate(root, at)
    if (missing !== undefined || node.kind !== 'scalar' || node.failed || node.text === '') return undefined
    const name = node.replaced ? '' : ` ${node.text}`
    const read = files.read(node.text)
    const problem = 'problem' in read ? `cannot be read: ${read.problem}` : test(read.text)
    if (problem !== undefined) errors.push({ ...span(node), message: `the file${name} ${problem}` })
    return 'text' in read && problem === undefined ? read.text : undefined
  }
  use(['upstream', 'ca'], certificateProblem)
  for (const i of indexes(root, ['listeners'])) {
    const tls = ['listeners', i, 'tls']
    const cert = use([...tls, 'cert'], certificateProblem)
    const key = use([...tls, 'key'], keyProblem)
    use([...tls, 'client_ca'], certificateProblem)
    if (cert !== undefined && key !== undefined && !fits(cert, key)) {
      errors.push({
        ...span(locate(root, [...tls, 'key']).node),
        message: 'the private key does not belong to the certificate',
      })
    }
    if (cert !== undefined && Date.parse(new X509Certificate(cert).validTo) < Date.now()) {
      warnings.push({ ...span(locate(root, [...tls, 'cert']).node), message: 'the certificate has expired' })
    }
  }
  const regions = locate(root, ['regions'])
  for (const name of regions.missing === undefined && regions.node.kind === 'map' ? regions.node.entries.keys() : []) {
    for (const i of indexes(root, ['regions', name, 'nodes']))
      use(['regions', name, 'nodes', i, 'ca'], certificateProblem)
  }
  return errors
}

function indexes(root: Node, at: readonly PropertyKey[]): number[] {
  const { node, missing } = locate(root, at)
  return missing === undefined && node.kind === 'list' ? node.items.map((_, i) => i) : []
}

function span(node: Span): Span {
  return { start: node.start, end: node.end }
}

function certificateProblem(contents: string): string | undefined {
  try {
    new X509Certificate(contents)
    return undefined
  } catch {
    return 'holds no PEM certificate'
  }
}

function keyProblem(contents: string): string | undefined {
  try {
    createPrivateKey(contents)
    return undefined
  } catch {
    return 'holds no PEM private key that can be read without a passphrase'
  }
}

function fits(cert: string, key: string): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
}

/** Each file is read once, so that what was checked is what is used. */
class Files {
  readonly #folder: string
  readonly #read = new Map<string, { text: string } | { problem: string }>()

  constructor(folder: string) {
    this.#folder = folder
  }

  read(name: string): { text: string } | { problem: string } {
    const file = path.resolve(this.#folder, name)
    const known = this.#read.get(file) ?? readText(file)
    this.#read.set(file, known)
    return known
  }

  get names(): string[] {
    return [...this.#read.keys()]
  }

  contents(name: string): string {
    const read = this.read(name)
    if ('problem' in read) throw new Error(`a file that was checked cannot be read: ${read.problem}`)
    return read.text
  }
}

function readText(file: string): { text: string } | { problem: string } {
  try {
    const { size } = statSync(file)
    return size > fileBytesMax ? { problem: 'it is too big' } : { text: readFileSync(file, 'utf8') }
  } catch (error) {
    return { problem: systemWords((error as NodeJS.ErrnoException).code) }
  }
}

function systemWords(code: string | undefined): string {
  switch (code) {
    case 'ENOENT':
      return 'no such file'
    case 'EACCES':
      return 'permission denied'
    case 'EFBIG':
      return 'it is too big'
    case 'EISDIR':
      return 'it is a folder'
    default:
      return code ?? 'unknown error'
  }
}
