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
import {
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

export interface IdentityOptions {
  readonly users: readonly IdentityUser[]
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

interface Known {
  readonly verdict: Accepted
  readonly nopass: boolean
  /** SHA-256 of each plain password: equal lengths, so that they can be compared in constant time. */
  readonly digests: readonly Buffer[]
  readonly sha256: readonly Sha256Hash[]
  readonly scrypt: readonly ScryptHash[]
}

const refused: Refused = { ok: false, reason: 'credentials' }
const overloaded: Refused = { ok: false, reason: 'overloaded' }
/** Longer ones are refused before they are hashed; a client may send up to limits.max_request. */
export const passwordBytesMax = 64 * 1024

export class Identity {
  readonly #users = new Map<string, Known>()
  /** One dummy for each run that a refusal must make, in a fixed order. */
  readonly #schedule: readonly ScryptHash[]
  readonly #digestsMax: number
  readonly #sha256Max: number
  readonly #scrypt: ScryptRun
  readonly #cacheKey = randomBytes(32)
  readonly #verified: NodeCache
  readonly #refused: NodeCache
  readonly #underWay = new Map<string, Promise<Verdict>>()
  readonly #runsMax: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: IdentityOptions) {
    for (const user of options.users) this.#users.set(user.user, known(user))
    this.#schedule = schedule([...this.#users.values()])
    this.#digestsMax = most(this.#users, (user) => user.digests.length)
    this.#sha256Max = most(this.#users, (user) => user.sha256.length)
    this.#scrypt = options.scrypt ?? runScrypt
    this.#runsMax = options.runsMax ?? 4
    this.#waitingMax = options.waitingMax ?? 1_024
    // No clones: verdicts are read-only. checkperiod 0: no timer; what has expired goes when it is asked for, or at the flush.
    const cache = { useClones: false, checkperiod: 0, maxKeys: options.cachedMax ?? 10_000 }
    this.#verified = new NodeCache({ ...cache, stdTTL: options.verifiedTtlSeconds ?? 300 })
    this.#refused = new NodeCache({ ...cache, stdTTL: options.refusedTtlSeconds ?? 5 })
  }

  /** Who a connection is that has not sent AUTH: user `default`, if it needs no password. */
  withoutAuth(): Accepted | undefined {
    const user = this.#users.get('default')
    return user?.nopass === true ? user.verdict : undefined
  }

  /** At once when no scrypt has to run. The password is a view that may be overwritten after the call: what is kept is copied. Never rejects. */
  verify(username: Buffer | string, password: Buffer): Verdict | Promise<Verdict> {
    const name = typeof username === 'string' ? username : username.toString('latin1')
    const user = this.#users.get(name)
    if (user?.nopass === true) return user.verdict
    const isWhole = password.length <= passwordBytesMax
    const secret = isWhole ? password : password.subarray(0, passwordBytesMax)
    if (this.#fitsCheap(user, secret) && isWhole && user !== undefined) return user.verdict
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

  /** Compares all configured values whatever the first says, and as many for a user who does not exist. */
  #fitsCheap(user: Known | undefined, password: Buffer): boolean {
    const digest = sha256(password)
    let fits = false
    for (let i = 0; i < this.#digestsMax; i++) {
      const own = user?.digests[i]
      fits = (timingSafeEqual(digest, own ?? dummySha256.hash) && own !== undefined) || fits
    }
    for (let i = 0; i < this.#sha256Max; i++) {
      const hash = user?.sha256[i]
      fits = (verifySha256(password, hash ?? dummySha256) && hash !== undefined) || fits
    }
    return fits
  }

  async #verifySlowly(user: Known | undefined, password: Buffer, isWhole: boolean, key: string): Promise<Verdict> {
    try {
      let fits = false
      const own = [...(user?.scrypt ?? [])]
      for (const dummy of this.#schedule) {
        const at = own.findIndex((hash) => sameWork(hash, dummy))
        const mine = at < 0 ? undefined : own.splice(at, 1)[0]
        const hash = mine ?? dummy
        const isRight = await this.#inTurn(() => verifyScrypt(password, hash, this.#scrypt))
        fits = isRight && mine !== undefined
        if (fits) break
      }
      const verdict = fits && isWhole && user !== undefined ? user.verdict : refused
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

function known(user: IdentityUser): Known {
  const hashes = user.passwordHashes.map((text) => {
    const hash = parseHash(text)
    if ('problem' in hash) throw new Error(`user ${user.user}: ${hash.problem}`)
    return hash
  })
  return {
    verdict: { ok: true, kind: user.kind, tenantId: user.tenantId, user: user.user },
    nopass: user.nopass,
    digests: user.passwords.map((password) => sha256(Buffer.from(password))),
    sha256: hashes.filter((hash) => hash.scheme === 'sha256'),
    scrypt: hashes.filter((hash) => hash.scheme === 'scrypt'),
  }
}

function most(users: ReadonlyMap<string, Known>, count: (user: Known) => number): number {
  let max = 0
  for (const user of users.values()) max = Math.max(max, count(user))
  return max
}

/** For each parameter set of the file: as many dummies as the user who has most of it. Cheapest first. */
function schedule(users: readonly Known[]): ScryptHash[] {
  const sets = new Map<string, ScryptHash[]>()
  for (const user of users) {
    const own = new Map<string, ScryptHash[]>()
    for (const hash of user.scrypt) own.set(workOf(hash), [...(own.get(workOf(hash)) ?? []), hash])
    for (const [work, hashes] of own) {
      if (hashes.length > (sets.get(work)?.length ?? 0)) sets.set(work, hashes.map(dummyOf))
    }
  }
  return [...sets.values()].flat().sort((a, b) => a.n * a.r * a.p - b.n * b.r * b.p)
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

const dummySha256: Sha256Hash = { scheme: 'sha256', salt: randomBytes(16), hash: randomBytes(32) }

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
  readonly #stepMs: number
  readonly #perMs: number
  readonly #pairsMax: number

  /** `count` 0 = off. */
  constructor(rate: { readonly count: number; readonly perMs: number }, pairsMax = 65_536) {
    this.#stepMs = rate.count === 0 ? 0 : rate.perMs / rate.count
    this.#perMs = rate.perMs
    this.#pairsMax = pairsMax
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
    const paidAt = this.#paidAt.get(pair(ip, user))
    return paidAt !== undefined && paidAt - nowMs > this.#perMs - this.#stepMs
  }
}

/** Names of real users end at 63; what an attacker invents may not fill the memory. */
function pair(ip: string, user: string): string {
  return `${ip}\n${user.slice(0, 64)}`
}
