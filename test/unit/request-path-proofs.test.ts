/** Reads that count on what a replica has proven: by the clock at their own arrival, and behind a guard. */
import { command } from '../kit/resp.ts'
import { buildWorld } from './request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')
const role = text('ROLE')
const answer = (host: string, offset: number): string =>
  `*5\r\n$5\r\nslave\r\n$${host.length}\r\n${host}\r\n:6379\r\n$9\r\nconnected\r\n:${offset}\r\n`

const bounded = [
  {
    id: 'shop',
    prefix: 'shop:',
    deny: [],
    consistency: 'bounded' as const,
    maxStalenessMs: 100,
    users: [{ name: 'shop', readOnly: false }],
  },
]

test('the age of a proof is taken anew for each chunk of commands, also of two that come in one turn', () => {
  const world = buildWorld({ tenants: bounded })
  const client = world.client('shop')
  world.replica.shownSeq = 1
  world.replica.shownSentAtMs = world.clock.ms
  world.clock.ms += 90
  client.send(['GET', 'a'])
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  world.reply(world.replica, '$-1\r\n')
  world.clock.ms += 20
  client.send(['GET', 'b'])
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  expect(world.sentTo(world.primary)).toBe(text('GET', 'shop:b'))
})

describe('guards', () => {
  function guarded() {
    const world = buildWorld({ consistency: 'session', isGuarded: true })
    Object.assign(world.replica, { role: 'replica', follows: '10.0.0.1:6379', shownSeq: world.tracker.marks.nextSeq })
    return world
  }

  test('one for all reads of a flush, whoever’s they are, and one for the next flush', () => {
    const world = guarded()
    const [one, other] = [world.client('shop'), world.client('shop')]
    one.send(['GET', 'a'], ['GET', 'b'])
    other.send(['GET', 'c'])
    const first = role + text('GET', 'shop:a') + text('GET', 'shop:b') + text('GET', 'shop:c')
    expect(world.sentTo(world.replica)).toBe(first)
    other.send(['GET', 'd'])
    expect(world.sentTo(world.replica)).toBe(first + role + text('GET', 'shop:d'))
    world.reply(
      world.replica,
      `${answer('10.0.0.1', 5)}$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n${answer('10.0.0.1', 6)}$1\r\nd\r\n`,
    )
    expect(one.socket.text).toBe('$1\r\na\r\n$1\r\nb\r\n')
    expect(other.socket.text).toBe('$1\r\nc\r\n$1\r\nd\r\n')
  })

  test('reads that give way to a write take theirs with them, and nothing moves', () => {
    const world = guarded()
    const [client, other] = [world.client('shop'), world.client('shop')]
    client.send(['GET', 'a'], ['SET', 'a', '1'])
    expect(world.sentTo(world.replica)).toBe('')
    expect(world.sentTo(world.primary)).toBe(text('GET', 'shop:a') + text('SET', 'shop:a', '1'))
    world.reply(world.primary, '$-1\r\n+OK\r\n')
    expect(client.socket.text).toBe('$-1\r\n+OK\r\n')
    other.send(['GET', 'b'])
    expect(world.sentTo(world.replica)).toBe(role + text('GET', 'shop:b'))
    world.reply(world.replica, `${answer('10.0.0.1', 5)}$1\r\nb\r\n`)
    expect(other.socket.text).toBe('$1\r\nb\r\n')
  })

  test('where others’ reads stand behind it already, it stays when reads are taken back', () => {
    const world = guarded()
    const [client, other] = [world.client('shop'), world.client('shop')]
    other.send(['GET', 'b'])
    client.send(['GET', 'a'], ['SET', 'a', '1'])
    expect(world.sentTo(world.replica)).toBe(role + text('GET', 'shop:b'))
    const { incarnation } = world.replica
    world.reply(world.replica, `${answer('10.0.0.2', 5)}$3\r\nold\r\n`)
    expect(other.socket.text).toMatch(/^-TRYAGAIN [^\r]*\r\n$/)
    expect(world.replica.incarnation).toBeGreaterThan(incarnation)
  })

  test('others’ guard keeps what it was sent with when reads behind it are taken back', () => {
    const world = guarded()
    const [client, other] = [world.client('shop'), world.client('shop')]
    other.send(['GET', 'b'])
    client.send(['GET', 'a'], ['SET', 'a', '1'])
    world.sentTo(world.replica)
    world.reply(world.replica, `${answer('10.0.0.1', 5)}$1\r\nb\r\n`)
    expect(other.socket.text).toBe('$1\r\nb\r\n')
  })

  test('answers stay with their guards when one is taken back between two that go out', () => {
    const world = guarded()
    const [client, other] = [world.client('shop'), world.client('shop')]
    other.send(['GET', 'b'])
    expect(world.sentTo(world.replica)).toBe(role + text('GET', 'shop:b'))
    client.send(['GET', 'a'], ['SET', 'a', '1'])
    world.replica.follows = '10.0.0.2:6379' // as a probe finds out
    other.send(['GET', 'c'])
    world.sentTo(world.replica)
    world.reply(world.replica, `${answer('10.0.0.1', 5)}$1\r\nb\r\n${answer('10.0.0.2', 6)}$1\r\nc\r\n`)
    expect(other.socket.text).toBe('$1\r\nb\r\n$1\r\nc\r\n')
  })

  test('what stands behind an answer that does not hold is not executed, and what it had proven is void', () => {
    const world = guarded()
    const client = world.client('shop')
    client.send(['GET', 'a'], ['GET', 'b'])
    world.sentTo(world.replica)
    const { incarnation } = world.replica
    world.reply(world.replica, `${answer('10.0.0.2', 5)}$3\r\nold\r\n$3\r\nold\r\n`)
    expect(client.socket.text).toMatch(/^(-TRYAGAIN [^\r]*\r\n){2}$/)
    expect(world.replica.incarnation).toBeGreaterThan(incarnation)
    expect(world.replica.shownSeq).toBe(0)
  })

  test('eventual reads need none', () => {
    const world = buildWorld({ consistency: 'eventual', isGuarded: true })
    Object.assign(world.replica, { role: 'replica', follows: '10.0.0.1:6379' })
    world.client('shop').send(['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  })
})
