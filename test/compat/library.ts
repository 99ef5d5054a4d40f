/**
 * Cases of a client library, run straight to Redis and through Regis: what each gives, errors with their words, must be
 * equal. A case is an async function of the client; it begins on an empty keyspace.
 */
import type { Stage } from './stage.ts'

/** What a promise came to; an error as its class and its words. */
export async function settle(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise
  } catch (error) {
    return wordsOf(error)
  }
}

export function wordsOf(value: unknown): unknown {
  if (value instanceof Error) return `${value.constructor.name}: ${value.message}`
  return Array.isArray(value) ? value.map(wordsOf) : value
}

export function settleAll(promises: readonly Promise<unknown>[]): Promise<unknown[]> {
  return Promise.all(promises.map(settle))
}

export type Cases<Client> = Readonly<Record<string, (client: Client) => Promise<unknown>>>

/**
 * Runs one case on both sides. `connect` gives a client that is ready, for a port; `close` ends it. Returns both, so
 * that a test may say more about what was compared.
 */
export async function bothWays<Client>(
  stage: Stage,
  connect: (port: number) => Promise<Client>,
  close: (client: Client) => Promise<void> | void,
  run: (client: Client) => Promise<unknown>,
): Promise<{ straight: unknown; through: unknown }> {
  const on = async (port: number): Promise<unknown> => {
    await stage.redis.call('FLUSHALL')
    const client = await connect(port)
    try {
      return await settle(run(client))
    } finally {
      await close(client)
    }
  }
  return { straight: await on(stage.redis.port), through: await on(stage.proxy.port) }
}

/** Refused to a tenant as it is by default, each with the name that the refusal says. What a user tries on the first day is among them. */
export const refused: readonly (readonly [argv: readonly string[], name: string])[] = [
  [['EVAL', 'return 1', '0'], 'eval'],
  [['EVALSHA', 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db', '0'], 'evalsha'],
  [['SCRIPT', 'LOAD', 'return 1'], 'script|load'],
  [['FCALL', 'f', '0'], 'fcall'],
  [['FUNCTION', 'LIST'], 'function|list'],
  [['CONFIG', 'SET', 'maxmemory', '1'], 'config|set'],
  [['CONFIG', 'RESETSTAT'], 'config|resetstat'],
  [['CLIENT', 'PAUSE', '1'], 'client|pause'],
  [['ACL', 'LIST'], 'acl|list'],
  [['DEBUG', 'SLEEP', '0'], 'debug'],
  [['SWAPDB', '0', '1'], 'swapdb'],
  [['RESTORE', 'k', '0', 'x'], 'restore'],
  [['MIGRATE', '127.0.0.1', '6379', 'k', '0', '10'], 'migrate'],
  [['SAVE'], 'save'],
  [['BGSAVE'], 'bgsave'],
  [['LASTSAVE'], 'lastsave'],
  [['REPLICAOF', 'NO', 'ONE'], 'replicaof'],
  [['SHUTDOWN', 'NOSAVE'], 'shutdown'],
  [['MEMORY', 'STATS'], 'memory|stats'],
  [['SYNC'], 'sync'],
]

export const refusal = (name: string): string => `NOPERM this user has no permissions to run the '${name}' command`
