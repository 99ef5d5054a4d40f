/**
 * May this command take more memory? Asked at admission (src/admission.ts) for tenants with a quota of memory or keys, after
 * Redis's own rule: commands with the denyoom flag are refused while the tenant is full, all others go on.
 *
 *   full -> -OOM | may be over -> waits until that is known | goes on, and what it may add is noted
 *
 * Between MULTI and EXEC it is refused when it is queued, which spoils the transaction; an EXEC whose tenant has become full
 * meanwhile is refused itself, if something of it is denyoom (server.c, processCommand).
 */
import type { ErrorCode } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { KEYS } from '../commands/spec.ts'
import { Quota } from '../metrics/cells.ts'
import { argumentOverheadBytes, derivedBytes, type MemoryAccount } from '../quota/memory-account.ts'
import { enough } from '../quota/meter.ts'
import type { RequestFramer } from '../resp/request-framer.ts'
import type { Session } from './session.ts'

export interface MemoryGateHands {
  readonly frame: RequestFramer
  /** The block that `frame` counts in. */
  readonly bytes: Buffer
  /** The text of a script that this client's tenant knows by this sha. */
  scriptBody(session: Session, sha: string): Buffer | undefined
  /** There is no primary that could be asked. */
  isBlind(): boolean
  /** Calls back when more is known of what this tenant has. */
  confirm(account: MemoryAccount, then: () => void): void
}

/** It has nothing to do with memory; it may take some; that and it deletes; EXEC; it runs code. */
const kindNone = 0
const kindTakes = 1
const kindDeletes = 2
const kindExec = 3
const kindScript = 4

/** What they write is made of what is there already, or of a number. */
const derived = new Set([
  ...['setrange', 'setbit', 'bitfield', 'bitop', 'copy', 'restore', 'pfmerge', 'sort', 'geosearchstore'],
  ...['sinterstore', 'sunionstore', 'sdiffstore', 'zinterstore', 'zunionstore', 'zdiffstore', 'zrangestore'],
  ...['georadius', 'georadiusbymember'],
])
const scripts = new Set(['eval', 'evalsha', 'fcall'])

export const memoryGoesOn = 0
export const memoryWaits = 1
export const memoryRefused = 2

export class MemoryGate {
  private readonly hands: MemoryGateHands
  private readonly table: CommandTable
  private readonly kinds: Uint8Array
  private readonly isDerived: Uint8Array
  /** Those who will be called back: within seconds, also when they have left. */
  private readonly asking = new Set<Session>()
  /** Why the last command was refused. */
  refusal: ErrorCode = 'OOM'

  constructor(table: CommandTable, hands: MemoryGateHands) {
    this.hands = hands
    this.table = table
    this.kinds = new Uint8Array(table.specs.length)
    this.isDerived = new Uint8Array(table.specs.length)
    for (const { id, name, denyOom, isWrite } of table.specs) {
      if (denyOom) this.kinds[id] = kindTakes
      else if (scripts.has(name)) this.kinds[id] = kindScript
      else if (name === 'exec') this.kinds[id] = kindExec
      else if (isWrite) this.kinds[id] = kindDeletes
      if (derived.has(name) || scripts.has(name)) this.isDerived[id] = 1
    }
  }

  /** The framed command with this id. Nothing is counted yet: it may be asked again, or be refused for another reason. */
  check(session: Session, account: MemoryAccount, id: number): number {
    const kind = this.kinds[id]!
    if (kind === kindNone || kind === kindDeletes) return memoryGoesOn
    if (account.isFull) return this.whenFull(session, account, id, kind)
    if (kind === kindExec || account.suspicion === enough || this.hands.isBlind()) return memoryGoesOn
    return memoryWaits
  }

  /** Calls back when whoever was told to wait may be asked again. Who tries again before that, since a node or a mark has come, does not ask twice. */
  confirm(session: Session, account: MemoryAccount, then: () => void): void {
    if (this.asking.has(session)) return
    this.asking.add(session)
    this.hands.confirm(account, () => {
      this.asking.delete(session)
      then()
    })
  }

  /** It was admitted. */
  note(session: Session, account: MemoryAccount, id: number): void {
    const kind = this.kinds[id]!
    if (kind === kindNone || kind === kindExec) return
    if (kind === kindDeletes) {
      account.deletes++
      return
    }
    const { frame } = this.hands
    let bytes = frame.end - frame.off[0]! + (frame.count - 1) * argumentOverheadBytes
    if (this.isDerived[id] !== 0) bytes += derivedBytes
    account.wrote(bytes, this.keysOf(id))
    if (account.wantsKey(bytes)) this.remember(session, account, id)
  }

  private whenFull(session: Session, account: MemoryAccount, id: number, kind: number): number {
    this.refusal = 'OOM'
    if (kind === kindExec) {
      const queued = session.transaction?.queued
      const takes = ({ id: of }: { id: number }): boolean =>
        this.kinds[of] === kindTakes || this.kinds[of] === kindScript
      if (queued?.some(takes) !== true) return memoryGoesOn
    } else if (kind === kindScript) {
      const line = this.firstLine(session, id)
      if (line !== undefined && /\b(no-writes|allow-oom)\b/.test(line)) return memoryGoesOn
      if (line !== undefined) this.refusal = 'OOM_SCRIPT'
    }
    session.account!.tenant!.cells.quotaRefused(account.bytes.isFull ? Quota.memory : Quota.keys)
    return memoryRefused
  }

  /** Of a script that has one, `#!lua flags=...`; of functions we do not know it. */
  private firstLine(session: Session, id: number): string | undefined {
    const { frame, bytes } = this.hands
    const { name } = this.table.specs[id]!
    if (name === 'fcall' || frame.count < 2) return undefined
    let body: Buffer | undefined = bytes.subarray(frame.off[1]!, frame.off[1]! + frame.len[1]!)
    if (name === 'evalsha') body = this.hands.scriptBody(session, body.toString('latin1', 0, 40).toLowerCase())
    if (body === undefined || body[0] !== 0x23 || body[1] !== 0x21) return undefined
    return body.toString('latin1', 0, Math.min(body.length, 1024)).split('\n', 1)[0]
  }

  /** How many keys it may bring: those that its table row names, one where a count stands in its arguments. */
  private keysOf(id: number): number {
    const { table } = this
    if (table.keyMode[id] !== KEYS.range) return 1
    const first = table.keyFirst[id]!
    const last = table.keyLast[id]! < 0 ? this.hands.frame.count + table.keyLast[id]! : table.keyLast[id]!
    return Math.max(1, Math.floor((last - first) / Math.max(1, table.keyStep[id]!)) + 1)
  }

  private remember(session: Session, account: MemoryAccount, id: number): void {
    const { frame, bytes } = this.hands
    const at = this.table.keyMode[id] === KEYS.range ? this.table.keyFirst[id]! : 1
    if (at < 1 || at >= frame.count) return
    const key = bytes.toString('latin1', frame.off[at]!, frame.off[at]! + frame.len[at]!)
    account.remember(session.prefix.toString('latin1') + key)
  }
}
