/**
 * What a small tenant's walks (DBSIZE, KEYS) over a server full of others' keys cost those others: their p50 and p99 with and
 * without a walk under way, in turns in one run, and how long one walk takes. One server for all, so the walk has no
 * replica to go to: the worst case. Usage: npm run bench:walk -- --keys 10000000. ~ prints.
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
    clients: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '0.5' },
    unpinned: { type: 'boolean', default: false },
  },
})
const keys = Number(values.keys)
const clients = Number(values.clients)
const rounds = Number(values.rounds)
const windowMs = Number(values.seconds) * 1000

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
const redis = await startDirect(await findRedisServer(), pinning)
const regis = await startRegis({
  name: 'regis',
  folder: fileURLToPath(new URL('../../../', import.meta.url)),
  redisPort: redis.port,
  args: [],
  pinning,
})

const filler = await Asker.open(redis.port)
for (let at = 0; at < keys; at += 1000) {
  const args = ['MSET']
  for (let i = at; i < Math.min(keys, at + 1000); i++) args.push(`bench:key:${i}`, 'x'.repeat(32))
  await filler.ask(args)
}
for (let i = 0; i < 10; i++) await filler.ask(['SET', `another:${i}`, '1'])

const loaders = await Promise.all(
  Array.from({ length: clients }, () => Asker.open(regis.port, regis.login!.user, regis.login!.password)),
)
const small = await Asker.open(regis.port, 'another-app', 'another')

/** Latencies of the others for a while, us. */
async function measure(ms: number): Promise<number[]> {
  const found: number[] = []
  const endsAt = performance.now() + ms
  await Promise.all(
    loaders.map(async (loader) => {
      while (performance.now() < endsAt) {
        const startedAt = performance.now()
        await loader.ask(['GET', `key:${Math.floor(Math.random() * keys)}`])
        found.push((performance.now() - startedAt) * 1000)
      }
    }),
  )
  return found
}

await measure(1_000)
const quiet: number[] = []
const busy: number[] = []
const walksMs: number[] = []
for (let round = 0; round < rounds; round++) {
  quiet.push(...(await measure(windowMs)))
  let isOver = false
  const walking = (async () => {
    while (!isOver) {
      const startedAt = performance.now()
      const reply = await small.ask(['DBSIZE'])
      if (reply !== ':10\r\n') throw new Error(`DBSIZE of ten keys answers ${reply}`)
      walksMs.push(performance.now() - startedAt)
      await sleep(0)
    }
  })()
  busy.push(...(await measure(windowMs)))
  isOver = true
  await walking
}
const row = (name: string, all: number[]): string =>
  `${name.padEnd(16)} ${String(all.length).padStart(8)} ${[0.5, 0.99, 0.999].map((q) => quantile(all, q).toFixed(0).padStart(8)).join(' ')}`
const ratio = (q: number): string => (quantile(busy, q) / quantile(quiet, q)).toFixed(2)
process.stdout.write(
  [
    `${keys} keys of another tenant, ${clients} clients of theirs, GET one by one; us`,
    `${''.padEnd(16)} ${'commands'.padStart(8)} ${['p50', 'p99', 'p99.9'].map((name) => name.padStart(8)).join(' ')}`,
    row('without', quiet),
    row('with a walk', busy),
    `ratio                     ${[0.5, 0.99, 0.999].map((q) => ratio(q).padStart(8)).join(' ')}`,
    `one walk takes ${(quantile(walksMs, 0.5) / 1000).toFixed(2)} s (median of ${walksMs.length})`,
    '',
  ].join('\n'),
)
for (const loader of [...loaders, small, filler]) loader.close()
await regis.stop()
await redis.stop()
