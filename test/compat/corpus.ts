/**
 * The cases that are run straight to Redis and through Regis: sequences of commands as a person would type them, by
 * family, in corpus-*.ts. Here: how they are written, how they are read, and the two lists of exceptions with their
 * reasons. Running and comparing: differential.ts.
 *
 *   # title of a case            a case begins on an empty keyspace
 *   SET k "a\r\n\x00b"           redis-cli's quoting; {x*1000} is x a thousand times
 *   ~chance SPOP s               compared by shape (`order`: in any order), for the reason `chance`
 *   !block XREAD BLOCK 1 ...      answers otherwise, for the reason `block`: see `differences`
 */
import { collections } from './corpus-collections.ts'
import { edges } from './corpus-edges.ts'
import { keyspace } from './corpus-keyspace.ts'
import { streams } from './corpus-streams.ts'
import { strings } from './corpus-strings.ts'
import { waiting } from './corpus-waiting.ts'
import { zsets } from './corpus-zsets.ts'

/** Why a reply cannot be the same bytes twice, not even from Redis itself. Types, counts and errors still must be. */
export const shapeReasons = {
  chance: 'a random member',
  clock: 'the time, or the rest of a time',
  clockId: 'an entry id that the server draws from its clock',
  order: "the order of the server's own hash table",
  name: "counts the bytes of the key's own name, which is longer by the prefix",
} as const

/** Where Regis answers otherwise on purpose, and what it answers. `straight` is what Redis says. */
export const differences = {
  administration: {
    why: 'tells of the server, which all tenants share',
    through: "-NOPERM this user has no permissions to run the 'lastsave' command\r\n",
  },
} as const satisfies Record<string, { readonly why: string; readonly through: string | RegExp }>

export interface Step {
  readonly argv: readonly Buffer[]
  readonly shape?: keyof typeof shapeReasons
  readonly difference?: keyof typeof differences
}

export interface Case {
  readonly family: string
  readonly title: string
  readonly steps: readonly Step[]
}

/** Splits a line as redis-cli does (sds.c, sdssplitargs), and takes {x*n}. Strings are UTF-8. */
export function splitLine(line: string): Buffer[] {
  const args: Buffer[] = []
  const word = /\s*(?:"((?:\\.|[^"\\])*)"|\{([^}*]+)\*(\d+)\}|(\S+))/gy
  for (let at = 0; line.slice(at).trim() !== ''; at = word.lastIndex) {
    word.lastIndex = at
    const found = word.exec(line)
    if (found === null) throw new Error(`cannot read: ${line}`)
    const [, quoted, unit, times, plain] = found
    if (unit !== undefined) args.push(Buffer.from(unit.repeat(Number(times))))
    else if (quoted !== undefined) args.push(unquote(quoted))
    else args.push(Buffer.from(plain!))
  }
  return args
}

function unquote(text: string): Buffer {
  const bytes = Buffer.from(text).toString('latin1')
  const plain = bytes.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/gs, (_, hex: string | undefined, one: string) =>
    hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : ({ n: '\n', r: '\r', t: '\t' }[one] ?? one),
  )
  return Buffer.from(plain, 'latin1')
}

export function parseCases(family: string, text: string): Case[] {
  const cases: { family: string; title: string; steps: Step[] }[] = []
  for (const line of text.split('\n').map((one) => one.trim())) {
    if (line === '') continue
    if (line.startsWith('# ')) {
      cases.push({ family, title: line.slice(2), steps: [] })
      continue
    }
    const [, sign, reason, rest = ''] = /^(?:([~!])(\w+) )?(.*)$/.exec(line)!
    if (sign === '~' && !Object.hasOwn(shapeReasons, reason!)) throw new Error(`no such reason: ${line}`)
    if (sign === '!' && !Object.hasOwn(differences, reason!)) throw new Error(`no such difference: ${line}`)
    cases.at(-1)!.steps.push({
      argv: splitLine(rest),
      ...(sign === '~' ? { shape: reason as keyof typeof shapeReasons } : {}),
      ...(sign === '!' ? { difference: reason as keyof typeof differences } : {}),
    })
  }
  return cases
}

export const corpus: readonly Case[] = Object.entries({
  ...strings,
  ...collections,
  ...zsets,
  ...streams,
  ...keyspace,
  ...edges,
  ...waiting,
}).flatMap(([family, text]) => parseCases(family, text))
