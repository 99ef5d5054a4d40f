/** Time, timers and links that a test owns. */
import type { Clock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { LinkEvents, NodeLink, ProbeRound } from '../../../src/regions/link.ts'
import type { Node, NodeAddress } from '../../../src/regions/node.ts'
import type { Timers } from '../../../src/regions/timers.ts'
import { RegionTracker, type TrackerOptions } from '../../../src/regions/tracker.ts'

export class FakeTime implements Clock, Timers {
  #now = 1_000
  #tasks: { dueAt: number; run: () => void; place: number }[] = []
  #place = 0
  /** How many timers were ever set. */
  armed = 0

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): { cancel(): void } {
    this.armed++
    return this.#put(ms, run)
  }

  soon(run: () => void): void {
    this.#put(0, run)
  }

  /** Runs what is due in the next `ms`, in order, each at its own time. */
  pass(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      this.#tasks.sort((a, b) => a.dueAt - b.dueAt || a.place - b.place)
      const next = this.#tasks[0]
      if (next === undefined || next.dueAt > end) break
      this.#tasks.shift()
      this.#now = Math.max(this.#now, next.dueAt)
      next.run()
    }
    this.#now = end
  }

  /** What is due now: the end of a turn of the event loop. */
  turn(): void {
    this.pass(0)
  }

  /** Time goes on and no timer runs: as in a long synchronous task. */
  jump(ms: number): void {
    this.#now += ms
  }

  #put(ms: number, run: () => void): { cancel(): void } {
    const task = { dueAt: this.#now + ms, run, place: this.#place++ }
    this.#tasks.push(task)
    return {
      cancel: () => {
        this.#tasks = this.#tasks.filter((other) => other !== task)
      },
    }
  }
}

export class FakeLink implements NodeLink {
  readonly address: NodeAddress
  readonly events: LinkEvents
  readonly sent: string[] = []
  probes = 0
  wantsMarks = false
  /** What COMMAND answers at once; undefined: nothing yet. */
  commands: unknown = []
  isStarted = false

  constructor(address: NodeAddress, events: LinkEvents) {
    this.address = address
    this.events = events
  }

  start(): void {
    this.isStarted = true
  }
  stop(): void {
    this.isStarted = false
  }
  probeNow(): void {
    this.probes++
  }
  asked = 0
  askCommands(): void {
    this.asked++
    if (this.commands !== undefined) this.events.commands(this.commands)
  }
  openMarks(): void {
    this.wantsMarks = true
  }
  closeMarks(): void {
    this.wantsMarks = false
  }
  sendMark(text: string): boolean {
    this.sent.push(text)
    return true
  }
}

export interface Said {
  role?: 'primary' | 'replica' | 'unknown'
  runId?: string
  replId?: string
  replId2?: string
  offset?: number
  follows?: string
  isLinkUp?: boolean
  isSyncing?: boolean
  state?: ProbeRound['state']
  rttMs?: number
  /** Default: now. */
  sentAtMs?: number
}

/** A tracker over fake links: node 0 is the primary unless said otherwise. */
export class Fleet {
  readonly time = new FakeTime()
  readonly links: FakeLink[] = []
  readonly tracker: RegionTracker
  readonly warnings: string[] = []
  /** How far the wall clock is ahead of the monotonic one. */
  wallAheadMs = 5e11
  changes = 0
  #last = new Map<number, Said>()

  constructor(regions: readonly string[], region: string, options: Partial<TrackerOptions> = {}) {
    const addresses = regions.map((name, i) => ({
      name: `${name}-${i}:6379`,
      region: name,
      host: `${name}-${i}`,
      port: 6379,
      tls: false,
    }))
    const keep = (...args: unknown[]): void => {
      this.warnings.push(String(args.at(-1)))
    }
    this.tracker = new RegionTracker({
      addresses,
      region,
      timeoutMs: 2_000,
      log: { info: silentLog.info, warn: keep, error: keep },
      clock: this.time,
      timers: this.time,
      wallClock: () => this.time.now() + this.wallAheadMs,
      openLink: (address, _channel, events) => {
        const link = new FakeLink(address, events)
        this.links.push(link)
        return link
      },
      ...options,
    })
    this.tracker.onChange(() => {
      this.changes++
    })
    void this.tracker.start()
  }

  node(index: number): Node {
    return this.tracker.nodes[index]!
  }

  /** The node answers; what is not said is as it was, at first a healthy replica of node 0 (or node 0 itself). */
  answer(index: number, said: Said = {}): void {
    const usual: Said = { role: index === 0 ? 'primary' : 'replica', runId: `run-${index}`, replId: 'history' }
    const all = { ...usual, ...this.#last.get(index), ...said }
    const { state: _state, sentAtMs: _sentAtMs, ...kept } = all
    this.#last.set(index, kept)
    const role = all.role ?? 'unknown'
    const state = said.state ?? 'ok'
    this.links[index]!.events.answered({
      sentAtMs: said.sentAtMs ?? this.time.now(),
      rttMs: all.rttMs ?? 1,
      state,
      ...(state === 'busy'
        ? {}
        : {
            server: { runId: all.runId ?? '', version: '7.0.15' },
            replication: {
              role,
              replId: all.replId ?? '',
              replId2: all.replId2 ?? '',
              offset: all.offset ?? 0,
              follows: all.follows ?? (role === 'replica' ? 'eu-0:6379' : ''),
              isLinkUp: all.isLinkUp ?? true,
              isSyncing: all.isSyncing ?? false,
            },
          }),
    })
  }

  /** Every node answers as usual and listens; the primary's connection for marks opens and the first mark goes out. */
  settle(): void {
    for (let i = 0; i < this.links.length; i++) {
      this.answer(i)
      this.links[i]!.events.listening()
    }
    const primary = this.tracker.primary
    if (primary !== undefined) this.links[primary.index]!.events.marksReady()
    this.time.turn()
  }

  /** Sends a mark now (5 ms pass) and returns its text. */
  send(): string {
    const primary = this.tracker.primary!
    this.tracker.marks.wantWithin(0)
    this.time.pass(5)
    return this.links[primary.index]!.sent.at(-1)!
  }

  show(index: number, text: string): void {
    this.links[index]!.events.mark(text)
  }
}
