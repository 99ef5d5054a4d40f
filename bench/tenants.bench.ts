/**
 * What many tenants cost: time from start to ready, memory, heap per tenant that nobody uses, CPU per command with a hundred
 * of them at work, and how long a scrape holds the loop up. Usage: npm run bench:tenants. ~ prints, starts processes.
 *
 * Seconds are of this machine, and of a quiet one only; the rest are ratios inside one run.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { guardFolder } from '../src/demo/guard.ts'
import { ProxyProcess } from '../src/demo/proxy-process.ts'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { freePort, RedisServer } from '../src/demo/redis-server.ts'
import { cpuNs, hasTaskset, pin } from './cpu.ts'
import { bulk, encodeCommand, RawClient } from './raw-client.ts'
import { quantile } from './report.ts'
import { residentBytes } from './resident.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    each: { type: 'string', default: '60' },
    yaml: { type: 'string', default: '10000' },
    lines: { type: 'string', default: '100000' },
    starts: { type: 'string', default: '3' },
    unpinned: { type: 'boolean', default: false },
  },
})
const [rounds, each, starts] = [Number(values.rounds), Number(values.each), Number(values.starts)]
const [inYaml, inLines] = [Number(values.yaml), Number(values.lines)]
const isPinned = !values.unpinned && hasTaskset()
const active = 100
const pipeline = 16
const quota = { ops: '1000000/s', scope: 'proxy' }

const folder = mkdtempSync(path.join(tmpdir(), 'regis-bench-'))
guardFolder(folder)
const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const head = (redisPort: number): string => `region: eu
primary: eu
regions: { eu: { nodes: ["redis://127.0.0.1:${redisPort}"] } }
limits: { auth_failures: 0 }
`
/** Alike in length, so that a late one sends no more bytes. */
const nameOf = (i: number): string => String(i).padStart(6, '0')
const user = (i: number) => ({ [`user-${nameOf(i)}`]: { password: `secret-of-user-${i}` } })

/** The same tenants, in proxy.yaml as people write it, or a line each. */
function writeFiles(redisPort: number, count: number, where: 'yaml' | 'lines', hasQuota = false): string {
  const file = path.join(folder, `${where}-${count}${hasQuota ? '-quota' : ''}.yaml`)
  const more = hasQuota ? { quota } : {}
  if (where === 'lines') {
    const lines = Array.from({ length: count }, (_, i) =>
      JSON.stringify({ id: `tenant-${nameOf(i)}`, users: user(i), ...more }),
    )
    writeFileSync(file.replace('.yaml', '.jsonl'), `${lines.join('\n')}\n`)
    writeFileSync(file, `${head(redisPort)}tenants_file: ${path.basename(file).replace('.yaml', '.jsonl')}\n`)
  } else {
    const blocks = Array.from(
      { length: count },
      (_, i) => `  tenant-${nameOf(i)}:\n    users:\n      user-${nameOf(i)}:\n        password: secret-of-user-${i}\n`,
    )
    writeFileSync(file, `${head(redisPort)}tenants:\n${blocks.join('')}`)
  }
  return file
}

async function start(file: string): Promise<{ proxy: ProxyProcess; seconds: number }> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const beganMs = performance.now()
  const proxy = await ProxyProcess.start({ file, port, adminPort, readyMsMax: 300_000, root: process.cwd() })
  return { proxy, seconds: (performance.now() - beganMs) / 1000 }
}

/** Heap behind garbage collection, of a process that holds a proxy of this configuration. */
function heapBytes(file: string): { heap: number; external: number } {
  const script = fileURLToPath(new URL('./tenants-heap.js', import.meta.url))
  const text = execFileSync(process.execPath, ['--expose-gc', script, file], { encoding: 'utf8' })
  return JSON.parse(text) as { heap: number; external: number }
}

async function login(port: number, i: number): Promise<RawClient> {
  const client = await RawClient.open(`client ${i}`, port)
  client.promise(Buffer.from('+OK\r\n'))
  client.write(encodeCommand(['AUTH', `user-${nameOf(i)}`, `secret-of-user-${i}`]))
  const value = Buffer.alloc(64, 'x')
  client.promise(Buffer.from('+OK\r\n'))
  client.write(encodeCommand(['SET', 'key', value]))
  await client.untilMissing(0)
  return client
}

async function load(clients: readonly RawClient[], times: number): Promise<void> {
  const requests = Buffer.concat(Array(pipeline).fill(encodeCommand(['GET', 'key'])))
  const replies = Buffer.concat(Array(pipeline).fill(bulk(Buffer.alloc(64, 'x'))))
  const run = async (client: RawClient): Promise<void> => {
    for (let n = 0; n < times; n++) {
      client.promise(replies)
      client.write(requests)
      await client.untilMissing(0)
    }
  }
  await Promise.all(clients.map(run))
}

interface Working {
  readonly name: string
  readonly proxy: ProxyProcess
  readonly clients: readonly RawClient[]
  readonly us: number[]
}

async function main(): Promise<void> {
  const tool = await findRedisServer({ say: (line) => process.stderr.write(`${line}\n`) })
  const redis = await RedisServer.start({ tool })
  const proxies: ProxyProcess[] = []
  try {
    const cases = [
      ['1 tenant', writeFiles(redis.port, 1, 'yaml')],
      [`${inYaml} in proxy.yaml`, writeFiles(redis.port, inYaml, 'yaml')],
      [`${inLines} in tenants_file`, writeFiles(redis.port, inLines, 'lines')],
      [`${inLines} with quotas`, writeFiles(redis.port, inLines, 'lines', true)],
    ] as const
    say(`start to ready, median of ${starts}; memory after it\n`)
    say(
      `${'tenants'.padEnd(28)}${'seconds'.padStart(9)}${'/ 1'.padStart(7)}${'RSS MiB'.padStart(9)}${'peak'.padStart(7)}`,
    )
    let one = Number.NaN
    for (const [name, file] of cases) {
      const seconds: number[] = []
      let memory = { now: 0, peak: 0 }
      for (let i = 0; i < starts; i++) {
        const { proxy, seconds: took } = await start(file)
        seconds.push(took)
        memory = residentBytes(proxy.pid)
        await proxy.stop()
      }
      const median = quantile(seconds, 0.5)
      if (Number.isNaN(one)) one = median
      say(
        `${name.padEnd(28)}${median.toFixed(2).padStart(9)}${(median / one).toFixed(1).padStart(7)}${mib(memory.now).padStart(9)}${mib(memory.peak).padStart(7)}`,
      )
    }

    say('\nheap and external bytes per tenant that nobody uses: what twice as many take more, each')
    for (const hasQuota of [false, true]) {
      const [half, whole] = [Math.floor(inLines / 2), inLines].map((count) =>
        heapBytes(writeFiles(redis.port, count, 'lines', hasQuota)),
      ) as [ReturnType<typeof heapBytes>, ReturnType<typeof heapBytes>]
      const per = (pick: 'heap' | 'external') => (whole[pick] - half[pick]) / (inLines - Math.floor(inLines / 2))
      say(
        `${hasQuota ? 'with quota' : 'without'.padEnd(10)}  heap ${per('heap').toFixed(0)}  external ${per('external').toFixed(0)}`,
      )
    }

    const working: Working[] = []
    for (const [name, file, distinct] of [
      ['1 tenant', cases[0][1], 1],
      [`${active} tenants`, writeFiles(redis.port, active, 'lines'), active],
      [`${active} of ${inLines}`, cases[2][1], active],
    ] as const) {
      const { proxy } = await start(file)
      proxies.push(proxy)
      if (isPinned) pin(proxy.pid, '0')
      const step = name.includes(' of ') ? Math.floor(inLines / active) : 1
      const clients = await Promise.all(
        Array.from({ length: active }, (_, i) => login(proxy.port, (i % distinct) * step)),
      )
      working.push({ name, proxy, clients, us: [] })
    }
    if (isPinned) {
      pin(process.pid, '1')
      pin(redis.pid, '1')
    }
    for (const { clients } of working) await load(clients, each)
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? working : [...working].reverse()
      for (const { proxy, clients, us } of order) {
        const before = cpuNs(proxy.pid)
        await load(clients, each)
        us.push((cpuNs(proxy.pid) - before) / 1000 / (clients.length * each * pipeline))
      }
    }
    say(
      `\nCPU per GET, ${active} clients, pipelines of ${pipeline}, ${rounds} rounds, us; ratio to the second line by round`,
    )
    for (const { name, us } of working) {
      const ratios = us.map((one, i) => one / working[1]!.us[i]!)
      const [low, mid, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share)) as [number, number, number]
      say(
        `${name.padEnd(28)}${quantile(us, 0.5).toFixed(2).padStart(8)}   ${mid.toFixed(3)} (quartiles ${low.toFixed(3)} to ${high.toFixed(3)})`,
      )
    }

    say('\nscrape: longest silence of a client that pings all the time, ms, median of 20 scrapes; without one in front')
    for (const { name, proxy, clients } of working) {
      const quiet: number[] = []
      const scraped: number[] = []
      for (let i = 0; i < 20; i++) {
        quiet.push(await longestSilenceMs(clients[0]!, () => new Promise((resolve) => setTimeout(resolve, 100))))
        scraped.push(await longestSilenceMs(clients[0]!, () => proxy.fetch('/metrics', 60_000)))
      }
      say(
        `${name.padEnd(28)}${quantile(quiet, 0.5).toFixed(1).padStart(8)}${quantile(scraped, 0.5).toFixed(1).padStart(8)}`,
      )
    }
    for (const { clients } of working) for (const client of clients) client.close()
  } finally {
    for (const proxy of proxies) await proxy.stop()
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** One PING after the other until `work` is done. */
async function longestSilenceMs(client: RawClient, work: () => Promise<unknown>): Promise<number> {
  const ping = encodeCommand(['PING'])
  const pong = Buffer.from('+PONG\r\n')
  let isDone = false
  let longest = 0
  const end = work().then(() => {
    isDone = true
  })
  while (!isDone) {
    const at = performance.now()
    client.promise(pong)
    client.write(ping)
    await client.untilMissing(0)
    longest = Math.max(longest, performance.now() - at)
  }
  await end
  return longest
}

await main()
