/**
 * Tenant `bee` at work while it is attacked: it writes and deletes under names nobody was told, publishes on channels that
 * others name too, waits for elements, scans, watches and tracks keys. What it hears must be its own, in its order, and
 * none of its connections may end: what else goes wrong is in `wrong`.
 *
 * And `ant`'s ears: connections that listen to everything a tenant may listen to (channels, events of keys, MONITOR,
 * invalidations of all prefixes), for whatever they hear of bee.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RawClient } from '../kit/raw-client.ts'
import { command, type Decoded, ErrorReply, Tagged } from '../kit/resp.ts'
import type { StartedProxy } from '../kit/servers.ts'

const pauseMs = 4

export class BusyTenant {
  readonly wrong: string[] = []
  /** Ids of its connections, as CLIENT ID told them: who is attacked by id is attacked by these. */
  readonly ids: string[] = []
  /** Cursors that its own SCAN was given. */
  readonly cursors: string[] = []
  readonly done = { written: 0, heard: 0, popped: 0, scanned: 0, exec: 0, invalidated: 0 }
  private readonly proxy: StartedProxy
  private readonly canary: string
  private readonly hidden: string
  private readonly clients: RawClient[] = []
  private work: Promise<unknown> = Promise.resolve()
  private isOver = false

  constructor(proxy: StartedProxy, words: { readonly canary: string; readonly hidden: string }) {
    this.proxy = proxy
    this.canary = words.canary
    this.hidden = words.hidden
  }

  /** Names that its work changes; all others stay as they are. */
  isBusyName(name: string): boolean {
    return name.includes(`${this.hidden}busy`)
  }

  async start(): Promise<void> {
    const jobs: (() => Promise<unknown>)[] = [
      await this.writing(),
      await this.listening(),
      await this.popping(),
      await this.scanning(),
      await this.transacting(),
      await this.caching(),
    ]
    this.work = Promise.all(
      jobs.map((job) => job().catch((error) => this.isOver || this.note(`a job of bee's: ${String(error)}`))),
    )
  }

  async stop(): Promise<void> {
    this.isOver = true
    for (const client of this.clients) if (client.isClosed) this.note('a connection of bee was closed')
    for (const client of this.clients) client.close()
    await this.work
  }

  private note(text: string): void {
    if (this.wrong.length < 20) this.wrong.push(text)
  }

  private async open(version: 2 | 3 = 2): Promise<RawClient> {
    const client = await this.proxy.client('bee-app')
    if (version === 3) await client.call('HELLO', 3)
    this.ids.push(String(await client.call('CLIENT', 'ID')))
    await client.call('CLIENT', 'SETNAME', `${this.canary}-name`)
    this.clients.push(client)
    return client
  }

  private name(what: string): string {
    return `${this.hidden}busy${what}`
  }

  private async expected(client: RawClient, args: readonly (string | number)[], right: Decoded): Promise<void> {
    const reply = await client.call(...args)
    if (JSON.stringify(reply) !== JSON.stringify(right)) this.note(`${args.join(' ')}: ${JSON.stringify(reply)}`)
  }

  /** Writes, and what follows of them for others of its connections: messages, elements, events, invalidations. */
  private async writing(): Promise<() => Promise<void>> {
    const client = await this.open()
    return async () => {
      for (let i = 1; !this.isOver; i++) {
        const key = this.name(`:${i % 7}`)
        await this.expected(client, ['SET', key, `${this.canary}${i}`], 'OK')
        await this.expected(client, ['GET', key], `${this.canary}${i}`)
        // One receiver, whoever of the other tenant listens to a channel of this name.
        await this.expected(client, ['PUBLISH', 'chan', `${this.canary}${i}`], 1)
        if (i % 3 === 0) await this.expected(client, ['DEL', key], 1)
        await this.expected(client, ['SET', this.name('cached'), `${this.canary}${i}`], 'OK')
        await client.call('RPUSH', this.name('queue'), `${this.canary}${i}`)
        this.done.written++
        await sleep(pauseMs)
      }
    }
  }

  private async listening(): Promise<() => Promise<void>> {
    const client = await this.open()
    await client.call('SUBSCRIBE', 'chan')
    let last = 0
    return async () => {
      while (!this.isOver) {
        const message = await client.read(60_000)
        const text = Array.isArray(message) && message[0] === 'message' ? String(message[2]) : ''
        const number = Number(text.slice(this.canary.length))
        if (!text.startsWith(this.canary) || number !== last + 1) this.note(`heard ${JSON.stringify(message)}`)
        last = number
        this.done.heard++
      }
    }
  }

  private async popping(): Promise<() => Promise<void>> {
    const client = await this.open()
    let last = 0
    return async () => {
      while (!this.isOver) {
        const popped = await client.call('BLPOP', this.name('queue'), 0)
        last++
        if (!Array.isArray(popped) || popped[1] !== `${this.canary}${last}`) this.note(`popped ${show(popped)}`)
        this.done.popped++
      }
    }
  }

  private async scanning(): Promise<() => Promise<void>> {
    const client = await this.open()
    return async () => {
      let cursor = '0'
      while (!this.isOver) {
        const page = await client.call('SCAN', cursor, 'COUNT', 10)
        if (!Array.isArray(page)) return this.note(`SCAN: ${show(page)}`)
        cursor = String(page[0])
        this.cursors.push(cursor)
        if (this.cursors.length > 64) this.cursors.shift()
        this.done.scanned++
        await sleep(pauseMs)
      }
    }
  }

  private async transacting(): Promise<() => Promise<void>> {
    const client = await this.open()
    const key = this.name('counted')
    return async () => {
      for (let i = 1; !this.isOver; i++) {
        // Nobody but this connection writes there: no EXEC fails.
        await this.expected(client, ['WATCH', key], 'OK')
        await this.expected(client, ['MULTI'], 'OK')
        await this.expected(client, ['INCR', key], 'QUEUED')
        await this.expected(client, ['EXEC'], [i])
        this.done.exec++
        await sleep(pauseMs)
      }
    }
  }

  private async caching(): Promise<() => Promise<void>> {
    const client = await this.open(3)
    const key = this.name('cached')
    await client.call('CLIENT', 'TRACKING', 'ON')
    return async () => {
      client.send(command('GET', key))
      while (!this.isOver) {
        const said = await client.read(60_000)
        if (!(said instanceof Tagged)) {
          if (said !== null && !String(said).startsWith(this.canary)) this.note(`GET ${key}: ${show(said)}`)
          continue
        }
        if (JSON.stringify(said.value) !== JSON.stringify(['invalidate', [key]])) this.note(`told ${show(said)}`)
        this.done.invalidated++
        await sleep(pauseMs)
        client.send(command('GET', key))
      }
    }
  }
}

const show = (reply: Decoded): string =>
  JSON.stringify(reply instanceof ErrorReply ? reply.message : reply)?.slice(0, 200) ?? ''

/** What ant does to hear of others. Each on a connection of its own, opened anew when ant's own attacks have closed it. */
const ears: readonly { readonly resp: 2 | 3; readonly asks: readonly (readonly string[])[] }[] = [
  {
    resp: 2,
    asks: [
      ['SUBSCRIBE', 'chan', 'bee:chan', '__redis__:invalidate'],
      ['PSUBSCRIBE', '*'],
    ],
  },
  {
    resp: 3,
    asks: [
      ['PSUBSCRIBE', '__key*__:*', '*bee*'],
      ['SSUBSCRIBE', 'chan'],
    ],
  },
  { resp: 2, asks: [['MONITOR']] },
  { resp: 3, asks: [['MONITOR']] },
  { resp: 3, asks: [['CLIENT', 'TRACKING', 'ON', 'BCAST']] },
  { resp: 3, asks: [['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'bee:', 'PREFIX', 'h']] },
  {
    resp: 3,
    asks: [
      ['CLIENT', 'TRACKING', 'ON'],
      ['MGET', 's', 'bee:s', 'chan'],
    ],
  },
]

export class Ears {
  /** Pieces heard. */
  count = 0
  private isOver = false
  private readonly work: Promise<unknown>[] = []
  private readonly open = new Set<RawClient>()

  constructor(proxy: StartedProxy, hear: (asks: string, heard: string) => void) {
    for (const { resp, asks } of ears) this.work.push(this.listen(proxy, resp, asks, hear))
  }

  async stop(): Promise<void> {
    this.isOver = true
    for (const client of this.open) client.close()
    await Promise.all(this.work)
  }

  private async listen(
    proxy: StartedProxy,
    resp: 2 | 3,
    asks: readonly (readonly string[])[],
    hear: (asks: string, heard: string) => void,
  ): Promise<void> {
    const said = asks.map((args) => args.join(' ')).join('; ')
    while (!this.isOver) {
      let client: RawClient | undefined
      try {
        client = await proxy.client('ant-app')
        this.open.add(client)
        if (resp === 3) await client.call('HELLO', 3)
        client.send(Buffer.concat(asks.map((args) => command(...args))))
        for (;;) {
          hear(said, await client.readRaw(600_000))
          this.count++
        }
      } catch {
        if (client !== undefined) this.open.delete(client)
        client?.close()
        await sleep(50)
      }
    }
  }
}
