/** Accepted clients on their way to workers: evenly, a few at a time, and none is lost or given twice. */
import { handedFairMs, handedInFlightMax, handedLostMs, handedWaitingMax } from '../../../src/base/limits.ts'
import { HandOut } from '../../../src/workers/hand-out.ts'

function stage(...workers: number[]) {
  let now = 0
  const handOut = new HandOut(() => now)
  const given: { worker: number; id: number; client: number }[] = []
  const closed: number[] = []
  let next = 0
  const clients = new Map<object, number>()
  const join = (worker: number) =>
    handOut.join(worker, (id, _listener, handle) => void given.push({ worker, id, client: clients.get(handle)! }))
  const arrive = (count = 1) => {
    for (let i = 0; i < count; i++) {
      const client = next++
      const handle = { close: () => void closed.push(client) }
      clients.set(handle, client)
      handOut.accepted(0, handle)
    }
  }
  const takeAll = () => {
    for (let i = 0; i < given.length; i++) handOut.taken(given[i]!.worker, given[i]!.id)
  }
  for (const worker of workers) join(worker)
  const pass = (ms: number) => {
    now += ms
  }
  return { handOut, given, closed, join, arrive, takeAll, pass }
}

const countOf = (given: readonly { worker: number }[], worker: number) =>
  given.filter((one) => one.worker === worker).length

test('clients go to whoever has fewest', () => {
  const { handOut, given, arrive, takeAll, closed } = stage(0, 1, 2)
  arrive(30)
  takeAll()
  expect([0, 1, 2].map((worker) => countOf(given, worker))).toEqual([10, 10, 10])
  expect(closed.length).toBe(30) // our copies
  // Those of one have left: the next ones are its.
  handOut.note(1, 2, true)
  arrive(4)
  takeAll()
  expect([0, 1, 2].map((worker) => countOf(given, worker))).toEqual([10, 14, 10])
})

test('one that is slow to take its clients is waited for, so that each has as many; one that stands still is not', () => {
  const { handOut, given, arrive, pass } = stage(0, 1)
  arrive(5 * handedInFlightMax)
  expect([countOf(given, 0), countOf(given, 1)]).toEqual([handedInFlightMax, handedInFlightMax])
  const takeOf = (worker: number) => {
    for (const one of [...given]) if (one.worker === worker) handOut.taken(worker, one.id)
  }
  // The other is two ahead, and no more.
  pass(handedFairMs - 1)
  takeOf(1)
  expect([countOf(given, 0), countOf(given, 1)]).toEqual([handedInFlightMax, handedInFlightMax + 2])
  pass(1)
  for (let i = 0; i < 5; i++) takeOf(1)
  expect([countOf(given, 0), countOf(given, 1), handOut.waiting]).toEqual([handedInFlightMax, 4 * handedInFlightMax, 0])
  // No more than a few are lost with it.
  arrive()
  expect(countOf(given, 0)).toBe(handedInFlightMax)
})

test('who was waited for is not waited for any more when somebody gives a sign of life', () => {
  const { handOut, given, arrive, pass } = stage(0, 1)
  arrive(3 * handedInFlightMax)
  for (const one of [...given]) if (one.worker === 1) handOut.taken(1, one.id)
  expect(handOut.waiting).toBeGreaterThan(0)
  for (const one of [...given]) if (one.worker === 1) handOut.taken(1, one.id)
  pass(handedFairMs)
  handOut.note(1, handedInFlightMax, true)
  expect(handOut.waiting).toBe(0)
})

test('clients that never reached their worker do not keep others from it while it lives', () => {
  const { handOut, given, arrive, pass, closed } = stage(0, 1)
  arrive(handedInFlightMax * 2)
  for (const one of given.filter(({ worker }) => worker === 1)) handOut.taken(1, one.id)
  pass(handedLostMs - 1)
  handOut.note(0, 0, true)
  arrive()
  expect(given.at(-1)!.worker).toBe(1)
  const before = closed.length
  pass(1)
  handOut.note(0, 0, true)
  expect(closed.length).toBe(before + handedInFlightMax)
  arrive(handedInFlightMax)
  expect(given.slice(-handedInFlightMax).every(({ worker }) => worker === 0)).toBe(true)
})

test('whom a worker had not taken when it ended goes to another, before those who came later', () => {
  const { handOut, given, arrive, closed } = stage(0)
  arrive(handedInFlightMax + 1)
  handOut.taken(0, given[0]!.id)
  expect(closed).toEqual([0])
  handOut.leave(0)
  expect([handOut.waiting, closed]).toEqual([handedInFlightMax, [0]])
  const before = given.length
  handOut.join(1, (id, _listener, handle) => {
    given.push({ worker: 1, id, client: -1 })
    void handle
  })
  expect(given.slice(before).map(({ id }) => id)).toEqual([2, 3, 4, 5])
  // The word of the dead comes too late.
  handOut.taken(0, 2)
  expect(closed).toEqual([0])
})

test('one that is full is given clients only when all are', () => {
  const { handOut, given, arrive, takeAll } = stage(0, 1)
  handOut.note(0, 0, false)
  arrive(4)
  takeAll()
  expect(countOf(given, 0)).toBe(0)
  handOut.note(1, 4, false)
  arrive(2)
  takeAll()
  expect(countOf(given, 0)).toBe(2)
})

test('what a worker said before it served, and is heard after it began, closes no door', () => {
  const { handOut, given, arrive, takeAll } = stage(0, 1)
  handOut.note(1, 0, undefined)
  arrive(10)
  takeAll()
  expect([countOf(given, 0), countOf(given, 1)]).toEqual([5, 5])
})

test('with nobody to take them a bounded number waits, and at the end none is kept', () => {
  const { handOut, arrive, closed } = stage()
  arrive(handedWaitingMax + 3)
  expect([handOut.waiting, handOut.dropped, closed.length]).toEqual([handedWaitingMax, 3, 3])
  handOut.stop()
  arrive()
  expect([handOut.waiting, closed.length]).toEqual([0, handedWaitingMax + 4])
})
