/** Open connections when the configuration changes under them, command by command; with real servers: integration/reload.test.ts. */

import { silentLog } from '../../../src/base/log.ts'
import type { TenantOptions } from '../../../src/session/accounts.ts'
import { Durability, type DurableLine } from '../../../src/upstream/durability.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld } from '../request-world.ts'

const text = (...args: readonly string[]): string => command(...args).toString('latin1')
const shop = (more: Partial<TenantOptions> = {}): TenantOptions => ({
  id: 'shop',
  prefix: 'shop:',
  deny: [],
  users: [{ name: 'shop', readOnly: false }],
  ...more,
})

test('what is in flight is answered under the rights it was sent with, what comes behind it is not taken', () => {
  const it = buildWorld()
  const client = it.client('shop')
  client.send(['SET', 'a', '1'])
  it.sentTo(it.primary)
  it.reload([shop({ deny: ['set'] })])
  client.send(['SET', 'a', '2'], ['PING'])
  it.reply(it.primary, '+OK\r\n')
  expect(client.socket.text).toMatch(/^\+OK\r\n-NOPERM [^\r]*'set' command\r\n\+PONG\r\n$/)
  expect(it.sentTo(it.primary)).toBe(text('SET', 'shop:a', '1'))
})

test('a user that is gone: the reply in flight comes, then the end; nothing it sent meanwhile is run', () => {
  const it = buildWorld()
  const client = it.client('shop')
  client.send(['SET', 'a', '1'])
  const sent = it.sentTo(it.primary)
  expect(it.reload([shop({ users: [{ name: 'other', readOnly: false }] })])).toBe(1)
  expect(client.socket.isEnded).toBe(false)
  client.send(['SET', 'a', '2'])
  it.reply(it.primary, '+OK\r\n')
  expect([client.socket.text, client.socket.isEnded]).toEqual(['+OK\r\n', true])
  expect(it.sentTo(it.primary)).toBe(sent)
})

test('who waits for a node when its user goes is closed, and its command is not run', () => {
  const it = buildWorld()
  const client = it.client('shop')
  it.tracker.primary = undefined
  for (const lane of it.pool.lanes) lane.isPrimary = false
  client.send(['SET', 'a', '1'])
  expect(it.reload([])).toBe(1)
  expect(client.socket.isEnded).toBe(true)
  it.tracker.primary = it.primary
  for (const lane of it.pool.lanes) lane.isPrimary = lane.nodeIndex === it.primary.index
  it.path.waiting.retryNodes()
  it.path.waiting.resumeAll()
  expect(it.sentTo(it.primary)).toBe('')
})

test('a transaction is judged by the rights of its EXEC, and undone whole', () => {
  const it = buildWorld()
  const client = it.client('shop')
  client.send(['MULTI'], ['INCR', 'n'], ['LPUSH', 'l', '1'])
  it.reload([shop({ deny: ['lpush'] })])
  client.socket.text = ''
  client.send(['EXEC'], ['PING'])
  expect(client.socket.text).toMatch(/^-EXECABORT [^\r]*NOPERM [^\r]*'lpush' command\r\n\+PONG\r\n$/)
  expect(it.sentTo(it.primary)).toBe('')
  // Of those that are left nothing was taken: it runs.
  client.send(['MULTI'], ['INCR', 'n'])
  it.reload([shop({ deny: ['lpush', 'sort'] })])
  client.send(['EXEC'])
  expect(it.sentTo(it.primary)).toBe(text('MULTI') + text('INCR', 'shop:n') + text('EXEC'))
})

test('state and account of who stays are the same objects, with what they hold', () => {
  const it = buildWorld()
  const { session } = it.client('shop')
  const { account } = session
  const { tenant, route } = account!
  tenant!.floor = 7
  tenant!.gate = 8
  expect(
    it.reload([shop({ deny: ['sort'] }), shop({ id: 'b', prefix: 'b:', users: [{ name: 'b', readOnly: true }] })]),
  ).toBe(0)
  expect(session.account).toBe(account)
  expect(account!.tenant).toBe(tenant)
  expect([tenant!.floor, tenant!.gate & 8]).toEqual([7, 8])
  expect(account!.route).not.toBe(route)
  expect(it.accounts.get('b')?.isReadOnly).toBe(true)
})

test('a tenant that went and comes back goes on where it was; with other keys it begins anew', () => {
  const it = buildWorld()
  const { tenant } = it.client('shop').session.account!
  it.reload([])
  expect(it.accounts.get('shop')).toBeUndefined()
  it.reload([shop()])
  expect(it.accounts.get('shop')?.tenant).toBe(tenant)
  it.reload([])
  it.reload([shop({ prefix: 'else:' })])
  expect(it.accounts.get('shop')?.tenant).not.toBe(tenant)
  expect(it.accounts.get('shop')?.tenant?.prefix.toString()).toBe('else:')
})

test('other keys of one that stays are refused before anything has changed', () => {
  const it = buildWorld()
  const client = it.client('shop')
  const wrong = [
    shop({ prefix: 'else:', deny: ['set'] }),
    shop({ id: 'b', prefix: 'b:', users: [{ name: 'b', readOnly: false }] }),
  ]
  expect(() => it.reload(wrong)).toThrow('the keys of tenant shop would be others')
  client.send(['SET', 'a', '1'])
  expect(it.sentTo(it.primary)).toBe(text('SET', 'shop:a', '1'))
  expect(it.accounts.get('b')).toBeUndefined()
})

test('columns of rights that nobody has any more are forgotten, those that are used are shared', () => {
  const it = buildWorld()
  const { account } = it.client('shop').session
  const before = account!.route
  for (let round = 0; round < 50; round++) it.reload([shop({ deny: [round % 2 === 0 ? 'sort' : 'echo'] })])
  it.reload([shop()])
  expect(account!.route).not.toBe(before)
  expect(account!.route).toEqual(before)
  const { routes, bases } = it.accounts as unknown as { routes: Map<string, unknown>; bases: Map<unknown, unknown> }
  expect([routes.size, bases.size]).toEqual([1, 1])
})

test('what the primary lacks stays denied in columns that a reload makes', () => {
  const it = buildWorld()
  const { account } = it.client('shop').session
  const id = it.table.byName('lmpop')!.id
  it.table.missing[id] = 1
  it.accounts.learn()
  it.reload([shop({ deny: ['sort'] })])
  const denied = account!.route[id]
  it.table.missing[id] = 0
  it.accounts.learn()
  expect([denied, account!.route[id] === denied]).toEqual([
    it.client('shop').session.account!.route[it.table.byName('sort')!.id],
    false,
  ])
})

describe('quotas', () => {
  const limited = (opsPerS: number, burst: number, whenExceeded: 'delay' | 'error' = 'error'): TenantOptions =>
    shop({ quota: { opsPerS, burst, scope: 'proxy', whenExceeded } })
  const throttled = /^-THROTTLED [^\r]*\r\n$/

  test('hold from the next command on, for a tenant that had none; what was used stays used when they change', () => {
    const it = buildWorld()
    const client = it.client('shop')
    const send = (...args: string[]): string => {
      client.socket.text = ''
      client.send(args)
      return client.socket.text
    }
    for (let i = 0; i < 20; i++) expect(send('PING')).toBe('+PONG\r\n')
    it.reload([limited(1, 3)])
    for (let i = 0; i < 3; i++) expect(send('PING')).toBe('+PONG\r\n')
    expect(send('PING')).toMatch(throttled)
    // Of another deny list the bucket knows nothing.
    it.reload([{ ...limited(1, 3), deny: ['sort'] }])
    expect(send('PING')).toMatch(throttled)
    it.reload([limited(1, 5)])
    expect([send('PING'), send('PING')]).toEqual(['+PONG\r\n', '+PONG\r\n'])
    expect(send('PING')).toMatch(throttled)
    it.reload([shop()])
    for (let i = 0; i < 20; i++) expect(send('PING')).toBe('+PONG\r\n')
    expect(client.session.account!.tenant!.gate).toBe(0)
  })

  test('who waits goes on in the same turn when they are raised or taken away', () => {
    for (const now of [limited(1_000, 1_000, 'delay'), shop()]) {
      const it = buildWorld({ tenants: [limited(1, 1, 'delay')] })
      const client = it.client('shop')
      client.send(['PING'], ['PING'], ['PING'])
      expect(client.socket.text).toBe('+PONG\r\n')
      expect(client.session.quotaWait).toBeDefined()
      it.reload([now])
      it.path.waiting.resumeAll()
      expect([client.socket.text, client.session.quotaWait]).toEqual(['+PONG\r\n'.repeat(3), undefined])
    }
  })

  test("a user's own: on the connection that is open", () => {
    const it = buildWorld()
    const client = it.client('shop')
    const quota = { opsPerS: 1, burst: 2, scope: 'proxy', whenExceeded: 'error' } as const
    it.reload([shop({ users: [{ name: 'shop', readOnly: false, quota }] })])
    client.send(['PING'], ['PING'], ['PING'])
    expect(client.socket.text).toMatch(/^\+PONG\r\n\+PONG\r\n-THROTTLED /)
    expect(client.session.userTraffic).toBeDefined()
    it.reload([shop()])
    client.socket.text = ''
    client.send(['PING'], ['PING'], ['PING'])
    expect([client.socket.text, client.session.userTraffic]).toEqual(['+PONG\r\n'.repeat(3), undefined])
  })

  test('the largest request is another, for the tenant', () => {
    const it = buildWorld()
    const client = it.client('shop')
    client.send(['ECHO', 'x'.repeat(5_000)])
    it.reload([shop({ quota: { maxRequestBytes: 1_000, scope: 'proxy', whenExceeded: 'error' } })])
    client.socket.text = ''
    client.send(['ECHO', 'x'.repeat(5_000)])
    expect(client.socket.text).toMatch(/^-ERR Protocol error: invalid bulk length/)
    expect(client.socket.isEnded).toBe(true)
  })
})

describe('durability', () => {
  function durable() {
    const durability = new Durability({
      addresses: [],
      counts: [],
      timeoutMs: 1_000,
      clientName: 'x',
      channel: 'x',
      log: silentLog,
      limitedLog: silentLog,
      primary: () => ({ nodeIndex: 0, replId: 'x', rttMs: 0 }),
      now: () => it.clock.ms,
      soon() {},
      desync() {},
      openConnection: () => ({ start() {}, stop() {} }),
    })
    const it = buildWorld({ durability })
    const confirm = (line: DurableLine): void => {
      line.confirmed = line.next
      line.settle()
    }
    return { ...it, durability, confirm }
  }
  const promise = { durability: { replicas: 1, timeoutMs: 60_000 } }

  test('switched on: writes are held from the first one on that was sent after it, however much is in flight', () => {
    const it = durable()
    const client = it.client('shop')
    client.send(['SET', 'a', '1'], ['SET', 'b', '1'])
    it.sentTo(it.primary)
    it.reload([shop(promise)])
    client.send(['SET', 'c', '1'])
    it.reply(it.primary, '+OK\r\n+OK\r\n')
    expect(client.socket.text).toBe('+OK\r\n+OK\r\n')
    expect(it.sentTo(it.primary)).toContain('shop:c')
    it.reply(it.primary, '+OK\r\n')
    expect(client.socket.text).toBe('+OK\r\n+OK\r\n')
    it.confirm(it.durability.line(1))
    expect(client.socket.text).toBe('+OK\r\n+OK\r\n+OK\r\n')
  })

  test('switched off: what is held is still given in its order, by what it was promised', () => {
    const it = durable()
    it.reload([shop(promise)])
    const client = it.client('shop')
    client.send(['SET', 'a', '1'])
    it.sentTo(it.primary)
    it.reply(it.primary, '+OK\r\n')
    it.reload([shop()])
    client.send(['SET', 'b', '1'], ['PING'])
    expect([client.socket.text, it.sentTo(it.primary).includes('shop:b')]).toEqual(['', false])
    it.clock.ms += 70_000
    it.durability.line(1).settle()
    it.path.waiting.resumeAll()
    expect(client.socket.text).toBe(
      '-NOTDURABLE write done on the primary, 0 of 1 replicas confirmed it within 60000 ms\r\n',
    )
    expect(it.sentTo(it.primary)).toContain('shop:b')
    it.reply(it.primary, '+OK\r\n')
    expect(client.socket.text).toMatch(/ms\r\n\+OK\r\n\+PONG\r\n$/)
    expect(client.session.held).toBeUndefined()
  })
})
