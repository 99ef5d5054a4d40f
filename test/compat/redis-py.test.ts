/** redis-py as Debian ships it, straight to Redis and through Regis: the same values, the same errors. Cases: redis-py-cases.py. */
import path from 'node:path'
import { findRedisPy, projectRoot } from '../../src/demo/redis-finder.ts'
import { password, prefix, type Stage, startStage, user } from './stage.ts'
import { run } from './tools.ts'

const names = ['values', 'binary', 'errors', 'pipelines', 'watching', 'contention', 'blocking', 'pubsub', 'scripts']
names.push('locks', 'keyspace', 'connection', 'monitor', 'asyncs')

let stage: Stage
let straight: Record<string, unknown>
let through: Record<string, unknown>
beforeAll(async () => {
  stage = await startStage({ scripts: 'declared' })
  const { command, env } = await findRedisPy()
  const script = path.join(projectRoot, 'test/compat/redis-py-cases.py')
  const on = async (port: number): Promise<Record<string, unknown>> => {
    const args = ['-B', script, String(port), String(stage.redis.port), user, password]
    const { code, stdout, stderr } = await run(command, args, { env, timeoutMs: 60_000 })
    expect([code, stderr]).toEqual([0, ''])
    // Ports stand in the words of some errors.
    return JSON.parse(stdout.replaceAll(String(port), 'PORT')) as Record<string, unknown>
  }
  straight = await on(stage.redis.port)
  through = await on(stage.proxy.port)
}, 180_000)

test.each(names)('%s', (name) => {
  expect(through[name]).toEqual(straight[name])
  expect(Array.isArray(straight[name])).toBe(true) // a case that threw has compared nothing
  expect(JSON.stringify(through[name])).not.toContain(prefix)
})

test('every case of the script is compared', () => {
  expect(Object.keys(straight)).toEqual(names)
  expect(Object.keys(through)).toEqual(names)
})
