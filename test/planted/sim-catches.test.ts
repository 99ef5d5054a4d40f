/**
 * The simulation is shown bugs. PLANTED=all looks for every one (`npm run planted`), else for those that are found quickly;
 * PLANTED=<part of a name> for one. The number of seeds that it took is printed.
 */
import { changedFiles } from '../kit/planted.ts'
import { loadSim, World } from '../sim/world.ts'
import { simBugs } from './bugs.ts'

const wanted = process.env['PLANTED'] ?? ''
const bugs = simBugs.filter(
  ({ name, isQuick }) => wanted === 'all' || (wanted === '' ? isQuick === true : name.includes(wanted)),
)
const sound = loadSim()
const seedsMax = Number(process.env['SEEDS_MAX'] ?? (wanted === '' ? 200 : 1_000))

test.each(bugs.map((bug) => [bug.name, bug] as const))(
  'the simulation finds: %s',
  (name, bug) => {
    const modules = loadSim(changedFiles(bug))
    for (let seed = 1; seed <= seedsMax; seed++) {
      const { violations } = new World(seed, modules).run()
      if (violations.total === 0) continue
      // Not the seed's own doing.
      expect(new World(seed, sound).run().violations.examples).toEqual([])
      process.stdout.write(
        `${name}: seed ${seed}, ${violations.examples[0]?.promise}: ${violations.examples[0]?.text}\n`,
      )
      return
    }
    throw new Error(`not found in ${seedsMax} seeds`)
  },
  600_000,
)

test('every bug still has its place', () => {
  for (const bug of simBugs) expect(changedFiles(bug).size).toBeGreaterThan(0)
})
