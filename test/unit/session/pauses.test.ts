/** Paused tenants: what waits, what goes on, when a tenant is at rest, and how a pause ends. */
import { buildWorld, type World } from '../request-world.ts'

const tenants = ['shop', 'other'].map((id) => ({
  id,
  prefix: `${id}:`,
  deny: [],
  users: [{ name: id, readOnly: false }],
}))

/** As long as something is to be looked at again. */
function runTimers(world: World, ms: number): void {
  world.clock.ms += ms
  for (const run of world.timers.splice(0)) run()
}

test('commands of a paused tenant wait in their order, and go on when it is resumed; other tenants notice nothing', async () => {
  const world = buildWorld({ tenants })
  const [shop, other] = [world.client('shop'), world.client('other')]
  expect(await world.pauses.begin(world.tenant('shop'), 1_000)).toEqual({
    kind: 'rest',
    answered: 0,
    blocked: 0,
    waitedMs: 0,
  })
  shop.send(['SET', 'a', '1'], ['SET', 'b', '2'])
  shop.send(['SET', 'c', '3'])
  other.send(['SET', 'a', '1'])
  expect(world.sentTo(world.primary)).toContain('other:a')
  expect(world.sentTo(world.primary)).not.toContain('shop:')
  expect(world.pauses.waitingClients).toBe(1)
  expect(world.pauses.end(world.tenant('shop'))).toBe(1)
  world.path.waiting.resumeAll()
  const sent = world.sentTo(world.primary)
  expect(['shop:a', 'shop:b', 'shop:c'].map((key) => sent.split(key).length - 1)).toEqual([1, 1, 1])
  expect(sent.indexOf('shop:a')).toBeLessThan(sent.indexOf('shop:b'))
  expect(sent.indexOf('shop:b')).toBeLessThan(sent.indexOf('shop:c'))
  expect(world.pauses.waitingClients).toBe(0)
})

test('what concerns no key is answered while a tenant is paused: PING and logins, not walks over its keys', async () => {
  const world = buildWorld({ tenants })
  const shop = world.client('shop')
  await world.pauses.begin(world.tenant('shop'), 1_000)
  shop.send(['PING'])
  expect(shop.socket.text).toBe('+PONG\r\n')
  shop.send(['DBSIZE'])
  shop.send(['PING'])
  expect(shop.socket.text).toBe('+PONG\r\n')
  expect(world.pauses.waitingClients).toBe(1)
})

test('it is at rest when all that was in flight is answered, of clients that have left too', async () => {
  const world = buildWorld({ tenants })
  const [stays, leaves] = [world.client('shop'), world.client('shop')]
  stays.send(['SET', 'a', '1'])
  leaves.send(['SET', 'b', '2'])
  leaves.session.destroy('closed')
  let start: unknown
  const pause = world.pauses.begin(world.tenant('shop'), 1_000).then((how) => {
    start = how
  })
  world.reply(world.primary, '+OK\r\n')
  runTimers(world, 10)
  await Promise.resolve()
  expect(stays.socket.text).toBe('+OK\r\n')
  expect(start).toBeUndefined()
  world.reply(world.primary, '+OK\r\n')
  runTimers(world, 10)
  await pause
  expect(start).toEqual({ kind: 'rest', answered: 1, blocked: 0, waitedMs: 20 })
})

test('a write of unknown fate may still run: the tenant is not at rest before it is settled', async () => {
  const world = buildWorld({ tenants })
  const tenant = world.tenant('shop')
  tenant.floor = Number.POSITIVE_INFINITY
  const pause = world.pauses.begin(tenant, 1_000)
  runTimers(world, 10)
  tenant.floor = 1
  runTimers(world, 10)
  expect(await pause).toMatchObject({ kind: 'rest', waitedMs: 20 })
})

test('a client that blocks is counted, not waited for, unless something of it stands behind', async () => {
  const world = buildWorld({ tenants })
  const client = world.client('shop')
  Object.assign(client.session, { isBlocked: true, inFlight: 1 })
  expect(await world.pauses.begin(world.tenant('shop'), 1_000)).toMatchObject({ kind: 'rest', blocked: 1 })
  client.session.inFlight = 2
  const pause = world.pauses.begin(world.tenant('shop'), 1_000)
  runTimers(world, 499)
  runTimers(world, 2)
  expect(await pause).toEqual({ kind: 'restless', inFlight: 2, waitedMs: 501 })
  expect(world.tenant('shop').gate).toBe(0)
})

test('a tenant that does not come to rest within half of the time goes on', async () => {
  const world = buildWorld({ tenants })
  const client = world.client('shop')
  client.send(['SET', 'a', '1'])
  const pause = world.pauses.begin(world.tenant('shop'), 100)
  client.send(['SET', 'b', '2'])
  runTimers(world, 60)
  expect(await pause).toEqual({ kind: 'restless', inFlight: 1, waitedMs: 60 })
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).toContain('shop:b')
})

test('a pause ends by itself; a second PAUSE gives it another time and keeps who waits', async () => {
  const world = buildWorld({ tenants })
  const client = world.client('shop')
  const tenant = world.tenant('shop')
  await world.pauses.begin(tenant, 1_000)
  client.send(['SET', 'a', '1'])
  world.clock.ms += 900
  await world.pauses.begin(tenant, 1_000)
  world.clock.ms += 999
  expect(world.pauses.expire()).toEqual([])
  expect(world.pauses.leftMs(tenant)).toBe(1)
  world.clock.ms += 1
  expect(world.pauses.expire()).toEqual([tenant])
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).toContain('shop:a')
})

test('a PAUSE that still waits is told when another PAUSE or a RESUME has come', async () => {
  const world = buildWorld({ tenants })
  world.client('shop').send(['SET', 'a', '1'])
  const tenant = world.tenant('shop')
  const [first, second] = [world.pauses.begin(tenant, 1_000), world.pauses.begin(tenant, 1_000)]
  world.pauses.end(tenant)
  runTimers(world, 10)
  expect([(await first).kind, (await second).kind]).toEqual(['overtaken', 'overtaken'])
})

test('a command that waited for something else when the pause began waits on', async () => {
  const world = buildWorld({ tenants })
  const client = world.client('shop')
  world.tracker.primary = undefined
  client.send(['SET', 'a', '1'])
  world.tenant('shop').gate |= 1 // admitted, and noted to be
  await world.pauses.begin(world.tenant('shop'), 1_000)
  world.tracker.primary = world.primary
  world.path.waiting.retryNodes()
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).not.toContain('shop:a')
  world.pauses.end(world.tenant('shop'))
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).toContain('shop:a')
})

test('a client that leaves while its command waits takes it along', async () => {
  const world = buildWorld({ tenants })
  const client = world.client('shop')
  await world.pauses.begin(world.tenant('shop'), 1_000)
  client.send(['SET', 'a', '1'])
  client.session.destroy('closed')
  expect(world.pauses.waitingClients).toBe(0)
  world.pauses.end(world.tenant('shop'))
  world.path.waiting.resumeAll()
  expect(world.sentTo(world.primary)).not.toContain('shop:a')
})

test('between MULTI and EXEC the transaction waits; when the proxy goes, what waits is told that it was not executed', async () => {
  const world = buildWorld({ tenants })
  const client = world.client('shop')
  client.send(['MULTI'], ['SET', 'a', '1'])
  await world.pauses.begin(world.tenant('shop'), 1_000)
  client.send(['EXEC'], ['GET', 'a'])
  expect(client.socket.text).toBe('+OK\r\n+QUEUED\r\n')
  world.pauses.refuse()
  world.path.waiting.resumeAll()
  expect(client.socket.text).toBe(
    '+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: TRYAGAIN tenant is paused, command not executed\r\n' +
      '-TRYAGAIN tenant is paused, command not executed\r\n',
  )
  expect(world.sentTo(world.primary)).toBe('')
})
