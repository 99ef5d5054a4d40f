/**
 * A model of one connection that ten tenants share: a node that answers one command after the other, some way off, the real
 * window and ring (quota/fair-window.ts) and the real bucket of a quota. No time of its own, no luck: the same every time.
 */
import { TokenBucket } from '../../src/quota/bucket.ts'
import { costOf, FairWindow, type Sharer } from '../../src/quota/fair-window.ts'

const serviceMs = 0.01
const wayMs = 0.25
const modestTenants = 9
const opsLimit = 20_000

class Tenant implements Sharer {
  inFlight = 0
  answered = 0
  cost = costOf(1, 0)
  deficit = 0
  isWaiting = false
  seenIn = -1
  /** When each command came that waits here. */
  /** The times at which the commands came that wait here, the first at `first`. */
  readonly came: number[] = []
  first = 0
  readonly tookMs: number[] = []
  get waiting(): number {
    return this.came.length - this.first
  }
  get isUnknown(): boolean {
    return this.answered === 0
  }
}

interface Model {
  /** Commands that the greedy one sends at once, and how often, ms. */
  readonly chunk: number
  readonly everyMs: number
  readonly hasQuota: boolean
  readonly hasWindow?: boolean
}

/** How long the modest tenants' commands took, and how many of the greedy one were run, after a second of settling. */
function run(model: Model, forMs = 3_000): { p99Ms: number; perSecond: number } {
  const window = new FairWindow<Tenant>()
  const lane = { inFlight: 0, answered: 0, receivedBytes: 0 }
  const greedy = new Tenant()
  const modest = Array.from({ length: modestTenants }, () => new Tenant())
  const bucket = new TokenBucket(opsLimit, opsLimit / 4, 0)
  /** On its way: whose, when it came, when it is answered. */
  const queue: { tenant: Tenant; cameMs: number; doneMs: number }[] = []
  let head = 0
  let freeMs = 0
  let ran = 0
  let state = 1
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
  const send = (tenant: Tenant, cameMs: number, nowMs: number): void => {
    freeMs = Math.max(freeMs, nowMs + wayMs) + serviceMs
    queue.push({ tenant, cameMs, doneMs: freeMs + wayMs })
    tenant.inFlight++
    lane.inFlight++
  }
  const arrive = (tenant: Tenant, count: number, nowMs: number): void => {
    for (let i = 0; i < count; i++) tenant.came.push(nowMs)
    const isShared = window.note(tenant, nowMs) && model.hasWindow !== false
    const most = isShared ? window.most(tenant, lane) : Number.POSITIVE_INFINITY
    for (let i = Math.min(most, tenant.waiting); i > 0; i--) send(tenant, tenant.came[tenant.first++]!, nowMs)
    if (tenant.waiting > 0) window.wait(tenant)
  }
  const answer = (nowMs: number): void => {
    for (; head < queue.length && queue[head]!.doneMs <= nowMs; head++) {
      const { tenant, cameMs, doneMs } = queue[head]!
      tenant.inFlight--
      lane.inFlight--
      tenant.answered++
      lane.answered++
      if (doneMs < 1_000) continue
      if (tenant === greedy) ran++
      else tenant.tookMs.push(doneMs - cameMs)
    }
    window.look(lane, 2 * wayMs, nowMs)
    window.serve(
      lane,
      () => Number.POSITIVE_INFINITY,
      (tenant, most) => {
        if (tenant.waiting === 0) return -1
        const count = Math.min(most, tenant.waiting)
        for (let i = 0; i < count; i++) send(tenant, tenant.came[tenant.first++]!, nowMs)
        return count
      },
    )
  }
  const due = modest.map(() => next())
  let greedyDueMs = 0
  for (let nowMs = 0; nowMs < forMs; nowMs += 0.1) {
    answer(nowMs)
    if (nowMs >= greedyDueMs) {
      greedyDueMs += model.everyMs
      let admitted = model.chunk
      if (model.hasQuota) {
        admitted = 0
        for (let i = 0; i < model.chunk; i++) if (take(bucket, nowMs)) admitted++
      }
      if (admitted > 0) arrive(greedy, admitted, nowMs)
    }
    modest.forEach((tenant, i) => {
      if (nowMs < due[i]!) return
      due[i] = nowMs + 0.5 + next()
      arrive(tenant, 1, nowMs)
    })
  }
  const all = modest.flatMap((tenant) => tenant.tookMs).sort((a, b) => a - b)
  return { p99Ms: all[Math.floor(all.length * 0.99)]!, perSecond: ran / ((forMs - 1_000) / 1000) }
}

function take(bucket: TokenBucket, nowMs: number): boolean {
  const nowUs = Math.floor(nowMs * 1000)
  return bucket.take(1, nowUs) === 0
}

test('a neighbour that sends ten times its limit costs no more than one that sends just at it', () => {
  const atLimit = run({ chunk: 256, everyMs: 256_000 / opsLimit, hasQuota: true })
  const tenfold = run({ chunk: 256, everyMs: 25_600 / opsLimit, hasQuota: true })
  expect(tenfold.p99Ms / atLimit.p99Ms).toBeLessThanOrEqual(1.1)
  for (const { perSecond } of [atLimit, tenfold]) expect(Math.abs(perSecond / opsLimit - 1)).toBeLessThan(0.05)
})

test('a neighbour without a limit that always has ten thousand commands to send costs what waits at the node, and no more', () => {
  const alone = run({ chunk: 0, everyMs: 1, hasQuota: false }).p99Ms
  const flooded = run({ chunk: 10_000, everyMs: 100, hasQuota: false })
  // The node has enough to do all the time, and what waits there takes it 5 ms; others' shares may come on top.
  expect(flooded.p99Ms).toBeLessThan(alone + 2 * 5)
  expect(flooded.perSecond * serviceMs).toBeGreaterThan(800)
  expect(run({ chunk: 10_000, everyMs: 100, hasQuota: false, hasWindow: false }).p99Ms).toBeGreaterThan(50)
})
