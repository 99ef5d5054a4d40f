/** Of what workers tell each other: cases that the model (test/property/sibling-fences.test.ts) meets too rarely to be sure of. */
import { TenantCells } from '../../../src/metrics/cells.ts'
import { FenceNeed, Fences } from '../../../src/regions/fences.ts'
import { Node } from '../../../src/regions/node.ts'
import { siblingSlot } from '../../../src/regions/sibling-fences.ts'
import {
  entryWords,
  goneWords,
  Head,
  headWords,
  putGone,
  putHead,
  type SiblingPages,
  takeGone,
  takeHead,
} from '../../../src/regions/sibling-format.ts'
import { SiblingWrites } from '../../../src/regions/sibling-writes.ts'
import { TenantState } from '../../../src/tenant/account.ts'
import type { Lane } from '../../../src/upstream/lane.ts'

const workers = 2
const ring = 16

function sharedPages() {
  const heads = new Uint32Array(workers * (headWords + goneWords))
  const rings = [0, 1].map(() => new Uint32Array(ring * entryWords))
  const of = (self: number): SiblingPages => ({
    self,
    workers,
    ring,
    readHeads: (into) => into.set(heads),
    writeHead: (words) => heads.set(words, self * headWords),
    readRing: (worker, into, from, entries) =>
      into.set(rings[worker]!.subarray(from * entryWords, (from + entries) * entryWords)),
    writeRing: (words, firstWord, from, entries) =>
      rings[self]!.set(words.subarray(firstWord, firstWord + entries * entryWords), from * entryWords),
  })
  const tellGone = (worker: number, incarnation: number): void => {
    const words = new Uint32Array(goneWords)
    putGone(incarnation, words)
    heads.set(words, workers * headWords + worker * goneWords)
  }
  return { heads, rings, of, tellGone }
}

class Worker {
  readonly lane = { index: 0, lastTrailSeq: 0, lastWrite: 0, answered: 0 }
  readonly node = new Node(1, { name: 'r', region: 'r', host: 'h', port: 1, tls: false }, true)
  readonly tenant = new TenantState('shop', 'shop:', new TenantCells())
  nextSeq = 1
  hasUnsettled = false
  wants = true
  history = 'run'
  now = 0
  readonly fences: Fences
  readonly siblings: SiblingWrites
  readonly failures: unknown[] = []

  constructor(pages: SiblingPages, incarnation = 1) {
    this.tenant.hasSessionReads = true
    this.node.isReadable = true
    const lanes = [this.lane] as unknown as Lane[]
    const primary = new Node(0, { name: 'p', region: 'r', host: 'h', port: 1, tls: false }, false)
    this.fences = new Fences({
      nodes: [primary, this.node],
      lanes,
      primary: () => primary,
      nextSeq: () => this.nextSeq,
      entries: 64,
    })
    this.siblings = new SiblingWrites(
      {
        pages,
        incarnation,
        lanes,
        nextSeq: () => this.nextSeq,
        history: () => this.history,
        hasUnsettled: () => this.hasUnsettled,
        wants: () => this.wants,
        now: () => this.now,
        failed: (error) => this.failures.push(error),
      },
      this.fences,
    )
  }

  private hash(key: string) {
    const name = Buffer.from(key)
    return this.fences.hashKey(this.tenant, 0, this.tenant.prefixes[0]!, name, 0, name.length)
  }

  write(key: string): void {
    const { log } = this.siblings
    const { spread, b } = this.hash(key)
    if (log.isLogging) log.key(this.tenant, spread, b)
    this.lane.lastWrite++
    log.publish()
  }

  answer(): void {
    this.lane.answered = this.lane.lastWrite
    this.now += 10
    this.siblings.answered()
  }

  /** A mark of its own is sent, and shown by the replica. */
  mark(): void {
    this.node.shownSeq = this.nextSeq++
  }

  /** May its replica answer this read? */
  mayReadNear(key: string): boolean {
    const need = new FenceNeed()
    this.siblings.isFresh = false
    this.siblings.lookFor(this.tenant)
    this.fences.begin(need, this.tenant)
    this.fences.addWide(need, this.tenant)
    this.fences.addKey(need, this.tenant, this.hash(key))
    return need.isMetBy(this.node)
  }
}

function two() {
  const pages = sharedPages()
  const [a, b] = [new Worker(pages.of(0)), new Worker(pages.of(1))]
  b.mayReadNear('first')
  b.mark()
  expect(b.mayReadNear('first')).toBe(true)
  return { pages, a, b }
}

test("a sibling's write keeps reads of its key from a replica until it is settled and a mark of ours after that is shown", () => {
  const { a, b } = two()
  a.write('k')
  expect([b.mayReadNear('k'), b.mayReadNear('other')]).toEqual([false, true])
  b.mark()
  b.mark()
  expect(b.mayReadNear('k')).toBe(false) // sent before it was known to have run
  a.answer()
  expect(b.mayReadNear('k')).toBe(false)
  b.mark()
  expect(b.mayReadNear('k')).toBe(true)
})

test('a write of unknown fate is not settled before it can no longer run', () => {
  const { a, b } = two()
  a.write('k')
  a.hasUnsettled = true
  a.answer() // as UNCERTAIN
  b.mayReadNear('k')
  b.mark()
  expect(b.mayReadNear('k')).toBe(false)
  a.hasUnsettled = false
  a.answer()
  b.mayReadNear('k')
  b.mark()
  expect(b.mayReadNear('k')).toBe(true)
})

test('what is settled at another primary than ours, or at none, is not covered by our marks', () => {
  const { a, b } = two()
  a.history = 'another run'
  a.siblings.tick()
  a.write('k')
  a.answer()
  b.mayReadNear('k')
  b.mark()
  expect(b.mayReadNear('k')).toBe(false)
  b.history = ''
  b.mayReadNear('k')
  b.mark()
  expect(b.mayReadNear('k')).toBe(false)
  b.history = 'another run'
  b.mayReadNear('k')
  b.mark()
  expect(b.mayReadNear('k')).toBe(true)
})

test('nothing is logged while nobody wants it; when somebody does, what was not logged holds for everybody until it is settled', () => {
  const { a, b } = two()
  b.wants = false
  b.siblings.tick()
  a.siblings.tick()
  a.now += 11_000
  a.siblings.tick()
  expect(a.siblings.log.isLogging).toBe(false)
  a.write('k')
  b.wants = true
  b.siblings.tick()
  b.mark()
  expect(b.mayReadNear('any')).toBe(false) // it does not log yet
  a.siblings.tick()
  expect(a.siblings.log.isLogging).toBe(true)
  b.mark()
  expect(b.mayReadNear('any')).toBe(false) // it does, and what it wrote before is on its way
  b.mayReadNear('any')
  b.mark()
  expect(b.mayReadNear('k')).toBe(false)
  a.answer()
  b.mayReadNear('any')
  b.mark()
  expect([b.mayReadNear('any'), b.mayReadNear('k')]).toEqual([true, true])
})

test('a ring that went round holds for everybody', () => {
  const { a, b } = two()
  for (let i = 0; i <= ring; i++) a.write(`k${i}`)
  expect(b.mayReadNear('untouched')).toBe(false)
  expect(b.siblings.fences.blurs).toBe(1)
  a.answer()
  b.mayReadNear('untouched')
  b.mark()
  expect(b.mayReadNear('untouched')).toBe(true)
})

test('an entry that is overwritten while it is read holds for everybody', () => {
  const { pages, a, b } = two()
  a.write('k')
  pages.rings[0]![2]! ^= 1
  expect(b.mayReadNear('untouched')).toBe(false)
  expect(b.siblings.fences.blurs).toBe(1)
})

test('what a sibling that is gone has acknowledged is covered by the next mark, answered or not', () => {
  const { pages, a, b } = two()
  a.write('k')
  expect(b.mayReadNear('k')).toBe(false)
  b.mark()
  expect(b.mayReadNear('k')).toBe(false)
  pages.tellGone(0, 1)
  expect(b.mayReadNear('k')).toBe(false)
  b.mark()
  expect(b.mayReadNear('k')).toBe(true)
})

test('its successor is told apart from it, also when nobody has said that it is gone', () => {
  const { pages, a, b } = two()
  a.write('k')
  const next = new Worker(pages.of(0), 2)
  expect(b.mayReadNear('k')).toBe(false)
  b.mark()
  expect(b.mayReadNear('k')).toBe(true)
  next.write('k')
  b.mark()
  expect([b.mayReadNear('k'), b.mayReadNear('other')]).toEqual([false, true])
  next.answer()
  b.mayReadNear('k')
  b.mark()
  expect(b.mayReadNear('k')).toBe(true)
})

test('a process that begins anew reads from no replica before it has shown a mark of its own', () => {
  const pages = sharedPages() // the other worker has not started yet
  const b = new Worker(pages.of(1))
  b.write('k')
  b.answer()
  const next = new Worker(pages.of(1), 2)
  expect(next.mayReadNear('k')).toBe(false)
  next.mark()
  expect(next.mayReadNear('k')).toBe(true)
})

test('a tenant that comes late needs all that siblings had written by then', () => {
  const { a, b } = two()
  const late = new TenantState('late', 'late:', new TenantCells())
  a.siblings.log.tenant(late)
  a.lane.lastWrite++
  a.siblings.log.publish()
  b.siblings.tick()
  b.siblings.fences.meet(late)
  expect([late.wide.slots, late.wide.count]).toEqual([[siblingSlot(0)], 1])
  expect(b.fences.settledMark(siblingSlot(0), late.wide.trails[0]!)).toBe(Number.POSITIVE_INFINITY)
  a.answer()
  b.siblings.tick()
  expect(b.fences.settledMark(siblingSlot(0), late.wide.trails[0]!)).toBe(b.nextSeq)
})

test('when heads cannot be read no replica will do, and the others are taken to want entries', () => {
  const { pages, b } = two()
  pages.heads[3]! ^= 1 // within the head of worker 0
  expect(b.mayReadNear('k')).toBe(false)
  expect(b.siblings.fences.isWanted).toBe(true)
  pages.heads[3]! ^= 1
  expect(b.mayReadNear('k')).toBe(true)
})

test('a worker whose entries cannot be written says so at once', () => {
  const pages = sharedPages()
  const a = new Worker({
    ...pages.of(0),
    writeRing() {
      throw new Error('no room')
    },
  })
  a.write('k')
  expect(a.failures).toEqual([new Error('no room')])
})

test('moments are thinned out, and what was forgotten of them asks for later marks only', () => {
  const { a, b } = two()
  const wanted: number[] = []
  for (let i = 0; i < 500; i++) {
    a.write(`k${i}`)
    a.answer()
    b.mayReadNear('k')
    wanted.push(b.nextSeq)
    b.mark()
  }
  const base = b.tenant.newest.trails[0]! - 500
  const given = wanted.map((_, i) => b.fences.settledMark(siblingSlot(0), base + i + 1))
  given.forEach((mark, i) => {
    expect(mark).toBeGreaterThanOrEqual(wanted[i]!)
  })
  expect(new Set(given).size).toBeGreaterThan(20)
  expect(new Set(given).size).toBeLessThanOrEqual(64)
})

describe('heads', () => {
  const head = Object.assign(new Head(), {
    incarnation: 3,
    flags: 3,
    written: 2 ** 40 + 5,
    settled: 2 ** 40 + 1,
    historyA: 7,
    historyB: 9,
  })
  test('come back as they were put', () => {
    const words = new Uint32Array(headWords)
    putHead(head, words)
    const taken = new Head()
    expect(takeHead(words, 0, taken)).toBe(true)
    expect(taken).toEqual(head)
  })
  test('with any one word of an older one are not taken', () => {
    const [words, older] = [new Uint32Array(headWords), new Uint32Array(headWords)]
    putHead(head, words)
    putHead(
      Object.assign(new Head(), { incarnation: 2, flags: 1, written: 1, settled: 2 ** 34, historyA: 1, historyB: 2 }),
      older,
    )
    for (let i = 0; i < 9; i++) {
      const torn = words.slice()
      torn[i] = older[i]!
      expect([i, takeHead(torn, 0, new Head())]).toEqual([i, false])
    }
  })
  test('of nobody are nobody, and a half written word of who is gone says nothing', () => {
    const taken = Object.assign(new Head(), { incarnation: 5 })
    expect(takeHead(new Uint32Array(headWords), 0, taken)).toBe(true)
    expect(taken.incarnation).toBe(0)
    const words = new Uint32Array(goneWords)
    expect(takeGone(words, 0)).toBe(0)
    putGone(4, words)
    expect(takeGone(words, 0)).toBe(4)
    words[0] = 5
    expect(takeGone(words, 0)).toBe(0)
  })
})
