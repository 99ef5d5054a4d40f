/** Runs cases of redis-py-cases.py straight to Redis and through Regis. */
import path from 'node:path'
import { findRedisPy, projectRoot } from '../../src/demo/redis-finder.ts'
import { password, prefix, type Stage, user } from './stage.ts'
import { run } from './tools.ts'

export interface Outcomes {
  readonly straight: Readonly<Record<string, unknown>>
  readonly through: Readonly<Record<string, unknown>>
}

export async function runRedisPy(stage: Stage, cases: readonly string[]): Promise<Outcomes> {
  const { command, env } = await findRedisPy()
  const script = path.join(projectRoot, 'test/compat/redis-py-cases.py')
  const on = async (port: number): Promise<Record<string, unknown>> => {
    const args = ['-B', script, String(port), String(stage.redis.port), user, password, ...cases]
    const { code, stdout, stderr } = await run(command, args, { env, timeoutMs: 60_000 })
    expect([code, stderr]).toEqual([0, ''])
    // Ports stand in the words of some errors.
    return JSON.parse(stdout.replaceAll(String(port), 'PORT')) as Record<string, unknown>
  }
  return { straight: await on(stage.redis.port), through: await on(stage.proxy.port) }
}

export function expectTheSameOf({ straight, through }: Outcomes, name: string): void {
  expect(through[name]).toEqual(straight[name])
  expect(Array.isArray(straight[name])).toBe(true) // a case that threw has compared nothing
  expect(JSON.stringify(through[name])).not.toContain(prefix)
}
