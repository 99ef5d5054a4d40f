/** Overload with clients in memory and a process that has what it is said to have: who is refused, closed, held back, and when. */
import { gateShed } from '../../../src/tenant/account.ts'
import { buildWorld, type MemoryClient, type World } from '../request-world.ts'

const tenants = ['greedy', 'shop'].map((id) => ({
  id,
  prefix: `${id}:`,
  deny: [],
  users: [{ name: id, readOnly: false }],
}))
const overloaded = '-TRYAGAIN proxy overloaded, command not executed\r\n'

/** So much of its 1 GB is in use. */
function use(world: World, share: number): void {
  world.memory.buffers = share * 1e9 - 2e6
  world.memory.rss = share * 1e9
  world.clock.ms += 50
  world.overload.tick(world.clock.ms)
}

/** It has the proxy keep so many MB. */
function hold(client: MemoryClient, megabytes: number): void {
  Object.defineProperty(client.session, 'heldBytes', { value: megabytes * 1e6 })
}

test('above 92 % the commands of who holds most are refused, not those of others; what gives memory back is not', () => {
  const world = buildWorld({ tenants, memoryBytes: 1e9 })
  const [greedy, shop] = [world.client('greedy'), world.client('shop')]
  hold(greedy, 200)
  use(world, 0.93)
  greedy.send(['SET', 'a', '1'], ['SUBSCRIBE', 'news'], ['PING'])
  shop.send(['SET', 'a', '1'])
  expect(greedy.socket.text).toBe(`${overloaded}${overloaded}+PONG\r\n`)
  expect(world.sentTo(world.primary)).toContain('shop:a')
  expect(world.sentTo(world.primary)).not.toContain('greedy:a')
  expect(world.overload.shedCommands).toBe(2)
  use(world, 0.89)
  expect(world.tenant('greedy').gate & gateShed).not.toBe(0)
  use(world, 0.87)
  expect(world.tenant('greedy').gate & gateShed).toBe(0)
  greedy.send(['SET', 'b', '1'])
  expect(world.sentTo(world.primary)).toContain('greedy:b')
})

test('a transaction that a command was refused in is aborted, and what was queued is let go at once', () => {
  const world = buildWorld({ tenants, memoryBytes: 1e9 })
  const greedy = world.client('greedy')
  greedy.send(['MULTI'], ['SET', 'a', 'x'.repeat(400_000)])
  expect(greedy.session.heldBytes).toBeGreaterThan(400_000)
  use(world, 0.93)
  greedy.send(['SET', 'b', '1'])
  expect(greedy.session.heldBytes).toBeLessThan(1_000)
  use(world, 0.5)
  greedy.send(['SET', 'c', '1'], ['EXEC'])
  expect(greedy.socket.text).toBe(
    `+OK\r\n+QUEUED\r\n${overloaded}+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n`,
  )
  expect(world.sentTo(world.primary)).toBe('')
})

test('above 95 % clients are closed, those who hold most, until it would be enough', () => {
  const world = buildWorld({ tenants, memoryBytes: 1e9 })
  const clients = [10, 60, 50, 0.001].map((megabytes) => {
    const client = world.client('greedy')
    hold(client, megabytes)
    return client
  })
  const shop = world.client('shop')
  use(world, 0.96)
  // 80 MB too much above 88 %: the two largest.
  expect(clients.map(({ session }) => session.isClosed)).toEqual([false, true, true, false])
  expect(shop.session.isClosed).toBe(false)
  expect([world.overload.closedClients, world.overload.stateName, world.overload.mayAccept]).toEqual([
    2,
    'closing',
    false,
  ])
  use(world, 0.5)
  expect([world.overload.stateName, world.overload.mayAccept]).toEqual(['calm', true])
})

test('where no client holds what is in use nobody is refused nor closed', () => {
  const world = buildWorld({ tenants, memoryBytes: 1e9 })
  const [greedy, shop] = [world.client('greedy'), world.client('shop')]
  use(world, 0.99)
  for (const client of [greedy, shop]) {
    client.send(['SET', 'a', '1'])
    expect([client.socket.text, client.session.isClosed]).toEqual(['', false])
  }
})

test('what a client has the proxy keep is counted, whatever it is', () => {
  const world = buildWorld({ tenants, memoryBytes: 1e9 })
  const held = (does: (client: MemoryClient) => void): number => {
    const client = world.client('greedy')
    does(client)
    return client.session.heldBytes
  }
  const large = 'x'.repeat(50_000)
  expect(held(() => {})).toBe(0)
  expect(held((client) => client.raw(Buffer.from(`*2\r\n$3\r\nGET\r\n$60000\r\n${large}`)))).toBeGreaterThanOrEqual(
    50_000,
  )
  expect(held((client) => client.send(['MULTI'], ['SET', 'a', large]))).toBeGreaterThan(50_000)
  expect(
    held((client) => client.send(['MULTI'], ...Array.from({ length: 1_000 }, () => ['INCR', 'n']))),
  ).toBeGreaterThan(100_000)
  expect(held(({ socket }) => Object.assign(socket, { writableLength: 3e6 }))).toBeGreaterThanOrEqual(3e6)
  expect(held((client) => client.session.push(Buffer.from(large)))).toBeGreaterThanOrEqual(50_000)
})

test('the loop: its heaviest tenant waits for parts of the time, loses nothing, and is let go when the loop is free', () => {
  const world = buildWorld({ tenants, memoryBytes: 1e9 })
  const [greedy, shop] = [world.client('greedy'), world.client('shop')]
  const second = (): void => {
    for (let i = 0; i < 2_000; i++) world.tenant('greedy').cells.reads++
    world.tenant('shop').cells.reads++
    world.clock.ms += 1_000 // one tick in a second: late by far
    world.overload.tick(world.clock.ms)
  }
  world.loop.utilization = 1
  for (let i = 0; i < 5; i++) second()
  expect(world.overload.heldTenants).toBe(1)
  world.clock.ms += 64 - (world.clock.ms % 64)
  greedy.send(['SET', 'a', '1'], ['SET', 'b', '1'])
  shop.send(['SET', 'a', '1'])
  expect(world.sentTo(world.primary)).toContain('shop:a')
  expect(world.sentTo(world.primary)).not.toContain('greedy:a')
  world.clock.ms += 63
  for (const run of world.timers.splice(0)) run()
  world.path.waiting.resumeAll()
  const sent = world.sentTo(world.primary)
  expect(sent.indexOf('greedy:a')).toBeLessThan(sent.indexOf('greedy:b'))
  expect(sent.split('greedy:').length - 1).toBe(2)
  world.loop.utilization = 0.1
  for (let i = 0; i < 8; i++) second()
  expect([world.overload.heldTenants, world.tenant('greedy').gate]).toEqual([0, 0])
})
