/**
 * The usage record of a proxy, as text: what it says to the others, and how little of what is found there is believed.
 *
 *     1 4711 500 +                              version, number of the record, ms until the next at the latest, `+`: there
 *     shop 900.2 850 0 0                        was no room for all; then a line for each limit in use: name, wish and share
 *     shop/report 12 40 1048576 2097152         of units per second, wish and share of bytes per second
 *
 * Numbers of records only rise, and an id is drawn anew at each start: whoever sees the number stand still knows, on a clock
 * of its own, that nothing has come. No time is written down.
 */
import { fleetRecordBytesMax, fleetRecordLinesMax } from '../base/limits.ts'

/** Units per second, bytes per second: as they stand in arrays here. */
export const OPS = 0
export const BYTES = 1
export const kinds = [OPS, BYTES] as const
export type Kind = (typeof kinds)[number]

/** Wish and share of units, wish and share of bytes. */
export type Line = readonly [number, number, number, number]

export interface FleetRecord {
  readonly seq: number
  /** The next comes within so many ms. */
  readonly everyMs: number
  /** Some limits in use found no room: of those it holds an equal part. */
  readonly isCut: boolean
  readonly lines: ReadonlyMap<string, Line>
}

const version = '1'
/** A proxy at rest writes once a minute; more than a few of these is nobody's pace. */
const everyMsMax = 600_000

export function encodeRecord(seq: number, everyMs: number, lines: readonly (readonly [string, Line])[]): string {
  let body = ''
  let isCut = lines.length > fleetRecordLinesMax
  for (const [name, line] of lines.slice(0, fleetRecordLinesMax)) {
    const text = `\n${name} ${line.map(numeral).join(' ')}`
    if (body.length + text.length > fleetRecordBytesMax - 64) {
      isCut = true
      break
    }
    body += text
  }
  return `${version} ${seq} ${everyMs}${isCut ? ' +' : ''}${body}`
}

/** Undefined for what we would not have written. */
export function parseRecord(text: string): FleetRecord | undefined {
  if (text.length > fleetRecordBytesMax) return undefined
  const [head = '', ...rest] = text.split('\n')
  const [, seq, every, cut] = /^1 (\d{1,15}) (\d{1,6})( \+)?$/.exec(head) ?? []
  if (seq === undefined || rest.length > fleetRecordLinesMax) return undefined
  const everyMs = Number(every)
  if (everyMs < 1 || everyMs > everyMsMax) return undefined
  const lines = new Map<string, Line>()
  for (const one of rest) {
    const words = one.split(' ')
    const numbers = words.slice(1).map(Number)
    if (words.length !== 5 || words[0] === '' || !numbers.every(isRate)) return undefined
    lines.set(words[0]!, numbers as unknown as Line)
  }
  return { seq: Number(seq), everyMs, isCut: cut !== undefined, lines }
}

function isRate(it: number): boolean {
  return it >= 0 && it <= Number.MAX_SAFE_INTEGER
}

/** To a thousandth: what is held is never more than was said. */
function numeral(it: number): string {
  return String(Math.round(it * 1000) / 1000)
}
