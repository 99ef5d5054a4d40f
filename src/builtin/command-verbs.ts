/** Which answer of command.ts, or of ACL CAT, a verb gets: without what this user may not run. */
import { errorText, isErrorCode } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { ROUTE } from '../commands/spec.ts'
import { array, bulk, failure, integer, type Reply } from '../resp/encode.ts'
import { aclCat } from './acl.ts'
import { commandCount, commandGetKeys, commandGetKeysAndFlags, commandList, parseListFilter } from './command.ts'

/** COMMAND COUNT, LIST, GETKEYS, GETKEYSANDFLAGS, ACL CAT. `route`: the user's column of routes. */
export function commandVerb(table: CommandTable, id: number, args: readonly Buffer[], route: Uint8Array): Reply {
  const denied = (spec: { id: number }): boolean => route[spec.id] === ROUTE.denied
  switch (table.specs[id]!.name) {
    case 'command|count':
      return integer(commandCount(table, denied))
    case 'acl|cat':
      return aclCat(table, args, denied)
    case 'command|list': {
      const filter = parseListFilter(args.slice(2))
      if (typeof filter === 'string') return failure(errorText(filter))
      return array(commandList(table, filter, denied).map((name) => bulk(name)))
    }
    case 'command|getkeys': {
      const keys = commandGetKeys(table, args.slice(2), denied)
      return isErrorCode(keys) ? failure(errorText(keys)) : array(keys.map((key) => bulk(key)))
    }
    default: {
      const keys = commandGetKeysAndFlags(table, args.slice(2), denied)
      if (isErrorCode(keys)) return failure(errorText(keys))
      return array(
        keys.map(({ key, flags }) =>
          array([bulk(key), { kind: 'set', items: flags.map((flag) => ({ kind: 'simple', text: flag }) as const) }]),
        ),
      )
    }
  }
}
