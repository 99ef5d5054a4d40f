import { readFileSync } from 'node:fs'
import path from 'node:path'
import { facts, factsVersion } from '../../../src/commands/facts.generated.ts'
import {
  factRows,
  newerRows,
  renderFacts,
  renderNewer,
  type ServerAnswers,
  sinceByName,
} from '../../../src/commands/facts-render.ts'

const range = [
  'flags',
  ['RW'],
  'begin_search',
  ['type', 'index', 'spec', ['index', 1]],
  'find_keys',
  ['type', 'range', 'spec', ['lastkey', -1, 'keystep', 2, 'limit', 0]],
]
const counted = [
  'flags',
  ['RO', 'access'],
  'begin_search',
  ['type', 'index', 'spec', ['index', 2]],
  'find_keys',
  ['type', 'keynum', 'spec', ['keynumidx', 0, 'firstkey', 1, 'keystep', 1]],
]
const keyword = [
  'flags',
  ['RO'],
  'begin_search',
  ['type', 'keyword', 'spec', ['keyword', 'STREAMS', 'startfrom', 1]],
  'find_keys',
  ['type', 'range', 'spec', ['lastkey', -1, 'keystep', 1, 'limit', 2]],
]
const unknown = [
  'notes',
  'text',
  'flags',
  ['OW'],
  'begin_search',
  ['type', 'unknown', 'spec', []],
  'find_keys',
  ['type', 'unknown', 'spec', []],
]
const entry = (name: string, keys: unknown[] = [], subs: unknown[] = []) => [
  name,
  -2,
  ['write', 'fast'],
  0,
  0,
  0,
  ['@write'],
  [],
  keys,
  subs,
]

test('commands and subcommands become rows in order of name, keys in all their forms', () => {
  const rows = factRows([entry('B', [range, counted]), entry('a', [keyword, unknown], [entry('a|x')])])
  expect(rows).toEqual([
    {
      name: 'a',
      arity: -2,
      flags: 'write fast',
      categories: 'write',
      keys: [
        { keyword: 'STREAMS', from: 1, last: -1, step: 1, limit: 2, flags: 'RO' },
        { unknown: true, flags: 'OW' },
      ],
    },
    { name: 'a|x', arity: -2, flags: 'write fast', categories: 'write' },
    {
      name: 'b',
      arity: -2,
      flags: 'write fast',
      categories: 'write',
      keys: [
        { at: 1, last: -1, step: 2, limit: 0, flags: 'RW' },
        { at: 2, numkeys: 0, first: 1, step: 1, flags: 'RO access' },
      ],
    },
  ])
})

test('a reply of another shape is refused, not guessed', () => {
  expect(() => factRows('OK')).toThrow('expected an array')
  expect(() => factRows([['get', 'x', [], 0, 0, 0, [], [], [], []]])).toThrow('no arity')
  const odd = [
    'flags',
    [],
    'begin_search',
    ['type', 'index', 'spec', ['index', 1]],
    'find_keys',
    ['type', 'moon', 'spec', []],
  ]
  expect(() => factRows([entry('x', [odd])])).toThrow('unknown kind')
})

test('the generated file is what the renderer makes of its rows', () => {
  const file = path.join(__dirname, '../../../src/commands/facts.generated.ts')
  expect(readFileSync(file, 'utf8')).toBe(renderFacts(facts, factsVersion))
})

describe('facts of newer servers', () => {
  const row = (name: string, flags = 'write') => ({ name, arity: 2, flags, categories: '' })
  const server = (product: 'Redis' | 'Valkey', since: Record<string, string>, flags?: string): ServerAnswers => ({
    product,
    version: '9.9.9',
    rows: ['get', ...Object.keys(since)].map((name) => row(name, flags)),
    since: new Map(Object.entries({ get: '1.0.0', ...since })),
  })

  test('the release is in the docs, of subcommands too', () => {
    const docs = [
      'GET',
      ['since', '1.0.0'],
      'script',
      ['since', '2.6.0', 'subcommands', ['script|show', ['since', '8.0.0']]],
    ]
    expect([...sinceByName(docs)]).toEqual([
      ['get', '1.0.0'],
      ['script', '2.6.0'],
      ['script|show', '8.0.0'],
    ])
  })

  test('are those that are not known; the first server is believed, and every release told', () => {
    const servers = [
      server('Redis', { hexpire: '7.4.0', waitaof: '7.2.0' }, 'write fast'),
      server('Valkey', { hexpire: '9.0.0', waitaof: '7.2.0', delifeq: '9.0.0' }),
    ]
    const rows = newerRows([row('get')], servers)
    expect(rows.map(({ name, since, flags }) => [name, since, flags])).toEqual([
      ['delifeq', 'Valkey 9.0', 'write'],
      ['hexpire', '7.4, Valkey 9.0', 'write fast'],
      ['waitaof', '7.2', 'write fast'],
    ])
    expect(renderNewer(rows, servers)).toContain("since: '7.4, Valkey 9.0' }")
  })

  test('leave out modules, and what has no docs', () => {
    expect(newerRows([], [server('Redis', { vadd: '8.0.0' }, 'write module')])).toEqual([])
    expect(newerRows([row('get')], [{ ...server('Redis', {}), rows: [row('bare')] }])).toEqual([])
  })
})
