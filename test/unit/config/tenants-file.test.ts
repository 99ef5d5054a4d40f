/** `tenants_file`: what is taken from its lines, and how what is wrong in them is said. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { tenantLineBytesMax } from '../../../src/base/limits.ts'
import { plainCharsMin } from '../../../src/config/document.ts'
import { formatDiagnostic, type Loaded, loadConfigInTurns, parseConfig } from '../../../src/config/load.ts'
import { readPlainYaml } from '../../../src/config/plain-yaml.ts'
import { lineErrorsMax } from '../../../src/config/tenants-file.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'regis-tenants-'))
afterAll(() => rmSync(folder, { recursive: true }))

const head = `region: eu
primary: eu
regions:
  eu: { nodes: [redis://eu-1:6379] }
`
const fromFile = `${head}tenants_file: tenants.jsonl\n`
const line = (id: string, more: object = {}) =>
  JSON.stringify({ id, users: { [`${id}-app`]: { password: `secret-of-${id}` } }, ...more })

function load(lines: string | Buffer, yaml = fromFile, env: Record<string, string> = {}): Loaded {
  writeFileSync(path.join(folder, 'tenants.jsonl'), lines)
  return parseConfig(yaml, { file: path.join(folder, 'proxy.yaml'), env })
}
function said(lines: string | Buffer, yaml = fromFile, env: Record<string, string> = {}): string {
  const { errors, warnings } = load(lines, yaml, env)
  return [...errors, ...warnings].map(formatDiagnostic).join('\n').replaceAll(`${folder}/`, '')
}
const ids = (loaded: Loaded) => loaded.config?.tenants.map(({ id }) => id)

describe('lines', () => {
  test('a tenant in the file is the same as one under tenants, defaults and secrets included', () => {
    const more = { prefix: 'x-', deny: ['KEYS'], scripts: 'any', databases: 3, consistency: 'bounded' }
    const yaml = `${head}tenants:\n  shop: ${JSON.stringify({ ...JSON.parse(line('shop', more)), id: undefined })}\n`
    const inYaml = parseConfig(yaml, { file: 'x', env: {} })
    expect(inYaml.errors).toEqual([])
    expect(load(line('shop', more)).config?.tenants).toEqual(inYaml.config?.tenants)
  })

  test('those of proxy.yaml come first, then the file’s in its order', () => {
    const yaml = `${fromFile}tenants: { shop: { users: { app: { nopass: true } } } }\n`
    expect(ids(load(`${line('b')}\n${line('a')}\n`, yaml))).toEqual(['shop', 'b', 'a'])
  })

  test.each([
    ['the last line has no line feed', `${line('a')}\n${line('b')}`],
    ['lines end with CRLF', `${line('a')}\r\n${line('b')}\r\n`],
    ['the file begins with a byte order mark', `\ufeff${line('a')}\n${line('b')}\n`],
    ['lines are empty or begin with #', `# ours\n\n${line('a')}\n   \n  # and\n${line('b')}\n\n`],
    ['lines are YAML in flow style', `${line('a')}\n{ id: b, users: { b-app: { password: 'secret-of-b' } } } # b\n`],
  ])('%s: all the same', (_, text) => {
    const { config, errors } = load(text)
    expect(errors).toEqual([])
    expect(config?.tenants.map((it) => [it.id, it.users[0]?.passwords])).toEqual([
      ['a', ['secret-of-a']],
      ['b', ['secret-of-b']],
    ])
  })

  test('lines that lie across the pieces in which the file is read arrive whole', () => {
    const many = Array.from({ length: 9_000 }, (_, i) => line(`t${i}`, { prefix: `${i}-é-`.padEnd(40, 'é') }))
    const { config, errors } = load(many.join('\n'))
    expect(errors).toEqual([])
    expect(config?.tenants.map((it) => it.prefix)).toEqual(many.map((it) => JSON.parse(it).prefix))
  })

  test('an empty file is no tenants', () => expect(ids(load(''))).toEqual([]))

  test('numbers and words stay the text that was written', () => {
    const text = '{"id":"a","users":{"1":{"password":1.50},"u":{"password":[true,"2"]}},"databases":2}'
    expect(load(text).config?.tenants[0]?.users.map((it) => [it.name, it.passwords])).toEqual([
      ['1', ['1.50']],
      ['u', ['true', '2']],
    ])
  })

  test('${...} is replaced as in proxy.yaml, and never read again', () => {
    const text = '{"id":"a","users":{"u":{"password":["${A}","${B:-b}","$$","${file:secret}"]}}}'
    writeFileSync(path.join(folder, 'secret'), 'hunter2\n')
    const loaded = load(text, fromFile, { A: '${B}"}' })
    expect(loaded.config?.tenants[0]?.users[0]?.passwords).toEqual(['${B}"}', 'b', '$', 'hunter2'])
  })
})

describe('what is wrong', () => {
  test('is said with file, line, column and caret, also behind a byte order mark', () => {
    expect(said(`\ufeff${line('a')}\n\n{"id":"b","users":{"b":{"nopass":true}},"scritps":"any"}\n`)).toBe(
      [
        "tenants.jsonl:3:41: unknown key 'scritps', did you mean 'scripts'?",
        '{"id":"b","users":{"b":{"nopass":true}},"scritps":"any"}',
        `${' '.repeat(40)}^`,
        "tenants.jsonl:3:25: warning: user 'b' needs no password: whoever knows the name is in",
        '{"id":"b","users":{"b":{"nopass":true}},"scritps":"any"}',
        `${' '.repeat(24)}^`,
      ].join('\n'),
    )
  })

  test.each([
    ['{"id":"a"}', "tenants.jsonl:1:1: missing key 'users'"],
    ['{"users":{"u":{"nopass":true}}}', "tenants.jsonl:1:1: missing key 'id'"],
    ['[1]', 'tenants.jsonl:1:1: the file: expected a mapping, found a list'],
    [
      '{"id":"a","users":{"u":{"access":"all","password":"x"}}}',
      'users.u.access: expected one of read-write, read-only',
    ],
    ['{"id":"A B","users":{"u":{"password":"x"}}}', "tenant id 'A B': expected a to z"],
    ['{"id":"a","users":{"u":{"password":"x"}},"databases":"2.0"}', 'databases: expected a whole number'],
    ['{"id":"a","users":{"u":{"password":"x"}},"deny":["FLY"]}', 'deny: no command or category has this name'],
    ['{"id":"a","users":{"u":{"password":"x"},"u":{"password":"y"}}}', "the key 'u' is here twice"],
    ['{"id":"a","users":{"u":{"password":"${NO}"}}}', 'the variable NO is not set'],
    ['{"id":"a","users":{"u":{"password":"x"}}', 'YAML:'],
    ['{"id":"a",', 'YAML:'],
    ['{', 'YAML:'],
    ['"a"', 'expected a mapping'],
  ])('%s', (text, message) => {
    const loaded = load(text)
    expect(loaded.config).toBeUndefined()
    expect(said(text)).toContain(message)
    expect(loaded.errors[0]).toMatchObject({ line: 1, col: expect.any(Number) })
  })

  test('secrets are not shown, however the line is broken', () => {
    for (const text of [
      '{"id":"a","users":{"u":{"password":"hunter2"}},"prefix":"{}"}',
      '{"id":"a","users":{"u":{"password":"hunter2"}},"nope":1}',
      '{"id":"a","users":{"u":{"pasword":"hunter2"}}}',
      '{"id":"a","users":{"u":"hunter2"}}',
      '{"id":"a","users":{"u":{"password":"hunter2"',
      '{"id":"a","users":{"u":{"password_hash":"hunter2"}}}',
    ]) {
      expect(load(text).errors.length).toBeGreaterThan(0)
      expect(said(text)).not.toContain('hunter2')
    }
    expect(said('{"id":"a","users":{"u":{"password_hash":"${P}"}}}', fromFile, { P: 'hunter2' })).not.toContain(
      'hunter2',
    )
  })

  test('a line that is too long is refused, and the next one is read', () => {
    const long = line('a', { prefix: 'x'.repeat(tenantLineBytesMax) })
    const { errors } = load(`${line('a')}\n${long}\n${line('A')}\n`)
    expect(errors.map((it) => [it.line, it.message.slice(0, 20)])).toEqual([
      [2, 'the line is longer t'],
      [3, "tenant id 'A': expec"],
      [3, "user 'A-app': expect"],
    ])
    expect(load(long).errors).toHaveLength(1)
    const fits = line('a', { deny: ['x'.repeat(tenantLineBytesMax - line('a', { deny: [''] }).length)] })
    expect(fits).toHaveLength(tenantLineBytesMax)
    expect(said(fits)).toContain('deny: no command')
  })

  test('ids, users, databases and prefixes are compared across both files, with the place where each stands', () => {
    const yaml = `${fromFile}tenants:
  shop: { users: { app: { password: x } } }
  late: { prefix: 'zz:zz', users: { late: { password: x } } }
operators: { root: { password: x } }
`
    const lines = [
      line('shop'),
      '{"id":"b","users":{"app":{"password":"x"}}}',
      line('c', { prefix: 'shop:c:' }),
      line('d', { isolation: { database: 7 } }),
      line('e', { isolation: { database: 7 } }),
      '{"id":"f","users":{"f":{"password":"x"}},"prefix":"zz:"}',
      line('g', { prefix: 'regis:' }),
      '{"id":"h","users":{"root":{"password":"x"}}}',
    ]
    const { errors } = load(lines.join('\n'), yaml)
    const shown = errors.map((it) => `${path.basename(it.file)}:${it.line}:${it.col} ${it.message}`)
    expect(shown.sort()).toEqual(
      [
        "proxy.yaml:8:19 the prefix 'zz:zz' of tenant late begins with 'zz:', the prefix of tenant f",
        "proxy.yaml:9:14 the user 'root' is already a user of tenant h: a name occurs once in the file",
        "tenants.jsonl:1:7 the tenant 'shop' is there already",
        "tenants.jsonl:2:20 the user 'app' is already a user of tenant shop: a name occurs once in the file",
        "tenants.jsonl:3:65 the prefix 'shop:c:' of tenant c begins with 'shop:', the prefix of tenant shop",
        "tenants.jsonl:5:80 database 7 is tenant d's already",
        "tenants.jsonl:7:65 the prefix 'regis:' of tenant g meets 'regis:', which is reserved",
      ].sort(),
    )
    const source = errors.find((it) => it.message.includes("'shop:c:'"))?.source
    expect(source).toContain('"prefix":"shop:c:"')
    expect(source).not.toContain('secret-of')
  })

  test('of a file that is wrong all along the first hundred errors are shown, and where it was given up', () => {
    const { errors, config } = load(Array.from({ length: 5_000 }, (_, i) => line(`T${i}`)).join('\n'))
    expect(config).toBeUndefined()
    expect(errors).toHaveLength(lineErrorsMax + 1)
    expect(errors.at(-1)?.message).toContain('up to line 50')
  })

  test('prefixes that meet are bounded alike, and warnings too', () => {
    const meeting = Array.from({ length: 300 }, (_, i) => line(`t${i}`, { prefix: i === 0 ? 'p' : `p${i}` }))
    const loaded = load(meeting.join('\n'))
    expect([loaded.config, loaded.errors.length]).toEqual([undefined, lineErrorsMax + 1])
    const open = Array.from({ length: 300 }, (_, i) => `{"id":"t${i}","users":{"u${i}":{"nopass":true}}}`)
    const { config, warnings } = load(open.join('\n'))
    expect([config?.tenants.length, warnings.length]).toEqual([300, lineErrorsMax + 1])
    expect(warnings.at(-1)?.message).toBe('and 200 more warnings')
  })

  test('a file that is not there, a folder, and one that a variable names', () => {
    expect(said('', `${head}tenants_file: nope.jsonl\n`)).toContain(
      'proxy.yaml:5:15: the file nope.jsonl cannot be read: no such file',
    )
    expect(said('', `${head}tenants_file: .\n`)).toContain('it is a folder')
    expect(said('', `${head}tenants_file: "\${T}"\n`, { T: 'hunter2' })).not.toContain('hunter2')
    const named = `${head}tenants_file: "\${T}"\n`
    expect(said('{', named, { T: 'tenants.jsonl' })).toMatch(/^\$\{T\}:1:2: YAML/)
  })

  test('tenants may be left out only where the file is named', () => {
    expect(said('', head)).toContain("missing key 'tenants'")
    expect(said('', `${head}tenants:\n`)).toContain('tenants: expected a mapping, found nothing')
  })

  test('a rule may name a tenant of the file', () => {
    const rules = (tenant: string) => `${fromFile}routing: { rules: [{ tenant: ${tenant}, keys: '*' }] }\n`
    expect(load(line('a'), rules('a')).errors).toEqual([])
    expect(said(line('alpha'), rules('alpa'))).toContain("there is no such tenant, found 'alpa', did you mean 'alpha'?")
  })
})

test('in turns it reads the same, and lets others go on in between', async () => {
  const lines = Array.from({ length: 500 }, (_, i) => line(`t${i}`)).join('\n')
  const atOnce = load(lines)
  writeFileSync(path.join(folder, 'proxy.yaml'), fromFile)
  let turns = 0
  const inTurns = await loadConfigInTurns(path.join(folder, 'proxy.yaml'), { env: {} }, async () => void turns++)
  const { place: _, ...data } = atOnce
  expect(inTurns).toMatchObject(data)
  expect(turns).toBeGreaterThanOrEqual(9)
})

describe('a large proxy.yaml, which is read another way as long as it is plain', () => {
  const block = (i: number, more = '') => `  t${i}:
    users:
      u${i}: { password: secret-${i} } # ours
    deny:
    - KEYS
    databases: 2
${more}`
  const large = (more = '') =>
    `${head}tenants:\n${Array.from({ length: 800 }, (_, i) => block(i, i === 777 ? more : '')).join('')}`
  /** An anchor is nothing for the fast way. */
  const slow = (text: string) => `${text}\nadmin: &x { address: 127.0.0.1:1 }\n`
  const fast = (text: string) => `${text}\nadmin: { address: 127.0.0.1:1 }\n`

  test('has the same configuration', () => {
    expect(large().length).toBeGreaterThan(plainCharsMin)
    const sources = { env: {}, readFile: () => ({ problem: '' }) }
    const isPlain = [fast, slow].map((way) => readPlainYaml(way(large()), sources) !== undefined)
    expect(isPlain).toEqual([true, false])
    const [a, b] = [fast(large()), slow(large())].map((text) => parseConfig(text, { file: 'x', env: {} })) as [
      Loaded,
      Loaded,
    ]
    expect(a.errors).toEqual([])
    expect(a.config?.tenants).toHaveLength(800)
    expect({ ...a, place: undefined }).toEqual({ ...b, place: undefined })
  })

  test.each([
    ['an unknown key', '    scritps: any\n'],
    ['a user that is there already', '    users:\n      u3: { password: hunter2 }\n'],
    ['a key twice', '    deny: []\n'],
    ['a secret where none belongs', '    consistency: bounded\n    pasword: hunter2\n'],
    ['a prefix that begins another', '    prefix: t1\n'],
    ['a mapping where a list belongs', '    quota: 5\n'],
    ['a line that goes nowhere', '    whatever\n'],
  ])('says the same of %s', (_, more) => {
    const [a, b] = [fast, slow].map((way) => {
      const { errors, warnings } = parseConfig(way(large(more)), { file: 'x', env: {} })
      return [...errors, ...warnings].map(formatDiagnostic)
    }) as [string[], string[]]
    expect(a.length).toBeGreaterThan(0)
    expect({ ...a, place: undefined }).toEqual({ ...b, place: undefined })
    expect(a.join()).not.toContain('hunter2')
  })
})
