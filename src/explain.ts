/**
 * PROXY EXPLAIN, `regis explain` and /api/v1/explain: what would become of a command, and why. It has no opinion of its own:
 * who may run it is read from the account's routes, its keys are found by the key finder, and where it goes is asked of
 * the request path, which takes its own steps once more (RequestPath.rehearse). Here the answers are put together.
 *
 * Two readers: an operator sees all of it; what a tenant is shown (`forTenant`) names regions, never a node, and holds no
 * rewritten key, no number of a watermark and no rule but the one that speaks for its own key.
 */
import type { Socket } from 'node:net'
import { errorText } from './base/errors.ts'
import { explainArgsMax, explainKeyBytesMax, explainKeysMax, markWaitMs } from './base/limits.ts'
import { findKeys, type KeyList, newKeyList } from './commands/keys.ts'
import type { CommandTable } from './commands/lookup.ts'
import { KEYS, MISSING, ROUTE } from './commands/spec.ts'
import type { RegionTracker } from './regions/tracker.ts'
import type { Rehearsed, RequestPath } from './request-path.ts'
import { array, bulk, encodeRequest, integer, map, nil, type Reply } from './resp/encode.ts'
import { framed, RequestFramer } from './resp/request-framer.ts'
import { LEVEL, type LevelCode, REASON, reasonNames } from './routing/choose.ts'
import { type Candidate, candidateOf, levelWord } from './routing/explain.ts'
import { levelNames, levelOfKey } from './routing/levels.ts'
import type { CompiledRule } from './routing/rules.ts'
import { modePinned, modeTracking, Session, type SessionAccount } from './session/session.ts'

export interface ExplainedKey {
  /** As the client names it. */
  readonly key: string
  /** As the servers know it; not for tenants. */
  readonly upstream: string
}

export interface ExplainedRule {
  readonly keys: string
  /** Place in `routing.rules`, from 0; not for tenants. */
  readonly index: number
  readonly pin: boolean
}

/** `nobody`: the command is refused. */
export type AnsweredBy = 'node' | 'proxy' | 'nobody'

export interface Outcome {
  readonly answeredBy: AnsweredBy
  readonly region: string | undefined
  /** Not for tenants. */
  readonly node: string | undefined
  readonly role: 'primary' | 'replica' | undefined
  /** It first waits for a watermark that is due, or for `max_wait`. */
  readonly waitsMs: number
  /** Why the nearest node is not it: a name of `reasonNames`. */
  readonly reason: (typeof reasonNames)[number]
  /** The error it would get; '' when it is answered. */
  readonly error: string
  readonly why: string
}

export interface Explanation {
  readonly tenant: string | undefined
  readonly user: string
  readonly command: string
  readonly kind: 'read' | 'write' | 'primary' | 'own connection' | 'proxy' | 'refused'
  readonly keys: readonly ExplainedKey[]
  /** Of the keys, how many there are; `keys` holds the first few. */
  readonly keyCount: number
  readonly rule: ExplainedRule | undefined
  /** undefined: not a read. */
  readonly level: string | undefined
  readonly levelFrom: 'connection' | 'rule' | 'user' | 'tenant' | 'routing' | undefined
  /** ms; undefined: no bound. */
  readonly maxStalenessMs: number | undefined
  readonly whenStale: string | undefined
  readonly outcome: Outcome
  readonly candidates: readonly Candidate[]
  /** What would have come of it had the connection asked for each of the levels. */
  readonly otherLevels: readonly { readonly level: string; readonly asks: string; readonly outcome: Outcome }[]
  readonly epoch: number
}

export interface ExplainerParts {
  readonly path: RequestPath
  readonly table: CommandTable
  readonly tracker: RegionTracker
  now(): number
}

const nobody = (error: string, why: string): Outcome => ({
  answeredBy: 'nobody',
  region: undefined,
  node: undefined,
  role: undefined,
  waitsMs: 0,
  reason: 'none',
  error,
  why,
})

export class Explainer {
  private readonly parts: ExplainerParts
  private readonly frame = new RequestFramer()
  private readonly keys: KeyList = newKeyList()

  constructor(parts: ExplainerParts) {
    this.parts = parts
  }

  /** For a connection that this user opened a moment ago: no writes, nothing seen. */
  ofUser(account: SessionAccount, args: readonly Uint8Array[], level?: LevelCode): Explanation {
    const { path } = this.parts
    const session = new Session(0, undefined as unknown as Socket, path, this.parts.now())
    session.enter(account)
    if (level !== undefined) session.level = level
    return this.of(session, args)
  }

  /** For this connection, which has logged in and has nothing in flight. */
  of(session: Session, args: readonly Uint8Array[]): Explanation {
    const account = session.account!
    const { table } = this.parts
    const refused = (command: string, text: string, why: string): Explanation => ({
      ...this.head(account, command),
      kind: 'refused',
      outcome: nobody(text, why),
    })
    if (args.length > explainArgsMax)
      return refused('', errorText('EXPLAIN_LIMIT', explainArgsMax), 'too many arguments')
    const request = encodeRequest(args)
    const { frame } = this
    frame.maxRequestBytes = request.length
    if (frame.frame(request, 0, request.length) !== framed) return refused('', errorText('SYNTAX'), 'no command')
    let id = table.lookup(request, frame.off[0]!, frame.len[0]!)
    const container = id
    if (id >= 0 && table.isContainer[id] !== 0 && frame.count > 1)
      id = table.lookupSub(id, request, frame.off[1]!, frame.len[1]!)
    if (id < 0) {
      const known = container >= 0 ? table.specs[container]!.name : ''
      const name = Buffer.from(args[0]!).toString('latin1').slice(0, 64)
      return refused(known, errorText('UNKNOWN_COMMAND', name, ''), 'the command table does not know it')
    }
    const { name } = table.specs[id]!
    const arity = table.arity[id]!
    if (arity >= 0 ? frame.count !== arity : frame.count < -arity)
      return refused(name, errorText('WRONG_ARITY', name), 'it has another number of arguments')
    const route = account.route[id]!
    if (route === ROUTE.denied) return refused(name, errorText('NOPERM', name), this.whyDenied(account, id))
    if (route === ROUTE.proxy) return this.local(account, name)
    const error = findKeys(table, id, frame, this.keys)
    if (error !== undefined && this.keys.crosses !== true)
      return refused(name, errorText(error, name), 'its keys cannot be told')
    if (table.keyMode[id] === KEYS.none) this.keys.count = 0
    return this.forNode(session, account, name, route)
  }

  private head(account: SessionAccount, command: string): Explanation {
    return {
      tenant: account.tenant?.id,
      user: account.user,
      command,
      kind: 'proxy',
      keys: [],
      keyCount: 0,
      rule: undefined,
      level: undefined,
      levelFrom: undefined,
      maxStalenessMs: undefined,
      whenStale: undefined,
      outcome: nobody('', ''),
      candidates: [],
      otherLevels: [],
      epoch: this.parts.tracker.epoch,
    }
  }

  private whyDenied(account: SessionAccount, id: number): string {
    const { table } = this.parts
    const spec = table.specs[id]!
    if (table.missing[id] !== MISSING.not) return 'the primary does not have this command'
    if (spec.answer === 'denied') return spec.why ?? 'no tenant may run it'
    if (account.tenant === undefined) return 'operators have no keys'
    if (spec.isOperatorOnly) return 'it is for operators'
    if (account.isReadOnly && spec.isWrite) return 'the user is read-only'
    return "the tenant's configuration closes it to this user"
  }

  private local(account: SessionAccount, name: string): Explanation {
    const outcome: Outcome = { ...nobody('', 'the proxy answers it itself'), answeredBy: 'proxy' }
    return { ...this.head(account, name), outcome }
  }

  private forNode(session: Session, account: SessionAccount, name: string, route: number): Explanation {
    const isWrite = route === ROUTE.write
    const holds = (session.mode & (modePinned | modeTracking)) !== 0
    const isOwn = route > ROUTE.primary || holds
    const isRead = route === ROUTE.read && !isOwn
    const { frame, keys } = this
    const rehearse = (isWaitOver: boolean, level?: number): Rehearsed =>
      this.parts.path.rehearse(session, account, {
        frame,
        keys,
        isRead,
        isWrite,
        isWaitOver,
        ...(level === undefined ? {} : { level }),
      })
    const first = rehearse(false)
    const own = holds
      ? 'WATCH or CLIENT TRACKING holds a connection to the primary, on which all its commands travel'
      : 'it needs a connection of its own to the primary'
    const base: Explanation = {
      ...this.head(account, name),
      kind: isRead ? 'read' : isOwn ? 'own connection' : isWrite ? 'write' : 'primary',
      ...this.keysOf(session),
    }
    if (!isRead)
      return {
        ...base,
        outcome: this.ofPrimary(
          first,
          isOwn ? own : isWrite ? 'writes go to the primary' : 'only the primary can say it truly',
        ),
      }
    const { need } = first
    const now = this.parts.now()
    const { tracker, path } = this.parts
    const outcome = this.ofRead(session, account, first, () => rehearse(true))
    return {
      ...base,
      ...this.levelOf(session, account, need.level),
      maxStalenessMs: Number.isFinite(need.maxStalenessMs) ? need.maxStalenessMs : undefined,
      whenStale: first.whenStale,
      outcome,
      candidates: tracker
        .readOrderOf(session.turn)
        .map((node) =>
          candidateOf(
            need,
            node,
            tracker.primary,
            now,
            path.isConnected(session, node.index),
            node.address.name === outcome.node,
          ),
        ),
      otherLevels: levelNames.map((asks, level) => {
        const other = rehearse(false, level)
        return {
          asks,
          level: levelWord(other.need.level),
          outcome: this.ofRead(session, account, other, () => rehearse(true, level)),
        }
      }),
    }
  }

  private keysOf(session: Session): Pick<Explanation, 'keys' | 'keyCount'> {
    const { frame, keys } = this
    const shown: ExplainedKey[] = []
    for (let i = 0; i < keys.count && i < explainKeysMax; i++) {
      const a = keys.arg[i]!
      const end = frame.off[a]! + Math.min(frame.len[a]!, explainKeyBytesMax)
      const key = Buffer.from(frame.buf.subarray(frame.off[a]!, end)).toString('utf8')
      shown.push({ key, upstream: `${session.prefix.toString('utf8')}${key}` })
    }
    return { keys: shown, keyCount: keys.count }
  }

  /** Where the level comes from: of the keys that make it what it is, the first. */
  private levelOf(
    session: Session,
    account: SessionAccount,
    level: number,
  ): Pick<Explanation, 'level' | 'levelFrom' | 'rule'> {
    const own = session.level >= 0 ? (session.level as LevelCode) : undefined
    const { frame, keys } = this
    let firstRule: CompiledRule | undefined
    for (let i = 0; i < keys.count && account.rules !== undefined; i++) {
      const a = keys.arg[i]!
      const rule = account.rules.match(frame.buf, frame.off[a]!, frame.len[a]!)
      firstRule ??= rule
      if (levelOfKey(own, rule, account.level as LevelCode) !== level || rule?.level !== level) continue
      if (own === level && rule.pin !== true) continue
      return { level: levelWord(level), levelFrom: 'rule', rule: shown(rule) }
    }
    return {
      level: levelWord(level),
      levelFrom: own === undefined ? account.levelFrom : 'connection',
      rule: firstRule === undefined ? undefined : shown(firstRule),
    }
  }

  private ofPrimary(found: Rehearsed, why: string): Outcome {
    const { tracker } = this.parts
    if (found.node >= 0) return this.at(found.node, 0, 'none', why)
    if (tracker.isSplit)
      return nobody(errorText('SPLIT'), 'more than one node says that it is the primary: writes are refused')
    const wait = 'it waits up to a second for one'
    return nobody(
      errorText('NO_PRIMARY'),
      tracker.primary === undefined ? `there is no primary; ${wait}` : `the primary takes no command now; ${wait}`,
    )
  }

  private ofRead(session: Session, account: SessionAccount, found: Rehearsed, later: () => Rehearsed): Outcome {
    const { tracker } = this.parts
    const { need } = found
    if (need.level === LEVEL.strong && !found.isWaitingForMark) {
      if (found.node >= 0 && tracker.nodes[found.node] !== tracker.primary) {
        const why =
          'a fresh watermark shows at the nearest replica about as soon as the primary could answer: it waits for that'
        return this.at(found.node, Math.round(found.indexMs), 'none', why)
      }
      return this.ofPrimary(
        found,
        'a strong read is answered by the primary, which proves behind it that it is still it',
      )
    }
    const words = this.passedOver(session, found)
    if (found.isWaitingForMark) {
      const then = later()
      const other = then.node >= 0 ? tracker.nodes[then.node]!.address.region : 'nobody'
      return this.at(
        found.passedOver,
        markWaitMs,
        reasonNames[found.reason]!,
        `${words}; that watermark is due, so the read waits for it up to ${markWaitMs} ms, then goes to ${other}`,
      )
    }
    if (found.node >= 0) {
      const name = reasonNames[found.reason]!
      return this.at(found.node, 0, name, found.reason === REASON.none ? 'the nearest node, and fresh enough' : words)
    }
    if (found.isOverLimit) {
      const why = `${words}; routing.fallback_limit leaves no room at the primary for it now`
      return { ...nobody(errorText('FALLBACK_LIMIT'), why), reason: reasonNames[found.reason]! }
    }
    const isKept = tracker.primary !== undefined && found.whenStale !== 'primary'
    if (isKept && found.whenStale === 'wait') {
      const then = later()
      const because = `${words}; when_stale: wait gives it ${account.maxWaitMs} ms`
      if (then.node >= 0) return this.at(then.node, account.maxWaitMs, reasonNames[found.reason]!, because)
    }
    const isBounded = Number.isFinite(need.maxStalenessMs)
    const error = isBounded ? errorText('NO_NODE_WITHIN', need.maxStalenessMs) : errorText('NO_NODE')
    const why = isKept ? `${words}; when_stale: ${found.whenStale}` : `${words}; no node is fresh enough`
    return { ...nobody(error, why), reason: reasonNames[found.reason]! }
  }

  /** What was wrong with the nearest node. */
  private passedOver(session: Session, found: Rehearsed): string {
    const { tracker, path } = this.parts
    if (found.passedOver < 0) return 'no node can be read from'
    const node = tracker.nodes[found.passedOver]!
    const isConnected = path.isConnected(session, node.index)
    const { because } = candidateOf(found.need, node, tracker.primary, this.parts.now(), isConnected, false)
    return `the nearest node is not it: ${because === '' ? 'its connection was not up' : because}`
  }

  private at(index: number, waitsMs: number, reason: Outcome['reason'], why: string): Outcome {
    const { tracker } = this.parts
    const node = tracker.nodes[index]!
    return {
      answeredBy: 'node',
      region: node.address.region,
      node: node.address.name,
      role: node === tracker.primary ? 'primary' : 'replica',
      waitsMs,
      reason,
      error: '',
      why,
    }
  }
}

function shown(rule: CompiledRule): ExplainedRule {
  return { keys: rule.keys, index: rule.index, pin: rule.pin }
}

const text = (value: string | undefined): Reply => (value === undefined || value === '' ? nil : bulk(value))
const number = (value: number | undefined): Reply => (value === undefined ? nil : integer(Math.round(value)))
const yes = (value: boolean): Reply => bulk(value ? 'yes' : 'no')
const pairs = (entries: Readonly<Record<string, Reply>>): Reply =>
  map(Object.entries(entries).map(([key, value]) => [bulk(key), value] as const))

function outcomeFor(outcome: Outcome): Record<string, Reply> {
  return {
    answered_by: bulk(outcome.answeredBy),
    region: text(outcome.region),
    role: text(outcome.role),
    waits_ms: number(outcome.waitsMs),
    reason: bulk(outcome.reason),
    error: text(outcome.error),
    why: text(outcome.why),
  }
}

/** What a tenant may see of it. */
export function forTenant(it: Explanation): Reply {
  return pairs({
    command: text(it.command),
    kind: bulk(it.kind),
    tenant: text(it.tenant),
    user: bulk(it.user),
    ...outcomeFor(it.outcome),
    keys: array(it.keys.map(({ key }) => bulk(key))),
    rule: text(it.rule?.keys),
    level: text(it.level),
    level_from: text(it.levelFrom),
    max_staleness_ms: number(it.maxStalenessMs),
    when_stale: text(it.whenStale),
    candidates: array(
      it.candidates.map((one) =>
        pairs({
          region: bulk(one.region),
          role: bulk(one.role),
          local: yes(one.isLocal),
          chosen: yes(one.isChosen),
          rtt_ms: number(one.rttMs),
          staleness_ms: number(one.stalenessMs),
          obstacle: bulk(one.obstacle),
          because: text(one.because),
        }),
      ),
    ),
    other_levels: array(
      it.otherLevels.map(({ asks, level, outcome }) =>
        pairs({ asked: bulk(asks), level: bulk(level), ...outcomeFor(outcome) }),
      ),
    ),
  })
}

/** For operators, as JSON. */
export function forOperator(it: Explanation): object {
  const outcome = (one: Outcome): object => ({
    answered_by: one.answeredBy,
    region: one.region ?? null,
    node: one.node ?? null,
    role: one.role ?? null,
    waits_ms: one.waitsMs,
    reason: one.reason,
    error: one.error === '' ? null : one.error,
    why: one.why,
  })
  return {
    command: it.command,
    kind: it.kind,
    tenant: it.tenant ?? null,
    user: it.user,
    ...outcome(it.outcome),
    keys: it.keys,
    key_count: it.keyCount,
    rule: it.rule ?? null,
    level: it.level ?? null,
    level_from: it.levelFrom ?? null,
    max_staleness_ms: it.maxStalenessMs ?? null,
    when_stale: it.whenStale ?? null,
    epoch: it.epoch,
    candidates: it.candidates.map((one) => ({
      region: one.region,
      node: one.node,
      role: one.role,
      local: one.isLocal,
      chosen: one.isChosen,
      rtt_ms: one.rttMs ?? null,
      staleness_ms: one.stalenessMs ?? null,
      watermark: one.watermark,
      obstacle: one.obstacle,
      because: one.because,
      detail: one.detail,
    })),
    other_levels: it.otherLevels.map(({ asks, level, outcome: of }) => ({ asked: asks, level, ...outcome(of) })),
  }
}
