/**
 * Who says which node may be the primary, besides the node itself. Types only. Without an authority (no Sentinels are
 * configured) the one node that says so is the primary, and two are none. With one it must also be named.
 */
export interface Authority {
  /** The node that is named now, by its index; -1: none is, and no node may be the primary. */
  readonly namedIndex: number
  /** Since when: what a node said of itself before that moment does not count. */
  readonly namedSinceMs: number
  /** Why none is named, for the log and for people; '' while one is. */
  readonly trouble: string
  /** All who can be asked were asked once, or cannot be reached. */
  readonly hasHeard: boolean
  /** Another node is named, or none. */
  onChange(listener: () => void): void
  /** Another than this node is the primary now, whatever it says itself. */
  onDeposed(listener: (index: number) => void): void
  start(): void
  stop(): void
  /** Something seems to have happened. */
  askNow(): void
}
