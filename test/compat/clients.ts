/**
 * Cases that need more than one connection: a side is one address, and hands out clients of both libraries that are ready,
 * logged in as the tenant, and closed when the case is over. A case runs straight to Redis first, then through Regis, each
 * time on an empty keyspace.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, type RedisClientOptions } from '@redis/client'
import { Redis, type RedisOptions } from 'ioredis'
import type { RawClient } from '../kit/raw-client.ts'
import { rawClient } from '../kit/servers.ts'
import { settle } from './library.ts'
import { password, prefix, type Stage, user } from './stage.ts'

export type NodeRedis = ReturnType<typeof createClient>
export type NodeRedisOptions = Omit<RedisClientOptions, 'RESP'> & { RESP?: 2 | 3 }

export interface Side {
  readonly port: number
  readonly isThrough: boolean
  /** The name that a key of the tenant has on the server, for what a case asks the server itself. */
  readonly onServer: (name: string) => string
  ioredis(options?: RedisOptions): Promise<Redis>
  nodeRedis(options?: NodeRedisOptions): Promise<NodeRedis>
  raw(resp?: 2 | 3): Promise<RawClient>
}

export type Case = (side: Side) => Promise<unknown>

/** Runs a case on both sides; what it gives, and its errors with their words, are what a test compares. */
export async function onBothSides(stage: Stage, run: Case): Promise<{ straight: unknown; through: unknown }> {
  return {
    straight: await onOneSide(stage, false, run),
    through: await onOneSide(stage, true, run),
  }
}

/** What most tests are: equal on both sides, and a case that threw has compared nothing. */
export async function expectTheSame(stage: Stage, run: Case): Promise<void> {
  const { straight, through } = await onBothSides(stage, run)
  expect(through).toEqual(straight)
  expect(Array.isArray(straight)).toBe(true)
  // A case that has names like the prefix of its own gives them on both sides.
  if (!JSON.stringify(straight).includes(prefix)) expect(JSON.stringify(through)).not.toContain(prefix)
}

export async function onOneSide(stage: Stage, isThrough: boolean, run: Case): Promise<unknown> {
  await stage.redis.call('FLUSHALL')
  const port = isThrough ? stage.proxy.port : stage.redis.port
  const closings: (() => unknown)[] = []
  const side: Side = {
    port,
    isThrough,
    onServer: (name) => (isThrough ? prefix + name : name),
    async ioredis(options = {}) {
      // Nothing is retried for ever: a case that fails must end. The library types replies by `replyMapping`.
      const login = { host: '127.0.0.1', port, username: user, password, maxRetriesPerRequest: 3 }
      const client = new Redis({ ...login, ...options } as RedisOptions & { replyMapping: 'legacy' })
      closings.push(() => (client.status === 'end' ? undefined : client.disconnect()))
      client.on('error', () => {})
      await once(client, 'ready')
      return client
    },
    async nodeRedis(options = {}) {
      const client = createClient({
        username: user,
        password,
        ...options,
        socket: { host: '127.0.0.1', port, reconnectStrategy: false },
      } as RedisClientOptions) as NodeRedis
      client.on('error', () => {})
      closings.push(async () => {
        // What a program has sent last may still be answered; a client that is blocked never is.
        if (client.isOpen) await Promise.race([settle(client.close()), sleep(300)])
        if (client.isOpen) client.destroy()
      })
      await client.connect()
      return client
    },
    async raw(resp = 2) {
      const client = await rawClient(port)
      closings.push(() => client.close())
      await client.call('HELLO', resp, 'AUTH', user, password)
      return client
    },
  }
  try {
    return await settle(run(side))
  } finally {
    for (const close of closings.reverse()) await close()
  }
}

/** Resolves when so many clients of the server are blocked: one that is about to block has no other sign. */
export async function untilBlocked(stage: Stage, clients: number): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (Number(await stage.redis.info('blocked_clients')) === clients) return
    await sleep(5)
  }
  throw new Error(`never ${clients} blocked clients`)
}
