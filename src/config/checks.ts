/**
 * What no single key can say: names that must exist, names that must not occur twice, prefixes that must not overlap.
 * Works on the document, not on the validated configuration, so that these come out together with all other errors;
 * what is missing or of the wrong kind is skipped here, for it was reported already. Pure; O(n log n) in tenants.
 */
import { prefixBytesMax } from '../base/limits.ts'
import { closest, didYouMean } from './diagnostics.ts'
import type { Entry, Finding, ListNode, MapNode, Node, ScalarNode, Span } from './document.ts'
import { type Address, formatAddress, Problem, parseAddress, parseNodeUrl } from './values.ts'
import { foundText } from './walk.ts'

export interface CheckOptions {
  /** Whether a word of a `deny` list names a command or a category. */
  isDenyEntry(word: string): boolean
  readonly region?: string | undefined
  readonly listen?: string | undefined
  readonly admin?: string | undefined
}

export interface Checked {
  readonly errors: Finding[]
  readonly warnings: Finding[]
  /** Errors of options, which have no place in the file. */
  readonly optionErrors: { readonly option: string; readonly message: string }[]
}

/** Tenant ids, users, and regions too: all of them become labels, parts of keys, words in URLs. */
export const namePattern = '^[a-z0-9][a-z0-9_-]{0,62}$'
const nameExpression = new RegExp(namePattern)

export function check(root: Node, options: CheckOptions): Checked {
  const checked: Checked = { errors: [], warnings: [], optionErrors: [] }
  if (root.kind !== 'map') return checked
  checkPrimary(root, checked)
  checkRegions(root, options, checked)
  checkAddresses(root, options, checked)
  checkTenants(root, options.isDenyEntry, checked)
  checkDatabases(root, checked)
  checkUsers(root, checked)
  checkRules(root, checked)
  checkScripts(root, checked)
  checkDurability(root, checked)
  return checked
}

/** Without Sentinels somebody must say where to look. */
function checkPrimary(root: MapNode, { errors }: Checked): void {
  const primary = root.entries.get('primary')
  if (entryAt(root, 'discovery') !== undefined) return
  if (primary === undefined) errors.push({ start: 0, end: 0, message: "missing key 'primary'" })
  else if (primary.node.kind === 'scalar' && primary.node.empty && !primary.node.failed)
    errors.push({ ...primary.key, message: 'primary: expected text, found nothing' })
}

function checkRegions(root: MapNode, options: CheckOptions, { errors, optionErrors }: Checked): void {
  const regions = mapAt(root, 'regions')
  if (regions === undefined) return
  const names = [...regions.entries.keys()]
  const unknown = (name: string) => `is not one of regions (${names.join(', ')})${didYouMean(name, names)}`
  if (names.length === 0) errors.push({ ...spanOf(regions), message: 'regions: at least one is needed' })
  for (const [name, entry] of regions.entries) checkName('region', name, entry.key, errors)

  if (options.region !== undefined) {
    if (!regions.entries.has(options.region)) {
      optionErrors.push({ option: '--region', message: `'${options.region}' ${unknown(options.region)}` })
    }
  } else checkRegionName(root, 'region')
  checkRegionName(root, 'primary')
  function checkRegionName(map: MapNode, key: string): void {
    const node = textAt(map, key)
    if (node === undefined || regions!.entries.has(node.text)) return
    const what = node.replaced ? `the value of ${node.written}` : `'${node.text.slice(0, 64)}'`
    errors.push({ ...spanOf(node), message: `${key}: ${what} ${unknown(node.replaced ? '' : node.text)}` })
  }

  const seen = new Set<string>()
  for (const [name, region] of regions.entries) {
    for (const node of listAt(region.node, 'nodes')?.items ?? []) {
      const url = node.kind === 'map' ? textAt(node, 'url') : asText(node)
      const parsed = url === undefined ? undefined : parseNodeUrl(url.text)
      if (url === undefined || parsed === undefined || parsed instanceof Problem) continue
      const nodeName = formatAddress(parsed.host.toLowerCase(), parsed.port)
      if (seen.has(nodeName)) {
        const shown = url.replaced ? 'this node' : `the node ${nodeName}`
        errors.push({ ...spanOf(url), message: `${shown} is in the file twice` })
      }
      seen.add(nodeName)
    }
    for (const [to, { key }] of mapAt(region.node, 'distance')?.entries ?? []) {
      if (to === name) errors.push({ ...key, message: `distance of '${to}' to itself` })
      else if (!regions.entries.has(to)) errors.push({ ...key, message: `distance: '${to}' ${unknown(to)}` })
    }
  }
}

function checkAddresses(root: MapNode, options: CheckOptions, { errors, optionErrors }: Checked): void {
  const adminMap = mapAt(root, 'admin')
  const adminNode = adminMap === undefined ? undefined : textAt(adminMap, 'address')
  const adminText = options.admin ?? adminNode?.text ?? '127.0.0.1:9380'
  const admin = parseAddress(adminText)
  if (admin instanceof Problem) {
    if (options.admin !== undefined) optionErrors.push({ option: '--admin', message: admin.text })
  } else if (!isLoopback(admin.host) && textAt(adminMap, 'token') === undefined && !hasFailed(adminMap, 'token')) {
    const message = 'admin: an address outside loopback needs admin.token'
    if (options.admin !== undefined) optionErrors.push({ option: '--admin', message })
    else errors.push({ ...spanOf(adminNode ?? root), message })
  }

  const taken: { address: Address; what: string }[] = []
  const take = (address: Address | Problem | undefined, what: string, report: (message: string) => void) => {
    if (address === undefined || address instanceof Problem) return
    const other = taken.find((it) => overlaps(it.address, address))
    if (other !== undefined) report(`the address is taken by ${other.what}`)
    taken.push({ address, what })
  }
  take(admin, 'admin', () => {})
  if (options.listen !== undefined) {
    const listen = parseAddress(options.listen)
    const report = (message: string) => void optionErrors.push({ option: '--listen', message })
    if (listen instanceof Problem) report(listen.text)
    take(listen, '--listen', report)
    return
  }
  for (const [i, listener] of (listAt(root, 'listeners')?.items ?? []).entries()) {
    const node = textAt(listener, 'address')
    if (node === undefined) continue
    take(parseAddress(node.text), `listeners[${i}]`, (message) => errors.push({ ...spanOf(node), message }))
  }
}

function checkTenants(root: MapNode, isDenyWord: CheckOptions['isDenyEntry'], { errors }: Checked): void {
  const prefixes: { prefix: string; id: string; at: Span; line: Span }[] = []
  for (const [id, { key, node }] of mapAt(root, 'tenants')?.entries ?? []) {
    const isName = checkName('tenant id', id, key, errors)
    const given = textAt(node, 'prefix')
    if (given === undefined ? !isName || hasFailed(node, 'prefix') : !checkPrefix(given, errors)) continue
    prefixes.push({ prefix: given?.text ?? `${id}:`, id, at: given === undefined ? key : spanOf(given), line: key })
    for (const denied of listAt(node, 'deny')?.items ?? []) {
      const word = asText(denied)
      if (word !== undefined && !isDenyWord(word.text)) {
        errors.push({ ...spanOf(word), message: `deny: no command or category has this name${foundText(word)}` })
      }
    }
  }
  // Sorted, whatever begins with a prefix follows it directly.
  prefixes.sort((a, b) => (a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : a.line.start - b.line.start))
  let shortest = prefixes[0]
  for (const it of prefixes.slice(1)) {
    if (shortest !== undefined && it.prefix.startsWith(shortest.prefix)) {
      const relation = it.prefix === shortest.prefix ? 'is also that' : `begins with '${shortest.prefix}', the prefix`
      errors.push({
        ...it.at,
        message: `the prefix '${it.prefix}' of tenant ${it.id} ${relation} of tenant ${shortest.id}`,
      })
    } else shortest = it
  }
  for (const it of prefixes) {
    for (const reserved of reservedNames) {
      if (!it.prefix.startsWith(reserved) && !reserved.startsWith(it.prefix)) continue
      errors.push({
        ...it.at,
        message: `the prefix '${it.prefix}' of tenant ${it.id} meets '${reserved}', which is reserved`,
      })
    }
  }
}

/** A database of the servers is one tenant's alone, or its keys would be another's too. */
function checkDatabases(root: MapNode, { errors }: Checked): void {
  const owners = new Map<number, string>()
  for (const [id, { node }] of mapAt(root, 'tenants')?.entries ?? []) {
    const own = textAt(mapAt(node, 'isolation'), 'database')
    if (own === undefined) continue
    const several = textAt(node, 'databases')
    if (several !== undefined && several.text !== '1') {
      const message = `databases: tenant ${id} has one of the servers' databases (isolation), and no further ones behind it`
      errors.push({ ...spanOf(several), message })
    }
    if (!/^\d{1,7}$/.test(own.text)) continue
    const owner = owners.get(Number(own.text))
    if (owner === undefined) owners.set(Number(own.text), id)
    else errors.push({ ...spanOf(own), message: `database ${Number(own.text)} is tenant ${owner}'s already` })
  }
}

/** Our own channels, and those on which servers tell of keys: a tenant named like them could forge other tenants' events. */
const reservedNames = ['regis:', '__key']

function checkPrefix(node: ScalarNode, errors: Finding[]): boolean {
  const bad = /[*?[\]\\{}\s\p{Cc}]/u.exec(node.text)?.[0]
  const what =
    bad === undefined ? '' : bad === '{' || bad === '}' ? 'a brace' : /[*?[\]\\]/.test(bad) ? 'a glob sign' : 'a space'
  const message =
    bad !== undefined
      ? `prefix: ${what} may not be in it${foundText(node)}`
      : Buffer.byteLength(node.text) > prefixBytesMax
        ? `prefix: longer than ${prefixBytesMax} bytes`
        : undefined
  if (message !== undefined) errors.push({ ...spanOf(node), message })
  return message === undefined
}

function checkUsers(root: MapNode, { errors, warnings }: Checked): void {
  const owners = new Map<string, string>()
  const own = (name: string, key: Span, owner: string) => {
    checkName('user', name, key, errors)
    const other = owners.get(name)
    if (other !== undefined)
      errors.push({ ...key, message: `the user '${name}' is already ${other}: a name occurs once in the file` })
    else owners.set(name, owner)
  }
  for (const [id, tenant] of mapAt(root, 'tenants')?.entries ?? []) {
    const users = mapAt(tenant.node, 'users')
    if (users?.entries.size === 0)
      warnings.push({ ...tenant.key, message: `tenant ${id} has no user, so nobody can be it` })
    for (const [name, { key, node }] of users?.entries ?? []) {
      own(name, key, `a user of tenant ${id}`)
      if (node.kind !== 'map') continue
      const nopass = textAt(node, 'nopass')?.text === 'true'
      const secrets = ['password', 'password_hash'].filter((secret) => has(node, secret))
      if (nopass && secrets.length > 0) {
        warnings.push({
          ...node.entries.get('nopass')!.key,
          message: `user '${name}': with nopass any password is right, ${secrets[0]} is not looked at`,
        })
      } else if (nopass && name !== 'default') {
        warnings.push({
          ...node.entries.get('nopass')!.key,
          message: `user '${name}' needs no password: whoever knows the name is in`,
        })
      } else if (!nopass && secrets.length === 0 && !hasMisspelt(node)) {
        errors.push({ ...key, message: `user '${name}' has none of password, password_hash and nopass: true` })
      }
    }
  }
  for (const [name, { key, node }] of mapAt(root, 'operators')?.entries ?? []) {
    own(name, key, 'an operator')
    if (node.kind === 'map' && !has(node, 'password') && !has(node, 'password_hash') && !hasMisspelt(node)) {
      errors.push({ ...key, message: `operator '${name}' has neither password nor password_hash` })
    }
  }
}

function checkRules(root: MapNode, { errors, warnings }: Checked): void {
  const tenants = mapAt(root, 'tenants')
  const seen = new Map<string, number>()
  for (const [i, rule] of (listAt(mapAt(root, 'routing'), 'rules')?.items ?? []).entries()) {
    const tenant = textAt(rule, 'tenant')
    if (tenant !== undefined && tenants !== undefined && !tenants.entries.has(tenant.text)) {
      const hint = tenant.replaced ? '' : didYouMean(tenant.text, tenants.entries.keys())
      errors.push({ ...spanOf(tenant), message: `rules: there is no such tenant${foundText(tenant)}${hint}` })
    }
    const keys = textAt(rule, 'keys')
    if (keys === undefined) continue
    const same = `${tenant?.text ?? ''} ${keys.text}`
    const first = seen.get(same)
    if (first === undefined) seen.set(same, i)
    else
      warnings.push({
        ...spanOf(rule),
        message: `rules[${first}] matches the same keys first, so this rule is never reached`,
      })
  }
}

/** Scripts where the proxy may not create the users that they need. */
function checkScripts(root: MapNode, { warnings }: Checked): void {
  if (textAt(mapAt(root, 'upstream'), 'acl')?.text !== 'off') return
  for (const [id, { node }] of mapAt(root, 'tenants')?.entries ?? []) {
    const scripts = textAt(node, 'scripts')
    if (scripts === undefined || scripts.text === 'off') continue
    warnings.push({ ...spanOf(scripts), message: `tenant ${id}: scripts stay denied while upstream.acl is off` })
  }
}

/** A tenant that wants more replicas than there are is never told that a write is durable. */
function checkDurability(root: MapNode, { warnings }: Checked): void {
  const regions = [...(mapAt(root, 'regions')?.entries.values() ?? [])]
  const nodes = regions.reduce((sum, { node }) => sum + (listAt(node, 'nodes')?.items.length ?? 0), 0)
  for (const [id, { node }] of mapAt(root, 'tenants')?.entries ?? []) {
    const replicas = textAt(mapAt(node, 'durability'), 'replicas')
    if (replicas === undefined || nodes === 0 || !(Number(replicas.text) > nodes - 1)) continue
    const message = `tenant ${id}: durability wants ${Number(replicas.text)} replicas, and the file has ${nodes - 1} besides the primary`
    warnings.push({ ...spanOf(replicas), message })
  }
}

function checkName(what: string, name: string, key: Span, errors: Finding[]): boolean {
  if (nameExpression.test(name)) return true
  const message = `${what} '${name.slice(0, 64)}': expected a to z, 0 to 9, _ and -, at most 63, the first a letter or digit`
  errors.push({ ...key, message })
  return false
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function overlaps(a: Address, b: Address): boolean {
  const isAny = (host: string) => host === '0.0.0.0' || host === '::'
  return a.port === b.port && a.port !== 0 && (a.host === b.host || isAny(a.host) || isAny(b.host))
}

// What is there, of the right kind, and readable; else undefined.
function entryAt(node: Node | undefined, key: string): Entry | undefined {
  return node?.kind === 'map' ? node.entries.get(key) : undefined
}
function mapAt(node: Node | undefined, key: string): MapNode | undefined {
  const found = entryAt(node, key)?.node
  return found?.kind === 'map' ? found : undefined
}
function listAt(node: Node | undefined, key: string): ListNode | undefined {
  const found = entryAt(node, key)?.node
  return found?.kind === 'list' ? found : undefined
}
function textAt(node: Node | undefined, key: string): ScalarNode | undefined {
  return asText(entryAt(node, key)?.node)
}
function asText(node: Node | undefined): ScalarNode | undefined {
  return node?.kind === 'scalar' && !node.empty && !node.failed && node.text !== '' ? node : undefined
}
function hasFailed(node: Node | undefined, key: string): boolean {
  const found = entryAt(node, key)?.node
  return found?.kind === 'scalar' && found.failed
}
/** Written down, be it rightly or not. */
function has(node: MapNode, key: string): boolean {
  const found = node.entries.get(key)?.node
  return found !== undefined && !(found.kind === 'scalar' && found.empty && !found.failed)
}
/** `pasword` was reported as such; that a password is missing would be the same again. */
function hasMisspelt(node: MapNode): boolean {
  return [...node.entries.keys()].some(
    (key) => closest(key, ['password', 'password_hash']) !== undefined && has(node, key),
  )
}
function spanOf(node: Span): Span {
  return { start: node.start, end: node.end }
}
