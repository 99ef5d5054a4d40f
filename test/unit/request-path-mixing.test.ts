/** Clients whose pipelines hold reads and writes: once such a pipeline was met, the next one is looked through first. */
import { FallbackLimit } from '../../src/routing/fallback-limit.ts'
import { LargeKeys } from '../../src/tenant/large-keys.ts'
import { command } from '../kit/resp.ts'
import { buildWorld } from './request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')
const reads = text('GET', 'shop:x') + text('GET', 'shop:y')
const get = (key: string): string[] => ['GET', key]
const mixed = [get('a'), get('b'), ['SET', 'a', '1'], get('c')] as const

function mixing() {
  const world = buildWorld({ consistency: 'session', isGuarded: true })
  Object.assign(world.replica, { role: 'replica', follows: '10.0.0.1:6379', shownSeq: world.tracker.marks.nextSeq })
  const client = world.client('shop')
  client.send(...mixed)
  world.sentTo(world.replica)
  world.reply(world.primary, '$-1\r\n$-1\r\n+OK\r\n$-1\r\n')
  const sent = world.sentTo(world.primary).length
  return { world, client, sentNow: () => world.sentTo(world.primary).slice(sent) }
}

test('reads with a write behind them go to the primary at once, in their order', () => {
  const { world, client, sentNow } = mixing()
  world.replica.shownSeq = world.tracker.marks.nextSeq // it would have been good enough for the first of them
  const lane = world.lane(world.replica)
  const before = lane.inFlight
  const saved = jest.spyOn(lane, 'save')
  client.send(get('x'), get('y'), ['SET', 'a', '1'], get('c'))
  expect(sentNow()).toBe(`${reads}${text('SET', 'shop:a', '1')}${text('GET', 'shop:c')}`)
  expect([lane.inFlight - before, saved.mock.calls.length, lane.waitingBytes]).toEqual([0, 0, 0])
  world.reply(world.primary, '$1\r\n1\r\n$-1\r\n+OK\r\n$-1\r\n')
  expect(client.socket.text.endsWith('$1\r\n1\r\n$-1\r\n+OK\r\n$-1\r\n')).toBe(true)
})

test('where no write follows they go to the replica, and the next chunk is not looked through', () => {
  const { world, client } = mixing()
  world.replica.shownSeq = world.tracker.marks.nextSeq
  client.send(get('x'), get('y'))
  expect(world.sentTo(world.replica)).toContain(text('GET', 'shop:x') + text('GET', 'shop:y'))
  expect(client.session.isMixing).toBe(false)
})

test('behind what it does not know it does not look: reads are taken back as ever', () => {
  const { world, client, sentNow } = mixing()
  world.replica.shownSeq = world.tracker.marks.nextSeq
  client.send(get('a'), ['NOSUCH'], ['SET', 'a', '1'])
  expect(sentNow()).toBe(text('GET', 'shop:a') + text('SET', 'shop:a', '1'))
  world.reply(world.primary, '$1\r\n1\r\n+OK\r\n')
  expect(client.socket.text).toMatch(/\$1\r\n1\r\n-ERR unknown command[^\r]*\r\n\+OK\r\n$/)
})

test('without a primary the reads stay where they are', () => {
  const { world, client } = mixing()
  world.replica.shownSeq = world.tracker.marks.nextSeq
  world.lane(world.primary).isReady = false
  client.send(get('x'), ['SET', 'a', '1'])
  expect(world.sentTo(world.replica)).toContain(text('GET', 'shop:x'))
})

describe('where it is asked whether a read may go to the primary at all, no write behind it says so for it', () => {
  const stale = (world: ReturnType<typeof buildWorld>): void => {
    world.clock.ms += 5_000
    Object.assign(world.replica, { shownSeq: 1, shownSentAtMs: 0, owedSeq: 1e9 })
  }
  const count = (sent: string, name: string): number => sent.split(`\r\n${name}\r\n`).length - 1

  test('with routing.fallback_limit', () => {
    const { world, client, sentNow } = mixing()
    world.path.setLimits({
      scriptMs: 1_000,
      maxRequestBytes: 1e6,
      maxOutputBytes: 1e9,
      fallbackLimit: new FallbackLimit(10, 1_000),
    })
    stale(world)
    client.send(...Array.from({ length: 20 }, () => get('a')), ['SET', 'a', '2'])
    expect(count(sentNow(), 'GET')).toBeLessThan(3)
    expect(count(sentNow(), 'SET')).toBe(1)
  })

  test('with when_stale: error', () => {
    const { world, client, sentNow } = mixing()
    Object.defineProperty(client.session.account, 'whenStale', { value: 'error' })
    stale(world)
    const before = client.socket.text.length
    client.send(get('a'), get('b'), ['SET', 'a', '2'])
    expect(sentNow()).toBe(text('SET', 'shop:a', '2'))
    expect(client.socket.text.slice(before)).toMatch(/^(-TRYAGAIN [^\r]*\r\n){2}$/)
  })

  test('with replies that are large', () => {
    const { world, client, sentNow } = mixing()
    world.replica.shownSeq = world.tracker.marks.nextSeq
    world.tenant('shop').large = new LargeKeys()
    world.tenant('shop').large!.seenAtMs = world.clock.ms
    const saved = jest.spyOn(world.lane(world.replica), 'save')
    client.send(get('x'), get('y'), ['SET', 'a', '1'])
    expect(sentNow()).toBe(`${reads}${text('SET', 'shop:a', '1')}`)
    expect(saved).toHaveBeenCalledTimes(1) // they went there, and came back
  })
})

test('a write that is refused before its turn sends no reads anywhere', () => {
  const { world, client } = mixing()
  world.replica.shownSeq = world.tracker.marks.nextSeq
  client.send(get('x'), get('y'), ['SET', 'a'])
  expect(world.sentTo(world.replica)).toContain(reads)
})
