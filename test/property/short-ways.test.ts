/**
 * The two short ways of the corridor against the long one: the advance of a quota's gate (session/quota-gate.ts), and commands alike that
 * are taken together (`takeAlike` in request-path.ts). Whatever comes in whatever pieces, with them or without the same bytes go to the
 * servers, the same answers come back, and whoever looks between two pieces finds the same numbers. Mistakes planted in them are found.
 */
import { type QuotaLimits, TenantQuota } from '../../src/quota/tenant-quota.ts'
import type { QuotaGate } from '../../src/session/quota-gate.ts'
import type { Session } from '../../src/session/session.ts'
import type { Lane } from '../../src/upstream/lane.ts'
import { randomFrom } from '../kit/exchange.ts'
import { command } from '../kit/resp.ts'
import { buildWorld, type MemoryClient, type World } from '../unit/request-world.ts'

const runs = Number(process.env['RUNS'] ?? 12)
const seed = Number(process.env['SEED'] ?? 1)

interface Side {
  readonly world: World
  readonly clients: readonly MemoryClient[]
  /** By lane: how much of what was sent has been answered. */
  readonly answered: number[]
  /** Between MULTI and EXEC, by lane. */
  readonly queued: (number | undefined)[]
}

/** What this test reaches into. */
interface Inside {
  takeAlike(session: Session, lane: Lane, start: number, end: number): number
}

interface InsideLane {
  readonly flagHead: number
  readonly flagTail: number
  readonly flags: Uint8Array
  readonly head: number
  readonly tail: number
  readonly counts: Int32Array
  readonly totals: Int32Array
  readonly writes: Uint8Array
  readonly trails: Float64Array
}

interface InsideFences {
  readonly owners: Int32Array
  readonly tags: Int32Array
  readonly slots: Int32Array
  readonly positions: Float64Array
}

const inside = (world: World): Inside => world.path as unknown as Inside

interface Setting {
  readonly limits: QuotaLimits | undefined
  readonly consistency: 'eventual' | 'session'
  readonly isPrimaryNearest: boolean
}

function side(setting: Setting, plant: (world: World, gate: QuotaGate) => void): Side {
  const { limits, consistency } = setting
  const users = [{ name: 'shop', readOnly: false }]
  const world = buildWorld({
    isParanoid: false,
    consistency,
    tenants: [{ id: 'shop', prefix: 'shop:', deny: [], users, ...(limits === undefined ? {} : { quota: limits }) }],
  })
  if (setting.isPrimaryNearest) world.tracker.readOrder = [world.primary, world.replica]
  plant(world, world.path.admission.quotas)
  const clients = [world.client('shop'), world.client('shop')]
  return { world, clients, answered: world.ports.map(() => 0), queued: world.ports.map(() => undefined) }
}

/** Both servers answer all that was sent: with values of this size, and the queued commands of a transaction with OK. */
function answer({ world, answered, queued }: Side, bytes: number): void {
  for (const lane of world.pool.lanes) {
    lane.flush()
    const { sent } = world.ports[lane.index]!
    let replies = ''
    for (const [, name] of sent.slice(answered[lane.index]).matchAll(/\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n/g)) {
      const within = queued[lane.index]
      if (name === 'MULTI') [queued[lane.index], replies] = [0, `${replies}+OK\r\n`]
      else if (name === 'EXEC') {
        queued[lane.index] = undefined
        replies += `*${within}\r\n${'+OK\r\n'.repeat(within!)}`
      } else if (within !== undefined) [queued[lane.index], replies] = [within + 1, `${replies}+QUEUED\r\n`]
      else
        replies +=
          name === 'GET' ? `$${bytes}\r\n${'v'.repeat(bytes)}\r\n` : name === 'MGET' ? '*1\r\n$1\r\nv\r\n' : '+OK\r\n'
    }
    answered[lane.index] = sent.length
    if (replies !== '') world.replyOn(lane, replies)
  }
}

function some(below: (n: number) => number): Buffer {
  const key = `k${below(5)}`
  switch (below(18)) {
    case 0:
      return command('MGET', ...Array.from({ length: 1 + below(9) }, () => key))
    case 1:
      return command('SET', key, 'v'.repeat(below(3) * 3_000))
    case 2:
      return command('PING')
    case 3:
      return Buffer.from(`SET ${key} inline\r\n`)
    case 4:
      return command(['MULTI', 'EXEC', 'DISCARD'][below(3)]!)
    case 5:
      return command('NOSUCH', key)
    case 6:
      return command('GET')
    case 7:
    case 8:
    case 9:
      return command('SET', key, 'v')
    case 10:
      return command('get', key)
    case 11:
      return command('INCR', key)
    case 12:
      return command(['DEL', 'EXISTS', ''][below(3)]!, key)
    default:
      return command('GET', key)
  }
}

const limitsOf = (below: (n: number) => number): QuotaLimits => ({
  ...(below(4) > 0 ? { opsPerS: [20, 1_000, 50_000, 0.5][below(4)]!, burst: [1, 7, 40, 1_000][below(4)]! } : {}),
  ...(below(2) > 0 ? { bytesPerS: [2_000, 300_000, 1e9][below(3)]! } : {}),
  ...(below(3) > 0 ? {} : { inFlight: 5 }),
  scope: 'proxy',
  whenExceeded: below(2) > 0 ? 'delay' : 'error',
})

/** All that the short ways may touch. A copy now: most of it goes on. */
function numbersOf({ world, clients }: Side): unknown {
  const { quota, cells, gate, inFlight, turnCommands, newest, wide } = world.tenant('shop')
  const fences = world.path.fences as unknown as InsideFences
  const laid = Array.from(fences.owners, (owner, i) => [owner, fences.tags[i], fences.slots[i], fences.positions[i]])
  const { traffic: _traffic, ...metered } = { ...quota } as unknown as Record<string, unknown>
  const sessions = clients.map(({ session, socket }) => {
    const { admittedTo, stall, pendingBytes, isClosed, commands, localBytes } = session
    return [admittedTo, stall, pendingBytes, isClosed, commands, session.inFlight, localBytes, socket.text]
  })
  const lanes = world.pool.lanes.map((lane) => {
    const { head, tail, flagHead, flagTail, flags, counts, totals, writes, trails } = lane as unknown as InsideLane
    const places = Array.from({ length: tail - head }, (_, i) => (head + i) & (counts.length - 1))
    const ring = places.map((at) => [counts[at], totals[at], writes[at], trails[at]])
    const kinds = Array.from({ length: flagTail - flagHead }, (_, i) => flags[(flagHead + i) & (flags.length - 1)])
    const { lastWrite, waitingBytes } = lane
    return [lane.inFlight, lastWrite, waitingBytes, flagHead, flagTail, ring, kinds, world.ports[lane.index]!.sent]
  })
  const counted = [
    cells.reads,
    cells.writes,
    [...cells.served],
    [...world.cells.commands.calls],
    gate,
    inFlight,
    turnCommands,
  ]
  const fenced = [laid.filter(([owner]) => owner !== 0), newest, wide]
  return JSON.parse(JSON.stringify({ metered, sessions, lanes, counted, fenced }))
}

interface Played {
  /** Commands for which an advance has paid, and those that were taken with one like them. */
  advanced: number
  alike: number
}

type Plant = (world: World, gate: QuotaGate) => void

/** Throws at the first difference. */
function play(from: number, plant: Plant = () => {}): Played {
  const random = randomFrom(from)
  const below = (n: number): number => Math.floor(random() * n)
  const setting: Setting = {
    limits: below(4) > 0 ? limitsOf(below) : undefined,
    consistency: below(2) > 0 ? 'session' : 'eventual',
    isPrimaryNearest: below(2) > 0,
  }
  const played = { advanced: 0, alike: 0 }
  const sides = [
    side(setting, (world, gate) => {
      plant(world, gate)
      const path = inside(world)
      const takeAlike = path.takeAlike.bind(path)
      path.takeAlike = (session, lane, start, end) => {
        const before = session.commands
        const next = takeAlike(session, lane, start, end)
        played.alike += session.commands - before
        return next
      }
      const isAdvanced = gate.isAdvanced.bind(gate)
      gate.isAdvanced = (...args) => {
        const is = isAdvanced(...args)
        if (is) played.advanced++
        return is
      }
    }),
    side(setting, (world, gate) => {
      inside(world).takeAlike = (_session, _lane, start) => start
      gate.isAdvanced = () => false
    }),
  ] as const
  for (let step = 0; step < 20; step++) {
    const bytes = Buffer.concat(
      Array.from({ length: 1 + below(12) }, () => [some(below), below(3) > 0 ? 1 : 1 + below(9)] as const).flatMap(
        ([one, times]) => Array.from({ length: times }, () => one),
      ),
    )
    const cut = below(3) === 0 ? below(bytes.length) : bytes.length
    const [who, ms, size, isAnswered] = [below(2), below(3) === 0 ? below(400) : below(3), below(3) * 700, below(3) > 0]
    for (const one of sides) {
      const client = one.clients[who]!
      if (client.session.isClosed) continue
      client.raw(bytes.subarray(0, cut))
      client.raw(bytes.subarray(cut))
    }
    expect([step, numbersOf(sides[0])]).toEqual([step, numbersOf(sides[1])])
    for (const one of sides) {
      if (isAnswered) answer(one, size)
      for (let i = 0; i < ms; i += 5) {
        one.world.clock.ms += 5
        for (const run of one.world.timers.splice(0)) run()
        one.world.path.waiting.resumeAll()
      }
    }
    expect([step, numbersOf(sides[0])]).toEqual([step, numbersOf(sides[1])])
  }
  return played
}

test(`the short ways end where the long one does (SEED=${seed})`, () => {
  let [advanced, alike] = [0, 0]
  for (let run = 0; run < runs; run++) {
    const played = play(seed * 100_003 + run)
    advanced += played.advanced
    alike += played.alike
  }
  // Else it would have compared nothing.
  expect(advanced).toBeGreaterThan(runs * 10)
  expect(alike).toBeGreaterThan(runs * 10)
})

const laneBug =
  (name: 'writes' | 'trails' | 'totals' | 'counts'): Plant =>
  (world) => {
    for (const lane of world.pool.lanes) {
      const appendAlike = lane.appendAlike.bind(lane)
      lane.appendAlike = (count, isWrite) => {
        appendAlike(count, isWrite)
        const it = lane as unknown as InsideLane
        const last = (it.tail - 1) & (it.counts.length - 1)
        if (name === 'writes') it.flags[(it.flagTail - 1) & (it.flags.length - 1)] = 0
        else it[name][last]!--
      }
    }
  }

const planted: Readonly<Record<string, Plant>> = {
  'what was taken from an advance is never charged': (_, gate) => {
    gate.settle = () => -1
  },
  'a command of several units counts as one': (_, gate) => {
    ;(gate as unknown as { isOne: Uint8Array }).isOne = new Uint8Array(10_000).fill(1)
  },
  'what comes once more is charged once more': (_, gate) => {
    const isAdvanced = gate.isAdvanced.bind(gate)
    gate.isAdvanced = (id, bytes, end) => {
      ;(gate as unknown as { spentTo: number }).spentTo = 0
      return isAdvanced(id, bytes, end)
    }
  },
  'the last unit is given twice': (_, gate) => {
    const isAdvanced = gate.isAdvanced.bind(gate)
    gate.isAdvanced = (id, bytes, end) => {
      const it = gate as unknown as { unitsLeft: number }
      if (it.unitsLeft === 0 && gate.hasAdvance) it.unitsLeft = 1
      return isAdvanced(id, bytes, end)
    }
  },
  'the last write of those alike counts as a read': laneBug('writes'),
  'one of those alike has no time': laneBug('totals'),
  'one of those alike waits for no reply': laneBug('counts'),
  'a write among those alike lays no fence': (world) => {
    const path = inside(world)
    const { writeFences } = world.path
    const takeAlike = path.takeAlike.bind(path)
    const write = writeFences.write.bind(writeFences)
    let isAlike = false
    path.takeAlike = (...args) => {
      isAlike = true
      const next = takeAlike(...args)
      isAlike = false
      return next
    }
    writeFences.write = (...args) => {
      if (!isAlike) write(...args)
    }
  },
  'those alike take no heed of how many may be on their way': (world) => {
    const path = inside(world) as unknown as { inFlightMax: number; takeAlike: Inside['takeAlike'] }
    const takeAlike = path.takeAlike.bind(path)
    path.takeAlike = (session, lane, start, end) => {
      path.inFlightMax += 3
      const next = takeAlike(session, lane, start, end)
      path.inFlightMax -= 3
      return next
    }
  },
}

test.each(Object.entries(planted))('it is found when %s', (_, plant) => {
  const found = (): void => {
    for (let run = 0; run < 400; run++) play(seed * 100_003 + run, plant)
  }
  expect(found).toThrow()
})

test('it is found when bytes of replies to come are forgotten', () => {
  const { takeOnes } = TenantQuota.prototype
  TenantQuota.prototype.takeOnes = function (commands, bytes) {
    takeOnes.call(this, commands, bytes + 1)
  }
  try {
    expect(() => {
      for (let run = 0; run < 400; run++) play(seed * 100_003 + run)
    }).toThrow()
  } finally {
    TenantQuota.prototype.takeOnes = takeOnes
  }
})
