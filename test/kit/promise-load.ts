/**
 * Load whose every reply is checked against what was promised, through real proxies on real servers, while faults by a seed
 * go on. Used by test/integration/promises-*.test.ts and, for hours, by `npm run soak`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topology } from '../../src/demo/topology.ts'
import { CounterChecks, type Seen, Timeline } from '../../src/verify/counter-checks.ts'
import { checkRegister, type Operation, type Verdict } from '../../src/verify/linearizable.ts'
import { type Outcome, Peer, type Target } from '../../src/verify/peer.ts'
import { Violations } from '../../src/verify/violations.ts'
import type { StartedProxy } from './servers.ts'

export interface PromiseLoadOptions {
  readonly proxies: readonly StartedProxy[]
  readonly random: () => number
  /** Until so many were answered and checked. */
  readonly sessionReads: number
  readonly boundedReads: number
  readonly strongKeys: number
  readonly boundMs: number
  /** After this time it is given up, and the counts tell how far it came. */
  readonly timeoutMs: number
}

const linesPerProxy = 6
const readersPerLevel = 4
const pipelined = 12
const strongGroup = 50
const strongRounds = 4
const strongClients = 4

export class PromiseLoad {
  readonly checks = new CounterChecks(new Violations())
  readonly counts = { session: 0, bounded: 0, strongKeys: 0, refused: 0, writes: 0, uncertain: 0, oldReads: 0 }
  readonly verdicts: Record<Verdict, number> = { linearizable: 0, broken: 0, unknown: 0 }
  private readonly options: PromiseLoadOptions
  private readonly lines: readonly Timeline[][]
  private readonly targets: readonly Target[]
  private readonly peers: Peer[] = []
  private endsAtMs = 0
  private readersLeft = 0

  constructor(options: PromiseLoadOptions) {
    this.options = options
    this.targets = options.proxies.map(({ port }, p) => ({ name: `${p}`, host: '127.0.0.1', port, password: 'demo' }))
    this.lines = this.targets.map((_, p) =>
      Array.from({ length: linesPerProxy }, (_, i) => new Timeline(`l:${p}:${i}`)),
    )
  }

  async run(): Promise<void> {
    const { sessionReads, boundedReads, strongKeys, timeoutMs } = this.options
    this.endsAtMs = performance.now() + timeoutMs
    const readers: Promise<void>[] = []
    this.targets.forEach((target, p) => {
      for (let i = 0; i < readersPerLevel; i++) {
        if (sessionReads > 0) readers.push(this.read(target, 'session', 'shop-app', p))
        if (boundedReads > 0) readers.push(this.read(target, 'bounded', 'shop-app', p))
      }
    })
    if (strongKeys > 0) readers.push(this.useRegisters())
    this.readersLeft = readers.length
    const writers = this.targets.map((target, p) => this.write(target, p))
    try {
      await Promise.all(readers.map((reader) => reader.finally(() => this.readersLeft--)))
      await Promise.all(writers)
    } finally {
      this.readersLeft = 0
      for (const peer of this.peers) peer.close()
    }
  }

  private peer(target: Target, level: string, user = 'shop-app'): Peer {
    const peer = new Peer({ ...target, user })
    peer.level = level
    this.peers.push(peer)
    return peer
  }

  private get isOverdue(): boolean {
    return performance.now() > this.endsAtMs
  }

  private async write(target: Target, p: number): Promise<void> {
    const peer = this.peer(target, 'session')
    while (this.readersLeft > 0) {
      // Bursts and pauses, so that fences are there and reads come home between them.
      const isBusy = performance.now() % 700 < 350
      const picked = this.lines[p]!.filter(() => this.options.random() < 0.4)
      await Promise.all(
        picked.map(async (line) => {
          const seq = line.next()
          const outcome = await peer.call('SET', line.key, seq)
          if (outcome.fate === 'ok') line.ack(seq, performance.now())
          else if (outcome.fate === 'notExecuted') line.refuse(seq)
          else this.counts.uncertain++
          this.counts.writes++
        }),
      )
      await sleep(isBusy ? 4 : 40)
    }
  }

  private async read(target: Target, level: 'session' | 'bounded', user: string, p: number): Promise<void> {
    const { random, boundMs } = this.options
    const goal = level === 'session' ? this.options.sessionReads : this.options.boundedReads
    const peer = this.peer(target, level, user)
    const all = this.lines.flat()
    while (this.counts[level] < goal && !this.isOverdue) {
      const picked = Array.from(
        { length: 1 + Math.floor(random() * 2 * pipelined) },
        () => all[Math.floor(random() * all.length)]!,
      )
      const floors = picked.map((line) => line.acked)
      const seen: Seen = peer.seen
      const sentAtMs = performance.now()
      const isMany = random() < 0.3
      const outcomes: Outcome[] = isMany
        ? [await peer.call('MGET', ...picked.map(({ key }) => key))]
        : await Promise.all(picked.map(({ key }) => peer.call('GET', key)))
      const values = outcomes.flatMap((outcome): (number | undefined)[] => {
        if (outcome.fate !== 'ok') return isMany ? picked.map(() => undefined) : [undefined]
        const { reply } = outcome
        return Array.isArray(reply) ? reply.map((one) => Number(one ?? 0)) : [Number(reply ?? 0)]
      })
      picked.forEach((line, i) => {
        const value = values[i]
        if (value === undefined) {
          this.counts.refused++
          return
        }
        this.counts[level]++
        this.checks.known(line, value)
        if (line.stalenessMs(value, sentAtMs) > 0) this.counts.oldReads++
        if (level === 'bounded') this.checks.bounded(line, value, sentAtMs, boundMs)
        if (level === 'bounded') return
        if (this.lines[p]!.includes(line)) this.checks.readYourWrites(line, value, floors[i]!)
        if (peer.seen === seen) this.checks.monotonicReads(line, value, seen)
      })
      await sleep(random() < 0.02 ? 50 : 2)
    }
  }

  /** Groups of keys one after the other; some clients at once on each, through all proxies. */
  private async useRegisters(): Promise<void> {
    const peers = Array.from({ length: strongClients }, (_, i) =>
      this.peer(this.targets[i % this.targets.length]!, 'strong'),
    )
    let unique = 0
    for (let group = 0; this.counts.strongKeys < this.options.strongKeys && !this.isOverdue; group++) {
      const histories: Operation[][] = Array.from({ length: strongGroup }, () => [])
      const one = async (peer: Peer, i: number): Promise<void> => {
        const kind = this.options.random() < 0.5 ? 'read' : 'write'
        const written = `v${unique++}`
        const key = `r:${group}:${i}`
        const calledAt = performance.now()
        const outcome = await (kind === 'read' ? peer.call('GET', key) : peer.call('SET', key, written, 'EX', 60))
        const value = kind === 'write' ? written : outcome.fate === 'ok' ? (outcome.reply as string | null) : null
        histories[i]!.push({ kind, value, calledAt, returnedAt: performance.now(), outcome: outcome.fate })
      }
      await Promise.all(
        peers.map(async (peer) => {
          for (let round = 0; round < strongRounds; round++) {
            await Promise.all(histories.map((_, i) => one(peer, i)))
            await sleep(this.options.random() * 3)
          }
        }),
      )
      for (const [i, history] of histories.entries()) {
        const verdict = checkRegister(history)
        this.verdicts[verdict]++
        this.checks.violations.checked['strong reads'] += history.length
        if (verdict === 'broken')
          this.checks.violations.add('strong reads', () => `r:${group}:${i}: ${JSON.stringify(history)}`)
        this.counts.strongKeys++
      }
    }
  }
}

const lagsMs = [5_000, 300, 30]

/** Faults of real servers, drawn one after the other; each is put right before the next. Ends with everything healed. */
export class ServerFaults {
  readonly struck: string[] = []
  private readonly topology: Topology
  private readonly proxyRegions: readonly string[]
  private readonly random: () => number
  private isOver = false
  private running: Promise<void> | undefined

  constructor(topology: Topology, proxyRegions: readonly string[], random: () => number) {
    this.topology = topology
    this.proxyRegions = proxyRegions
    this.random = random
  }

  /** `names` undefined: all of them, each once in every round, in an order of the seed's. */
  start(names: readonly string[] = Object.keys(this.all)): void {
    this.running = (async () => {
      while (!this.isOver) {
        const round = [...names]
        while (round.length > 0 && !this.isOver) {
          const [name] = round.splice(Math.floor(this.random() * round.length), 1)
          this.struck.push(name!)
          await this.all[name!]!()
          await sleep(100 + this.random() * 300)
        }
      }
    })()
  }

  async stop(): Promise<void> {
    this.isOver = true
    await this.running
  }

  private get replicas(): string[] {
    return this.topology.regions.filter((region) => region !== this.topology.primaryRegion)
  }

  private pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)]!
  }

  private forAWhile(): Promise<void> {
    return sleep(200 + this.random() * 800)
  }

  private follow(region: string): Promise<void> {
    return this.topology.node(region).replicaOf('127.0.0.1', this.topology.replication(region).port)
  }

  private lags = 0
  private readonly all: Record<string, () => Promise<void>> = {
    lag: async () => {
      // Jitter: another delay every few ms, up to seconds; those that break bounds first, so that every run has them.
      const most = lagsMs[this.lags++ % lagsMs.length]!
      const endsAt = performance.now() + 1_500
      while (performance.now() < endsAt) {
        for (const region of this.replicas) this.topology.setLag(region, this.random() * most)
        await sleep(30)
      }
      for (const region of this.replicas) this.topology.setLag(region, 0)
    },
    'kill a replica': async () => {
      const region = this.pick(this.replicas)
      // What it comes back with is old by then.
      await this.topology.node(region).call('SAVE')
      await sleep(200)
      await this.topology.node(region).kill('SIGKILL')
      await this.forAWhile()
      await this.topology.restart(region)
    },
    'stop a replica': async () => {
      const region = this.pick(this.replicas)
      await this.topology.node(region).kill('SIGSTOP')
      await this.forAWhile()
      await this.topology.node(region).kill('SIGCONT')
    },
    'stop the primary': async () => {
      await this.topology.primary.kill('SIGSTOP')
      await this.forAWhile()
      await this.topology.primary.kill('SIGCONT')
    },
    'cut replication': async () => {
      const relay = this.topology.replication(this.pick(this.replicas))
      relay.partition(true)
      await this.forAWhile()
      relay.partition(false)
    },
    'reset replication': async () => {
      this.topology.replication(this.pick(this.replicas)).reset()
      await this.forAWhile()
    },
    'cut a proxy': async () => {
      const from = this.pick(this.proxyRegions)
      const relay = this.topology.link(from, this.pick(this.topology.regions.filter((region) => region !== from)))
      relay.partition(true)
      await this.forAWhile()
      relay.partition(false)
    },
    'reset a proxy': async () => {
      const from = this.pick(this.proxyRegions)
      this.topology.link(from, this.topology.primaryRegion).reset()
      await this.forAWhile()
    },
    're-attach': async () => {
      // To a sibling that lags, and back; what is chained in between is also behind.
      const [one, other] =
        this.random() < 0.5 ? [this.replicas[0]!, this.replicas[1]!] : [this.replicas[1]!, this.replicas[0]!]
      this.topology.setLag(other, 300)
      await sleep(300)
      await this.topology.node(one).replicaOf('127.0.0.1', this.topology.node(other).port)
      await this.forAWhile()
      await this.follow(one)
      this.topology.setLag(other, 0)
    },
    'full primary': async () => {
      await this.topology.primary.call('CONFIG', 'SET', 'maxmemory', '1mb')
      await this.forAWhile()
      await this.topology.primary.call('CONFIG', 'SET', 'maxmemory', '0')
    },
  }
}
