/**
 * The words for a choice: what stood between a read and each node, and why the one that was taken was taken. Pure. Every
 * judgement is asked of choose.ts, so that an explanation cannot differ from what reads do; here it is only put in words.
 */
import type { Node } from '../regions/node.ts'
import { LEVEL, obstacle, REASON, type ReadNeed, reasonNames } from './choose.ts'

/** One node as a read sees it. */
export interface Candidate {
  readonly region: string
  /** `host:port`; not for tenants. */
  readonly node: string
  readonly role: Node['role']
  readonly isLocal: boolean
  readonly isPrimary: boolean
  /** ms; undefined: not measured. */
  readonly rttMs: number | undefined
  /** Proven upper bound of its age, ms; 0 for the primary, undefined: nothing is proven. */
  readonly stalenessMs: number | undefined
  /** Newest watermark that it has shown in its present incarnation; 0: none. */
  readonly watermark: number
  /** Why it may not answer: a name of `reasonNames`, `none` when it may. */
  readonly obstacle: (typeof reasonNames)[number] | 'connection'
  /** The same in words that name no node; '' when it may answer. */
  readonly because: string
  /** For operators: what the node itself was last wrong about; ''. */
  readonly detail: string
  readonly isChosen: boolean
}

/** `isConnected`: the data connection that the read would take is up. */
export function candidateOf(
  need: ReadNeed,
  node: Node,
  primary: Node | undefined,
  now: number,
  isConnected: boolean,
  isChosen: boolean,
): Candidate {
  const reason = obstacle(need, node, primary, now)
  const isPrimary = node === primary
  const staleness = isPrimary ? 0 : Math.max(0, now - node.shownSentAtMs)
  const isCut = reason === REASON.none && !isConnected
  return {
    region: node.address.region,
    node: node.address.name,
    role: node.role,
    isLocal: node.isLocal,
    isPrimary,
    rttMs: finite(node.rttMs),
    stalenessMs: finite(staleness),
    watermark: node.shownSeq,
    obstacle: isCut ? 'connection' : reasonNames[reason],
    because: isCut ? 'no connection to it is up' : becauseOf(need, node, primary, now),
    detail: node.downReason,
    isChosen,
  }
}

function becauseOf(need: ReadNeed, node: Node, primary: Node | undefined, now: number): string {
  switch (obstacle(need, node, primary, now)) {
    case REASON.none:
      return ''
    case REASON.level:
      return 'a strong read is answered by the primary'
    case REASON.down:
      return downWords(node, primary)
    case REASON.unknown:
      return 'it has shown no watermark since it was connected to, so nothing is known of its age'
    case REASON.lag:
      return `its data may be ${Math.ceil(now - node.shownSentAtMs)} ms old, the bound is ${need.maxStalenessMs} ms`
    case REASON.session:
      return sessionWords(need, node, primary, now)
  }
}

function downWords(node: Node, primary: Node | undefined): string {
  if (!node.isUp) return 'it does not answer'
  if (node.isLoading) return 'it is loading its data'
  if (node.isSyncing) return 'it is copying its data from the primary'
  if (node.isRefusing) return 'it refuses reads while its link to the primary is down'
  if (node.owesMark) return 'it has loaded or copied its data and has shown no watermark since'
  if (!Number.isNaN(node.linkDownSinceMs)) return 'its link to the primary is down'
  if (node.role === 'primary') return 'it says that it is the primary, and is not confirmed as that'
  return `it is not of the history of the ${primary === undefined ? 'last confirmed' : 'confirmed'} primary`
}

/** Asked again without what the connection has read: is it a write that the node lacks, or what was seen elsewhere? */
function sessionWords(need: ReadNeed, node: Node, primary: Node | undefined, now: number): string {
  const withoutSeen: ReadNeed = { ...need, seen: 0, seenSlot: -1, seenTrail: 0 }
  return obstacle(withoutSeen, node, primary, now) === REASON.none
    ? 'it has not shown the watermark behind what this connection has read'
    : 'it has not shown the watermark behind a write of this tenant'
}

/** The level as its name, for what is shown. */
export function levelWord(level: number): string {
  for (const [name, code] of Object.entries(LEVEL)) if (code === level) return name
  return 'strong'
}

function finite(ms: number): number | undefined {
  return Number.isFinite(ms) ? Math.round(ms * 10) / 10 : undefined
}
