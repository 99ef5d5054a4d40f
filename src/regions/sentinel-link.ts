/**
 * The connections to one Sentinel. ~ sockets, by the clock. One asks, every half second and when something seems to have
 * happened: who is the master, in which configuration epoch, who are the other Sentinels. The other hears what it
 * publishes, so that a switch is known when it happens and not at the next question.
 *
 * SENTINEL MASTER goes before GET-MASTER-ADDR-BY-NAME: a promotion between the two can then pair the new address with the
 * old epoch, which counts for less, and never the old address with the new epoch. (During a failover the latter already
 * gives the new address, as soon as the promotion is certain: sentinel.c, sentinelGetCurrentMasterAddress.)
 */
import type { Redis } from 'ioredis'
import type { NodeAddress } from './node.ts'
import type { ProbeOptions } from './probe.ts'
import type { SentinelWord } from './sentinel-votes.ts'
import type { Timer } from './timers.ts'
import { textOf, Wire } from './wire.ts'

export const askEveryMs = 500
/** An answer that takes longer costs the connection: words are believed for two seconds only. */
const answerMsMax = 1_000
const pingEveryMs = 1_000

/** What is published when the answer may be another one now. */
const hints = [
  ...['+odown', '-odown', '+sdown', '-sdown', '+promoted-slave', '+failover-state-reconf-slaves'],
  ...['+config-update-from', '+sentinel', '+reset-master', '+failover-end'],
] as const
const switchChannel = '+switch-master'
/** What is published of a failover that is under way (sentinel-elections.ts). */
const tryChannel = '+try-failover'
const voteChannel = '+vote-for-leader'
const promotionChannel = '+failover-state-wait-promotion'
const gaveUpChannel = '-failover-abort-slave-timeout'
const electionChannels = [tryChannel, voteChannel, promotionChannel, gaveUpChannel] as const

export interface KnownSentinel {
  readonly id: string
  readonly host: string
  readonly port: number
}

export interface SentinelAnswer extends Omit<SentinelWord, 'others'> {
  readonly id: string
  readonly others: readonly KnownSentinel[]
}

export interface SentinelEvents {
  answered(answer: SentinelAnswer): void
  /** It answers, but not this: it does not know the master, or refuses us. */
  refused(reason: string): void
  lost(reason: string): void
  /** It has published that the master is another one. */
  switched(host: string, port: number): void
  /**
   * It, by the id that it has on this connection, begins a failover; votes for the leader of one, of any master; has told a node to be
   * the master; has given up.
   */
  tries(id: string): void
  voted(id: string, leader: string, epoch: number): void
  promotes(id: string, host: string, port: number): void
  gaveUp(id: string): void
}

export interface SentinelLink {
  start(): void
  stop(): void
  askNow(): void
}

export type OpenSentinelLink = (address: NodeAddress, master: string, events: SentinelEvents) => SentinelLink

export function openSentinelLink(
  address: NodeAddress,
  master: string,
  events: SentinelEvents,
  options: ProbeOptions,
): SentinelLink {
  const asker = new SentinelAsker(address, master, events, options)
  const ears = new SentinelEars(address, options, (id, channel, text) => {
    const parts = text.split(' ')
    tellOf(id, channel, parts, master, events)
    if (parts.includes(master)) asker.askNow()
  })
  return {
    start: () => {
      asker.start()
      ears.start()
    },
    stop: () => {
      asker.stop()
      ears.stop()
    },
    askNow: () => asker.askNow(),
  }
}

/** What it has published, in words. Those of a vote name no master. Anything of another form is nothing. `id`: '' is not known. */
export function tellOf(
  id: string,
  channel: string,
  parts: readonly string[],
  master: string,
  events: SentinelEvents,
): void {
  if (channel === switchChannel) {
    if (parts[0] === master && parts.length === 5) events.switched(parts[3]!, Number(parts[4]))
  } else if (id === '') {
    // Nobody's vote.
  } else if (channel === voteChannel) {
    const epoch = Number(parts[1])
    if (parts.length === 2 && isWord(parts[0]!) && Number.isSafeInteger(epoch) && epoch > 0)
      events.voted(id, parts[0]!, epoch)
  } else if (channel === promotionChannel) {
    const [kind, , host = '', port, at, name] = parts
    if (kind === 'slave' && at === '@' && name === master && isWord(host) && isPort(Number(port)))
      events.promotes(id, host, Number(port))
  } else if (parts[0] === 'master' && parts[1] === master) {
    if (channel === tryChannel) events.tries(id)
    else if (channel === gaveUpChannel) events.gaveUp(id)
  }
}

class SentinelAsker {
  private readonly options: ProbeOptions
  private readonly master: string
  private readonly name: string
  private readonly events: SentinelEvents
  private readonly wire: Wire
  private readonly answerMs: number
  private redis: Redis | undefined
  private id = ''
  private isAsking = false
  private isHurried = false
  private next: Timer | undefined
  private deadline: Timer | undefined

  constructor(address: NodeAddress, master: string, events: SentinelEvents, options: ProbeOptions) {
    this.options = options
    this.master = master
    this.name = address.name
    this.events = events
    this.answerMs = Math.min(answerMsMax, options.timeoutMs)
    this.wire = new Wire(
      address,
      { ...options, name: 'regis-control' },
      {
        open: (redis) => {
          this.redis = redis
          this.id = ''
          this.ask(redis)
        },
        lost: (reason) => {
          this.rest()
          events.lost(reason)
        },
      },
    )
  }

  start(): void {
    this.wire.start()
  }

  stop(): void {
    this.rest()
    this.wire.stop()
  }

  askNow(): void {
    if (this.redis === undefined) return
    if (this.isAsking) this.isHurried = true
    else this.ask(this.redis)
  }

  private rest(): void {
    this.redis = undefined
    this.isAsking = false
    this.isHurried = false
    this.next?.cancel()
    this.deadline?.cancel()
  }

  private ask(redis: Redis): void {
    const { clock, timers } = this.options
    this.next?.cancel()
    this.isAsking = true
    this.isHurried = false
    this.deadline = timers.after(this.answerMs, () => this.wire.replace(`no answer within ${this.answerMs} ms`))
    const askedAtMs = clock.now()
    // Whoever may not ask for its id, or an old one that has none, is told apart by its address.
    const id = this.id !== '' ? this.id : redis.call('SENTINEL', 'MYID').catch(() => this.name)
    const questions = [
      id,
      redis.call('SENTINEL', 'MASTER', this.master),
      redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.master),
      redis.call('SENTINEL', 'SENTINELS', this.master),
    ] as const
    Promise.all(questions).then(
      ([ownId, master, address, others]) => {
        if (this.redis !== redis) return
        this.id = String(ownId)
        const answer = readAnswer(this.id, askedAtMs, master, address, others)
        this.onAnswer(redis, askedAtMs)
        if (answer === undefined) this.events.refused('an answer of another form')
        else this.events.answered(answer)
      },
      (error) => {
        if (this.redis !== redis) return
        const isReply = error instanceof Error && error.name === 'ReplyError'
        if (!isReply || /^(NOAUTH|NOPERM)\b/.test(textOf(error))) {
          this.wire.replace(textOf(error))
          return
        }
        this.onAnswer(redis, askedAtMs)
        this.events.refused(textOf(error))
      },
    )
  }

  private onAnswer(redis: Redis, askedAtMs: number): void {
    const { clock, timers } = this.options
    this.isAsking = false
    this.deadline?.cancel()
    this.wire.proveUseful()
    if (this.isHurried) this.ask(redis)
    else this.next = timers.after(Math.max(0, askedAtMs + askEveryMs - clock.now()), () => this.ask(redis))
  }
}

/** Ids have 40 characters, host names at most 255. */
const wordBytesMax = 255
/** More Sentinels than anybody runs: of a list without an end the rest is not kept. */
const toldMax = 64

/** undefined: not what a Sentinel answers. */
export function readAnswer(
  id: string,
  askedAtMs: number,
  master: unknown,
  address: unknown,
  others: unknown,
): SentinelAnswer | undefined {
  if (!Array.isArray(address) || address.length !== 2) return undefined
  if (!isWord(id) || !isWord(String(address[0]))) return undefined
  const configEpoch = Number(pairs(master).get('config-epoch'))
  const port = Number(address[1])
  if (!Number.isSafeInteger(configEpoch) || configEpoch < 0 || !isPort(port)) return undefined
  const known = (Array.isArray(others) ? others.slice(0, toldMax) : []).flatMap((other): KnownSentinel[] => {
    const said = pairs(other)
    const [otherId, host, otherPort] = [said.get('runid') ?? '', said.get('ip') ?? '', Number(said.get('port'))]
    return !isWord(otherId) || !isWord(host) || !isPort(otherPort) ? [] : [{ id: otherId, host, port: otherPort }]
  })
  return { id, askedAtMs, host: String(address[0]), port, configEpoch, others: known }
}

function isWord(text: string): boolean {
  return text.length <= wordBytesMax && /^[!-~]+$/.test(text)
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65_535
}

/** Names and values in a flat list, as RESP2 gives a map. */
function pairs(reply: unknown): Map<string, string> {
  const found = new Map<string, string>()
  if (Array.isArray(reply))
    for (let i = 0; i + 1 < reply.length; i += 2) found.set(String(reply[i]), String(reply[i + 1]))
  return found
}

class SentinelEars {
  private readonly options: ProbeOptions
  private readonly wire: Wire
  private redis: Redis | undefined
  private timer: Timer | undefined
  /** Of whoever is at the other end of this connection; the asker's may lead to another, where a balancer is between. */
  private id = ''

  constructor(address: NodeAddress, options: ProbeOptions, heard: (id: string, channel: string, text: string) => void) {
    this.options = options
    this.wire = new Wire(
      address,
      { ...options, name: 'regis-control-sub' },
      {
        open: (redis) => {
          this.redis = redis
          this.id = ''
          redis.on('message', (channel: string, text: string) => {
            if (this.redis === redis) heard(this.id, channel, text)
          })
          redis.call('SENTINEL', 'MYID').then(
            (id) => {
              if (this.redis === redis && isWord(String(id))) this.id = String(id)
            },
            () => {},
          )
          // A login that may not hear of elections is told of switches all the same.
          redis.subscribe(...electionChannels).catch(() => {})
          this.expectAnswer(redis, redis.subscribe(switchChannel, ...hints))
        },
        lost: () => this.rest(),
      },
    )
  }

  start(): void {
    this.wire.start()
  }

  stop(): void {
    this.rest()
    this.wire.stop()
  }

  private rest(): void {
    this.redis = undefined
    this.timer?.cancel()
  }

  /** Waits for the answer, then rests a second and pings: a connection that has silently died is found. */
  private expectAnswer(redis: Redis, answer: Promise<unknown>): void {
    const { timers } = this.options
    this.timer?.cancel()
    this.timer = timers.after(answerMsMax, () => this.wire.replace(`no answer within ${answerMsMax} ms`))
    answer.then(
      () => {
        if (this.redis !== redis) return
        this.wire.proveUseful()
        this.timer?.cancel()
        this.timer = timers.after(pingEveryMs, () => this.expectAnswer(redis, redis.ping()))
      },
      (error) => {
        if (this.redis === redis) this.wire.replace(textOf(error))
      },
    )
  }
}
