/**
 * The second look, at what stands in an arena before it may leave: requests are parsed again, and each of their keys must
 * begin with the tenant's prefix. Independent of where the splicer believed the keys to be.
 */
import { findKeys, type KeyList } from '../commands/keys.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { KEYS, ROUTE } from '../commands/spec.ts'
import { framed, RequestFramer } from '../resp/request-framer.ts'
import { hasPrefix } from './rewrite.ts'

export class SecondLook {
  private readonly frame = new RequestFramer()
  private readonly keys: KeyList = { count: 0, arg: new Int32Array(1024) }
  private readonly table: CommandTable

  constructor(table: CommandTable, maxRequestBytes: number) {
    this.table = table
    this.setLimit(maxRequestBytes)
  }

  setLimit(maxRequestBytes: number): void {
    // Prefixes have made requests longer than they came.
    this.frame.maxRequestBytes = maxRequestBytes * 2
  }

  /** Whether the first `commands` requests in [from, to) are whole, served by nodes, and name only keys with the prefix. */
  isPrefixed(
    arena: Uint8Array,
    from: number,
    to: number,
    commands: number,
    prefix: Uint8Array,
    channelPrefix: Uint8Array,
  ): boolean {
    const { frame, keys, table } = this
    let pos = from
    for (let left = commands; left > 0; left--) {
      if (frame.frame(arena, pos, to) !== framed) return false
      let id = table.lookup(arena, frame.off[0]!, frame.len[0]!)
      if (id < 0) return false
      if (table.isContainer[id] !== 0 && frame.count > 1) id = table.lookupSub(id, arena, frame.off[1]!, frame.len[1]!)
      if (id < 0 || table.route[id]! < ROUTE.read) return false
      if (table.keyMode[id] !== KEYS.none) {
        if (findKeys(table, id, frame, keys) !== undefined) return false
        const own = keys.isChannel === true ? channelPrefix : prefix
        for (let i = 0; i < keys.count; i++) if (!hasPrefix(arena, frame, keys.arg[i]!, own)) return false
      }
      pos = frame.end
    }
    this.end = pos
    return true
  }

  /** Where the last look ended. */
  end = 0
}
