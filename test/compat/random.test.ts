/**
 * Random commands, valid and spoiled, single and in transactions, waiting ones too, straight to Redis and through Regis:
 * the same bytes. They grow on each other's data and travel in one write, so that reads, writes, refusals and the proxy's
 * own replies meet in every order. SEED= runs one again.
 */
import { buildCommandTable } from '../../src/commands/lookup.ts'
import type { CommandSpec } from '../../src/commands/spec.ts'
import { keyNames, mutatedArgv, type Random, randomOf, validArgv } from '../integration/argv-generator.ts'
import { type Case, parseCases, type Step } from './corpus.ts'
import { compare, greet, runCase } from './differential.ts'
import { prefix, type Stage, startStage, user } from './stage.ts'

const seed = Number(process.env['SEED'] ?? 1)
const stepsEach = 170
let total = 0

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
  // The server looks as often for clients that have waited long enough.
  await stage.redis.call('CONFIG', 'SET', 'hz', '500')
})

const table = buildCommandTable()
/**
 * Left out: what draws by chance and changes data by it, what lets a key die within milliseconds, what compares idle
 * times, and the scans, whose cursors follow the rehashing of the moment.
 */
const left =
  /^(spop|psetex|pexpire|pexpireat|set|getex|xclaim|xautoclaim|xpending|[hsz]scan|object\|(freq|idletime)|copy)$/
const shaped = /^(srandmember|hrandfield|zrandmember|ttl|pttl|expiretime|pexpiretime|xinfo\|(stream|consumers))$/
const served = table.specs.filter(
  (spec) =>
    spec.answer === 'upstream' &&
    spec.keySpecs.length > 0 &&
    spec.since === undefined &&
    !spec.categories.includes('scripting') && // off for this tenant
    !left.test(spec.name),
)
const own = [
  ['PING'],
  ['ECHO', 'own'],
  ['CLIENT', 'GETNAME'],
  ['NOPE', 'x'],
  ['SELECT', '0'],
  ['GET'],
  ['XINFO', 'NOPE'],
]

const dataset = parseCases(
  'dataset',
  `
  # data
  MSET s hello n 10 "#" "hash sign" "" "empty name" w_1 30 w_2 20 w_3 10
  RPUSH l 3 1 2
  RPUSH l2 a b
  HSET h f 1 f1 2
  SADD set 1 2 3
  SADD set2 2 3 4
  ZADD z 1 a 2 b
  ZADD z2 3 b
  GEOADD g 13.361389 38.115556 v 15.087269 37.502669 a
  PFADD hll a b
  XADD x 1-1 f v
  XADD x 1-2 f shop:v
  XGROUP CREATE x g 0
  XADD streams 1-1 f v
`,
)[0]!.steps

const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)]!
const words = (...text: readonly string[]): Step => ({ argv: text.map((word) => Buffer.from(word)) })

/** A command that may wait waits for a millisecond at most: nobody else comes to end it. */
function impatient(spec: CommandSpec, argv: string[]): string[] {
  const { blocks } = spec
  if (blocks === undefined) return argv
  const most = blocks.unit === 's' ? 0.001 : 1
  const isTimeout = (i: number) =>
    blocks.timeout === 'block'
      ? argv[i - 1]?.toLowerCase() === 'block'
      : i === (blocks.timeout < 0 ? argv.length + blocks.timeout : blocks.timeout)
  // A word that is no number, or a negative one, is refused: it may stay. Redis reads what begins as a number, and inf.
  return argv.map((word, i) => {
    const isLong =
      !word.startsWith('-') && /^[+\s]*([\d.]|inf|nan)/i.test(word) && !(Number(word) > 0 && Number(word) <= most)
    return i > 0 && isTimeout(i) && isLong ? String(most) : word
  })
}

function step(random: Random): Step {
  if (random() < 0.1) return words(...pick(random, own))
  for (;;) {
    const spec = pick(random, served)
    if (spec.blocks !== undefined && random() < 0.6) continue // they take their time
    const argv = impatient(spec, random() < 0.7 ? validArgv(random, spec) : mutatedArgv(random, spec))
    const lower = argv.map((word) => word.toLowerCase())
    // * draws an id from the clock; a spoiled command may have become one that is left out.
    if (lower.slice(1).some((word) => word === '*' && spec.name.startsWith('x'))) continue
    if (left.test(lower[0] ?? '') || left.test(lower.slice(0, 2).join('|'))) continue
    const buffers = argv.map((word) => Buffer.from(word, 'latin1'))
    if (spec.name === 'dump') return { argv: buffers, shape: 'clock' }
    if (spec.name === 'memory|usage') return { argv: buffers, shape: 'name' }
    return shaped.test(spec.name) ? { argv: buffers, shape: 'clock' } : { argv: buffers }
  }
}

/** Two mistakes in one command are listed below; in EXEC's reply they could not be told from others. */
const moving = /^(georadius(bymember)?|xread(group)?|sort(_ro)?)$/i

/** WATCH at times, MULTI, some commands, EXEC or DISCARD. A reply compared by its shape would blur all of EXEC's. */
function transaction(random: Random): Step[] {
  const steps: Step[] = []
  if (random() < 0.4) {
    steps.push(words('WATCH', pick(random, keyNames), pick(random, keyNames)))
    while (random() < 0.4) steps.push(step(random))
  }
  steps.push(words('MULTI'))
  for (let left = 1 + Math.floor(random() * 6); left > 0; ) {
    const one = step(random)
    if (one.shape !== undefined || moving.test(one.argv[0]!.toString('latin1'))) continue
    steps.push(one)
    left--
  }
  return [...steps, words(random() < 0.9 ? 'EXEC' : 'DISCARD')]
}

/** So many steps of single commands and of transactions. */
function sequence(random: Random, size: number): Step[] {
  const steps: Step[] = []
  while (steps.length < size) steps.push(...(random() < 0.06 ? transaction(random) : [step(random)]))
  return steps
}

/**
 * The one listed difference: of two mistakes in one command Redis names that which it meets first, a centre that is no number
 * or NOACK in XREAD. Where keys move, Regis must find them before it forwards anything, and names the mistake that hides
 * them. Neither executes it; one mistake alone gets the same words (corpus-*.ts).
 */
const firstMistake =
  /"(georadius(bymember)?|xread(group)?|sort(_ro)?)" .*: other bytes\n {2}straight "-.*\n {2}through {2}"-ERR (syntax error|Unbalanced XREAD)/is

test.each([
  [2, 'in one write', 200],
  [3, 'in one write', 200],
  [2, 'in slices', 100],
  [3, 'one by one', 60],
] as const)(
  'random sequences get the same bytes, RESP%d, %s',
  async (resp, delivery, sequences) => {
    const random = randomOf(seed + resp + delivery.length)
    const straight = await greet(stage.redis.port, resp)
    const through = await greet(stage.proxy.port, resp, user)
    const complaints: string[] = []
    let [steps, errors, executed, aborted] = [0, 0, 0, 0]
    for (let i = 0; i < sequences && complaints.length < 10; i++) {
      const one: Case = {
        family: `SEED=${seed}`,
        title: `sequence ${i}`,
        steps: [...dataset, ...sequence(random, stepsEach)],
      }
      const expected = await runCase(straight, stage.redis, one, delivery)
      const found = compare(one, expected, await runCase(through, stage.redis, one, delivery), prefix)
      complaints.push(...found.filter((line) => !firstMistake.test(line)))
      steps += one.steps.length
      errors += expected.replies.filter((reply) => reply.startsWith('-')).length
      for (const [at, { argv }] of one.steps.entries()) {
        if (argv[0]!.toString() !== 'EXEC') continue
        if (/^\*[1-9]/.test(expected.replies[at]!)) executed++
        else aborted++
      }
    }
    expect(complaints.slice(0, 10)).toEqual([])
    // Neither all refused nor all fine, in transactions too: both kinds were compared.
    expect(errors).toBeGreaterThan(steps / 20)
    expect(errors).toBeLessThan((steps / 3) * 2)
    expect(executed).toBeGreaterThan(sequences / 2)
    expect(aborted).toBeGreaterThan(sequences / 10)
    total += steps
  },
  120_000,
)

test('that were a hundred thousand commands', () => expect(total).toBeGreaterThan(100_000))
