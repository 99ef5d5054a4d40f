import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Writable } from 'node:stream'
import { parse } from 'yaml'
import { type CliContext, usesColor } from '../../../src/cli/context.ts'
import { program } from '../../../src/cli/main.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { parseHash, verifyPassword } from '../../../src/tenant/password.ts'
import { regis } from './kit.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'regis-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))
function file(name: string, text: string): string {
  writeFileSync(path.join(folder, name), text)
  return path.join(folder, name)
}
const good =
  'region: eu\nprimary: eu\nregions: { eu: { nodes: [redis://eu-1] } }\ntenants: { shop: { users: { app: { password: hunter2 } } } }\n'

describe('every verb', () => {
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
  const context: CliContext = { exit: () => {}, stdout: sink, stderr: sink, env: {} }
  const verbs = program(context).commands.map((it) => it.name())
  test('is one of the contract', () => {
    expect(verbs).toEqual(
      'run check reload verify demo explain status top hash-password init schema healthcheck version'.split(' '),
    )
  })
  test.each(verbs)('%s has help with three runnable examples', async (verb) => {
    const { code, stdout } = await regis([verb, '--help'])
    expect(code).toBe(0)
    expect(stdout.split('Examples:')[1]?.match(/^ +(\$ )?.*regis .*$/gm)?.length).toBeGreaterThanOrEqual(3)
  })
})

describe('exit codes', () => {
  test.each([
    [['chek'], 2],
    [['check', '--foo'], 2],
    [['check', 'extra'], 2],
    [[], 2],
    [['hash-password', '--scheme', 'md5'], 2],
    [['healthcheck', '--url', 'nowhere'], 2],
    [['--help'], 0],
    [['--version'], 0],
    [['check', '-c', '/no/such/file'], 78],
    [['healthcheck', '-c', '/no/such/file'], 78],
    [['run', '-c', '/no/such/file'], 78],
  ])('%j ends with %d', async (args, code) => expect((await regis(args)).code).toBe(code))
  test('a misspelt verb is put right', async () => {
    expect((await regis(['chek'])).stderr).toContain('Did you mean check?')
  })
})

describe('check', () => {
  test('says ok and what it saw', async () => {
    const name = file('good.yaml', good)
    expect(await regis(['check', '-c', name])).toEqual({
      code: 0,
      stdout: `${name}: ok (1 tenant, 1 node in 1 region, this one is eu), 0 warnings\n`,
      stderr: '',
    })
  })
  test('shows every error with its place and ends with 78', async () => {
    const name = file('bad.yaml', good.replace('primary: eu', 'primary: su').concat('limts: {}\n'))
    const { code, stdout, stderr } = await regis(['check', '-c', name])
    expect([code, stdout]).toEqual([78, ''])
    expect(stderr).toBe(`${name}:2:10: primary: 'su' is not one of regions (eu), did you mean 'eu'?
primary: su
         ^
${name}:5:1: unknown key 'limts', did you mean 'limits'?
limts: ***
^
${name}: 2 errors, 0 warnings
`)
  })
  test('--print shows what counts, as YAML that can be checked again but for its secrets', async () => {
    const { code, stdout } = await regis(['check', '-c', file('good.yaml', good), '--print'])
    expect(code).toBe(0)
    expect(stdout).not.toContain('hunter2')
    expect(parse(stdout).tenants.shop).toEqual({
      prefix: 'shop:',
      isolation: 'prefix',
      databases: 1,
      users: { app: { password: '***', access: 'read-write' } },
      scripts: 'off',
      deny: [],
    })
    expect(parseConfig(stdout, { file: 'printed', env: {} }).errors).toEqual([])
  })
  test('--json is one object, for good files and bad ones', async () => {
    const fine = JSON.parse((await regis(['check', '-c', file('good.yaml', good), '--json', '--print'])).stdout)
    expect(fine).toMatchObject({ ok: true, errors: [], warnings: [], config: { region: 'eu' } })
    const bad = JSON.parse((await regis(['check', '-c', file('bad.yaml', `${good}x: 1\n`), '--json'])).stdout)
    expect(bad).toMatchObject({ ok: false, errors: [{ severity: 'error', line: 5, col: 1 }] })
  })
  test('--connect says which nodes cannot be reached, and ends with 1', async () => {
    const name = file('dead.yaml', good.replace('redis://eu-1', 'redis://127.0.0.1:1'))
    const { code, stdout, stderr } = await regis(['check', '-c', name, '--connect'])
    expect(code).toBe(1)
    expect(stdout).toContain('eu      127.0.0.1:1  unreachable: nothing listens there')
    expect(stderr).toContain('no node is a primary')
  })
  test('the environment is what it is handed', async () => {
    const name = file('env.yaml', good.replace('hunter2', '"${PW:?set PW}"'))
    expect((await regis(['check', '-c', name])).stderr).toContain('the variable PW is not set: set PW')
    expect((await regis(['check', '-c', name], { env: { PW: 'x' } })).code).toBe(0)
  })
})

describe('hash-password', () => {
  const fits = async (text: string, password: string) => {
    const hash = parseHash(text.trim())
    return !('problem' in hash) && verifyPassword(Buffer.from(password), hash)
  }
  test('reads stdin without its newline', async () => {
    const { code, stdout } = await regis(['hash-password'], { stdin: 'hunter2\n' })
    expect([code, await fits(stdout, 'hunter2')]).toEqual([0, true])
    expect(stdout).toMatch(/^scrypt\$16384\$8\$1\$/)
  })
  test('reads a file; sha256 for tokens', async () => {
    const { stdout } = await regis([
      'hash-password',
      '--password-file',
      file('pw', 'hunter2\r\n'),
      '--scheme',
      'sha256',
      '--json',
    ])
    expect(await fits(JSON.parse(stdout).hash, 'hunter2')).toBe(true)
  })
  test('never takes it as an argument', async () => {
    const { code, stdout, stderr } = await regis(['hash-password', 'hunter2'], { stdin: 'x' })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).not.toContain('hunter2')
  })
  test('an empty one is refused', async () => {
    expect(await regis(['hash-password'], { stdin: '\n' })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'regis hash-password: the password is empty\n',
    })
  })
  test('its hash is good for a configuration', async () => {
    const { stdout } = await regis(['hash-password'], { stdin: 'hunter2' })
    const text = good.replace('password: hunter2', `password_hash: ${stdout.trim()}`)
    expect(parseConfig(text, { file: 'x', env: {} }).errors).toEqual([])
  })
})

describe('init', () => {
  test('writes a file that check accepts, and writes over nothing without --force', async () => {
    const name = path.join(folder, 'fresh.yaml')
    expect((await regis(['init', name])).code).toBe(0)
    expect((await regis(['check', '-c', name])).stdout).toContain('0 warnings')
    writeFileSync(name, 'mine')
    const second = await regis(['init', name])
    expect(second).toMatchObject({ code: 1, stderr: `regis init: ${name} is there already; --force writes over it\n` })
    expect(readFileSync(name, 'utf8')).toBe('mine')
    expect((await regis(['init', name, '--force'])).code).toBe(0)
    expect(readFileSync(name, 'utf8')).not.toBe('mine')
  })
  test('a folder that is not there is said', async () => {
    expect((await regis(['init', path.join(folder, 'no/such/x.yaml')])).code).toBe(1)
  })
})

describe('healthcheck', () => {
  let server: Server
  let status = 200
  let asked = ''
  let port = 0
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked = request.url ?? ''
      response.writeHead(status).end('no primary\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => new Promise((resolve) => server.close(resolve)))

  test('ends with 0 when the proxy is ready, as the configuration says where', async () => {
    status = 200
    const name = file('admin.yaml', `${good}admin: { address: "127.0.0.1:${port}" }\n`)
    expect(await regis(['healthcheck', '-c', name])).toEqual({ code: 0, stdout: 'ready\n', stderr: '' })
    expect(asked).toBe('/readyz')
  })
  test('ends with 1 when it is not, or is not there', async () => {
    status = 503
    const url = `http://127.0.0.1:${port}`
    expect(await regis(['healthcheck', '--url', url])).toEqual({
      code: 1,
      stdout: '',
      stderr: `regis healthcheck: ${url} is not ready: 503 no primary\n`,
    })
    const dead = await regis(['healthcheck', '--url', 'http://127.0.0.1:1', '--json'])
    expect(JSON.parse(dead.stdout)).toMatchObject({ ready: false, problem: 'nothing listens there' })
  })
})

test('version is that of package.json', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  expect((await regis(['version'])).stdout).toBe(`${version}\n`)
  expect(JSON.parse((await regis(['version', '--json'])).stdout)).toMatchObject({
    version,
    node: process.versions.node,
  })
})

test('schema prints what is committed', async () => {
  expect((await regis(['schema'])).stdout).toBe(readFileSync('config/schema.json', 'utf8'))
})

test('colours are for terminals without NO_COLOR', () => {
  const terminal = Object.assign(new Writable(), { isTTY: true })
  expect(usesColor(terminal, {})).toBe(true)
  expect(usesColor(terminal, { NO_COLOR: '' })).toBe(true)
  expect(usesColor(terminal, { NO_COLOR: '1' })).toBe(false)
  expect(usesColor(terminal, { TERM: 'dumb' })).toBe(false)
  expect(usesColor(new Writable(), {})).toBe(false)
})
