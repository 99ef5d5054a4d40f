import { Cells } from '../../../src/metrics/cells.ts'
import type { QuotaLimits } from '../../../src/quota/tenant-quota.ts'
import { type Account, TenantState } from '../../../src/tenant/account.ts'
import { WorkerLimits } from '../../../src/usage/worker-limits.ts'
import { type Message, SupervisorLinks, WorkerLink } from '../../../src/workers/link.ts'
import { QuotaDesk, quotaLink } from '../../../src/workers/quota-desk.ts'

const tickMs = 50

/** A supervisor's desk and workers over real links, on one clock that a test moves. Messages arrive at once. */
class Machine {
  nowMs = 0
  readonly links: SupervisorLinks
  readonly desk: QuotaDesk
  readonly workers: Worker[] = []
  readonly #due: { atMs: number; run: () => void }[] = []
  readonly timers = {
    after: (ms: number, run: () => void) => {
      const timer = { atMs: this.nowMs + ms, run }
      this.#due.push(timer)
      return () => void this.#due.splice(this.#due.indexOf(timer), 1)
    },
  }

  readonly limits: QuotaLimits
  readonly count: number

  constructor(limits: QuotaLimits, count = 2) {
    this.limits = limits
    this.count = count
    this.links = new SupervisorLinks(this.timers)
    this.desk = new QuotaDesk(this.links, this.timers)
    for (let i = 0; i < count; i++) this.start(i)
  }

  start(index: number): Worker {
    const worker = new Worker(this, index)
    this.workers[index] = worker
    this.desk.started(index)
    return worker
  }

  kill(index: number): void {
    const worker = this.workers[index]!
    worker.isAlive = false
    this.links.closed(index, worker.supervisorEnd, 'killed')
    this.desk.gone(index)
  }

  /** One millisecond. */
  step(): void {
    this.nowMs++
    for (const timer of this.#due.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.#due.splice(this.#due.indexOf(timer), 1)
      timer.run()
    }
    for (const worker of this.workers)
      if (worker.isAlive && this.nowMs % tickMs === worker.index * 7) worker.limits.tick(this.nowMs)
  }
}

class Worker {
  isAlive = true
  readonly limits: WorkerLimits
  readonly tenant: TenantState
  readonly supervisorEnd
  connections = 0
  leases = 0
  done = 0
  /** Commands that wait; only while `delay`. */
  #queue = 0
  #since = 0
  #asked = 0

  readonly machine: Machine
  readonly index: number

  constructor(machine: Machine, index: number) {
    this.machine = machine
    this.index = index
    const { links, timers, limits, count } = machine
    const link: WorkerLink = new WorkerLink((message) => this.supervisorEnd.take(structuredClone(message)), timers)
    this.supervisorEnd = links.open(index, (message: Message) => void link.take(structuredClone(message)))
    const channel = quotaLink(link)
    this.limits = new WorkerLimits({
      workers: count,
      nowUs: () => machine.nowMs * 1000,
      leasesOf: () => this.leases,
      connectionsOf: () => this.connections,
      tellWishes: channel.tellWishes,
      tellConnections: channel.tellConnections,
    })
    channel.listen({
      takeParts: (told) => this.limits.take(told),
      takeConnections: (told) => this.limits.takeConnections(told),
    })
    this.tenant = new TenantState('shop', 'shop:', new Cells({ commandNames: [] }).tenant('shop'))
    this.tenant.setLimits(limits, false, machine.nowMs * 1000)
  }

  login(): void {
    this.limits.join({ tenant: this.tenant, user: 'app', limits: undefined, use: undefined } as unknown as Account)
  }

  get rate(): number {
    return this.tenant.quota!.ops!.rate
  }

  /** So many commands a second come, for one millisecond; what may not go on waits (at most 50 do) or is refused. */
  serve(perSecond: number): void {
    const quota = this.tenant.quota!
    const nowUs = this.machine.nowMs * 1000
    quota.look(nowUs)
    this.#asked += perSecond / 1000
    for (; this.#asked >= 1; this.#asked--) {
      if (quota.limits.whenExceeded === 'error' && quota.waitUs(1, 0, nowUs) > 0) quota.noteRefused(1, 0)
      else if (this.#queue < 50) this.#queue++
    }
    if (this.#queue > 0 && this.#since === 0) this.#since = this.machine.nowMs
    while (this.#queue > 0 && quota.waitUs(1, 0, nowUs) === 0) {
      quota.take(1, 0, true)
      this.#queue--
      this.done++
      if (this.machine.nowMs > this.#since) quota.noteDelayed(this.machine.nowMs - this.#since)
      this.#since = this.#queue > 0 ? this.machine.nowMs : 0
    }
  }
}

const ops: QuotaLimits = { opsPerS: 1_000, scope: 'proxy', whenExceeded: 'delay' }

/** Total of a second, and the largest sum of rates in it. */
function second(machine: Machine, demand: readonly number[], ms = 1_000): { done: number; rates: number } {
  const before = machine.workers.reduce((sum, { done }) => sum + done, 0)
  let rates = 0
  for (let i = 0; i < ms; i++) {
    machine.step()
    for (const [k, worker] of machine.workers.entries()) if (worker.isAlive) worker.serve(demand[k]!)
    rates = Math.max(
      rates,
      machine.workers.filter(({ isAlive }) => isAlive).reduce((sum, { rate }) => sum + rate, 0),
    )
  }
  return { done: machine.workers.reduce((sum, { done }) => sum + done, 0) - before, rates }
}

describe('a limit of all workers', () => {
  test('begins with an equal part at each, before anybody was told anything', () => {
    const machine = new Machine(ops, 4)
    for (const worker of machine.workers) {
      worker.login()
      expect(worker.rate).toBe(250)
    }
  })

  test.each(['delay', 'error'] as const)(
    'is all of it within ten per cent while demand moves between workers (%s)',
    (whenExceeded) => {
      const machine = new Machine({ ...ops, whenExceeded })
      for (const worker of machine.workers) worker.login()
      const windows: number[] = []
      let rates = 0
      for (let window = 0; window < 4; window++) {
        const demand = window % 2 === 0 ? [1_350, 150] : [150, 1_350]
        let done = 0
        for (let s = 0; s < 10; s++) {
          const of = second(machine, demand)
          done += of.done
          rates = Math.max(rates, of.rates)
        }
        windows.push(done)
      }
      for (const done of windows) {
        expect(done).toBeGreaterThan(9_000)
        expect(done).toBeLessThan(11_000)
      }
      expect(rates).toBeLessThanOrEqual(1_000.001)
    },
  )

  test('is not passed when all demand is at one worker, and that one has nearly all of it', () => {
    const machine = new Machine(ops)
    for (const worker of machine.workers) worker.login()
    second(machine, [2_000, 0], 3_000)
    const { done } = second(machine, [2_000, 0])
    expect(done).toBeGreaterThan(940)
    expect(done).toBeLessThan(1_010)
    expect(machine.workers[1]!.rate).toBeGreaterThanOrEqual(25)
  })

  test('is the others when a worker dies, and is shared with the next one', () => {
    const machine = new Machine(ops)
    for (const worker of machine.workers) worker.login()
    second(machine, [2_000, 2_000], 3_000)
    machine.kill(1)
    expect(machine.workers[0]!.rate).toBe(1_000)
    expect(second(machine, [2_000, 0]).done).toBeGreaterThan(900)
    machine.start(1).login()
    expect(machine.workers[1]!.rate).toBe(500)
    second(machine, [2_000, 2_000], 2_000)
    const { done, rates } = second(machine, [2_000, 2_000])
    expect(done).toBeLessThan(1_020)
    expect(rates).toBeLessThanOrEqual(1_000.001)
  })

  test('is equal parts again when nobody uses it', () => {
    const machine = new Machine(ops)
    for (const worker of machine.workers) worker.login()
    second(machine, [2_000, 0], 3_000)
    second(machine, [0, 0], 10_000)
    expect(machine.workers.map(({ rate }) => rate)).toEqual([500, 500])
  })

  test('that a reload changes is divided as the old one was, at once', () => {
    const machine = new Machine(ops)
    for (const worker of machine.workers) worker.login()
    second(machine, [2_000, 0], 3_000)
    const before = machine.workers.map(({ rate }) => rate)
    for (const { tenant, limits } of machine.workers) {
      tenant.setLimits({ ...ops, opsPerS: 100 }, false, machine.nowMs * 1000)
      limits.renew(() => true)
    }
    for (const [i, { rate }] of machine.workers.entries()) expect(rate).toBeCloseTo(before[i]! / 10)
  })

  test('of a fleet is left to the fleet', () => {
    const machine = new Machine({ ...ops, scope: 'fleet' })
    for (const worker of machine.workers) worker.login()
    expect(machine.workers[0]!.rate).toBe(1_000)
  })

  test('of leases is raised only into what others do not hold, and nobody has none', () => {
    const machine = new Machine({ leases: 10, inFlight: 1, scope: 'proxy', whenExceeded: 'delay' })
    for (const worker of machine.workers) worker.login()
    expect(machine.workers.map(({ tenant }) => [tenant.leasesMost, tenant.inFlightMost])).toEqual([
      [5, 1],
      [5, 1],
    ])
    const [a, b] = machine.workers as [Worker, Worker]
    for (let i = 0; i < 3_000; i++) {
      a.leases = Math.min(a.tenant.leasesMost, 9)
      machine.step()
    }
    expect([a.leases, b.tenant.leasesMost]).toEqual([9, 1])
    for (let i = 0; i < 3_000; i++) {
      b.leases = b.tenant.leasesMost
      machine.step()
    }
    expect(b.leases).toBe(1)
    a.leases = 2
    for (let i = 0; i < 3_000; i++) {
      b.leases = b.tenant.leasesMost
      machine.step()
    }
    // The other one keeps room for twice what it uses.
    expect([a.leases, b.leases]).toEqual([2, 6])
  })

  test('of connections counts those of all workers, and those of a dead one no more', () => {
    const machine = new Machine({ connections: 10, scope: 'proxy', whenExceeded: 'delay' }, 3)
    const [a, b, c] = machine.workers as [Worker, Worker, Worker]
    const connect = (worker: Worker, count: number): void => {
      worker.connections = count
      worker.limits.noteConnections('shop')
    }
    const elsewhere = (): number[] => machine.workers.map(({ limits }) => limits.connectionsElsewhere('shop'))
    connect(a, 3)
    connect(b, 4)
    for (let i = 0; i < 200; i++) machine.step()
    expect(elsewhere()).toEqual([4, 3, 7])
    connect(c, 1)
    connect(b, 0)
    for (let i = 0; i < 200; i++) machine.step()
    expect(elsewhere()).toEqual([1, 4, 3])
    machine.kill(0)
    expect(elsewhere().slice(1)).toEqual([1, 0])
    const again = machine.start(0)
    for (let i = 0; i < 200; i++) machine.step()
    expect(again.limits.connectionsElsewhere('shop')).toBe(1)
  })
})
