import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { Costs, costRows, perNameCommands, unitsOfScript } from '../../../src/quota/cost.ts'
import { framed, RequestFramer } from '../../../src/resp/request-framer.ts'
import { command } from '../../kit/resp.ts'

const table = buildCommandTable()
const costs = new Costs(table)

function unitsOf(...args: string[]): number {
  const bytes = command(...args)
  const frame = new RequestFramer()
  expect(frame.frame(bytes, 0, bytes.length)).toBe(framed)
  let id = table.lookup(bytes, frame.off[0]!, frame.len[0]!)
  if (table.isContainer[id] !== 0) id = table.lookupSub(id, bytes, frame.off[1]!, frame.len[1]!)
  return costs.unitsOf(id, frame, bytes.length)
}

const keys = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`)

describe('the cost of a command', () => {
  test.each([
    [1, ['GET', 'k']],
    [1, ['SET', 'k', 'v']],
    [1, ['HSET', 'k', 'f', 'v', 'g', 'w']],
    [3, ['DEL', ...keys(3)]],
    [100, ['MGET', ...keys(100)]],
    [50, ['MSET', ...keys(100)]],
    [2, ['RENAME', 'a', 'b']],
    [3, ['BITOP', 'AND', ...keys(3)]],
    [2, ['BLPOP', 'a', 'b', '0']],
    [3, ['EVAL', 'return 1', '3', ...keys(3), 'argument']],
    [1, ['EVAL', 'return 1', '0', ...keys(3)]],
    [4, ['ZUNIONSTORE', 'd', '3', ...keys(3)]],
    [3, ['SINTERCARD', '3', ...keys(3)]],
    [2, ['XREAD', 'COUNT', '10', 'BLOCK', '5', 'STREAMS', 'a', 'b', '0', '0']],
    [1, ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'a', '>']],
    [5, ['SUBSCRIBE', ...keys(5)]],
    [1, ['PING']],
    [1, ['CLIENT', 'ID']],
    [0, ['AUTH', 'u', 'p']],
    [0, ['HELLO', '3']],
    [0, ['QUIT']],
    [10, ['SCAN', '0']],
    [100, ['FLUSHDB']],
  ] as [number, string[]][])('%i: %j', (units, args) => {
    expect(unitsOf(...args)).toBe(units)
  })

  test('one more for each 4 KiB of request that is begun beyond the first', () => {
    const around = command('SET', 'k', '').length
    // Four digits of length instead of one.
    const room = 4096 - around - 3
    expect(unitsOf('SET', 'k', 'v'.repeat(room))).toBe(1)
    expect(unitsOf('SET', 'k', 'v'.repeat(room + 1))).toBe(2)
    expect(unitsOf('SET', 'k', 'v'.repeat(1024 * 1024))).toBe(257)
  })

  test('a count of keys that is none, or more than there are, is the price of an error', () => {
    for (const count of ['-1', '0', 'x', '999999999999', '1e9']) expect(unitsOf('EVAL', 'return 1', count, 'a')).toBe(1)
  })

  test('a script owes for its time on the server, but not for the way there', () => {
    expect(unitsOfScript(0.9, 0.2)).toBe(0)
    expect(unitsOfScript(81, 80)).toBe(0)
    expect(unitsOfScript(281, 80)).toBe(2_000)
    expect(unitsOfScript(201, Number.POSITIVE_INFINITY)).toBe(2_000)
  })

  test('every row names commands that there are', () => {
    for (const name of [...costRows.flatMap((row) => row.commands), ...perNameCommands])
      expect(table.byName(name)?.name).toBe(name)
  })
})
