/**
 * The judge of failovers (test/soak/failover.ts) is shown proxies that do them wrong. With PLANTED=all only (`npm run planted`):
 * each takes a set of servers and Sentinels of its own.
 */
import { changedFiles, type PlantedBug, plant } from '../kit/planted.ts'
import { FailoverRig, type Fault } from '../soak/failover.ts'

interface FailoverBug extends PlantedBug {
  readonly fault: Fault
  /** What the report must hold. */
  readonly caughtAs: RegExp
}

const bugs: readonly FailoverBug[] = [
  {
    name: 'the epoch goes on after the switch, for as long as the old primary says primary',
    fault: 'ordered',
    caughtAs: /^late: /,
    change: [
      {
        file: 'regions/tracker.ts',
        find: ': this.namedOf(claimants)',
        put: ': (claimants.find((node) => node === this.primary) ?? this.namedOf(claimants))',
      },
      {
        file: 'proxy.ts',
        find: '    this.pool.destroyNode(node.index, reason)\n    this.leases.destroyNode(node.index, reason)\n    this.service.lane(node.index).destroy(reason)',
        put: '',
      },
    ],
  },
]

const isWanted = process.env['PLANTED'] === 'all'

if (isWanted) {
  test.each(bugs.map((bug) => [bug.name, bug] as const))(
    'the judge of failovers finds: %s',
    async (_, bug) => {
      const rig = await FailoverRig.start({ seed: 1, pauseMs: 20, root: plant(bug) })
      const report = await rig.failover(bug.fault)
      const found = [...report.wrong, ...report.lateWrites.map((line) => `late: ${line}`)]
      process.stdout.write(`${bug.name}: ${found.length} times, ${found[0]}\n`)
      expect(found.filter((text) => bug.caughtAs.test(text)).length).toBeGreaterThan(0)
    },
    120_000,
  )
}

test('every bug still has its place', () => {
  for (const bug of bugs) expect(changedFiles(bug).size).toBeGreaterThan(0)
})
