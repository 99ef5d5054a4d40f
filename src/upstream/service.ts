/**
 * The proxy's own questions to a node (SCAN, UNLINK, SLOWLOG ...), on one connection per node that no client's command
 * travels on, RESP2, opened at the first question. Whoever asks waits for as long as the connection's own timeout at most;
 * how often may be asked is pacer.ts's business.
 */
import { arenaHalfBytes } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Histogram } from '../metrics/counters.ts'
import { type LostConnections, type UpstreamAddress, UpstreamConnection } from './connection.ts'
import { Lane, type LaneEvents } from './lane.ts'
import { Slab } from './slab.ts'

export interface ServiceOptions {
  readonly addresses: readonly UpstreamAddress[]
  readonly timeoutMs: number
  readonly clientName: string
  readonly log: Log
  now(): number
  /** Shared with the node's other lanes: what died with a write on it is killed before anybody writes again. */
  lost(node: number): LostConnections
  /** A connection is ready again, and what was lost on its node is dead. */
  ready(): void
  desync(node: number, why: string): void
}

/** What became of a question. `unsent`: it never left; `lost`: it left, and the connection died before the answer. */
export type Answer = Buffer | 'unsent' | 'lost'

export class ServiceLanes {
  private readonly lanes: Lane[]
  private readonly connections: UpstreamConnection[]
  private readonly waiting: (() => void)[][]

  constructor(options: ServiceOptions) {
    const { addresses } = options
    const slab = new Slab(addresses.length)
    this.waiting = addresses.map(() => [])
    const events: LaneEvents = {
      wantsFlush: (lane) => lane.flush(),
      hasRoom() {},
      errorReply() {},
      desync: (lane, why) => {
        options.desync(lane.nodeIndex, why)
        lane.destroy(why)
      },
      foreignPrefix() {},
    }
    const unseen = { read: new Histogram(), write: new Histogram(), upstream: new Histogram() }
    this.lanes = addresses.map(
      (_, node) => new Lane(node, node, 2, true, slab, slab.takeArena(), unseen, events, options.now),
    )
    this.connections = addresses.map(
      (address, node) =>
        new UpstreamConnection(this.lanes[node]!, {
          address,
          clientName: options.clientName,
          timeoutMs: options.timeoutMs,
          lost: options.lost(node),
          log: options.log,
          onReady: () => {
            options.ready()
            this.wake(node)
          },
          onLost: () => this.wake(node),
          afterRead() {},
        }),
    )
  }

  /** Asks a node. `isWrite`: an answer that is lost leaves a write of unknown fate behind. */
  async ask(node: number, request: Uint8Array, isWrite = false): Promise<Answer> {
    const lane = await this.readyLane(node, request.length)
    if (lane === undefined) return 'unsent'
    return new Promise((resolve) => lane.sendInternal(request, (reply) => resolve(reply ?? 'lost'), isWrite))
  }

  /** Opened when it is not; undefined: it cannot be, or has no room. */
  private async readyLane(node: number, bytes: number): Promise<Lane | undefined> {
    const lane = this.lanes[node]!
    if (!lane.isReady) {
      this.connections[node]!.start()
      await new Promise<void>((resolve) => this.waiting[node]!.push(resolve))
    }
    const hasRoom = bytes > arenaHalfBytes ? lane.canFlush : lane.hasRoomFor(bytes)
    return lane.isReady && hasRoom ? lane : undefined
  }

  /**
   * Asks `count` questions that stand in `requests` one behind the other, in one write; `take` gets each answer, a view that is
   * valid during the call. What became of the last of them.
   */
  async askMany(
    node: number,
    requests: Uint8Array,
    count: number,
    take: (answer: Buffer, i: number) => void,
  ): Promise<'answered' | 'unsent' | 'lost'> {
    const lane = await this.readyLane(node, requests.length)
    if (lane === undefined) return 'unsent'
    let at = 0
    const handler = (reply: Buffer | undefined): void => {
      if (reply !== undefined) take(reply, at++)
    }
    for (let i = 1; i < count; i++) lane.appendOwn(handler)
    return new Promise((resolve) =>
      lane.sendInternal(requests, (reply) => {
        handler(reply)
        resolve(reply === undefined ? 'lost' : 'answered')
      }),
    )
  }

  /** run_id of the server that the connection is to; '' while there is none. */
  runId(node: number): string {
    return this.lanes[node]!.isReady ? this.connections[node]!.serverRunId : ''
  }

  lane(node: number): Lane {
    return this.lanes[node]!
  }

  checkTimeouts(nowMs: number, timeoutMs: number): void {
    for (const lane of this.lanes) {
      if (lane.isOpen && lane.silentMs(nowMs) > timeoutMs) lane.destroy('no reply within the timeout')
    }
  }

  stop(): void {
    for (const connection of this.connections) connection.stop()
    for (const connection of this.connections) this.wake(connection.lane.nodeIndex)
  }

  private wake(node: number): void {
    for (const resolve of this.waiting[node]!.splice(0)) resolve()
  }
}
