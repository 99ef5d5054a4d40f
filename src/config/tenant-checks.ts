/**
 * What must hold between tenants, wherever they stand, in proxy.yaml or in `tenants_file`: ids, users and databases that
 * occur once, prefixes of which none begins another; and what no single key of a tenant can say. Tenants are handed in one
 * after the other and nothing of their documents is kept. Pure; O(n log n) in tenants.
 */
import { prefixBytesMax } from '../base/limits.ts'
import type { Finding, Node, ScalarNode, Span } from './document.ts'
import { asText, has, hasFailed, hasMisspelt, listAt, mapAt, spanOf, textAt } from './look.ts'
import { foundText } from './walk.ts'

/** Where findings about one piece of text go. */
export interface Sink {
  readonly errors: Finding[]
  readonly warnings: Finding[]
}

export interface TenantCheckOptions {
  /** Whether a word of a `deny` list names a command or a category. */
  isDenyEntry(word: string): boolean
  /** Nodes in the file, the primary among them; 0: not known. */
  readonly nodes: number
  /** `upstream.acl: off`. */
  readonly isAclOff: boolean
}

/** A prefix that meets another one: found when all are known, so its line must be looked up again. */
export interface PrefixFinding {
  /** As handed to `add`; undefined: proxy.yaml. */
  readonly line: number | undefined
  readonly at: Span
  readonly message: string
}

interface Prefix {
  readonly prefix: string
  readonly id: string
  readonly start: number
  readonly end: number
  /** In which order they came. */
  readonly order: number
  readonly line: number | undefined
}

/** Tenant ids, users, and regions too: all of them become labels, parts of keys, words in URLs. */
export const namePattern = '^[a-z0-9][a-z0-9_-]{0,62}$'
const nameExpression = new RegExp(namePattern)
/** Our own channels, and those on which servers tell of keys: a tenant named like them could forge other tenants' events. */
const reservedNames = ['regis:', '__key']
const operator = ''

export class TenantChecks {
  readonly #options: TenantCheckOptions
  readonly #ids = new Set<string>()
  /** Tenant ids by user. */
  readonly #owners = new Map<string, string>()
  readonly #databases = new Map<number, string>()
  readonly #prefixes: Prefix[] = []

  constructor(options: TenantCheckOptions) {
    this.#options = options
  }

  get ids(): ReadonlySet<string> {
    return this.#ids
  }

  /** `key`: where its id stands. `line`: in which line of `tenants_file`. */
  add(id: string, key: Span, node: Node, sink: Sink, line?: number): void {
    if (this.#ids.has(id)) {
      sink.errors.push({ ...spanOf(key), message: `the tenant '${shown(id)}' is there already` })
      return
    }
    this.#ids.add(id)
    const isName = checkName('tenant id', id, key, sink.errors)
    this.#addPrefix(id, isName, key, node, sink, line)
    this.#checkDeny(node, sink)
    this.#checkDatabase(id, node, sink)
    this.#checkUsers(id, key, node, sink)
    this.#checkPromises(id, node, sink)
  }

  addOperator(name: string, key: Span, node: Node, sink: Sink): void {
    this.#own(name, key, operator, sink)
    if (node.kind === 'map' && !has(node, 'password') && !has(node, 'password_hash') && !hasMisspelt(node)) {
      sink.errors.push({ ...spanOf(key), message: `operator '${name}' has neither password nor password_hash` })
    }
  }

  /** When all tenants are there. */
  *prefixFindings(): Iterable<PrefixFinding> {
    const prefixes = this.#prefixes
    const finding = (it: Prefix, message: string): PrefixFinding => ({
      line: it.line,
      at: { start: it.start, end: it.end },
      message: `the prefix '${it.prefix}' of tenant ${it.id} ${message}`,
    })
    // Sorted, whatever begins with a prefix follows it directly.
    prefixes.sort((a, b) => (a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : a.order - b.order))
    let shortest: Prefix | undefined
    for (const it of prefixes) {
      if (shortest !== undefined && it.prefix.startsWith(shortest.prefix)) {
        const relation = it.prefix === shortest.prefix ? 'is also that' : `begins with '${shortest.prefix}', the prefix`
        yield finding(it, `${relation} of tenant ${shortest.id}`)
      } else shortest = it
      for (const reserved of reservedNames) {
        if (it.prefix.startsWith(reserved) || reserved.startsWith(it.prefix))
          yield finding(it, `meets '${reserved}', which is reserved`)
      }
    }
  }

  #addPrefix(id: string, isName: boolean, key: Span, node: Node, { errors }: Sink, line: number | undefined): void {
    const given = textAt(node, 'prefix')
    if (given === undefined ? !isName || hasFailed(node, 'prefix') : !checkPrefix(given, errors)) return
    const { start, end } = given ?? key
    this.#prefixes.push({ prefix: given?.text ?? `${id}:`, id, start, end, order: this.#prefixes.length, line })
  }

  #checkDeny(node: Node, { errors }: Sink): void {
    for (const denied of listAt(node, 'deny')?.items ?? []) {
      const word = asText(denied)
      if (word !== undefined && !this.#options.isDenyEntry(word.text)) {
        errors.push({ ...spanOf(word), message: `deny: no command or category has this name${foundText(word)}` })
      }
    }
  }

  /** A database of the servers is one tenant's alone, or its keys would be another's too. */
  #checkDatabase(id: string, node: Node, { errors }: Sink): void {
    const own = textAt(mapAt(node, 'isolation'), 'database')
    if (own === undefined) return
    const several = textAt(node, 'databases')
    if (several !== undefined && several.text !== '1') {
      const message = `databases: tenant ${id} has one of the servers' databases (isolation), and no further ones behind it`
      errors.push({ ...spanOf(several), message })
    }
    if (!/^\d{1,7}$/.test(own.text)) return
    const owner = this.#databases.get(Number(own.text))
    if (owner === undefined) this.#databases.set(Number(own.text), id)
    else errors.push({ ...spanOf(own), message: `database ${Number(own.text)} is tenant ${owner}'s already` })
  }

  #checkUsers(id: string, tenantKey: Span, tenant: Node, sink: Sink): void {
    const { errors, warnings } = sink
    const users = mapAt(tenant, 'users')
    if (users?.entries.size === 0)
      warnings.push({ ...spanOf(tenantKey), message: `tenant ${id} has no user, so nobody can be it` })
    for (const [name, { key, node }] of users?.entries ?? []) {
      this.#own(name, key, id, sink)
      if (node.kind !== 'map') continue
      const nopass = textAt(node, 'nopass')?.text === 'true'
      const secrets = ['password', 'password_hash'].filter((secret) => has(node, secret))
      if (nopass && secrets.length > 0) {
        warnings.push({
          ...spanOf(node.entries.get('nopass')!.key),
          message: `user '${name}': with nopass any password is right, ${secrets[0]} is not looked at`,
        })
      } else if (nopass && name !== 'default') {
        warnings.push({
          ...spanOf(node.entries.get('nopass')!.key),
          message: `user '${name}' needs no password: whoever knows the name is in`,
        })
      } else if (!nopass && secrets.length === 0 && !hasMisspelt(node)) {
        errors.push({ ...key, message: `user '${name}' has none of password, password_hash and nopass: true` })
      }
    }
  }

  /** What it asks for, and what there is. */
  #checkPromises(id: string, node: Node, { warnings }: Sink): void {
    const { nodes, isAclOff } = this.#options
    // Scripts where the proxy may not create the users that they need.
    const scripts = isAclOff ? textAt(node, 'scripts') : undefined
    if (scripts !== undefined && scripts.text !== 'off')
      warnings.push({ ...spanOf(scripts), message: `tenant ${id}: scripts stay denied while upstream.acl is off` })
    // A tenant that wants more replicas than there are is never told that a write is durable.
    const replicas = textAt(mapAt(node, 'durability'), 'replicas')
    if (replicas !== undefined && nodes > 0 && Number(replicas.text) > nodes - 1) {
      const message = `tenant ${id}: durability wants ${Number(replicas.text)} replicas, and the file has ${nodes - 1} besides the primary`
      warnings.push({ ...spanOf(replicas), message })
    }
  }

  #own(name: string, key: Span, owner: string, { errors }: Sink): void {
    checkName('user', name, key, errors)
    const other = this.#owners.get(name)
    if (other === undefined) this.#owners.set(name, owner)
    else {
      const whose = other === operator ? 'an operator' : `a user of tenant ${other}`
      errors.push({ ...key, message: `the user '${shown(name)}' is already ${whose}: a name occurs once in the file` })
    }
  }
}

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

export function checkName(what: string, name: string, key: Span, errors: Finding[]): boolean {
  if (nameExpression.test(name)) return true
  const message = `${what} '${name.slice(0, 64)}': expected a to z, 0 to 9, _ and -, at most 63, the first a letter or digit`
  errors.push({ ...spanOf(key), message })
  return false
}

function shown(name: string): string {
  return name.slice(0, 64)
}
