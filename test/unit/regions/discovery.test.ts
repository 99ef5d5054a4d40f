import { SentinelDiscovery } from '../../../src/regions/discovery.ts'
import type { Lookup } from '../../../src/regions/host-addresses.ts'
import type { NodeAddress } from '../../../src/regions/node.ts'
import { promotionMs } from '../../../src/regions/sentinel-elections.ts'
import { readAnswer, type SentinelEvents, tellOf } from '../../../src/regions/sentinel-link.ts'
import { epochForgottenMs, wordFreshMs } from '../../../src/regions/sentinel-votes.ts'
import { FakeTime, Fleet } from './fakes.ts'

const node = (host: string, port = 6379): NodeAddress => ({
  name: `${host}:${port}`,
  region: '',
  host,
  port,
  tls: false,
})

interface FakeSentinel {
  readonly address: NodeAddress
  readonly events: SentinelEvents
  asked: number
  isStarted: boolean
}

const hosts: Record<string, readonly string[]> = { 'eu-0': ['10.0.0.1'], 'us-1': ['10.0.0.2'], 'us-2': ['10.0.0.3'] }

function world(
  sentinels = ['s0', 's1', 's2'],
  nodes = ['eu-0', 'us-1', 'us-2'].map((host) => node(host)),
  lookup: Lookup = (host) => Promise.resolve(hosts[host] ?? []),
) {
  const time = new FakeTime()
  const links: FakeSentinel[] = []
  const lines: string[] = []
  const keep = (fields: unknown, message?: unknown): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`)
  }
  const discovery = new SentinelDiscovery({
    nodes,
    sentinels: sentinels.map((host) => node(host, 26379)),
    master: 'main',
    timeoutMs: 1_000,
    log: { info: keep as never, warn: keep as never, error: keep as never },
    clock: time,
    timers: time,
    lookup,
    openLink: (address, _master, events) => {
      const link: FakeSentinel = { address, events, asked: 0, isStarted: false }
      links.push(link)
      return {
        start: () => {
          link.isStarted = true
        },
        stop: () => {
          link.isStarted = false
        },
        askNow: () => {
          link.asked++
        },
      }
    },
  })
  const deposed: number[] = []
  discovery.onDeposed((index) => deposed.push(index))
  discovery.start()
  const say = (i: number, host: string, configEpoch = 1, port = 6379, others: readonly string[] = []): void => {
    const known = others.map((id) => ({ id, host: id, port: 26379 }))
    links[i]!.events.answered({ id: `id-${i}`, askedAtMs: time.now(), host, port, configEpoch, others: known })
  }
  return { time, links, lines, discovery, deposed, say }
}

test('a majority names a node, and nobody before that', () => {
  const { discovery, say } = world()
  expect([discovery.namedIndex, discovery.hasHeard]).toEqual([-1, false])
  say(0, 'eu-0')
  expect(discovery.namedIndex).toBe(-1)
  say(1, 'EU-0')
  expect([discovery.namedIndex, discovery.hasHeard, discovery.trouble]).toEqual([0, true, ''])
})

test('an address and a host name that resolve to one another are the same node', async () => {
  const { discovery, say } = world()
  await Promise.resolve()
  say(0, '10.0.0.2')
  say(1, '10.0.0.2')
  expect(discovery.namedIndex).toBe(1)
})

test('a Sentinel that calls itself otherwise in each answer has one voice', () => {
  const { discovery, say, links, time } = world()
  for (const i of [0, 1]) say(i, 'eu-0')
  for (const id of ['a', 'b', 'c', 'd'])
    links[2]!.events.answered({ id, askedAtMs: time.now(), host: 'us-1', port: 6379, configEpoch: 1, others: [] })
  expect([discovery.namedIndex, discovery.status().known, discovery.status().heard]).toEqual([0, 3, 3])
  for (const id of ['e', 'f', 'g', 'h'])
    links[2]!.events.answered({ id, askedAtMs: time.now(), host: 'us-1', port: 6379, configEpoch: 9, others: [] })
  expect(discovery.namedIndex).toBe(-1)
})

test('a name that did not resolve is looked up again after a second, and not only after half a minute', async () => {
  let isDown = true
  const lookup: Lookup = (host) =>
    isDown ? Promise.reject(new Error('EAI_AGAIN')) : Promise.resolve(hosts[host] ?? [])
  const { discovery, say, time } = world(undefined, undefined, lookup)
  const round = async (): Promise<void> => {
    for (const i of [0, 1, 2]) say(i, '10.0.0.2')
    await new Promise(setImmediate)
  }
  await round()
  isDown = false
  await round()
  expect(discovery.namedIndex).toBe(-1)
  time.pass(1_100)
  await round()
  expect(discovery.namedIndex).toBe(1)
})

test('two nodes behind one address with one port cannot be told apart: neither is named', async () => {
  hosts['twin'] = ['10.0.0.2']
  const { discovery, say } = world(
    ['s0'],
    ['us-1', 'twin'].map((host) => node(host)),
  )
  await Promise.resolve()
  say(0, '10.0.0.2')
  expect(discovery.namedIndex).toBe(-1)
})

test('a node that no region lists is no primary, and that is told once, as an error', () => {
  const { discovery, say, lines, time } = world()
  for (const i of [0, 1, 2]) say(i, '192.0.2.9')
  time.pass(300)
  for (const i of [0, 1, 2]) say(i, '192.0.2.9')
  expect(discovery.namedIndex).toBe(-1)
  expect(discovery.trouble).toBe('Sentinel names 192.0.2.9:6379 as the primary, and no region lists it')
  expect(lines.filter((line) => line.startsWith('writes are refused'))).toHaveLength(1)
  expect(discovery.status()).toMatchObject({ named: '192.0.2.9:6379', heard: 3, needed: 2 })
})

test('an announced switch withdraws the name in the same call, deposes the node, and asks everybody', () => {
  const { discovery, say, links, deposed } = world()
  for (const i of [0, 1, 2]) say(i, 'eu-0')
  links[2]!.events.switched('us-1', 6379)
  expect([discovery.namedIndex, deposed]).toEqual([-1, [0]])
  expect(links.every((link) => link.asked > 0)).toBe(true)
  // Those that have not heard of it go on saying what they said.
  say(0, 'eu-0')
  say(1, 'eu-0')
  expect(discovery.namedIndex).toBe(-1)
  say(2, 'us-1', 2)
  say(0, 'us-1', 2)
  expect([discovery.namedIndex, deposed]).toEqual([1, [0]])
})

test('a switch that several Sentinels announce before any has answered ends one epoch, so that its answers count', () => {
  const { discovery, say, links, deposed } = world()
  for (const i of [0, 1, 2]) say(i, 'eu-0')
  for (const link of links) link.events.switched('us-1', 6379)
  say(1, 'us-1', 2)
  say(2, 'us-1', 2)
  expect([discovery.namedIndex, deposed]).toEqual([1, [0]])
  for (const link of links) link.events.switched('eu-0', 6379)
  for (const i of [0, 1]) say(i, 'eu-0', 3)
  expect([discovery.namedIndex, deposed]).toEqual([0, [0, 1]])
})

test('a Sentinel that was away and announces what is known already changes nothing', () => {
  const { discovery, say, links, deposed } = world()
  for (const i of [0, 1]) say(i, 'us-1', 5)
  links[2]!.events.switched('us-1', 6379)
  expect([discovery.namedIndex, deposed]).toEqual([1, []])
})

test('one Sentinel that answers of a newer epoch deposes the node, without an announcement', () => {
  const { discovery, say, deposed } = world()
  for (const i of [0, 1, 2]) say(i, 'eu-0')
  say(1, 'us-2', 2)
  expect([discovery.namedIndex, deposed]).toEqual([-1, [0]])
})

test('without a majority for two seconds nobody is named, nobody is deposed, and it is named again when one is back', () => {
  const { discovery, say, links, time, deposed } = world()
  for (const i of [0, 1, 2]) say(i, 'eu-0')
  for (const i of [0, 1]) links[i]!.events.lost('cut off')
  time.pass(1_900)
  say(2, 'eu-0')
  expect(discovery.namedIndex).toBe(0)
  time.pass(200)
  expect([discovery.namedIndex, discovery.trouble]).toEqual([-1, '1 of 3 Sentinels answer, 2 are needed'])
  say(0, 'eu-0')
  say(2, 'eu-0')
  expect([discovery.namedIndex, deposed]).toEqual([0, []])
})

test('Sentinels that are told of are asked too and count, and are left when nobody tells of them any more', () => {
  const { discovery, say, links, time } = world(['s0'])
  say(0, 'eu-0', 1, 6379, ['id-1', 'id-2'])
  expect(links.map(({ address, isStarted }) => [address.host, isStarted])).toEqual([
    ['s0', true],
    ['id-1', true],
    ['id-2', true],
  ])
  expect(discovery.namedIndex).toBe(-1)
  say(1, 'eu-0')
  expect(discovery.namedIndex).toBe(0)
  links[2]!.events.lost('gone')
  time.pass(31_000)
  say(0, 'eu-0', 1, 6379, ['id-1'])
  expect(links[2]!.isStarted).toBe(false)
})

test('words of any length and lists without an end are no answer, or are cut', () => {
  const [long, port] = ['x'.repeat(1_000_000), '26379']
  const of = (id: string, host: string, others: unknown) =>
    readAnswer(id, 0, ['config-epoch', '1'], [host, '6379'], others)
  expect([of(long, 'a', []), of('id', long, []), of('', 'a', []), of('id', '', [])]).toEqual(
    new Array(4).fill(undefined),
  )
  const other = (runid: string): string[] => ['runid', runid, 'ip', 'b', 'port', port]
  expect(of('id', 'a', [other(long), other('o')])?.others).toEqual([{ id: 'o', host: 'b', port: 26379 }])
  expect(
    of(
      'id',
      'a',
      Array.from({ length: 100_000 }, (_, i) => other(`o${i}`)),
    )?.others,
  ).toHaveLength(64)
})

test('a list of Sentinels without an end opens no connections without an end', () => {
  const { say, links } = world(['s0'])
  say(
    0,
    'eu-0',
    1,
    6379,
    Array.from({ length: 100 }, (_, i) => `other-${i}`),
  )
  expect(links).toHaveLength(16)
})

test('an answer of another form is none', () => {
  const master = ['name', 'main', 'config-epoch', '3']
  expect(readAnswer('me', 5, master, ['h', '6379'], [])).toEqual({
    ...{ id: 'me', askedAtMs: 5, host: 'h', port: 6379, configEpoch: 3, others: [] },
  })
  expect(readAnswer('me', 5, master, null, [])).toBeUndefined()
  expect(readAnswer('me', 5, master, ['h', '0'], [])).toBeUndefined()
  expect(readAnswer('me', 5, ['name', 'main'], ['h', '6379'], [])).toBeUndefined()
})

describe('a tracker with an authority', () => {
  function fleet() {
    let listener = (): void => {}
    let depose = (_index: number): void => {}
    const authority = {
      namedIndex: -1,
      namedSinceMs: 0,
      trouble: 'nobody',
      hasHeard: true,
      asked: 0,
      onChange: (it: () => void) => {
        listener = it
      },
      onDeposed: (it: (index: number) => void) => {
        depose = it
      },
      start() {},
      stop() {},
      askNow() {
        authority.asked++
      },
    }
    const it = new Fleet(['eu', 'us', 'us'], 'us', { authority })
    const name = (index: number): void => {
      authority.namedIndex = index
      authority.namedSinceMs = it.time.now()
      listener()
    }
    return { it, authority, name, depose: (index: number) => depose(index) }
  }

  test('takes no node that says so itself before it is named, and none that is named before it says so again', () => {
    const { it, name } = fleet()
    it.settle()
    expect(it.tracker.primary).toBeUndefined()
    it.time.pass(10)
    name(0)
    expect(it.tracker.primary).toBeUndefined()
    it.answer(0)
    expect(it.tracker.primary).toBe(it.node(0))
    name(1)
    it.answer(1)
    expect(it.tracker.primary).toBeUndefined()
  })

  test('an old primary that wakes up and says so is none, and is no split', () => {
    const { it, name } = fleet()
    it.settle()
    name(0)
    it.answer(0)
    name(1)
    expect(it.tracker.primary).toBeUndefined()
    it.answer(1, { role: 'primary', replId: 'new' })
    it.answer(0, { role: 'primary' })
    expect([it.tracker.primary, it.tracker.isSplit]).toEqual([it.node(1), false])
    expect(it.node(0).isReadable).toBe(false)
  })

  test('the epoch ends when the name is withdrawn, and reads of some past state go on', () => {
    const { it, name } = fleet()
    it.settle()
    name(0)
    it.answer(0)
    const { epoch } = it.tracker
    name(-1)
    expect([it.tracker.primary, it.tracker.epoch > epoch]).toEqual([undefined, true])
    expect([it.node(0).isReadable, it.node(1).isReadable]).toEqual([true, true])
  })

  test('tells of a deposed node, and asks the authority when another node becomes a primary', () => {
    const { it, authority, name, depose } = fleet()
    const told: number[] = []
    it.tracker.onDeposed((node) => told.push(node.index))
    it.settle()
    name(0)
    it.answer(0)
    const { asked } = authority
    it.answer(1, { role: 'primary' })
    expect(authority.asked).toBeGreaterThan(asked)
    depose(0)
    expect(told).toEqual([0])
  })
})

describe('a failover that is under way', () => {
  /** The old primary is named in epoch 1; Sentinel 0 leads an attempt of epoch 2. */
  function failover(voters: readonly number[] = [0, 1]) {
    const it = world()
    const repeat = (): void => {
      for (const i of [0, 1, 2]) it.say(i, 'eu-0')
    }
    repeat()
    it.links[0]!.events.tries('id-0')
    for (const i of voters) it.links[i]!.events.voted(`id-${i}`, 'id-0', 2)
    return { ...it, repeat, promote: (i = 0, host = 'us-1') => it.links[i]!.events.promotes(`id-${i}`, host, 6379) }
  }

  test('names the node that the elected leader promotes, and the old one is deposed in the same call', () => {
    const { discovery, deposed, promote, repeat, say, time } = failover()
    expect([discovery.namedIndex, deposed]).toEqual([0, []])
    promote()
    expect([discovery.namedIndex, deposed, discovery.switches]).toEqual([1, [0], 1])
    // They will say the old name for a second yet.
    for (let i = 0; i < 10; i++) {
      time.pass(100)
      repeat()
      expect(discovery.namedIndex).toBe(1)
    }
    say(0, 'us-1', 2)
    expect(discovery.namedIndex).toBe(1)
    for (const i of [1, 2]) say(i, 'us-1', 2)
    time.pass(promotionMs)
    for (const i of [0, 1, 2]) say(i, 'us-1', 2)
    expect([discovery.namedIndex, deposed, discovery.switches]).toEqual([1, [0], 1])
    expect(discovery.status()).toMatchObject({ config_epoch: 2, named: 'us-1:6379' })
  })

  test('a vote that comes behind the promotion completes the majority', () => {
    const { discovery, promote, links } = failover([0])
    promote()
    expect(discovery.namedIndex).toBe(0)
    links[1]!.events.voted('id-1', 'id-0', 2)
    expect(discovery.namedIndex).toBe(1)
  })

  test('no majority of votes for this leader in this epoch, and nothing is named or deposed', () => {
    const { discovery, deposed, promote, links } = failover([0])
    promote()
    links[1]!.events.voted('id-1', 'id-0', 3)
    links[2]!.events.voted('id-2', 'id-2', 2)
    for (let i = 0; i < 5; i++) links[0]!.events.voted('id-0', 'id-0', 2)
    expect([discovery.namedIndex, deposed]).toEqual([0, []])
  })

  test('only the leader promotes, and only in an attempt whose beginning was heard', () => {
    const { discovery, promote, links } = failover()
    promote(1)
    expect(discovery.namedIndex).toBe(0)
    links[0]!.events.gaveUp('id-0')
    promote()
    expect(discovery.namedIndex).toBe(0)
  })

  test('a second attempt of the same leader needs a vote of its own before it promotes', () => {
    const { discovery, promote, links } = failover()
    links[0]!.events.tries('id-0')
    promote()
    expect(discovery.namedIndex).toBe(0)
  })

  test('what its leader has given up is not named any more', () => {
    const { discovery, promote, links } = failover()
    promote()
    expect(discovery.namedIndex).toBe(1)
    links[1]!.events.gaveUp('id-1')
    expect(discovery.namedIndex).toBe(1)
    links[0]!.events.gaveUp('id-0')
    expect(discovery.namedIndex).toBe(-1)
  })

  test('an announced switch to yet another node ends it', () => {
    const { discovery, deposed, promote, links } = failover()
    promote()
    links[2]!.events.switched('us-2', 6379)
    expect([discovery.namedIndex, deposed]).toEqual([-1, [0, 1]])
  })

  test('by hand there are no votes: the name waits for what the Sentinels say', () => {
    const { discovery, say, links } = world()
    for (const i of [0, 1, 2]) say(i, 'eu-0')
    links[0]!.events.tries('id-0')
    links[0]!.events.promotes('id-0', 'us-1', 6379)
    expect(discovery.namedIndex).toBe(0)
  })

  test('votes for failovers of other masters change nothing', () => {
    const { discovery, promote, links } = failover()
    for (const i of [0, 1, 2]) links[i]!.events.voted(`id-${i}`, 'id-0', 3)
    promote()
    expect([discovery.namedIndex, discovery.status().config_epoch]).toEqual([1, 2])
  })

  test('another attempt, or five seconds without a word, take the name back; the old primary does not return with old words', () => {
    for (const isTried of [true, false]) {
      const { discovery, promote, repeat, links, time } = failover()
      promote()
      if (isTried) {
        links[2]!.events.tries('id-2')
        expect(discovery.namedIndex).toBe(1)
        links[2]!.events.voted('id-2', 'id-2', 3)
      } else
        for (let ms = 0; ms <= promotionMs; ms += 500) {
          time.pass(500)
          repeat()
        }
      repeat()
      time.pass(200)
      expect(discovery.namedIndex).toBe(-1)
      repeat()
      expect(discovery.namedIndex).toBe(-1)
      // Sentinels that go on naming it have given the failover up.
      for (let ms = 0; ms < 2 * epochForgottenMs; ms += 500) {
        time.pass(500)
        repeat()
      }
      expect(discovery.namedIndex).toBe(0)
    }
  })

  test('the next attempt may promote another node, in an epoch of its own', () => {
    const { discovery, deposed, promote, links } = failover()
    promote()
    links[2]!.events.tries('id-2')
    for (const i of [1, 2]) links[i]!.events.voted(`id-${i}`, 'id-2', 3)
    promote(2, 'us-2')
    expect([discovery.namedIndex, deposed]).toEqual([2, [0, 1]])
  })

  test('what a Sentinel says of that epoch, or of a newer one, counts for more', () => {
    for (const epoch of [2, 3]) {
      const { discovery, promote, say } = failover()
      promote()
      say(1, 'us-2', epoch)
      expect(discovery.namedIndex).toBe(-1)
      say(2, 'us-2', epoch)
      expect(discovery.namedIndex).toBe(2)
    }
  })

  test('a connection that votes as another one now has no vote of before', () => {
    const { discovery, promote, links } = failover()
    links[1]!.events.voted('new', 'elsewhere', 7)
    promote()
    expect(discovery.namedIndex).toBe(0)
  })

  test('an attempt that began before, and is heard of later, takes nothing back, nor does its promotion', () => {
    const { discovery, promote, links } = failover()
    promote()
    links[2]!.events.tries('id-2')
    links[2]!.events.voted('id-2', 'id-2', 2)
    expect(discovery.namedIndex).toBe(1)
    links[1]!.events.tries('id-1')
    links[1]!.events.voted('id-1', 'id-1', 1)
    links[1]!.events.promotes('id-1', 'us-2', 6379)
    expect(discovery.namedIndex).toBe(1)
  })

  test('once elected, what its voters vote for next changes nothing', () => {
    const { discovery, promote, links } = failover()
    promote()
    for (let i = 0; i < 300; i++) links[1]!.events.voted('id-1', 'another', 10 + i)
    links[1]!.events.voted('new', 'another', 400)
    expect(discovery.namedIndex).toBe(1)
  })

  test('its name is looked up like any other; until then the old primary stays', async () => {
    const found: Record<string, readonly string[]> = { ...hosts, 'us-1.full': ['10.0.0.2'] }
    let answer: (addresses: readonly string[]) => void = () => {}
    const lookup: Lookup = (host) =>
      host === 'us-1.full'
        ? new Promise((resolve) => {
            answer = resolve
          })
        : Promise.resolve(found[host] ?? [])
    const { discovery, deposed, links, say } = world(undefined, undefined, lookup)
    await new Promise(setImmediate)
    for (const i of [0, 1, 2]) say(i, 'eu-0')
    links[0]!.events.tries('id-0')
    for (const i of [0, 1]) links[i]!.events.voted(`id-${i}`, 'id-0', 2)
    links[0]!.events.promotes('id-0', 'us-1.full', 6379)
    expect([discovery.namedIndex, deposed]).toEqual([0, []])
    answer(['10.0.0.2'])
    await new Promise(setImmediate)
    expect([discovery.namedIndex, deposed]).toEqual([1, [0]])
    // Announced by one before any has answered: the epoch stays what it is.
    links[2]!.events.switched('10.0.0.2', 6379)
    for (const i of [0, 1]) say(i, 'us-1', 2)
    expect([discovery.namedIndex, discovery.status().config_epoch]).toEqual([1, 2])
  })

  test('a Sentinel that was away and catches up with what was before does not end it', () => {
    const { discovery, deposed, promote, links, say } = failover()
    promote()
    links[2]!.events.switched('eu-0', 6379)
    expect([discovery.namedIndex, deposed]).toEqual([1, [0]])
    for (const i of [0, 1]) say(i, 'us-1', 2)
    expect([discovery.namedIndex, deposed, discovery.status().config_epoch]).toEqual([1, [0], 2])
  })

  test('it needs a majority of Sentinels that answer now, and once they have said it themselves, that they go on saying it', () => {
    const silent = failover()
    silent.time.pass(wordFreshMs + 1)
    silent.promote()
    expect(silent.discovery.namedIndex).toBe(-1)
    expect(silent.deposed).toEqual([])
    const { discovery, promote, say, time } = failover()
    promote()
    for (const i of [0, 1]) say(i, 'us-1', 2)
    time.pass(wordFreshMs + 200)
    expect(discovery.namedIndex).toBe(-1)
    say(0, 'us-1', 2)
    say(2, 'eu-0', 1)
    expect(discovery.namedIndex).toBe(-1)
  })

  test('once it is confirmed, a switch back is announced like any other', () => {
    const { discovery, deposed, promote, say, links } = failover()
    promote()
    for (const i of [0, 1]) say(i, 'us-1', 2)
    links[2]!.events.switched('eu-0', 6379)
    expect([discovery.namedIndex, deposed]).toEqual([-1, [0, 1]])
  })
})

test('what Sentinels publish of a failover is read, of our master only', () => {
  const heard: unknown[] = []
  const events: SentinelEvents = {
    answered: () => {},
    refused: () => {},
    lost: () => {},
    switched: (...args) => heard.push(['switched', ...args]),
    tries: (...args) => heard.push(['tries', ...args]),
    voted: (...args) => heard.push(['voted', ...args]),
    promotes: (...args) => heard.push(['promotes', ...args]),
    gaveUp: (...args) => heard.push(['gaveUp', ...args]),
  }
  const lines = [
    '+try-failover master main 127.0.0.1 6379',
    '+try-failover master other 127.0.0.1 6379',
    '+vote-for-leader 0659a38b1d38afbbe373ea7658a2fe91ee3696a3 7',
    '+vote-for-leader 0659a38b1d38afbbe373ea7658a2fe91ee3696a3',
    '+vote-for-leader 0659a38b1d38afbbe373ea7658a2fe91ee3696a3 0',
    '+failover-state-wait-promotion slave 127.0.0.1:6380 127.0.0.1 6380 @ main 127.0.0.1 6379',
    '+failover-state-wait-promotion slave 127.0.0.1:6380 127.0.0.1 6380 @ other 127.0.0.1 6379',
    '+failover-state-wait-promotion slave 127.0.0.1:6380 127.0.0.1 70000 @ main 127.0.0.1 6379',
    '+switch-master main 127.0.0.1 6379 127.0.0.1 6380',
    '-failover-abort-slave-timeout master main 127.0.0.1 6379',
    '+odown master main 127.0.0.1 6379 #quorum 2/2',
  ]
  for (const line of lines) {
    const [channel = '', ...parts] = line.split(' ')
    tellOf('me', channel, parts, 'main', events)
    if (channel !== '+switch-master') tellOf('', channel, parts, 'main', events)
  }
  expect(heard).toEqual([
    ['tries', 'me'],
    ['voted', 'me', '0659a38b1d38afbbe373ea7658a2fe91ee3696a3', 7],
    ['promotes', 'me', '127.0.0.1', 6380],
    ['switched', '127.0.0.1', 6380],
    ['gaveUp', 'me'],
  ])
})
