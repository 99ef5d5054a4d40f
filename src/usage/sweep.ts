/**
 * One look at the keys of one server: SCAN, whose key each is, and MEMORY USAGE of those whose size is wanted. A sweep goes over
 * all of it; a check looks at pages from random places, a sample of the table (its order is that of a keyed hash, so which
 * keys lie together has nothing to do with whose they are or how large).
 *
 *   SCAN page n+1, sizes of page n  -- one write --> server -> names -> owner -> sample takes it? -> its size is asked with the next page
 *
 * Never a name or a size leaves this file but those of the largest keys, which are asked for by name later. Ends early, with a
 * reason, when the node goes away, is another server than it was, or may not be swept any more.
 */
import {
  largeKeyNameBytesMax,
  sweepElements,
  sweepElementsClosely,
  sweepFewBytes,
  sweepFewKeys,
  sweepLargeBytes,
  sweepStepMs,
} from '../base/limits.ts'
import { MemorySample } from '../quota/memory-estimate.ts'
import type { PrefixIndex } from '../quota/prefix-index.ts'
import { encodeRequest } from '../resp/encode.ts'
import { decode } from '../resp/reply-walk.ts'
import type { Answer } from '../upstream/service.ts'
import { readCostPage, type SweepPace } from './sweep-pace.ts'
import { keysByDatabase } from './totals.ts'

export interface SweepHands {
  ask(node: number, request: Uint8Array): Promise<Answer>
  askMany(
    node: number,
    requests: Uint8Array,
    count: number,
    take: (answer: Buffer, i: number) => void,
  ): Promise<'answered' | 'unsent' | 'lost'>
  /** run_id of the server that `ask` talks to; '' while it talks to none. */
  runId(node: number): string
  now(): number
  sleep(ms: number): Promise<void>
  /** Uniform in [0, 1). */
  random(): number
}

/** Whose keys are in a database of the server: by prefix, or all of one tenant. Owners are numbers of tenants. */
export interface Keyspace {
  readonly database: number
  readonly owner: PrefixIndex | number
}

export interface SweepPlan {
  readonly node: number
  readonly keyspaces: readonly Keyspace[]
  readonly pace: SweepPace
  /** Names of keys of this tenant that are asked for whatever the sample says (with the prefix). */
  certain(owner: number): ReadonlySet<string> | undefined
  /** Whether this tenant's sizes are wanted, and not only its count. */
  wantsSizes(owner: number): boolean
  /** How many keys it had when it was last counted; undefined: it was not. */
  keysBefore(owner: number): number | undefined
  /** Why to stop; undefined: go on. Asked before each step. */
  stop(): string | undefined
  /** Between two steps: what is more urgent may be done here. */
  between?(): Promise<void>
  /** Names to look at, in all databases; undefined: all. Then no key is certain: those are asked for apart (askKeys). */
  readonly names?: number
  /** A server with no more keys than that is looked at as a whole all the same. */
  readonly wholeBelow?: number
  /** How far it has come, of how many keys. */
  noteNames?(done: number, all: number): void
}

/** A key that is large, for its tenant. */
export interface LargeKey {
  readonly name: string
  readonly bytes: number
}

export interface SweepResult {
  readonly owners: Map<number, MemorySample>
  /** By owner, largest first. */
  readonly large: Map<number, LargeKey[]>
  /** Keys of nobody. */
  readonly strays: number
  readonly names: number
  readonly sizes: number
  /** By database: what was looked at, and what INFO says there is, before and after. */
  readonly databases: Map<number, { names: number; before: number; after: number; isSample: boolean }>
}

/** The sweep ended early; `message` says why. */
export class SweepFailure extends Error {}

interface Wanted {
  readonly owner: number
  readonly name: Buffer
  /** undefined: certain. */
  readonly phase: number | undefined
  readonly isClose: boolean
  readonly sample: MemorySample
}

/** Windows of a check: few keys lie in one place, and a place costs nothing. */
const pagesPerWindow = 1

export async function sweep(hands: SweepHands, plan: SweepPlan, largeKept: number): Promise<SweepResult> {
  return new Sweep(hands, plan, largeKept).run()
}

class Sweep {
  private readonly hands: SweepHands
  private readonly plan: SweepPlan
  private readonly largeKept: number
  private readonly owners = new Map<number, MemorySample>()
  private readonly large = new Map<number, LargeKey[]>()
  private readonly databases = new Map<number, { names: number; before: number; after: number; isSample: boolean }>()
  private runId = ''
  private strays = 0
  private names = 0
  private sizes = 0
  private database = 0
  private keysHere = 0
  private keysThere = 0
  private namesHere = 0
  private isSample = false
  /** Sizes to ask for with the next page. */
  private wanted: Wanted[] = []
  /** Of whom this step has seen a key or a size: there may be a hundred thousand others. */
  private readonly touched = new Map<number, MemorySample>()

  constructor(hands: SweepHands, plan: SweepPlan, largeKept: number) {
    this.hands = hands
    this.plan = plan
    this.largeKept = largeKept
  }

  async run(): Promise<SweepResult> {
    const { plan, hands } = this
    const before = await this.keyCounts()
    this.runId = hands.runId(plan.node)
    const all = plan.keyspaces.reduce((sum, { database }) => sum + (before.get(database) ?? 0), 0)
    for (const keyspace of plan.keyspaces) {
      const count = before.get(keyspace.database) ?? 0
      // Nothing can be in a database that the server does not have.
      if (keyspace.database !== 0 && !(await this.has(keyspace.database))) continue
      this.database = keyspace.database
      this.keysHere = count
      this.namesHere = 0
      const share = plan.names === undefined ? undefined : Math.ceil((plan.names * count) / Math.max(1, all))
      this.isSample = share !== undefined && share < count && all > (plan.wholeBelow ?? 0)
      this.keysThere = all
      // One that is empty is looked at all the same: keys may have come since the count, and it costs one SCAN.
      if (!this.isSample) await this.walk(keyspace)
      else await this.windows(keyspace, share!)
      this.databases.set(keyspace.database, {
        names: this.namesHere,
        before: count,
        after: count,
        isSample: this.isSample,
      })
      this.names += this.namesHere
    }
    const after = await this.keyCounts()
    for (const [database, counts] of this.databases) counts.after = after.get(database) ?? 0
    const { owners, large, strays, names, sizes, databases } = this
    for (const keys of large.values()) keys.sort((a, b) => b.bytes - a.bytes)
    return { owners, large, strays, names, sizes, databases }
  }

  private async has(database: number): Promise<boolean> {
    const answer = await this.hands.ask(this.plan.node, encodeRequest(['SELECT', String(database)]))
    if (typeof answer === 'string') throw new SweepFailure('the connection was lost')
    return answer[0] !== 0x2d
  }

  private async walk(keyspace: Keyspace): Promise<void> {
    let cursor = '0'
    do {
      cursor = await this.step(keyspace, cursor)
    } while (cursor !== '0')
    await this.settle()
  }

  private async windows(keyspace: Keyspace, names: number): Promise<void> {
    while (this.namesHere < names) {
      // Bits above the table's size mean nothing (dict.c, dictScan).
      let cursor = String(Math.floor(this.hands.random() * 2 ** 40))
      const before = this.namesHere
      for (let page = 0; page < pagesPerWindow && cursor !== '0'; page++) cursor = await this.step(keyspace, cursor)
      // An emptied database answers with nothing for ever.
      if (this.namesHere === before && (await this.keyCounts()).get(keyspace.database) === undefined) break
    }
    await this.settle()
  }

  /** A page of names, and the sizes that the page before has left. Returns the next cursor. */
  private async step(keyspace: Keyspace, cursor: string): Promise<string> {
    const { hands, plan } = this
    await this.ready()
    const count = plan.pace.namesPerStep(sweepStepMs)
    const wanted = this.wanted
    this.wanted = []
    const parts = [
      encodeRequest(['SELECT', String(keyspace.database)]),
      encodeRequest(['SCAN', cursor, 'COUNT', String(count)]),
      ...sizeRequests(wanted),
    ]
    let next = ''
    let found: Buffer[] = []
    const questions = 2 + wanted.reduce((sum, { isClose }) => sum + (isClose ? 2 : 1), 0)
    const sizes = new SizeAnswers(wanted, (one, bytes, isString) => this.sized(one, bytes, isString))
    await this.ask(Buffer.concat(parts), questions, (answer, i) => {
      if (i === 0) return this.refuse(answer, 'SELECT')
      if (i > 1) return sizes.take(answer)
      this.refuse(answer, 'SCAN')
      const [cursorAnswer, names] = decode(Buffer.from(answer)) as [Buffer, Buffer[]]
      next = cursorAnswer.toString('latin1')
      found = names
    })
    for (const name of found) this.seen(keyspace, name)
    this.namesHere += found.length
    plan.noteNames?.(this.names + this.namesHere, this.keysThere)
    for (const [owner, sample] of this.touched) {
      // Before it was ever counted: as many as its part of what was seen says.
      const expected = plan.keysBefore(owner) ?? (sample.keys / Math.max(1, this.namesHere)) * this.keysHere
      if (sample.measured > 0) sample.adapt(expected)
    }
    this.touched.clear()
    plan.pace.spent(count, questions - 2, questions - 1, hands.now())
    return next
  }

  /** Sizes that are still to be asked for: of the last page, and second looks. */
  private async settle(): Promise<void> {
    while (this.wanted.length > 0) {
      await this.ready()
      const wanted = this.wanted.splice(0, 500)
      const questions = 1 + wanted.reduce((sum, { isClose }) => sum + (isClose ? 2 : 1), 0)
      const sizes = new SizeAnswers(wanted, (one, bytes, isString) => this.sized(one, bytes, isString))
      const select = encodeRequest(['SELECT', String(this.database)])
      await this.ask(Buffer.concat([select, ...sizeRequests(wanted)]), questions, (answer, i) =>
        i === 0 ? this.refuse(answer, 'SELECT') : sizes.take(answer),
      )
      this.plan.pace.spent(0, questions - 1, questions - 1, this.hands.now())
    }
  }

  private seen(keyspace: Keyspace, name: Buffer): void {
    const { plan } = this
    const owner = typeof keyspace.owner === 'number' ? keyspace.owner : keyspace.owner.find(name)
    if (owner < 0) {
      this.strays++
      return
    }
    let sample = this.owners.get(owner)
    if (sample === undefined) {
      sample = new MemorySample()
      this.owners.set(owner, sample)
    }
    this.touched.set(owner, sample)
    const certain = plan.certain(owner)
    if (certain?.has(name.toString('latin1')) === true) {
      if (this.isSample) return
      sample.takeCertain()
      this.wanted.push({ owner, name, phase: undefined, isClose: true, sample })
    } else if (sample.take(this.hands.random()) && plan.wantsSizes(owner))
      this.wanted.push({ owner, name, phase: sample.phaseNumber, isClose: false, sample })
  }

  /** A size was answered; null: the key is gone. */
  private sized(one: Wanted, bytes: number | null, isString: boolean): void {
    const { sample, phase, owner, name } = one
    this.sizes++
    this.touched.set(owner, sample)
    if (bytes === null) return sample.noteGone(phase)
    const isFew = sample.keys < sweepFewKeys && bytes > sweepFewBytes
    if (!one.isClose && (isFew || bytes > sweepLargeBytes)) {
      this.wanted.push({ ...one, isClose: true })
      return
    }
    // Of a value of many elements some were looked at: as if their sizes spread as much as they are large.
    const inner = one.isClose && !isString ? (bytes * bytes) / sweepElementsClosely : 0
    if (phase === undefined) sample.noteCertain(bytes, inner)
    else sample.note(bytes, inner, phase)
    if (this.largeKept > 0 && one.isClose && name.length <= largeKeyNameBytesMax) this.keepLarge(owner, name, bytes)
  }

  private keepLarge(owner: number, name: Buffer, bytes: number): void {
    const keys = this.large.get(owner)
    const key = { name: name.toString('latin1'), bytes }
    if (keys === undefined) {
      this.large.set(owner, [key])
      return
    }
    keys.push(key)
    if (keys.length < 4 * this.largeKept) return
    keys.sort((a, b) => b.bytes - a.bytes)
    keys.length = this.largeKept
  }

  /** Rest, what is urgent, and whether to go on at all. */
  private async ready(): Promise<void> {
    const { plan, hands } = this
    await plan.between?.()
    if (plan.pace.wantsReading(hands.now())) await this.readCost()
    for (;;) {
      const reason = plan.stop()
      if (reason !== undefined) throw new SweepFailure(reason)
      const restMs = plan.pace.restMs(hands.now())
      if (restMs < 1) return
      await hands.sleep(Math.min(restMs, 1_000))
    }
  }

  private async readCost(): Promise<void> {
    const { plan, hands } = this
    const [cpu, stats] = await Promise.all([
      hands.ask(plan.node, encodeRequest(['INFO', 'cpu'])),
      hands.ask(plan.node, encodeRequest(['INFO', 'commandstats'])),
    ])
    const page =
      typeof cpu === 'string' || typeof stats === 'string'
        ? undefined
        : readCostPage(cpu.toString('latin1'), stats.toString('latin1'))
    plan.pace.read(page, hands.now())
  }

  private async keyCounts(): Promise<Map<number, number>> {
    const answer = await this.hands.ask(this.plan.node, encodeRequest(['INFO', 'keyspace']))
    if (typeof answer === 'string') throw new SweepFailure('the node does not answer')
    return keysByDatabase(answer.toString('latin1').replaceAll('\r\n', '\n'))
  }

  private async ask(requests: Buffer, count: number, take: (answer: Buffer, i: number) => void): Promise<void> {
    const { hands, plan } = this
    let failure: unknown
    const ended = await hands.askMany(plan.node, requests, count, (answer, i) => {
      try {
        if (failure === undefined) take(answer, i)
      } catch (error) {
        failure = error
      }
    })
    if (failure !== undefined) throw failure
    if (ended !== 'answered') throw new SweepFailure('the connection was lost')
    // A cursor and counts of another server, or of this one before it was restarted, mean nothing.
    if (hands.runId(plan.node) !== this.runId) throw new SweepFailure('another server answers')
  }

  private refuse(answer: Buffer, command: string): void {
    if (answer[0] !== 0x2d) return
    throw new SweepFailure(`${command} is refused: ${answer.toString('latin1', 1, 60).split(/[ \r]/, 1)[0]}`)
  }
}

/** Sizes of keys by name, in one database: bytes, or undefined for one that is not there, and how far each may be off. */
export async function askKeys(
  hands: SweepHands,
  plan: Pick<SweepPlan, 'node' | 'pace'>,
  database: number,
  names: readonly string[],
): Promise<{ bytes: number; variance: number; name: string }[]> {
  const found: { bytes: number; variance: number; name: string }[] = []
  const sample = new MemorySample()
  const wanted = names.map((name): Wanted => {
    return { owner: 0, name: Buffer.from(name, 'latin1'), phase: undefined, isClose: true, sample }
  })
  const sizes = new SizeAnswers(wanted, (one, bytes, isString) => {
    if (bytes === null) return
    const variance = isString ? 0 : (bytes * bytes) / sweepElementsClosely
    found.push({ bytes, variance, name: one.name.toString('latin1') })
  })
  const requests = Buffer.concat([encodeRequest(['SELECT', String(database)]), ...sizeRequests(wanted)])
  let failure: unknown
  const ended = await hands.askMany(plan.node, requests, 1 + 2 * names.length, (answer, i) => {
    try {
      if (i > 0 && failure === undefined) sizes.take(answer)
    } catch (error) {
      failure = error
    }
  })
  if (failure !== undefined) throw failure
  if (ended !== 'answered') throw new SweepFailure('the connection was lost')
  plan.pace.spent(0, 2 * names.length, 2 * names.length, hands.now())
  return found
}

function sizeRequests(wanted: readonly Wanted[]): Buffer[] {
  const parts: Buffer[] = []
  for (const { name, isClose } of wanted) {
    if (isClose) parts.push(encodeRequest(['TYPE', name]))
    const head = `*5\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n$${name.length}\r\n`
    const elements = String(isClose ? sweepElementsClosely : sweepElements)
    parts.push(Buffer.from(head), name, Buffer.from(`\r\n$7\r\nSAMPLES\r\n$${elements.length}\r\n${elements}\r\n`))
  }
  return parts
}

/** Answers to `sizeRequests`, in their order. */
class SizeAnswers {
  private readonly wanted: readonly Wanted[]
  private readonly onSize: (one: Wanted, bytes: number | null, isString: boolean) => void
  private at = 0
  private type = ''

  constructor(wanted: readonly Wanted[], onSize: (one: Wanted, bytes: number | null, isString: boolean) => void) {
    this.wanted = wanted
    this.onSize = onSize
  }

  take(answer: Buffer): void {
    const one = this.wanted[this.at]!
    if (one.isClose && this.type === '') {
      this.type = answer.toString('latin1')
      return
    }
    const isString = this.type === '+string\r\n'
    this.type = ''
    this.at++
    const first = answer[0]
    if (first === 0x2d) {
      const code = answer.toString('latin1', 1, 60).split(/[ \r]/, 1)[0]
      throw new SweepFailure(`MEMORY USAGE is refused: ${code}`)
    }
    this.onSize(one, first === 0x3a ? Number(answer.toString('latin1', 1, answer.length - 2)) : null, isString)
  }
}
