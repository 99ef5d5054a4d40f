/**
 * What a command costs, in units: the one price list of `ops` quotas. Pure, by tables, in a few steps whatever the size of
 * the request.
 *
 *   when it is sent      1, + 1 for each key beyond the first, + 1 for each 4 KiB of request begun beyond the first
 *   when it is answered  1 for each 4 KiB of reply beyond the first (tenant-quota.ts, in bulk), and a script's time: as a debt
 *
 * docs/quotas.md shows it, made from the rows below.
 */
import { type Argv, isWord, readInteger } from '../commands/keys.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { FINDER, KEYS } from '../commands/spec.ts'

/** Bytes of a request, and of a reply, that one unit pays for. */
export const unitBytes = 4096
/** A script's time on the server that one unit pays for, ms. */
export const unitScriptMs = 0.1
/** Of a script's time so much is taken to be the way there and back, and is not charged, ms. */
export const scriptFreeMs = 1

/** Words of XREAD and XREADGROUP that may stand before STREAMS: COUNT n BLOCK ms NOACK CLAIM ms GROUP group consumer. */
const streamsWithin = 12

/** What is not 1 at its base, and why: a row each, for docs/quotas.md. */
export interface CostRow {
  readonly commands: readonly string[]
  readonly units: number
  readonly why: string
}

export const costRows: readonly CostRow[] = [
  {
    commands: ['auth', 'hello', 'quit', 'reset'],
    units: 0,
    why: 'whoever is refused must be able to log in, and to leave',
  },
  {
    commands: ['discard'],
    units: 0,
    why: 'ends a transaction, which has been charged for as it was queued',
  },
  {
    commands: ['scan', 'randomkey'],
    units: 10,
    why: 'looks at up to 5,000 names of the server, some milliseconds of it',
  },
  {
    commands: ['keys', 'dbsize', 'flushdb', 'flushall'],
    units: 100,
    why: 'walks over all names of the server',
  },
]

/** Each argument beyond the first is as a key: every name is looked up, kept and sent to the servers. */
export const perNameCommands: readonly string[] = [
  ...['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe'],
]

const byNone = 0
const byRange = 1
const byNumber = 2
const byStreams = 3
const byNames = 4

/** What a script owes for its time, of which a part was the way to the node and back. */
export function unitsOfScript(ms: number, rttMs: number): number {
  const own = ms - scriptFreeMs - (Number.isFinite(rttMs) ? rttMs : 0)
  return own > 0 ? Math.ceil(own / unitScriptMs) : 0
}

export class Costs {
  private readonly base: Float64Array
  /** 1: a small request costs one unit, whatever its arguments. Nearly all are such. */
  readonly isOne: Uint8Array
  /** How its keys are counted. */
  private readonly how: Uint8Array
  private readonly table: CommandTable

  constructor(table: CommandTable) {
    this.table = table
    this.base = new Float64Array(table.specs.length).fill(1)
    this.how = new Uint8Array(table.specs.length)
    for (const { id } of table.specs) this.how[id] = howCounted(table, id)
    for (const { commands, units } of costRows) for (const name of commands) this.base[table.byName(name)!.id] = units
    for (const name of perNameCommands) this.how[table.byName(name)!.id] = byNames
    this.isOne = Uint8Array.from(this.how, (how, id) => (how === byNone && this.base[id] === 1 ? 1 : 0))
  }

  /** Units of this request, whose arity was checked, of so many bytes. */
  unitsOf(id: number, argv: Argv, bytes: number): number {
    return this.isOne[id] === 1 && bytes <= unitBytes ? 1 : this.priceOf(id, argv, bytes)
  }

  private priceOf(id: number, argv: Argv, bytes: number): number {
    const how = this.how[id]!
    let units = this.base[id]!
    if (how !== byNone) units += this.keysBeyondFirst(how, id, argv)
    return bytes <= unitBytes ? units : units + Math.floor((bytes - 1) / unitBytes)
  }

  /** Counted, not found: whether they are where they should be is looked at on the way to a node. */
  private keysBeyondFirst(how: number, id: number, argv: Argv): number {
    const { table } = this
    const { count } = argv
    switch (how) {
      case byRange: {
        const first = table.keyFirst[id]!
        const last = table.keyLast[id]!
        return Math.max(0, Math.floor(((last < 0 ? count + last : last) - first) / table.keyStep[id]!))
      }
      case byNumber: {
        const at = table.keyFirst[id]!
        const number = at < count ? readInteger(argv, at) : Number.NaN
        // What is no number, or more than there are arguments, is refused: for one unit.
        const keys = number > 0 && number <= count ? number : 0
        return Math.max(0, keys - 1 + (table.keyLast[id] === 0 ? 0 : 1))
      }
      case byStreams: {
        for (let i = 1; i < count && i <= streamsWithin; i++)
          if (isWord(argv, i, 'streams')) return Math.max(0, Math.floor((count - i - 1) / 2) - 1)
        return 0
      }
      default:
        return Math.max(0, count - 2)
    }
  }
}

function howCounted(table: CommandTable, id: number): number {
  if (table.keyMode[id] === KEYS.range) return table.keyFirst[id] === table.keyLast[id] ? byNone : byRange
  if (table.keyMode[id] === KEYS.none) return byNone
  if (table.finder[id] === FINDER.numkeys) return byNumber
  return table.finder[id] === FINDER.streams ? byStreams : byNone
}
