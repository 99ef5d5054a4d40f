/**
 * The table of fences against a model that forgets nothing: lanes that carry writes and marks, a primary that runs them in
 * the order of each lane, replicas that apply its log late, fall back and come and go. Whatever node the table lets a read go
 * to must have every write that was answered before. Faults planted in the table are all found.
 */
import { TenantCells } from '../../src/metrics/cells.ts'
import { FenceNeed, Fences } from '../../src/regions/fences.ts'
import { Node } from '../../src/regions/node.ts'
import { TenantState } from '../../src/tenant/account.ts'
import type { hashOf } from '../../src/tenant/key-hash.ts'
import type { Lane } from '../../src/upstream/lane.ts'
import { randomFrom } from '../kit/exchange.ts'

type Item = { readonly kind: 'write'; readonly tenant: number; readonly keys: string[]; readonly leased: boolean }
type Carried = Item | { readonly kind: 'mark'; readonly seq: number; readonly slot: number }

/** What the table sees of a lane, and what is on its connection. */
class ModelLane {
  lastTrailSeq = 0
  lastTrailAtMs = 0
  lastWrite = 0
  answered = 0
  appended = 0
  readonly index: number
  /** Not run yet, and run but not answered. */
  queue: Carried[] = []
  replies: { item: Carried; at: number }[] = []
  constructor(index: number) {
    this.index = index
  }
}

class Model {
  readonly lanes = [0, 1, 2].map((i) => new ModelLane(i))
  /** Without marks behind its commands: a leased connection. The last: the control connection's marks. */
  readonly lease = new ModelLane(-1)
  readonly control = new ModelLane(-1)
  readonly log: Carried[] = []
  readonly nodes = [0, 1, 2].map(
    (i) => new Node(i, { name: `${i}`, region: 'r', host: 'h', port: 1, tls: false }, true),
  )
  readonly applied = [0, 0, 0]
  /** Marks sent before do not count in the node's present incarnation. */
  readonly since = [0, 0, 0]
  readonly tenants = ['a', 'b'].map((id) => new TenantState(id, `${id}:`, new TenantCells()))
  /** By tenant and key: the place in the log of the newest answered write. */
  readonly acked = new Map<string, number>()
  nextSeq = 1
  isPrimaryNearest = false
  met = 0
  unmet = 0
  readonly fences: Fences

  constructor(entries: number) {
    for (const node of this.nodes) node.isReadable = true
    this.fences = new Fences({
      nodes: this.nodes,
      lanes: this.lanes as unknown as Lane[],
      primary: () => this.nodes[0],
      nextSeq: () => this.nextSeq,
      entries,
    })
    this.tenants[0]!.hasSessionReads = true
  }

  private note(): boolean {
    if (this.isPrimaryNearest) {
      this.fences.skip()
      return false
    }
    if (this.fences.isSkipping) this.fences.resume()
    return true
  }

  private hash(tenant: TenantState, key: string) {
    const name = Buffer.from(key)
    return this.fences.hashKey(tenant, 0, tenant.prefixes[0]!, name, 0, name.length)
  }

  send(lane: ModelLane, tenantAt: number, keys: string[], isWide: boolean): void {
    const tenant = this.tenants[tenantAt]!
    lane.queue.push({ kind: 'write', tenant: tenantAt, keys, leased: false })
    // As lane.append: before or after it is noted makes no difference to the table.
    lane.lastWrite = ++lane.appended
    if (!this.note()) return
    this.fences.noteWrite(tenant, lane as unknown as Lane, 0)
    if (!tenant.hasSessionReads) return
    if (isWide) this.fences.layWide(tenant, lane as unknown as Lane, 0)
    else for (const key of keys) this.fences.layKey(tenant, this.hash(tenant, key), lane as unknown as Lane, 0)
  }

  sendLeased(tenantAt: number, keys: string[]): void {
    this.lease.queue.push({ kind: 'write', tenant: tenantAt, keys, leased: true })
  }

  mark(lane: ModelLane): void {
    const seq = this.nextSeq++
    lane.queue.push({ kind: 'mark', seq, slot: lane.index })
    lane.appended++
    if (lane !== this.control) lane.lastTrailSeq = seq
    else lane.answered++
  }

  run(lane: ModelLane): void {
    const item = lane.queue.shift()
    if (item === undefined) return
    this.log.push(item)
    lane.replies.push({ item, at: this.log.length })
  }

  answer(lane: ModelLane): void {
    const reply = lane.replies.shift()
    if (reply === undefined) return
    if (lane !== this.control) lane.answered++
    const { item, at } = reply
    if (item.kind !== 'write') return
    const tenant = this.tenants[item.tenant]!
    if (item.leased) {
      this.note()
      this.fences.noteAnswered(tenant, 0)
      if (tenant.hasSessionReads)
        for (const key of item.keys) {
          const hash = this.hash(tenant, key)
          this.fences.layAnswered(tenant, hash.spread, hash.b, 0)
        }
    }
    for (const key of item.keys) this.acked.set(`${tenant.id}:${key}`, at)
  }

  /** The connection dies and the next one kills it on the server: what had not run never will. */
  kill(lane: ModelLane): void {
    const lost = [...lane.queue, ...lane.replies.map(({ item }) => item)]
    lane.queue = []
    lane.replies = []
    lane.answered = lane.appended
    for (const item of lost) {
      if (item.kind !== 'write') continue
      const tenant = this.tenants[item.tenant]!
      tenant.floor = this.nextSeq
      tenant.newestMark = this.nextSeq
    }
  }

  apply(nodeAt: number): void {
    const item = this.log[this.applied[nodeAt]!]
    if (item === undefined) return
    this.applied[nodeAt]!++
    if (item.kind !== 'mark' || item.seq < this.since[nodeAt]!) return
    const node = this.nodes[nodeAt]!
    node.shownSeq = Math.max(node.shownSeq, item.seq)
    if (item.slot < 0) return
    if (node.shownTrails.length === 0) node.shownTrails = new Float64Array(3)
    node.shownTrails[item.slot] = Math.max(node.shownTrails[item.slot]!, item.seq)
  }

  /** It was restarted from an old copy, or follows a laggard now. */
  goBack(nodeAt: number, to: number): void {
    this.applied[nodeAt] = Math.min(to, this.applied[nodeAt]!)
    this.nodes[nodeAt]!.startIncarnation(0)
    this.since[nodeAt] = this.nextSeq
  }

  /** A read of these keys, as request-path.ts asks; what is wrong with the answer. */
  read(tenantAt: number, keys: string[], need: FenceNeed): string | undefined {
    const tenant = this.tenants[tenantAt]!
    const { fences } = this
    if (this.isPrimaryNearest) return undefined
    if (!tenant.hasSessionReads) fences.beginSessionReads(tenant)
    if (fences.isSkipping) fences.resume()
    fences.begin(need, tenant)
    if (need.hasWritten) {
      fences.addAll(need, tenant)
      if (keys.length > 0 && !need.isMetBy(this.nodes[1]!)) {
        fences.begin(need, tenant)
        fences.addWide(need, tenant)
        for (const key of keys) fences.addKey(need, tenant, this.hash(tenant, key))
      }
    }
    const asked = keys.length > 0 ? keys.map((key) => `${tenant.id}:${key}`) : [...this.acked.keys()]
    for (const nodeAt of [1, 2]) {
      const node = this.nodes[nodeAt]!
      if (!node.isReadable) continue
      if (!need.isMetBy(node)) {
        this.unmet++
        continue
      }
      this.met++
      for (const name of asked) {
        if (!name.startsWith(tenant.id)) continue
        const at = this.acked.get(name) ?? 0
        if (this.applied[nodeAt]! < at) return `${name}: node ${nodeAt} has ${this.applied[nodeAt]} of ${at}`
      }
    }
    return undefined
  }
}

interface Result {
  problem: string | undefined
  met: number
  unmet: number
}

function simulate(seed: number, steps: number, plant?: (model: Model) => void): Result {
  const random = randomFrom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const model = new Model([8, 16, 64, 4096][seed % 4]!)
  plant?.(model)
  const need = new FenceNeed()
  const someKeys = (): string[] => Array.from({ length: 1 + below(3) }, () => `k${below(12)}`)
  for (let step = 0; step < steps; step++) {
    const lane = model.lanes[below(3)]!
    const tenantAt = below(2)
    const dice = random()
    const busy = (list: ModelLane[], what: 'queue' | 'replies'): ModelLane => {
      const some = list.filter((one) => one[what].length > 0)
      return some[below(some.length)] ?? lane
    }
    const all = [...model.lanes, model.lease, model.control]
    if (dice < 0.1) model.send(lane, tenantAt, someKeys(), random() < 0.1)
    else if (dice < 0.13) model.sendLeased(tenantAt, someKeys())
    else if (dice < 0.18) model.mark(lane)
    else if (dice < 0.21) model.mark(model.control)
    else if (dice < 0.42) model.run(busy(all, 'queue'))
    else if (dice < 0.59) model.answer(busy(all, 'replies'))
    else if (dice < 0.74) for (let n = below(8); n >= 0; n--) model.apply(1 + below(2))
    else if (dice < 0.79) model.fences.settle()
    else if (dice < 0.792) model.kill(lane)
    else if (dice < 0.794) model.goBack(1 + below(2), below(model.log.length + 1))
    else if (dice < 0.8) model.nodes[1 + below(2)]!.isReadable = random() < 0.6
    else if (dice < 0.808) model.isPrimaryNearest = random() < 0.3
    else {
      const problem = model.read(tenantAt, random() < 0.1 ? [] : someKeys(), need)
      if (problem !== undefined) return { problem: `step ${step}: ${problem}`, met: model.met, unmet: model.unmet }
    }
  }
  return { problem: undefined, met: model.met, unmet: model.unmet }
}

const runs = Number(process.env['RUNS'] ?? 150)
const first = Number(process.env['SEED'] ?? 1)

test('no read is let go to a node that lacks an answered write of its keys', () => {
  let met = 0
  let unmet = 0
  for (let seed = first; seed < first + runs; seed++) {
    const result = simulate(seed, 600)
    expect({ seed, problem: result.problem }).toEqual({ seed, problem: undefined })
    met += result.met
    unmet += result.unmet
  }
  // Both answers were given often: a table that says no to everything would pass, too.
  expect(met).toBeGreaterThan(runs * 10)
  expect(unmet).toBeGreaterThan(runs * 10)
}, 60_000)

describe('a fault in the table is found:', () => {
  const patch = (model: Model, what: object): void => void Object.assign(model.fences, what)
  const plants: Record<string, (model: Model) => void> = {
    'a write that finds no room is forgotten': (model) => patch(model, { widen() {} }),
    'entries are used again though a node lacks them': (model) => patch(model, { mayForget: () => true }),
    'what is settled does not wait for answers': (model) => {
      for (const lane of model.lanes) Object.defineProperty(lane, 'answered', { get: () => lane.appended, set() {} })
    },
    'a settled lane gives later writes the same position': (model) => {
      const { settle } = model.fences
      patch(model, {
        settle() {
          const before = model.lanes.map((lane) => lane.lastTrailSeq)
          settle.call(model.fences)
          for (const [i, lane] of model.lanes.entries()) lane.lastTrailSeq = before[i]!
        },
      })
    },
    'a write of a key on another lane takes the place of the first': (model) =>
      patch(model, {
        addKey(need: FenceNeed, tenant: TenantState, key: ReturnType<typeof hashOf>) {
          const one = new FenceNeed()
          Fences.prototype.addKey.call(model.fences, one, tenant, key)
          need.raiseFloor(one.floor, 0)
          if (one.count > 0) need.add(one.slots[0]!, one.trails[0]!, one.marks[0]!, 0)
        },
      }),
    'what was written while nothing was kept is forgotten': (model) =>
      patch(model, {
        resume() {
          model.fences.isSkipping = false
        },
      }),
    'what a tenant wrote before its first session read is forgotten': (model) =>
      patch(model, {
        beginSessionReads(tenant: TenantState) {
          tenant.hasSessionReads = true
        },
      }),
    'an incarnation that has shown nothing is believed': (model) => {
      for (const node of model.nodes)
        node.startIncarnation = () => {
          node.incarnation++
        }
    },
    'marks of any lane cover a position': (model) => {
      for (const node of model.nodes)
        node.covers = (loose, slot, trail) => node.shownSeq >= loose || (slot >= 0 && node.shownSeq > trail)
    },
    'a leased write counts from when it was sent': (model) => {
      const sendLeased = model.sendLeased.bind(model)
      const later = model.fences.layAnswered.bind(model.fences)
      model.sendLeased = (tenantAt, keys) => {
        for (const key of keys) {
          const name = Buffer.from(key)
          const tenant = model.tenants[tenantAt]!
          const hash = model.fences.hashKey(tenant, 0, tenant.prefixes[0]!, name, 0, name.length)
          later(tenant, hash.spread, hash.b, 0)
        }
        sendLeased(tenantAt, keys)
      }
      patch(model, { layAnswered() {} })
    },
  }
  test.each(Object.entries(plants))(
    '%s',
    (_name, plant) => {
      let found: string | undefined
      for (let seed = 1; seed <= 400 && found === undefined; seed++) found = simulate(seed, 600, plant).problem
      expect(found).toBeDefined()
    },
    60_000,
  )
})

/** A write is forgotten because the one readable node has it; then the other one comes back, which has an older mark. */
function forgetAndReturn(model: Model): boolean {
  const [lane, tenant] = [model.lanes[0]!, model.tenants[0]!]
  const flow = (nodes: readonly number[]): void => {
    for (let i = 0; i < 4; i++) {
      model.run(lane)
      model.answer(lane)
      for (const node of nodes) model.apply(node)
    }
  }
  model.mark(lane)
  flow([1, 2])
  model.nodes[2]!.isReadable = false
  for (let i = 0; i < 40; i++) {
    model.send(lane, 0, [`k${i}`], false)
    model.mark(lane)
    flow([1])
  }
  model.nodes[2]!.isReadable = true
  const need = new FenceNeed()
  model.fences.begin(need, tenant)
  model.fences.addWide(need, tenant)
  const name = Buffer.from('k0')
  model.fences.addKey(need, tenant, model.fences.hashKey(tenant, 0, tenant.prefixes[0]!, name, 0, name.length))
  return need.isMetBy(model.nodes[2]!)
}

test('a node that could not be asked when a write was forgotten owes a newer mark', () => {
  expect(forgetAndReturn(new Model(8))).toBe(false)
  const model = new Model(8)
  for (const node of model.nodes) Object.defineProperty(node, 'owedSeq', { get: () => 0, set() {} })
  expect(forgetAndReturn(model)).toBe(true) // the planted fault
})
