/** deploy/prometheus/regis-alerts.yml against the catalogue: an alert on a metric that is not there never fires. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { catalogue, metricPrefix, metricRows } from '../../../src/metrics/catalogue.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly annotations: { readonly summary: string; readonly runbook_url: string }
}

const file = 'deploy/prometheus/regis-alerts.yml'
const { groups } = parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

const metricsIn = (expr: string): string[] => [...expr.matchAll(/\bregis_[a-z0-9_]+/g)].map(([name]) => name)

/** What is wrong with a rule. */
function faults({ expr, annotations }: Rule): string[] {
  const found: string[] = []
  const rows = new Map(metricRows.map(([name, row]) => [metricPrefix + name, row]))
  const named = metricsIn(expr)
  if (named.length === 0) found.push('no metric')
  for (const name of named) {
    const row = rows.get(name)
    if (row === undefined) found.push(`no such metric: ${name}`)
    else if (row.type === 'counter' && !new RegExp(`(rate|increase)\\(${name}\\b`).test(expr))
      found.push(`a counter without its rate: ${name}`)
  }
  // Labels that are told must be there.
  const labels = new Set(named.flatMap((name) => rows.get(name)?.labels ?? []))
  for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g))
    if (label !== 'instance' && !labels.has(label!)) found.push(`no label ${label}`)
  return found
}

test.each(rules.map((rule) => [rule.alert, rule] as const))('%s stands on metrics that there are', (_, rule) => {
  expect(faults(rule)).toEqual([])
  expect(rule.annotations.runbook_url).toBe('docs/operations.md#alerts')
})

test('docs/operations.md says of each what to do, and every tripwire has one', () => {
  const page = readFileSync('docs/operations.md', 'utf8')
  for (const { alert } of rules) expect(page).toContain(`\`${alert}\``)
  const watched = rules.flatMap(({ expr }) => metricsIn(expr))
  const tripwires = Object.entries(catalogue).filter(([, row]) => row.help.includes('Must stay 0'))
  expect(tripwires.length).toBeGreaterThan(3)
  for (const [name] of tripwires) expect(watched).toContain(metricPrefix + name)
})

test('a wrong name, a counter without its rate, and a label that is not there are found', () => {
  const rule = (expr: string, summary = ''): Rule => ({ alert: 'x', expr, annotations: { summary, runbook_url: '' } })
  expect(faults(rule('regis_quota_reject_total > 0'))).toEqual(['no such metric: regis_quota_reject_total'])
  expect(faults(rule('regis_quota_rejected_total > 0'))).toEqual([
    'a counter without its rate: regis_quota_rejected_total',
  ])
  expect(faults(rule('regis_primary_confirmed == 0', '{{ $labels.node }}'))).toEqual(['no label node'])
})
