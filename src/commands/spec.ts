/**
 * The words of this room: what one command is to Regis, and the small numbers that the hot path compares instead of
 * words. No data (facts.generated.ts, policy.ts) and no search (lookup.ts, keys.ts).
 */
import type { KeySpec } from './facts-render.ts'

/** Who answers: a Redis server, this proxy, or nobody (NOPERM). */
export type Answer = 'upstream' | 'proxy' | 'denied'

/**
 * Where a command goes. `read` may go to a replica; `primary` is no write, but only the primary can say it truly. Those
 * behind `primary` need more than a shared connection gives: leased-path.ts.
 */
export const ROUTE = {
  denied: 0,
  proxy: 1,
  read: 2,
  write: 3,
  primary: 4,
  blocking: 5,
  script: 6,
  transaction: 7,
  tracking: 8,
} as const

/** Why a command of a node cannot travel on a shared connection: it may wait there, runs the tenant's code, or leaves state. */
export type Via = 'blocking' | 'script' | 'transaction' | 'tracking'

/** How keys are found: none, by first/last/step alone, or by a finder of keys.ts. */
export const KEYS = { none: 0, range: 1, finder: 2 } as const

/** Which finder. Its parameters stand in the key columns; see keys.ts. */
export const FINDER = { none: 0, numkeys: 1, streams: 2, sort: 3, geostore: 4, copy: 5, move: 6, channel: 7 } as const
export type FinderName = keyof typeof FINDER

/** What Redis answers to a bad count of keys; the habits of its sources. See keys.ts, numkeysError. */
export const NUMKEYS_RULE = {
  atLeastOne: 0,
  positive: 1,
  positiveStrict: 2,
  script: 3,
  msetex: 4,
  function: 5,
} as const
export type NumkeysRule = keyof typeof NUMKEYS_RULE

/**
 * What must happen to a reply before the client may see it. `pass`: nothing, no byte is looked at. All others need the
 * whole reply; see tenant/reply-names.ts. `errorNames` concerns error replies only. `receivers`: the number in it is that
 * of the tenant's own (session/subscriptions.ts). `moved`: RENAMENX's missing
 * key is MOVE's 0.
 */
export const REPLY = {
  pass: 0,
  firstElement: 1,
  streams: 2,
  errorNames: 3,
  commandAll: 4,
  commandInfo: 5,
  commandDocs: 6,
  receivers: 7,
  moved: 8,
} as const
export type ReplyKind = keyof typeof REPLY

/** What the primary's own COMMAND says of a row of ours; see live.ts. `unfit`: its keys stand elsewhere there. */
export const MISSING = { not: 0, lacks: 1, unfit: 2 } as const

/**
 * Between MULTI and EXEC. `ok`: queued at the server. `local`: queued, and the proxy gives its own answer in that place
 * of EXEC's reply. `now`: Redis does not queue it but runs it at once. `denied`: refused, which spoils the transaction.
 */
export const IN_MULTI = { denied: 0, ok: 1, local: 2, now: 3 } as const
export type InMulti = keyof typeof IN_MULTI

/** Where a command that may block has its timeout, and in what unit. 0 means for ever, wherever it stands. */
export interface Blocks {
  /** Index of the argument; -1: the last one; or the option word that it follows, without which nothing blocks. */
  readonly timeout: number | 'block'
  readonly unit: 's' | 'ms'
}
/** CommandTable.blockAt where the timeout follows a word (XREAD ... BLOCK ms). */
export const BLOCK_OPTION = -2

/** One command or subcommand. Frozen; built once from facts, policy and the table of newer commands. */
export interface CommandSpec {
  /** Index into CommandTable.specs and all its columns. */
  readonly id: number
  /** Lower case as Redis writes it: `get`, `client|getname`. */
  readonly name: string
  /** As COMMAND: exact, or the minimum when negative; counts the name, and both names of a subcommand. */
  readonly arity: number
  readonly answer: Answer
  /** Travels on a connection of the client's own. */
  readonly via?: Via
  /** Redis's write flag, or an effect that cannot be taken back: goes to the primary. */
  readonly isWrite: boolean
  /** May be answered by a replica: keyed, read-only, and true there; or keyless by a row of the policy. */
  readonly isReplicaSafe: boolean
  /** ACL categories without their @. */
  readonly categories: readonly string[]
  readonly flags: readonly string[]
  readonly hints: readonly string[]
  /** Redis refuses it when memory is full; so does a tenant's memory quota. */
  readonly denyOom: boolean
  /** Has subcommands: look the second argument up with lookupSub. */
  readonly isContainer: boolean
  readonly keySpecs: readonly KeySpec[]
  readonly reply: ReplyKind
  readonly inMulti: InMulti
  /** It may wait at the server; undefined: it never does. */
  readonly blocks?: Blocks
  /** The proxy answers it out of a tenant's data. */
  readonly isTenantOnly: boolean
  /** For operators: no tenant may run it. */
  readonly isOperatorOnly: boolean
  /** Why it is refused, or answered other than its flags suggest. */
  readonly why?: string
  /** First version of Redis that has it, when Redis 7.0 has not. */
  readonly since?: string
  /** Redis does not have it at all: PROXY. */
  readonly isOurs?: true
}
