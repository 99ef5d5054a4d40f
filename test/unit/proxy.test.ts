/** What the ticker of the proxy does to clients: their time limits. The parts are real; sockets and the clock are not. */
import type { Socket } from 'node:net'
import { clientOutputSoftBytes, clientOutputSoftMs, halfFrameMs, unauthMs } from '../../src/base/limits.ts'
import { silentLog } from '../../src/base/log.ts'
import { RegisProxy } from '../../src/proxy.ts'
import type { Session } from '../../src/session/session.ts'
import { command } from '../kit/resp.ts'
import { good, load } from './config/kit.ts'
import { MemorySocket } from './request-world.ts'

/** What sockets and timers would call. */
interface Inside {
  accept(socket: Socket, remote: string, user: string | undefined, listener: string): Session
  tick(): void
  readonly path: { readonly slab: Buffer; readonly readAt: number }
}

let nowMs = 0

beforeEach(() => {
  nowMs = 1_000
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs)
})
afterEach(() => jest.restoreAllMocks())

function build(more = '') {
  const { config } = load(good + more)
  const proxy = new RegisProxy({ config: config!, log: silentLog, version: '0' }) as unknown as Inside
  const open = (user: string | undefined) => {
    const socket = new MemorySocket()
    const session = proxy.accept(socket as unknown as Socket, '203.0.113.7:1', user, 'here')
    const send = (bytes: Buffer): void => {
      proxy.path.slab.set(bytes, proxy.path.readAt)
      session.onRead(bytes.length)
    }
    return { session, socket, send }
  }
  /** Ten ticks: one look at the clients. */
  const pass = (ms: number): void => {
    nowMs += ms
    for (let i = 0; i < 10; i++) proxy.tick()
  }
  return { open, pass }
}

test('half a request may last thirty seconds from its last progress, and no longer', () => {
  const { open, pass } = build()
  const [half, whole] = [open('shop-app'), open('shop-app')]
  const ping = command('PING')
  half.send(ping.subarray(0, 5))
  whole.send(ping)
  pass(halfFrameMs)
  expect(half.socket.isDestroyed).toBe(false)
  // More bytes of the same request are no progress: else one byte now and then would hold it for ever.
  half.send(ping.subarray(5, 6))
  pass(1)
  expect([half.socket.isDestroyed, whole.socket.isDestroyed]).toEqual([true, false])
})

test('half a request behind a whole one has its own thirty seconds, and none counts when it was completed', () => {
  const { open, pass } = build()
  const client = open('shop-app')
  const ping = command('PING')
  client.send(ping.subarray(0, 5))
  pass(halfFrameMs)
  client.send(Buffer.concat([ping.subarray(5), ping.subarray(0, 5)]))
  pass(halfFrameMs)
  expect(client.socket.isDestroyed).toBe(false)
  client.send(ping.subarray(5))
  pass(10 * halfFrameMs)
  expect(client.socket.isDestroyed).toBe(false)
  expect(client.socket.text).toBe('+PONG\r\n+PONG\r\n')
})

test('a client without a login has ten seconds, whatever it sends; one with a login has all the time', () => {
  const { open, pass } = build()
  const [stranger, user] = [open(undefined), open('shop-app')]
  pass(unauthMs)
  stranger.send(command('PING'))
  expect(stranger.socket.isDestroyed).toBe(false)
  pass(1)
  expect([stranger.socket.isDestroyed, user.socket.isDestroyed]).toEqual([true, false])
})

test('a client that reads nothing for a minute above the soft limit is closed, though it asks for nothing more', () => {
  const { open, pass } = build()
  const client = open('shop-app')
  client.socket.writableLength = clientOutputSoftBytes + 1
  client.send(command('PING'))
  pass(clientOutputSoftMs)
  expect(client.socket.isDestroyed).toBe(false)
  pass(1)
  expect(client.socket.isDestroyed).toBe(true)
})

test('limits.idle_timeout closes who sends nothing, and is off without it', () => {
  const [limited, free] = [build('limits: { idle_timeout: 5s }\n'), build()]
  const [idle, lively, patient] = [limited.open('shop-app'), limited.open('shop-app'), free.open('shop-app')]
  limited.pass(5_000)
  lively.send(command('PING'))
  limited.pass(1)
  free.pass(1e9)
  expect([idle, lively, patient].map((it) => it.socket.isDestroyed)).toEqual([true, false, false])
})
