/** Quotas of commands and bytes over time, on a real server: they hold, what is refused was not executed, and nothing is lost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { run, tools } from '../compat/tools.ts'
import { metric } from '../kit/metrics.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, ErrorReply } from '../kit/resp.ts'
import { atEnd, rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

type Quota = Record<string, unknown>

const tenants: Record<string, { quota: Quota; users?: Record<string, object>; scripts?: string }> = {
  patient: { quota: { ops: '300/s', burst: 300 } },
  hasty: { quota: { ops: '300/s', burst: 300, when_exceeded: 'error' } },
  heavy: { quota: { ops: '1000/s', burst: 50, when_exceeded: 'error' }, scripts: 'declared' },
  bulky: { quota: { bandwidth: '2MiB/s' } },
  narrow: {
    quota: { connections: 2, leases: 1, max_request: '1MiB' },
    users: { 'narrow-one': { password: 'demo', quota: { connections: 1 } } },
  },
  free: { quota: {} },
}

let redis: RedisServer
let proxy: StartedProxy
beforeAll(async () => {
  redis = await startRedis()
  proxy = await startProxy({
    region: 'eu-west',
    primary: 'eu-west',
    regions: { 'eu-west': { nodes: [redis.url] } },
    tenants: Object.fromEntries(
      Object.entries(tenants).map(([id, { quota, users, ...more }]) => [
        id,
        { ...more, quota: { scope: 'proxy', ...quota }, users: { [`${id}-app`]: { password: 'demo' }, ...users } },
      ]),
    ),
    operators: { ops: { password: 'demo' } },
  })
})

interface Flood {
  accepted: number
  refused: number
  seconds: number
  /** What refusals said, ms. */
  readonly retries: Set<number>
}

/** redis-cli begins the line with `(error)` where it talks to a terminal. */
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

const total = async (name: string, labels: Record<string, string>): Promise<number> =>
  (await metric(proxy)).sum(name, labels)

const refusalOf = (reply: Decoded): number => {
  const found = reply instanceof ErrorReply ? throttled.exec(reply.message) : null
  return found === null ? 0 : Number(found[1])
}

/** Waits as it is told to, as often as it is. */
async function whenPaid(client: RawClient, ...args: readonly string[]): Promise<Decoded> {
  for (;;) {
    const reply = await client.call(...args)
    if (refusalOf(reply) === 0) return reply
    await sleep(refusalOf(reply))
  }
}

describe('quotas of commands', () => {
  test.each(['patient', 'hasty'])(
    'a pipelined flood of %s gets its rate and no more, and what is refused never ran',
    async (id) => {
      const rate = 300
      const clients = [await proxy.client(`${id}-app`), await proxy.client(`${id}-app`)]
      const floods = await Promise.all(clients.map((client) => flood(client, ['INCR', 'n'], 400, 2)))
      const accepted = floods.reduce((sum, it) => sum + it.accepted, 0)
      const refused = floods.reduce((sum, it) => sum + it.refused, 0)
      const seconds = Math.max(...floods.map((it) => it.seconds))
      // Exactly: what was acknowledged was executed, what was refused was not.
      expect(await redis.call('GET', `${id}:n`)).toBe(String(accepted))
      expect(accepted).toBeLessThanOrEqual(rate * seconds + rate)
      // What a client that pauses for less than the burst's second cannot miss.
      expect(accepted).toBeGreaterThanOrEqual(rate * 2 * 0.95)
      expect(refused).toBeGreaterThan(100)
      for (const it of floods) for (const ms of it.retries) expect(ms).toBeGreaterThanOrEqual(1)
      expect(await total('regis_commands_total', { tenant: id, outcome: 'throttled' })).toBe(refused)
      expect(await total('regis_quota_rejected_total', { tenant: id, quota: 'ops' })).toBe(refused)
      expect((await total('regis_quota_throttled_total', { tenant: id, quota: 'ops' })) > 0).toBe(id === 'patient')
    },
  )

  test('whoever waits as long as it was told is served', async () => {
    const client = await proxy.client('heavy-app')
    await whenPaid(client, 'PING')
    const first = await client.pipeline(Array.from({ length: 60 }, () => ['INCR', 'told']))
    const ms = refusalOf(first.at(-1)!)
    const served = first.filter((reply) => typeof reply === 'number').length
    expect(served).toBeGreaterThanOrEqual(50)
    if (ms > 0) {
      await sleep(ms)
      expect(await client.call('INCR', 'told')).toBe(served + 1)
    }
  })

  test('a transaction runs whole or is refused whole', async () => {
    const client = await proxy.client('heavy-app')
    const unit = [['MULTI'], ...Array.from({ length: 40 }, () => ['INCR', 'unit']), ['EXEC']]
    let done = 0
    let refused = 0
    // The tests before may have left it without a unit: until both ends were seen, and at least a dozen times.
    for (let i = 0; i < 12 || ((done === 0 || refused === 0) && i < 2_000); i++) {
      if (done === 0) await sleep(10)
      const replies = await client.pipeline(unit)
      const last = replies.at(-1)
      if (Array.isArray(last)) {
        expect(last).toEqual(Array.from({ length: 40 }, (_, at) => done * 40 + at + 1))
        done++
      } else refused++
      // Over either way.
      expect(await client.call('DISCARD')).toMatchObject({ message: 'ERR DISCARD without MULTI' })
    }
    expect(done).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
    expect(await redis.call('GET', 'heavy:unit')).toBe(String(done * 40))
  })

  test('one heavy command is not one GET: keys, bytes of replies and time of scripts are charged', async () => {
    const client = await proxy.client('heavy-app')
    await redis.call('SET', 'heavy:big', 'x'.repeat(4_000_000))
    // What has passed by the next command is paid already: a small command would hear of some ms.
    expect(await whenPaid(client, 'MGET', ...Array.from({ length: 1_000 }, (_, i) => `k${i}`))).toHaveLength(1_000)
    expect(refusalOf(await client.call('PING'))).toBeGreaterThan(100)
    await whenPaid(client, 'PING')
    expect(await whenPaid(client, 'GET', 'big')).toHaveLength(4_000_000)
    // 977 units, of which 50 were there.
    expect(refusalOf(await client.call('PING'))).toBeGreaterThan(100)
    await whenPaid(client, 'PING')
    const loop =
      "local t = redis.call('TIME'); local to = t[1] * 1000000 + t[2] + 100000; repeat t = redis.call('TIME') until t[1] * 1000000 + t[2] > to; return 1"
    expect(await whenPaid(client, 'EVAL', loop, '0')).toBe(1)
    expect(await total('regis_quota_rejected_total', { tenant: 'heavy', quota: 'ops' })).toBeGreaterThan(0)
    // A thousand units for a tenth of a second.
    expect(refusalOf(await client.call('PING'))).toBeGreaterThan(100)
  })

  test('bytes are paced, and others are not held up by it', async () => {
    await redis.call('SET', 'bulky:value', 'x'.repeat(50_000))
    const client = await proxy.client('bulky-app')
    const free = await proxy.client('free-app')
    const startedMs = performance.now()
    let bytes = 0
    let served = 0
    while (performance.now() - startedMs < 2_000) {
      const replies = await client.pipeline(Array.from({ length: 8 }, () => ['GET', 'value']))
      for (const reply of replies) {
        if (typeof reply === 'string') bytes += reply.length
        else expect(refusalOf(reply)).toBeGreaterThan(0)
      }
      expect(await free.call('SET', 'a', 'b')).toBe('OK')
      served++
    }
    const seconds = (performance.now() - startedMs) / 1000
    const rate = 2 * 1024 * 1024
    // The burst, and the replies of the first pipelines, of whose size nobody knew.
    expect(bytes).toBeLessThanOrEqual(rate * (seconds + 0.25) + 2 * 8 * 50_000)
    expect(bytes).toBeGreaterThan(rate * 2 * 0.8)
    expect(served).toBeGreaterThan(3)
  })
})

describe('quotas that are counts', () => {
  test('connections above the limit are told so at AUTH and closed, and those that are open stay', async () => {
    const first = await proxy.client('narrow-app')
    const second = await proxy.client('narrow-one')
    const line = '-ERR max number of clients reached for this tenant\r\n'
    const third = await rawClient(proxy.port)
    third.send(Buffer.concat([command('AUTH', 'narrow-app', 'demo'), command('SET', 'a', 'b')]))
    expect(await third.untilClosed()).toBe(line)
    const hello = await rawClient(proxy.port)
    hello.send(command('HELLO', '3', 'AUTH', 'narrow-app', 'demo'))
    expect(await hello.untilClosed()).toBe(line)
    expect(await first.call('AUTH', 'narrow-app', 'demo')).toBe('OK') // no further one
    expect([await first.call('PING'), await second.call('PING')]).toEqual(['PONG', 'PONG'])
    first.close()
    // There is room for the tenant again, but not for the user who has one.
    await waitFor(async () => (await total('regis_client_connections', { tenant: 'narrow' })) === 1)
    const again = await rawClient(proxy.port)
    again.send(command('AUTH', 'narrow-one', 'demo'))
    expect(await again.untilClosed()).toBe(line)
    const other = await proxy.client('narrow-app')
    expect(await total('regis_quota_rejected_total', { tenant: 'narrow', quota: 'connections' })).toBe(3)
    expect(await redis.call('EXISTS', 'narrow:a')).toBe(0)
    other.close()
    second.close()
    await waitFor(async () => (await total('regis_client_connections', { tenant: 'narrow' })) === 0)
  })

  test('a request above max_request is refused by its header, and so are leases above theirs', async () => {
    const client = await proxy.client('narrow-app')
    expect(await client.call('SET', 'fits', Buffer.alloc(1_000_000))).toBe('OK')
    const blocked = await proxy.client('narrow-app')
    blocked.send(command('BLPOP', 'queue', '0'))
    await waitFor(async () => {
      const reply = await client.call('BLPOP', 'queue', '0.01')
      return (
        reply instanceof ErrorReply && reply.message === 'ERR max number of blocking clients reached for this tenant'
      )
    })
    client.send('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n')
    expect(await client.untilClosed()).toBe('-ERR Protocol error: invalid bulk length\r\n')
    expect(await total('regis_quota_rejected_total', { tenant: 'narrow', quota: 'request' })).toBe(1)
    expect(await total('regis_quota_rejected_total', { tenant: 'narrow', quota: 'leases' })).toBeGreaterThan(0)
    // Whoever has no such limit, and who has not logged in as anybody yet, has the proxy's.
    const free = await proxy.client('free-app')
    expect(await free.call('SET', 'k', Buffer.alloc(1_100_000))).toBe('OK')
    blocked.close()
  })
})

describe('quotas can be seen', () => {
  test('by the tenant: its limits and its use, and nothing of others', async () => {
    const client = await proxy.client('narrow-one')
    const told = await client.call('PROXY', 'WHOAMI')
    expect(told).toEqual(expect.arrayContaining(['quotas', 'user_quotas']))
    const text = JSON.stringify(told)
    expect(text).toContain('"connections","limit",2,"used",1')
    expect(text).toContain('"connections","limit",1,"used",1')
    expect(text).not.toMatch(/patient|hasty|127\.0\.0\.1/)
    const free = await proxy.client('free-app')
    expect(JSON.stringify(await free.call('PROXY', 'WHOAMI'))).not.toContain('quota')
  })

  test('by operators, on the wire and by HTTP', async () => {
    const { body } = await proxy.proxy.fetch('/api/v1/tenants')
    const shown = JSON.parse(body) as { tenant: string; quotas?: { quota: string; limit: number; refused: number }[] }[]
    const hasty = shown.find(({ tenant }) => tenant === 'hasty')
    expect(hasty?.quotas?.[0]).toMatchObject({ quota: 'ops', limit: 300 })
    expect(hasty!.quotas![0]!.refused).toBeGreaterThan(0)
    expect(shown.find(({ tenant }) => tenant === 'free')).not.toHaveProperty('quotas')
    const operator = await proxy.client('ops')
    expect(JSON.stringify(await operator.call('PROXY', 'SHOW', 'TENANTS'))).toContain('"ops","limit",300')
    expect(await total('regis_quota_limit', { tenant: 'bulky', quota: 'bandwidth' })).toBe(2 * 1024 * 1024)
  })

  test('by ioredis and redis-cli as an error like others', async () => {
    const client = new Redis({ port: proxy.port, username: 'heavy-app', password: 'demo' })
    atEnd(() => client.disconnect())
    const pipeline = client.pipeline()
    for (let i = 0; i < 200; i++) pipeline.incr('io')
    const results = (await pipeline.exec())!
    const done = results.filter(([error]) => error === null).length
    const refused = results.filter(([error]) => error !== null && throttled.test(error.message)).length
    expect(done + refused).toBe(200)
    expect(refused).toBeGreaterThan(0)
    expect(await redis.call('GET', 'heavy:io')).toBe(done === 0 ? null : String(done))
    const { redisCli } = await tools()
    const login = ['-p', String(proxy.port), '--user', 'heavy-app', '--pass', 'demo', '--no-auth-warning']
    const { stdout } = await run(redisCli, login, { input: 'PING\n'.repeat(300) })
    const lines = stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '')
    expect(
      lines.filter((line) => line === 'PONG').length + lines.filter((line) => throttled.test(line.trim())).length,
    ).toBe(300)
  })
})
