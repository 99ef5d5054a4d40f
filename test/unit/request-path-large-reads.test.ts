/** Reads whose replies were large go by the bulk lane, with all that was promised to reads. */
import type { TenantOptions } from '../../src/session/accounts.ts'
import type { Lane } from '../../src/upstream/lane.ts'
import { buildWorld, type World, type WorldOptions } from './request-world.ts'

const value = 'v'.repeat(100_000)
const large = `$100000\r\n${value}\r\n`
const small = '$1\r\nx\r\n'
const tenants: readonly TenantOptions[] = ['shop', 'other'].map((id) => ({
  id,
  prefix: `${id}:`,
  deny: [],
  users: [{ name: id, readOnly: false }],
}))
const get = (prefix: string, key: string): string =>
  `*2\r\n$3\r\nGET\r\n$${prefix.length + 1 + key.length}\r\n${prefix}:${key}\r\n`
const guard = '*1\r\n$4\r\nROLE\r\n'

function build(options: WorldOptions = {}): { world: World; shared: Lane; bulk: Lane; sentBy: (lane: Lane) => string } {
  const world = buildWorld({ tenants, ...options })
  const shared = world.lane(world.replica)
  const bulk = world.pool.lane(world.replica.index, 2, true, 1, 0)
  const sentBy = (lane: Lane): string => {
    lane.flush()
    const port = world.ports[lane.index]!
    const { sent } = port
    port.sent = ''
    return sent
  }
  return { world, shared, bulk, sentBy }
}

/** The read of `big` was answered twice: the first large reply says that there are such, the second which. */
function teach(world: World, shared: Lane, sentBy: (lane: Lane) => string, reply = large): void {
  const client = world.client('shop')
  for (let i = 0; i < 2; i++) {
    client.send(['GET', 'big'])
    world.replyOn(shared, shared.inFlight > 1 ? `-ERR no answer to the guard\r\n${reply}` : reply)
  }
  sentBy(shared)
}

test('the read goes by the bulk lane; other reads, other tenants and writes of the same key do not', () => {
  const { world, shared, bulk, sentBy } = build()
  teach(world, shared, sentBy)
  const clients = [world.client('shop'), world.client('shop'), world.client('other'), world.client('shop')]
  clients[0]!.send(['GET', 'big'])
  clients[1]!.send(['GET', 'little'])
  clients[2]!.send(['GET', 'big'])
  clients[3]!.send(['STRLEN', 'big'])
  expect(sentBy(bulk)).toBe(get('shop', 'big'))
  expect(sentBy(shared)).toBe(`${get('shop', 'little')}${get('other', 'big')}*2\r\n$6\r\nSTRLEN\r\n$8\r\nshop:big\r\n`)
  world.replyOn(bulk, large)
  expect(clients[0]!.socket.text).toBe(large)
  clients[0]!.send(['SET', 'big', '1'])
  expect(sentBy(world.lane(world.primary))).toContain('SET')
  expect(sentBy(bulk)).toBe('')
})

test('a reply at the bound is not large, one above it is', () => {
  for (const [size, isLarge] of [
    [65_536 - 10, false],
    [65_536, true],
  ] as const) {
    const { world, shared, bulk, sentBy } = build()
    teach(world, shared, sentBy, `$${size}\r\n${'v'.repeat(size)}\r\n`)
    world.client('shop').send(['GET', 'big'])
    expect(sentBy(bulk) !== '').toBe(isLarge)
  }
})

test('small reads follow on the bulk lane, and a large one waits for what its client has on a shared lane', () => {
  const { world, shared, bulk, sentBy } = build()
  teach(world, shared, sentBy)
  const client = world.client('shop')
  client.send(['GET', 'a'], ['GET', 'big'], ['GET', 'b'], ['SET', 'c', '1'], ['GET', 'd'])
  expect(sentBy(shared)).toBe(get('shop', 'a'))
  expect(sentBy(bulk)).toBe('')
  world.replyOn(shared, small)
  expect(sentBy(bulk)).toBe(get('shop', 'big') + get('shop', 'b'))
  world.replyOn(bulk, large + small)
  const primary = world.lane(world.primary)
  expect(sentBy(primary)).toBe(`*3\r\n$3\r\nSET\r\n$6\r\nshop:c\r\n$1\r\n1\r\n${get('shop', 'd')}`)
  world.replyOn(primary, `+OK\r\n${small}`)
  expect(client.socket.text).toBe(`${small}${large}${small}+OK\r\n${small}`)
})

test('a large request behind such a read goes out behind it, whole', () => {
  const { world, shared, bulk, sentBy } = build()
  teach(world, shared, sentBy)
  const key = 'k'.repeat(70_000)
  const expected = get('shop', 'big') + get('shop', key) + get('shop', 'big')
  const client = world.client('shop')
  client.send(['GET', 'big'], ['GET', key], ['GET', 'big'])
  expect(sentBy(bulk) === expected).toBe(true) // not a page of differences
  // All of it in one piece, when what stands before it is answered.
  const other = world.client('shop')
  other.send(['GET', 'a'])
  other.send(['GET', 'big'], ['GET', key], ['GET', 'big'])
  expect(sentBy(bulk)).toBe('')
  world.replyOn(shared, small)
  expect(sentBy(bulk) === expected).toBe(true)
})

test('a read that counts on a proof stands behind a guard on the bulk lane too', () => {
  for (const isPipelined of [false, true]) {
    const { world, shared, bulk, sentBy } = build({ consistency: 'session', isGuarded: true })
    Object.assign(world.replica, { role: 'replica', follows: '10.0.0.1:6379', shownSeq: world.tracker.marks.nextSeq })
    teach(world, shared, sentBy)
    const client = world.client('shop')
    if (isPipelined) client.send(['GET', 'big'], ['GET', 'big'])
    else client.send(['GET', 'big'])
    expect(sentBy(bulk)).toBe(guard + get('shop', 'big').repeat(isPipelined ? 2 : 1))
    client.send(['GET', 'big'])
    expect(sentBy(bulk)).toBe(guard + get('shop', 'big'))
  }
})

test('a session read by the bulk lane goes to the primary while the replica lacks the write, and its marks are asked for', () => {
  const { world, shared, bulk, sentBy } = build({ consistency: 'session' })
  teach(world, shared, sentBy)
  world.replica.shownSeq = 0
  const client = world.client('shop')
  client.send(['GET', 'big'])
  sentBy(bulk)
  world.replyOn(bulk, large)
  client.send(['SET', 'big', '1'])
  world.reply(world.primary, '+OK\r\n')
  const bulkOfPrimary = world.pool.lane(world.primary.index, 2, true, 1, 0)
  world.client('shop').send(['GET', 'big'])
  expect(sentBy(bulk)).toBe('')
  expect(sentBy(bulkOfPrimary)).toContain(get('shop', 'big'))
  expect(bulkOfPrimary.needsTrail).toBe(true)
})

test('a strong read by the bulk lane is proven as any other', () => {
  const { world, sentBy } = build({ consistency: 'strong' })
  const primary = world.lane(world.primary)
  world.tracker.readOrder = [world.primary, world.replica]
  const client = world.client('shop')
  const answer = `${large}+OK\r\n`
  for (let i = 0; i < 2; i++) {
    client.send(['GET', 'big'])
    world.replyOn(primary, answer)
  }
  const bulk = world.pool.lane(world.primary.index, 2, true, 1, 0)
  client.send(['GET', 'big'])
  expect(bulk.needsCheck).toBe(true)
  const before = client.socket.text.length
  world.replyOn(bulk, large)
  expect(client.socket.text.length - before).toBeLessThan(large.length)
  world.replyOn(bulk, '+OK\r\n')
  expect(client.socket.text.length - before).toBe(large.length)
  expect(sentBy(bulk)).toContain(get('shop', 'big'))
})

test('without a bulk lane it goes by the shared one, and nothing waits for it', () => {
  const { world, shared, bulk, sentBy } = build()
  teach(world, shared, sentBy)
  bulk.isReady = false
  const client = world.client('shop')
  client.send(['GET', 'a'], ['GET', 'big'], ['GET', 'b'], ['GET', 'big'])
  expect(sentBy(shared)).toBe(get('shop', 'a') + get('shop', 'big') + get('shop', 'b') + get('shop', 'big'))
  world.pool.stop() // it was asked to connect
})

test('a minute after the last large reply the read is like any other, and its tenant as one that never had any', () => {
  const { world, shared, bulk, sentBy } = build()
  teach(world, shared, sentBy)
  const client = world.client('shop')
  world.clock.ms += 59_000
  client.send(['GET', 'big'])
  expect(sentBy(bulk)).toBe(get('shop', 'big'))
  world.replyOn(bulk, small)
  world.clock.ms += 2_000
  client.send(['GET', 'big'])
  expect(sentBy(shared)).toBe(get('shop', 'big'))
  expect(client.session.account!.tenant!.large).toBeUndefined()
})

test('names of reads that were taken back are not those of what stands in their place', () => {
  const { world, shared, bulk, sentBy } = build()
  teach(world, shared, sentBy)
  const client = world.client('shop')
  client.send(['GET', 'wide'], ['SET', 'a', '1'])
  const other = world.client('other')
  other.send(['GET', 'x'])
  world.replyOn(shared, large)
  other.send(['GET', 'x'])
  world.replyOn(shared, small)
  sentBy(shared)
  world.reply(world.primary, `${small}+OK\r\n`)
  client.send(['GET', 'wide'])
  other.send(['GET', 'wide'])
  expect(sentBy(bulk)).toBe('')
})
