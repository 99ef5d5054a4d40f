/**
 * One limit over proxies that come, go, die and are cut off, on a fake clock (fleet-world.ts). Every run is its seed's: SEED=n
 * replays one, SIM_SEEDS=n runs as many. The rules are in fleet-checks.ts, and are shown bugs here.
 */
import { changedFiles, type PlantedBug } from '../kit/planted.ts'
import { fleetChecks } from './fleet-checks.ts'
import { loadFleet } from './fleet-world.ts'

const sound = loadFleet()
const first = Number(process.env['SEED'] ?? 1)
const seeds = Number(process.env['SIM_SEEDS'] ?? 1)

test.each(Object.entries(fleetChecks))('%s', (_, check) => {
  for (let seed = first; seed < first + seeds; seed++)
    expect({ seed, broken: check(seed, sound) }).toEqual({ seed, broken: [] })
})

/** `caughtBy`: part of the name of a check that finds it. PLANTED=all shows all that do. */
const bugs: readonly (PlantedBug & { readonly caughtBy: string })[] = [
  {
    name: 'a dead proxy keeps its share for ever',
    caughtBy: 'one is killed',
    change: [
      {
        file: 'quota/fleet-view.ts',
        find: 'peer.isThere = asOfMs - peer.movedAtMs <= missedMax * peer.record.everyMs',
        put: 'peer.isThere = true',
      },
    ],
  },
  {
    name: 'a share is made of the own demand alone',
    caughtBy: 'one is killed',
    change: [{ file: 'usage/fleet.ts', find: 'this.claims(shared, kind, whole))', put: '[])' }],
  },
  {
    name: 'without Redis there is no limit',
    caughtBy: 'starts while Redis is away',
    change: [
      {
        file: 'usage/fleet.ts',
        find: 'if (this.isRecordDue) yield* this.publish()\n  }\n\n  /** A new',
        put: 'for (const shared of this.limits.values()) if (!this.isSeen) shared.limit.setShare(shared.whole[OPS]!, 0)\n    if (this.isRecordDue) yield* this.publish()\n  }\n\n  /** A new',
      },
    ],
  },
  {
    name: 'who is cut off has nothing',
    caughtBy: 'cut off keeps',
    change: [
      {
        file: 'usage/fleet.ts',
        find: 'if (!this.isSeen) return',
        put: 'if (!this.isSeen) {\n      for (const shared of this.limits.values()) shared.limit.setShare(0, 0)\n      return\n    }',
      },
    ],
  },
  {
    name: 'who is cut off takes the others for dead',
    caughtBy: 'cut off keeps',
    change: [
      {
        file: 'usage/fleet.ts',
        find: 'this.view.take(fields, records, asOfMs)',
        put: 'this.view.take(fields, records, this.nowMs)',
      },
      { file: 'usage/fleet.ts', find: 'if (!this.isSeen) return', put: '' },
      { file: 'usage/fleet.ts', find: 'else if (this.isSeen)', put: 'else if (this.view.ownSeq > 0)' },
    ],
  },
  {
    name: 'a share is raised into what the others still hold',
    caughtBy: 'while demand moves',
    change: [{ file: 'quota/shares.ts', find: 'Math.min(target, limit - heldByOthers)', put: 'target' }],
  },
  {
    name: 'a proxy that holds its clients back wants no more than they could ask for',
    caughtBy: 'clients that wait',
    change: [{ file: 'quota/fleet-demand.ts', find: 'const isShort = pressure', put: 'const isShort = 0' }],
  },
  {
    name: 'what is left over is nobody’s',
    caughtBy: 'what is left over',
    change: [{ file: 'quota/shares.ts', find: 'return floor + mine + left / count', put: 'return floor + mine' }],
  },
  {
    name: 'nothing is left for who wants little',
    caughtBy: 'that was idle',
    change: [{ file: 'quota/shares.ts', find: 'const floorsPart = 1 / 20', put: 'const floorsPart = 0' }],
  },
  {
    name: 'a record that is missing is a proxy that has left',
    caughtBy: 'evicted',
    change: [
      {
        file: 'quota/fleet-view.ts',
        find: 'peer.isThere = asOfMs',
        put: 'peer.isThere = shown.has(peer.id) && asOfMs',
      },
    ],
  },
  {
    name: 'a proxy at rest goes on writing',
    caughtBy: 'at rest',
    change: [{ file: 'usage/fleet.ts', find: 'return this.nowMs - this.usedAtMs > restAfterMs', put: 'return false' }],
  },
]

test.each(bugs.map((bug) => [bug.name, bug] as const))('the checks find: %s', (name, { caughtBy, ...bug }) => {
  const modules = loadFleet(changedFiles(bug))
  const found: string[] = []
  for (const [rule, check] of Object.entries(fleetChecks)) {
    if (process.env['PLANTED'] === undefined && !rule.includes(caughtBy)) continue
    const broken = check(first, modules)
    if (broken.length > 0) found.push(`${rule}: ${broken[0]}`)
  }
  if (process.env['PLANTED'] !== undefined) process.stdout.write(`${name}\n  ${found.join('\n  ')}\n`)
  expect(found).not.toEqual([])
})
