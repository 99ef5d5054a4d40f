/**
 * What the promises to readers cost and bring, three regions apart (delay relays; the primary in eu-west, us-east at 80 ms,
 * ap-south, where the clients are, at 180 ms of round trip): the share of reads that the replica next door serves, their
 * latency beside an eventual read's, strong reads by read index beside strong reads at the primary, and what watermarks
 * cost the primary. Everything in one run, in turns; only ratios mean anything. Usage: npm run bench:promises. ~ prints.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { guardChild } from '../src/demo/guard.ts'
import { ProxyProcess } from '../src/demo/proxy-process.ts'
import { findRedisServer } from '../src/demo/redis-finder.ts'
import { freePort } from '../src/demo/redis-server.ts'
import { Topology } from '../src/demo/topology.ts'
import { Asker } from './asker.ts'
import { cpuNs } from './cpu.ts'
import { bulk, encodeCommand, RawClient } from './raw-client.ts'
import { quantile } from './report.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', default: 'session,bounded,strong,marks,rest' },
  },
})
const rounds = Number(values.rounds)
const windowMs = Number(values.seconds) * 1000
const wanted = new Set(values.only.split(','))
const keyCount = 10_000
const users = ['eventual', 'session', 'bounded', 'strong'] as const
type Level = (typeof users)[number]
const regions = ['eu-west', 'us-east', 'ap-south']
const rttMs = { 'eu-west:us-east': 80, 'eu-west:ap-south': 180, 'us-east:ap-south': 120 }

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
const median = (list: readonly number[]): number => quantile(list, 0.5)
/** Median and quartiles. */
const told = (list: readonly number[]): string => {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(list, share).toFixed(3))
  return `${middle} (${low} to ${high})`
}
const login = (level: Level) => ({ user: `bench-${level}`, password: 'bench' })

async function startProxy(nodes: Readonly<Record<string, { nodes: string[] }>>, folder: string): Promise<ProxyProcess> {
  const file = path.join(folder, `proxy-${Object.keys(nodes).length}.yaml`)
  const config = {
    region: Object.keys(nodes).at(-1),
    primary: 'eu-west',
    regions: nodes,
    tenants: {
      bench: {
        max_staleness: '500ms',
        users: Object.fromEntries(users.map((level) => [`bench-${level}`, { password: 'bench', consistency: level }])),
      },
    },
    logging: { level: 'warn', format: 'json' },
  }
  writeFileSync(file, JSON.stringify(config))
  const [port, adminPort] = [await freePort(), await freePort()]
  return ProxyProcess.start({ file, port, adminPort, root: process.cwd() })
}

/** Sum of the series of one metric whose labels hold all of these. */
async function metric(proxy: ProxyProcess, name: string, labels: readonly string[] = []): Promise<number> {
  const { body } = await proxy.fetch('/metrics')
  let sum = 0
  for (const line of body.split('\n')) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue
    if (labels.every((label) => line.includes(label))) sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}

interface Window {
  readonly reads: number
  readonly localShare: number
  /** Of reads that the primary served. */
  readonly primaryShare: number
  readonly marks: number
  /** ms, of all reads, and of those that no other region can have answered. */
  readonly readsMs: readonly number[]
  readonly localMs: readonly number[]
  /** CPU of the primary, ns. */
  readonly primaryNs: number
}

interface Load {
  readonly proxy: ProxyProcess
  readonly level: Level
  readonly clients: number
  /** Share of writes. */
  readonly writes: number
  readonly ms: number
  /** Mean of a client's pause between two commands, exponential: arrivals that know nothing of each other. Default: none. */
  readonly pauseMs?: number
}

/** Clients that wait for each reply: reads and writes of random keys of their tenant. */
async function run(load: Load, primaryPid: number): Promise<Window> {
  const { proxy, level } = load
  const clients = await Promise.all(Array.from({ length: load.clients }, () => Asker.open(proxy.port, login(level))))
  const work = async (ms: number, readsMs: number[]): Promise<void> => {
    const endsAt = performance.now() + ms
    await Promise.all(
      clients.map(async (client) => {
        // Not all at once.
        if (load.pauseMs !== undefined) await sleep(-Math.log(1 - Math.random()) * load.pauseMs)
        while (performance.now() < endsAt) {
          const key = `key:${Math.floor(Math.random() * keyCount)}`
          const isWrite = Math.random() < load.writes
          const startedAt = performance.now()
          const reply = await client.ask(isWrite ? ['SET', key, 'x'.repeat(64)] : ['GET', key])
          if (reply[0] === 45) throw new Error(`${level}: ${reply.toString()}`)
          if (!isWrite) readsMs.push(performance.now() - startedAt)
          if (load.pauseMs !== undefined) await sleep(-Math.log(1 - Math.random()) * load.pauseMs)
        }
      }),
    )
  }
  await work(1_500, []) // warm
  const counts = async () => ({
    local: await metric(proxy, 'regis_reads_total', ['source="local"']),
    primary: await metric(proxy, 'regis_reads_total', ['source="primary"']),
    all: await metric(proxy, 'regis_reads_total'),
    marks: await metric(proxy, 'regis_marks_sent_total'),
  })
  const before = await counts()
  const cpuBefore = cpuNs(primaryPid)
  const readsMs: number[] = []
  await work(load.ms, readsMs)
  const primaryNs = cpuNs(primaryPid) - cpuBefore
  const after = await counts()
  for (const client of clients) client.close()
  return {
    reads: readsMs.length,
    localShare: (after.local - before.local) / (after.all - before.all),
    primaryShare: (after.primary - before.primary) / (after.all - before.all),
    marks: after.marks - before.marks,
    readsMs,
    localMs: readsMs.filter((ms) => ms < 60),
    primaryNs,
  }
}

/** Reads of the same 4 KiB by 200 clients that send so many at once, at whatever level: how many, and the primary's CPU, ns. */
async function runPipelined(
  proxy: ProxyProcess,
  level: Level,
  depth: number,
  primaryPid: number,
): Promise<{ readonly reads: number; readonly primaryNs: number }> {
  const { user, password } = login(level)
  const clients = await Promise.all(Array.from({ length: 200 }, (_, i) => RawClient.open(`client ${i}`, proxy.port)))
  const value = bulk(Buffer.from('x'.repeat(4096)))
  const requests = Buffer.concat(Array.from({ length: depth }, () => encodeCommand(['GET', 'key:1'])))
  const ask = async (client: RawClient, bytes: Buffer, reply: Buffer): Promise<void> => {
    client.promise(reply)
    client.write(bytes)
    await client.untilMissing(0)
  }
  await Promise.all(
    clients.map((client) => ask(client, encodeCommand(['AUTH', user, password]), Buffer.from('+OK\r\n'))),
  )
  const replies = Buffer.concat(Array.from({ length: depth }, () => value))
  let reads = 0
  const work = async (ms: number): Promise<void> => {
    const endsAt = performance.now() + ms
    await Promise.all(
      clients.map(async (client) => {
        while (performance.now() < endsAt) {
          await ask(client, requests, replies)
          reads += depth
        }
      }),
    )
  }
  await work(1_500)
  reads = 0
  const before = cpuNs(primaryPid)
  await work(windowMs)
  const primaryNs = cpuNs(primaryPid) - before
  for (const client of clients) client.close()
  return { reads, primaryNs }
}

const tool = await findRedisServer({ say: (line) => process.stderr.write(`${line}\n`) })
const folder = mkdtempSync(path.join(tmpdir(), 'regis-bench-'))
const topology = await Topology.start({ regions, rttMs, tool })
const stops: (() => Promise<unknown>)[] = []
try {
  const nodes = Object.fromEntries(regions.map((to) => [to, { nodes: [topology.url('ap-south', to)] }]))
  const proxy = await startProxy(nodes, folder)
  stops.push(() => proxy.stop())
  const primaryPid = topology.primary.pid
  const filler = await RawClient.open('filler', topology.primary.port)
  const fill = async (bytes: number): Promise<void> => {
    for (let i = 0; i < keyCount; i++) {
      filler.promise(Buffer.from('+OK\r\n'))
      filler.write(encodeCommand(['SET', `bench:key:${i}`, 'x'.repeat(bytes)]))
    }
    await filler.untilMissing(0)
    await sleep(1_000)
  }
  await fill(64)

  if (wanted.has('session')) {
    const shares: number[] = []
    const ratios: number[] = []
    for (let round = 0; round < rounds; round++) {
      const order: Level[] = round % 2 === 0 ? ['eventual', 'session'] : ['session', 'eventual']
      const found = new Map<Level, Window>()
      for (const level of order)
        found.set(level, await run({ proxy, level, clients: 20, writes: 0.1, ms: windowMs }, primaryPid))
      shares.push(found.get('session')!.localShare)
      ratios.push(median(found.get('session')!.localMs) / median(found.get('eventual')!.localMs))
    }
    say(`session, 90 % reads of ${keyCount} keys, 20 clients of one tenant: ${rounds} rounds`)
    say(`  served next door ${(median(shares) * 100).toFixed(2)} %  (goal >= 95 %)`)
    say(`  p50 of those / p50 of an eventual read ${median(ratios).toFixed(2)}  (goal <= 1.3)`)
  }

  if (wanted.has('bounded')) {
    topology.setLag('ap-south', 200) // above the way itself, 90 ms: 290 ms in all
    await sleep(1_000)
    const shares: number[] = []
    for (let round = 0; round < rounds; round++)
      shares.push(
        (await run({ proxy, level: 'bounded', clients: 20, writes: 0.1, ms: windowMs }, primaryPid)).localShare,
      )
    topology.setLag('ap-south', 0)
    await sleep(1_000)
    say(`bounded 500 ms at a lag of 290 ms: served next door ${(median(shares) * 100).toFixed(2)} %  (goal >= 99 %)`)
  }

  if (wanted.has('strong')) {
    // Another proxy in the same place that knows the primary only.
    const alone = await startProxy({ 'eu-west': { nodes: [topology.url('ap-south', 'eu-west')] } }, folder)
    stops.push(() => alone.stop())
    await fill(4096)
    // What the server spends with nobody asking (its replicas, its timers, the proxies' questions) is no read's.
    const rests: number[] = []
    for (let i = 0; i < 3; i++) {
      await sleep(i === 0 ? 6_000 : 0)
      const [startedAt, cpuBefore] = [performance.now(), cpuNs(primaryPid)]
      await sleep(windowMs)
      rests.push((cpuNs(primaryPid) - cpuBefore) / (performance.now() - startedAt))
    }
    const restNs = median(rests) * windowMs
    say(
      `strong, 4 KiB, 200 clients: by read index next door beside reading at the primary, ${rounds} rounds, medians (quartiles)`,
    )
    for (const pauseMs of [undefined, 50, 200]) {
      const [p50s, cpus, nets, marks, locals, primaries, rates, perMark, perRead]: number[][] = [
        [],
        [],
        [],
        [],
        [],
        [],
        [],
        [],
        [],
      ]
      for (let round = 0; round < rounds; round++) {
        const load = { level: 'strong', clients: 200, writes: 0, ms: windowMs } as const
        const found = new Map<ProxyProcess, Window>()
        for (const one of round % 2 === 0 ? [proxy, alone] : [alone, proxy])
          found.set(one, await run({ ...load, proxy: one, ...(pauseMs === undefined ? {} : { pauseMs }) }, primaryPid))
        const [near, far] = [found.get(proxy)!, found.get(alone)!]
        p50s!.push(median(near.readsMs) / median(far.readsMs))
        cpus!.push(near.primaryNs / near.reads / (far.primaryNs / far.reads))
        nets!.push((near.primaryNs - restNs) / near.reads / ((far.primaryNs - restNs) / far.reads))
        perMark!.push((near.primaryNs - restNs) / near.marks / 1000)
        perRead!.push((far.primaryNs - restNs) / far.reads / 1000)
        marks!.push((near.marks / windowMs) * 1000)
        rates!.push((near.reads / windowMs) * 1000)
        locals!.push(near.localShare)
        primaries!.push(near.primaryShare)
      }
      say(pauseMs === undefined ? '  no pause: in lock step' : `  random pauses of ${pauseMs} ms in the mean`)
      say(
        `    ${median(rates!).toFixed(0)} reads a second, served next door ${(median(locals!) * 100).toFixed(1)} %, by the primary ${(median(primaries!) * 100).toFixed(1)} %, ${median(marks!).toFixed(0)} watermarks a second`,
      )
      say(`    p50 ratio ${told(p50s!)}  (goal <= 1.05)`)
      say(`    CPU of the primary per read, ratio, above what it spends at rest ${told(nets!)}  (goal <= 0.3)`)
      say(`    the same, with what it spends at rest ${told(cpus!)}`)
      say(
        `    it spends ${median(perMark!).toFixed(0)} microseconds a watermark, and ${median(perRead!).toFixed(0)} a read there`,
      )
    }
    const deep: number[] = []
    for (let round = 0; round < rounds; round++) {
      const found = new Map<ProxyProcess, { readonly reads: number; readonly primaryNs: number }>()
      for (const one of round % 2 === 0 ? [proxy, alone] : [alone, proxy])
        found.set(one, await runPipelined(one, 'strong', 16, primaryPid))
      const cost = (one: ProxyProcess): number => (found.get(one)!.primaryNs - restNs) / found.get(one)!.reads
      deep.push(cost(proxy) / cost(alone))
    }
    say(`  16 reads at once by each client: CPU of the primary per read ${told(deep)}`)
    await alone.stop()
  }

  if (wanted.has('marks')) {
    // The same load straight on the primary, as much as one redis-benchmark sends, in short windows next to each other: with few marks (the heartbeat of a proxy that
    // was just used, ten a second), with as many as one far proxy ever sends, with those of two nearer ones besides, and with twenty
    // times that: what a few hundred marks cost is less than two windows differ by, of thousands it can be told, and divided.
    const windows = ['few', 'one', 'three', 'many'] as const
    type Which = (typeof windows)[number]
    await fill(64)
    // Strong reads are served next door: they bring the primary marks and nothing else.
    const readers = await Promise.all(Array.from({ length: 40 }, () => Asker.open(proxy.port, login('strong'))))
    // In a process of its own, or the relays in this one would have no turn.
    const args = ['-p', String(topology.primary.port), '-t', 'get', '-d', '64', '-c', '50', '-l', '-q']
    if (tool.redisBenchmark === undefined) throw new Error('redis-benchmark was not found beside redis-server')
    const loader = spawn(tool.redisBenchmark, args, { env: { ...process.env, ...tool.env }, stdio: 'ignore' })
    guardChild(loader)
    const publishers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => RawClient.open(`publisher ${i}`, topology.primary.port)),
    )
    /** Two proxies with writes all the time, at 80 ms: a mark every 8 ms; and next door, where none is needed behind writes: every 100 ms. */
    const publishersIn = { few: 0, one: 0, three: 1, many: 20 } as const
    const counted = async (what: 'commandstats' | 'stats', line: RegExp): Promise<number> =>
      Number(line.exec(String(await topology.primary.call('INFO', what)))?.[1] ?? 0)
    const counts = async () => ({
      commands: await counted('stats', /total_commands_processed:(\d+)/),
      marks: await counted('commandstats', /cmdstat_publish:calls=(\d+)/),
      atMs: performance.now(),
      ns: cpuNs(primaryPid),
    })
    const load = async (ms: number): Promise<{ perCommandNs: number; marks: number; perSecond: number }> => {
      const before = await counts()
      await sleep(ms)
      const after = await counts()
      const [seconds, marks] = [(after.atMs - before.atMs) / 1000, after.marks - before.marks]
      const commands = after.commands - before.commands - marks
      return { perCommandNs: (after.ns - before.ns) / commands, marks: marks / seconds, perSecond: commands / seconds }
    }
    const window = async (which: Which): Promise<Awaited<ReturnType<typeof load>>> => {
      let isOver = false
      const reading =
        which === 'few'
          ? []
          : readers.map(async (reader) => {
              // Not in step, or a few marks would do for all of them.
              while (!isOver) {
                await reader.ask(['GET', 'key:1'])
                await sleep(-Math.log(1 - Math.random()) * 50)
              }
            })
      const publishing = publishers.slice(0, publishersIn[which]).flatMap((publisher) =>
        [8, 100].map((ms) =>
          setInterval(() => {
            publisher.promise(Buffer.from(':0\r\n'))
            publisher.write(encodeCommand(['PUBLISH', 'regis:wm:bench', '12:d3:1234567']))
          }, ms),
        ),
      )
      await sleep(300)
      const found = await load(1_000)
      for (const timer of publishing) clearInterval(timer)
      isOver = true
      await Promise.all(reading)
      return found
    }
    const found = new Map<Which, Awaited<ReturnType<typeof load>>[]>(windows.map((which) => [which, []]))
    await window('few')
    const pairs = rounds * 4
    for (let pair = 0; pair < pairs; pair++)
      for (let i = 0; i < windows.length; i++) {
        const which = windows[(pair + i) % windows.length]!
        found.get(which)!.push(await window(which))
      }
    const of = (which: Which, what: 'marks' | 'perCommandNs' | 'perSecond'): number[] =>
      found.get(which)!.map((one) => one[what])
    const few = of('few', 'perCommandNs')
    say(
      `watermarks beside ${median(of('few', 'perSecond')).toFixed(0)} commands a second on the primary, ${pairs} windows of 1 s each, beside ${median(of('few', 'marks')).toFixed(0)} a second`,
    )
    const ratiosOf = (which: Which): number[] => of(which, 'perCommandNs').map((ns, i) => ns / few[i]!)
    for (const which of ['one', 'three', 'many'] as const)
      say(`  ${median(of(which, 'marks')).toFixed(0)} a second: CPU of the primary a command ${told(ratiosOf(which))}`)
    const perMark = ratiosOf('many').map((ratio, i) => (ratio - 1) / (of('many', 'marks')[i]! - of('few', 'marks')[i]!))
    const marks = median(of('three', 'marks'))
    const share = (of: number): string => `${(quantile(perMark, of) * marks * 100).toFixed(2)} %`
    say(
      `  so ${marks.toFixed(0)} a second, of three proxies, cost ${share(0.5)} (${share(0.25)} to ${share(0.75)})  (goal <= 1 %)`,
    )
    for (const publisher of publishers) publisher.close()
    for (const client of readers) client.close()
    loader.kill()
  }

  if (wanted.has('rest')) {
    await sleep(8_000)
    const published = async () =>
      Number(/cmdstat_publish:calls=(\d+)/.exec(String(await topology.primary.call('INFO', 'commandstats')))?.[1] ?? 0)
    const before = await published()
    await sleep(20_000)
    say(`at rest: ${(await published()) - before} writes of watermarks in 20 s from one proxy  (goal <= 10)`)
  }
  filler.close()
} finally {
  for (const stop of stops) await stop()
  await topology.stop()
  await rm(folder, { recursive: true, force: true })
}
