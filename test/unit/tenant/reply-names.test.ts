import { buildCommandTable } from '../../../src/commands/lookup.ts'
import { REPLY } from '../../../src/commands/spec.ts'
import { array, bulk, encodeReply, integer, map, type Reply } from '../../../src/resp/encode.ts'
import { stripReply } from '../../../src/tenant/reply-names.ts'

const table = buildCommandTable()
const prefix = Buffer.from('acme:')
const strip = (mode: number, reply: string | Buffer): string | undefined =>
  stripReply(mode, Buffer.isBuffer(reply) ? reply : Buffer.from(reply, 'latin1'), prefix, table)?.toString('latin1')
const text = (reply: Reply, version: 2 | 3 = 2): Buffer => encodeReply(reply, version)

describe('the first element (LMPOP, ZMPOP)', () => {
  test('loses the prefix; values that begin with it keep it', () => {
    const reply = array([bulk('acme:l'), array([bulk('acme:v'), bulk('x')])])
    expect(strip(REPLY.firstElement, text(reply))).toBe(
      text(array([bulk('l'), array([bulk('acme:v'), bulk('x')])])).toString(),
    )
  })

  test('a key with an empty name', () => {
    expect(strip(REPLY.firstElement, '*2\r\n$5\r\nacme:\r\n*0\r\n')).toBe('*2\r\n$0\r\n\r\n*0\r\n')
  })

  test.each(['*-1\r\n', '_\r\n', '$-1\r\n'])('null %j passes', (reply) => {
    expect(strip(REPLY.firstElement, reply)).toBe(reply)
  })

  test.each([
    ['the prefix of another tenant', '*2\r\n$6\r\nevil:l\r\n*0\r\n'],
    ['a name shorter than the prefix', '*2\r\n$4\r\nacme\r\n*0\r\n'],
    ['a reply of another command', '+OK\r\n'],
    ['an integer', ':5\r\n'],
    ['an empty array', '*0\r\n'],
    ['a null name', '*2\r\n$-1\r\n*0\r\n'],
  ])('%s is not delivered', (_what, reply) => {
    expect(strip(REPLY.firstElement, reply)).toBeUndefined()
  })
})

describe('streams (XREAD, XREADGROUP)', () => {
  const entries = array([array([bulk('1-1'), array([bulk('acme:f'), bulk('acme:v')])])])

  test('all names of an array on RESP2', () => {
    const reply = (a: string, b: string) => text(array([array([bulk(a), entries]), array([bulk(b), entries])]))
    expect(strip(REPLY.streams, reply('acme:a', 'acme:b'))).toBe(reply('a', 'b').toString())
  })

  test('all names of a map on RESP3', () => {
    const reply = (a: string, b: string) =>
      text(
        map([
          [bulk(a), entries],
          [bulk(b), entries],
        ]),
        3,
      )
    expect(strip(REPLY.streams, reply('acme:a', 'acme:b'))).toBe(reply('a', 'b').toString())
  })

  test('one foreign name among good ones is enough', () => {
    const reply = text(array([array([bulk('acme:a'), entries]), array([bulk('evil:b'), entries])]))
    expect(strip(REPLY.streams, reply)).toBeUndefined()
    expect(strip(REPLY.streams, text(map([[bulk('evil:b'), entries]]), 3))).toBeUndefined()
  })

  test('null passes, another shape does not', () => {
    expect(strip(REPLY.streams, '*-1\r\n')).toBe('*-1\r\n')
    expect(strip(REPLY.streams, '_\r\n')).toBe('_\r\n')
    expect(strip(REPLY.streams, '*1\r\n$6\r\nacme:a\r\n')).toBeUndefined()
    expect(strip(REPLY.streams, ':1\r\n')).toBeUndefined()
  })
})

describe('error texts', () => {
  test.each([
    ["-NOGROUP No such key 'acme:k' or consumer group 'g'\r\n", "-NOGROUP No such key 'k' or consumer group 'g'\r\n"],
    [
      "-NOGROUP No such key 'acme:k' or consumer group 'acme:g' in XREADGROUP with GROUP option\r\n",
      "-NOGROUP No such key 'k' or consumer group 'acme:g' in XREADGROUP with GROUP option\r\n",
    ],
    [
      "-NOGROUP No such key 'acme:acme:k' or consumer group 'g'\r\n",
      "-NOGROUP No such key 'acme:k' or consumer group 'g'\r\n",
    ],
    [
      "-NOGROUP No such consumer group 'acme:g' for key name 'acme:k'\r\n",
      "-NOGROUP No such consumer group 'acme:g' for key name 'k'\r\n",
    ],
    [
      "-NOGROUP No such consumer group 'g' for key name 'x' for key name 'acme:k'\r\n",
      "-NOGROUP No such consumer group 'g' for key name 'x' for key name 'k'\r\n",
    ],
    [
      "-ERR unknown command 'hexpire', with args beginning with: 'acme:k' '10' 'ac\r\n",
      "-ERR unknown command 'hexpire', with args beginning with: \r\n",
    ],
    [
      '-ERR unknown command `hexpire`, with args beginning with: `acme:k`, \r\n',
      '-ERR unknown command `hexpire`, with args beginning with: \r\n',
    ],
    ['-WRONGTYPE Operation against a key\r\n', '-WRONGTYPE Operation against a key\r\n'],
  ])('%j', (reply, expected) => {
    for (const mode of [REPLY.errorNames, REPLY.streams, REPLY.firstElement]) expect(strip(mode, reply)).toBe(expected)
  })

  test.each([
    "-NOGROUP No such key 'evil:k' or consumer group 'g'\r\n",
    "-NOGROUP No such consumer group 'g' for key name 'evil:k'\r\n",
  ])('a foreign key in %j is not delivered', (reply) => {
    expect(strip(REPLY.errorNames, reply)).toBeUndefined()
  })

  test('only errors are looked at: a value with the same words stays', () => {
    const value = "$38\r\nNOGROUP No such key 'acme:k' or consumer\r\n"
    expect(strip(REPLY.errorNames, value)).toBe(value)
    expect(strip(REPLY.pass, "-NOGROUP No such key 'acme:k'\r\n")).toBe("-NOGROUP No such key 'acme:k'\r\n")
  })
})

describe('the command table', () => {
  const row = (name: string, subs: Reply = array([])) =>
    array([
      bulk(name),
      integer(2),
      { kind: 'set', items: [] },
      integer(1),
      integer(1),
      integer(1),
      array([]),
      array([]),
      array([]),
      subs,
    ])
  const subsOf = (...names: string[]): Reply => ({ kind: 'set', items: names.map((name) => row(name)) })

  test.each([2, 3] as const)('COMMAND leaves out what is denied or unknown, in subcommands too (RESP%d)', (version) => {
    const before = array([row('get'), row('shutdown'), row('config', subsOf('config|set', 'config|get')), row('nope')])
    const after = array([row('get'), row('config', subsOf('config|get'))])
    expect(strip(REPLY.commandAll, text(before, version))).toBe(text(after, version).toString())
  })

  test.each([2, 3] as const)('COMMAND INFO answers null in their place (RESP%d)', (version) => {
    const absent: Reply = { kind: 'nullArray' }
    const before = array([row('get'), row('shutdown'), absent, row('xinfo', subsOf('xinfo|help'))])
    const after = array([row('get'), absent, absent, row('xinfo', subsOf('xinfo|help'))])
    expect(strip(REPLY.commandInfo, text(before, version))).toBe(text(after, version).toString())
  })

  test('what this user may not run on top is left out as well', () => {
    const before = text(array([row('get'), row('config', subsOf('config|get')), row('xinfo', subsOf('xinfo|help'))]))
    const denied = (spec: { name: string }) => spec.name !== 'xinfo|help'
    expect(stripReply(REPLY.commandAll, before, prefix, table, denied)?.toString()).toBe(
      text(array([row('xinfo', subsOf('xinfo|help'))])).toString(),
    )
  })

  test('COMMAND INFO without names is COMMAND', () => {
    const many = Array.from({ length: 220 }, (_, i) => row(i % 2 === 0 ? 'get' : 'shutdown'))
    expect(strip(REPLY.commandInfo, text(array(many)))).toBe(
      text(array(many.filter((_row, i) => i % 2 === 0))).toString(),
    )
  })

  test.each([2, 3] as const)('COMMAND DOCS likewise (RESP%d)', (version) => {
    const docs = (subs?: Reply) =>
      map([[bulk('summary'), bulk('shutdown')], ...(subs === undefined ? [] : [[bulk('subcommands'), subs] as const])])
    const before = map([
      [bulk('get'), docs()],
      [bulk('shutdown'), docs()],
      [
        bulk('config'),
        docs(
          map([
            [bulk('config|set'), docs()],
            [bulk('config|get'), docs()],
          ]),
        ),
      ],
    ])
    const after = map([
      [bulk('get'), docs()],
      [bulk('config'), docs(map([[bulk('config|get'), docs()]]))],
    ])
    expect(strip(REPLY.commandDocs, text(before, version))).toBe(text(after, version).toString())
  })

  test('another shape is not delivered, an error is', () => {
    for (const mode of [REPLY.commandAll, REPLY.commandInfo, REPLY.commandDocs]) {
      expect(strip(mode, ':1\r\n')).toBeUndefined()
      expect(strip(mode, '-LOADING x\r\n')).toBe('-LOADING x\r\n')
    }
    expect(strip(REPLY.commandDocs, '*1\r\n+get\r\n')).toBeUndefined()
  })
})

test('a mode that does not exist delivers nothing', () => {
  expect(strip(99, '+OK\r\n')).toBeUndefined()
})
