/** What goes wrong in a run, and is put right again before its end. Each fault is drawn by the seed and told by its name. */
import type { SimRedis } from './redis.ts'
import type { World } from './world.ts'

export const faultNames = [
  'lag',
  'cut link to a proxy',
  'reset connections',
  'stall connections',
  'stop a replica',
  'stop the primary',
  'stop a proxy',
  'restart a proxy',
  'break replication',
  'cut replication',
  'crash a replica',
  'reattach',
  'chain',
  'full primary',
] as const

const faultMsMax = 900
/** Before the end of the load, so that the end can be judged. */
const quietMs = 400

export class Faults {
  private readonly world: World
  private readonly names: readonly string[]

  constructor(world: World, names: readonly string[] = faultNames) {
    this.world = world
    this.names = names
  }

  start(): void {
    const { time, servers } = this.world
    for (const replica of servers.slice(1)) replica.lagMs = time.pick([0, 0, 5, 40, 200])
    for (const replica of servers) time.after(time.between(200, 800), () => replica.save(), undefined)
    this.next()
  }

  private next(): void {
    const { time } = this.world
    if (this.names.length === 0) return
    time.after(
      time.between(30, 250),
      () => {
        if (this.world.isEnding) return
        this.strike(time.pick(this.names))
        this.next()
      },
      undefined,
    )
  }

  private strike(name: string): void {
    const { world } = this
    const { time, network, servers, proxies } = world
    const replica = time.pick(servers.slice(1))
    const server = time.pick(servers)
    const proxy = time.pick(proxies)
    const { process } = proxy
    const place = `at-${proxy.region}`
    const forMs = time.random() < 0.7 ? time.between(5, 200) : time.between(200, faultMsMax)
    const later = (run: () => void): void => {
      const restMs = Math.max(1, Math.min(forMs, world.endsAtMs - quietMs - time.nowMs))
      time.after(restMs, run, undefined)
    }
    world.note(name)
    switch (name) {
      case 'lag':
        replica.lagMs = time.random() < 0.5 ? time.between(0, 20) : time.between(0, 500)
        break
      case 'cut link to a proxy':
        network.cut(place, server.name)
        later(() => network.heal(place, server.name))
        break
      case 'reset connections':
        network.reset(place, server)
        break
      case 'stall connections':
        // Longer than the proxy's patience, so that it gives them up with writes on their way.
        for (const conn of servers[0]!.conns.values())
          if (conn.process === process && time.random() < 0.5) conn.stall(time.between(300, 900))
        break
      case 'stop a replica':
        this.pause(replica, later)
        break
      case 'stop the primary':
        this.pause(servers[0]!, later)
        break
      case 'stop a proxy':
        time.stop(process)
        later(() => time.goOn(process))
        break
      case 'restart a proxy':
        world.restartProxy(proxy)
        break
      case 'break replication':
        replica.breakLink()
        break
      case 'cut replication':
        network.cut(replica.master!.name, replica.name)
        later(() => network.heal(replica.master!.name, replica.name))
        break
      case 'crash a replica':
        if (!replica.isRunning) break
        replica.crash()
        later(() => replica.restart())
        break
      case 'reattach':
      case 'chain': {
        const sibling = servers.slice(1).find((other) => other !== replica)!
        if (sibling.master !== servers[0] || replica.master !== servers[0]) break
        replica.follow(sibling)
        later(() => replica.follow(servers[0]!))
        break
      }
      case 'full primary':
        servers[0]!.isFull = true
        later(() => {
          servers[0]!.isFull = false
        })
        break
    }
  }

  private pause(server: SimRedis, later: (run: () => void) => void): void {
    server.stop()
    later(() => server.goOn())
  }
}
