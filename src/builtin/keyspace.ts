/**
 * The keyspace as a tenant sees it: SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHDB, FLUSHALL. A server knows only one keyspace, of all
 * tenants, so each of them is a walk over it (walk.ts). None is atomic: a key that comes or goes meanwhile is seen or not,
 * as with SCAN itself; one that is there all the time is.
 */
import { randomInt } from 'node:crypto'
import { errorText } from '../base/errors.ts'
import {
  dbsizeSeenMax,
  keyCountExactMax,
  keyCountMs,
  keyCountWaitMs,
  keysAllBytesMax,
  keysBytesMax,
  patternWorkMax,
  scanItemsMax,
  unlinkBytesMax,
  unlinkNamesMax,
  waitBudgetMs,
} from '../base/limits.ts'
import { array, bulk, encodeRequest, failure, integer, nil, ok, type Reply } from '../resp/encode.ts'
import { globMatch } from '../routing/glob.ts'
import type { Session } from '../session/session.ts'
import type { TenantState } from '../tenant/account.ts'
import { type NamePattern, readPattern } from '../tenant/name-pattern.ts'
import { decodeCursor, encodeCursor } from '../tenant/scan-cursor.ts'
import type { Builtin } from './builtin.ts'
import { type Scope, WalkFailure, type Walks } from './walk.ts'

const nothing = Buffer.alloc(0)
const always = (): boolean => true
/** What the Set that finds names told twice, and the reply, hold for a name besides its bytes. */
const nameOverheadBytes = 64

export interface ScanArgs {
  readonly cursor: string
  readonly count: number
  readonly pattern: NamePattern | undefined
  readonly type: Buffer | undefined
}

/** The arguments of SCAN, or the error that Redis has for them (db.c, scanGenericCommand: the cursor first). */
export function readScanArgs(args: readonly Buffer[]): ScanArgs | Reply {
  const cursor = args[1]!.toString('latin1', 0, 32)
  // strtoul: other signs and zeros are the same number; ours are written in one way only.
  const isStart = /^[+-]?0+$/.test(cursor) && args[1]!.length <= 32
  if (!isStart && !/^[1-9]\d{0,15}$/.test(cursor)) return failure(errorText('INVALID_CURSOR'))
  let count = 10
  let pattern: NamePattern | undefined
  let type: Buffer | undefined
  for (let i = 2; i < args.length; i += 2) {
    const word = args[i]!.toString('latin1', 0, 8).toLowerCase()
    const value = args[i + 1]
    if (value === undefined || args[i]!.length > 8) return failure(errorText('SYNTAX'))
    if (word === 'count') {
      const text = value.toString('latin1', 0, 32)
      if (!/^(0|-?[1-9]\d{0,18})$/.test(text) || !isLong(text)) return failure(errorText('NOT_INTEGER'))
      if (BigInt(text) < 1n) return failure(errorText('SYNTAX'))
      count = Math.min(Number(text), scanItemsMax)
    } else if (word === 'match') pattern = readPattern(value)
    // Types have short names; another one is no type, and nothing is of it.
    else if (word === 'type') type = value.length <= 64 ? value : Buffer.from('none-of-them')
    else return failure(errorText('SYNTAX'))
  }
  return { cursor: isStart ? '0' : cursor, count, pattern, type }
}

const isLong = (text: string): boolean => BigInt.asIntN(64, BigInt(text)) === BigInt(text)

export class Keyspace {
  private readonly walks: Walks
  /** Of all KEYS that are being gathered. */
  private keysBytes = 0
  private randoms = 0
  private readonly counts = new WeakMap<Buffer, { keys: number; atMs: number }>()

  constructor(walks: Walks) {
    this.walks = walks
  }

  /** One page. A short or an empty one says nothing about the end: only the cursor does. */
  async scan(session: Session, tenant: TenantState, args: ScanArgs): Promise<Reply> {
    const { host } = this.walks
    const runIds = host.nodes.map((node) => node.runId)
    let node: number
    let cursor = 0n
    if (args.cursor === '0') node = this.readNode(session)
    else {
      const found = decodeCursor(args.cursor, runIds, tenant.id)
      if (found === undefined) throw new WalkFailure('INVALID_CURSOR')
      // Nobody else can go on from there; when it is back, with the data that it had, the cursor still holds.
      if (!host.nodes[found.node]!.isUp) throw new WalkFailure('NO_NODE')
      node = found.node
      cursor = found.server
      await this.untilFresh(session, node)
    }
    const runId = runIds[node]!
    const incarnation = host.nodes[node]!.incarnation
    const scope = scopeOf(node, tenant, session.prefix, args.pattern, args.type, () => !session.isClosed)
    const found: Buffer[] = []
    let left = scanItemsMax
    let costMs = 0
    let items = Math.min(args.count, this.walks.itemsPerStep(node))
    do {
      const page = await this.walks.step(scope, cursor, items, runId)
      for (const name of page.names) {
        const own = name.subarray(scope.prefix.length)
        if (matches(args.pattern, own)) found.push(own)
      }
      cursor = page.cursor
      left -= items
      costMs += page.costMs
      // Few of the server's keys are this tenant's: look on as far as one call may, at as many as seem to be needed.
      const perFound = (scanItemsMax - left) / Math.max(found.length, 0.5)
      const wanted = Math.ceil((args.count - found.length) * perFound)
      items = Math.min(left, Math.max(args.count, wanted), this.walks.itemsPerStep(node))
    } while (cursor !== 0n && found.length < args.count && left > 0 && costMs < scanMsMax && scope.isWanted())
    host.noteRead(session, node, incarnation)
    const next = encodeCursor(cursor, runId, tenant.id)
    if (next === undefined) throw new WalkFailure('INVALID_CURSOR')
    return array([bulk(next), array(found.map(bulk))])
  }

  /** The cursor is that node's alone. Where it cannot keep the client's promise now, the page waits for a mark that is sent now. */
  private async untilFresh(session: Session, index: number): Promise<void> {
    const { host } = this.walks
    const node = host.nodes[index]!
    if (host.mayRead(session, index)) return
    const mark = host.wantMark()
    const endsAtMs = host.now() + waitBudgetMs
    while (host.now() < endsAtMs && !session.isClosed) {
      await new Promise<void>((resolve) => host.after(markLookMs, resolve))
      if ((node.isReadable && node.shownSeq >= mark) || host.mayRead(session, index)) return
    }
    throw new WalkFailure('NO_NODE')
  }

  async keys(session: Session, tenant: TenantState, whole: Buffer): Promise<Reply> {
    const { host } = this.walks
    const pattern = readPattern(whole)
    const { prefix } = session
    const node = this.readNode(session)
    const incarnation = host.nodes[node]!.incarnation
    const reply =
      pattern.kind === 'literal'
        ? await this.keyByName(node, tenant, prefix, pattern.head)
        : await this.walks.share(
            'keys',
            tenant,
            `${node} ${prefix.toString('latin1')} ${whole.toString('latin1')}`,
            session,
            (isWanted) => this.gather(scopeOf(node, tenant, prefix, pattern, undefined, isWanted), pattern),
          )
    host.noteRead(session, node, incarnation)
    return reply
  }

  /** No pattern at all: there is such a key or there is none, and no walk is needed. */
  private async keyByName(node: number, tenant: TenantState, prefix: Buffer, name: Buffer): Promise<Reply> {
    const request = encodeRequest(['EXISTS', Buffer.concat([prefix, name])])
    const { answer } = await this.walks.inTurn(node, tenant, request, 1, 'read')
    if (typeof answer === 'string') throw new WalkFailure('NO_NODE')
    if (answer[0] === 45) this.walks.refuseError(node, 'exists', answer.toString('latin1', 1, answer.length - 2))
    return array(answer.toString('latin1') === ':1\r\n' ? [bulk(name)] : [])
  }

  private async gather(scope: Scope, pattern: NamePattern): Promise<Reply> {
    const seen = new Set<string>()
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      await this.walks.walk(scope, (names) => {
        const parts: (string | Buffer)[] = []
        const before = bytes
        for (const name of names) {
          const own = name.subarray(scope.prefix.length)
          if (!matches(pattern, own)) continue
          const text = own.toString('latin1')
          if (seen.has(text)) continue
          seen.add(text)
          bytes += own.length + nameOverheadBytes
          parts.push(`$${own.length}\r\n`, own, '\r\n')
        }
        this.keysBytes += bytes - before
        if (bytes > keysBytesMax) throw new WalkFailure('KEYS_TOO_MANY')
        if (this.keysBytes > keysAllBytesMax) throw new WalkFailure('OVERLOADED')
        chunks.push(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))))
      })
    } finally {
      this.keysBytes -= bytes
    }
    return { kind: 'encoded', parts: [Buffer.from(`*${seen.size}\r\n`), ...chunks] }
  }

  async dbsize(session: Session, tenant: TenantState): Promise<number> {
    const { prefix } = session
    const { host } = this.walks
    const node = this.readNode(session)
    const incarnation = host.nodes[node]!.incarnation
    const keys = await this.walks.share('dbsize', tenant, `${node} ${prefix.toString('latin1')}`, session, (isWanted) =>
      this.countKeys(scopeOf(node, tenant, prefix, undefined, undefined, isWanted)),
    )
    host.noteRead(session, node, incarnation)
    return keys
  }

  private async countKeys(scope: Scope): Promise<number> {
    const seen = new Set<number>()
    let keys = 0
    await this.walks.walk(scope, (names) => {
      for (const name of names) {
        if (seen.size < dbsizeSeenMax) {
          const hash = hashOf(name)
          if (seen.has(hash)) continue
          seen.add(hash)
        }
        keys++
      }
    })
    this.counts.set(scope.prefix, { keys, atMs: this.walks.host.now() })
    return keys
  }

  /** For INFO: exact on a small server, else at most a minute old; undefined when nothing is known in time. */
  async count(session: Session, tenant: TenantState): Promise<number | undefined> {
    const { host } = this.walks
    if (tenant.database !== 0) return undefined // a walk goes through database 0
    const { prefix } = session
    const known = this.counts.get(prefix)
    const isRecent = known !== undefined && host.now() - known.atMs < keyCountMs
    const node = host.readNode(session)
    if (node < 0) return known?.keys
    const look = async (): Promise<number | undefined> => {
      if (isRecent) {
        const answer = await host.ask(node, encodeRequest(['DBSIZE']))
        const all = typeof answer === 'string' ? Number.NaN : Number(answer.toString('latin1', 1, 20))
        if (!(all <= keyCountExactMax)) return known.keys
      }
      return this.dbsize(session, tenant)
    }
    const late = new Promise<number | undefined>((resolve) =>
      host.after(keyCountWaitMs, () => resolve(this.counts.get(prefix)?.keys)),
    )
    return Promise.race([look().catch(() => known?.keys), late])
  }

  /** Any key of the tenant's. Among few keys each is as likely; among many, those in sparse buckets are likelier, as in Redis. */
  async randomKey(session: Session, tenant: TenantState): Promise<Reply> {
    const { prefix } = session
    const { host } = this.walks
    const node = this.readNode(session)
    const incarnation = host.nodes[node]!.incarnation
    const reply = await this.walks.share('random', tenant, String(this.randoms++), session, (isWanted) =>
      this.pick(scopeOf(node, tenant, prefix, undefined, undefined, isWanted)),
    )
    host.noteRead(session, node, incarnation)
    return reply
  }

  private async pick(scope: Scope): Promise<Reply> {
    const { walks } = this
    const pickOf = (names: readonly Buffer[]): Reply =>
      bulk(names[randomInt(names.length)]!.subarray(scope.prefix.length))
    const items = walks.itemsPerStep(scope.node)
    const first = await walks.step(scope, 0n, items, undefined)
    if (first.cursor === 0n) return first.names.length === 0 ? nil : pickOf(first.names)
    const runId = walks.host.runId(scope.node)
    // From somewhere to the end, then from the start. Bits of the cursor above the table's mask mean nothing.
    for (let cursor = BigInt(randomInt(1, 2 ** 40)); cursor !== 0n; ) {
      const page = await walks.step(scope, cursor, walks.itemsPerStep(scope.node), runId)
      if (page.names.length > 0) return pickOf(page.names)
      if (!scope.isWanted()) throw new WalkFailure('NO_NODE')
      cursor = page.cursor
    }
    if (first.names.length > 0) return pickOf(first.names)
    for (let { cursor } = first; cursor !== 0n; ) {
      const page = await walks.step(scope, cursor, walks.itemsPerStep(scope.node), runId)
      if (page.names.length > 0) return pickOf(page.names)
      if (!scope.isWanted()) throw new WalkFailure('NO_NODE')
      cursor = page.cursor
    }
    return nil
  }

  /** Deletes all keys of the tenant at the primary. Goes on when the client leaves, as in Redis. */
  async flush(tenant: TenantState, prefix: Buffer): Promise<Reply> {
    const primary = this.walks.host.primary()
    if (primary === undefined) return failure(errorText('NO_PRIMARY'))
    await this.walks.share('flush', tenant, prefix.toString('latin1'), undefined, () =>
      this.unlinkAll(primary.index, tenant, prefix),
    )
    return ok
  }

  private async unlinkAll(node: number, tenant: TenantState, prefix: Buffer): Promise<void> {
    const { host } = this.walks
    if (!host.mayWrite(node)) throw new WalkFailure('NO_PRIMARY')
    let deleted = 0
    try {
      await this.walks.walk(scopeOf(node, tenant, prefix, undefined, undefined, always), async (names) => {
        for (let from = 0; from < names.length; ) {
          let to = from
          let bytes = 0
          while (to < names.length && to - from < unlinkNamesMax && (to === from || bytes < unlinkBytesMax))
            bytes += names[to++]!.length
          await this.unlink(node, tenant, names.slice(from, to))
          deleted += to - from
          from = to
        }
      })
    } catch (error) {
      const isOurs = error instanceof WalkFailure && error.code === 'NO_NODE'
      throw isOurs ? new WalkFailure(deleted > 0 ? 'FLUSH_PART' : 'NO_PRIMARY') : error
    }
    for (const one of tenant.prefixes) this.counts.delete(one)
    host.flushed(tenant)
  }

  private async unlink(node: number, tenant: TenantState, names: readonly Buffer[]): Promise<void> {
    const { host } = this.walks
    const request = encodeRequest(['UNLINK', ...names])
    const { answer } = await this.walks.inTurn(node, tenant, request, names.length, 'write')
    if (answer === 'unsent') throw new WalkFailure('NO_NODE')
    if (answer === 'lost') {
      host.uncertain(tenant, node)
      throw new WalkFailure('FLUSH_PART')
    }
    if (answer[0] === 45) this.walks.refuseError(node, 'unlink', answer.toString('latin1', 1, answer.length - 2))
    host.noteWrite(tenant)
  }

  private readNode(session: Session): number {
    const node = this.walks.host.readNode(session)
    if (node < 0) throw new WalkFailure('NO_NODE')
    return node
  }
}

/** How often a page looks whether the mark that it waits for was shown. */
const markLookMs = 5
/** What one SCAN of a client may cost the server in all, ms. */
const scanMsMax = 4

function scopeOf(
  node: number,
  tenant: TenantState,
  prefix: Buffer,
  pattern: NamePattern | undefined,
  type: Buffer | undefined,
  isWanted: () => boolean,
): Scope {
  return { node, tenant, prefix, head: pattern?.head ?? nothing, isWanted, ...(type === undefined ? {} : { type }) }
}

/** Does the name, known to begin with the pattern's head, match all of it? */
function matches(pattern: NamePattern | undefined, name: Buffer): boolean {
  if (pattern === undefined) return true
  // Redis tries no star on a name without bytes, but lets `*` alone pass (util.c, stringmatchlen; db.c, keysCommand).
  if (name.length === 0) return pattern.whole.length === 0 || (pattern.whole.length === 1 && pattern.whole[0] === 0x2a)
  if (pattern.kind === 'prefix') return true
  if (pattern.kind === 'literal') return name.length === pattern.head.length
  if (pattern.whole.length * name.length > patternWorkMax) throw new WalkFailure('PATTERN_TOO_COSTLY')
  return globMatch(pattern.whole, name, 0, name.length)
}

/** 52 bits: among half a million names two alike are a matter of one in 36,000 walks. */
function hashOf(name: Buffer): number {
  let low = 0x811c9dc5
  let high = 0x9dc5811c
  for (let i = 0; i < name.length; i++) {
    low = Math.imul(low ^ name[i]!, 0x01000193)
    high = Math.imul(high ^ name[i]!, 0x85ebca6b) ^ (high >>> 13)
  }
  return (high & 0xfffff) * 2 ** 32 + (low >>> 0)
}

const told = (promise: Promise<Reply>): Promise<Reply> =>
  promise.catch((error: unknown) => {
    if (!(error instanceof WalkFailure)) throw error
    return failure(error.code === undefined ? error.line! : errorText(error.code))
  })

/** FLUSHDB: the selected database; FLUSHALL: what is common to the names of all. In both ASYNC and SYNC are the same here, as the reply comes when all is deleted (db.c, getFlushCommandFlags). */
const flush = (prefixOf: (session: Session) => Buffer): Builtin => ({
  isStateful: true,
  run: (args, session, host) => {
    const word = args[1]?.toString('latin1', 0, 8).toLowerCase()
    if (args.length > 2 || (word !== undefined && word !== 'async' && word !== 'sync'))
      return failure(errorText('SYNTAX'))
    const tenant = session.account!.tenant!
    return host.durably(tenant, () => told(host.keyspace.flush(tenant, prefixOf(session))))
  },
})

export const keyspaceBuiltins: Readonly<Record<string, Builtin>> = {
  scan: {
    isStateful: true,
    run: (args, session, host) => {
      const read = readScanArgs(args)
      return 'kind' in read ? read : told(host.keyspace.scan(session, session.account!.tenant!, read))
    },
  },
  keys: {
    isStateful: true,
    run: (args, session, host) => told(host.keyspace.keys(session, session.account!.tenant!, args[1]!)),
  },
  dbsize: {
    isStateful: true,
    run: (_args, session, host) =>
      told(host.keyspace.dbsize(session, session.account!.tenant!).then((keys) => integer(keys))),
  },
  randomkey: {
    isStateful: true,
    run: (_args, session, host) => told(host.keyspace.randomKey(session, session.account!.tenant!)),
  },
  flushdb: flush((session) => session.prefix),
  flushall: flush((session) => session.account!.tenant!.keyPrefix),
}
