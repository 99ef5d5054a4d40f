/**
 * The whole request path, with clients and servers replaced by memory: whatever tenants send, in whatever pieces, every
 * request that leaves for a server belongs to one tenant, names only that tenant's keys, and answers come back in order.
 */
import fc from 'fast-check'
import type { Session } from '../../src/session/session.ts'
import { buildWorld, type World } from '../unit/request-world.ts'

const runs = Number(process.env['RUNS'] ?? 300)

/** What a server got: requests, split by the simplest possible parser, which is not the one under test. */
function requests(stream: string): string[][] {
  const found: string[][] = []
  let at = 0
  while (at < stream.length) {
    const head = /^\*(\d+)\r\n/.exec(stream.slice(at, at + 20))
    if (head === null) throw new Error(`no request at ${at}: ${JSON.stringify(stream.slice(at, at + 40))}`)
    at += head[0].length
    const args: string[] = []
    for (let i = 0; i < Number(head[1]); i++) {
      const size = /^\$(\d+)\r\n/.exec(stream.slice(at, at + 20))
      if (size === null) throw new Error(`no argument at ${at}`)
      at += size[0].length
      args.push(stream.slice(at, at + Number(size[1])))
      at += Number(size[1])
      if (stream.slice(at, at + 2) !== '\r\n') throw new Error(`no end at ${at}`)
      at += 2
    }
    found.push(args)
  }
  return found
}

/** Tenants with prefixes that look alike, on the request path in memory; every command is looked at at the socket. */
const build = (): World =>
  buildWorld({
    tenants: tenants.map(({ id, prefix }) => ({ id, prefix, deny: [], users: [{ name: id, readOnly: false }] })),
  })

const tenants = [
  { id: 'shop', prefix: 'shop:' },
  { id: 'shopx', prefix: 'shopx:' },
  { id: 's', prefix: 's:' },
] as const

const key = fc.oneof(
  fc.constantFrom('a', 'b', 'shop:a', 'shopx:', 's:a', '', 'x'.repeat(300), '*1\r\n$3\r\nGET\r\n'),
  fc.string({ maxLength: 8 }),
)
const value = fc.oneof(fc.constantFrom('1', '$5\r\nshop:\r\n'), fc.string({ maxLength: 30 }))

interface Sent {
  args: string[]
  keys: number[]
}

/** Commands with the positions of their keys, written down by hand. */
const command: fc.Arbitrary<Sent> = fc.oneof(
  key.map((k) => ({ args: ['GET', k], keys: [1] })),
  fc.tuple(key, value).map(([k, v]) => ({ args: ['set', k, v], keys: [1] })),
  fc.array(key, { minLength: 1, maxLength: 5 }).map((ks) => ({ args: ['MGET', ...ks], keys: ks.map((_, i) => i + 1) })),
  fc
    .array(fc.tuple(key, value), { minLength: 1, maxLength: 4 })
    .map((kv) => ({ args: ['MSET', ...kv.flat()], keys: kv.map((_, i) => 2 * i + 1) })),
  fc.tuple(key, key).map(([a, b]) => ({ args: ['RENAME', a, b], keys: [1, 2] })),
  fc
    .tuple(key, fc.array(key, { minLength: 1, maxLength: 3 }))
    .map(([d, ks]) => ({ args: ['ZUNIONSTORE', d, String(ks.length), ...ks], keys: [1, ...ks.map((_, i) => i + 3)] })),
  fc
    .tuple(key, key, key)
    .map(([k, by, d]) => ({ args: ['SORT', k, 'BY', `${by}*`, 'GET', '#', 'STORE', d], keys: [1, 3, 7] })),
  fc.tuple(key, key).map(([a, b]) => ({ args: ['BITOP', 'AND', a, b], keys: [2, 3] })),
  key.map((k) => ({ args: ['OBJECT', 'ENCODING', k], keys: [2] })),
  fc.constant<Sent>({ args: ['PING'], keys: [] }),
  fc.constant<Sent>({ args: ['nosuch', 'x'], keys: [] }),
  fc.constant<Sent>({ args: ['SWAPDB', '0', '1'], keys: [] }),
)

const forwarded = (args: readonly string[]): boolean => !['PING', 'nosuch', 'SWAPDB'].includes(args[0]!)

function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg, 'latin1')}\r\n${arg}\r\n`).join('')}`
}

const script = fc.array(
  fc.record({
    client: fc.nat(5),
    commands: fc.array(command, { minLength: 1, maxLength: 8 }),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
    answers: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
)

/** Servers answer everything that they got and did not answer yet. */
function answerAll(world: World, answered: number[]): void {
  for (const lane of world.pool.lanes) lane.flush()
  world.pool.lanes.forEach((lane, i) => {
    const all = requests(world.ports[i]!.sent)
    const replies = all
      .slice(answered[i] ?? 0)
      .map((args) => `+${Buffer.from(args.join(' '), 'latin1').toString('hex')}\r\n`)
    answered[i] = all.length
    for (const reply of replies) {
      const bytes = Buffer.from(reply)
      lane.nextInput().set(bytes)
      lane.onRead(bytes.length)
    }
  })
  world.path.waiting.resumeAll()
}

test('every request that leaves names its own tenant’s keys, and every client gets its answers in order', () => {
  fc.assert(
    fc.property(script, (steps) => {
      const world = build()
      const clients = Array.from({ length: 6 }, (_, i) => ({
        ...world.client(tenants[i % 3]!.id),
        tenant: tenants[i % 3]!,
        sent: [] as { args: string[]; keys: number[] }[],
      }))
      const answered: number[] = []
      const give = (session: Session, text: string): void => {
        const bytes = Buffer.from(text, 'latin1')
        world.path.slab.set(bytes, world.path.readAt)
        session.onRead(bytes.length)
      }
      for (const step of steps) {
        const client = clients[step.client]!
        const text = step.commands.map((it) => encode(it.args)).join('')
        const cut = Math.floor(step.cut * text.length)
        if (cut > 0) give(client.session, text.slice(0, cut))
        if (cut < text.length) give(client.session, text.slice(cut))
        client.sent.push(...step.commands)
        if (step.answers) answerAll(world, answered)
      }
      // A client whose commands wait for its own answers needs a few rounds.
      for (let round = 0; round < 200; round++) answerAll(world, answered)
      const prefixed = (client: (typeof clients)[number], it: { args: string[]; keys: number[] }): string[] =>
        it.args.map((arg, i) => (it.keys.includes(i) ? client.tenant.prefix + arg : arg))
      const expected = clients.flatMap((client) =>
        client.sent.filter((it) => forwarded(it.args)).map((it) => JSON.stringify(prefixed(client, it))),
      )
      // No lane was given up: neither for a desync nor for a frame without its prefix.
      expect(world.ports.map((port) => port.destroyed)).toEqual(world.ports.map(() => undefined))
      const got = world.ports.flatMap((port) => requests(port.sent)).map((args) => JSON.stringify(args))
      expect(got.sort()).toEqual(expected.sort())
      for (const client of clients) {
        const replies = client.sent.map((it) => {
          if (it.args[0] === 'PING') return '+PONG'
          if (it.args[0] === 'nosuch') return "-ERR unknown command 'nosuch', with args beginning with: 'x' "
          if (it.args[0] === 'SWAPDB') return "-NOPERM this user has no permissions to run the 'swapdb' command"
          return `+${Buffer.from(prefixed(client, it).join(' '), 'latin1').toString('hex')}`
        })
        expect(client.socket.text).toBe(replies.map((reply) => `${reply}\r\n`).join(''))
      }
    }),
    { numRuns: runs },
  )
})
