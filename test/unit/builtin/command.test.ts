import {
  commandCount,
  commandGetKeys,
  commandGetKeysAndFlags,
  commandList,
  parseListFilter,
} from '../../../src/builtin/command.ts'
import { buildCommandTable } from '../../../src/commands/lookup.ts'

const table = buildCommandTable()
const args = (text: string): Buffer[] => (text === '' ? [] : text.split(' ')).map((word) => Buffer.from(word, 'latin1'))
const keys = (text: string) => {
  const found = commandGetKeys(table, args(text))
  return typeof found === 'string' ? found : found.map(String)
}

describe('COMMAND GETKEYS', () => {
  test.each([
    ['get k', ['k']],
    ['MSET a 1 b 2', ['a', 'b']],
    ['object encoding k', ['k']],
    ['sort k by w_* get x store d', ['k', 'd']],
    ['sort k store a store b', ['k', 'b']],
    ['xread block 0 streams a b 0 0', ['a', 'b']],
    ['copy a b db 5', ['a', 'b']],
    ['zunionstore d 2 a b', ['d', 'a', 'b']],
    ['nope k', 'GETKEYS_NO_COMMAND'],
    ['', 'GETKEYS_NO_COMMAND'],
    ['object nope k', 'GETKEYS_NO_COMMAND'],
    ['migrate h 1 k 0 9', 'GETKEYS_NO_COMMAND'],
    ['eval x 1 k', ['k']],
    ['ping', 'GETKEYS_NO_KEYS'],
    ['time', 'GETKEYS_NO_KEYS'],
    ['get', 'GETKEYS_ARITY'],
    ['get a b', 'GETKEYS_ARITY'],
    ['zunion x a', 'GETKEYS_INVALID'],
  ])('%s', (text, expected) => {
    expect(keys(text)).toEqual(expected)
  })

  test("the tenant's own deny list hides commands too", () => {
    expect(commandGetKeys(table, args('get k'), (spec) => spec.name === 'get')).toBe('GETKEYS_NO_COMMAND')
  })
})

test.each([
  ['set k v', [['k', 'OW update']]],
  ['set k v GET', [['k', 'RW access update']]],
  ['set get get', [['get', 'OW update']]],
  ['bitfield k get u8 0', [['k', 'RO access']]],
  ['bitfield k get u8 0 set u8 0 1', [['k', 'RW access update']]],
  ['bitfield k overflow sat get u8 0', [['k', 'RO access']]],
  [
    'rename a b',
    [
      ['a', 'RW access delete'],
      ['b', 'OW update'],
    ],
  ],
  [
    'zunionstore d 1 a',
    [
      ['d', 'OW update'],
      ['a', 'RO access'],
    ],
  ],
] as const)('COMMAND GETKEYSANDFLAGS %s', (text, expected) => {
  const found = commandGetKeysAndFlags(table, args(text))
  if (typeof found === 'string') throw new Error(found)
  expect(found.map(({ key, flags }) => [key.toString(), flags.join(' ')])).toEqual(expected)
})

describe('COMMAND COUNT and LIST', () => {
  test('count commands without subcommands, without the denied, ours and newer ones', () => {
    const names = commandList(table)
    expect(commandCount(table)).toBe(names.filter((name) => !name.includes('|')).length)
    for (const name of ['get', 'config', 'config|get', 'info', 'client']) expect(names).toContain(name)
    for (const name of ['shutdown', 'config|set', 'debug', 'proxy', 'hexpire', 'client|setinfo'])
      expect(names).not.toContain(name)
    expect(commandCount(table, (spec) => spec.name === 'get')).toBe(commandCount(table) - 1)
    // A container stays as long as one of its subcommands does, whatever is said of itself.
    const noConfig = (spec: { name: string }) => spec.name.startsWith('config') || spec.name === 'client'
    expect(commandList(table, undefined, noConfig)).toContain('client')
    expect(commandList(table, undefined, noConfig)).not.toContain('config')
  })

  test('filters', () => {
    const list = (text: string) => {
      const filter = parseListFilter(args(text))
      return typeof filter === 'string' ? filter : commandList(table, filter)
    }
    expect(list('filterby pattern GE[T]')).toEqual(['get'])
    expect(list('FILTERBY ACLCAT hyperloglog')).toEqual(['pfadd', 'pfcount', 'pfmerge'])
    expect(list('FILTERBY ACLCAT @geo')).toEqual([])
    expect(list('FILTERBY MODULE json')).toEqual([])
    for (const bad of ['FILTERBY', 'FILTERBY PATTERN', 'X PATTERN y', 'FILTERBY X y', 'FILTERBY PATTERN a b'])
      expect(list(bad)).toBe('SYNTAX')
  })
})
