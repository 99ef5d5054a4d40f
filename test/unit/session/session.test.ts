import { clientOutputHardBytes, clientOutputSoftBytes, clientOutputSoftMs } from '../../../src/base/limits.ts'
import { command } from '../../kit/resp.ts'
import { buildWorld } from '../request-world.ts'

describe('drain', () => {
  test('an idle client is ended at once', () => {
    const client = buildWorld().client('shop')
    client.session.drain()
    expect(client.socket.isEnded).toBe(true)
  })

  test('a client whose reply is under way gets it before the end', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['GET', 'a'])
    client.session.drain()
    expect(client.socket.isEnded).toBe(false)
    world.reply(world.replica, '$1\r\n1\r\n')
    expect([client.socket.text, client.socket.isEnded]).toEqual(['$1\r\n1\r\n', true])
  })

  test('a command that was received whole and waits for its turn is still sent and answered; later ones are not', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['GET', 'a'])
    client.send(['SET', 'a', '2'], ['PING'])
    client.session.drain()
    client.send(['SET', 'a', '3'])
    world.reply(world.replica, '$1\r\n1\r\n')
    expect([client.socket.text, client.socket.isEnded]).toEqual(['$1\r\n1\r\n', false])
    world.reply(world.primary, '+OK\r\n')
    expect([client.socket.text, client.socket.isEnded]).toEqual(['$1\r\n1\r\n+OK\r\n+PONG\r\n', true])
    expect(world.sentTo(world.primary)).toBe(command('SET', 'shop:a', '2').toString())
  })

  test('what was admitted under a quota and waits for its turn is not asked again for what the client sends meanwhile', () => {
    const quota = { opsPerS: 1, burst: 2, scope: 'proxy', whenExceeded: 'error' } as const
    const users = [{ name: 'shop', readOnly: false }]
    const world = buildWorld({ tenants: [{ id: 'shop', prefix: 'shop:', deny: [], quota, users }] })
    const client = world.client('shop')
    client.send(['GET', 'a'])
    client.send(['SET', 'a', '2'])
    client.session.drain()
    client.send(['SET', 'a', '3'])
    world.reply(world.replica, '$1\r\n1\r\n')
    world.reply(world.primary, '+OK\r\n')
    expect([client.socket.text, client.socket.isEnded]).toEqual(['$1\r\n1\r\n+OK\r\n', true])
  })
})

describe('a client that does not read', () => {
  test('above the soft limit is overdue after a minute, not before, and not once it reads', () => {
    const world = buildWorld()
    const client = world.client('shop')
    const answer = (): void => {
      client.send(['GET', 'a'])
      world.reply(world.replica, '$1\r\n1\r\n')
    }
    client.socket.writableLength = clientOutputSoftBytes + 1
    answer()
    world.clock.ms += clientOutputSoftMs
    expect(client.session.isOutputOverdue(world.clock.ms)).toBe(false)
    expect(client.session.isOutputOverdue(world.clock.ms + 1)).toBe(true)
    client.socket.writableLength = 10
    expect(client.session.isOutputOverdue(world.clock.ms + 1)).toBe(false)
    client.socket.writableLength = clientOutputSoftBytes + 1
    expect(client.session.isOutputOverdue(world.clock.ms + 1)).toBe(false)
    expect(client.socket.isDestroyed).toBe(false)
  })

  test('above the hard limit is closed at once', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['GET', 'a'])
    client.socket.writableLength = clientOutputHardBytes + 1
    world.reply(world.replica, '$1\r\n1\r\n')
    expect(client.socket.isDestroyed).toBe(true)
  })

  test('is told to the proxy by the bytes that wait behind others', () => {
    const world = buildWorld()
    const queued = jest.spyOn(world.path, 'outputQueued')
    const client = world.client('shop')
    client.send(['GET', 'a'])
    world.reply(world.replica, '$1\r\n1\r\n')
    expect(queued).not.toHaveBeenCalled()
    client.socket.writableLength = 10
    client.send(['GET', 'a'])
    world.reply(world.replica, '$1\r\n1\r\n')
    expect(queued.mock.calls).toEqual([[client.session, 7]])
    // A waiting piece costs more than its bytes, until it was written.
    expect(client.session.outputBytes).toBeGreaterThan(10 + 100)
    client.socket.callbacks.forEach((done) => {
      done()
    })
    expect(client.session.outputBytes).toBe(10)
  })

  test('is closed when all clients together hold too much and it holds most; others are not', () => {
    const world = buildWorld({ maxOutputBytes: 4_000_000 })
    const held = [1_500_000, 2_600_000, 1_000_000, 0]
    const clients = held.map((bytes) => {
      const client = world.client('shop')
      client.socket.writableLength = bytes
      world.path.outputQueued(client.session, bytes)
      return client
    })
    expect(clients.map((client) => client.socket.isDestroyed)).toEqual([false, true, false, false])
  })
})

describe('a client that has said all it will', () => {
  test('is let go at once when the kernel has its last reply', () => {
    const world = buildWorld()
    const client = world.client('shop')
    client.send(['GET', 'a'])
    client.socket.readableEnded = true
    client.session.onHalfClosed()
    expect([client.socket.isEnded, client.socket.isDestroyed]).toEqual([false, false])
    world.reply(world.replica, '$1\r\n1\r\n')
    expect([client.socket.text, client.socket.isEnded, client.socket.isDestroyed]).toEqual(['$1\r\n1\r\n', false, true])
  })

  test('keeps its connection while it has not read everything, or may still talk', () => {
    for (const [writableLength, readableEnded] of [
      [5, true],
      [0, false],
    ] as const) {
      const client = buildWorld().client('shop')
      Object.assign(client.socket, { writableLength, readableEnded })
      client.session.onHalfClosed()
      expect([client.socket.isEnded, client.socket.isDestroyed]).toEqual([true, false])
    }
  })
})
