import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Config } from '../../../src/config/config.ts'
import { type Prepared, prepareReload, Reloader, type ReloadOutcome } from '../../../src/config/reload.ts'
import { good, load } from './kit.ts'

const config = load(good).config!

function build() {
  const world = {
    files: [] as (() => void)[],
    applied: [] as Config[],
    done: [] as [ReloadOutcome, string][],
    broken: [] as unknown[],
    next: { config, changes: [], errors: [], warnings: [], files: [] } as Prepared,
    apply:
      (it: Config): (() => void) =>
      () =>
        void world.applied.push(it),
  }
  const reloader = new Reloader({
    prepare: () => new Promise((resolve) => world.files.push(() => resolve(world.next))),
    apply: async (it) => () => world.apply(it),
    done: (outcome, why) => void world.done.push([outcome, why]),
    broken: (error) => void world.broken.push(error),
  })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  return { world, reloader, turn }
}

test('one at a time; all who ask while one runs share the one behind it, for the file may have changed', async () => {
  const { world, reloader, turn } = build()
  const first = reloader.run('a')
  await turn()
  const [second, third] = [reloader.run('b'), reloader.run('c')]
  await turn()
  expect(world.files).toHaveLength(1)
  world.files[0]!()
  await first
  await turn()
  expect(world.files).toHaveLength(2)
  world.files[1]!()
  expect(await second).toBe(await third)
  expect([world.applied.length, world.done.map(([, why]) => why)]).toEqual([2, ['a', 'b']])
})

test('a dry run changes nothing and counts for nothing', async () => {
  const { world, reloader, turn } = build()
  const dry = reloader.run('a', 'dry run')
  await turn()
  world.files[0]!()
  expect((await dry).ok).toBe(true)
  expect([world.applied, world.done]).toEqual([[], []])
})

test('what is refused is not applied; a fault of ours before anything has changed is a refusal, and the next one runs', async () => {
  const { world, reloader, turn } = build()
  world.next = { changes: [], errors: [{ severity: 'error', file: 'x', message: 'y' }], warnings: [], files: [] }
  const refused = reloader.run('a')
  await turn()
  world.files[0]!()
  expect([(await refused).ok, world.applied]).toEqual([false, []])
  world.next = { config, changes: [], errors: [], warnings: [], files: [] }
  world.apply = () => {
    throw new Error('no')
  }
  const failed = reloader.run('b')
  await turn()
  world.files[1]!()
  expect((await failed).errors[0]?.message).toBe("a fault of the proxy's own: no")
  expect(world.broken).toEqual([])
  world.apply = () => () => {
    throw new Error('half')
  }
  const broken = reloader.run('c')
  await turn()
  world.files[2]!()
  await expect(broken).rejects.toThrow('half')
  expect(String(world.broken)).toBe('Error: half')
})

describe('a file', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'regis-reload-'))
  const file = path.join(folder, 'proxy.yaml')
  afterAll(() => rmSync(folder, { recursive: true }))
  const prepare = (text: string) => {
    writeFileSync(file, text)
    return prepareReload(file, { env: {} }, config)
  }

  test('that can be taken has its changes; one that cannot has each reason at its place', () => {
    const taken = prepare(good.replace('demo', 'other'))
    expect([taken.config === undefined, taken.changes.map((it) => it.path), taken.errors]).toEqual([
      false,
      ['tenants.shop.users.shop-app.password'],
      [],
    ])
    const refused = prepare(good.replace('    users:', '    prefix: "x:"\n    users:').replace('us-1', 'us-2'))
    expect(refused.config).toBeUndefined()
    expect(refused.errors.map(({ line, message }) => [line, message.split(':')[0]])).toEqual([
      [5, 'regions.us.nodes'],
      [8, 'tenants.shop.prefix'],
    ])
    expect(refused.errors[1]?.source).toContain('prefix: "x:"')
  })

  test('has the very tenants that run where nothing of them has changed', () => {
    const two = `${good.replace('tenants:', 'tenants:\n  new: { users: { new-app: { password: x } } }')}`
    const { config: next } = prepare(two)
    expect(next!.tenants.map(({ id }) => id)).toEqual(['new', ...config.tenants.map(({ id }) => id)])
    for (const tenant of config.tenants) expect(next!.tenants.includes(tenant)).toBe(true)
    const { config: other } = prepare(good.replace('demo', 'other'))
    expect(other!.tenants.some((tenant) => config.tenants.includes(tenant))).toBe(config.tenants.length > 1)
  })

  test('with an error of its own is compared with nothing', () => {
    const { config: none, changes, errors } = prepare(`${good}bogus: 1\n`)
    expect([none, changes, errors.length]).toEqual([undefined, [], 1])
  })

  test('with another one for its tenants: what cannot be taken is said where that is named', () => {
    const more = path.join(folder, 'more.jsonl')
    const text = `${good}tenants_file: more.jsonl\n`
    writeFileSync(more, '{"id":"late","users":{"late-app":{"password":"x"}}}\n')
    const { config: running, changes } = prepare(text)
    expect(changes.map((it) => it.path)).toEqual(['tenants.late'])
    writeFileSync(more, '{"id":"late","prefix":"x:","users":{"late-app":{"password":"x"}}}\n')
    const { errors, files } = prepareReload(file, { env: {} }, running!)
    expect(errors.map(({ line, message }) => [line, message.split(':')[0]])).toEqual([[10, 'tenants.late.prefix']])
    expect(files).toContain(more)
  })

  test('names all files that it leads to, those that are not there too', () => {
    const { files } = prepare(good.replace('password: demo', 'password: "${file:secret}"'))
    expect(files).toEqual([file, path.join(folder, 'secret')])
  })
})
