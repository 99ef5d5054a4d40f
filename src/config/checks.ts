/**
 * What no single key can say: names that must exist, nodes and addresses that must not occur twice (of tenants:
 * tenant-checks.ts).
 * Works on the document, not on the validated configuration, so that these come out together with all other errors;
 * what is missing or of the wrong kind is skipped here, for it was reported already. Pure.
 */
import { didYouMean } from './diagnostics.ts'
import type { MapNode, Node } from './document.ts'
import { asText, entryAt, hasFailed, listAt, mapAt, spanOf, textAt } from './look.ts'
import { checkName, type Sink, TenantChecks } from './tenant-checks.ts'
import { type Address, formatAddress, Problem, parseAddress, parseNodeUrl } from './values.ts'
import { foundText } from './walk.ts'

export interface CheckOptions {
  readonly region?: string | undefined
  readonly listen?: string | undefined
  readonly admin?: string | undefined
}

export interface Checked extends Sink {
  /** Errors of options, which have no place in the file. */
  readonly optionErrors: { readonly option: string; readonly message: string }[]
}

/** All but what concerns tenants: those come in between, from here and from `tenants_file`. */
export function check(root: Node, options: CheckOptions): Checked {
  const checked: Checked = { errors: [], warnings: [], optionErrors: [] }
  if (root.kind !== 'map') return checked
  checkPrimary(root, checked)
  checkRegions(root, options, checked)
  checkAddresses(root, options, checked)
  checkTenants(root, checked)
  return checked
}

/** A checker of tenants that knows proxy.yaml's own. */
export function beginTenants(root: Node, isDenyEntry: (word: string) => boolean, sink: Sink): TenantChecks {
  const regions = [...(mapAt(root, 'regions')?.entries.values() ?? [])]
  const checks = new TenantChecks({
    isDenyEntry,
    nodes: regions.reduce((sum, { node }) => sum + (listAt(node, 'nodes')?.items.length ?? 0), 0),
    isAclOff: textAt(mapAt(root, 'upstream'), 'acl')?.text === 'off',
  })
  for (const [id, { key, node }] of mapAt(root, 'tenants')?.entries ?? []) checks.add(id, key, node, sink)
  return checks
}

/** When all tenants are known: who may have no tenant's name, and rules that name one. */
export function endTenants(root: Node, checks: TenantChecks, sink: Sink): void {
  for (const [name, { key, node }] of mapAt(root, 'operators')?.entries ?? []) checks.addOperator(name, key, node, sink)
  checkRules(root, checks.ids, sink)
}

/** Without Sentinels somebody must say where to look. */
function checkPrimary(root: MapNode, { errors }: Checked): void {
  const primary = root.entries.get('primary')
  if (entryAt(root, 'discovery') !== undefined) return
  if (primary === undefined) errors.push({ start: 0, end: 0, message: "missing key 'primary'" })
  else if (primary.node.kind === 'scalar' && primary.node.empty && !primary.node.failed)
    errors.push({ ...primary.key, message: 'primary: expected text, found nothing' })
}

/** They are in this file or in another. */
function checkTenants(root: MapNode, { errors }: Checked): void {
  if (textAt(root, 'tenants_file') !== undefined || hasFailed(root, 'tenants_file')) return
  const tenants = entryAt(root, 'tenants')
  if (tenants === undefined) errors.push({ start: 0, end: 0, message: "missing key 'tenants'" })
  else if (tenants.node.kind === 'scalar' && tenants.node.empty && !tenants.node.failed)
    errors.push({ ...tenants.key, message: 'tenants: expected a mapping, found nothing' })
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

/** A name is compared with each of them letter by letter, some microseconds. */
const hintedMax = 10_000

function checkRules(root: Node, tenants: ReadonlySet<string>, { errors, warnings }: Sink): void {
  const seen = new Map<string, number>()
  for (const [i, rule] of (listAt(mapAt(root, 'routing'), 'rules')?.items ?? []).entries()) {
    const tenant = textAt(rule, 'tenant')
    if (tenant !== undefined && tenants.size > 0 && !tenants.has(tenant.text)) {
      const hint = tenant.replaced || tenants.size > hintedMax ? '' : didYouMean(tenant.text, tenants)
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

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function overlaps(a: Address, b: Address): boolean {
  const isAny = (host: string) => host === '0.0.0.0' || host === '::'
  return a.port === b.port && a.port !== 0 && (a.host === b.host || isAny(a.host) || isAny(b.host))
}
