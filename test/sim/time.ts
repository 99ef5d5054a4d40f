/**
 * Time of the simulation: one queue of events, processes with event loops of their own, and everything of Node's by which
 * src/ meets time and chance replaced while a run lasts: setTimeout, setInterval, setImmediate, performance.now, Date.now,
 * Math.random. A run is synchronous from its first event to its last, so nothing else sees them.
 *
 * A turn of a process's event loop is as in Node: some callbacks that are due, one after the other, each of which takes
 * time, then what was put off by setImmediate. A stopped process (SIGSTOP, a suspended machine) keeps what comes for later.
 */
export type Random = () => number

interface Event {
  readonly atMs: number
  readonly order: number
  readonly process: Process | undefined
  readonly run: () => void
  isCancelled: boolean
}

export class Process {
  readonly name: string
  isStopped = false
  isDead = false
  readonly backlog: Event[] = []
  immediates: (() => void)[] = []
  constructor(name: string) {
    this.name = name
  }
}

/** Long pauses of a turn: garbage collection, a busy machine. */
const slowTurnShare = 0.002
const slowTurnMsMax = 120

export class SimTime {
  nowMs = 1_000
  /** Whose code runs. */
  process: Process | undefined
  readonly random: Random
  private readonly heap: Event[] = []
  private order = 0
  private hash = 0x811c9dc5
  turns = 0

  constructor(random: Random) {
    this.random = random
  }

  /** Runs in that process, the present one when none is given. */
  after(ms: number, run: () => void, process: Process | undefined = this.process): { cancel(): void } {
    return this.at(this.nowMs + Math.max(0, ms), run, process)
  }

  /** At exactly that moment: two that were given the same one run in the order in which they were given. */
  at(atMs: number, run: () => void, process: Process | undefined = this.process): { cancel(): void } {
    const event: Event = { atMs, order: this.order++, process, run, isCancelled: false }
    this.push(event)
    return {
      cancel: () => {
        event.isCancelled = true
      },
    }
  }

  between(least: number, most: number): number {
    return least + this.random() * (most - least)
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)]!
  }

  stop(process: Process): void {
    process.isStopped = true
  }

  goOn(process: Process): void {
    process.isStopped = false
    // In the past, where they belong: what came after them and has not run yet stays behind them.
    for (const event of process.backlog.splice(0)) this.push(event)
  }

  /** What happened, for the proof that a seed replays. */
  note(text: string): void {
    for (let i = 0; i < text.length; i++) this.hash = Math.imul(this.hash ^ text.charCodeAt(i), 0x01000193)
    this.hash = Math.imul(this.hash ^ Math.floor(this.nowMs * 8), 0x01000193)
  }

  get trace(): string {
    return (this.hash >>> 0).toString(16)
  }

  /** Until that time. With Node's own clocks and timers replaced. */
  runUntil(endMs: number): void {
    const restore = this.replaceGlobals()
    try {
      while (this.heap.length > 0 && this.heap[0]!.atMs <= endMs) this.turn(this.pop())
      this.nowMs = Math.max(this.nowMs, endMs)
    } finally {
      restore()
    }
  }

  /** Code that is not an event (building a proxy) under the same replaced globals. */
  within<T>(process: Process | undefined, run: () => T): T {
    const restore = this.replaceGlobals()
    this.process = process
    try {
      return run()
    } finally {
      this.process = undefined
      restore()
    }
  }

  private turn(first: Event): void {
    const { process } = first
    this.turns++
    for (let event: Event | undefined = first; event !== undefined; ) {
      this.nowMs = Math.max(this.nowMs, event.atMs)
      this.run(event)
      if (process === undefined) return
      this.nowMs += this.random() < slowTurnShare ? this.between(0, slowTurnMsMax) : this.random() * 0.05
      // More of the same process that is due by now belongs to this turn, half of the time.
      const next: Event | undefined = this.heap[0]
      const isSame = next !== undefined && next.process === process && next.atMs <= this.nowMs
      event = isSame && this.random() < 0.5 ? this.pop() : undefined
    }
    this.runImmediates(process!)
  }

  private run(event: Event): void {
    const { process } = event
    if (event.isCancelled || process?.isDead === true) return
    if (process?.isStopped === true) {
      process.backlog.push(event)
      return
    }
    this.process = process
    event.run()
    this.process = undefined
  }

  private runImmediates(process: Process): void {
    if (process.isStopped || process.isDead) return
    const { immediates } = process
    process.immediates = []
    this.process = process
    for (const run of immediates) run()
    this.process = undefined
    if (process.immediates.length > 0) this.after(0, () => {}, process)
  }

  private replaceGlobals(): () => void {
    const g = globalThis as unknown as Record<string, unknown>
    const names = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate'] as const
    const old = names.map((name) => g[name])
    const [oldRandom, oldDate, oldPerformance] = [Math.random, Date.now, performance.now]
    const timer = (cancel: () => void) => {
      const handle = { cancel, unref: () => handle, ref: () => handle, hasRef: () => true }
      return handle
    }
    g['setTimeout'] = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
      timer(this.after(Math.max(1, ms), () => run(...args)).cancel)
    g['setInterval'] = (run: () => void, ms: number) => {
      let last = { cancel: () => {} }
      const again = () => {
        last = this.after(ms, () => {
          run()
          again()
        })
      }
      again()
      return timer(() => last.cancel())
    }
    const clear = (handle: { cancel(): void } | undefined) => handle?.cancel?.()
    g['clearTimeout'] = clear
    g['clearInterval'] = clear
    g['setImmediate'] = (run: (...args: unknown[]) => void, ...args: unknown[]) => {
      if (this.process === undefined) throw new Error('setImmediate outside of a process')
      // A turn that was not begun by an event of its own needs one.
      if (this.process.immediates.length === 0) this.after(0, () => {}, this.process)
      this.process.immediates.push(() => run(...args))
      return {}
    }
    Math.random = this.random
    Date.now = () => 1_700_000_000_000 + this.nowMs
    performance.now = () => this.nowMs
    return () => {
      names.forEach((name, i) => {
        g[name] = old[i]
      })
      Math.random = oldRandom
      Date.now = oldDate
      performance.now = oldPerformance
    }
  }

  // ---- a heap by time, then by order of arrival ----

  private push(event: Event): void {
    const { heap } = this
    heap.push(event)
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!isBefore(heap[i]!, heap[parent]!)) break
      ;[heap[i], heap[parent]] = [heap[parent]!, heap[i]!]
      i = parent
    }
  }

  private pop(): Event {
    const { heap } = this
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return top
    heap[0] = last
    for (let i = 0; ; ) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child
      if (least === i) return top
      ;[heap[i], heap[least]] = [heap[least]!, heap[i]!]
      i = least
    }
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
