/**
 * Long work that nobody's command must wait for (a scrape, a list for people, a reload) in slices, between which the event loop
 * serves others. What is worked on can change between two slices: who uses this says what its result is then.
 *
 *   for (const row of rows) {
 *     take(row)
 *     if (slices.isOver) await slices.rest()
 *   }
 *
 * ~ a window: setImmediate.
 */
import { systemClock } from './clock.ts'

/** A turn of the event loop may last 5 ms, and others have work in it too; also on a machine a fourth as fast. */
const sliceMs = 1

export class Slices {
  readonly #now: () => number
  readonly #next: () => Promise<void>
  #endsAtMs: number

  /** For one piece of work. `next`: resolves in a later turn. */
  constructor(now: () => number = systemClock.now, next: () => Promise<void> = laterTurn) {
    this.#now = now
    this.#next = next
    this.#endsAtMs = now() + sliceMs
  }

  /** Costs a look at the clock: to be asked after what takes a microsecond and more. */
  get isOver(): boolean {
    return this.#now() >= this.#endsAtMs
  }

  /** Others have a turn; then the next slice begins. */
  async rest(): Promise<void> {
    await this.#next()
    this.#endsAtMs = this.#now() + sliceMs
  }
}

const laterTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/**
 * A list, or a map, that is made as it is written down: of a thousand rows none is kept, which the garbage collector would have to
 * copy. Once.
 */
export class Rows {
  readonly rows: Iterable<unknown>

  constructor(rows: Iterable<unknown>) {
    this.rows = rows
  }

  static of<T>(items: Iterable<T>, make: (item: T) => unknown): Rows {
    return new Rows(
      (function* () {
        for (const item of items) yield make(item)
      })(),
    )
  }
}

export class Entries {
  readonly entries: Iterable<readonly [string, unknown]>

  constructor(entries: Iterable<readonly [string, unknown]>) {
    this.entries = entries
  }
}

/** So many entries, or elements, are written in one go. */
const wholeMax = 64
const pieceChars = 32 * 1024

/**
 * `JSON.stringify(value)` in pieces of bytes, made in slices: of what has many entries, one after the other. For data, without
 * `toJSON`, and for Rows and Entries; nobody may change it before this resolves.
 */
export async function jsonPieces(value: unknown, slices: Slices): Promise<Buffer[]> {
  const pieces: Buffer[] = []
  let text = ''
  const put = async (more: string): Promise<void> => {
    text += more
    if (text.length >= pieceChars) {
      pieces.push(Buffer.from(text))
      text = ''
    }
    if (slices.isOver) await slices.rest()
  }
  const write = async (it: unknown, depth: number): Promise<void> => {
    if (typeof it !== 'object' || it === null || depth > 2 || isSmall(it)) return put(JSON.stringify(it))
    const isList = it instanceof Rows || Array.isArray(it)
    let mark = isList ? '[' : '{'
    for (const [key, inner] of entriesOf(it)) {
      if (!isList && inner === undefined) continue
      await put(isList ? mark : `${mark}${JSON.stringify(key)}:`)
      await write(inner ?? null, depth + 1)
      mark = ','
    }
    await put(mark === ',' ? (isList ? ']' : '}') : isList ? '[]' : '{}')
  }
  await write(value, 0)
  if (text !== '') pieces.push(Buffer.from(text))
  return pieces
}

function* entriesOf(it: object): Iterable<readonly [string, unknown]> {
  if (it instanceof Rows) for (const row of it.rows) yield ['', row]
  else yield* it instanceof Entries ? it.entries : Object.entries(it)
}

/** Few entries, none of which has many. */
function isSmall(it: object): boolean {
  if (it instanceof Rows || it instanceof Entries) return false

  const count = (of: unknown): number =>
    typeof of === 'object' && of !== null ? (Array.isArray(of) ? of.length : Object.keys(of).length) : 0
  if (count(it) > wholeMax) return false
  for (const inner of Object.values(it))
    if (inner instanceof Rows || inner instanceof Entries || count(inner) > wholeMax) return false
  return true
}
