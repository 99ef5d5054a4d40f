/**
 * One worker process as the supervisor has it: started, told, asked for a sign of life, ended. ~ a window: processes and timers.
 *
 *   starting --(ready)--> serving --(exit)--> gone
 *       \---(failed, exit)--------------------^        no beat within the bound: killed, hence gone
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { workerBeatMs, workerFirstBeatMs, workerHangMs } from '../base/limits.ts'
import type { ClientHandle } from './hand-out.ts'
import { type Beat, beatAsk, type ClientMessage, type Failure, placeVariable } from './kinds.ts'
import type { Link, LinkTimers, SupervisorLinks } from './link.ts'
import type { WorkerPlace } from './siblings.ts'

export const systemTimersOfLinks: LinkTimers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/** Far above any bound of silence: it is the count of looks that ends a worker. */
const beatPatienceMs = 24 * 60 * 60_000

export interface ChildEvents {
  /** Its newest sign of life. */
  beat(child: Child, beat: Beat): void
  /** None came for so long: it is being killed. */
  hangs(child: Child): void
  /** The process is no more. `how`: its exit code, or the signal that ended it. */
  gone(child: Child, how: number | string): void
}

export interface ChildOptions {
  readonly place: WorkerPlace
  readonly links: SupervisorLinks
  readonly events: ChildEvents
  /** Tests have no time to wait for the real one. */
  readonly hangMs?: number
}

export class Child {
  readonly place: WorkerPlace
  readonly startedAtMs = performance.now()
  /** It serves clients. */
  isReady = false
  /** What it said of why it cannot start. */
  failure: Failure | undefined
  beat: Beat | undefined
  readonly #process: ChildProcess
  readonly #link: Link
  readonly #options: ChildOptions
  #isGone = false
  readonly #timer: NodeJS.Timeout
  #isAsked = false
  #silentMs = 0

  constructor(options: ChildOptions) {
    const { place, links } = options
    this.place = place
    this.#options = options
    this.#process = fork(fileURLToPath(new URL('./worker-main.js', import.meta.url)), [], {
      env: { ...process.env, [placeVariable]: JSON.stringify(place) },
      serialization: 'advanced',
    })
    // A message that cannot be sent is of a process that is going: its exit tells.
    const link = links.open(place.index, (message) => this.#send(message))
    this.#link = link
    // Its end may be told before its last words.
    this.#process.on('message', (message) => void (this.#isGone || link.take(message)))
    this.#process.once('exit', (code, signal) => this.#end(code ?? signal ?? 'unknown'))
    this.#process.once('error', (error) => {
      if (this.#process.pid === undefined) this.#end(error.message)
    })
    // It cannot be told anything any more, so it must not stay.
    this.#process.once('disconnect', () => this.kill())
    this.#look()
    this.#timer = setInterval(() => this.#look(), workerBeatMs).unref()
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get isGone(): boolean {
    return this.#isGone
  }

  get livedMs(): number {
    return performance.now() - this.startedAtMs
  }

  /** A client for it; the handle stays ours until it says that it has it. */
  give(id: number, listener: number, handle: ClientHandle): void {
    const message: ClientMessage = { regisClient: id, listener }
    this.#send(message, handle)
  }

  kill(): void {
    if (!this.#isGone) this.#process.kill('SIGKILL')
  }

  #send(message: object, handle?: ClientHandle): void {
    if (this.#isGone || !this.#process.connected) return
    const sent = handle as unknown as Parameters<ChildProcess['send']>[1]
    this.#process.send(message, sent, { keepOpen: true }, () => {})
  }

  /**
   * One question at a time. Silence is counted in turns of our own clock: a machine that stood still as a whole (a suspended
   * one, a frozen container) has no hanging workers.
   */
  #look(): void {
    if (this.#isAsked) {
      this.#silentMs += workerBeatMs
      const bound = this.beat === undefined ? workerFirstBeatMs : (this.#options.hangMs ?? workerHangMs)
      if (this.#silentMs < bound) return
      this.#options.events.hangs(this)
      this.kill()
      return
    }
    this.#isAsked = true
    this.#link.ask(beatAsk, undefined, beatPatienceMs).then(
      (beat) => {
        this.#isAsked = false
        this.#silentMs = 0
        // One from before it served, heard after its word that it serves, knows less.
        if (beat.health !== undefined || this.beat?.health === undefined) this.beat = beat
        if (!this.#isGone) this.#options.events.beat(this, beat)
      },
      () => {}, // it has ended, or will be
    )
  }

  #end(how: number | string): void {
    if (this.#isGone) return
    this.#isGone = true
    clearInterval(this.#timer)
    const { links, events, place } = this.#options
    links.closed(place.index, this.#link, `worker ${place.index} has ended`)
    events.gone(this, how)
  }
}
