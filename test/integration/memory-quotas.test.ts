/**
 * A tenant at its quota of memory or keys is refused what takes more, in Redis's words, and nothing else; one that overwrites
 * what it has is not. FLOOD_MB=100 is the full size.
 */
import { readFileSync } from 'node:fs'
import type { RawClient } from '../kit/raw-client.ts'
import { command, ErrorReply } from '../kit/resp.ts'
import { configFor, rawClient, type StartedProxy, startProxy, startReplicaSet } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'
import { trueUsage } from './memory-kit.ts'

const mega = 1024 * 1024
const floodBytes = Number(process.env['FLOOD_MB'] ?? 16) * mega
/** Longer where the floods are larger. */
const minuteMs = floodBytes >= 100 * mega ? 300_000 : 60_000
const limit = floodBytes >= 100 * mega ? 256 * mega : 32 * mega
/** What comes while the keys are looked at is a matter of time: a twentieth of the full size, and more of the small one. */
const most = limit + Math.max(0.05 * limit, 5 * mega)
const oom = "OOM command not allowed when used memory > 'maxmemory'."

let primaryPort: number
let replicaPort: number
let proxy: StartedProxy

const textOf = (reply: unknown): string => (reply instanceof ErrorReply ? reply.message : String(reply))
const isOom = (reply: unknown): boolean => reply instanceof ErrorReply && reply.message === oom

async function memoryOf(prefix: string): Promise<{ keys: number; bytes: number }> {
  return (await trueUsage(primaryPort, [prefix])).get(prefix)!
}

async function shown(tenant: string): Promise<{ memory_bytes: number | null; keys: number | null }> {
  const { body } = await proxy.proxy.fetch('/api/v1/tenants')
  return (JSON.parse(body) as { tenant: string; memory_bytes: number | null; keys: number | null }[]).find(
    (one) => one.tenant === tenant,
  )!
}

/** Keys of a kilobyte, as many as that takes, straight into the primary. */
async function put(prefix: string, bytes: number, size = 8_000, name = 'k'): Promise<number> {
  const direct = await rawClient(primaryPort)
  const count = Math.floor(bytes / (size * 1.04))
  for (let at = 0; at < count; at += 500) {
    const commands = Array.from({ length: Math.min(500, count - at) }, (_, i) => [
      'SET',
      `${prefix}${name}${at + i}`,
      'x'.repeat(size),
    ])
    await direct.pipeline(commands)
  }
  return count
}

beforeAll(async () => {
  const topology = await startReplicaSet({ regions: ['us', 'eu'], rttMs: { 'us:eu': 20 } })
  primaryPort = topology.node('us').port
  replicaPort = topology.node('eu').port
  await put('flood:', 0.8 * limit)
  await put('over:', 0.9 * limit)
  await put('free:', 2 * limit, 16_000, 'big')
  await topology.node('eu').untilInSync()
  const of = (id: string, quota: object, more: object = {}) => ({
    [id]: { quota, users: { [`${id}-app`]: { password: 'demo' } }, ...more },
  })
  proxy = await startProxy(
    {
      ...configFor(topology, 'eu'),
      sweep: { every: '500ms' },
      tenants: {
        ...of('flood', { memory: `${limit / mega}MiB` }),
        ...of('over', { memory: `${limit / mega}MiB` }),
        ...of('counted', { keys: 100 }),
        ...of('script', { memory: '1MiB' }, { scripts: 'declared' }),
        ...of('busy', { memory: `${limit / mega}MiB` }),
        ...of('fall', { memory: `${limit / mega}MiB` }),
        ...of('free', {}),
      },
    },
    { region: 'eu' },
  )
  await waitFor(async () => (await shown('flood')).memory_bytes !== null, 30_000)
}, minuteMs)

/** Sets new keys without end, `depth` at a time, until `bytes` were sent; tells what became of them. */
async function flood(
  client: RawClient,
  bytes: number,
  name: (i: number) => string,
  size = 16_000,
): Promise<{ accepted: number; refused: number; others: string[]; acceptedAt: number[]; refusedAt: number }> {
  const found = { accepted: 0, refused: 0, others: [] as string[], acceptedAt: [] as number[], refusedAt: Number.NaN }
  const value = 'x'.repeat(size)
  for (let i = 0; i * size < bytes; ) {
    const commands = Array.from({ length: 50 }, () => ['SET', name(i++), value])
    client.send(Buffer.concat(commands.map((args) => command(...args))))
    for (const _ of commands) {
      const reply = await client.read() // each at its time: one may wait long behind those before it
      if (reply === 'OK') {
        found.accepted++
        found.acceptedAt.push(performance.now())
      } else if (isOom(reply)) {
        if (found.refused++ === 0) found.refusedAt = performance.now()
      } else found.others.push(String(reply))
    }
  }
  return found
}

describe('a tenant that floods past its memory', () => {
  let client: RawClient

  test(
    'is stopped within a second and 5 % of its limit, and what was refused was not executed',
    async () => {
      client = await proxy.client('flood-app')
      const before = await memoryOf('flood:')
      const found = await flood(client, 0.2 * limit + floodBytes, (i) => `new${i}`)
      const { accepted, refused, others, acceptedAt, refusedAt } = found
      expect(others).toEqual([])
      expect(refused).toBeGreaterThan(0)
      const after = await memoryOf('flood:')
      expect(after.keys - before.keys).toBe(accepted)
      expect(after.bytes).toBeLessThan(most)
      expect(after.bytes).toBeGreaterThan(0.95 * limit)
      // When its keys took as much as they may, if that was before the first refusal.
      const crossing = Math.floor(((limit - before.bytes) * accepted) / (after.bytes - before.bytes))
      const lastAt = acceptedAt.at(-1)!
      const crossedAt = acceptedAt[crossing] ?? lastAt
      if (floodBytes >= 100 * mega) {
        const [last, first] = [lastAt - crossedAt, refusedAt - crossedAt].map((ms) => ms.toFixed(0))
        console.log(
          `${(100 * after.bytes) / limit} % of the limit, last write ${last} ms, first refusal ${first} ms after it`,
        )
      }
      // A time says something on a quiet machine only.
      if (floodBytes >= 100 * mega) expect(lastAt - crossedAt).toBeLessThan(1_000)
    },
    minuteMs,
  )

  test('still reads, deletes and sets expiries, and nobody else is refused', async () => {
    expect(isOom(await client.call('SET', 'k0', 'v'))).toBe(true)
    expect(isOom(await client.call('LPUSH', 'l', 'v'))).toBe(true)
    expect(await client.call('STRLEN', 'k0')).toBe(8_000)
    expect(await client.call('EXPIRE', 'k0', 1000)).toBe(1)
    expect(await client.call('DEL', 'k1')).toBe(1)
    const free = await proxy.client('free-app')
    expect(await free.call('SET', 'k', 'x'.repeat(100_000))).toBe('OK')
  })

  test('has its transaction spoiled by what is refused, as in Redis', async () => {
    expect(await client.call('MULTI')).toBe('OK')
    expect(isOom(await client.call('SET', 'k', 'v'))).toBe(true)
    expect(textOf(await client.call('EXEC'))).toContain('EXECABORT')
    expect(await client.call('MULTI')).toBe('OK')
    expect(await client.call('GET', 'nothing')).toBe('QUEUED')
    expect(await client.call('DEL', 'k2')).toBe('QUEUED')
    expect(await client.call('EXEC')).toEqual([null, 1])
  })

  test(
    'may write again soon after it has deleted keys',
    async () => {
      const names = Array.from({ length: 2_000 }, (_, i) => `k${i + 10}`)
      expect(await client.call('UNLINK', ...names)).toBeGreaterThan(1_900)
      await waitFor(async () => (await client.call('SET', 'again', 'v')) === 'OK', 20_000)
      const { accepted } = await flood(client, mega, (i) => `again${i}`)
      expect(accepted).toBeGreaterThan(0)
    },
    minuteMs,
  )
})

test(
  'a tenant near its memory that overwrites its keys many times over is never refused',
  async () => {
    const client = await proxy.client('over-app')
    const { refused, others, accepted } = await flood(client, 1.5 * limit, (i) => `k${i % 3_000}`, 8_000)
    expect([refused, others]).toEqual([0, []])
    expect(accepted * 8_000).toBeGreaterThanOrEqual(1.5 * limit)
    expect((await memoryOf('over:')).bytes).toBeLessThan(limit)
  },
  minuteMs,
)

describe.each([
  ['others overwrite what they have', 'busy'],
  ['others delete as much', 'fall'],
])('while %s', (_, other) => {
  test(
    'a tenant that floods is stopped all the same',
    async () => {
      const client = await proxy.client(`${other}-app`)
      const noise = await proxy.client('free-app')
      const isBusy = other === 'busy'
      const overwriter = await proxy.client('over-app')
      let isOver = false
      const disturb = async (): Promise<void> => {
        for (let i = 0; !isOver; i++) {
          if (isBusy) await flood(overwriter, 50 * 8_000, (k) => `k${(50 * i + k) % 3_000}`, 8_000)
          else await noise.call('DEL', ...Array.from({ length: 50 }, (_, k) => `big${50 * i + k}`))
        }
      }
      await waitFor(async () => (await shown(other)).memory_bytes !== null, 30_000)
      const disturbed = disturb()
      const { refused, others } = await flood(client, limit + floodBytes, (i) => `new${i}`)
      isOver = true
      await disturbed
      expect(others).toEqual([])
      expect(refused).toBeGreaterThan(0)
      const after = await memoryOf(`${other}:`)
      if (floodBytes >= 100 * mega) console.log(`${other}: ${(100 * after.bytes) / limit} % of the limit`)
      expect(after.bytes).toBeLessThan(most)
    },
    minuteMs,
  )
})

test('a tenant at its number of keys is refused more', async () => {
  const client = await proxy.client('counted-app')
  let accepted = 0
  await waitFor(
    async () => {
      const reply = await client.call('SET', `k${accepted}`, 'v')
      if (reply === 'OK') accepted++
      return isOom(reply)
    },
    20_000,
    0,
  )
  expect(accepted).toBeGreaterThanOrEqual(95)
  // What a client writes, one by one, while its number is being asked for goes through: some milliseconds.
  expect(accepted).toBeLessThanOrEqual(115)
  expect(await client.call('GET', 'k1')).toBe('v')
})

test('a full tenant runs scripts that say that they write nothing, and no others', async () => {
  const client = await proxy.client('script-app')
  await flood(client, 3 * mega, (i) => `k${i}`)
  await waitFor(async () => isOom(await client.call('SET', 'x', 'v')), 20_000)
  expect(isOom(await client.call('EVAL', "return redis.call('SET', KEYS[1], 'v')", 1, 'k'))).toBe(true)
  expect(await client.call('EVAL', '#!lua flags=no-writes\nreturn 7', 0)).toBe(7)
  expect(textOf(await client.call('EVAL', "#!lua\nreturn redis.call('SET', KEYS[1], 'v')", 1, 'k'))).toContain(
    'allow-oom flag is not set',
  )
  expect(await client.call('EVAL_RO', 'return 8', 0)).toBe(8)
})

test('a limit that is raised while the proxy runs counts at once', async () => {
  const client = await proxy.client('script-app')
  expect(isOom(await client.call('SET', 'x', 'v'))).toBe(true)
  proxy.write(readFileSync(proxy.file, 'utf8').replace('memory: 1MiB', 'memory: 900MiB'))
  expect((await fetch(`http://127.0.0.1:${proxy.adminPort}/-/reload`, { method: 'POST' })).status).toBe(200)
  expect(await client.call('SET', 'x', 'v')).toBe('OK')
})

test('it is the replica whose keys are looked at', async () => {
  const stats = async (port: number): Promise<string> =>
    String(await (await rawClient(port)).call('INFO', 'commandstats'))
  expect(await stats(replicaPort)).toMatch(/cmdstat_memory\|usage/)
})
