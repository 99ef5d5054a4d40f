/**
 * The advance of a quota's gate (session/quota-gate.ts) against the same gate without one: whatever comes in whatever pieces, both let the
 * same commands through, give the same answers, and whoever looks between two pieces finds the same numbers. Mistakes planted in the
 * advance are found by it.
 */
import { type QuotaLimits, TenantQuota } from '../../src/quota/tenant-quota.ts'
import type { QuotaGate } from '../../src/session/quota-gate.ts'
import { randomFrom } from '../kit/exchange.ts'
import { command } from '../kit/resp.ts'
import { buildWorld, type MemoryClient, type World } from '../unit/request-world.ts'

const runs = Number(process.env['RUNS'] ?? 24)
const seed = Number(process.env['SEED'] ?? 1)

interface Side {
  readonly world: World
  readonly clients: readonly MemoryClient[]
  /** By lane: how much of what was sent has been answered. */
  readonly answered: number[]
  /** Between MULTI and EXEC, by lane. */
  readonly queued: (number | undefined)[]
}

function side(limits: QuotaLimits, plant: (gate: QuotaGate) => void): Side {
  const users = [{ name: 'shop', readOnly: false }]
  const world = buildWorld({
    isParanoid: false,
    tenants: [{ id: 'shop', prefix: 'shop:', deny: [], quota: limits, users }],
  })
  plant(world.path.admission.quotas)
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
  switch (below(14)) {
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
    default:
      return command('GET', key)
  }
}

const limitsOf = (below: (n: number) => number): QuotaLimits => ({
  ...(below(4) > 0 ? { opsPerS: [20, 1_000, 50_000, 0.5][below(4)]!, burst: [1, 7, 40, 1_000][below(4)]! } : {}),
  ...(below(2) > 0 ? { bytesPerS: [2_000, 300_000, 1e9][below(3)]! } : {}),
  scope: 'proxy',
  whenExceeded: below(2) > 0 ? 'delay' : 'error',
})

function numbersOf({ world, clients }: Side): unknown {
  const quota = world.tenant('shop').quota
  if (quota === undefined) return undefined
  const { traffic: _traffic, ...fields } = { ...quota } as unknown as Record<string, unknown>
  const sessions = clients.map(({ session }) => [
    session.admittedTo,
    session.stall,
    session.pendingBytes,
    session.isClosed,
  ])
  const sent = world.ports.map((port) => port.sent)
  // A copy now: buckets go on.
  return JSON.parse(JSON.stringify({ fields, sessions, sent, texts: clients.map(({ socket }) => socket.text) }))
}

/** How many commands an advance has paid for; throws at the first difference. */
function play(from: number, plant: (gate: QuotaGate) => void = () => {}): number {
  const random = randomFrom(from)
  const below = (n: number): number => Math.floor(random() * n)
  const limits = limitsOf(below)
  let advanced = 0
  const sides = [
    side(limits, (gate) => {
      plant(gate)
      const isAdvanced = gate.isAdvanced.bind(gate)
      gate.isAdvanced = (...args) => {
        const is = isAdvanced(...args)
        if (is) advanced++
        return is
      }
    }),
    side(limits, (gate) => {
      gate.isAdvanced = () => false
    }),
  ] as const
  for (let step = 0; step < 24; step++) {
    const bytes = Buffer.concat(Array.from({ length: 1 + below(20) }, () => some(below)))
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
  return advanced
}

test(`with an advance or without, the same commands go on and the same is taken (SEED=${seed})`, () => {
  let advanced = 0
  for (let run = 0; run < runs; run++) advanced += play(seed * 100_003 + run)
  // Else it would have compared nothing.
  expect(advanced).toBeGreaterThan(runs * 10)
})

const planted: Readonly<Record<string, (gate: QuotaGate) => void>> = {
  'what was taken is never charged': (gate) => {
    gate.settle = () => -1
  },
  'a command of several units counts as one': (gate) => {
    ;(gate as unknown as { isOne: Uint8Array }).isOne = new Uint8Array(10_000).fill(1)
  },
  'what comes once more is charged once more': (gate) => {
    const isAdvanced = gate.isAdvanced.bind(gate)
    gate.isAdvanced = (id, bytes, end) => {
      ;(gate as unknown as { spentTo: number }).spentTo = 0
      return isAdvanced(id, bytes, end)
    }
  },
  'the last unit is given twice': (gate) => {
    const isAdvanced = gate.isAdvanced.bind(gate)
    gate.isAdvanced = (id, bytes, end) => {
      const it = gate as unknown as { unitsLeft: number }
      if (it.unitsLeft === 0 && gate.hasAdvance) it.unitsLeft = 1
      return isAdvanced(id, bytes, end)
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
