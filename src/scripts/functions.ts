/**
 * Libraries and functions of a tenant. To Redis their names are one list for all, so each carries its tenant's mark
 * upstream: the library's in the first line of its text, the functions' by a prelude that wraps redis.register_function.
 * On the way back the mark comes off, and FUNCTION LIST shows the text that the client brought. Pure.
 */
import { createHmac } from 'node:crypto'
import { encodeRequest } from '../resp/encode.ts'
import { elements, readHead, skip, TYPE } from '../resp/reply-walk.ts'
import { remakeTailCalls } from './lua-source.ts'
import { preludeEnd } from './prelude.ts'
import { isError, renameInError } from './script-reply.ts'
import type { Prepared, TenantScripts } from './scripts.ts'
import { libraryHeaderError, libraryHeaderOf } from './shebang.ts'

/**
 * Names may have letters, digits and underscores only, so it is no prefix; 128 bits make it one tenant's alone. Derived from a
 * secret: code that gets past the prelude registers what names it likes, and must not be able to make another tenant's.
 */
export function libraryMark(tenant: string, secret: string): string {
  return `regis_${createHmac('sha256', `regis functions ${secret}`).update(tenant).digest('hex').slice(0, 32)}_`
}

/** FCALL, FCALL_RO, FUNCTION LOAD, DELETE and LIST. `argv` is changed. */
export function prepareFunction(mine: TenantScripts, name: string, argv: Buffer[]): Prepared {
  const { mark } = mine
  const unmark = (reply: Buffer): Buffer => renameInError(reply, mark, '', 1)
  switch (name) {
    case 'fcall':
    case 'fcall_ro':
      argv[1] = marked(mark, argv[1]!)
      return { frame: encodeRequest(argv), transform: unmark }
    case 'function|delete':
      argv[2] = marked(mark, argv[2]!)
      return { frame: encodeRequest(argv), transform: unmark }
    case 'function|load': {
      const code = argv.at(-1)!
      const error = libraryHeaderError(code)
      if (error !== undefined) return { reply: Buffer.from(`-${error}\r\n`, 'latin1') }
      argv[argv.length - 1] = upstreamLibrary(mine, code)
      const library = libraryHeaderOf(code)!.name
      const answer = Buffer.from(`$${library.length}\r\n${library}\r\n`)
      return {
        frame: encodeRequest(argv),
        transform: (reply) => (isError(reply) ? inRedisWords(unmark(reply)) : answer),
      }
    }
    default:
      return { frame: encodeRequest(listRequest(mark, argv)), transform: (reply) => listToClient(mark, reply) }
  }
}

/** Errors that the prelude of libraries raises where Redis would (prelude.ts), and Redis's own texts (function_lua.c). */
const ofThePrelude: readonly (readonly [RegExp, string])[] = [
  [/bad argument #1 to 'dump' \([^)]*\)/, 'second argument to redis.register_function must be a function'],
  [/bad argument #1 to 'callback' \([^)]*\)/, 'callback argument given to redis.register_function must be a function'],
  [/attempt to concatenate local 'a' \([^)]*\)/, 'first argument to redis.register_function must be a string'],
  [
    /attempt to concatenate local 'n' \([^)]*\)/,
    'function_name argument given to redis.register_function must be a string',
  ],
]

function inRedisWords(reply: Buffer): Buffer {
  const text = reply.toString('latin1')
  const said = ofThePrelude.reduce((words, [from, to]) => words.replace(from, to), text)
  return said === text ? reply : Buffer.from(said, 'latin1')
}

const marked = (mark: string, name: Buffer): Buffer => Buffer.concat([Buffer.from(mark), name])

/** FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE], of this tenant's libraries. A mark has no glob sign in it. */
export function listRequest(mark: string, argv: readonly Buffer[]): Buffer[] {
  const request = [...argv]
  let hasPattern = false
  for (let i = 2; i < request.length && !hasPattern; i++) {
    if (request[i]!.toString('latin1').toLowerCase() !== 'libraryname') continue
    hasPattern = true
    if (i + 1 < request.length) request[i + 1] = marked(mark, request[i + 1]!)
  }
  return hasPattern ? request : [...request, Buffer.from('LIBRARYNAME'), Buffer.from(`${mark}*`)]
}

function upstreamLibrary(mine: TenantScripts, code: Buffer): Buffer {
  const { length } = libraryHeaderOf(code)!
  const header = code.toString('latin1', 0, length).replace(/name=/i, (it) => it + mine.mark)
  const rest = code.toString('latin1', length)
  const body = mine.mode === 'any' ? mine.read(rest) : rest
  return Buffer.from(header + mine.functionPrelude + body, 'latin1')
}

/** The text as its client brought it. */
function ownLibrary(mark: string, code: string): string {
  const line = code.indexOf('\n') + 1
  const end = code.indexOf(preludeEnd, line)
  const rest = end < 0 ? code.slice(line) : code.slice(end + preludeEnd.length + 1)
  return code.slice(0, line).replace(mark, '') + remakeTailCalls(rest)
}

interface Edit {
  readonly from: number
  readonly to: number
  readonly text: Buffer
}

/** FUNCTION LIST's reply in the client's names; undefined when a library is not this tenant's. */
export function listToClient(mark: string, reply: Buffer): Buffer | undefined {
  if (isError(reply)) return reply
  const edits: Edit[] = []
  const rename = (at: number): boolean => {
    const name = bulkAt(reply, at)
    if (name === undefined || !name.startsWith(mark)) return false
    edits.push(edit(reply, at, name.slice(mark.length)))
    return true
  }
  for (const library of elements(reply, 0, reply.length)) {
    for (const [field, at] of fieldsOf(reply, library)) {
      if (field === 'library_name' && !rename(at)) return undefined
      if (field === 'library_code') edits.push(edit(reply, at, ownLibrary(mark, bulkAt(reply, at) ?? '')))
      if (field !== 'functions') continue
      for (const fn of elements(reply, at, reply.length))
        for (const [part, place] of fieldsOf(reply, fn)) if (part === 'name' && !rename(place)) return undefined
    }
  }
  return applied(reply, edits)
}

function applied(reply: Buffer, edits: readonly Edit[]): Buffer {
  const pieces: Buffer[] = []
  let from = 0
  for (const it of edits) {
    pieces.push(reply.subarray(from, it.from), it.text)
    from = it.to
  }
  pieces.push(reply.subarray(from))
  return Buffer.concat(pieces)
}

function edit(reply: Buffer, at: number, text: string): Edit {
  const bytes = Buffer.from(text, 'latin1')
  const whole = Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
  return { from: at, to: skip(reply, at, reply.length), text: whole }
}

/** Pairs of a map, or of the flat array that it is on RESP2. */
function* fieldsOf(reply: Buffer, pos: number): Iterable<readonly [string, number]> {
  const parts = elements(reply, pos, reply.length)
  for (let i = 0; i + 1 < parts.length; i += 2) yield [bulkAt(reply, parts[i]!) ?? '', parts[i + 1]!]
}

function bulkAt(reply: Buffer, pos: number): string | undefined {
  const head = readHead(reply, pos, reply.length)
  if (head === undefined || head.count < 0) return undefined
  if (head.type === TYPE.bulk || head.type === TYPE.verbatim)
    return reply.toString('latin1', head.next, head.next + head.count)
  return undefined
}

/** Names and numbers of a FUNCTION LIST reply in the client's names: for FUNCTION STATS and FLUSH. */
export function librariesIn(reply: Buffer): { name: string; functions: number }[] {
  const found: { name: string; functions: number }[] = []
  if (isError(reply)) return found
  for (const library of elements(reply, 0, reply.length)) {
    let name = ''
    let functions = 0
    for (const [field, at] of fieldsOf(reply, library)) {
      if (field === 'library_name') name = bulkAt(reply, at) ?? ''
      if (field === 'functions') functions = elements(reply, at, reply.length).length
    }
    found.push({ name, functions })
  }
  return found
}
