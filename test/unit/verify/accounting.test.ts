/** The accounts of writes: what was lost, what came back from the dead, what happened twice. */
import { isTotalPossible, Ledger, outOfOrder } from '../../../src/verify/accounting.ts'

function ledger(): Ledger {
  const ledger = new Ledger()
  for (const id of ['a', 'b', 'c', 'u', 'v', 'n', 'open']) ledger.begin(id)
  for (const id of ['a', 'b', 'c']) ledger.settle(id, 'acknowledged')
  for (const id of ['u', 'v']) ledger.settle(id, 'uncertain')
  ledger.settle('n', 'notExecuted')
  return ledger
}

test('what was acknowledged is there, what was refused is not, what is uncertain may be', () => {
  expect(ledger().account(['a', 'b', 'c', 'u'])).toEqual({
    ...{ sent: 7, acknowledged: 3, uncertain: 3, notExecuted: 1, uncertainThere: 1, lostShare: 0 },
    ...{ lost: [], ghosts: [], twice: [], strangers: [] },
  })
})

test('losses, ghosts, doubles and strangers are told by name', () => {
  const account = ledger().account(['a', 'a', 'n', 'x', 'open'])
  expect(account.lost).toEqual(['b', 'c'])
  expect(account.lostShare).toBeCloseTo(2 / 3)
  expect(account.ghosts).toEqual(['n'])
  expect(account.twice).toEqual(['a'])
  expect(account.strangers).toEqual(['x'])
  expect(account.uncertainThere).toBe(1)
})

test('an id is begun once and settled once', () => {
  const one = ledger()
  expect(() => one.begin('a')).toThrow('a was used before')
  expect(() => one.settle('a', 'uncertain')).toThrow('settled before')
  expect(() => one.settle('never', 'acknowledged')).toThrow('was not begun')
})

test('a counter is between what was acknowledged and that with all that is uncertain', () => {
  expect([9, 10, 12, 13].map((total) => isTotalPossible(total, 10, 2))).toEqual([false, true, true, false])
})

test('a list of one writer is in its order, with nothing twice', () => {
  expect(outOfOrder([1, 2, 5])).toBeUndefined()
  expect(outOfOrder([1, 2, 2])).toEqual([2, 2])
  expect(outOfOrder([1, 3, 2])).toEqual([3, 2])
})
