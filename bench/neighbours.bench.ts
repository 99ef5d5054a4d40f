/**
 * What one tenant's load costs nine others that share its connections: their p99, in pairs of windows, the order changing; the
 * median of the pairs' ratios. What the tenant does, against what (`--what`):
 *
 *   limit     ten times its `quota.ops`, pipelined         just at it. Also: what was executed is counted on the server
 *   flood     10^5 commands at once per connection, no quota    nothing
 *   values    reads values of 50 MB                         nothing
 *   scripts   runs loops of 200 ms in Lua                   nothing
 *
 * The tenant is driven by a thread of its own, so that its replies do not stand in front of the others' in this process.
 *
 * Usage: npm run bench:neighbours -- --what limit --rounds 7 --seconds 10. ~ prints, starts a thread.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { Asker } from './asker.ts'
import { hasTaskset } from './cpu.ts'
import { encodeCommand } from './raw-client.ts'
import { quantile } from './report.ts'
import { startDirect, startRegis } from './targets.ts'

const login = { user: 'greedy-app', password: 'bench' }
const modestTenants = 9
const opsLimit = 2_000
/** Clients of the one tenant. */
const greedyClients = 4
const valueBytes = 50_000_000

interface Counted {
  executed: number
  refused: number
  /** Refusals that do not say when to retry. */
  odd: number
}

if (isMainThread) await main()
else drive()

/** The one tenant. Told `{ perSecond, ms }`, `{ flood, ms }` or `{ ask, ms }` it does that for so long, and then says what came of it. */
function drive(): void {
  const { port } = workerData as { port: number }
  const one = encodeCommand(['INCR', 'counter'])
  const sockets = Array.from({ length: greedyClients }, () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.write(encodeCommand(['AUTH', login.user, login.password]))
    const state = { socket, sent: 1, got: 0, text: '', bulkLeft: 0, counted: { executed: 0, refused: 0, odd: 0 } }
    socket.on('data', (bytes: Buffer) => {
      let from = 0
      while (from < bytes.length) {
        if (state.bulkLeft > 0) {
          const taken = Math.min(state.bulkLeft, bytes.length - from)
          state.bulkLeft -= taken
          from += taken
          if (state.bulkLeft === 0) state.got++
          continue
        }
        const end = bytes.indexOf(10, from)
        if (end < 0) {
          state.text += bytes.toString('latin1', from)
          return
        }
        const first = state.text === '' ? bytes[from]! : state.text.charCodeAt(0)
        if (first === 36) {
          const length = Number((state.text + bytes.toString('latin1', from, end)).slice(1))
          if (length < 0) state.got++
          else state.bulkLeft = length + 2
        } else {
          state.got++
          if (first === 58) state.counted.executed++
          else if (first === 45) {
            const line = state.text + bytes.toString('latin1', from, end)
            state.counted.refused++
            if (!/^-THROTTLED .*retry after \d+ ms\r$/.test(line)) state.counted.odd++
          }
        }
        state.text = ''
        from = end + 1
      }
    })
    return state
  })
  parentPort!.on('message', async (order: { perSecond?: number; flood?: number; ask?: string[]; ms: number }) => {
    const endsAt = performance.now() + order.ms
    const startedAt = performance.now()
    let sent = 0
    for (const state of sockets) state.counted = { executed: 0, refused: 0, odd: 0 }
    const write = (state: (typeof sockets)[number], commands: number, bytes: Buffer): void => {
      state.sent += commands
      state.socket.write(bytes)
    }
    while (performance.now() < endsAt) {
      if (order.perSecond !== undefined) {
        const due = Math.floor(((performance.now() - startedAt) / 1000) * order.perSecond) - sent
        const each = Math.floor(due / greedyClients)
        if (each > 0)
          for (const state of sockets) {
            write(state, each, Buffer.alloc(one.length * each, one))
            sent += each
          }
      } else
        for (const state of sockets) {
          if (state.got < state.sent) continue
          if (order.flood !== undefined) write(state, order.flood, Buffer.alloc(one.length * order.flood, one))
          else write(state, 1, encodeCommand(order.ask!))
        }
      await sleep(order.flood === undefined ? 4 : 1)
    }
    while (sockets.some((state) => state.got < state.sent)) await sleep(5)
    const sum: Counted = { executed: 0, refused: 0, odd: 0 }
    for (const { counted } of sockets)
      for (const name of ['executed', 'refused', 'odd'] as const) sum[name] += counted[name]
    parentPort!.postMessage(sum)
  })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      what: { type: 'string', default: 'limit' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '10' },
      clients: { type: 'string', default: '2' },
      /** What a modest client waits between two commands, ms. */
      think: { type: 'string', default: '5' },
      /** Another checkout's proxy, for a comparison. */
      checkout: { type: 'string' },
      /** Of `limit`: its `quota.when_exceeded`, error or delay. */
      when: { type: 'string', default: 'error' },
      unpinned: { type: 'boolean', default: false },
    },
  })
  const what = values.what as 'limit' | 'flood' | 'values' | 'scripts'
  const [rounds, windowMs] = [Number(values.rounds), Number(values.seconds) * 1000]
  const pinning = values.unpinned || !hasTaskset() ? { proxy: undefined, load: undefined } : { proxy: '0', load: '1' }
  const redis = await startDirect(await findRedisServer(), pinning)
  const quota = what === 'limit' ? `, quota: { ops: ${opsLimit}/s, when_exceeded: ${values.when}, scope: proxy }` : ''
  const names = Array.from({ length: modestTenants }, (_, i) => `modest${i}`)
  const regis = await startRegis({
    name: 'regis',
    folder: values.checkout ?? fileURLToPath(new URL('../../../', import.meta.url)),
    redisPort: redis.port,
    args: [],
    pinning,
    yaml: [
      'tenants:',
      '  nobody: { users: { default: { nopass: true } } }',
      `  greedy: { users: { ${login.user}: { password: ${login.password} } }, scripts: any${quota} }`,
      ...names.map((name) => `  ${name}: { users: { ${name}-app: { password: bench } } }`),
    ],
  })
  const server = await Asker.open(redis.port)
  const count = async (): Promise<number> =>
    Number(
      /\d+/.exec((await server.ask(['GET', 'greedy:counter'])).toString('latin1').split('\r\n')[1] ?? '')?.[0] ?? 0,
    )
  if (what === 'values')
    for (let i = 0; i < greedyClients; i++)
      await server.ask(['SETRANGE', `greedy:big${i}`, String(valueBytes - 1), 'x'])
  const loaders = await Promise.all(
    names.flatMap((name) =>
      Array.from({ length: Number(values.clients) }, () =>
        Asker.open(regis.port, { user: `${name}-app`, password: 'bench' }),
      ),
    ),
  )
  const worker = new Worker(new URL(import.meta.url), { workerData: { port: regis.port } })
  const order = (told: object): Promise<Counted> => {
    worker.postMessage({ ...told, ms: windowMs })
    return new Promise((resolve) => worker.once('message', resolve))
  }
  const loop =
    'local t = redis.call("TIME"); local e = t[1] * 1000000 + t[2] + 200000; repeat t = redis.call("TIME") until t[1] * 1000000 + t[2] >= e'
  const busy: Record<typeof what, object> = {
    limit: { perSecond: 10 * opsLimit },
    flood: { flood: 100_000 },
    values: { ask: ['GET', 'big0'] },
    scripts: { ask: ['EVAL', loop, '0'] },
  }

  const ask = async (isOver: () => boolean): Promise<number[]> => {
    const found: number[] = []
    await Promise.all(
      loaders.map(async (loader) => {
        while (!isOver()) {
          const startedAt = performance.now()
          const reply = await loader.ask(['SET', `key:${Math.floor(Math.random() * 1000)}`, 'value'])
          found.push(performance.now() - startedAt)
          if (reply[0] !== 43) throw new Error(`a modest tenant is answered ${reply.toString('latin1', 0, 80)}`)
          await sleep(Number(values.think) * (0.5 + Math.random()))
        }
      }),
    )
    return found
  }
  /** One window: the others' latencies, and what came of the one tenant's commands. */
  const window = async (isBusy: boolean): Promise<{ ms: number[]; counted: Counted | undefined; executed: number }> => {
    const before = await count()
    const told = isBusy ? busy[what] : what === 'limit' ? { perSecond: opsLimit * 0.98 } : undefined
    let isOver = false
    const driven = told === undefined ? sleep(windowMs).then(() => undefined) : order(told)
    const ended = driven.then((counted) => {
      isOver = true
      return counted
    })
    const ms = await ask(() => isOver)
    const counted = await ended
    await sleep(300)
    return { ms, counted, executed: (await count()) - before }
  }

  await ask(
    (
      (endsAt) => () =>
        performance.now() > endsAt
    )(performance.now() + 1_000),
  )
  const ratios: Record<string, number[]> = { p50: [], p99: [] }
  const shares: number[] = []
  let isRight = true
  for (let round = 0; round < rounds; round++) {
    const pair: { calm?: number[]; busy?: number[] } = {}
    for (const isBusy of round % 2 === 0 ? [true, false] : [false, true]) {
      const { ms, counted, executed } = await window(isBusy)
      pair[isBusy ? 'busy' : 'calm'] = ms
      if (what === 'limit' && counted !== undefined) {
        if (counted.executed !== executed || counted.odd > 0) isRight = false
        if (isBusy) {
          shares.push(executed / ((opsLimit * windowMs) / 1000))
          if (counted.refused === 0) isRight = false
        }
      }
    }
    for (const [name, q] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const)
      ratios[name]!.push(quantile(pair.busy!, q) / quantile(pair.calm!, q))
    console.log(
      `round ${round + 1}: p50 ${quantile(pair.calm!, 0.5).toFixed(2)} -> ${quantile(pair.busy!, 0.5).toFixed(2)} ms, p99 ${quantile(pair.calm!, 0.99).toFixed(2)} -> ${quantile(pair.busy!, 0.99).toFixed(2)} ms, max ${Math.max(...pair.busy!).toFixed(1)} ms (${pair.busy!.length} and ${pair.calm!.length} commands)`,
    )
  }
  for (const name of ['p50', 'p99'])
    console.log(
      `${name}: median of ${rounds} ratios ${quantile(ratios[name]!, 0.5).toFixed(2)}, ${ratios[name]!.map((one) => one.toFixed(2)).join(' ')}`,
    )
  if (what === 'limit') {
    console.log(`executed of what the limit allows: ${shares.map((share) => share.toFixed(3)).join(' ')}`)
    console.log(isRight ? 'what was refused says when to retry, and was not executed' : 'WRONG: refusals')
  }
  await worker.terminate()
  for (const loader of loaders) loader.close()
  server.close()
  await regis.stop()
  await redis.stop()
  process.exitCode = isRight ? 0 : 1
}
