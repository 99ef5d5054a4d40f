/**
 * Redis's own test suite, unit by unit, straight on a Redis and through Regis as a tenant, compared test by test: what passes
 * straight and not through Regis is lost, and lost without a reason in redis-suite-lost.ts is a bug. ~ starts child processes.
 *
 * Usage: npm run suite:redis -- [unit ...] [--all] [--show] [--page]. Ends with 1 when a test is lost that has no reason.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startRegis } from '../../bench/targets.ts'
import { guardChild } from '../../src/demo/guard.ts'
import { findRedisServer } from '../../src/demo/redis-finder.ts'
import { freePort, RedisServer } from '../../src/demo/redis-server.ts'
import { fetchSuite, type Suite } from './fetch-suite.ts'
import { notRun, reasonFor } from './redis-suite-lost.ts'
import { suitePage, type UnitResult } from './redis-suite-page.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Every loss is listed, those with a reason too. */
    all: { type: 'boolean', default: false },
    /** What the suite wrote. */
    show: { type: 'boolean', default: false },
    /** Writes docs/redis-suite.md, of what each unit gave when it was run last. */
    page: { type: 'boolean', default: false },
    'seconds-per-unit': { type: 'string', default: '600' },
  },
})
/** Not those of which nothing is left without what runs on servers of the suite's own, or takes long (auth, info, querybuf, type/list-2 ...). */
const units =
  `protocol keyspace scan info-command type/string type/incr type/list type/list-3 type/set type/zset type/hash type/stream
  type/stream-cgroups sort expire other multi quit pubsub slowlog scripting functions introspection introspection-2 bitops bitfield
  geo hyperloglog lazyfree tracking dump violations latency-monitor`.split(/\s+/)
const chosen = positionals.length > 0 ? positionals : units

interface Outcome {
  readonly passed: ReadonlySet<string>
  /** What each failed test said. */
  readonly failed: ReadonlyMap<string, string>
  /** Why the unit ended early; '' when it did not. */
  readonly ended: string
}

async function runUnit(
  suite: Suite,
  unit: string,
  port: number,
  operatorPort: number,
  prefix: string,
  skipped: readonly string[],
): Promise<Outcome> {
  const args = [
    ...[
      'tests/test_helper.tcl',
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--singledb',
      '--single',
      `unit/${unit}`,
    ],
    ...['--durable', '--clients', '1', '--timeout', '240', '--baseport', String(await freePort())],
    ...['--tags', '-needs:repl -slow -needs:save'],
    ...skipped.flatMap((name) => ['--skiptest', name]),
  ]
  const child: ChildProcess = spawn(suite.tclsh, args, {
    cwd: suite.folder,
    env: { ...process.env, ...suite.env, SUITE_OPERATOR_PORT: String(operatorPort), SUITE_PREFIX: prefix },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  guardChild(child)
  let output = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('latin1').on('data', (text: string) => {
      output += text
    })
  const timer = setTimeout(() => {
    output += '\n[exception]: it took too long\n'
    // The suite's clients are of its group.
    process.kill(-child.pid!, 'SIGKILL')
  }, Number(values['seconds-per-unit']) * 1000)
  await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  if (values.show) process.stdout.write(output)
  return readOutput(output)
}

function readOutput(output: string): Outcome {
  const passed = new Set<string>()
  const failed = new Map<string, string>()
  let ended = ''
  let last = ''
  const text = output.split('The End')[0]!
  for (const block of text.replaceAll(/\x1b\[[\d;]*m/g, '').split(/^(?=\[[\w/]+[ \]])/m)) {
    const [, kind = '', rest = ''] = /^\[(\w+)\]: ([\s\S]*)/.exec(block) ?? []
    if (kind === 'testing') last = rest.trim()
    else if (kind === 'ok') passed.add(rest.replace(/ \(\d+ ms\)\s*$/, ''))
    else if (kind === 'err') {
      const [, name = '', words = ''] = /^([\s\S]*?) in tests\/[\w./-]+\n?([\s\S]*)/.exec(rest) ?? []
      failed.set(name, words.trim())
    } else if (kind === 'exception') ended = `${rest.trim().split('\n').slice(0, 4).join(' | ')} (in: ${last})`
  }
  for (const name of failed.keys()) passed.delete(name)
  return { passed, failed, ended }
}

const serverArgs = ['--enable-debug-command', 'yes', '--requirepass', '', '--databases', '1']

async function straight(suite: Suite, unit: string): Promise<Outcome> {
  const redis = await RedisServer.start({ args: serverArgs })
  try {
    return await runUnit(suite, unit, redis.port, redis.port, '', [])
  } finally {
    await redis.stop()
  }
}

async function through(suite: Suite, unit: string): Promise<Outcome> {
  const redis = await RedisServer.start({ args: serverArgs })
  await redis.call('ACL', 'SETUSER', 'regis', 'on', '>upstream', '~*', '&*', '+@all')
  const regis = await startRegis({
    name: 'regis',
    folder: projectRoot,
    redisPort: redis.port,
    args: [],
    pinning: { proxy: undefined, load: undefined },
    yaml: [
      'upstream: { username: regis, password: upstream, acl: provision }',
      'tenants: { suite: { scripts: any, users: { default: { nopass: true } } } }',
    ],
  })
  try {
    return await runUnit(suite, unit, regis.port, redis.port, 'suite:', notRun)
  } finally {
    if (!redis.isRunning) process.stdout.write(`the server has ended:\n${redis.log().slice(-4_000)}\n`)
    await regis.stop()
    await redis.stop()
  }
}

/** From .cache/bench/test/external, where this is built to. */
const projectRoot = fileURLToPath(new URL('../../../../', import.meta.url))
const tool = await findRedisServer()
const suite = fetchSuite(path.join(projectRoot, '.cache'), tool.redisCli ?? 'redis-cli')
process.stdout.write(
  `Redis's test suite ${suite.version}, straight on ${tool.engine} ${tool.version} and through Regis\n`,
)
/** By unit, of the last run of each. */
const resultsFile = path.join(projectRoot, '.cache', 'redis-suite.json')
const readResults = (): Record<string, UnitResult> =>
  existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as Record<string, UnitResult>) : {}
let [passedAll, keptAll, excused, bugs] = [0, 0, 0, 0]
for (const unit of chosen) {
  const one = await straight(suite, unit)
  const two = await through(suite, unit)
  const lost = [...one.passed].filter((name) => !two.passed.has(name))
  passedAll += one.passed.size
  keptAll += one.passed.size - lost.length
  writeFileSync(resultsFile, JSON.stringify({ ...readResults(), [unit]: { passed: one.passed.size, lost } }))
  process.stdout.write(
    `\nunit/${unit}: straight ${one.passed.size} pass, through Regis ${one.passed.size - lost.length}\n`,
  )
  if (one.ended !== '') process.stdout.write(`  straight it ended early: ${one.ended}\n`)
  if (two.ended !== '') process.stdout.write(`  through Regis it ended early: ${two.ended}\n`)
  for (const name of lost) {
    const reason = reasonFor(name)
    if (reason === undefined) bugs++
    else excused++
    if (reason !== undefined && !values.all) continue
    const said = two.failed.get(name)
    process.stdout.write(`  LOST ${name}\n       ${reason ?? 'no reason is known'}\n`)
    for (const line of (said ?? 'it was not run').split('\n').slice(0, 6)) process.stdout.write(`       ${line}\n`)
  }
}
process.stdout.write(
  `\n${passedAll} tests pass straight; through Regis ${keptAll} of them, ${excused} are lost with a reason, ${bugs} without\n`,
)
if (values.page)
  writeFileSync(
    path.join(projectRoot, 'docs', 'redis-suite.md'),
    suitePage(suite.version, tool.version, units, readResults()),
  )
process.exitCode = bugs > 0 ? 1 : 0
