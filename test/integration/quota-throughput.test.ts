/** Quotas of commands and bytes over time, on a real server: they hold, what is refused was not executed, and nothing is lost. */
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command } from '../kit/resp.ts'
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

/**
 * Keeps so many of a command that is answered in one line on their way for that long, then reads what is left. Lines are
 * counted as they come, for a test's client must be faster than the limit that it tests.
 */
function flood(client: RawClient, args: readonly string[], width: number, seconds: number): Promise<Flood> {
  const { socket } = client
  const result: Flood = { accepted: 0, refused: 0, seconds: 0, retries: new Set() }
  const one = command(...args)
  const startedMs = performance.now()
  let open = 0
  let rest = ''
  const send = (): void => {
    socket.write(Buffer.concat(Array.from({ length: width - open }, () => one)))
    open = width
  }
  return new Promise((resolve, reject) => {
    const listeners = socket.listeners('data') as ((chunk: Buffer) => void)[]
    socket.removeAllListeners('data')
    socket.once('close', () => reject(new Error('the connection was closed')))
    const onData = (chunk: Buffer): void => {
      const lines = (rest + chunk.toString('latin1')).split('\r\n')
      rest = lines.pop()!
      for (const line of lines) {
        open--
        const found = throttled.exec(line.slice(1))
        if (found !== null) {
          result.refused++
          result.retries.add(Number(found[1]))
        } else if (line.startsWith('-')) reject(new Error(line))
        else result.accepted++
      }
      const isOver = performance.now() - startedMs > seconds * 1000
      if (!isOver && open < width / 2) send()
      if (!isOver || open > 0) return
      socket.off('data', onData)
      for (const listener of listeners) socket.on('data', listener)
      result.seconds = (performance.now() - startedMs) / 1000
      resolve(result)
    }
    socket.on('data', onData)
    send()
  })
}

async function total(proxy: StartedProxy, name: string, labels: Record<string, string>): Promise<number> {
  return (await metric(proxy)).sum(name, labels)
}

describe('quotas of commands', () => {
  test.each(['delay', 'error'])('a pipelined flood gets its rate and no more, under %s', async (when_exceeded) => {
    const redis = await startRedis()
    const rate = 300
    const proxy = await startProxy(config(redis.url, { shop: { ops: `${rate}/s`, burst: rate, when_exceeded } }))
    const clients = [await proxy.client('shop-app'), await proxy.client('shop-app')]
    const floods = await Promise.all(clients.map((client) => flood(client, ['INCR', 'n'], 400, 3)))
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
