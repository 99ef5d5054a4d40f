import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { formatDiagnostic, loadConfig, redactedConfig } from '../../../src/config/load.ts'
import { good, load, said } from './kit.ts'

describe('a good file', () => {
  test('gets every default', () => {
    const { config, errors, warnings } = load(good)
    expect([errors, warnings]).toEqual([[], []])
    expect(config).toEqual({
      region: 'eu',
      listeners: [{ host: '0.0.0.0', port: 6380, proxyProtocol: false }],
      admin: { host: '127.0.0.1', port: 9380 },
      upstream: { timeoutMs: 2000, connections: 1, acl: 'provision', strict: false },
      primaryRegion: 'eu',
      regions: [
        { name: 'eu', nodes: [{ host: 'eu-1', port: 6379, tls: false, name: 'eu-1:6379' }] },
        { name: 'us', nodes: [{ host: 'us-1', port: 6379, tls: false, name: 'us-1:6379' }] },
      ],
      routing: {
        consistency: 'session',
        maxStalenessMs: 500,
        maxStalenessIsCeiling: false,
        whenStale: 'primary',
        maxWaitMs: 20,
        rules: [],
      },
      tenants: [
        {
          id: 'shop',
          prefix: 'shop:',
          database: 0,
          databases: 1,
          users: [{ name: 'shop-app', passwords: ['demo'], passwordHashes: [], nopass: false, readOnly: false }],
          deny: [],
          scripts: 'off',
        },
      ],
      operators: [],
      logging: { level: 'info', format: 'auto', slowCommandMs: 50 },
      metrics: { tenantLabel: { top: 50 } },
      sweep: { when: 'auto', everyMs: 60_000 },
      limits: {
        maxClients: 10000,
        leasesPerTenant: 2000,
        maxRequestBytes: 536870912,
        outputBytes: 134217728,
        idleTimeoutMs: 0,
        authFailures: { count: 10, perMs: 60000 },
        scriptMs: 5000,
      },
      shutdown: { drainMs: 30000 },
    })
  })

  test('every scalar can come from the environment, numbers and booleans too', () => {
    const text = `${good}upstream: { timeout: "\${T}", connections: "\${N}", strict: "\${S}" }\nlimits: { max_clients: "\${C:-7}" }\nadmin: { address: "127.0.0.1:\${PORT}" }\n`
    const { config } = load(text, { env: { T: '3s', N: '2', S: 'true', PORT: '1234' } })
    expect(config?.upstream).toEqual({ timeoutMs: 3000, connections: 2, acl: 'provision', strict: true })
    expect(config?.limits.maxClients).toBe(7)
    expect(config?.admin.port).toBe(1234)
  })

  test('a password of digits keeps its zeros', () => {
    expect(load(good.replace('demo', '0123')).config?.tenants[0]?.users[0]?.passwords).toEqual(['0123'])
  })

  test('a section whose lines are all commented out counts as left out', () => {
    expect(load(`${good}limits:\n  # max_clients: 5\nrouting:\n`).config?.limits.maxClients).toBe(10000)
  })

  test('anchors, aliases and merge keys work', () => {
    const text = good.replace('{ password: demo }', '&u { password: demo }\n      two: { <<: *u, access: read-only }')
    const users = load(text).config?.tenants[0]?.users
    expect(users?.map((user) => [user.name, user.passwords, user.readOnly])).toEqual([
      ['shop-app', ['demo'], false],
      ['two', ['demo'], true],
    ])
  })

  test("a node's own login replaces upstream's whole; the distance counts from here in both directions", () => {
    const text = good
      .replace(
        'redis://us-1:6379]',
        '"redis://reader@us-1:6379", { url: rediss://us-2, servername: us }], distance: { eu: 80ms }',
      )
      .concat('upstream: { username: regis, password: pw }\n')
    const regions = load(text).config?.regions
    expect(regions?.[0]?.nodes[0]).toMatchObject({ username: 'regis', password: 'pw' })
    expect(regions?.[1]?.nodes[0]).toEqual({
      host: 'us-1',
      port: 6379,
      tls: false,
      username: 'reader',
      name: 'us-1:6379',
    })
    expect(regions?.[1]?.nodes[1]).toMatchObject({ tls: true, servername: 'us', username: 'regis', password: 'pw' })
    expect(regions?.map((region) => region.distanceMs)).toEqual([undefined, 80])
  })

  test('options go before the file', () => {
    const text = `${good}listeners: [{ address: ":1", proxy_protocol: true }, { address: ":2" }]\n`
    const { config } = load(text, { region: 'us', listen: '127.0.0.1:7000', admin: '127.0.0.1:7001' })
    expect(config?.region).toBe('us')
    expect(config?.listeners).toEqual([{ host: '127.0.0.1', port: 7000, proxyProtocol: true }])
    expect(config?.admin).toEqual({ host: '127.0.0.1', port: 7001 })
  })

  test('$REGION counts where the file has no region', () => {
    const text = good.replace('region: eu\n', '')
    expect(load(text, { env: { REGION: 'us' } }).config?.region).toBe('us')
    expect(load(good, { env: { REGION: 'us' } }).config?.region).toBe('eu')
  })

  test('rules, deny lists and hashes arrive', () => {
    const hash = `sha256$${'ab'.repeat(32)}`
    const text = `${good.replace('{ password: demo }', `{ password_hash: ["${hash}"] }\n    deny: [KEYS, "@dangerous", "config|get"]`)}routing: { max_staleness: 2s, rules: [{ tenant: shop, keys: "a*", consistency: strong, pin: true, when_stale: wait, max_staleness: 1s }] }\n`
    const { config } = load(text)
    expect(config?.routing).toMatchObject({ maxStalenessMs: 2000, maxStalenessIsCeiling: true })
    expect(config?.routing.rules).toEqual([
      { tenant: 'shop', keys: 'a*', consistency: 'strong', maxStalenessMs: 1000, whenStale: 'wait', pin: true },
    ])
    expect(config?.tenants[0]).toMatchObject({ deny: ['keys', '@dangerous', 'config|get'] })
    expect(config?.tenants[0]?.users[0]?.passwordHashes).toEqual([hash])
  })
})

describe('the exact words about a bad file', () => {
  const cases: [name: string, text: string, expected: string][] = [
    [
      'unknown key',
      good.replace('shop:\n', 'shop:\n    prefx: "x:"\n'),
      `proxy.yaml:8:5: unknown key 'prefx', did you mean 'prefix'?
    prefx: "x:"
    ^`,
    ],
    [
      'unknown key that is like none',
      `${good}shutdown: { banana: 1 }\n`,
      `proxy.yaml:10:13: unknown key 'banana' (known here: drain)
shutdown: { banana: *** }
            ^`,
    ],
    [
      'wrong type',
      `${good}limits: 5\n`,
      `proxy.yaml:10:9: limits: expected a mapping, found text
limits: ***
        ^`,
    ],
    [
      'a list where a word belongs',
      good.replace('primary: eu', 'primary: [eu]'),
      `proxy.yaml:2:10: primary: expected text, found a list
primary: ***
         ^`,
    ],
    [
      'nothing where something belongs',
      good.replace('primary: eu', 'primary:'),
      `proxy.yaml:2:1: primary: expected text, found nothing
primary:
^`,
    ],
    [
      'missing key',
      good.replace('primary: eu\n', ''),
      `proxy.yaml:1:1: missing key 'primary'
region: eu
^`,
    ],
    [
      'missing key further in',
      good.replace('users:', '# users:').replace('      shop-app', '    deny: []\n#'),
      `proxy.yaml:7:3: missing key 'tenants.shop.users'
  shop:
  ^`,
    ],
    [
      'missing variable with message',
      good.replace('demo', '"${SHOP:?set SHOP}"'),
      `proxy.yaml:9:30: the variable SHOP is not set: set SHOP
      shop-app: { password: *** }
                            ^`,
    ],
    [
      'missing variable in the middle',
      good.replace('redis://eu-1:6379', '"redis://${HOST}:6379"'),
      `proxy.yaml:4:26: the variable HOST is not set
  eu: { nodes: ["redis://\${HOST}:6379"] }
                         ^`,
    ],
    [
      'overlapping prefixes',
      `${good}  shop2: { prefix: "shop:x:", users: { b: { password: x } } }\n`,
      `proxy.yaml:10:20: the prefix 'shop:x:' of tenant shop2 begins with 'shop:', the prefix of tenant shop
  shop2: { prefix: "shop:x:", users: { b: { password: *** } } }
                   ^`,
    ],
    [
      'the same prefix twice',
      `${good}  shop2: { prefix: "shop:", users: { b: { password: x } } }\n`,
      `proxy.yaml:10:20: the prefix 'shop:' of tenant shop2 is also that of tenant shop
  shop2: { prefix: "shop:", users: { b: { password: *** } } }
                   ^`,
    ],
    [
      'reserved prefix',
      `${good}  x: { prefix: "reg", users: { b: { password: x } } }\n`,
      `proxy.yaml:10:16: the prefix 'reg' of tenant x meets 'regis:', which is reserved
  x: { prefix: "reg", users: { b: { password: *** } } }
               ^`,
    ],
    [
      'glob sign in a prefix',
      `${good}  x: { prefix: "a*:", users: { b: { password: x } } }\n`,
      `proxy.yaml:10:16: prefix: a glob sign may not be in it, found 'a*:'
  x: { prefix: "a*:", users: { b: { password: *** } } }
               ^`,
    ],
    [
      'brace in a prefix',
      `${good}  x: { prefix: "{a}:", users: { b: { password: x } } }\n`,
      `proxy.yaml:10:16: prefix: a brace may not be in it, found '{a}:'
  x: { prefix: "{a}:", users: { b: { password: *** } } }
               ^`,
    ],
    [
      'duplicate user',
      `${good}operators:\n  shop-app: { password: x }\n`,
      `proxy.yaml:11:3: the user 'shop-app' is already a user of tenant shop: a name occurs once in the file
  shop-app: { password: *** }
  ^`,
    ],
    [
      'user without a credential',
      good.replace('{ password: demo }', '{ access: read-only }'),
      `proxy.yaml:9:7: user 'shop-app' has none of password, password_hash and nopass: true
      shop-app: { access: read-only }
      ^`,
    ],
    [
      'empty password',
      good.replace('demo', '""'),
      `proxy.yaml:9:29: tenants.shop.users.shop-app.password: must not be empty
      shop-app: { password: *** }
                            ^`,
    ],
    [
      'bad hash',
      good.replace('password: demo', 'password_hash: scrypt$3$8$1$c2FsdHNhbHQ=$aGFzaGhhc2hoYXNoaGFzaA=='),
      `proxy.yaml:9:34: tenants.shop.users.shop-app.password_hash: scrypt: N must be a power of two from 1024 up
      shop-app: { password_hash: *** }
                                 ^`,
    ],
    [
      'bad duration',
      `${good}upstream: { timeout: 2 seconds }\n`,
      `proxy.yaml:10:22: upstream.timeout: expected a duration such as 250ms, 2s, 1m or 1h, found '2 seconds'
upstream: { timeout: 2 seconds }
                     ^`,
    ],
    [
      'a duration without its unit',
      `${good}upstream: { timeout: 2 }\n`,
      `proxy.yaml:10:22: upstream.timeout: a duration needs a unit: ms, s, m or h, found '2'
upstream: { timeout: 2 }
                     ^`,
    ],
    [
      'bad size',
      `${good}limits: { max_request: 64 }\n`,
      `proxy.yaml:10:24: limits.max_request: a size needs a unit: B, KiB, MiB, GiB, KB, MB or GB, found '64'
limits: { max_request: 64 }
                       ^`,
    ],
    [
      'bad word',
      `${good}routing: { consistency: sesion }\n`,
      `proxy.yaml:10:25: routing.consistency: expected one of eventual, bounded, session, strong, found 'sesion'
routing: { consistency: sesion }
                        ^`,
    ],
    [
      'unknown region',
      good.replace('primary: eu', 'primary: uss'),
      `proxy.yaml:2:10: primary: 'uss' is not one of regions (eu, us), did you mean 'us'?
primary: uss
         ^`,
    ],
    [
      'node twice',
      good.replace('redis://us-1:6379', 'redis://EU-1'),
      `proxy.yaml:5:17: the node eu-1:6379 is in the file twice
  us: { nodes: [redis://EU-1] }
                ^`,
    ],
    [
      'distance to nowhere',
      good.replace('redis://us-1:6379]', 'redis://us-1:6379], distance: { mars: 1h }'),
      `proxy.yaml:5:49: distance: 'mars' is not one of regions (eu, us)
  us: { nodes: [redis://us-1:6379], distance: { mars: 1h } }
                                                ^`,
    ],
    [
      'bad node',
      good.replace('redis://us-1:6379', 'us-1:6379'),
      `proxy.yaml:5:17: regions.us.nodes[0]: expected redis://host:port or rediss://host:port: the scheme is missing
  us: { nodes: [us-1:6379] }
                ^`,
    ],
    [
      'rule for nobody',
      `${good}routing: { rules: [{ tenant: shpo, keys: "*" }] }\n`,
      `proxy.yaml:10:30: rules: there is no such tenant, found 'shpo', did you mean 'shop'?
routing: { rules: [{ tenant: shpo, keys: "*" }] }
                             ^`,
    ],
    [
      'deny of what is not there',
      good.replace('users:', 'deny: [KEYZ]\n    users:'),
      `proxy.yaml:8:12: deny: no command or category has this name, found 'KEYZ'
    deny: [KEYZ]
           ^`,
    ],
    [
      'bad name',
      good.replaceAll('shop', 'Shop'),
      `proxy.yaml:7:3: tenant id 'Shop': expected a to z, 0 to 9, _ and -, at most 63, the first a letter or digit
  Shop:
  ^
proxy.yaml:9:7: user 'Shop-app': expected a to z, 0 to 9, _ and -, at most 63, the first a letter or digit
      Shop-app: { password: *** }
      ^`,
    ],
    [
      'admin for everybody',
      `${good}admin: { address: 0.0.0.0:9380 }\n`,
      `proxy.yaml:10:19: admin: an address outside loopback needs admin.token
admin: { address: 0.0.0.0:9380 }
                  ^`,
    ],
    [
      'an address taken',
      `${good}listeners: [{ address: ":9380" }]\n`,
      `proxy.yaml:10:24: the address is taken by admin
listeners: [{ address: ":9380" }]
                       ^`,
    ],
    [
      'a file that is not there',
      `${good}upstream: { ca: no/such.pem }\n`,
      `proxy.yaml:10:17: the file no/such.pem cannot be read: no such file
upstream: { ca: no/such.pem }
                ^`,
    ],
    [
      'a file that is no certificate',
      `${good}upstream: { ca: package.json }\n`,
      `proxy.yaml:10:17: the file package.json holds no PEM certificate
upstream: { ca: package.json }
                ^`,
    ],
    [
      'duplicate key',
      `${good}primary: us\n`,
      `proxy.yaml:10:1: the key 'primary' is here twice, first in line 2
primary: us
^`,
    ],
    [
      'alias to nothing',
      good.replace('demo', '*demo'),
      `proxy.yaml:9:29: an alias to nothing (quote a value that begins with *)
      shop-app: { password: *** }
                            ^`,
    ],
    [
      'YAML: nested in one line',
      good.replace('primary: eu', 'primary: eu: west'),
      `proxy.yaml:2:10: YAML: nested mappings are not allowed in compact mappings
primary: eu: west
         ^`,
    ],
    [
      'YAML: tab',
      'region: eu\nregions:\n\teu: x\n',
      `proxy.yaml:3:1: YAML: tabs are not allowed as indentation
 eu: x
^`,
    ],
    [
      'YAML: a variable without quotes in braces',
      good.replace('redis://eu-1:6379', '${NODE}'),
      `proxy.yaml:4:18: YAML: missing , or : between flow sequence items; inside { } and [ ] values with \${...} must be quoted
  eu: { nodes: [\${NODE}] }
                 ^`,
    ],
    ['an empty file', '', 'proxy.yaml: the file is empty'],
    [
      'not a mapping',
      '- region\n',
      `proxy.yaml:1:1: the file: expected a mapping, found a list
***
^`,
    ],
  ]
  test.each(cases)('%s', (_, text, expected) => {
    expect(said(text)).toBe(expected)
    expect(load(text).config).toBeUndefined()
  })

  test('several errors come out at once, in the order of the file', () => {
    const text = `${good
      .replace('primary: eu', 'primry: eu')
      .replace('password: demo', 'pasword: demo')}limits: { idle_timeout: 5 parsecs }\n  \n`
    expect(said(text)).toBe(`proxy.yaml:1:1: missing key 'primary'
region: eu
^
proxy.yaml:2:1: unknown key 'primry', did you mean 'primary'?
primry: eu
^
proxy.yaml:9:19: unknown key 'pasword', did you mean 'password'?
      shop-app: { pasword: *** }
                  ^
proxy.yaml:10:25: limits.idle_timeout: expected a duration such as 250ms, 2s, 1m or 1h, found '5 parsecs'
limits: { idle_timeout: 5 parsecs }
                        ^`)
  })

  test('options that do not fit are named', () => {
    expect(said(good, { region: 'mars' })).toBe("--region: 'mars' is not one of regions (eu, us)")
    expect(said(good.replace('region: eu\n', ''), { env: { REGION: 'uss' } })).toBe(
      "$REGION: 'uss' is not one of regions (eu, us), did you mean 'us'?",
    )
    expect(said(good, { listen: 'x' })).toBe('--listen: expected HOST:PORT such as 127.0.0.1:6380')
    expect(said(good, { admin: ':9380' })).toBe('--admin: admin: an address outside loopback needs admin.token')
  })
})

describe('Sentinels', () => {
  const withSentinels = (lines: string): string => good.replace('primary: eu', `discovery: ${lines}`)

  test('stand in for the word where the primary is looked for first', () => {
    const { config, errors, warnings } = load(withSentinels('{ sentinels: [s1:26379, "[::1]:26379"], master: main }'))
    expect([errors, warnings]).toEqual([[], []])
    expect(config?.primaryRegion).toBeUndefined()
    expect(config?.discovery).toEqual({
      sentinels: [
        { name: 's1:26379', host: 's1', port: 26379, tls: false },
        { name: '[::1]:26379', host: '::1', port: 26379, tls: false },
      ],
      master: 'main',
    })
  })

  test('have a login of their own, which is not shown', () => {
    const { config } = load(withSentinels('{ sentinels: [s1:26379], master: main, username: u, password: geheim }'))
    expect(config?.discovery?.sentinels[0]).toMatchObject({ username: 'u', password: 'geheim' })
    const shown = JSON.stringify(redactedConfig(config!))
    expect(shown).toContain('"username":"u"')
    expect(shown).not.toContain('geheim')
  })

  test('without an address, or without a name for the master, are an error', () => {
    expect(said(withSentinels('{ sentinels: [], master: main }'))).toContain('discovery.sentinels: must not be empty')
    expect(said(withSentinels('{ sentinels: [s1:26379] }'))).toContain("missing key 'discovery.master'")
  })
})

describe('keys whose feature is not built', () => {
  const inTenant = (lines: string) => good.replace('users:', `${lines}\n    users:`)

  test.each([['slow_command', `${good}logging: { slow_command: 1s }\n`, 'logging.slow_command']])(
    '%s is accepted with a warning',
    (_, text, what) => {
      const { config, warnings } = load(text)
      expect(warnings.map((it) => it.message)).toEqual([`${what} is not enforced yet: accepted, without effect`])
      expect(config).toBeDefined()
    },
  )

  test('fallback_limit is a rate, and none where nothing is said', () => {
    const { config, warnings } = load(`${good}routing: { fallback_limit: 90/m }\n`)
    expect([config?.routing.fallbackLimit, warnings]).toEqual([{ count: 90, perMs: 60_000 }, []])
    expect(load(good).config?.routing).not.toHaveProperty('fallbackLimit')
  })

  test('what asks for nothing new passes in silence', () => {
    const { warnings, errors } = load(inTenant('databases: 1\n    scripts: off\n    isolation: prefix'))
    expect([errors, warnings]).toEqual([[], []])
  })
})

describe('other forms of tenancy', () => {
  const inTenant = (lines: string) => good.replace('users:', `${lines}\n    users:`)
  const second = (lines: string) =>
    `${good}  old:\n    ${lines}\n    users: { old-app: { password: demo } }\n  older:\n    isolation: { database: 7 }\n    users: { older-app: { password: demo } }\n`

  test('several databases, and a database of the servers', () => {
    const { config, errors } = load(second('isolation: { database: 3 }').replace('users:', 'databases: 16\n    users:'))
    expect(errors).toEqual([])
    expect(config!.tenants.map((it) => [it.id, it.prefix, it.database, it.databases])).toEqual([
      ['shop', 'shop:', 0, 16],
      ['old', 'old:', 3, 1],
      ['older', 'older:', 7, 1],
    ])
  })

  test.each([
    [
      inTenant('isolation: { database: 0 }'),
      "8:28: tenants.shop.isolation.database: expected a whole number from 1 to 1000000, found '0'",
    ],
    [inTenant('isolation: { database: x }'), '8:28: tenants.shop.isolation.database: expected a whole number'],
    [inTenant('isolation: database'), '8:16: '],
    [inTenant('databases: 0'), "8:16: tenants.shop.databases: expected a whole number from 1 to 16, found '0'"],
    [inTenant('databases: 17'), "8:16: tenants.shop.databases: expected a whole number from 1 to 16, found '17'"],
    [second('isolation: { database: 7 }'), "14:28: database 7 is tenant old's already"],
    [second('isolation: { database: 07 }'), ''],
    [
      inTenant('isolation: { database: 3 }\n    databases: 2'),
      "9:16: databases: tenant shop has one of the servers' databases (isolation), and no further ones behind it",
    ],
  ])('%#: what cannot be is said with its place', (text, expected) => {
    expect(said(text).split('\n')[0]).toContain(`proxy.yaml:${expected}`)
    expect(load(text).config).toBeUndefined()
  })
})

test('scripts that will stay denied are warned of', () => {
  const text = `${good.replace('shop:\n', 'shop:\n    scripts: declared\n')}upstream: { acl: off }\n`
  expect(load(text).warnings.map((it) => it.message)).toEqual([
    'tenant shop: scripts stay denied while upstream.acl is off',
  ])
  expect(load(text).config?.tenants[0]?.scripts).toBe('declared')
})

test('a tenant that wants more replicas than there are is warned of, and no other', () => {
  const wanting = (replicas: number) =>
    load(good.replace('shop:\n', `shop:\n    durability: { replicas: ${replicas}, timeout: 1s }\n`))
  expect(wanting(2).warnings.map((it) => it.message)).toEqual([
    'tenant shop: durability wants 2 replicas, and the file has 1 besides the primary',
  ])
  expect(wanting(1).warnings).toEqual([])
  expect(wanting(1).config?.tenants[0]?.durability).toEqual({ replicas: 1, timeoutMs: 1000 })
  expect(said(good.replace('shop:\n', 'shop:\n    durability: { replicas: 1, timeout: 61s }\n'))).toContain(
    'must be at most 60s',
  )
})

test('things that work but are hardly meant are warned of', () => {
  const text = `${good.replace('{ password: demo }', '{ nopass: true }\n      default: { nopass: true, password: x }')}  empty: { users: {} }\nrouting: { rules: [{ keys: "a" }, { keys: "a" }] }\n`
  const { config, warnings } = load(text)
  expect(config).toBeDefined()
  expect(warnings.map((it) => `${it.line}: ${it.message}`)).toEqual([
    "9: user 'shop-app' needs no password: whoever knows the name is in",
    "10: user 'default': with nopass any password is right, password is not looked at",
    '11: tenant empty has no user, so nobody can be it',
    '12: rules[0] matches the same keys first, so this rule is never reached',
  ])
})

test('every pair of overlapping prefixes is found, however they are sorted', () => {
  const tenant = (id: string, prefix: string) =>
    `  ${id}: { prefix: "${prefix}", users: { u-${id}: { password: x } } }\n`
  const text = `${good}${tenant('a', 'p')}${tenant('b', 'p-')}${tenant('c', 'p-x')}${tenant('d', 'pq')}${tenant('e', 'q')}`
  expect(load(text).errors.map((it) => it.message)).toEqual([
    "the prefix 'p-' of tenant b begins with 'p', the prefix of tenant a",
    "the prefix 'p-x' of tenant c begins with 'p', the prefix of tenant a",
    "the prefix 'pq' of tenant d begins with 'p', the prefix of tenant a",
  ])
})

test('an alias to itself, and aliases that multiply, are refused', () => {
  expect(said('region: &a [*a]\n')).toContain('an alias to what it stands in')
  const bomb = Array.from(
    { length: 30 },
    (_, i) =>
      `k${i}: &a${i} [${
        i === 0
          ? 'x'
          : Array(9)
              .fill(`*a${i - 1}`)
              .join(', ')
      }]\n`,
  ).join('')
  expect(load(bomb).errors.map((it) => it.message)).toContain('nested too deep, or too many aliases')
})

test('a line of any length is shown around the caret, without what a terminal would obey', () => {
  const text = `{ "region": "eu", "x": "${'y'.repeat(5000)}", "primary": "\u001b[31mmars", "regions": { "eu": { "nodes": ["redis://a"] } }, "tenants": {} }\n`
  const shown = said(text).split('\n')
  expect(Math.max(...shown.map((line) => line.length))).toBeLessThan(200)
  expect(said(text)).not.toContain('\u001b')
})

describe('files', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-config-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('a missing one, and a folder', () => {
    expect(loadConfig('/no/such/proxy.yaml', { env: {} }).errors.map(formatDiagnostic)).toEqual([
      '/no/such/proxy.yaml: cannot be read: no such file',
    ])
    expect(loadConfig(folder, { env: {} }).errors.map((it) => it.message)).toEqual(['cannot be read: it is a folder'])
  })

  test('secrets come from files, next to the configuration', () => {
    writeFileSync(path.join(folder, 'secret'), 'hunter2\n')
    writeFileSync(path.join(folder, 'proxy.yaml'), good.replace('demo', '"${file:secret}"'))
    const { config } = loadConfig(path.join(folder, 'proxy.yaml'), { env: {} })
    expect(config?.tenants[0]?.users[0]?.passwords).toEqual(['hunter2'])
  })
})
