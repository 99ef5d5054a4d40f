/**
 * A cell is one kind of load, written `op:bytes:clients:pipeline` (get:128:50:16). The floors are what a change may not
 * fall through: ratios to twemproxy of the same run, because only ratios inside one run mean anything.
 */
export interface Cell {
  readonly name: string
  readonly op: 'get' | 'set'
  readonly bytes: number
  readonly clients: number
  readonly pipeline: number
}

export function parseCell(name: string): Cell {
  const match = /^(get|set):(\d+):(\d+):(\d+)$/.exec(name)
  if (match === null) throw new Error(`not a cell: ${name} (op:bytes:clients:pipeline, such as get:128:50:16)`)
  const [bytes, clients, pipeline] = match.slice(2).map(Number) as [number, number, number]
  if (bytes < 1 || clients < 1 || pipeline < 1) throw new Error(`not a cell: ${name} (numbers from 1)`)
  return { name, op: match[1] as 'get' | 'set', bytes, clients, pipeline }
}

/** `get/set:128:50:{1,16,64}` -> six names, in the order written. */
export function expandCells(pattern: string): string[] {
  const splitOutside = (text: string) => text.split(/,(?![^{]*\})/)
  return splitOutside(pattern).flatMap((one) => {
    let names = [one.trim()]
    const braces = /\{([^}]*)\}/.exec(one)
    if (braces !== null) {
      names = (braces[1] ?? '').split(',').flatMap((item) => expandCells(one.trim().replace(braces[0], item)))
    }
    return names.flatMap((name) => {
      const [ops = '', ...rest] = name.split(':')
      return ops.split('/').map((op) => [op, ...rest].join(':'))
    })
  })
}

export const defaultCells =
  'get/set:128:50:{1,16,64},get:4096:50:16,set:4096:50:16,get:128:500:1,get:128:1:1,get:3:50:{1,16,64}'

export interface Floor {
  readonly cell: string
  /** cpu: of the proxy per command; p50: latency. Both are ratios to twemproxy. */
  readonly what: 'cpu' | 'p50'
  readonly max: number
}

export const defaultFloors: readonly Floor[] = [
  { cell: 'get:128:50:1', what: 'cpu', max: 1.15 },
  { cell: 'set:128:50:1', what: 'cpu', max: 1.15 },
  { cell: 'get:128:50:16', what: 'cpu', max: 0.28 },
  { cell: 'set:128:50:16', what: 'cpu', max: 0.35 },
  { cell: 'get:128:50:64', what: 'cpu', max: 0.13 },
  { cell: 'get:4096:50:16', what: 'cpu', max: 0.45 },
  { cell: 'set:4096:50:16', what: 'cpu', max: 0.8 },
  { cell: 'get:128:500:1', what: 'cpu', max: 1.05 },
  { cell: 'get:128:1:1', what: 'p50', max: 1.15 },
]

/** `get:128:50:16=0.28` or `get:128:1:1/p50=1.15`; replaces the default of that cell. */
export function parseFloor(text: string): Floor {
  const match = /^([a-z]+:\d+:\d+:\d+)(?:\/(cpu|p50))?=(\d*\.?\d+)$/.exec(text)
  if (match === null) throw new Error(`not a floor: ${text} (get:128:50:16=0.28, get:128:1:1/p50=1.15)`)
  return { cell: parseCell(match[1] ?? '').name, what: (match[2] as Floor['what']) ?? 'cpu', max: Number(match[3]) }
}

export function withFloors(base: readonly Floor[], own: readonly Floor[]): Floor[] {
  return [...base.filter((b) => !own.some((o) => o.cell === b.cell && o.what === b.what)), ...own]
}
