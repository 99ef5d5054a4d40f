import { parse, stringify } from 'yaml'
import { jsonPieces, Slices } from '../../../src/base/slices.ts'
import { type Change, changesBetween, changeText, refusalOf, reloadClasses } from '../../../src/config/changes.ts'
import type { Config, UserConfig } from '../../../src/config/config.ts'
import { configKeys } from '../../../src/config/pages.ts'
import { configHash, redactedConfig, redactedRows } from '../../../src/config/print.ts'
import { load } from './kit.ts'

/** Every key of which a value can be read without a file, in the file of one proxy. */
const full = `
region: eu
primary: eu
listeners: [{ address: "127.0.0.1:6380", proxy_protocol: false }, { address: "127.0.0.1:6381" }]
admin: { address: "127.0.0.1:9380", token: an-admin-token }
upstream: { username: regis, password: an-upstream-password, timeout: 2s, connections: 1, acl: provision, strict: false }
discovery: { sentinels: ["s1:26379"], master: main, username: watcher, password: a-sentinel-password, tls: false }
regions:
  eu: { nodes: ["redis://eu-1:6379"], distance: { us: 80ms } }
  us: { nodes: [{ url: "redis://us-1:6379", servername: us-1 }] }
routing:
  consistency: session
  max_staleness: 500ms
  when_stale: primary
  max_wait: 20ms
  fallback_limit: 100/s
  rules: [{ tenant: shop, keys: "cart:*", consistency: strong, max_staleness: 1s, when_stale: wait, pin: false }]
tenants:
  shop:
    prefix: "shop:"
    users:
      app: { password: a-password, access: read-write, nopass: false, consistency: session, max_staleness: 1s, quota: { ops: 10/s, burst: 10, bandwidth: 1MiB/s, connections: 10 } }
      hashed: { password_hash: "sha256$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
    consistency: session
    max_staleness: 1s
    when_stale: primary
    quota: { ops: 100/s, burst: 100, bandwidth: 1MiB/s, connections: 10, leases: 10, max_request: 1MiB, in_flight: 100, memory: 1GiB, keys: 1000, scope: fleet, when_exceeded: delay }
    durability: { replicas: 1, timeout: 200ms }
    scripts: "off"
    databases: 2
  own: { isolation: { database: 3 }, users: { own-app: { password: another } } }
operators: { ops: { password: an-operator }, root: { password_hash: "sha256$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" } }
logging: { level: info, format: json, slow_command: 50ms }
metrics: { tenant_label: top:50 }
limits: { max_clients: 100, leases_per_tenant: 20, max_request: 1MiB, output: 1MiB, memory: 1GiB, idle_timeout: 0s, auth_failures: 10/m, script_time: 5s }
sweep: { when: auto, every: 60s }
shutdown: { drain: 30s }
`

/** By the path in the file: another value. Beside the path the key's own, where names or numbers stand in between. */
const others: readonly (readonly [path: string, value: unknown, key?: string])[] = [
  ['listeners.0.address', '127.0.0.1:7380', 'listeners[].address'],
  ['listeners.1.proxy_protocol', true, 'listeners[].proxy_protocol'],
  ['admin.address', '127.0.0.1:9999'],
  ['admin.token', 'another-admin-token'],
  ['upstream.username', 'other'],
  ['upstream.password', 'another-upstream-password'],
  ['upstream.timeout', '3s'],
  ['upstream.connections', 2],
  ['upstream.acl', 'off'],
  ['upstream.strict', true],
  ['primary', 'us'],
  ['discovery.sentinels', ['s1:26379', 's2:26379']],
  ['discovery.master', 'other'],
  ['discovery.username', 'other'],
  ['discovery.password', 'another-sentinel-password'],
  ['discovery.tls', true],
  ['regions.us.nodes.0.url', 'redis://us-2:6379', 'regions.<name>.nodes'],
  ['regions.us.nodes.0.servername', 'us-9', 'regions.<name>.nodes'],
  ['regions.eu.distance.us', '90ms', 'regions.<name>.distance.<name>'],
  ['routing.consistency', 'bounded'],
  ['routing.max_staleness', '600ms'],
  ['routing.when_stale', 'error'],
  ['routing.max_wait', '30ms'],
  ['routing.fallback_limit', '200/s'],
  ['routing.rules.0.tenant', 'own', 'routing.rules'],
  ['routing.rules.0.keys', 'c:*', 'routing.rules'],
  ['routing.rules.0.consistency', 'eventual', 'routing.rules'],
  ['routing.rules.0.max_staleness', '2s', 'routing.rules'],
  ['routing.rules.0.when_stale', 'error', 'routing.rules'],
  ['routing.rules.0.pin', true, 'routing.rules'],
  ['tenants.shop.prefix', 'else:'],
  ['tenants.shop.users.app.password', 'another-password'],
  ['tenants.shop.users.hashed.password_hash', `sha256$${'b'.repeat(64)}`],
  ['tenants.shop.users.app.nopass', true],
  ['tenants.shop.users.app.access', 'read-only'],
  ['tenants.shop.users.app.consistency', 'strong'],
  ['tenants.shop.users.app.max_staleness', '2s'],
  ['tenants.shop.users.app.quota.ops', '20/s'],
  ['tenants.shop.users.app.quota.burst', 20],
  ['tenants.shop.users.app.quota.bandwidth', '2MiB/s'],
  ['tenants.shop.users.app.quota.connections', 20],
  ['tenants.shop.consistency', 'strong'],
  ['tenants.shop.max_staleness', '2s'],
  ['tenants.shop.when_stale', 'error'],
  ['tenants.shop.quota.ops', '200/s'],
  ['tenants.shop.quota.burst', 200],
  ['tenants.shop.quota.bandwidth', '2MiB/s'],
  ['tenants.shop.quota.connections', 20],
  ['tenants.shop.quota.leases', 20],
  ['tenants.shop.quota.max_request', '2MiB'],
  ['tenants.shop.quota.in_flight', 200],
  ['tenants.shop.quota.memory', '2GiB'],
  ['tenants.shop.quota.keys', 2000],
  ['tenants.shop.quota.scope', 'proxy'],
  ['tenants.shop.quota.when_exceeded', 'error'],
  ['tenants.shop.durability.replicas', 2],
  ['tenants.shop.durability.timeout', '300ms'],
  ['tenants.shop.scripts', 'any'],
  ['tenants.own.isolation.database', 4],
  ['tenants.shop.databases', 1],
  ['tenants.shop.deny', ['SORT']],
  ['operators.ops.password', 'another'],
  ['operators.root.password_hash', `sha256$${'b'.repeat(64)}`],
  ['logging.level', 'debug'],
  ['logging.format', 'pretty'],
  ['logging.slow_command', '60ms'],
  ['metrics.tenant_label', 'all'],
  ['limits.max_clients', 200],
  ['limits.leases_per_tenant', 30],
  ['limits.max_request', '2MiB'],
  ['limits.output', '2MiB'],
  ['limits.memory', '2GiB'],
  ['sweep.when', 'off'],
  ['sweep.every', '90s'],
  ['limits.idle_timeout', '10s'],
  ['limits.auth_failures', '20/m'],
  ['limits.script_time', '6s'],
  ['shutdown.drain', '40s'],
]

/** `tenants.shop.users.app.access` -> `tenants.<name>.users.<name>.access` */
function keyOf(path: string): string {
  return path
    .replace(/^(tenants|operators|regions)\.[^.]+/, '$1.<name>')
    .replace(/\.(users|distance)\.[^.]+/, '.$1.<name>')
}

function configOf(text: string): Config {
  const { config, errors } = load(text)
  if (config === undefined) throw new Error(errors.map(({ message }) => message).join('; '))
  return config
}

const made = new Map<string, Config>()

function withValue(path: string, value: unknown): Config {
  const known = made.get(path)
  if (known !== undefined) return known
  const document = parse(full) as Record<string, unknown>
  const steps = path.split('.')
  let at = document
  for (const step of steps.slice(0, -1)) at = at[step] as Record<string, unknown>
  at[steps.at(-1)!] = value
  const config = configOf(stringify(document))
  made.set(path, config)
  return config
}

const running = configOf(full)

/** Keys below which there are no others. */
function leaves(): string[] {
  const keys = configKeys()
  return keys.filter((key) => !keys.some((other) => other.startsWith(`${key}.`) || other.startsWith(`${key}[]`)))
}

/** Its own class, or that of the list that counts as one key. */
function classKeyOf(leaf: string): string | undefined {
  if (Object.hasOwn(reloadClasses, leaf)) return leaf
  const list = leaf.slice(0, leaf.indexOf('[]'))
  return leaf.includes('[]') && Object.hasOwn(reloadClasses, list) ? list : undefined
}

test('every key of the configuration has a class, and no other has', () => {
  const keys = new Set([
    ...configKeys(),
    ...['tenants', 'regions', 'operators'].map((name) => `${name}.<name>`),
    'tenants.<name>.users.<name>',
  ])
  expect(leaves().filter((leaf) => classKeyOf(leaf) === undefined)).toEqual([])
  expect(Object.keys(reloadClasses).filter((key) => !keys.has(key))).toEqual([])
})

test('a change of each key is found, as one change of that key with its class', () => {
  const tried = new Set<string>()
  for (const [path, value, key = keyOf(path)] of others) {
    const changes = changesBetween(running, withValue(path, value))
    const classes = changes.map((change) => [keyOf(change.path).replace(/\[\d+\]/g, '[]'), change.class])
    // A login of `upstream` is that of its nodes as well, which are compared whole.
    const own = classes.filter(([at]) => !key.startsWith('upstream.') || at === key)
    expect([path, own]).toEqual([path, [[key, reloadClasses[key]]]])
    tried.add(key)
  }
  // Files are read before they are compared, `region` needs another file: see below.
  const byHand = [
    'region',
    'tenants_file',
    'upstream.ca',
    'listeners[].tls.cert',
    'listeners[].tls.key',
    'listeners[].tls.client_ca',
  ]
  const missing = leaves().filter((leaf) => !tried.has(classKeyOf(leaf) ?? '') && !byHand.includes(leaf))
  expect(missing).toEqual([])
})

test('other contents of a file are a change, though its name is the same', () => {
  const tls = { cert: 'one', key: 'two', clientCa: 'three' }
  const withTls = (it: object): Config => ({
    ...running,
    listeners: [{ ...running.listeners[0]!, tls: { ...tls, ...it } }],
    upstream: { ...running.upstream, ca: 'ca' },
  })
  const paths = (next: Config) => changesBetween(withTls({}), next).map(({ path }) => path)
  expect(paths(withTls({}))).toEqual([])
  expect(paths(withTls({ cert: 'other' }))).toEqual(['listeners[0].tls.cert'])
  expect(paths(withTls({ key: 'other' }))).toEqual(['listeners[0].tls.key'])
  expect(paths(withTls({ clientCa: 'other' }))).toEqual(['listeners[0].tls.client_ca'])
  expect(paths({ ...withTls({}), upstream: { ...running.upstream, ca: 'other' } })).toContain('upstream.ca')
  expect(paths({ ...withTls({}), region: 'us' })).toContain('region')
})

test('no change of a secret shows it, nor anything made of it', () => {
  for (const [path, value] of others) {
    const texts = changesBetween(running, withValue(path, value)).flatMap((change) => [
      changeText(change),
      refusalOf(change) ?? '',
      JSON.stringify(change),
    ])
    for (const text of texts) expect(text).not.toMatch(/an?(other)?-[a-z-]*(password|token)|[0-9a-f]{16}/)
  }
  const [change] = changesBetween(running, withValue('tenants.shop.users.app.password', 'another-password'))
  expect(changeText(change!)).toBe('tenants.shop.users.app.password: *** -> ***')
})

describe('tenants and users', () => {
  const tenant = (id: string, more = '') => `  ${id}: { users: { ${id}-app: { password: x } }${more} }\n`
  const base = (tenants: string): Config =>
    configOf(`region: eu\nprimary: eu\nregions: { eu: { nodes: ["redis://eu-1:6379"] } }\ntenants:\n${tenants}`)
  const between = (before: string, after: string): string[] =>
    changesBetween(base(before), base(after)).map((change: Change) => `${changeText(change)} ${change.class}`)

  test('one that comes or goes is one change, and may', () => {
    expect(between(tenant('a') + tenant('b'), tenant('b') + tenant('c'))).toEqual([
      'tenants.c: added live',
      'tenants.a: removed live',
    ])
    const more = '  a: { users: { a-app: { password: x }, late: { password: y } } }\n'
    expect(between(tenant('a'), more)).toEqual(['tenants.a.users.late: added live'])
    expect(between(more, tenant('a'))).toEqual(['tenants.a.users.late: removed live'])
  })

  test('the order in the file says nothing, nor does a default that is written down', () => {
    expect(between(tenant('a') + tenant('b'), tenant('b') + tenant('a'))).toEqual([])
    expect(between(tenant('a'), tenant('a', ', prefix: "a:", databases: 1, scripts: "off", deny: []'))).toEqual([])
  })

  test('the keys of one that stays must stay its own', () => {
    const refused = (before: string, after: string) =>
      changesBetween(base(before), base(after)).map((change) => refusalOf(change))
    expect(refused(tenant('a'), tenant('a', ', prefix: "b:"'))).toEqual([
      'tenants.a.prefix: a change (a: -> b:) would leave the keys of a living tenant behind',
    ])
    expect(refused(tenant('a'), tenant('a', ', isolation: { database: 2 }'))).toContain(
      'tenants.a.isolation: a change (prefix -> {"database":2}) would leave the keys of a living tenant behind',
    )
    expect(refused(tenant('a'), tenant('a', ', databases: 2'))).toHaveLength(1)
    expect(refused(tenant('a', ', databases: 4'), tenant('a', ', databases: 2'))[0]).toContain(
      'above 1 the number may grow',
    )
    expect(refused(tenant('a', ', databases: 2'), tenant('a', ', databases: 4'))).toEqual([undefined])
    // Another tenant with the same keys is a new name for them.
    expect(refused(tenant('a'), tenant('b', ', prefix: "a:"'))).toEqual([undefined, undefined])
  })

  test('a limit that comes or goes is a change of its own key', () => {
    expect(between(tenant('a'), tenant('a', ', durability: { replicas: 1 }'))).toEqual([
      'tenants.a.durability.replicas: added (1) live',
      'tenants.a.durability.timeout: added (200ms) live',
    ])
  })
})

describe('the hash of a configuration', () => {
  const small = load(full).config!
  const many = (change: (i: number) => Partial<UserConfig> = () => ({})): Config => {
    const [tenant] = small.tenants
    const [user] = tenant!.users
    const tenants = Array.from({ length: 1_200 }, (_, i) => ({
      ...tenant!,
      id: `t${i}`,
      prefix: `t${i}:`,
      users: [{ ...user!, name: `u${i}`, ...change(i) }],
    }))
    return { ...small, tenants }
  }
  const hash = (config: Config) => configHash(config, new Slices())

  test('is of every tenant, also of those beyond what a page shows, and says nothing of secrets', async () => {
    const one = many()
    expect(await hash(one)).toMatch(/^[0-9a-f]{16}$/)
    expect(await hash(many((i) => (i === 1_150 ? { readOnly: true } : {})))).not.toBe(await hash(one))
    expect(await hash(many(() => ({ passwords: ['another-password'] })))).toBe(await hash(one))
    expect(await hash({ ...one, tenants: one.tenants.slice(0, 1_199) })).not.toBe(await hash(one))
    expect(await hash({ ...one, region: 'us' })).not.toBe(await hash(one))
  })

  test('what is shown in slices is what is shown in one go', async () => {
    const config = many()
    const shown = Buffer.concat(await jsonPieces(redactedRows(config, 1_000), new Slices())).toString()
    expect(shown).toBe(JSON.stringify(redactedConfig(config, 1_000)))
    expect(JSON.parse(shown)).toMatchObject({ tenants_left_out: 200 })
  })
})
