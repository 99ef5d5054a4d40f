import { type Kind, OPS } from '../../../src/quota/fleet-record.ts'
import { type FleetHost, type FleetLimit, type FleetPace, FleetUsage } from '../../../src/usage/fleet.ts'

class Limit implements FleetLimit {
  readonly isNew = false
  share = 0
  count = 0
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
  limit(kind: Kind): number {
    return kind === OPS ? 1_000 : 0
  }
  asked(kind: Kind): number {
    return kind === OPS ? this.count : 0
  }
  commands(): number {
    return this.count
  }
  refused(): number {
    return 0
  }
  delayedMs(): number {
    return 0
  }
  setShare(ops: number): void {
    this.share = ops
  }
}

const limitsCount = 3_000

/** One proxy beside another whose record names every third limit; some rounds of changing use. */
async function run(pace: () => FleetPace) {
  const records = new Map<string, string>()
  const written: string[] = []
  let peerSeq = 0
  const host: FleetHost = {
    read: (done) => {
      const lines = Array.from({ length: 80 }, (_, i) => `t${i * 3} 900 700 0 0`)
      records.set('peer', [`1 ${++peerSeq} 500`, ...lines].join('\n'))
      done([...records].flat(), nowMs)
    },
    write: (request, done) => {
      if (request[0] === 'HSET') {
        records.set(request[2]!, request[3]!)
        written.push(request[3]!)
      }
      done('ok')
    },
    refused: () => {},
  }
  let nowMs = 0
  const fleet = new FleetUsage('me', host, pace)
  const limits = Array.from({ length: limitsCount }, (_, i) => new Limit(`t${i}`))
  for (const limit of limits) fleet.add(limit)
  const shares: number[][] = []
  for (let round = 0; round < 40; round++) {
    nowMs += 100
    for (const [i, limit] of limits.entries()) if ((i + round) % 7 < 3) limit.count += 1 + (i % 50)
    fleet.tick(nowMs)
    // Slices are of the same round: as many turns as they want.
    for (let turn = 0; turn < 600; turn++) await Promise.resolve()
    shares.push(limits.map(({ share }) => share))
  }
  return { shares, written }
}

test('rounds over thousands of limits rest in between, and give the parts and records that they would give in one go', async () => {
  let rests = 0
  const sliced = await run(() => ({ isOver: true, rest: async () => void rests++ }))
  const whole = await run(() => ({ isOver: false, rest: async () => {} }))
  expect(rests).toBeGreaterThan((limitsCount / 32) * 2)
  expect(sliced.written).toEqual(whole.written)
  expect(sliced.shares).toEqual(whole.shares)
  const last = whole.shares.at(-1)!
  expect(new Set(last).size).toBeGreaterThan(3)
  // More limits are in use than a record has room for: those that are wanted most, and a sign that there are others.
  expect(whole.written.at(-1)!.split('\n')[0]).toMatch(/^1 \d+ 500 \+$/)
  expect(whole.written.at(-1)!.split('\n')).toHaveLength(257)
})
