/**
 * The road of usage records: read from the nearest node that is proven fresh, written to the primary, on the proxy's own
 * connections (upstream/service.ts) and never on a client's. What is in them is fleet.ts's business.
 */
import type { Log } from '../base/log.ts'
import type { Node } from '../regions/node.ts'
import { encodeRequest } from '../resp/encode.ts'
import { decode } from '../resp/reply-walk.ts'
import type { Answer } from '../upstream/service.ts'
import { type FleetHost, recordsKey, type WriteResult } from './fleet.ts'

/** A replica that is further behind is not asked: marks are two seconds apart while nobody sends anything. */
const stalenessMsMax = 5_000
/** Refusals that pass by themselves: the node is starting, or is not the primary any more. */
const passing = new Set(['READONLY', 'LOADING', 'MASTERDOWN', 'BUSY', 'TRYAGAIN'])

export interface FleetRecordsOptions {
  readonly tracker: { readonly primary: Node | undefined; readonly readOrder: readonly Node[] }
  readonly log: Pick<Log, 'warn'>
  now(): number
  ask(node: number, request: Uint8Array): Promise<Answer>
}

export class FleetRecords implements FleetHost {
  private readonly options: FleetRecordsOptions
  /** By node: questions that are not answered yet. */
  private readonly open = new Map<Node, number>()
  /** First word of the newest refusal. */
  private code = ''

  constructor(options: FleetRecordsOptions) {
    this.options = options
  }

  read(done: (fields: readonly string[] | undefined, asOfMs: number) => void): void {
    const node = this.nodeToRead()
    if (node === undefined) return done(undefined, Number.NEGATIVE_INFINITY)
    // Before it is asked: whatever it has shown until now is in its answer.
    const asOfMs = this.asOfMs(node)
    this.open.set(node, (this.open.get(node) ?? 0) + 1)
    void this.ask(node, ['HGETALL', recordsKey]).then((reply) => {
      this.open.set(node, this.open.get(node)! - 1)
      done(Array.isArray(reply) ? reply.map(String) : undefined, asOfMs)
    })
  }

  /** `isWrite` is left out: a record that is lost and runs late is an old one, which its number says. */
  write(request: readonly string[], done: (result: WriteResult) => void): void {
    const { primary } = this.options.tracker
    if (primary === undefined) return done('failed')
    void this.ask(primary, request).then((reply) => {
      if (!(reply instanceof Error)) return done(reply === undefined ? 'failed' : 'ok')
      this.code = reply.message
      done(passing.has(this.code) ? 'failed' : 'refused')
    })
  }

  refused(): void {
    this.options.log.warn(
      { code: this.code },
      'usage records are refused: limits of scope fleet stay divided as they are; the upstream user needs the key pattern regis:use:*',
    )
  }

  /** The nearest that owes us nothing, else the nearest: one that has fallen silent is passed over until it is given up. */
  private nodeToRead(): Node | undefined {
    const fit = this.options.tracker.readOrder.filter(
      (node) => node.isReadable && this.options.now() - this.asOfMs(node) <= stalenessMsMax,
    )
    return fit.find((node) => (this.open.get(node) ?? 0) === 0) ?? fit[0]
  }

  private asOfMs(node: Node): number {
    return node === this.options.tracker.primary ? this.options.now() : node.shownSentAtMs
  }

  /** The decoded answer; an Error whose message is the first word of a refusal; undefined: none. */
  private async ask(node: Node, request: readonly string[]): Promise<unknown> {
    try {
      const answer = await this.options.ask(node.index, encodeRequest(request))
      if (typeof answer === 'string') return undefined
      if (answer[0] === 45) return new Error(/^-(\S+)/.exec(answer.toString('latin1', 0, 64))?.[1] ?? '')
      return decode(answer)
    } catch {
      return undefined
    }
  }
}
