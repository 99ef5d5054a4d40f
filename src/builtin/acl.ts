/** ACL CAT and GENPASS: of what a tenant may run, and a random word. Users are the configuration's (auth.ts: WHOAMI). */
import { randomBytes } from 'node:crypto'
import { errorText } from '../base/errors.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { array, bulk, failure, type Reply } from '../resp/encode.ts'
import type { Builtin } from './builtin.ts'
import { commandList, type Denied } from './command.ts'

/** In the order of ACLCommandCategories (acl.c). */
const categories =
  'keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking dangerous connection transaction scripting'.split(
    ' ',
  )

const genpassBitsMax = 4096

export function aclCat(table: CommandTable, args: readonly Buffer[], denied: Denied): Reply {
  if (args.length > 3) return failure(errorText('SUBCOMMAND_ARGS', args[1]!.toString('latin1').slice(0, 128), 'ACL'))
  if (args[2] === undefined) return array(categories.map((name) => bulk(name)))
  const category = args[2].toString('latin1')
  if (!categories.includes(category.toLowerCase())) return failure(errorText('ACL_CATEGORY', category.slice(0, 128)))
  return array(commandList(table, { by: 'aclcat', value: category }, denied).map((name) => bulk(name)))
}

export const aclBuiltins: Readonly<Record<string, Builtin>> = {
  'acl|genpass': {
    run: (args) => {
      if (args.length > 3) {
        return failure(errorText('SUBCOMMAND_ARGS', args[1]!.toString('latin1').slice(0, 128), 'ACL'))
      }
      const text = args[2]?.toString('latin1') ?? '256'
      if (!/^(0|-?[1-9]\d{0,17})$/.test(text)) return failure(errorText('NOT_INTEGER'))
      const bits = Number(text)
      if (bits <= 0 || bits > genpassBitsMax) return failure(errorText('ACL_GENPASS'))
      const digits = Math.ceil(bits / 4)
      return bulk(
        randomBytes(Math.ceil(digits / 2))
          .toString('hex')
          .slice(0, digits),
      )
    },
  },
}
