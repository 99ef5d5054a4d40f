/** From the bytes of a command's name to its row, against a Map of strings. */
import { buildCommandTable } from '../src/commands/lookup.ts'
import type { MicroCase } from './micro.ts'

export function lookupCases(): MicroCase[] {
  const table = buildCommandTable()
  const names = ['GET', 'set', 'Incr', 'HGETALL', 'zrangebyscore', 'MGET', 'expire', 'LPUSH']
  const buffers = names.map((name) => Buffer.from(`$${name.length}\r\n${name}\r\n`))
  const offsets = buffers.map((buffer) => buffer.indexOf('\n') + 1)
  const byName = new Map(table.specs.map((spec) => [spec.name, spec.id]))
  return [
    {
      name: 'lookup: table by bytes',
      perRun: names.length,
      run: () => {
        let sum = 0
        for (let i = 0; i < names.length; i++) sum += table.lookup(buffers[i]!, offsets[i]!, names[i]!.length)
        return sum
      },
    },
    {
      name: 'lookup: unknown command',
      perRun: 1,
      run: () => table.lookup(buffers[0]!, 0, 6),
    },
    {
      name: 'lookup, for comparison: Map by string',
      perRun: names.length,
      run: () => {
        let sum = 0
        for (let i = 0; i < names.length; i++) {
          const name = buffers[i]!.toString('latin1', offsets[i]!, offsets[i]! + names[i]!.length).toLowerCase()
          sum += byName.get(name) ?? -1
        }
        return sum
      },
    },
  ]
}
