/** Clients whose pipelines hold reads and writes: once such a pipeline was met, the next one is looked through first. */
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
