/**
 * What a client has put between MULTI and EXEC. Commands are kept here, rewritten, until EXEC sends them in one piece:
 * nothing of a transaction is anywhere else before that, so a lost connection costs it nothing and it costs one round trip.
 * Pure bookkeeping; who sends it is leased-path.ts.
 */
import type { Script } from '../scripts/registry.ts'
import type { Transform } from '../upstream/lane.ts'

/** One queued command: of a node (`frame`), or with an answer of the proxy's own in its place of EXEC's reply. */
export interface Queued {
  readonly id: number
  /** The whole request with the prefix on. */
  readonly frame?: Buffer
  /** What its reply becomes; undefined: nothing has to be done to it. */
  readonly transform?: Transform
  /** A script that the node must have before. */
  readonly script?: Script
  /** Made when EXEC's reply is: encoded in the client's RESP version. */
  readonly local?: () => Buffer
}

export class Transaction {
  readonly queued: Queued[] = []
  /** How many of them go to a node, and their bytes. */
  sent = 0
  bytes = 0
  hasWrite = false
  /** What its commands cost, which is asked for at EXEC: units, and bytes as they came. */
  units = 0
  requestBytes = 0
  /** Hashes of the keys that its commands name, two numbers each, where they write; with `writesWide` not all of them are known. */
  readonly writtenKeys: number[] = []
  writesWide = false
  /** Its replies must be looked at, or there are answers of ours among them. */
  needsTransform = false
  /** Runs code of the tenant: only on a connection of the tenant's own Redis user. */
  hasScript = false
  /** A command was refused: EXEC will be too. */
  isSpoiled = false
  /** The database in which the next command will run: SELECT counts from its place on. */
  database: number
  /** It holds a SELECT, which stands after EXEC only if EXEC runs: nothing of the client may follow before its reply. */
  selects = false

  /** The rights by which its commands were queued: they are asked again at EXEC where others hold by then. */
  readonly route: Uint8Array | undefined

  constructor(database: number, route?: Uint8Array) {
    this.database = database
    this.route = route
  }

  /** What its commands cost has been taken, or is owed. */
  forgetCost(): void {
    this.units = 0
    this.requestBytes = 0
  }

  /** Nothing of it will run, and memory is short. */
  drop(): void {
    this.queued.length = 0
    this.bytes = 0
  }

  add(entry: Queued, isWrite: boolean): void {
    this.queued.push(entry)
    if (entry.frame !== undefined) {
      this.sent++
      this.bytes += entry.frame.length
    }
    if (isWrite) this.hasWrite = true
    if (entry.frame === undefined || entry.transform !== undefined) this.needsTransform = true
  }
}
