/** Quotas of commands and bytes over time, on a real server: they hold, what is refused was not executed, and nothing is lost. */
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, ErrorReply } from '../kit/resp.ts'
import { type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'

type Quota = Record<string, unknown>

function config(url: string, quotas: Record<string, Quota>, users: Record<string, object> = {}): object {
  const tenant = (id: string, quota?: Quota): object => ({
    users: { [`${id}-app`]: { password: 'demo' }, ...(id === 'shop' ? users : {}) },
    ...(quota === undefined ? {} : { quota: { scope: 'proxy', ...quota } }),
  })
  return {
    region: 'eu-west',
    primary: 'eu-west',
    regions: { 'eu-west': { nodes: [url] } },
    tenants: Object.fromEntries(['shop', 'other'].map((id) => [id, tenant(id, quotas[id])])),
  }
}

interface Flood {
  accepted: number
  refused: number
  seconds: number
  /** What refusals said, ms. */
  readonly retries: Set<number>
}

const throttled = /^THROTTLED rate limit exceeded for this tenant, retry after (\d+) ms$/

function retryMs(reply: Decoded): number | undefined {
  const found = reply instanceof ErrorReply ? throttled.exec(reply.message) : null
  return found === null ? undefined : Number(found[1])
}

/** Keeps so many of this command on their way for that long, then reads what is left. */
async function flood(client: RawClient, args: readonly string[], width: number, seconds: number): Promise<Flood> {
  const result: Flood = { accepted: 0, refused: 0, seconds: 0, retries: new Set() }
  const one = command(...args)
  const startedMs = performance.now()
  let open = 0
  client.send(Buffer.concat(Array.from({ length: width }, () => one)))
  open += width
  while (open > 0) {
    const reply = await client.read()
    open--
    const ms = retryMs(reply)
    if (ms === undefined) {
      expect(reply).not.toBeInstanceOf(ErrorReply)
      result.accepted++
    } else {
      result.refused++
      result.retries.add(ms)
    }
    if (performance.now() - startedMs < seconds * 1000) {
      if (open < width / 2) {
        client.send(Buffer.concat(Array.from({ length: width - open }, () => one)))
        open = width
      }
    }
  }
  result.seconds = (performance.now() - startedMs) / 1000
  return result
}

async function total(proxy: StartedProxy, name: string, labels: Record<string, string>): Promise<number> {
  return (await metric(proxy)).sum(name, labels)
}

describe('quotas of commands', () => {
  test.each(['delay', 'error'])('a pipelined flood gets its rate and no more, under %s', async (when_exceeded) => {
    const redis = await startRedis()
    const rate = 1_000
    const proxy = await startProxy(
      config(redis.url, { shop: { ops: `${rate}/s`, burst: rate, when_exceeded } }),
    )
    const clients = [await proxy.client('shop-app'), await proxy.client('shop-app')]
    const floods = await Promise.all(clients.map((client) => flood(client, ['INCR', 'n'], 500, 3)))
    const accepted = floods.reduce((sum, it) => sum + it.accepted, 0)
    const refused = floods.reduce((sum, it) => sum + it.refused, 0)
    const seconds = Math.max(...floods.map((it) => it.seconds))
    // Exactly: what was acknowledged was executed, what was refused was not.
    expect(await redis.call('GET', 'shop:n')).toBe(String(accepted))
    expect(accepted).toBeLessThanOrEqual(rate * seconds + rate)
    // What a client that pauses for less than the burst's second cannot miss.
    expect(accepted).toBeGreaterThanOrEqual(rate * 3 * 0.95)
    expect(refused).toBeGreaterThan(100)
    for (const it of floods) for (const ms of it.retries) expect(ms).toBeGreaterThanOrEqual(1)
    expect(await total(proxy, 'regis_commands_total', { tenant: 'shop', outcome: 'throttled' })).toBe(refused)
  })
})
