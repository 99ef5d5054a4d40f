/** What `regis verify` tells: the judgement, as data and as a page. Pure. */
import { type Distribution, distribution } from './counts.ts'
import { type LevelName, levels, type Probe } from './prober.ts'
import { type PromiseName, promises, type Violation } from './violations.ts'

export interface Report {
  readonly ok: boolean
  readonly proxies: readonly string[]
  readonly promises: Readonly<Record<PromiseName, { readonly checked: number; readonly violations: number }>>
  readonly levels: Readonly<
    Record<
      LevelName,
      {
        readonly reads: number
        readonly refused: number
        /** Shares of what the proxies answered; undefined when they do not tell. */
        readonly local?: number
        readonly remote?: number
        readonly primary?: number
        readonly staleness_ms: Distribution
      }
    >
  >
  readonly writes: Probe['writes'] & { readonly lost_keys: number }
  readonly registers: Probe['registers']
  readonly max_staleness_ms?: number
  readonly tokens?: number
  readonly examples: readonly Violation[]
  /** Why it is not ok, besides violations. */
  readonly problems: readonly string[]
}

export function reportOf(probe: Probe, proxies: readonly string[]): Report {
  const { violations } = probe
  const problems = [
    ...promises
      .filter((name) => violations.checked[name] === 0)
      .filter((name) => name !== 'bounded staleness' || probe.boundMs !== undefined)
      .map((name) => `${name}: nothing was checked`),
    ...(probe.lostKeys > 0 ? [`${probe.lostKeys} keys have lost an acknowledged write`] : []),
    ...(probe.registers.unknown > 0 ? [`${probe.registers.unknown} histories could not be judged`] : []),
  ]
  return {
    ok: violations.total === 0 && problems.length === 0,
    proxies,
    promises: Object.fromEntries(
      promises.map((name) => [name, { checked: violations.checked[name], violations: violations.counts[name] }]),
    ) as Report['promises'],
    levels: Object.fromEntries(
      levels.map((level) => {
        const { reads, refused, sources, stalenessMs } = probe.levels[level]
        const all = sources === undefined ? 0 : sources.local + sources.remote + sources.primary
        const shares =
          sources === undefined || all === 0
            ? {}
            : { local: sources.local / all, remote: sources.remote / all, primary: sources.primary / all }
        return [level, { reads, refused, ...shares, staleness_ms: distribution(stalenessMs) }]
      }),
    ) as unknown as Report['levels'],
    writes: { ...probe.writes, lost_keys: probe.lostKeys },
    registers: probe.registers,
    ...(probe.boundMs === undefined ? {} : { max_staleness_ms: probe.boundMs }),
    ...(probe.tokens === undefined ? {} : { tokens: probe.tokens }),
    examples: violations.examples,
    problems,
  }
}

export function pageOf(report: Report): string {
  const share = (value: number | undefined) => (value === undefined ? '?' : `${(value * 100).toFixed(1)} %`)
  const ms = (value: number) => `${Math.round(value)} ms`
  const lines = [
    ...table([
      ['level', 'reads', 'refused', 'local', 'other region', 'primary', 'stale p50', 'p99', 'max'],
      ...levels.map((level) => {
        const { reads, refused, local, remote, primary, staleness_ms: age } = report.levels[level]
        return [
          ...[level, `${reads}`, `${refused}`, share(local), share(remote), share(primary)],
          ...[ms(age.p50), ms(age.p99), ms(age.max)],
        ]
      }),
    ]),
    '',
    ...table([
      ['promise', 'checked', 'violations'],
      ...promises.map((name) => {
        const { checked, violations } = report.promises[name]
        return [name, `${checked}`, `${violations}`]
      }),
    ]),
    '',
    `writes: ${report.writes.acknowledged} acknowledged, ${report.writes.uncertain} uncertain, ${report.writes.notExecuted} not executed; ` +
      `keys that lost an acknowledged write: ${report.writes.lost_keys}`,
    `registers: ${report.registers.linearizable} linearizable, ${report.registers.broken} broken, ${report.registers.unknown} undecided` +
      (report.tokens === undefined ? '' : `; ${report.tokens} tokens handed over`),
    ...(report.max_staleness_ms === undefined
      ? ['bounded: this user has no max_staleness, or not the same one everywhere; the bound was not checked']
      : []),
    ...report.examples.map(({ promise, text }) => `VIOLATION ${promise}: ${text}`),
    ...report.problems.map((text) => `PROBLEM ${text}`),
    report.ok ? 'every promise held' : 'NOT every promise held',
  ]
  return `${lines.join('\n')}\n`
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('   '),
  )
}
