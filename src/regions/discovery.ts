/**
 * The primary as the Sentinels name it. Keeps a link to every Sentinel, those of the configuration and those that they
 * tell of; counts what they say (sentinel-votes.ts); finds the node of ours that is meant. It never adds a node: one that
 * no region lists is an error that is told, and no primary.
 *
 *   answers --> votes --> place --> index of a node --> named / deposed --> tracker.ts
 *   +switch-master --> the old epoch is over at once, before anybody is asked
 *   votes of a majority and a promotion --> the same, and the node that is promoted is named (sentinel-elections.ts)
 *
 * A name is withdrawn when no majority has repeated it for two seconds, when any Sentinel speaks of a newer configuration
 * epoch, and when any announces a switch to another. It is given again only by a majority.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Authority } from './authority.ts'
import { HostAddresses, type Lookup } from './host-addresses.ts'
import type { NodeAddress } from './node.ts'
import { SentinelElections } from './sentinel-elections.ts'
import {
  type KnownSentinel,
  type OpenSentinelLink,
  openSentinelLink,
  type SentinelAnswer,
  type SentinelLink,
} from './sentinel-link.ts'
import { SentinelVotes, type Standing } from './sentinel-votes.ts'
import { systemTimers, type Timer, type Timers } from './timers.ts'

/** Words grow old between answers. */
const lookMs = 100
/** Deployments have three to seven; a list without an end would be a connection for each entry. */
const sentinelsMax = 16
/** A Sentinel that nobody tells of any more is left after this. */
const untoldMs = 30_000

export interface DiscoveryOptions {
  readonly nodes: readonly NodeAddress[]
  /** Those of the configuration; `region` is of no use here. */
  readonly sentinels: readonly NodeAddress[]
  /** What the Sentinels call it. */
  readonly master: string
  readonly timeoutMs: number
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  readonly clock: Clock
  readonly timers?: Timers
  readonly random?: () => number
  readonly openLink?: OpenSentinelLink
  readonly lookup?: Lookup
}

interface Member {
  readonly address: NodeAddress
  readonly isConfigured: boolean
  readonly link: SentinelLink
  /** Its own id, as soon as it has told it; and as whom it has voted. */
  id: string
  voter: string
  isUp: boolean
  hasHeard: boolean
  downReason: string
  /** Of a learnt one: when somebody last told of it. */
  toldAtMs: number
  /** What it said last, for people. */
  says: string
}

export interface DiscoveryStatus {
  readonly master: string
  readonly named: string | null
  readonly config_epoch: number
  readonly heard: number
  readonly known: number
  readonly needed: number
  readonly trouble: string
  readonly sentinels: readonly { readonly sentinel: string; readonly up: boolean; readonly says: string }[]
}

export class SentinelDiscovery implements Authority {
  namedIndex = -1
  namedSinceMs = Number.NEGATIVE_INFINITY
  trouble = 'no Sentinel was heard yet'
  /** Switches that were heard of: another node was named than before. */
  switches = 0

  private readonly options: DiscoveryOptions
  private readonly clock: Clock
  private readonly timers: Timers
  private readonly log: DiscoveryOptions['log']
  private readonly votes: SentinelVotes
  private readonly elections = new SentinelElections()
  private readonly hosts: HostAddresses
  private readonly members: Member[] = []
  private readonly changeListeners: (() => void)[] = []
  private readonly deposedListeners: ((index: number) => void)[] = []
  /** The node that was named last, also while none is. */
  private lastNamed = -1
  /** Who was named before the promotion that was recognised last. */
  private placeBefore = ''
  /** A switch to another node was announced just now. */
  private isSwitching = false
  private saidTrouble = ''
  private looking: Timer | undefined
  private isStopped = false

  constructor(options: DiscoveryOptions) {
    this.options = options
    this.clock = options.clock
    this.timers = options.timers ?? systemTimers
    this.log = options.log
    this.votes = new SentinelVotes(options.sentinels.length)
    this.hosts = new HostAddresses(this.clock, () => this.settle(), options.lookup)
    for (const address of options.sentinels) this.add(address, true)
  }

  get hasHeard(): boolean {
    return this.namedIndex >= 0 || this.members.every((member) => !member.isConfigured || member.hasHeard)
  }

  onChange(listener: () => void): void {
    this.changeListeners.push(listener)
  }

  onDeposed(listener: (index: number) => void): void {
    this.deposedListeners.push(listener)
  }

  start(): void {
    for (const { host } of this.options.nodes) this.hosts.of(host)
    for (const { link } of this.members) link.start()
    this.lookLater()
  }

  stop(): void {
    this.isStopped = true
    this.looking?.cancel()
    for (const { link } of this.members) link.stop()
  }

  askNow(): void {
    for (const { link } of this.members) link.askNow()
  }

  status(): DiscoveryStatus {
    const { named, heard, all, needed, epoch } = this.standing()
    return {
      master: this.options.master,
      named: named === undefined ? null : this.shown(named),
      config_epoch: epoch,
      heard,
      known: all,
      needed,
      trouble: this.trouble,
      sentinels: this.members.map(({ address, isUp, says, downReason }) => ({
        sentinel: address.name,
        up: isUp,
        says: isUp ? says : downReason,
      })),
    }
  }

  // ---- the Sentinels ----

  private add(address: NodeAddress, isConfigured: boolean, id = ''): Member {
    const { timeoutMs, master } = this.options
    const open: OpenSentinelLink =
      this.options.openLink ??
      ((at, name, events) =>
        openSentinelLink(at, name, events, {
          timeoutMs,
          clock: this.clock,
          timers: this.timers,
          random: this.options.random ?? Math.random,
        }))
    const link = open(address, master, {
      answered: (answer) => this.onAnswer(member, answer),
      refused: (reason) => this.onRefused(member, reason),
      lost: (reason) => this.onLost(member, reason),
      switched: (host, port) => this.onSwitched(member, host, port),
      tries: (id) => this.elections.tries(id),
      voted: (id, leader, epoch) => {
        // One connection has one voice here too.
        if (member.voter !== '' && member.voter !== id) this.elections.forget(member.voter)
        member.voter = id
        this.elections.voted(id, leader, epoch)
        this.settle()
      },
      promotes: (id, host, port) => {
        this.elections.promotes(id, host, port, this.clock.now())
        this.settle()
      },
      gaveUp: (id) => {
        this.elections.gaveUp(id)
        this.settle()
      },
    })
    const member: Member = {
      address,
      isConfigured,
      link,
      id,
      voter: '',
      isUp: false,
      hasHeard: false,
      downReason: 'not yet connected',
      toldAtMs: this.clock.now(),
      says: '',
    }
    this.members.push(member)
    return member
  }

  private onAnswer(member: Member, answer: SentinelAnswer): void {
    if (!member.isUp) this.log.info({ sentinel: member.address.name }, 'Sentinel answers')
    member.isUp = true
    member.hasHeard = true
    // One connection has one voice, whatever it calls itself from one answer to the next.
    if (member.id !== '' && member.id !== answer.id) this.votes.forget(member.id)
    member.id = answer.id
    const { askedAtMs, host, port, configEpoch, others } = answer
    member.says = `${host}:${port}`
    this.votes.note(answer.id, { askedAtMs, host, port, configEpoch, others: others.map(({ id }) => id) })
    this.meet(others)
    this.settle()
  }

  private onRefused(member: Member, reason: string): void {
    if (member.says !== reason)
      this.log.error({ sentinel: member.address.name, reason }, 'Sentinel does not tell of the master')
    member.isUp = true
    member.hasHeard = true
    member.says = reason
    this.votes.forget(member.id)
    this.settle()
  }

  private onLost(member: Member, reason: string): void {
    if (member.isUp || member.downReason !== reason)
      this.log.warn({ sentinel: member.address.name, reason }, 'Sentinel does not answer')
    member.isUp = false
    member.hasHeard = true
    member.downReason = reason
    // What it said holds until it is two seconds old.
    this.settle()
  }

  private onSwitched(member: Member, host: string, port: number): void {
    const place = this.placeOf(host, port)
    const { named, places, needed } = this.standing()
    this.log.warn({ sentinel: member.address.name, to: this.shown(place) }, 'Sentinel announces another primary')
    // One that was away catches up with what is known here already, or with what was so before the promotion that is under way.
    const isOfBefore = place === this.placeBefore && this.elections.underWay(this.clock.now(), needed) !== undefined
    if (named !== place && !places.includes(place) && !isOfBefore) {
      this.votes.endEpoch(this.clock.now(), place)
      this.isSwitching = true
    }
    this.settle()
    this.askNow()
  }

  /** Sentinels that were told of are asked too; those of whom nobody tells any more are left. */
  private meet(others: readonly KnownSentinel[]): void {
    const now = this.clock.now()
    for (const { id, host, port } of others) {
      const known = this.members.find((member) => member.id === id || this.isSame(member.address, host, port))
      if (known !== undefined) {
        known.toldAtMs = now
        continue
      }
      if (this.members.length >= sentinelsMax) continue
      const { tls, ca, username, password } = this.options.sentinels[0]!
      const address: NodeAddress = {
        name: named(host, port),
        region: '',
        host,
        port,
        tls,
        ...(ca === undefined ? {} : { ca }),
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password }),
      }
      this.log.info({ sentinel: address.name }, 'Sentinel found')
      this.add(address, false, id).link.start()
    }
    for (const member of this.members.filter((one) => !one.isConfigured)) {
      const isDouble = this.members.some(
        (one) => one !== member && one.isConfigured && one.id !== '' && one.id === member.id,
      )
      if (!isDouble && (member.isUp || now - member.toldAtMs < untoldMs)) continue
      this.log.info({ sentinel: member.address.name }, 'Sentinel left')
      member.link.stop()
      this.members.splice(this.members.indexOf(member), 1)
    }
  }

  private isSame(address: NodeAddress, host: string, port: number): boolean {
    if (address.port !== port) return false
    if (address.host.toLowerCase() === host.toLowerCase()) return true
    const found = this.hosts.of(host)
    return this.hosts.of(address.host).some((one) => found.includes(one))
  }

  // ---- the node that is meant ----

  /** The index of a node of ours, as text; else what the Sentinels call it. */
  private placeOf(host: string, port: number): string {
    const { nodes } = this.options
    const literal = nodes.findIndex((node) => node.port === port && node.host.toLowerCase() === host.toLowerCase())
    if (literal >= 0) return String(literal)
    const found = nodes.flatMap((node, i) => (this.isSame(node, host, port) ? [i] : []))
    // Two nodes behind one address: which of them is meant cannot be told.
    return found.length === 1 ? String(found[0]) : named(host, port)
  }

  private shown(place: string): string {
    return this.options.nodes[indexOf(place)]?.name ?? place
  }

  private standing(): Standing {
    const now = this.clock.now()
    const count = () => this.votes.standing(now, (host, port) => this.placeOf(host, port))
    let standing = count()
    const promotion = this.elections.underWay(now, standing.needed)
    if (promotion === undefined || standing.heard < standing.needed) return standing
    const promoted = this.placeOf(promotion.host, promotion.port)
    // No node of ours, or its name is being looked up yet.
    if (indexOf(promoted) < 0) return standing
    if (this.votes.beginEpoch(promotion.epoch, now, promoted)) {
      this.placeBefore = String(this.lastNamed)
      standing = count()
    }
    if (standing.named === promoted) this.elections.confirmed()
    const isContradicted = standing.places.some((place) => place !== promoted)
    if (standing.named !== undefined || standing.epoch !== promotion.epoch || isContradicted) return standing
    return { ...standing, named: promoted }
  }

  private lookLater(): void {
    if (this.isStopped) return
    this.looking = this.timers.after(lookMs, () => {
      this.settle()
      this.lookLater()
    })
  }

  private settle(): void {
    if (this.isStopped) return
    const standing = this.standing()
    const index = standing.named === undefined ? -1 : indexOf(standing.named)
    this.trouble = this.troubleOf(standing, index)
    this.tellTrouble()
    const isOther = standing.places.some((place) => place !== String(this.lastNamed))
    const isOver = index >= 0 ? index !== this.lastNamed : isOther || this.isSwitching
    const deposed = isOver ? this.lastNamed : -1
    this.isSwitching = false
    if (index !== this.namedIndex) {
      this.namedIndex = index
      if (index >= 0) this.namedSinceMs = this.clock.now()
      for (const listener of this.changeListeners) listener()
    }
    if (deposed >= 0) {
      this.lastNamed = -1
      this.switches++
      for (const listener of this.deposedListeners) listener(deposed)
    }
    if (index >= 0) this.lastNamed = index
  }

  private troubleOf({ named: place, heard, all, needed }: Standing, index: number): string {
    if (index >= 0) return ''
    if (place !== undefined) return `Sentinel names ${place} as the primary, and no region lists it`
    if (heard < needed) return `${heard} of ${all} Sentinels answer, ${needed} are needed`
    return 'the Sentinels do not agree on a primary'
  }

  private tellTrouble(): void {
    // Disagreement belongs to every failover; it is told when it has an end, by the node that is named then.
    if (this.trouble === this.saidTrouble || (this.trouble !== '' && !this.hasHeard)) return
    this.saidTrouble = this.trouble
    const { master } = this.options
    if (this.trouble === '')
      this.log.info({ master, sentinels: this.members.length }, 'the Sentinels agree on a primary')
    else if (this.trouble.endsWith('lists it')) this.log.error({ master, reason: this.trouble }, 'writes are refused')
    else this.log.warn({ master, reason: this.trouble }, 'no primary is named')
  }
}

/** -1: no node of ours. */
function indexOf(place: string): number {
  return /^\d+$/.test(place) ? Number(place) : -1
}

function named(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
