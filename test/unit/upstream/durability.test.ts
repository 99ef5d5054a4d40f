/** What counts as confirmed: the question is sent after the answer, and its WAIT is of the same history. */
import { silentLog } from '../../../src/base/log.ts'
import {
  Durability,
  type DurableLine,
  neverConfirmed,
  type PrimaryFacts,
  type Waiter,
} from '../../../src/upstream/durability.ts'
import type { Lane } from '../../../src/upstream/lane.ts'

class World {
  nowMs = 1_000
  primary: PrimaryFacts | undefined = { nodeIndex: 0, replId: 'a1', rttMs: 1 }
  readonly lanes: Lane[] = []
  /** What each lane was asked and has not answered. */
  readonly asked = new Map<Lane, string>()
  private turn: (() => void)[] = []
  readonly durability: Durability

  constructor(counts: number[] = [1]) {
    this.durability = new Durability({
      addresses: [
        { name: 'a:1', host: 'a', port: 1, tls: false },
        { name: 'b:1', host: 'b', port: 1, tls: false },
      ],
      counts,
      timeoutMs: 1_000,
      clientName: 'regis',
      channel: 'regis:wait:x',
      log: silentLog,
      limitedLog: silentLog,
      primary: () => this.primary,
      now: () => this.nowMs,
      soon: (run) => void this.turn.push(run),
      desync: (_, why) => {
        throw new Error(why)
      },
      openConnection: (lane, _node, events) => ({
        start: () => {
          lane.open({
            write: (view) => {
              this.asked.set(lane, Buffer.from(view).toString('latin1'))
              return true
            },
            pendingBytes: () => 0,
            destroy: () => this.lose(lane, events.lost),
          })
          lane.isReady = true
          this.lanes.push(lane)
        },
        stop: () => this.lose(lane, events.lost),
      }),
    })
    this.durability.changed()
  }

  private lose(lane: Lane, lost: () => void): void {
    this.asked.delete(lane)
    lane.close()
    lost()
  }

  endTurn(): void {
    for (const run of this.turn.splice(0)) run()
  }

  /** The oldest question comes back. */
  answer(replicas: number, options: { replId?: string; role?: string; publish?: string } = {}): void {
    const [lane] = [...this.asked.keys()]
    this.asked.delete(lane!)
    const info = `# Replication\r\nrole:${options.role ?? 'master'}\r\nmaster_replid:${options.replId ?? 'a1'}\r\n`
    lane!.onChunk(Buffer.from(`${options.publish ?? ':0'}\r\n:${replicas}\r\n$${info.length}\r\n${info}\r\n`))
  }

  become(primary: PrimaryFacts | undefined): void {
    this.primary = primary
    this.durability.changed()
  }
}

class One implements Waiter {
  verdict = ''
  readonly position: number
  readonly history: number
  readonly due: number

  constructor(world: World, line: DurableLine, sentIn = world.durability.history, node = 0) {
    this.due = world.nowMs + 200
    this.history = line.history
    this.position = line.position(this, node, sentIn)
    if (this.position === neverConfirmed) this.verdict = 'never'
  }

  dueAtMs(): number {
    return this.due
  }

  settle(line: DurableLine, nowMs: number): boolean {
    if (this.position <= line.confirmed) this.verdict = 'confirmed'
    else if (this.history !== line.history) this.verdict = 'lost'
    else if (line.isOverdue(this.position, this.due, nowMs)) this.verdict = `denied by ${line.countOf(this.position)}`
    return this.verdict !== ''
  }
}

describe('DurableLine', () => {
  test('publishes in front of WAIT, and asks for the history behind it, in one write', () => {
    const world = new World()
    new One(world, world.durability.line(1))
    world.endTurn()
    expect([...world.asked.values()].join('')).toMatch(
      /^\*3\r\n\$7\r\nPUBLISH\r\n\$12\r\nregis:wait:x\r\n.*\*3\r\n\$4\r\nWAIT\r\n\$1\r\n1\r\n\$3\r\n200\r\n\*2\r\n\$4\r\nINFO/s,
    )
  })

  test('one question speaks for all that was answered before it was sent, and for nothing else', () => {
    const world = new World()
    const line = world.durability.line(1)
    const early = [new One(world, line), new One(world, line)]
    world.endTurn()
    const late = new One(world, line)
    expect(world.asked.size).toBe(1)
    world.answer(1)
    expect(early.map((one) => one.verdict)).toEqual(['confirmed', 'confirmed'])
    expect(late.verdict).toBe('')
    world.endTurn()
    world.answer(1)
    expect(late.verdict).toBe('confirmed')
    expect(line.waiting).toBe(0)
  })

  test('a second connection asks for those who come while the first one waits, and a yes to it is a yes to both', () => {
    const world = new World()
    const line = world.durability.line(1)
    const first = new One(world, line)
    world.endTurn()
    const second = new One(world, line)
    world.endTurn()
    const third = new One(world, line)
    world.endTurn()
    expect(world.asked.size).toBe(2)
    const [oldest] = [...world.asked.keys()]
    const held = world.asked.get(oldest!)!
    world.asked.delete(oldest!)
    world.answer(1)
    expect([first.verdict, second.verdict, third.verdict]).toEqual(['confirmed', 'confirmed', ''])
    world.asked.set(oldest!, held)
  })

  test('too few replicas are asked again until the time is over, and then their number is told', () => {
    const world = new World([2])
    const line = world.durability.line(2)
    const one = new One(world, line)
    world.endTurn()
    world.nowMs += 100
    world.answer(1)
    expect([one.verdict, world.asked.size]).toEqual(['', 1])
    world.nowMs += 100
    world.answer(1)
    expect(one.verdict).toBe('denied by 1')
  })

  test('a question that does not come back is given up a little after the time', () => {
    const world = new World()
    const one = new One(world, world.durability.line(1))
    world.endTurn()
    world.nowMs += 250
    world.durability.check(world.nowMs)
    expect(one.verdict).toBe('')
    world.nowMs += 200
    world.durability.check(world.nowMs)
    expect(one.verdict).toBe('denied by 0')
  })

  test.each([
    ['of another history', { replId: 'b2' }],
    ['of a node that is no primary', { role: 'slave' }],
    ['behind a message that was refused', { publish: '-NOPERM no' }],
  ])('a yes %s confirms nothing', (_, options) => {
    const world = new World()
    const one = new One(world, world.durability.line(1))
    world.endTurn()
    world.answer(5, options)
    expect([one.verdict, world.asked.size]).toEqual(['', 0])
    // Asked again by the clock, not at once.
    world.durability.check(world.nowMs)
    expect(world.asked.size).toBe(1)
    world.answer(1)
    expect(one.verdict).toBe('confirmed')
  })

  test('another primary, or another history of the same one, ends the wait of all', () => {
    for (const next of [
      { nodeIndex: 1, replId: 'a1', rttMs: 1 },
      { nodeIndex: 0, replId: 'b2', rttMs: 1 },
    ]) {
      const world = new World()
      const one = new One(world, world.durability.line(1))
      world.endTurn()
      world.become(undefined)
      expect(one.verdict).toBe('')
      world.become(next)
      expect(one.verdict).toBe('lost')
    }
  })

  test('the same server with the same data is the same history, whatever lay between', () => {
    const world = new World()
    const one = new One(world, world.durability.line(1))
    world.become(undefined)
    world.become({ nodeIndex: 0, replId: 'a1', rttMs: 1 })
    world.endTurn()
    world.answer(1)
    expect(one.verdict).toBe('confirmed')
  })

  test('what was sent in an older history, or answered by another node, can never be confirmed', () => {
    const world = new World()
    const line = world.durability.line(1)
    const before = world.durability.history
    expect(new One(world, line, before, 1).verdict).toBe('never')
    world.become({ nodeIndex: 0, replId: 'b2', rttMs: 1 })
    expect(new One(world, line, before).verdict).toBe('never')
    expect(new One(world, line, -1).verdict).toBe('never')
  })

  test('a lost connection leaves the others to ask', () => {
    const world = new World()
    const one = new One(world, world.durability.line(1))
    world.endTurn()
    const [lane] = [...world.asked.keys()]
    lane!.destroy('reset')
    lane!.isReady = false
    world.endTurn()
    expect(world.asked.size).toBe(1)
    world.answer(1)
    expect(one.verdict).toBe('confirmed')
  })

  test('a write of the proxy itself is told the number that has it, or that it is enough', async () => {
    const world = new World()
    const line = world.durability.line(1)
    const { history } = world.durability
    const good = line.confirm(200, 0, history)
    world.endTurn()
    world.answer(1)
    expect(await good).toBeUndefined()
    expect(await line.confirm(200, 1, history)).toBe(0)
    const late = line.confirm(200, 0, history)
    world.endTurn()
    world.nowMs += 200
    world.answer(0)
    expect(await late).toBe(0)
  })
})
