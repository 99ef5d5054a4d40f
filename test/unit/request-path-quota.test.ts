/** Quotas at the door of the request path, in a world without sockets and with a clock of its own. */
import type { QuotaLimits } from '../../src/quota/tenant-quota.ts'
import { command } from '../kit/resp.ts'
import { buildWorld, type MemoryClient, type World } from './request-world.ts'

const delay = { scope: 'proxy', whenExceeded: 'delay' } as const
const error = { scope: 'proxy', whenExceeded: 'error' } as const

function worldWith(quota: QuotaLimits, ofUser?: QuotaLimits): World {
  return buildWorld({
    tenants: [
      {
        id: 'shop',
        prefix: 'shop:',
        deny: [],
        quota,
        users: [
          { name: 'shop', readOnly: false },
          { name: 'batch', readOnly: false, ...(ofUser === undefined ? {} : { quota: ofUser }) },
        ],
      },
      { id: 'free', prefix: 'free:', deny: [], users: [{ name: 'free', readOnly: false }] },
    ],
  })
}

/** So many ms pass, one by one: timers run, and whoever has a turn goes on. */
function pass(world: World, ms: number): void {
  for (let i = 0; i < ms; i++) {
    world.clock.ms++
    for (const run of world.timers.splice(0)) run()
    world.path.waiting.resumeAll()
  }
}

/** Names of the keys that SETs on the primary's lane name, in order. */
function setsSent(world: World): string[] {
  return [...world.sentTo(world.primary).matchAll(/\$3\r\nSET\r\n\$\d+\r\n([^\r]+)\r\n/g)].map((found) => found[1]!)
}

const quotaOf = (client: MemoryClient) => client.session.account!.tenant!.quota!
const set = (key: string): string[] => ['SET', key, 'v']
const sets = (name: string, count: number): string[][] => Array.from({ length: count }, (_, i) => set(`${name}${i}`))
const refusal = (ms: number): string => `-THROTTLED rate limit exceeded for this tenant, retry after ${ms} ms\r\n`

describe('with when_exceeded: error', () => {
  test('what the burst holds goes on, the rest is refused at once with the time until the next, and has taken nothing', () => {
    const world = worldWith({ opsPerS: 10, burst: 3, ...error })
    const client = world.client('shop')
    client.send(...sets('a', 5))
    expect(setsSent(world)).toEqual(['shop:a0', 'shop:a1', 'shop:a2'])
    world.reply(world.primary, '+OK\r\n+OK\r\n+OK\r\n')
    expect(client.socket.text).toBe(`+OK\r\n+OK\r\n+OK\r\n${refusal(100)}${refusal(100)}`)
    pass(world, 99)
    client.send(set('b'))
    expect(client.socket.text.endsWith(refusal(1))).toBe(true)
    pass(world, 1)
    client.send(set('c'))
    expect(setsSent(world)).toEqual(['shop:a0', 'shop:a1', 'shop:a2', 'shop:c'])
    expect(quotaOf(client)).toMatchObject({ accepted: 4, acceptedUnits: 4, refused: 3, refusedUnits: 3, waiting: 0 })
  })

  test('a refusal takes its place behind what is in flight', () => {
    const world = worldWith({ opsPerS: 10, burst: 2, ...error })
    const client = world.client('shop')
    client.send(set('a'), ['PING'], set('b'))
    expect(client.socket.text).toBe('')
    world.reply(world.primary, '+OK\r\n')
    expect(client.socket.text).toBe(`+OK\r\n+PONG\r\n${refusal(100)}`)
  })

  test('other tenants are not concerned, and what has no quota has no gate', () => {
    const world = worldWith({ opsPerS: 10, burst: 1, ...error })
    world.client('shop').send(...sets('a', 9))
    const free = world.client('free')
    free.send(...sets('f', 9))
    expect(setsSent(world)).toHaveLength(10)
    expect(free.session.account!.tenant).toMatchObject({ gate: 0, quota: undefined })
  })

  test('logging in and leaving cost nothing, what the proxy answers costs one', () => {
    const world = worldWith({ opsPerS: 10, burst: 2, ...error })
    const client = world.client('shop')
    client.send(['PING'], ['ECHO', 'x'], ['PING'], ['QUIT'])
    expect(client.socket.text).toBe(`+PONG\r\n$1\r\nx\r\n${refusal(100)}+OK\r\n`)
  })

  test('a refused command of a client that wants no reply is silent', () => {
    const world = worldWith({ opsPerS: 10, burst: 2, ...error })
    const client = world.client('shop')
    client.send(['CLIENT', 'REPLY', 'SKIP'], set('a'), set('b'), ['CLIENT', 'REPLY', 'OFF'])
    expect(setsSent(world)).toEqual(['shop:a'])
    world.reply(world.primary, '+OK\r\n')
    expect(client.socket.text).toBe(refusal(100) + refusal(100))
  })

  test('a line without a frame is charged like any other, and refused in its place', () => {
    const world = worldWith({ opsPerS: 10, burst: 1, ...error })
    const client = world.client('shop')
    client.raw(Buffer.from('SET a v\r\nSET b v\r\n'))
    expect(setsSent(world)).toEqual(['shop:a'])
    world.reply(world.primary, '+OK\r\n')
    expect(client.socket.text).toBe(`+OK\r\n${refusal(100)}`)
  })

  test('MGET of 10,000 keys costs 10,000: it runs when the bucket is full, and the debt is paid before the next', () => {
    const world = worldWith({ opsPerS: 1_000, burst: 100, ...error })
    const client = world.client('shop')
    const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`)
    client.send(['MGET', ...keys])
    const { acceptedUnits } = quotaOf(client)
    // 10,000 keys, and 128 KB of request.
    expect(acceptedUnits).toBe(10_000 + Math.floor((command('MGET', ...keys).length - 1) / 4096))
    const later = world.client('shop')
    later.send(set('a'))
    expect(later.socket.text).toBe(refusal(acceptedUnits - 100 + 1))
    pass(world, acceptedUnits - 100)
    later.send(set('b'))
    expect(setsSent(world)).toEqual([])
    pass(world, 1)
    later.send(set('c'))
    expect(setsSent(world)).toEqual(['shop:c'])
  })

  test('a transaction is charged whole at EXEC: it runs whole or is refused and over', () => {
    const world = worldWith({ opsPerS: 10, burst: 6, ...error })
    const client = world.client('shop')
    client.send(['MULTI'], ...sets('a', 5), ['EXEC'])
    expect(setsSent(world)).toHaveLength(5)
    world.reply(world.primary, `+OK\r\n${'+QUEUED\r\n'.repeat(5)}*5\r\n${'+OK\r\n'.repeat(5)}`)
    expect(quotaOf(client).acceptedUnits).toBe(6)
    pass(world, 200)
    client.socket.text = ''
    client.send(['MULTI'], ...sets('b', 2), ['EXEC'], ['EXEC'])
    // One unit was there for MULTI; EXEC needs two, and there is one.
    expect(client.socket.text).toBe(`+OK\r\n+QUEUED\r\n+QUEUED\r\n${refusal(100)}-ERR EXEC without MULTI\r\n`)
    expect(setsSent(world)).toHaveLength(5)
  })

  test('what was queued is owed when it is discarded', () => {
    const world = worldWith({ opsPerS: 10, burst: 10, ...error })
    const client = world.client('shop')
    client.send(['MULTI'], ...sets('a', 9), ['DISCARD'], ['PING'])
    expect(client.socket.text.endsWith(`+OK\r\n${refusal(100)}`)).toBe(true)
  })

  test('what was queued is owed when its client leaves, or is spoiled, and once only', () => {
    const world = worldWith({ opsPerS: 10, burst: 10, bytesPerS: 1e9, ...error })
    const [gone, spoilt] = [world.client('shop'), world.client('shop')]
    gone.send(['MULTI'], ...sets('a', 9))
    const { acceptedBytes } = quotaOf(gone)
    expect(quotaOf(gone).acceptedUnits).toBe(1)
    gone.session.destroy('closed')
    expect(quotaOf(spoilt).acceptedUnits).toBe(10)
    expect(quotaOf(spoilt).acceptedBytes).toBe(
      acceptedBytes + Buffer.concat(sets('a', 9).map((args) => command(...args))).length,
    )
    pass(world, 1_000)
    spoilt.send(['MULTI'], ...sets('a', 5), ['GET'], ['EXEC'])
    expect(spoilt.socket.text).toContain('-EXECABORT')
    // One for MULTI, one for EXEC, and the five.
    expect(quotaOf(spoilt).acceptedUnits).toBe(17)
    spoilt.session.destroy('closed')
    expect(quotaOf(spoilt).acceptedUnits).toBe(17)
  })

  test('what was queued is owed when another login takes the connection over', () => {
    const world = worldWith({ opsPerS: 10, burst: 10, ...error })
    const client = world.client('shop')
    const quota = (): number => world.tenant('shop').quota!.acceptedUnits
    client.send(['MULTI'], ...sets('a', 9))
    world.path.leave(client.session)
    expect(quota()).toBe(10)
    client.session.destroy('closed')
    expect(quota()).toBe(10)
  })

  test('an EXEC that was charged and whose client leaves before it could be sent is charged once', () => {
    const world = worldWith({ opsPerS: 10, burst: 10, ...error })
    const client = world.client('shop')
    client.send(['MULTI'], ...sets('a', 3))
    // No node takes it now.
    world.lane(world.primary).isReady = false
    client.send(['EXEC'])
    expect(quotaOf(client).acceptedUnits).toBe(4)
    client.session.destroy('closed')
    expect(quotaOf(client).acceptedUnits).toBe(4)
  })

  test('reads that are taken back for a write behind them are charged once', () => {
    const world = worldWith({ opsPerS: 10, burst: 10, ...error })
    const client = world.client('shop')
    client.send(['GET', 'a'], ['GET', 'b'], set('c'))
    expect(world.sentTo(world.replica)).toBe('')
    expect(setsSent(world)).toEqual(['shop:c'])
    expect(quotaOf(client).acceptedUnits).toBe(3)
  })

  test('what was refused among reads stays refused when a write comes behind them', () => {
    const world = worldWith({ opsPerS: 10, burst: 6, ...error })
    const client = world.client('shop')
    client.send(['GET', 'a'], ['MGET', ...Array.from({ length: 7 }, (_, i) => `m${i}`)], ['GET', 'b'], set('c'))
    world.reply(world.replica, '$1\r\na\r\n$1\r\nb\r\n')
    expect(client.socket.text).toMatch(/^\$1\r\na\r\n-THROTTLED [^\r]*\r\n\$1\r\nb\r\n$/)
    expect(setsSent(world)).toEqual(['shop:c'])
    expect(world.sentTo(world.primary) + world.sentTo(world.replica)).not.toContain('MGET')
    expect(quotaOf(client)).toMatchObject({ accepted: 3, acceptedUnits: 3, refused: 1 })
  })

  test('a user has its own limit and its part of the tenant is taken too', () => {
    const world = worldWith({ opsPerS: 10, burst: 6, ...error }, { opsPerS: 10, burst: 4, ...error })
    const batch = world.client('batch')
    const shop = world.client('shop')
    batch.send(...sets('b', 5))
    shop.send(...sets('s', 3))
    expect(setsSent(world)).toEqual(['shop:b0', 'shop:b1', 'shop:b2', 'shop:b3', 'shop:s0', 'shop:s1'])
    expect(batch.session.account!.use!.quota).toMatchObject({ accepted: 4, refused: 1 })
    // What the user's limit refused was not taken from the tenant.
    expect(quotaOf(shop)).toMatchObject({ accepted: 6, refused: 1 })
  })

  test('a large reply is owed for afterwards: a unit for each 4 KiB', () => {
    const world = worldWith({ opsPerS: 1_000, burst: 10, ...error })
    const client = world.client('shop')
    client.send(['GET', 'big'])
    const size = 400 * 4096 - 12
    const reply = `$${size}\r\n${'x'.repeat(size)}\r\n`
    const lane = world.lane(world.replica)
    lane.flush()
    const bytes = Buffer.from(reply)
    for (let at = 0; at < bytes.length; at += 32_768) {
      const piece = bytes.subarray(at, at + 32_768)
      lane.nextInput().set(piece)
      lane.onRead(piece.length)
    }
    pass(world, 1)
    client.send(['GET', 'a'])
    const [, ms] = /retry after (\d+) ms/.exec(client.socket.text)!
    // 400 units, of which the command's own has paid for one; the bucket was full again, and one more is asked for.
    expect(Number(ms)).toBe(400 - 1 - 10 + 1)
  })

  test('bytes: what comes in is asked for, what goes out is owed, and refused requests are neither', () => {
    const world = worldWith({ bytesPerS: 100_000, ...error })
    const client = world.client('shop')
    const value = 'v'.repeat(30_000)
    client.send(['SET', 'a', value], ['SET', 'b', value], ['SET', 'c', value])
    // 64 KiB at once.
    expect(setsSent(world)).toEqual(['shop:a', 'shop:b'])
    const { acceptedBytes } = quotaOf(client)
    expect(acceptedBytes).toBeGreaterThan(60_000)
    expect(acceptedBytes).toBeLessThan(60_100)
    world.reply(world.primary, '+OK\r\n+OK\r\n')
    expect(client.socket.text).toMatch(/^\+OK\r\n\+OK\r\n-THROTTLED .* retry after 24\d ms\r\n$/)
  })
})

describe('with when_exceeded: delay', () => {
  test('a command waits for its turn, is not answered before, and goes on when the bucket has it', () => {
    const world = worldWith({ opsPerS: 100, burst: 1, ...delay })
    const client = world.client('shop')
    client.send(set('a'), set('b'), set('c'))
    expect(setsSent(world)).toEqual(['shop:a'])
    pass(world, 9)
    expect(setsSent(world)).toEqual(['shop:a'])
    pass(world, 2)
    expect(setsSent(world)).toEqual(['shop:a', 'shop:b'])
    pass(world, 11)
    expect(setsSent(world)).toEqual(['shop:a', 'shop:b', 'shop:c'])
    expect(quotaOf(client)).toMatchObject({ accepted: 3, refused: 0, delayed: 2, waiting: 0 })
    expect(world.path.admission.quotas.lines.waiting).toBe(0)
  })

  test('all that was sent together waits for 50 ms at most, then is refused; what is sent later has a time of its own', () => {
    const world = worldWith({ opsPerS: 10, burst: 1, ...delay })
    const client = world.client('shop')
    client.send(...sets('a', 4))
    pass(world, 49)
    expect(client.socket.text).toBe('')
    pass(world, 2)
    world.reply(world.primary, '+OK\r\n')
    // 50 ms have passed of the 100 that one takes.
    expect(client.socket.text).toMatch(/^\+OK\r\n(-THROTTLED .* retry after (49|50) ms\r\n){3}$/)
    client.socket.text = ''
    client.send(set('late'))
    expect(client.socket.text).toBe('')
    pass(world, 51)
    expect(setsSent(world)).toEqual(['shop:a0', 'shop:late'])
  })

  test('first come first served: who comes later does not overtake, and nobody waits behind it for ever', () => {
    const world = worldWith({ opsPerS: 200, burst: 1, ...delay })
    const [first, second, third] = [world.client('shop'), world.client('shop'), world.client('shop')]
    first.send(set('a'))
    first.send(...sets('first', 3))
    second.send(...sets('second', 3))
    pass(world, 4)
    third.send(set('third0'))
    pass(world, 40)
    // One each in turn, in the order in which they came.
    expect(setsSent(world)).toEqual(
      ['a', 'first0', 'second0', 'third0', 'first1', 'second1', 'first2', 'second2'].map((key) => `shop:${key}`),
    )
  })

  test('who comes while others wait does not take what has just become free', () => {
    const world = worldWith({ opsPerS: 100, burst: 1, ...delay })
    const [waits, comes] = [world.client('shop'), world.client('shop')]
    waits.send(set('a'), set('waits'))
    // The bucket has one now, and the timer has not run yet.
    world.clock.ms += 11
    comes.send(set('comes'))
    expect(setsSent(world)).toEqual(['shop:a'])
    pass(world, 2)
    expect(setsSent(world)).toEqual(['shop:a', 'shop:waits'])
  })

  test('a client that leaves while it waits leaves nothing behind, and the next is served', () => {
    const world = worldWith({ opsPerS: 100, burst: 1, ...delay })
    const [gone, stays] = [world.client('shop'), world.client('shop')]
    gone.send(set('a'), set('gone'))
    stays.send(set('stays'))
    const { lines } = world.path.admission.quotas
    expect([lines.waiting, quotaOf(stays).waiting]).toEqual([2, 2])
    gone.session.destroy('closed')
    expect([lines.waiting, quotaOf(stays).waiting]).toEqual([1, 1])
    pass(world, 15)
    expect(setsSent(world)).toEqual(['shop:a', 'shop:stays'])
    expect([lines.waiting, quotaOf(stays).waiting]).toEqual([0, 0])
    pass(world, 2)
    // Nobody waits, so no timer runs.
    expect(world.timers).toEqual([])
  })

  test.each([
    [8, 80],
    [2, 53],
    [5, 60],
    [1, 120],
  ])('nobody waits for ever when the timer comes late (%i units a second, %i ms)', (opsPerS, ms) => {
    const world = worldWith({ opsPerS, burst: 1, ...delay })
    const clients = [world.client('shop'), world.client('shop')]
    clients[0]!.send(set('first'))
    for (const client of clients) client.send(set('a'))
    pass(world, 1)
    // It comes while they wait, and has a time of its own.
    for (const client of clients) client.send(set('b'))
    world.clock.ms += ms - 1
    pass(world, 1)
    pass(world, 120)
    expect(world.path.admission.quotas.lines.waiting).toBe(0)
    for (const client of clients) expect(client.session.stall).toBe(0)
  })

  test('a command that waits when its tenant is paused is not refused for the time of the pause', () => {
    const world = worldWith({ opsPerS: 25, burst: 1, ...delay })
    const clients = [world.client('shop'), world.client('shop')]
    clients[0]!.send(set('a'))
    for (const client of clients) client.send(set('b'))
    void world.pauses.begin(world.tenant('shop'), 10_000)
    world.reply(world.primary, '+OK\r\n')
    pass(world, 200)
    expect(setsSent(world)).toEqual(['shop:a'])
    expect(world.path.admission.quotas.lines.waiting).toBe(0)
    world.pauses.end(world.tenant('shop'))
    pass(world, 49)
    expect(setsSent(world)).toEqual(['shop:a', 'shop:b', 'shop:b'])
    expect(quotaOf(clients[0]!).refused).toBe(0)
  })

  test('a limit that is raised lets those who wait go on at once', () => {
    const world = worldWith({ opsPerS: 1, burst: 1, ...delay })
    const client = world.client('shop')
    client.send(...sets('a', 5))
    pass(world, 5)
    expect(setsSent(world)).toEqual(['shop:a0'])
    const tenant = client.session.account!.tenant!
    tenant.setLimits({ opsPerS: 10_000, burst: 100, ...delay }, false, world.clock.ms * 1000)
    world.path.admission.quotas.lines.changed(tenant.quota!)
    pass(world, 2)
    expect(setsSent(world)).toHaveLength(5)
  })

  test('limits that are taken away let those who wait go on, and the gate is open', () => {
    const world = worldWith({ opsPerS: 1, burst: 1, ...delay })
    const client = world.client('shop')
    client.send(...sets('a', 5))
    const tenant = client.session.account!.tenant!
    const { quota } = tenant
    tenant.setLimits(undefined, false, world.clock.ms * 1000)
    world.path.admission.quotas.lines.changed(quota!)
    pass(world, 2)
    expect(tenant.gate).toBe(0)
    expect(setsSent(world)).toHaveLength(5)
    expect(world.path.admission.quotas.lines.waiting).toBe(0)
  })

  test('thousands that wait are served at the rate of the bucket, a share each', () => {
    const world = worldWith({ opsPerS: 10_000, burst: 100, ...delay })
    const clients = Array.from({ length: 50 }, () => world.client('shop'))
    for (const [i, client] of clients.entries()) client.send(...sets(`${i}-`, 30))
    expect(setsSent(world)).toHaveLength(100)
    pass(world, 40)
    const sent = setsSent(world)
    expect(sent.length).toBeGreaterThanOrEqual(100 + 390)
    expect(sent.length).toBeLessThanOrEqual(100 + 401)
    // The first three had the burst; of the others none has had twice as much as another, and one more.
    const per = new Map<string, number>()
    for (const key of sent.slice(100)) per.set(key.split('-')[0]!, (per.get(key.split('-')[0]!) ?? 0) + 1)
    const counts = clients.slice(4).map((_, i) => per.get(`shop:${i + 4}`) ?? 0)
    expect(Math.min(...counts)).toBeGreaterThan(0)
    expect(Math.max(...counts)).toBeLessThanOrEqual(2 * Math.min(...counts) + 1)
  })

  test("what a user waits for does not hold up its tenant's other users", () => {
    const world = worldWith({ opsPerS: 1_000, burst: 100, ...delay }, { opsPerS: 10, burst: 1, ...delay })
    const [batch, shop] = [world.client('batch'), world.client('shop')]
    batch.send(...sets('b', 3))
    shop.send(...sets('s', 3))
    expect(setsSent(world)).toEqual(['shop:b0', 'shop:s0', 'shop:s1', 'shop:s2'])
  })
})
