/**
 * What the Sentinels say, counted. Pure arithmetic over their newest answers; who asks them is sentinel-link.ts, what
 * follows from it is discovery.ts.
 *
 * A Sentinel says which address is the master, and in which *configuration epoch* it learnt so. Of two words the one with
 * the higher epoch is the newer: each failover has an epoch of its own, given by a majority of the Sentinels (sentinel.c,
 * sentinelStartFailoverIfNeeded and sentinelSelectSlave; the hello messages spread it). Hence:
 *
 * - once an epoch was heard of, from anybody, words of older ones count no more: a Sentinel that has not heard yet cannot
 *   bring the old primary back;
 * - an address is named when more than half of all Sentinels say it in the newest epoch, asked within the last two seconds.
 *
 * All Sentinels: those of the configuration, or as many as they know of themselves, whichever is more. One that is away
 * counts as one that says nothing.
 */

export interface SentinelWord {
  /** Our clock before it was asked: it was true then or later. */
  readonly askedAtMs: number
  readonly host: string
  readonly port: number
  readonly configEpoch: number
  /** Ids of the other Sentinels that it knows. */
  readonly others: readonly string[]
}

export interface Standing {
  /** The place (see `placeOf`) that a majority names; undefined: there is none. */
  readonly named: string | undefined
  /** Sentinels that were heard within the time, how many there are, and how many must agree. */
  readonly heard: number
  readonly all: number
  readonly needed: number
  /** Places that somebody names in the newest epoch. */
  readonly places: readonly string[]
  readonly epoch: number
}

/** A word is believed for this long. */
export const wordFreshMs = 2_000
/**
 * When nobody speaks of the newest epoch any more for this long, and a majority agrees in an older one, that is the newest:
 * somebody has told the Sentinels to forget the master and watch it anew (SENTINEL REMOVE, MONITOR), which starts at 0.
 */
export const epochForgottenMs = 10_000

/** Ids are drawn anew where a Sentinel loses its file: those that went are dropped above this. */
const wordsMax = 64

export class SentinelVotes {
  private readonly words = new Map<string, SentinelWord>()
  private readonly configured: number
  /** The newest configuration epoch that anybody has spoken of, or that must come after a switch was announced. */
  private epoch = 0
  private epochSpokenAtMs = Number.NEGATIVE_INFINITY
  /** Of the switch that was announced and of which nobody has spoken in an answer yet. */
  private awaited: string | undefined

  /** `configured`: how many Sentinels the configuration lists. */
  constructor(configured: number) {
    this.configured = configured
  }

  /** The newest answer of the Sentinel with this id. */
  note(id: string, word: SentinelWord): void {
    this.words.set(id, word)
    if (this.words.size > wordsMax) this.dropOld(word.askedAtMs)
    if (word.configEpoch < this.epoch) return
    this.awaited = undefined
    this.epoch = word.configEpoch
    this.epochSpokenAtMs = word.askedAtMs
  }

  forget(id: string): void {
    this.words.delete(id)
  }

  /**
   * A switch to this place was announced: what was said until now is of an epoch that is over. Every Sentinel announces it,
   * perhaps before any has answered: together they end one epoch, or nobody would ever speak of the newest.
   */
  endEpoch(now: number, place: string): void {
    if (place === this.awaited) return
    this.awaited = place
    this.epoch++
    this.epochSpokenAtMs = now
  }

  /** A failover of this epoch has been decided on: what is said of older ones is over. False: it is no newer. */
  beginEpoch(epoch: number, now: number, place: string): boolean {
    if (epoch <= this.epoch) return false
    this.epoch = epoch
    this.epochSpokenAtMs = now
    this.awaited = place
    return true
  }

  private dropOld(now: number): void {
    for (const [id, word] of this.words) if (now - word.askedAtMs > wordFreshMs) this.words.delete(id)
  }

  standing(now: number, placeOf: (host: string, port: number) => string): Standing {
    const fresh = [...this.words].filter(([, word]) => now - word.askedAtMs <= wordFreshMs)
    const ids = new Set(fresh.flatMap(([id, word]) => [id, ...word.others]))
    const all = Math.max(this.configured, ids.size)
    const needed = Math.floor(all / 2) + 1
    this.forgetEpoch(fresh, needed, now)
    const votes = new Map<string, number>()
    for (const [, word] of fresh) {
      if (word.configEpoch !== this.epoch) continue
      const place = placeOf(word.host, word.port)
      votes.set(place, (votes.get(place) ?? 0) + 1)
    }
    const named = [...votes].find(([, count]) => count >= needed)?.[0]
    return { named, heard: fresh.length, all, needed, places: [...votes.keys()], epoch: this.epoch }
  }

  private forgetEpoch(fresh: readonly (readonly [string, SentinelWord])[], needed: number, now: number): void {
    if (fresh.length < needed || now - this.epochSpokenAtMs < epochForgottenMs) return
    if (fresh.some(([, word]) => word.configEpoch >= this.epoch)) return
    this.awaited = undefined
    this.epoch = Math.max(...fresh.map(([, word]) => word.configEpoch))
    this.epochSpokenAtMs = now
  }
}
