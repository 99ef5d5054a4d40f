/**
 * A cell is one kind of load, written `op[+option...]:bytes:clients:pipeline` (get:128:50:16, mix+split:128:50:16). Pure.
 * What a change may not fall through is in bars.ts.
 */

/** What is sent, and what counts as one command of it. */
export const operations = {
  get: 'GET of one of 1,000 keys',
  set: 'SET of one of them',
  mix: 'SET and GET in turn',
  mix10: 'one SET to ten GET',
  mget: 'MGET of 100 keys; one command',
  multi: 'MULTI, SET, GET, EXEC; one command together',
  evalsha: 'EVALSHA of a script with one GET',
  pubsub: 'one publisher, and as many subscribers as the cell has clients; each delivery is one command',
} as const
export type Operation = keyof typeof operations

export const cellOptions = {
  split:
    'a replica in the region of the proxy: reads go there; at session level and, as a line of its own, at eventual',
  tenants: 'the clients are of 100 tenants',
  resp3: 'the clients speak RESP3',
  tls: 'the clients come over TLS',
} as const
export type CellOption = keyof typeof cellOptions

export interface Cell {
  readonly name: string
  readonly op: Operation
  readonly options: readonly CellOption[]
  /** Of a value, or of a message. */
  readonly bytes: number
  readonly clients: number
  readonly pipeline: number
}

const isOperation = (text: string): text is Operation => Object.hasOwn(operations, text)
const isOption = (text: string): text is CellOption => Object.hasOwn(cellOptions, text)

export function parseCell(name: string): Cell {
  const match = /^([a-z0-9]+)((?:\+[a-z0-9]+)*):(\d+):(\d+):(\d+)$/.exec(name)
  const wrong = (why: string) => new Error(`not a cell: ${name} (${why})`)
  if (match === null) throw wrong('op[+option]:bytes:clients:pipeline, such as get:128:50:16')
  const [, op = '', plus = ''] = match
  if (!isOperation(op)) throw wrong(`no operation ${op}: ${Object.keys(operations).join(', ')}`)
  const options = plus.split('+').filter((one) => one !== '')
  if (!options.every(isOption)) throw wrong(`options are ${Object.keys(cellOptions).join(', ')}`)
  if (new Set(options).size !== options.length) throw wrong('an option twice')
  const [bytes, clients, pipeline] = match.slice(3).map(Number) as [number, number, number]
  if (bytes < 1 || clients < 1 || pipeline < 1) throw wrong('numbers from 1')
  return { name, op, options, bytes, clients, pipeline }
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

/** `growth` is no list of cells: growth.bench.ts. */
export const cellSets = {
  quick: 'get/set:128:50:{1,16}',
  acceptance:
    'get/set:128:50:{1,16,64},get/set:4096:50:16,get/set:128:500:1,get:128:1:1,get+split/mix+split/mix10+split:128:50:16,mix10+split:128:50:1',
  wide:
    'get:3:50:{1,16,64},mix/mix10:128:50:{1,16},get:128:5000:1,get+tenants/mix+tenants:128:100:{1,16},' +
    'mget:128:50:1,multi:128:50:{1,16},evalsha:128:50:{1,16},pubsub:128:100:16,get+resp3:128:50:{1,16},' +
    'get+tls:128:50:{1,16}',
  compare: 'get/set:128:50:{1,16,64},get/set:4096:50:16,get:128:500:1,get:128:1:1',
} as const
export type CellSet = keyof typeof cellSets
