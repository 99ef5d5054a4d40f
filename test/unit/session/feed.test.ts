/**
 * A feed between two nodes of one replication stream, with everything that takes time made random: how far each node has
 * applied the stream, when commands arrive, when answers come back, when connections are lost, where the feed should be.
 */
import { silentLog } from '../../../src/base/log.ts'
import { Node } from '../../../src/regions/node.ts'
import { encodeMark } from '../../../src/regions/watermark.ts'
import { Feed, type FeedLink, type LinkEvents } from '../../../src/session/feed.ts'
import { randomFrom } from '../../kit/exchange.ts'

const markChannel = 'regis:wm:test'

interface Message {
  readonly channel: string
  readonly text: string
}

/** A server: what of the stream it has applied, and the links that are open to it. */
class Server {
  applied = 0
  readonly links = new Set<Link>()
  readonly node: Node
  constructor(index: number) {
    const address = { name: `n${index}`, region: 'r', host: 'x', port: 1, tls: false }
    this.node = Object.assign(new Node(index, address, true), { isReadable: true, role: 'replica' })
  }
}

class Link implements FeedLink {
  isReady = false
  readonly toServer: (() => void)[] = []
  readonly toFeed: (() => void)[] = []
  readonly subscribed = new Set<string>()
  private readonly confirmed = new Set<string>()
  private readonly asked = new Map<string, number>()
  private asks = 0
  private readonly server: Server
  readonly events: LinkEvents
  constructor(server: Server, events: LinkEvents) {
    this.server = server
    this.events = events
    server.links.add(this)
    this.toServer.push(() =>
      this.toFeed.push(() => {
        this.isReady = true
        events.onReady()
      }),
    )
  }
  get pendingCount(): number {
    return this.asked.size
  }
  has(topic: string): boolean {
    return this.confirmed.has(topic)
  }
  subscribe(topic: string): void {
    if (this.asked.has(topic) || this.confirmed.has(topic)) return
    const ask = ++this.asks
    this.asked.set(topic, ask)
    this.toServer.push(() => {
      this.subscribed.add(topic)
      this.toFeed.push(() => {
        if (this.asked.get(topic) !== ask) return
        this.asked.delete(topic)
        this.confirmed.add(topic)
        this.events.onConfirmed(topic)
      })
    })
  }
  unsubscribe(topic: string): void {
    this.asked.delete(topic)
    this.confirmed.delete(topic)
    this.toServer.push(() => this.subscribed.delete(topic))
  }
  close(): void {
    this.server.links.delete(this)
  }
  lose(): void {
    this.close()
    this.events.onLost('test')
  }
}

class World {
  readonly servers = [new Server(0), new Server(1)]
  readonly stream: Message[] = []
  readonly heard: number[] = []
  readonly gaps: string[] = []
  nowMs = 0
  timers: { atMs: number; run: () => void }[] = []
  wantsMark = false
  readonly marks = {
    nextSeq: 1,
    refused: 0,
    wantWithin: () => {
      this.wantsMark = true
    },
  }
  readonly tracker = {
    channel: markChannel,
    marks: this.marks as never,
    readOrder: this.servers.map((server) => server.node) as readonly Node[],
    primary: this.servers[1]!.node as Node | undefined,
  }
  readonly feed = new Feed({
    name: 'near',
    tracker: this.tracker,
    log: silentLog,
    openLink: (node, events) => new Link(this.servers[node.index]!, events),
    now: () => this.nowMs,
    after: (ms, run) => this.timers.push({ atMs: this.nowMs + ms, run }),
    onMessage: (message) => this.heard.push(Number(message.payload)),
    afterRead: () => {},
    onGap: (reason) => this.gaps.push(reason),
  })
  private published = 0

  publish(): number {
    this.stream.push({ channel: 'shop:n', text: String(++this.published) })
    return this.published
  }

  mark(): void {
    this.wantsMark = false
    const seq = this.marks.nextSeq++
    this.stream.push({ channel: markChannel, text: encodeMark({ epoch: 1, lane: 1, slot: -1, seq }) })
  }

  apply(server: Server): boolean {
    const message = this.stream[server.applied]
    if (message === undefined) return false
    server.applied++
    for (const link of server.links) {
      if (!link.subscribed.has(`c${message.channel}`)) continue
      link.toFeed.push(() => {
        if (server.links.has(link))
          link.events.onMessage({ kind: 'message', channel: message.channel, payload: Buffer.from(message.text) })
      })
    }
    return true
  }

  get links(): Link[] {
    return this.servers.flatMap((server) => [...server.links])
  }

  pass(ms: number): void {
    this.nowMs += ms
    const due = this.timers.filter((timer) => timer.atMs <= this.nowMs)
    this.timers = this.timers.filter((timer) => timer.atMs > this.nowMs)
    for (const { run } of due) run()
  }

  /** Until nothing moves any more; the primary publishes marks when they are wanted. */
  calm(): void {
    for (let round = 0; round < 400; round++) {
      this.pass(50)
      this.feed.settle()
      if (this.wantsMark) this.mark()
      for (const server of this.servers) while (this.apply(server));
      for (const link of this.links) {
        while (link.toServer.length > 0) link.toServer.shift()!()
        while (link.toFeed.length > 0 && this.links.includes(link)) link.toFeed.shift()!()
      }
    }
  }
}

/** Messages that were published after the topic was first heard, and did not arrive. */
function missing(world: World, from: number): number[] {
  const heard = new Set(world.heard)
  const published = world.stream.filter((one) => one.channel !== markChannel).map((one) => Number(one.text))
  return published.filter((n) => n > from && !heard.has(n))
}

function play(seed: number, withLosses: boolean): { world: World; from: number; moves: number } {
  const world = new World()
  const random = randomFrom(seed)
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)]
  world.feed.want('cshop:n')
  world.calm()
  const from = world.publish() - 1
  // Clocks of ms against steps of a stream: sometimes so slow that a move is given up.
  const stepMs = seed % 5 === 0 ? 40 : 3
  let moves = 0
  for (let step = 0; step < 800; step++) {
    const before = world.feed.node
    const dice = random()
    if (dice < 0.12) world.publish()
    else if (dice < 0.5) world.apply(pick(world.servers)!)
    else if (dice < 0.7) pick(world.links)?.toServer.shift()?.()
    else if (dice < 0.96) pick(world.links)?.toFeed.shift()?.()
    else if (dice < 0.967) {
      world.tracker.readOrder = [...world.tracker.readOrder].reverse()
      world.feed.settle()
    } else if (dice < 0.97 && withLosses) pick(world.links)?.lose()
    else if (world.wantsMark) world.mark()
    world.pass(stepMs)
    if (step % 20 === 0) world.feed.settle()
    if (world.feed.node !== before) moves++
  }
  world.calm()
  world.publish()
  world.calm()
  return { world, from, moves }
}

const seeds = Array.from({ length: 200 }, (_, i) => i + 1)

test('moves between two living nodes lose nothing and repeat nothing, whoever is ahead', () => {
  let total = 0
  for (const seed of seeds) {
    const { world, from, moves } = play(seed, false)
    expect([seed, world.heard.filter((n, i) => i > 0 && n <= world.heard[i - 1]!)]).toEqual([seed, []])
    if (world.gaps.length === 0) expect([seed, missing(world, from)]).toEqual([seed, []])
    if (seed % 5 !== 0) expect([seed, world.gaps]).toEqual([seed, []])
    total += moves
    expect(world.feed.node).toBe(world.tracker.readOrder[0])
  }
  expect(total).toBeGreaterThan(100)
})

test('when connections are lost too nothing comes twice, what is missing was counted, and the end is heard', () => {
  let gaps = 0
  for (const seed of seeds) {
    const { world, from } = play(seed, true)
    const isUnfenced = world.gaps.includes('unfenced')
    if (!isUnfenced) expect([seed, world.heard.filter((n, i) => i > 0 && n <= world.heard[i - 1]!)]).toEqual([seed, []])
    if (missing(world, from).length > 0) expect([seed, world.gaps.length]).not.toEqual([seed, 0])
    const last = world.stream.filter((one) => one.channel !== markChannel).at(-1)
    expect([seed, world.heard.at(-1)]).toEqual([seed, Number(last?.text)])
    gaps += world.gaps.length
  }
  expect(gaps).toBeGreaterThan(50)
})

test('a topic is told to be heard when it is confirmed at both nodes of a move, and not before', () => {
  const world = new World()
  world.feed.want('cshop:n')
  world.calm()
  world.tracker.readOrder = [...world.tracker.readOrder].reverse()
  world.feed.settle()
  const [before, next] = [[...world.servers[0]!.links][0]!, [...world.servers[1]!.links][0]!]
  next.toServer.shift()!()
  next.toFeed.shift()!()
  let isHeard = false
  world.feed.want('cshop:m')
  world.feed.whenHeard(['cshop:m'], () => {
    isHeard = true
  })
  while (before.toServer.length > 0) before.toServer.shift()!()
  while (before.toFeed.length > 0) before.toFeed.shift()!()
  expect([isHeard, world.feed.isHeard('cshop:m')]).toEqual([false, false])
  world.calm()
  expect([isHeard, world.feed.isHeard('cshop:m')]).toEqual([true, true])
})

test('a primary that publishes no marks does not keep subscribers from another node for ever', () => {
  const world = new World()
  world.feed.want('cshop:n')
  world.calm()
  world.tracker.primary = undefined
  for (const link of world.servers[0]!.links) link.lose()
  world.tracker.readOrder = [world.servers[1]!.node]
  const pump = (): void => {
    world.pass(50)
    world.feed.settle()
    for (const link of world.links) {
      while (link.toServer.length > 0) link.toServer.shift()!()
      while (link.toFeed.length > 0) link.toFeed.shift()!()
    }
  }
  for (let i = 0; i < 20; i++) pump()
  expect([world.feed.node, world.gaps]).toEqual([undefined, ['lost']])
  for (let i = 0; i < 200; i++) pump()
  expect([world.feed.node, world.gaps]).toEqual([world.servers[1]!.node, ['lost', 'unfenced']])
})

test('without wishes the connection is closed, and opened again for the next', () => {
  const world = new World()
  world.feed.want('cshop:n')
  world.calm()
  expect(world.links).toHaveLength(1)
  world.feed.release('cshop:n')
  world.calm()
  expect(world.links).toHaveLength(0)
  world.feed.want('cshop:n')
  world.calm()
  expect(world.links).toHaveLength(1)
})
