/**
 * Quotas, turns on lanes, pauses, transactions and take-backs at once, in a world without sockets: whatever clients send and
 * however late timers are, each command is answered once, and afterwards nothing waits and nothing is counted as in flight.
 */
import fc from 'fast-check'
import type { QuotaLimits } from '../../src/quota/tenant-quota.ts'
import { buildWorld, type World } from '../unit/request-world.ts'

const ids = ['one', 'two', 'three'] as const
const users = [...ids, 'one-b', 'two-b'] as const

const quota = fc.record(
  {
    ops: fc.record({ opsPerS: fc.integer({ min: 5, max: 500 }), burst: fc.integer({ min: 1, max: 20 }) }),
    inFlight: fc.integer({ min: 1, max: 4 }),
    bytesPerS: fc.constant(70_000),
  },
  { requiredKeys: [] },
)

const piece: fc.Arbitrary<readonly (readonly string[])[]> = fc.oneof(
  { weight: 4, arbitrary: fc.constant([['GET', 'a']]) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 300 }).map((size) => [['SET', 'a', 'v'.repeat(size)]]) },
  { weight: 1, arbitrary: fc.constant([['PING']]) },
  { weight: 1, arbitrary: fc.constant([['MGET', 'a', 'b', 'c', 'd']]) },
  { weight: 1, arbitrary: fc.constant([['NOSUCH']]) },
  { weight: 1, arbitrary: fc.constant([['SET', 'large', 'v'.repeat(40_000)]]) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('EXEC', 'DISCARD').map((end) => [['MULTI'], ['SET', 'a', '1'], ['GET', 'a'], [end]]),
  },
)

const step = fc.record({
  client: fc.nat({ max: 7 }),
  pieces: fc.array(piece, { minLength: 1, maxLength: 6 }),
  /** Of the time until the next; undefined: it comes in the same turn. */
  ms: fc.option(
    fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 3 }) }, { weight: 1, arbitrary: fc.nat({ max: 150 }) }),
    {
      nil: undefined,
    },
  ),
  /** So many eighths of what is in flight are answered. */
  eighths: fc.nat({ max: 8 }),
  pauseMs: fc.option(fc.integer({ min: 20, max: 120 }), { freq: 30, nil: undefined }),
})

async function turn(world: World, ms: number, eighths: number): Promise<void> {
  world.clock.ms += ms
  for (const run of [...world.timers.splice(0), ...world.later.splice(0)]) run()
  world.path.waiting.resumeAll()
  await new Promise((resolve) => setImmediate(resolve))
  for (const lane of world.pool.lanes) {
    const count = Math.ceil((lane.inFlight * eighths) / 8)
    if (count > 0) world.replyOn(lane, '+x\r\n'.repeat(count))
  }
  world.pauses.expire()
}

test('each command is answered once, and nothing is left waiting or in flight', async () => {
  const run = fc.record({
    tenants: fc.array(fc.option(quota, { nil: undefined }), { minLength: 3, maxLength: 3 }),
    ofUser: fc.option(quota, { nil: undefined }),
    whenExceeded: fc.constantFrom('delay', 'delay', 'error'),
    consistency: fc.constantFrom('eventual', 'session'),
    who: fc.array(fc.constantFrom(...users), { minLength: 8, maxLength: 8 }),
    steps: fc.array(step, { minLength: 40, maxLength: 120, size: 'max' }),
  })
  await fc.assert(
    fc.asyncProperty(run, async ({ tenants, ofUser, whenExceeded, consistency, who, steps }) => {
      const limits = (from: (typeof tenants)[number]): { quota?: QuotaLimits } => {
        if (from === undefined) return {}
        const { ops, ...others } = from
        return { quota: { ...others, ...ops, scope: 'proxy', whenExceeded } as QuotaLimits }
      }
      const world = buildWorld({
        isParanoid: false,
        consistency,
        tenants: ids.map((id, i) => ({
          ...{ id, prefix: `${id}:`, deny: [], ...limits(tenants[i]) },
          users: [
            { name: id, readOnly: false },
            { name: `${id}-b`, readOnly: false, ...limits(ofUser) },
          ],
        })),
      })
      const clients = who.map((user) => ({ client: world.client(user), sent: 0 }))
      for (const { client, pieces, ms, eighths, pauseMs } of steps) {
        const one = clients[client]!
        one.sent += pieces.flat().length
        one.client.send(...pieces.flat())
        if (pauseMs !== undefined) void world.pauses.begin(world.tenant('one'), pauseMs)
        if (ms !== undefined) await turn(world, ms, eighths)
      }
      for (let i = 0; i < 500; i++) await turn(world, 1, 8)
      const lines = ({ client }: (typeof clients)[number]): number => client.socket.text.split('\r\n').length - 1
      expect(clients.map(lines)).toEqual(clients.map(({ sent }) => sent))
      expect(clients.flatMap(({ client: { session } }) => [session.stall, session.inFlight])).toEqual(
        who.flatMap(() => [0, 0]),
      )
      expect(ids.map((id) => world.tenant(id).inFlight)).toEqual([0, 0, 0])
      expect([world.path.admission.quotas.lines.waiting, world.path.turns.counts.lanes]).toEqual([0, 0])
    }),
    { numRuns: 40 },
  )
}, 60_000)
