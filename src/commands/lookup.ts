/**
 * The command table: a name as bytes off the wire -> a small number, and columns by that number. Built once, and laid
 * over with what the primary has (live.ts); the hot path makes no string and no object here. Which keys a request has is keys.ts.
 */
import { assert } from '../base/assert.ts'
import { type Derived, derive } from './derive.ts'
import type { KeySpec } from './facts-render.ts'
import { BLOCK_OPTION, type CommandSpec, IN_MULTI, KEYS, REPLY, ROUTE } from './spec.ts'

/** Power of two, well above the number of names, so that a search ends after one or two looks. */
const slots = 2048
const nothingMore = (): boolean => false
/** Names are shorter; a longer argument is no command and is not hashed at all. */
const nameBytesMax = 32

function routeOf(spec: CommandSpec): number {
  if (spec.answer === 'denied') return ROUTE.denied
  if (spec.answer === 'proxy') return ROUTE.proxy
  if (spec.via !== undefined) return ROUTE[spec.via]
  if (spec.isWrite) return ROUTE.write
  return spec.isReplicaSafe ? ROUTE.read : ROUTE.primary
}

/** Hash of the folded bytes. |0x20 makes letters of both cases equal (and some signs too: the compare decides). */
function hash(seed: number, buf: Uint8Array, off: number, len: number): number {
  let h = seed
  for (let i = 0; i < len; i++) h = (Math.imul(h, 31) + (buf[off + i]! | 0x20)) | 0
  return (h ^ (h >>> 11)) & (slots - 1)
}

export class CommandTable {
  readonly specs: readonly CommandSpec[]
  readonly arity: Int16Array
  readonly route: Uint8Array
  readonly isContainer: Uint8Array
  readonly keyMode: Uint8Array
  readonly keyFirst: Int16Array
  readonly keyLast: Int16Array
  readonly keyStep: Int16Array
  readonly finder: Uint8Array
  readonly numkeysRule: Uint8Array
  readonly replyMode: Uint8Array
  /** Codes of IN_MULTI. */
  readonly inMulti: Uint8Array
  /** Where the timeout of a command that may block stands: an index, -1 the last argument, BLOCK_OPTION; 0: it never blocks. */
  readonly blockAt: Int8Array
  /** Its unit in ms. */
  readonly blockUnitMs: Int16Array
  /** Codes of MISSING; as long as no primary was asked, none is. With `arity`, `keySpecs` and `isListed` the only columns that change. */
  readonly missing: Uint8Array
  /** Key specifications in the primary's own words: for COMMAND GETKEYSANDFLAGS, not for finding keys. */
  readonly keySpecs: (readonly KeySpec[])[]
  /** Named by COMMAND LIST and counted by COMMAND COUNT, unless denied: what the primary has. */
  readonly isListed: Uint8Array

  /** Open addressing: id + 1, 0 is free. */
  readonly #slots = new Int16Array(slots)
  /** Id of the container, or -1 for a command of its own. */
  readonly #parent: Int16Array
  /** The last part of each name, lower case, one behind the other. */
  readonly #names: Uint8Array
  readonly #nameOff: Int32Array
  readonly #nameLen: Uint8Array

  constructor(derived: readonly Derived[]) {
    const count = derived.length
    this.specs = derived.map((row) => row.spec)
    this.arity = Int16Array.from(derived, (row) => row.spec.arity)
    this.route = Uint8Array.from(derived, (row) => routeOf(row.spec))
    this.isContainer = Uint8Array.from(derived, (row) => (row.spec.isContainer ? 1 : 0))
    this.keyMode = Uint8Array.from(derived, (row) => row.shape.mode)
    this.keyFirst = Int16Array.from(derived, (row) => row.shape.first)
    this.keyLast = Int16Array.from(derived, (row) => row.shape.last)
    this.keyStep = Int16Array.from(derived, (row) => row.shape.step)
    this.finder = Uint8Array.from(derived, (row) => row.shape.finder)
    this.numkeysRule = Uint8Array.from(derived, (row) => row.shape.rule)
    this.replyMode = Uint8Array.from(derived, (row) => REPLY[row.spec.reply])
    this.inMulti = Uint8Array.from(derived, (row) => IN_MULTI[row.spec.inMulti])
    this.blockAt = Int8Array.from(derived, ({ spec: { blocks } }) =>
      blocks === undefined ? 0 : blocks.timeout === 'block' ? BLOCK_OPTION : blocks.timeout,
    )
    this.blockUnitMs = Int16Array.from(derived, ({ spec: { blocks } }) => (blocks?.unit === 's' ? 1000 : 1))
    this.keySpecs = derived.map((row) => row.spec.keySpecs)
    this.missing = new Uint8Array(count)
    this.isListed = Uint8Array.from(derived, ({ spec }) => ((spec.since ?? spec.isOurs) === undefined ? 1 : 0))
    this.#parent = new Int16Array(count).fill(-1)
    this.#nameOff = new Int32Array(count)
    this.#nameLen = new Uint8Array(count)

    const idOf = new Map(this.specs.map((spec) => [spec.name, spec.id]))
    const bytes: number[] = []
    for (const spec of this.specs) {
      const [container, sub] = spec.name.split('|')
      const name = Buffer.from(sub ?? container ?? '')
      assert(name.length > 0 && name.length <= nameBytesMax, 'a command name outside the limits')
      const parent = sub === undefined ? -1 : idOf.get(container ?? '')
      assert(parent !== undefined, 'a subcommand without its container')
      this.#parent[spec.id] = parent
      this.#nameOff[spec.id] = bytes.length
      this.#nameLen[spec.id] = name.length
      bytes.push(...name)
      let slot = hash(parent + 1, name, 0, name.length)
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (slots - 1)
      this.#slots[slot] = spec.id + 1
    }
    this.#names = Uint8Array.from(bytes)
    assert(count < slots / 2, 'the command table is too full for its hash')
    for (let id = 0; id < count; id++) this.#assertColumns(id)
  }

  /** What the hot path relies on: a served keyed command has its keys within its arity. */
  #assertColumns(id: number): void {
    if (this.route[id] === ROUTE.denied || this.keyMode[id] !== KEYS.range) return
    const least = Math.abs(this.arity[id]!)
    assert(this.keyFirst[id]! > 0 && this.keyFirst[id]! < least, 'first key outside the arity')
    assert(this.keyLast[id]! < least && this.keyStep[id]! > 0, 'last key outside the arity')
  }

  /** Id of a command by its bytes, in any case; -1 when there is none. */
  lookup(buf: Uint8Array, off: number, len: number): number {
    return this.#find(-1, buf, off, len)
  }

  /** Id of a container's subcommand; -1 when there is none. */
  lookupSub(containerId: number, buf: Uint8Array, off: number, len: number): number {
    return this.#find(containerId, buf, off, len)
  }

  #find(parent: number, buf: Uint8Array, off: number, len: number): number {
    if (len === 0 || len > nameBytesMax) return -1
    let slot = hash(parent + 1, buf, off, len)
    for (;;) {
      const id = this.#slots[slot]! - 1
      if (id < 0) return -1
      if (this.#parent[id] === parent && this.#nameLen[id] === len && this.#sameName(id, buf, off, len)) return id
      slot = (slot + 1) & (slots - 1)
    }
  }

  #sameName(id: number, buf: Uint8Array, off: number, len: number): boolean {
    const at = this.#nameOff[id]!
    for (let i = 0; i < len; i++) {
      const byte = buf[off + i]!
      const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
      if (lower !== this.#names[at + i]) return false
    }
    return true
  }

  /** By name as Redis writes it (`config|get`), any case. For configuration, CLI and tests; not for the hot path. */
  byName(name: string): CommandSpec | undefined {
    const [container, sub, ...rest] = name.split('|')
    if (container === undefined || rest.length > 0) return undefined
    const bytes = Buffer.from(container)
    let id = this.lookup(bytes, 0, bytes.length)
    if (id >= 0 && sub !== undefined) {
      const subBytes = Buffer.from(sub)
      id = this.lookupSub(id, subBytes, 0, subBytes.length)
    }
    return this.specs[id]
  }

  /** Id of the container of a subcommand; -1 for a command of its own. */
  containerOf(id: number): number {
    return this.#parent[id]!
  }

  /** Subcommands of a container. */
  subcommands(container: CommandSpec): readonly CommandSpec[] {
    return this.specs.filter((spec) => this.#parent[spec.id] === container.id)
  }

  /**
   * A tenant can call nothing of it: COMMAND leaves it out. `denied`: what this user may not call on top; a container
   * is judged by its subcommands, so it does not matter what is said of the container itself.
   */
  isHidden(spec: CommandSpec, denied: (spec: CommandSpec) => boolean = nothingMore): boolean {
    if (spec.answer !== 'denied' && !denied(spec)) return false
    return !spec.isContainer || this.subcommands(spec).every((sub) => sub.answer === 'denied' || denied(sub))
  }
}

export function buildCommandTable(): CommandTable {
  return new CommandTable(derive())
}
