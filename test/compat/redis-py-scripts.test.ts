/** redis-py's scripts and locks, straight to Redis and through Regis. Cases: redis-py-cases.py. */
import { expectTheSameOf, type Outcomes, runRedisPy } from './redis-py.ts'
import { startStage } from './stage.ts'

const names = ['scripts', 'locks']

let outcomes: Outcomes
beforeAll(async () => {
  outcomes = await runRedisPy(await startStage({ scripts: 'any' }), names)
}, 180_000)

test.each(names)('%s', (name) => expectTheSameOf(outcomes, name))
