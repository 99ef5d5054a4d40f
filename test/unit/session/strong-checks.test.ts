/** Strong reads at the primary: their replies are given when the primary has accepted what a demoted node refuses. */
import { randomFrom } from '../../kit/exchange.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld, type World } from '../request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')
const check = (world: World): string => text('UNLINK', `${world.tracker.channel}:none`)
const masterdown = '-MASTERDOWN no reachable primary, command not executed\r\n'

/** What the pool does at the end of a turn. */
function flush(world: World): void {
  const lane = world.lane(world.primary)
  if (lane.needsCheck) world.path.strong.beforeFlush(lane)
  lane.flush()
}

function strong() {
  const world = buildWorld({ consistency: 'strong' })
  return { world, client: world.client('shop') }
}

test('one check follows all strong reads of a flush, and their replies wait for it', () => {
  const { world, client } = strong()
  const other = world.client('shop')
  client.send(['GET', 'a'], ['GET', 'b'])
  other.send(['GET', 'c'])
  flush(world)
  const reads = text('GET', 'shop:a') + text('GET', 'shop:b') + text('GET', 'shop:c')
  expect(world.sentTo(world.primary)).toBe(reads + check(world))
  world.reply(world.primary, '$1\r\n1\r\n$1\r\n2\r\n$-1\r\n')
  expect([client.socket.text, other.socket.text, client.session.inFlight]).toEqual(['', '', 2])
  world.reply(world.primary, ':0\r\n')
  expect([client.socket.text, other.socket.text]).toEqual(['$1\r\n1\r\n$1\r\n2\r\n', '$-1\r\n'])
  expect([client.session.inFlight, client.session.proving]).toEqual([0, undefined])
  expect(world.path.strong.sent).toBe(1)
})

test.each(['-READONLY no\r\n', '-NOREPLICAS no\r\n'])('refused with %j: not a byte of the read is given', (refusal) => {
  const { world, client } = strong()
  client.send(['GET', 'a'])
  flush(world)
  world.reply(world.primary, `$3\r\nold\r\n${refusal}`)
  expect(client.socket.text).toBe(masterdown)
})

test('only what was to be proven is replaced: a write behind it keeps its reply, an error its text', () => {
  const { world, client } = strong()
  client.send(['GET', 'a'], ['SET', 'a', '1'], ['LLEN', 'a'], ['PING'], ['GET', 'b'])
  flush(world)
  world.reply(world.primary, '$3\r\nold\r\n-READONLY no\r\n-WRONGTYPE no\r\n$1\r\nb\r\n')
  expect(client.socket.text).toBe('')
  world.reply(world.primary, '-READONLY no\r\n')
  expect(client.socket.text).toBe(`${masterdown}-READONLY no\r\n-WRONGTYPE no\r\n+PONG\r\n${masterdown}`)
})

test('a write before a strong read is answered at once, what follows the read waits behind it', () => {
  const { world, client } = strong()
  client.send(['SET', 'a', '1'], ['GET', 'a'], ['SET', 'b', '2'])
  flush(world)
  world.reply(world.primary, '+OK\r\n$1\r\n1\r\n+OK\r\n')
  expect(client.socket.text).toBe('+OK\r\n')
  client.send(['SET', 'c', '3'])
  flush(world)
  world.reply(world.primary, ':0\r\n')
  expect(client.socket.text).toBe('+OK\r\n$1\r\n1\r\n+OK\r\n')
  world.reply(world.primary, '+OK\r\n')
  expect(client.socket.text).toBe('+OK\r\n$1\r\n1\r\n+OK\r\n+OK\r\n')
  expect(client.session.proving).toBeUndefined()
})

test('a lost connection: what was not proven is not given, whether the check was sent or not', () => {
  const { world, client } = strong()
  const late = world.client('shop')
  client.send(['GET', 'a'])
  flush(world)
  world.reply(world.primary, '$3\r\nold\r\n')
  late.send(['GET', 'b'])
  const lane = world.lane(world.primary)
  lane.close()
  world.path.strong.laneLost(lane)
  expect(client.socket.text).toBe(masterdown)
  expect(late.socket.text).toMatch(/^-(MASTERDOWN|TRYAGAIN) .*not executed\r\n$/)
  expect([client.session.inFlight, late.session.inFlight]).toEqual([0, 0])
})

test('a reply in many pieces streams, but for its end; refused then, the client is cut off', () => {
  for (const answer of [':0\r\n', '-READONLY no\r\n']) {
    const { world, client } = strong()
    client.send(['GET', 'big'])
    flush(world)
    const value = 'x'.repeat(300_000)
    const reply = `$${value.length}\r\n${value}\r\n`
    for (let at = 0; at < reply.length; at += 50_000) world.reply(world.primary, reply.slice(at, at + 50_000))
    expect(client.socket.text.length).toBeGreaterThan(150_000)
    expect(client.socket.text.length).toBeLessThan(reply.length)
    world.reply(world.primary, answer)
    if (answer === ':0\r\n') expect(client.socket.text === reply).toBe(true)
    else expect([client.socket.isDestroyed, client.socket.text.endsWith(value.slice(-100))]).toEqual([true, true])
  }
})

test('a reply that begins in the piece that ends another one’s waits like any other, refused or not', () => {
  for (const answer of [':0\r\n', '-READONLY no\r\n']) {
    const { world, client } = strong()
    client.send(['GET', 'a'])
    flush(world)
    client.send(['SET', 'b', '1'], ['GET', 'big'])
    flush(world)
    world.reply(world.primary, '$1\r\n1\r\n:0\r\n')
    expect(client.socket.text).toBe('$1\r\n1\r\n')
    world.reply(world.primary, '+OK\r\n$10\r\n01234')
    expect(client.socket.text.slice(7)).not.toContain('$10')
    world.reply(world.primary, `56789\r\n${answer}`)
    const read = answer === ':0\r\n' ? '$10\r\n0123456789\r\n' : masterdown
    expect(client.socket.text).toBe(`$1\r\n1\r\n+OK\r\n${read}`)
    expect([client.session.inFlight, client.session.proving]).toEqual([0, undefined])
  }
})

test('however the replies are cut, each read is given or refused by the check behind it, and all in order', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = randomFrom(seed)
    const below = (n: number): number => Math.floor(random() * n)
    const { world, client } = strong()
    let replies = ''
    let expected = ''
    let at = 0
    const answer = (end: number): void => {
      while (at < end) {
        const to = Math.min(end, at + 1 + below(below(2) === 0 ? 12 : 9_000))
        world.reply(world.primary, replies.slice(at, to))
        at = to
      }
    }
    for (let batch = 0; batch < 1 + below(4); batch++) {
      const isAccepted = below(3) > 0
      const commands = Array.from({ length: 1 + below(5) }, () =>
        below(2) === 0 ? ['GET', 'k'] : ['APPEND', 'k', 'v'],
      )
      client.send(...commands)
      flush(world)
      for (const [name] of commands) {
        const value = 'v'.repeat(below(3) === 0 ? below(20_000) : below(20))
        const reply = name === 'GET' ? `$${value.length}\r\n${value}\r\n` : `:${below(1e6)}\r\n`
        replies += reply
        expected += name === 'GET' && !isAccepted ? masterdown : reply
      }
      if (commands.some(([name]) => name === 'GET')) replies += isAccepted ? ':0\r\n' : '-READONLY no\r\n'
      answer(at + below(replies.length - at + 1))
    }
    answer(replies.length)
    if (client.socket.text !== expected) throw new Error(`seed ${seed}`)
    expect([client.session.inFlight, client.session.proving]).toEqual([0, undefined])
  }
})

test('where the disk refuses all writes the role is asked instead', () => {
  const role = {
    master: '*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n',
    slave: '*5\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n$9\r\nconnected\r\n:1\r\n',
  }
  for (const [name, line] of Object.entries(role)) {
    const { world, client } = strong()
    client.send(['GET', 'a'])
    flush(world)
    world.reply(world.primary, '$1\r\n1\r\n-MISCONF no\r\n')
    expect(client.socket.text).toBe('')
    world.reply(world.primary, line)
    expect(client.socket.text).toBe(name === 'master' ? '$1\r\n1\r\n' : masterdown)
  }
})

test('a client that left takes its place with it, and others are answered', () => {
  const { world, client } = strong()
  const other = world.client('shop')
  client.send(['GET', 'a'])
  other.send(['GET', 'b'])
  flush(world)
  client.session.destroy('gone')
  world.reply(world.primary, '$1\r\n1\r\n$1\r\n2\r\n:0\r\n')
  expect(other.socket.text).toBe('$1\r\n2\r\n')
})

test('silence stays silent', () => {
  const { world, client } = strong()
  client.send(['CLIENT', 'REPLY', 'OFF'], ['GET', 'a'], ['CLIENT', 'REPLY', 'ON'])
  flush(world)
  world.reply(world.primary, '$1\r\n1\r\n')
  client.send(['GET', 'b'])
  flush(world)
  world.reply(world.primary, '$1\r\n2\r\n:0\r\n')
  expect(client.socket.text).toBe('+OK\r\n$1\r\n2\r\n')
})

describe('a strong read by a mark', () => {
  const opened: World[] = []
  afterEach(() => {
    for (const world of opened.splice(0)) world.tracker.marks.close()
  })

  /** The primary is 100 ms away, its marks take as long to show next door. */
  function far(hasFarther = false) {
    const world = buildWorld({ consistency: 'strong', hasFarther })
    opened.push(world)
    const { tracker, clock } = world
    Object.assign(world.primary, { rttMs: 100 })
    Object.assign(world.replica, { rttMs: 0.2, markDelayMs: 101, shownSeq: 0, shownSentAtMs: clock.ms })
    tracker.marks.open()
    tracker.marks.take()
    world.replica.shownSeq = 1
    return world
  }
  const show = (world: World, seq: number): void => {
    world.replica.shownSeq = seq
    world.path.waiting.expire()
    world.path.waiting.resumeAll()
  }

  test('waits for one that was sent after it came, and is the replica’s then, with all that came with it', () => {
    const world = far()
    const client = world.client('shop')
    client.send(['GET', 'a'], ['GET', 'b'])
    const mark = world.tracker.marks.nextSeq
    expect(world.sentTo(world.primary) + world.sentTo(world.replica)).toBe('')
    show(world, mark - 1)
    expect(world.sentTo(world.replica)).toBe('')
    show(world, mark)
    expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a') + text('GET', 'shop:b'))
    expect(world.sentTo(world.primary)).toBe('')
  })

  test('what comes while it waits needs a mark of its own', () => {
    const world = far()
    const client = world.client('shop')
    client.send(['GET', 'a'])
    const mark = world.tracker.marks.take() // sent now: what comes from here on is not covered by it
    client.send(['GET', 'b'])
    show(world, mark)
    expect(world.sentTo(world.replica)).not.toContain('shop:b')
    expect(world.sentTo(world.replica) + world.sentTo(world.primary)).toContain('shop:a')
  })

  test('one that had come by half needs a mark that is sent after the rest of it', () => {
    const world = far()
    const client = world.client('shop')
    const bytes = Buffer.concat([command('GET', 'a'), command('GET', 'b')])
    client.raw(bytes.subarray(0, bytes.length - 4))
    const mark = world.tracker.marks.take() // sent now: the second is not here yet
    show(world, mark)
    expect(world.sentTo(world.replica)).toBe(text('GET', 'shop:a'))
    world.reply(world.replica, '$-1\r\n')
    client.raw(bytes.subarray(bytes.length - 4))
    expect(world.sentTo(world.replica)).not.toContain('shop:b')
    show(world, world.tracker.marks.take())
    expect(world.sentTo(world.replica)).toContain(text('GET', 'shop:b'))
  })

  test('is the primary’s when the mark does not come in time, or where the replica is not sooner', () => {
    const world = far()
    const client = world.client('shop')
    client.send(['GET', 'a'])
    world.clock.ms += 400
    show(world, 1)
    expect(world.sentTo(world.primary)).toContain(text('GET', 'shop:a'))
    const slow = far()
    slow.replica.markDelayMs = 150
    slow.client('shop').send(['GET', 'a'])
    expect(slow.sentTo(slow.primary)).toContain(text('GET', 'shop:a'))
  })

  test('waits for the nearest replica when a farther one has shown the mark first, for as long as that is no later', () => {
    for (const [waitMs, isNear] of [
      [110, true],
      [140, true],
      [160, false],
    ] as const) {
      const world = far(true)
      const farther = world.tracker.nodes[2]!
      farther.rttMs = 50.2
      world.client('shop').send(['GET', 'a'])
      const mark = world.tracker.marks.nextSeq
      world.clock.ms += waitMs
      farther.shownSeq = mark
      show(world, mark - 1)
      // Expected next door 101.2 ms after it came, or sooner; from there it would be 50 ms more.
      expect(world.sentTo(farther)).toBe(isNear ? '' : text('GET', 'shop:a'))
      show(world, mark)
      expect(world.sentTo(world.replica)).toBe(isNear ? text('GET', 'shop:a') : '')
    }
  })
})
