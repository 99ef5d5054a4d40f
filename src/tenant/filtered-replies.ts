/**
 * The last few replies of COMMAND, COMMAND INFO and COMMAND DOCS as they were filtered for a user. The server's own reply
 * is the same each time, and filtering the whole table takes milliseconds in which nobody else is served; comparing it
 * with the last one takes microseconds. Bounded: a handful of entries, whatever the number of tenants.
 */
export const filteredRepliesMax = 8

interface Entry {
  readonly route: Uint8Array
  readonly kind: number
  readonly raw: Buffer
  readonly filtered: Buffer
}

export class FilteredReplies {
  private readonly entries: Entry[] = []
  private next = 0

  /** What users may run has changed. */
  clear(): void {
    this.entries.length = 0
    this.next = 0
  }

  /** `route`: the user's column, compared by identity; `kind`: what sort of reply. `filter` runs when the reply is new. */
  get(route: Uint8Array, kind: number, raw: Buffer, filter: (raw: Buffer) => Buffer | undefined): Buffer | undefined {
    for (const entry of this.entries) {
      if (entry.route === route && entry.kind === kind && entry.raw.equals(raw)) return entry.filtered
    }
    const filtered = filter(raw)
    if (filtered !== undefined) {
      this.entries[this.next] = { route, kind, raw, filtered }
      this.next = (this.next + 1) % filteredRepliesMax
    }
    return filtered
  }
}
