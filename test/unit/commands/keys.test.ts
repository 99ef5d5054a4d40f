import { findKeys, findNamedKeys, newKeyList } from '../../../src/commands/keys.ts'
import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { framed } from './framed.ts'

const table = buildCommandTable()

/** Indices of the keys of a request, written as words, or the error. */
function keysOf(text: string, named = false): number[] | string {
  const args = text.split(' ')
  const spec = table.byName(`${args[0]}|${args[1]}`) ?? table.byName(args[0] ?? '')
  const keys = newKeyList()
  const code = (named ? findNamedKeys : findKeys)(table, spec!.id, framed(args), keys)
  return code ?? Array.from(keys.arg.subarray(0, keys.count))
}

function blocks(text: string): boolean | undefined {
  const args = text.split(' ')
  const keys = newKeyList()
  findKeys(table, table.byName(args[0]!)!.id, framed(args), keys)
  return keys.blocks
}

describe('first, last and step', () => {
  test.each([
    ['get k', [1]],
    ['mget a b c', [1, 2, 3]],
    ['mset a 1 b 2', [1, 3]],
    ['mset a 1 b', [1, 3]],
    ['rename a b', [1, 2]],
    ['bitop and d a b', [2, 3, 4]],
    ['sdiffstore d a b', [1, 2, 3]],
    ['object encoding k', [2]],
    ['memory usage k samples 5', [2]],
    ['xgroup create k g $', [2]],
    ['geosearchstore d s fromlonlat 1 2 byradius 1 km storedist', [1, 2]],
    ['set store store', [1]],
    ['time', []],
  ])('%s', (text, expected) => {
    expect(keysOf(text)).toEqual(expected)
  })

  test('many keys make the list grow', () => {
    expect(keysOf(`del ${Array.from({ length: 500 }, (_, i) => `k${i}`).join(' ')}`)).toHaveLength(500)
  })
})

describe('counted keys', () => {
  test.each([
    ['zunion 2 a b weights 1 2', [2, 3]],
    ['zunionstore d 2 a b', [1, 3, 4]],
    ['lmpop 1 l left', [2]],
    ['lmpop 2 a b', [2, 3]],
    ['sintercard 2 a b limit 1', [2, 3]],
    ['zunion 0 a', 'NO_INPUT_KEY'],
    ['zunion -1 a', 'NO_INPUT_KEY'],
    ['zunion x a', 'NOT_INTEGER'],
    ['zunion 01 a', 'NOT_INTEGER'],
    ['zunion +1 a', 'NOT_INTEGER'],
    ['zunion -0 a', 'NOT_INTEGER'],
    ['zunion 2 a', 'SYNTAX'],
    ['zunion 9223372036854775807 a', 'SYNTAX'],
    ['zunion 9223372036854775808 a', 'NOT_INTEGER'],
    ['zunion -9223372036854775808 a', 'NO_INPUT_KEY'],
    ['zunion -9223372036854775809 a', 'NOT_INTEGER'],
    ['zunion 4294967297 a', 'SYNTAX'],
    ['zunionstore d 2 a', 'SYNTAX'],
    ['lmpop 0 a left', 'NUMKEYS_POSITIVE'],
    ['lmpop x a left', 'NUMKEYS_POSITIVE'],
    ['lmpop 3 a left', 'SYNTAX'],
    ['sintercard 3 a', 'NUMKEYS'],
    ['eval x 0', []],
    ['eval x 2 a b c', [3, 4]],
    ['eval x -1', 'NUMKEYS_NEGATIVE'],
    ['eval x 3 a b', 'NUMKEYS'],
  ])('%s', (text, expected) => {
    expect(keysOf(text)).toEqual(expected)
  })
})

describe('streams', () => {
  test.each([
    ['xread streams a 0', [2]],
    ['xread count 2 streams a b 0 $', [4, 5]],
    ['xread streams streams streams streams 0', [2, 3]],
    ['xread streams a b 0', 'UNBALANCED_STREAMS'],
    ['xread count 1', 'SYNTAX'],
    ['xread count x streams a 0', 'NOT_INTEGER'],
    ['xread foo streams a 0', 'SYNTAX'],
    ['xread block 0 streams a 0', [4]],
    ['xreadgroup group g c streams a >', [5]],
    ['xreadgroup group streams streams streams a >', [5]],
    ['xreadgroup group g streams streams a >', [5]],
    ['xreadgroup noack group g c block 1 streams a >', [8]],
    ['xreadgroup group g c claim 5 streams a >', [7]],
    ['xread streams', 'SYNTAX'],
    ['xread count streams', 'NOT_INTEGER'],
  ])('%s', (text, expected) => {
    expect(keysOf(text)).toEqual(expected)
  })

  test('BLOCK makes the command one that may wait', () => {
    expect(blocks('xread block 0 streams a 0')).toBe(true)
    expect(blocks('xread count 1 streams block 0')).toBe(false)
  })
})

describe('sort', () => {
  test.each([
    ['sort k', [1]],
    ['sort k by w_* get h_*->f get # limit 0 1 desc store d', [1, 3, 5, 13]],
    ['sort k by nosort get #', [1]],
    ['sort k get plain', [1, 3]],
    ['sort k get #x', [1, 3]],
    ['sort k get #\0x', [1]],
    ['sort k by a\0*', [1]],
    ['sort k by a*\0', [1, 3]],
    ['sort k store a store b', [1, 3, 5]],
    ['sort k store\0 a', [1, 3]],
    ['sort k limit store 1', 'NOT_INTEGER'],
    ['sort k limit 0 1 store d', [1, 6]],
    ['sort k limit 0', 'SYNTAX'],
    ['sort k store', 'SYNTAX'],
    ['sort k by', 'SYNTAX'],
    ['sort k get', 'SYNTAX'],
    ['sort k stor d', 'SYNTAX'],
    ['sort k by store store d', [1, 5]],
    ['sort_ro k by w_* get h_*', [1, 3, 5]],
    ['sort_ro k store d', 'SYNTAX'],
  ])('%j', (text, expected) => {
    expect(keysOf(text)).toEqual(expected)
  })

  test('says how many of them are patterns', () => {
    const keys = newKeyList()
    const spec = table.byName('sort_ro')!
    findKeys(table, spec.id, framed('sort_ro k by w_* get # get h_*'.split(' ')), keys)
    expect(keys.patterns).toBe(2)
    findKeys(table, spec.id, framed('sort_ro k'.split(' ')), keys)
    expect(keys.patterns).toBe(0)
  })

  test('patterns are no keys where the client only asks', () => {
    expect(keysOf('sort k by w_* get h_* store d', true)).toEqual([1, 7])
  })
})

describe('georadius and copy', () => {
  test.each([
    ['georadius k 1 2 3 km', [1]],
    ['georadius k 1 2 3 km withdist count 5 any asc store d', [1, 12]],
    ['georadius k 1 2 3 km store a storedist b', [1, 7, 9]],
    ['georadius k 1 2 3 km count store storedist b', [1, 9]],
    ['georadius k 1 2 3 km store', 'SYNTAX'],
    ['georadius k 1 2 3 km nope store d', 'SYNTAX'],
    ['georadiusbymember k store 3 km store d', [1, 6]],
    ['georadiusbymember k m 3 km STORE\0 d', [1, 6]],
    ['copy a b', [1, 2]],
    ['copy a b replace', [1, 2]],
    // A server's databases are not the tenant's: such a request is never sent as it is.
    ['copy a b db 0 replace', 'NOPERM'],
    ['copy a b db 1', 'NOPERM'],
    ['copy a b replace DB\0x 1', 'NOPERM'],
    ['copy a b db x', 'NOPERM'],
    ['move a 1', 'NOPERM'],
    ['renamenx a b', [1, 2]],
    ['copy a b db', 'SYNTAX'],
    ['copy a b foo', 'SYNTAX'],
  ])('%j', (text, expected) => {
    expect(keysOf(text)).toEqual(expected)
  })
})
