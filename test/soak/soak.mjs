/**
 * npm run soak -- SUITE [--seed N] [--duration 2h] [--failovers N]: a suite again and again, each time with the next seed,
 * until the time is over or one fails; the seed is printed first, so that it can be run again. Suites are tests that read SEED.
 *
 *   consistency   what each level promises, on real servers under faults
 *   simulation    the same in simulated time, 500 seeds a round
 *   failover      Sentinel failovers, one after the other in one set: one seed for all of the time, or for so many failovers
 *   attribution   every reply to whom it belongs, failovers from a fresh start too
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const integration = (...starts) =>
  readdirSync(path.join(root, 'test/integration'))
    .filter((name) => starts.some((start) => name.startsWith(start)) && name.endsWith('.test.ts'))
    .map((name) => `test/integration/${name}`)

const suites = {
  consistency: { files: () => ['test/integration/promises-under-faults.test.ts'], env: { SCALE: '3' }, seeds: 1 },
  simulation: { files: () => ['test/sim/promises.test.ts'], env: { SIM_SEEDS: '500' }, seeds: 500 },
  failover: { files: () => ['test/soak/failover.soak.ts'], env: {}, seeds: 1, isOwnLoop: true },
  attribution: {
    files: () => integration('attribution', 'failover', 'sentinel-failover'),
    env: {},
    seeds: 1,
  },
}

function fail(text) {
  process.stderr.write(
    `soak: ${text}\nusage: npm run soak -- ${Object.keys(suites).join('|')} [--seed N] [--duration 2h] [--failovers N]\n`,
  )
  process.exit(2)
}

const [name = 'consistency', ...rest] = process.argv.slice(2)
const suite = suites[name] ?? fail(`no such suite: ${name}`)
let seed = Math.floor(Math.random() * 1e9)
let durationMs = 2 * 3_600_000
let failovers
for (let i = 0; i < rest.length; i += 2) {
  const value = rest[i + 1] ?? ''
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value) ?? []
  if (number === undefined) fail(`not a number: ${value}`)
  if (rest[i] === '--seed') seed = Number(number)
  else if (rest[i] === '--duration')
    durationMs = Number(number) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit ?? 's']
  else if (rest[i] === '--failovers' && name === 'failover') failovers = number
  else fail(`no such option: ${rest[i]}`)
}
const files = suite.files()
if (files.length === 0) fail(`${name} has no tests`)
const env = { ...process.env, ...suite.env }
if (suite.isOwnLoop) {
  env.MINUTES = String(durationMs / 60_000)
  // So many, however long they take.
  if (failovers !== undefined) Object.assign(env, { FAILOVERS: failovers, MINUTES: '30000' })
}
const jest = [path.join(root, 'node_modules/.bin/jest'), '-i', '--testMatch', ...files.map((file) => `**/${file}`)]
const endsAt = Date.now() + durationMs
let rounds = 0
do {
  process.stdout.write(`soak ${name}: seed ${seed}, round ${++rounds}\n`)
  const { status } = spawnSync(process.execPath, jest, {
    cwd: root,
    env: { ...env, SEED: String(seed) },
    stdio: 'inherit',
  })
  if (status !== 0) {
    const again = suite.isOwnLoop ? '' : ' --duration 1s'
    process.stdout.write(`soak ${name}: seed ${seed} failed; again: npm run soak -- ${name} --seed ${seed}${again}\n`)
    process.exit(1)
  }
  seed += suite.seeds
} while (!suite.isOwnLoop && Date.now() < endsAt)
process.stdout.write(`soak ${name}: ${rounds} rounds without a failure\n`)
