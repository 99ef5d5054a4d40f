import { TenantCells } from '../../../src/metrics/cells.ts'
import { TenantState } from '../../../src/tenant/account.ts'
import { acrossDatabases, databaseOf, keyPrefixes } from '../../../src/tenant/databases.ts'

function argvOf(text: string) {
  const args = text.split(' ').map((arg) => Buffer.from(arg))
  const off = new Int32Array(args.length)
  for (let i = 1; i < args.length; i++) off[i] = off[i - 1]! + args[i - 1]!.length
  return { buf: Buffer.concat(args), count: args.length, off, len: Int32Array.from(args, (arg) => arg.length) }
}

test('no prefix of a database is the beginning of another, nor of any key of another', () => {
  const prefixes = keyPrefixes('shop:', 16).map(String)
  expect(prefixes.slice(0, 2)).toEqual(['shop:0:', 'shop:1:'])
  for (const a of prefixes) for (const b of prefixes) if (a !== b) expect(b.startsWith(a)).toBe(false)
  // What would collide did database 0 keep the plain prefix: its key `1:a`.
  expect(`${prefixes[0]}1:a`.startsWith(prefixes[1]!)).toBe(false)
})

test('a tenant with one database keeps its prefix; one with a database of the servers has none on keys, but on channels', () => {
  const state = (space: object) => new TenantState('shop', 'shop:', new TenantCells(), space)
  const seen = (it: TenantState) => [it.database, String(it.prefix), String(it.keyPrefix), it.prefixes.map(String)]
  expect(seen(state({}))).toEqual([0, 'shop:', 'shop:', ['shop:']])
  expect(seen(state({ databases: 2 }))).toEqual([0, 'shop:', 'shop:', ['shop:0:', 'shop:1:']])
  expect(seen(state({ database: 3 }))).toEqual([3, 'shop:', '', ['']])
})

test.each([
  ['0', 0],
  ['3', 3],
  ['4', 'DB_INDEX'],
  ['-1', 'DB_INDEX'],
  ['2147483648', 'INT_RANGE'],
  ['-2147483649', 'INT_RANGE'],
  ['9223372036854775808', 'NOT_INTEGER'],
  ['01', 'NOT_INTEGER'],
])('the database %s', (text, expected) => {
  expect(databaseOf(argvOf(text), 0, 4)).toBe(expected)
})

describe('what goes between databases', () => {
  const prefixes = keyPrefixes('shop:', 4)
  test.each([
    ['move k 1', 2, 'RENAMENX 2:k 1:k'],
    ['move k 2', 2, 'SAME_OBJECT'],
    ['move k 4', 2, 'DB_INDEX'],
    ['copy a b db 3', 0, 'COPY 0:a 3:b'],
    ['copy a b REPLACE DB 3', 0, 'COPY 0:a 3:b REPLACE'],
    ['copy a b db 3 replace db 1', 0, 'COPY 0:a 1:b REPLACE'],
    ['copy a a db 0', 0, 'COPY 0:a 0:a'],
    ['copy a b db 9 foo', 0, 'DB_INDEX'],
    ['copy a b db 1 foo', 0, 'SYNTAX'],
    ['copy a b db 1 db', 0, 'SYNTAX'],
    ['copy a b db x', 0, 'NOT_INTEGER'],
  ])('%s from database %i', (text, from, expected) => {
    const made = acrossDatabases(argvOf(text), text.startsWith('move'), from, prefixes, 'shop:'.length)
    const words = expected.split(' ')
    const frame = `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
    expect(String(made)).toBe(/[ ]/.test(expected) ? frame : expected)
  })

  test('a tenant with one database has the plain command', () => {
    const one = keyPrefixes('shop:', 1)
    expect(String(acrossDatabases(argvOf('copy a b db 0'), false, 0, one, 5))).toBe(
      '*3\r\n$4\r\nCOPY\r\n$1\r\na\r\n$1\r\nb\r\n',
    )
    expect(acrossDatabases(argvOf('move a 0'), true, 0, one, 5)).toBe('SAME_OBJECT')
    expect(acrossDatabases(argvOf('move a 1'), true, 0, one, 5)).toBe('DB_INDEX')
  })
})
