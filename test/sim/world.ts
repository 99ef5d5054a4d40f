/**
 * One run of the simulation from one seed: servers in three regions, proxies that are the real RegisProxy with its real
 * tracker, lanes, sessions and request path, clients, faults, and the checks of src/verify/ as invariants.
 *
 *   clients -> FakeClient -> RegisProxy (real) -> FakeSocket, NodeLink -> Network -> SimRedis -> stream -> SimRedis
 *
 * `loadSim` takes the texts of files with a planted bug, which run in the same world.
 */
import path from 'node:path'
import { transformSync } from '@swc/core'
import type { Config } from '../../src/config/config.ts'
import type { RegisProxy } from '../../src/proxy.ts'
import { isTotalPossible, outOfOrder } from '../../src/verify/accounting.ts'
import { CounterChecks, Timeline } from '../../src/verify/counter-checks.ts'
import { checkRegister, type Operation } from '../../src/verify/linearizable.ts'
import { Violations } from '../../src/verify/violations.ts'
import { randomFrom } from '../kit/exchange.ts'
import { SimClient, type SimReply } from './client.ts'
import { Faults } from './faults.ts'
import { Network } from './network.ts'
import { type Readers, simNodeLink } from './node-link.ts'
import { SimRedis } from './redis.ts'
import { Process, SimTime } from './time.ts'

export interface SimModules {
  readonly proxy: { RegisProxy: typeof RegisProxy }
  readonly config: { parseConfig(text: string, options: object): { config?: Config; errors: readonly unknown[] } }
  readonly log: { silentLog: never }
  readonly info: Readers
}

export interface SimResult {
  readonly seed: number
  readonly violations: Violations
  /** The same for every run of a seed. */
  readonly trace: string
  readonly happened: ReadonlyMap<string, number>
  readonly commands: number
  readonly turns: number
}

/** What link a proxy's tracker opens: looked up at the call, for the module is mocked once for all runs. */
let network: Network | undefined
let readers: Readers | undefined
const upstreamTimeoutMs = 400

const src = path.join(__dirname, '../../src')

/**
 * The modules of src/, with what cannot be simulated replaced: node links by ours, the page of metrics by none. `changed`:
 * texts of files, by their path below src/, with a planted bug.
 */
export function loadSim(changed: ReadonlyMap<string, string> = new Map()): SimModules {
  let modules: SimModules | undefined
  jest.isolateModules(() => {
    jest.doMock(path.join(src, 'regions/node-link.ts'), () => ({
      openNodeLink: (address: never, channel: string, events: never) =>
        simNodeLink(network!, readers!, upstreamTimeoutMs, address, channel, events),
    }))
    jest.doMock(path.join(src, 'metrics/registry.ts'), () => ({ Metrics: class {} }))
    // A run has some hundred commands, and lives for milliseconds: buffers for millions are most of its cost.
    const limits = path.join(src, 'base/limits.ts')
    jest.doMock(limits, () => ({
      ...jest.requireActual<object>(limits),
      arenaHalfBytes: 128 * 1024,
      clientReadBytes: 16 * 1024,
      clientFrontBytes: 16 * 1024,
      laneCommandsMax: 4_096,
    }))
    // Building the table of commands takes longer than a short run; no run changes it.
    const lookup = path.join(src, 'commands/lookup.ts')
    jest.doMock(lookup, () => {
      const real = jest.requireActual<Record<string, unknown> & { buildCommandTable(): unknown }>(lookup)
      let table: unknown
      return { ...real, buildCommandTable: () => (table ??= real.buildCommandTable()) }
    })
    for (const [file, text] of changed) jest.doMock(path.join(src, file), () => evaluate(path.join(src, file), text))
    modules = {
      proxy: require(path.join(src, 'proxy.ts')),
      config: require(path.join(src, 'config/load.ts')),
      log: require(path.join(src, 'base/log.ts')),
      info: require(path.join(src, 'regions/info.ts')),
    }
    for (const file of changed.keys()) jest.dontMock(path.join(src, file))
  })
  return modules!
}

const regions = ['eu', 'us', 'ap'] as const
const boundMs = 150
const keysPerProxy = 3
const registers = 2
/** Of load and faults, from the start. */
export const simulatedMs = 2_000
const healMs = 1_000

/** A module from a text instead of its file. */
function evaluate(file: string, text: string): unknown {
  const { code } = transformSync(text, {
    filename: file,
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    module: { type: 'commonjs' },
  })
  const module = { exports: {} }
  const near = (name: string): unknown => require(name.startsWith('.') ? path.join(path.dirname(file), name) : name)
  new Function('require', 'module', 'exports', code)(near, module, module.exports)
  return module.exports
}

/** Every seed has the same few files. */
const configs = new Map<string, Config>()
function configOf(modules: SimModules, text: string): Config {
  const known = configs.get(text)
  if (known !== undefined) return known
  const { config, errors } = modules.config.parseConfig(text, { file: 'sim.yaml', env: {} })
  if (config === undefined) throw new Error(JSON.stringify(errors))
  configs.set(text, config)
  return config
}

export interface SimOptions {
  /** Which faults may come; all by default. */
  readonly faults?: readonly string[]
}

/** One place of a proxy: after a restart another process with another RegisProxy. */
export interface SimProxy {
  readonly region: string
  process: Process
  proxy: RegisProxy
  /** How often it was started. */
  started: number
  /** By key: what was acknowledged before this process was started. */
  readonly forgotten: Map<Timeline, number>
  readonly clients: SimClient[]
}

export class World {
  readonly time: SimTime
  readonly network: Network
  readonly servers: SimRedis[] = []
  readonly proxies: SimProxy[] = []
  readonly happened = new Map<string, number>()
  readonly checks = new CounterChecks(new Violations())
  private readonly modules: SimModules
  private readonly lines: Timeline[][] = []
  private readonly totals = { acknowledged: 0, uncertain: 0 }
  private readonly appended: { sent: number; acked: number[]; refused: Set<number> } = {
    sent: 0,
    acked: [],
    refused: new Set(),
  }
  private readonly histories: Operation[][] = Array.from({ length: registers }, () => [])
  private isOver = false
  private commands = 0
  private unique = 0
  private readonly seed: number
  /** Of the load. */
  readonly endsAtMs: number

  constructor(seed: number, modules: SimModules, options: SimOptions = {}) {
    this.seed = seed
    this.modules = modules
    this.time = new SimTime(randomFrom(seed))
    this.endsAtMs = this.time.nowMs + simulatedMs
    this.network = new Network(this.time)
    network = this.network
    readers = modules.info
    const note = (what: string) => this.note(what)
    const far = this.time.pick([2, 20, 60])
    regions.forEach((region, i) => {
      this.servers.push(new SimRedis(region, 7_001 + i, this.network, note))
      regions.forEach((other, j) => {
        if (i !== j) this.network.rttMs.set(`${region}>${other}`, far * (1 + this.time.random()))
      })
    })
    for (const replica of this.servers.slice(1)) replica.follow(this.servers[0]!)
    const count = this.time.pick([1, 1, 1, 2, 3])
    const homes = ['us', 'ap', 'eu'].slice(0, count)
    const restore = this.network.replaceConnect()
    for (const region of homes) this.addProxy(region)
    restore()
    new Faults(this, options.faults).start()
  }

  note(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1)
    this.time.note(what)
  }

  get primary(): SimRedis {
    return this.servers.find(({ master }) => master === undefined)!
  }

  private addProxy(region: string): void {
    const process = new Process(`proxy-${region}`)
    this.network.homes.set(process, `at-${region}`)
    for (const other of regions) {
      const rtt = region === other ? 0.4 : this.network.rttMs.get(`${region}>${other}`)!
      this.network.rttMs.set(`at-${region}>${other}`, rtt)
    }
    const proxy = this.time.within(process, () => this.buildProxy(region))
    const lines = Array.from({ length: keysPerProxy }, (_, i) => new Timeline(`${region}:${i}`))
    const forgotten = new Map(lines.map((line) => [line, 0]))
    this.proxies.push({ process, region, proxy, started: 1, forgotten, clients: [] })
    this.lines.push(lines)
  }

  /** SIGKILL, and another process at once in its place. What the old one has sent is still on its way. */
  restartProxy(place: SimProxy): void {
    const old = place.process
    old.isDead = true
    for (const server of this.servers)
      for (const conn of server.conns.values()) if (conn.process === old) conn.abandon()
    place.process = new Process(old.name)
    this.network.homes.set(place.process, `at-${place.region}`)
    place.started++
    this.time.process = place.process
    place.proxy = this.buildProxy(place.region)
    this.time.process = undefined
    for (const client of place.clients) client.lost()
    // With what was answered just before, and is known to the clients now.
    for (const line of place.forgotten.keys()) place.forgotten.set(line, line.acked)
  }

  private buildProxy(region: string): RegisProxy {
    const distances = regions.filter((other) => other !== region)
    const text = JSON.stringify({
      region,
      primary: 'eu',
      upstream: { timeout: `${upstreamTimeoutMs}ms`, acl: 'off' },
      regions: Object.fromEntries(
        this.servers.map(({ name, port }) => [
          name,
          {
            nodes: [`redis://127.0.0.1:${port}`],
            ...(name === region ? { distance: Object.fromEntries(distances.map((other) => [other, '40ms'])) } : {}),
          },
        ]),
      ),
      routing: { max_staleness: `${boundMs}ms` },
      tenants: { shop: { consistency: 'session', users: { default: { nopass: true } } } },
    })
    const config = configOf(this.modules, text)
    // Routing's ceiling would make every level bounded; only bounded reads are to have a bound.
    const routing = { ...config.routing, maxStalenessIsCeiling: false }
    const proxy = new this.modules.proxy.RegisProxy({
      config: { ...config, routing },
      log: this.modules.log.silentLog,
      version: 'sim',
    })
    const parts = proxy as unknown as { tick(): void }
    proxy.pool.start()
    void proxy.tracker.start()
    setInterval(() => parts.tick(), 50)
    return proxy
  }

  // ---- the run ----

  run(): SimResult {
    const restore = this.network.replaceConnect()
    try {
      this.proxies.forEach((_, p) => {
        this.startClients(p)
      })
      this.time.after(simulatedMs, () => this.over(), undefined)
      this.time.runUntil(this.time.nowMs + simulatedMs + healMs)
    } finally {
      restore()
    }
    this.judge()
    return {
      seed: this.seed,
      violations: this.checks.violations,
      trace: this.time.trace,
      happened: this.happened,
      commands: this.commands,
      turns: this.time.turns,
    }
  }

  private over(): void {
    this.isOver = true
  }

  get isEnding(): boolean {
    return this.isOver
  }

  private startClients(p: number): void {
    const client = (level: string): SimClient => {
      const one = new SimClient(this.time, this.proxies[p]!, level)
      this.proxies[p]!.clients.push(one)
      return one
    }
    for (const _ of [0, 1]) this.loop(client('session'), (c) => this.readSession(c, p))
    this.loop(client('bounded'), (c) => this.readBounded(c))
    this.loop(client('eventual'), (c) => this.readEventual(c))
    this.loop(client('session'), (c) => this.write(c, p))
    if (p === 0) this.loop(client('session'), (c) => this.appendOne(c))
    this.loop(client('session'), (c) => this.count(c))
    this.loop(client('strong'), (c) => this.useRegister(c))
    this.loop(client('strong'), (c) => this.readStrong(c))
  }

  /** One after the other with a pause in between; `step` calls back when its replies have come. */
  private loop(client: SimClient, step: (client: SimClient) => void): void {
    const again = (): void => {
      if (this.isOver) return
      client.whenDone = () =>
        void this.time.after(this.time.random() < 0.1 ? this.time.between(0, 80) : this.time.between(0, 6), again)
      step(client)
    }
    this.time.after(this.time.between(50, 200), again)
  }

  private send(client: SimClient, commands: string[][], then: (replies: SimReply[]) => void): void {
    this.commands += commands.length
    client.send(commands, (replies) => {
      for (const reply of replies)
        if (reply.fate !== 'ok')
          this.note(reply.fate === 'uncertain' ? 'a reply was uncertain' : 'a command was refused')
      then(replies)
    })
  }

  private allLines(): Timeline[] {
    return this.lines.flat()
  }

  private value(reply: SimReply): number {
    return reply.text === null ? 0 : Number(reply.text)
  }

  private readSession(client: SimClient, p: number): void {
    const picked = Array.from({ length: 1 + Math.floor(this.time.random() * 3) }, () => this.time.pick(this.allLines()))
    const floors = picked.map((line) => line.acked)
    const { seen } = client
    const proxy = this.proxies[p]!
    const { started } = proxy
    this.send(
      client,
      picked.map((line) => ['GET', line.key]),
      (replies) =>
        replies.forEach((reply, i) => {
          if (reply.fate !== 'ok' || proxy.started !== started) return
          const line = picked[i]!
          const value = this.value(reply)
          this.time.note(`${line.key}=${value}`)
          this.checks.known(line, value)
          // What was acknowledged by a process that is gone binds nobody.
          if (this.lines[p]!.includes(line) && floors[i]! > proxy.forgotten.get(line)!)
            this.checks.readYourWrites(line, value, floors[i]!)
          if (seen === client.seen) this.checks.monotonicReads(line, value, seen)
          if (line.stalenessMs(value, this.time.nowMs) > 0) this.note('a session read of something old')
        }),
    )
  }

  private readBounded(client: SimClient): void {
    const line = this.time.pick(this.allLines())
    const sentAtMs = this.time.nowMs
    this.send(client, [['GET', line.key]], ([reply]) => {
      if (reply!.fate !== 'ok') return
      const value = this.value(reply!)
      this.checks.known(line, value)
      this.checks.bounded(line, value, sentAtMs, boundMs)
      if (line.stalenessMs(value, sentAtMs) > boundMs / 2) this.note('a bounded read near its bound')
    })
  }

  private readEventual(client: SimClient): void {
    const line = this.time.pick(this.allLines())
    const sentAtMs = this.time.nowMs
    this.send(client, [['GET', line.key]], ([reply]) => {
      if (reply!.fate !== 'ok') return
      const value = this.value(reply!)
      this.checks.known(line, value)
      if (line.stalenessMs(value, sentAtMs) > boundMs) this.note('an eventual read older than the bound')
    })
  }

  private readStrong(client: SimClient): void {
    const line = this.time.pick(this.allLines())
    const floor = line.acked
    this.send(client, [['GET', line.key]], ([reply]) => {
      if (reply!.fate !== 'ok') return
      this.checks.known(line, this.value(reply!))
      this.checks.strong(line, this.value(reply!), floor)
    })
  }

  /** Alone, or pipelined with others, and now and then with reads behind them. */
  private write(client: SimClient, p: number): void {
    const picked = this.lines[p]!.slice(0, 1 + Math.floor(this.time.random() * keysPerProxy))
    const seqs = picked.map((line) => line.next())
    const set = (line: Timeline, seq: number) =>
      this.time.random() < 0.2 ? ['SETEX', line.key, '60', String(seq)] : ['SET', line.key, String(seq)]
    const readsToo = this.time.random() < 0.3
    const commands = picked.map((line, i) => set(line, seqs[i]!))
    if (readsToo) commands.push(...picked.map((line) => ['GET', line.key]))
    this.send(client, commands, (replies) => {
      picked.forEach((line, i) => {
        const [written, read] = [replies[i]!, replies[picked.length + i]]
        if (written.fate === 'ok') line.ack(seqs[i]!, this.time.nowMs)
        else if (written.fate === 'notExecuted') line.refuse(seqs[i]!)
        if (read?.fate === 'ok' && written.fate === 'ok') this.checks.readYourWrites(line, this.value(read), seqs[i]!)
      })
    })
  }

  private appendOne(client: SimClient): void {
    const { appended } = this
    const id = ++appended.sent
    this.send(client, [['APPEND', 'list', `${id},`]], ([reply]) => {
      if (reply!.fate === 'ok') appended.acked.push(id)
      else if (reply!.fate === 'notExecuted') appended.refused.add(id)
    })
  }

  private count(client: SimClient): void {
    this.send(client, [['INCR', 'total']], ([reply]) => {
      if (reply!.fate === 'ok') this.totals.acknowledged++
      else if (reply!.fate === 'uncertain') this.totals.uncertain++
    })
  }

  private useRegister(client: SimClient): void {
    const r = Math.floor(this.time.random() * registers)
    const kind = this.time.random() < 0.5 ? 'read' : 'write'
    const written = `v${this.unique++}`
    const calledAt = this.time.nowMs
    this.send(client, [kind === 'read' ? ['GET', `r${r}`] : ['SET', `r${r}`, written]], ([reply]) => {
      const value = kind === 'write' ? written : reply!.text
      this.histories[r]!.push({ kind, value, calledAt, returnedAt: this.time.nowMs, outcome: reply!.fate })
    })
  }

  // ---- the end ----

  private judge(): void {
    const { violations } = this.checks
    for (const history of this.histories) {
      violations.checked['strong reads'] += history.length
      const verdict = checkRegister(history)
      if (verdict === 'broken')
        violations.add('strong reads', () => `no order explains a history of ${history.length} commands`)
      if (verdict === 'unknown') this.note('a history was not judged')
    }
    violations.checked['monotonic writes'] += this.appended.acked.length
    const { data } = this.primary
    // Writes that were still under way at the end may be there.
    const total = Number(data.get('shop:total') ?? 0)
    if (!isTotalPossible(total, this.totals.acknowledged, this.totals.uncertain + this.proxies.length))
      violations.add('known values', () => `${total} increments, ${JSON.stringify(this.totals)} were told`)
    const list = (data.get('shop:list') ?? '').split(',').filter(Boolean).map(Number)
    const pair = outOfOrder(list)
    if (pair !== undefined) violations.add('monotonic writes', () => `${pair[1]} was appended after ${pair[0]}`)
    const there = new Set(list)
    for (const id of this.appended.acked)
      if (!there.has(id)) violations.add('known values', () => `acknowledged ${id} is not there`)
    for (const id of this.appended.refused)
      if (there.has(id)) violations.add('known values', () => `${id} was told to be not executed, and is there`)
    for (const line of this.allLines()) {
      const value = Number(data.get(`shop:${line.key}`) ?? 0)
      if (value < line.acked)
        violations.add('known values', () => `${line.key} ends as ${value}, ${line.acked} was acknowledged`)
    }
    for (const [what, counts] of this.served()) if (counts > 0) this.happened.set(what, counts)
    const { desync, foreignPrefix, uncaught } = this.tripwires()
    if (desync + foreignPrefix + uncaught > 0)
      violations.add('known values', () => `tripwires: ${JSON.stringify(this.tripwires())}`)
  }

  private tripwires(): { desync: number; foreignPrefix: number; uncaught: number } {
    const sum = { desync: 0, foreignPrefix: 0, uncaught: 0 }
    for (const { proxy } of this.proxies) {
      const { desync, foreignPrefix, uncaught } = proxy.cells.tripwires
      sum.desync += desync
      sum.foreignPrefix += foreignPrefix
      sum.uncaught += uncaught
    }
    return sum
  }

  private served(): [string, number][] {
    let [local, others] = [0, 0]
    for (const { proxy } of this.proxies)
      for (const node of proxy.tracker.nodes) {
        if (node === proxy.tracker.primary) others++
        else if (node.isLocal && node.shownSeq > 0) local++
      }
    return [
      ['a local replica is proven at the end', local],
      ['there is a primary at the end', others],
    ]
  }
}
