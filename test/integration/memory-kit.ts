/**
 * Keys of many tenants, of mixed types and heavy-tailed sizes, put straight into a server; what they truly take, asked key by
 * key; and what a server's process has spent.
 */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { decode } from '../kit/resp.ts'

/** A connection for many commands in one write whose replies are small. */
export class Bulk {
  private readonly socket: Socket
  private left: Buffer = Buffer.alloc(0)
  private wake: (() => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.left = this.left.length === 0 ? bytes : Buffer.concat([this.left, bytes])
      this.wake?.()
    })
  }

  static open(port: number): Promise<Bulk> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => resolve(new Bulk(socket)))
    })
  }

  /** One write, all replies decoded. */
  async run(commands: readonly (readonly (string | number)[])[]): Promise<unknown[]> {
    this.socket.write(commands.map((args) => encode(args)).join(''), 'latin1')
    const replies: unknown[] = []
    while (replies.length < commands.length) {
      // Lines are most of what comes: a decoder for any reply would take longer than the server.
      const end = this.left.indexOf('\r\n')
      const isLine = end >= 0 && (this.left[0] === 0x3a || this.left[0] === 0x2b || this.left[0] === 0x2d)
      if (isLine) {
        const text = this.left.toString('latin1', 1, end)
        replies.push(this.left[0] === 0x3a ? Number(text) : text)
        this.left = this.left.subarray(end + 2)
        continue
      }
      const found = end < 0 ? undefined : decode(this.left)
      if (found !== undefined) {
        replies.push(found.reply)
        this.left = this.left.subarray(found.end)
        continue
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
      this.wake = undefined
    }
    return replies
  }

  close(): void {
    this.socket.destroy()
  }
}

function encode(args: readonly (string | number)[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${String(arg).length}\r\n${arg}\r\n`).join('')}`
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const filler = 'x'.repeat(4 * 1024 * 1024)

/** A size with a heavy tail (most are some hundred bytes, few are megabytes), or one of much the same. */
function size(random: () => number, isHeavy: boolean): number {
  return isHeavy
    ? Math.min(4 * 1024 * 1024, Math.floor(40 * (1 - random()) ** (-1 / 1.3)))
    : 20 + Math.floor(random() * 400)
}

const elements = (count: number, random: () => number): string[] =>
  Array.from({ length: count }, (_, i) => `e${i}-${filler.slice(0, Math.floor(random() * 60))}`)

/** One key of a random type. */
function keyOf(name: string, random: () => number, isHeavy: boolean): (string | number)[] {
  const kind = random()
  const count = isHeavy ? Math.min(3_000, 1 + Math.floor(2 * (1 - random()) ** -0.9)) : 1 + Math.floor(random() * 12)
  if (kind < 0.7) return ['SET', name, filler.slice(0, size(random, isHeavy))]
  if (kind < 0.8) return ['HSET', name, ...elements(count, random).flatMap((field, i) => [field, i])]
  if (kind < 0.87) return ['RPUSH', name, ...elements(count, random)]
  if (kind < 0.93) return ['SADD', name, ...elements(count, random)]
  if (kind < 0.98) return ['ZADD', name, ...elements(count, random).flatMap((member, i) => [i, member])]
  return ['XADD', name, '*', 'f', filler.slice(0, Math.floor(random() * 300))]
}

/** `keys` keys for the tenants of these prefixes, the last ones with the most; every second one's sizes have a heavy tail. */
export async function fillMixed(port: number, prefixes: readonly string[], keys: number, seed: number): Promise<void> {
  const random = randomOf(seed)
  const bulk = await Bulk.open(port)
  const weights = prefixes.map((_, i) => (i + 1) ** 1.5)
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  for (const [i, prefix] of prefixes.entries()) {
    const count = Math.round((keys * weights[i]!) / all)
    let commands: (string | number)[][] = []
    let bytes = 0
    for (let k = 0; k < count; k++) {
      const command = keyOf(`${prefix}k${k}`, random, i % 2 === 1)
      commands.push(command)
      bytes += String(command[2]).length + command.length * 30
      if (commands.length < 1_000 && bytes < 8e6 && k < count - 1) continue
      for (const reply of await bulk.run(commands))
        if (typeof reply === 'string' && /^(ERR|OOM|WRONG)/.test(reply)) throw new Error(reply)
      commands = []
      bytes = 0
    }
  }
  bulk.close()
}

/** By prefix: keys, and the sum of MEMORY USAGE with every element looked at. Of other keys: under ''. */
export async function trueUsage(
  port: number,
  prefixes: readonly string[],
  database = 0,
): Promise<Map<string, { keys: number; bytes: number }>> {
  const bulk = await Bulk.open(port)
  if (database !== 0) await bulk.run([['SELECT', database]])
  const found = new Map(['', ...prefixes].map((prefix) => [prefix, { keys: 0, bytes: 0 }]))
  const seen = new Set<string>()
  let cursor = '0'
  do {
    const [page] = (await bulk.run([['SCAN', cursor, 'COUNT', 2_000]])) as [[string, string[]]]
    cursor = String(page[0])
    const names = page[1].map(String).filter((name) => !seen.has(name))
    for (const name of names) seen.add(name)
    const sizes = await bulk.run(names.map((name) => ['MEMORY', 'USAGE', name, 'SAMPLES', 0]))
    for (const [i, name] of names.entries()) {
      const one = found.get(prefixes.find((prefix) => name.startsWith(prefix)) ?? '')!
      one.keys++
      one.bytes += Number(sizes[i])
    }
  } while (cursor !== '0')
  bulk.close()
  return found
}

/** CPU that a process has used so far, ms (10 ms steps). */
export function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** How often a server was asked for something, subcommands as `memory|usage`. */
export function callsIn(commandstats: string, command: string): number {
  const found = new RegExp(`cmdstat_${command.replace('|', '\\|')}:calls=(\\d+)`).exec(commandstats)
  return Number(found?.[1] ?? 0)
}
