/**
 * `regis verify`: writes and reads through running proxies with keys of its own, and checks each promise read by read.
 * ~ timers; sockets through peer.ts. What is checked, and how: counter-checks.ts and linearizable.ts.
 *
 *   per proxy:  a writer of pairs (a, then b) of rising numbers          readers, all of them
 *   all proxies: a register with unique values, written and read by everybody, one key after the other
 *
 * The levels take turns of a second or two, so that a fault of some seconds meets each, and the proxies' counters can be
 * read in between. Keys carry a time to live and are deleted at the end.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { metricsPage } from './admin-page.ts'
import { CounterChecks, Timeline } from './counter-checks.ts'
import { minus, noReads, plus, type ReadSources, readsBySource } from './counts.ts'
import { checkRegister, type Operation, type Verdict } from './linearizable.ts'
import { type Outcome, Peer, type Target } from './peer.ts'
import { Violations } from './violations.ts'

export const levels = ['session', 'bounded', 'strong', 'eventual'] as const
export type LevelName = (typeof levels)[number]

export interface ProbeOptions {
  readonly targets: readonly Target[]
  readonly durationMs: number
  /** Reads a second at each proxy, about. */
  readonly readsPerSecond: number
}

export interface LevelCount {
  reads: number
  refused: number
  /** Undefined: an admin address is not given, or does not answer. */
  sources: ReadSources | undefined
  /** Ms, one a read. */
  readonly stalenessMs: number[]
}

export interface Probe {
  readonly violations: Violations
  readonly levels: Readonly<Record<LevelName, LevelCount>>
  readonly writes: { acknowledged: number; uncertain: number; notExecuted: number }
  /** Keys whose last acknowledged write is not there at the end: lost in a failover, or worse. */
  lostKeys: number
  readonly registers: Record<Verdict, number>
  /** Ms; undefined: the tenant has none, or the proxies differ. */
  boundMs: number | undefined
  /** Tokens that were handed from one proxy to another; undefined: the proxies know none. */
  tokens: number | undefined
}

const pairsPerTarget = 4
const readersPerTarget = 3
const pipelineReads = 4
const writePauseMs = 10
const registerOperations = 60
const clientsPerRegister = 2

interface Pair {
  readonly a: Timeline
  readonly b: Timeline
  readonly target: Target
}

export class Prober {
  private readonly options: ProbeOptions
  private readonly prefix = `regis-verify:${randomBytes(8).toString('hex')}:`
  private readonly ttlSeconds: number
  private readonly checks = new CounterChecks(new Violations())
  private readonly pairs: readonly Pair[]
  private readonly writers: readonly Peer[]
  private readonly readers: readonly Peer[]
  private readonly registrars: readonly Peer[]
  private readonly probe: Probe
  private tenant = ''
  private readonly regions = new Map<Target, string>()
  private level: LevelName = 'session'
  private isOver = false
  private isPaused = false
  private running = 0
  private register = { key: '', history: [] as Operation[], open: 0, wanted: 0 }
  private registerCount = 0

  constructor(options: ProbeOptions) {
    this.options = options
    this.ttlSeconds = Math.ceil(options.durationMs / 1000) + 60
    const { targets } = options
    this.pairs = targets.flatMap((target, t) =>
      Array.from({ length: pairsPerTarget }, (_, i) => ({
        a: new Timeline(`${this.prefix}${t}:${i}:a`),
        b: new Timeline(`${this.prefix}${t}:${i}:b`),
        target,
      })),
    )
    const peers = (count: number) => targets.flatMap((target) => Array.from({ length: count }, () => new Peer(target)))
    this.writers = peers(1)
    this.readers = peers(readersPerTarget)
    this.registrars = peers(clientsPerRegister)
    this.probe = {
      violations: this.checks.violations,
      levels: Object.fromEntries(
        levels.map((level) => [level, { reads: 0, refused: 0, sources: undefined, stalenessMs: [] }]),
      ) as unknown as Record<LevelName, LevelCount>,
      writes: { acknowledged: 0, uncertain: 0, notExecuted: 0 },
      lostKeys: 0,
      registers: { linearizable: 0, broken: 0, unknown: 0 },
      boundMs: undefined,
      tokens: undefined,
    }
  }

  /** Rejects when a proxy cannot be reached or refuses the login at the start; later losses are part of what is measured. */
  async run(): Promise<Probe> {
    const all = [...this.writers, ...this.readers, ...this.registrars]
    try {
      await Promise.all(all.map((peer) => peer.open()))
      await this.askWhoWeAre()
      await Promise.all(this.registrars.map((peer) => peer.setLevel('strong')))
      const endsAt = performance.now() + this.options.durationMs
      const work = [
        ...this.writers.map((peer, t) => this.write(peer, t)),
        ...this.readers.map((peer, i) => this.read(peer, i)),
        ...this.registrars.map((peer) => this.useRegister(peer)),
      ]
      const sliceMs = Math.min(2_000, Math.max(200, this.options.durationMs / 12))
      for (let turn = 0; performance.now() < endsAt; turn++) {
        await this.takeTurn(levels[turn % levels.length]!, Math.min(sliceMs, endsAt - performance.now()))
      }
      this.isOver = true
      await Promise.all(work)
      this.judgeRegister()
      await this.lookAtTheEnd()
      return this.probe
    } finally {
      this.isOver = true
      for (const peer of all) peer.close()
    }
  }

  private async askWhoWeAre(): Promise<void> {
    const bounds = new Set<number | null>()
    for (const peer of this.writers) {
      await peer.setLevel('bounded')
      const outcome = await peer.call('PROXY', 'WHOAMI')
      await peer.setLevel('session')
      if (outcome.fate !== 'ok' || !Array.isArray(outcome.reply))
        throw new Error(`${peer.target.name} does not answer PROXY WHOAMI: is it Regis?`)
      const facts = new Map<unknown, unknown>()
      for (let i = 0; i < outcome.reply.length; i += 2) facts.set(outcome.reply[i], outcome.reply[i + 1])
      if (facts.get('tenant') == null) throw new Error('this user has no keyspace: verify needs a tenant to log in as')
      this.tenant = String(facts.get('tenant'))
      this.regions.set(peer.target, String(facts.get('region')))
      bounds.add(facts.get('max_staleness_ms') as number | null)
    }
    const [bound] = bounds
    this.probe.boundMs = bounds.size === 1 && typeof bound === 'number' ? bound : undefined
  }

  /** One level for a while, with the proxies' own counts around it. Nobody reads while they are taken. */
  private async takeTurn(level: LevelName, ms: number): Promise<void> {
    this.isPaused = true
    while (this.running > 0) await sleep(1)
    await Promise.all(this.readers.map((peer) => peer.setLevel(level)))
    this.level = level
    const before = await this.sources()
    this.isPaused = false
    await sleep(ms)
    this.isPaused = true
    while (this.running > 0) await sleep(1)
    const after = await this.sources()
    const count = this.probe.levels[level]
    if (before !== undefined && after !== undefined)
      count.sources = plus(count.sources ?? noReads, minus(after, before))
    this.isPaused = false
  }

  private async sources(): Promise<ReadSources | undefined> {
    let sum = noReads
    for (const target of this.options.targets) {
      const page = await metricsPage(target)
      if (page === undefined) return undefined
      sum = plus(sum, readsBySource(page, this.tenant, this.regions.get(target)!))
    }
    return sum
  }

  // ---- counters: one writer a proxy ----

  private async write(peer: Peer, t: number): Promise<void> {
    const pairs = this.pairs.slice(t * pairsPerTarget, (t + 1) * pairsPerTarget)
    for (let turn = 0; !this.isOver; turn++) {
      const pair = pairs[turn % pairs.length]!
      // A number of `b` is written only when the same number of `a` was acknowledged.
      if (await this.writeNext(peer, pair.a)) {
        while (pair.b.sent < pair.a.acked - 1) pair.b.refuse(pair.b.next())
        await this.writeNext(peer, pair.b)
      }
      if (turn % 50 === 49) await this.passToken(peer, pair)
      await sleep(writePauseMs)
    }
  }

  private async writeNext(peer: Peer, line: Timeline): Promise<boolean> {
    const seq = line.next()
    const outcome = await peer.call('SET', line.key, seq, 'EX', this.ttlSeconds)
    const { writes } = this.probe
    if (outcome.fate === 'ok') {
      line.ack(seq, performance.now())
      writes.acknowledged++
    } else {
      if (outcome.fate === 'notExecuted') line.refuse(seq)
      writes[outcome.fate]++
    }
    return outcome.fate === 'ok'
  }

  /** What a token covers is seen by whoever hands it in, through another proxy too. */
  private async passToken(writer: Peer, pair: Pair): Promise<void> {
    const others = this.options.targets.filter((target) => target !== writer.target)
    const target = others[Math.floor(Math.random() * others.length)] ?? writer.target
    const token = await writer.call('PROXY', 'TOKEN')
    if (token.fate !== 'ok' || typeof token.reply !== 'string') return
    const floors = [pair.a.acked, pair.b.acked] as const
    const reader = new Peer(target)
    try {
      const taken = await reader.call('PROXY', 'AFTER', token.reply)
      if (taken.fate !== 'ok') return
      const read = await reader.call('MGET', pair.a.key, pair.b.key)
      if (read.fate !== 'ok' || !Array.isArray(read.reply)) return
      const [a, b] = read.reply.map(toNumber)
      this.checks.readYourWrites(pair.a, a!, floors[0])
      this.checks.readYourWrites(pair.b, b!, floors[1])
      this.probe.tokens = (this.probe.tokens ?? 0) + 1
    } finally {
      reader.close()
    }
  }

  // ---- readers ----

  private async read(peer: Peer, index: number): Promise<void> {
    const perRound = 2 * pipelineReads
    const pauseMs = (1000 * perRound * readersPerTarget) / this.options.readsPerSecond
    for (let turn = index; !this.isOver; turn++) {
      if (!this.isPaused) {
        this.running++
        await this.readRound(peer, turn)
        this.running--
      }
      await sleep(this.isPaused ? 1 : pauseMs)
    }
  }

  /** Some pairs by MGET and some by GETs of one pipeline, those of this proxy and of others. */
  private async readRound(peer: Peer, turn: number): Promise<void> {
    const { level } = this
    const { seen } = peer
    const picked = Array.from({ length: pipelineReads }, (_, i) => this.pairs[(turn * 5 + i * 3) % this.pairs.length]!)
    const sentAtMs = performance.now()
    const floors = picked.map(({ a, b }) => [a.acked, b.acked] as const)
    const replies = await Promise.all(
      picked.map(async ({ a, b }, i): Promise<Outcome[]> => {
        if (i % 2 === 0) return [await peer.call('MGET', a.key, b.key)]
        return Promise.all([peer.call('GET', a.key), peer.call('GET', b.key)])
      }),
    )
    // Other commands may have gone over a new connection; then what was seen before binds nobody.
    const isSame = peer.seen === seen
    for (const [i, outcomes] of replies.entries()) {
      const pair = picked[i]!
      const count = this.probe.levels[level]
      if (outcomes.some(({ fate }) => fate !== 'ok')) {
        count.refused++
        continue
      }
      const values = outcomes.flatMap((outcome) => {
        const reply = outcome.fate === 'ok' ? outcome.reply : null
        return Array.isArray(reply) ? reply.map(toNumber) : [toNumber(reply)]
      })
      for (const [j, line] of [pair.a, pair.b].entries()) {
        const value = values[j]!
        count.reads++
        count.stalenessMs.push(line.stalenessMs(value, sentAtMs))
        this.checks.known(line, value)
        const floor = floors[i]![j as 0 | 1]
        if (level === 'strong') this.checks.strong(line, value, floor)
        if (level === 'bounded' && this.probe.boundMs !== undefined)
          this.checks.bounded(line, value, sentAtMs, this.probe.boundMs)
        if (level === 'session' && pair.target === peer.target) this.checks.readYourWrites(line, value, floor)
        // What was seen at a weaker level binds the session reads behind it too.
        if (level === 'session' || level === 'strong') {
          if (isSame) this.checks.monotonicReads(line, value, seen)
        } else seen.set(line.key, Math.max(value, seen.get(line.key) ?? 0))
      }
      // One MGET is answered by one node at one moment.
      if (outcomes.length === 1) this.checks.monotonicWrites(pair.a, values[0]!, pair.b, values[1]!)
    }
  }

  // ---- a register of everybody ----

  private async useRegister(peer: Peer): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      const { register } = this
      // Its reads are strong ones: with the other strong reads, so that they count as such.
      if (this.isPaused || this.level !== 'strong') {
        await sleep(5)
        continue
      }
      if (register.wanted === 0) {
        if (register.open > 0) {
          await sleep(2)
          continue
        }
        this.judgeRegister()
        this.register = {
          key: `${this.prefix}r:${this.registerCount++}`,
          history: [],
          open: 0,
          wanted: registerOperations,
        }
        continue
      }
      register.wanted--
      register.open++
      const kind = Math.random() < 0.5 ? 'read' : 'write'
      const written = `${turn}:${randomBytes(6).toString('hex')}`
      this.running++
      const calledAt = performance.now()
      const outcome =
        kind === 'read'
          ? await peer.call('GET', register.key)
          : await peer.call('SET', register.key, written, 'EX', this.ttlSeconds)
      const value = kind === 'write' ? written : outcome.fate === 'ok' ? (outcome.reply as string | null) : null
      register.history.push({ kind, value, calledAt, returnedAt: performance.now(), outcome: outcome.fate })
      register.open--
      this.running--
      await sleep(Math.random() * 10)
    }
  }

  private judgeRegister(): void {
    const { key, history } = this.register
    if (history.length === 0) return
    const verdict = checkRegister(history)
    this.probe.registers[verdict]++
    const { violations } = this.checks
    violations.checked['strong reads'] += history.length
    if (verdict === 'broken')
      violations.add('strong reads', () => `no order explains the ${history.length} commands on ${key}`)
  }

  // ---- the end ----

  /** Is the newest acknowledged write of each key there? Then the keys go. */
  private async lookAtTheEnd(): Promise<void> {
    const peer = this.writers[0]!
    await peer.setLevel('strong')
    for (const { a, b } of this.pairs) {
      for (const line of [a, b]) {
        const outcome = await peer.call('GET', line.key)
        if (outcome.fate === 'ok' && toNumber(outcome.reply) < line.acked) this.probe.lostKeys++
      }
    }
    const registers = Array.from({ length: this.registerCount }, (_, i) => `${this.prefix}r:${i}`)
    const keys = [...this.pairs.flatMap(({ a, b }) => [a.key, b.key]), ...registers]
    for (let i = 0; i < keys.length; i += 100) await peer.call('DEL', ...keys.slice(i, i + 100))
  }
}

/** A missing key counts as 0. */
function toNumber(reply: unknown): number {
  return reply === null ? 0 : Number(reply)
}
