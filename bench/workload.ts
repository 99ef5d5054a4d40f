/**
 * What the generator's clients send, encoded beforehand: batches of commands, each written in one go, and how many replies
 * it brings. Pure.
 */
import { createHash } from 'node:crypto'
import type { Operation } from './cells.ts'
import { randomFrom } from './correctness.ts'
import { encodeCommand } from './raw-client.ts'

/** Keys in play: enough to be no single hot line of memory, few enough to stay in the cache. */
export const keyCount = 1000
/** As redis-benchmark writes them. */
export const keyName = (i: number): string => `key:${String(i).padStart(12, '0')}`

const scriptText = "return redis.call('GET',KEYS[1])"
const scriptSha = createHash('sha1').update(scriptText).digest('hex')
/** What EVALSHA runs; `reply` is that of SCRIPT LOAD. */
export const script = { text: scriptText, reply: `$40\r\n${scriptSha}\r\n` }
const mgetKeys = 100
export const channel = 'bench:channel'

export interface WorkloadOptions {
  readonly op: Operation
  readonly bytes: number
  readonly pipeline: number
  /** Of `keyCount`; fewer where values are large. */
  readonly keys: number
}

export interface Workload {
  readonly batches: readonly Buffer[]
  /** What one batch brings on the connection that sent it. */
  readonly repliesPerBatch: number
  /** What counts as commands of one batch (pubsub: times the subscribers). */
  readonly commandsPerBatch: number
}

/** Memory of all batches together: small ones are many, so that many keys are named. */
const batchBytesMax = 16 * 1024 * 1024
const batchesMax = 512

export function buildWorkload(options: WorkloadOptions): Workload {
  const { op, pipeline, keys } = options
  const random = randomFrom(20_231)
  const value = Buffer.alloc(options.bytes, 'x')
  const key = () => keyName(random(keys))
  const set = () => encodeCommand(['SET', key(), value])
  const get = () => encodeCommand(['GET', key()])
  /** The n-th command of the stream: what comes back for it is `replies` frames. */
  const commands: Readonly<Record<Operation, { readonly replies: number; make(n: number): Buffer }>> = {
    get: { replies: 1, make: get },
    set: { replies: 1, make: set },
    mix: { replies: 1, make: (n) => (n % 2 === 0 ? set() : get()) },
    mix10: { replies: 1, make: (n) => (n % 11 === 0 ? set() : get()) },
    mget: { replies: 1, make: () => encodeCommand(['MGET', ...Array.from({ length: mgetKeys }, key)]) },
    multi: {
      replies: 4,
      make: () => Buffer.concat([encodeCommand(['MULTI']), set(), get(), encodeCommand(['EXEC'])]),
    },
    evalsha: { replies: 1, make: () => encodeCommand(['EVALSHA', scriptSha, '1', key()]) },
    pubsub: { replies: 1, make: () => encodeCommand(['PUBLISH', channel, value]) },
  }
  const { replies, make } = commands[op]
  let n = 0
  const batch = () => Buffer.concat(Array.from({ length: pipeline }, () => make(n++)))
  const first = batch()
  const count = Math.max(1, Math.min(batchesMax, Math.floor(batchBytesMax / first.length)))
  return {
    batches: [first, ...Array.from({ length: count - 1 }, batch)],
    repliesPerBatch: replies * pipeline,
    commandsPerBatch: pipeline,
  }
}
