/**
 * Proxies that share one limit, on a fake clock: the real FleetUsage of each, in front of a primary and of replicas that
 * show its past. Records travel, are late and are lost; proxies come, leave, die and are cut off with their region; the
 * primary goes away. No two proxies have the same idea of the time.
 *
 *   demand -> bucket with the share -> accepted          FleetUsage -> write -> primary -> (lag) -> replica -> read
 */
import path from 'node:path'
import { transformSync } from '@swc/core'
import type { FleetHost, FleetLimit, FleetUsage, WriteResult } from '../../src/usage/fleet.ts'
import { randomFrom } from '../kit/exchange.ts'

const src = path.join(__dirname, '../../src')

export interface FleetModules {
  readonly FleetUsage: typeof FleetUsage
}

/** `changed`: texts of files, by their path below src/, with a planted bug. */
export function loadFleet(changed: ReadonlyMap<string, string> = new Map()): FleetModules {
  let modules: FleetModules | undefined
  jest.isolateModules(() => {
    for (const [file, text] of changed) jest.doMock(path.join(src, file), () => evaluate(path.join(src, file), text))
    modules = require(path.join(src, 'usage/fleet.ts'))
    for (const file of changed.keys()) jest.dontMock(path.join(src, file))
  })
  return modules!
}

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

const stepMs = 25
const markEveryMs = 100
const timeoutMs = 2_000

/** What clients of one proxy would send, per second, if nobody held them back. */
export interface Demand {
  readonly perSecond: number
  /** They wait for their answers: this many clients at most are refused, once in 50 ms each. Without: they send on. */
  readonly clients?: number
}

export interface FleetWorldOptions {
  readonly limit: number
  readonly burst?: number
  /** Of records and reads, each. */
  readonly lossRate?: number
}

export class FleetProxy implements FleetLimit {
  readonly name = 'shop'
  readonly isNew = false
  readonly usage: FleetUsage
  demand: Demand = { perSecond: 0 }
  isAlive = true
  /** Its region is cut off since then. */
  cutSinceMs = Number.POSITIVE_INFINITY
  isRefused = false
  share = 0
  level = 0
  sum = { asked: 0, throttled: 0, accepted: 0, delayedMs: 0 }
  readonly clockOffsetMs: number
  /** To the primary, one way; how much later the replica of its region shows what the primary has. */
  readonly wayMs: number
  readonly lagMs: number
  wasRefusedTold = 0
  private readonly world: FleetWorld

  constructor(world: FleetWorld, id: string, wayMs: number, lagMs: number, modules: FleetModules) {
    this.world = world
    this.wayMs = wayMs
    this.lagMs = lagMs
    this.clockOffsetMs = Math.floor(world.random(1_000_000)) - 500_000
    const host: FleetHost = {
      read: (done) => world.read(this, done),
      write: (request, done) => world.write(this, request, done),
      refused: () => {
        this.wasRefusedTold++
      },
    }
    this.usage = new modules.FleetUsage(id, host)
    this.usage.add(this)
  }

  limit(kind: number): number {
    return kind === 0 ? this.world.limit : 0
  }

  asked(kind: number): number {
    return kind === 0 ? this.sum.asked : 0
  }

  commands(): number {
    return this.sum.asked
  }

  refused(): number {
    return this.sum.throttled
  }

  delayedMs(): number {
    return this.sum.delayedMs
  }

  setShare(ops: number): void {
    this.share = ops
  }

  step(nowMs: number): void {
    const { world } = this
    const burst = Math.max(1, (world.burst * this.share) / world.limit)
    this.level = Math.min(burst, this.level + (this.share * stepMs) / 1000)
    const wish = ((this.demand.perSecond * stepMs) / 1000) * (0.5 + world.random(1000) / 1000)
    const accepted = Math.min(wish, this.level)
    const left = wish - accepted
    const throttled = this.demand.clients === undefined ? left : Math.min(left, (this.demand.clients * stepMs) / 50)
    this.level -= accepted
    this.sum.asked += accepted + throttled
    this.sum.throttled += throttled
    if (left > 0 && this.demand.clients !== undefined) this.sum.delayedMs += stepMs * this.demand.clients
    this.sum.accepted += accepted
    this.world.noteAccepted(accepted)
    if (nowMs % 50 === 0) this.usage.tick(nowMs + this.clockOffsetMs)
  }
}

export class FleetWorld {
  limit: number
  readonly burst: number
  readonly proxies: FleetProxy[] = []
  nowMs = 0
  outageSinceMs = Number.POSITIVE_INFINITY
  writes = 0
  /** By step: what all let through, and the sum of what living proxies may let through per second. */
  readonly accepted: number[] = []
  readonly shares: number[] = []
  readonly random: (below: number) => number
  private readonly lossRate: number
  private readonly modules: FleetModules
  private readonly due: { atMs: number; run: () => void }[] = []
  private fields: ReadonlyMap<string, string> = new Map()
  private readonly history: { atMs: number; fields: ReadonlyMap<string, string> }[] = [{ atMs: 0, fields: new Map() }]
  private acceptedNow = 0

  constructor(seed: number, modules: FleetModules, options: FleetWorldOptions) {
    const next = randomFrom(seed)
    this.random = (below) => Math.floor(next() * below)
    this.modules = modules
    this.limit = options.limit
    this.burst = options.burst ?? options.limit
    this.lossRate = options.lossRate ?? 0.01
  }

  join(wayMs = this.random(60), lagMs = 5 + this.random(150)): FleetProxy {
    const id = `${this.random(1e9).toString(16)}${this.proxies.length}`
    const proxy = new FleetProxy(this, id, wayMs, lagMs, this.modules)
    this.proxies.push(proxy)
    return proxy
  }

  get living(): FleetProxy[] {
    return this.proxies.filter((proxy) => proxy.isAlive)
  }

  /** Its region hears and says nothing any more; or again. */
  cut(proxy: FleetProxy, isCut: boolean): void {
    proxy.cutSinceMs = isCut ? this.nowMs : Number.POSITIVE_INFINITY
  }

  outage(isAway: boolean): void {
    this.outageSinceMs = isAway ? this.nowMs : Number.POSITIVE_INFINITY
  }

  /** The key is gone: evicted, flushed. */
  evict(): void {
    this.put(new Map())
  }

  noteAccepted(count: number): void {
    this.acceptedNow += count
  }

  run(ms: number, each?: () => void): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += stepMs
      for (const event of this.due.filter(({ atMs }) => atMs <= this.nowMs)) {
        this.due.splice(this.due.indexOf(event), 1)
        event.run()
      }
      let shares = 0
      for (const proxy of this.proxies) {
        if (!proxy.isAlive) continue
        proxy.step(this.nowMs)
        shares += proxy.share
      }
      this.accepted.push(this.acceptedNow)
      this.acceptedNow = 0
      this.shares.push(shares)
      each?.()
    }
  }

  /** What went through in the windows of so many ms that lie in this time, per second: least and most. */
  rates(fromMs: number, toMs: number, windowMs = 10_000): { least: number; most: number } {
    const sums = [0]
    for (const count of this.accepted) sums.push(sums.at(-1)! + count)
    let [least, most] = [Number.POSITIVE_INFINITY, 0]
    const size = windowMs / stepMs
    for (let i = fromMs / stepMs; i + size <= toMs / stepMs; i++) {
      const rate = ((sums[i + size]! - sums[i]!) * 1000) / windowMs
      least = Math.min(least, rate)
      most = Math.max(most, rate)
    }
    return { least, most }
  }

  sharesMost(fromMs: number, toMs: number): number {
    return Math.max(...this.shares.slice(fromMs / stepMs, toMs / stepMs))
  }

  read(proxy: FleetProxy, done: (fields: readonly string[] | undefined, asOfMs: number) => void): void {
    const halfMs = 1 + this.random(10)
    if (this.random(1000) < this.lossRate * 1000) return this.after(timeoutMs, () => done(undefined, 0))
    this.after(halfMs, () => {
      // A region that is cut off has its replica still, which shows what it had.
      const shownAtMs = Math.min(this.nowMs, proxy.cutSinceMs) - proxy.lagMs
      const state = this.history.findLast(({ atMs }) => atMs <= shownAtMs)
      const sentBeforeMs = Math.min(shownAtMs, proxy.cutSinceMs, this.outageSinceMs) - proxy.wayMs
      const markMs = Math.floor(sentBeforeMs / markEveryMs) * markEveryMs
      const fields = [...(state?.fields ?? [])].flat()
      this.after(halfMs, () => done(fields, markMs < 0 ? Number.NEGATIVE_INFINITY : markMs + proxy.clockOffsetMs))
    })
  }

  write(proxy: FleetProxy, request: readonly string[], done: (result: WriteResult) => void): void {
    if (this.random(1000) < this.lossRate * 1000) return this.after(timeoutMs, () => done('failed'))
    this.after(proxy.wayMs, () => {
      if (!proxy.isAlive || proxy.cutSinceMs <= this.nowMs || this.outageSinceMs <= this.nowMs)
        return this.after(timeoutMs, () => done('failed'))
      if (proxy.isRefused) return this.after(proxy.wayMs, () => done('refused'))
      const [command, , ...rest] = request
      const fields = new Map(this.fields)
      if (command === 'HSET') fields.set(rest[0]!, rest[1]!)
      else if (command === 'HDEL') for (const id of rest) fields.delete(id)
      this.writes++
      this.put(fields)
      this.after(proxy.wayMs, () => done('ok'))
    })
  }

  private put(fields: ReadonlyMap<string, string>): void {
    this.fields = fields
    this.history.push({ atMs: this.nowMs, fields })
  }

  get records(): ReadonlyMap<string, string> {
    return this.fields
  }

  private after(ms: number, run: () => void): void {
    this.due.push({ atMs: this.nowMs + Math.max(ms, stepMs), run })
  }
}
