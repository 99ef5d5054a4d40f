/**
 * What a small tenant's walks (DBSIZE) over a server full of others' keys cost those others: their p50 and p99 in pairs of
 * windows, one with a walk under way and one without, the order changing; the median of the pairs' ratios; and how long one
 * walk takes, under load and with nobody else at work.
 *
 *   --where same       one server for all: the walk is on the server that the others read from, the hard case
 *   --where replica    the walk is on a replica, the others read from the primary
 *
 * Usage: npm run bench:walk -- --keys 10000000. ~ prints.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { hasTaskset } from './cpu.ts'
import { encodeCommand } from './raw-client.ts'
import { quantile } from './report.ts'
import { startDirect, startRegis } from './targets.ts'

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    where: { type: 'string', default: 'same' },
    clients: { type: 'string', default: '8' },
    /** What a client waits between two commands, ms; 0: nothing, so that the machine is full. */
    think: { type: 'string', default: '0' },
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '2' },
    unpinned: { type: 'boolean', default: false },
  },
})
const keys = Number(values.keys)
const clients = Number(values.clients)
const thinkMs = Number(values.think)
const rounds = Number(values.rounds)
const windowMs = Number(values.seconds) * 1000
const isApart = values.where === 'replica'

/** A client that waits for each reply, whatever its form: replies of one line or one bulk only. */
class Asker {
  private readonly socket: Socket
  private buffer = ''
  private wake: ((reply: string) => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.buffer += text
      const head = /^\$(-?\d+)\r\n/.exec(this.buffer)
      const size = head === null ? this.buffer.indexOf('\r\n') + 2 : Math.max(0, Number(head[1]) + 2) + head[0].length
      if (size < 2 || this.buffer.length < size) return
      const reply = this.buffer.slice(0, size)
      this.buffer = this.buffer.slice(size)
      this.wake?.(reply)
    })
  }

  static async open(port: number, user?: string, password?: string): Promise<Asker> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const asker = new Asker(socket)
    if (user !== undefined && !(await asker.ask(['AUTH', user, password!])).startsWith('+OK'))
      throw new Error('the login is refused')
    return asker
  }

  ask(args: readonly string[]): Promise<string> {
    const reply = new Promise<string>((resolve) => {
      this.wake = resolve
    })
    this.socket.write(encodeCommand(args))
    return reply
  }

  close(): void {
    this.socket.destroy()
  }
}

const pinning = values.unpinned || !hasTaskset() ? { proxy: undefined, load: undefined } : { proxy: '0', load: '1' }
const tool = await findRedisServer()
const serverArgs = ['--enable-debug-command', 'yes']
const redis = await startDirect(tool, pinning, serverArgs)
const replica = isApart
  ? await startDirect(tool, pinning, [...serverArgs, '--replicaof', '127.0.0.1', String(redis.port)])
  : undefined

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endsAt = performance.now() + 120_000
  while (!(await isSo())) {
    if (performance.now() > endsAt) throw new Error(`it never came to pass that ${what}`)
    await sleep(100)
  }
}
const fillers = await Promise.all(
  [redis, ...(replica === undefined ? [] : [replica])].map((one) => Asker.open(one.port)),
)
if (isApart) {
  const replicaFiller = fillers[1]!
  await until('the replica is in step', async () =>
    (await replicaFiller.ask(['INFO', 'replication'])).includes('master_link_status:up'),
  )
}
// Not replicated: each server makes the same keys for itself.
for (const filler of fillers) {
  const reply = await filler.ask(['DEBUG', 'POPULATE', String(keys), 'bench:key', '32'])
  if (!reply.startsWith('+OK')) throw new Error(`DEBUG POPULATE: ${reply}`)
}
for (let i = 0; i < 10; i++) await fillers[0]!.ask(['SET', `another:${i}`, '1'])

const regis = await startRegis({
  name: 'regis',
  folder: fileURLToPath(new URL('../../../', import.meta.url)),
  redisPort: redis.port,
  ...(replica === undefined ? {} : { replicaPort: replica.port }),
  args: [],
  pinning,
})
const loaders = await Promise.all(
  Array.from({ length: clients }, () => Asker.open(regis.port, regis.login!.user, regis.login!.password)),
)
// Strong reads go to the primary.
if (isApart) for (const loader of loaders) await loader.ask(['PROXY', 'CONSISTENCY', 'strong'])
const openSmall = (): Promise<Asker> => Asker.open(regis.port, 'another-app', 'another')

/** Latencies of the others for a while, us. */
async function measure(isOver: () => boolean): Promise<number[]> {
  const found: number[] = []
  await Promise.all(
    loaders.map(async (loader) => {
      while (!isOver()) {
        const startedAt = performance.now()
        await loader.ask(['GET', `key:${Math.floor(Math.random() * keys)}`])
        found.push((performance.now() - startedAt) * 1000)
        if (thinkMs > 0) await sleep(thinkMs * (0.5 + Math.random()))
      }
    }),
  )
  return found
}
function forMs(ms: number): () => boolean {
  const endsAt = performance.now() + ms
  return () => performance.now() >= endsAt
}

/** One walk from its beginning to its end, ms. */
async function wholeWalk(): Promise<number> {
  const small = await openSmall()
  const startedAt = performance.now()
  const reply = await small.ask(['DBSIZE'])
  if (reply !== ':10\r\n') throw new Error(`DBSIZE of ten keys answers ${reply}`)
  small.close()
  return performance.now() - startedAt
}

/** Walks one after the other for as long as the window is; whoever asked leaves then, which ends the walk. */
async function measureWithWalk(): Promise<number[]> {
  const small = await openSmall()
  let isOver = false
  let close: () => void = () => {}
  const closed = new Promise<void>((resolve) => {
    close = resolve
  })
  const walking = (async () => {
    while (!isOver) await Promise.race([small.ask(['DBSIZE']), closed])
  })()
  const found = await measure(forMs(windowMs))
  isOver = true
  close()
  small.close()
  await walking
  await sleep(200)
  return found
}

await measure(forMs(1_000))
const walkedOn = fillers.length - 1

const quiet: number[] = []
const busy: number[] = []
const ratios: Record<string, number[]> = { p50: [], p99: [], 'p99.9': [] }
const quantiles: Record<string, number> = { p50: 0.5, p99: 0.99, 'p99.9': 0.999 }
for (let round = 0; round < rounds; round++) {
  const pair: { quiet?: number[]; busy?: number[] } = {}
  for (const which of round % 2 === 0 ? (['quiet', 'busy'] as const) : (['busy', 'quiet'] as const))
    pair[which] = which === 'busy' ? await measureWithWalk() : await measure(forMs(windowMs))
  quiet.push(...pair.quiet!)
  busy.push(...pair.busy!)
  for (const [name, q] of Object.entries(quantiles))
    ratios[name]!.push(quantile(pair.busy!, q) / quantile(pair.quiet!, q))
}
const scanOf = async (at: number): Promise<[calls: number, usec: number]> => {
  const found = /cmdstat_scan:calls=(\d+),usec=(\d+)/.exec(await fillers[at]!.ask(['INFO', 'commandstats']))
  return [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)]
}
if ((await scanOf(walkedOn))[0] < rounds) throw new Error('there was no walk on the server that it should be on')
if (isApart && (await scanOf(0))[0] > 0) throw new Error('the walk was on the primary')
const names = Object.keys(quantiles)
const row = (name: string, all: number[]): string =>
  `${name.padEnd(16)} ${String(all.length).padStart(8)} ${Object.values(quantiles)
    .map((q) => quantile(all, q).toFixed(0).padStart(8))
    .join(' ')}`
const ratioRow = (name: string, q: number): string =>
  `${name.padEnd(25)} ${names.map((one) => quantile(ratios[one]!, q).toFixed(2).padStart(8)).join(' ')}`
process.stdout.write(
  [
    `${keys} keys of another tenant, ${clients} clients of theirs, GET one by one, ${thinkMs} ms between two; us`,
    isApart ? 'the walk on a replica, the others on the primary' : 'the walk and the others on one server',
    `${''.padEnd(16)} ${'commands'.padStart(8)} ${names.map((name) => name.padStart(8)).join(' ')}`,
    row('without', quiet),
    row('with a walk', busy),
    ratioRow(`ratio, median of ${rounds} pairs`, 0.5),
    ratioRow('  lower quartile', 0.25),
    ratioRow('  upper quartile', 0.75),
    '',
  ].join('\n'),
)

/** How long a whole walk takes, and what it costs the server. */
async function say(name: string, ms: () => Promise<number>): Promise<void> {
  const [callsBefore, usecBefore] = await scanOf(walkedOn)
  const took = await ms()
  const [calls, usec] = await scanOf(walkedOn)
  const [steps, cost] = [calls - callsBefore, usec - usecBefore]
  process.stdout.write(
    `a walk ${name}: ${(took / 1000).toFixed(1)} s, ${steps} steps of ${(cost / steps).toFixed(0)} us, ${(cost / keys).toFixed(2)} us a key\n`,
  )
}
await sleep(2_000)
await say('alone', wholeWalk)
await say('under that load', async () => {
  let isWalked = false
  const [ms] = await Promise.all([wholeWalk().finally(() => (isWalked = true)), measure(() => isWalked)])
  return ms
})
for (const one of [...loaders, ...fillers]) one.close()
await regis.stop()
await replica?.stop()
await redis.stop()
