/** docs/commands.md, rendered from the command table. Pure; who writes the file is cli/docs.ts. */

import { policyByName } from './derive.ts'
import { factsVersion } from './facts.generated.ts'
import type { CommandTable } from './lookup.ts'
import type { CommandSpec } from './spec.ts'

const shown = (name: string): string => `\`${name.toUpperCase().replace('|', ' ')}\``

function where(spec: CommandSpec): string {
  if (spec.answer === 'denied') return 'refused'
  if (spec.answer === 'proxy') return spec.isOperatorOnly ? 'Regis, for operators' : 'Regis'
  if (spec.via === 'transaction') return 'Regis, then the primary'
  if (spec.via !== undefined) return 'primary, own connection'
  if (spec.isWrite) return 'primary (write)'
  return spec.isReplicaSafe ? 'nearest fresh node' : 'primary'
}

const columns = '| command | answered by | in MULTI | names in its reply | since |\n|---|---|---|---|---|'

const inMulti = { ok: 'queued', local: 'queued', now: 'runs at once', denied: 'refused' } as const

function row(spec: CommandSpec): string {
  const names = {
    pass: '',
    firstElement: 'stripped: first element',
    streams: 'stripped: stream names',
    moved: '',
    errorNames: 'stripped: error texts',
    commandAll: 'refused commands left out',
    commandInfo: 'refused commands left out',
    commandDocs: 'refused commands left out',
    receivers: 'receivers: those of this tenant at this proxy',
  }[spec.answer === 'upstream' ? spec.reply : 'pass']
  const multi = spec.answer === 'denied' ? '' : inMulti[spec.inMulti]
  return `| ${shown(spec.name)} | ${where(spec)} | ${multi} | ${names} | ${spec.since ?? ''} |`
}

/** The whole page. Every command of the table stands on it exactly once, containers with subcommands excepted. */
export function renderCommandsPage(table: CommandTable): string {
  const groups = policyByName()
  const specs = table.specs.filter((spec) => !spec.isContainer || groups.has(spec.name))
  const families = new Map<string, CommandSpec[]>()
  for (const group of new Set(groups.values())) families.set(group.family, [])
  families.set('without a row', [])
  for (const spec of specs) families.get(groups.get(spec.name)?.family ?? 'without a row')?.push(spec)
  const count = (answer: string): number => specs.filter((spec) => spec.answer === answer).length

  const parts = [
    `# Commands

Generated from the command table by \`npm run docs\`; do not edit. Facts: what Redis ${factsVersion} says about its own
commands. What Regis does with each is decided by hand, with reasons, in \`src/commands/policy.ts\`.

Of ${specs.length} commands and subcommands ${count('upstream')} go to a server with the tenant's prefix on every key, ${count('proxy')} are
answered by Regis, and ${count('denied')} are refused with \`-NOPERM this user has no permissions to run the '...' command\`.
A command that is not on this page is refused as unknown and never forwarded.

- *nearest fresh node*: a read; a replica answers it when it is proven fresh enough for the promised consistency.
- *primary*: a read that only the primary can answer truly.
- *primary, own connection*: a connection to the primary that the client has for itself until it is answered.
- \`SORT\` and \`SORT_RO\`: the patterns of \`BY\` and \`GET\` are prefixed too, except \`GET #\` and a \`BY\` without \`*\`.
- \`COPY ... DB n\` is refused for any other database than 0. \`XREAD\` and \`XREADGROUP\` with \`BLOCK\` take a
  connection of their own to the primary.
- \`PUBLISH\` and \`SPUBLISH\`: the channel is prefixed as a key is.
- \`MSET\`, \`DEL\` and all others with several keys work on one server, so they stay atomic.
`,
  ]
  for (const [family, members] of families) {
    if (members.length === 0) continue
    const title = `${family[0]?.toUpperCase() ?? ''}${family.slice(1)}`
    const why = members[0]?.why
    parts.push(
      `## ${title}\n${why === undefined ? '' : `\nWhy: ${why}.\n`}\n${columns}\n${members.map(row).join('\n')}\n`,
    )
  }
  return parts.join('\n')
}
