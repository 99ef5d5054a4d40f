import { keysByDatabase, readTotals, writesSoFar } from '../../../src/usage/totals.ts'

const memory = '# Memory\r\nused_memory:5000000\r\nused_memory_overhead:1\r\nused_memory_dataset:1000000\r\n'
const keyspace = '# Keyspace\r\ndb0:keys=100,expires=2,avg_ttl=5\r\ndb3:keys=10,expires=0,avg_ttl=0\r\n'

test('totals are the bytes of the data, with what a key takes besides, and all keys', () => {
  expect(readTotals('r', memory, keyspace)).toEqual({ server: 'r', bytes: 1_000_000 + 40 * 110, keys: 110 })
  expect(readTotals('r', memory, '# Keyspace\r\n')).toEqual({ server: 'r', bytes: 1_000_000, keys: 0 })
})

test('a page that is refused, or says something else, is no total', () => {
  expect(
    readTotals('r', "-NOPERM this user has no permissions to run the 'info' command\r\n", keyspace),
  ).toBeUndefined()
  expect(readTotals('r', memory, '-NOPERM\r\n')).toBeUndefined()
})

test('keys are told by database', () => {
  expect([...keysByDatabase(keyspace)]).toEqual([
    [0, 100],
    [3, 10],
  ])
})

test('two moments are alike only when nothing was written between them, on one server that says so', () => {
  const persistence = (changes: number): string =>
    `# Persistence\r\nrdb_changes_since_last_save:${changes}\r\nrdb_last_save_time:7\r\n`
  const at = (changes: number, keys = keyspace, server = 'r'): string => writesSoFar(persistence(changes), keys, server)
  expect(at(5)).toBe(at(5))
  expect(at(6)).not.toBe(at(5))
  expect(at(5, keyspace, 's')).not.toBe(at(5))
  expect(at(5, '# Keyspace\r\ndb0:keys=99,expires=2,avg_ttl=5\r\n')).not.toBe(at(5))
  expect(writesSoFar('-NOPERM\r\n', keyspace, 'r')).not.toBe(writesSoFar('-NOPERM\r\n', keyspace, 'r'))
})
