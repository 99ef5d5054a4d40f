/**
 * The promises to readers, simulated: the real proxy between clients and servers that fail as the seed says. Every run is
 * its seed's: SEED=n replays one, SIM_SEEDS=n runs as many from there.
 */
import { faultNames } from './faults.ts'
import { loadSim, type SimResult, World } from './world.ts'

const modules = loadSim()
const first = Number(process.env['SEED'] ?? 1)
const seeds = Number(process.env['SIM_SEEDS'] ?? (process.env['SEED'] === undefined ? 100 : 1))

const run = (seed: number): SimResult => new World(seed, modules).run()

/** Rare things that must come about in so many seeds, or the simulation shows less than it seems to. */
const sometimes = [
  ...faultNames,
  'a partial resync',
  'a full copy',
  'a full copy took a replica back in time',
  'a replica restarted from an old file',
  'a full primary refused a write',
  'a reply was uncertain',
  'a command was refused',
  'a write ran after its client had given the connection up',
  'a lost connection was killed by its id',
  'a session read of something old',
  'a bounded read near its bound',
  'an eventual read older than the bound',
]

test('a seed replays exactly', () => {
  const [one, again, other] = [run(first), run(first), run(first + 1)]
  expect(again.trace).toBe(one.trace)
  expect([again.commands, again.turns]).toEqual([one.commands, one.turns])
  expect(other.trace).not.toBe(one.trace)
})

test('no seed breaks a promise, and what should happen sometimes does', () => {
  const broken: unknown[] = []
  const happened = new Map<string, number>()
  const checked: Record<string, number> = {}
  let commands = 0
  for (let seed = first; seed < first + seeds; seed++) {
    const result = run(seed)
    commands += result.commands
    for (const [what, count] of result.happened) happened.set(what, (happened.get(what) ?? 0) + count)
    for (const [name, count] of Object.entries(result.violations.checked)) checked[name] = (checked[name] ?? 0) + count
    if (result.violations.total > 0) broken.push({ seed, ...result.violations })
  }
  if (process.env['SIM_SEEDS'] !== undefined)
    process.stdout.write(`${JSON.stringify({ seeds, commands, checked, happened: Object.fromEntries(happened) })}\n`)
  expect(broken.slice(0, 5)).toEqual([])
  if (seeds < 100) return
  expect(sometimes.filter((what) => !happened.has(what))).toEqual([])
}, 6_000_000)
