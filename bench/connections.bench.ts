/**
 * What connections cost: memory of one that stands still, of a thousand at work; how soon thousands that were cut off at once are
 * served again, and what those who are there notice of it. Usage: npm run bench:connections -- [--only idle,busy,storm].
 * ~ prints, starts processes.
 *
 * Memory is what the kernel counts (VmRSS, VmHWM), before and after; behind a collection of all garbage where it says so. Times
 * are of this machine; `load CPU` tells when the many clients, which are one process, were what took the time.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { guardChild, guardFolder } from '../src/demo/guard.ts'
import { ProxyProcess } from '../src/demo/proxy-process.ts'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { freePort, RedisServer } from '../src/demo/redis-server.ts'
import { cpuNs, hasTaskset, pin } from './cpu.ts'
import type { Order, Report } from './many-clients.ts'
import type { Turns } from './turn-probe.ts'

const { values } = parseArgs({
  options: {
    idle: { type: 'string', default: '10000' },
    busy: { type: 'string', default: '1000' },
    storm: { type: 'string', default: '5000' },
    only: { type: 'string', default: 'idle,busy,storm' },
    'node-options': { type: 'string', default: '' },
    root: { type: 'string', default: process.cwd() },
  },
})
const only = new Set(values.only.split(','))
const folder = mkdtempSync(path.join(tmpdir(), 'regis-bench-'))
guardFolder(folder)
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const probe = path.join(folder, 'probe.sock')
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

function memoryMiB(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
  return { now: of('VmRSS'), peak: of('VmHWM') }
}

function ask<T>(socketPath: string): Promise<T> {
  return new Promise((resolve, reject) => {
    let text = ''
    connect(socketPath)
      .setEncoding('utf8')
      .on('data', (piece: string) => {
        text += piece
      })
      .on('end', () => resolve(JSON.parse(text) as T))
      .on('error', reject)
  })
}

class Crowd {
  readonly #child = fork(here('./many-clients.js'), { stdio: 'inherit' })

  constructor() {
    guardChild(this.#child)
    if (hasTaskset()) pin(this.#child.pid!, '1')
  }

  async order(order: Order): Promise<Report> {
    this.#child.send(order)
    const [report] = (await once(this.#child, 'message')) as [Report]
    return report
  }

  async end(): Promise<void> {
    this.#child.send({ do: 'end' } satisfies Order)
    await once(this.#child, 'exit')
  }
}

async function main(): Promise<void> {
  const tool = await findRedisServer({ say: (line) => process.stderr.write(`${line}\n`) })
  const redis = await RedisServer.start({ tool })
  const file = path.join(folder, 'proxy.yaml')
  const tenants = Array.from({ length: 100 }, (_, i) => `  t${i}: { users: { user-${i}: { password: secret-${i} } } }`)
  writeFileSync(
    file,
    `region: eu
primary: eu
regions: { eu: { nodes: ["redis://127.0.0.1:${redis.port}"] } }
limits: { auth_failures: 0, max_clients: 20000 }
tenants:
${tenants.join('\n')}
`,
  )
  const [port, adminPort] = [await freePort(), await freePort()]
  let proxy: ProxyProcess
  const start = async (): Promise<void> => {
    rmSync(probe, { force: true })
    rmSync(`${probe}.gc`, { force: true })
    const env = {
      REGIS_TURN_PROBE: probe,
      NODE_OPTIONS: `${values['node-options']} --import=${here('./turn-probe.js')}`.trim(),
    }
    proxy = await ProxyProcess.start({ file, port, adminPort, env, readyMsMax: 60_000, root: values.root })
    if (hasTaskset()) pin(proxy.pid, '0')
  }
  const settled = async (): Promise<{ rss: number; heap: number; external: number }> => {
    await sleep(1_000)
    const { heapUsed, external } = await ask<NodeJS.MemoryUsage>(`${probe}.gc`)
    await sleep(500)
    return { rss: memoryMiB(proxy.pid).now, heap: heapUsed / 2 ** 20, external: external / 2 ** 20 }
  }
  try {
    if (only.has('idle')) {
      await start()
      const crowd = new Crowd()
      const count = Number(values.idle)
      await crowd.order({ do: 'open', port, count: 200, atOnce: 100 })
      const before = await settled()
      await crowd.order({ do: 'open', port, count, atOnce: 500 })
      const raw = memoryMiB(proxy!.pid).now
      const after = await settled()
      const kib = (from: number, to: number): string => (((to - from) * 1024) / count).toFixed(2)
      say(
        `${count} idle clients, logged in: RSS ${before.rss.toFixed(0)} -> ${after.rss.toFixed(0)} MiB (${raw.toFixed(0)} before garbage was collected)`,
      )
      say(
        `  each: RSS ${kib(before.rss, after.rss)} KiB, heap ${kib(before.heap, after.heap)}, external ${kib(before.external, after.external)}; RSS uncollected ${kib(before.rss, raw)}`,
      )
      await crowd.end()
      await proxy!.stop()
    }
    if (only.has('busy')) {
      for (const bytes of [128, 4096]) {
        await start()
        const crowd = new Crowd()
        await crowd.order({ do: 'open', port, count: Number(values.busy), atOnce: 200 })
        const before = memoryMiB(proxy!.pid).now
        const { commands } = await crowd.order({ do: 'work', pipeline: 16, bytes, ms: 8_000 })
        const { now, peak } = memoryMiB(proxy!.pid)
        say(
          `${values.busy} busy clients, P16, ${bytes} B, half SET half GET: RSS ${before.toFixed(0)} -> ${now.toFixed(0)} MiB, most ${peak.toFixed(0)}; ${(commands / 8_000).toFixed(0)} kreq/s`,
        )
        await crowd.end()
        await proxy!.stop()
      }
    }
    if (only.has('storm')) {
      await start()
      const crowd = new Crowd()
      const count = Number(values.storm)
      await ask(probe)
      const beganNs = cpuNs(proxy!.pid)
      const first = await crowd.order({ do: 'open', port, count, atOnce: count })
      const turns = await ask<Turns>(probe)
      const tell = (what: string, it: Report, proxyMs: number): void =>
        say(
          `${what}: served first after ${it.firstMs.toFixed(0)} ms, last after ${it.lastMs.toFixed(0)} ms; CPU: proxy ${proxyMs.toFixed(0)} ms, load ${it.cpuMs.toFixed(0)} ms; ${it.tries} connections tried`,
        )
      tell(`${count} clients at once`, first, (cpuNs(proxy!.pid) - beganNs) / 1e6)
      say(`  longest turns of the proxy, CPU ms: ${turns.longest.map(({ cpu }) => cpu.toFixed(1)).join(' ')}`)
      const back = crowd.order({ do: 'await return' })
      proxy!.signal('SIGKILL')
      await proxy!.exited()
      const restartedMs = performance.now()
      await start()
      const readyMs = performance.now() - restartedMs
      const again = await back
      const again2 = await ask<Turns>(probe)
      tell(
        `the proxy was killed and started again (ready after ${readyMs.toFixed(0)} ms)`,
        again,
        cpuNs(proxy!.pid) / 1e6,
      )
      say(`  longest turns of the proxy, CPU ms: ${again2.longest.map(({ cpu }) => cpu.toFixed(1)).join(' ')}`)
      await crowd.end()
      await proxy!.stop()
    }
  } finally {
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  process.exit(0)
}

await main()
