/** Rounds of questions among workers: whose silence counts, and what becomes of a round that reaches nobody. */
import type { Answer, SupervisorLinks, WorkerLink } from '../../../src/workers/link.ts'
import { roundOfOthers, roundOfWorkers } from '../../../src/workers/questions.ts'

const others = (given: () => Promise<readonly Answer<unknown>[]>) =>
  roundOfOthers({ askSiblings: given } as unknown as Pick<WorkerLink, 'askSiblings'>)
const answers = (...given: readonly object[]) => given as readonly Answer<unknown>[]

test('a round that reached nobody is a silence, not an answer of nobody', async () => {
  const round = others(() => Promise.reject(new Error('the supervisor is gone')))
  expect(await round.ask('pause', { tenant: 'shop', ms: 10 })).toEqual({ answers: [], silent: 1 })
})

test('who has no clients is not missed: it has ended, or does not serve yet', async () => {
  const round = others(async () =>
    answers(
      { worker: 1, value: 7 },
      { worker: 2, error: 'worker 2 has ended' },
      { worker: 3, error: 'worker 3 does not run' },
      { worker: 4, error: 'nobody answers to that yet' },
      { worker: 5, error: 'another process took its place' },
    ),
  )
  expect(await round.ask('pause', { tenant: 'shop', ms: 10 })).toEqual({ answers: [7], silent: 0 })
})

test('whoever is late, or failed, is silent', async () => {
  const given = answers(
    { worker: 1, error: 'no answer in 1000 ms' },
    { worker: 2, error: 'Error: out of order' },
    { worker: 3, value: 1 },
  )
  expect(await others(async () => given).ask('pause', { tenant: 'shop', ms: 10 })).toEqual({ answers: [1], silent: 2 })
  const all = roundOfWorkers({ askAll: async () => given } as unknown as Pick<SupervisorLinks, 'askAll'>)
  expect(await all.ask('pause', { tenant: 'shop', ms: 10 })).toEqual({ answers: [1], silent: 2 })
})
