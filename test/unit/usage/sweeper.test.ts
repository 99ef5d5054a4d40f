import { MemoryAccount } from '../../../src/quota/memory-account.ts'
import { Node } from '../../../src/regions/node.ts'
import { chooseNode, mayStay } from '../../../src/usage/memory-usage.ts'
import { Sweeper } from '../../../src/usage/sweeper.ts'
import { FakeServer } from './fake-server.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {}, trace() {} } as never

let server: FakeServer
let writes: number
let asked: number
let onTotals: () => void

function sweeperOf(account?: MemoryAccount, everyMs = 1_000): Sweeper {
  const hands = {
    ask: async (node: number, request: Uint8Array) => {
      const text = Buffer.from(request).toString('latin1')
      if (text.includes('persistence'))
        return Buffer.from(`# Persistence\r\nrdb_changes_since_last_save:${writes}\r\nrdb_last_save_time:1\r\n`)
      return server.ask(node, request)
    },
    askMany: server.askMany.bind(server),
    runId: () => server.runId(),
    now: () => server.now(),
    random: () => server.random(),
    sleep: (ms: number) => server.sleep(ms),
    choose: () => ({ node: 0, isPrimary: false }),
    mayStay: () => true,
    nodeName: () => 'replica',
    has: () => true,
    askTotals: async () => {
      asked++
      onTotals()
    },
  }
  const accountOf = (id: string): MemoryAccount | undefined => (id === 'a' ? account : undefined)
  const sweeper = new Sweeper({ accountOf, everyMs, log: silent, hands })
  sweeper.setTenants([
    { id: 'a', prefix: 'a:', database: 0 },
    { id: 'b', prefix: 'b:', database: 0 },
  ])
  return sweeper
}

/** Lets what was begun come to its end. */
async function settle(sweeper: Sweeper): Promise<void> {
  sweeper.tick()
  for (let i = 0; i < 20_000; i++) await Promise.resolve()
}

beforeEach(() => {
  server = new FakeServer()
  writes = 1
  asked = 0
  onTotals = () => {}
})

test('all tenants are measured, and not again before something was written', async () => {
  for (let i = 0; i < 100; i++) server.keys.set(`a:${i}`, 100).set(`b:${i}`, 7)
  const sweeper = sweeperOf()
  expect(sweeper.usageOf('a')?.ageMs).toBeUndefined()
  await settle(sweeper)
  expect(sweeper.usageOf('a')).toMatchObject({ keys: 100, bytes: 10_000, errorBytes: 0 })
  expect(sweeper.usageOf('b')).toMatchObject({ keys: 100, bytes: 700 })
  expect(sweeper.all()).toMatchObject({ keys: 200, bytes: 10_700 })
  const before = server.asked.length
  server.nowMs += 10_000
  await settle(sweeper)
  expect(server.asked.slice(before).filter((command) => command.startsWith('SCAN'))).toEqual([])
  expect([sweeper.status.finished, sweeper.usageOf('a')?.ageMs]).toEqual([1, 0])
  writes++
  server.keys.set('a:new', 100)
  server.nowMs += 10_000
  await settle(sweeper)
  expect([sweeper.status.finished, sweeper.usageOf('a')?.keys]).toEqual([2, 101])
})

test('a keyspace that was flushed in the middle of a sweep is swept anew', async () => {
  for (let i = 0; i < 5_000; i++) server.keys.set(`a:${i}`, 100)
  let scans = 0
  server.onAsk = (command) => {
    if (command.startsWith('SCAN') && ++scans === 8) {
      server.keys.clear()
      writes++
    }
  }
  const sweeper = sweeperOf()
  await settle(sweeper)
  expect([sweeper.status.finished, sweeper.usageOf('a')?.ageMs]).toEqual([0, undefined])
  await settle(sweeper)
  expect([sweeper.status.finished, sweeper.usageOf('a')?.keys]).toEqual([1, 0])
})

test('a node that is lost in the middle costs that sweep, and the next one begins soon', async () => {
  for (let i = 0; i < 5_000; i++) server.keys.set(`a:${i}`, 100)
  let scans = 0
  server.onAsk = (command) => {
    if (command.startsWith('SCAN') && ++scans === 3) server.id = ''
  }
  const sweeper = sweeperOf()
  await settle(sweeper)
  expect([sweeper.status.finished, sweeper.status.failed, sweeper.status.isRunning]).toEqual([0, 1, false])
  server.id = 'run-2'
  server.nowMs += 1_000
  await settle(sweeper)
  expect(sweeper.usageOf('a')).toMatchObject({ keys: 5_000, bytes: 500_000 })
})

test('a tenant that is full is looked at again and again, until it is so no longer', async () => {
  for (let i = 0; i < 100; i++) server.keys.set(`a:${i}`, 100)
  const account = new MemoryAccount(10_000, Number.POSITIVE_INFINITY)
  const sweeper = sweeperOf(account, 3_600_000)
  await settle(sweeper)
  expect(account.isFull).toBe(true)
  server.nowMs += 1_000
  await settle(sweeper)
  expect([account.isFull, sweeper.status.checks]).toEqual([true, 1])
  for (let i = 0; i < 20; i++) server.keys.delete(`a:${i}`)
  account.deletes = 20
  server.nowMs += 1_000
  await settle(sweeper)
  expect([account.isFull, account.bytes.value, account.deletes]).toEqual([false, 8_000, 0])
  expect(sweeper.all()).toMatchObject({ keys: 80, bytes: 8_000 })
  expect(asked).toBeGreaterThan(0)
})

test('a tenant that is used for the first time begins with what was measured before, and other tenants with nothing', async () => {
  for (let i = 0; i < 100; i++) server.keys.set(`a:${i}`, 100)
  const sweeper = sweeperOf()
  await settle(sweeper)
  const account = new MemoryAccount(9_000, Number.POSITIVE_INFINITY)
  sweeper.begin('a', account)
  expect([account.bytes.value, account.keys.value, account.isFull]).toEqual([10_000, 100, true])
  sweeper.setTenants([{ id: 'c', prefix: 'a:', database: 0 }])
  expect([sweeper.usageOf('a'), sweeper.usageOf('c')?.ageMs]).toEqual([undefined, undefined])
  await settle(sweeper)
  expect(sweeper.usageOf('c')).toMatchObject({ keys: 100, bytes: 10_000 })
})

test('a tenant that comes costs the others nothing of what was counted, and is itself not known before the next sweep', async () => {
  for (let i = 0; i < 100; i++) server.keys.set(`a:${i}`, 100).set(`c:${i}`, 1)
  const sweeper = sweeperOf()
  await settle(sweeper)
  sweeper.setTenants([
    { id: 'c', prefix: 'c:', database: 0 },
    { id: 'a', prefix: 'a:', database: 0 },
    { id: 'b', prefix: 'else:', database: 0 },
  ])
  expect(sweeper.usageOf('a')).toEqual({ bytes: 10_000, keys: 100, errorBytes: 0, ageMs: expect.any(Number) })
  for (const id of ['b', 'c'])
    expect(sweeper.usageOf(id)).toEqual({ bytes: 0, keys: 0, errorBytes: 0, ageMs: undefined })
  expect(sweeper.all()).toMatchObject({ bytes: 10_000, keys: 100, errorBytes: 0 })
  const [full, fresh] = [new MemoryAccount(9_000, 1e9), new MemoryAccount(9_000, 1e9)]
  sweeper.begin('a', full)
  sweeper.begin('c', fresh)
  expect([full.isFull, fresh.isFull, fresh.measuredAtMs]).toEqual([true, false, Number.NaN])
  await settle(sweeper)
  expect([sweeper.usageOf('c')?.bytes, sweeper.usageOf('b')?.bytes, sweeper.all().bytes]).toEqual([100, 0, 10_100])
})

test('tenants that come and go during a sweep do not end it: what it finds is of those that stay', async () => {
  for (let i = 0; i < 5_000; i++) server.keys.set(`a:${i}`, 100).set(`b:${i}`, 7).set(`c:${i}`, 1)
  const account = new MemoryAccount(400_000, 1e9)
  const sweeper = sweeperOf(account, 3_600_000)
  let scans = 0
  server.onAsk = (command) => {
    if (!command.startsWith('SCAN') || ++scans !== 5) return
    sweeper.setTenants([
      { id: 'c', prefix: 'c:', database: 0 },
      { id: 'a', prefix: 'a:', database: 0 },
    ])
  }
  await settle(sweeper)
  expect([sweeper.status.finished, sweeper.status.failed]).toEqual([1, 0])
  expect([sweeper.usageOf('a')?.bytes, sweeper.usageOf('a')?.keys, account.isFull]).toEqual([500_000, 5_000, true])
  expect([sweeper.usageOf('b'), sweeper.usageOf('c')?.ageMs, sweeper.all().bytes]).toEqual([
    undefined,
    undefined,
    500_000,
  ])
  for (let i = 0; i < 3; i++) await settle(sweeper)
  expect([sweeper.usageOf('c')?.bytes, sweeper.all().bytes]).toEqual([5_000, 505_000])
})

test('a command that waits for a look at its tenant goes on when there was one', async () => {
  for (let i = 0; i < 100; i++) server.keys.set(`a:${i}`, 100)
  const account = new MemoryAccount(50_000, Number.POSITIVE_INFINITY)
  const sweeper = sweeperOf(account, 3_600_000)
  await settle(sweeper)
  let isReleased = false
  account.whenLookedAt(() => {
    isReleased = true
  })
  await settle(sweeper)
  expect([isReleased, account.isWaiting]).toEqual([true, false])
})

test('tenants that change while a check waits for its node do not get the figures of others', async () => {
  for (let i = 0; i < 100; i++) server.keys.set(`a:${i}`, 100).set(`b:${i}`, 7)
  const account = new MemoryAccount(10_000, Number.POSITIVE_INFINITY)
  const sweeper = sweeperOf(account, 3_600_000)
  await settle(sweeper)
  expect(account.isFull).toBe(true)
  let isChanged = false
  onTotals = () => {
    if (isChanged) return
    isChanged = true
    // `a` has the place that was `b`'s, and the other way round.
    sweeper.setTenants([
      { id: 'b', prefix: 'b:', database: 0 },
      { id: 'a', prefix: 'a:', database: 0 },
    ])
  }
  account.wrote(5_000, 0)
  server.nowMs += 1_000
  await settle(sweeper)
  expect([isChanged, sweeper.status.checks, sweeper.status.failed]).toEqual([true, 0, 1])
  server.nowMs += 1_000
  for (let i = 0; i < 3; i++) await settle(sweeper) // a check, the sweep
  expect([account.bytes.value, sweeper.usageOf('b')?.bytes]).toEqual([10_000, 700])
})

describe('where it is swept', () => {
  const nodeOf = (index: number, role: Node['role'], more: Partial<Node> = {}): Node => {
    const address = { name: `n${index}`, region: 'r', host: 'h', port: 1, tls: false }
    return Object.assign(new Node(index, address, false), { role, isUp: true, isReadable: true, ...more })
  }

  test('on the nearest replica in sync, never on the primary while one lives', () => {
    const primary = nodeOf(0, 'primary')
    const [near, far] = [nodeOf(1, 'replica'), nodeOf(2, 'replica')]
    const nodes = [primary, near, far]
    expect(chooseNode(nodes, [primary, near, far], primary)).toEqual({ node: 1, isPrimary: false })
    near.isReadable = false
    expect(chooseNode(nodes, [primary, near, far], primary)).toEqual({ node: 2, isPrimary: false })
    far.isReadable = false
    expect(chooseNode(nodes, [primary, near, far], primary)).toBeUndefined()
    near.isUp = false
    far.isUp = false
    expect(chooseNode(nodes, [primary, near, far], primary)).toEqual({ node: 0, isPrimary: true })
    expect(chooseNode(nodes, [near, far], undefined)).toBeUndefined()
  })

  test('and what was begun ends there when the replica becomes the primary, or a replica comes back beside it', () => {
    const [a, b] = [nodeOf(0, 'primary'), nodeOf(1, 'replica')]
    expect([mayStay([a, b], 1, a, false), mayStay([a, b], 0, a, true)]).toEqual([true, false])
    b.role = 'primary'
    expect(mayStay([a, b], 1, b, true)).toBe(false)
    a.isUp = false
    // At the pace of a replica it does not go on even where nothing else lives.
    expect([mayStay([a, b], 1, b, true), mayStay([a, b], 1, b, false)]).toEqual([true, false])
    b.isSyncing = true
    expect(mayStay([a, b], 1, b, true)).toBe(false)
  })
})
