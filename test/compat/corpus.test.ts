/** The corpus, straight to Redis and through Regis: the same bytes, in RESP2 and RESP3, however they are sent. */
import { buildCommandTable } from '../../src/commands/lookup.ts'
import { type Case, corpus, differences, shapeReasons, splitLine } from './corpus.ts'
import { canBeInline, compare, type Delivery, greet, type Outcome, runCase } from './differential.ts'
import { prefix, type Stage, startStage, user } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})

const runs: readonly [2 | 3, Delivery][] = [
  [2, 'one by one'],
  [3, 'in one write'],
  [2, 'in slices'],
  [3, 'one by one'],
  [2, 'inline'],
]

/** What Redis says to each case in RESP2, one by one: kept for the proofs at the end. */
const recorded = new Map<Case, Outcome>()

test.each(runs)('every case gets the same bytes, RESP%d, %s', async (resp, delivery) => {
  const straight = await greet(stage.redis.port, resp)
  const through = await greet(stage.proxy.port, resp, user)
  const complaints: string[] = []
  const cases = delivery === 'inline' ? corpus.filter(canBeInline) : corpus
  expect(cases.length).toBeGreaterThan(corpus.length * 0.9)
  for (const one of cases) {
    const expected = await runCase(straight, stage.redis, one, delivery)
    if (resp === 2 && delivery === 'one by one') recorded.set(one, expected)
    complaints.push(...compare(one, expected, await runCase(through, stage.redis, one, delivery), prefix))
  }
  expect(complaints).toEqual([])
})

/** Not yet: a line above 64 KiB that arrives in parts is taken for nonsense, and the connection with all its slots dies. */
test('an error that says a name of 300,000 bytes comes through whole', async () => {
  const [straight, through] = [await greet(stage.redis.port, 2), await greet(stage.proxy.port, 2, user)]
  const argv = ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's'.repeat(300_000), '>']
  expect(await through.callRaw(...argv)).toBe(await straight.callRaw(...argv))
})

test('the corpus holds several hundred cases, and every command that goes to a server succeeds in one of them', () => {
  const table = buildCommandTable()
  const met = new Set<string>()
  const steps = corpus.flatMap((one) => one.steps.map((step, i) => ({ step, reply: recorded.get(one)!.replies[i]! })))
  for (const { step, reply } of steps) {
    if (reply.startsWith('-')) continue
    const [name, sub] = step.argv.map((arg) => arg.toString('latin1').toLowerCase())
    met.add(name!).add(`${name}|${sub}`)
  }
  const served = table.specs.filter((spec) => spec.answer === 'upstream' && spec.since === undefined)
  // Scripts and functions have tests of their own, for tenants that may run them: clients-scripts, integration/scripts.
  const scripts = (name: string): boolean => /^(eval|evalsha|fcall)(_ro)?$|^(script|function)\|/.test(name)
  // A bare COMMAND and a frequency under LRU are met elsewhere: COMMAND names what tenants may not use, OBJECT FREQ
  // needs a server with maxmemory-policy *-lfu.
  const elsewhere = new Set(['command', 'object|freq', 'move'])
  const missing = served.filter(
    (spec) => !spec.isContainer && !met.has(spec.name) && !elsewhere.has(spec.name) && !scripts(spec.name),
  )
  expect(missing.map((spec) => spec.name)).toEqual([])
  expect(corpus.length).toBeGreaterThan(100)
  expect(steps.length).toBeGreaterThan(1500)
})

test('every reason in the lists of exceptions is used', () => {
  const steps = corpus.flatMap((one) => one.steps)
  const used = new Set(steps.flatMap((step) => [step.shape, step.difference]))
  for (const reason of [...Object.keys(shapeReasons), ...Object.keys(differences)]) expect([...used]).toContain(reason)
  expect(steps.filter((step) => step.shape ?? step.difference).length).toBeLessThan(steps.length / 20)
})

describe('the comparison would notice', () => {
  const prefixed = (one: Outcome): Outcome => ({ ...one, keys: one.keys.map((key) => prefix + key) })
  const withReply = (one: Outcome, i: number, reply: string): Outcome => ({
    ...prefixed(one),
    replies: one.replies.map((old, at) => (at === i ? reply : old)),
  })
  /** Complaints besides those of the listed differences, which Redis itself does not show. */
  const newly = (one: Case, outcome: Outcome, through: Outcome): number =>
    compare(one, outcome, through, prefix).filter((line) => !/the difference \w+ is gone/.test(line)).length
  const counted = (visit: (one: Case, outcome: Outcome) => number) => {
    let planted = 0
    for (const [one, outcome] of recorded) planted += visit(one, outcome)
    expect(planted).toBeGreaterThan(corpus.length / 2)
  }
  /** The change made to each reply of each case, one at a time; undefined where it is none. */
  const plant = (change: (reply: string, one: Case, i: number) => string | undefined) =>
    counted((one, outcome) => {
      let planted = 0
      for (const [i, step] of one.steps.entries()) {
        const changed = step.difference === undefined ? change(outcome.replies[i]!, one, i) : undefined
        if (changed === undefined) continue
        planted++
        expect([one.title, i, newly(one, outcome, withReply(outcome, i, changed))]).toEqual([one.title, i, 1])
      }
      return planted
    })

  test('nothing, where nothing is planted but the listed differences', () => {
    for (const [one, outcome] of recorded) {
      expect(newly(one, outcome, prefixed(outcome))).toBe(0)
      const gone = one.steps.filter((step) => step.difference !== undefined).length
      expect(compare(one, outcome, prefixed(outcome), prefix)).toHaveLength(gone)
    }
  })

  test('one changed byte', () =>
    plant((reply, one, i) => {
      if (one.steps[i]!.shape !== undefined) return undefined
      const at = reply.length >> 1
      return reply.slice(0, at) + String.fromCharCode(reply.charCodeAt(at) ^ 1) + reply.slice(at + 1)
    }))

  test('a name with its prefix in an error or in a reply', () =>
    plant((reply, one, i) => {
      const line = /^-([A-Z]+ )/.exec(reply)
      if (line !== null) return reply.replace(line[1]!, `${line[1]}${prefix}`)
      return one.steps[i]!.shape === undefined && reply.startsWith('$') ? `$5\r\n${prefix}\r\n` : undefined
    }))

  test('an error, a null or one element less in a reply compared by shape', () => {
    for (const [one, outcome] of recorded) {
      for (const [i, step] of one.steps.entries()) {
        if (step.shape === undefined || step.shape === 'order') continue
        const plants = ['-ERR no\r\n', '$-1\r\n', '*0\r\n', ':1\r\n', '$1\r\nx\r\n']
        const caught = plants.filter((reply) => newly(one, outcome, withReply(outcome, i, reply)) === 1)
        expect(caught.length).toBeGreaterThanOrEqual(plants.length - 1)
      }
    }
  })

  test('replies in the wrong order', () =>
    counted((one, outcome) => {
      const [first, second] = [one.steps.length - 2, one.steps.length - 1]
      const { replies } = outcome
      if (first < 0 || replies[first] === replies[second]) return 0
      if (one.steps.slice(first).some((step) => step.shape ?? step.difference)) return 0
      const swapped = withReply(withReply(outcome, first, replies[second]!), second, replies[first]!)
      expect([one.title, newly(one, outcome, { ...swapped, keys: prefixed(outcome).keys })]).toEqual([one.title, 2])
      return 1
    }))

  test('a key that was written without its prefix, or not at all', () =>
    counted((one, outcome) => {
      if (outcome.keys.length === 0) return 0
      const { keys } = prefixed(outcome)
      for (const wrong of [[...keys.slice(1), outcome.keys[0]!], keys.slice(1), [...keys, `${prefix}more`]]) {
        const complaints = compare(one, outcome, { replies: outcome.replies, keys: [...wrong].sort() }, prefix)
        expect(complaints.some((line) => line.includes('left keys'))).toBe(true)
      }
      return 1
    }))

  test('a server without Regis in front', async () => {
    const client = await greet(stage.redis.port, 2)
    const complaints: string[] = []
    for (const one of corpus) {
      complaints.push(
        ...compare(one, recorded.get(one)!, await runCase(client, stage.redis, one, 'one by one'), prefix),
      )
    }
    expect(complaints.some((line) => line.includes('left keys'))).toBe(true)
    expect(complaints.some((line) => line.includes('the difference administration is gone'))).toBe(true)
  })
})

test('lines are split as redis-cli splits them', () => {
  expect(splitLine('SET "a b" "\\x00\\r\\n\\"" {x*3} {tag}k')).toEqual([
    ...[Buffer.from('SET'), Buffer.from('a b'), Buffer.from('\0\r\n"')],
    ...[Buffer.from('xxx'), Buffer.from('{tag}k')],
  ])
  expect(() => splitLine('SET "open')).not.toThrow()
})
