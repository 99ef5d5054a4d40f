/**
 * Beside the mixed load: connections that do nothing but listen to the channels which all tenants name alike, and one tenant
 * that deletes everything it has, again and again. And the clients of the mixed load, spread over tenants.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { excuses, parseValue } from './attributed-load.ts'
import { channels, MixedClient, markKey, onlyKey } from './attributed-mix.ts'
import { randomFrom } from './exchange.ts'
import { RawClient } from './raw-client.ts'
import { command, type Decoded, ErrorReply, Tagged } from './resp.ts'
import type { TenantLedger } from './tenant-ledger.ts'

/** Subscribed by name and by pattern; now and then it leaves and comes again. */
export class Listener {
  readonly wrong: string[] = []
  heard = 0
  private isOver = false
  private client: RawClient | undefined
  private work: Promise<void> = Promise.resolve()

  start(port: number, tenant: string, resp: 2 | 3, seed: number): this {
    this.work = this.listen(port, tenant, resp, randomFrom(seed))
    return this
  }

  async stop(): Promise<void> {
    this.isOver = true
    this.client?.close()
    await this.work
  }

  private async listen(port: number, tenant: string, resp: 2 | 3, random: () => number): Promise<void> {
    while (!this.isOver) {
      const client = await RawClient.open(port)
      this.client = client
      const requests = [
        command('HELLO', resp, 'AUTH', `${tenant}-app`, 'demo'),
        command('SUBSCRIBE', channels[0]),
        command('PSUBSCRIBE', 'news:*'),
      ]
      client.send(Buffer.concat(requests))
      const seen = new Set<string>()
      try {
        await client.read()
        for (let i = 0, stay = 200 + random() * 2_000; i < stay; i++) {
          const problem = this.judge(await client.read(600_000), tenant, seen)
          if (problem !== undefined) this.note(`${tenant}, listening: ${problem}`)
        }
        client.reset()
      } catch (error) {
        client.close()
        if (!String(error).includes('connection ended')) this.note(`${tenant}, listening: ${String(error)}`)
        await sleep(20)
      }
    }
  }

  private note(text: string): void {
    if (this.wrong.length < 20) this.wrong.push(text)
  }

  private judge(said: Decoded, tenant: string, seen: Set<string>): string | undefined {
    if (said instanceof ErrorReply && excuses.test(said.message)) return undefined
    const parts = (said instanceof Tagged ? said.value : said) as string[]
    if (parts[0] === 'subscribe' || parts[0] === 'psubscribe') return undefined
    const [channel, text] = parts.slice(-2) as [string, string]
    const isExpected =
      (parts[0] === 'message' && channel === channels[0]) ||
      (parts[0] === 'pmessage' && parts[1] === 'news:*' && (channels as readonly string[]).includes(channel))
    if (!isExpected) return JSON.stringify(said).slice(0, 160)
    const seq = parseValue(text, tenant, channel)
    if (typeof seq === 'string') return `on ${channel}: ${seq}`
    if (seen.has(`${parts[0]} ${text}`)) return `${text} came twice`
    seen.add(`${parts[0]} ${text}`)
    this.heard++
    return undefined
  }
}

/** Writes a few keys, counts them, deletes all: what others have must stay, and what it had must go. */
export class Flusher {
  readonly wrong: string[] = []
  flushes = 0
  private isOver = false
  private work: Promise<void> = Promise.resolve()

  start(port: number, tenant: string): this {
    this.work = this.run(port, tenant).catch((error) => {
      if (!this.isOver) this.wrong.push(String(error))
    })
    return this
  }

  async stop(): Promise<void> {
    this.isOver = true
    await this.work
  }

  private async run(port: number, tenant: string): Promise<void> {
    const client = await RawClient.open(port)
    await client.call('AUTH', `${tenant}-app`, 'demo')
    for (let i = 0; !this.isOver; i++) {
      // Names that others have too.
      const keys = ['c0:0', 'mark', `c${i % 10}:${i % 8}`]
      const asked = [
        ['FLUSHDB'],
        ['MSET', ...keys.flatMap((key) => [key, tenant])],
        ['KEYS', '*'],
        ['DBSIZE'],
        ['FLUSHALL'],
        ['KEYS', '*'],
        ['DBSIZE'],
      ]
      client.send(Buffer.concat(asked.map((args) => command(...args))))
      const replies: Decoded[] = []
      while (replies.length < asked.length) replies.push(await client.read(60_000))
      this.flushes++
      if (!replies.some((reply) => reply instanceof ErrorReply && excuses.test(reply.message))) {
        const names = [...new Set(keys)].sort()
        const told = replies.map((reply) => (Array.isArray(reply) ? [...reply].sort() : reply))
        const right = ['OK', 'OK', names, names.length, 'OK', [], 0]
        if (JSON.stringify(told) !== JSON.stringify(right)) this.wrong.push(`flushing: ${JSON.stringify(told)}`)
      }
      await sleep(100)
    }
    client.close()
  }
}

/** The key by which each tenant is known, and the one that no other has; on the replicas too when this resolves. */
export async function markTenants(server: RedisServer, tenants: readonly { readonly name: string }[]): Promise<void> {
  for (const { name } of tenants)
    await server.call('MSET', `${name}:${markKey}`, name, `${name}:${onlyKey(name)}`, name)
  await server.call('WAIT', 1, 5_000)
}

/** Clients spread over tenants; half of them begin with RESP3. */
export function mixedClientsOf(
  tenants: readonly { readonly name: string; readonly readsOwnWrites: boolean }[],
  ledgers: readonly TenantLedger[],
  perTenant: number,
  shared: { readonly port: number; readonly answerMsMax: number; readonly seed: number; readonly abandon?: number },
): MixedClient[] {
  return tenants.flatMap(({ name, readsOwnWrites }, t) =>
    Array.from(
      { length: perTenant },
      (_, id) =>
        new MixedClient({
          ...shared,
          tenant: name,
          user: `${name}-app`,
          id,
          neighbours: perTenant,
          resp: id % 2 === 0 ? 2 : 3,
          readsOwnWrites,
          seed: shared.seed * 7919 + t * 1000 + id,
          ledger: ledgers[t]!,
          otherTenants: tenants.filter((one) => one.name !== name).map((one) => one.name),
        }),
    ),
  )
}
