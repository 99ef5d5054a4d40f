/** Every command that the proxy answers, by command id. A row of the policy without an answer here is a bug: built once, checked at start. */
import { assert } from '../base/assert.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { authBuiltins } from './auth.ts'
import type { Builtin } from './builtin.ts'
import { clientBuiltins } from './client.ts'
import { connectionBuiltins } from './connection.ts'
import { proxyBuiltins } from './proxy-verb.ts'
import { pubsubBuiltins } from './pubsub.ts'
import { serverBuiltins } from './server.ts'

export function buildBuiltins(table: CommandTable): readonly (Builtin | undefined)[] {
  const byName = new Map<string, Builtin>(
    Object.entries({
      ...authBuiltins,
      ...clientBuiltins,
      ...connectionBuiltins,
      ...proxyBuiltins,
      ...pubsubBuiltins,
      ...serverBuiltins,
    }),
  )
  const answerCommand: Builtin = { run: (args, session, host, id) => host.command(id, args, session) }
  const builtins = table.specs.map((spec) => {
    if (spec.answer !== 'proxy') return undefined
    return byName.get(spec.name) ?? (spec.name.startsWith('command|') ? answerCommand : undefined)
  })
  for (const spec of table.specs) {
    const isSilent = spec.isContainer && builtins[spec.id] === undefined
    assert(spec.answer !== 'proxy' || builtins[spec.id] !== undefined || isSilent, `no answer for ${spec.name}`)
  }
  return builtins
}
