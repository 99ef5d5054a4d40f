/** Every command that the proxy answers, by command id. A row of the policy without an answer here is a bug: built once, checked at start. */
import { assert } from '../base/assert.ts'
import type { CommandTable } from '../commands/lookup.ts'
import { aclBuiltins } from './acl.ts'
import { acrossBuiltins } from './across.ts'
import { authBuiltins } from './auth.ts'
import type { Builtin } from './builtin.ts'
import { clientBuiltins } from './client.ts'
import { clientOthersBuiltins } from './client-others.ts'
import { clusterDisabled } from './cluster.ts'
import { configBuiltins } from './config.ts'
import { connectionBuiltins } from './connection.ts'
import { helpBuiltins } from './help.ts'
import { infoBuiltins } from './info.ts'
import { keyspaceBuiltins } from './keyspace.ts'
import { latencyBuiltins } from './latency.ts'
import { monitorBuiltins } from './monitor.ts'
import { operatorBuiltins } from './operator.ts'
import { proxyBuiltins } from './proxy-verb.ts'
import { pubsubBuiltins } from './pubsub.ts'
import { scriptBuiltins } from './scripts.ts'
import { slowlogBuiltins } from './slowlog.ts'

/** `isOneOfMany`: there are other worker processes with clients of the same tenants. */
export function buildBuiltins(table: CommandTable, isOneOfMany = false): readonly (Builtin | undefined)[] {
  const byName = new Map<string, Builtin>(
    Object.entries({
      ...aclBuiltins,
      ...authBuiltins,
      ...clientBuiltins,
      ...clientOthersBuiltins,
      ...configBuiltins,
      ...connectionBuiltins,
      ...helpBuiltins,
      ...infoBuiltins,
      ...keyspaceBuiltins,
      ...latencyBuiltins,
      ...monitorBuiltins,
      ...operatorBuiltins,
      ...proxyBuiltins,
      ...pubsubBuiltins,
      ...slowlogBuiltins,
      ...scriptBuiltins,
      ...(isOneOfMany ? acrossBuiltins : {}),
    }),
  )
  /** Answers that speak of the command table. */
  const answerCommand: Builtin = { run: (args, session, host, id) => host.command(id, args, session) }
  const builtins = table.specs.map((spec) => {
    if (spec.answer !== 'proxy') return undefined
    const known = byName.get(spec.name)
    if (known !== undefined) return known
    if (spec.name === 'asking' || spec.name.startsWith('cluster|')) return clusterDisabled
    return spec.name.startsWith('command|') || spec.name === 'acl|cat' ? answerCommand : undefined
  })
  for (const spec of table.specs) {
    const isSilent = spec.isContainer && builtins[spec.id] === undefined
    assert(spec.answer !== 'proxy' || builtins[spec.id] !== undefined || isSilent, `no answer for ${spec.name}`)
  }
  return builtins
}
