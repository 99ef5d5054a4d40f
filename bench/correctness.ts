/**
 * Before any number: is what comes out right under load? 20 clients at once, each on keys of its own, send random
 * pipelines of SET, GET, MGET, MSET and DEL, cut at random bytes, with values to 70 kB; every byte of every reply is
 * compared with a model. A proxy that is fast because it mixes up replies ends here.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { bulk, encodeCommand, RawClient } from './raw-client.ts'

export interface CorrectnessOptions {
  readonly port: number
  readonly host: string
  readonly login?: { readonly user: string; readonly password: string }
  readonly clients: number
  /** Of each client. */
  readonly commands: number
  readonly seed: number
}

export interface CorrectnessResult {
  readonly commands: number
  readonly replyBytes: number
}

/** xorshift32: the same seed sends the same bytes. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed | 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const keysPerClient = 40
const pipelineMax = 64
const unansweredBytesMax = 1024 * 1024
const noise = Buffer.alloc(128 * 1024)
for (let i = 0, x = 12345; i < noise.length; i++) {
  x = (Math.imul(x, 1103515245) + 12345) >>> 0
  noise[i] = x >>> 16
}

/** Sizes as they occur: most small, some of a few kB, one in twenty up to 70 kB. Binary, CRLF and protocol signs included. */
function randomValue(random: (below: number) => number): Buffer {
  const kind = random(20)
  const size = kind === 0 ? random(70_000) : kind < 5 ? random(4096) : random(100)
  if (kind === 19) return Buffer.from('$5\r\n*1\r\n+OK\r\n:1\r\n-ERR\r\n')
  const from = random(noise.length - size)
  return noise.subarray(from, from + size)
}

type Model = Map<string, Buffer>

/** One random command, and the reply that the model says. */
function nextCommand(
  random: (below: number) => number,
  model: Model,
  key: () => string,
): { send: Buffer; reply: Buffer } {
  const ok = Buffer.from('+OK\r\n')
  const what = random(10)
  if (what < 3) {
    const [name, value] = [key(), randomValue(random)]
    model.set(name, value)
    return { send: encodeCommand(['SET', name, value]), reply: ok }
  }
  if (what < 6) {
    const name = key()
    return { send: encodeCommand(['GET', name]), reply: bulk(model.get(name)) }
  }
  const names = Array.from({ length: 1 + random(6) }, key)
  if (what < 8) {
    const reply = Buffer.concat([Buffer.from(`*${names.length}\r\n`), ...names.map((name) => bulk(model.get(name)))])
    return { send: encodeCommand(['mget', ...names]), reply }
  }
  if (what === 8) {
    // Distinct keys: a proxy that splits MSET over servers may keep no order among equal ones.
    const args = [...new Set(names)].flatMap((name) => {
      const value = randomValue(random)
      model.set(name, value)
      return [name, value]
    })
    return { send: encodeCommand(['MSET', ...args]), reply: ok }
  }
  const gone = [...new Set(names)]
  const count = gone.filter((name) => model.delete(name)).length
  return { send: encodeCommand(['Del', ...gone]), reply: Buffer.from(`:${count}\r\n`) }
}

async function runClient(options: CorrectnessOptions, id: number): Promise<number> {
  const random = randomFrom(options.seed * 7919 + id * 104729 + 1)
  const client = await RawClient.open(`client ${id}`, options.port, options.host)
  const model: Model = new Map()
  const key = () => `check:${id}:${random(keysPerClient)}`
  let replyBytes = 0
  try {
    if (options.login !== undefined) {
      client.promise(Buffer.from('+OK\r\n'))
      client.write(encodeCommand(['AUTH', options.login.user, options.login.password]))
      await client.untilMissing(0)
    }
    // What an earlier run may have left there.
    for (let i = 0; i < keysPerClient; i++) {
      client.promise(Buffer.from('+OK\r\n'))
      client.write(encodeCommand(['SET', `check:${id}:${i}`, 'start']))
      model.set(`check:${id}:${i}`, Buffer.from('start'))
    }
    await client.untilMissing(0)
    for (let done = 0; done < options.commands; ) {
      const depth = Math.min(1 + random(pipelineMax), options.commands - done)
      const sends: Buffer[] = []
      for (let i = 0; i < depth; i++) {
        const { send, reply } = nextCommand(random, model, key)
        client.promise(reply)
        replyBytes += reply.length
        sends.push(send)
      }
      done += depth
      const bytes = Buffer.concat(sends)
      const cuts = Array.from({ length: random(4) }, () => random(bytes.length)).sort((a, b) => a - b)
      let from = 0
      for (const cut of [...cuts, bytes.length]) {
        client.write(bytes.subarray(from, cut))
        from = cut
        await nextTurn()
      }
      await client.untilMissing(random(4) === 0 ? 0 : unansweredBytesMax)
    }
    await client.untilMissing(0)
    await nextTurn()
    await client.untilMissing(0) // throws if something came that nobody asked for
    return replyBytes
  } finally {
    client.close()
  }
}

/** Throws with the client, the byte and both texts at the first difference. */
export async function checkCorrectness(options: CorrectnessOptions): Promise<CorrectnessResult> {
  const bytes = await Promise.all(Array.from({ length: options.clients }, (_, id) => runClient(options, id)))
  return { commands: options.clients * options.commands, replyBytes: bytes.reduce((a, b) => a + b, 0) }
}
