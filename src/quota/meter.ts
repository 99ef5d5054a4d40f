/**
 * One thing that a tenant has an amount of (bytes of memory, keys), between two looks at its keys, and whether it may have more.
 * Pure numbers: the admission of a command adds, the primary's totals say what the servers have grown by, the sweep what there is.
 *
 *   measured                                  >= limit   full: refused
 *   measured + grown                          >= limit   its keys are looked at first: its share of the growth is a guess
 *   measured + grown + fresh                  >= limit   the primary is asked first: what is fresh may be in `grown` by then
 *   measured + grown + hidden + fresh         >= limit   its keys are looked at first: what others have lost may hide its growth
 *
 * `written` is what accepted commands could have added at most. It ends nothing by itself, because a key that is overwritten adds
 * nothing. `grown` is the tenant's share of what the primary's data grew by, never more than was written: too little, where others
 * lose at the same time. `hidden` is what it has grown by besides, if of its writes the part has stayed that stayed before.
 */

/** Looked at closely from here on: the share of the limit that is used, or could be by what was written. */
const nearShare = 0.8
/** What was full may have more again when so much is free: else each freed byte would let one command through. */
const freeShare = 0.005
/** Of what was written, so much of the limit must have been before it says anything about the ratio. */
const ratioShare = 0.01
/** Who has always overwritten may begin to add: its keys are looked at after so many times its room, whatever the totals say. */
const ratioMin = 0.05

export const enough = 0
export const askTotals = 1
export const lookAtKeys = 2

/** What was written, as of a moment. */
export interface MeterMark {
  readonly written: number
  readonly grown: number
  readonly total: number
  readonly server: string
}

export class Meter {
  /** Infinity: none. */
  limit: number
  /** As last measured, and how far that may be off at 95 %. */
  value = 0
  error = 0
  /** Since then, at most: by accepted commands of this proxy. */
  written = 0
  /**
   * Of that, what the primary's last word says nothing of: it was written since the question before that one was sent. A
   * question can overtake commands that were accepted just before it; the next one seldom does.
   */
  fresh = 0
  /** Its share of the primary's growth since then; and what may hide behind others' losses. */
  grown = 0
  hidden = 0
  /** Of what it writes, the part that stays: near 0 overwrites, 1 adds all. Taken to be 1 until something else was seen. */
  ratio = 1
  isFull = false

  /** What was written during the last look, and may have been seen by it or not. */
  private unsure = 0
  /** Of what is fresh, what was written since the last question was sent. */
  private newest = 0
  /** The primary's total when it was measured and when it was last told. */
  private server = ''
  private base = Number.NaN
  private last = Number.NaN

  constructor(limit: number) {
    this.limit = limit
  }

  begin(value: number, error: number): void {
    this.value = value
    this.error = error
    this.decide()
  }

  get now(): number {
    return this.value + this.grown + this.ratio * this.fresh
  }

  /** May it be over the limit, and what must be asked to know? */
  get suspicion(): number {
    const told = this.value + this.grown
    if (told >= this.limit) return lookAtKeys
    const known = told + this.fresh
    return known >= this.limit ? askTotals : known + this.hidden >= this.limit ? lookAtKeys : enough
  }

  get isNear(): boolean {
    return this.isFull || this.value + this.written >= nearShare * this.limit
  }

  /** Its keys should be looked at: it is full, and may be so no longer; or more may hide than there is room for. */
  get wantsLook(): boolean {
    return this.isFull || (this.hidden > 0 && this.value + this.grown + this.hidden >= this.limit * 0.95)
  }

  /** The primary has less than when this was measured: some of what is gone may be this tenant's. */
  get hasFallen(): boolean {
    return this.last < this.base - 2 * freeShare * this.limit
  }

  wrote(amount: number): void {
    this.written += amount
    this.fresh += amount
    this.newest += amount
  }

  /** The primary is being asked: so much of what is fresh its answer will be taken to cover. */
  asked(): number {
    const covered = this.fresh - this.newest
    this.newest = 0
    return covered
  }

  /**
   * The primary's answer to the question of `covered`. `share`: this tenant's part of what all tenants with a quota have written
   * since they were measured. undefined: it did not say, so what was written counts.
   */
  told(total: number | undefined, server: string, covered: number, share: number): void {
    this.fresh = Math.max(0, this.fresh - covered)
    const written = this.written - this.fresh
    if (total === undefined) {
      this.grown = written
      this.hidden = 0
    } else {
      // Two servers need not take the same for the same keys: a new primary is taken to begin where the old one ended.
      if (Number.isNaN(this.last)) this.last = total
      if (Number.isNaN(this.base)) this.base = this.last
      if (server !== this.server && this.server !== '') {
        this.base += total - this.last
        this.last = total
      }
      this.server = server
      this.last = total
      this.grown = clamp((total - this.base) * share, written)
      this.hidden = Math.max(0, this.ratio * written - this.grown) + this.unsure
    }
    if (this.isFull) this.decide()
  }

  /** When a look at its keys begins. */
  mark(): MeterMark {
    return { written: this.written, grown: this.grown, total: this.last, server: this.server }
  }

  /**
   * Its keys were looked at, from `mark` until now. A key that was written meanwhile was seen with or without that: by a look at
   * all keys, half of it is taken to be in. The error of a sample (`isWhole` false) is large beside what is known already,
   * so both are weighed by their variances; not where keys were deleted, or are gone.
   */
  measured(found: number, error: number, mark: MeterMark, isWhole: boolean, isStale: boolean): void {
    const inside = isWhole ? 0.5 : 0
    const since = this.written - mark.written
    if (mark.written >= ratioShare * this.limit)
      this.ratio = Math.min(1, Math.max(ratioMin, (found + error - this.value) / mark.written))
    const known = { value: this.value + mark.grown, error: Math.hypot(this.error, this.hidden) }
    const best = isWhole || isStale ? { value: found, error } : weighed({ value: found, error }, known)
    this.value = best.value
    this.error = best.error
    this.written = since * (1 - inside)
    this.fresh = Math.min(this.fresh, this.written)
    this.newest = Math.min(this.newest, this.fresh)
    // Of the growth as the primary told it, what came after the look began, or half of it.
    const from = mark.server === this.server ? mark.total : this.last
    this.base = Number.isNaN(from) ? this.last : from + (this.last - from) * inside
    this.grown = clamp((this.grown - mark.grown) * (1 - inside), this.written - this.fresh)
    this.unsure = this.ratio * since * inside
    this.hidden = this.unsure
    this.decide()
  }

  /** Nobody could look at its keys: what may hide is taken to be there. */
  presume(): void {
    this.isFull = this.value + this.grown + this.hidden >= this.limit
  }

  /** After a look, or with another limit. What is fresh decides nothing: it is only what could have been written. */
  decide(): void {
    this.isFull = this.value + this.grown >= this.limit * (this.isFull ? 1 - freeShare : 1)
  }
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(value, most))
}

interface Reading {
  readonly value: number
  readonly error: number
}

/** Two readings of one thing by the inverse of their variances. */
function weighed(a: Reading, b: Reading): Reading {
  if (a.error === 0) return a
  if (b.error === 0) return b
  const [p, q] = [1 / a.error ** 2, 1 / b.error ** 2]
  return { value: (a.value * p + b.value * q) / (p + q), error: Math.sqrt(1 / (p + q)) }
}
