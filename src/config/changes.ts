/**
 * What differs between the running configuration and a new one, and whether a running proxy can take it: every key has a
 * class, and a reload in which one change is not `live` is refused whole. Pure.
 *
 *   running, new --> words, every default written out --> what differs, by its path --> live | restart | never
 *
 * Secrets are compared by a digest and never shown.
 */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Config, TenantConfig } from './config.ts'
import { configWords, tenantWords, type Veil } from './print.ts'

/** `live`: acts from the next command on. `restart`: what was built from it cannot be exchanged. `never`: keys would be lost. */
export type ReloadClass = 'live' | 'restart' | 'never'

/**
 * By the path in docs/config.md. A list counts as one key, and what is in its elements with it, unless an element's key is
 * named here too. A test compares this table with that of the keys.
 */
export const reloadClasses: Readonly<Record<string, ReloadClass>> = {
  region: 'restart',
  listeners: 'restart',
  'listeners[].address': 'restart',
  'listeners[].tls.cert': 'restart',
  'listeners[].tls.key': 'restart',
  'listeners[].tls.client_ca': 'restart',
  'listeners[].proxy_protocol': 'restart',
  'admin.address': 'restart',
  'admin.token': 'live',
  'upstream.username': 'restart',
  'upstream.password': 'restart',
  'upstream.timeout': 'restart',
  'upstream.connections': 'restart',
  'upstream.ca': 'restart',
  'upstream.acl': 'restart',
  'upstream.strict': 'live',
  primary: 'live',
  'discovery.sentinels': 'restart',
  'discovery.master': 'restart',
  'discovery.username': 'restart',
  'discovery.password': 'restart',
  'discovery.tls': 'restart',
  'regions.<name>': 'restart',
  'regions.<name>.nodes': 'restart',
  'regions.<name>.distance.<name>': 'restart',
  'routing.consistency': 'live',
  'routing.max_staleness': 'live',
  'routing.when_stale': 'live',
  'routing.max_wait': 'live',
  'routing.fallback_limit': 'live',
  'routing.rules': 'live',
  'tenants.<name>': 'live',
  'tenants.<name>.prefix': 'never',
  'tenants.<name>.users.<name>': 'live',
  'tenants.<name>.users.<name>.password': 'live',
  'tenants.<name>.users.<name>.password_hash': 'live',
  'tenants.<name>.users.<name>.nopass': 'live',
  'tenants.<name>.users.<name>.access': 'live',
  'tenants.<name>.users.<name>.consistency': 'live',
  'tenants.<name>.users.<name>.max_staleness': 'live',
  'tenants.<name>.users.<name>.quota.ops': 'live',
  'tenants.<name>.users.<name>.quota.burst': 'live',
  'tenants.<name>.users.<name>.quota.bandwidth': 'live',
  'tenants.<name>.users.<name>.quota.connections': 'live',
  'tenants.<name>.quota.ops': 'live',
  'tenants.<name>.quota.burst': 'live',
  'tenants.<name>.quota.bandwidth': 'live',
  'tenants.<name>.quota.connections': 'live',
  'tenants.<name>.quota.leases': 'live',
  'tenants.<name>.quota.max_request': 'live',
  'tenants.<name>.quota.in_flight': 'live',
  'tenants.<name>.quota.memory': 'live',
  'tenants.<name>.quota.keys': 'live',
  'tenants.<name>.quota.scope': 'live',
  'tenants.<name>.quota.when_exceeded': 'live',
  'tenants.<name>.consistency': 'live',
  'tenants.<name>.max_staleness': 'live',
  'tenants.<name>.when_stale': 'live',
  'tenants.<name>.durability.replicas': 'live',
  'tenants.<name>.durability.timeout': 'live',
  'tenants.<name>.scripts': 'live',
  'tenants.<name>.isolation': 'never',
  'tenants.<name>.isolation.database': 'never',
  'tenants.<name>.databases': 'never',
  'tenants.<name>.deny': 'live',
  tenants_file: 'live',
  'operators.<name>': 'live',
  'operators.<name>.password': 'live',
  'operators.<name>.password_hash': 'live',
  'logging.level': 'live',
  'logging.format': 'restart',
  'logging.slow_command': 'live',
  'metrics.tenant_label': 'live',
  'limits.max_clients': 'live',
  'limits.leases_per_tenant': 'live',
  'limits.max_request': 'live',
  'limits.output': 'live',
  'limits.memory': 'restart',
  'sweep.when': 'restart',
  'sweep.every': 'restart',
  'limits.idle_timeout': 'live',
  'limits.auth_failures': 'live',
  'limits.script_time': 'live',
  'shutdown.drain': 'live',
}

/** Mappings of which the keys are names. */
const named = new Set(['tenants', 'tenants.<name>.users', 'operators', 'regions', 'regions.<name>.distance'])
/** Lists that are looked into: their elements keep their places. */
const lookedInto = new Set(['listeners'])

export interface Change {
  /** In the file: `tenants.shop.users.shop-app.access`. */
  readonly path: string
  readonly steps: readonly (string | number)[]
  readonly what: 'added' | 'removed' | 'changed'
  /** Values as they stand in the file; `***` for secrets; absent where there was none, or where it is long. */
  readonly before?: string
  readonly after?: string
  readonly class: ReloadClass
}

/** Why it cannot be taken, for a person; undefined: it can. */
export function refusalOf(change: Change): string | undefined {
  if (change.class === 'live') return undefined
  const { path, before, after } = change
  const values = before === undefined && after === undefined ? '' : ` (${before ?? 'not set'} -> ${after ?? 'not set'})`
  if (change.class === 'restart') return `${path}: a change${values} needs a restart`
  const last = change.steps.at(-1)
  if (last === 'databases')
    return `${path}: a change${values} would leave keys of a living tenant behind; above 1 the number may grow`
  return `${path}: a change${values} would leave the keys of a living tenant behind`
}

/** One line for a person. */
export function changeText({ path, what, before, after }: Change): string {
  if (what !== 'changed')
    return `${path}: ${what}${before !== undefined ? ` (${before})` : after !== undefined ? ` (${after})` : ''}`
  return before === undefined && after === undefined
    ? `${path}: changed`
    : `${path}: ${before ?? '...'} -> ${after ?? '...'}`
}

export function changesBetween(running: Config, next: Config): Change[] {
  const changes: Change[] = []
  const shell = (config: Config) => configWords({ ...config, tenants: [] }, digests)
  compare(shell(running), shell(next), [], '', changes)
  compareTenants(running.tenants, next.tenants, changes)
  return changes
}

/** With `***` in front, by which they are known again when a value is shown. */
const digest = (text: string): string => `***${createHash('sha256').update(text).digest('hex')}`
const digests: Veil = { secret: digest, pem: digest }

/** There may be a hundred thousand: words are made of those alone that differ. */
function compareTenants(running: readonly TenantConfig[], next: readonly TenantConfig[], changes: Change[]): void {
  const before = new Map(running.map((tenant) => [tenant.id, tenant]))
  for (const tenant of next) {
    const was = before.get(tenant.id)
    before.delete(tenant.id)
    const steps = ['tenants', tenant.id]
    if (was === undefined) changes.push(changeAt(steps, 'tenants.<name>', 'added', undefined, undefined))
    else if (was !== tenant && !isDeepStrictEqual(was, tenant))
      compare(tenantWords(was, digests), tenantWords(tenant, digests), steps, 'tenants.<name>', changes)
  }
  for (const id of before.keys())
    changes.push(changeAt(['tenants', id], 'tenants.<name>', 'removed', undefined, undefined))
}

function compare(
  before: unknown,
  after: unknown,
  steps: readonly (string | number)[],
  at: string,
  changes: Change[],
): void {
  if (lookedInto.has(at) && Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (let i = 0; i < before.length; i++) compare(before[i], after[i], [...steps, i], `${at}[]`, changes)
    return
  }
  const [old, now] = [mapOf(before), mapOf(after)]
  // A mapping against a word (`isolation`) is one change.
  if ((old === undefined && before !== undefined) || (now === undefined && after !== undefined) || !(old ?? now)) {
    if (!isDeepStrictEqual(before, after)) {
      const what = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed'
      changes.push(changeAt(steps, at, what, before, after))
    }
    return
  }
  const isNamed = named.has(at)
  for (const name of new Set([...Object.keys(old ?? {}), ...Object.keys(now ?? {})])) {
    const below = isNamed ? `${at}.<name>` : at === '' ? name : `${at}.${name}`
    const [one, other] = [old?.[name], now?.[name]]
    const isWhole = isNamed && (one === undefined || other === undefined)
    if (isWhole && mapOf(one ?? other) !== undefined)
      changes.push(changeAt([...steps, name], below, one === undefined ? 'added' : 'removed', undefined, undefined))
    else compare(one, other, [...steps, name], below, changes)
  }
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

function changeAt(
  steps: readonly (string | number)[],
  at: string,
  what: Change['what'],
  before: unknown,
  after: unknown,
): Change {
  const path = steps.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i > 0 ? '.' : ''}${step}`)).join('')
  const [old, now] = [shown(before), shown(after)]
  return {
    path,
    steps,
    what,
    ...(old === undefined ? {} : { before: old }),
    ...(now === undefined ? {} : { after: now }),
    class: classOf(at, before, after),
  }
}

/** What has no class is not known to be harmless. */
function classOf(at: string, before: unknown, after: unknown): ReloadClass {
  // More databases beside those there are leave every key where it is.
  if (at === 'tenants.<name>.databases' && Number(before) > 1 && Number(after) > Number(before)) return 'live'
  return Object.hasOwn(reloadClasses, at) ? reloadClasses[at]! : 'restart'
}

const shownCharsMax = 60

function shown(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replace(/\*\*\*[0-9a-f]{64}/g, '***')
  return text.length <= shownCharsMax ? text : undefined
}
