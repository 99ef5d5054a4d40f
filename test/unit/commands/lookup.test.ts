import { facts } from '../../../src/commands/facts.generated.ts'
import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { KEYS, REPLY, ROUTE } from '../../../src/commands/spec.ts'

const table = buildCommandTable()
const find = (name: string): number => {
  const bytes = Buffer.from(`*3\r\n${name}\r\n`, 'latin1')
  return table.lookup(bytes, 4, bytes.length - 6)
}
const idOf = (name: string): number => table.byName(name)?.id ?? -1

describe('a name off the wire', () => {
  test('finds every command in lower, upper and mixed case', () => {
    for (const spec of table.specs.filter((one) => !one.name.includes('|'))) {
      const mixed = [...spec.name].map((c, i) => (i % 2 === 0 ? c.toUpperCase() : c)).join('')
      for (const name of [spec.name, spec.name.toUpperCase(), mixed])
        expect([name, find(name)]).toEqual([name, spec.id])
    }
  })

  test('finds every subcommand in its container only', () => {
    for (const spec of table.specs.filter((one) => one.name.includes('|'))) {
      const [container = '', sub = ''] = spec.name.split('|')
      const bytes = Buffer.from(sub.toUpperCase())
      expect(table.lookupSub(idOf(container), bytes, 0, bytes.length)).toBe(spec.id)
      expect(table.lookupSub(idOf('get'), bytes, 0, bytes.length)).toBe(-1)
      expect(find(spec.name)).toBe(-1)
    }
  })

  test.each([
    ['', 'nothing'],
    ['constructor', 'a property of objects'],
    ['__proto__', 'a property of objects'],
    ['toString', 'a property of objects'],
    ['ge', 'a beginning'],
    ['gett', 'a name and more'],
    ['GET\0', 'a name and a NUL'],
    ['\x07ET', 'bytes that only bit 0x20 makes letters'],
    ['bitfield\x7fro', 'DEL, which _ becomes with bit 0x20'],
    ['bitfield\x5fro\r', 'a CR'],
    ['client|getname', 'the name of a subcommand'],
    ['gеt', 'a letter of another script'],
  ])('does not find %j: %s', (name) => {
    expect(find(name)).toBe(-1)
  })

  test('a name of 64 KiB is no command and costs nothing', () => {
    const bytes = Buffer.alloc(64 * 1024, 'g')
    expect(table.lookup(bytes, 0, bytes.length)).toBe(-1)
  })
})

describe('byName', () => {
  test('knows names as Redis writes them, in any case, and nothing else', () => {
    expect(table.byName('GET')?.name).toBe('get')
    expect(table.byName('Config|Get')?.name).toBe('config|get')
    for (const name of ['', '|', 'config|', 'config|nope', 'get|x', 'config|get|x', '__proto__'])
      expect([name, table.byName(name)]).toEqual([name, undefined])
  })
})

describe('columns', () => {
  const row = (name: string) => {
    const id = idOf(name)
    return [
      table.route[id],
      table.keyMode[id],
      table.keyFirst[id],
      table.keyLast[id],
      table.keyStep[id],
      table.replyMode[id],
    ]
  }
  test.each([
    ['get', [ROUTE.read, KEYS.range, 1, 1, 1, REPLY.pass]],
    ['set', [ROUTE.write, KEYS.range, 1, 1, 1, REPLY.pass]],
    ['mset', [ROUTE.write, KEYS.range, 1, -1, 2, REPLY.pass]],
    ['del', [ROUTE.write, KEYS.range, 1, -1, 1, REPLY.pass]],
    ['bitop', [ROUTE.write, KEYS.range, 2, -1, 1, REPLY.pass]],
    ['sdiffstore', [ROUTE.write, KEYS.range, 1, -1, 1, REPLY.pass]],
    ['rename', [ROUTE.write, KEYS.range, 1, 2, 1, REPLY.pass]],
    ['lcs', [ROUTE.read, KEYS.range, 1, 2, 1, REPLY.pass]],
    ['object|encoding', [ROUTE.read, KEYS.range, 2, 2, 1, REPLY.pass]],
    ['memory|usage', [ROUTE.read, KEYS.range, 2, 2, 1, REPLY.pass]],
    ['xgroup|create', [ROUTE.write, KEYS.range, 2, 2, 1, REPLY.pass]],
    ['pfcount', [ROUTE.read, KEYS.range, 1, -1, 1, REPLY.pass]],
    ['hscan', [ROUTE.primary, KEYS.range, 1, 1, 1, REPLY.pass]],
    ['touch', [ROUTE.primary, KEYS.range, 1, -1, 1, REPLY.pass]],
    ['zunionstore', [ROUTE.write, KEYS.finder, 2, 1, 1, REPLY.pass]],
    ['sintercard', [ROUTE.read, KEYS.finder, 1, 0, 1, REPLY.pass]],
    ['lmpop', [ROUTE.write, KEYS.finder, 1, 0, 1, REPLY.firstElement]],
    ['xreadgroup', [ROUTE.write, KEYS.finder, 0, 0, 0, REPLY.streams]],
    ['xinfo|consumers', [ROUTE.read, KEYS.range, 2, 2, 1, REPLY.errorNames]],
    ['time', [ROUTE.read, KEYS.none, 0, 0, 0, REPLY.pass]],
    ['command|docs', [ROUTE.read, KEYS.none, 0, 0, 0, REPLY.commandDocs]],
    ['hexpire', [ROUTE.write, KEYS.range, 1, 1, 1, REPLY.errorNames]],
    ['ping', [ROUTE.proxy, KEYS.none, 0, 0, 0, REPLY.pass]],
    ['client|setinfo', [ROUTE.proxy, KEYS.none, 0, 0, 0, REPLY.pass]],
    ['client', [ROUTE.denied, KEYS.none, 0, 0, 0, REPLY.pass]],
  ] as const)('%s', (name, expected) => {
    expect(row(name)).toEqual(expected)
  })

  test('agree with the specs', () => {
    for (const spec of table.specs) {
      expect(table.specs[spec.id]).toBe(spec)
      expect(table.arity[spec.id]).toBe(spec.arity)
      expect(table.isContainer[spec.id] === 1).toBe(spec.isContainer)
      expect(table.route[spec.id] === ROUTE.denied).toBe(spec.answer === 'denied')
      expect(table.route[spec.id] === ROUTE.proxy).toBe(spec.answer === 'proxy')
      if (spec.isReplicaSafe) expect([spec.name, table.route[spec.id]]).toEqual([spec.name, ROUTE.read])
    }
  })
})

test('a container is hidden when all its subcommands are', () => {
  const hidden = (name: string) => table.isHidden(table.byName(name)!)
  expect(table.isHidden(table.byName('cluster')!, (spec) => spec.name.startsWith('cluster|'))).toBe(true)
  expect(hidden('shutdown')).toBe(true)
  expect(hidden('client')).toBe(false)
  expect(hidden('get')).toBe(false)
  expect(
    table
      .subcommands(table.byName('config')!)
      .map((spec) => spec.name)
      .sort(),
  ).toEqual(facts.map((row) => row.name).filter((name) => name.startsWith('config|')))
})
