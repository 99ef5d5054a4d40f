import {
  channelPatternBytesMax,
  clientOutputHardBytes,
  clientSubscriptionsMax,
  pushClientsPerTurn,
  tenantChannelNamesBytesMax,
} from '../../../src/base/limits.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld, type World } from '../request-world.ts'

function message(world: World, channel: string, payload: string, pattern?: string): void {
  const kind = pattern === undefined ? 'message' : 'pmessage'
  world.subscriptions.take({
    kind,
    channel,
    payload: Buffer.from(payload),
    ...(pattern === undefined ? {} : { pattern }),
  })
}

const push = (...parts: string[]): string =>
  command(...parts)
    .toString()
    .replace('*', '>')

describe('a message for a client that waits for a reply', () => {
  function reader(): { world: World; client: ReturnType<World['client']> } {
    const world = buildWorld()
    const client = world.client('shop')
    client.session.resp = 3
    client.send(['SUBSCRIBE', 'n'])
    client.socket.text = ''
    return { world, client }
  }
  const bulk = `$12\r\n${'v'.repeat(12)}\r\n`
  const answer = (world: World, text: string): void => {
    const lane = world.pool.lane(world.replica.index, 3, false, 1, 0)
    lane.flush()
    const bytes = Buffer.from(text)
    lane.nextInput().set(bytes)
    lane.onRead(bytes.length)
  }

  test.each(Array.from({ length: 2 * bulk.length }, (_, i) => i + 1))(
    '%d bytes of two replies: it comes between, never inside',
    (cut) => {
      const { world, client } = reader()
      client.send(['GET', 'a'], ['GET', 'b'], ['GET', 'c'])
      answer(world, (bulk + bulk).slice(0, cut))
      message(world, 'shop:n', 'x')
      world.subscriptions.flush()
      answer(world, (bulk + bulk).slice(cut))
      answer(world, bulk)
      const at = client.socket.text.indexOf(push('message', 'n', 'x'))
      expect([0, bulk.length, 2 * bulk.length]).toContain(at)
      expect(client.socket.text.replace(push('message', 'n', 'x'), '')).toBe(bulk + bulk + bulk)
    },
  )

  test('comes before the reply to what was asked after it', () => {
    const { world, client } = reader()
    message(world, 'shop:n', '1')
    client.send(['UNSUBSCRIBE', 'n'])
    world.subscriptions.flush()
    expect(client.socket.text).toBe(`${push('message', 'n', '1')}>3\r\n$11\r\nunsubscribe\r\n$1\r\nn\r\n:0\r\n`)
  })

  test('costs a client its connection when the reply does not end and too much waits behind it', () => {
    const { world, client } = reader()
    client.send(['GET', 'a'])
    answer(world, bulk.slice(0, 8))
    answer(world, bulk.slice(8, 9)) // what is cut waits for one more read
    const large = 'x'.repeat(1024 * 1024)
    for (let i = 0; i * large.length <= clientOutputHardBytes + large.length; i++) {
      message(world, 'shop:n', large)
      world.subscriptions.flush()
    }
    expect(client.socket.isDestroyed).toBe(true)
  })
})

test('a message is encoded once for all who speak a version, and many are written to in turns', () => {
  const world = buildWorld()
  const clients = Array.from({ length: 2 * pushClientsPerTurn + 10 }, (_, i) => {
    const client = world.client('shop')
    client.session.resp = i % 2 === 0 ? 2 : 3
    client.send(['SUBSCRIBE', 'n'])
    client.socket.pieces.length = 0
    return client
  })
  message(world, 'shop:n', 'x')
  world.subscriptions.flush()
  expect(clients.filter((client) => client.socket.pieces.length > 0)).toHaveLength(pushClientsPerTurn)
  while (world.later.length > 0) world.later.shift()!()
  expect(new Set(clients.map((client) => client.socket.pieces[0])).size).toBe(2)
  expect(clients.every((client) => client.socket.pieces.length === 1)).toBe(true)
})

test('patterns that are made to be slow are not tried to the end, and that is counted', () => {
  const world = buildWorld()
  const client = world.client('shop')
  const slow = Array.from({ length: 500 }, (_, i) => `*${'a'.repeat(channelPatternBytesMax - 10)}${i}b`)
  client.send(['PSUBSCRIBE', ...slow])
  message(world, `shop:${'a'.repeat(8000)}`, 'x', 'shop:*')
  expect(world.cells.pubsub.dropped).toBe(1)
})

test('subscriptions and the bytes of their names are bounded, and a refused SUBSCRIBE leaves nothing behind', () => {
  const world = buildWorld()
  const client = world.client('shop')
  client.session.resp = 3
  const names = Array.from({ length: clientSubscriptionsMax }, (_, i) => `c${i}`)
  client.send(['SUBSCRIBE', ...names])
  expect(world.topics.size).toBe(clientSubscriptionsMax)
  client.socket.text = ''
  client.send(['SUBSCRIBE', 'c0', 'more'])
  expect(client.socket.text).toBe('-ERR max number of subscriptions reached\r\n')
  client.socket.text = ''
  client.send(['SUBSCRIBE', 'c0'])
  expect(client.socket.text).toBe(`>3\r\n$9\r\nsubscribe\r\n$2\r\nc0\r\n:${clientSubscriptionsMax}\r\n`)
  world.subscriptions.drop(client.session)
  expect(world.topics.size).toBe(0)
  expect(world.cells.pubsub.subscriptions).toEqual({ channel: 0, pattern: 0, shard: 0 })

  const long = 'x'.repeat(8000)
  const others = Array.from({ length: Math.floor(tenantChannelNamesBytesMax / 8010) }, (_, i) => `${long}${i}`)
  const second = world.client('shop')
  for (let i = 0; i < others.length; i += 100) second.send(['SUBSCRIBE', ...others.slice(i, i + 100)])
  second.socket.text = ''
  second.send(['SUBSCRIBE', ...Array.from({ length: 20 }, (_, i) => `${long}more${i}`)])
  expect(second.socket.text).toBe('-ERR max number of subscriptions reached\r\n')
  second.socket.text = ''
  second.send(['PING'])
  expect(second.socket.text).toBe('*2\r\n$4\r\npong\r\n$0\r\n\r\n')
})

test('what waits for a client that becomes another tenant is thrown away', () => {
  const world = buildWorld()
  const client = world.client('shop')
  client.send(['SUBSCRIBE', 'n'])
  client.socket.text = ''
  message(world, 'shop:n', 'x')
  world.subscriptions.drop(client.session)
  world.subscriptions.flush()
  client.send(['PING'])
  expect(client.socket.text).toBe('+PONG\r\n')
})

describe('PUBLISH', () => {
  test('goes to the primary with the prefix, is answered with the own receivers, and raises no fence', () => {
    const world = buildWorld({ consistency: 'session' })
    const [client, listener] = [world.client('shop'), world.client('shop')]
    listener.send(['SUBSCRIBE', 'n'], ['PSUBSCRIBE', '?'])
    client.send(['PUBLISH', 'n', 'x'], ['SPUBLISH', 'n', 'y'], ['PUBLISH', 'nn', 'z'])
    expect(world.sentTo(world.primary)).toBe(
      ['PUBLISH', 'SPUBLISH', 'PUBLISH']
        .map((name, i) => command(name, `shop:${['n', 'n', 'nn'][i]}`, 'xyz'[i]!))
        .join(''),
    )
    world.reply(world.primary, ':7\r\n:8\r\n:9\r\n')
    expect(client.socket.text).toBe(':2\r\n:0\r\n:0\r\n')
    const { newest, newestMark } = client.session.account!.tenant!
    expect([newest.count, newestMark]).toEqual([0, 0])
    expect([world.cells.tenant('shop').pubsub, world.cells.tenant('shop').writes]).toEqual([5, 0])
  })

  test('errors of the server pass, and a lost one is uncertain', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['PUBLISH', 'n', 'x'], ['PUBLISH', 'n', 'x'])
    world.reply(world.primary, '-NOPERM no\r\n')
    expect(client.socket.text).toBe('-NOPERM no\r\n')
    client.socket.text = ''
    world.lane(world.primary).destroy('test')
    expect(client.socket.text).toMatch(/^-UNCERTAIN /)
  })
})

test('a drain ends subscribers like idle clients, and they are subscribers no more', () => {
  const world = buildWorld()
  const client = world.client('shop')
  client.send(['SUBSCRIBE', 'n'])
  client.session.drain()
  expect(client.socket.isEnded).toBe(true)
})
