/**
 * The process that looks after several workers (`--workers`): it starts them, watches them, starts them again, and has them
 * reload, drain and end together. It serves no client and knows no node; where workers cannot listen at one port it
 * accepts for them. What it does looks from outside as one RegisProxy: cli/run.ts treats both alike. ~ a window: timers.
 *
 *   start: ports --> fork N --> all ready --> listen, admin port           one that cannot start: none does
 *   a worker ends: its siblings hear it --> (backoff) --> another in its place, with the configuration that runs
 *   reload: read and judged here, once --> sent to all --> who does not take it is replaced by one that has it
 */
import type { AdminServer, Health } from '../admin/http.ts'
import { systemClock } from '../base/clock.ts'
import { workerStopMs, workerTakeMs } from '../base/limits.ts'
import type { Log, RootLog } from '../base/log.ts'
import type { Sibling } from '../base/siblings.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/load.ts'
import { type Prepared, Reloader, type ReloadKind, type ReloadOutcome } from '../config/reload.ts'
import { type LastReload, lastReloadOf, logReload } from '../config/reload-told.ts'
import { buildAdmin } from './admin.ts'
import { Child, systemTimersOfLinks } from './child.ts'
import { createFenceFiles, tellGone } from './fence-files.ts'
import { HandOut } from './hand-out.ts'
import {
  type Beat,
  drainAllTold,
  drainAsk,
  failedTold,
  helloAsk,
  readyTold,
  reloadAsk,
  stopTold,
  takeAsk,
  takenTold,
  type Welcome,
} from './kinds.ts'
import { SupervisorLinks } from './link.ts'
import { WorkersPage } from './page.ts'
import { type ClientsFrom, clientsFrom, portsToShare, SharedListeners } from './ports.ts'
import { QuotaDesk } from './quota-desk.ts'
import { Restarts } from './restarts.ts'
import { makeScratch, removeScratch, scratchTouchMs, touchScratch } from './scratch.ts'
import { siblingsTold } from './siblings.ts'

export interface SupervisorOptions {
  readonly config: Config
  readonly count: number
  readonly log: Log & Partial<Pick<RootLog, 'setLevel'>>
  readonly version: string
  readonly prepare: (running: Config) => Promise<Prepared>
  /** See limits.workerHangMs. */
  readonly hangMs?: number
}

/** Above shutdown.drain, which the workers themselves keep. */
const drainSpareMs = 5_000
/** Between the ids of a worker's clients and its successor's: as many as it may have given since it last said so, and more. */
const idsBetween = 1_000_000

export class Supervisor {
  /** Ports in the order of config.listeners; filled by start. */
  ports: readonly number[] = []
  adminPort = 0
  readonly links = new SupervisorLinks(systemTimersOfLinks)
  readonly startedAtMs = Date.now()
  /** Of the newest reload, for people. */
  lastReload: LastReload | undefined
  configTakenAtMs = Date.now()
  readonly count: number
  readonly version: string
  readonly log: SupervisorOptions['log']
  readonly #options: SupervisorOptions
  #config: Config
  readonly #children: (Child | undefined)[]
  readonly #restarts: readonly Restarts[]
  readonly #restarting = new Set<NodeJS.Timeout>()
  readonly #handOut = new HandOut(systemClock.now)
  readonly #listeners: SharedListeners
  readonly #reloader: Reloader
  readonly #admin: AdminServer
  readonly #page: WorkersPage
  readonly #desk: QuotaDesk
  #clientsFrom: ClientsFrom = 'handed'
  #scratch = ''
  #scratchTimer: NodeJS.Timeout | undefined
  #nextIncarnation = 1
  /** All workers have given ids below it. */
  #clientIds = 1
  #isListening = false
  #isDraining = false
  #isEnding = false
  /** Workers that were told of the configuration that is being taken. */
  #told: ReadonlySet<Child | undefined> = new Set()
  /** A configuration is on its way to the workers: who starts meanwhile waits for what comes of it. */
  #taking: Promise<unknown> = Promise.resolve()
  #firstStart: { resolve(): void; reject(error: Error): void } | undefined
  #whenAllGone: (() => void) | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#config = options.config
    this.count = options.count
    this.version = options.version
    this.log = options.log
    this.#children = new Array<Child | undefined>(options.count).fill(undefined)
    this.#restarts = Array.from({ length: options.count }, () => new Restarts())
    this.#listeners = new SharedListeners(
      (listener, handle) => this.#handOut.accepted(listener, handle),
      (error) => this.log.error({ error }, 'listener failed'),
    )
    this.#reloader = new Reloader({
      prepare: () => options.prepare(this.#config),
      apply: async (config, warn) => {
        const take = await this.#spread(config, warn)
        return () => take
      },
      done: (outcome, by) => this.#noteReload(outcome, by),
      // Nothing of a configuration is taken here that could fail half-way.
      broken: (error) => this.log.fatal({ error: String(error) }, 'a reload failed half-way'),
    })
    this.#page = new WorkersPage({ links: this.links, count: options.count, running: () => this.running })
    this.#desk = new QuotaDesk(this.links, systemTimersOfLinks)
    this.#admin = buildAdmin(this, this.#page)
    this.#handleWorkers()
  }

  get config(): Config {
    return this.#config
  }

  /** Processes that run, in the order of their index. */
  get running(): readonly Sibling[] {
    return this.#children.flatMap((child) =>
      child === undefined || child.isGone ? [] : [{ index: child.place.index, incarnation: child.place.incarnation }],
    )
  }

  /** For operators. */
  get workers(): readonly { index: number; pid: number | null; ready: boolean; clients: number; restarts: number }[] {
    return this.#children.map((child, index) => ({
      index,
      pid: child?.pid ?? null,
      ready: child?.isReady === true,
      clients: child?.beat?.clients ?? 0,
      restarts: this.#restarts[index]!.all,
    }))
  }

  get isServing(): boolean {
    return this.#isListening && !this.#isDraining && !this.#isEnding
  }

  get uptimeSeconds(): number {
    return Math.floor((Date.now() - this.startedAtMs) / 1000)
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Resolves when all workers serve and clients are accepted. Rejects when one cannot start, with its reason, or a port is taken. */
  async start(): Promise<void> {
    const { listeners, admin } = this.#config
    this.#scratch = makeScratch(Date.now())
    this.#scratchTimer = setInterval(() => touchScratch(this.#scratch, Date.now()), scratchTouchMs).unref()
    createFenceFiles(this.#scratch, this.count)
    this.#clientsFrom = await clientsFrom()
    this.ports =
      this.#clientsFrom === 'shared' ? await portsToShare(listeners) : listeners.map((listener) => listener.port)
    await new Promise<void>((resolve, reject) => {
      this.#firstStart = { resolve, reject }
      for (let index = 0; index < this.count; index++) this.#spawn(index)
    })
    this.#firstStart = undefined
    if (this.#clientsFrom === 'handed') this.ports = await this.#listeners.start(listeners)
    this.adminPort = await this.#admin.start()
    this.#isListening = true
    this.log.info(
      {
        workers: this.count,
        clients: this.#clientsFrom,
        listeners: listeners.map((listener, i) => `${listener.host}:${this.ports[i]}`),
        admin: `${admin.host}:${this.adminPort}`,
        scratch: this.#scratch,
      },
      'all workers serve',
    )
  }

  /** See RegisProxy.reload. */
  async reload(by: string, kind: ReloadKind = 'reload'): Promise<ReloadOutcome> {
    if (this.isServing) return this.#reloader.run(by, kind)
    this.log.warn({ by }, 'no reload of this proxy: it is ending')
    const error = { severity: 'error', file: '-', message: 'no reload of this proxy: it is ending' } as const
    return { ok: false, changes: [], errors: [error], warnings: [] }
  }

  /** No new connections; each client is closed after its last reply. Resolves when all workers have none, or the time is over. */
  async drain(): Promise<void> {
    if (!this.#isDraining) {
      this.#isDraining = true
      this.#stopAccepting()
      this.log.info({ workers: this.links.workers.length }, 'draining')
    }
    const answers = await this.links.askAll(drainAsk, undefined, this.#config.shutdown.drainMs + drainSpareMs)
    for (const { worker, error } of answers)
      if (error !== undefined && !this.#isEnding) this.log.warn({ worker, error }, 'a worker did not drain')
  }

  beginDrain(): void {
    this.drain().catch((error: unknown) => this.log.error({ error: String(error) }, 'drain failed'))
  }

  /** Ends all workers, those that take too long by force. May be called twice. */
  async stop(): Promise<void> {
    this.#isEnding = true
    this.#stopAccepting()
    for (const timer of this.#restarting) clearTimeout(timer)
    clearInterval(this.#scratchTimer)
    this.links.tellAll(stopTold, undefined)
    if (this.running.length > 0) {
      const timer = setTimeout(() => {
        for (const child of this.#children) {
          if (child === undefined || child.isGone) continue
          this.log.warn({ worker: child.place.index }, 'a worker does not end: killed')
          child.kill()
        }
      }, workerStopMs)
      await new Promise<void>((resolve) => {
        const before = this.#whenAllGone
        this.#whenAllGone = () => {
          before?.()
          resolve()
        }
      })
      clearTimeout(timer)
    }
    await this.#admin.stop()
    if (this.#scratch !== '') removeScratch(this.#scratch)
    this.#isListening = false
  }

  /** An exception that nobody caught ends this process, and with it the workers. */
  noteUncaught(): void {}

  /** Of the whole: clients should come here while anybody serves them. Before the start is over, nobody does. */
  health(): Health {
    const serving = this.#children.filter((child) => child?.isReady === true)
    const healths = serving.flatMap((child) => child!.beat?.health ?? [])
    const fit = healths.find((health) => health.ready) ?? healths[0]
    const isReady = this.isServing && healths.some((health) => health.ready)
    const own = [
      {
        name: 'listening',
        ok: this.isServing,
        detail: this.#isDraining ? 'draining' : this.isServing ? 'clients are accepted' : 'not yet, or no more',
      },
      { name: 'workers', ok: serving.length === this.count, detail: `${serving.length} of ${this.count} serve` },
    ]
    const theirs = fit?.checks.filter(({ name }) => name !== 'listening' || this.isServing) ?? []
    // That workers accept is told under a name of its own.
    const named = theirs.map((check) => (check.name === 'listening' ? { ...check, name: 'accepting' } : check))
    return { live: true, ready: isReady, checks: [...own, ...named] }
  }

  // ---- workers ----

  #handleWorkers(): void {
    const { links } = this
    links.handle(helloAsk, async (_, worker): Promise<Welcome> => {
      // Who was told of the new configuration as it started takes it when it has the old one.
      if (!this.#told.has(this.#children[worker])) await this.#taking
      return {
        config: this.#config,
        version: this.version,
        clientsFrom: this.#clientsFrom,
        ports: this.ports,
        clientIdsFrom: this.#clientIds,
      }
    })
    links.handle(readyTold, (beat, worker) => this.#ready(worker, beat))
    links.handle(failedTold, (failure, worker) => {
      const child = this.#children[worker]
      if (child !== undefined) child.failure = failure
    })
    links.handle(takenTold, (id, worker) => this.#handOut.taken(worker, id))
    links.handle(reloadAsk, ({ by, kind }) => this.reload(by, kind))
    links.handle(drainAllTold, () => this.beginDrain())
  }

  #spawn(index: number): void {
    const place = {
      index,
      count: this.count,
      incarnation: this.#nextIncarnation++,
      scratch: this.#scratch,
    }
    const { links } = this
    const { hangMs } = this.#options
    this.#children[index] = new Child({
      place,
      links,
      ...(hangMs === undefined ? {} : { hangMs }),
      events: {
        beat: (child, beat) => {
          this.#clientIds = Math.max(this.#clientIds, beat.nextClientId)
          if (child.isReady)
            this.#handOut.note(
              index,
              beat.clients,
              beat.health?.checks.some((c) => c.name === 'listening' && c.ok),
            )
        },
        hangs: (child) => this.log.error({ worker: index, pid: child.pid }, 'a worker gives no sign of life: killed'),
        gone: (child, how) => this.#gone(child, how),
      },
    })
    links.tellAll(siblingsTold, this.running)
  }

  #ready(worker: number, beat: Beat): void {
    const child = this.#children[worker]
    if (child === undefined) return
    child.isReady = true
    child.beat = beat
    this.#desk.started(worker)
    if (this.#clientsFrom === 'handed')
      this.#handOut.join(worker, (id, listener, handle) => child.give(id, listener, handle))
    if (this.#firstStart === undefined) this.log.info({ worker, pid: child.pid }, 'a worker serves again')
    else if (this.#children.every((one) => one?.isReady === true)) this.#firstStart.resolve()
  }

  #gone(child: Child, how: number | string): void {
    const { index } = child.place
    child.isReady = false
    this.#tellGone(child)
    this.#handOut.leave(index)
    this.#desk.gone(index)
    this.#page.ended(child.place)
    this.links.tellAll(siblingsTold, this.running)
    if (this.running.length === 0) this.#whenAllGone?.()
    if (this.#firstStart !== undefined) {
      const { diagnostics, message } = child.failure ?? { message: `worker ${index} ended while it started: ${how}` }
      this.#firstStart.reject(diagnostics === undefined ? new Error(message) : new ConfigError(diagnostics))
      return
    }
    if (this.#isEnding) return
    const fields = { worker: index, pid: child.pid, how, clients: child.beat?.clients ?? 0 }
    if (this.#isDraining) {
      this.log.error(fields, 'a worker has ended: its clients are gone')
      return
    }
    // The ids that it gave since it last said how far it was.
    this.#clientIds += idsBetween
    const restarts = this.#restarts[index]!
    const delayMs = restarts.delayAfter(child.livedMs)
    this.log.error(
      { ...fields, again_in_ms: delayMs, why: child.failure?.message },
      'a worker has ended: its clients are gone',
    )
    const timer = setTimeout(() => {
      this.#restarting.delete(timer)
      if (!this.#isEnding && !this.#isDraining) this.#spawn(index)
    }, delayMs)
    this.#restarting.add(timer)
  }

  /** Its siblings expect nothing of it any more. */
  #tellGone({ place: { scratch, index, incarnation } }: Child): void {
    if (this.#isEnding) return
    try {
      tellGone(scratch, index, incarnation)
    } catch (error) {
      // They hear it from its successor.
      this.log.error({ error: String(error) }, 'workers cannot be told that one is gone')
    }
  }

  #stopAccepting(): void {
    this.#listeners.stop()
    this.#handOut.stop()
  }

  // ---- reload ----

  /** To all workers; gives what makes it the configuration that runs. */
  async #spread(
    config: Config,
    warn: (warning: { severity: 'warning'; file: string; message: string }) => void,
  ): Promise<() => void> {
    const prepared: Prepared = { config, changes: [], errors: [], warnings: [], files: [] }
    const asked = this.links.askAll(takeAsk, { prepared, by: 'supervisor' }, workerTakeMs)
    let end: () => void = () => {}
    this.#taking = new Promise<void>((resolve) => {
      end = resolve
    })
    const before = this.#children.map((child) => child)
    this.#told = new Set(before)
    const answers = await asked
    return () => {
      this.#config = config
      this.configTakenAtMs = Date.now()
      this.#admin.setToken(config.admin.token)
      this.log.setLevel?.(config.logging.level)
      this.#told = new Set()
      end()
      for (const { worker, value, error } of answers) {
        if (error === undefined && value.ok) continue
        const why = error ?? value.errors[0]?.message ?? 'unknown'
        const child = before[worker]
        if (child === undefined || child.isGone) continue // its successor starts with the new one
        // Better without its clients than with rights and passwords that are no more.
        warn({ severity: 'warning', file: '-', message: `worker ${worker} did not take it and is replaced: ${why}` })
        child.kill()
      }
    }
  }

  #noteReload(outcome: ReloadOutcome, by: string): void {
    this.lastReload = lastReloadOf(outcome, by, new Date())
    logReload(this.log, outcome, by)
    if (outcome.ok) return
    // They count it, and show it.
    const { errors, warnings } = outcome
    const prepared: Prepared = { changes: [], errors, warnings, files: [] }
    void this.links.askAll(takeAsk, { prepared, by }, workerTakeMs)
  }
}
