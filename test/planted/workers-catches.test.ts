/**
 * Workers that tell each other of writes too late, or not at all, are caught on real servers by what a read at one finds of a write
 * at the other (test/kit/across-workers.ts). PLANTED=all plants every bug, else one is.
 */
import { openPairs, startAcross, writeHereReadThere } from '../kit/across-workers.ts'
import { changedFiles, type PlantedBug, plant } from '../kit/planted.ts'

const bugs: readonly PlantedBug[] = [
  {
    name: 'workers not told: entries are dropped',
    change: [
      { file: 'regions/sibling-log.ts', find: 'if (this.batched === 0) return\n', put: 'this.batched = 0\nreturn\n' },
    ],
  },
  {
    name: 'workers not told: entries follow the bytes of their writes, with the next tick',
    change: [
      {
        file: 'proxy.ts',
        find: '() => this.path.siblingWrites?.log.publish(),',
        put: '() => {},',
      },
      {
        file: 'regions/sibling-writes.ts',
        find: '  answered(): void {\n    this.log.settle()',
        put: '  answered(): void {',
      },
    ],
  },
  {
    name: 'workers not told: heads are read by the tick alone, before the bytes of the reads have come',
    change: [{ file: 'regions/sibling-writes.ts', find: 'if (!this.isFresh) {', put: 'if (Math.random() < 0) {' }],
  },
  {
    name: 'workers not told: what is written is settled at once, and covered by the newest mark that was sent',
    change: [
      {
        file: 'regions/sibling-log.ts',
        find: 'for (const [lane, write] of open) if (((lane.answered - write) | 0) < 0) return false',
        put: 'void open',
      },
      {
        file: 'regions/sibling-fences.ts',
        find: 'sibling.cover(sibling.base + seen.settled, nextSeq())',
        put: 'sibling.cover(sibling.base + seen.settled, nextSeq() - 1)',
      },
    ],
  },
]

const isQuick = (bug: PlantedBug): boolean => process.env['PLANTED'] === 'all' || bug === bugs[0]

test.each(bugs.filter(isQuick).map((bug) => [bug.name, bug] as const))(
  'a read at the other worker finds: %s',
  async (name, bug) => {
    const { topology, proxy } = await startAcross(plant(bug))
    topology.setLag('us-east', 150)
    const pairs = await openPairs(proxy, 8)
    const stale: string[] = []
    for (let i = 0; i < 10 && stale.length === 0; i++) stale.push(...(await writeHereReadThere(pairs, 4, true)).stale)
    process.stdout.write(`${name}: ${stale.length} stale, ${stale[0]}\n`)
    expect(stale.length).toBeGreaterThan(0)
  },
  120_000,
)

test('every bug still has its place', () => {
  for (const bug of bugs) expect(changedFiles(bug).size).toBeGreaterThan(0)
})
