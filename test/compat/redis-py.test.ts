/** redis-py as Debian ships it, straight to Redis and through Regis: the same values, the same errors. Cases: redis-py-cases.py. */
import { expectTheSameOf, type Outcomes, runRedisPy } from './redis-py.ts'
import { startStage } from './stage.ts'

const names = ['values', 'binary', 'errors', 'pipelines', 'watching', 'contention', 'blocking', 'pubsub', 'keyspace']
names.push('connection', 'monitor', 'asyncs')

let outcomes: Outcomes
beforeAll(async () => {
  outcomes = await runRedisPy(await startStage(), names)
}, 180_000)

test.each(names)('%s', (name) => expectTheSameOf(outcomes, name))
