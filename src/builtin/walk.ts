/**
 * Walks over the keyspace of a server, of which a tenant is shown its own names: steps of SCAN with the tenant's prefix, each
 * in its turn (upstream/pacer.ts), and the rule that of one tenant only one walk of a kind runs at a time. What a walk is
 * for: keyspace.ts.
 */
import type { ErrorCode } from '../base/errors.ts'
import type { Node } from '../regions/node.ts'
import { encodeRequest } from '../resp/encode.ts'
import { decode, isReplyError, MalformedReply } from '../resp/reply-walk.ts'
import type { Session } from '../session/session.ts'
import type { TenantState } from '../tenant/account.ts'
import { globOfPrefix } from '../tenant/name-pattern.ts'
import { Pacer } from '../upstream/pacer.ts'
import type { Answer } from '../upstream/service.ts'
import { type CommandStats, readCommandStats } from '../upstream/step-cost.ts'

/** What walks may do to the world. */
export interface WalkHost {
  now(): number
  after(ms: number, run: () => void): void
  readonly nodes: readonly Node[]
  primary(): Node | undefined
  /** The confirmed primary, and no write of unknown fate may still run on it. */
  mayWrite(node: number): boolean
  ask(node: number, request: Uint8Array, isWrite?: boolean): Promise<Answer>
  /** run_id of the server that `ask` talks to; '' while it talks to none. */
  runId(node: number): string
  /** The nearest node that keeps this client's promise for reads; -1: none. */
  readNode(session: Session): number
  /** This one keeps it now, by what it has shown. */
  mayRead(session: Session, node: number): boolean
  /** The next mark, which is sent soon: a node that shows it has all that was acknowledged until now. */
  wantMark(): number
  /** The client has seen what this node held, from that incarnation on. */
  noteRead(session: Session, node: number, incarnation: number): void
  noteWrite(tenant: TenantState): void
  /** A write was sent and its answer lost. */
  uncertain(tenant: TenantState, node: number): void
  /** All keys of a tenant were deleted. */
  flushed(tenant: TenantState): void
  /** A name without the tenant's prefix came back. */
  foreign(tenant: TenantState): void
  counted(kind: WalkKind, isOk: boolean): void
  /** A server refused a question of ours; `code` is the first word. */
  refused(node: number, command: string, code: string): void
}

export type WalkKind = 'keys' | 'dbsize' | 'random' | 'flush'

/** A walk ended early; the client is told this row of the table, or the server's own words. */
export class WalkFailure extends Error {
  readonly code: ErrorCode | undefined
  readonly line: string | undefined

  constructor(code: ErrorCode | undefined, line?: string) {
    super(code ?? line ?? '')
    this.code = code
    this.line = line
  }
}

export interface Page {
  /** 0n: the end. */
  readonly cursor: bigint
  /** With the prefix. */
  readonly names: readonly Buffer[]
  /** What it cost the server, ms, as far as we can tell. */
  readonly costMs: number
}

export interface Scope {
  readonly node: number
  readonly tenant: TenantState
  /** That of the database, or of all the tenant's databases. Never empty: in database 0 that would be everybody. */
  readonly prefix: Buffer
  /** What names begin with, behind the prefix. */
  readonly head: Buffer
  readonly type?: Buffer
  /** Whoever asked is still there. */
  isWanted(): boolean
}

/** A step whose connection is lost is asked again, with fewer names: perhaps they were too much for it. */
const attempts = 3
/** Refusals that a client may read in the server's own words: nothing in them but the server's state. */
const passedOn = /^(MISCONF|READONLY|NOREPLICAS|LOADING|MASTERDOWN|BUSY|OOM)\b/

export class Walks {
  readonly host: WalkHost
  private readonly pacers: Pacer[]
  private readonly lines = new Map<string, { tail: Promise<unknown>; waiting: Map<string, Waiting> }>()

  constructor(host: WalkHost) {
    this.host = host
    this.pacers = host.nodes.map(
      (node) =>
        new Pacer({
          now: () => host.now(),
          after: (ms, run) => host.after(ms, run),
          rttMs: () => node.rttMs,
          stats: () => this.commandStats(node.index),
        }),
    )
  }

  itemsPerStep(node: number): number {
    return this.pacers[node]!.itemsPerStep
  }

  /**
   * One walk of a kind at a time for a tenant. Who asks for the same while it waits for its turn shares it: what it finds
   * is of a later time than every question.
   */
  share<T>(
    kind: WalkKind,
    tenant: TenantState,
    what: string,
    session: Session | undefined,
    run: (isWanted: () => boolean) => Promise<T>,
  ): Promise<T> {
    const name = `${kind} ${tenant.id}`
    const line = this.lines.get(name) ?? { tail: Promise.resolve(), waiting: new Map<string, Waiting>() }
    this.lines.set(name, line)
    const same = line.waiting.get(what)
    if (same !== undefined) {
      same.sessions.push(session)
      return same.promise as Promise<T>
    }
    const sessions = [session]
    const promise = line.tail.then(async () => {
      line.waiting.delete(what)
      try {
        // A walk that nobody waits for any more is not begun, and not finished.
        const found = await run(() => sessions.some((one) => one === undefined || !one.isClosed))
        this.host.counted(kind, true)
        return found
      } catch (error) {
        this.host.counted(kind, false)
        throw error
      }
    })
    line.waiting.set(what, { promise, sessions })
    const tail = promise.then(
      () => {},
      () => {},
    )
    line.tail = tail
    void tail.then(() => {
      if (line.tail === tail) this.lines.delete(name)
    })
    return promise
  }

  /** A walk of this tenant is under way or waits for its turn, also when nobody waits for what it finds. */
  isWalking(tenant: TenantState): boolean {
    for (const name of this.lines.keys()) if (name.endsWith(` ${tenant.id}`)) return true
    return false
  }

  /** All of a tenant's names, page by page. The same name can come twice while the server's table shrinks. */
  async walk(scope: Scope, onNames: (names: readonly Buffer[]) => void | Promise<void>): Promise<void> {
    let cursor = 0n
    let runId: string | undefined
    do {
      if (!scope.isWanted()) throw new WalkFailure('NO_NODE')
      const page = await this.step(scope, cursor, this.itemsPerStep(scope.node), runId)
      runId ??= this.host.runId(scope.node)
      await onNames(page.names)
      cursor = page.cursor
    } while (cursor !== 0n)
  }

  /** One SCAN of a server. `runId`: the server that the cursor is of; another one has no use for it. */
  async step(scope: Scope, cursor: bigint, count: number, runId: string | undefined): Promise<Page> {
    if (scope.prefix.length === 0) throw new WalkFailure('ISOLATION')
    let items = count
    for (let attempt = 1; ; attempt++) {
      const glob = globOfPrefix(scope.prefix, scope.head)
      const request = encodeRequest([
        ...['SCAN', String(cursor), 'MATCH', glob, 'COUNT', String(items)],
        ...(scope.type === undefined ? [] : ['TYPE', scope.type]),
      ])
      const { answer, costMs } = await this.inTurn(scope.node, scope.tenant, request, items, 'scan')
      if (runId !== undefined && this.host.runId(scope.node) !== runId) throw new WalkFailure('NO_NODE')
      if (typeof answer !== 'string') return { ...this.read(scope, answer), costMs }
      if (attempt === attempts) throw new WalkFailure('NO_NODE')
      items = Math.max(1, Math.floor(items / 10))
    }
  }

  /** A question in the tenant's turn at that node. */
  async inTurn(
    node: number,
    tenant: TenantState,
    request: Uint8Array,
    items: number,
    kind: 'scan' | 'read' | 'write',
  ): Promise<{ answer: Answer; costMs: number }> {
    const pacer = this.pacers[node]!
    const isWrite = kind === 'write'
    await pacer.take(tenant.id)
    let answer: Answer = 'unsent'
    let costMs = 0
    try {
      // Between two steps the primary may have changed.
      if (!isWrite || this.host.mayWrite(node)) answer = await this.host.ask(node, request, isWrite)
    } finally {
      costMs = pacer.release(items, kind === 'scan')
    }
    return { answer, costMs }
  }

  private async commandStats(node: number): Promise<CommandStats | undefined> {
    const answer = await this.host.ask(node, encodeRequest(['INFO', 'commandstats']))
    return typeof answer === 'string' ? undefined : readCommandStats(answer.toString('latin1'))
  }

  /** Refuses an error reply: in the server's own words where they speak of its state alone. */
  refuseError(node: number, command: string, text: string): never {
    this.host.refused(node, command, text.split(' ', 1)[0]!)
    throw passedOn.test(text) ? new WalkFailure(undefined, text) : new WalkFailure('NO_NODE')
  }

  private read(scope: Scope, answer: Buffer): { cursor: bigint; names: Buffer[] } {
    const reply = decode(answer)
    if (isReplyError(reply)) this.refuseError(scope.node, 'scan', reply.error)
    const [cursor, names] = Array.isArray(reply) ? reply : []
    if (!Buffer.isBuffer(cursor) || !Array.isArray(names))
      throw new MalformedReply('a SCAN that answers something else')
    const { prefix } = scope
    for (const name of names) {
      if (Buffer.isBuffer(name) && name.length >= prefix.length && prefix.compare(name, 0, prefix.length) === 0)
        continue
      this.host.foreign(scope.tenant)
      throw new WalkFailure('ISOLATION')
    }
    return { cursor: BigInt(cursor.toString('latin1')), names: names as Buffer[] }
  }
}

interface Waiting {
  readonly promise: Promise<unknown>
  readonly sessions: (Session | undefined)[]
}
