/**
 * A proxy that may use little memory, and clients of a hostile tenant that have it keep all they can, in every way there is
 * (test/kit/hostile-clients.mjs): it lives, stays near its limit, answers as the ladder says, and a modest tenant is refused
 * nothing. EACH=1 for each way by itself. PLANTED=1 shows that the test notices a proxy
 * without a ladder, and one that has the wrong ones pay.
 */
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardChild } from '../../src/demo/guard.ts'
import { projectRoot } from '../../src/demo/redis-finder.ts'
import type { RedisServer } from '../../src/demo/redis-server.ts'
import { type PlantedBug, plant } from '../kit/planted.ts'
import { ErrorReply } from '../kit/resp.ts'
import { atEnd, rawClient, type StartedProxy, startProxy, startRedis } from '../kit/servers.ts'
import { waitFor } from '../kit/wait-for.ts'

const MiB = 1024 * 1024
const limit = 160 * MiB
/** What the kernel counts may be a little above: between two looks a turn of the event loop may be long. */
const peakMax = 1.2
const script = path.join(projectRoot, 'test/kit/hostile-clients.mjs')
const ways = execFileSync(process.execPath, [script, '0', ''], { encoding: 'utf8' }).trim().split('\n')
let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
  const direct = await rawClient(server.port)
  expect(await direct.call('SET', 'greedy:large', Buffer.alloc(10 * MiB, 'x'))).toBe('OK')
}, 60_000)

function start(root?: string, env: Record<string, string> = {}): Promise<StartedProxy> {
  const tenants = ['shop', 'greedy'].map((id) => [id, { users: { [`${id}-app`]: { password: 'demo' } } }])
  return startProxy(
    {
      region: 'eu-west',
      primary: 'eu-west',
      regions: { 'eu-west': { nodes: [server.url] } },
      limits: { memory: `${limit / MiB}MiB` },
      tenants: Object.fromEntries(tenants),
    },
    { env, ...(root === undefined ? {} : { root }) },
  )
}

interface Seen {
  isAlive: boolean
  /** The most that the kernel has counted, of the limit. */
  peak: number
  /** What a modest client was refused, or how it ended. */
  modest: string[]
  modestCalls: number
  refused: number
  closed: number
}

/** `greedy` does this for a while, or until it is enough; `shop` goes on with its small commands. */
async function attack(
  proxy: StartedProxy,
  how: readonly string[],
  forMs: number,
  isEnough: (seen: Seen) => boolean = () => false,
): Promise<Seen> {
  const { pid } = proxy.proxy
  const seen: Seen = { isAlive: true, peak: 0, modest: [], modestCalls: 0, refused: 0, closed: 0 }
  const modest = await proxy.client('shop-app')
  let isOver = false
  const look = async (): Promise<void> => {
    const kB = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    seen.peak = Math.max(seen.peak, (Number(kB![1]) * 1024) / limit)
    const { body } = await proxy.proxy.fetch('/metrics', 20_000)
    const of = (pattern: RegExp): number => Number(pattern.exec(body)?.[1] ?? 0)
    seen.refused = of(/^regis_overload_commands_total\{how="refused"\} (\d+)/m)
    seen.closed = of(/^regis_client_disconnects_total\{reason="overload"\} (\d+)/m)
  }
  const live = async (): Promise<void> => {
    for (let i = 0; !isOver; i++) {
      const reply = await modest.call(i % 2 === 0 ? 'SET' : 'GET', `k${i % 100}`, ...(i % 2 === 0 ? ['v'] : []))
      if (reply instanceof ErrorReply) seen.modest.push(reply.message)
      else seen.modestCalls++
      await sleep(2)
    }
  }
  const watch = async (): Promise<void> => {
    for (; !isOver; await sleep(30)) await look().catch(() => {})
  }
  const living = live().catch((error: unknown) => void seen.modest.push(String(error)))
  const watching = watch()
  const hostile = spawn(process.execPath, [script, String(proxy.port), 'greedy-app', ...how], { stdio: 'inherit' })
  guardChild(hostile)
  atEnd(() => hostile.kill('SIGKILL'))
  const endsAt = performance.now() + forMs
  while (performance.now() < endsAt && !isEnough(seen) && proxy.proxy.isRunning) await sleep(50)
  isOver = true
  await Promise.all([living, watching])
  await look().catch(() => {})
  hostile.kill('SIGKILL')
  seen.isAlive = proxy.proxy.isRunning && proxy.proxy.pid === pid
  return seen
}

/** It lives near its limit, has done something for it, and who does nothing is not made to pay. */
function judge(seen: Seen): string[] {
  const wrong = seen.modest.map((reply) => `a modest tenant was told ${reply}`)
  if (!seen.isAlive) wrong.push('the proxy has died')
  if (seen.peak > peakMax) wrong.push(`it had ${seen.peak.toFixed(2)} of its limit`)
  if (seen.modestCalls === 0) wrong.push('a modest tenant was not served')
  return wrong
}

/** This fills the memory: no bound of all clients together is on it. */
const heavy = ways.filter((name) => /^transactions that/.test(name))

test('memory is filled: the heaviest pay, nobody new is let in, then all is well again', async () => {
  const proxy = await start()
  const seen = await attack(proxy, heavy, 30_000, ({ refused, closed }) => refused + closed > 0)
  expect(judge(seen)).toEqual([])
  expect(seen.refused + seen.closed).toBeGreaterThan(0)
  expect(proxy.proxy.log()).toContain('the proxy runs out of memory')
  await waitFor(async () => (await proxy.proxy.fetch('/readyz', 20_000)).status === 200)
  expect(await (await proxy.client('shop-app')).call('PING')).toBe('PONG')
  const { body } = await proxy.proxy.fetch('/api/v1/stats', 20_000)
  expect(JSON.parse(body).overload).toMatchObject({ state: 'calm', memory_limit_bytes: limit })
}, 90_000)

const each = process.env['EACH'] === '1' ? test : test.skip
each.each(ways)(
  '%s: the proxy lives near its limit, and a modest tenant is refused nothing',
  async (name) => {
    const seen = await attack(await start(), [name], 10_000)
    expect(judge(seen)).toEqual([])
  },
  60_000,
)

each(
  "a small heap is filled with a million queued commands: V8's own limit counts too",
  async () => {
    const proxy = await start(undefined, { NODE_OPTIONS: '--max-old-space-size=64' })
    const way = 'transactions of a million small commands'
    const seen = await attack(proxy, [way], 60_000, ({ refused, closed }) => refused + closed > 0)
    expect(judge(seen)).toEqual([])
    expect(seen.refused + seen.closed).toBeGreaterThan(0)
  },
  120_000,
)

const bugs: readonly PlantedBug[] = [
  {
    name: 'there is no ladder, and there are no bounds that are narrower for it',
    change: [
      { file: 'session/overload.ts', find: '    this.look(nowMs)\n    this.loopTicks++', put: '    this.loopTicks++' },
      { file: 'session/overload.ts', find: 'if (Math.max(process, heap) >= overloadBrim)', put: 'if (process < 0)' },
      { file: 'session/overload.ts', find: 'this.look(this.hands.now())\n    })', put: '})' },
      { file: 'session/shared-bounds.ts', find: 'memory.roomBytes / 3', put: 'Number.POSITIVE_INFINITY' },
    ],
  },
  {
    name: 'the lightest pay, not the heaviest',
    change: [
      { file: 'quota/overload.ts', find: 'filter(({ bytes }) => bytes >= least)', put: 'filter(() => true)' },
      { file: 'quota/overload.ts', find: 'b.bytes - a.bytes', put: 'a.bytes - b.bytes' },
    ],
  },
]

const planted = process.env['PLANTED'] === '1' ? test : test.skip
planted.each(bugs)(
  'is noticed: $name',
  async (bug) => {
    const seen = await attack(
      await start(plant(bug)),
      heavy,
      30_000,
      ({ peak, modest }) => peak > peakMax || modest.length > 0,
    )
    expect(judge(seen)).not.toEqual([])
  },
  120_000,
)
