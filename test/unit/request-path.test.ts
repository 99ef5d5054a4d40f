import { Outcome, Source } from '../../src/metrics/cells.ts'
import { Splicer } from '../../src/tenant/rewrite.ts'
import { command } from '../kit/resp.ts'
import { buildWorld } from './request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')

describe('a read that gives way to a write of its own pipeline', () => {
  test('is sent once, to the primary, and the replica hears nothing of either', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['GET', 'a'], ['GET', 'b'], ['SET', 'a', '1'], ['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe('')
    expect(world.sentTo(world.primary)).toBe(
      text('GET', 'shop:a') + text('GET', 'shop:b') + text('SET', 'shop:a', '1') + text('GET', 'shop:a'),
    )
  })

  test('is counted once: by command, by tenant and by who served it', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['GET', 'a'], ['GET', 'b'], ['SET', 'a', '1'], ['GET', 'a'])
    expect([world.calls('get'), world.calls('set'), client.session.commands]).toEqual([3, 1, 4])
    const tenant = world.cells.tenant('shop')
    expect([tenant.reads, tenant.writes, tenant.commands()]).toEqual([3, 1, 4])
    expect([tenant.readsFrom(Source.primary), tenant.readsFrom(Source.local)]).toEqual([3, 0])
  })

  test('is not hidden nor shown by mistake when the client asked for silence', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['CLIENT', 'REPLY', 'SKIP'], ['GET', 'a'], ['SET', 'a', '1'], ['GET', 'a'])
    world.reply(world.primary, '$1\r\nx\r\n+OK\r\n$1\r\n1\r\n')
    expect(client.socket.text).toBe('+OK\r\n$1\r\n1\r\n')
  })
})

test('a write behind reads of an earlier chunk waits for them, and goes to the primary', () => {
  const world = buildWorld()
  const client = world.client('shop')
  client.send(['GET', 'a'])
  client.send(['SET', 'a', '1'])
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  expect(world.sentTo(world.primary)).toBe('')
  world.reply(world.replica, '$-1\r\n')
  expect(world.sentTo(world.primary)).toBe(text('SET', 'shop:a', '1'))
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
})

describe('session reads', () => {
  /** A replica that is readable and has shown everything up to, not including, what is answered now. */
  function behind() {
    const world = buildWorld({ consistency: 'session' })
    world.replica.shownSeq = world.tracker.marks.nextSeq - 1
    return world
  }

  test('with nothing written and nothing seen are the nearest replica’s', () => {
    const world = behind()
    world.client('shop').send(['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  })

  test('of every connection of the tenant wait for the mark behind its write', () => {
    const world = behind()
    const [writer, reader] = [world.client('shop'), world.client('shop')]
    writer.send(['SET', 'a', '1'])
    world.reply(world.primary, '+OK\r\n')
    reader.send(['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe('')
    expect(world.sentTo(world.primary)).toBe(text('SET', 'shop:a', '1') + text('GET', 'shop:a'))
    world.reply(world.primary, '$1\r\n1\r\n')
    world.replica.shownSeq = world.tracker.marks.nextSeq
    reader.send(['GET', 'b'])
    expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:b'))
  })

  test('of a connection that has read from the primary wait for a mark behind that', () => {
    const world = behind()
    const client = world.client('shop')
    world.replica.isReadable = false
    client.send(['GET', 'a'])
    world.reply(world.primary, '$1\r\n1\r\n')
    world.replica.isReadable = true
    client.send(['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe('')
    expect(world.sentTo(world.primary)).toBe(text('GET', 'shop:a') + text('GET', 'shop:a'))
    // Nobody wrote: another connection has seen nothing and is bound to nothing.
    world.client('shop').send(['GET', 'c'])
    expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:c'))
  })

  test('are the primary’s after a write of unknown fate, whatever marks were shown', () => {
    const world = behind()
    const client = world.client('shop')
    client.send(['SET', 'a', '1'])
    world.sentTo(world.primary)
    const lane = world.lane(world.primary)
    lane.close()
    expect(client.socket.text).toMatch(/^-UNCERTAIN /)
    expect(world.cells.tenant('shop').failures(Outcome.uncertain)).toBe(1)
    lane.open(world.ports[lane.index]!)
    Object.assign(lane, { isReady: true, isPrimary: true })
    world.replica.shownSeq = 1e9
    client.send(['GET', 'a'])
    expect(world.sentTo(world.replica)).toBe('')
    expect(world.sentTo(world.primary)).toBe(text('SET', 'shop:a', '1') + text('GET', 'shop:a'))
  })
})

test('while writes of unknown fate may still run on the primary, writes wait and reads do not', () => {
  const world = buildWorld()
  let isUnsettled = true
  jest.spyOn(world.pool, 'hasUnsettled').mockImplementation(() => isUnsettled)
  const [writer, reader] = [world.client('shop'), world.client('shop')]
  writer.send(['SET', 'a', '1'])
  reader.send(['GET', 'a'])
  expect([world.sentTo(world.primary), writer.socket.text]).toEqual(['', ''])
  expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
  isUnsettled = false
  world.path.waiting.retryNodes()
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).toBe(text('SET', 'shop:a', '1'))
})

describe('the second look', () => {
  const large = 'v'.repeat(200_000)
  const many = Array.from({ length: 40 }, (_, i) => [`k${i}`, large.slice(0, 5_000)]).flat()
  const requests: readonly (readonly [string, readonly (readonly string[])[]])[] = [
    ['a single key', [['GET', 'a']]],
    ['the second key of one request', [['MSET', 'a', '1', 'b', '2']]],
    ['a request behind others', [['PING'], ['SET', 'a', '1'], ['GET', 'b'], ['MGET', 'c', 'd']]],
    ['a large request with few keys', [['SET', 'a', large]]],
    ['a large request with many keys', [['MSET', ...many]]],
  ]
  const real = Splicer.prototype.splice

  afterEach(() => jest.restoreAllMocks())

  test.each(requests)('passes %s when the prefix is there', (_, commands) => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(...commands)
    expect(world.cells.tripwires.foreignPrefix).toBe(0)
    expect(world.sentTo(world.primary) + world.sentTo(world.replica)).toContain('shop:')
  })

  // A large request of few keys is not the splicer's: see request-path-large.test.ts.
  test.each(requests.filter(([, commands]) => commands[0]![0] !== 'SET' || commands.length > 1))(
    'stops %s whose last key the splicer has left as it was',
    (_, commands) => {
      jest.spyOn(Splicer.prototype, 'splice').mockImplementation(function (this: Splicer, ...args) {
        const keys = args[3]
        const fewer = { count: keys.count - 1, arg: keys.arg }
        const [source, isSame, frame, , ...rest] = args
        return real.call(this, source, isSame, frame, fewer, ...rest)
      })
      const world = buildWorld()
      const client = world.client('shop')
      client.send(...commands)
      expect(world.cells.tripwires.foreignPrefix).toBe(1)
      expect(world.sentTo(world.primary) + world.sentTo(world.replica)).toBe('')
      expect(world.ports.filter((port) => port.destroyed === 'isolation check failed')).toHaveLength(1)
      expect(client.socket.isDestroyed).toBe(true)
    },
  )

  test('stops a prefix of another tenant', () => {
    jest.spyOn(Splicer.prototype, 'splice').mockImplementation(function (this: Splicer, ...args) {
      const [source, isSame, frame, keys, , arena, at] = args
      return real.call(this, source, isSame, frame, keys, Buffer.from('rest:'), arena, at)
    })
    const world = buildWorld({ isParanoid: false })
    const client = world.client('shop')
    client.send(['GET', 'a'], ['GET', 'b'])
    expect(world.cells.tripwires.foreignPrefix).toBe(1)
    expect(world.sentTo(world.primary) + world.sentTo(world.replica)).toBe('')
    expect(client.socket.isDestroyed).toBe(true)
  })
})
