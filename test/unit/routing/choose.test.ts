import { Node } from '../../../src/regions/node.ts'
import {
  chooseRead,
  isNodeFresh,
  LEVEL,
  newReadNeed,
  REASON,
  type ReadNeed,
  reasonNames,
} from '../../../src/routing/choose.ts'
import { hasShown, lagBytes, stalenessMs } from '../../../src/routing/freshness.ts'
import { fenceAt } from '../../kit/read-need.ts'

const now = 10_000

/** Index 0: the primary, far away. 1: the nearest replica, 2: the next. Both replicas showed mark 50, 100 ms ago. */
function fleet() {
  const nodes = ['eu', 'us', 'us'].map((region, i) => {
    const node = new Node(i, { name: `${region}-${i}`, region, host: region, port: 1, tls: false }, region === 'us')
    node.isUp = true
    node.isReadable = true
    node.role = i === 0 ? 'primary' : 'replica'
    node.shownSeq = i === 0 ? 0 : 50
    node.shownSentAtMs = i === 0 ? Number.NEGATIVE_INFINITY : now - 100
    return node
  })
  const [primary, near, next] = nodes as [Node, Node, Node]
  return { primary, near, next, order: [near, next, primary] }
}

const need = (given: Partial<ReadNeed> = {}): ReadNeed => ({
  ...newReadNeed(),
  level: LEVEL.session,
  maxStalenessMs: Number.POSITIVE_INFINITY,
  lastNode: -1,
  lastIncarnation: 0,
  seen: 0,
  ...given,
})

function choose(what: ReadNeed, { order, primary }: { order: readonly Node[]; primary: Node | undefined }) {
  const choice = { reason: -1, passedOver: -2 }
  const index = chooseRead(what, order, primary, now, choice)
  return { index, reason: reasonNames[choice.reason], passedOver: choice.passedOver }
}

const taken = (index: number) => ({ index, reason: 'none', passedOver: -1 })

test('the nearest acceptable node wins, at every level but strong', () => {
  for (const level of [LEVEL.eventual, LEVEL.bounded, LEVEL.session]) {
    expect(choose(need({ level, maxStalenessMs: 500 }), fleet())).toEqual(taken(1))
  }
})

describe('eventual', () => {
  test('asks for no mark', () => {
    const all = fleet()
    all.near.startIncarnation(now)
    expect(choose(need({ level: LEVEL.eventual, fences: fenceAt(99), seen: 99 }), all)).toEqual(taken(1))
  })

  test('passes over what is not readable, and keeps a ceiling where one is set', () => {
    const all = fleet()
    all.near.isReadable = false
    expect(choose(need({ level: LEVEL.eventual }), all)).toEqual({ index: 2, reason: 'down', passedOver: 1 })
    const old = fleet()
    expect(choose(need({ level: LEVEL.eventual, maxStalenessMs: 99 }), old)).toEqual({
      index: 0,
      reason: 'lag',
      passedOver: 1,
    })
  })
})

describe('bounded', () => {
  test('takes a replica exactly as old as the bound, and not one that is older', () => {
    expect(choose(need({ level: LEVEL.bounded, maxStalenessMs: 100 }), fleet())).toEqual(taken(1))
    const tooOld = { index: 0, reason: 'lag', passedOver: 1 }
    expect(choose(need({ level: LEVEL.bounded, maxStalenessMs: 99.9 }), fleet())).toEqual(tooOld)
    const all = fleet()
    all.near.shownSentAtMs = now - 200
    expect(choose(need({ level: LEVEL.bounded, maxStalenessMs: 150 }), all)).toEqual({
      index: 2,
      reason: 'lag',
      passedOver: 1,
    })
  })

  test('unknown staleness is too stale, whatever the bound, and also without one or with nonsense for one', () => {
    for (const maxStalenessMs of [1e12, Number.POSITIVE_INFINITY]) {
      const all = fleet()
      all.near.startIncarnation(now)
      expect(choose(need({ level: LEVEL.bounded, maxStalenessMs }), all)).toEqual({
        index: 2,
        reason: 'unknown',
        passedOver: 1,
      })
    }
    expect(choose(need({ level: LEVEL.bounded, maxStalenessMs: Number.NaN }), fleet()).index).toBe(0)
  })
})

describe('session', () => {
  test('needs the mark behind the write', () => {
    expect(choose(need({ fences: fenceAt(50) }), fleet())).toEqual(taken(1))
    expect(choose(need({ fences: fenceAt(51) }), fleet())).toEqual({ index: 0, reason: 'session', passedOver: 1 })
  })

  test('needs what was seen on another node, but not on the same node in the same incarnation', () => {
    const all = fleet()
    expect(choose(need({ seen: 51, lastNode: 2, lastIncarnation: 0 }), all)).toEqual({
      index: 2,
      reason: 'session',
      passedOver: 1,
    })
    expect(choose(need({ seen: 51, lastNode: 1, lastIncarnation: 0 }), all)).toEqual(taken(1))
    expect(choose(need({ seen: 50, lastNode: 0, lastIncarnation: 0 }), all)).toEqual(taken(1))
    all.near.incarnation++
    expect(choose(need({ seen: 51, lastNode: 1, lastIncarnation: 0 }), all).index).toBe(0)
  })

  test('the same node is not enough for a fence', () => {
    expect(choose(need({ fences: fenceAt(51), lastNode: 1, lastIncarnation: 0 }), fleet()).index).toBe(0)
  })

  test('with nothing written and nothing seen any readable replica will do, proven or not', () => {
    const all = fleet()
    all.near.startIncarnation(now)
    expect(choose(need(), all)).toEqual(taken(1))
    expect(choose(need({ fences: fenceAt(1) }), all)).toEqual({ index: 2, reason: 'unknown', passedOver: 1 })
    expect(choose(need({ seen: 1, lastNode: 0 }), all)).toEqual({ index: 2, reason: 'unknown', passedOver: 1 })
  })

  test('of a tenant that has written is not answered by a node that owes a mark, or of which nothing is known', () => {
    const all = fleet()
    all.near.owedSeq = 51
    expect(choose(need({ fences: fenceAt(1) }), all)).toEqual({ index: 2, reason: 'session', passedOver: 1 })
    expect(choose(need(), all)).toEqual(taken(1))
    all.near.owedSeq = 50
    expect(choose(need({ fences: fenceAt(1) }), all)).toEqual(taken(1))
    const written = fenceAt(0)
    written.hasWritten = true
    all.near.startIncarnation(now)
    expect(choose(need({ fences: written }), all)).toEqual({ index: 2, reason: 'unknown', passedOver: 1 })
  })

  test('keeps a ceiling on staleness where one is set', () => {
    expect(choose(need({ maxStalenessMs: 99 }), fleet())).toEqual({ index: 0, reason: 'lag', passedOver: 1 })
  })
})

test('a token holds at every level', () => {
  for (const level of [LEVEL.eventual, LEVEL.bounded, LEVEL.session]) {
    expect(choose(need({ level, after: 50 }), fleet())).toEqual(taken(1))
    expect(choose(need({ level, after: 51 }), fleet())).toEqual({ index: 0, reason: 'session', passedOver: 1 })
  }
})

describe('strong', () => {
  test('goes to the primary, and says so when a replica was nearer', () => {
    const all = fleet()
    expect(choose(need({ level: LEVEL.strong }), all)).toEqual({ index: 0, reason: 'level', passedOver: 1 })
    all.order = [all.primary, all.near, all.next]
    expect(choose(need({ level: LEVEL.strong }), all)).toEqual(taken(0))
  })

  test('goes to a replica that has shown a mark sent after the read came', () => {
    expect(choose(need({ level: LEVEL.strong, readIndex: 50 }), fleet())).toEqual(taken(1))
    expect(choose(need({ level: LEVEL.strong, readIndex: 51 }), fleet()).index).toBe(0)
    const all = fleet()
    all.near.isReadable = false
    expect(choose(need({ level: LEVEL.strong, readIndex: 50 }), all)).toEqual({
      index: 2,
      reason: 'down',
      passedOver: 1,
    })
  })

  test('goes nowhere without a primary', () => {
    const all = { ...fleet(), primary: undefined }
    expect(choose(need({ level: LEVEL.strong }), all)).toEqual({ index: -1, reason: 'level', passedOver: 1 })
  })
})

test('the primary is always acceptable and never late, whatever is known of its marks', () => {
  const all = fleet()
  all.order = [all.primary, all.near, all.next]
  all.primary.isReadable = false
  for (const level of Object.values(LEVEL)) {
    expect(choose(need({ level, maxStalenessMs: 0, fences: fenceAt(1e9), seen: 1e9 }), all)).toEqual(taken(0))
  }
})

test('without a primary and without proof there is no node, and the reason is the nearest one', () => {
  const all = { ...fleet(), primary: undefined }
  all.near.isReadable = false
  expect(choose(need({ fences: fenceAt(60) }), all)).toEqual({ index: -1, reason: 'down', passedOver: 1 })
  expect(choose(need({ fences: fenceAt(60) }), { order: [], primary: undefined })).toEqual(taken(-1))
})

test('a node that calls itself primary without being confirmed is a node like any other', () => {
  const all = { ...fleet(), primary: undefined }
  all.order = [all.order[2]!]
  expect(choose(need({ level: LEVEL.bounded, maxStalenessMs: 1e9 }), all)).toEqual({
    index: -1,
    reason: 'unknown',
    passedOver: 0,
  })
})

test('a choice that is used again holds nothing of the last one', () => {
  const choice = { reason: REASON.lag as number, passedOver: 7 }
  const { order, primary } = fleet()
  expect(chooseRead(need(), order, primary, now, choice)).toBe(1)
  expect(choice).toEqual({ reason: REASON.none, passedOver: -1 })
})

test('isNodeFresh says of one node what the choice says of all', () => {
  const { near, primary } = fleet()
  expect(isNodeFresh(need({ fences: fenceAt(50) }), near, primary, now)).toBe(true)
  expect(isNodeFresh(need({ fences: fenceAt(51) }), near, primary, now)).toBe(false)
  expect(isNodeFresh(need({ level: LEVEL.strong }), near, primary, now)).toBe(false)
  expect(isNodeFresh(need({ level: LEVEL.strong }), primary, primary, now)).toBe(true)
})

test('staleness, marks and lag in bytes', () => {
  const { near, primary } = fleet()
  expect(stalenessMs(near, now)).toBe(100)
  expect(stalenessMs(near, now - 500)).toBe(0)
  expect(stalenessMs(primary, now)).toBe(Number.POSITIVE_INFINITY)
  expect([hasShown(near, 50), hasShown(near, 51), hasShown(primary, 0)]).toEqual([true, false, true])
  primary.offset = 1_000
  near.offset = 900
  expect([lagBytes(near, primary), lagBytes(primary, primary)]).toEqual([100, 0])
  near.offset = 1_100
  expect(lagBytes(near, primary)).toBe(0)
  expect(lagBytes(near, undefined)).toBeNaN()
})
