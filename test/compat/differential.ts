/**
 * Runs cases straight to Redis and through Regis and says where they differ. Both runs use the same server and the same
 * database, one after the other, each on an empty keyspace: what depends on the server's hash seed is then the same
 * too, and the bytes of the replies can be compared. Only what corpus.ts marks, with its reason, is compared otherwise.
 */
import type { RedisServer } from '../../src/demo/redis-server.ts'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, decode, ErrorReply, Tagged } from '../kit/resp.ts'
import { rawClient } from '../kit/servers.ts'
import { type Case, differences, type Step } from './corpus.ts'

/** How the bytes of a case reach the server. */
export type Delivery = 'one by one' | 'in one write' | 'in slices' | 'inline'

/** What came of a case: a reply a step, the exact bytes as latin1, and the names of the keys that it left. */
export interface Outcome {
  readonly replies: readonly string[]
  readonly keys: readonly string[]
}

/** A client that has said HELLO; with a user it has logged in. */
export async function greet(port: number, resp: 2 | 3, user?: string): Promise<RawClient> {
  const client = await rawClient(port)
  const reply = await client.call('HELLO', resp, ...(user === undefined ? [] : ['AUTH', user, 'demo']))
  if (reply instanceof ErrorReply) throw new Error(reply.message)
  return client
}

/** Runs a case on an empty keyspace and leaves one. */
export async function runCase(
  client: RawClient,
  server: RedisServer,
  one: Case,
  delivery: Delivery,
  afterStep?: (step: Step) => Promise<void>,
): Promise<Outcome> {
  await server.call('FLUSHALL')
  const replies: string[] = []
  if (delivery === 'one by one') {
    for (const step of one.steps) {
      replies.push(await client.callRaw(...step.argv))
      await afterStep?.(step)
    }
  } else {
    const encode = delivery === 'inline' ? inlineLine : command
    const bytes = Buffer.concat(one.steps.map((step) => encode(...step.argv)))
    if (delivery !== 'in slices') client.send(bytes)
    else await sendInSlices(client, bytes)
    for (const _ of one.steps) replies.push(await client.readRaw())
  }
  const keys = (await server.call('KEYS', '*')) as string[]
  return { replies, keys: keys.map(String).sort() }
}

/** A command as a person at a telnet types it: words as they are where they can be, else in quotes with escapes. */
function inlineLine(...argv: readonly Buffer[]): Buffer {
  const words = argv.map((arg, i) => {
    const text = arg.toString('latin1')
    if (/^[\w.:*<>$+-]+$/.test(text)) return text
    // Both kinds of quotes, in turn: '...' knows no escape but its own.
    if (i % 2 === 0 && /^[ -&(-[\]-~]*$/.test(text)) return `'${text}'`
    return `"${[...arg].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`
  })
  return Buffer.from(`${words.join(' ')}${argv.length % 2 === 0 ? '\r\n' : '\n'}`, 'latin1')
}

/** Whether Redis takes all steps of a case as inline commands: a line has at most 64 KiB. */
export function canBeInline(one: Case): boolean {
  return one.steps.every((step) => 4 * step.argv.reduce((total, arg) => total + arg.length + 1, 0) < 60_000)
}

/** Cuts in the middle of headers, of CRLFs and of values; each slice in a packet of its own, or nearly so. */
async function sendInSlices(client: RawClient, bytes: Buffer): Promise<void> {
  let size = 1
  for (let at = 0; at < bytes.length; at += size) {
    // 1 to 23 bytes near the start, then longer ones, so that a value of megabytes does not take seconds.
    size = at < 600 ? 1 + ((at * 7) % 23) : 1 + Math.floor(at / 3)
    client.send(bytes.subarray(at, at + size))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** What differs that may not, one line each. */
export function compare(one: Case, straight: Outcome, through: Outcome, prefix: string, isOrdered = true): string[] {
  const complaints: string[] = []
  const say = (step: Step, what: string, a: string, b: string) => {
    const line = step.argv.map((arg) => short(arg.toString('latin1'))).join(' ')
    complaints.push(`${one.family}, ${one.title}: ${line}: ${what}\n  straight ${short(a)}\n  through  ${short(b)}`)
  }
  for (const [i, step] of one.steps.entries()) {
    const a = straight.replies[i] ?? ''
    const b = through.replies[i] ?? ''
    if (step.difference !== undefined) {
      const { through: expected } = differences[step.difference] as { readonly through: string | RegExp }
      if (a === b) say(step, `the difference ${step.difference} is gone`, a, b)
      else if (typeof expected === 'string' ? b !== expected : !expected.test(b)) say(step, 'another difference', a, b)
    } else if (step.shape === 'order') {
      if (sorted(a) !== sorted(b)) say(step, 'other members', a, b)
    } else if (step.shape !== undefined) {
      if (shape(a) !== shape(b)) say(step, `another shape (${step.shape})`, shape(a), shape(b))
    } else if (a !== b && (isOrdered || sorted(a) !== sorted(b))) say(step, 'other bytes', a, b)
  }
  const expected = straight.keys.map((key) => prefix + key).sort()
  const isSame = expected.length === through.keys.length && expected.every((key, i) => key === through.keys[i])
  if (!isSame) complaints.push(`${one.family}, ${one.title}: left keys ${short(through.keys.join(' '))}`)
  return complaints
}

function short(text: string): string {
  const quoted = JSON.stringify(text)
  return quoted.length <= 400 ? quoted : `${quoted.slice(0, 200)}...${quoted.slice(-100)} (${text.length} bytes)`
}

function decoded(raw: string): Decoded {
  const bytes = Buffer.from(raw, 'latin1')
  const found = decode(bytes)
  if (found === undefined || found.end !== bytes.length) throw new Error(`not one reply: ${short(raw)}`)
  return found.reply
}

/** Types and counts without values; errors, nulls and keys of maps as they are. */
export function shape(raw: string): string {
  const walk = (reply: Decoded): string => {
    if (reply === null) return 'null'
    if (reply instanceof ErrorReply) return `error ${reply.message}`
    if (reply instanceof Tagged) return `${reply.kind} ${Array.isArray(reply.value) ? reply.value.length : ''}`
    if (Array.isArray(reply)) return `[${reply.map(walk).join()}]`
    if (reply instanceof Map) return `{${[...reply].map(([key, value]) => `${String(key)}:${walk(value)}`).join()}}`
    return typeof reply
  }
  return raw.slice(0, 1) + walk(decoded(raw))
}

/** The same for two replies whose collections hold the same in another order: two servers, two hash seeds. */
export function sorted(raw: string): string {
  const walk = (reply: Decoded): string => {
    if (reply === null) return 'null'
    if (reply instanceof ErrorReply) return `error ${reply.message}`
    if (reply instanceof Tagged) {
      return `${reply.kind} ${Array.isArray(reply.value) ? reply.value.map(walk).sort().join() : String(reply.value)}`
    }
    if (Array.isArray(reply)) return `[${reply.map(walk).sort().join()}]`
    if (reply instanceof Map)
      return `{${[...reply]
        .map(([k, v]) => `${walk(k)}:${walk(v)}`)
        .sort()
        .join()}}`
    return JSON.stringify(reply)
  }
  return raw.slice(0, 1) + walk(decoded(raw))
}
