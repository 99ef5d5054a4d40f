/**
 * What must hold of a limit that proxies share. Each check runs a world of its own from a seed and says what was broken, in
 * words; nothing: it holds. Three seconds are granted to settle after each change, and then every window of ten seconds counts.
 */
import type { FleetModules, FleetProxy } from './fleet-world.ts'
import { FleetWorld } from './fleet-world.ts'

export type FleetCheck = (seed: number, modules: FleetModules) => string[]

const limit = 3_000
const settleMs = 3_000
const open = (perSecond: number) => ({ perSecond })

class Run {
  readonly broken: string[] = []
  readonly world: FleetWorld

  constructor(seed: number, modules: FleetModules, count: number, lossRate = 0.01) {
    this.world = new FleetWorld(seed, modules, { limit, lossRate })
    for (let i = 0; i < count; i++) this.world.join()
    this.run(2_500)
  }

  get proxies(): FleetProxy[] {
    return this.world.proxies
  }

  demand(...perSecond: number[]): void {
    for (const [i, rate] of perSecond.entries()) this.proxies[i]!.demand = open(rate)
  }

  say(isBroken: boolean, text: string): void {
    if (isBroken && this.broken.length < 5) this.broken.push(text)
  }

  /** At every moment, whatever happens: never nothing, never more than the limit. */
  run(ms: number): void {
    this.world.run(ms, () => {
      for (const proxy of this.world.living)
        if (!(proxy.share > 0 && proxy.share <= limit)) this.say(true, `a share of ${proxy.share}`)
    })
  }

  /** Runs on for so long, and looks at the windows that begin after it has settled. */
  phase(name: string, ms: number, least: number, most: number, windowMs = 10_000): void {
    const fromMs = this.world.nowMs
    this.run(ms)
    const rates = this.world.rates(fromMs + settleMs, this.world.nowMs, windowMs)
    this.say(rates.least < least, `${name}: ${Math.round(rates.least)}/s in some window, at least ${least}`)
    this.say(rates.most > most, `${name}: ${Math.round(rates.most)}/s in some window, at most ${most}`)
  }
}

const within = [0.9 * limit, 1.1 * limit] as const

export const fleetChecks: Readonly<Record<string, FleetCheck>> = {
  'demand of 90/5/5, then 33/33/33, then one is killed: the sum is within a tenth of the limit': (seed, modules) => {
    const run = new Run(seed, modules, 3)
    run.demand(5_400, 300, 300)
    run.phase('90/5/5', 15_000, ...within)
    run.demand(2_000, 2_000, 2_000)
    run.phase('33/33/33', 15_000, ...within)
    run.proxies[1]!.isAlive = false
    run.phase('one is killed', 15_000, ...within)
    run.demand(300, 0, 5_400)
    run.phase('5/-/90', 15_000, ...within)
    return run.broken
  },

  'while demand moves the sum is not exceeded for long': (seed, modules) => {
    const run = new Run(seed, modules, 3)
    run.demand(5_400, 300, 300)
    run.run(8_000)
    const fromMs = run.world.nowMs
    run.demand(300, 5_400, 2_000)
    run.run(8_000)
    run.demand(2_000, 2_000, 5_400)
    run.run(8_000)
    // The buckets of those who had asked for little are full: a burst is theirs to give.
    const { most } = run.world.rates(fromMs, run.world.nowMs, 3_000)
    run.say(most > 1.15 * limit, `${Math.round(most)}/s in 3 s while demand moved`)
    const shares = run.world.sharesMost(fromMs, run.world.nowMs)
    run.say(shares > 1.2 * limit, `shares of ${Math.round(shares)}/s in all`)
    return run.broken
  },

  'while all of it suffices nobody is held back': (seed, modules) => {
    const run = new Run(seed, modules, 4)
    run.demand(1_500, 200, 0, 500)
    run.phase('below the limit', 14_000, 0.97 * 2_200, limit)
    run.demand(0, 200, 1_500, 500)
    run.phase('and elsewhere', 14_000, 0.97 * 2_200, limit)
    return run.broken
  },

  'what is left over is shared, so that who wants more has some at once': (seed, modules) => {
    const run = new Run(seed, modules, 4, 0)
    run.demand(700, 200, 0, 500)
    run.run(10_000)
    const shares = run.proxies.map((proxy) => proxy.share)
    run.say(Math.min(...shares) < 0.05 * limit, `who wants more at once has ${shares}`)
    return run.broken
  },

  'clients that wait for their answers get what is there too': (seed, modules) => {
    const run = new Run(seed, modules, 3, 0)
    const [a, b, c] = run.proxies
    a!.demand = { perSecond: 20_000, clients: 200 }
    b!.demand = { perSecond: 300 }
    c!.demand = { perSecond: 20, clients: 1 }
    run.phase('one wants all', 14_000, ...within)
    c!.demand = { perSecond: 20_000, clients: 1 }
    run.run(settleMs)
    const [one, other] = [a!.share, c!.share]
    run.say(other < 0.2 * limit, `${one} and ${other} for two that want all, after 3 s`)
    run.phase('two want all', 10_500, ...within)
    return run.broken
  },

  'one that was idle has its part within seconds': (seed, modules) => {
    const run = new Run(seed, modules, 3, 0)
    run.demand(9_000, 9_000, 0)
    run.run(20_000)
    run.say(run.proxies[2]!.share < limit / 100, `an idle one has ${run.proxies[2]!.share}`)
    const before = run.proxies[2]!.sum.accepted
    run.demand(9_000, 9_000, 9_000)
    run.run(settleMs)
    run.say(run.proxies[2]!.sum.accepted === before, 'it had nothing')
    run.say(run.proxies[2]!.share < 0.3 * limit, `after 3 s it has ${run.proxies[2]!.share}`)
    return run.broken
  },

  'one alone has all of it, also after the others have left': (seed, modules) => {
    const run = new Run(seed, modules, 1, 0)
    run.say(run.proxies[0]!.share !== limit, `alone it has ${run.proxies[0]!.share}`)
    run.world.join()
    run.world.join()
    run.demand(9_000, 9_000, 9_000)
    run.phase('three', 14_000, ...within)
    const [, leaving, dying] = run.proxies
    leaving!.usage.leave(() => {})
    leaving!.demand = open(0)
    run.run(200)
    leaving!.isAlive = false
    dying!.isAlive = false
    run.run(settleMs)
    run.say(run.proxies[0]!.share !== limit, `alone again it has ${run.proxies[0]!.share}`)
    run.run(80_000)
    run.say(run.world.records.size !== 1, `${run.world.records.size} records of one proxy`)
    return run.broken
  },

  'a new one exceeds the limit by little until the others have seen it': (seed, modules) => {
    const run = new Run(seed, modules, 2)
    run.demand(9_000, 9_000)
    run.run(8_000)
    const fromMs = run.world.nowMs
    run.world.join()
    run.demand(9_000, 9_000, 9_000)
    run.run(settleMs)
    const shares = run.world.sharesMost(fromMs, run.world.nowMs)
    run.say(shares > 1.15 * limit, `shares of ${shares}/s in all`)
    run.phase('three', 11_000, ...within)
    return run.broken
  },

  'who is cut off keeps its last share, and the others share the rest of the limit and then what it had': (
    seed,
    modules,
  ) => {
    const run = new Run(seed, modules, 3)
    run.demand(4_000, 4_000, 1_000)
    run.run(10_000)
    const [cut] = run.proxies
    const before = cut!.share
    run.world.cut(cut!, true)
    run.run(1_000)
    run.say(cut!.share < 0.9 * before || cut!.share > 1.1 * before, `${cut!.share} of ${before} when it was cut off`)
    const kept = cut!.share
    run.phase('one is cut off', 20_000, limit, limit + 1.1 * kept)
    run.say(cut!.share !== kept, `it had ${kept} and has ${cut!.share}`)
    run.world.cut(cut!, false)
    run.phase('it is back', 14_000, ...within)
    return run.broken
  },

  'while Redis is away the shares stand still, and so does the sum': (seed, modules) => {
    const run = new Run(seed, modules, 3)
    run.demand(4_000, 4_000, 300)
    run.run(10_000)
    run.world.outage(true)
    run.phase('Redis is away', 30_000, ...within)
    run.demand(300, 300, 300)
    run.run(5_000)
    run.demand(6_000, 300, 300)
    run.run(5_000)
    run.say(run.world.sharesMost(run.world.nowMs - 30_000, run.world.nowMs) > 1.1 * limit, 'shares have grown')
    run.world.outage(false)
    run.phase('it is back', 14_000, ...within)
    return run.broken
  },

  'nobody who starts while Redis is away has all, nor nothing': (seed, modules) => {
    const run = new Run(seed, modules, 0)
    run.world.outage(true)
    for (let i = 0; i < 3; i++) run.world.join()
    run.demand(9_000, 9_000, 9_000)
    run.phase('three that know nothing', 14_000, 0.25 * limit, 0.4 * limit)
    run.world.outage(false)
    run.phase('and now they do', 14_000, ...within)
    return run.broken
  },

  'records that are evicted change nothing': (seed, modules) => {
    const run = new Run(seed, modules, 3, 0)
    run.demand(4_000, 2_000, 300)
    run.run(10_000)
    const fromMs = run.world.nowMs
    for (let i = 0; i < 12; i++) {
      run.run(1_000 + run.world.random(100))
      run.world.evict()
    }
    const { least, most } = run.world.rates(fromMs, run.world.nowMs, 1_000)
    run.say(least < 0.8 * limit || most > 1.15 * limit, `${Math.round(least)} to ${Math.round(most)}/s in a second`)
    return run.broken
  },

  'who is refused keeps its share, and says so once': (seed, modules) => {
    const run = new Run(seed, modules, 2)
    run.demand(4_000, 4_000)
    run.run(6_000)
    const [refused] = run.proxies
    refused!.isRefused = true
    run.run(2_000)
    const kept = refused!.share
    run.run(10_000)
    run.say(refused!.share !== kept, `it had ${kept} and has ${refused!.share}`)
    run.say(refused!.wasRefusedTold !== 1, `said ${refused!.wasRefusedTold} times`)
    return run.broken
  },

  'at rest a proxy writes once a minute': (seed, modules) => {
    const run = new Run(seed, modules, 3)
    run.demand(2_000, 300, 0)
    run.run(10_000)
    run.demand(0, 0, 0)
    run.world.run(20_000, () => {
      if (run.proxies.some((proxy) => proxy.usage.proxies !== 3))
        run.say(true, 'one that has nothing to say is taken for dead')
    })
    const before = run.world.writes
    run.run(120_000)
    const writes = run.world.writes - before
    // A record, and the life of the key.
    run.say(writes > 3 * 2 * 2 + 6, `${writes} writes of three proxies in two minutes`)
    run.say(
      run.proxies.some((proxy) => proxy.usage.proxies !== 3),
      'one is taken for dead',
    )
    return run.broken
  },

  'whatever happens, it settles': (seed, modules) => {
    const run = new Run(seed, modules, 2 + (seed % 4))
    const { world } = run
    for (let i = 0; i < 6; i++) {
      const { living } = world
      const one = living[world.random(living.length)]!
      const what = world.random(4)
      if (what === 0 && living.length > 2) one.isAlive = false
      if (what === 1 && living.length < 7) world.join()
      if (what === 2) world.evict()
      // At least one wants all, so that the limit is what counts.
      for (const proxy of world.living) proxy.demand = open(world.random(3) === 0 ? 4_000 : world.random(800))
      world.living[world.random(world.living.length)]!.demand = open(6_000)
      run.phase(`${i} (${what}, ${world.living.map((proxy) => proxy.demand.perSecond)})`, 13_500, ...within)
    }
    return run.broken
  },
}
