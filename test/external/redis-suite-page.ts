/**
 * docs/redis-suite.md: how many tests of Redis's own suite a tenant passes, unit by unit, and why it loses the others.
 */
import { reasonFor } from './redis-suite-lost.ts'

export interface UnitResult {
  /** Tests that pass straight on a Redis. */
  readonly passed: number
  /** Those of them that a tenant does not pass. */
  readonly lost: readonly string[]
}

export function suitePage(
  suiteVersion: string,
  serverVersion: string,
  units: readonly string[],
  results: Readonly<Record<string, UnitResult>>,
): string {
  const run = units.flatMap((unit) => (results[unit] === undefined ? [] : [{ unit, ...results[unit] }]))
  const passed = run.reduce((sum, { passed }) => sum + passed, 0)
  const lost = run.flatMap(({ lost }) => lost)
  const byReason = new Map<string, string[]>()
  for (const name of lost) {
    const reason = reasonFor(name) ?? '**No reason is known: a bug**'
    const names = byReason.get(reason)
    if (names === undefined) byReason.set(reason, [name])
    else names.push(name)
  }
  const missing = units.filter((unit) => results[unit] === undefined)
  const lines = [
    "# Redis's own test suite",
    '',
    '<!-- Written by `npm run suite:redis -- --page`. -->',
    '',
    `The Tcl tests of Redis ${suiteVersion}, unit by unit: straight on a Redis ${serverVersion}, and through Regis as a tenant with \`scripts: any\`.`,
    'What only an operator may do (CONFIG, DEBUG) goes straight to the server in both runs, so that tests which merely set a threshold with it',
    'count. Left out are tests that start servers of their own, replicate, save, or are slow by their own tags.',
    '',
    `**Of ${passed} tests that pass straight, ${passed - lost.length} pass through Regis.** The others are lost for a reason that is known:`,
    'it belongs to whoever runs the servers, would show other tenants, or is a limit named in [not-yet](not-yet.md). A loss without',
    'a reason makes the command end with 1.',
    '',
    '| unit | straight | through Regis |',
    '|---|--:|--:|',
    ...run.map(({ unit, passed, lost }) => `| ${unit} | ${passed} | ${passed - lost.length} |`),
    '',
    ...(missing.length === 0 ? [] : [`Not run: ${missing.join(', ')}.`, '']),
    '## What is lost, and why',
    '',
  ]
  for (const [reason, names] of [...byReason].sort((a, b) => b[1].length - a[1].length))
    lines.push(
      `- ${reason} (${names.length}): ${[...new Set(names)].map((name) => `\`${name.replaceAll('`', "'")}\``).join(', ')}.`,
    )
  return `${lines.join('\n')}\n`
}
