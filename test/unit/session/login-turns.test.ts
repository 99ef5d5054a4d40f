import { loginsPerTurn } from '../../../src/base/limits.ts'
import { LoginTurns } from '../../../src/session/login-turns.ts'

function setUp() {
  const planned: (() => void)[] = []
  const turns = new LoginTurns((run) => void planned.push(run))
  const done: number[] = []
  const login = (i: number): void => {
    if (turns.take()) done.push(i)
    else void turns.wait().then(() => done.push(i))
  }
  const turn = async (): Promise<void> => {
    for (const run of planned.splice(0)) run()
    for (let i = 0; i < 10; i++) await Promise.resolve()
  }
  return { turns, done, login, turn, planned }
}

test('a thousand logins at once are taken a few in a turn, in their order, and none is lost', async () => {
  const { done, login, turn, planned } = setUp()
  for (let i = 0; i < 1_000; i++) login(i)
  const counts = [done.length]
  for (let n = 0; done.length < 1_000 && n < 1_000; n++) {
    await turn()
    counts.push(done.length - counts.reduce((a, b) => a + b))
    // Who comes later stands behind.
    if (n === 3) login(1_000)
  }
  await turn()
  await turn()
  expect(done).toEqual(Array.from({ length: 1_001 }, (_, i) => i))
  expect(Math.max(...counts)).toBe(loginsPerTurn)
  await turn()
  expect(planned).toEqual([])
})

test('few at a time go on at once, turn after turn', async () => {
  const { done, login, turn } = setUp()
  for (let n = 0; n < 10; n++) {
    for (let i = 0; i < loginsPerTurn; i++) login(i)
    expect(done).toHaveLength((n + 1) * loginsPerTurn)
    await turn()
  }
})
