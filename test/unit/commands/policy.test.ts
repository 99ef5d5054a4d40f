import { derive, keyShape, policyByName } from '../../../src/commands/derive.ts'
import { facts } from '../../../src/commands/facts.generated.ts'
import { newerFacts } from '../../../src/commands/facts-newer.generated.ts'
import { newerByHand } from '../../../src/commands/facts-newer.ts'
import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { ours, particulars, policy } from '../../../src/commands/policy.ts'
import { BLOCK_OPTION, KEYS, NUMKEYS_RULE } from '../../../src/commands/spec.ts'

interface Published {
  readonly arity: number
  readonly flags: readonly string[]
  readonly keyStart: number
  readonly keyStop: number
  readonly step: number
  readonly subcommands?: Readonly<Record<string, Published>>
}
/** A table of the commands of Redis 8.10 that others keep. */
const published = require('@ioredis/commands/built/commands.json') as Readonly<Record<string, Published>>
const table = buildCommandTable()
const named = (answer: string) => table.specs.filter((spec) => spec.answer === answer)

describe('the policy', () => {
  test('names each of the 366 commands of Redis 7.0, or its subcommands', () => {
    const byName = policyByName()
    expect(facts).toHaveLength(366)
    const isContainer = (name: string) => facts.some((row) => row.name.startsWith(`${name}|`))
    expect(facts.filter((row) => !byName.has(row.name) && !isContainer(row.name))).toEqual([])
  })

  test('names nothing twice', () => {
    expect(() => policyByName([...policy, { family: 'again', answer: 'proxy', commands: 'get' }])).toThrow('twice: get')
  })

  test('says why, wherever it refuses or overrides', () => {
    for (const group of policy)
      if (group.answer === 'denied' || group.node !== undefined)
        expect([group.family, group.why]).not.toEqual([group.family, undefined])
    for (const spec of named('denied')) expect([spec.name, spec.why]).not.toEqual([spec.name, undefined])
  })

  test('no command is there by mistake: each derived default is also a row', () => {
    expect(table.specs.filter((spec) => /no row of the policy|cannot be found/.test(spec.why ?? ''))).toEqual([])
  })

  test('serves all keyed, stateless commands of Redis 7.0 but the few that reach beyond the tenant', () => {
    const keyed = facts.filter((row) => row.keys?.some((spec) => !spec.flags.includes('not_key')) === true)
    const refused = keyed.filter((row) => table.byName(row.name)?.answer !== 'upstream').map((row) => row.name)
    expect(refused.sort()).toEqual(['migrate', 'pfdebug', 'restore', 'restore-asking'].sort())
  })
})

describe('what rows leave out is closed', () => {
  test('what goes upstream has keys that we can find, or a row that says it has none', () => {
    for (const spec of named('upstream')) {
      const keyless = table.keyMode[spec.id] === KEYS.none
      if (keyless && spec.via === undefined)
        expect([spec.name, policyByName().get(spec.name)?.node]).toEqual([spec.name, 'nearest'])
      for (const key of spec.keySpecs) if (key.unknown === true) expect(spec.name).toMatch(/^sort(_ro)?$/)
    }
  })

  test('only read-only commands go to a replica', () => {
    for (const spec of table.specs)
      if (spec.isReplicaSafe && table.keyMode[spec.id] !== KEYS.none)
        expect([spec.name, spec.flags]).toEqual([spec.name, expect.arrayContaining(['readonly'])])
    for (const name of ['xreadgroup', 'sort', 'georadius', 'bitfield'])
      expect(table.byName(name)?.isReplicaSafe).toBe(false)
    for (const name of ['hscan', 'sscan', 'zscan', 'object|freq', 'object|idletime', 'touch']) {
      expect(table.byName(name)?.isReplicaSafe).toBe(false)
      expect(table.byName(name)?.isWrite).toBe(false)
    }
  })

  test('keys that no rule describes have no shape, and so no service', () => {
    const row = { name: 'x', arity: -2, flags: 'write', categories: '' }
    expect(keyShape({ ...row, keys: [{ unknown: true, flags: 'RW' }] }, {})).toBeUndefined()
    const keyword = { keyword: 'KEYS', from: 1, last: -1, step: 1, limit: 0, flags: 'RW' }
    expect(keyShape({ ...row, keys: [keyword] }, {})).toBeUndefined()
    expect(keyShape({ ...row, keys: [{ at: 1, last: -1, step: 1, limit: 2, flags: 'RW' }] }, {})).toBeUndefined()
    const apart = [1, 4].map((at) => ({ at, last: 0, step: 1, limit: 0, flags: 'RW' }))
    expect(keyShape({ ...row, keys: apart }, {})).toBeUndefined()
  })

  test('channels in key specifications are no keys', () => {
    const row = { name: 'x', arity: 2, flags: '', categories: '' }
    expect(keyShape({ ...row, keys: [{ at: 1, last: 0, step: 1, limit: 0, flags: 'not_key' }] }, {})?.mode).toBe(
      KEYS.none,
    )
  })
})

describe('commands newer than the facts', () => {
  const newer = table.specs.filter((spec) => spec.since !== undefined)

  test('are judged one by one, and in an unknown-command error lose their arguments', () => {
    const byName = policyByName()
    for (const spec of newer) {
      expect([spec.name, byName.has(spec.name) || spec.isContainer]).toEqual([spec.name, true])
      if (spec.answer === 'upstream') expect([spec.name, spec.reply]).toEqual([spec.name, 'errorNames'])
    }
  })

  test('stand in one of two tables, and the live one counts', () => {
    const byHand = new Set(newerByHand.map((row) => row.name))
    expect(newerByHand).toHaveLength(byHand.size)
    expect(newerFacts.filter((row) => byHand.has(row.name))).toEqual([])
    expect(facts.filter((row) => byHand.has(row.name))).toEqual([])
  })

  test('have their keys where the published syntax puts them', () => {
    const shape = (name: string) => {
      const { id } = table.byName(name)!
      return [table.keyMode[id], table.keyFirst[id], table.keyLast[id], table.keyStep[id]]
    }
    for (const name of [
      'hexpire',
      'vadd',
      'vrange',
      'arset',
      'argrep',
      'delex',
      'digest',
      'increx',
      'xnack',
      'xcfgset',
    ])
      expect([name, ...shape(name)]).toEqual([name, KEYS.range, 1, 1, 1])
    for (const name of ['xackdel', 'xdelex', 'delifeq', 'json.set', 'bf.add', 'topk.list', 'ts.range'])
      expect([name, ...shape(name)]).toEqual([name, KEYS.range, 1, 1, 1])
    for (const name of ['lmovem', 'blmovem']) expect([name, ...shape(name)]).toEqual([name, KEYS.range, 1, 2, 1])
    for (const name of ['sdiffcard', 'sunioncard']) expect([name, ...shape(name)]).toEqual([name, KEYS.finder, 1, 0, 1])
    for (const name of ['cms.merge', 'tdigest.merge'])
      expect([name, ...shape(name)]).toEqual([name, KEYS.finder, 2, 1, 1])
    expect(shape('msetex')).toEqual([KEYS.finder, 1, 0, 2])
    expect(shape('himport|set')).toEqual([KEYS.range, 2, 2, 1])
    expect(shape('json.mget')).toEqual([KEYS.range, 1, -2, 1])
    for (const name of ['json.mset', 'ts.madd']) expect([name, ...shape(name)]).toEqual([name, KEYS.range, 1, -1, 3])
  })

  test('those of the core are as @ioredis/commands has them: arity, flags, range of keys', () => {
    for (const spec of newer) {
      const [name = '', sub] = spec.name.split('|')
      const top = published[name]
      const entry = sub === undefined ? top : top?.subcommands?.[sub]
      if (entry === undefined) continue
      const flags = (words: readonly string[]) => words.filter((word) => word !== 'movablekeys').sort()
      const isApart = spec.name.startsWith('cluster|') // of other flags in Valkey, and in later releases
      expect([spec.name, spec.arity]).toEqual([spec.name, entry.arity])
      if (!isApart) expect([spec.name, flags(spec.flags)]).toEqual([spec.name, flags(entry.flags)])
      if (spec.answer === 'upstream' && entry.keyStart > 0)
        expect([spec.name, table.keyFirst[spec.id], table.keyLast[spec.id], table.keyStep[spec.id]]).toEqual([
          spec.name,
          entry.keyStart,
          entry.keyStop,
          entry.step,
        ])
    }
    // And it knows none that we do not.
    const names = Object.entries(published).flatMap(([name, entry]) => [
      name,
      ...Object.keys(entry.subcommands ?? {}).map((sub) => `${name}|${sub}`),
    ])
    expect(names.filter((name) => table.byName(name) === undefined)).toEqual([])
  })
})

describe('between MULTI and EXEC', () => {
  const of = (name: string) => table.byName(name)?.inMulti

  test('nothing that is refused alone may stand there, nor what Redis refuses there', () => {
    for (const spec of table.specs)
      if (spec.answer === 'denied' || spec.flags.includes('no_multi'))
        expect([spec.name, spec.inMulti]).toEqual([spec.name, 'denied'])
  })

  test('servers queue their commands, the proxy its own, and what leaves a transaction is not queued', () => {
    for (const name of ['get', 'set', 'xreadgroup', 'object|encoding', 'time']) expect(of(name)).toBe('ok')
    for (const name of ['ping', 'echo', 'client|id', 'select', 'client|list']) expect(of(name)).toBe('local')
    for (const name of ['quit', 'reset']) expect(of(name)).toBe('now')
    // Those that ask a node on the way have no answer that could stand in EXEC's reply.
    for (const name of ['auth', 'hello', 'client|reply', 'scan', 'flushall', 'info']) expect(of(name)).toBe('denied')
  })

  test('what takes many commands at the server would stay refused there if it were answered', () => {
    for (const name of ['keys', 'scan', 'dbsize', 'randomkey', 'flushdb', 'flushall'])
      expect(policyByName().get(name)?.inMulti).toBe('denied')
  })
})

test('what Redis flags as blocking says where its timeout stands', () => {
  const expected = {
    ...{ blmove: -1, blpop: -1, brpop: -1, brpoplpush: -1, bzpopmax: -1, bzpopmin: -1 },
    ...{ blmovem: 5, blmpop: 1, bzmpop: 1, wait: 2, waitaof: 3, xread: BLOCK_OPTION, xreadgroup: BLOCK_OPTION },
  }
  const isBlocking = (name: string) => facts.some((row) => row.name === name && /\bblocking\b/.test(row.flags))
  const found = table.specs.filter((spec) => isBlocking(spec.name) || spec.blocks !== undefined)
  expect(Object.fromEntries(found.map((spec) => [spec.name, table.blockAt[spec.id]]))).toEqual(expected)
  for (const spec of found)
    expect([spec.name, table.blockUnitMs[spec.id]]).toEqual([spec.name, spec.name.startsWith('b') ? 1000 : 1])
})

test('our own commands are known, and marked as ours', () => {
  for (const row of ours) expect(table.byName(row.name)?.isOurs).toBe(true)
})

test('particulars belong to commands of the table', () => {
  for (const [name, particular] of Object.entries(particulars)) {
    const spec = table.byName(name)
    expect([name, spec?.name]).toEqual([name, name])
    const isNewer = spec?.since !== undefined && spec.answer === 'upstream'
    expect(spec?.reply).toBe(particular.reply ?? (isNewer ? 'errorNames' : 'pass'))
    if (particular.numkeys !== undefined) expect(table.numkeysRule[spec!.id]).toBe(NUMKEYS_RULE[particular.numkeys])
  }
})

test('ids are positions', () => {
  expect(derive().map(({ spec }, i) => spec.id - i)).toEqual(table.specs.map(() => 0))
})
