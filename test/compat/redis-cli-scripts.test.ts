/** redis-cli --eval, straight to Redis and through Regis: the same lines. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { atEnd } from '../kit/servers.ts'
import { password, type Stage, startStage, user } from './stage.ts'
import { run, tools } from './tools.ts'

let stage: Stage
let redisCli: string
beforeAll(async () => {
  stage = await startStage({ scripts: 'declared' })
  ;({ redisCli } = await tools())
})

const folder = mkdtempSync(path.join(tmpdir(), 'regis-test-'))
atEnd(() => rm(folder, { recursive: true, force: true }))
const file = path.join(folder, 'put.lua')
writeFileSync(file, "redis.call('SET', KEYS[1], ARGV[1])\nreturn {redis.call('GET', KEYS[1]), #KEYS, #ARGV}\n")

test.each([
  ['as it comes', []],
  ['-3', ['-3']],
])('--eval runs a file with keys and arguments, %s', async (_, flags) => {
  const on = async (port: number) => {
    await stage.redis.call('FLUSHALL')
    const login = ['-p', String(port), '--user', user, '--pass', password, '--no-auth-warning', ...flags]
    return [
      await run(redisCli, [...login, '--eval', file, 'k', ',', 'v', 'w']),
      await run(redisCli, [...login, 'get', 'k']),
    ]
  }
  const straight = await on(stage.redis.port)
  expect(await on(stage.proxy.port)).toEqual(straight)
  expect(straight[0]!.stdout).toBe('v\n1\n2\n')
})
