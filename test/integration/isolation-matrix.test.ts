/**
 * Every command of the table, thrown by tenant `ant` at what belongs to tenant `bee`: arguments that fit the command, spoilt
 * ones, and names of bee's in every place; plain, in MULTI, and from Lua; RESP2 and RESP3. No byte of bee's values, none of
 * the names that ant does not know, and no prefix may come back, and bee's data must be what it was.
 *
 * bee is at work meanwhile (busy-tenant.ts), with events of keys switched on at the server, and ant also attacks it by the ids
 * of its connections and the cursors it was given, and listens to all that a tenant may listen to.
 *
 * The hunter is tried first where it must find something: straight at the server, where nothing keeps tenants apart.
 *
 * ATTACKS= attacks a command and kind of connection; SEED= another choice; HUNTERS= how many attack at a time.
 */
import { buildCommandTable } from '../../src/commands/lookup.ts'
import type { CommandSpec } from '../../src/commands/spec.ts'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { mutatedArgv, type Random, randomOf, validArgv } from './argv-generator.ts'
import { BusyTenant, Ears } from './busy-tenant.ts'

const attacks = Number(process.env['ATTACKS'] ?? 12)
const seed = Number(process.env['SEED'] ?? 1)
const hunters = Number(process.env['HUNTERS'] ?? 8)
/** In every value of bee's; ant never sends it. */
const canary = 'cAnArY7f3a'
/** In names of bee's that ant cannot know. */
const hidden = 'hIdDeN91c'
const prefix = 'bee:'

const table = buildCommandTable()
const commands = table.specs.filter(
  (spec) => !(spec.isContainer && table.subcommands(spec).length > 0) || spec.name === 'command',
)

/** bee's data: one key of each kind under the names that the generator uses, and the same under names nobody told. */
const kinds: readonly (readonly string[])[] = [
  ['SET', 's', canary],
  ['SET', 'n', `${canary}1`],
  ['RPUSH', 'l', canary, `${canary}2`],
  ['RPUSH', 'l2', canary],
  ['HSET', 'h', 'f', canary, canary, 'v'],
  ['HSET', 'h_1', 'f', canary],
  ['SET', 'w_1', canary],
  ['SADD', 'set', canary, '1'],
  ['SADD', 'set2', canary],
  ['ZADD', 'z', '1', canary],
  ['ZADD', 'z2', '1', canary],
  ['XADD', 'x', '1-1', 'f', canary],
  ['XADD', 'streams', '1-1', canary, 'v'],
  ['GEOADD', 'g', '13.361389', '38.115556', canary],
  ['PFADD', 'hll', canary],
]

async function fill(server: RedisServer): Promise<void> {
  await server.call('FLUSHALL')
  for (const [verb, key, ...rest] of kinds) {
    await server.call(verb!, `${prefix}${key}`, ...rest)
    await server.call(verb!, `${prefix}${hidden}${key}`, ...rest)
  }
  await server.call('XGROUP', 'CREATE', `${prefix}x`, `g${canary}`, '0')
}

async function digest(server: RedisServer, isBusy: (name: string) => boolean = () => false): Promise<string> {
  const all = (await server.call('KEYS', `${prefix}*`)) as string[]
  const names = all.filter((name) => !isBusy(name)).sort()
  const dumps = await Promise.all(
    names.map(async (name) => [name, String(await server.call('DUMP', name)), await server.call('PTTL', name)]),
  )
  return JSON.stringify(dumps)
}

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)]!

/** An argument that may name something of bee's. */
function aimed(random: Random, arg: string): string {
  const how = random()
  if (how < 0.45) return arg
  if (how < 0.75) return `${prefix}${arg}`
  if (how < 0.8) return pick(random, ['*', `${prefix}*`, '[b]ee:*', 'b?e:*', '*:*', '?*', '\\bee:*', '[^a]*'])
  if (how < 0.85)
    return pick(random, [`{${prefix}${arg}}`, `../${prefix}${arg}`, `\0${prefix}${arg}`, `${prefix}${arg}\0`])
  if (how < 0.9)
    return pick(random, ['BY', 'GET', 'STORE', 'STREAMS', 'MATCH', 'PREFIX', 'DB', 'KEYS', 'COUNT', 'TYPE'])
  return pick(random, [`${prefix}w_*`, `${prefix}h_*->f`, '#', '0', '1', '3', '-1', '1000', '$', '>', 'ON', 'BCAST'])
}

const luaBodies = [
  `return redis.call('get','${prefix}s')`,
  `return redis.call('keys','*')`,
  `return redis.call('scan','0','count','1000')`,
  `return {redis.pcall('randomkey'),redis.pcall('dbsize')}`,
  `return redis.call('lrange',ARGV[1] or KEYS[1] or '${prefix}l',0,-1)`,
  `return redis.call('sort','l','by','nosort','get','${prefix}w_*')`,
  `return redis.call('copy','${prefix}s','mine','replace')`,
  `redis.call('set',KEYS[1] or 'a','1') return redis.call('mget',unpack(KEYS))`,
  `return redis.pcall('publish','${prefix}chan','x')`,
  `local t=redis.call('xread','streams','${prefix}x','0') return t`,
  `return redis.call('object','encoding','${prefix}s')`,
]

/** What bee's connections are known by: ids and cursors are small numbers, so ant need not be told to guess them. */
interface Stolen {
  readonly ids: readonly string[]
  readonly cursors: readonly string[]
}

const nothingStolen: Stolen = { ids: ['1', '2', '3'], cursors: ['1', '17'] }

/** What an attacker would send besides: whole commands, by hand. */
function byHand(random: Random, spec: CommandSpec, stolen: Stolen): string[] | undefined {
  const names = spec.name.split('|')
  const id = (): string => pick(random, stolen.ids)
  if (names[0] === 'client')
    switch (names[1]) {
      case 'kill':
        return pick(random, [
          [...names, 'ID', id()],
          [...names, 'ID', id(), 'SKIPME', 'no'],
          [...names, 'USER', 'bee-app'],
          [...names, 'USER', 'bee-app', 'TYPE', 'pubsub'],
        ])
      case 'unblock':
        return [...names, id(), pick(random, ['TIMEOUT', 'ERROR'])]
      case 'list':
        return pick(random, [[...names], [...names, 'ID', ...stolen.ids], [...names, 'TYPE', 'pubsub']])
      case 'tracking':
        return pick(random, [
          [...names, 'ON', 'REDIRECT', id()],
          [...names, 'ON', 'REDIRECT', id(), 'BCAST', 'PREFIX', prefix],
          [...names, 'ON', 'BCAST', 'PREFIX', pick(random, ['', prefix, 'b', '*', hidden.slice(0, 1)])],
        ])
    }
  if (names[0] === 'slowlog' && names[1] === 'get') return [...names, '-1']
  if (names[0] === 'publish') return ['publish', pick(random, ['chan', 'bee:chan', '__redis__:invalidate']), 'forged']
  if (names[0] === 'psubscribe') return ['psubscribe', pick(random, ['*', '__key*__:*', 'bee:*', '?ee:*', '[b]*'])]
  if (names[0] === 'pubsub') return [...names, ...(names[1] === 'numpat' ? [] : ['chan', '*'].slice(0, 1 + random()))]
  if (names[0] === 'eval' || names[0] === 'eval_ro')
    return [
      names[0],
      pick(random, luaBodies),
      pick(random, ['0', '1 bee:s', '2 bee:s bee:l', '1 s', '0 bee:l', '1 l x']),
    ]
      .join('\x01')
      .split('\x01')
      .flatMap((part, i) => (i === 2 ? part.split(' ') : [part]))
  if (names[0] === 'script' && names[1] === 'load') return [...names, pick(random, luaBodies)]
  if (names[0] === 'scan')
    return [
      'scan',
      pick(random, ['0', '1', '17', '4096', ...stolen.cursors]),
      ...pick(random, [[], ['MATCH', '*'], ['MATCH', `${prefix}*`], ['COUNT', '1000'], ['TYPE', 'string']]),
    ]
  if (names[0] === 'sort' || names[0] === 'sort_ro')
    return [names[0], 'l', 'BY', 'nosort', 'GET', pick(random, [`${prefix}w_*`, `${prefix}h_*->f`, '*', '#'])]
  if (names[0] === 'georadius' || names[0] === 'georadius_ro')
    return [names[0], pick(random, [`${prefix}g`, 'g', `{${prefix}}g`]), '15', '37', '300', 'km']
  return undefined
}

/** Commands that end or pause a server, or an attacker of the straight run, without telling anything. */
const notStraight =
  /^(shutdown|debug|failover|replicaof|slaveof|psync|sync|monitor|flushall|flushdb|swapdb|config|acl|cluster|client|module|reset|quit|auth|hello|select|migrate|subscribe|psubscribe|ssubscribe|wait|waitaof|save|bgsave|bgrewriteaof|multi|exec|function|script|move|readonly|del|unlink|rename|renamenx|replconf|latency|pfdebug|pfselftest|restore-asking|asking)/

interface Leak {
  readonly sent: readonly string[]
  readonly why: string
  readonly heard: string
}

/** What came back that must not have: undefined, none. What ant said itself may be said back. */
function findLeak(sent: readonly string[], heard: string, own: string): string | undefined {
  if (heard.includes(canary)) return 'a value of the other tenant'
  if (heard.includes(hidden)) return 'a name of the other tenant'
  const said = sent.join(' ')
  // ant keeps values with bee's prefix in them; of its own, which it never says, it may not even know.
  if (heard.includes(own) && !said.includes(own)) return 'the own prefix'
  return undefined
}

interface Hunt {
  readonly leaks: Leak[]
  done: number
  /** By command: attacks behind which nothing more was heard on that connection. */
  readonly silent: Map<string, number>
}

const newHunt = (): Hunt => ({ leaks: [], done: 0, silent: new Map() })

class Hunter {
  private readonly open: () => Promise<Awaited<ReturnType<typeof rawClient>>>
  private client: Awaited<ReturnType<typeof rawClient>> | undefined
  private readonly inMulti: boolean
  private count = 0

  constructor(open: () => Promise<Awaited<ReturnType<typeof rawClient>>>, inMulti: boolean) {
    this.open = open
    this.inMulti = inMulti
  }

  /** One attack: everything that is heard up to the echo behind it; undefined: the connection ended or hung on the way. */
  async attack(args: readonly string[], hunt: Hunt): Promise<string> {
    this.client ??= await this.open()
    const client = this.client
    const token = `token-${this.count++}`
    const sent = args.map((arg) => Buffer.from(arg, 'latin1'))
    const requests = this.inMulti
      ? [command('MULTI'), command(...sent), command('EXEC'), command('ECHO', token)]
      : [command(...sent), command('ECHO', token)]
    client.send(Buffer.concat(requests))
    let heard = ''
    const endsAt = performance.now() + 400
    while (!heard.includes(token)) {
      const left = endsAt - performance.now()
      if (left <= 0 || client.isClosed) break
      try {
        heard += await client.readRaw(left)
      } catch {
        heard += client.unread
        break
      }
    }
    hunt.done++
    // Whatever has changed the connection for good (a subscription, a wait, a close): a new one for the next.
    if (!heard.endsWith(`${token}\r\n`)) {
      client.close()
      this.client = undefined
      hunt.silent.set(args[0]!, (hunt.silent.get(args[0]!) ?? 0) + 1)
    }
    return heard.replaceAll(token, '')
  }

  close(): void {
    this.client?.close()
  }
}

function attackArgs(random: Random, spec: CommandSpec, stolen = nothingStolen): string[] {
  const hand = random() < 0.5 ? byHand(random, spec, stolen) : undefined
  if (hand !== undefined) return hand
  const names = spec.name.split('|')
  const argv = random() < 0.5 ? validArgv(random, spec) : mutatedArgv(random, spec)
  const args = argv.slice(names.length).map((arg) => aimed(random, arg))
  // Nobody has time for long waits; what must be tried is who is woken, not for how long.
  const waits = spec.blocks !== undefined
  return [...names, ...args].map((arg) => (waits && /^\d{2,}$/.test(arg) ? '1' : arg))
}

describe('the hunter', () => {
  test('finds leaks in nearly every family, straight at a server that keeps nobody apart', async () => {
    const server = await startRedis()
    const random = randomOf(seed)
    const found = new Map<string, number>()
    const served = commands.filter(
      (spec) => spec.since === undefined && spec.isOurs === undefined && !notStraight.test(spec.name),
    )
    const hunter = new Hunter(() => rawClient(server.port), false)
    for (const spec of served) {
      for (let i = 0; i < 24; i++) {
        if (i % 6 === 0) await fill(server)
        const args = attackArgs(random, spec)
        const heard = await hunter.attack(args, newHunt())
        const leak = findLeak(args, heard, 'ant:')
        if (leak !== undefined)
          for (const category of spec.categories) found.set(category, (found.get(category) ?? 0) + 1)
      }
    }
    hunter.close()
    const missed = [
      'string',
      'list',
      'hash',
      'set',
      'sortedset',
      'stream',
      'geo',
      'keyspace',
      'scripting',
      'blocking',
    ].filter((category) => !found.has(category))
    expect(missed).toEqual([])
  }, 120_000)

  test.each([
    [['GET', 'x'], `$12\r\n${canary}\r\n`],
    [['KEYS', '*'], `*1\r\n$3\r\n${hidden}s\r\n`],
    [['SCAN', '0'], '*2\r\n$1\r\n0\r\n*1\r\n$5\r\nant:s\r\n'],
    [['BLPOP', 'l', '0'], '*2\r\n$5\r\nant:l\r\n$1\r\n1\r\n'],
    [['XREADGROUP', 'GROUP'], "-NOGROUP No such key 'ant:s' or consumer group\r\n"],
  ])('knows a leak when it sees one: %s', (sent, heard) => {
    expect(findLeak(sent, heard, 'ant:')).toBeDefined()
  })
})

describe('through Regis', () => {
  let server: RedisServer
  let proxy: StartedProxy

  beforeAll(async () => {
    server = await startRedis()
    proxy = await startProxy(
      {
        region: 'eu',
        primary: 'eu',
        upstream: { username: 'default', password: 'known to no tenant' },
        regions: { eu: { nodes: [`redis://127.0.0.1:${server.port}`] } },
        tenants: {
          ant: { scripts: 'any', users: { 'ant-app': { password: 'demo' } } },
          emmet: { scripts: 'declared', users: { 'emmet-app': { password: 'demo' } } },
          bee: { users: { 'bee-app': { password: 'demo' } } },
        },
      },
      { env: { REGIS_PARANOID: '1' } },
    )
  })

  test.each([
    ['RESP2, scripts any', '2', false, 'ant'],
    ['RESP3, scripts declared', '3', false, 'emmet'],
    ['RESP2 in MULTI, scripts declared', '2', true, 'emmet'],
    ['RESP3 in MULTI, scripts any', '3', true, 'ant'],
  ] as const)(
    'nothing of the other tenant comes back: %s',
    async (name, version, inMulti, tenant) => {
      await fill(server)
      await server.call('CONFIG', 'SET', 'notify-keyspace-events', 'KEA')
      const before = await digest(server)
      const listening = await proxy.client('bee-app')
      const bee = new BusyTenant(proxy, { canary, hidden })
      await bee.start()
      const hunt = newHunt()
      const judge = (sent: readonly string[], heard: string): void => {
        // Under `declared` a script is shown its keys as they are on the server, and may say so.
        const isTold = tenant === 'emmet' && /^(eval|fcall)/.test(sent[0] ?? '')
        const why = findLeak(sent, heard, isTold ? canary : `${tenant}:`)
        if (why !== undefined) hunt.leaks.push({ sent, why, heard: heard.slice(0, 300) })
      }
      const ears = new Ears(proxy, (asks, heard) => judge([asks], heard))
      const queue = [...commands.entries()]
      const hunter = async (): Promise<void> => {
        const one = new Hunter(async () => {
          // Clients of ant kill one another, also in the middle of a login.
          for (let i = 0; ; i++) {
            const client = await RawClient.open(proxy.port)
            try {
              await client.call('HELLO', version, 'AUTH', `${tenant}-app`, 'demo')
              return client
            } catch (error) {
              if (i === 5) throw error
            }
          }
        }, inMulti)
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          const [index, spec] = next
          const random = randomOf((seed + name.length + (inMulti ? 1 : 0)) * 7919 + index)
          for (let i = 0; i < attacks; i++) {
            const args = attackArgs(random, spec, bee)
            judge(args, await one.attack(args, hunt))
          }
        }
        one.close()
      }
      await Promise.all(Array.from({ length: hunters }, hunter))
      await ears.stop()
      await bee.stop()
      if (process.env['ATTACKS'] !== undefined) {
        const silent = Object.fromEntries([...hunt.silent].sort((a, b) => b[1] - a[1]).slice(0, 20))
        process.stderr.write(`${name}: ${hunt.done} attacks, ${hunt.leaks.length} leaks, ears heard ${ears.count}, `)
        process.stderr.write(`bee ${JSON.stringify(bee.done)}, silent ${JSON.stringify(silent)}\n`)
      }
      expect(hunt.leaks.slice(0, 10)).toEqual([])
      expect(hunt.done).toBe(commands.length * attacks)
      // bee's own work went on, and nothing of it was disturbed.
      expect(bee.wrong).toEqual([])
      expect(Math.min(...Object.values(bee.done))).toBeGreaterThan(10)
      // Nothing of bee's has changed, and nothing stands outside of both prefixes.
      expect(await digest(server, (key) => bee.isBusyName(key))).toBe(before)
      const stray = ((await server.call('KEYS', '*')) as string[]).filter((key) => !/^(ant|emmet|bee):/.test(key))
      expect(stray).toEqual([])
      expect(await listening.call('GET', 's')).toBe(canary)
      const metrics = await (await fetch(`http://127.0.0.1:${proxy.adminPort}/metrics`)).text()
      expect(/^regis_foreign_prefix_total (\d+)$/m.exec(metrics)?.[1]).toBe('0')
      expect(/^regis_desync_total(?:\{[^}]*\})? (\d+)$/m.exec(metrics)?.[1]).toBe('0')
      expect(await listening.call('PING')).not.toBeInstanceOf(ErrorReply)
    },
    300_000 + attacks * 3_000,
  )
})
