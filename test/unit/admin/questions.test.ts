import { Unavailable } from '../../../src/admin/http.ts'
import { AllWorkers, type Round } from '../../../src/admin/questions.ts'
import type { PauseStart } from '../../../src/session/pauses.ts'

/** Workers that answer so, by what they are asked. */
function asking(answers: Record<string, readonly unknown[]>, silent = 0): { all: AllWorkers; asked: string[] } {
  const asked: string[] = []
  const round: Round = {
    ask: (async (what: string) => {
      asked.push(what)
      return { answers: answers[what] ?? [], silent }
    }) as Round['ask'],
  }
  return { all: new AllWorkers(round), asked }
}

const rest = (answered: number): PauseStart => ({ kind: 'rest', answered, blocked: 1, waitedMs: answered })

describe('all workers', () => {
  test('a tenant is at rest when it is at rest at each', async () => {
    const { all, asked } = asking({ pause: [rest(2), rest(5)] })
    expect(await all.pause('shop', 100)).toEqual({ kind: 'rest', answered: 7, blocked: 2, waitedMs: 5 })
    expect(asked).toEqual(['pause'])
  })

  test('a pause that fails at one is taken back at all', async () => {
    const restless: PauseStart = { kind: 'restless', inFlight: 1, waitedMs: 50 }
    const { all, asked } = asking({ pause: [rest(2), restless] })
    expect(await all.pause('shop', 100)).toBe(restless)
    expect(asked).toEqual(['pause', 'resume'])
  })

  test('a pause that one worker says nothing of is taken back at all', async () => {
    const { all, asked } = asking({ pause: [rest(2)] }, 1)
    expect(await all.pause('shop', 100)).toEqual({ kind: 'silent' })
    expect(asked).toEqual(['pause', 'resume'])
  })

  test('a pause that another order has overtaken takes nothing back', async () => {
    const { all, asked } = asking({ pause: [{ kind: 'overtaken' }, rest(2)] })
    expect(await all.pause('shop', 100)).toEqual({ kind: 'overtaken' })
    expect(asked).toEqual(['pause'])
  })

  test('a tenant that nobody knows is known to none, one that waits at one worker is resumed', async () => {
    expect(await asking({ pause: [undefined, undefined] }).all.pause('x', 100)).toBeUndefined()
    expect(await asking({ resume: [undefined, undefined] }).all.resume('x')).toBeUndefined()
    expect(await asking({ resume: ['not paused', 3] }).all.resume('x')).toBe(3)
    expect(await asking({ resume: ['not paused', 'not paused'] }).all.resume('x')).toBe('not paused')
    expect(await asking({ kill: [false, true] }).all.kill(7)).toBe(true)
  })

  test('without any answer nobody is told a figure', async () => {
    await expect(asking({}).all.view('status')).rejects.toThrow(Unavailable)
  })
})
