/** A server in memory that knows what a sweep asks: INFO, SELECT, SCAN, TYPE, MEMORY USAGE. Time passes only in `sleep`. */
import type { SweepHands } from '../../../src/usage/sweep.ts'

export class FakeServer implements SweepHands {
  /** By database, name to bytes, in the order of SCAN. */
  readonly databases: Map<string, number>[] = [new Map()]
  id = 'run-1'
  nowMs = 0
  asked: string[] = []
  /** Before each command. */
  onAsk: (command: string) => void = () => {}
  private database = 0
  private state = 1
  private listed: { keys: Map<string, number>; names: string[] } | undefined

  get keys(): Map<string, number> {
    return this.databases[0]!
  }

  runId(): string {
    return this.id
  }

  now(): number {
    return this.nowMs
  }

  random(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0
    return this.state / 2 ** 32
  }

  async sleep(ms: number): Promise<void> {
    this.nowMs += ms
  }

  async ask(_node: number, request: Uint8Array): Promise<Buffer | 'lost'> {
    const [answer] = this.answers(request)
    return answer === undefined ? 'lost' : answer
  }

  async askMany(
    _node: number,
    requests: Uint8Array,
    count: number,
    take: (answer: Buffer, i: number) => void,
  ): Promise<'answered' | 'lost'> {
    const answers = this.answers(requests)
    for (const [i, answer] of answers.entries()) {
      if (answer === undefined) return 'lost'
      take(answer, i)
    }
    if (answers.length !== count) throw new Error(`${answers.length} requests, ${count} announced`)
    return 'answered'
  }

  private answers(requests: Uint8Array): (Buffer | undefined)[] {
    return commandsOf(Buffer.from(requests)).map((args) => this.answer(args))
  }

  private answer(args: readonly string[]): Buffer | undefined {
    this.asked.push(args.join(' '))
    this.onAsk(args.join(' '))
    if (this.id === '') return undefined
    const keys = this.databases[this.database] ?? new Map<string, number>()
    switch (args[0]) {
      case 'INFO':
        return Buffer.from(args[1] === 'keyspace' ? this.keyspace() : '# Nothing\r\n')
      case 'SELECT':
        if (this.databases[Number(args[1])] === undefined) return Buffer.from('-ERR DB index is out of range\r\n')
        this.database = Number(args[1])
        return Buffer.from('+OK\r\n')
      case 'SCAN': {
        const names = this.namesOf(keys)
        // Random places: bits above the table mean nothing.
        const from = Number(args[1]) % Math.max(1, names.length)
        const page = names.slice(from, from + Number(args[3]))
        const next = from + page.length >= names.length ? 0 : from + page.length
        const bulks = page.map((name) => `$${name.length}\r\n${name}\r\n`).join('')
        return Buffer.from(`*2\r\n$${String(next).length}\r\n${next}\r\n*${page.length}\r\n${bulks}`)
      }
      case 'TYPE':
        return Buffer.from(args[1]!.endsWith(':hash') ? '+hash\r\n' : '+string\r\n')
      default: {
        const bytes = keys.get(args[2]!)
        return Buffer.from(bytes === undefined ? '$-1\r\n' : `:${bytes}\r\n`)
      }
    }
  }

  /** Made anew only when their number has changed: a page of many names need not cost all of them. */
  private namesOf(keys: Map<string, number>): string[] {
    if (this.listed?.keys !== keys || this.listed.names.length !== keys.size)
      this.listed = { keys, names: [...keys.keys()] }
    return this.listed.names
  }

  private keyspace(): string {
    const lines = this.databases.map((keys, i) => (keys.size === 0 ? '' : `db${i}:keys=${keys.size},expires=0\r\n`))
    return `# Keyspace\r\n${lines.join('')}`
  }
}

function commandsOf(bytes: Buffer): string[][] {
  const commands: string[][] = []
  for (let at = 0; at < bytes.length; ) {
    const line = (): number => {
      const end = bytes.indexOf('\r\n', at)
      const value = Number(bytes.toString('latin1', at + 1, end))
      at = end + 2
      return value
    }
    commands.push(
      Array.from({ length: line() }, () => {
        const length = line()
        at += length + 2
        return bytes.toString('latin1', at - length - 2, at - 2)
      }),
    )
  }
  return commands
}
