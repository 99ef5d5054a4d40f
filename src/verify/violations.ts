/** What a check found broken: counted by promise, with the first few told in words. Pure. */
export const promises = [
  'read your writes',
  'monotonic reads',
  'monotonic writes',
  'bounded staleness',
  'strong reads',
  'known values',
] as const
export type PromiseName = (typeof promises)[number]

export interface Violation {
  readonly promise: PromiseName
  readonly text: string
}

/** More examples than a person reads; the count goes on. */
const examplesMax = 20

export class Violations {
  readonly counts: Record<PromiseName, number>
  /** How often each was looked at: a promise that was never looked at was not shown to hold. */
  readonly checked: Record<PromiseName, number>
  readonly examples: Violation[] = []

  constructor() {
    this.counts = noughts()
    this.checked = noughts()
  }

  /** `text` is only asked for while there is room for it. */
  add(promise: PromiseName, text: () => string): void {
    this.counts[promise]++
    if (this.examples.length < examplesMax) this.examples.push({ promise, text: text() })
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0)
  }
}

function noughts(): Record<PromiseName, number> {
  return Object.fromEntries(promises.map((name) => [name, 0])) as Record<PromiseName, number>
}
