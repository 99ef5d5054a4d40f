/** Accepted clients on their way to workers: evenly, a few at a time, and none is lost or given twice. */
import { handedInFlightMax, handedWaitingMax } from '../../../src/base/limits.ts'
import { HandOut } from '../../../src/workers/hand-out.ts'

function stage(...workers: number[]) {
  const handOut = new HandOut()
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
  return { handOut, given, closed, join, arrive, takeAll }
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

test('a worker that does not say that it has them is not given more than a few; others take the rest', () => {
  const { handOut, given, arrive } = stage(0, 1)
  arrive(3 * handedInFlightMax)
  expect([countOf(given, 0), countOf(given, 1), handOut.waiting]).toEqual([
    handedInFlightMax,
    handedInFlightMax,
    handedInFlightMax,
  ])
  for (const { worker, id } of [...given]) if (worker === 1) handOut.taken(1, id)
  expect([countOf(given, 0), countOf(given, 1), handOut.waiting]).toEqual([handedInFlightMax, 2 * handedInFlightMax, 0])
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

test('with nobody to take them a bounded number waits, and at the end none is kept', () => {
  const { handOut, arrive, closed } = stage()
  arrive(handedWaitingMax + 3)
  expect([handOut.waiting, handOut.dropped, closed.length]).toEqual([handedWaitingMax, 3, 3])
  handOut.stop()
  arrive()
  expect([handOut.waiting, closed.length]).toEqual([0, handedWaitingMax + 4])
})
