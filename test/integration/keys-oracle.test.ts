/**
 * The live server as the oracle of our key finding: what COMMAND GETKEYSANDFLAGS says about random commands, and what
 * the commands themselves do. A command runs twice, as it is in one database and with our prefix in another: replies
 * must be the same once the names are stripped, and every key of the second database must carry the prefix.
 */
import { errors, errorText } from '../../src/base/errors.ts'
import { commandCount, commandGetKeysAndFlags, commandList, parseListFilter } from '../../src/builtin/command.ts'
import { derive } from '../../src/commands/derive.ts'
import { facts, factsVersion } from '../../src/commands/facts.generated.ts'
import { factRows } from '../../src/commands/facts-render.ts'
import { type Argv, findKeys, newKeyList } from '../../src/commands/keys.ts'
import { type Learned, learn, serverCommands } from '../../src/commands/live.ts'
import { buildCommandTable, CommandTable } from '../../src/commands/lookup.ts'
import { BLOCK_OPTION, type CommandSpec, KEYS, REPLY } from '../../src/commands/spec.ts'
import { stripReply } from '../../src/tenant/reply-names.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, decode, ErrorReply, Tagged } from '../kit/resp.ts'
import { rawClient, startRedis } from '../kit/servers.ts'
import { mutatedArgv, randomOf, validArgv } from './argv-generator.ts'

const seed = Number(process.env['SEED'] ?? 1)
const prefix = 'pfx:'
const table = buildCommandTable()
/** Served commands with keys that the live server has. */
let keyed: readonly CommandSpec[] = []
/** The same table with nothing refused, so that keys are found wherever we know how: what is refused today is served tomorrow. */
const open = new CommandTable(
  derive().map(({ spec, shape }) => ({
    shape,
    spec: { ...spec, answer: shape.mode === KEYS.none ? spec.answer : ('upstream' as const) },
  })),
)
let version = ''
let learned: Learned
let findable: readonly CommandSpec[] = []
const containers = new Set(['object', 'memory', 'xgroup', 'xinfo'])

let raw: RawClient
let port: number

beforeAll(async () => {
  const server = await startRedis()
  port = server.port
  raw = await rawClient(port)
  const commands = serverCommands(await raw.call('COMMAND'))
  const live = new Set(commands.map((row) => row.name))
  version = /redis_version:(\S+)/.exec(String(await raw.call('INFO', 'server')))?.[1] ?? ''
  learned = learn(table, commands)
  learn(open, commands)
  // Channels get their prefix at the same places, but to a server they are no keys.
  const isMessage = (spec: CommandSpec): boolean => spec.reply === 'receivers'
  findable = open.specs.filter((spec) => open.keyMode[spec.id] !== KEYS.none && live.has(spec.name) && !isMessage(spec))
  keyed = table.specs.filter((spec) => findable.some(({ id }) => id === spec.id) && spec.answer === 'upstream')
})

/** Members of an array or a RESP3 set. */
const listOf = (value: Decoded): Decoded[][] => (value instanceof Tagged ? value.value : value) as Decoded[][]

const buffers = (argv: readonly string[]): Buffer[] => argv.map((arg) => Buffer.from(arg, 'latin1'))

function framed(argv: readonly string[]): Argv {
  const args = buffers(argv)
  const off = new Int32Array(args.length)
  for (let i = 1; i < args.length; i++) off[i] = off[i - 1]! + args[i - 1]!.length
  return { buf: Buffer.concat(args), count: args.length, off, len: Int32Array.from(args, (arg) => arg.length) }
}

const arityFits = (spec: CommandSpec, count: number): boolean =>
  spec.arity >= 0 ? count === spec.arity : count >= -spec.arity

/** In chunks: the client joins what it has received for each packet. */
async function pipeline(client: RawClient, commands: readonly (readonly string[])[]): Promise<Decoded[]> {
  const replies: Decoded[] = []
  for (let i = 0; i < commands.length; i += 200)
    replies.push(...(await client.pipeline(commands.slice(i, i + 200).map(buffers))))
  return replies
}

const same = (argv: readonly string[]): string => `SEED=${seed} ${JSON.stringify(argv)}`

test('the generated facts are what the live server says, when it is of that version', async () => {
  const live = new Map(factRows(await raw.call('COMMAND')).map((row) => [row.name, row]))
  if (version === factsVersion) expect([...live.values()]).toEqual(facts)
  // Any other server: what both know must not need another treatment than ours.
  else expect(learned).toMatchObject({ unfit: [], flags: [] })
})

test('keys are those that COMMAND GETKEYSANDFLAGS names, for valid and for mutated commands', async () => {
  const random = randomOf(seed)
  // More of those whose keys move.
  const times = (spec: CommandSpec): number => (open.keyMode[spec.id] === KEYS.finder ? 150 : 16)
  const cases = findable.flatMap((spec) => [
    ...Array.from({ length: times(spec) }, () => ({ spec, argv: validArgv(random, spec) })),
    ...Array.from({ length: times(spec) }, () => ({ spec, argv: mutatedArgv(random, spec) })),
  ])
  expect(cases.length).toBeGreaterThan(10_000)
  const replies = await pipeline(
    raw,
    cases.map(({ argv }) => ['COMMAND', 'GETKEYSANDFLAGS', ...argv]),
  )
  let compared = 0
  for (const [i, { spec, argv }] of cases.entries()) {
    const reply = replies[i]!
    const found = commandGetKeysAndFlags(open, buffers(argv))
    // The key specifications look for the first word STREAMS or STORE wherever it stands. The commands' own parsers do
    // not (a group, a key or a count may be called so; the last STORE counts), nor do we: the tests below run them.
    const isWord = (i: number): boolean => /^(streams|store)/i.test(argv[i] ?? '')
    const isTrap =
      /^(xread|georadius|sort)/.test(spec.name) &&
      argv.some(
        (arg, i) => isWord(i) && (argv.findIndex((_arg, k) => isWord(k)) < i || /^count/i.test(argv[i - 1] ?? arg)),
      )
    // Without a group in front of it there is no XREADGROUP to read keys of: the specification looks from the fourth on.
    const isEarly = spec.name === 'xreadgroup' && argv.findIndex((arg) => /^streams/i.test(arg)) < 4
    // Key extraction goes on where the command itself gives up: a count is read with atoi, an unknown word is passed over.
    const isLenient = open.keyMode[spec.id] === KEYS.finder
    // A module says of its commands that any count of arguments will do.
    if (found === 'GETKEYS_ARITY' && spec.flags.includes('module')) continue
    if (typeof found === 'string') {
      if (!(reply instanceof ErrorReply) && !isLenient)
        throw new Error(`we refuse, the server does not: ${same(argv)} ${found}`)
      if (reply instanceof ErrorReply && argv.length > 1 && !isLenient && !reply.message.startsWith('ERR wrong number'))
        expect([same(argv), reply.message]).toEqual([same(argv), errors[found].text])
      continue
    }
    // A destination without sources is a good PFMERGE, yet its second key specification finds nothing.
    if (isTrap || isEarly || (spec.name === 'pfmerge' && argv.length === 2)) continue
    if (reply instanceof ErrorReply)
      throw new Error(`the server finds none (${reply.message}), we find ${found.length}: ${same(argv)}`)
    const expected = (reply as [string, string[] | Tagged][]).map(([key, flags]) => [
      key,
      [...(flags as string[])].sort(),
    ])
    const ours = found.map(({ key, flags }) => [key.toString('latin1'), [...flags].sort()])
    expect([same(argv), ours]).toEqual([same(argv), expected])
    compared++
  }
  expect(compared).toBeGreaterThan(cases.length / 2)
})

/** What makes the two databases alike: a key of each kind, names that look like options included. */
const dataset: readonly (readonly string[])[] = [
  ['SET', 's', 'hello'],
  ['SET', 'n', '10'],
  ['SET', '#', 'hash sign'],
  ['SET', '', 'empty name'],
  ['RPUSH', 'l', '3', '1', '2'],
  ['RPUSH', 'l2', 'a', 'b'],
  ['HSET', 'h', 'f', '1', 'f1', '2'],
  ['SADD', 'set', '1', '2', '3'],
  ['SADD', 'set2', '2', '3', '4'],
  ['ZADD', 'z', '1', 'a', '2', 'b'],
  ['ZADD', 'z2', '3', 'b'],
  ['GEOADD', 'g', '13.361389', '38.115556', 'v', '15.087269', '37.502669', 'a'],
  ['PFADD', 'hll', 'a', 'b'],
  ['XADD', 'x', '1-1', 'f', 'v'],
  ['XADD', 'x', '1-2', 'f', 'pfx:v'],
  ['XGROUP', 'CREATE', 'x', 'g', '0'],
  ['XADD', 'streams', '1-1', 'f', 'v'],
  ['XGROUP', 'CREATE', 'streams', 'g', '0'],
  ['XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '1', 'STREAMS', 'x', '>'],
  ['MSET', 'w_1', '30', 'w_2', '20', 'w_3', '10'],
  ['HSET', 'h_1', 'f', 'one'],
]

/** Replies that depend on chance, on the clock or on the length of the name. */
const unequal =
  /^(spop|srandmember|hrandfield|zrandmember|object\|freq|object\|idletime|memory\|usage|xinfo\|stream|xinfo\|consumers|xpending|pexpiretime|expiretime|ttl|pttl|dump|lcs)$/
/** Commands that are allowed to refuse what Redis accepts: by decision, not by mistake. */
const decided = new Set(['NOPERM'])

interface Prepared {
  readonly spec: CommandSpec
  readonly argv: readonly string[]
  readonly prefixed: readonly string[]
  readonly refusal: string | undefined
  readonly code: string | undefined
}

function prepare(spec: CommandSpec, argv: readonly string[]): Prepared {
  const keys = newKeyList()
  const code = findKeys(table, spec.id, framed(argv), keys)
  const at = new Set(keys.arg.subarray(0, keys.count))
  const prefixed = argv.map((arg, i) => (at.has(i) ? prefix + arg : arg))
  return { spec, argv, prefixed, code, refusal: code === undefined ? undefined : errorText(code, spec.name) }
}

/** The same with a timeout of hundredths of a second, where it has one. */
function hurried(spec: CommandSpec, argv: readonly string[]): string[] {
  const at = table.blockAt[spec.id]!
  const short = table.blockUnitMs[spec.id] === 1 ? '10' : '0.01'
  const isTimeout = (i: number): boolean => {
    if (at === BLOCK_OPTION) return /^block(\0|$)/i.test(argv[i - 1] ?? '')
    return at !== 0 && i === (at < 0 ? argv.length + at : at)
  }
  return argv.map((arg, i) => (isTimeout(i) && Number(arg) >= 0 ? short : arg))
}

/** Runs each command on fresh data in both databases; replies of the second as raw bytes. */
async function runBoth(
  cases: readonly Prepared[],
  version: '2' | '3',
  see: (c: Prepared, plain: Decoded, ours: Buffer, names: string[]) => void,
) {
  const client = await rawClient(port)
  await client.call('HELLO', version)
  const fill = (start: string) =>
    dataset.map(([name = '', ...args]) => {
      const found = prepare(table.byName(name === 'XGROUP' ? 'xgroup|create' : name)!, [name, ...args])
      return start === '' ? found.argv : found.prefixed
    })
  for (const one of cases) {
    const send = [
      ['SELECT', '1'],
      ['FLUSHDB'],
      ...fill(''),
      one.argv,
      ['SELECT', '0'],
      ['FLUSHDB'],
      ...fill(prefix),
      one.refusal === undefined ? one.prefixed : ['PING'],
      ['KEYS', '*'],
    ]
    client.send(Buffer.concat(send.map((args) => command(...buffers(args)))))
    let plain: Decoded = null
    let ours = ''
    for (let i = 0; i < send.length; i++) {
      const reply = await client.readRaw()
      if (i === 2 + dataset.length) plain = decode(Buffer.from(reply, 'latin1'))!.reply
      if (i === send.length - 2) ours = reply
      if (i === send.length - 1)
        see(one, plain, Buffer.from(ours, 'latin1'), decode(Buffer.from(reply, 'latin1'))!.reply as string[])
    }
  }
  client.close()
}

function judge(one: Prepared, plain: Decoded, ours: Buffer, names: readonly string[]): void {
  const label = same(one.argv)
  for (const name of names)
    if (!name.startsWith(prefix)) throw new Error(`a key without the prefix, ${JSON.stringify(name)}: ${label}`)
  if (one.refusal !== undefined) {
    if (!(plain instanceof ErrorReply) && !decided.has(one.code ?? ''))
      throw new Error(`we refuse ${one.refusal}, the server does not: ${label}`)
    return
  }
  const stripped = stripReply(table.replyMode[one.spec.id]!, ours, Buffer.from(prefix), table)
  if (stripped === undefined)
    throw new Error(`the tripwire is set off by a good reply ${ours.toString('latin1')}: ${label}`)
  const mine = decode(stripped)!.reply
  const isAcross = one.spec.name === 'copy' && one.argv.some((arg) => /^db/i.test(arg)) // plain runs in database 1
  if (!unequal.test(one.spec.name) && !isAcross) expect([label, mine]).toEqual([label, plain])
  // Nothing of the prefix is left, unless the data itself holds it.
  if (
    !one.argv.some((arg) => arg.includes(prefix)) &&
    !JSON.stringify(mine instanceof Map ? [...mine] : mine).includes('pfx:v')
  )
    expect([label, stripped.toString('latin1').includes(prefix)]).toEqual([label, false])
}

describe.each(['2', '3'] as const)('on RESP%s', (version) => {
  test('valid commands answer alike with the prefix, and no key is left without it', async () => {
    const random = randomOf(seed + Number(version))
    // More of those with a rule of their own: names in the reply, or keys that move.
    const isSpecial = (spec: CommandSpec) => table.replyMode[spec.id] !== 0 || table.keyMode[spec.id] === KEYS.finder
    const cases = keyed.flatMap((spec) =>
      Array.from({ length: isSpecial(spec) ? 16 : 4 }, () => prepare(spec, hurried(spec, validArgv(random, spec)))),
    )
    await runBoth(
      cases.filter((one) => arityFits(one.spec, one.argv.length)),
      version,
      judge,
    )
  })

  test('mutated commands answer alike with the prefix, and no key is left without it', async () => {
    const random = randomOf(seed + 10 + Number(version))
    const moving = keyed.filter((spec) => table.keyMode[spec.id] === KEYS.finder)
    const cases = [...keyed, ...moving, ...moving, ...moving, ...moving, ...moving, ...moving].flatMap((spec) =>
      Array.from({ length: 2 }, () => prepare(spec, hurried(spec, mutatedArgv(random, spec)))),
    )
    await runBoth(
      cases.filter((one) => arityFits(one.spec, one.argv.length)),
      version,
      judge,
    )
  })

  test('a server that does not know a newer command shows no prefix', async () => {
    // Such a replica may stand beside a primary that knows it.
    const client = await rawClient(port)
    await client.call('HELLO', version)
    for (const spec of table.specs.filter((one) => one.since !== undefined && one.answer === 'upstream')) {
      const argv = [spec.name, prefix + 'k'.repeat(20), ...Array.from({ length: Math.abs(spec.arity) - 2 }, () => '1')]
      const reply = await client.callRaw(...argv)
      const stripped = stripReply(table.replyMode[spec.id]!, Buffer.from(reply, 'latin1'), Buffer.from(prefix), table)
      expect([spec.name, stripped?.includes(prefix)]).toEqual([spec.name, false])
    }
  })

  test('COMMAND, INFO and DOCS leave out what is denied and keep the rest as it was', async () => {
    const client = await rawClient(port)
    await client.call('HELLO', version)
    const filter = async (mode: number, ...argv: string[]): Promise<Decoded> => {
      const reply = Buffer.from(await client.callRaw(...argv), 'latin1')
      const stripped = stripReply(mode, reply, Buffer.from(prefix), table)
      if (stripped === undefined) throw new Error('the reply has another shape')
      const decoded = decode(stripped)
      expect(decoded?.end).toBe(stripped.length)
      return decoded!.reply
    }
    const all = (await filter(REPLY.commandAll, 'COMMAND')) as Decoded[][]
    const names = all.map(([name]) => String(name))
    expect(all.length).toBe(commandCount(table))
    expect(names).toContain('get')
    expect(names).not.toContain('shutdown')
    expect(names).not.toContain('debug')
    expect(await filter(REPLY.commandInfo, 'COMMAND', 'INFO')).toHaveLength(all.length)
    const config = all[names.indexOf('config')]!
    expect(
      listOf(config[9]!)
        .map(([name]) => String(name))
        .sort(),
    ).toEqual(['config|get', 'config|help'])
    const straight = (await client.call('COMMAND', 'INFO', 'get')) as Decoded[]
    expect(await filter(REPLY.commandInfo, 'COMMAND', 'INFO', 'get', 'shutdown', 'nope')).toEqual([
      straight[0],
      null,
      null,
    ])

    const docs = await filter(REPLY.commandDocs, 'COMMAND', 'DOCS', 'get', 'shutdown', 'nope', 'config', 'xinfo')
    const flat = (value: Decoded): Decoded[] => (value instanceof Map ? [...value].flat() : (value as Decoded[]))
    const entries = flat(docs)
    expect(entries.filter((_value, i) => i % 2 === 0).sort()).toEqual(['config', 'get', 'xinfo'])
    const inner = flat(entries[entries.indexOf('config') + 1]!)
    const subs = flat(inner[inner.indexOf('subcommands') + 1]!)
    expect(subs.filter((_value, i) => i % 2 === 0).sort()).toEqual(['config|get', 'config|help'])
    expect(flat(await filter(REPLY.commandDocs, 'COMMAND', 'DOCS'))).toHaveLength(2 * all.length)
  })
})

test('COMMAND LIST names what the server names, without the denied', async () => {
  const isShown = (name: string): boolean => {
    const spec = table.byName(name)
    return spec !== undefined && !table.isHidden(spec)
  }
  const filters = [
    [],
    ['FILTERBY', 'ACLCAT', 'geo'],
    ['filterby', 'aclcat', 'GEO'],
    ['FILTERBY', 'ACLCAT', '@geo'],
    ['FILTERBY', 'PATTERN', 'X*|S*'],
    ['FILTERBY', 'PATTERN', '[gs]et'],
    ['FILTERBY', 'MODULE', 'json'],
  ]
  for (const filter of filters) {
    const parsed = parseListFilter(buffers(filter))
    if (typeof parsed === 'string') throw new Error(parsed)
    const live = ((await raw.call('COMMAND', 'LIST', ...filter)) as string[]).map((name) => name.toLowerCase())
    expect([filter, commandList(table, parsed).sort()]).toEqual([filter, live.filter(isShown).sort()])
  }
  for (const filter of [['FILTERBY'], ['FILTERBY', 'ACLCAT'], ['NOPE', 'ACLCAT', 'geo'], ['FILTERBY', 'NOPE', 'x']]) {
    expect(parseListFilter(buffers(filter))).toBe('SYNTAX')
    expect(await raw.call('COMMAND', 'LIST', ...filter)).toBeInstanceOf(ErrorReply)
  }
})

test('every container of the keyed commands is met with its subcommands', () => {
  for (const name of containers) expect(keyed.some((spec) => spec.name.startsWith(`${name}|`))).toBe(true)
})
