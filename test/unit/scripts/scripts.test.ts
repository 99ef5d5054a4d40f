/** What goes upstream for a script command, and what comes back; the prelude itself runs in the integration tests. */
import { createHash } from 'node:crypto'
import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { listToClient } from '../../../src/scripts/functions.ts'
import { likelyLine, renameInError } from '../../../src/scripts/script-reply.ts'
import { Scripts, type ScriptTenantOptions } from '../../../src/scripts/scripts.ts'
import { luaShapes } from '../../../src/scripts/shapes.ts'
import { decode } from '../../kit/resp.ts'

const table = buildCommandTable()
const sha1 = (text: string | Buffer): string => createHash('sha1').update(text).digest('hex')
const tenants: readonly ScriptTenantOptions[] = [
  { id: 'any', prefix: 'any:', scripts: 'any' },
  { id: 'decl', prefix: 'decl:', scripts: 'declared' },
  { id: 'off', prefix: 'off:', scripts: 'off' },
]
const build = () => new Scripts((id) => tenants.find((tenant) => tenant.id === id), table, 'secret')
const prepare = (scripts: Scripts, tenant: string, name: string, argv: string[], keys: number[] = []) =>
  scripts.prepare(
    tenant,
    name,
    argv.map((arg) => Buffer.from(arg)),
    keys,
  )
const argvOf = (frame: Buffer | undefined): string[] => decode(frame!)!.reply as string[]

test('a tenant without scripts gets none', () => {
  expect(prepare(build(), 'off', 'eval', ['EVAL', 'x', '0']).reply?.toString()).toContain('-NOPERM')
  expect(prepare(build(), 'nobody', 'eval', ['EVAL', 'x', '0']).reply?.toString()).toContain('-NOPERM')
})

test('declared: the text and its sha stay, keys get the prefix', () => {
  const scripts = build()
  const { frame } = prepare(scripts, 'decl', 'eval', ['EVAL', 'return 1', '1', 'k', 'v'], [3])
  expect(argvOf(frame)).toEqual(['EVAL', 'return 1', '1', 'decl:k', 'v'])
  const again = prepare(scripts, 'decl', 'evalsha', ['EVALSHA', sha1('return 1'), '1', 'k'], [3])
  expect(argvOf(again.frame)).toEqual(['EVALSHA', sha1('return 1'), '1', 'decl:k'])
})

test('any: one line in front of the text, behind its first line where it has one', () => {
  const scripts = build()
  const plain = argvOf(prepare(scripts, 'any', 'eval', ['EVAL', 'local x\nreturn 1', '0']).frame)[1]!
  expect(plain.split('\n')).toHaveLength(2)
  expect(plain).toMatch(/^local redis=[^\n]*; local x\nreturn 1$/)
  const headed = argvOf(prepare(scripts, 'any', 'eval', ['EVAL', '#!lua flags=no-writes\nreturn 1', '0']).frame)[1]!
  expect(headed).toMatch(/^#!lua flags=no-writes\nlocal redis=[^\n]*; return 1$/)
})

test('the client’s sha stands for the upstream one, both ways, and only for its own tenant', () => {
  const scripts = build()
  const body = 'return 1'
  const load = prepare(scripts, 'any', 'script|load', ['SCRIPT', 'LOAD', body])
  const upstreamSha = sha1(argvOf(load.frame)[2]!)
  expect(load.transform!(Buffer.from(`$40\r\n${upstreamSha}\r\n`))!.toString()).toBe(`$40\r\n${sha1(body)}\r\n`)
  const run = prepare(scripts, 'any', 'evalsha', ['EVALSHA', sha1(body).toUpperCase(), '0'])
  expect(argvOf(run.frame)[1]).toBe(upstreamSha)
  const error = Buffer.from(`-ERR x script: ${upstreamSha}, on @user_script:3.\r\n`)
  expect(run.transform!(error)!.toString()).toBe(`-ERR x script: ${sha1(body)}, on @user_script:3.\r\n`)
  expect(prepare(scripts, 'decl', 'evalsha', ['EVALSHA', sha1(body), '0']).reply?.toString()).toContain('-NOSCRIPT')
})

test('a value is never searched, whatever it looks like', () => {
  const scripts = build()
  const { transform, frame } = prepare(scripts, 'any', 'eval', ['EVAL', 'return 1', '0'])
  const value = Buffer.from(`$45\r\nany:k${sha1(argvOf(frame)[1]!)}\r\n`)
  expect(transform!(value)).toBe(value)
})

test('a text that does not compile is forgotten', () => {
  const scripts = build()
  const { transform } = prepare(scripts, 'any', 'eval', ['EVAL', 'return )', '0'])
  expect(scripts.of('any')!.registry.count).toBe(1)
  transform!(Buffer.from('-ERR Error compiling script (new function): user_script:1: x\r\n'))
  expect(scripts.of('any')!.registry.count).toBe(0)
})

test('a node is sent a script once in a run of it, and again after NOSCRIPT', () => {
  const scripts = build()
  prepare(scripts, 'any', 'eval', ['EVAL', 'return 1', '0'])
  const { script, transform } = prepare(scripts, 'any', 'evalsha', ['EVALSHA', sha1('return 1'), '0'])
  const needs = (node: number, run: string): boolean => scripts.loadFor(script!, node, run) !== undefined
  expect(needs(0, 'run')).toBe(true)
  scripts.noteLoaded(script!, 0, 'run', Buffer.from('-BUSY x\r\n'))
  expect(needs(0, 'run')).toBe(true)
  scripts.noteLoaded(script!, 0, 'run', Buffer.from(`$40\r\n${script!.upstreamSha}\r\n`))
  expect([needs(0, 'run'), needs(0, 'next run'), needs(1, 'run')]).toEqual([false, true, true])
  transform!(Buffer.from('-NOSCRIPT No matching script. Please use EVAL.\r\n'))
  expect(needs(0, 'run')).toBe(true)
})

test('every command with keys that a script may call has a shape', () => {
  const { single, all, others } = luaShapes(table)
  const names = new Set([
    ...single,
    ...all,
    ...others
      .trim()
      .split(' ')
      .map((entry) => entry.split('=')[0]!),
  ])
  for (const spec of table.specs) {
    if (spec.answer !== 'upstream' || spec.keySpecs.length === 0 || spec.flags.includes('noscript')) continue
    expect([spec.name, names.has(spec.name.split('|')[0]!)]).toEqual([spec.name, true])
  }
})

test('a line that nobody knows is the first that could be meant', () => {
  const reply = Buffer.from('-ERR x script: f, on @user_script:?.\r\n')
  expect(renameInError(reply, 'aa', 'bb', 7).toString()).toBe('-ERR x script: f, on @user_script:7.\r\n')
  expect(likelyLine('local x\nlocal f = g\nreturn f(x)\nreturn f(y)')).toBe(3)
  expect(likelyLine('x')).toBe(1)
})

test('a library of another tenant in a list is a reason to give nothing', () => {
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
  const list = (library: string, fn: string): Buffer =>
    Buffer.from(
      `*1\r\n*6\r\n${bulk('library_name')}${bulk(library)}${bulk('engine')}${bulk('LUA')}${bulk('functions')}*1\r\n*2\r\n${bulk('name')}${bulk(fn)}`,
    )
  expect(listToClient('m_', list('m_l', 'm_f'))!.toString()).toBe(list('l', 'f').toString())
  expect(listToClient('m_', list('x_l', 'm_f'))).toBeUndefined()
  expect(listToClient('m_', list('m_l', 'x_f'))).toBeUndefined()
})

test('configured otherwise: who keeps its way keeps its scripts, another way begins anew, none ends', () => {
  const modes: Record<string, ScriptTenantOptions['scripts']> = { any: 'any', decl: 'declared' }
  const scripts = new Scripts(
    (id) => (id in modes ? { id, prefix: `${id}:`, scripts: modes[id]! } : undefined),
    table,
    's',
  )
  for (const id of ['any', 'decl']) prepare(scripts, id, 'script|load', ['SCRIPT', 'LOAD', 'return 1'])
  const evalSha = (id: string) => prepare(scripts, id, 'evalsha', ['EVALSHA', sha1('return 1'), '0'])
  modes['any'] = 'declared'
  scripts.renew()
  expect(evalSha('any').reply?.toString()).toContain('-NOSCRIPT')
  expect(evalSha('decl').frame).toBeDefined()
  modes['decl'] = 'off'
  scripts.renew()
  expect(evalSha('decl').reply?.toString()).toContain('-NOPERM')
})
