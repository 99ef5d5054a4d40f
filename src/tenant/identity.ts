/**
 * Who is asking: user name and password -> tenant or operator. Holds the credentials of one configuration; a reload builds
 * a new Identity, and with it go the caches. The failure limiter is a part of its own, for it outlives a reload.
 *
 * Every refusal costs the same, whoever is asked for: all scrypt parameter sets that occur in the file are run as often as
 * the user with most hashes of that set has them, with dummies where this user has fewer (or does not exist, or has no
 * password at all). In the usual file that is one scrypt run. So neither the text nor the time of an answer tells whether a user exists.
 *
 *   verify --> plain and sha256: compared at once, all of them --> yes: answered now
 *                 | no, and the file has scrypt hashes
 *                 v
 *           known yes / known no (node-cache) --> answered now
 *                 | neither
 *                 v
 *           same credentials already under way --> its promise
 *                 | no
 *                 v
 *           bounded queue --> at most 4 runs at once (libuv's pool has 4 threads; DNS and files use it too)
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import NodeCache from 'node-cache'
import type { Slices } from '../base/slices.ts'
import {
  formatHash,
  type PasswordHash,
  parseHash,
  runScrypt,
  type ScryptHash,
  type ScryptRun,
  type Sha256Hash,
  sha256,
  verifyScrypt,
  verifySha256,
} from './password.ts'

export interface IdentityUser {
  readonly kind: 'tenant' | 'operator'
  /** Of a tenant's user; operators have none. */
  readonly tenantId?: string
  readonly user: string
  readonly passwords: readonly string[]
  /** As in password.ts; a hash that cannot be read is a programmer's error here, the configuration was checked. */
  readonly passwordHashes: readonly string[]
  /** Any password is right, and none too. */
  readonly nopass: boolean
}

/** The configuration's users where they lie, numbered from 0: nothing but a digest is kept of those who never come. */
export interface UserSource {
  readonly count: number
  /** -1: there is none. */
  numberOf(name: string): number
  at(number: number): IdentityUser
}

/** A few users that are at hand. */
export function userList(users: readonly IdentityUser[]): UserSource {
  const numbers = new Map(users.map((user, at) => [user.user, at]))
  return { count: users.length, numberOf: (name) => numbers.get(name) ?? -1, at: (number) => users[number]! }
}

export interface IdentityOptions {
  readonly users: UserSource
  readonly scrypt?: ScryptRun
  /** Runs at once, and verifications that may wait for one. */
  readonly runsMax?: number
  readonly waitingMax?: number
  readonly verifiedTtlSeconds?: number
  readonly refusedTtlSeconds?: number
  readonly cachedMax?: number
}

export interface Accepted {
  readonly ok: true
  readonly kind: 'tenant' | 'operator'
  readonly tenantId: string | undefined
  readonly user: string
}
export interface Refused {
  readonly ok: false
  /** For logs and metrics; the client sees one text for both. */
  readonly reason: 'credentials' | 'overloaded'
}
export type Verdict = Accepted | Refused

const refused: Refused = { ok: false, reason: 'credentials' }
const overloaded: Refused = { ok: false, reason: 'overloaded' }
/** Longer ones are refused before they are hashed; a client may send up to limits.max_request. */
export const passwordBytesMax = 64 * 1024

export class Identity {
  readonly #users: UserSource
  /** SHA-256 of each plain password, all users in one piece: equal lengths, so that they can be compared in constant time. The first one is nobody's. */
  #digests: Buffer = Buffer.alloc(0)
  /** By user: where its digests begin, in places of 32 bytes; one more at the end. */
  readonly #digestsFrom: Uint32Array
  /** One dummy for each run that a refusal must make, in a fixed order. */
  #schedule: readonly ScryptHash[] = []
  #digestsMax = 0
  #sha256Max = 0
  readonly #scrypt: ScryptRun
  readonly #cacheKey = randomBytes(32)
  readonly #verified: NodeCache
  readonly #refused: NodeCache
  readonly #underWay = new Map<string, Promise<Verdict>>()
  readonly #runsMax: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  private constructor(options: IdentityOptions) {
    this.#users = options.users
    this.#digestsFrom = new Uint32Array(options.users.count + 1)
    this.#scrypt = options.scrypt ?? runScrypt
    this.#runsMax = options.runsMax ?? 4
    this.#waitingMax = options.waitingMax ?? 1_024
    // No clones: verdicts are read-only. checkperiod 0: no timer; what has expired goes when it is asked for, or at the flush.
    const cache = { useClones: false, checkperiod: 0, maxKeys: options.cachedMax ?? 10_000 }
    this.#verified = new NodeCache({ ...cache, stdTTL: options.verifiedTtlSeconds ?? 300 })
    this.#refused = new NodeCache({ ...cache, stdTTL: options.refusedTtlSeconds ?? 5 })
  }

  /** Everybody's passwords at once. */
  static of(options: IdentityOptions): Identity {
    const identity = new Identity(options)
    for (const steps = identity.#fill(); steps.next().done !== true; );
    return identity
  }

  /** The same in slices: each digest takes a microsecond or two. */
  static async inSlices(options: IdentityOptions, slices: Slices): Promise<Identity> {
    const identity = new Identity(options)
    for (const steps = identity.#fill(); steps.next().done !== true; ) if (slices.isOver) await slices.rest()
    return identity
  }

  /** A step a user, twice. */
  *#fill(): Generator<undefined, void> {
    const users = this.#users
    const runs = new Schedule()
    let [digests, digestsMax, sha256Max] = [1, 0, 0]
    for (let at = 0; at < users.count; at++) {
      const user = users.at(at)
      this.#digestsFrom[at] = digests
      digests += user.passwords.length
      digestsMax = Math.max(digestsMax, user.passwords.length)
      sha256Max = Math.max(sha256Max, sha256Of(user).length)
      runs.add(scryptOf(user))
      yield
    }
    this.#digestsFrom[users.count] = digests
    this.#schedule = runs.dummies()
    this.#digestsMax = digestsMax
    this.#sha256Max = sha256Max
    this.#digests = Buffer.alloc(digests * digestBytes)
    randomBytes(digestBytes).copy(this.#digests)
    for (let at = 0; at < users.count; at++) {
      for (const [i, password] of users.at(at).passwords.entries())
        this.#digests.set(sha256(Buffer.from(password)), (this.#digestsFrom[at]! + i) * digestBytes)
      yield
    }
  }

  /** Who a connection is that has not sent AUTH: user `default`, if it needs no password. */
  withoutAuth(): Accepted | undefined {
    const at = this.#users.numberOf('default')
    const user = at < 0 ? undefined : this.#users.at(at)
    return user?.nopass === true ? accepted(user) : undefined
  }

  /** At once when no scrypt has to run. The password is a view that may be overwritten after the call: what is kept is copied. Never rejects. */
  verify(username: Buffer | string, password: Buffer): Verdict | Promise<Verdict> {
    const name = typeof username === 'string' ? username : username.toString('latin1')
    const at = this.#users.numberOf(name)
    const user = at < 0 ? undefined : this.#users.at(at)
    if (user?.nopass === true) return accepted(user)
    const isWhole = password.length <= passwordBytesMax
    const secret = isWhole ? password : password.subarray(0, passwordBytesMax)
    if (this.#fitsCheap(at, user, secret) && isWhole && user !== undefined) return accepted(user)
    if (this.#schedule.length === 0) return refused

    const key = this.#keyOf(name, secret) + (isWhole ? '' : ' cut')
    const cached = this.#verified.get<Verdict>(key) ?? this.#refused.get<Verdict>(key)
    if (cached !== undefined) return cached
    const running = this.#underWay.get(key)
    if (running !== undefined) return running
    if (this.#running >= this.#runsMax && this.#waiting.length >= this.#waitingMax) return overloaded
    const verdict = this.#verifySlowly(user, Buffer.from(secret), isWhole, key)
    this.#underWay.set(key, verdict)
    return verdict
  }

  /** Compares all configured values whatever the first says, and reads and compares as many for a user who does not exist. */
  #fitsCheap(at: number, user: IdentityUser | undefined, password: Buffer): boolean {
    const digest = sha256(password)
    const from = at < 0 ? 0 : this.#digestsFrom[at]!
    const count = at < 0 ? 0 : this.#digestsFrom[at + 1]! - from
    let fits = false
    for (let i = 0; i < this.#digestsMax; i++) {
      const place = (i < count ? from + i : 0) * digestBytes
      fits = (timingSafeEqual(digest, this.#digests.subarray(place, place + digestBytes)) && i < count) || fits
    }
    const own = user === undefined ? [] : sha256Of(user)
    for (let i = 0; i < this.#sha256Max; i++) {
      const isRight = verifySha256(password, parsed(own[i] ?? dummySha256) as Sha256Hash)
      fits = (isRight && i < own.length) || fits
    }
    return fits
  }

  async #verifySlowly(
    user: IdentityUser | undefined,
    password: Buffer,
    isWhole: boolean,
    key: string,
  ): Promise<Verdict> {
    try {
      let fits = false
      const own = user === undefined ? [] : scryptOf(user)
      for (const dummy of this.#schedule) {
        const at = own.findIndex((hash) => sameWork(hash, dummy))
        const mine = at < 0 ? undefined : own.splice(at, 1)[0]
        const hash = mine ?? dummy
        const isRight = await this.#inTurn(() => verifyScrypt(password, hash, this.#scrypt))
        fits = isRight && mine !== undefined
        if (fits) break
      }
      const verdict = fits && isWhole && user !== undefined ? accepted(user) : refused
      keep(verdict.ok ? this.#verified : this.#refused, key, verdict)
      return verdict
    } catch {
      // scrypt itself failed (memory): nobody is let in, nothing is remembered.
      return overloaded
    } finally {
      this.#underWay.delete(key)
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#runsMax) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running++
    try {
      return await work()
    } finally {
      // The turn is handed on, not given back, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }

  /** Not a hash that could be looked up elsewhere: the key dies with the process. The length stops `ab`+`c` from meeting `a`+`bc`. */
  #keyOf(name: string, password: Buffer): string {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(name))
    return createHmac('sha256', this.#cacheKey).update(length).update(name).update(password).digest('base64')
  }
}

const digestBytes = 32

function accepted(user: IdentityUser): Accepted {
  return { ok: true, kind: user.kind, tenantId: user.tenantId, user: user.user }
}

function parsed(text: string): PasswordHash {
  const hash = parseHash(text)
  if ('problem' in hash) throw new Error(`a password hash that was checked: ${hash.problem}`)
  return hash
}

const none: readonly string[] = []
function sha256Of({ passwordHashes }: IdentityUser): readonly string[] {
  return passwordHashes.length === 0 ? none : passwordHashes.filter((text) => text.startsWith('sha256$'))
}

/** Whatever is no sha256 is read here, so that a hash nobody can read stops the start. */
function scryptOf({ passwordHashes }: IdentityUser): ScryptHash[] {
  if (passwordHashes.length === 0) return []
  return passwordHashes.map(parsed).filter((hash) => hash.scheme === 'scrypt')
}

/** For each parameter set of the file: as many dummies as the user who has most of it. */
class Schedule {
  readonly #sets = new Map<string, ScryptHash[]>()

  add(hashes: readonly ScryptHash[]): void {
    if (hashes.length === 0) return
    const own = new Map<string, ScryptHash[]>()
    for (const hash of hashes) own.set(workOf(hash), [...(own.get(workOf(hash)) ?? []), hash])
    for (const [work, same] of own) {
      if (same.length > (this.#sets.get(work)?.length ?? 0)) this.#sets.set(work, same.map(dummyOf))
    }
  }

  /** Cheapest first. */
  dummies(): ScryptHash[] {
    return [...this.#sets.values()].flat().sort((a, b) => a.n * a.r * a.p - b.n * b.r * b.p)
  }
}

function dummyOf(hash: ScryptHash): ScryptHash {
  return { ...hash, salt: randomBytes(hash.salt.length), hash: randomBytes(hash.hash.length) }
}

function workOf(hash: ScryptHash): string {
  return `${hash.n}/${hash.r}/${hash.p}`
}

function sameWork(a: ScryptHash, b: ScryptHash): boolean {
  return a.n === b.n && a.r === b.r && a.p === b.p
}

const dummySha256 = formatHash({ scheme: 'sha256', salt: randomBytes(16), hash: randomBytes(32) })

/** node-cache throws ECACHEFULL at maxKeys; it is no LRU, so a full cache starts anew. */
function keep(cache: NodeCache, key: string, verdict: Verdict): void {
  try {
    cache.set(key, verdict)
  } catch {
    cache.flushAll()
    cache.set(key, verdict)
  }
}

/** Failures of each (address, user): after `count` within `perMs` the pair is limited, and may try once more per perMs / count. */
export class FailureLimiter {
  /** When the pair's debt is paid, ms; in the order of last failure. */
  readonly #paidAt = new Map<string, number>()
  #stepMs = 0
  #perMs = 0
  readonly #pairsMax: number

  /** `count` 0 = off. */
  constructor(rate: { readonly count: number; readonly perMs: number }, pairsMax = 65_536) {
    this.setRate(rate)
    this.#pairsMax = pairsMax
  }

  /** What is owed stays owed. */
  setRate(rate: { readonly count: number; readonly perMs: number }): void {
    this.#stepMs = rate.count === 0 ? 0 : rate.perMs / rate.count
    this.#perMs = rate.perMs
  }

  noteFailure(ip: string, user: string, nowMs: number): void {
    if (this.#stepMs === 0) return
    const key = pair(ip, user)
    const paidAt = Math.max(this.#paidAt.get(key) ?? 0, nowMs) + this.#stepMs
    this.#paidAt.delete(key)
    if (this.#paidAt.size >= this.#pairsMax) this.#paidAt.delete(this.#paidAt.keys().next().value!)
    // One step past the limit at most: who hammers on is not locked out for hours.
    this.#paidAt.set(key, Math.min(paidAt, nowMs + this.#perMs + this.#stepMs))
  }

  isLimited(ip: string, user: string, nowMs: number): boolean {
    const paidAt = this.#stepMs === 0 ? undefined : this.#paidAt.get(pair(ip, user))
    return paidAt !== undefined && paidAt - nowMs > this.#perMs - this.#stepMs
  }
}

/** Names of real users end at 63; what an attacker invents may not fill the memory. */
function pair(ip: string, user: string): string {
  return `${ip}\n${user.slice(0, 64)}`
}
