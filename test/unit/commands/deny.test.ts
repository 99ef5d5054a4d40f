import { denyColumn, isDenied, isDenyEntry } from '../../../src/commands/deny.ts'
import { buildCommandTable } from '../../../src/commands/lookup.ts'

const table = buildCommandTable()
const denies = (list: string[], name: string) => isDenied(table, table.byName(name)!, list)

test('a command by name, in any case, and a container with all its subcommands', () => {
  expect(denies(['SORT'], 'sort')).toBe(true)
  expect(denies(['SORT'], 'sort_ro')).toBe(false)
  expect(denies(['object'], 'object|encoding')).toBe(true)
  expect(denies(['OBJECT|freq'], 'object|freq')).toBe(true)
  expect(denies(['object|freq'], 'object|encoding')).toBe(false)
  expect(denies(['command'], 'command|docs')).toBe(true)
  expect(denies([], 'get')).toBe(false)
})

test('a category with or without @; a name that is both is the command', () => {
  expect(denies(['@geo'], 'geoadd')).toBe(true)
  expect(denies(['geo'], 'geoadd')).toBe(true)
  expect(denies(['@Dangerous'], 'sort')).toBe(true)
  expect(denies(['set'], 'set')).toBe(true)
  expect(denies(['set'], 'sadd')).toBe(false)
  expect(denies(['@set'], 'sadd')).toBe(true)
  expect(denies(['@set'], 'set')).toBe(false)
  expect(denies(['@all'], 'get')).toBe(true)
})

test('what Regis answers itself is judged by name only', () => {
  expect(denies(['@dangerous', '@all', '@connection', '@slow'], 'info')).toBe(false)
  expect(denies(['@all'], 'ping')).toBe(false)
  expect(denies(['info'], 'info')).toBe(true)
  expect(denies(['config|get'], 'config|get')).toBe(true)
})

test('the column holds one byte per command', () => {
  const column = denyColumn(table, ['@geo', 'KEYS'])
  expect(column).toHaveLength(table.specs.length)
  expect(column[table.byName('geoadd')!.id]).toBe(1)
  expect(column[table.byName('keys')!.id]).toBe(1)
  expect(column[table.byName('get')!.id]).toBe(0)
})

test('configuration can tell what means nothing', () => {
  for (const entry of ['KEYS', 'config|get', '@write', 'write', 'Set', '@all'])
    expect([entry, isDenyEntry(table, entry)]).toEqual([entry, true])
  for (const entry of ['', '@', 'nope', '@nope', 'config|nope', '__proto__', '@get'])
    expect([entry, isDenyEntry(table, entry)]).toEqual([entry, false])
})

test('subscriptions are judged by their categories too, though Regis keeps them', () => {
  for (const name of ['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'pubsub|channels', 'publish'])
    expect([name, denies(['@pubsub'], name), denies(['@all'], name)]).toEqual([name, true, true])
  expect(denies(['@pubsub'], 'ping')).toBe(false)
})
