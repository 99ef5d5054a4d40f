/**
 * A connection to a node that dies with a write on it: before the node is used again, the server is told to kill that
 * connection, so that the write cannot run after what comes next. Against a server of a few lines, which writes down in
 * which order it is asked.
 */
import { once } from 'node:events'
import net from 'node:net'
import { silentLog } from '../../src/base/log.ts'
import { Histogram } from '../../src/metrics/counters.ts'
import { LostConnections, UpstreamConnection } from '../../src/upstream/connection.ts'
import { kindPass, Lane, type ReplySink } from '../../src/upstream/lane.ts'
import { Slab } from '../../src/upstream/slab.ts'
import { command, decode } from '../kit/resp.ts'
import { waitFor } from '../kit/wait-for.ts'

const sink: ReplySink = {
  isClosed: false,
  onReply: () => false,
  onSwallowed() {},
  onErrorReply() {},
  onUncertain() {},
  onLateWrite() {},
  onTruncated() {},
}

/** Answers what a connection asks when it is opened; everything else stays without an answer. */
class Server {
  /** By connection, in the order of their coming. */
  readonly asked: string[][] = []
  readonly sockets: net.Socket[] = []
  runId = 'a'.repeat(40)
  answersKill = true
  private readonly server = net.createServer((socket) => this.onConnection(socket))

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    return (this.server.address() as net.AddressInfo).port
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }

  /** Answers that were held back. */
  answer(connection: number, text: string): void {
    this.sockets[connection]!.write(text)
  }

  private onConnection(socket: net.Socket): void {
    const asked: string[] = []
    const id = this.asked.push(asked) + 6 // 7, 8, ...
    this.sockets.push(socket)
    let bytes: Buffer = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      for (let found = decode(bytes); found !== undefined; found = decode(bytes)) {
        bytes = bytes.subarray(found.end)
        const text = (found.reply as string[]).join(' ')
        asked.push(text)
        const reply = this.replyTo(text, id)
        if (reply !== undefined) socket.write(reply)
      }
    })
  }

  private replyTo(text: string, id: number): string | undefined {
    if (text.startsWith('CLIENT SETNAME')) return '+OK\r\n'
    if (text === 'CLIENT ID') return `:${id}\r\n`
    if (text === 'ROLE') return '*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'
    if (text.startsWith('CLIENT KILL')) return this.answersKill ? ':1\r\n' : undefined
    const info = `# Server\r\nredis_mode:standalone\r\nrun_id:${this.runId}\r\n`
    return text === 'INFO server' ? `$${info.length}\r\n${info}\r\n` : undefined
  }
}

async function start(prepare: (server: Server) => void = () => {}) {
  const server = new Server()
  prepare(server)
  const port = await server.listen()
  const slab = new Slab(1)
  const durations = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
  // As the pool does: at the end of the turn.
  const wantsFlush = (lane: Lane): void => void setImmediate(() => lane.flush())
  const events = { wantsFlush, hasRoom() {}, errorReply() {}, desync() {}, foreignPrefix() {} }
  const lane = new Lane(0, 0, 2, false, slab, slab.takeArena(), durations, events, () => performance.now())
  const lost = new LostConnections()
  const connection = new UpstreamConnection(lane, {
    address: { name: 'node', host: '127.0.0.1', port, tls: false },
    clientName: 'test',
    timeoutMs: 5_000,
    lost,
    log: silentLog,
    onReady() {},
    onLost() {},
    afterRead() {},
  })
  connection.start()
  ended.push(() => {
    connection.stop()
    server.close()
  })
  await waitFor(() => lane.isReady)
  const send = async (isWrite: boolean, ...args: readonly string[]): Promise<void> => {
    lane.pos += lane.bytes.write(command(...args).toString('latin1'), lane.pos, 'latin1')
    lane.append(sink, kindPass, isWrite, performance.now())
    lane.flush()
    await waitFor(() => server.asked.at(-1)!.at(-1) === args.join(' '))
  }
  return { server, lane, lost, send }
}

const ended: (() => void)[] = []
afterEach(() => {
  for (const end of ended.splice(0)) end()
})

const kills = (asked: readonly string[]) => asked.filter((text) => text.startsWith('CLIENT KILL'))

test('the next connection kills the one that died with a write, and is not used before that is answered', async () => {
  const { server, lane, lost, send } = await start((it) => {
    it.answersKill = false
  })
  await send(true, 'SET', 'a', '1')
  server.sockets[0]!.destroy()
  await waitFor(() => server.asked.length === 2 && kills(server.asked[1]!).length > 0)
  expect(kills(server.asked[1]!)).toEqual(['CLIENT KILL ID 7'])
  expect([lane.isReady, lost.ids.size]).toEqual([false, 1])
  server.answer(1, ':1\r\n')
  await waitFor(() => lane.isReady)
  expect(lost.ids.size).toBe(0)
  // The lost write itself was not sent again.
  expect(server.asked[1]!.filter((text) => text.startsWith('SET'))).toEqual([])
})

test('each of several is killed once', async () => {
  const { server, lane, send } = await start()
  await send(true, 'SET', 'a', '1')
  server.answersKill = false
  server.sockets[0]!.destroy()
  await waitFor(() => kills(server.asked[1] ?? []).length === 1)
  server.answersKill = true
  server.sockets[1]!.destroy()
  await waitFor(() => lane.isReady)
  expect(kills(server.asked[2]!)).toEqual(['CLIENT KILL ID 7'])
  await send(true, 'SET', 'a', '2')
  server.sockets[2]!.destroy()
  await waitFor(() => lane.isReady && server.asked.length === 4)
  expect(kills(server.asked[3]!)).toEqual(['CLIENT KILL ID 9'])
})

test('a connection that died with reads only is not killed', async () => {
  const { server, lane, lost, send } = await start()
  await send(false, 'GET', 'a')
  server.sockets[0]!.destroy()
  await waitFor(() => lane.isReady && server.asked.length === 2)
  expect([kills(server.asked[1]!), lost.ids.size]).toEqual([[], 0])
})

test('on another run of the server the id is somebody else’s: nobody is killed', async () => {
  const { server, lane, lost, send } = await start()
  await send(true, 'SET', 'a', '1')
  server.runId = 'b'.repeat(40)
  server.sockets[0]!.destroy()
  await waitFor(() => lane.isReady && server.asked.length === 2)
  expect([kills(server.asked[1]!), lost.ids.size]).toEqual([[], 0])
})
