import { readdirSync, readFileSync } from 'node:fs'
import { errors } from '../../../src/base/errors.ts'
import { pages, renderErrorsPage } from '../../../src/cli/docs.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { configKeys } from '../../../src/config/pages.ts'

test.each(pages.map((page) => [page.path, page] as const))(
  '%s is what its table says (else: npm run docs)',
  (path, page) => {
    expect(readFileSync(path, 'utf8')).toBe(page.render())
  },
)

test('docs/config.md has a row for every key, and no other', () => {
  const page = readFileSync('docs/config.md', 'utf8')
  const rows = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map((found) => found[1]!)
  expect(rows).toEqual(configKeys())
  expect(new Set(rows).size).toBe(rows.length)
})

test('every key that the contract names is known', () => {
  const keys = configKeys()
  for (const key of [
    ...['region', 'listeners[].tls.client_ca', 'listeners[].proxy_protocol', 'admin.token', 'upstream.acl', 'primary'],
    ...[
      'discovery.sentinels',
      'regions.<name>.nodes',
      'regions.<name>.distance',
      'routing.fallback_limit',
      'routing.rules[].pin',
    ],
    ...['tenants.<name>.prefix', 'tenants.<name>.users.<name>.password_hash', 'tenants.<name>.users.<name>.nopass'],
    ...['tenants.<name>.quota.ops', 'tenants.<name>.quota.when_exceeded', 'tenants.<name>.durability.replicas'],
    ...['tenants.<name>.scripts', 'tenants.<name>.isolation', 'tenants.<name>.databases', 'tenants.<name>.deny'],
    ...['operators', 'logging.slow_command', 'metrics.tenant_label', 'limits.auth_failures', 'shutdown.drain'],
  ]) {
    expect(keys).toContain(key)
  }
})

test('docs/errors.md has a row for every error, and no other', () => {
  const page = readFileSync('docs/errors.md', 'utf8')
  const rows = [...page.matchAll(/^\| ([A-Z0-9_]+) \| `-(.*?)` \|/gm)].map((found) => found[1])
  expect(rows).toEqual(Object.keys(errors))
})

test('a bar in an error does not end the cell of its table', () => {
  const page = renderErrorsPage({ X: { text: "ERR 'client|getname'", fate: 'unknown', when: 'a|b' } })
  expect(page).toContain("| X | `-ERR 'client\\|getname'` | unknown |  | a\\|b |")
})

describe('the files that come with Regis', () => {
  const files = ['proxy.yaml', ...readdirSync('config/examples').map((name) => `config/examples/${name}`)]
  test.each(files)('%s is good, without a warning', (file) => {
    const text = readFileSync(file, 'utf8')
    const { config, errors: found, warnings } = parseConfig(text, { file, env: { SHOP_PASSWORD: 'x' } })
    expect([found, warnings]).toEqual([[], []])
    expect(config).toBeDefined()
  })

  test('proxy.yaml has the shape of the demo', () => {
    const { config } = parseConfig(readFileSync('proxy.yaml', 'utf8'), { file: 'proxy.yaml', env: {} })
    expect(config?.regions.map((region) => region.name)).toEqual(['eu-west', 'us-east', 'ap-south'])
    expect(config?.tenants.map((it) => [it.id, it.consistency, it.maxStalenessMs, it.users[0]?.passwords])).toEqual([
      ['shop', 'session', undefined, ['demo']],
      ['analytics', 'bounded', 500, ['demo']],
    ])
  })

  test('full.yaml has every key that is built and can stand in a file that names no other file', () => {
    const text = readFileSync('config/examples/full.yaml', 'utf8')
    const leaves = configKeys().map((key) => key.split('.').at(-1)!.replace('[]', ''))
    const notBuilt = /quota|isolation|databases|discovery|slow_command|scripts|acl$|limits\.output/
    const missing = configKeys().filter(
      (key, i) => !notBuilt.test(key) && leaves[i] !== '<name>' && !text.includes(`${leaves[i]}:`),
    )
    expect(missing).toEqual([])
  })
})
