/**
 * The Lua prelude against our own key finder, which has the live server as its oracle (keys-oracle.test.ts): for random
 * commands of every shape redis.call must put the prefix on just the arguments that a request from outside would get it
 * on. The prelude runs on a real server, over a `redis` whose pcall gives back what it was called with.
 */
import { type Argv, findKeys, newKeyList } from '../../src/commands/keys.ts'
import { buildCommandTable } from '../../src/commands/lookup.ts'
import type { CommandSpec } from '../../src/commands/spec.ts'
import { scriptPrelude } from '../../src/scripts/prelude.ts'
import { luaShapes } from '../../src/scripts/shapes.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { rawClient, startRedis } from '../kit/servers.ts'
import { mutatedArgv, randomOf, validArgv } from './argv-generator.ts'

const seed = Number(process.env['SEED'] ?? 1)
const runs = Number(process.env['RUNS'] ?? 30)
const prefix = "p'\\x:"
const table = buildCommandTable()
const callable = table.specs.filter(
  (spec) => spec.answer === 'upstream' && spec.keySpecs.length > 0 && !spec.flags.includes('noscript'),
)
const fake =
  'local redis={pcall=function(...) local t={...} for i=1,#t do t[i]=tostring(t[i]) end return t end} local KEYS={} '
const script = `${fake}${scriptPrelude(prefix, prefix, luaShapes(table))}return redis.pcall(unpack(ARGV))`

let raw: RawClient

beforeAll(async () => {
  raw = await rawClient((await startRedis()).port)
})

function framed(argv: readonly string[]): Argv {
  const args = argv.map((arg) => Buffer.from(arg, 'latin1'))
  const off = new Int32Array(args.length)
  for (let i = 1; i < args.length; i++) off[i] = off[i - 1]! + args[i - 1]!.length
  return { buf: Buffer.concat(args), count: args.length, off, len: Int32Array.from(args, (arg) => arg.length) }
}

/** As a request from outside would be rewritten; undefined: it would be refused. */
function rewritten(spec: CommandSpec, argv: readonly string[]): string[] | undefined {
  const keys = newKeyList()
  if (spec.arity >= 0 ? argv.length !== spec.arity : argv.length < -spec.arity) return undefined
  if (findKeys(table, spec.id, framed(argv), keys) !== undefined) return undefined
  const result = [...argv]
  for (const i of keys.arg.subarray(0, keys.count)) result[i] = prefix + result[i]
  return result
}

test('redis.call puts the prefix where a request from outside gets it', async () => {
  const random = randomOf(seed)
  let compared = 0
  const shapes = new Set<string>()
  for (const spec of callable) {
    const cases = Array.from({ length: runs }, (_, i) => (i % 3 === 2 ? mutatedArgv : validArgv)(random, spec))
    for (const argv of cases) {
      const expected = rewritten(spec, argv)
      // Redis refuses those itself, whatever their names are; and what blocks is no command of a script.
      if (expected === undefined || argv.some((arg) => /^block$/i.test(arg))) continue
      const upper = random() < 0.3 ? [argv[0]!.toUpperCase(), ...argv.slice(1)] : argv
      const reply = await raw.callRaw('EVAL', script, '0', ...upper.map((arg) => Buffer.from(arg, 'latin1')))
      const wanted = [upper[0]!, ...expected.slice(1)].map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')
      expect([`SEED=${seed} ${JSON.stringify(upper)}`, reply]).toEqual([
        `SEED=${seed} ${JSON.stringify(upper)}`,
        `*${upper.length}\r\n${wanted}`,
      ])
      compared++
      shapes.add(spec.name)
    }
  }
  expect(compared).toBeGreaterThan(callable.length * 5)
  expect(shapes.size).toBeGreaterThan(callable.length * 0.95)
}, 120_000)
