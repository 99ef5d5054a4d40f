/** Tenants on one lane: how much each may have on its way, who is next, and that what is counted is what there is. */
import { fairSizes } from '../../../src/quota/fair-window.ts'
import type { TenantOptions } from '../../../src/session/accounts.ts'
import type { Share } from '../../../src/session/turns.ts'
import type { Lane } from '../../../src/upstream/lane.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld, type MemoryClient, type World } from '../request-world.ts'

const names = ['greedy', 'modest', 'third'] as const
const tenants: readonly TenantOptions[] = names.map((id) => ({
  id,
  prefix: `${id}:`,
  deny: [],
  users: [{ name: id, readOnly: false }],
}))

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const gets = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, (_, i) => command('GET', `k${i}`)))
const answers = (count: number): string => '$1\r\nx\r\n'.repeat(count)
const build = (): World => buildWorld({ tenants, isParanoid: false })
const tenantOf = (client: MemoryClient) => client.session.account!.tenant!
const limit = (client: MemoryClient, inFlight: number): void =>
  tenantOf(client).setLimits({ inFlight, scope: 'proxy', whenExceeded: 'delay' }, false, 0)
/** Requests of a tenant that were sent to the replica. */
const sent = (world: World, id: string): number => world.sentTo(world.replica).split(`${id}:`).length - 1

/** Answers what is in flight on the replica, a little at a time, until nothing is. */
async function answerAll(world: World, lane: Lane, atATime = 200): Promise<void> {
  for (let i = 0; i < 10_000; i++) {
    await turn()
    if (lane.inFlight === 0) {
      await turn()
      if (lane.inFlight === 0) return
    }
    world.replyOn(lane, answers(Math.min(atATime, lane.inFlight)))
  }
  throw new Error('there is no end to it')
}

test('a tenant alone has as much on its way as its clients send', async () => {
  const world = build()
  const clients = [world.client('greedy'), world.client('greedy')]
  for (const client of clients) client.raw(gets(5_000))
  await turn()
  expect(world.lane(world.replica).inFlight).toBe(10_000)
  await answerAll(world, world.lane(world.replica))
  expect(tenantOf(clients[0]!).cells.turnsWaited).toBe(0)
})

describe('with a neighbour that was seen a second ago', () => {
  let world: World
  let greedy: MemoryClient
  let modest: MemoryClient
  let lane: Lane

  beforeEach(async () => {
    world = build()
    lane = world.lane(world.replica)
    greedy = world.client('greedy')
    modest = world.client('modest')
    for (const client of [greedy, modest]) client.raw(gets(1))
    await answerAll(world, lane)
    world.clock.ms += 1_000
  })

  test('a tenant that sends ten thousand commands has a window on its way, and the neighbour stands behind no more', async () => {
    greedy.raw(gets(10_000))
    await turn()
    await turn()
    expect(lane.inFlight).toBeLessThanOrEqual(fairSizes.standingUnits)
    expect(lane.inFlight).toBeGreaterThan(fairSizes.standingLeast / 2)
    modest.raw(gets(1))
    await turn()
    expect(world.lane(world.replica).inFlight).toBeLessThanOrEqual(fairSizes.standingUnits + 1)
    expect(sent(world, 'modest')).toBe(2)
    await answerAll(world, lane)
    expect(greedy.socket.text.length).toBe(answers(10_001).length)
    expect(modest.socket.text.length).toBe(answers(2).length)
    expect(tenantOf(greedy).inFlight).toBe(0)
    expect(tenantOf(greedy).cells.turnsWaited).toBeGreaterThan(0)
    expect(tenantOf(modest).cells.turnsWaited).toBe(0)
  })

  test('a tenant within its part waits for nobody, however many wait', async () => {
    greedy.raw(gets(10_000))
    await turn()
    modest.raw(gets(20))
    expect(sent(world, 'modest')).toBe(21)
    await answerAll(world, lane)
  })

  test('tenants that wait are served in turn, however many clients each has and whoever came first', async () => {
    const crowd = Array.from({ length: 20 }, () => world.client('greedy'))
    for (const client of crowd) client.raw(gets(1_000))
    await turn()
    modest.raw(gets(4_000))
    await turn()
    // From when both wait until the one is through, each gets as much.
    const before = { greedy: sent(world, 'greedy'), modest: sent(world, 'modest') }
    for (let i = 0; i < 20; i++) {
      await turn()
      world.replyOn(lane, answers(Math.min(100, lane.inFlight)))
    }
    const after = { greedy: sent(world, 'greedy'), modest: sent(world, 'modest') }
    const served = { greedy: after.greedy - before.greedy, modest: after.modest - before.modest }
    expect(served.greedy + served.modest).toBeGreaterThan(1_000)
    expect(served.modest / (served.greedy + served.modest)).toBeGreaterThan(0.4)
    expect(served.modest / (served.greedy + served.modest)).toBeLessThan(0.75)
    await answerAll(world, lane)
    for (const client of crowd) expect(client.socket.text.length).toBe(answers(1_000).length)
    expect(modest.socket.text.length).toBe(answers(4_001).length)
  })

  test('of one tenant the client that came first is served first, and no client is passed over', async () => {
    const crowd = Array.from({ length: 8 }, () => world.client('greedy'))
    for (const client of crowd) client.raw(gets(2_000))
    await turn()
    for (let i = 0; i < 40; i++) {
      await turn()
      world.replyOn(lane, answers(Math.min(128, lane.inFlight)))
    }
    const had = crowd.map((client) => client.socket.text.length / answers(1).length)
    expect(Math.min(...had)).toBeGreaterThan(0)
    await answerAll(world, lane)
    for (const client of crowd) expect(client.socket.text.length).toBe(answers(2_000).length)
  })

  test('one whose replies are large has as many bytes on their way, not as many commands', async () => {
    const large = `$8000\r\n${'v'.repeat(8_000)}\r\n`
    greedy.raw(gets(64))
    for (let i = 0; i < 64; i++) world.replyOn(lane, large)
    world.clock.ms += 200
    greedy.raw(gets(1))
    world.replyOn(lane, large)
    greedy.raw(gets(2_000))
    await turn()
    // 8 KB count as 32 commands.
    expect(lane.inFlight).toBeLessThan(fairSizes.standingUnits / 10)
    expect(lane.inFlight).toBeGreaterThan(0)
    await answerAll(world, lane)
  })

  test('transactions count for what they hold', async () => {
    const one = [
      command('MULTI'),
      ...Array.from({ length: 100 }, (_, i) => command('SET', `k${i}`, 'v')),
      command('EXEC'),
    ]
    const primary = world.lane(world.primary)
    modest.send(['SET', 'a', '1'])
    world.replyOn(primary, '+OK\r\n')
    greedy.raw(Buffer.concat(Array.from({ length: 50 }, () => one).flat()))
    for (let i = 0; i < 20; i++) await turn()
    expect(primary.inFlight).toBeGreaterThan(0)
    expect(primary.inFlight).toBeLessThanOrEqual(fairSizes.standingUnits + 102)
    expect(tenantOf(greedy).inFlight).toBe(primary.inFlight)
    const queued = `+OK\r\n${'+QUEUED\r\n'.repeat(100)}*100\r\n${'+OK\r\n'.repeat(100)}`
    for (let i = 0; i < 1_000 && primary.inFlight > 0; i++) {
      for (let k = Math.floor(primary.inFlight / 102); k > 0; k--) world.replyOn(primary, queued)
      await turn()
    }
    expect(tenantOf(greedy).inFlight).toBe(0)
    expect(greedy.socket.text.split('*100\r\n')).toHaveLength(51)
  })

  test('a connection that is lost lets go of those who wait for room on it', async () => {
    greedy.raw(gets(3_000))
    await turn()
    expect(world.path.turns.counts.lanes).toBe(1)
    lane.close()
    world.path.turns.laneLost(lane)
    expect(world.path.turns.counts.lanes).toBe(0)
    expect(tenantOf(greedy).inFlight).toBe(0)
    for (let i = 0; i < 10; i++) await turn()
    // What it had not sent goes to the other node.
    const primary = world.lane(world.primary)
    expect(primary.inFlight).toBeGreaterThan(0)
    await answerAll(world, primary)
    const errors = greedy.socket.text.split('-').length - 1
    const values = greedy.socket.text.split('$1\r\n').length - 1
    expect(errors + values).toBe(3_001)
    expect(errors).toBeGreaterThan(0)
  })
})

test('commands that the proxy answers itself are taken in turns while others are active', async () => {
  const world = build()
  const [greedy, modest] = [world.client('greedy'), world.client('modest')]
  greedy.send(['PING'])
  modest.send(['PING'])
  await turn()
  const pings = Buffer.concat(Array.from({ length: 4_000 }, () => command('PING')))
  greedy.raw(pings) // two chunks: 56,000 bytes fit into one
  greedy.raw(pings)
  expect(greedy.socket.text.length).toBeLessThan(8_001 * '+PONG\r\n'.length)
  modest.send(['PING'])
  expect(modest.socket.text).toBe('+PONG\r\n+PONG\r\n')
  for (let i = 0; i < 10; i++) await turn()
  expect(greedy.socket.text.length).toBe(8_001 * '+PONG\r\n'.length)
})

describe('a bound on what a tenant has on its way', () => {
  test('holds over all its clients; who waits is served first come first served, and nothing is lost', async () => {
    const world = build()
    const lane = world.lane(world.replica)
    const clients = Array.from({ length: 5 }, () => world.client('greedy'))
    limit(clients[0]!, 10)
    for (const client of clients) client.raw(gets(8))
    await turn()
    expect(lane.inFlight).toBe(10)
    let most = 0
    const order: number[] = []
    for (let i = 0; i < 1_000 && lane.inFlight > 0; i++) {
      world.replyOn(lane, answers(1))
      most = Math.max(most, lane.inFlight)
      clients.forEach((client, at) => {
        if (client.socket.text.length > 0 && !order.includes(at)) order.push(at)
      })
    }
    expect(most).toBe(10)
    expect(order).toEqual([0, 1, 2, 3, 4])
    for (const client of clients) expect(client.socket.text.length).toBe(answers(8).length)
  })

  test('counts what is on its way to all nodes, and an answer of one lets a client go on that waits for another', () => {
    const world = build()
    const clients = [world.client('greedy'), world.client('greedy')]
    limit(clients[0]!, 3)
    clients[0]!.send(['SET', 'a', '1'], ['SET', 'b', '1'], ['SET', 'c', '1'])
    clients[1]!.send(['GET', 'a'])
    expect(world.lane(world.replica).inFlight).toBe(0)
    world.reply(world.primary, '+OK\r\n')
    world.lane(world.primary).giveCutRun()
    world.path.turns.serve()
    world.path.waiting.resumeAll()
    expect(world.lane(world.replica).inFlight).toBe(1)
    expect(tenantOf(clients[0]!).inFlight).toBe(3)
  })

  test('a client that leaves while it waits holds nobody up', () => {
    const world = build()
    const lane = world.lane(world.replica)
    const clients = Array.from({ length: 3 }, () => world.client('greedy'))
    limit(clients[0]!, 1)
    for (const client of clients) client.send(['GET', 'a'])
    clients[1]!.session.destroy('gone')
    world.replyOn(lane, answers(1))
    expect(lane.inFlight).toBe(1)
    world.replyOn(lane, answers(1))
    expect(clients[2]!.socket.text).toBe(answers(1))
    expect(world.path.turns.counts.lanes).toBe(0)
  })
})

/** mulberry32 */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Counted by the lane, and by its tenants: guards and the like are nobody's. */
function uncounted(world: World, lane: Lane, clients: readonly MemoryClient[]): number {
  const all = new Set(clients.map(tenantOf))
  let sum = 0
  for (const tenant of all) for (const use of tenant.laneUses as Share[]) if (use.lane === lane) sum += use.inFlight
  expect(world.pool.lanes).toContain(lane)
  return lane.inFlight - sum
}

test('whatever becomes of clients and connections, what is counted for the tenants is what is on the lanes, and nothing at rest', async () => {
  const next = numbers(Number(process.env['SEED'] ?? 1))
  const pick = (below: number): number => Math.floor(next() * below)
  for (let round = 0; round < 10; round++) {
    const world = build()
    const lanes = [world.lane(world.replica), world.lane(world.primary)]
    const clients: MemoryClient[] = names.map((name) => world.client(name))
    const all = [...clients]
    for (let step = 0; step < 60; step++) {
      const at = pick(clients.length)
      const client = clients[at]!
      const what = pick(10)
      if (client.session.isClosed || what === 0) {
        client.session.destroy('gone')
        clients[at] = world.client(names[pick(names.length)]!)
        all.push(clients[at]!)
      } else if (what === 1) client.send(['GET', 'a'], ['GET', 'b'], ['SET', 'a', '1'], ['GET', 'c'])
      else if (what === 2) client.send(['CLIENT', 'REPLY', 'SKIP'], ['SET', 'a', '1'], ['SET', 'b', '1'])
      else if (what === 3) client.send(['MULTI'], ['SET', 'a', '1'], ['SET', 'b', '1'], ['EXEC'], ['PING'])
      else if (what === 4) client.raw(gets(pick(700)))
      else if (what === 5 && pick(5) === 0) {
        const lane = lanes[pick(2)]!
        lane.close()
        world.path.turns.laneLost(lane)
        lane.open(world.ports[lane.index]!)
        lane.isReady = true
        lane.isPrimary = lane === lanes[1]
        world.path.waiting.retryNodes()
      } else {
        // Of whatever kind the command was: a reply is a reply.
        for (const lane of lanes) world.replyOn(lane, '+OK\r\n'.repeat(pick(lane.inFlight + 1)))
      }
      for (const lane of lanes) lane.giveCutRun()
      for (const lane of lanes) expect(uncounted(world, lane, all)).toBe(0)
    }
    const isAtRest = (): boolean => lanes.every((lane) => lane.inFlight === 0) && world.path.turns.counts.deferred === 0
    for (let i = 0; i < 200 && !(isAtRest() && i > 3); i++) {
      for (const lane of lanes) if (lane.inFlight > 0) world.replyOn(lane, '+OK\r\n'.repeat(lane.inFlight))
      await turn()
    }
    for (const lane of lanes) expect(lane.inFlight).toBe(0)
    for (const client of all) expect(tenantOf(client).inFlight).toBe(0)
    expect(world.path.turns.counts).toEqual({ lanes: 0, deferred: 0 })
  }
})

test('a client whose turn it is and who asks for nothing on the lane does not hold up the others of its tenant', async () => {
  const world = build()
  const [first, second, third] = [world.client('greedy'), world.client('greedy'), world.client('greedy')]
  limit(first!, 1)
  const lane = world.lane(world.replica)
  first!.raw(Buffer.concat([gets(1), command('PING')]))
  second!.raw(gets(1))
  await turn()
  expect(lane.inFlight).toBe(1)
  // The only reply that comes: PING is answered here, and the second client has its turn.
  world.replyOn(lane, answers(1))
  expect(first!.socket.text).toBe(`${answers(1)}+PONG\r\n`)
  expect(lane.inFlight).toBe(1)
  world.replyOn(lane, answers(1))
  expect(world.path.turns.counts.lanes).toBe(0)
  // Nobody waits, and nothing is in flight: whoever comes does not wait for a reply.
  first!.raw(Buffer.concat([gets(1), command('PING')]))
  world.replyOn(lane, answers(1))
  third!.raw(gets(1))
  expect(lane.inFlight).toBe(1)
})

test('what a lost connection carried leaves room to those who wait for another', async () => {
  const world = build()
  const [reads, writes] = [world.client('greedy'), world.client('greedy')]
  limit(reads!, 1)
  reads!.raw(gets(1))
  writes!.raw(command('SET', 'k', 'v'))
  await turn()
  expect(world.lane(world.primary).inFlight).toBe(0)
  const lost = world.lane(world.replica)
  world.ports[lost.index]!.destroy('lost')
  world.path.turns.laneLost(lost)
  await turn()
  expect(world.lane(world.primary).inFlight).toBe(1)
})
