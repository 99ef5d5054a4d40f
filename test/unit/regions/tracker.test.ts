import { Fleet } from './fakes.ts'

/** eu-0 is the primary, us-1 and us-2 are replicas, we stand in us; everybody is up and has shown a mark. */
function healthy() {
  const fleet = new Fleet(['eu', 'us', 'us'], 'us')
  fleet.settle()
  const mark = fleet.send()
  for (const i of [0, 1, 2]) fleet.show(i, mark)
  fleet.changes = 0
  return fleet
}

describe('the primary', () => {
  test('is the one node that says so, and its marks start', () => {
    const fleet = healthy()
    expect(fleet.tracker.primary).toBe(fleet.node(0))
    expect(fleet.tracker.epoch).toBe(1)
    expect(fleet.links[0]!.wantsMarks).toBe(true)
    expect(fleet.links[1]!.wantsMarks).toBe(false)
  })

  test('is nobody when two nodes say so, until one is left', () => {
    const fleet = healthy()
    fleet.answer(1, { role: 'primary' })
    expect(fleet.tracker.isSplit).toBe(true)
    expect(fleet.tracker.primary).toBeUndefined()
    expect(fleet.links[0]!.wantsMarks).toBe(false)
    // The one that was confirmed may still answer for the past; the newcomer may be an empty restart.
    expect(fleet.node(0).isReadable).toBe(true)
    expect(fleet.node(1).isReadable).toBe(false)
    fleet.answer(1, { role: 'replica' })
    expect(fleet.tracker.isSplit).toBe(false)
    expect(fleet.tracker.primary).toBe(fleet.node(0))
    expect(fleet.tracker.epoch).toBe(3)
  })

  test('is nobody while it loads', () => {
    const fleet = healthy()
    fleet.answer(0, { state: 'loading' })
    expect(fleet.tracker.primary).toBeUndefined()
    fleet.answer(0)
    expect(fleet.tracker.primary).toBe(fleet.node(0))
  })

  test('is nobody when its control connection is lost, and the epoch is another one when it is back', () => {
    const fleet = healthy()
    fleet.links[0]!.events.lost('connection closed')
    expect(fleet.tracker.primary).toBeUndefined()
    expect(fleet.node(0).role).toBe('unknown')
    fleet.answer(0)
    expect(fleet.tracker.primary).toBe(fleet.node(0))
    expect(fleet.tracker.epoch).toBe(3)
  })

  test.each([
    ['run id', { runId: 'another' }],
    ['history', { replId: 'another' }],
  ])('with another %s starts another epoch', (_name, said) => {
    const fleet = healthy()
    fleet.answer(0, said)
    expect(fleet.tracker.primary).toBe(fleet.node(0))
    expect(fleet.tracker.epoch).toBeGreaterThan(1)
    expect(fleet.node(1).shownSeq).toBe(0)
  })

  test('that answers READONLY is none, at once, whatever an older answer says', () => {
    const fleet = healthy()
    const askedAt = fleet.time.now()
    fleet.time.pass(10)
    fleet.tracker.noteReadOnly(fleet.node(0))
    expect(fleet.tracker.primary).toBeUndefined()
    expect(fleet.links.every((link) => link.probes > 0)).toBe(true)
    fleet.answer(0, { sentAtMs: askedAt })
    expect(fleet.tracker.primary).toBeUndefined()
    fleet.answer(0)
    expect(fleet.tracker.primary).toBe(fleet.node(0))
  })

  test('that was demoted has proven nothing: it shows our marks to itself without having them from the new one', () => {
    const fleet = healthy()
    const mark = fleet.send()
    fleet.show(0, mark)
    expect(fleet.node(0).shownSeq).toBeGreaterThan(0)
    fleet.answer(0, { role: 'replica' })
    expect(fleet.node(0).shownSeq).toBe(0)
    const other = healthy()
    other.tracker.noteReadOnly(other.node(0))
    expect(other.node(0).shownSeq).toBe(0)
    other.show(0, mark)
    expect(other.node(0).shownSeq).toBe(0)
  })

  test('stays when another node answers READONLY', () => {
    const fleet = healthy()
    fleet.tracker.noteReadOnly(fleet.node(1))
    expect(fleet.tracker.primary).toBe(fleet.node(0))
    expect(fleet.tracker.epoch).toBe(1)
  })

  test('stays, and so do its facts, while a script blocks it', () => {
    const fleet = healthy()
    const { incarnation } = fleet.node(0)
    fleet.answer(0, { state: 'busy' })
    expect(fleet.tracker.primary).toBe(fleet.node(0))
    expect(fleet.node(0).incarnation).toBe(incarnation)
  })
})

describe('a mark', () => {
  test('that is shown gives the node a staleness counted from its sending', () => {
    const fleet = healthy()
    fleet.time.pass(50)
    const mark = fleet.send()
    const sentAt = fleet.tracker.marks.lastSentAtMs
    fleet.time.pass(70)
    fleet.show(1, mark)
    expect(fleet.node(1).shownSeq).toBe(fleet.tracker.marks.nextSeq - 1)
    expect(fleet.node(1).shownSentAtMs).toBe(sentAt)
    expect(fleet.tracker.lagMs(fleet.node(1), fleet.time.now())).toBe(fleet.time.now() - sentAt)
    expect(fleet.tracker.lagMs(fleet.node(0), fleet.time.now())).toBe(0)
  })

  test('of another epoch, another lane, or of nonsense proves nothing', () => {
    const fleet = healthy()
    fleet.time.pass(50)
    const before = fleet.node(1).shownSeq
    fleet.tracker.marks.wantWithin(0)
    fleet.time.pass(5)
    const seq = fleet.tracker.marks.nextSeq - 1
    expect(seq).toBeGreaterThan(before)
    for (const text of [`0:1:${seq}`, `2:1:${seq}`, `1:0:${seq}`, `1:2:${seq}`, `${seq}`, 'PING']) fleet.show(1, text)
    expect(fleet.node(1).shownSeq).toBe(before)
    fleet.show(1, `1:1:${seq}`)
    expect(fleet.node(1).shownSeq).toBe(seq)
  })

  test('that was never sent proves nothing', () => {
    const fleet = healthy()
    fleet.show(1, `1:1:${fleet.tracker.marks.nextSeq + 5}`)
    expect(fleet.node(1).shownSeq).toBeLessThan(fleet.tracker.marks.nextSeq)
  })

  test('that is older than one shown before means that the node went back: nothing is proven any more', () => {
    const fleet = healthy()
    const old = fleet.send()
    const mark = fleet.send()
    fleet.show(1, mark)
    const { incarnation } = fleet.node(1)
    fleet.show(1, old)
    expect(fleet.node(1).shownSeq).toBe(0)
    expect(fleet.node(1).incarnation).toBe(incarnation + 1)
    // Late echoes of before do not count for the new incarnation; the next mark does.
    fleet.show(1, mark)
    expect(fleet.node(1).shownSeq).toBe(0)
    fleet.show(1, fleet.send())
    expect(fleet.node(1).shownSeq).toBeGreaterThan(0)
  })

  test('carries epoch and lane, and the lane is another one when the connection for marks is', () => {
    const fleet = healthy()
    expect(fleet.send()).toMatch(/^1:1:\d+$/)
    fleet.links[0]!.events.marksLost('connection closed')
    fleet.time.pass(10_000)
    const count = fleet.links[0]!.sent.length
    fleet.links[0]!.events.marksReady()
    fleet.time.turn()
    expect(fleet.links[0]!.sent.length).toBe(count + 1)
    expect(fleet.links[0]!.sent.at(-1)).toMatch(/^1:2:\d+$/)
    expect(fleet.tracker.epoch).toBe(1)
  })

  test('that the server refuses is counted, and said once an epoch', () => {
    const fleet = healthy()
    fleet.links[0]!.events.markRefused('NOPERM')
    fleet.links[0]!.events.markRefused('NOPERM')
    expect(fleet.tracker.marks.refused).toBe(2)
    expect(fleet.warnings.filter((line) => line.includes('refuses watermarks'))).toHaveLength(1)
  })

  test('that is newer is told to those who wait for it', () => {
    const fleet = healthy()
    const shown: number[] = []
    fleet.tracker.onShown((node) => shown.push(node.index))
    fleet.show(2, fleet.send())
    expect(shown).toEqual([2])
  })
})

describe('a new incarnation, unproven, starts when', () => {
  const causes: [string, (fleet: Fleet) => void][] = [
    ['the subscription is lost', (fleet) => fleet.links[1]!.events.deaf('closed')],
    ['the subscription is a new one', (fleet) => fleet.links[1]!.events.listening()],
    ['the control connection is lost', (fleet) => fleet.links[1]!.events.lost('closed')],
    ['the run id is another', (fleet) => fleet.answer(1, { runId: 'another' })],
    ['the history is another', (fleet) => fleet.answer(1, { replId: 'another' })],
    ['it follows another server', (fleet) => fleet.answer(1, { follows: 'us-2:6379' })],
    ['its link to the primary is down', (fleet) => fleet.answer(1, { isLinkUp: false })],
    ['it copies everything from the primary', (fleet) => fleet.answer(1, { isSyncing: true })],
    ['it loads', (fleet) => fleet.answer(1, { state: 'loading' })],
    ['it refuses reads for want of its primary', (fleet) => fleet.answer(1, { state: 'masterdown' })],
    ['a client was told that it loads', (fleet) => fleet.tracker.noteLoading(fleet.node(1))],
    ['its role is another', (fleet) => fleet.answer(1, { role: 'unknown' })],
  ]
  test.each(causes)('%s', (_name, cause) => {
    const fleet = healthy()
    const [node, other] = [fleet.node(1), fleet.node(2)]
    const [incarnation, otherIncarnation] = [node.incarnation, other.incarnation]
    expect(node.shownSeq).toBeGreaterThan(0)
    const inFlight = fleet.send()
    fleet.time.pass(1)
    cause(fleet)
    expect(node.incarnation).toBeGreaterThan(incarnation)
    expect(node.shownSeq).toBe(0)
    expect(fleet.tracker.lagMs(node, fleet.time.now())).toBe(Number.POSITIVE_INFINITY)
    // What was sent before may be an echo of before.
    fleet.show(1, inFlight)
    expect(node.shownSeq).toBe(0)
    fleet.time.pass(1)
    fleet.show(1, fleet.send())
    expect(node.shownSeq).toBeGreaterThan(0)
    expect(other.incarnation).toBe(otherIncarnation)
    expect(other.shownSeq).toBeGreaterThan(0)
  })

  test('not because the same is answered again', () => {
    const fleet = healthy()
    const { incarnation, shownSeq } = fleet.node(1)
    for (let i = 0; i < 5; i++) fleet.answer(1, { offset: i * 10, rttMs: 1 + i })
    expect(fleet.node(1).incarnation).toBe(incarnation)
    expect(fleet.node(1).shownSeq).toBe(shownSeq)
  })

  test('once for a link that stays down, not at every answer', () => {
    const fleet = healthy()
    fleet.answer(1, { isLinkUp: false })
    const { incarnation } = fleet.node(1)
    fleet.answer(1, { isLinkUp: false })
    expect(fleet.node(1).incarnation).toBe(incarnation)
  })

  test('for every node when a new epoch starts; at the loss of the primary for that one only', () => {
    const fleet = healthy()
    const before = fleet.tracker.nodes.map((node) => node.incarnation)
    fleet.links[0]!.events.lost('closed')
    expect(fleet.node(0).shownSeq).toBe(0)
    expect(fleet.node(1).incarnation).toBe(before[1])
    expect(fleet.node(1).shownSeq).toBeGreaterThan(0)
    fleet.answer(2, { role: 'primary', replId: 'next', replId2: 'history' })
    expect(fleet.tracker.primary).toBe(fleet.node(2))
    expect(fleet.tracker.nodes.map((node) => node.shownSeq)).toEqual([0, 0, 0])
    expect(fleet.node(1).incarnation).toBeGreaterThan(before[1]!)
  })

  test('for every node when the wall clock and the monotonic clock drift apart by more than 250 ms', () => {
    const fleet = healthy()
    const before = fleet.tracker.nodes.map((node) => node.incarnation)
    fleet.wallAheadMs += 240
    fleet.tracker.look()
    expect(fleet.tracker.nodes.map((node) => node.incarnation)).toEqual(before)
    fleet.wallAheadMs += 260
    fleet.tracker.look()
    expect(fleet.tracker.nodes.map((node) => node.incarnation)).toEqual(before.map((n) => n + 1))
    expect(fleet.node(1).shownSeq).toBe(0)
  })

  test('for every node without anybody looking, within 100 ms of the machine waking up', () => {
    const fleet = healthy()
    fleet.wallAheadMs += 60_000
    fleet.time.pass(100)
    expect(fleet.node(1).shownSeq).toBe(0)
  })
})

describe('a node is readable', () => {
  test('when it is up and in the history of the primary', () => {
    const fleet = healthy()
    expect(fleet.tracker.nodes.map((node) => node.isReadable)).toEqual([true, true, true])
    fleet.answer(1, { replId: 'foreign' })
    expect(fleet.node(1).isReadable).toBe(false)
  })

  test('not while it loads or copies, nor after that before it has shown a new mark', () => {
    for (const said of [{ state: 'loading' as const }, { isSyncing: true }]) {
      const fleet = healthy()
      const old = fleet.send()
      fleet.time.pass(1)
      fleet.answer(1, said)
      expect(fleet.node(1).isReadable).toBe(false)
      fleet.answer(1, { isSyncing: false })
      fleet.show(1, old)
      expect(fleet.node(1).isReadable).toBe(false)
      fleet.time.pass(1)
      fleet.show(1, fleet.send())
      expect(fleet.node(1).isReadable).toBe(true)
    }
  })

  test('not while its link is down and the primary answers; but while the primary is gone, it is', () => {
    const fleet = healthy()
    fleet.time.pass(10)
    fleet.answer(1, { isLinkUp: false })
    // The primary has not been heard of since: it may be what is gone.
    expect(fleet.node(1).isReadable).toBe(true)
    fleet.time.pass(10)
    fleet.answer(0)
    expect(fleet.node(1).isReadable).toBe(false)
    fleet.links[0]!.events.lost('closed')
    expect(fleet.node(1).isReadable).toBe(true)
    fleet.answer(1, { isLinkUp: false, replId: 'foreign' })
    expect(fleet.node(1).isReadable).toBe(false)
    fleet.answer(1, { isLinkUp: false, replId: 'next', replId2: 'history' })
    expect(fleet.node(1).isReadable).toBe(true)
  })

  test('not after a client was told that it loads, until an answer asked for later says otherwise and a mark was shown', () => {
    const fleet = healthy()
    const askedAt = fleet.time.now()
    fleet.time.pass(10)
    fleet.tracker.noteLoading(fleet.node(1))
    expect(fleet.node(1).isReadable).toBe(false)
    expect(fleet.links[1]!.probes).toBe(1)
    fleet.answer(1, { sentAtMs: askedAt })
    fleet.time.pass(1)
    fleet.show(1, fleet.send())
    expect(fleet.node(1).isReadable).toBe(false)
    fleet.time.pass(1)
    fleet.answer(1)
    expect(fleet.node(1).isReadable).toBe(false)
    fleet.time.pass(1)
    fleet.show(1, fleet.send())
    expect(fleet.node(1).isReadable).toBe(true)
  })

  test('not when it is lost', () => {
    const fleet = healthy()
    fleet.links[1]!.events.lost('no answer within 2000 ms')
    expect(fleet.node(1).isUp).toBe(false)
    expect(fleet.node(1).isReadable).toBe(false)
    expect(fleet.node(1).downReason).toBe('no answer within 2000 ms')
  })
})

describe('who listens', () => {
  test('hears of roles, up, readable and order, and not of marks or of what is unchanged', () => {
    const fleet = healthy()
    fleet.answer(1)
    fleet.show(1, fleet.send())
    expect(fleet.changes).toBe(0)
    fleet.links[1]!.events.lost('closed')
    expect(fleet.changes).toBe(1)
    fleet.answer(1)
    expect(fleet.changes).toBe(2)
    fleet.answer(0, { role: 'replica' })
    expect(fleet.changes).toBe(3)
  })

  test('finds the order replaced as a whole, and not replaced by jitter', () => {
    const fleet = healthy()
    const before = fleet.tracker.readOrder
    for (let i = 0; i < 20; i++) fleet.answer(1, { rttMs: 1 + (i % 2) * 0.2 })
    expect(fleet.tracker.readOrder).toBe(before)
    expect(before.map((node) => node.index)).toEqual([1, 2, 0])
    for (let i = 0; i < 20; i++) fleet.answer(1, { rttMs: 50 })
    expect(fleet.tracker.readOrder).not.toBe(before)
    expect(before.map((node) => node.index)).toEqual([1, 2, 0])
    expect(fleet.tracker.readOrder.map((node) => node.index)).toEqual([2, 0, 1])
  })

  test('a lost node keeps its place', () => {
    const fleet = healthy()
    fleet.links[1]!.events.lost('closed')
    expect(fleet.tracker.readOrder.map((node) => node.index)).toEqual([1, 2, 0])
  })
})

describe('start', () => {
  test('waits for every node to answer or to fail', async () => {
    const fleet = new Fleet(['eu', 'us'], 'us')
    let isStarted = false
    const started = fleet.tracker.start().then(() => {
      isStarted = true
    })
    fleet.answer(0)
    await Promise.resolve()
    expect(isStarted).toBe(false)
    fleet.links[1]!.events.lost('ECONNREFUSED')
    await started
    expect(fleet.tracker.primary).toBe(fleet.node(0))
  })

  test('does not wait longer than the timeout', async () => {
    const fleet = new Fleet(['eu', 'us'], 'us')
    const started = fleet.tracker.start()
    fleet.time.pass(2_000)
    await started
    expect(fleet.tracker.primary).toBeUndefined()
  })

  test('hands every link its own credentials, or the common ones', () => {
    const fleet = new Fleet(['eu'], 'eu', { username: 'regis', password: 'secret' })
    expect(fleet.links[0]!.address).toMatchObject({ username: 'regis', password: 'secret', host: 'eu-0' })
    expect(fleet.node(0).address.password).toBeUndefined()
  })

  test('two trackers never share a channel', () => {
    const [one, other] = [new Fleet(['eu'], 'eu'), new Fleet(['eu'], 'eu')]
    expect(one.tracker.instance).toMatch(/^[0-9a-f]{32}$/)
    expect(one.tracker.instance).not.toBe(other.tracker.instance)
  })
})

describe('the commands', () => {
  const get = [['get', 2, ['readonly', 'fast']]]
  function told(fleet: Fleet): string[] {
    const names: string[] = []
    fleet.tracker.onCommands((commands, node) => {
      names.push(`${node.address.name} ${commands.map(({ name }) => name).join(' ')}`)
    })
    return names
  }

  test('are asked of the primary alone, once for each of its runs', () => {
    const fleet = new Fleet(['eu', 'us'], 'us')
    const names = told(fleet)
    fleet.links[0]!.commands = get
    fleet.answer(0)
    fleet.answer(1)
    fleet.answer(0)
    expect(fleet.links.map((link) => link.asked)).toEqual([1, 0])
    // Lost and back in the same run: told again, since another may have been told of between, and not asked.
    fleet.links[0]!.events.lost('closed')
    fleet.answer(0)
    expect(fleet.links[0]!.asked).toBe(1)
    fleet.answer(0, { runId: 'another' })
    expect(fleet.links[0]!.asked).toBe(2)
    expect(names).toEqual(Array.from({ length: 3 }, () => 'eu-0:6379 get'))
  })

  test('are those of the new primary after a promotion', () => {
    const fleet = new Fleet(['eu', 'us'], 'us')
    const names = told(fleet)
    for (const link of fleet.links) link.commands = get
    fleet.answer(0)
    fleet.answer(0, { role: 'replica' })
    fleet.answer(1, { role: 'primary' })
    expect(names).toEqual(['eu-0:6379 get', 'us-1:6379 get'])
  })

  test('that a server may not tell, or tells in another form, are warned of and taken for none', () => {
    for (const commands of [undefined, 'OK']) {
      const fleet = new Fleet(['eu'], 'eu')
      const names = told(fleet)
      fleet.links[0]!.commands = undefined
      fleet.answer(0)
      fleet.links[0]!.events.commands(commands)
      expect(names).toEqual([])
      expect(fleet.warnings.at(-1)).toMatch(/its commands/)
      expect(fleet.node(0).commands).toBeUndefined()
    }
  })

  test('are waited for at the start', async () => {
    const fleet = new Fleet(['eu'], 'eu')
    fleet.links[0]!.commands = undefined
    let isStarted = false
    const started = fleet.tracker.start().then(() => {
      isStarted = true
    })
    fleet.answer(0)
    await Promise.resolve()
    expect(isStarted).toBe(false)
    fleet.links[0]!.events.commands(get)
    await started
  })
})

test('after stop nothing is sent and no timer goes on', async () => {
  const fleet = healthy()
  await fleet.tracker.stop()
  const count = fleet.links[0]!.sent.length
  const armed = fleet.time.armed
  fleet.time.pass(60_000)
  expect(fleet.links[0]!.sent.length).toBe(count)
  expect(fleet.time.armed).toBe(armed)
  expect(fleet.links.every((link) => !link.isStarted)).toBe(true)
})
