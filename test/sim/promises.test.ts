/**
 * The promises to readers, simulated: the real proxy between clients and servers that fail as the seed says. Every run is
 * its seed's: SEED=n replays one, SIM_SEEDS=n runs as many.
 */
import { faultNames } from './faults.ts'
import { loadSim, type SimResult, World } from './world.ts'

const modules = loadSim()
const first = Number(process.env['SEED'] ?? 1)
const seeds = Number(process.env['SIM_SEEDS'] ?? (process.env['SEED'] === undefined ? 200 : 1))

const cpu = { build: 0, run: 0 }
const run = (seed: number): SimResult => {
  const a = process.cpuUsage()
  const w = new World(seed, modules)
  const b = process.cpuUsage()
  const r = w.run()
  const c = process.cpuUsage()
  cpu.build += b.user + b.system - a.user - a.system
  cpu.run += c.user + c.system - b.user - b.system
  return r
}

test('a seed replays exactly', () => {
  const [one, again, other] = [run(first), run(first), run(first + 1)]
  expect(again.trace).toBe(one.trace)
  expect(again.commands).toBe(one.commands)
  expect(other.trace).not.toBe(one.trace)
})

test('no seed breaks a promise', () => {
  const broken: unknown[] = []
  const happened = new Map<string, number>()
  const checked: Record<string, number> = {}
  let commands = 0
  let turns = 0
  const started = performance.now()
  for (let seed = first; seed < first + seeds; seed++) {
    const result = run(seed)
    commands += result.commands
    turns += result.turns
    for (const [what, count] of result.happened) happened.set(what, (happened.get(what) ?? 0) + count)
    for (const [name, count] of Object.entries(result.violations.checked)) checked[name] = (checked[name] ?? 0) + count
    if (result.violations.total > 0) broken.push([seed, result.violations.counts, result.violations.examples])
  }
  console.log(
    JSON.stringify(
      {
        commands,
        turns,
        ms: performance.now() - started,
        checked,
        happened: Object.fromEntries(happened),
        broken: broken.length,
      },
      null,
      1,
    ),
  )
  expect(broken.slice(0, 5)).toEqual([])
  if (seeds < 100) return
  for (const what of [...faultNames]) expect([what, (happened.get(what) ?? 0) > 0]).toEqual([what, true])
}, 600_000)
