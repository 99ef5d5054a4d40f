/**
 * Two servers of socket.io 4 that know each other only through Redis, by @socket.io/redis-adapter: what one says, the
 * clients of both hear, straight and through Regis. Both kinds of adapter, on both client libraries.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import { waitFor } from '../kit/wait-for.ts'
import { expectTheSame, type Side } from './clients.ts'
import { settle } from './library.ts'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

const adapters: Readonly<Record<string, (side: Side) => Promise<ReturnType<typeof createAdapter>>>> = {
  'ioredis, the adapter': async (side) => createAdapter(await side.ioredis(), await side.ioredis()),
  'ioredis, protocol 2': async (side) =>
    createAdapter(await side.ioredis({ protocol: 2 }), await side.ioredis({ protocol: 2 })),
  'node-redis, the adapter': async (side) => createAdapter(await side.nodeRedis(), await side.nodeRedis()),
  'node-redis, answers on a channel of each': async (side) =>
    createAdapter(await side.nodeRedis(), await side.nodeRedis(), { publishOnSpecificResponseChannel: true }),
  'ioredis, the sharded adapter': async (side) =>
    createShardedAdapter(await side.ioredis(), await side.ioredis()) as never,
  'node-redis, the sharded adapter': async (side) =>
    createShardedAdapter(await side.nodeRedis(), await side.nodeRedis()) as never,
}

interface Town {
  readonly servers: readonly Server[]
  readonly clients: readonly Socket[]
  /** What each client has heard, in order. */
  readonly heard: readonly (readonly unknown[])[]
}

/** Two servers with two clients each; all four know each other when this resolves. Everything ends with the case. */
async function inTown(
  side: Side,
  adapter: (side: Side) => Promise<ReturnType<typeof createAdapter>>,
  run: (town: Town) => Promise<unknown[]>,
): Promise<unknown[]> {
  const servers: Server[] = []
  const clients: Socket[] = []
  const heard: unknown[][] = []
  try {
    for (let i = 0; i < 2; i++) {
      const http = createServer()
      const server = new Server(http, { adapter: (await adapter(side)) as never, transports: ['websocket'] })
      server.on('connection', (socket) => {
        socket.on('join', (room: string, joined: () => void) => void Promise.resolve(socket.join(room)).then(joined))
      })
      http.listen(0, '127.0.0.1')
      await once(http, 'listening')
      servers.push(server)
      for (let j = 0; j < 2; j++) {
        const { port } = http.address() as AddressInfo
        const client = io(`http://127.0.0.1:${port}`, {
          transports: ['websocket'],
          forceNew: true,
          reconnection: false,
        })
        clients.push(client)
        const own: unknown[] = []
        heard.push(own)
        client.onAny((...what: unknown[]) => own.push(what.filter((one) => typeof one !== 'function')))
        await once(client as never, 'connect')
      }
    }
    // Each server hears the other: its subscriptions are there.
    await waitFor(async () => {
      const counts = await Promise.all(
        servers.map((server) =>
          server.fetchSockets().then(
            (all) => all.length,
            () => 0,
          ),
        ),
      )
      return counts.every((count) => count === 4)
    })
    return await run({ servers, clients, heard })
  } finally {
    for (const client of clients) client.disconnect()
    for (const server of servers) await server.close()
  }
}

const cases: Readonly<Record<string, (town: Town) => Promise<unknown[]>>> = {
  'to all, from either server': async ({ servers, heard }) => {
    servers[0]!.emit('news', 1, { a: 'ü' })
    servers[1]!.emit('news', 2, Buffer.from([0, 255]))
    servers[0]!.emit('end')
    await waitFor(() => heard.every((own) => own.length === 3))
    // One server's words stay in order; whose come first is chance.
    return [heard.map((own) => own.map((one) => JSON.stringify(one)).sort())]
  },
  'to a room, and to all but a room': async ({ servers, clients, heard }) => {
    await clients[0]!.emitWithAck('join', 'red')
    await clients[2]!.emitWithAck('join', 'red')
    await waitFor(async () => (await servers[1]!.in('red').fetchSockets()).length === 2)
    servers[1]!.to('red').emit('to red')
    servers[1]!.except('red').emit('not to red')
    servers[1]!.local.emit('only here')
    servers[1]!.emit('end')
    await waitFor(() => heard.every((own) => JSON.stringify(own.at(-1)) === '["end"]'))
    return [heard, [...(await servers[0]!.of('/').adapter.sockets(new Set(['red'])))].length]
  },
  'with an answer of everybody': async ({ servers, clients }) => {
    for (const [i, client] of clients.entries())
      client.on('ask', (n: number, answer: (m: number) => void) => answer(n + i))
    const answers = (await servers[0]!.timeout(5000).emitWithAck('ask', 10)) as number[]
    return [answers.sort()]
  },
  'from server to server': async ({ servers }) => {
    const got = once(servers[1]!, 'hello')
    servers[0]!.serverSideEmit('hello', 'world', 1)
    servers[1]!.on('ping', (...args: unknown[]) => (args.at(-1) as (answer: string) => void)('pong'))
    const answers = await settle(servers[0]!.serverSideEmitWithAck('ping'))
    return [await got, answers]
  },
  'sockets of the other server join, leave and are sent away': async ({ servers, clients }) => {
    servers[0]!.socketsJoin('everybody')
    await waitFor(async () => (await servers[1]!.in('everybody').fetchSockets()).length === 4)
    servers[0]!.in(clients[3]!.id!).socketsLeave('everybody')
    await waitFor(async () => (await servers[0]!.in('everybody').fetchSockets()).length === 3)
    const gone = once(clients[3]! as never, 'disconnect')
    servers[0]!.in(clients[3]!.id!).disconnectSockets()
    const [reason] = (await gone) as [string]
    await waitFor(async () => (await servers[0]!.fetchSockets()).length === 3)
    return [reason]
  },
}

describe.each(Object.entries(adapters))('%s', (_, adapter) => {
  test.each(Object.entries(cases))('%s', async (_name, run) => {
    await expectTheSame(stage, (side) => inTown(side, adapter, run))
  })
})
