import { commandCount, commandList } from '../../../src/builtin/command.ts'
import { facts } from '../../../src/commands/facts.generated.ts'
import { learn, type ServerCommand, serverCommands } from '../../../src/commands/live.ts'
import { buildCommandTable, type CommandTable } from '../../../src/commands/lookup.ts'
import { MISSING } from '../../../src/commands/spec.ts'

const of7: readonly ServerCommand[] = facts.map((row) => ({ ...row, saysKeys: true }))
/** All of a server of 7.0, some of it otherwise. */
const but = (...others: readonly (Partial<ServerCommand> & { name: string })[]): ServerCommand[] =>
  of7.map((row) => ({ ...row, ...others.find(({ name }) => name === row.name) }))
const missing = (table: CommandTable, name: string) => table.missing[table.byName(name)!.id]
const arity = (table: CommandTable, name: string) => table.arity[table.byName(name)!.id]

test('of the server that the facts come from, only what is newer is missing', () => {
  const table = buildCommandTable()
  const learned = learn(table, of7)
  expect(learned).toMatchObject({ unknown: [], unfit: [], arity: [], flags: [] })
  expect(learned.missing).toEqual(table.specs.filter((spec) => spec.since !== undefined).map((spec) => spec.name))
  expect([missing(table, 'get'), missing(table, 'hexpire'), missing(table, 'cluster|myshardid')]).toEqual([
    MISSING.not,
    MISSING.lacks,
    MISSING.lacks,
  ])
  // What the proxy answers it answers whatever the server has; and nobody else has PROXY.
  expect([missing(table, 'client|setinfo'), missing(table, 'proxy|help')]).toEqual([MISSING.not, MISSING.not])
})

test('what the server has more is listed, and gone again with the next primary', () => {
  const table = buildCommandTable()
  const before = commandCount(table)
  const hexpire = { name: 'hexpire', arity: -6, flags: 'write fast', saysKeys: false }
  expect(learn(table, [...of7, hexpire]).missing).not.toContain('hexpire')
  expect(commandCount(table)).toBe(before + 1)
  expect(commandList(table)).toContain('hexpire')
  learn(table, of7)
  expect(commandCount(table)).toBe(before)
  expect(commandList(table)).not.toContain('hexpire')
})

test('what the policy does not know is told, and stays unknown', () => {
  const table = buildCommandTable()
  const rows = [...of7, { name: 'nosuch', arity: 2, flags: 'readonly', saysKeys: true }]
  expect(learn(table, rows).unknown).toEqual(['nosuch'])
  expect(table.byName('nosuch')).toBeUndefined()
  expect(commandList(table)).not.toContain('nosuch')
})

test('a wider arity is taken, one that could leave a key out is not', () => {
  const table = buildCommandTable()
  const learned = learn(
    table,
    but({ name: 'zrank', arity: -3 }, { name: 'command|getkeys', arity: -3 }, { name: 'rename', arity: -2 }),
  )
  expect([...learned.arity].sort()).toEqual(['command|getkeys', 'rename', 'zrank'])
  expect([arity(table, 'zrank'), arity(table, 'command|getkeys'), arity(table, 'rename')]).toEqual([-3, -3, 3])
  learn(table, of7)
  expect(arity(table, 'zrank')).toBe(3)
})

test('a command whose keys the server finds elsewhere is refused, and told', () => {
  const table = buildCommandTable()
  const at = (first: number) => [{ at: first, last: 0, step: 1, limit: 0, flags: 'RO access' }]
  const learned = learn(table, but({ name: 'get', keys: at(1) }, { name: 'strlen', keys: at(2) }))
  expect(learned.unfit).toEqual(['strlen'])
  expect([missing(table, 'get'), missing(table, 'strlen')]).toEqual([MISSING.not, MISSING.unfit])
})

test('a write that we take for a read is told', () => {
  expect(learn(buildCommandTable(), but({ name: 'get', flags: 'write fast' })).flags).toEqual(['get'])
})

test('a server before 7.0 names no subcommands and no keys', () => {
  const table = buildCommandTable()
  const plain = facts
    .filter((row) => !row.name.includes('|') && row.name !== 'lmpop')
    .map((row) => [row.name, row.arity, row.flags.split(' '), 1, 1, 1, []])
  const commands = serverCommands(plain)
  const learned = learn(table, commands)
  expect(learned.unfit).toEqual([])
  expect([missing(table, 'lmpop'), missing(table, 'object|encoding'), missing(table, 'xinfo|stream')]).toEqual([
    MISSING.lacks,
    MISSING.not,
    MISSING.not,
  ])
})

test('a reply of another shape is an error, and one without end is cut', () => {
  expect(() => serverCommands('OK')).toThrow('not an array')
  expect(() => serverCommands([['get', 'x', []]])).toThrow('arity')
  expect(serverCommands(Array.from({ length: 10_000 }, () => ['get', 2, []]))).toHaveLength(4096)
})
