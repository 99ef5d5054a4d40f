/**
 * How long the event loop is held up by what is no command of a client: scrapes, status, lists, reloads, sweeps, rounds of shared
 * limits, logins, garbage collection. One thing at a time, several times, beside a steady load that leaves the loop idle for most
 * of the time. Usage: npm run bench:stalls -- [--only scrape,reload] [--rounds 5]. ~ prints, starts processes.
 *
 * The first columns are CPU of the proxy's main thread in its longest turn (turn-probe.ts). What is done in one turn takes that turn in
 * every round, so the least of the rounds says what it takes; the rest is garbage collection and what others do to the machine.
 * `ping` is what a client saw that asks each millisecond: time, and only worth something on a quiet machine.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { guardFolder } from '../src/demo/guard.ts'
import { ProxyProcess } from '../src/demo/proxy-process.ts'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { freePort } from '../src/demo/redis-server.ts'
import { Topology } from '../src/demo/topology.ts'
import { hasTaskset, pin } from './cpu.ts'
import { bulk, encodeCommand, RawClient } from './raw-client.ts'
import { quantile } from './report.ts'
import type { Turns } from './turn-probe.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    tenants: { type: 'string', default: '10000' },
    many: { type: 'string', default: '100000' },
    used: { type: 'string', default: '1000' },
    shared: { type: 'string', default: '5000' },
    keys: { type: 'string', default: '200000' },
    only: { type: 'string', default: '' },
    'node-options': { type: 'string', default: '' },
    root: { type: 'string', default: process.cwd() },
    unpinned: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const [tenants, many, used, shared, keys] = [values.tenants, values.many, values.used, values.shared, values.keys].map(
  Number,
) as [number, number, number, number, number]
const isPinned = !values.unpinned && hasTaskset()
const only = values.only === '' ? undefined : new Set(values.only.split(','))

const folder = mkdtempSync(path.join(tmpdir(), 'regis-bench-'))
guardFolder(folder)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const nameOf = (i: number): string => String(i).padStart(6, '0')
const secretOf = (i: number, version: number): string => `secret-of-user-${i}-${version}`
/** The users whose password changes with the version: not those who are connected. */
const changing = (i: number): boolean => i >= used && i < used + 10

/** Writes proxy.yaml and its tenants; `version` makes a change for a reload. */
function writeFiles(topology: Topology, count: number, version: number, label: string): string {
  const file = path.join(folder, 'proxy.yaml')
  const quota = { ops: '100/s', scope: 'fleet', memory: '64MiB', keys: 100_000 }
  const lines = Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      id: `tenant-${nameOf(i)}`,
      users: { [`user-${nameOf(i)}`]: { password: secretOf(i, changing(i) ? version : 0) } },
      quota: i < 100 ? { ...quota, ops: '1000000/s' } : quota,
    }),
  )
  writeFileSync(path.join(folder, 'tenants.jsonl'), `${lines.join('\n')}\n`)
  const node = (region: string) => `${region}: { nodes: ["redis://127.0.0.1:${topology.node(region).port}"] }`
  writeFileSync(
    file,
    `region: eu
primary: us
regions: { ${node('us')}, ${node('eu')} }
tenants_file: tenants.jsonl
operators: { admin: { password: operator } }
metrics: { tenant_label: "${label}" }
sweep: { when: auto, every: 10s }
limits: { auth_failures: 0, max_clients: 20000 }
`,
  )
  return file
}

async function login(port: number, i: number): Promise<RawClient> {
  const client = await RawClient.open(`client ${i}`, port)
  client.promise(Buffer.from('+OK\r\n'))
  client.write(encodeCommand(['AUTH', `user-${nameOf(i)}`, secretOf(i, 0)]))
  await client.untilMissing(0, 30_000)
  return client
}

async function once(client: RawClient, args: string[], reply: Buffer): Promise<void> {
  client.promise(reply)
  client.write(encodeCommand(args))
  await client.untilMissing(0, 30_000)
}

const value = Buffer.alloc(128, 'x')

function askProbe(socketPath: string): Promise<Turns> {
  return new Promise((resolve, reject) => {
    let text = ''
    connect(socketPath)
      .setEncoding('utf8')
      .on('data', (piece: string) => {
        text += piece
      })
      .on('end', () => resolve(JSON.parse(text) as Turns))
      .on('error', reject)
  })
}

function post(port: number, pathname: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: pathname, method: 'POST', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
      .on('error', reject)
      .end()
  })
}

/** The whole reply of a command whose shape is not known: until nothing has come for a while. */
function untilQuiet(port: number, commands: readonly string[][], quietMs = 200): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let bytes = 0
    let timer = setTimeout(() => socket.destroy(), 10_000)
    socket.on('connect', () => socket.write(Buffer.concat(commands.map((args) => encodeCommand(args)))))
    socket.on('data', (chunk) => {
      bytes += chunk.length
      clearTimeout(timer)
      timer = setTimeout(() => socket.destroy(), quietMs)
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(bytes))
  })
}

/** So many clients with a command every few ms each: some 2,000 a second, spread evenly. */
class SteadyLoad {
  readonly #clients: readonly RawClient[]
  readonly #timer: NodeJS.Timeout
  #at = 0

  constructor(clients: readonly RawClient[]) {
    this.#clients = clients
    const get = encodeCommand(['GET', 'key'])
    const set = encodeCommand(['SET', 'key', value])
    this.#timer = setInterval(() => {
      for (let i = 0; i < 2; i++) {
        const client = this.#clients[this.#at++ % this.#clients.length]!
        if (client.unansweredBytes > 0) continue
        const isGet = this.#at % 4 !== 0
        client.promise(isGet ? bulk(value) : Buffer.from('+OK\r\n'))
        client.write(isGet ? get : set)
      }
    }, 1)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

/** Longest answer to PING, one a millisecond. */
class Pinger {
  longestMs = 0
  readonly #client: RawClient
  #isOn = true

  constructor(client: RawClient) {
    this.#client = client
    void this.#run()
  }

  async #run(): Promise<void> {
    const [ping, pong] = [encodeCommand(['PING']), Buffer.from('+PONG\r\n')]
    while (this.#isOn) {
      const at = performance.now()
      this.#client.promise(pong)
      this.#client.write(ping)
      await this.#client.untilMissing(0, 30_000)
      this.longestMs = Math.max(this.longestMs, performance.now() - at)
      await sleep(1)
    }
  }

  stop(): void {
    this.#isOn = false
  }
}

async function main(): Promise<void> {
  const tool = await findRedisServer({ say: (line) => process.stderr.write(`${line}\n`) })
  const topology = await Topology.start({ regions: ['us', 'eu'], tool })
  const proxies: ProxyProcess[] = []
  const clients: RawClient[] = []
  try {
    const probe = path.join(folder, 'probe.sock')
    const script = fileURLToPath(new URL('./turn-probe.js', import.meta.url))
    const file = writeFiles(topology, tenants, 0, `top:${used}`)
    const start = async (env: Record<string, string>): Promise<ProxyProcess> => {
      const [port, adminPort] = [await freePort(), await freePort()]
      const proxy = await ProxyProcess.start({ file, port, adminPort, env, readyMsMax: 120_000, root: values.root })
      proxies.push(proxy)
      return proxy
    }
    const proxy = await start({
      REGIS_TURN_PROBE: probe,
      NODE_OPTIONS: `${values['node-options']} --import=${script}`.trim(),
    })
    // Another one to share limits with.
    await start({})
    if (isPinned) {
      pin(proxy.pid, '0')
      pin(process.pid, '1')
    }
    say(`${tenants} tenants, ${used} of them used, a client each; 50 more with a steady load; ${keys} keys`)
    for (let i = 0; i < used; i++) {
      const client = await login(proxy.port, i)
      clients.push(client)
      await once(client, ['SET', 'key', value.toString()], Buffer.from('+OK\r\n'))
      await once(client, ['GET', 'key'], bulk(value))
    }
    const filler = await RawClient.open('filler', topology.primary.port)
    for (let at = 0; at < keys; at += 10_000) {
      const requests: Buffer[] = []
      for (let i = at; i < Math.min(keys, at + 10_000); i++)
        requests.push(encodeCommand(['SET', `tenant-${nameOf(i % tenants)}:key-${i}`, value]))
      filler.promise(Buffer.from('+OK\r\n'.repeat(requests.length)))
      filler.write(Buffer.concat(requests))
      await filler.untilMissing(0)
    }
    filler.close()
    const steady: RawClient[] = []
    for (let i = 0; i < 50; i++) steady.push(await login(proxy.port, i))
    clients.push(...steady)
    const pingClient = await login(proxy.port, 60)
    const load = new SteadyLoad(steady)

    const operator = ['AUTH', 'admin', 'operator']
    const show = (what: string) => () => untilQuiet(proxy.port, [operator, ['PROXY', 'SHOW', what]])
    const fetch = (pathname: string) => async (): Promise<unknown> => {
      const { status, body } = await proxy.fetch(pathname, 60_000)
      if (status !== 200) throw new Error(`${pathname}: ${status}`)
      return body.length
    }
    let version = 0
    const reload = (count: number, label: string) => async (): Promise<unknown> => {
      writeFiles(topology, count, ++version, label)
      const status = await post(proxy.adminPort, '/-/reload')
      if (status !== 200) throw new Error(`reload: ${status} ${proxy.log(5)}`)
      return status
    }
    const storm = async (): Promise<unknown> => {
      const opened = await Promise.all(
        Array.from({ length: 1_000 }, async (_, i) => {
          const client = await login(proxy.port, i)
          await once(client, ['GET', 'key'], bulk(value))
          return client
        }),
      )
      for (const client of opened) client.close()
      await sleep(200)
      return opened.length
    }
    let sharing: NodeJS.Timeout | undefined
    const share = async (): Promise<void> => {
      const more: RawClient[] = []
      for (let i = used; i < shared; i++) more.push(await login(proxy.port, i < used + 10 ? i + shared : i))
      clients.push(...more)
      const get = encodeCommand(['GET', 'none'])
      const nil = Buffer.from('$-1\r\n')
      const all = [...clients.slice(0, used), ...more]
      let at = 0
      sharing = setInterval(() => {
        for (let i = 0; i < 4; i++) {
          const client = all[at++ % all.length]!
          if (client.unansweredBytes > 0) continue
          client.promise(nil)
          client.write(get)
        }
      }, 1)
      await sleep(4_000)
    }
    const things: { name: string; prepare?: () => Promise<unknown>; run: () => Promise<unknown> }[] = [
      { name: 'nothing', run: () => sleep(1_000) },
      { name: 'scrape', run: fetch('/metrics') },
      { name: 'status', run: fetch('/api/v1/status') },
      { name: 'tenants', run: fetch('/api/v1/tenants') },
      { name: 'clients', run: fetch('/api/v1/clients') },
      { name: 'config', run: fetch('/api/v1/config') },
      { name: 'stats', run: fetch('/api/v1/stats') },
      { name: 'show-status', run: show('STATUS') },
      { name: 'show-tenants', run: show('TENANTS') },
      { name: 'show-clients', run: show('CLIENTS') },
      { name: 'show-config', run: show('CONFIG') },
      { name: 'show-stats', run: show('STATS') },
      { name: 'explain', run: fetch('/api/v1/explain?user=user-000001&command=MGET%20a%20b%20c') },
      { name: 'logins', run: storm },
      { name: 'sweep', run: () => sleep(12_000) },
      { name: 'reload', run: reload(tenants, `top:${used}`) },
      { name: 'fleet', prepare: share, run: () => sleep(2_000) },
      { name: 'scrape-all', prepare: reload(tenants, 'all'), run: fetch('/metrics') },
      { name: 'reload-many', prepare: reload(many, 'top:50'), run: reload(many, 'top:50') },
      { name: 'status-many', run: fetch('/api/v1/status') },
      { name: 'scrape-many', run: fetch('/metrics') },
    ]
    say(
      `\n${'what'.padEnd(16)}${['least ms', 'median', 'most', '2nd', 'wall', 'ping ms', 'young', 'full', 'RSS MiB'].map((t) => t.padStart(9)).join('')}   CPU of the longest turn: least, median and most of ${rounds}`,
    )
    for (const { name, prepare, run } of things) {
      if (only !== undefined && !only.has(name)) continue
      await prepare?.()
      const [cpu, second, wall, pings]: [number[], number[], number[], number[]] = [[], [], [], []]
      const pauses: Record<string, number> = {}
      let rss = 0
      for (let round = 0; round < rounds; round++) {
        await sleep(300)
        const pinger = new Pinger(pingClient)
        await askProbe(probe)
        await run()
        await sleep(100)
        const turns = await askProbe(probe)
        pinger.stop()
        await sleep(20)
        cpu.push(turns.longest[0]!.cpu)
        second.push(turns.longest[1]!.cpu)
        wall.push(turns.longest[0]!.wall)
        pings.push(pinger.longestMs)
        for (const [kind, ms] of Object.entries(turns.pauses)) pauses[kind] = Math.max(pauses[kind] ?? 0, ms)
        rss = turns.rss
      }
      const cells = [
        Math.min(...cpu),
        quantile(cpu, 0.5),
        Math.max(...cpu),
        quantile(second, 0.5),
        quantile(wall, 0.5),
        quantile(pings, 0.5),
        pauses['young'] ?? 0,
        Math.max(pauses['full'] ?? 0, pauses['incremental'] ?? 0),
        rss / 2 ** 20,
      ]
      say(`${name.padEnd(16)}${cells.map((ms) => ms.toFixed(1).padStart(9)).join('')}`)
    }
    clearInterval(sharing)
    load.stop()
  } finally {
    for (const client of clients) client.close()
    for (const proxy of proxies) await proxy.stop()
    await topology.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  process.exit(0)
}

await main()
